/* gens_edit.c - what may happen to generations: appended, rolled out, withdrawn, retired, revoked. */
#include "gens_int.h"
#include "refuse_int.h"

/* A generation in use is ACTIVE; one no longer in use has retired. */
static void restate(struct gens *v)
{
    for (uint8_t i = 0; i < *v->n; i++) {
        uint32_t gen = gens_number(v, i);
        bool used = gen == *v->active_gen;
        for (uint8_t k = 0; k < *v->n_rules; k++)
            used |= v->rule[k].gen == gen;
        if (used)
            gens_set_state(v, i, GEN_ACTIVE);
        else if (gens_state(v, i) == GEN_ACTIVE)
            gens_set_state(v, i, GEN_RETIRED);
    }
}

static void remove_gen(struct gens *v, uint8_t i)
{
    memmove(v->first + i * v->stride, v->first + (i + 1u) * v->stride, (*v->n - i - 1u) * v->stride);
    memset(v->first + (*v->n - 1u) * v->stride, 0, v->stride);
    (*v->n)--;
}

static void remove_rule(struct gens *v, uint8_t i)
{
    memmove(&v->rule[i], &v->rule[i + 1], (*v->n_rules - i - 1u) * sizeof *v->rule);
    memset(&v->rule[--*v->n_rules], 0, sizeof *v->rule);
}

/* The oldest generation that had its time; -1 when all still matter. */
static int oldest_spent(const struct gens *v)
{
    for (uint8_t i = 0; i < *v->n; i++)
        if (gens_state(v, i) >= GEN_RETIRED)
            return i;
    return -1;
}

enum reeve_err gens_append(struct gens *v, uint32_t gen_max, uint32_t number, uint8_t *at, struct report *rep)
{
    uint32_t last = *v->n > 0 ? gens_number(v, *v->n - 1) : 0;
    if (last < gen_max)
        last = gen_max;
    if (*v->rollout_id != 0)
        return refuse(rep, REEVE_E_ROLLOUT_RUNNING, "rollout %llu is running", (unsigned long long) *v->rollout_id);
    if (last == UINT32_MAX || (number != 0 && number <= last))
        return refuse(rep, REEVE_E_V_UPDATE, "generation %u does not follow %u", number, last);
    if (*v->n == v->max) {
        int i = oldest_spent(v);
        if (i < 0)
            return refuse(rep, REEVE_E_TOO_COMPLEX, "all %u generations are in use or prepared", v->max);
        remove_gen(v, (uint8_t) i);
    }
    *at = (*v->n)++;
    number = number != 0 ? number : last + 1;
    memset(v->first + *at * v->stride, 0, v->stride);
    memcpy(v->first + *at * v->stride + v->gen_at, &number, sizeof number);
    gens_set_state(v, *at, GEN_PREPARED);
    return REEVE_OK;
}

void gens_activate(struct gens *v, uint32_t gen)
{
    while (*v->n_rules > 0)
        remove_rule(v, (uint8_t) (*v->n_rules - 1));
    *v->active_gen = gen;
    restate(v);
}

static bool may_serve_again(const struct gens *v, uint32_t gen)
{
    int i = gens_find(v, gen);
    return i >= 0 && (gens_state(v, (uint8_t) i) == GEN_ACTIVE || gens_state(v, (uint8_t) i) == GEN_RETIRED);
}

enum reeve_err gens_revoke(struct gens *v, uint32_t gen, uint32_t to_active, struct report *rep)
{
    int i = gens_find(v, gen);
    if (i < 0)
        return refuse(rep, REEVE_E_UNDEFINED_OBJECT, "there is no generation %u", gen);
    if (gens_state(v, (uint8_t) i) == GEN_REVOKED)
        return refuse(rep, REEVE_E_WRONG_STATE, "generation %u is revoked already", gen);
    if (*v->active_gen == gen && to_active != 0 && (to_active == gen || !may_serve_again(v, to_active)))
        return refuse(rep, REEVE_E_INVALID_VALUE, "generation %u cannot take the place of %u", to_active, gen);
    for (uint8_t k = *v->n_rules; k > 0; k--)
        if (v->rule[k - 1].gen == gen)
            remove_rule(v, (uint8_t) (k - 1));
    if (*v->active_gen == gen)
        *v->active_gen = to_active;
    gens_set_state(v, (uint8_t) i, GEN_REVOKED);
    restate(v);
    return REEVE_OK;
}

static bool same_predicate(const struct predicate *a, const struct predicate *b)
{
    return a->len == b->len && memcmp(a->code, b->code, a->len) == 0;
}

static int rule_with(const struct gens *v, const struct predicate *p)
{
    for (uint8_t i = 0; i < *v->n_rules; i++)
        if (same_predicate(&v->rule[i].where, p))
            return i;
    return -1;
}

static bool kind_fits(const struct gens *v, const struct rollout_doc *r)
{
    return r->kind == ROLLOUT_ROLLBACK || r->kind == (v->type == AT_CERT ? ROLLOUT_CERT : ROLLOUT_CONFIG);
}

enum reeve_err gens_begin(struct gens *v, const struct name *object, const struct rollout_doc *r, struct report *rep)
{
    const struct rollout_target *t = gens_target(v, r, object);
    if (*v->rollout_id != 0)
        return refuse(rep, REEVE_E_ROLLOUT_RUNNING, "rollout %llu is running on '%s'",
                      (unsigned long long) *v->rollout_id, object->s);
    if (t == NULL || !kind_fits(v, r))
        return refuse(rep, REEVE_E_V_UPDATE, "'%s' is no target of this rollout", object->s);
    if (t->from_gen != *v->active_gen)
        return refuse(rep, REEVE_E_PLAN_STALE, "'%s' stands at generation %u, planned from %u", object->s,
                      *v->active_gen, t->from_gen);
    int i = gens_find(v, t->to_gen);
    if (i < 0)
        return refuse(rep, REEVE_E_UNDEFINED_OBJECT, "'%s' has no generation %u", object->s, t->to_gen);
    if (gens_state(v, (uint8_t) i) == GEN_REVOKED)
        return refuse(rep, REEVE_E_V_REVOKED, "generation %u of '%s' is revoked", t->to_gen, object->s);
    if (r->kind == ROLLOUT_ROLLBACK && t->to_gen >= t->from_gen)
        return refuse(rep, REEVE_E_V_UPDATE, "a rollback goes to an earlier generation");
    if (r->where.len > 0 && *v->n_rules == OBJECT_RULES_MAX && rule_with(v, &r->where) < 0)
        return refuse(rep, REEVE_E_TOO_COMPLEX, "'%s' has %u rules already; roll out without WHERE to clear them",
                      object->s, OBJECT_RULES_MAX);
    *v->rollout_id = r->id;
    return REEVE_OK;
}

/* Succeeded: for everybody, or for those the predicate selects (a later rule wins over an earlier one). */
static enum reeve_err succeed(struct gens *v, const struct rollout_target *t, const struct rollout_doc *r,
                              struct report *rep)
{
    int i = gens_find(v, t->to_gen);
    if (i < 0 || gens_state(v, (uint8_t) i) == GEN_REVOKED)
        return refuse(rep, REEVE_E_V_REVOKED, "generation %u was revoked meanwhile", t->to_gen);
    if (r->where.len == 0) {
        gens_activate(v, t->to_gen);
        return REEVE_OK;
    }
    int same = rule_with(v, &r->where);
    if (same < 0 && *v->n_rules == OBJECT_RULES_MAX)
        return refuse(rep, REEVE_E_TOO_COMPLEX, "more than %u rules", OBJECT_RULES_MAX);
    if (same >= 0)
        remove_rule(v, (uint8_t) same);
    v->rule[*v->n_rules] = (struct gen_rule){ t->to_gen, r->where };
    (*v->n_rules)++;
    restate(v);
    return REEVE_OK;
}

enum reeve_err gens_end(struct gens *v, const struct name *object, const struct rollout_doc *r, struct report *rep)
{
    enum reeve_err err = REEVE_OK;
    const struct rollout_target *t = gens_target(v, r, object);
    if (*v->rollout_id != r->id || t == NULL || !rollout_state_terminal((enum rollout_state) r->state))
        return refuse(rep, REEVE_E_V_UPDATE, "rollout %llu does not end on '%s'", (unsigned long long) r->id, object->s);
    if (r->state == RS_SUCCEEDED) {
        TRY(succeed(v, t, r, rep));
    } else {
        int i = gens_find(v, t->to_gen);
        /* One that had served before keeps its state. */
        if (i >= 0 && gens_state(v, (uint8_t) i) == GEN_PREPARED)
            gens_set_state(v, (uint8_t) i, GEN_WITHDRAWN);
    }
    *v->rollout_id = 0;
out:
    return err;
}
