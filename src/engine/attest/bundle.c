/* bundle.c - proofs of the newest state for agents. */
#include "codec_int.h"
#include "state_int.h"

static enum reeve_err object_prove(struct attest *a, const struct object_key *k, struct wr *out)
{
    enum reeve_err err;
    struct attest_object o;
    struct hash32 key;
    struct merkle_map map = { a->kv, a->c, ATTEST_KV_PREFIX };
    err = attest_get(a, (enum attest_type) k->type, &k->name, &o);
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        return err;
    wr_u8(out, k->type);
    wr_name(out, &k->name);
    wr_u8(out, err == REEVE_OK);
    if (err == REEVE_OK)
        wr_str32(out, o.leaf);
    object_map_key(a->c, &key, k->type, &k->name);
    TRY(merkle_map_prove(&map, &key, out));
out:
    return err;
}

static enum reeve_err consistency_prove(struct attest *a, uint64_t from_size, uint64_t size, struct wr *out)
{
    enum reeve_err err;
    struct hash32 path[MERKLE_PATH_MAX];
    size_t n;
    struct merkle_log log = { a->kv, a->c, ATTEST_KV_PREFIX };
    TRY(merkle_log_consistency(&log, from_size, size, path, &n));
    wr_u8(out, (uint8_t) n);
    for (size_t i = 0; i < n; i++)
        wr_bytes(out, path[i].b, 32);
out:
    return err;
}

/* The finalization is the beginning of the stored block; its length follows from its bitmap. */
static enum reeve_err finalization_copy(struct attest *a, uint64_t height, struct wr *out)
{
    enum reeve_err err;
    struct slice block;
    struct finalization f;
    TRY(attest_block(a, height, &block));
    struct rd r = rd_of(block);
    if (finalization_decode(&f, &r) != REEVE_OK)
        return REEVE_E_CORRUPT;
    wr_bytes(out, block.p, (size_t) (r.p - block.p));
out:
    return err;
}

/* The log's size after a stored block; the payload of its set change where it ended an epoch. */
static enum reeve_err epoch_block(struct attest *a, uint64_t height, uint64_t *log_size, struct slice *payload)
{
    struct slice block, leaves[ATTEST_BLOCK_LEAVES_MAX];
    struct finalization f;
    size_t n;
    enum reeve_err err = attest_block(a, height, &block);
    if (err != REEVE_OK)
        return err;
    if (block_decode(&f, leaves, ATTEST_BLOCK_LEAVES_MAX, &n, block) != REEVE_OK)
        return REEVE_E_CORRUPT;
    *log_size = f.header.log_size;
    *payload = valset_payload_find(leaves, n);
    return payload->len > 0 ? REEVE_OK : REEVE_E_CORRUPT;
}

enum reeve_err attest_epoch_link(struct attest *a, uint64_t epoch, struct wr *out)
{
    enum reeve_err err;
    uint64_t height, log_size;
    struct slice payload;
    TRY(attest_epoch_height(a, epoch, &height));
    TRY(epoch_block(a, height, &log_size, &payload));
    TRY(finalization_copy(a, height, out));
    wr_str32(out, payload);
out:
    return err;
}

/*
 * Links of the epochs that may be news to who knows the log up to from_size: those that ended there or later, for he who has
 * seen the very block that ended one knows the set behind it only by its hash. Not the head's own: nobody can have decided
 * anything under the set behind it.
 */
static enum reeve_err epoch_links(struct attest *a, const struct attest_head *head, uint64_t from_size, struct wr *out)
{
    enum reeve_err err = REEVE_OK;
    uint64_t first = head->header.epoch + 1, height, log_size;
    struct slice payload;
    for (; attest_epoch_height(a, first - 1, &height) == REEVE_OK; first--) {
        TRY(epoch_block(a, height, &log_size, &payload));
        if (log_size < from_size)
            break;
    }
    if (head->header.epoch - first + 1 > UINT16_MAX)
        return REEVE_E_TOO_BIG;
    wr_u8(out, first <= head->header.epoch ? 2 : 1);
    if (first <= head->header.epoch)
        wr_u16(out, (uint16_t) (head->header.epoch - first + 1));
    for (uint64_t e = first; e <= head->header.epoch; e++)
        TRY(attest_epoch_link(a, e, out));
out:
    return err;
}

enum reeve_err attest_bundle(struct attest *a, uint64_t from_size, const struct object_key *keys, size_t n,
                             struct wr *out)
{
    enum reeve_err err;
    struct attest_head head;
    if (n > UINT16_MAX)
        return REEVE_E_TOO_BIG;
    TRY(attest_head(a, &head));
    if (head.height == 0)
        return REEVE_E_NOT_FOUND;
    TRY(epoch_links(a, &head, from_size, out));
    TRY(finalization_copy(a, head.height, out));
    TRY(consistency_prove(a, from_size, head.log_size, out));
    wr_u16(out, (uint16_t) n);
    for (size_t i = 0; i < n; i++)
        TRY(object_prove(a, &keys[i], out));
    if (out->bad)
        return REEVE_E_TOO_BIG;
out:
    return err;
}

enum reeve_err attest_bundle_of_size(struct attest *a, uint64_t from_size, uint64_t size, const struct hash32 *root, struct wr *out)
{
    enum reeve_err err;
    struct slice leaf, block;
    struct finalization f;
    uint64_t height;
    if (size == 0 || from_size > size)
        return REEVE_E_V_CONSISTENCY;
    TRY(attest_leaf(a, size - 1, &leaf, &height));
    TRY(attest_block(a, height, &block));
    struct rd r = rd_of(block);
    if (finalization_decode(&f, &r) != REEVE_OK)
        return REEVE_E_CORRUPT;
    if (f.header.log_size != size || !hash32_eq(&f.header.log_root, root))
        return REEVE_E_V_CONSISTENCY;
    wr_u8(out, 1);
    wr_bytes(out, block.p, (size_t) (r.p - block.p));
    TRY(consistency_prove(a, from_size, size, out));
    wr_u16(out, 0);
    if (out->bad)
        return REEVE_E_TOO_BIG;
out:
    return err;
}
