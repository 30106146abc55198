/* log.c - the log in kv: complete subtrees by (level, index), roots and proofs of any size from them. */
#include "engine/merkle.h"

#define LOG_KEY_LEN 11

static struct slice log_key(const struct merkle_log *l, uint8_t mem[LOG_KEY_LEN], uint8_t level, uint64_t index)
{
    struct wr w = wr_fixed(mem, LOG_KEY_LEN);
    wr_u8(&w, l->prefix);
    wr_u8(&w, 'L');
    wr_u8(&w, level);
    wr_u64(&w, index);
    return wr_slice(&w);
}

static enum reeve_err subtree_get(struct merkle_log *l, uint8_t level, uint64_t index, struct hash32 *out)
{
    uint8_t mem[LOG_KEY_LEN];
    struct slice v;
    enum reeve_err err = kv_get(l->kv, log_key(l, mem, level, index), &v);
    if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && v.len != sizeof out->b))
        return REEVE_E_CORRUPT;
    if (err == REEVE_OK)
        memcpy(out->b, v.p, sizeof out->b);
    return err;
}

static enum reeve_err subtree_put(struct merkle_log *l, uint8_t level, uint64_t index, const struct hash32 *h)
{
    uint8_t mem[LOG_KEY_LEN];
    return kv_put(l->kv, log_key(l, mem, level, index), slice_of(h->b, sizeof h->b));
}

enum reeve_err merkle_log_node(struct merkle_log *l, uint8_t level, uint64_t index, struct hash32 *out)
{
    return subtree_get(l, level, index, out);
}

enum reeve_err merkle_log_append(struct merkle_log *l, uint64_t size, const struct hash32 *leaf)
{
    enum reeve_err err;
    reeve_assert(size < UINT64_MAX);
    struct hash32 h = *leaf, left;
    uint64_t index = size;
    TRY(subtree_put(l, 0, index, &h));
    for (uint8_t level = 0; index & 1; level++, index >>= 1) {
        TRY(subtree_get(l, level, index - 1, &left));
        merkle_node_hash(l->c, &h, &left, &h);
        TRY(subtree_put(l, level + 1, index >> 1, &h));
    }
out:
    return err;
}

/*
 * Root over leaves [lo, hi): lo is a multiple of the largest power of two in
 * hi - lo, so every piece of the binary decomposition is a stored subtree.
 */
static enum reeve_err range_hash(struct merkle_log *l, uint64_t lo, uint64_t hi, struct hash32 *out)
{
    enum reeve_err err = REEVE_OK;
    struct hash32 h;
    bool have = false;
    while (hi > lo) {
        uint8_t level = (uint8_t) __builtin_ctzll(hi - lo);
        hi -= UINT64_C(1) << level;
        TRY(subtree_get(l, level, hi >> level, have ? &h : out));
        if (have)
            merkle_node_hash(l->c, out, &h, out);
        have = true;
    }
out:
    return err;
}

enum reeve_err merkle_log_root(struct merkle_log *l, uint64_t size, struct hash32 *out)
{
    if (size == 0) {
        l->c->sha256(out, NULL, 0);
        return REEVE_OK;
    }
    return range_hash(l, 0, size, out);
}

enum reeve_err merkle_log_range(struct merkle_log *l, uint64_t size, struct merkle_range *out)
{
    enum reeve_err err = REEVE_OK;
    uint64_t lo = 0;
    size_t n = 0;
    merkle_range_init(out);
    for (int level = 63; level >= 0; level--) {
        if ((size >> level & 1) == 0)
            continue;
        TRY(subtree_get(l, (uint8_t) level, lo >> level, &out->h[n++]));
        lo += UINT64_C(1) << level;
    }
    out->size = size;
out:
    return err;
}

/* Largest power of two smaller than n; n >= 2. */
static uint64_t split_of(uint64_t n)
{
    return UINT64_C(1) << (63 - __builtin_clzll(n - 1));
}

static void reverse(struct hash32 *path, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct hash32 t = path[i];
        path[i] = path[n - 1 - i];
        path[n - 1 - i] = t;
    }
}

enum reeve_err merkle_log_inclusion(struct merkle_log *l, uint64_t index, uint64_t size,
                                    struct hash32 path[MERKLE_PATH_MAX], size_t *n)
{
    enum reeve_err err = REEVE_OK;
    uint64_t lo = 0, hi = size;
    *n = 0;
    if (index >= size)
        return REEVE_E_OUT_OF_RANGE;
    while (hi - lo > 1) {
        uint64_t mid = lo + split_of(hi - lo);
        if (index < mid) {
            TRY(range_hash(l, mid, hi, &path[(*n)++]));
            hi = mid;
        } else {
            TRY(range_hash(l, lo, mid, &path[(*n)++]));
            lo = mid;
        }
    }
    reverse(path, *n);
out:
    return err;
}

/* RFC 6962 2.1.2 SUBPROOF, unrolled: known tells whether [lo, hi) is a subtree the verifier computes itself. */
enum reeve_err merkle_log_consistency(struct merkle_log *l, uint64_t m, uint64_t n_size,
                                      struct hash32 path[MERKLE_PATH_MAX], size_t *n)
{
    enum reeve_err err = REEVE_OK;
    uint64_t lo = 0, hi = n_size;
    bool known = true;
    *n = 0;
    if (m > n_size)
        return REEVE_E_OUT_OF_RANGE;
    if (m == 0)
        return REEVE_OK;
    while (hi != m) {
        uint64_t mid = lo + split_of(hi - lo);
        if (m <= mid) {
            TRY(range_hash(l, mid, hi, &path[(*n)++]));
            hi = mid;
        } else {
            TRY(range_hash(l, lo, mid, &path[(*n)++]));
            lo = mid;
            known = false;
        }
    }
    if (!known)
        TRY(range_hash(l, lo, hi, &path[(*n)++]));
    reverse(path, *n);
out:
    return err;
}
