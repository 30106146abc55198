/*
 * core.h - this process's member of the ring: engine/member with its log and its state
 *
 *   core_propose ─► member ─ APPEND ─► walfile (its threads) ─ durable ─► member
 *                      └──── APPLY ──► state writer (its thread) ─ applied, synced ─► member, host
 *
 * Everything here runs in the loop and waits for nothing. Messages to other
 * members go to core_links (core_send.c); a ring of one has none.
 *
 * On disk: DIR/wal (walfile.h), and in the store under LOG_KV_PREFIX, written in
 * the transaction of what they describe:
 *   'L' 'i'       -> u8 1 | u32 id | u64 incarnation | u64 ring: who this is. With it there must be a log.
 *   'L' 'r' u32   -> row of engine/member (0: position, term and configuration; others: sessions)
 * The position counts entries of the log; the region's revision counts commands that were applied.
 *
 * Invariants
 *  C1 A command is handed to the host's done when its entry is durable in the log and, unless it may be answered
 *     early, synced in the store.
 *  C2 What the store holds was durable in the log before.
 *  C3 The log is cut only below what the store has synced.
 *  C4 No log, a foreign one, or one with damage above what the store has synced: the process does not start.
 */
#ifndef REEVE_BACKEND_RING_CORE_H
#define REEVE_BACKEND_RING_CORE_H

#include "backend/ring/state.h"
#include "engine/member.h"
#include "engine/wal.h"

#define LOG_KV_PREFIX 'L'

struct core_host {
    /* As state_host.apply: in the state writer's thread. */
    void *apply_arg;
    enum reeve_err (*apply)(void *apply_arg, struct kv *kv, uint64_t index, struct slice command, struct wr *out,
                            struct report *rep);
    /* May this command be answered before the store is synced? */
    bool (*early)(struct slice command);
    /* In the loop, with arg. */
    void *arg;
    /*
     * A proposal has ended: exactly once for each that was taken. OK: it was applied, or refused by what it is, and c has
     * the answer, to look at during the call; otherwise c is NULL.
     */
    void (*done)(void *arg, uint64_t ticket, enum reeve_err err, struct state_command *c);
    /* A command is synced, whoever proposed it, in order; before its done, unless that was early. */
    void (*applied)(void *arg, uint64_t revision, struct slice command);
    /* After the last of those that were synced together. */
    void (*committed)(void *arg, uint64_t revision);
    void (*fatal)(void *arg, enum reeve_err err);
};

struct core;
/*
 * Opens or makes the log, brings the state up to it as far as there is room, and is a member after that. The store is
 * open for writing and at that revision. An error has a report that says what an operator can do.
 */
enum reeve_err core_open(struct core **out, struct loop *loop, struct storage *store, const char *dir, uint32_t segment_bytes,
                         uint64_t revision, const struct core_host *host, struct report *rep) REEVE_MUST_CHECK;
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
/* Waits until all that was taken has ended, or there is no room for it. Takes nothing more from then on. */
void core_drain(struct core *c);

struct core_status {
    struct member_status member;
    struct wal_status wal;
    uint64_t revision;                  /* the newest that readers see */
    enum reeve_err stalled;             /* why the store takes nothing; OK: it does */
    bool wal_full;                      /* no room for another segment */
};
void core_status(struct core *c, struct core_status *out);

#endif
