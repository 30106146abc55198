/*
 * raft_ring.h - a small ring of engine/raft in one process, for tests
 *
 * Members with a log in memory, a disk that lags behind it, and a network that
 * a test delays, cuts and delivers by hand or lets run. An oracle looks at what
 * comes out: one leader a term, one entry an index, a leader that holds all
 * that is committed. A broken rule is counted in `broken`, with a text.
 */
#ifndef REEVE_RAFT_RING_H
#define REEVE_RAFT_RING_H

#include "engine/raft.h"

#define RR_NODES   8            /* ids 1..7 */
#define RR_LOG     4096
#define RR_DATA    400
#define RR_QUEUE   4096
#define RR_WRITES  512
#define RR_SNAP    256          /* bytes of a snapshot */

struct rr_entry { uint64_t term; uint16_t len; uint8_t kind; uint8_t data[RR_DATA]; };
struct rr_log { uint64_t base, base_term, last; struct rr_entry e[RR_LOG]; };      /* e[i % RR_LOG] */
struct rr_write { struct raft_append a; int64_t at; struct rr_entry *e; };
struct rr_packet { bool used; uint32_t from, to; int64_t at; uint64_t after, n; size_t len; uint8_t *p; };

struct rr_node {
    struct raft *r;
    void *mem;
    bool up, disk_stalled;
    uint64_t incarnation;
    struct rr_log log, disk;
    uint64_t disk_term, disk_commit;
    uint32_t disk_vote;
    struct rr_write write[RR_WRITES];
    unsigned n_writes;
    uint64_t done_seq;
    /* the applied state: durable at base */
    uint64_t base, base_term, applied;
    struct raft_conf base_conf;
    uint8_t snap_in[RR_SNAP];
    uint8_t role;
    uint64_t reads_ok[64], reads_failed[64];
    uint64_t read_index[64];
    unsigned n_ok, n_failed, snaps_installed;
    bool repaired;
    uint64_t kept;                      /* keeps: entries from there on can be read back */
    unsigned reads_back;
};

struct rr {
    unsigned n;
    struct rr_node node[RR_NODES];
    struct rr_packet net[RR_QUEUE];
    uint64_t packets;
    bool cut[RR_NODES][RR_NODES];       /* from, to */
    int64_t now;
    uint64_t rng;
    unsigned loss, dup;                 /* percent */
    int64_t delay_ms, delay_jitter_ms, disk_ms;
    struct raft_config config;
    struct raft_effects out;
    struct wr *trace;                   /* NULL: none */
    bool keeps;                         /* what comes behind a snapshot can be read back when the window is past it */
    bool by_hand;                       /* rr_run moves the clock only */
    /* the oracle */
    uint32_t leader_of[4096];
    struct rr_entry committed[RR_LOG];
    uint64_t committed_in[RR_LOG];      /* the term it was committed in */
    uint64_t committed_last;
    unsigned broken;
    char text[256];
    uint64_t last_index;                /* of the last proposal */
};

struct rr *rr_new(unsigned n, uint64_t seed);           /* n voters, not started */
void rr_free(struct rr *s);
void rr_start(struct rr *s);                            /* all */
enum reeve_err rr_try_boot(struct rr *s, uint32_t id, uint8_t mode, uint64_t last_index, uint64_t last_term);
void rr_boot(struct rr *s, uint32_t id, uint8_t mode, uint64_t last_index, uint64_t last_term);
uint32_t rr_join(struct rr *s);                         /* one more, empty, in no configuration yet */
void rr_crash(struct rr *s, uint32_t id);               /* what was not durable is gone */
void rr_restart(struct rr *s, uint32_t id);
void rr_wipe(struct rr *s, uint32_t id);                /* another data directory, same id */

enum reeve_err rr_feed(struct rr *s, uint32_t id, struct raft_event e);
enum reeve_err rr_propose(struct rr *s, uint32_t id, uint64_t value);
enum reeve_err rr_read(struct rr *s, uint32_t id, uint64_t read);
enum reeve_err rr_change(struct rr *s, uint32_t id, uint8_t kind, uint32_t whom);
enum reeve_err rr_change_many(struct rr *s, uint32_t id, const struct raft_change *c, size_t n);
void rr_compact(struct rr *s, uint32_t id, uint64_t upto);

void rr_complete(struct rr *s, uint32_t id, unsigned n);        /* the oldest n writes are durable */
unsigned rr_deliver(struct rr *s, uint32_t from, uint32_t to, unsigned n);     /* 0: any; returns how many */
unsigned rr_drop(struct rr *s, uint32_t from, uint32_t to);
/* All that is under way, and what comes of it, without moving the clock. */
void rr_settle(struct rr *s);
void rr_run(struct rr *s, int64_t ms);
bool rr_run_until(struct rr *s, int64_t ms, bool (*done)(struct rr *s));
uint32_t rr_leader(struct rr *s);                       /* of the highest term; 0: none */
bool rr_has_leader(struct rr *s);
struct raft_status rr_status(struct rr *s, uint32_t id);
uint32_t rr_elect(struct rr *s);                        /* runs until there is a leader that has committed */
void rr_isolate(struct rr *s, uint32_t id, bool yes);
uint64_t rr_random(struct rr *s);

#endif
