/*
 * spec_default.c - what is taken where an operator said nothing
 *
 * Order: the statement, then the strategy it names, then these built-ins:
 *   waves    strategy "default": 100 nodes, 1%, 5%, 25%, 100%; the planner
 *            never lets its first wave exceed the second (small fleets)
 *   a lone canary grows on over those of 1%, 5%, 25% that exceed it, to 100%;
 *   a list that stops short of 100% is completed with it, because a rollout
 *   that ends in `succeeded` means everybody
 *   bake     that of the wave before, else 10 minutes; the last wave 0
 *   gates    ROLLBACK IF failed > 5% SAMPLE 20, PAUSE IF silent > 20% SAMPLE 20
 *            (taken together, and only if the statement has no gate at all)
 *   sample   20: one bad node of a tiny canary is an accident, a twentieth of
 *            twenty is one too, and R5 lowers it for fleets smaller than that
 */
#include "engine/rollout/rollout_int.h"

#define DEFAULT_BAKE_MS 600000u
#define DEFAULT_SAMPLE  20u

static const uint32_t growth_ppm[] = { 10000, 50000, 250000, PPM };

static void add_share(struct rollout_spec *s, uint32_t ppm)
{
    if (s->n_waves < ROLLOUT_WAVES_MAX)
        s->wave[s->n_waves++] = (struct wave_spec){ .kind = SHARE_PPM, .amount = ppm };
}

static void grow_beyond(struct rollout_spec *s, uint32_t ppm)
{
    for (size_t i = 0; i < sizeof growth_ppm / sizeof *growth_ppm; i++)
        if (growth_ppm[i] > ppm)
            add_share(s, growth_ppm[i]);
}

static void default_waves(struct rollout_spec *s)
{
    if (s->immediate)
        return;
    if (s->n_waves == 0) {
        s->wave[0] = (struct wave_spec){ .kind = SHARE_NODES, .amount = 100 };
        s->n_waves = 1;
        if (s->strategy.len == 0)
            (void) name_set_str(&s->strategy, "default");
    }
    const struct wave_spec *last = &s->wave[s->n_waves - 1];
    uint32_t ppm = last->kind == SHARE_PPM ? last->amount : 0;
    if (s->n_waves == 1)
        grow_beyond(s, ppm);
    else if (ppm != PPM)
        add_share(s, PPM);
}

static void default_bakes(struct rollout_spec *s)
{
    uint32_t before = DEFAULT_BAKE_MS;
    for (unsigned i = 0; i < s->n_waves; i++) {
        struct wave_spec *w = &s->wave[i];
        if (!w->bake_given)
            w->bake_ms = i + 1u == s->n_waves ? 0 : before;
        before = w->bake_ms;
    }
}

static struct gate simple_gate(uint8_t action, uint8_t var, uint32_t ppm)
{
    struct gate g = { .action = action, .n_terms = 1, .sample = DEFAULT_SAMPLE };
    g.term[0] = (struct gate_term){ .var = var, .cmp = GATE_GT, .unit = GATE_SHARE_PPM, .value = ppm };
    return g;
}

static void default_gates(struct rollout_spec *s)
{
    if (s->n_gates == 0) {
        s->gate[0] = simple_gate(GATE_ROLLBACK, GATE_FAILED, 50000);
        s->gate[1] = simple_gate(GATE_PAUSE, GATE_SILENT, 200000);
        s->n_gates = 2;
    }
    for (unsigned i = 0; i < s->n_gates; i++)
        if (s->gate[i].sample == 0)
            s->gate[i].sample = DEFAULT_SAMPLE;
}

static void under_waves(struct rollout_spec *s, const struct rollout_spec *base)
{
    if (s->n_waves > 0 || s->immediate)
        return;
    memcpy(s->wave, base->wave, sizeof s->wave);
    s->n_waves = base->n_waves;
    s->immediate = base->immediate;
}

static void under_regions(struct rollout_spec *s, const struct rollout_spec *base)
{
    if (s->by_region)
        return;
    s->by_region = base->by_region;
    s->n_regions = base->n_regions;
    memcpy(s->region, base->region, sizeof s->region);
}

static void under(struct rollout_spec *s, const struct rollout_spec *base)
{
    under_waves(s, base);
    under_regions(s, base);
    s->manual = s->manual || base->manual;
    if (s->where.len == 0)
        s->where = base->where;
    if (s->n_gates == 0) {
        memcpy(s->gate, base->gate, sizeof s->gate);
        s->n_gates = base->n_gates;
    }
    s->rate_per_min = s->rate_per_min ? s->rate_per_min : base->rate_per_min;
    s->overlap_s = s->overlap_s ? s->overlap_s : base->overlap_s;
    s->valid_for_s = s->valid_for_s ? s->valid_for_s : base->valid_for_s;
    s->deadline_s = s->deadline_s ? s->deadline_s : base->deadline_s;
    s->approvals = s->approvals ? s->approvals : base->approvals;
    if (s->window.len == 0)
        s->window = base->window;
}

void rollout_spec_default(struct rollout_spec *s, const struct rollout_spec *base)
{
    if (base != NULL)
        under(s, base);
    default_waves(s);
    default_bakes(s);
    default_gates(s);
}
