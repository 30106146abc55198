/*
 * check_evidence.c - the validator's side of a rollout that several regions share: do the counts follow from what the regions signed?
 *
 * Whoever owns the rollout can leave a region's word out only where that stops something. To go on it takes every region that
 * has an opened wave, each with counts taken after the bake: so nobody goes on with good old counts and keeps bad new ones back.
 */
#include "engine/rollout/rollout_int.h"

static enum reeve_err no(struct report *rep, const char *what, const struct name *region)
{
    if (rep == NULL)
        return REEVE_E_V_UPDATE;
    return region != NULL ? report_set(rep, REEVE_E_V_UPDATE, "rollout step: %s '%s'", what, region->s)
                          : report_set(rep, REEVE_E_V_UPDATE, "rollout step: %s", what);
}

static bool none(const struct rollout_doc *d)
{
    for (unsigned g = 0; g < d->n_regions; g++)
        if (d->evidence[g].there)
            return false;
    return true;
}

static bool goes_on(const struct rollout_doc *prev, const struct rollout_doc *next)
{
    return !next->promoted && (next->opened > prev->opened || next->state == RS_SUCCEEDED);
}

static bool sums_up(const struct rollout_doc *next)
{
    uint8_t mem[2][64];
    struct wr a = wr_fixed(mem[0], sizeof mem[0]), b = wr_fixed(mem[1], sizeof mem[1]);
    struct rollout_counts sum;
    evidence_sum(next->evidence, next->n_regions, &sum);
    rollout_counts_encode(&sum, &a);
    rollout_counts_encode(&next->counts, &b);
    return slice_eq(wr_slice(&a), wr_slice(&b));
}

static enum reeve_err check_part(const struct rollout_doc *prev, const struct rollout_doc *next, unsigned g, uint16_t need, uint16_t held,
                                 struct wall_ms wave_since, struct report *rep)
{
    const struct rollout_evidence *e = &next->evidence[g];
    const struct name *region = &prev->region[g].name;
    bool needed = (need >> g & 1) != 0;
    if (needed && !e->there)
        return no(rep, "goes on without the counts of region", region);
    if (needed && e->at.ms < rollout_counts_due_ms(prev, wave_since))
        return no(rep, "the bake was not over for the counts of region", region);
    if (e->there && (held >> g & 1) != 0)
        return no(rep, "counts a region that is frozen:", region);
    if (e->there && e->brake != BRAKE_NONE)
        return no(rep, "goes on although a region brakes:", region);
    return REEVE_OK;
}

enum reeve_err rollout_check_evidence(const struct rollout_doc *prev, const struct rollout_doc *next, const struct name *owner,
                                      uint16_t held, struct wall_ms wave_since, struct report *rep)
{
    enum reeve_err err = REEVE_OK;
    if (!rollout_is_shared(prev, owner))
        return none(next) ? REEVE_OK : no(rep, "evidence of several regions where there is one", NULL);
    if (!goes_on(prev, next) && rollout_evidence_same(prev, next))
        return REEVE_OK;
    if (!sums_up(next))
        return no(rep, "the counts are not the sum of what the regions counted", NULL);
    uint16_t need = rollout_needs(prev, held);
    for (unsigned g = 0; g < prev->n_regions && goes_on(prev, next); g++)
        TRY(check_part(prev, next, g, need, held, wave_since, rep));
out:
    return err;
}
