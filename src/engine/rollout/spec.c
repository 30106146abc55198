/*
 * spec.c - the stored form of what an operator asked for
 *
 *   u8 1 | u8 flags (1 immediate, 2 manual, 4 by region) | u8 n_waves { u8 kind | u32 amount | u32 bake_ms |
 *   u8 bake_given } | u8 n_regions { name } | str16 predicate | gates | u32 rate_per_min | u32 overlap_s |
 *   u32 valid_for_s | u32 deadline_s | u8 approvals | optional name window | optional name strategy
 *   gates: u8 n { u8 action | u8 n_terms { u8 var | u8 cmp | u8 unit | u8 delta | u32 value } | u32 sample }
 */
#include "engine/rollout/rollout_int.h"

enum { F_IMMEDIATE = 1, F_MANUAL = 2, F_BY_REGION = 4, F_ALL = 7 };

static void waves_encode(const struct rollout_spec *s, struct wr *out)
{
    wr_u8(out, s->n_waves);
    for (unsigned i = 0; i < s->n_waves; i++) {
        wr_u8(out, s->wave[i].kind);
        wr_u32(out, s->wave[i].amount);
        wr_u32(out, s->wave[i].bake_ms);
        wr_u8(out, s->wave[i].bake_given);
    }
}

void rollout_spec_encode(const struct rollout_spec *s, struct wr *out)
{
    wr_u8(out, 1);
    wr_u8(out, (uint8_t) ((s->immediate ? F_IMMEDIATE : 0) | (s->manual ? F_MANUAL : 0) |
                          (s->by_region ? F_BY_REGION : 0)));
    waves_encode(s, out);
    wr_u8(out, s->n_regions);
    for (unsigned i = 0; i < s->n_regions; i++)
        wr_name(out, &s->region[i]);
    predicate_encode(&s->where, out);
    gates_encode(s->gate, s->n_gates, out);
    wr_u32(out, s->rate_per_min);
    wr_u32(out, s->overlap_s);
    wr_u32(out, s->valid_for_s);
    wr_u32(out, s->deadline_s);
    wr_u8(out, s->approvals);
    wr_name(out, &s->window);
    wr_name(out, &s->strategy);
}

static void waves_decode(struct rollout_spec *s, struct rd *r)
{
    s->n_waves = rd_u8(r);
    if (s->n_waves > ROLLOUT_WAVES_MAX) {
        s->n_waves = 0;
        r->bad = true;
    }
    for (unsigned i = 0; i < s->n_waves; i++) {
        struct wave_spec *w = &s->wave[i];
        w->kind = rd_u8(r);
        w->amount = rd_u32(r);
        w->bake_ms = rd_u32(r);
        w->bake_given = rollout_rd_flag(r);
        if (w->kind != SHARE_PPM && w->kind != SHARE_NODES)
            r->bad = true;
    }
}

static void regions_decode(struct rollout_spec *s, struct rd *r)
{
    s->n_regions = rd_u8(r);
    if (s->n_regions > ROLLOUT_REGIONS_MAX) {
        s->n_regions = 0;
        r->bad = true;
    }
    for (unsigned i = 0; i < s->n_regions; i++)
        rd_name(r, &s->region[i]);
}

enum reeve_err rollout_spec_decode(struct rollout_spec *s, struct slice in)
{
    struct rd r = rd_of(in);
    memset(s, 0, sizeof *s);
    uint8_t version = rd_u8(&r), flags = rd_u8(&r);
    if (version != 1 || (flags & ~F_ALL) != 0)
        r.bad = true;
    s->immediate = flags & F_IMMEDIATE;
    s->manual = flags & F_MANUAL;
    s->by_region = flags & F_BY_REGION;
    waves_decode(s, &r);
    regions_decode(s, &r);
    predicate_decode(&s->where, &r);
    s->n_gates = gates_decode(s->gate, &r);
    s->rate_per_min = rd_u32(&r);
    s->overlap_s = rd_u32(&r);
    s->valid_for_s = rd_u32(&r);
    s->deadline_s = rd_u32(&r);
    s->approvals = rd_u8(&r);
    rd_opt_name(&r, &s->window);
    rd_opt_name(&r, &s->strategy);
    return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED;
}
