/*
 * plan.c - from shares and counts to integer cohort bounds
 *
 * Regions advance together, or with BY REGION one after another: a group is
 * the set of regions that advance together. Per group: collect the cohorts of
 * its matching nodes, sort, turn each stage of the spec into bounds
 * (plan_bounds.c), append the waves. A last pass counts the nodes per wave.
 *
 * Left out: a stage that would add no cohort at all. Frozen regions with
 * matching nodes make the plan fail instead of being skipped silently.
 * Without a single node there is one wave for those who will come.
 */
#include "engine/rollout/plan_int.h"

#define PREPARE_BASE_MS 2000u       /* prepare phase of certificates: a second per 1,000 requests on top */
#define PREPARE_MAX_MS  600000u

static void fill_fixed(struct rollout_doc *d, const struct rollout_spec *s)
{
    d->where = s->where;
    d->n_waves = d->n_regions = 0;
    memset(d->wave, 0, sizeof d->wave);
    memset(d->region, 0, sizeof d->region);
    memcpy(d->gate, s->gate, sizeof d->gate);
    d->n_gates = s->n_gates;
    d->rate_per_min = s->rate_per_min;
    d->deadline_s = s->deadline_s;
    d->overlap_s = s->overlap_s;
    d->manual = s->manual;
    d->approvals = s->approvals;
    d->window = s->window;
    d->strategy = s->strategy;
    d->state = s->approvals > 0 ? RS_AWAITING_APPROVAL : RS_PLANNED;
    d->opened = d->fired_gate = 0;
    d->promoted = false;
    memset(&d->counts, 0, sizeof d->counts);
    memset(d->why, 0, sizeof d->why);
}

static const struct plan_region_info *info_find(const struct planner *p, const struct name *name)
{
    for (size_t i = 0; i < p->n_infos; i++)
        if (name_eq(&p->infos[i].name, name))
            return &p->infos[i];
    return NULL;
}

static enum reeve_err add_region(struct planner *p, const struct plan_region_info *info)
{
    if (rollout_region_find(p->d, &info->name) != NULL)
        return REEVE_OK;
    if (p->d->n_regions == ROLLOUT_REGIONS_MAX)
        return report_set(p->rep, REEVE_E_TOO_COMPLEX, "a rollout reaches at most %d regions", ROLLOUT_REGIONS_MAX);
    struct rollout_region *g = &p->d->region[p->d->n_regions++];
    g->name = info->name;
    g->ordinal_max = info->ordinal_max;
    return REEVE_OK;
}

/* The regions named by BY REGION first, then the others in the order given. */
static enum reeve_err add_regions(struct planner *p)
{
    enum reeve_err err = REEVE_OK;
    for (unsigned i = 0; i < p->s->n_regions; i++) {
        const struct plan_region_info *info = info_find(p, &p->s->region[i]);
        if (info == NULL)
            return report_set(p->rep, REEVE_E_INVALID_VALUE, "region \"%s\" does not exist", p->s->region[i].s);
        TRY(add_region(p, info));
    }
    for (size_t i = 0; i < p->n_infos; i++)
        TRY(add_region(p, &p->infos[i]));
out:
    return err;
}

/* ---- pass 1: the cohorts of a group ---- */

static const struct rollout_region *counted_region(const struct planner *p, const struct plan_node *n)
{
    const struct rollout_region *g = rollout_region_find(p->d, &n->region);
    if (g == NULL || n->ordinal >= g->ordinal_max)
        return NULL;
    return predicate_holds(&p->d->where, &n->region, n->labels, slice_str(n->id_text)) ? g : NULL;
}

static enum reeve_err frozen_region(struct planner *p, const struct name *region)
{
    report_set(p->rep, REEVE_E_REGION_FROZEN, "region \"%s\" is frozen", region->s);
    return report_hint(p->rep, "Leave it out with WHERE region <> '%s'.", region->s);
}

static void collect(void *arg, const struct plan_node *n)
{
    struct planner *p = arg;
    const struct rollout_region *g = counted_region(p, n);
    if (g == NULL || p->err != REEVE_OK || g < &p->d->region[p->first] || g >= &p->d->region[p->end])
        return;
    if (info_find(p, &g->name)->frozen) {
        p->err = frozen_region(p, &g->name);
    } else if (p->n_cohorts == p->src->scratch_n) {
        p->err = report_set(p->rep, REEVE_E_NOMEM, "more nodes match than the planner has room for");
    } else {
        p->src->scratch[p->n_cohorts++] = rollout_cohort(p->c, p->object, slice_str(n->id_text));
    }
}

/* Of a region that is not here only the number of its nodes is known. Cohorts are even: the k-th of n lies at k / n. */
static uint64_t even_cohort(uint32_t k, uint32_t n)
{
    return (uint64_t) ((unsigned __int128) k * COHORT_END / n);
}

static enum reeve_err collect_elsewhere(struct planner *p)
{
    for (unsigned g = p->first; g < p->end; g++) {
        const struct plan_region_info *info = info_find(p, &p->d->region[g].name);
        if (info->elsewhere > 0 && info->frozen)
            return frozen_region(p, &info->name);
        if (info->elsewhere > p->src->scratch_n - p->n_cohorts)
            return report_set(p->rep, REEVE_E_NOMEM, "more nodes match than the planner has room for");
        for (uint32_t k = 0; k < info->elsewhere; k++)
            p->src->scratch[p->n_cohorts++] = even_cohort(k, info->elsewhere);
    }
    return REEVE_OK;
}

static enum reeve_err plan_group(struct planner *p, unsigned first, unsigned end)
{
    enum reeve_err err;
    p->first = first;
    p->end = end;
    p->n_cohorts = 0;
    TRY(p->src->each(p->src->h, collect, p));
    TRY(p->err);
    TRY(collect_elsewhere(p));
    cohorts_sort(p->src->scratch, p->n_cohorts);
    p->total += p->n_cohorts;
    TRY(plan_stages(p));
out:
    return err;
}

/* ---- pass 2: nodes per wave ---- */

static void count(void *arg, const struct plan_node *n)
{
    struct planner *p = arg;
    const struct rollout_region *g = counted_region(p, n);
    if (g == NULL)
        return;
    uint64_t cohort = rollout_cohort(p->c, p->object, slice_str(n->id_text));
    uint8_t w = rollout_wave_of(p->d, &n->region, n->labels, slice_str(n->id_text), cohort);
    if (w > 0)
        p->d->region[g - p->d->region].nodes[w - 1]++;
}

static void count_elsewhere(struct planner *p)
{
    for (unsigned g = 0; g < p->d->n_regions; g++) {
        struct rollout_region *region = &p->d->region[g];
        uint32_t n = info_find(p, &region->name)->elsewhere;
        for (uint32_t k = 0; k < n; k++)
            for (unsigned w = 0; w < p->d->n_waves; w++)
                if (even_cohort(k, n) < region->bound[w]) {
                    region->nodes[w]++;
                    break;
                }
    }
}

static uint32_t prepare_ms(const struct planner *p)
{
    if (p->s->immediate || p->d->kind == ROLLOUT_CONFIG)
        return 0;
    uint64_t ms = PREPARE_BASE_MS + p->total;
    return ms < PREPARE_MAX_MS ? (uint32_t) ms : PREPARE_MAX_MS;
}

/*
 * Nobody to be careful with. Whoever narrowed the plan meant somebody, so that
 * is a mistake; else the change is for those who will come, at once.
 */
static enum reeve_err plan_nobody(struct planner *p)
{
    static const struct wave_spec all = { .kind = SHARE_PPM, .amount = PPM };
    struct rollout_spec s = { .n_waves = 1, .wave = { all } };
    const struct rollout_spec *asked = p->s;
    enum reeve_err err = REEVE_OK;
    if (asked->where.len > 0 && !asked->where_implied) {
        report_set(p->rep, REEVE_E_INVALID_VALUE, "no node matches");
        return report_hint(p->rep, "SHOW NODES lists the nodes; agents enrol with a token of CREATE JOIN_TOKEN.");
    }
    p->d->n_waves = 0;
    memset(p->d->wave, 0, sizeof p->d->wave);
    p->s = &s;
    p->first = 0;
    p->end = p->d->n_regions;
    TRY(plan_stages(p));
    p->d->wave[0].bake_ms = 0;
    p->d->manual = false;
out:
    p->s = asked;
    return err;
}

enum reeve_err rollout_plan(const struct crypto_ops *c, struct rollout_doc *d, const struct rollout_spec *s,
                            struct slice object, const struct plan_region_info *regions, size_t n_regions,
                            struct plan_source *src, struct report *rep)
{
    enum reeve_err err;
    struct planner p = { .c = c, .d = d, .s = s, .object = object, .infos = regions, .n_infos = n_regions,
                         .src = src, .rep = rep };
    fill_fixed(d, s);
    TRY(add_regions(&p));
    unsigned step = s->by_region ? 1 : d->n_regions;
    for (unsigned i = 0; i < d->n_regions; i += step)
        TRY(plan_group(&p, i, i + step));
    if (p.total == 0)
        TRY(plan_nobody(&p));
    TRY(src->each(src->h, count, &p));
    count_elsewhere(&p);
    d->prepare_ms = p.total > 0 ? prepare_ms(&p) : 0;
out:
    return err;
}
