/* state.c - the tables: head, objects, leaves, blocks. */
#include "codec_int.h"
#include "state_int.h"
#include "common/text.h"

#define OBJECT_KEY_MAX (3 + NAME_MAX_LEN)
#define HEAD_MAX       (97 + ATTEST_HEADER_LEN)
#define OBJECT_ROW_LEN 76

size_t attest_scratch_size(void)
{
    return sizeof(struct attest_scratch);
}

struct attest_scratch *attest_scratch(struct attest *a)
{
    reeve_assert(a->scratch != NULL && a->scratch_len >= sizeof(struct attest_scratch));
    return a->scratch;
}

static struct slice table_key(uint8_t mem[2], char table)
{
    mem[0] = ATTEST_KV_PREFIX;
    mem[1] = (uint8_t) table;
    return slice_of(mem, 2);
}

static struct slice number_key(uint8_t mem[10], char table, uint64_t n)
{
    struct wr w = wr_fixed(mem, 10);
    wr_u8(&w, ATTEST_KV_PREFIX);
    wr_u8(&w, (uint8_t) table);
    wr_u64(&w, n);
    return wr_slice(&w);
}

static struct slice object_key(uint8_t mem[OBJECT_KEY_MAX], uint8_t type, struct slice name)
{
    struct wr w = wr_fixed(mem, OBJECT_KEY_MAX);
    wr_u8(&w, ATTEST_KV_PREFIX);
    wr_u8(&w, 'o');
    wr_u8(&w, type);
    wr_bytes(&w, name.p, name.len);
    return wr_slice(&w);
}

/* What must be there in a sound store. */
static enum reeve_err must(enum reeve_err err)
{
    return err == REEVE_E_NOT_FOUND ? REEVE_E_CORRUPT : err;
}

/* ---- head ---- */

enum reeve_err head_put(struct attest *a, const struct hash32 *chain_id, const struct hash32 *set_hash,
                        const struct hash32 *header_hash_, const struct block_header *h)
{
    uint8_t key[2], mem[HEAD_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_bytes(&w, chain_id->b, 32);
    wr_bytes(&w, set_hash->b, 32);
    wr_bytes(&w, header_hash_->b, 32);
    wr_u8(&w, h->height > 0);
    if (h->height > 0) {
        uint8_t *p = wr_reserve(&w, ATTEST_HEADER_LEN);
        reeve_assert(p != NULL);
        header_encode(h, p);
    } else {
        wr_u64(&w, h->epoch);
        at_put_time(&w, h->time);
    }
    return w.bad ? REEVE_E_BUG : kv_put(a->kv, table_key(key, 'h'), wr_slice(&w));
}

/* Genesis stands where a header of height 0 would. */
static void genesis_header(struct attest *a, struct attest_head *out, struct rd *r)
{
    struct block_header *h = &out->header;
    memset(h, 0, sizeof *h);
    h->chain_id = out->chain_id;
    h->valset_hash = h->next_valset_hash = out->set_hash;
    h->epoch = rd_u64(r);
    h->time = at_time(r);
    a->c->sha256(&h->log_root, NULL, 0);
}

enum reeve_err attest_head(struct attest *a, struct attest_head *out)
{
    uint8_t key[2];
    struct slice v;
    enum reeve_err err;
    memset(out, 0, sizeof *out);
    TRY(kv_get(a->kv, table_key(key, 'h'), &v));
    struct rd r = rd_of(v);
    rd_copy(&r, out->chain_id.b, 32);
    rd_copy(&r, out->set_hash.b, 32);
    rd_copy(&r, out->header_hash.b, 32);
    if (!at_flag(&r))
        genesis_header(a, out, &r);
    else if (header_decode(&out->header, rd_bytes(&r, ATTEST_HEADER_LEN)) != REEVE_OK)
        r.bad = true;
    if (!rd_done(&r))
        return REEVE_E_CORRUPT;
    out->height = out->header.height;
    out->epoch = out->header.epoch + (header_ends_epoch(&out->header) ? 1 : 0);
    out->log_size = out->header.log_size;
    out->log_root = out->header.log_root;
    out->state_root = out->header.state_root;
out:
    return err;
}

enum reeve_err attest_genesis(struct attest *a, struct slice *doc)
{
    uint8_t key[2];
    return kv_get(a->kv, table_key(key, 'g'), doc);
}

enum reeve_err attest_valset(struct attest *a, struct valset *set, struct slice *doc)
{
    uint8_t key[2];
    enum reeve_err err;
    TRY(kv_get(a->kv, table_key(key, 's'), doc));
    if (valset_decode(set, *doc) != REEVE_OK)
        return REEVE_E_CORRUPT;
out:
    return err;
}

enum reeve_err attest_skew_ms(struct attest *a, uint32_t *ms)
{
    struct valset set;
    struct slice doc;
    enum reeve_err err = attest_valset(a, &set, &doc);
    *ms = err == REEVE_OK && set.n == 1 ? 0 : ATTEST_MAX_SKEW_MS;
    return err;
}

enum reeve_err epoch_put(struct attest *a, struct slice set_doc, uint64_t epoch, uint64_t height)
{
    uint8_t key[10], mem[8];
    enum reeve_err err;
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, height);
    TRY(kv_put(a->kv, table_key(key, 's'), set_doc));
    err = kv_put(a->kv, number_key(key, 'e', epoch), wr_slice(&w));
out:
    return err;
}

enum reeve_err attest_epoch_height(struct attest *a, uint64_t epoch, uint64_t *height)
{
    uint8_t key[10];
    struct slice v;
    enum reeve_err err = kv_get(a->kv, number_key(key, 'e', epoch), &v);
    if (err != REEVE_OK)
        return err;
    struct rd r = rd_of(v);
    *height = rd_u64(&r);
    return rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err init_put(struct attest *a, struct slice genesis_doc, struct slice set_doc, const struct genesis *g)
{
    enum reeve_err err;
    uint8_t key[2];
    struct hash32 chain_id, set_hash;
    struct block_header h = { .epoch = g->set.epoch, .time = g->time };
    genesis_chain_id(a->c, &chain_id, genesis_doc);
    valset_hash(a->c, &set_hash, set_doc);
    TRY(kv_put(a->kv, table_key(key, 'g'), genesis_doc));
    TRY(kv_put(a->kv, table_key(key, 's'), set_doc));
    TRY(head_put(a, &chain_id, &set_hash, &chain_id, &h));
out:
    return err;
}

enum reeve_err attest_init(struct attest *a, struct slice genesis_doc)
{
    uint8_t key[2];
    struct slice v;
    struct genesis g;
    enum reeve_err err = kv_get(a->kv, table_key(key, 'h'), &v);
    if (err != REEVE_E_NOT_FOUND)
        return err == REEVE_OK ? REEVE_E_DUPLICATE_OBJECT : err;
    err = genesis_decode(&g, genesis_doc);
    if (err != REEVE_OK)
        return err;
    /* The set document is a part of the genesis document: take its very bytes. */
    struct rd r = rd_of(genesis_doc);
    (void) rd_bytes(&r, 1 + 1 + (size_t) g.chain.len + 8 + sizeof g.nonce);
    struct slice set_doc = rd_str32(&r, genesis_doc.len);
    reeve_assert(!r.bad);
    return init_put(a, genesis_doc, set_doc, &g);
}

/* ---- leaves and blocks ---- */

enum reeve_err leaf_put(struct attest *a, uint64_t index, uint64_t height, struct slice leaf)
{
    uint8_t key[10];
    struct attest_scratch *s = attest_scratch(a);
    struct wr w = wr_fixed(s->block, sizeof s->block);
    wr_u8(&w, 0);
    wr_u64(&w, height);
    wr_bytes(&w, leaf.p, leaf.len);
    return kv_put(a->kv, number_key(key, 'l', index), wr_slice(&w));
}

static enum reeve_err leaf_of_block(struct attest *a, uint64_t height, uint32_t at, uint32_t len, struct slice *leaf)
{
    struct slice block;
    enum reeve_err err = must(attest_block(a, height, &block));
    if (err != REEVE_OK)
        return err;
    if (at > block.len || len > block.len - at)
        return REEVE_E_CORRUPT;
    *leaf = slice_of(block.p + at, len);
    return REEVE_OK;
}

enum reeve_err attest_leaf(struct attest *a, uint64_t index, struct slice *leaf, uint64_t *height)
{
    uint8_t key[10];
    struct slice v;
    enum reeve_err err;
    TRY(kv_get(a->kv, number_key(key, 'l', index), &v));
    struct rd r = rd_of(v);
    bool inside = at_flag(&r);
    *height = rd_u64(&r);
    if (r.bad)
        return REEVE_E_CORRUPT;
    if (!inside) {
        *leaf = rd_bytes(&r, rd_left(&r));
        return REEVE_OK;
    }
    uint32_t at = rd_u32(&r), len = rd_u32(&r);
    if (!rd_done(&r))
        return REEVE_E_CORRUPT;
    err = leaf_of_block(a, *height, at, len, leaf);
out:
    return err;
}

enum reeve_err attest_block(struct attest *a, uint64_t height, struct slice *block)
{
    uint8_t key[10];
    return kv_get(a->kv, number_key(key, 'b', height), block);
}

static enum reeve_err leaf_refer(struct attest *a, uint64_t index, uint64_t height, uint32_t at, uint32_t len)
{
    uint8_t key[10], mem[17];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u8(&w, 1);
    wr_u64(&w, height);
    wr_u32(&w, at);
    wr_u32(&w, len);
    return kv_put(a->kv, number_key(key, 'l', index), wr_slice(&w));
}

enum reeve_err block_put(struct attest *a, uint64_t height, uint64_t log_size, struct slice block)
{
    uint8_t key[10];
    enum reeve_err err;
    struct attest_scratch *s = attest_scratch(a);
    struct rd r = rd_of(block);
    TRY(kv_put(a->kv, number_key(key, 'b', height), block));
    TRY(finalization_decode(&s->fin, &r));
    uint16_t n = rd_u16(&r);
    for (uint16_t i = 0; i < n; i++) {
        struct slice leaf = rd_str32(&r, ATTEST_LEAF_MAX);
        if (r.bad)
            return REEVE_E_BUG;
        TRY(leaf_refer(a, log_size - n + i, height, (uint32_t) (leaf.p - block.p), (uint32_t) leaf.len));
    }
out:
    return err;
}

/* ---- objects ---- */

enum reeve_err object_put(struct attest *a, const struct attest_object *o)
{
    uint8_t key[OBJECT_KEY_MAX], mem[OBJECT_ROW_LEN];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, o->version);
    wr_u64(&w, o->leaf_index);
    wr_u64(&w, o->height);
    wr_bytes(&w, o->leaf_hash.b, 32);
    at_put_time(&w, o->time);
    at_put_time(&w, o->aux_time);
    wr_u32(&w, o->gen_max);
    reeve_assert(!w.bad);
    return kv_put(a->kv, object_key(key, o->update.type, name_slice(&o->update.object)), wr_slice(&w));
}

static enum reeve_err object_read(struct attest *a, struct slice row, struct attest_object *o)
{
    struct rd r = rd_of(row);
    uint64_t height;
    memset(o, 0, sizeof *o);
    o->version = rd_u64(&r);
    o->leaf_index = rd_u64(&r);
    o->height = rd_u64(&r);
    rd_copy(&r, o->leaf_hash.b, 32);
    o->time = at_time(&r);
    o->aux_time = at_time(&r);
    o->gen_max = rd_u32(&r);
    if (!rd_done(&r))
        return REEVE_E_CORRUPT;
    enum reeve_err err = must(attest_leaf(a, o->leaf_index, &o->leaf, &height));
    if (err == REEVE_OK && update_decode(&o->update, o->leaf) != REEVE_OK)
        err = REEVE_E_CORRUPT;
    return err;
}

enum reeve_err attest_get(struct attest *a, enum attest_type type, const struct name *name, struct attest_object *out)
{
    uint8_t key[OBJECT_KEY_MAX];
    struct slice row;
    enum reeve_err err = kv_get(a->kv, object_key(key, (uint8_t) type, name_slice(name)), &row);
    return err == REEVE_OK ? object_read(a, row, out) : err;
}

enum reeve_err attest_next(struct attest *a, enum attest_type type, struct name *after, struct attest_object *out)
{
    uint8_t mem[OBJECT_KEY_MAX];
    struct slice key, row, from = object_key(mem, (uint8_t) type, name_slice(after));
    enum reeve_err err = kv_seek(a->kv, from, 1, false, &key, &row);
    if (err != REEVE_OK)
        return err;
    if (key.len <= 3 || memcmp(key.p, mem, 3) != 0)
        return REEVE_E_NOT_FOUND;
    if (!name_set(after, slice_of(key.p + 3, key.len - 3)))
        return REEVE_E_CORRUPT;
    return object_read(a, row, out);
}
