/*
 * ring_int.h - reeve-bench ring: writes, reads and registrations against the members of a ring
 *
 * One thread, one epoll, any number of connections. Closed loop: each client
 * has one operation under way and begins the next at once. Open loop (--rate):
 * operations fall due by the clock whatever the server does, and an operation's
 * latency counts from when it was due, so that a server that stalls cannot hide
 * behind clients that wait for it.
 */
#ifndef REEVE_BENCH_RING_INT_H
#define REEVE_BENCH_RING_INT_H

#include <stdio.h>

#include "hist.h"
#include "sql_conn.h"

#define RING_CLIENTS_MAX  20000u
#define RING_GAPS_MAX     16384u
#define RING_GAP_MIN_NS   10000000ll    /* shorter pauses between two acknowledged writes are not kept */

struct ring_options {
    const char *target[SQL_TARGETS_MAX];
    unsigned n_targets, clients, connections, keys, value_bytes, reads_percent, batch;
    double duration_s, warmup_s, rate, timeout_s;
    uint64_t seed;
    const char *history;
    unsigned history_ops;               /* of a key, at most */
    const char *agents, *token_file;
    bool json;
    volatile int *stop;
};

/* Time between two acknowledged writes, by the monotonic clock: what a failover looks like from outside. */
struct ring_gap { int64_t begin_ns, end_ns; };

struct ring_totals {
    struct hist write, read, row;       /* row: of registrations, a sample is a batch, rows counts its rows */
    uint64_t rows, refused, conflicts, unknown;
    int64_t begin_ns, end_ns;           /* what was measured: after the warm-up */
    int64_t begin_cpu_ns, end_cpu_ns;   /* this process's own, from the start of the load to its end */
    int64_t last_ack_ns;
    struct ring_gap gap[RING_GAPS_MAX];
    unsigned n_gaps;
};

static inline double ring_seconds(const struct ring_totals *t) { return (double) (t->end_ns - t->begin_ns) / 1e9; }
void ring_note_write(struct ring_totals *t, int64_t since_ns, int64_t now_ns);
/* xorshift64*: which key comes next; the same seed, the same choices. */
uint64_t ring_random(uint64_t *state);

/* One operation after the other on each connection; 0, or the exit code. */
int ring_load(const struct ring_options *o, struct ring_totals *t, struct sql_pool *pool);
/* o->connections shared by all clients, a pipeline on each. */
int ring_pipe(const struct ring_options *o, struct ring_totals *t, struct sql_pool *pool);
/* Concurrent reads, writes and compare-and-set, recorded (ring_history.c has the format). */
int ring_history(const struct ring_options *o, struct ring_totals *t, struct sql_pool *pool);
/* Registrations by agents, each with its own TLS connection to a gateway. */
int ring_agents(const struct ring_options *o, struct ring_totals *t);

int ring_main(int argc, char **argv);

#endif
