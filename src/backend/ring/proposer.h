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
 * Here the log is LMDB itself: what came while the state writer (state.h)
 * synced is its next transaction. The first command of a quiet moment goes
 * alone and at once, a crowd shares a sync.
 */
#ifndef REEVE_BACKEND_RING_PROPOSER_H
#define REEVE_BACKEND_RING_PROPOSER_H

#include "backend/ring/state.h"
#include "engine/region.h"

#define PROPOSER_QUEUE_MAX   4096u              /* commands and bytes under way */
#define PROPOSER_BYTES_MAX   (64u << 20)
/* A block comes inside its command: attested command, then the block. */
#define PROPOSER_ATTESTED_HEAD 18u
#define PROPOSER_COMMAND_MAX (PROPOSER_ATTESTED_HEAD + ATTEST_BLOCK_MAX)

/* result and rep are borrowed; result is the region's, empty after an error. */
typedef void propose_done(void *arg, enum reeve_err err, const struct report *rep, uint64_t index, struct slice result);

struct proposer_host {
    /* In the state writer's thread, with an argument of its own: state_host.apply. */
    void *apply_arg;
    enum reeve_err (*apply)(void *apply_arg, struct kv *kv, uint64_t index, struct slice command, struct wr *out,
                            struct report *rep);
    /* In the loop, all with arg. A command is in the state that readers see; in order of index. */
    void *arg;
    void (*applied)(void *arg, uint64_t index, struct slice command);
    /* After the last of those that became visible together, before the callers are told. */
    void (*committed)(void *arg, uint64_t index);
    /* A sync failed (P4). */
    void (*fatal)(void *arg, enum reeve_err err);
};

struct proposer {
    struct loop *loop;
    struct proposer_host host;
    struct state *state;
    unsigned n;
    size_t bytes;
    uint64_t applied;                           /* readers see that much */
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
/* The same for a command in two parts. */
enum reeve_err ring_propose_parts(struct proposer *p, struct slice head, struct slice tail, propose_done *done,
                                  void *arg) REEVE_MUST_CHECK;
/* Waits until everything under way is synced and answered (shutdown, tests). */
void proposer_flush(struct proposer *p);

#endif
