/*
 * view.c - the counts that rollout_step decides on
 *
 * Sums of this region's wave rows: what other regions counted comes from them (rollout_evidence). How many nodes a wave has is
 * the doc's word, which the caller may have made exact for this region. Only two questions look at nodes: who of the told is
 * silent (walks the pending table, empty when all answered), and while rolling
 * back who still serves the new generation (walks the rollout's node rows,
 * and only while the counters say there are any).
 */
#include "engine/region/region_int.h"

static uint64_t answered(const struct rollout_counts *c)
{
    return (uint64_t) c->done + c->failed + c->rejected + c->reverted;
}

static void add_counts(struct rollout_counts *to, const struct rollout_counts *c)
{
    to->nodes += c->nodes;
    to->told += c->told;
    to->done += c->done;
    to->failed += c->failed;
    to->rejected += c->rejected;
    to->reverted += c->reverted;
}

static enum reeve_err wave_get(struct region *r, const struct rollout_doc *d, unsigned g, unsigned w, struct wave_row *row)
{
    enum reeve_err err = region_wave_get(r, d->id, &d->region[g].name, (uint8_t) (w + 1), row);
    if (err == REEVE_E_NOT_FOUND) {
        memset(row, 0, sizeof *row);
        err = REEVE_OK;
    }
    row->counts.nodes = d->region[g].nodes[w];
    return err;
}

/*
 * Nodes that a wave can expect: those planned while it is young; afterwards
 * those that were told, because the others are not there.
 */
static void expect_present(struct rollout_counts *c, bool young)
{
    if (!young || c->told > c->nodes)
        c->nodes = c->told;
}

struct sums { struct rollout_counts opened, newest; uint32_t hist[24], hist_newest[24]; };

static void add_opened(struct sums *s, const struct wave_row *row, bool newest)
{
    add_counts(&s->opened, &row->counts);
    if (newest)
        add_counts(&s->newest, &row->counts);
    for (unsigned i = 0; i < 24; i++) {
        s->hist[i] += row->latency_hist[i];
        s->hist_newest[i] += newest ? row->latency_hist[i] : 0;
    }
}

static enum reeve_err sum_waves(struct region *r, const struct rollout_doc *d, bool young, struct sums *s)
{
    enum reeve_err err;
    struct wave_row row;
    struct name here;
    TRY(region_name(r, &here));
    int g = rollout_region_place(d, &here);
    for (unsigned w = 0; w < d->n_waves && g >= 0; w++) {
        TRY(wave_get(r, d, (unsigned) g, w, &row));
        if (w < d->opened) {
            expect_present(&row.counts, young && w + 1u == d->opened);
            add_opened(s, &row, w + 1u == d->opened);
        } else {
            s->opened.control_nodes += row.counts.nodes;
            s->opened.control_failed += row.counts.control_failed;
        }
    }
    if (s->opened.control_failed > s->opened.control_nodes)
        s->opened.control_failed = s->opened.control_nodes;
out:
    return err;
}

static void percentiles(struct rollout_counts *c, const uint32_t hist[24])
{
    c->p50_ms = latency_percentile(hist, 50);
    c->p95_ms = latency_percentile(hist, 95);
    c->p99_ms = latency_percentile(hist, 99);
}

/* ---- who is silent ---- */

static void rollout_prefix(uint8_t b[8], uint64_t id)
{
    struct wr w = wr_fixed(b, 8);
    wr_u64(&w, id);
}

struct pending { uint32_t ordinal; struct wall_ms told; };

static enum reeve_err pending_next(struct kv_iter *it, struct pending *p)
{
    struct slice key, val;
    enum reeve_err err = region_iter_next(it, &key, &val);
    if (err != REEVE_OK)
        return err;
    struct rd k = rd_of(key), v = rd_of(val);
    (void) rd_u64(&k);
    p->ordinal = rd_u32(&k);
    p->told = rd_time(&v);
    return rd_done(&k) && rd_done(&v) ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err wave_of_node(struct region *r, uint64_t rollout, uint32_t ordinal, uint8_t *wave)
{
    struct rollout_node_row o;
    struct rkey k;
    rkey_u64_u32(&k, 'o', rollout, ordinal);
    enum reeve_err err = load_rollout_node(r->kv, &k, &o);
    *wave = err == REEVE_OK ? o.wave : 0;
    return err == REEVE_E_NOT_FOUND ? REEVE_E_CORRUPT : err;
}

static enum reeve_err count_silent(struct region *r, const struct rollout_doc *d, struct rollout_view *v)
{
    struct kv_iter it;
    struct pending p;
    uint8_t id[8], wave;
    enum reeve_err err;
    if (answered(&v->opened) >= v->opened.told)
        return REEVE_OK;
    rollout_prefix(id, d->id);
    region_iter_init(r, &it, 'p', slice_of(id, sizeof id));
    while ((err = pending_next(&it, &p)) == REEVE_OK) {
        if (v->now.ms < p.told.ms + v->report_timeout_ms)
            continue;
        TRY(wave_of_node(r, d->id, p.ordinal, &wave));
        v->opened.silent += wave >= 1 && wave <= d->opened;
        v->newest.silent += wave == d->opened;
    }
out:
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

/* ---- who still serves to_gen ---- */

static bool is_live(const struct liveness_view *live, uint32_t ordinal)
{
    return live == NULL || live->is_live(live->h, ordinal);
}

/* Of any target; a node told lately that has not answered may be installing it right now. */
static bool may_serve(const struct rollout_node_row *o, const struct rollout_view *v)
{
    bool fresh = v->now.ms < o->told.ms + v->report_timeout_ms;
    for (unsigned i = 0; i < o->n_targets; i++)
        if (o->target[i] == DEPLOY_DONE || (o->target[i] == DEPLOY_TOLD && fresh))
            return true;
    return false;
}

/* Could any node serve it at all? One that failed with one target may serve another. */
static bool nobody_serves(const struct rollout_doc *d, const struct rollout_counts *c)
{
    bool mixed = d->n_targets > 1 && (c->failed > 0 || c->rejected > 0);
    return c->done == 0 && answered(c) >= c->told && !mixed;
}

static enum reeve_err count_still_new(struct region *r, const struct rollout_doc *d, const struct liveness_view *live,
                                      struct rollout_view *v)
{
    struct kv_iter it;
    struct slice key, val;
    struct rollout_node_row o;
    uint8_t id[8];
    enum reeve_err err;
    if (!rollout_state_withdraws((enum rollout_state) d->state) || nobody_serves(d, &v->opened))
        return REEVE_OK;
    rollout_prefix(id, d->id);
    region_iter_init(r, &it, 'o', slice_of(id, sizeof id));
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct rd k = rd_of(key);
        (void) rd_u64(&k);
        uint32_t ordinal = rd_u32(&k);
        if (!rd_done(&k) || rollout_node_row_decode(&o, val) != REEVE_OK)
            return REEVE_E_CORRUPT;
        v->still_new += o.counted && may_serve(&o, v) && is_live(live, ordinal);
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

enum reeve_err region_rollout_view(struct region *r, const struct rollout_doc *d, const struct liveness_view *live,
                                   struct rollout_view *v)
{
    struct sums s = { 0 };
    bool young = v->now.ms < v->wave_since.ms + v->report_timeout_ms;
    enum reeve_err err;
    TRY(sum_waves(r, d, young, &s));
    v->opened = s.opened;
    v->newest = s.newest;
    v->still_new = 0;
    memcpy(v->latency, s.hist, sizeof v->latency);
    percentiles(&v->opened, s.hist);
    percentiles(&v->newest, s.hist_newest);
    TRY(count_silent(r, d, v));
    TRY(count_still_new(r, d, live, v));
out:
    return err;
}
