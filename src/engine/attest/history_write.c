/* history_write.c - history bundles out of the stored chain, piece by piece. */
#include "engine/attest_history.h"

#include "codec_int.h"
#include "state_int.h"

static enum reeve_err block_at(struct attest *a, uint64_t height, struct slice *block, struct finalization *f, size_t *len)
{
    enum reeve_err err = attest_block(a, height, block);
    if (err != REEVE_OK)
        return err;
    struct rd r = rd_of(*block);
    if (finalization_decode(f, &r) != REEVE_OK)
        return REEVE_E_CORRUPT;
    *len = (size_t) (r.p - block->p);
    return REEVE_OK;
}

/* The block that holds a leaf, and which leaf is its first. */
static enum reeve_err block_of(struct attest *a, uint64_t index, struct slice *block, struct finalization *f, uint64_t *first)
{
    struct slice leaf;
    uint64_t height;
    size_t len;
    enum reeve_err err;
    TRY(attest_leaf(a, index, &leaf, &height));
    TRY(block_at(a, height, block, f, &len));
    struct rd r = rd_of(slice_of(block->p + len, block->len - len));
    uint16_t n = rd_u16(&r);
    if (r.bad || n > f->header.log_size || index < f->header.log_size - n || index >= f->header.log_size)
        return REEVE_E_CORRUPT;
    *first = f->header.log_size - n;
out:
    return err;
}

/* The ends of epochs between two heights, as links. */
static enum reeve_err links_between(struct attest *a, uint64_t above, uint64_t below, struct wr *out)
{
    enum reeve_err err;
    struct attest_head head;
    TRY(attest_head(a, &head));
    uint64_t first = head.epoch, height;
    while (attest_epoch_height(a, first, &height) == REEVE_OK && height > above)
        first--;
    for (uint64_t e = first; e <= head.epoch && err == REEVE_OK; e++) {
        if (attest_epoch_height(a, e, &height) != REEVE_OK || height <= above)
            continue;
        if (height >= below)
            break;
        wr_u8(out, 3);
        size_t at = out->len;
        wr_u32(out, 0);
        err = attest_epoch_link(a, e, out);
        if (!out->bad)
            wr_patch_u32(out, at, (uint32_t) (out->len - at - 4));
    }
out:
    return err;
}

enum reeve_err attest_history_start(struct attest *a, uint64_t from, uint64_t to, uint64_t head_height,
                                    struct history_plan *p, struct wr *out)
{
    enum reeve_err err;
    struct finalization f;
    struct slice block, genesis;
    size_t len;
    uint64_t first;
    struct merkle_range range;
    struct merkle_log log = { a->kv, a->c, ATTEST_KV_PREFIX };
    TRY(block_at(a, head_height, &block, &f, &len));
    if (from > to || to >= f.header.log_size)
        return REEVE_E_OUT_OF_RANGE;
    *p = (struct history_plan){ .head_height = head_height };
    TRY(block_of(a, to, &block, &f, &first));
    p->end = f.header.log_size;
    TRY(block_of(a, from, &block, &f, &p->next));
    TRY(merkle_log_range(&log, p->next, &range));
    TRY(attest_genesis(a, &genesis));
    wr_text(out, HISTORY_MAGIC);
    wr_str32(out, genesis);
    wr_u64(out, range.size);
    for (int i = 0; i < __builtin_popcountll(range.size); i++)
        wr_bytes(out, range.h[i].b, 32);
    TRY(links_between(a, 0, f.header.height, out));
    err = out->bad ? REEVE_E_NOMEM : REEVE_OK;
out:
    return err;
}

enum reeve_err attest_history_blocks(struct attest *a, struct history_plan *p, size_t soft_max, struct wr *out)
{
    enum reeve_err err = REEVE_OK;
    struct finalization f;
    struct slice block;
    uint64_t first;
    while (p->next < p->end && out->len < soft_max) {
        TRY(block_of(a, p->next, &block, &f, &first));
        if (first != p->next)
            return REEVE_E_CORRUPT;
        wr_u8(out, 1);
        wr_str32(out, block);
        p->next = f.header.log_size;
        p->last_height = f.header.height;
    }
    err = out->bad ? REEVE_E_NOMEM : REEVE_OK;
out:
    return err;
}

enum reeve_err attest_history_end(struct attest *a, const struct history_plan *p, struct slice note, struct wr *out)
{
    enum reeve_err err;
    struct finalization f;
    struct slice block;
    struct hash32 path[MERKLE_PATH_MAX];
    size_t len, n;
    struct merkle_log log = { a->kv, a->c, ATTEST_KV_PREFIX };
    reeve_assert(p->next == p->end);
    TRY(links_between(a, p->last_height, p->head_height, out));
    TRY(block_at(a, p->head_height, &block, &f, &len));
    wr_u8(out, 0);
    wr_bytes(out, block.p, len);
    TRY(merkle_log_consistency(&log, p->end, f.header.log_size, path, &n));
    wr_u8(out, (uint8_t) n);
    for (size_t i = 0; i < n; i++)
        wr_bytes(out, path[i].b, 32);
    wr_str32(out, note);
    err = out->bad ? REEVE_E_NOMEM : REEVE_OK;
out:
    return err;
}

enum reeve_err attest_inclusion(struct attest *a, uint64_t index, uint64_t size, struct hash32 path[MERKLE_PATH_MAX], size_t *n)
{
    struct merkle_log log = { a->kv, a->c, ATTEST_KV_PREFIX };
    return merkle_log_inclusion(&log, index, size, path, n);
}

enum reeve_err attest_consistency(struct attest *a, uint64_t old, uint64_t size, struct hash32 path[MERKLE_PATH_MAX], size_t *n)
{
    struct merkle_log log = { a->kv, a->c, ATTEST_KV_PREFIX };
    return merkle_log_consistency(&log, old, size, path, n);
}
