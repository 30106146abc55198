/* chain.c - the validator's own copy of the chain: opening, what is final, what others ask for. */
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

static const struct slice own_key = { (const uint8_t *) "Vk", 2 };

static bool store_path(char out[PATH_MAX], const char *dir)
{
    return (size_t) snprintf(out, PATH_MAX, "%s/validator", dir) < PATH_MAX;
}

struct attest chain_attest(struct chain *c, struct storage_txn *t)
{
    return (struct attest){ storage_kv(t), &crypto_ops_real, c->scratch, attest_scratch_size() };
}

/* ---- opening and making ---- */

/* Which of the set we are, if any. A store that does not say so was made for a set of one. */
static enum reeve_err find_me(struct chain *c, struct kv *kv)
{
    struct slice key;
    enum reeve_err err = kv_get(kv, own_key, &key);
    c->me = 0;
    if (err == REEVE_E_NOT_FOUND && c->set.n == 1)
        return REEVE_OK;
    if (err == REEVE_OK && key.len != sizeof c->own.b)
        err = REEVE_E_CORRUPT;
    if (err != REEVE_OK)
        return err;
    memcpy(c->own.b, key.p, sizeof c->own.b);
    int at = valset_find(&c->set, &c->own);
    c->me = at < 0 ? CHAIN_NOBODY : (uint16_t) at;
    return REEVE_OK;
}

static enum reeve_err read_head(struct chain *c)
{
    struct storage_txn *t;
    struct slice doc;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    struct attest a = chain_attest(c, t);
    err = attest_head(&a, &c->head);
    if (err == REEVE_OK)
        err = attest_valset(&a, &c->set, &doc);
    if (err == REEVE_OK)
        err = find_me(c, a.kv);
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
    c->work.mem = malloc(ATTEST_BLOCK_MAX);
    if (c->scratch == NULL || c->work.mem == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    TRY(storage_open(&c->store, path, STORAGE_WRITE, CHAIN_MAP_SIZE, CHAIN_READERS, rep));
    TRY(read_head(c));
    TRY(content_upgrade(c));
out:
    return err == REEVE_OK ? err : report_set(rep, err, "the validator's store does not hold a chain (%s)", reeve_err_text(err));
}

void chain_close(struct chain *c)
{
    storage_close(c->store);
    free(c->scratch);
    free(c->work.mem);
    c->store = NULL;
    c->scratch = NULL;
    c->work.mem = NULL;
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

/* ---- final ---- */

struct simplex_block chain_committed(const struct chain *c)
{
    const struct attest_head *h = &c->head;
    return (struct simplex_block){ h->header.view, h->height, h->header.parent_view, h->header_hash, h->header.parent_hash };
}

/* What a final block makes superfluous goes with it. */
static enum reeve_err drop_all(struct kv *kv, uint64_t up_to)
{
    enum reeve_err err = content_drop(kv, up_to);
    return err == REEVE_OK ? votes_drop(kv, up_to) : err;
}

uint16_t chain_leader(const struct chain *c)
{
    return header_ends_epoch(&c->head.header) ? 0 : c->head.header.proposer;
}

static enum reeve_err apply_final(struct attest *a, const struct block_draft *d, const struct finalization *f,
                                  struct report *rep)
{
    enum reeve_err err;
    TRY(attest_extend(a, &d->header, d->leaf, d->n, rep));
    TRY(attest_finalize(a, f, d->leaf, d->n));
    err = drop_all(a->kv, d->header.view);
out:
    return err;
}

/* Ends the transaction; the head is read anew. */
static enum reeve_err end_write(struct chain *c, struct storage_txn *t, enum reeve_err err)
{
    if (err == REEVE_OK)
        err = storage_commit(t);
    else
        storage_abort(t);
    return err == REEVE_OK ? read_head(c) : err;
}

enum reeve_err chain_commit(struct chain *c, const struct simplex_block *b, struct finalization *f, struct wr *block,
                            struct report *rep)
{
    struct storage_txn *t;
    struct block_draft *d = &c->work;
    enum reeve_err err;
    TRY(content_load(c, b->view, &b->hash, d));
    f->header = d->header;
    f->view = d->header.view;
    TRY(finalization_verify(&crypto_ops_real, f, &c->head.chain_id, &c->set, &c->head.set_hash));
    block_encode(f, d->leaf, d->n, block);
    TRY(block->bad ? REEVE_E_TOO_BIG : REEVE_OK);
    TRY(storage_begin(c->store, STORAGE_RESERVED, &t));
    struct attest a = chain_attest(c, t);
    err = end_write(c, t, apply_final(&a, d, f, rep));
out:
    return err;
}

enum reeve_err chain_head_cert(struct chain *c, struct simplex_cert *out)
{
    static struct finalization f;
    struct storage_txn *t;
    struct slice block;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    struct attest a = chain_attest(c, t);
    err = attest_block(&a, c->head.height, &block);
    if (err == REEVE_OK) {
        struct rd r = rd_of(block);
        err = finalization_decode(&f, &r);
    }
    storage_abort(t);
    if (err != REEVE_OK || f.n_links > 0)
        return err == REEVE_OK ? REEVE_E_NOT_FOUND : err;
    memset(out, 0, sizeof *out);
    out->type = SX_FINALIZE;
    out->b = chain_committed(c);
    out->n_sigs = f.n_sigs;
    memcpy(out->bitmap, f.bitmap, sizeof out->bitmap);
    memcpy(out->sig, f.sig, f.n_sigs * sizeof f.sig[0]);
    return REEVE_OK;
}

enum reeve_err chain_take(struct chain *c, struct slice block, struct report *rep)
{
    struct storage_txn *t;
    struct attest_head head;
    enum reeve_err err = storage_begin(c->store, STORAGE_RESERVED, &t);
    if (err != REEVE_OK)
        return err;
    struct attest a = chain_attest(c, t);
    err = attest_apply(&a, block, rep);
    if (err == REEVE_OK)
        err = attest_head(&a, &head);
    if (err == REEVE_OK)
        err = drop_all(a.kv, head.header.view);
    return end_write(c, t, err);
}

enum reeve_err chain_fetch(struct chain *c, uint64_t from, size_t max, struct wr *out)
{
    struct storage_txn *t;
    struct slice block;
    unsigned n = 0;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    struct attest a = chain_attest(c, t);
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
