/* config_history.c - config bundles: written out of a region's state, read and judged without it. */
#include "engine/region_history.h"
#include "engine/region/region_int.h"

#define DIGEST_LEN 32

/* ---- writing ---- */

enum reeve_err config_history_start(struct region *r, uint64_t first, uint64_t end, struct wr *out)
{
    struct merkle_log log = { r->kv, r->c, REGION_KV_PREFIX };
    struct merkle_range range;
    enum reeve_err err;
    reeve_assert(first <= end);
    TRY(merkle_log_range(&log, first, &range));
    wr_text(out, CONFIG_BUNDLE_MAGIC);
    wr_u64(out, first);
    for (int i = 0; i < __builtin_popcountll(first); i++)
        wr_bytes(out, range.h[i].b, 32);
    wr_u64(out, end - first);
    err = out->bad ? REEVE_E_NOMEM : REEVE_OK;
out:
    return err;
}

enum reeve_err config_history_leaves(struct region *r, uint64_t *next, uint64_t end, size_t soft_max, struct wr *out)
{
    enum reeve_err err = REEVE_OK;
    for (; *next < end && out->len < soft_max; ++*next) {
        size_t at = out->len;
        wr_u32(out, 0);
        TRY(config_log_leaf(r, *next, out));
        wr_patch_u32(out, at, (uint32_t) (out->len - at - 4));
    }
out:
    return err;
}

enum reeve_err config_history_end(struct region *r, uint64_t end, uint64_t size, uint64_t leaf_index, struct slice bundle,
                                  struct wr *out)
{
    struct merkle_log log = { r->kv, r->c, REGION_KV_PREFIX };
    struct hash32 path[MERKLE_PATH_MAX];
    size_t n;
    enum reeve_err err;
    TRY(merkle_log_consistency(&log, end, size, path, &n));
    wr_u8(out, (uint8_t) n);
    for (size_t i = 0; i < n; i++)
        wr_bytes(out, path[i].b, 32);
    wr_u64(out, leaf_index);
    wr_str32(out, bundle);
    err = out->bad ? REEVE_E_NOMEM : REEVE_OK;
out:
    return err;
}

/* ---- reading ---- */

enum reeve_err config_leaf_decode(struct config_leaf *l, struct slice in)
{
    struct rd r = rd_of(in);
    bool known = rd_u8(&r) == 1;
    l->revision = rd_u64(&r);
    l->n = rd_u16(&r);
    rd_copy(&r, l->value.b, 32);
    struct slice row = rd_bytes(&r, rd_left(&r));
    return !r.bad && known && history_row_decode(&l->row, row) == REEVE_OK ? REEVE_OK : REEVE_E_MALFORMED;
}

enum reeve_err config_history_open(struct config_reader *h, struct slice in)
{
    size_t magic = strlen(CONFIG_BUNDLE_MAGIC);
    memset(h, 0, sizeof *h);
    if (in.len < magic + DIGEST_LEN || memcmp(in.p, CONFIG_BUNDLE_MAGIC, magic) != 0)
        return REEVE_E_MALFORMED;
    h->r = rd_of(slice_of(in.p + magic, in.len - magic - DIGEST_LEN));
    h->first = rd_u64(&h->r);
    merkle_range_init(&h->start);
    for (int i = 0; i < __builtin_popcountll(h->first); i++)
        rd_copy(&h->r, h->start.h[i].b, 32);
    h->start.size = h->first;
    h->n = rd_u64(&h->r);
    return h->r.bad || h->n == 0 || h->n > UINT64_MAX - 1 - h->first ? REEVE_E_MALFORMED : REEVE_OK;
}

enum reeve_err config_history_next(struct config_reader *h, struct slice *leaf)
{
    if (h->at == h->n)
        return REEVE_E_NOT_FOUND;
    *leaf = rd_str32(&h->r, CONFIG_LEAF_MAX);
    h->at++;
    return h->r.bad ? REEVE_E_MALFORMED : REEVE_OK;
}

/* ---- judging ---- */

struct judging {
    const struct crypto_ops *c;
    const struct hash32 *chain_id;
    struct history_work *work;
    struct config_facts *f;
    struct report *rep;
    struct merkle_range log;
};

static unsigned long long ull(uint64_t v) { return (unsigned long long) v; }

static enum reeve_err digest_check(struct judging *j, struct slice in)
{
    struct hash32 sum;
    struct slice body = slice_of(in.p, in.len - DIGEST_LEN);
    j->c->sha256(&sum, &body, 1);
    if (memcmp(sum.b, in.p + body.len, DIGEST_LEN) != 0)
        return report_set(j->rep, REEVE_E_MALFORMED, "the bundle's bytes do not have the digest that it ends with");
    return REEVE_OK;
}

static enum reeve_err leaves_check(struct judging *j, struct config_reader *h)
{
    struct config_leaf l, last = { .revision = 0 };
    struct slice leaf;
    struct hash32 hash;
    enum reeve_err err;
    while ((err = config_history_next(h, &leaf)) == REEVE_OK) {
        uint64_t index = h->first + h->at - 1;
        if (config_leaf_decode(&l, leaf) != REEVE_OK)
            return report_set(j->rep, REEVE_E_V_LEAF, "change %llu does not parse", ull(index));
        if (h->at > 1 && (l.revision < last.revision || (l.revision == last.revision && l.n <= last.n)))
            return report_set(j->rep, REEVE_E_V_LEAF, "change %llu does not come behind the one before", ull(index));
        last = l;
        merkle_leaf_hash(j->c, &hash, leaf);
        merkle_range_append(j->c, &j->log, &hash);
    }
    if (err != REEVE_E_NOT_FOUND)
        return report_set(j->rep, err, "the changes do not parse to their end");
    return REEVE_OK;
}

/* The checkpoint's leaf, out of the history bundle that has been verified. */
static enum reeve_err checkpoint_find(struct judging *j, struct slice bundle)
{
    struct history_reader h;
    struct history_block *b = &j->work->b;
    struct update u;
    enum reeve_err err = history_open(&h, bundle);
    while (err == REEVE_OK && (err = history_next(&h, b)) == REEVE_OK)
        if (j->f->leaf_index >= b->first && j->f->leaf_index - b->first < b->n)
            break;
    if (err != REEVE_OK || update_decode(&u, b->leaf[j->f->leaf_index - b->first]) != REEVE_OK)
        return report_set(j->rep, REEVE_E_V_LEAF, "the global log in the bundle has no update %llu", ull(j->f->leaf_index));
    if (u.type != AT_CHECKPOINT || u.op != 1 || checkpoint_doc_decode(&j->f->checkpoint, u.payload) != REEVE_OK)
        return report_set(j->rep, REEVE_E_V_LEAF, "update %llu of the global log is no region's checkpoint", ull(j->f->leaf_index));
    j->f->region = u.object;
    j->f->version = u.version;
    j->f->at = b->f.header.time;
    return REEVE_OK;
}

static enum reeve_err log_check(struct judging *j, const struct hash32 *path, size_t n)
{
    const struct checkpoint_doc *d = &j->f->checkpoint;
    struct hash32 root;
    merkle_range_root(j->c, &j->log, &root);
    if (j->log.size <= d->size &&
        merkle_consistency_verify(j->c, j->log.size, d->size, &root, &d->root, path, n) == REEVE_OK)
        return REEVE_OK;
    return report_set(j->rep, REEVE_E_V_CONSISTENCY, "the changes are not those that region \"%s\" had attested: some are missing, "
                      "added or changed", j->f->region.s);
}

static enum reeve_err tail_check(struct judging *j, struct config_reader *h)
{
    struct hash32 path[MERKLE_PATH_MAX];
    enum reeve_err err;
    size_t n = rd_u8(&h->r);
    if (n > MERKLE_PATH_MAX)
        h->r.bad = true;
    for (size_t i = 0; i < n && !h->r.bad; i++)
        rd_copy(&h->r, path[i].b, 32);
    j->f->leaf_index = rd_u64(&h->r);
    struct slice bundle = rd_str32(&h->r, UINT32_MAX);
    if (!rd_done(&h->r))
        return report_set(j->rep, REEVE_E_MALFORMED, "what is behind the changes does not parse");
    TRY(history_verify(j->c, j->chain_id, bundle, j->work, j->rep));
    TRY(checkpoint_find(j, bundle));
    err = log_check(j, path, n);
out:
    return err;
}

enum reeve_err config_history_verify(const struct crypto_ops *c, const struct hash32 *chain_id, struct slice in,
                                     struct history_work *work, struct config_facts *f, struct report *rep)
{
    struct judging j = { .c = c, .chain_id = chain_id, .work = work, .f = f, .rep = rep };
    struct config_reader h;
    enum reeve_err err;
    memset(f, 0, sizeof *f);
    if (config_history_open(&h, in) != REEVE_OK)
        return report_set(rep, REEVE_E_MALFORMED, "this is no whole config bundle");
    TRY(digest_check(&j, in));
    j.log = h.start;
    TRY(leaves_check(&j, &h));
    f->first = h.first;
    f->end = h.first + h.n;
    err = tail_check(&j, &h);
out:
    return err;
}
