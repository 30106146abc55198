/*
 * follow.c - what an agent follows is sent from what it has
 *
 * A push walks the connections in chunks and lets each catch up. What it lacks
 * is told from its own log size, set version and revision; the encoded answer
 * comes from the cache, so a fan-out costs one encryption and one write each.
 */
#include "backend/gateway/gateway_int.h"

#include <stdlib.h>

#define TICK_GAP_MAX_MS 30000
#define SUBSCRIBES_MAX 40               /* beyond: two a second, drained by the sweep */

/* ---- frames of bundles ---- */

static bool add_bundle(struct gateway *g, struct view *v, struct payload_list *l, uint64_t from,
                       const struct object_key *keys, size_t n, uint8_t scope, bool more)
{
    struct wr w = wr_heap(WIRE_FRAME_MAX);
    struct wire_frame f = wire_frame_of(scope ? WF_BUNDLE : WF_TICK);
    bool ok = attest_bundle(&v->attest, from, keys, n, &w) == REEVE_OK && !w.bad;
    if (scope) {
        f.head.flags = more ? WIRE_MORE : 0;
        f.u.bundle.scope = scope;
        f.u.bundle.height = g->facts.height;
        f.u.bundle.log_size = g->facts.log_size;
        f.u.bundle.bundle = wr_slice(&w);
    } else {
        f.u.tick.height = g->facts.height;
        f.u.tick.log_size = g->facts.log_size;
        f.u.tick.bundle = wr_slice(&w);
    }
    ok = ok && wire_size(&f) > 0 && payload_list_add(l, payload_of_frame(&f));
    wr_free(&w);
    return ok;
}

static size_t leaf_cost(struct view *v, const struct object_key *k)
{
    struct attest_object o;
    enum reeve_err err = attest_get(&v->attest, (enum attest_type) k->type, &k->name, &o);
    return 1400 + (err == REEVE_OK ? o.leaf.len : 0);
}

/* Cuts the list into frames that every agent takes. */
static bool add_set(struct gateway *g, struct view *v, struct payload_list *l, uint64_t from, size_t n)
{
    size_t at = 0;
    do {
        size_t end = at, bytes = 0;
        while (end < n && (end == at || bytes + leaf_cost(v, &g->keys[end]) <= GW_CHUNK_BYTES))
            bytes += leaf_cost(v, &g->keys[end++]);
        if (!add_bundle(g, v, l, at == 0 ? from : g->facts.log_size, g->keys + at, end - at, 1, end < n))
            return false;
        at = end;
    } while (at < n);
    return true;
}

static void send_list(struct conn *c, const struct payload_list *l)
{
    for (uint32_t i = 0; i < l->n && c->phase == CP_READY; i++)
        conn_push(c, payload_ref(l->p[i]));
}

/* ---- what one connection lacks ---- */

static void has_head(struct conn *c)
{
    c->log_size = c->g->facts.log_size;
    c->height = c->g->facts.height;
    c->header_sent = loop_now(c->g->loop);
}

static bool set_build(struct conn *c, struct view *v, struct payload_list *list)
{
    size_t n;
    return objects_gather(c->g, v, c->profile, c->subjects, c->own, &n) == REEVE_OK &&
           add_set(c->g, v, list, c->log_size, n);
}

/* The profile's set from the cache where the connection asked for nothing else. */
static bool send_set(struct conn *c, struct view *v)
{
    struct gateway *g = c->g;
    struct cache_key k = { CACHE_BUNDLE, c->log_size, c->profile->sig };
    struct payload_list list = { 0 };
    bool shared = c->subjects == NULL && c->own;
    const struct payload_list *found = shared ? cache_find(&g->cache, &k) : NULL;
    if (found == NULL && !set_build(c, v, &list)) {
        payload_list_free(&list);
        return false;
    }
    if (found == NULL && shared)
        found = cache_put(&g->cache, &k, list);
    send_list(c, found ? found : &list);
    if (!shared)
        payload_list_free(&list);
    c->set_version = c->profile->version;
    has_head(c);
    return true;
}

/* The node's own NODE object: absent is the good news. */
static bool send_own_node(struct conn *c, struct view *v)
{
    struct payload_list list = { 0 };
    struct object_key k = { .type = AT_NODE };
    char text[NODE_ID_TEXT_LEN + 1];
    node_id_text(text, &c->id);
    bool ok = name_set_str(&k.name, text) && add_bundle(c->g, v, &list, c->log_size, &k, 1, 3, false);
    if (ok)
        send_list(c, &list);
    payload_list_free(&list);
    return ok;
}

static bool send_tick(struct conn *c, struct view *v)
{
    struct cache_key k = { .kind = CACHE_TICK, .from = c->log_size };
    const struct payload_list *found = cache_find(&c->g->cache, &k);
    if (found == NULL) {
        struct payload_list list = { 0 };
        if (!add_bundle(c->g, v, &list, c->log_size, NULL, 0, 0, false)) {
            payload_list_free(&list);
            return false;
        }
        found = cache_put(&c->g->cache, &k, list);
    }
    send_list(c, found);
    has_head(c);
    return true;
}

static int64_t tick_gap_ms(struct gateway *g)
{
    int64_t half = gw_setting(g, SET_attest_tick_interval) / 2;
    return half < TICK_GAP_MAX_MS ? half : TICK_GAP_MAX_MS;
}

static bool wants_set(const struct conn *c)
{
    return c->want_objects || (c->own && c->set_version != c->profile->version) ||
           (c->subjects != NULL && c->height != c->g->facts.height);
}

static bool wants_tick(const struct conn *c, bool tick_due)
{
    return c->height < c->g->facts.height &&
           (tick_due || loop_now(c->g->loop).ms - c->header_sent.ms >= tick_gap_ms(c->g));
}

static bool catch_up(struct conn *c, struct view *v, bool tick_due)
{
    bool objects = wants_set(c);
    if (c->log_size > c->g->facts.log_size)
        return true;                    /* it knows more than this server yet: wait for the store */
    if (objects && !send_set(c, v))
        return false;
    if (objects && c->want_objects && c->phase == CP_READY && !send_own_node(c, v))
        return false;
    c->want_objects = false;
    if (!objects && wants_tick(c, tick_due) && !send_tick(c, v))
        return false;
    return c->phase != CP_READY || config_catch_up(c, v);
}

/* The store may have moved on since the facts were read: what is sent and what is remembered must be one state. */
static bool store_moved(struct gateway *g, struct view *v)
{
    struct attest_head head;
    bool moved = attest_head(&v->attest, &head) == REEVE_OK && head.height != g->facts.height;
    if (moved)
        facts_wake(g);
    return moved;
}

void follow_catch_up(struct conn *c, bool tick_due)
{
    struct gateway *g = c->g;
    struct view v;
    if (c->phase != CP_READY || !c->following || c->profile == NULL || c->out_bytes > GW_QUEUE_SKIP)
        return;
    if (!wants_set(c) && !wants_tick(c, tick_due) && !config_behind(c))
        return;
    if (view_open(g, &v) != REEVE_OK)
        return;
    if (!store_moved(g, &v) && !catch_up(c, &v, tick_due))
        log_limited(LOG_SEV_WARNING, "an agent could not be told what it lacks");
    view_close(&v);
}

/* ---- everybody ---- */

void follow_push_start(struct gateway *g)
{
    if (g->pushing) {
        g->push_again = true;
        return;
    }
    g->pushing = true;
    g->push_at = 0;
    loop_post(g->loop, &g->push_task);
}

void follow_push_run(void *arg)
{
    struct gateway *g = arg;
    for (uint32_t i = 0; i < GW_PUSH_CHUNK && g->push_at < g->n_slots; g->push_at++)
        if (g->slots[g->push_at] != NULL) {
            follow_catch_up(g->slots[g->push_at], false);
            i++;
        }
    if (g->push_at < g->n_slots) {
        loop_post(g->loop, &g->push_task);
        return;
    }
    g->pushing = false;
    if (g->push_again) {
        g->push_again = false;
        follow_push_start(g);
    }
}

/* ---- SUBSCRIBE ---- */

static struct subjects *subjects_of(struct wire_list l)
{
    struct wire_subject w;
    struct subjects *s = calloc(1, sizeof *s + (size_t) l.n * sizeof s->s[0]);
    while (s != NULL && wire_list_next(&l, WG_SUBJECT, &w)) {
        struct subject *to = &s->s[s->n++];
        to->type = w.type;
        to->prefix = w.prefix;
        if (!name_set(&to->name, w.name))
            s->n--;
    }
    return s;
}

static bool take_subjects(struct conn *c, struct wire_list l)
{
    free(c->subjects);
    c->subjects = NULL;
    if (l.n == 0)
        return true;
    c->subjects = subjects_of(l);
    return c->subjects != NULL;
}

enum handled on_subscribe(struct conn *c, const struct wire_frame *f)
{
    const struct wire_subscribe *s = &f->u.subscribe;
    c->subscribes += 1;
    if (c->subscribes > SUBSCRIBES_MAX) {
        conn_fail(c, WE_BUSY, 1, 10000, "subscribes too often");
        return H_DONE;
    }
    if (!take_subjects(c, s->subjects)) {
        conn_close(c, "out of memory");
        return H_DONE;
    }
    c->own = s->own;
    c->log_size = s->log_size;
    c->height = 0;
    c->revision = s->epoch == GW_EPOCH ? s->revision : 0;
    c->resync = s->epoch != 0 && s->epoch != GW_EPOCH;
    c->config_known = false;
    c->following = true;
    c->want_objects = true;
    follow_catch_up(c, true);
    return H_DONE;
}
