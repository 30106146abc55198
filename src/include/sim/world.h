/*
 * world.h - virtual time, nodes that live and die, their clocks, a trace
 *
 * One thread, one queue of events ordered by (time, order of creation), one
 * stream of chance. A node is a number; what runs on it belongs to the host
 * (reeve-sim raft, reeve-sim attest). A life begins with sim_node_boot and
 * ends with sim_node_crash; an event made for one life never reaches another.
 * Network and disks (sim/net.h, sim/disk.h) are built on these events.
 *
 * Invariants
 *  W1 Same seed, same host, same code: the same events in the same order, the same trace.
 *  W2 Time never goes back; an event made at t runs at t or later.
 *  W3 A paused node runs nothing; what was due meanwhile comes afterwards in the same order.
 *  W4 A node's monotonic clock never goes back in a life, its wall clock may.
 */
#ifndef REEVE_SIM_WORLD_H
#define REEVE_SIM_WORLD_H

#include "common/err.h"
#include "common/types.h"
#include "sim/rng.h"

#include <stdio.h>

#define SIM_NODES_MAX 72
#define SIM_NOBODY    -1        /* events of the world itself */

struct sim_event;
/* The event is freed after the call. */
typedef void sim_fn(void *ctx, struct sim_event *e);

struct sim_event {
    int64_t at_us;
    uint64_t seq;
    sim_fn *fn;
    void *ctx;
    int node;                   /* SIM_NOBODY: nobody's death cancels it */
    uint32_t life;              /* 0: any life of the node; it is lost while the node is down */
    uint64_t a, b;              /* the host's */
    size_t len;
    uint8_t bytes[];            /* a copy, aligned for nothing */
};

/* What a node's clocks show: world time stretched by drift, shifted by offset. */
struct sim_clock {
    int64_t base_us, mono_us;   /* at world time base_us the monotonic clock showed mono_us */
    int64_t wall_minus_mono_us;
    int32_t drift_ppm;
};

struct sim_node {
    bool up;
    uint32_t life;              /* counts boots, from 1 */
    bool paused;
    int64_t paused_until_us;
    struct sim_event **waiting; /* what a paused node has yet to run, in order */
    size_t n_waiting, cap_waiting;
    struct sim_clock clock;
};

struct sim_world {
    uint64_t seed;
    struct sim_rng rng;
    int64_t now_us;
    struct sim_event **heap;
    size_t n, cap;
    struct sim_event **ready;   /* what a node that goes on catches up with, before anything else */
    size_t ready_at, n_ready, cap_ready;
    uint64_t next_seq, n_run;
    struct sim_node node[SIM_NODES_MAX];
    uint64_t trace_hash;        /* FNV-1a over every traced record */
    uint64_t n_traced;
    FILE *trace;                /* text of the trace goes here; NULL: only hashed */
    const char *(*kind_name)(uint32_t kind);
};

void sim_world_init(struct sim_world *w, uint64_t seed);
/* Drops every waiting event. */
void sim_world_free(struct sim_world *w);
/* Runs the next event; false when none is waiting or the next is later than until_us (time then stands at until_us). */
bool sim_world_step(struct sim_world *w, int64_t until_us);

/* after_us >= 0. Bytes (may be NULL with len 0) are copied. The event is returned to set a and b. */
struct sim_event *sim_after(struct sim_world *w, int64_t after_us, int node, sim_fn *fn, void *ctx,
                            const void *bytes, size_t len);
/* Same, for whatever life the node then has. */
struct sim_event *sim_after_any_life(struct sim_world *w, int64_t after_us, int node, sim_fn *fn, void *ctx,
                                     const void *bytes, size_t len);

/* A new life: its monotonic clock starts at some hours, drawn; the wall clock goes on. */
void sim_node_boot(struct sim_world *w, int node);
void sim_node_crash(struct sim_world *w, int node);
/* SIGSTOP for that long, lengthened when already stopped. */
void sim_node_pause(struct sim_world *w, int node, int64_t for_us);
void sim_node_resume(struct sim_world *w, int node);
static inline bool sim_node_runs(const struct sim_world *w, int node)
{
    return w->node[node].up && !w->node[node].paused;
}

int64_t sim_clock_mono_us(const struct sim_world *w, int node);
int64_t sim_clock_wall_us(const struct sim_world *w, int node);
/* World microseconds until the node's monotonic clock shows mono_us: 0 when it already does. */
int64_t sim_clock_until_us(const struct sim_world *w, int node, int64_t mono_us);
void sim_clock_drift(struct sim_world *w, int node, int32_t ppm);
/* forward_us > 0: the monotonic clock leaps (a virtual machine that was away). */
void sim_clock_leap(struct sim_world *w, int node, int64_t forward_us);
void sim_clock_wall_jump(struct sim_world *w, int node, int64_t by_us);

/*
 * One record of the trace: hashed always, printed when w->trace is set, as
 *     TIME_US nNODE KIND a b c [text]
 * text is for people and belongs to the printed trace only; it must follow from the run alone (no addresses).
 */
void sim_trace(struct sim_world *w, int node, uint32_t kind, uint64_t a, uint64_t b, uint64_t c);
void sim_trace_text(struct sim_world *w, int node, uint32_t kind, uint64_t a, uint64_t b, uint64_t c,
                    const char *fmt, ...) __attribute__((format(printf, 7, 8)));
void sim_trace_hash(struct sim_world *w, const void *p, size_t len);

/* Kinds of trace records up to here are the world's own; hosts number theirs from SIM_KIND_HOST. */
enum sim_kind {
    SIM_KIND_BOOT = 1, SIM_KIND_CRASH, SIM_KIND_PAUSE, SIM_KIND_RESUME, SIM_KIND_CLOCK,
    SIM_KIND_NET_DROP, SIM_KIND_NET_DUP, SIM_KIND_NET_DELIVER, SIM_KIND_NET_CUT,
    SIM_KIND_DISK_WRITE, SIM_KIND_DISK_SYNC, SIM_KIND_DISK_DONE, SIM_KIND_DISK_FAULT,
    SIM_KIND_HOST = 64
};

#endif
