/* store.c - the part common to all stores, and the one in memory. */
#include "frontend/libreeve/store.h"

#include <stdlib.h>

void store_close(struct agent_store *s)
{
    if (s != NULL)
        s->ops->close(s);
}

struct item { struct item *next; struct slice key, value; };
struct memory { struct agent_store base; struct item *items; };

static struct item *item_new(struct slice key, struct slice value)
{
    struct item *i = malloc(sizeof *i + key.len + value.len);
    if (i == NULL)
        return NULL;
    uint8_t *p = (uint8_t *) (i + 1);
    memcpy(p, key.p, key.len);
    if (value.len > 0)
        memcpy(p + key.len, value.p, value.len);
    *i = (struct item){ NULL, slice_of(p, key.len), slice_of(p + key.len, value.len) };
    return i;
}

static enum reeve_err memory_del(struct agent_store *s, struct slice key)
{
    for (struct item **at = &((struct memory *) s)->items; *at != NULL; at = &(*at)->next)
        if (slice_eq((*at)->key, key)) {
            struct item *i = *at;
            *at = i->next;
            free(i);
            break;
        }
    return REEVE_OK;
}

static enum reeve_err memory_put(struct agent_store *s, struct slice key, struct slice value)
{
    struct memory *m = (struct memory *) s;
    struct item *i = item_new(key, value);
    if (i == NULL)
        return REEVE_E_NOMEM;
    enum reeve_err err = memory_del(s, key);
    i->next = m->items;
    m->items = i;
    return err;
}

static enum reeve_err memory_load(struct agent_store *s, agent_store_visit *visit, void *arg)
{
    enum reeve_err err = REEVE_OK;
    for (struct item *i = ((struct memory *) s)->items; i != NULL && err == REEVE_OK; i = i->next)
        err = visit(arg, i->key, i->value);
    return err;
}

static enum reeve_err memory_commit(struct agent_store *s)
{
    return REEVE_OK;
}

static void memory_close(struct agent_store *s)
{
    struct memory *m = (struct memory *) s;
    while (m->items != NULL) {
        struct item *i = m->items;
        m->items = i->next;
        free(i);
    }
    free(m);
}

struct agent_store *store_memory_new(void)
{
    static const struct agent_store_ops ops = { memory_load, memory_put, memory_del, memory_commit, memory_close };
    struct memory *m = calloc(1, sizeof *m);
    if (m != NULL)
        m->base.ops = &ops;
    return m ? &m->base : NULL;
}
