/*
 * state.h - the state writer: the thread that owns the store's write transactions
 *
 * The loop hands over runs of committed commands and goes on; a slow disk holds
 * up this thread and nobody else. A run is applied wholly or not at all, with
 * the rows that say how far the state is. Runs share a transaction for as long
 * as nobody waits for a sync: whatever came while the last one synced goes
 * together, after a crowd also what those who were just answered send within
 * STATE_GATHER_MS; what may be answered early (`early`) waits up to
 * STATE_HOLD_MS for company.
 *
 *    state_put ──► queue ──► applied (results are there) ──► synced ──► back in the loop
 *
 * Invariants
 *  S1 Runs are applied in the order of state_put(), each command that is not
 *     refused at the next index.
 *  S2 What becomes of a command depends on it and the state before it alone,
 *     never on its neighbours, on time or on this machine: a refused one leaves
 *     no trace, and those that shared its transaction are applied again without it.
 *  S3 `synced` means: durable, and seen by every reader that begins from then on.
 *  S4 A failure of the store is nobody's refusal. With `keep` (there is a log
 *     before this) the thread waits and tries the same runs again, for as long
 *     as it takes, and says so (state_stalled). Without, it answers the commands
 *     with the error, each tried by itself first. A failed sync is fatal.
 *  S6 In the same transaction stands the sum of all that commands wrote, in their order: two states of one log with
 *     different sums have met different states on their way.
 *  S5 Until it is given back a run belongs to this module; of what the thread
 *     uses the loop touches nothing.
 */
#ifndef REEVE_BACKEND_RING_STATE_H
#define REEVE_BACKEND_RING_STATE_H

#include "backend/storage/storage.h"
#include "backend/utils/loop.h"
#include "common/buf.h"

#define STATE_TXN_COMMANDS 8192u        /* commands and bytes that share a transaction */
#define STATE_TXN_BYTES    (4u << 20)
#define STATE_GATHER_MS    1
#define STATE_GATHER_FROM  8u           /* a transaction of so many makes the next one wait */
#define STATE_HOLD_MS      500         /* how long what is answered early may wait for its sync */
#define STATE_RETRY_MS     500          /* between two tries on a store that has no room */
#define STATE_RESULT_MAX   (16u << 20)  /* of one command */

/* One command on its way through. The bytes are the caller's until the run comes back. */
struct state_command {
    struct state_command *next;
    struct slice command;
    /* The answer. */
    enum reeve_err err;
    uint64_t index;                     /* the region's revision; 0 when refused */
    struct wr result;
    struct report *rep;                 /* why not; NULL: nothing more is known than err */
};

struct state_row { struct slice key, value; };
/*
 * What commands wrote since the state was nothing: CRC-32C over each (u8 1 put, 0 deleted | u32 length | key | u32 length | value),
 * how many, and their bytes. Rows are no part of it: they say where runs end, which differs between members. Against accidents
 * and mistakes, not against anybody. Kept under 'L' 'h': u8 1 | u32 crc | u64 writes | u64 bytes.
 */
struct state_sum { uint32_t crc; uint64_t writes, bytes; };
struct state_run {
    struct state_run *next, *later;     /* the thread's list, the loop's list */
    struct state_command *first;
    unsigned n;
    size_t bytes;
    bool early;                         /* every command may be answered before the sync */
    const struct state_row *row;        /* written with the commands; the caller's until the run comes back */
    size_t n_rows;
    /*
     * Instead of commands: makes the whole state another one, in the thread, as host.apply is called; index: the last
     * command that one holds. What it answers is in replace_err when the run comes back; refused, nothing has happened.
     */
    enum reeve_err (*replace)(struct state_run *run, void *apply_arg, struct storage_txn *txn, struct kv *kv, uint64_t *index);
    enum reeve_err replace_err;
    uint64_t index;
    struct state_sum sum;               /* right after this run */
};

struct state_host {
    /*
     * In the thread, with an argument that nobody else touches. Not OK although
     * the store answered well: refused (S2), and rep tells why. It may have
     * written before it refused.
     */
    void *apply_arg;
    enum reeve_err (*apply)(void *apply_arg, struct kv *kv, uint64_t index, struct slice command, struct wr *out,
                            struct report *rep);
    /* In the loop, with arg. A run's answers are there; may be NULL. */
    void *arg;
    void (*applied)(void *arg, struct state_run *run);
    /* In the loop. Runs are synced, or given up with an error (S4), linked by later, in order; they are the host's again. */
    void (*synced)(void *arg, struct state_run *runs);
    /* In the loop. The store is broken (err); the process has to end. */
    void (*fatal)(void *arg, enum reeve_err err);
};

struct state;
/* index: of the last command that the store holds. */
enum reeve_err state_start(struct state **out, struct loop *loop, struct storage *store, uint64_t index, bool keep,
                           const struct state_host *host) REEVE_MUST_CHECK;
/* Any number; the caller bounds them. run and its commands are zeroed but for what goes in. */
void state_put(struct state *s, struct state_run *run);
/* Sync what is applied as soon as the queue is empty: somebody wants to read it. */
void state_flush(struct state *s);
/* Waits until everything is synced and given back, or the store has no room. Shutdown and tests. */
void state_drain(struct state *s);
/* Why the store takes nothing at the moment; OK: it does. */
enum reeve_err state_stalled(struct state *s);
/*
 * Ends the thread after its transaction. What is not synced is given back to no
 * one: it is in the log, or was never accepted; *left is the list, by later.
 */
void state_stop(struct state *s, struct state_run **left);

/* Frees what the thread put into a command. */
void state_command_clear(struct state_command *c);

#endif
