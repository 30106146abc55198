/* chain.c - the validator's own copy of the chain, and the block under way. */
#include "backend/validator/validator_int.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "backend/signer/signer.h"
#include "crypto/ops.h"

#define CHAIN_MAP_SIZE (UINT64_C(16) << 30)
#define CHAIN_READERS 8

static const struct slice draft_key = { (const uint8_t *) "Vp", 2 }, own_key = { (const uint8_t *) "Vk", 2 };

static bool store_path(char out[PATH_MAX], const char *dir)
{
    return (size_t) snprintf(out, PATH_MAX, "%s/validator", dir) < PATH_MAX;
}

static struct attest attest_of(struct chain *c, struct storage_txn *t)
{
    return (struct attest){ storage_kv(t), &crypto_ops_real, c->scratch, attest_scratch_size() };
}

/* ---- opening and making ---- */

static enum reeve_err read_head(struct chain *c)
{
    struct storage_txn *t;
    struct slice doc;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    struct attest a = attest_of(c, t);
    err = attest_head(&a, &c->head);
    if (err == REEVE_OK)
        err = attest_valset(&a, &c->set, &doc);
    storage_abort(t);
    return err;
}

enum reeve_err chain_open(struct chain *c, const char *dir, struct report *rep)
{
    char path[PATH_MAX];
    enum reeve_err err;
    if (!store_path(path, dir))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    c->scratch = malloc(attest_scratch_size());
    if (c->scratch == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    TRY(storage_open(&c->store, path, STORAGE_WRITE, CHAIN_MAP_SIZE, CHAIN_READERS, rep));
    TRY(read_head(c));
out:
    return err == REEVE_OK ? err : report_set(rep, err, "the validator's store does not hold a chain (%s)", reeve_err_text(err));
}

void chain_close(struct chain *c)
{
    storage_close(c->store);
    free(c->scratch);
    c->store = NULL;
    c->scratch = NULL;
}

/* The chain at height 0, and which validator of its set this one is. */
static enum reeve_err init_write(struct storage_txn *t, void *scratch, struct slice genesis, const struct pubkey *own)
{
    static struct valset set;
    struct attest a = { storage_kv(t), &crypto_ops_real, scratch, attest_scratch_size() };
    struct slice doc;
    enum reeve_err err;
    TRY(attest_init(&a, genesis));
    TRY(attest_valset(&a, &set, &doc));
    TRY(own != NULL || set.n == 1 ? REEVE_OK : REEVE_E_V_SET);
    err = kv_put(a.kv, own_key, slice_of(own ? own->b : set.v[0].key.b, 32));
out:
    return err;
}

enum reeve_err validator_init(const char *dir, struct slice genesis, const struct pubkey *own, struct report *rep)
{
    char path[PATH_MAX];
    struct chain c = { 0 };
    struct storage_txn *t;
    enum reeve_err err;
    if (!store_path(path, dir))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    if (mkdir(path, 0700) != 0)
        return report_set(rep, errno == EEXIST ? REEVE_E_LOCKED : REEVE_E_IO, "could not make \"%s\"", path);
    c.scratch = malloc(attest_scratch_size());
    TRY(c.scratch ? REEVE_OK : REEVE_E_NOMEM);
    TRY(storage_open(&c.store, path, STORAGE_WRITE, CHAIN_MAP_SIZE, CHAIN_READERS, rep));
    TRY(storage_begin(c.store, STORAGE_WRITE, &t));
    err = init_write(t, c.scratch, genesis, own);
    if (err == REEVE_OK)
        err = storage_commit(t);
    else
        storage_abort(t);
out:
    chain_close(&c);
    return err == REEVE_OK ? err : report_set(rep, err, "could not make the validator's store (%s)", reeve_err_text(err));
}

/* ---- the block under way ---- */

static bool all_known(struct attest *a, const struct slice *leaves, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct update u;
        struct attest_object o;
        struct hash32 h;
        if (update_decode(&u, leaves[i]) != REEVE_OK || attest_get(a, u.type, &u.object, &o) != REEVE_OK)
            return false;
        merkle_leaf_hash(&crypto_ops_real, &h, leaves[i]);
        if (!hash32_eq(&h, &o.leaf_hash))
            return false;
    }
    return true;
}

static bool draft_has_room(const struct block_draft *d, const struct slice *leaves, size_t n)
{
    size_t bytes = 1024 + d->used;      /* header, finalization, counts */
    for (size_t i = 0; i < n; i++)
        bytes += leaves[i].len + 4;
    return d->n + n <= ATTEST_BLOCK_LEAVES_MAX && bytes <= ATTEST_BLOCK_MAX;
}

static void draft_append(struct block_draft *d, const struct slice *leaves, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        memcpy(d->mem + d->used, leaves[i].p, leaves[i].len);
        d->leaf[d->n++] = slice_of(d->mem + d->used, leaves[i].len);
        d->used += leaves[i].len;
    }
}

enum reeve_err chain_draft_add(struct chain *c, struct block_draft *d, const struct slice *leaves, size_t n, bool *known,
                               struct report *rep)
{
    struct slice joined[ATTEST_BLOCK_LEAVES_MAX];
    struct storage_txn *t;
    *known = false;
    if (!draft_has_room(d, leaves, n))
        return REEVE_E_TOO_COMPLEX;
    memcpy(joined, d->leaf, d->n * sizeof joined[0]);
    memcpy(joined + d->n, leaves, n * sizeof joined[0]);
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    struct attest a = attest_of(c, t);
    *known = all_known(&a, leaves, n);
    if (!*known)
        err = attest_check(&a, joined, d->n + n, d->header.time, rep);
    storage_abort(t);
    if (err == REEVE_OK && !*known)
        draft_append(d, leaves, n);
    return err;
}

static void draft_encode(const struct block_draft *d, struct wr *w)
{
    uint8_t header[ATTEST_HEADER_LEN];
    header_encode(&d->header, header);
    wr_bytes(w, header, sizeof header);
    wr_u16(w, (uint16_t) d->n);
    for (size_t i = 0; i < d->n; i++)
        wr_str32(w, d->leaf[i]);
}

static enum reeve_err put_draft(struct chain *c, const struct block_draft *d)
{
    struct storage_txn *t;
    struct wr w = wr_heap(ATTEST_BLOCK_MAX);
    draft_encode(d, &w);
    enum reeve_err err = w.bad ? REEVE_E_TOO_BIG : storage_begin(c->store, STORAGE_RESERVED, &t);
    if (err == REEVE_OK) {
        err = kv_put(storage_kv(t), draft_key, wr_slice(&w));
        if (err == REEVE_OK)
            err = storage_commit(t);
        else
            storage_abort(t);
    }
    wr_free(&w);
    return err;
}

enum reeve_err chain_draft_save(struct chain *c, struct block_draft *d)
{
    struct storage_txn *t;
    enum reeve_err err = storage_begin(c->store, STORAGE_WRITE, &t);
    if (err != REEVE_OK)
        return err;
    /* The roots come from applying; what counts is applied again when it is final. Begun without the reserve: a block
       that would not fit when it is final is better not made. */
    struct attest a = attest_of(c, t);
    err = attest_propose(&a, d->leaf, d->n, &d->header);
    storage_abort(t);
    return err == REEVE_OK ? put_draft(c, d) : err;
}

static enum reeve_err draft_decode(struct block_draft *d, struct slice val)
{
    struct rd r = rd_of(val);
    d->n = d->used = 0;
    enum reeve_err err = header_decode(&d->header, rd_bytes(&r, ATTEST_HEADER_LEN));
    size_t n = rd_u16(&r);
    if (err != REEVE_OK || n > ATTEST_BLOCK_LEAVES_MAX || val.len > ATTEST_BLOCK_MAX)
        return REEVE_E_CORRUPT;
    for (size_t i = 0; i < n; i++) {
        struct slice leaf = rd_str32(&r, ATTEST_LEAF_MAX);
        if (r.bad)
            return REEVE_E_CORRUPT;
        draft_append(d, &leaf, 1);
    }
    return rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

enum reeve_err chain_draft_load(struct chain *c, struct block_draft *d)
{
    struct storage_txn *t;
    struct slice val;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    err = kv_get(storage_kv(t), draft_key, &val);
    if (err == REEVE_OK)
        err = draft_decode(d, val);
    storage_abort(t);
    return err;
}

/* ---- own votes ---- */

void chain_vote_of(const struct chain *c, const struct simplex_vote *v, struct vote *out)
{
    *out = (struct vote){ .type = v->type, .chain_id = c->head.chain_id, .epoch = c->set.epoch,
                          .valset_hash = c->head.set_hash, .view = v->b.view, .height = v->b.height,
                          .block_hash = v->b.hash, .parent_view = v->b.parent_view, .parent_hash = v->b.parent_hash };
}

enum reeve_err chain_vote_save(struct chain *c, const struct simplex_vote *v, const struct sig64 *sig)
{
    struct storage_txn *t;
    struct vote vote;
    uint8_t kmem[16], vmem[SIGNER_VOTE_LEN + 64];
    struct wr k = wr_fixed(kmem, sizeof kmem), w = wr_fixed(vmem, sizeof vmem);
    chain_vote_of(c, v, &vote);
    wr_text(&k, "Vs");
    wr_u64(&k, v->b.view);
    wr_u8(&k, v->type);
    signer_vote_encode(&vote, &w);
    wr_bytes(&w, sig->b, 64);
    reeve_assert(!k.bad && !w.bad);
    enum reeve_err err = storage_begin(c->store, STORAGE_RESERVED, &t);
    if (err != REEVE_OK)
        return err;
    err = kv_put(storage_kv(t), wr_slice(&k), wr_slice(&w));
    if (err == REEVE_OK)
        return storage_commit(t);
    storage_abort(t);
    return err;
}

static bool vote_read(struct slice val, struct simplex_vote *v, struct sig64 *sig)
{
    struct rd r = rd_of(val);
    struct vote vote;
    signer_vote_decode(&vote, &r);
    rd_copy(&r, sig->b, 64);
    *v = (struct simplex_vote){ vote.type, { vote.view, vote.height, vote.parent_view, vote.block_hash, vote.parent_hash } };
    return rd_done(&r);
}

enum reeve_err chain_votes(struct chain *c, enum reeve_err (*fn)(void *arg, const struct simplex_vote *v, const struct sig64 *sig),
                           void *arg)
{
    struct storage_txn *t;
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    kv_iter_init(&it, storage_kv(t), slice_of("Vs", 2));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct simplex_vote v;
        struct sig64 sig;
        err = vote_read(val, &v, &sig) ? fn(arg, &v, &sig) : REEVE_E_CORRUPT;
        if (err != REEVE_OK)
            break;
    }
    storage_abort(t);
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

static enum reeve_err votes_drop(struct kv *kv, uint64_t up_to)
{
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err;
    kv_iter_init(&it, kv, slice_of("Vs", 2));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        uint8_t copy[16];
        struct rd r = rd_of(slice_of(key.p + 2, key.len - 2));
        if (key.len > sizeof copy || rd_u64(&r) > up_to)
            break;
        memcpy(copy, key.p, key.len);
        TRY(kv_del(kv, slice_of(copy, key.len)));
    }
out:
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

/* ---- final ---- */

static enum reeve_err apply_final(struct attest *a, const struct block_draft *d, const struct finalization *f,
                                  struct report *rep)
{
    enum reeve_err err;
    TRY(attest_extend(a, &d->header, d->leaf, d->n, rep));
    TRY(attest_finalize(a, f, d->leaf, d->n));
    TRY(kv_del(a->kv, draft_key));
    err = votes_drop(a->kv, d->header.view);
out:
    return err;
}

enum reeve_err chain_commit(struct chain *c, const struct block_draft *d, const struct finalization *f, struct wr *block,
                            struct report *rep)
{
    struct storage_txn *t;
    enum reeve_err err;
    TRY(finalization_verify(&crypto_ops_real, f, &c->head.chain_id, &c->set, &c->head.set_hash));
    block_encode(f, d->leaf, d->n, block);
    TRY(block->bad ? REEVE_E_TOO_BIG : REEVE_OK);
    TRY(storage_begin(c->store, STORAGE_RESERVED, &t));
    struct attest a = attest_of(c, t);
    err = apply_final(&a, d, f, rep);
    if (err == REEVE_OK)
        err = storage_commit(t);
    else
        storage_abort(t);
    TRY(err);
    err = read_head(c);
out:
    return err;
}

enum reeve_err chain_fetch(struct chain *c, uint64_t from, size_t max, struct wr *out)
{
    struct storage_txn *t;
    struct slice block;
    unsigned n = 0;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    struct attest a = attest_of(c, t);
    wr_u64(out, c->head.height);
    size_t count_at = out->len;
    wr_u16(out, 0);
    for (uint64_t h = from; h <= c->head.height && n < UINT16_MAX; h++, n++) {
        err = attest_block(&a, h, &block);
        if (err != REEVE_OK || (n > 0 && out->len + block.len + 4 > max))
            break;
        wr_str32(out, block);
    }
    storage_abort(t);
    if (out->bad)
        return REEVE_E_NOMEM;
    out->p[count_at] = (uint8_t) (n >> 8);
    out->p[count_at + 1] = (uint8_t) n;
    return err;
}
