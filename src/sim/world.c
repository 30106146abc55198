/* world.c - the queue of events, lives, clocks, the trace; see the header. */
#include "sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#define HOUR_US 3600000000

void sim_world_init(struct sim_world *w, uint64_t seed)
{
    *w = (struct sim_world){ .seed = seed, .next_seq = 1, .trace_hash = 0xcbf29ce484222325u };
    sim_rng_seed(&w->rng, seed);
    for (int i = 0; i < SIM_NODES_MAX; i++)
        w->node[i].clock.wall_minus_mono_us = 1700000000000000;
}

static void waiting_drop(struct sim_node *n)
{
    for (size_t i = 0; i < n->n_waiting; i++)
        free(n->waiting[i]);
    n->n_waiting = 0;
}

void sim_world_free(struct sim_world *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->heap[i]);
    free(w->heap);
    w->heap = NULL;
    for (size_t i = w->ready_at; i < w->n_ready; i++)
        free(w->ready[i]);
    free(w->ready);
    w->ready = NULL;
    w->n = w->cap = w->ready_at = w->n_ready = w->cap_ready = 0;
    for (int i = 0; i < SIM_NODES_MAX; i++) {
        waiting_drop(&w->node[i]);
        free(w->node[i].waiting);
        w->node[i].waiting = NULL;
    }
}

/* ---- the heap ---- */

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void heap_push(struct sim_world *w, struct sim_event *e)
{
    if (w->n == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 1024;
        w->heap = realloc(w->heap, w->cap * sizeof *w->heap);
        reeve_assert(w->heap != NULL);
    }
    size_t i = w->n++;
    for (; i > 0 && earlier(e, w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = e;
}

static struct sim_event *heap_pop(struct sim_world *w)
{
    struct sim_event *top = w->heap[0], *last = w->heap[--w->n];
    size_t i = 0;
    for (size_t kid; (kid = 2 * i + 1) < w->n; i = kid) {
        if (kid + 1 < w->n && earlier(w->heap[kid + 1], w->heap[kid]))
            kid++;
        if (!earlier(w->heap[kid], last))
            break;
        w->heap[i] = w->heap[kid];
    }
    w->heap[i] = last;
    return top;
}

/* ---- events ---- */

static struct sim_event *event_new(struct sim_world *w, int64_t after_us, int node, uint32_t life, sim_fn *fn, void *ctx,
                                   const void *bytes, size_t len)
{
    reeve_assert(after_us >= 0 && node >= SIM_NOBODY && node < SIM_NODES_MAX);
    struct sim_event *e = malloc(sizeof *e + len);
    reeve_assert(e != NULL);
    *e = (struct sim_event){ .at_us = w->now_us + after_us, .seq = w->next_seq++, .fn = fn, .ctx = ctx, .node = node,
                             .life = life, .len = len };
    if (len > 0)
        memcpy(e->bytes, bytes, len);
    heap_push(w, e);
    return e;
}

struct sim_event *sim_after(struct sim_world *w, int64_t after_us, int node, sim_fn *fn, void *ctx,
                            const void *bytes, size_t len)
{
    return event_new(w, after_us, node, node == SIM_NOBODY ? 0 : w->node[node].life, fn, ctx, bytes, len);
}

struct sim_event *sim_after_any_life(struct sim_world *w, int64_t after_us, int node, sim_fn *fn, void *ctx,
                                     const void *bytes, size_t len)
{
    return event_new(w, after_us, node, 0, fn, ctx, bytes, len);
}

static bool event_void(const struct sim_world *w, const struct sim_event *e)
{
    if (e->node == SIM_NOBODY)
        return false;
    const struct sim_node *n = &w->node[e->node];
    return !n->up || (e->life != 0 && e->life != n->life);
}

/* W3: what a stopped node should have run stands in line until it goes on. */
static bool event_waits(struct sim_world *w, struct sim_event *e)
{
    if (e->node == SIM_NOBODY || !w->node[e->node].paused)
        return false;
    struct sim_node *n = &w->node[e->node];
    if (n->n_waiting == n->cap_waiting) {
        n->cap_waiting = n->cap_waiting ? n->cap_waiting * 2 : 64;
        n->waiting = realloc(n->waiting, n->cap_waiting * sizeof *n->waiting);
        reeve_assert(n->waiting != NULL);
    }
    n->waiting[n->n_waiting++] = e;
    return true;
}

static void ready_push(struct sim_world *w, struct sim_event *e)
{
    if (w->ready_at == w->n_ready)
        w->ready_at = w->n_ready = 0;
    if (w->n_ready == w->cap_ready) {
        w->cap_ready = w->cap_ready ? w->cap_ready * 2 : 64;
        w->ready = realloc(w->ready, w->cap_ready * sizeof *w->ready);
        reeve_assert(w->ready != NULL);
    }
    w->ready[w->n_ready++] = e;
}

static bool event_run(struct sim_world *w, struct sim_event *e)
{
    if (!event_void(w, e)) {
        if (event_waits(w, e))
            return true;
        w->n_run++;
        e->fn(e->ctx, e);
    }
    free(e);
    return true;
}

bool sim_world_step(struct sim_world *w, int64_t until_us)
{
    if (w->ready_at < w->n_ready)
        return event_run(w, w->ready[w->ready_at++]);
    if (w->n == 0 || w->heap[0]->at_us > until_us) {
        if (until_us > w->now_us)
            w->now_us = until_us;
        return false;
    }
    struct sim_event *e = heap_pop(w);
    reeve_assert(e->at_us >= w->now_us);
    w->now_us = e->at_us;
    return event_run(w, e);
}

/* ---- lives ---- */

void sim_node_boot(struct sim_world *w, int node)
{
    struct sim_node *n = &w->node[node];
    reeve_assert(!n->up);
    int64_t wall = sim_clock_wall_us(w, node);
    n->up = true;
    n->life++;
    n->clock.base_us = w->now_us;
    n->clock.mono_us = sim_rng_between(&w->rng, 1000000, 100 * HOUR_US);
    n->clock.wall_minus_mono_us = wall - n->clock.mono_us;
    sim_trace(w, node, SIM_KIND_BOOT, n->life, 0, 0);
}

void sim_node_crash(struct sim_world *w, int node)
{
    reeve_assert(w->node[node].up);
    w->node[node].up = w->node[node].paused = false;
    waiting_drop(&w->node[node]);
    sim_trace(w, node, SIM_KIND_CRASH, w->node[node].life, 0, 0);
}

static void pause_over(void *ctx, struct sim_event *e)
{
    struct sim_world *w = ctx;
    struct sim_node *n = &w->node[e->a];
    if (n->paused && n->life == e->b && n->paused_until_us <= w->now_us)
        sim_node_resume(w, (int) e->a);
}

void sim_node_pause(struct sim_world *w, int node, int64_t for_us)
{
    struct sim_node *n = &w->node[node];
    reeve_assert(n->up && for_us >= 0);
    if (!n->paused || w->now_us + for_us > n->paused_until_us)
        n->paused_until_us = w->now_us + for_us;
    n->paused = true;
    struct sim_event *e = sim_after(w, n->paused_until_us - w->now_us, SIM_NOBODY, pause_over, w, NULL, 0);
    e->a = (uint64_t) node;
    e->b = n->life;
    sim_trace(w, node, SIM_KIND_PAUSE, (uint64_t) for_us, 0, 0);
}

void sim_node_resume(struct sim_world *w, int node)
{
    struct sim_node *n = &w->node[node];
    if (!n->paused)
        return;
    n->paused = false;
    sim_trace(w, node, SIM_KIND_RESUME, n->n_waiting, 0, 0);
    for (size_t i = 0; i < n->n_waiting; i++)
        ready_push(w, n->waiting[i]);
    n->n_waiting = 0;
}

/* ---- clocks ---- */

static int64_t stretch(int64_t us, int32_t ppm)
{
    return us + (int64_t) ((__int128) us * ppm / 1000000);
}

int64_t sim_clock_mono_us(const struct sim_world *w, int node)
{
    const struct sim_clock *c = &w->node[node].clock;
    return c->mono_us + stretch(w->now_us - c->base_us, c->drift_ppm);
}

int64_t sim_clock_wall_us(const struct sim_world *w, int node)
{
    return sim_clock_mono_us(w, node) + w->node[node].clock.wall_minus_mono_us;
}

int64_t sim_clock_until_us(const struct sim_world *w, int node, int64_t mono_us)
{
    int64_t left = mono_us - sim_clock_mono_us(w, node);
    if (left <= 0)
        return 0;
    /* Never early: one microsecond more than the division says. */
    return (int64_t) ((__int128) left * 1000000 / (1000000 + w->node[node].clock.drift_ppm)) + 1;
}

static void clock_rebase(struct sim_world *w, int node)
{
    struct sim_clock *c = &w->node[node].clock;
    c->mono_us = sim_clock_mono_us(w, node);
    c->base_us = w->now_us;
}

void sim_clock_drift(struct sim_world *w, int node, int32_t ppm)
{
    clock_rebase(w, node);
    w->node[node].clock.drift_ppm = ppm;
    sim_trace(w, node, SIM_KIND_CLOCK, 1, (uint64_t) (int64_t) ppm, 0);
}

void sim_clock_leap(struct sim_world *w, int node, int64_t forward_us)
{
    reeve_assert(forward_us > 0);
    clock_rebase(w, node);
    w->node[node].clock.mono_us += forward_us;
    sim_trace(w, node, SIM_KIND_CLOCK, 2, (uint64_t) forward_us, 0);
}

void sim_clock_wall_jump(struct sim_world *w, int node, int64_t by_us)
{
    w->node[node].clock.wall_minus_mono_us += by_us;
    sim_trace(w, node, SIM_KIND_CLOCK, 3, (uint64_t) by_us, 0);
}

/* ---- the trace ---- */

static const char *const kind_names[] = {
    [SIM_KIND_BOOT] = "boot", [SIM_KIND_CRASH] = "crash", [SIM_KIND_PAUSE] = "pause", [SIM_KIND_RESUME] = "resume",
    [SIM_KIND_CLOCK] = "clock", [SIM_KIND_NET_DROP] = "net-drop", [SIM_KIND_NET_DUP] = "net-dup",
    [SIM_KIND_NET_DELIVER] = "net-deliver", [SIM_KIND_NET_CUT] = "net-cut", [SIM_KIND_DISK_WRITE] = "disk-write",
    [SIM_KIND_DISK_SYNC] = "disk-sync", [SIM_KIND_DISK_DONE] = "disk-done", [SIM_KIND_DISK_FAULT] = "disk-fault",
};

static const char *kind_text(const struct sim_world *w, uint32_t kind)
{
    if (kind < SIM_KIND_HOST)
        return kind < sizeof kind_names / sizeof *kind_names && kind_names[kind] ? kind_names[kind] : "?";
    return w->kind_name != NULL ? w->kind_name(kind) : "host";
}

void sim_trace_hash(struct sim_world *w, const void *p, size_t len)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < len; i++)
        w->trace_hash = (w->trace_hash ^ b[i]) * 0x100000001b3u;
}

static void hash_u64(struct sim_world *w, uint64_t v)
{
    /* Word by word: the trace is hashed in every run, and FNV by bytes would show in the profile. */
    w->trace_hash = (w->trace_hash ^ v) * 0x100000001b3u;
    w->trace_hash ^= w->trace_hash >> 29;
}

static void trace_record(struct sim_world *w, int node, uint32_t kind, uint64_t a, uint64_t b, uint64_t c)
{
    hash_u64(w, (uint64_t) w->now_us);
    hash_u64(w, (uint64_t) (uint32_t) node << 32 | kind);
    hash_u64(w, a);
    hash_u64(w, b);
    hash_u64(w, c);
    w->n_traced++;
    if (w->trace == NULL)
        return;
    fprintf(w->trace, "%10" PRId64 " ", w->now_us);
    fprintf(w->trace, node == SIM_NOBODY ? "-- " : "n%d ", node);
    fprintf(w->trace, "%s %" PRIu64 " %" PRIu64 " %" PRIu64, kind_text(w, kind), a, b, c);
}

void sim_trace(struct sim_world *w, int node, uint32_t kind, uint64_t a, uint64_t b, uint64_t c)
{
    trace_record(w, node, kind, a, b, c);
    if (w->trace != NULL)
        putc('\n', w->trace);
}

void sim_trace_text(struct sim_world *w, int node, uint32_t kind, uint64_t a, uint64_t b, uint64_t c, const char *fmt, ...)
{
    trace_record(w, node, kind, a, b, c);
    if (w->trace == NULL)
        return;
    va_list ap;
    va_start(ap, fmt);
    putc(' ', w->trace);
    vfprintf(w->trace, fmt, ap);
    va_end(ap);
    putc('\n', w->trace);
}
