/*
 * plan_bounds.c - the waves of one group of regions
 *
 * Shares: bound = floor(share x 2^53). Counts: the exact order statistic, so
 * that precisely n nodes lie below it. RATE: a wave with more nodes than the
 * rate allows in its bake (in one minute where it has none) becomes several,
 * cut at order statistics too; so the attested plan itself carries the limit.
 */
#include "engine/rollout/plan_int.h"

#define MINUTE_MS 60000u

static uint64_t share_bound(uint32_t ppm)
{
    return ppm >= PPM ? COHORT_END : (uint64_t) ((unsigned __int128) ppm * COHORT_END / PPM);
}

/* Smallest bound that has n cohorts below it. */
static uint64_t count_bound(const struct planner *p, size_t n)
{
    return n >= p->n_cohorts ? COHORT_END : n == 0 ? 0 : p->src->scratch[n - 1] + 1;
}

static size_t nodes_below(const struct planner *p, uint64_t bound)
{
    size_t lo = 0, hi = p->n_cohorts;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (p->src->scratch[mid] < bound)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static uint64_t stage_bound(const struct planner *p, const struct wave_spec *w)
{
    return w->kind == SHARE_PPM ? share_bound(w->amount) : count_bound(p, w->amount);
}

static enum reeve_err append(struct planner *p, uint64_t bound, uint32_t ppm, uint32_t bake_ms)
{
    struct rollout_doc *d = p->d;
    if (d->n_waves == ROLLOUT_WAVES_MAX) {
        report_set(p->rep, REEVE_E_INVALID_VALUE, "the rollout needs more than %d waves", ROLLOUT_WAVES_MAX);
        return report_hint(p->rep, "Raise RATE, lengthen the bake times, or name fewer stages or regions.");
    }
    d->wave[d->n_waves] = (struct rollout_wave){ .share_ppm = ppm, .bake_ms = bake_ms };
    for (unsigned i = 0; i < d->n_regions; i++)
        d->region[i].bound[d->n_waves] = i < p->first ? COHORT_END : i < p->end ? bound : 0;
    d->n_waves++;
    return REEVE_OK;
}

static size_t rate_limit(const struct planner *p, uint32_t bake_ms)
{
    uint64_t cap = (uint64_t) p->s->rate_per_min * (bake_ms > 0 ? bake_ms : MINUTE_MS) / MINUTE_MS;
    return cap > 0 ? (size_t) cap : 1;
}

/* One stage from lo to hi, in slices where the rate asks for it. */
static enum reeve_err append_stage(struct planner *p, uint64_t lo, uint64_t hi, uint32_t ppm, uint32_t bake_ms)
{
    enum reeve_err err = REEVE_OK;
    size_t at = nodes_below(p, lo), end = nodes_below(p, hi);
    size_t cap = p->s->rate_per_min > 0 ? rate_limit(p, bake_ms) : SIZE_MAX;
    for (; end - at > cap; at += cap)
        TRY(append(p, count_bound(p, at + cap), 0, bake_ms > 0 ? bake_ms : MINUTE_MS));
    TRY(append(p, hi, ppm, bake_ms));
out:
    return err;
}

/* The built-in strategy's count of nodes is meant for large fleets: never above the share that follows. */
static bool is_default(const struct rollout_spec *s)
{
    return slice_eq(name_slice(&s->strategy), slice_str("default"));
}

static uint32_t stage_bake(const struct planner *p, unsigned i)
{
    const struct wave_spec *w = &p->s->wave[i];
    bool last_region = p->end == p->d->n_regions;
    /* between regions the 100% of one bakes as its stage before did */
    return w->bake_ms == 0 && !w->bake_given && !last_region && i > 0 ? w[-1].bake_ms : w->bake_ms;
}

enum reeve_err plan_stages(struct planner *p)
{
    static const struct wave_spec all = { .kind = SHARE_PPM, .amount = PPM };
    const struct rollout_spec *s = p->s;
    enum reeve_err err = REEVE_OK;
    uint64_t before = 0;
    if (s->immediate)
        return append_stage(p, 0, share_bound(all.amount), PPM, 0);
    for (unsigned i = 0; i < s->n_waves; i++) {
        const struct wave_spec *w = &s->wave[i];
        uint64_t bound = stage_bound(p, w);
        if (i == 0 && i + 1u < s->n_waves && w->kind == SHARE_NODES && is_default(s)) {
            uint64_t next = stage_bound(p, w + 1);
            bound = bound < next ? bound : next;
        }
        if (bound <= before)
            continue;
        TRY(append_stage(p, before, bound, w->kind == SHARE_PPM ? w->amount : 0, stage_bake(p, i)));
        before = bound;
    }
out:
    return err;
}
