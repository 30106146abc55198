/*
 * doc.c - the payload of an attested ROLLOUT object
 *
 *   plan:     u8 1 | u64 id | u8 kind | u8 n_targets { u8 type | name | u32 from_gen | u32 to_gen } |
 *             str16 predicate | u8 n_waves { u32 share_ppm | u32 bake_ms } |
 *             u8 n_regions { name | u32 ordinal_max | n_waves x { u64 bound | u32 nodes } } | gates |
 *             u32 rate_per_min | u32 prepare_ms | u32 deadline_s | u32 overlap_s | u8 manual | u8 approvals |
 *             optional names: window | strategy | submitted_by
 *   progress: u8 state | u8 opened | u8 promoted | counts (12 x u32) | u8 fired_gate | u8 length + why
 *             where regions share it and were heard of: u8 n (at least 1) { u8 place | rest of a statement | 64 signature }
 *   counts:   nodes, told, done, failed, rejected, silent, reverted, p50, p95, p99 ms, control nodes, control failed
 */
#include "engine/rollout/rollout_int.h"

static void targets_encode(const struct rollout_doc *d, struct wr *out)
{
    wr_u8(out, d->n_targets);
    for (unsigned i = 0; i < d->n_targets; i++) {
        wr_u8(out, d->target[i].type);
        wr_name(out, &d->target[i].name);
        wr_u32(out, d->target[i].from_gen);
        wr_u32(out, d->target[i].to_gen);
    }
}

static void waves_encode(const struct rollout_doc *d, struct wr *out)
{
    wr_u8(out, d->n_waves);
    for (unsigned w = 0; w < d->n_waves; w++) {
        wr_u32(out, d->wave[w].share_ppm);
        wr_u32(out, d->wave[w].bake_ms);
    }
    wr_u8(out, d->n_regions);
    for (unsigned i = 0; i < d->n_regions; i++) {
        wr_name(out, &d->region[i].name);
        wr_u32(out, d->region[i].ordinal_max);
        for (unsigned w = 0; w < d->n_waves; w++) {
            wr_u64(out, d->region[i].bound[w]);
            wr_u32(out, d->region[i].nodes[w]);
        }
    }
}

void rollout_plan_encode(const struct rollout_doc *d, struct wr *out)
{
    wr_u8(out, 1);
    wr_u64(out, d->id);
    wr_u8(out, d->kind);
    targets_encode(d, out);
    predicate_encode(&d->where, out);
    waves_encode(d, out);
    gates_encode(d->gate, d->n_gates, out);
    wr_u32(out, d->rate_per_min);
    wr_u32(out, d->prepare_ms);
    wr_u32(out, d->deadline_s);
    wr_u32(out, d->overlap_s);
    wr_u8(out, d->manual);
    wr_u8(out, d->approvals);
    wr_name(out, &d->window);
    wr_name(out, &d->strategy);
    wr_name(out, &d->submitted_by);
}

/* The counters in the order of the format. */
static uint32_t *const *counter_list(const struct rollout_counts *c, uint32_t *list[12])
{
    struct rollout_counts *m = (struct rollout_counts *) c;
    uint32_t *const all[12] = { &m->nodes, &m->told, &m->done, &m->failed, &m->rejected, &m->silent, &m->reverted,
                                &m->p50_ms, &m->p95_ms, &m->p99_ms, &m->control_nodes, &m->control_failed };
    memcpy(list, all, sizeof all);
    return list;
}

void rollout_counts_encode(const struct rollout_counts *c, struct wr *out)
{
    uint32_t *list[12];
    counter_list(c, list);
    for (unsigned i = 0; i < 12; i++)
        wr_u32(out, *list[i]);
}

void rollout_counts_decode(struct rollout_counts *c, struct rd *r)
{
    uint32_t *list[12];
    counter_list(c, list);
    for (unsigned i = 0; i < 12; i++)
        *list[i] = rd_u32(r);
}

void rollout_doc_encode(const struct rollout_doc *d, struct wr *out)
{
    size_t len = strnlen(d->why, sizeof d->why - 1);
    rollout_plan_encode(d, out);
    wr_u8(out, d->state);
    wr_u8(out, d->opened);
    wr_u8(out, d->promoted);
    rollout_counts_encode(&d->counts, out);
    wr_u8(out, d->fired_gate);
    wr_u8(out, (uint8_t) len);
    wr_bytes(out, d->why, len);
    evidence_list_encode(d, out);
}

static void targets_decode(struct rollout_doc *d, struct rd *r)
{
    d->n_targets = rd_u8(r);
    if (d->n_targets > ROLLOUT_TARGETS_MAX) {
        d->n_targets = 0;
        r->bad = true;
    }
    for (unsigned i = 0; i < d->n_targets; i++) {
        d->target[i].type = rd_u8(r);
        rd_name(r, &d->target[i].name);
        d->target[i].from_gen = rd_u32(r);
        d->target[i].to_gen = rd_u32(r);
    }
}

static void region_decode(struct rollout_region *g, unsigned n_waves, struct rd *r)
{
    rd_name(r, &g->name);
    g->ordinal_max = rd_u32(r);
    for (unsigned w = 0; w < n_waves; w++) {
        g->bound[w] = rd_u64(r);
        g->nodes[w] = rd_u32(r);
    }
}

static void waves_decode(struct rollout_doc *d, struct rd *r)
{
    d->n_waves = rd_u8(r);
    if (d->n_waves > ROLLOUT_WAVES_MAX) {
        d->n_waves = 0;
        r->bad = true;
    }
    for (unsigned w = 0; w < d->n_waves; w++) {
        d->wave[w].share_ppm = rd_u32(r);
        d->wave[w].bake_ms = rd_u32(r);
    }
    d->n_regions = rd_u8(r);
    if (d->n_regions > ROLLOUT_REGIONS_MAX) {
        d->n_regions = 0;
        r->bad = true;
    }
    for (unsigned i = 0; i < d->n_regions; i++)
        region_decode(&d->region[i], d->n_waves, r);
}

static void plan_decode(struct rollout_doc *d, struct rd *r)
{
    if (rd_u8(r) != 1)
        r->bad = true;
    d->id = rd_u64(r);
    d->kind = rd_u8(r);
    targets_decode(d, r);
    predicate_decode(&d->where, r);
    waves_decode(d, r);
    d->n_gates = gates_decode(d->gate, r);
    d->rate_per_min = rd_u32(r);
    d->prepare_ms = rd_u32(r);
    d->deadline_s = rd_u32(r);
    d->overlap_s = rd_u32(r);
    d->manual = rollout_rd_flag(r);
    d->approvals = rd_u8(r);
    rd_opt_name(r, &d->window);
    rd_opt_name(r, &d->strategy);
    rd_opt_name(r, &d->submitted_by);
}

static void why_decode(struct rollout_doc *d, struct rd *r)
{
    struct slice s = rd_bytes(r, rd_u8(r));
    if (!utf8_valid(s) || (s.len > 0 && memchr(s.p, 0, s.len) != NULL))
        r->bad = true;
    else if (s.len > 0)
        memcpy(d->why, s.p, s.len);
}

enum reeve_err rollout_doc_decode(struct rollout_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    memset(d, 0, sizeof *d);
    plan_decode(d, &r);
    d->state = rd_u8(&r);
    d->opened = rd_u8(&r);
    d->promoted = rollout_rd_flag(&r);
    rollout_counts_decode(&d->counts, &r);
    d->fired_gate = rd_u8(&r);
    why_decode(d, &r);
    if (!r.bad && rd_left(&r) > 0)
        evidence_list_decode(d, &r);
    if (!rd_done(&r) || d->kind < ROLLOUT_CERT || d->kind > ROLLOUT_ROLLBACK || d->state < RS_PLANNED ||
        d->state > RS_EXPIRED || d->opened > d->n_waves || d->fired_gate > d->n_gates)
        return REEVE_E_MALFORMED;
    return REEVE_OK;
}
