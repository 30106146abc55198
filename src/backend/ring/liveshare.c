/*
 * liveshare.c - when each node was last heard of, told to the other members
 *
 * Gateways write into their own member's array (utils/liveness.h). Once a
 * second what was heard there since it was last told goes to every other
 * member, which touches its own array with it: so whoever watches, judges a
 * rollout or answers a statement sees the nodes of all gateways. Nothing of it
 * enters the log, and what is lost is told again with the next heartbeat.
 *
 * Message: u8 NEWS_LIVE | n x { varint gap to the ordinal before (the first: from -1, so never 0) | varint age in seconds }
 * Ages, not times: members' clocks may differ. A round looks at an eighth of the nodes, at 65,536 at least, and tells at
 * most ROUND_MESSAGES messages; the next goes on where it stopped. What was heard from others is not told on.
 */
#include "backend/ring/driver_int.h"

#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"

#define LOOK_MIN       65536u
#define LAPS           8u               /* rounds until every node was looked at */
#define ROUND_MESSAGES 16
#define ENTRY_MAX      10               /* bytes: two varints of 32 bits */
#define AGE_MAX_S      3600             /* older says nothing new */

struct liveshare {
    uint32_t *told;                     /* by ordinal: what every other member was told, or told us */
    uint32_t cap, at;
};

struct liveshare *liveshare_new(void) { return calloc(1, sizeof(struct liveshare)); }

void liveshare_free(struct liveshare *s)
{
    if (s)
        free(s->told);
    free(s);
}

static bool grow(struct liveshare *s, uint32_t n)
{
    uint32_t cap = s->cap ? s->cap : 1024;
    if (n <= s->cap)
        return true;
    while (cap < n)
        cap *= 2;
    uint32_t *told = realloc(s->told, cap * sizeof *told);
    if (told == NULL)
        return false;
    memset(told + s->cap, 0, (cap - s->cap) * sizeof *told);
    s->told = told;
    s->cap = cap;
    return true;
}

static uint32_t now_s(void) { return (uint32_t) (clock_wall().ms / 1000); }

/* ---- out ---- */

/* From ordinal `at` to `end`, until one message is full; where the next goes on. */
static uint32_t gather(struct ring *r, struct liveshare *s, uint32_t at, uint32_t end, uint32_t now, struct wr *w)
{
    uint32_t next = 0;                  /* one above the ordinal before */
    wr_u8(w, NEWS_LIVE);
    for (; at < end && w->len + ENTRY_MAX <= PEER_NEWS_MAX; at++) {
        uint32_t heard = liveness_get(r->liveness, at);
        if (heard <= s->told[at])
            continue;
        s->told[at] = heard;
        uint32_t age = now > heard ? now - heard : 0;
        if (age > AGE_MAX_S)
            continue;
        wr_varint(w, at + 1 - next);
        wr_varint(w, age);
        next = at + 1;
    }
    return at;
}

static void tell(struct ring *r, struct liveshare *s, uint32_t n)
{
    static uint8_t mem[PEER_NEWS_MAX];
    uint32_t look = n / LAPS > LOOK_MIN ? n / LAPS : LOOK_MIN, now = now_s();
    if (s->at >= n)
        s->at = 0;
    uint32_t end = look < n - s->at ? s->at + look : n;
    for (unsigned i = 0; i < ROUND_MESSAGES && s->at < end; i++) {
        struct wr w = wr_fixed(mem, sizeof mem);
        s->at = gather(r, s, s->at, end, now, &w);
        if (w.len > 1)
            core_tell(r->prop.core, wr_slice(&w));
    }
}

void liveshare_run(struct ring *r, struct ring_view *v)
{
    struct liveshare *s = r->liveshare;
    uint32_t n;
    if (r->liveness == NULL || core_conf(r->prop.core)->n < 2 || region_node_count(&v->region, &n) != REEVE_OK ||
        n > LIVENESS_NODES_MAX || !grow(s, n))
        return;
    tell(r, s, n);
}

/* ---- in ---- */

/* A node that is not known here yet is told of again when it is heard of again. */
static void take(struct ring *r, struct liveshare *s, uint32_t ordinal, uint32_t heard)
{
    if (ordinal >= s->cap)
        return;
    liveness_touch(r->liveness, ordinal, heard);
    if (s->told[ordinal] < heard)
        s->told[ordinal] = heard;
}

void liveshare_heard(struct ring *r, uint32_t from, struct rd *in)
{
    uint32_t now = now_s();
    uint64_t at = 0;
    if (r->liveness == NULL || r->liveshare == NULL)
        return;
    while (rd_left(in) > 0) {
        uint64_t gap = rd_varint(in), age = rd_varint(in);
        if (in->bad || gap == 0 || gap > LIVENESS_NODES_MAX || at + gap > LIVENESS_NODES_MAX || age > AGE_MAX_S) {
            log_limited(LOG_SEV_WARNING, "member %u told something of its nodes that does not parse", from);
            return;
        }
        at += gap;
        take(r, r->liveshare, (uint32_t) at - 1, now - (uint32_t) age);
    }
}
