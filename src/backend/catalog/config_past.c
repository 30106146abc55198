/* config_past.c - changes of config keys out of the region's history. */
#include "backend/catalog/config_past.h"

#include <stdlib.h>

#include "backend/executor/datum.h"
#include "common/text.h"

#define BUCKETS 1024
#define CHECK_EVERY 1024        /* rows between looks at interrupts */

struct reading {
    struct arena *a;
    struct past_key *bucket[BUCKETS];
    size_t n;
};

static unsigned bucket_of(const struct name *key)
{
    unsigned h = 5381;
    for (size_t i = 0; i < key->len; i++)
        h = h * 33 + (uint8_t) key->s[i];
    return h % BUCKETS;
}

static enum reeve_err take(struct reading *r, const struct history_row *h)
{
    struct past_key **at = &r->bucket[bucket_of(&h->object)];
    while (*at != NULL && !name_eq(&(*at)->key, &h->object))
        at = &(*at)->next;
    if (*at == NULL) {
        if ((*at = arena_alloc(r->a, sizeof **at)) == NULL)
            return REEVE_E_NOMEM;
        **at = (struct past_key){ .key = h->object, .before = h->before };
        r->n++;
    }
    (*at)->after = h->after;
    (*at)->version = h->version;
    (*at)->at = h->at;
    (*at)->actor = h->actor;
    (*at)->reason = h->reason;
    return REEVE_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct past_key *x = *(struct past_key *const *) a, *y = *(struct past_key *const *) b;
    return strcmp(x->key.s, y->key.s);
}

static enum reeve_err collect(struct reading *r, struct config_past *out)
{
    out->n = 0;
    if ((out->v = arena_alloc(r->a, (r->n + 1) * sizeof *out->v)) == NULL)
        return REEVE_E_NOMEM;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct past_key *k = r->bucket[i]; k != NULL; k = k->next)
            out->v[out->n++] = k;
    qsort(out->v, out->n, sizeof *out->v, by_key);
    return REEVE_OK;
}

enum reeve_err config_past_read(struct snap *sn, struct arena *a, uint64_t from, uint64_t to, struct config_past *out,
                                struct report *rep)
{
    struct reading *r = arena_alloc(a, sizeof *r);
    struct kv_iter it;
    struct slice key, val;
    struct history_row h;
    unsigned seen = 0;
    enum reeve_err err;
    if (r == NULL)
        return REEVE_E_NOMEM;
    *r = (struct reading){ .a = a };
    region_iter_init(&sn->region, &it, 'h', (struct slice){ NULL, 0 });
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        if (++seen % CHECK_EVERY == 0)
            TRY(session_check_interrupts(sn->session, rep));
        TRY(history_row_decode(&h, val));
        if (h.version > to)
            break;
        if (h.version > from && slice_eq(name_slice(&h.object_kind), slice_str("config")))
            TRY(take(r, &h));
    }
    if (err == REEVE_OK || err == REEVE_E_NOT_FOUND)
        err = collect(r, out);
out:
    return err;
}

bool config_past_value(struct arena *a, struct slice json, struct slice *value, struct slice *type)
{
    bool text, null;
    *type = slice_of(NULL, 0);
    return json.len > 0 && json_get(a, json, slice_str("value"), value, &text, &null) &&
           json_get(a, json, slice_str("type"), type, &text, &null);
}
