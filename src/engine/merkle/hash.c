/* hash.c - RFC 6962 hashes and the compact range. */
#include "engine/merkle.h"

void merkle_leaf_hash(const struct crypto_ops *c, struct hash32 *out, struct slice data)
{
    const struct slice parts[] = { slice_of("\x00", 1), data };
    c->sha256(out, parts, 2);
}

void merkle_node_hash(const struct crypto_ops *c, struct hash32 *out, const struct hash32 *l, const struct hash32 *r)
{
    const struct slice parts[] = { slice_of("\x01", 1), slice_of(l->b, 32), slice_of(r->b, 32) };
    c->sha256(out, parts, 3);
}

void merkle_range_init(struct merkle_range *r)
{
    memset(r, 0, sizeof *r);
}

/* The entries of a range are the one bits of its size, highest first. */
static unsigned range_count(uint64_t size)
{
    return (unsigned) __builtin_popcountll(size);
}

void merkle_range_append(const struct crypto_ops *c, struct merkle_range *r, const struct hash32 *leaf)
{
    reeve_assert(r->size < UINT64_MAX);
    unsigned n = range_count(r->size);
    struct hash32 h = *leaf;
    for (uint64_t s = r->size; s & 1; s >>= 1)
        merkle_node_hash(c, &h, &r->h[--n], &h);
    r->h[n] = h;
    r->size++;
}

void merkle_range_root(const struct crypto_ops *c, const struct merkle_range *r, struct hash32 *out)
{
    unsigned n = range_count(r->size);
    if (n == 0) {
        c->sha256(out, NULL, 0);
        return;
    }
    struct hash32 h = r->h[--n];
    while (n > 0)
        merkle_node_hash(c, &h, &r->h[--n], &h);
    *out = h;
}
