/*
 * proved.c - leaves that stood under a finalization, so that 2,000 requests
 * need one proof
 *
 * One entry an object; a newer proof replaces it, a proof of absence drops it.
 * Authorities and certificates are entries of their own, so that the newest
 * word on an authority counts for every certificate under it.
 */
#include "backend/signer/signer_int.h"

#include <stdlib.h>

static void entry_free(struct proved_entry *e)
{
    free(e->leaf);
    memset(e, 0, sizeof *e);
}

static struct proved_entry *find(struct proved *p, uint8_t type, const struct name *name)
{
    for (size_t i = 0; i < PROVED_MAX; i++)
        if (p->e[i].leaf && p->e[i].type == type && name_eq(&p->e[i].name, name))
            return &p->e[i];
    return NULL;
}

/* A free entry, or the one used longest ago. */
static struct proved_entry *victim(struct proved *p)
{
    struct proved_entry *v = &p->e[0];
    for (size_t i = 0; i < PROVED_MAX; i++) {
        if (p->e[i].leaf == NULL)
            return &p->e[i];
        if (p->e[i].used < v->used)
            v = &p->e[i];
    }
    return v;
}

enum reeve_err proved_put(struct proved *p, uint8_t type, const struct name *name, const struct hash32 *leaf_hash,
                          struct slice leaf, int64_t now_ms)
{
    uint8_t *copy = malloc(leaf.len ? leaf.len : 1);
    if (copy == NULL)
        return REEVE_E_NOMEM;
    memcpy(copy, leaf.p, leaf.len);
    struct proved_entry *e = find(p, type, name);
    if (e == NULL)
        e = victim(p);
    entry_free(e);
    *e = (struct proved_entry){ .type = type, .name = *name, .leaf_hash = *leaf_hash, .leaf = copy,
                                .leaf_len = leaf.len, .used = ++p->clock, .at_ms = now_ms };
    return REEVE_OK;
}

void proved_drop(struct proved *p, uint8_t type, const struct name *name)
{
    struct proved_entry *e = find(p, type, name);
    if (e)
        entry_free(e);
}

/* A clock that was set back makes an entry too old as well. */
static const struct proved_entry *use(struct proved *p, struct proved_entry *e, int64_t now_ms)
{
    if (e == NULL || now_ms - e->at_ms > PROVED_AGE_MAX_MS || now_ms < e->at_ms)
        return NULL;
    e->used = ++p->clock;
    return e;
}

const struct proved_entry *proved_by_hash(struct proved *p, uint8_t type, const struct hash32 *leaf_hash, int64_t now_ms)
{
    for (size_t i = 0; i < PROVED_MAX; i++)
        if (p->e[i].leaf && p->e[i].type == type && hash32_eq(&p->e[i].leaf_hash, leaf_hash))
            return use(p, &p->e[i], now_ms);
    return NULL;
}

const struct proved_entry *proved_by_name(struct proved *p, uint8_t type, const struct name *name, int64_t now_ms)
{
    return use(p, find(p, type, name), now_ms);
}

void proved_clear(struct proved *p)
{
    for (size_t i = 0; i < PROVED_MAX; i++)
        entry_free(&p->e[i]);
}
