/*
 * ring.h - a few members in one process: network, disk and a state machine of sums
 *
 * The state is the list of applied values (one u64 a command) and its hash.
 * Each member's disk holds the log, and the state with the member's rows as of
 * the last flush.
 */
#ifndef UNIT_MEMBER_RING_H
#define UNIT_MEMBER_RING_H

#include "../unit.h"
#include "engine/member.h"

#define MR_NODES 6
#define MR_LOG   20000
#define MR_STATE 20000
#define MR_DONE  4096

struct mr_entry { uint64_t term; uint8_t kind; uint32_t len; uint8_t *p; };
struct mr_row { uint32_t len; uint8_t p[MEMBER_ROW_MAX]; };
struct mr_state { uint64_t n, value[MR_STATE]; struct mr_row row[MEMBER_ROWS_MAX]; };
struct mr_done { uint64_t ticket, index, id; uint32_t nth; uint8_t outcome; enum reeve_err err; bool read; uint64_t seen; };
struct mr_write { struct raft_append a; struct mr_entry *e; };

struct mr_node {
    struct member *m;
    void *mem;
    bool up, disk_stalled, apply_stalled, corrupt_state, stopped, quarantined;
    /* log on disk, entries base + 1 .. last */
    struct mr_entry log[MR_LOG];
    uint64_t base, last, term, commit;
    uint32_t vote;
    struct mr_write write[512];
    unsigned n_writes;
    struct mr_state live, disk;
    uint64_t apply_to;                  /* 0: none */
    struct mr_done done[MR_DONE];
    unsigned n_done;
    uint8_t *snap_in;
    uint64_t snap_len;
    unsigned installs;
    uint64_t applied_tickets;
};

struct mr_packet { struct mr_packet *next; uint32_t from, to; uint64_t after; size_t len; uint8_t p[]; };

struct mr {
    unsigned n;
    struct mr_node node[MR_NODES];
    struct mr_packet *net, **net_tail;
    bool cut[MR_NODES][MR_NODES];
    int64_t now;
    bool twice;                         /* each message comes twice */
    struct member_config config;
    struct member_effects out;
};

struct mr *mr_new(unsigned n);
void mr_boot(struct mr *s, uint32_t id);
void mr_start(struct mr *s);
void mr_crash(struct mr *s, uint32_t id);
void mr_flush(struct mr *s, uint32_t id);           /* the state becomes durable, the log before it goes */
enum reeve_err mr_feed(struct mr *s, uint32_t id, struct member_event e);
enum reeve_err mr_propose(struct mr *s, uint32_t id, uint64_t ticket, uint64_t session, uint64_t seq, uint64_t value);
enum reeve_err mr_event(struct mr *s, uint32_t id, uint8_t type, uint64_t ticket);
void mr_run(struct mr *s, int64_t ms);
uint32_t mr_leader(struct mr *s);
uint32_t mr_elect(struct mr *s);
struct mr_done *mr_done(struct mr *s, uint32_t id, uint64_t ticket);
struct mr_done *mr_wait(struct mr *s, uint32_t id, uint64_t ticket);
struct member_status mr_status(struct mr *s, uint32_t id);
void mr_isolate(struct mr *s, uint32_t id, bool yes);
bool mr_same(struct mr *s);
void mr_free(struct mr *s);

#endif
