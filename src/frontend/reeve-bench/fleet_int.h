/*
 * fleet_int.h - a fleet of agents in one process
 *
 * Each member is a whole struct agent: own keys, connection, trust, cache and
 * verification. What they share is code, one TLS client context and this
 * process; nothing that one verified serves another. Only the final file
 * write is left out: an installation is remembered in memory.
 */
#ifndef REEVE_BENCH_FLEET_INT_H
#define REEVE_BENCH_FLEET_INT_H

#include "frontend/libreeve/agent.h"

#define FLEET_MAX        18000
#define FLEET_SAMPLES    65536          /* install times kept per generation */
#define FLEET_GENS       8              /* newest generations that times are kept of */
#define FLEET_HEIGHTS    64             /* newest heights */

struct fleet_options {
    const char *server, *state, *status_file;
    char token[WIRE_TOKEN_TEXT_MAX];
    unsigned count, workloads, ramp_ms, duration_s;
    double fail_share, silent_share;
    struct name fail_cert;              /* len 0: every certificate */
    uint32_t fail_generation;           /* 0: every generation */
    struct name until_cert;
    uint32_t until_generation;          /* 0: no such condition */
    bool until_connected, json;
    struct labels labels;
};

/* When a generation was installed, by member: wall-clock and time since its objects were verified. */
struct fleet_times {
    struct name object;
    uint32_t gen, n, failed;
    int64_t *wall_ms;
    int32_t *latency_ms;
};

struct fleet;
struct member {
    struct fleet *fleet;
    struct agent *agent;
    uint64_t fd_serial;
    int fd;
    unsigned events;
    bool faulty, silent, was_ready;
    uint64_t verified, height;          /* as last seen */
};
/* How many members have verified a header of that height or a later one, and when the latest of them did. */
struct fleet_height { uint64_t height; unsigned n; int64_t last_wall_ms; };

struct fleet {
    struct fleet_options o;
    struct tls_ctx *tls;
    struct member *m;
    int epoll_fd;
    struct fleet_times times[FLEET_GENS];
    unsigned n_times;
    struct fleet_height heights[FLEET_HEIGHTS];
    struct agent_now started;
    int64_t all_ready_ms;               /* since start; -1 not yet */
    unsigned ready_once;
    uint64_t refusals;
    volatile int *stop;
    /* After each step of a member; it is stepped again when this returns true. NULL: nothing more to do. */
    bool (*stepped)(void *arg, struct member *m);
    void *stepped_arg;
    /* Every millisecond or so; NULL: nothing to do. */
    void (*tick)(void *arg);
};

/* ---- fleet.c ---- */
enum reeve_err fleet_start(struct fleet *f, struct report *rep) REEVE_MUST_CHECK;
/* Until the condition, the time, or *stop. True when the condition was met (or none was given). */
bool fleet_run(struct fleet *f);
/* One step of every member, whether or not it has something to do. */
void fleet_step_all(struct fleet *f);
void fleet_step_one(struct fleet *f, unsigned i);
void fleet_end(struct fleet *f);
struct agent_now fleet_now(void);

/* ---- fleet_host.c ---- */
extern const struct agent_host fleet_host;      /* arg is the member */
/* A deterministic share: the same members every time, by node id. */
bool fleet_in_share(const struct agent_identity *id, const char *what, double share);
struct fleet_times *fleet_times_of(struct fleet *f, const struct name *object, uint32_t gen);

/* ---- fleet_heights.c ---- */
void fleet_heights_note(struct fleet *f, struct member *m);
void fleet_heights_json(const struct fleet *f, struct wr *w);

/* ---- fleet_report.c ---- */
void fleet_json(struct fleet *f, struct wr *w);
void fleet_print_line(struct fleet *f);
void fleet_write_status(struct fleet *f);
unsigned fleet_count_ready(const struct fleet *f);
/* Members whose certificate object serves gen (or, with at_least, a later one). */
unsigned fleet_count_serving(const struct fleet *f, const struct name *object, uint32_t gen, bool at_least);

int fleet_main(int argc, char **argv);

#endif
