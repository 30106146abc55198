/*
 * livewatch.c - from heartbeats to LIVE, LATE, LOST
 *
 * Gateways write when a node was last heard of; only transitions go through
 * the log. A node never heard of since this process began is judged from that
 * beginning on, so that a restart expires nobody. At most a tenth of the
 * region's nodes are declared lost in a minute: more than that is rather our
 * own fault, so expiry stops and an issue says so.
 */
#include "backend/ring/driver_int.h"

#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"

#define WINDOW_MS 60000
#define LOST_SHARE 10
#define PER_ROUND REGION_BATCH_MAX

struct livewatch {
    int64_t since_ms;
    uint8_t *state;                 /* by ordinal, as last proposed or read; 0: not read yet */
    uint32_t n, cap;
    int64_t window_ms;              /* begin of the present minute */
    uint32_t lost;                  /* declared lost in it */
    bool frozen;
};

struct livewatch *livewatch_new(void)
{
    struct livewatch *w = calloc(1, sizeof *w);
    if (w)
        w->since_ms = clock_wall().ms;
    return w;
}

void livewatch_free(struct livewatch *w)
{
    if (w)
        free(w->state);
    free(w);
}

static bool grow(struct livewatch *w, uint32_t n)
{
    if (n > w->cap) {
        uint32_t cap = w->cap ? w->cap : 1024;
        while (cap < n)
            cap *= 2;
        uint8_t *state = realloc(w->state, cap);
        if (state == NULL)
            return false;
        memset(state + w->cap, 0, cap - w->cap);
        w->state = state;
        w->cap = cap;
    }
    w->n = n;
    return true;
}

static int64_t age_ms(struct ring *r, const struct livewatch *w, uint32_t ordinal, int64_t now)
{
    int64_t heard = (int64_t) liveness_get(r->liveness, ordinal) * 1000;
    return now - (heard > w->since_ms ? heard : w->since_ms);
}

/* For the judge of rollouts: heard of lately. */
bool livewatch_is_live(void *ring, uint32_t ordinal)
{
    struct ring *r = ring;
    if (r->liveness == NULL)
        return true;
    return age_ms(r, r->livewatch, ordinal, clock_wall().ms) < settings_int(r->child->settings, SET_node_late_after);
}

static enum node_state wanted(struct ring *r, const struct livewatch *w, uint32_t ordinal, int64_t now)
{
    int64_t age = age_ms(r, w, ordinal, now);
    if (age < settings_int(r->child->settings, SET_node_late_after))
        return NODE_LIVE;
    return age < settings_int(r->child->settings, SET_node_lost_after) ? NODE_LATE : NODE_LOST;
}

static bool watched(uint8_t state)
{
    return state == NODE_LIVE || state == NODE_LATE || state == NODE_LOST;
}

/* May one more node be declared lost in this minute? */
static bool may_lose(struct livewatch *w, int64_t now)
{
    if (now - w->window_ms >= WINDOW_MS) {
        w->window_ms = now;
        w->lost = 0;
    }
    return w->lost < (w->n + LOST_SHARE - 1) / LOST_SHARE;
}

/* The row says what an operator made of it meanwhile. */
static uint8_t row_state(struct ring_view *v, uint32_t ordinal)
{
    static struct node_row row;
    return region_node_get(&v->region, ordinal, &row) == REEVE_OK ? row.state : NODE_REVOKED;
}

struct transitions { struct wr w; size_t count_at; uint16_t n; bool held; uint32_t waiting; };

static void look(struct ring *r, struct livewatch *w, struct ring_view *v, uint32_t ordinal, int64_t now,
                 struct transitions *t)
{
    enum node_state want = wanted(r, w, ordinal, now);
    if (w->state[ordinal] == want)
        return;
    uint8_t have = row_state(v, ordinal);
    if (!watched(have) || have == want) {
        w->state[ordinal] = (uint8_t) want;     /* drained, cordoned, revoked: not ours to change */
        return;
    }
    if (want == NODE_LOST && !may_lose(w, now)) {
        t->held = true;
        want = NODE_LATE;
        if (have == NODE_LATE)
            return;
    }
    if (want == NODE_LOST)
        w->lost++;
    wr_u32(&t->w, ordinal);
    wr_u8(&t->w, (uint8_t) want);
    t->n++;
    /* Forgotten, so that the next round reads the row: the proposal may fail. */
    w->state[ordinal] = 0;
}

/* The round is full: only how many more should be lost, so that a mass that takes minutes to write down is one from the start. */
static void count(struct ring *r, const struct livewatch *w, uint32_t ordinal, int64_t now, struct transitions *t)
{
    t->waiting += w->state[ordinal] != NODE_LOST && wanted(r, w, ordinal, now) == NODE_LOST;
}

static void propose(struct ring *r, struct transitions *t)
{
    if (t->n == 0 || t->w.bad)
        return;
    t->w.p[t->count_at] = (uint8_t) (t->n >> 8);
    t->w.p[t->count_at + 1] = (uint8_t) t->n;
    if (ring_propose(&r->prop, wr_slice(&t->w), NULL, NULL) != REEVE_OK)
        log_debug("transitions wait: the queue is full");
}

static void say_frozen(struct ring *r, struct livewatch *w, struct ring_view *v, bool held)
{
    if (held && !w->frozen)
        log_warning("more than a tenth of the nodes fell silent within a minute; no more are declared lost for now");
    w->frozen = held;
    issue_set(r, v, "mass_silence", &r->region_name, held ? 3 : 0,
              "more than a tenth of the region's nodes fell silent within a minute; expiry is frozen",
              "Look at the network and the gateways first; nodes are declared lost at most 10% a minute.");
}

void livewatch_run(struct ring *r, struct livewatch *w, struct ring_view *v)
{
    static uint8_t mem[16 + PER_ROUND * 5];
    struct transitions t = { .w = wr_fixed(mem, sizeof mem) };
    int64_t now = clock_wall().ms;
    uint32_t n;
    if (r->liveness == NULL || region_node_count(&v->region, &n) != REEVE_OK || !grow(w, n))
        return;
    wr_u8(&t.w, 1);
    wr_u8(&t.w, RC_LIVENESS);
    wr_u64(&t.w, (uint64_t) now);
    t.count_at = t.w.len;
    wr_u16(&t.w, 0);
    for (uint32_t i = 0; i < n; i++)
        if (t.n < PER_ROUND)
            look(r, w, v, i, now, &t);
        else
            count(r, w, i, now, &t);
    propose(r, &t);
    say_frozen(r, w, v, t.held || (t.waiting > 0 && w->lost + t.waiting > (n + LOST_SHARE - 1) / LOST_SHARE));
}
