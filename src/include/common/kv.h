/*
 * kv.h - an ordered map of bytes, the only storage an engine knows
 *
 * LMDB implements it in production (backend/storage), a sorted array in tests
 * and simulation (sim/sim_kv). One handle is one transaction: the host begins
 * and commits it; an engine only reads and writes inside.
 *
 * Invariants
 *  K1 Keys are 1..KV_KEY_MAX bytes and ordered by memcmp, shorter first.
 *  K2 A slice handed out stays valid until the next write through the same
 *     handle or the end of the transaction, whichever comes first.
 *  K3 get/seek never see another transaction's uncommitted writes.
 *  K4 A failed write leaves the transaction usable only for abort.
 */
#ifndef REEVE_COMMON_KV_H
#define REEVE_COMMON_KV_H

#include "common/buf.h"

#define KV_KEY_MAX 500

struct kv_ops {
    enum reeve_err (*get)(void *h, struct slice key, struct slice *val);
    enum reeve_err (*put)(void *h, struct slice key, struct slice val);
    enum reeve_err (*del)(void *h, struct slice key);
    /* dir +1: the smallest key >= key (> key unless inclusive); -1: the largest <= / <. */
    enum reeve_err (*seek)(void *h, struct slice key, int dir, bool inclusive,
                           struct slice *key_out, struct slice *val);
};

struct kv {
    const struct kv_ops *ops;
    void *h;
};

/* REEVE_E_NOT_FOUND where there is no such key. */
enum reeve_err kv_get(struct kv *kv, struct slice key, struct slice *val) REEVE_MUST_CHECK;
enum reeve_err kv_put(struct kv *kv, struct slice key, struct slice val) REEVE_MUST_CHECK;
/* Deleting what is absent is REEVE_OK. */
enum reeve_err kv_del(struct kv *kv, struct slice key) REEVE_MUST_CHECK;
enum reeve_err kv_seek(struct kv *kv, struct slice key, int dir, bool inclusive,
                       struct slice *key_out, struct slice *val) REEVE_MUST_CHECK;

/*
 * Iteration over one prefix in key order:
 *     struct kv_iter it;
 *     kv_iter_init(&it, kv, prefix);
 *     while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK) ...
 *     // ends with REEVE_E_NOT_FOUND
 * Writing to keys already passed is allowed; the position is kept by value.
 */
struct kv_iter {
    struct kv *kv;
    uint8_t key[KV_KEY_MAX];
    size_t key_len, prefix_len;
    bool started;
};
void kv_iter_init(struct kv_iter *it, struct kv *kv, struct slice prefix);
enum reeve_err kv_iter_next(struct kv_iter *it, struct slice *key, struct slice *val) REEVE_MUST_CHECK;

#endif
