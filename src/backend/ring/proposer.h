/*
 * proposer.h - the one way a command gets into the region's log
 *
 * Contract, which a replicated log will keep as well:
 *  P1 Commands are applied in the order in which ring_propose() accepted them,
 *     each at the next index; nothing else writes the store.
 *  P2 done runs exactly once for each accepted command, later, in the loop:
 *     after OK the command is durable and visible to every reader that begins
 *     from then on. After any error it was not applied, but for
 *     UNKNOWN_OUTCOME (a leader that lost its place; never here).
 *  P3 A refusal by ring_propose itself (BUSY, TOO_BIG, NOMEM) means that the
 *     command was never accepted and done will not run.
 *  P4 A failed sync ends the process: what the store then holds is found out
 *     at the next start, and proposers learn of it by their broken channel.
 *
 * Here the log is LMDB itself: a batch of commands is one synced transaction.
 * Batches form by themselves while the last one syncs; when they are large, a
 * gathering pause of GATHER_MS lets clients that were just answered join.
 */
#ifndef REEVE_BACKEND_RING_PROPOSER_H
#define REEVE_BACKEND_RING_PROPOSER_H

#include "backend/storage/storage.h"
#include "backend/utils/loop.h"
#include "engine/region.h"

#define PROPOSER_QUEUE_MAX   4096u
#define PROPOSER_BYTES_MAX   (64u << 20)
#define PROPOSER_BATCH_MAX   1024u
#define PROPOSER_BATCH_BYTES (8u << 20)
#define PROPOSER_GATHER_MS   1
#define PROPOSER_GATHER_FROM 8u         /* a batch at least this large makes the next one wait */

/* result and rep are borrowed; result is the region's, empty after an error. */
typedef void propose_done(void *arg, enum reeve_err err, const struct report *rep, uint64_t index, struct slice result);

struct proposer_host {
    void *arg;
    /* Applies one command inside the transaction. Not OK: the whole transaction is given up. */
    enum reeve_err (*apply)(void *arg, struct kv *kv, uint64_t index, struct slice command, struct wr *out,
                            struct report *rep);
    /* Must this command have a transaction of its own? (it may fail where others must not) */
    bool (*alone)(void *arg, struct slice command);
    /* A batch is durable: the last index, before the callers are told. */
    void (*committed)(void *arg, uint64_t index);
    /* A sync failed (P4). */
    void (*fatal)(void *arg, enum reeve_err err);
};

struct proposal;
struct proposer {
    struct loop *loop;
    struct storage *store;
    struct proposer_host host;
    struct proposal *head, **tail;
    unsigned n;
    size_t bytes;
    uint64_t applied;
    unsigned last_batch;
    struct loop_timer timer;
    struct wr results;
    /* figures */
    uint64_t batches, commands;
};

/* applied: the index that the store holds. */
enum reeve_err proposer_init(struct proposer *p, struct loop *loop, struct storage *store, uint64_t applied,
                             const struct proposer_host *host) REEVE_MUST_CHECK;
/* What waits is given up with SHUTDOWN. */
void proposer_free(struct proposer *p);
/* Copies the command. done may be NULL. */
enum reeve_err ring_propose(struct proposer *p, struct slice command, propose_done *done, void *arg) REEVE_MUST_CHECK;
/* Commits what waits, now (shutdown, tests). */
void proposer_flush(struct proposer *p);

#endif
