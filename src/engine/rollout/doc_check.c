/* doc_check.c - the structure of a plan, R1, and which nodes a plan contains. */
#include "engine/rollout/rollout_int.h"

static enum reeve_err bad(struct report *rep, const char *what)
{
    return rep != NULL ? report_set(rep, REEVE_E_INVALID_VALUE, "rollout plan: %s", what) : REEVE_E_INVALID_VALUE;
}

static enum reeve_err targets_check(const struct rollout_doc *d, struct report *rep)
{
    if (d->n_targets == 0 || d->n_targets > ROLLOUT_TARGETS_MAX)
        return bad(rep, "no target, or too many");
    for (unsigned i = 0; i < d->n_targets; i++) {
        const struct rollout_target *t = &d->target[i];
        if (t->name.len == 0 || t->type == 0 || t->from_gen == t->to_gen)
            return bad(rep, "a target that changes nothing");
        for (unsigned k = 0; k < i; k++)
            if (t->type == d->target[k].type && name_eq(&t->name, &d->target[k].name))
                return bad(rep, "the same target twice");
    }
    return REEVE_OK;
}

/* R1. The last bound is 2^53 everywhere: `succeeded` means every node that matches. */
static enum reeve_err bounds_check(const struct rollout_region *g, unsigned n_waves, struct report *rep)
{
    uint64_t before = 0;
    for (unsigned w = 0; w < n_waves; w++) {
        if (g->bound[w] < before || g->bound[w] > COHORT_END)
            return bad(rep, "bounds that shrink or exceed 2^53");
        if (g->bound[w] == before && g->nodes[w] != 0)
            return bad(rep, "nodes in an empty wave");
        before = g->bound[w];
    }
    return before == COHORT_END ? REEVE_OK : bad(rep, "the last wave does not reach everybody");
}

static enum reeve_err regions_check(const struct rollout_doc *d, struct report *rep)
{
    for (unsigned i = 0; i < d->n_regions; i++) {
        enum reeve_err err = bounds_check(&d->region[i], d->n_waves, rep);
        if (err != REEVE_OK)
            return err;
        for (unsigned k = 0; k < i; k++)
            if (name_eq(&d->region[i].name, &d->region[k].name))
                return bad(rep, "the same region twice");
    }
    return REEVE_OK;
}

static enum reeve_err progress_check(const struct rollout_doc *d, struct report *rep)
{
    if (d->state < RS_PLANNED || d->state > RS_EXPIRED || d->opened > d->n_waves || d->fired_gate > d->n_gates)
        return bad(rep, "progress out of range");
    if ((d->state == RS_RUNNING || d->state == RS_BAKING || d->state == RS_PROMOTING) && d->opened == 0)
        return bad(rep, "under way without a wave");
    if ((d->state == RS_PLANNED || d->state == RS_AWAITING_APPROVAL) && d->opened > 0)
        return bad(rep, "waves open before the start");
    if (d->state == RS_SUCCEEDED && d->opened != d->n_waves)
        return bad(rep, "succeeded before the last wave");
    return REEVE_OK;
}

enum reeve_err rollout_doc_check(const struct rollout_doc *d, struct report *rep)
{
    enum reeve_err err;
    if (d->kind < ROLLOUT_CERT || d->kind > ROLLOUT_ROLLBACK || d->id == 0)
        return bad(rep, "unknown kind or no id");
    if (d->n_waves == 0 || d->n_waves > ROLLOUT_WAVES_MAX || d->n_regions == 0 ||
        d->n_regions > ROLLOUT_REGIONS_MAX || d->n_gates > ROLLOUT_GATES_MAX)
        return bad(rep, "number of waves, regions or gates");
    if (predicate_check(&d->where) != REEVE_OK)
        return bad(rep, "the condition on nodes");
    TRY(targets_check(d, rep));
    TRY(regions_check(d, rep));
    for (unsigned i = 0; i < d->n_gates; i++)
        TRY(gate_check(&d->gate[i], rep));
    TRY(progress_check(d, rep));
out:
    return err;
}

const struct rollout_region *rollout_region_find(const struct rollout_doc *d, const struct name *region)
{
    for (unsigned i = 0; i < d->n_regions; i++)
        if (name_eq(&d->region[i].name, region))
            return &d->region[i];
    return NULL;
}

uint8_t rollout_wave_of(const struct rollout_doc *d, const struct name *region, const struct labels *labels,
                        struct slice node_id_text, uint64_t cohort)
{
    const struct rollout_region *g = rollout_region_find(d, region);
    if (g == NULL || !predicate_holds(&d->where, region, labels, node_id_text))
        return 0;
    for (unsigned w = 0; w < d->n_waves; w++)
        if (cohort < g->bound[w])
            return (uint8_t) (w + 1);
    return 0;
}

bool rollout_includes(const struct rollout_doc *d, const struct name *region, const struct labels *labels,
                      struct slice node_id_text, uint64_t cohort)
{
    if (rollout_state_withdraws((enum rollout_state) d->state))
        return false;
    uint8_t wave = rollout_wave_of(d, region, labels, node_id_text, cohort);
    return wave != 0 && wave <= d->opened;
}
