/*
 * cache.c - answers encoded once for many
 *
 * After a change thousands of connections lack the same bytes, told apart by
 * (kind, from where, what). Few entries, found by a scan; the one used longest
 * ago makes room.
 */
#include "backend/gateway/gateway_int.h"

static bool same(const struct cache_key *a, const struct cache_key *b)
{
    return a->kind == b->kind && a->from == b->from && hash32_eq(&a->what, &b->what);
}

const struct payload_list *cache_find(struct cache *c, const struct cache_key *k)
{
    for (size_t i = 0; i < GW_CACHE_MAX; i++)
        if (c->e[i].key.kind != 0 && same(&c->e[i].key, k)) {
            c->e[i].used = ++c->clock;
            return &c->e[i].list;
        }
    return NULL;
}

static void entry_free(struct cache_entry *e)
{
    payload_list_free(&e->list);
    memset(e, 0, sizeof *e);
}

const struct payload_list *cache_put(struct cache *c, const struct cache_key *k, struct payload_list list)
{
    struct cache_entry *v = &c->e[0];
    for (size_t i = 0; i < GW_CACHE_MAX; i++) {
        if (c->e[i].key.kind == 0 || same(&c->e[i].key, k)) {
            v = &c->e[i];
            break;
        }
        if (c->e[i].used < v->used)
            v = &c->e[i];
    }
    entry_free(v);
    *v = (struct cache_entry){ *k, list, ++c->clock };
    return &v->list;
}

void cache_drop(struct cache *c, uint8_t kind)
{
    for (size_t i = 0; i < GW_CACHE_MAX; i++)
        if (c->e[i].key.kind == kind)
            entry_free(&c->e[i]);
}

void cache_drop_all(struct cache *c)
{
    for (size_t i = 0; i < GW_CACHE_MAX; i++)
        if (c->e[i].key.kind != 0)
            entry_free(&c->e[i]);
}
