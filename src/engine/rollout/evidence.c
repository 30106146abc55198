/*
 * evidence.c - what each region counted: as bytes, and as one sum
 *
 * Counts of several regions are added; percentiles are not, so latencies travel as histograms and are read off the joined one.
 */
#include "engine/rollout/rollout_int.h"

/* ---- bytes ---- */

static void rest_encode(const struct rollout_evidence *e, struct wr *out)
{
    wr_u64(out, (uint64_t) e->at.ms);
    wr_u8(out, e->brake);
    rollout_counts_encode(&e->opened, out);
    rollout_counts_encode(&e->newest, out);
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        wr_u32(out, e->latency[i]);
    wr_u32(out, e->still_new);
}

static bool counts_small(const struct rollout_counts *c)
{
    const uint32_t list[] = { c->nodes, c->told, c->done, c->failed, c->rejected, c->silent, c->reverted, c->control_nodes,
                              c->control_failed };
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i] > EVIDENCE_NODES_MAX)
            return false;
    return c->p50_ms == 0 && c->p95_ms == 0 && c->p99_ms == 0 && counts_sane(c);
}

static void rest_decode(struct rollout_evidence *e, struct rd *r)
{
    e->there = true;
    e->at.ms = (int64_t) rd_u64(r);
    e->brake = rd_u8(r);
    rollout_counts_decode(&e->opened, r);
    rollout_counts_decode(&e->newest, r);
    bool ok = e->brake <= BRAKE_RETURN && e->at.ms >= 0 && counts_small(&e->opened) && counts_small(&e->newest);
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        ok &= (e->latency[i] = rd_u32(r)) <= EVIDENCE_NODES_MAX;
    e->still_new = rd_u32(r);
    if (!ok || e->still_new > EVIDENCE_NODES_MAX)
        r->bad = true;
}

void evidence_encode(const struct name *region, uint64_t rollout, uint8_t opened, const struct rollout_evidence *e,
                     struct wr *out)
{
    wr_name(out, region);
    wr_u64(out, rollout);
    wr_u8(out, opened);
    rest_encode(e, out);
}

enum reeve_err evidence_decode(struct evidence_head *h, struct rollout_evidence *e, struct slice *body, struct slice statement)
{
    struct rd r = rd_of(statement);
    memset(e, 0, sizeof *e);
    rd_name(&r, &h->region);
    h->rollout = rd_u64(&r);
    h->opened = rd_u8(&r);
    rest_decode(e, &r);
    *body = slice_of(statement.p, statement.len - rd_left(&r));
    rd_copy(&r, e->sig.b, sizeof e->sig.b);
    return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED;
}

void evidence_list_encode(const struct rollout_doc *d, struct wr *out)
{
    unsigned n = 0;
    for (unsigned g = 0; g < d->n_regions; g++)
        n += d->evidence[g].there;
    if (n == 0)
        return;
    wr_u8(out, (uint8_t) n);
    for (unsigned g = 0; g < d->n_regions; g++)
        if (d->evidence[g].there) {
            wr_u8(out, (uint8_t) g);
            rest_encode(&d->evidence[g], out);
            wr_bytes(out, d->evidence[g].sig.b, sizeof d->evidence[g].sig.b);
        }
}

void evidence_list_decode(struct rollout_doc *d, struct rd *r)
{
    unsigned n = rd_u8(r), next = 0;
    if (n == 0)
        r->bad = true;
    for (unsigned i = 0; i < n && !r->bad; i++) {
        unsigned g = rd_u8(r);
        if (r->bad || g < next || g >= d->n_regions) {
            r->bad = true;
            return;
        }
        rest_decode(&d->evidence[g], r);
        rd_copy(r, d->evidence[g].sig.b, sizeof d->evidence[g].sig.b);
        next = g + 1;
    }
}

bool rollout_evidence_same(const struct rollout_doc *a, const struct rollout_doc *b)
{
    uint8_t mem[2][ROLLOUT_REGIONS_MAX * (EVIDENCE_BYTES_MAX / 2)];
    struct wr x = wr_fixed(mem[0], sizeof mem[0]), y = wr_fixed(mem[1], sizeof mem[1]);
    rollout_counts_encode(&a->counts, &x);
    rollout_counts_encode(&b->counts, &y);
    evidence_list_encode(a, &x);
    evidence_list_encode(b, &y);
    return !x.bad && !y.bad && slice_eq(wr_slice(&x), wr_slice(&y));
}

/* ---- sums ---- */

uint32_t latency_percentile(const uint32_t latency[LATENCY_BUCKETS], unsigned percent)
{
    uint64_t total = 0, seen = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        total += latency[i];
    if (total == 0)
        return 0;
    uint64_t rank = (total * percent + 99) / 100;
    unsigned i = 0;
    while ((seen += latency[i]) < rank)
        i++;
    return 1u << i;
}

static void add_counts(struct rollout_counts *to, const struct rollout_counts *c)
{
    to->nodes += c->nodes;
    to->told += c->told;
    to->done += c->done;
    to->failed += c->failed;
    to->rejected += c->rejected;
    to->silent += c->silent;
    to->reverted += c->reverted;
    to->control_nodes += c->control_nodes;
    to->control_failed += c->control_failed;
}

static void add_latency(uint32_t to[LATENCY_BUCKETS], const uint32_t latency[LATENCY_BUCKETS])
{
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        to[i] += latency[i];
}

static void percentiles(struct rollout_counts *c, const uint32_t latency[LATENCY_BUCKETS])
{
    c->p50_ms = latency_percentile(latency, 50);
    c->p95_ms = latency_percentile(latency, 95);
    c->p99_ms = latency_percentile(latency, 99);
}

void evidence_sum(const struct rollout_evidence *part, unsigned n, struct rollout_counts *opened)
{
    uint32_t latency[LATENCY_BUCKETS] = { 0 };
    memset(opened, 0, sizeof *opened);
    for (unsigned g = 0; g < n; g++)
        if (part[g].there) {
            add_counts(opened, &part[g].opened);
            add_latency(latency, part[g].latency);
        }
    percentiles(opened, latency);
}

void rollout_view_join(const struct rollout_doc *d, struct rollout_view *v)
{
    if (!v->shared)
        return;
    for (unsigned g = 0; g < d->n_regions; g++)
        v->part[g].there &= (v->held >> g & 1) == 0;
    evidence_sum(v->part, d->n_regions, &v->opened);
    memset(&v->newest, 0, sizeof v->newest);
    v->still_new = 0;
    for (unsigned g = 0; g < d->n_regions; g++)
        if (v->part[g].there) {
            add_counts(&v->newest, &v->part[g].newest);
            v->still_new += v->part[g].still_new;
        }
}

/* ---- whose ---- */

int rollout_region_place(const struct rollout_doc *d, const struct name *region)
{
    for (unsigned g = 0; g < d->n_regions; g++)
        if (name_eq(&d->region[g].name, region))
            return (int) g;
    return -1;
}

bool rollout_is_shared(const struct rollout_doc *d, const struct name *owner)
{
    return d->n_regions > 1 || (d->n_regions == 1 && !name_eq(&d->region[0].name, owner));
}

uint16_t rollout_needs(const struct rollout_doc *d, uint16_t held)
{
    uint16_t need = 0;
    for (unsigned g = 0; g < d->n_regions && d->opened > 0; g++)
        if (d->region[g].bound[d->opened - 1] > 0)
            need |= (uint16_t) (1u << g);
    return need & (uint16_t) ~held;
}

int64_t rollout_counts_due_ms(const struct rollout_doc *d, struct wall_ms wave_since)
{
    return wave_since.ms + (d->opened > 0 ? d->wave[d->opened - 1].bake_ms : 0);
}
