/* policy.c - approval policies: whose signatures a kind of change needs. */
#include "cmd_int.h"

#include "backend/catalog/proposals.h"

#define DEFAULT_EXPIRES_MS (24 * 3600 * 1000)

static enum reeve_err read_subjects(struct cmd *x, const struct ast_values *v, struct policy_doc *d)
{
    for (int i = 0; i < v->n; i++) {
        struct slice word;
        enum reeve_err err = slot_text(&x->slot, &v->v[i], "subject", &word);
        if (err != REEVE_OK)
            return err;
        uint32_t bit = policy_subject(word);
        if (bit == 0) {
            slot_error(&x->slot, &v->v[i], REEVE_E_INVALID_VALUE, "there is no approval for \"%.*s\"", (int) (word.len > 64 ? 64 : word.len),
                       (const char *) word.p);
            return report_hint(x->rep, "Subjects are AUTHORITY (or TRUST ROOT), VALIDATOR SET, REGION, APPROVER, APPROVAL POLICY, CERT, "
                                       "ROLLOUT, CONFIG, CLASS and REVOCATION.");
        }
        d->subjects |= bit;
    }
    return REEVE_OK;
}

static enum reeve_err read_count(struct cmd *x, const struct pvalue *v, const char *what, int64_t min, uint8_t *out)
{
    int64_t n;
    enum reeve_err err = slot_int(&x->slot, v, what, min, APPROVALS_MAX, &n);
    if (err == REEVE_OK)
        *out = (uint8_t) n;
    return err;
}

/* Sorted by group; a group stands once. */
static enum reeve_err read_term(struct cmd *x, const struct ast_policy_term *t, struct policy_doc *d)
{
    struct policy_term one = { .count = 0 };
    uint8_t at = 0;
    enum reeve_err err = read_count(x, &t->count, "number of approvals", 1, &one.count);
    if (err == REEVE_OK)
        err = slot_name(&x->slot, &t->group, "group", &one.group);
    if (err != REEVE_OK)
        return err;
    while (at < d->n_terms && strcmp(d->term[at].group.s, one.group.s) < 0)
        at++;
    if (at < d->n_terms && name_eq(&d->term[at].group, &one.group))
        return slot_error(&x->slot, &t->group, REEVE_E_INVALID_VALUE, "group \"%s\" is named twice", one.group.s);
    if (d->n_terms == POLICY_TERMS_MAX)
        return slot_error(&x->slot, &t->group, REEVE_E_TOO_COMPLEX, "a policy names at most %d groups", POLICY_TERMS_MAX);
    memmove(&d->term[at + 1], &d->term[at], sizeof one * (size_t) (d->n_terms - at));
    d->term[at] = one;
    d->n_terms++;
    return REEVE_OK;
}

static enum reeve_err read_clauses(struct cmd *x, const struct ast_policy *a, struct policy_doc *d)
{
    int64_t ms = DEFAULT_EXPIRES_MS;
    enum reeve_err err = REEVE_OK;
    d->n_terms = d->distinct = d->veto_count = 0;
    for (int i = 0; i < a->nrequire; i++)
        TRY(read_term(x, &a->require[i], d));
    if (policy_places(d) > APPROVALS_MAX)
        return report_set(x->rep, REEVE_E_TOO_COMPLEX, "a policy asks for at most %d approvals", APPROVALS_MAX);
    if (pv_present(&a->distinct_jurisdictions))
        TRY(read_count(x, &a->distinct_jurisdictions, "number of jurisdictions", 1, &d->distinct));
    if (d->distinct > policy_places(d))
        return slot_error(&x->slot, &a->distinct_jurisdictions, REEVE_E_INVALID_VALUE, "%u approvals cannot come from %u jurisdictions",
                          policy_places(d), d->distinct);
    d->exclude_proposer = a->exclude_proposer;
    if (pv_present(&a->expires))
        TRY(slot_duration_ms(&x->slot, &a->expires, "expires", &ms));
    if (ms < 1000 || ms > 365ll * 86400 * 1000)
        return slot_error(&x->slot, &a->expires, REEVE_E_INVALID_VALUE, "a proposal lives between 1 second and 1 year");
    d->expires_s = (uint32_t) (ms / 1000);
    if (pv_present(&a->veto_count)) {
        TRY(read_count(x, &a->veto_count, "number of rejections", 1, &d->veto_count));
        TRY(slot_name(&x->slot, &a->veto_group, "group", &d->veto_group));
    }
out:
    return err;
}

static enum reeve_err store(struct cmd *x, struct snap *sn, const struct name *name, const struct policy_doc *d)
{
    struct cmd_outcome o;
    struct slice payload;
    enum reeve_err err;
    if (x->explain)
        return cmd_explain_note(x, "attests approval policy \"%s\"; approvals it asks for: %u", name->s, policy_places(d));
    err = CMD_PAYLOAD(x, policy_doc_encode, d, &payload);
    if (err == REEVE_OK)
        err = cmd_update(x, sn, AT_POLICY, name, payload);
    snap_close(sn);
    return err == REEVE_OK ? cmd_finish(x, &o) : err;
}

enum reeve_err cmd_create_policy(struct cmd *x)
{
    const struct ast_policy *a = &x->stmt->policy;
    struct policy_doc d = { .subjects = 0 };
    struct snap sn = { 0 };
    struct name name;
    bool exists;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_ADMIN, GK_SYSTEM, NULL));
    TRY(slot_name(&x->slot, &a->name, "approval policy", &name));
    TRY(read_subjects(x, &a->subjects, &d));
    TRY(read_clauses(x, a, &d));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_object_exists(x, &sn, AT_POLICY, &name, &exists));
    if (exists && a->if_not_exists)
        cmd_skip_notice(x, "approval policy \"%s\" already exists, skipping", name.s);
    else if (exists)
        err = slot_error(&x->slot, &a->name, REEVE_E_DUPLICATE_OBJECT, "approval policy \"%s\" already exists", name.s);
    else
        err = store(x, &sn, &name, &d);
out:
    snap_close(&sn);
    return err;
}

/* What it is for stays; the clauses are written anew. */
enum reeve_err cmd_alter_policy(struct cmd *x)
{
    const struct ast_policy *a = &x->stmt->policy;
    struct policy_doc d;
    struct snap sn = { 0 };
    struct name name;
    bool exists;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_ADMIN, GK_SYSTEM, NULL));
    TRY(slot_name(&x->slot, &a->name, "approval policy", &name));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_object_exists(x, &sn, AT_POLICY, &name, &exists));
    if (!exists) {
        err = slot_error(&x->slot, &a->name, REEVE_E_UNDEFINED_OBJECT, "approval policy \"%s\" does not exist", name.s);
        goto out;
    }
    TRY(attest_get_policy(&sn.attest, &name, &d, NULL));
    TRY(read_clauses(x, a, &d));
    TRY(store(x, &sn, &name, &d));
out:
    snap_close(&sn);
    return err;
}
