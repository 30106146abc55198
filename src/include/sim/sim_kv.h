/*
 * sim_kv.h - kv.h over a sorted array, for tests and simulation
 *
 * One writer with begin/commit/abort, any number of snapshots of what was
 * committed. Outside a transaction writes take effect at once (each its own
 * transaction). Entries are immutable and counted, so a snapshot costs one
 * pointer per key.
 *
 * Invariants
 *  V1 abort restores exactly what stood at begin (an undo journal, replayed backwards).
 *  V2 a snapshot never sees uncommitted writes (K3) and never changes.
 *  V3 in strict mode every slice handed out is overwritten and freed at the
 *     next write or the end of the transaction, so that a breach of K2 shows.
 */
#ifndef REEVE_SIM_SIM_KV_H
#define REEVE_SIM_SIM_KV_H

#include "common/kv.h"

struct sim_kv;

/* NULL when memory is short. */
struct sim_kv *sim_kv_new(void);
void sim_kv_free(struct sim_kv *s);
/* The handle engines are given; valid as long as s, across transactions. */
struct kv *sim_kv_handle(struct sim_kv *s);

void sim_kv_begin(struct sim_kv *s);
void sim_kv_commit(struct sim_kv *s);
void sim_kv_abort(struct sim_kv *s);
bool sim_kv_in_txn(const struct sim_kv *s);

/* A frozen copy of the last committed state; writes to it fail with BUG. Free it with sim_kv_free. */
struct sim_kv *sim_kv_snapshot(const struct sim_kv *s);

void sim_kv_strict(struct sim_kv *s, bool on);
/* The n-th write from now fails once with IO (0: never): how engines meet a full disk. */
void sim_kv_fail_after(struct sim_kv *s, unsigned writes);
size_t sim_kv_count(const struct sim_kv *s);
/* Same keys and values, uncommitted ones included? */
bool sim_kv_equal(const struct sim_kv *a, const struct sim_kv *b);

#endif
