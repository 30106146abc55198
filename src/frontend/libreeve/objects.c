/*
 * objects.c - attested objects: verified whole, then taken
 *
 * bundle_open works on a copy of the trust state; only when every object of
 * the bundle stands up against what is held (G4) does the copy replace it.
 */
#include "agent_int.h"

#include <stdlib.h>

#include "common/text.h"

#define SCOPE_TICK   0
#define SCOPE_ALL    1
#define SCOPE_NODE   3
#define SCOPE_REGION 4
#define OBJECT_BYTES_MIN 6              /* of one object inside a bundle: bounds the array by what was sent */

struct held *held_find(const struct agent *a, uint8_t type, const struct name *name)
{
    for (struct held *h = a->held; h != NULL; h = h->next)
        if (h->type == type && name_eq(&h->name, name))
            return h;
    return NULL;
}

bool held_payload(const struct agent *a, uint8_t type, const struct name *name, struct slice *payload)
{
    struct update u;
    const struct held *h = held_find(a, type, name);
    if (h == NULL || update_decode(&u, h->leaf) != REEVE_OK || u.op != 1)
        return false;
    *payload = u.payload;
    return true;
}

static void unlink_held(struct agent *a, struct held *h)
{
    struct held **at = &a->held;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    a->n_held--;
    free((void *) h->leaf.p);
    free(h);
}

void held_drop(struct agent *a, struct held *h)
{
    cache_del_held(a, h);
    unlink_held(a, h);
}

void held_free_all(struct agent *a)
{
    while (a->held != NULL)
        unlink_held(a, a->held);
}

enum reeve_err held_put(struct agent *a, uint8_t type, const struct name *name, uint64_t version, struct slice leaf)
{
    struct held *h = held_find(a, type, name);
    uint8_t *copy = bytes_copy(leaf);
    if (h == NULL && copy != NULL && (h = calloc(1, sizeof *h)) != NULL) {
        h->next = a->held;
        a->held = h;
        a->n_held++;
        h->type = type;
        h->name = *name;
    }
    if (h == NULL || copy == NULL) {
        free(copy);
        return REEVE_E_NOMEM;
    }
    free((void *) h->leaf.p);
    h->leaf = slice_of(copy, leaf.len);
    h->version = version;
    h->proved_ms = -1;
    return REEVE_OK;
}

/* ---- against what is held ---- */

static enum reeve_err object_check(const struct agent *a, const struct bundle_object *o)
{
    const struct held *h = held_find(a, o->type, &o->name);
    if (h == NULL)
        return REEVE_OK;
    if (!o->present || o->update.version < h->version)
        return REEVE_E_V_VERSION;
    return o->update.version == h->version && !slice_eq(o->leaf, h->leaf) ? REEVE_E_V_LEAF : REEVE_OK;
}

static enum reeve_err objects_check(const struct agent *a, const struct bundle_object *o, size_t n)
{
    enum reeve_err err = REEVE_OK;
    for (size_t i = 0; i < n && err == REEVE_OK; i++)
        err = object_check(a, &o[i]);
    if (err == REEVE_OK && a->n_held + n > 2 * AGENT_OBJECTS_MAX)
        err = REEVE_E_TOO_BIG;
    return err;
}

/* ---- taken ---- */

static bool object_take(struct agent *a, const struct bundle_object *o)
{
    struct held *h = held_find(a, o->type, &o->name);
    bool changed = o->present && (h == NULL || h->version != o->update.version);
    if (!o->present)
        return false;
    if (changed) {
        if (held_put(a, o->type, &o->name, o->update.version, o->leaf) != REEVE_OK)
            return false;
        h = held_find(a, o->type, &o->name);
        cache_put_held(a, h);
    }
    h->seen = true;
    h->proved_ms = ag_mono(a);
    return changed;
}

static void list_begin(struct agent *a)
{
    for (struct held *h = a->held; h != NULL; h = h->next)
        h->seen = false;
    a->list_open = true;
}

/* What was not in the complete list no longer applies; the NODE object is not part of it. */
static bool list_end(struct agent *a)
{
    bool dropped = false;
    struct held *next;
    for (struct held *h = a->held; h != NULL; h = next) {
        next = h->next;
        if (!h->seen && h->type != AT_NODE && h->type != AT_REGION) {
            held_drop(a, h);
            dropped = true;
        }
    }
    a->list_open = false;
    a->list_known = true;
    return dropped;
}

static void check_revoked(struct agent *a)
{
    struct name me;
    struct slice payload;
    struct node_doc d;
    if (name_set_str(&me, a->id.id_text) && held_payload(a, AT_NODE, &me, &payload) &&
        node_doc_decode(&d, payload) == REEVE_OK && d.revoked)
        ag_halt(a, "this node was revoked");
}

static void take_all(struct agent *a, const struct bundle_object *o, size_t n, uint8_t scope, bool more)
{
    bool changed = false;
    if (scope == SCOPE_ALL && !a->list_open)
        list_begin(a);
    for (size_t i = 0; i < n; i++)
        changed |= object_take(a, &o[i]);
    a->stats.objects += n;
    if (scope == SCOPE_ALL && !more)
        changed |= list_end(a);
    if (changed) {
        a->told = a->now.mono;
        a->values_changed = true;
    }
    a->decide_due |= changed || (scope == SCOPE_ALL && !more);
}

static void trust_take(struct agent *a, const struct trust *t)
{
    if (t->height > a->trust->height || a->header_ms < 0)
        a->header_ms = ag_mono(a);
    *a->trust = *t;
    a->stats.verified = t->verified;
    cache_put_trust(a);
}

/* The keys of a set that was left long ago may be anybody's: who was away for so long is enrolled anew. */
static bool away_too_long(const struct agent *a, struct slice bytes)
{
    return a->trust->height > 0 && a->now.wall.ms - a->trust->time.ms > AGENT_TRUSTS_MS && bundle_changes_set(a->trust, bytes);
}

static enum reeve_err open_and_take(struct agent *a, struct slice bytes, uint8_t scope, bool more,
                                    struct bundle_object *o, size_t cap)
{
    struct trust t = *a->trust;
    size_t n;
    enum reeve_err err;
    if (away_too_long(a, bytes))
        return REEVE_E_V_EXPIRED;
    /* The same header again proves nothing new and harms nothing: it does not make anything fresher. */
    TRY(bundle_open(&crypto_ops_real, &t, bytes, false, o, cap, &n));
    TRY(objects_check(a, o, n));
    if (!gossip_taken(a, bytes))
        return REEVE_E_V_CONSISTENCY;
    trust_take(a, &t);
    take_all(a, o, n, scope, more);
    gossip_advanced(a);
out:
    return err;
}

bool bundle_take(struct agent *a, struct slice bytes, uint8_t scope, bool more)
{
    if (a->fork.len > 0)
        return a->phase != AP_HALTED;
    size_t cap = bytes.len / OBJECT_BYTES_MIN + 1;
    if (cap > AGENT_OBJECTS_MAX)
        cap = AGENT_OBJECTS_MAX;
    struct bundle_object *o = calloc(cap, sizeof *o);
    enum reeve_err err = o ? open_and_take(a, bytes, scope, more, o, cap) : REEVE_E_NOMEM;
    free(o);
    if (err != REEVE_OK)
        gossip_refused(a, bytes);
    if (a->fork.len > 0)
        return a->phase != AP_HALTED;       /* the region hears of it on this connection */
    if (err != REEVE_OK) {
        ag_refuse(a, err, "%s", scope == SCOPE_TICK ? "a tick" : scope == SCOPE_REGION ? "the region's proof" : "a bundle");
        return false;
    }
    if (scope == SCOPE_TICK)
        a->stats.ticks++;
    else
        a->stats.bundles++;
    if (scope == SCOPE_NODE)
        check_revoked(a);
    return a->phase != AP_HALTED;
}
