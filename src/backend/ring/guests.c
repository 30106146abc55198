/*
 * guests.c - requests of other members, where they are carried out: who may still come in, and with which ticket
 *
 * A table and its rules; no socket, no clock. One member has a quarter of the
 * places at most, so that one that asks without end keeps nobody else out.
 */
#include "backend/ring/forward.h"

#define MINUTE_MS 60000

static bool is_under_way(const struct guests *gs, uint32_t from, uint64_t id)
{
    for (size_t i = 0; i < FORWARD_MAX; i++)
        if (gs->g[i].state != GUEST_NONE && gs->g[i].from == from && gs->g[i].id == id)
            return true;
    return false;
}

static struct guest *place(struct guests *gs, uint32_t from, uint32_t size)
{
    struct guest *free = NULL;
    unsigned own = 0;
    uint64_t bytes = size, own_bytes = size;
    for (size_t i = 0; i < FORWARD_MAX; i++) {
        struct guest *g = &gs->g[i];
        if (g->state == GUEST_NONE) {
            free = g;
            continue;
        }
        bytes += g->size;
        if (g->from != from)
            continue;
        own++;
        own_bytes += g->size;
    }
    return own < FORWARD_MEMBER_MAX && own_bytes <= FORWARD_MEMBER_BYTES && bytes <= FORWARD_BYTES_MAX ? free : NULL;
}

/* Its own, a free one, or that of the member whose minute began first. */
static struct guest_keys *keys_of(struct guests *gs, uint32_t from)
{
    struct guest_keys *best = &gs->keys[0];
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        struct guest_keys *k = &gs->keys[i];
        if (k->from == from)
            return k;
        if (best->from != 0 && (k->from == 0 || k->since_ms < best->since_ms))
            best = k;
    }
    return best;
}

static bool key_allowed(struct guests *gs, uint32_t from, int64_t now_ms)
{
    struct guest_keys *k = keys_of(gs, from);
    if (k->from != from || now_ms - k->since_ms >= MINUTE_MS)
        *k = (struct guest_keys){ .from = from, .since_ms = now_ms };
    return k->n < FORWARD_KEYS_MAX && ++k->n > 0;
}

enum reeve_err guests_admit(struct guests *gs, uint32_t from, uint64_t way, const struct letter *ask, uint64_t ticket,
                            int64_t now_ms, struct guest **out)
{
    const struct forward_rule *rule = forward_rule(ask->kind);
    *out = NULL;
    if (rule == NULL || ask->size == 0 || ask->size > rule->size_max || is_under_way(gs, from, ask->id))
        return REEVE_E_MALFORMED;
    struct guest *g = place(gs, from, ask->size);
    if (g == NULL || (rule->key && !key_allowed(gs, from, now_ms)))
        return REEVE_E_BUSY;
    *g = (struct guest){ .state = GUEST_GRANTED, .kind = ask->kind, .from = from, .size = ask->size, .id = ask->id,
                         .ticket = ticket, .way = way, .until_ms = now_ms + FORWARD_GRANT_MS };
    *out = g;
    return REEVE_OK;
}

struct guest *guests_take(struct guests *gs, uint32_t from, uint64_t way, const struct letter *body, int64_t now_ms)
{
    for (size_t i = 0; i < FORWARD_MAX; i++) {
        struct guest *g = &gs->g[i];
        if (g->state != GUEST_GRANTED || g->from != from || g->id != body->id || g->ticket != body->ticket)
            continue;
        bool sound = g->way == way && g->size == body->rest.len && now_ms < g->until_ms;
        g->state = sound ? GUEST_RUNNING : GUEST_NONE;
        return sound ? g : NULL;
    }
    return NULL;
}

void guest_end(struct guest *g)
{
    g->state = GUEST_NONE;
}

unsigned guests_expire(struct guests *gs, int64_t now_ms, uint64_t (*way)(void *arg, uint32_t from), void *arg)
{
    unsigned left = 0;
    for (size_t i = 0; i < FORWARD_MAX; i++) {
        struct guest *g = &gs->g[i];
        if (g->state == GUEST_GRANTED && (now_ms >= g->until_ms || way(arg, g->from) != g->way))
            g->state = GUEST_NONE;
        left += g->state != GUEST_NONE;
    }
    return left;
}
