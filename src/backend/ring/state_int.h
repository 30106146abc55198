/* state_int.h - what the two halves of the state writer share (state.c the queue, state_txn.c the transaction) */
#ifndef REEVE_BACKEND_RING_STATE_INT_H
#define REEVE_BACKEND_RING_STATE_INT_H

#include "backend/ring/state.h"

/*
 * A transaction and what it holds. Only the thread touches it. A kv of its own
 * stands before the store's: it notes whether the store failed, which no
 * command is to blame for, and whether anything was written.
 */
struct state_txn {
    struct storage *store;
    const struct state_host *host;
    struct storage_txn *txn;            /* NULL: none is open */
    struct kv kv, *inner;
    enum reeve_err bad;                 /* the store's first error */
    bool wrote;
    bool summing;                       /* a command is being applied */
    struct state_sum sum, sum_before;   /* in the transaction; as it is stored */
    uint64_t index, synced_index;       /* in the transaction; at its beginning */
    struct state_run *first, **tail;    /* the runs in it */
    unsigned n;
    size_t bytes;
};

void state_txn_init(struct state_txn *t, struct storage *store, uint64_t index, const struct state_host *host);
/* Applies one more run. An error is the store's; then the transaction is over and its runs still stand in the list. */
enum reeve_err state_txn_add(struct state_txn *t, struct state_run *run) REEVE_MUST_CHECK;
/* Applies all its runs again, in a new transaction. */
enum reeve_err state_txn_again(struct state_txn *t) REEVE_MUST_CHECK;
/* Syncs. Error: nothing happened (DISK_FULL), or nobody knows (any other). */
enum reeve_err state_txn_commit(struct state_txn *t) REEVE_MUST_CHECK;
void state_txn_abort(struct state_txn *t);
/* The runs in it, cut off; it is empty then. */
struct state_run *state_txn_take(struct state_txn *t);

#endif
