/* spec_check.c - what no plan could make sense of is refused with a reason. */
#include "engine/rollout/rollout_int.h"

#define BAKE_MAX_MS (30u * 86400000u)      /* 30 days */

static enum reeve_err invalid(struct report *rep, const char *what)
{
    return report_set(rep, REEVE_E_INVALID_VALUE, "%s", what);
}

static enum reeve_err wave_check(const struct wave_spec *w, unsigned no, struct report *rep)
{
    if (w->kind != SHARE_PPM && w->kind != SHARE_NODES)
        return invalid(rep, "a wave is neither a share nor a count");
    if (w->amount == 0)
        return report_set(rep, REEVE_E_INVALID_VALUE, "wave %u is empty", no);
    if (w->kind == SHARE_PPM && w->amount > PPM)
        return report_set(rep, REEVE_E_INVALID_VALUE, "wave %u asks for more than 100%%", no);
    if (w->bake_ms > BAKE_MAX_MS)
        return report_set(rep, REEVE_E_INVALID_VALUE, "wave %u bakes for longer than 30 days", no);
    return REEVE_OK;
}

/* Shares grow against the last share, counts against the last count; the planner orders the two kinds. */
static enum reeve_err waves_check(const struct rollout_spec *s, struct report *rep)
{
    uint32_t last[SHARE_NODES + 1] = { 0 };
    for (unsigned i = 0; i < s->n_waves; i++) {
        const struct wave_spec *w = &s->wave[i];
        enum reeve_err err = wave_check(w, i + 1, rep);
        if (err != REEVE_OK)
            return err;
        if (w->amount <= last[w->kind]) {
            report_set(rep, REEVE_E_INVALID_VALUE, "wave %u does not grow", i + 1);
            return report_hint(rep, "Shares are cumulative: 5%%, 25%%, 100%%.");
        }
        if (w->kind == SHARE_NODES && last[SHARE_PPM] == PPM)
            return report_set(rep, REEVE_E_INVALID_VALUE, "wave %u comes after 100%%", i + 1);
        last[w->kind] = w->amount;
    }
    return REEVE_OK;
}

/* One clause ROLLBACK IF, one PAUSE IF, each with one SAMPLE. */
static enum reeve_err gates_check(const struct rollout_spec *s, struct report *rep)
{
    for (unsigned i = 0; i < s->n_gates; i++) {
        enum reeve_err err = gate_check(&s->gate[i], rep);
        if (err != REEVE_OK)
            return err;
        for (unsigned k = 0; k < i; k++)
            if (s->gate[k].action == s->gate[i].action && s->gate[k].sample != s->gate[i].sample)
                return invalid(rep, "gates of one clause differ in their sample");
    }
    return REEVE_OK;
}

static enum reeve_err regions_check(const struct rollout_spec *s, struct report *rep)
{
    if (s->n_regions > 0 && !s->by_region)
        return invalid(rep, "regions are listed without BY REGION");
    for (unsigned i = 0; i < s->n_regions; i++)
        for (unsigned k = 0; k < i; k++)
            if (name_eq(&s->region[i], &s->region[k]))
                return report_set(rep, REEVE_E_INVALID_VALUE, "region \"%s\" is listed twice", s->region[i].s);
    return REEVE_OK;
}

enum reeve_err rollout_spec_check(const struct rollout_spec *s, struct report *rep)
{
    enum reeve_err err;
    if (s->n_waves > ROLLOUT_WAVES_MAX || s->n_gates > ROLLOUT_GATES_MAX || s->n_regions > ROLLOUT_REGIONS_MAX)
        return report_set(rep, REEVE_E_TOO_COMPLEX, "a rollout has at most %d waves, %d gates and %d regions",
                          ROLLOUT_WAVES_MAX, ROLLOUT_GATES_MAX, ROLLOUT_REGIONS_MAX);
    if (s->immediate && s->n_waves > 0)
        return invalid(rep, "IMMEDIATE and CANARY exclude each other");
    if (s->immediate && s->by_region)
        return invalid(rep, "IMMEDIATE and BY REGION exclude each other");
    if (predicate_check(&s->where) != REEVE_OK)
        return invalid(rep, "the WHERE clause is not a condition on nodes");
    TRY(waves_check(s, rep));
    TRY(gates_check(s, rep));
    TRY(regions_check(s, rep));
out:
    return err;
}
