/*
 * core.h - this process's member of the ring: engine/member with its log and its state
 *
 *   core_propose ─► member ─ APPEND ─► walfile (its threads) ─ durable ─► member
 *                      └──── APPLY ──► state writer (its thread) ─ applied, synced ─► member, host
 *
 * Everything here runs in the loop and waits for nothing. Messages to other
 * members go to backend/peer (core_links.c); a ring of one has none.
 *
 * On disk: DIR/wal (walfile.h), and in the store under LOG_KV_PREFIX, written in
 * the transaction of what they describe:
 *   'L' 'i'       -> u8 1 | u32 id | u64 incarnation | u64 ring: who this is. With it there must be a log.
 *   'L' 'r' u32   -> row of engine/member (0: position, term and configuration; others: sessions)
 *   'L' 'h'       -> the sum of what commands wrote (state.h)
 *   'L' 'd'       -> u8 1 | u64 index | u64 term: what the log held before it was damaged; goes when it holds as much again
 *   'L' 'q'       -> u8 1 | u64 index: a member that found its state to be another than the ring's; it never starts again
 *   'L' 'j'       -> u8 1 | u64 index | configuration: a ring let this member in, and it has no state yet. Whom to expect
 *                    the state from; it goes when the state has come.
 * The position counts entries of the log; the region's revision counts commands that were applied.
 *
 * Invariants
 *  C1 A command is handed to the host's done when its entry is durable in the logs of a quorum and, unless it may be
 *     answered early, synced in the store. An early one waits for the store only while that is far behind.
 *  C2 What the store holds was durable in the logs of a quorum before; in a ring of one that is this one's.
 *  C3 The log is cut only below what the store has synced.
 *  C4 No log, a foreign one, or, in a ring of one, one with damage above what the store has synced: the process does not start.
 *  C5 A message leaves when the append that it names is durable, not before.
 *  C6 A state that comes from another member replaces the whole store in one transaction of it: a reader sees the old one
 *     or the new one.
 *  C7 Above a hole the log's files are superseded only by a leader's entries, and then they are given to nobody any more.
 */
#ifndef REEVE_BACKEND_RING_CORE_H
#define REEVE_BACKEND_RING_CORE_H

#include "backend/peer/peer.h"
#include "backend/ring/state.h"
#include "engine/member.h"
#include "engine/wal.h"

#define LOG_KV_PREFIX 'L'

struct core_host {
    /* As state_host.apply: in the state writer's thread. */
    void *apply_arg;
    enum reeve_err (*apply)(void *apply_arg, struct kv *kv, uint64_t index, struct slice command, struct wr *out,
                            struct report *rep);
    /* May this command be answered before it is applied? Only one that the state cannot refuse. */
    bool (*early)(struct slice command);
    /* In the loop, with arg. */
    void *arg;
    /*
     * A proposal has ended: exactly once for each that was taken. OK: it was applied, or refused by what it is, and c has
     * the answer, to look at during the call; otherwise c is NULL. An early one's answer may be empty, with index 0: it is
     * committed, and will be applied.
     */
    void (*done)(void *arg, uint64_t ticket, enum reeve_err err, struct state_command *c);
    /* A command is synced, whoever proposed it, in order; before its done, unless that was early. */
    void (*applied)(void *arg, uint64_t revision, struct slice command);
    /* After the last of those that were synced together. */
    void (*committed)(void *arg, uint64_t revision);
    void (*fatal)(void *arg, enum reeve_err err);
    uint32_t hash_every;                /* for tests: entries between two comparisons of states; 0: as usual */
    uint32_t window_bytes;              /* for tests: of the log in memory; 0: as usual */

    /* ---- of a ring of several; NULL where there is none ---- */
    /* As apply, in the same thread: the region's revision in a state that came from another member. MALFORMED: it is none. */
    enum reeve_err (*revision)(void *apply_arg, struct kv *kv, uint64_t *out);
    /* In the loop: the whole state was replaced, readers see it. */
    void (*replaced)(void *arg, uint64_t revision);
    /* In the loop: this member leads from now on, or no longer. */
    void (*role)(void *arg, bool leads);
    /* In the loop: may who has this token come in? *last_id: its id is to be above that. OK, AUTH, AGAIN (not to be told now). NULL: nobody. */
    enum reeve_err (*admit)(void *arg, const struct peer_join_request *j, uint32_t *last_id);
    /* In the loop: what another member's host told everybody (core_tell). */
    void (*news)(void *arg, uint32_t from, struct slice bytes);
    /* In the loop: what another member's host wrote to this one (core_letter). */
    void (*letter)(void *arg, uint32_t from, struct slice bytes);
};

/* Where others find this member. NULL in core_open(): a ring of one that nobody can reach. */
struct core_net {
    const struct peer_identity *identity;   /* borrowed for the call */
    const char *const *listen;          /* hosts to listen on; "*": every address */
    size_t n_listen;
    uint16_t port;                      /* 0: chosen by the kernel */
    const char *address;                /* HOST:PORT as the others reach it; NULL: host, and the port listened on: */
    const char *host;
};

struct core;
/*
 * Opens or makes the log, brings the state up to it as far as there is room, and is a member after that. The store is
 * open for writing and at that revision. An error has a report that says what an operator can do.
 */
enum reeve_err core_open(struct core **out, struct loop *loop, struct storage *store, const char *dir, uint32_t segment_bytes,
                         uint64_t revision, const struct core_host *host, const struct core_net *net, struct report *rep)
    REEVE_MUST_CHECK;
/*
 * Before the first core_open() of a member that a ring let in: writes into an empty store who it is and whom it expects its
 * state from. It opens with revision 0 then, and core_open() returns when the state has come.
 */
enum reeve_err core_join_write(struct storage *store, uint64_t incarnation, const struct peer_joined *joined) REEVE_MUST_CHECK;
/* Ends the threads; what was taken and has no end yet is given up with SHUTDOWN. NULL is allowed. */
void core_close(struct core *c);

/* ticket: the host's, not 0. Copies. BUSY, TOO_BIG, DISK_FULL (nothing was taken), SHUTDOWN. */
enum reeve_err core_propose(struct core *c, uint64_t ticket, struct slice command) REEVE_MUST_CHECK;
/*
 * fn runs once, later or at once, when readers see everything that was acknowledged before this call. AGAIN: not
 * confirmed in time.
 */
typedef void core_read_done(void *arg, enum reeve_err err);
enum reeve_err core_read(struct core *c, core_read_done *fn, void *arg) REEVE_MUST_CHECK;
/*
 * A change of the ring's members, on the leader only; fn runs once, when it is in force or certainly is not (or nobody
 * knows: UNKNOWN_OUTCOME). One at a time: AGAIN. Others as raft_conf_change(), NOT_LEADER.
 */
enum reeve_err core_change(struct core *c, const struct raft_change *change, size_t n, core_read_done *fn, void *arg)
    REEVE_MUST_CHECK;
/* Hands leadership over; 0: to the best one. Whether it came about is seen in the status. */
enum reeve_err core_transfer(struct core *c, uint32_t id) REEVE_MUST_CHECK;
const struct raft_conf *core_conf(const struct core *c);
uint32_t core_id(const struct core *c);
uint64_t core_ring(const struct core *c);
/* Of one member, as the leader sees it; false: not the leader, or nobody of that id. */
bool core_peer_status(const struct core *c, uint32_t id, struct raft_peer_status *out);
/* Soft state for the hosts of all other members, at most PEER_NEWS_MAX bytes; may be lost. */
void core_tell(struct core *c, struct slice news);
/* As peers_letter() and peers_way(). */
enum reeve_err core_letter(struct core *c, uint32_t id, struct slice head, struct slice body, uint64_t *way) REEVE_MUST_CHECK;
uint64_t core_way(const struct core *c, uint32_t id);
/* NULL: no links. */
struct peers *core_peers(struct core *c);

/*
 * Gets ready to end: leadership is handed over, what was taken has its end, nothing more is taken. fn runs once, later.
 * Only then core_drain().
 */
void core_stop(struct core *c, void (*fn)(void *arg), void *arg);
/* Waits until all that was taken has ended, or there is no room for it. Takes nothing more from then on. */
void core_drain(struct core *c);

struct core_status {
    struct member_status member;
    struct wal_status wal;
    uint64_t revision;                  /* the newest that readers see */
    enum reeve_err stalled;             /* why the store takes nothing; OK: it does */
    bool wal_full;                      /* no room for another segment */
    bool leads;
    int64_t leaderless_ms;              /* since no leader is known; 0: one is */
};
void core_status(struct core *c, struct core_status *out);

#endif
