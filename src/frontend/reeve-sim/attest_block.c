/*
 * attest_block.c - what blocks contain, and whether that is valid
 *
 * Contents lie in one table of the run, found by the header's hash; a machine
 * uses only what it holds. A block is valid by its content and its ancestors
 * alone: right chain, epoch and set, next height on its parent, a later time,
 * the log as its leaves make it, and every update approved and new.
 */
#include "attest_int.h"

#include "crypto/ops.h"

#define BUCKETS 65536

uint64_t leaf_tag(uint64_t id)
{
    return (id + 0x5265657665) * 0x9e3779b97f4a7c15u;
}

static uint32_t bucket_of(const struct hash32 *hash)
{
    return (uint32_t) (hash->b[0] << 8 | hash->b[1]) % BUCKETS;
}

uint32_t block_find(const struct arig *r, const struct hash32 *hash)
{
    uint32_t i = bucket_of(hash);
    for (; r->bucket[i] != NO_BLOCK; i = (i + 1) % BUCKETS)
        if (hash32_eq(&r->block[r->bucket[i]].hash, hash))
            return r->bucket[i];
    return NO_BLOCK;
}

static uint32_t block_insert(struct arig *r, const struct block *b)
{
    uint32_t i = bucket_of(&b->hash);
    if (r->n_blocks == RIG_BLOCKS)
        return NO_BLOCK;
    while (r->bucket[i] != NO_BLOCK)
        i = (i + 1) % BUCKETS;
    r->bucket[i] = r->n_blocks;
    r->block[r->n_blocks] = *b;
    return r->n_blocks++;
}

/* The block's name covers the leaves only through payload_root: other leaves under the same header are no block. */
static bool leaves_belong(const struct block *b)
{
    struct merkle_range pay;
    struct hash32 root;
    merkle_range_init(&pay);
    for (unsigned i = 0; i < b->n; i++) {
        struct hash32 lh;
        merkle_leaf_hash(&crypto_ops_real, &lh, slice_of(&b->leaf[i], sizeof b->leaf[i]));
        merkle_range_append(&crypto_ops_real, &pay, &lh);
    }
    merkle_range_root(&crypto_ops_real, &pay, &root);
    return hash32_eq(&root, &b->h.payload_root);
}

static uint32_t block_keep(struct arig *r, struct block *b)
{
    header_hash(&crypto_ops_real, &b->hash, &b->h);
    uint32_t at = block_find(r, &b->hash);
    if (at != NO_BLOCK)
        return at;
    b->parent = NO_BLOCK;
    return block_insert(r, b);
}

uint32_t block_add(struct arig *r, const struct block_header *h, const struct leaf *leaf, unsigned n)
{
    struct block b = { .h = *h, .n = (uint16_t) n };
    memcpy(b.leaf, leaf, n * sizeof *leaf);
    return leaves_belong(&b) ? block_keep(r, &b) : NO_BLOCK;
}

uint32_t block_read(struct arig *r, struct rd *in)
{
    struct block b = { .n = 0 };
    enum reeve_err err = header_decode(&b.h, rd_bytes(in, ATTEST_HEADER_LEN));
    b.n = rd_u16(in);
    if (in->bad || err != REEVE_OK || b.n > BLOCK_LEAVES)
        return NO_BLOCK;
    for (unsigned i = 0; i < b.n; i++) {
        b.leaf[i].id = rd_u64(in);
        b.leaf[i].tag = rd_u64(in);
    }
    return in->bad || !leaves_belong(&b) ? NO_BLOCK : block_keep(r, &b);
}

void block_write(const struct block *b, struct wr *out)
{
    uint8_t header[ATTEST_HEADER_LEN];
    header_encode(&b->h, header);
    wr_bytes(out, header, sizeof header);
    wr_u16(out, b->n);
    for (unsigned i = 0; i < b->n; i++) {
        wr_u64(out, b->leaf[i].id);
        wr_u64(out, b->leaf[i].tag);
    }
}

/* The log after the parent; false when an ancestor is not known. Genesis is the block without a view. */
static bool log_before(struct arig *r, const struct block_header *h, uint32_t parent, struct merkle_range *log)
{
    if (h->height == 1) {
        merkle_range_init(log);
        return h->parent_view == 0 && hash32_eq(&h->parent_hash, &r->chain_id);
    }
    if (parent == NO_BLOCK || !r->block[parent].has_after)
        return false;
    *log = r->block[parent].after;
    return true;
}

static void log_append(struct merkle_range *log, const struct leaf *leaf, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct hash32 lh;
        merkle_leaf_hash(&crypto_ops_real, &lh, slice_of(&leaf[i], sizeof leaf[i]));
        merkle_range_append(&crypto_ops_real, log, &lh);
    }
}

static void payload_root(struct hash32 *out, const struct leaf *leaf, unsigned n)
{
    struct merkle_range pay;
    merkle_range_init(&pay);
    log_append(&pay, leaf, n);
    merkle_range_root(&crypto_ops_real, &pay, out);
}

void block_seal(struct arig *r, struct block_header *h, uint32_t parent, const struct leaf *leaf, unsigned n)
{
    struct merkle_range log;
    h->chain_id = r->chain_id;
    h->epoch = 1;
    h->valset_hash = h->next_valset_hash = r->set_hash;
    payload_root(&h->payload_root, leaf, n);
    if (!log_before(r, h, parent, &log))
        return;
    log_append(&log, leaf, n);
    h->log_size = log.size;
    merkle_range_root(&crypto_ops_real, &log, &h->log_root);
    h->state_root = h->log_root;
}

static bool header_follows(const struct arig *r, const struct block *b, uint32_t parent)
{
    const struct block_header *h = &b->h, *p = parent == NO_BLOCK ? NULL : &r->block[parent].h;
    if (!hash32_eq(&h->chain_id, &r->chain_id) || h->epoch != 1 || !hash32_eq(&h->valset_hash, &r->set_hash) ||
        !hash32_eq(&h->next_valset_hash, &r->set_hash))
        return false;
    if (p == NULL)
        return h->height == 1 && h->time.ms > 0;
    return h->height == p->height + 1 && h->parent_view == p->view && h->time.ms > p->time.ms && r->block[parent].valid;
}

static bool leaves_new(struct block *b)
{
    for (unsigned i = 0; i < b->n; i++) {
        const struct leaf *l = &b->leaf[i];
        if (l->id >= RIG_UPDATES || l->tag != leaf_tag(l->id) || (b->in_chain[l->id / 8] >> l->id % 8 & 1))
            return false;
        b->in_chain[l->id / 8] |= (uint8_t) (1u << l->id % 8);
    }
    return true;
}

static bool judge(struct arig *r, struct block *b)
{
    struct merkle_range log;
    struct hash32 root;
    if (!header_follows(r, b, b->parent) || !log_before(r, &b->h, b->parent, &log))
        return false;
    if (b->parent != NO_BLOCK)
        memcpy(b->in_chain, r->block[b->parent].in_chain, sizeof b->in_chain);
    log_append(&log, b->leaf, b->n);
    merkle_range_root(&crypto_ops_real, &log, &root);
    if (b->h.log_size != log.size || !hash32_eq(&root, &b->h.log_root) || !hash32_eq(&root, &b->h.state_root))
        return false;
    b->after = log;
    b->has_after = true;
    return leaves_new(b);
}

bool rule_takes_block(const struct machine *m, const struct block *k)
{
    for (unsigned i = 0; i < k->n; i++)
        if (!rule_takes(m, k->leaf[i].id))
            return false;
    return true;
}

bool block_valid(struct arig *r, uint32_t i)
{
    struct block *b = &r->block[i];
    if (b->judged)
        return b->valid;
    if (b->h.height > 1) {
        b->parent = block_find(r, &b->h.parent_hash);
        if (b->parent == NO_BLOCK || !r->block[b->parent].judged)
            return false;       /* whoever asks has judged the parent first, or it is not known */
    }
    b->judged = true;
    b->valid = judge(r, b);
    return b->valid;
}

struct simplex_block block_of(const struct arig *r, uint32_t i)
{
    const struct block *b = &r->block[i];
    return (struct simplex_block){ b->h.view, b->h.height, b->h.parent_view, b->hash, b->h.parent_hash };
}
