/* votes.c - own votes and certificates above the last final block, kept for the next start. */
#include "backend/validator/validator_int.h"

#include "backend/signer/signer.h"

#define KEY_LEN 11
/* Who fails for long without a final block keeps what may still matter: own votes of the engine's window, and certificates of every
   view, because nobody else may be there to show that it was passed. */
#define VOTES_KEPT 64
#define CERT_MAX   (SIGNER_VOTE_LEN + 2 + ATTEST_VALIDATORS_MAX / 8 + 64 * ATTEST_VALIDATORS_MAX)

/* ---- as the signer and others have them ---- */

void chain_vote_of(const struct chain *c, const struct simplex_vote *v, struct vote *out)
{
    *out = (struct vote){ .type = v->type, .chain_id = c->head.chain_id, .epoch = c->set.epoch,
                          .valset_hash = c->head.set_hash, .view = v->b.view, .height = v->b.height,
                          .block_hash = v->b.hash, .parent_view = v->b.parent_view, .parent_hash = v->b.parent_hash };
}

struct simplex_vote chain_vote_from(const struct vote *v)
{
    return (struct simplex_vote){ v->type, { v->view, v->height, v->parent_view, v->block_hash, v->parent_hash } };
}

bool chain_vote_is_ours(const struct chain *c, const struct vote *v)
{
    return v->epoch == c->set.epoch && hash32_eq(&v->valset_hash, &c->head.set_hash);
}

void chain_cert_to(const struct chain *c, const struct simplex_cert *cert, struct letter_cert *out)
{
    const struct simplex_vote v = { cert->type, cert->b };
    memset(out, 0, sizeof *out);
    chain_vote_of(c, &v, &out->vote);
    out->n_bits = c->set.n;
    out->n_sigs = cert->n_sigs;
    memcpy(out->bitmap, cert->bitmap, sizeof out->bitmap);
    memcpy(out->sig, cert->sig, cert->n_sigs * sizeof cert->sig[0]);
}

void chain_cert_from(const struct letter_cert *l, struct simplex_cert *out)
{
    const struct simplex_vote v = chain_vote_from(&l->vote);
    memset(out, 0, sizeof *out);
    out->type = v.type;
    out->b = v.b;
    out->n_sigs = l->n_sigs;
    memcpy(out->bitmap, l->bitmap, sizeof out->bitmap);
    memcpy(out->sig, l->sig, l->n_sigs * sizeof l->sig[0]);
}

/* ---- kept ---- */

static struct slice vote_key(uint8_t mem[KEY_LEN], char table, uint64_t view, uint8_t type)
{
    struct wr k = wr_fixed(mem, KEY_LEN);
    wr_u8(&k, 'V');
    wr_u8(&k, (uint8_t) table);
    wr_u64(&k, view);
    wr_u8(&k, type);
    reeve_assert(!k.bad);
    return wr_slice(&k);
}

static enum reeve_err drop(struct kv *kv, char table, uint64_t up_to)
{
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err;
    uint8_t prefix[2] = { 'V', (uint8_t) table };
    kv_iter_init(&it, kv, slice_of(prefix, sizeof prefix));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        uint8_t copy[KEY_LEN];
        struct rd r = rd_of(slice_of(key.p + 2, key.len - 2));
        if (key.len > sizeof copy || rd_u64(&r) > up_to)
            break;
        memcpy(copy, key.p, key.len);
        TRY(kv_del(kv, slice_of(copy, key.len)));
    }
out:
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

enum reeve_err votes_drop(struct kv *kv, uint64_t up_to)
{
    enum reeve_err err = drop(kv, 's', up_to);
    return err == REEVE_OK ? drop(kv, 'c', up_to) : err;
}

static enum reeve_err put_vote(struct chain *c, struct kv *kv, const struct simplex_vote *v, const struct sig64 *sig)
{
    uint8_t kmem[KEY_LEN], vmem[SIGNER_VOTE_LEN + 64];
    struct wr w = wr_fixed(vmem, sizeof vmem);
    struct vote vote;
    chain_vote_of(c, v, &vote);
    signer_vote_encode(&vote, &w);
    wr_bytes(&w, sig->b, 64);
    reeve_assert(!w.bad);
    enum reeve_err err = v->b.view > VOTES_KEPT ? drop(kv, 's', v->b.view - VOTES_KEPT) : REEVE_OK;
    return err == REEVE_OK ? kv_put(kv, vote_key(kmem, 's', v->b.view, v->type), wr_slice(&w)) : err;
}

static enum reeve_err put_cert(struct chain *c, struct kv *kv, const struct simplex_cert *cert)
{
    static uint8_t vmem[CERT_MAX];
    static struct letter_cert l;
    uint8_t kmem[KEY_LEN];
    struct wr w = wr_fixed(vmem, sizeof vmem);
    if (cert->b.view <= c->head.header.view)
        return REEVE_OK;
    chain_cert_to(c, cert, &l);
    letter_cert_encode(&l, &w);
    reeve_assert(!w.bad);
    return kv_put(kv, vote_key(kmem, 'c', cert->b.view, cert->type), wr_slice(&w));
}

static enum reeve_err put_certs(struct chain *c, struct kv *kv, const struct simplex_cert *cert, size_t n)
{
    enum reeve_err err = REEVE_OK;
    for (size_t i = 0; i < n && err == REEVE_OK; i++)
        err = put_cert(c, kv, &cert[i]);
    return err;
}

static enum reeve_err end(struct storage_txn *t, enum reeve_err err)
{
    if (err == REEVE_OK)
        return storage_commit(t);
    storage_abort(t);
    return err;
}

enum reeve_err chain_certs_save(struct chain *c, const struct simplex_cert *cert, size_t n)
{
    struct storage_txn *t;
    enum reeve_err err = storage_begin(c->store, STORAGE_RESERVED, &t);
    return err == REEVE_OK ? end(t, put_certs(c, storage_kv(t), cert, n)) : err;
}

enum reeve_err chain_vote_save(struct chain *c, const struct simplex_vote *v, const struct sig64 *sig,
                               const struct simplex_cert *cert, size_t n_certs)
{
    struct storage_txn *t;
    enum reeve_err err = storage_begin(c->store, STORAGE_RESERVED, &t);
    if (err != REEVE_OK)
        return err;
    err = put_vote(c, storage_kv(t), v, sig);
    if (err == REEVE_OK)
        err = put_certs(c, storage_kv(t), cert, n_certs);
    return end(t, err);
}

/* ---- read at a start ---- */

/* ours: of this epoch; what an earlier one left goes with the views. */
static bool vote_read(const struct chain *c, struct slice val, struct simplex_vote *v, struct sig64 *sig, bool *ours)
{
    struct rd r = rd_of(val);
    struct vote vote;
    signer_vote_decode(&vote, &r);
    rd_copy(&r, sig->b, 64);
    *v = chain_vote_from(&vote);
    *ours = chain_vote_is_ours(c, &vote);
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
        bool ours;
        err = !vote_read(c, val, &v, &sig, &ours) ? REEVE_E_CORRUPT : ours ? fn(arg, &v, &sig) : REEVE_OK;
        if (err != REEVE_OK)
            break;
    }
    storage_abort(t);
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

enum reeve_err chain_certs(struct chain *c, uint64_t from, size_t max,
                           enum reeve_err (*fn)(void *arg, const struct simplex_cert *cert), void *arg)
{
    static struct letter_cert l;
    static struct simplex_cert cert;
    struct storage_txn *t;
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    kv_iter_init(&it, storage_kv(t), slice_of("Vc", 2));
    while (max > 0 && (err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct rd r = rd_of(slice_of(key.p + 2, key.len - 2));
        if (rd_u64(&r) < from)
            continue;
        if (letter_cert_decode(&l, val) != REEVE_OK) {
            err = REEVE_E_CORRUPT;
            break;
        }
        if (!chain_vote_is_ours(c, &l.vote))
            continue;
        max--;
        chain_cert_from(&l, &cert);
        err = fn(arg, &cert);
        if (err != REEVE_OK)
            break;
    }
    storage_abort(t);
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}
