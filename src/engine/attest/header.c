/* header.c - block headers and the bytes validators sign. */
#include "codec_int.h"

void header_encode(const struct block_header *h, uint8_t out[ATTEST_HEADER_LEN])
{
    struct wr w = wr_fixed(out, ATTEST_HEADER_LEN);
    wr_u8(&w, 1);
    wr_bytes(&w, h->chain_id.b, 32);
    wr_u64(&w, h->epoch);
    wr_bytes(&w, h->valset_hash.b, 32);
    wr_bytes(&w, h->next_valset_hash.b, 32);
    wr_u64(&w, h->view);
    wr_u64(&w, h->height);
    wr_u64(&w, h->parent_view);
    wr_bytes(&w, h->parent_hash.b, 32);
    at_put_time(&w, h->time);
    wr_u64(&w, h->log_size);
    wr_bytes(&w, h->log_root.b, 32);
    wr_bytes(&w, h->state_root.b, 32);
    wr_bytes(&w, h->payload_root.b, 32);
    wr_u16(&w, h->proposer);
    reeve_assert(!w.bad && w.len == ATTEST_HEADER_LEN);
}

enum reeve_err header_decode(struct block_header *h, struct slice in)
{
    struct rd r = rd_of(in);
    memset(h, 0, sizeof *h);
    at_version(&r);
    rd_copy(&r, h->chain_id.b, 32);
    h->epoch = rd_u64(&r);
    rd_copy(&r, h->valset_hash.b, 32);
    rd_copy(&r, h->next_valset_hash.b, 32);
    h->view = rd_u64(&r);
    h->height = rd_u64(&r);
    h->parent_view = rd_u64(&r);
    rd_copy(&r, h->parent_hash.b, 32);
    h->time = at_time(&r);
    h->log_size = rd_u64(&r);
    rd_copy(&r, h->log_root.b, 32);
    rd_copy(&r, h->state_root.b, 32);
    rd_copy(&r, h->payload_root.b, 32);
    h->proposer = rd_u16(&r);
    if (h->view == 0 || h->height == 0 || h->parent_view >= h->view || h->proposer >= ATTEST_VALIDATORS_MAX)
        r.bad = true;       /* view 0 and height 0 are genesis, which has no header */
    return at_finish(&r);
}

void header_hash(const struct crypto_ops *c, struct hash32 *out, const struct block_header *h)
{
    uint8_t bytes[ATTEST_HEADER_LEN];
    header_encode(h, bytes);
    labelled_hash(c, out, "reeve-header-v1", slice_of(bytes, sizeof bytes), slice_of(NULL, 0));
}

void vote_bytes(const struct vote *v, uint8_t out[ATTEST_VOTE_LEN])
{
    struct wr w = wr_fixed(out, ATTEST_VOTE_LEN);
    wr_u8(&w, 0);
    wr_text(&w, "reeve-bft-v1");
    wr_u8(&w, 0);
    wr_u8(&w, v->type);
    wr_bytes(&w, v->chain_id.b, 32);
    wr_u64(&w, v->epoch);
    wr_bytes(&w, v->valset_hash.b, 32);
    wr_u64(&w, v->view);
    wr_u64(&w, v->height);
    wr_bytes(&w, v->block_hash.b, 32);
    wr_u64(&w, v->parent_view);
    wr_bytes(&w, v->parent_hash.b, 32);
    reeve_assert(!w.bad && w.len == ATTEST_VOTE_LEN);
}

void vote_of_header(const struct crypto_ops *c, struct vote *v, enum vote_type type, const struct block_header *h)
{
    memset(v, 0, sizeof *v);
    v->type = (uint8_t) type;
    v->chain_id = h->chain_id;
    v->epoch = h->epoch;
    v->valset_hash = h->valset_hash;
    v->view = h->view;
    if (type == VOTE_NULLIFY)       /* says something about the view alone */
        return;
    v->height = h->height;
    header_hash(c, &v->block_hash, h);
    v->parent_view = h->parent_view;
    v->parent_hash = h->parent_hash;
}
