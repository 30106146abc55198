/* store.c - rows to and from kv, through the scratch row buffer. */
#include "engine/region/region_int.h"

enum reeve_err put_bytes(struct kv *kv, const struct rkey *k, struct slice v)
{
    return kv_put(kv, rkey_slice(k), v);
}

enum reeve_err key_exists(struct kv *kv, const struct rkey *k, bool *yes)
{
    struct slice v;
    enum reeve_err err = kv_get(kv, rkey_slice(k), &v);
    *yes = err == REEVE_OK;
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

enum reeve_err del_prefix(struct kv *kv, const struct rkey *prefix)
{
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err;
    kv_iter_init(&it, kv, rkey_slice(prefix));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK)
        if ((err = kv_del(kv, slice_of(it.key, it.key_len))) != REEVE_OK)
            return err;
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

/* A stored row that does not decode was not written by us. */
#define STORE(kind) \
    enum reeve_err store_##kind(struct apply *a, const struct rkey *k, const struct kind##_row *row) \
    { \
        struct wr w = wr_fixed(a->s->row, sizeof a->s->row); \
        kind##_row_encode(row, &w); \
        return w.bad ? REEVE_E_BUG : put_bytes(a->kv, k, wr_slice(&w)); \
    } \
    enum reeve_err load_##kind(struct kv *kv, const struct rkey *k, struct kind##_row *row) \
    { \
        struct slice v; \
        enum reeve_err err = kv_get(kv, rkey_slice(k), &v); \
        if (err == REEVE_OK && kind##_row_decode(row, v) != REEVE_OK) \
            err = REEVE_E_CORRUPT; \
        return err; \
    }
STORE(node)
STORE(config)
STORE(role)
STORE(token)
STORE(strategy)
STORE(window)
STORE(workload)
STORE(deploy)
STORE(rollout_node)
STORE(wave)
STORE(issue)
STORE(proposal)
