/*
 * account.c - reports become counts of the object's newest rollout
 *
 * Per rollout and node one row ('o') in one state: told, done, failed,
 * rejected or reverted. A rollout may have several targets: the row keeps what
 * was said of each, and the node's state follows from all of them. The wave
 * counters are exactly the sums of these rows over counted nodes; a test
 * recounts them. Told and unanswered nodes stand in
 * a table of their own ('p' rollout u64, ordinal u32 -> u64 told), so that
 * finding the silent ones costs nothing when everybody has answered.
 *
 * Wave rows are cached over a batch: a thousand reports about one wave write
 * it once.
 */
#include "engine/region/region_int.h"

void account_begin(struct apply *a)
{
    struct account *ac = &a->s->account;
    ac->object.len = 0;
    ac->loaded = false;
    ac->target = -1;
    for (unsigned g = 0; g < ROLLOUT_REGIONS_MAX; g++)
        for (unsigned w = 0; w < ROLLOUT_WAVES_MAX; w++)
            ac->wave[g][w].loaded = ac->wave[g][w].dirty = false;
}

/* ---- wave rows ---- */

static enum reeve_err wave_row(struct apply *a, unsigned g, uint8_t wave, struct wave_row **out)
{
    struct account *ac = &a->s->account;
    struct cached_wave *c = &ac->wave[g][wave - 1];
    *out = &c->row;
    if (c->loaded)
        return REEVE_OK;
    struct rkey k;
    rkey_wave(&k, ac->doc.id, &ac->doc.region[g].name, wave);
    enum reeve_err err = load_wave(a->kv, &k, &c->row);
    if (err == REEVE_E_NOT_FOUND) {
        memset(&c->row, 0, sizeof c->row);
        c->row.counts.nodes = ac->doc.region[g].nodes[wave - 1];
        err = REEVE_OK;
    }
    c->loaded = err == REEVE_OK;
    return err;
}

static void hist_add(struct wave_row *w, uint32_t latency_ms)
{
    unsigned i = 0;
    while (i < 23 && latency_ms >= 1u << i)
        i++;
    w->latency_hist[i]++;
    w->counts.p50_ms = latency_percentile(w->latency_hist, 50);
    w->counts.p95_ms = latency_percentile(w->latency_hist, 95);
    w->counts.p99_ms = latency_percentile(w->latency_hist, 99);
}

enum reeve_err account_flush(struct apply *a)
{
    struct account *ac = &a->s->account;
    enum reeve_err err = REEVE_OK;
    for (unsigned g = 0; g < ROLLOUT_REGIONS_MAX; g++)
        for (unsigned w = 0; w < ROLLOUT_WAVES_MAX; w++) {
            struct cached_wave *c = &ac->wave[g][w];
            struct rkey k;
            if (c->dirty) {
                rkey_wave(&k, ac->doc.id, &ac->doc.region[g].name, (uint8_t) (w + 1));
                TRY(store_wave(a, &k, &c->row));
            }
            c->loaded = c->dirty = false;
        }
out:
    return err;
}

/* ---- which rollout a report is about ---- */

static void find_target(struct account *ac)
{
    for (unsigned i = 0; i < ac->doc.n_targets; i++)
        if (ac->doc.target[i].type == ac->type && name_eq(&ac->doc.target[i].name, &ac->object)) {
            ac->target = (int) i;
            ac->to_gen = ac->doc.target[i].to_gen;
            return;
        }
}

/* Reports about the keys of one rollout come one after the other: they share its document and its wave rows. */
static enum reeve_err load_rollout(struct apply *a, uint64_t id)
{
    struct account *ac = &a->s->account;
    enum reeve_err err;
    if (ac->loaded && ac->doc.id == id)
        return REEVE_OK;
    TRY(account_flush(a));
    ac->loaded = false;
    struct region here = *a->r;
    here.kv = a->kv;
    TRY(rollout_load(&here, id, &ac->doc));
    ac->loaded = true;
out:
    return err;
}

static enum reeve_err select_object(struct apply *a, uint8_t type, const struct name *object)
{
    struct account *ac = &a->s->account;
    enum reeve_err err;
    if (ac->object.len > 0 && ac->type == type && name_eq(&ac->object, object))
        return REEVE_OK;
    ac->object = *object;
    ac->type = type;
    ac->target = -1;
    uint64_t id;
    TRY(meta_last_rollout(a->kv, type, object, &id));
    if (id == 0)
        return REEVE_OK;
    TRY(load_rollout(a, id));
    find_target(ac);
out:
    return err;
}

/* ---- one report ---- */

/* The state a report puts the target in, from the one it was in; 0: it says nothing about this rollout. */
static uint8_t next_state(const struct account *ac, uint8_t was, const struct deploy_row *row)
{
    bool back = rollout_state_withdraws((enum rollout_state) ac->doc.state);
    bool says_serving = row->result == DEPLOY_DONE || row->result == DEPLOY_NONE;
    if (row->result == DEPLOY_TOLD)
        return was == DEPLOY_NONE && row->tried_gen == ac->to_gen ? DEPLOY_TOLD : 0;
    if (says_serving && row->serving_gen == ac->to_gen)
        return DEPLOY_DONE;
    if (says_serving && back && (was == DEPLOY_DONE || was == DEPLOY_TOLD))
        return NODE_REVERTED;
    if (!says_serving && row->tried_gen == ac->to_gen && row->serving_gen != ac->to_gen)
        return row->result;
    return 0;
}

/*
 * One failed target makes the node a failed one, and it stays the evidence. It
 * has answered when every target has; what was never told need not go back.
 */
uint8_t region_node_state(const uint8_t *target, unsigned n)
{
    unsigned in[NODE_REVERTED + 1] = { 0 };
    for (unsigned i = 0; i < n; i++)
        in[target[i] <= NODE_REVERTED ? target[i] : DEPLOY_NONE]++;
    if (in[DEPLOY_FAILED] > 0)
        return DEPLOY_FAILED;
    if (in[DEPLOY_REJECTED] > 0)
        return DEPLOY_REJECTED;
    if (in[DEPLOY_NONE] == n)
        return DEPLOY_NONE;
    if (in[DEPLOY_TOLD] > 0 || (in[DEPLOY_NONE] > 0 && in[DEPLOY_DONE] > 0))
        return DEPLOY_TOLD;
    return in[DEPLOY_DONE] > 0 ? DEPLOY_DONE : NODE_REVERTED;
}

static uint32_t *counter(struct rollout_counts *c, uint8_t state)
{
    switch (state) {
    case DEPLOY_DONE:     return &c->done;
    case DEPLOY_FAILED:   return &c->failed;
    case DEPLOY_REJECTED: return &c->rejected;
    case NODE_REVERTED:   return &c->reverted;
    default:              return NULL;
    }
}

static void move_counts(struct rollout_counts *c, uint8_t from, uint8_t to)
{
    uint32_t *dec = counter(c, from), *inc = counter(c, to);
    if (dec != NULL) {
        reeve_assert(*dec > 0);
        --*dec;
    }
    if (inc != NULL)
        ++*inc;
    if (from == 0)
        c->told++;
}

static enum reeve_err pending(struct apply *a, uint32_t ordinal, bool is, struct wall_ms told)
{
    uint8_t b[8];
    struct wr w = wr_fixed(b, sizeof b);
    struct rkey k;
    wr_time(&w, told);
    rkey_u64_u32(&k, 'p', a->s->account.doc.id, ordinal);
    return is ? put_bytes(a->kv, &k, wr_slice(&w)) : kv_del(a->kv, rkey_slice(&k));
}

/* Takes the node out of one count and puts it into another. */
static enum reeve_err recount(struct apply *a, uint32_t ordinal, unsigned g, const struct rollout_node_row *o, uint8_t state,
                              const struct deploy_row *row)
{
    struct wave_row *wave;
    uint8_t old = o->state;
    enum reeve_err err = wave_row(a, g, o->wave, &wave);
    if (err != REEVE_OK)
        return err;
    move_counts(&wave->counts, old, state);
    if (state == DEPLOY_DONE)
        hist_add(wave, row->latency_ms);
    a->s->account.wave[g][o->wave - 1].dirty = true;
    return old == DEPLOY_TOLD || state == DEPLOY_TOLD ? pending(a, ordinal, state == DEPLOY_TOLD, row->at) : REEVE_OK;
}

/* Moves a node to its new state; o holds the old one (0: none) and the targets as they are now. */
static enum reeve_err move(struct apply *a, uint32_t ordinal, unsigned g, struct rollout_node_row *o, uint8_t state,
                           const struct deploy_row *row)
{
    struct rkey k;
    enum reeve_err err;
    uint8_t old = o->state;
    if (o->counted && old != state)
        TRY(recount(a, ordinal, g, o, state, row));
    o->state = state;
    if (old == DEPLOY_NONE)
        o->told = row->at;
    if (old != state && state != DEPLOY_TOLD)
        o->acked = row->at;
    rkey_u64_u32(&k, 'o', a->s->account.doc.id, ordinal);
    TRY(store_rollout_node(a, &k, o));
out:
    return err;
}

/* Trouble with the old generation on a node that no wave reached yet: the control group. */
static enum reeve_err control_trouble(struct apply *a, unsigned g, uint8_t wave, const struct deploy_row *old,
                                      const struct deploy_row *row)
{
    struct wave_row *w;
    bool repeated = old != NULL && old->result == DEPLOY_FAILED && old->tried_gen == row->tried_gen;
    if (row->result != DEPLOY_FAILED || row->tried_gen == a->s->account.to_gen || repeated ||
        wave <= a->s->account.doc.opened)
        return REEVE_OK;
    enum reeve_err err = wave_row(a, g, wave, &w);
    if (err == REEVE_OK) {
        w->counts.control_failed++;
        a->s->account.wave[g][wave - 1].dirty = true;
    }
    return err;
}

static unsigned region_index(const struct rollout_doc *d, const struct name *region)
{
    unsigned g = 0;
    while (g < d->n_regions && !name_eq(&d->region[g].name, region))
        g++;
    return g;
}

static uint8_t wave_of(struct apply *a, const struct node_row *node)
{
    const struct rollout_doc *d = &a->s->account.doc;
    char text[NODE_ID_TEXT_LEN + 1];
    node_id_text(text, &node->id);
    uint64_t cohort = rollout_cohort(a->r->c, name_slice(&d->target[0].name), slice_str(text));
    return rollout_wave_of(d, &node->region, &node->labels, slice_str(text), cohort);
}

enum reeve_err account_report(struct apply *a, uint32_t ordinal, const struct node_row *node, const struct name *object,
                              const struct deploy_row *old, const struct deploy_row *row)
{
    struct account *ac = &a->s->account;
    struct rollout_node_row o;
    struct rkey k;
    enum reeve_err err;
    TRY(select_object(a, row->type, object));
    if (ac->target < 0)
        return REEVE_OK;
    unsigned g = region_index(&ac->doc, &node->region);
    if (g == ac->doc.n_regions)
        return REEVE_OK;
    rkey_u64_u32(&k, 'o', ac->doc.id, ordinal);
    err = load_rollout_node(a->kv, &k, &o);
    if (err == REEVE_E_NOT_FOUND) {
        o = (struct rollout_node_row){ .wave = wave_of(a, node), .counted = ordinal < ac->doc.region[g].ordinal_max,
                                       .n_targets = ac->doc.n_targets };
        err = REEVE_OK;
    }
    if (err != REEVE_OK || o.wave == 0)
        return err;
    if (o.n_targets != ac->doc.n_targets)
        return REEVE_E_CORRUPT;
    uint8_t was = o.target[ac->target], state = next_state(ac, was, row);
    if (state == DEPLOY_NONE)
        return o.counted ? control_trouble(a, g, o.wave, old, row) : REEVE_OK;
    o.target[ac->target] = state;
    if (state != was)
        err = move(a, ordinal, g, &o, region_node_state(o.target, o.n_targets), row);
out:
    return err;
}
