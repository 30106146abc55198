/*
 * config.c - values of config keys: changes by the feed, else a snapshot
 *
 * A change is sent as all generations of the key that exist, so the
 * order of changes within a delta does not matter and keys that changed often
 * are sent once.
 */
#include "backend/gateway/gateway_int.h"

#include <stdlib.h>

#define DELTA_KEYS_MAX 2000             /* more changed keys than this: a snapshot */
#define SNAPSHOT_KEYS_MAX 100000

/* ---- building CONFIG frames ---- */

struct builder {
    struct gateway *g;
    struct view *v;
    struct payload_list list;
    struct wr items;
    struct wire_list values;
    uint8_t kind;
    bool bad;
};

static void frame_end(struct builder *b, bool more)
{
    struct wire_frame f = wire_frame_of(WF_CONFIG);
    wire_list_end(&b->items, &b->values);
    f.head.flags = more ? WIRE_MORE : 0;
    f.u.config.kind = b->kind;
    f.u.config.epoch = GW_EPOCH;
    f.u.config.revision = b->g->facts.revision;
    f.u.config.values = b->values;
    if (!payload_list_add(&b->list, payload_of_frame(&f)))
        b->bad = true;
    wr_reset(&b->items);
    b->values = (struct wire_list){ 0 };
}

static void add_value(struct builder *b, const struct name *key, const struct config_row *row, uint32_t gen,
                      uint8_t state, uint8_t type)
{
    struct wire_value w = { .key = name_slice(key), .gen = gen, .state = state, .type = type,
                            .revision = row->version };
    if (type < VT_TEXT || type > VT_NULL)
        w.type = VT_NULL;
    if (gen != 0 && region_config_value(&b->v->region, key, gen, &w.value) != REEVE_OK)
        w.value = slice_of(NULL, 0);
    if (wire_list_add(&b->items, &b->values, WG_VALUE, &w) != REEVE_OK)
        b->bad = true;
}

static void add_key(struct builder *b, const struct name *key, const struct config_row *row)
{
    uint32_t before = b->values.n;
    /* Two values and their names at most: they stay in one frame. */
    if (b->items.len > 0 && b->items.len + 2 * (REGION_VALUE_MAX + 300) > WIRE_FRAME_MIN_MAX - 1024)
        frame_end(b, true), before = 0;
    if (row != NULL && !row->absent && row->gen != 0)
        add_value(b, key, row, row->gen, 1, row->value_type);
    if (row != NULL && row->gen_new != 0 && row->gen_new != row->gen)
        add_value(b, key, row, row->gen_new, 2, row->value_type_new);
    if (b->values.n == before && b->kind == 1) {
        static const struct config_row none;
        add_value(b, key, row ? row : &none, 0, 3, VT_NULL);
    }
    if (b->values.n >= 4000)
        frame_end(b, true);
}

static bool wanted(const struct conn *c, const struct name *key)
{
    if (c == NULL || c->own)
        return true;
    for (uint32_t i = 0; c->subjects != NULL && i < c->subjects->n; i++) {
        const struct subject *s = &c->subjects->s[i];
        bool match = s->prefix ? key->len >= s->name.len && memcmp(key->s, s->name.s, s->name.len) == 0
                               : name_eq(key, &s->name);
        if (s->type == 0 && match)
            return true;
    }
    return false;
}

static void builder_init(struct builder *b, struct gateway *g, struct view *v, uint8_t kind)
{
    *b = (struct builder){ .g = g, .v = v, .kind = kind, .items = wr_heap(WIRE_FRAME_MAX) };
}

/* The list, or nothing and false. */
static bool builder_end(struct builder *b, struct payload_list *out)
{
    frame_end(b, false);
    wr_free(&b->items);
    if (b->bad) {
        payload_list_free(&b->list);
        return false;
    }
    *out = b->list;
    return true;
}

/* ---- snapshot and delta ---- */

static bool build_snapshot(struct gateway *g, struct view *v, const struct conn *only, struct payload_list *out)
{
    struct builder b;
    struct kv_iter it;
    struct slice key, val;
    static struct config_row row;
    struct name name;
    builder_init(&b, g, v, 2);
    region_iter_init(&v->region, &it, 'c', slice_of(NULL, 0));
    for (int i = 0; i < SNAPSHOT_KEYS_MAX && !b.bad && region_iter_next(&it, &key, &val) == REEVE_OK; i++)
        if (name_set(&name, key) && config_row_decode(&row, val) == REEVE_OK && wanted(only, &name))
            add_key(&b, &name, &row);
    return builder_end(&b, out);
}

static int by_name(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int d = memcmp(x->s, y->s, x->len < y->len ? x->len : y->len);
    return d ? d : (int) x->len - (int) y->len;
}

/* Distinct keys changed after a revision, sorted; -1: too many or no memory. */
static int changed_keys(struct view *v, uint64_t after, struct name **out)
{
    struct feed_iter it;
    struct feed_entry e;
    int n = 0, m = 0;
    struct name *k = malloc(DELTA_KEYS_MAX * sizeof *k);
    if (k == NULL)
        return -1;
    feed_iter_init(&it, v, after);
    while (feed_iter_next(&it, &e)) {
        if (e.kind != FEED_CONFIG)
            continue;
        if (n == DELTA_KEYS_MAX) {
            free(k);
            return -1;
        }
        k[n++] = e.name;
    }
    qsort(k, (size_t) n, sizeof *k, by_name);
    for (int i = 0; i < n; i++)
        if (i == 0 || !name_eq(&k[i], &k[i - 1]))
            k[m++] = k[i];
    *out = k;
    return m;
}

static bool build_delta(struct gateway *g, struct view *v, uint64_t after, const struct conn *only,
                        struct payload_list *out)
{
    struct builder b;
    struct name *keys;
    static struct config_row row;
    int n = changed_keys(v, after, &keys);
    if (n < 0)
        return false;
    builder_init(&b, g, v, 1);
    for (int i = 0; i < n && !b.bad; i++)
        if (wanted(only, &keys[i]))
            add_key(&b, &keys[i], region_config_get(&v->region, &keys[i], &row) == REEVE_OK ? &row : NULL);
    free(keys);
    return builder_end(&b, out);
}

/* ---- one connection ---- */

static void send_resync(struct conn *c, uint8_t reason)
{
    struct wire_frame f = wire_frame_of(WF_RESYNC);
    f.u.resync.reason = reason;
    f.u.resync.what = 1;
    conn_send_frame(c, &f);
}

/* Answers from the cache or builds; only: filtered for this connection, then not shared. */
static bool send_built(struct conn *c, struct view *v, bool snapshot, uint64_t after)
{
    struct gateway *g = c->g;
    struct cache_key k = { .kind = snapshot ? CACHE_SNAPSHOT : CACHE_DELTA, .from = snapshot ? 0 : after };
    bool shared = c->own;
    const struct payload_list *found = shared ? cache_find(&g->cache, &k) : NULL;
    struct payload_list list = { 0 };
    if (found == NULL) {
        const struct conn *only = shared ? NULL : c;
        if (!(snapshot ? build_snapshot(g, v, only, &list) : build_delta(g, v, after, only, &list)))
            return false;
        if (shared)
            found = cache_put(&g->cache, &k, list);
    }
    const struct payload_list *l = found ? found : &list;
    for (uint32_t i = 0; i < l->n && c->phase == CP_READY; i++)
        conn_push(c, payload_ref(l->p[i]));
    if (!shared)
        payload_list_free(&list);
    return true;
}

static bool send_snapshot(struct conn *c, struct view *v, uint8_t resync_reason)
{
    if (resync_reason != 0)
        send_resync(c, resync_reason);
    return c->phase != CP_READY || send_built(c, v, true, 0);
}

/*
 * From where to tell the changes. All who held everything before the last
 * change get the same answer, whatever revision they stopped at.
 */
static uint64_t delta_from(const struct conn *c)
{
    const struct facts *f = &c->g->facts;
    if (c->revision >= f->config_revision)
        return f->config_revision;
    return c->revision >= f->config_before && f->config_before != 0 ? f->config_before : c->revision;
}

bool config_behind(const struct conn *c)
{
    return !c->config_known || c->revision < c->g->facts.config_revision;
}

bool config_catch_up(struct conn *c, struct view *v)
{
    uint64_t now = c->g->facts.revision, had = c->revision;
    bool ok;
    if (!config_behind(c))
        return true;
    if (c->resync || had > now || (had != 0 && had + 1 < feed_retained(v)))
        ok = send_snapshot(c, v, c->resync ? 3 : 1);
    else if (had == 0)
        ok = send_snapshot(c, v, 0);
    else
        ok = send_built(c, v, false, delta_from(c)) || send_snapshot(c, v, 1);
    if (!ok)
        return false;
    c->resync = false;
    c->config_known = true;
    c->revision = now;
    return true;
}
