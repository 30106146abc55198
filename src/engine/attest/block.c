/* block.c - blocks as bytes. */
#include "codec_int.h"

void block_encode(const struct finalization *f, const struct slice *leaves, size_t n, struct wr *out)
{
    finalization_encode(f, out);
    reeve_assert(n <= ATTEST_BLOCK_LEAVES_MAX);
    wr_u16(out, (uint16_t) n);
    for (size_t i = 0; i < n; i++)
        wr_str32(out, leaves[i]);
}

enum reeve_err block_decode(struct finalization *f, struct slice *leaves, size_t cap, size_t *n, struct slice in)
{
    struct rd r = rd_of(in);
    *n = 0;
    if (in.len > ATTEST_BLOCK_MAX)
        return REEVE_E_TOO_BIG;
    if (finalization_decode(f, &r) != REEVE_OK)
        return REEVE_E_MALFORMED;
    uint16_t count = rd_u16(&r);
    if (count > cap || count > ATTEST_BLOCK_LEAVES_MAX)
        return REEVE_E_TOO_BIG;
    for (uint16_t i = 0; i < count; i++)
        leaves[i] = rd_str32(&r, ATTEST_LEAF_MAX);
    if (!rd_done(&r))
        return REEVE_E_MALFORMED;
    *n = count;
    return REEVE_OK;
}

void block_payload_root(const struct crypto_ops *c, const struct slice *leaves, size_t n, struct hash32 *out)
{
    struct merkle_range range;
    struct hash32 h;
    merkle_range_init(&range);
    for (size_t i = 0; i < n; i++) {
        merkle_leaf_hash(c, &h, leaves[i]);
        merkle_range_append(c, &range, &h);
    }
    merkle_range_root(c, &range, out);
}

static enum reeve_err verify(const struct crypto_ops *c, struct slice in, const struct hash32 *chain_id, const struct valset *set,
                             const struct hash32 *set_hash, struct finalization *f, struct slice *payload)
{
    struct slice leaves[ATTEST_BLOCK_LEAVES_MAX];
    struct hash32 root;
    size_t n;
    enum reeve_err err = block_decode(f, leaves, ATTEST_BLOCK_LEAVES_MAX, &n, in);
    if (err == REEVE_OK)
        err = finalization_verify(c, f, chain_id, set, set_hash);
    if (err != REEVE_OK)
        return err;
    block_payload_root(c, leaves, n, &root);
    *payload = valset_payload_find(leaves, n);
    return hash32_eq(&root, &f->header.payload_root) ? REEVE_OK : REEVE_E_V_LEAF;
}

enum reeve_err block_verify(const struct crypto_ops *c, struct slice in, const struct hash32 *chain_id, const struct valset *set,
                            const struct hash32 *set_hash, struct finalization *f)
{
    struct slice payload;
    return verify(c, in, chain_id, set, set_hash, f, &payload);
}

enum reeve_err block_follow(const struct crypto_ops *c, struct slice in, const struct hash32 *chain_id, struct valset *set,
                            struct hash32 *set_hash, struct finalization *f)
{
    struct slice payload;
    enum reeve_err err = verify(c, in, chain_id, set, set_hash, f, &payload);
    if (err == REEVE_OK && header_ends_epoch(&f->header))
        err = valset_advance(c, f, payload, set, set_hash);
    return err;
}
