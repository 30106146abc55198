/* build_admin.c - rollout clauses, certificates, nodes, roles, rights, policies */
#include "backend/parser/build_int.h"

/* ---- rollout clauses ---- */

struct ast_rollout *roll_new(struct parse *p)
{
    return build_alloc(p, sizeof(struct ast_rollout));
}

struct ast_rollout *roll_clause(struct parse *p, enum roll_clause c, int pos)
{
    struct ast_rollout *r = roll_new(p);
    if (r != NULL) {
        r->present = 1u << c;
        r->pos[c] = pos;
    }
    return r;
}

static enum roll_clause only_clause(const struct ast_rollout *one)
{
    return (enum roll_clause) __builtin_ctz(one->present);
}

/* A6: what excludes each other is refused where the later one stands. */
static bool contradicts(const struct ast_rollout *r, enum roll_clause c, enum roll_clause *other)
{
    static const enum roll_clause pairs[][2] = { { ROLL_IMMEDIATE, ROLL_CANARY }, { ROLL_IMMEDIATE, ROLL_STRATEGY } };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        for (int side = 0; side < 2; side++) {
            if (pairs[i][side] == c && roll_has(r, pairs[i][!side])) {
                *other = pairs[i][!side];
                return true;
            }
        }
    }
    return false;
}

static void copy_clause(struct ast_rollout *r, const struct ast_rollout *one, enum roll_clause c)
{
    switch (c) {
    case ROLL_WHERE: r->where = one->where; break;
    case ROLL_CANARY: r->nsteps = one->nsteps; r->steps = one->steps; break;
    case ROLL_STRATEGY: r->strategy = one->strategy; break;
    case ROLL_BY_REGION: r->regions = one->regions; break;
    case ROLL_RATE: r->rate = one->rate; r->rate_unit = one->rate_unit; break;
    case ROLL_OVERLAP: r->overlap = one->overlap; break;
    case ROLL_WINDOW: r->window = one->window; break;
    case ROLL_DEADLINE: r->deadline = one->deadline; break;
    case ROLL_ROLLBACK_IF: r->rollback_if = one->rollback_if; r->rollback_sample = one->rollback_sample; break;
    case ROLL_PAUSE_IF: r->pause_if = one->pause_if; r->pause_sample = one->pause_sample; break;
    case ROLL_APPROVALS: r->approvals = one->approvals; break;
    case ROLL_VALID_FOR: r->valid_for = one->valid_for; break;
    case ROLL_REASON: r->reason = one->reason; break;
    case ROLL_WITH: r->with = one->with; break;
    case ROLL_IMMEDIATE:
    case ROLL_MANUAL:
    case ROLL__COUNT: break;
    }
}

struct ast_rollout *roll_merge(struct parse *p, struct ast_rollout *r, struct ast_rollout *one)
{
    if (r == NULL || one == NULL)
        return one;
    enum roll_clause c = only_clause(one), other;
    if (roll_has(r, c))
        parse_fail(p, REEVE_E_SYNTAX, one->pos[c], "%s is given twice", roll_clause_name(c));
    else if (contradicts(r, c, &other))
        parse_fail(p, REEVE_E_SYNTAX, one->pos[c], "%s cannot stand together with %s", roll_clause_name(c),
                   roll_clause_name(other));
    r->present |= 1u << c;
    r->pos[c] = one->pos[c];
    copy_clause(r, one, c);
    return r;
}

void roll_step(struct parse *p, struct ast_rollout *r, const struct ast_step *step)
{
    if (r == NULL)
        return;
    struct ast_step *v = list_grow(p, r->steps, r->nsteps, sizeof *v, step->share.amount.pos);
    if (v != NULL) {
        r->steps = v;
        r->steps[r->nsteps++] = *step;
    }
}

void roll_steps(struct parse *p, struct ast_rollout *r, struct ast_rollout *more)
{
    for (int i = 0; more != NULL && i < more->nsteps; i++)
        roll_step(p, r, &more->steps[i]);
}

/* ---- certificates and nodes ---- */

struct ast_cert *cert_new(struct parse *p)
{
    return build_alloc(p, sizeof(struct ast_cert));
}

static void refuse_twice(struct parse *p, bool taken, struct pvalue at)
{
    if (taken)
        parse_fail(p, REEVE_E_SYNTAX, at.pos, "%s is given twice", at.s ? at.s : "option");
}

void cert_sans(struct parse *p, struct ast_cert *c, struct ast_values *names, struct pvalue at)
{
    refuse_twice(p, c->sans.n > 0, at);
    c->sans = *names;
}

void cert_where(struct parse *p, struct ast_cert *c, struct ast_expr *x, struct pvalue at)
{
    refuse_twice(p, c->where != NULL, at);
    c->where = x;
}

void cert_with(struct parse *p, struct ast_cert *c, struct ast_options *o, struct pvalue at)
{
    refuse_twice(p, c->options.n > 0, at);
    c->options = *o;
}

struct ast_node *node_new(struct parse *p, int action, struct pvalue label, struct pvalue value)
{
    struct ast_node *n = build_alloc(p, sizeof *n);
    if (n != NULL)
        *n = (struct ast_node){ .action = action, .label = label, .value = value };
    return n;
}

/* ---- roles and rights ---- */

struct ast_role *role_new(struct parse *p)
{
    struct ast_role *r = build_alloc(p, sizeof *r);
    if (r != NULL)
        r->login = r->superuser = r->inherit = r->createrole = -1;
    return r;
}

void role_word(struct parse *p, struct ast_role *r, struct pvalue word)
{
    if (r == NULL)
        return;
    const struct { const char *word; int *slot; } words[] = {
        { "login", &r->login }, { "superuser", &r->superuser }, { "inherit", &r->inherit },
        { "createrole", &r->createrole }
    };
    bool no = word.len > 2 && memcmp(word.s, "no", 2) == 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word.s + (no ? 2 : 0), words[i].word) == 0) {
            refuse_twice(p, *words[i].slot >= 0, word);
            *words[i].slot = !no;
            return;
        }
    }
    /* PostgreSQL's words without a meaning here, and its noise word before PASSWORD */
    static const char *const ignored[] = { "encrypted", "nocreatedb", "noreplication", "nobypassrls" };
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        if (strcmp(word.s, ignored[i]) == 0)
            return;
    }
    parse_fail(p, REEVE_E_SYNTAX, word.pos, "unrecognized role option \"%s\"", word.s);
    report_hint(p->report, "Role options are LOGIN, SUPERUSER, INHERIT, CREATEROLE (each also with NO), PASSWORD, "
                           "VALID UNTIL, CONNECTION LIMIT and IN ROLE.");
}

void role_in(struct parse *p, struct ast_role *r, struct ast_values *roles, struct pvalue at)
{
    refuse_twice(p, r->in_roles.n > 0, at);
    r->in_roles = *roles;
}

struct ast_stmt *stmt_role(struct parse *p, enum ast_kind kind, struct pvalue name, struct ast_role *r, bool if_not_exists)
{
    struct ast_stmt *s = stmt_new(p, kind);
    if (s == NULL || r == NULL)
        return s;
    s->role = *r;
    s->role.name = name;
    s->role.if_not_exists = if_not_exists;
    return s;
}

struct ast_grant *grant_target(struct parse *p, enum ast_object_kind kind, struct pvalue name, struct pvalue region,
                               bool all)
{
    struct ast_grant *g = build_alloc(p, sizeof *g);
    if (g != NULL)
        *g = (struct ast_grant){ .object = kind, .name = name, .region = region, .all_objects = all };
    return g;
}

struct ast_stmt *stmt_grant(struct parse *p, enum ast_kind kind, struct ast_grant *target, struct ast_values *what,
                            struct ast_values *grantees)
{
    struct ast_stmt *s = stmt_new(p, kind);
    if (s == NULL)
        return NULL;
    if (target != NULL)
        s->grant = *target;
    if (what == NULL && target == NULL)
        parse_fail(p, REEVE_E_SYNTAX, s->pos, "ALL stands for privileges and needs ON");
    s->grant.all_privileges = what == NULL;
    if (what != NULL)
        s->grant.privileges = *what;
    if (grantees != NULL)
        s->grant.grantees = *grantees;
    return s;
}

/* ---- approval policies and proposals ---- */

struct ast_policy *policy_new(struct parse *p)
{
    return build_alloc(p, sizeof(struct ast_policy));
}

struct ast_policy *policy_term(struct parse *p, struct ast_policy *policy, struct pvalue count, struct pvalue group)
{
    if (policy == NULL)
        return NULL;
    struct ast_policy_term *v = list_grow(p, policy->require, policy->nrequire, sizeof *v, count.pos);
    if (v != NULL) {
        policy->require = v;
        policy->require[policy->nrequire++] = (struct ast_policy_term){ count, group };
    }
    return policy;
}

struct ast_stmt *stmt_policy(struct parse *p, enum ast_kind kind, struct pvalue name, struct ast_policy *policy)
{
    struct ast_stmt *s = stmt_new(p, kind);
    if (s == NULL || policy == NULL)
        return s;
    s->policy = *policy;
    s->policy.name = name;
    return s;
}

struct ast_stmt *stmt_proposal(struct parse *p, enum ast_kind kind, struct pvalue name)
{
    struct ast_stmt *s = stmt_new(p, kind);
    if (s != NULL)
        s->proposal.name = name;
    return s;
}
