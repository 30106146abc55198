/* content.c - blocks under way: kept until they are final or passed by, applied to a state that is given up again. */
#include "backend/validator/validator_int.h"

#include <stdlib.h>

#include "crypto/ops.h"

#define KEY_LEN 42
static const struct slice content_prefix = { (const uint8_t *) "Vp", 2 };

/* ---- as bytes ---- */

bool draft_has_room(const struct block_draft *d, const struct slice *leaves, size_t n)
{
    size_t bytes = d->used + 4 * d->n;
    for (size_t i = 0; i < n; i++)
        bytes += leaves[i].len + 4;
    return d->n + n <= ATTEST_BLOCK_LEAVES_MAX && bytes <= DRAFT_BYTES_MAX;
}

void draft_append(struct block_draft *d, const struct slice *leaves, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        memcpy(d->mem + d->used, leaves[i].p, leaves[i].len);
        d->leaf[d->n++] = slice_of(d->mem + d->used, leaves[i].len);
        d->used += leaves[i].len;
    }
}

void draft_encode(const struct block_draft *d, struct wr *out)
{
    uint8_t header[ATTEST_HEADER_LEN];
    header_encode(&d->header, header);
    wr_bytes(out, header, sizeof header);
    wr_u16(out, (uint16_t) d->n);
    for (size_t i = 0; i < d->n; i++)
        wr_str32(out, d->leaf[i]);
}

enum reeve_err draft_decode(struct block_draft *d, struct slice val)
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

/* ---- in the store ---- */

static struct slice content_key(uint8_t mem[KEY_LEN], uint64_t view, const struct hash32 *hash)
{
    struct wr k = wr_fixed(mem, KEY_LEN);
    wr_text(&k, "Vp");
    wr_u64(&k, view);
    wr_bytes(&k, hash->b, 32);
    reeve_assert(!k.bad);
    return wr_slice(&k);
}

static enum reeve_err put_draft(struct chain *c, const struct block_draft *d, struct slice key)
{
    struct storage_txn *t;
    struct wr w = wr_heap(ATTEST_BLOCK_MAX);
    draft_encode(d, &w);
    enum reeve_err err = w.bad ? REEVE_E_TOO_BIG : storage_begin(c->store, STORAGE_RESERVED, &t);
    if (err == REEVE_OK) {
        err = kv_put(storage_kv(t), key, wr_slice(&w));
        if (err == REEVE_OK)
            err = storage_commit(t);
        else
            storage_abort(t);
    }
    wr_free(&w);
    return err;
}

enum reeve_err content_save(struct chain *c, const struct block_draft *d)
{
    uint8_t mem[KEY_LEN];
    struct hash32 hash;
    header_hash(&crypto_ops_real, &hash, &d->header);
    return put_draft(c, d, content_key(mem, d->header.view, &hash));
}

static enum reeve_err load(struct chain *c, struct slice key, struct block_draft *d)
{
    struct storage_txn *t;
    struct slice val;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    err = kv_get(storage_kv(t), key, &val);
    if (err == REEVE_OK)
        err = draft_decode(d, val);
    storage_abort(t);
    return err;
}

enum reeve_err content_load(struct chain *c, uint64_t view, const struct hash32 *hash, struct block_draft *d)
{
    uint8_t mem[KEY_LEN];
    return load(c, content_key(mem, view, hash), d);
}

enum reeve_err content_header(struct kv *kv, uint64_t view, const struct hash32 *hash, struct block_header *h)
{
    uint8_t mem[KEY_LEN];
    struct slice val;
    enum reeve_err err = kv_get(kv, content_key(mem, view, hash), &val);
    if (err != REEVE_OK)
        return err;
    return val.len >= ATTEST_HEADER_LEN ? header_decode(h, slice_of(val.p, ATTEST_HEADER_LEN)) : REEVE_E_CORRUPT;
}

static bool is_own(const struct chain *c, struct slice val, const struct hash32 *parent)
{
    struct block_header h;
    return val.len >= ATTEST_HEADER_LEN && header_decode(&h, slice_of(val.p, ATTEST_HEADER_LEN)) == REEVE_OK &&
           h.epoch == c->set.epoch && h.proposer == c->me && hash32_eq(&h.parent_hash, parent);
}

enum reeve_err content_own(struct chain *c, uint64_t view, const struct hash32 *parent, struct block_draft *d)
{
    struct storage_txn *t;
    struct kv_iter it;
    struct slice key, val;
    uint8_t mem[10];
    struct wr prefix = wr_fixed(mem, sizeof mem);
    wr_text(&prefix, "Vp");
    wr_u64(&prefix, view);
    reeve_assert(!prefix.bad);
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    kv_iter_init(&it, storage_kv(t), wr_slice(&prefix));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK)
        if (is_own(c, val, parent)) {
            err = draft_decode(d, val);
            break;
        }
    storage_abort(t);
    return err;
}

static uint64_t view_of(struct slice key)
{
    struct rd r = rd_of(slice_of(key.p + 2, key.len - 2));
    return rd_u64(&r);
}

uint64_t content_newest(struct chain *c)
{
    struct storage_txn *t;
    struct kv_iter it;
    struct slice key, val;
    uint64_t view = 0;
    if (storage_begin(c->store, STORAGE_READ, &t) != REEVE_OK)
        return 0;
    kv_iter_init(&it, storage_kv(t), content_prefix);
    while (kv_iter_next(&it, &key, &val) == REEVE_OK)
        view = view_of(key);
    storage_abort(t);
    return view;
}

enum reeve_err content_drop(struct kv *kv, uint64_t up_to)
{
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err;
    kv_iter_init(&it, kv, content_prefix);
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        uint8_t copy[KEY_LEN];
        if (key.len > sizeof copy || view_of(key) > up_to)
            break;
        memcpy(copy, key.p, key.len);
        TRY(kv_del(kv, slice_of(copy, key.len)));
    }
out:
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

enum reeve_err content_upgrade(struct chain *c)
{
    struct storage_txn *t;
    enum reeve_err err = load(c, content_prefix, &c->work);
    if (err == REEVE_OK)
        err = content_save(c, &c->work);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    TRY(storage_begin(c->store, STORAGE_RESERVED, &t));
    err = kv_del(storage_kv(t), content_prefix);
    if (err == REEVE_OK)
        err = storage_commit(t);
    else
        storage_abort(t);
out:
    return err;
}

/* ---- the state after one of them ---- */

/* At most the engine's window lies between. Fills from the newest to the oldest. */
#define SPEC_DEPTH_MAX (2 * SIMPLEX_VIEWS_AHEAD)
struct ancestor { uint64_t view; struct hash32 hash; };

static enum reeve_err ancestors(struct spec *s, uint64_t view, const struct hash32 *hash, struct ancestor list[SPEC_DEPTH_MAX],
                                size_t *n)
{
    struct ancestor at = { view, *hash };
    for (*n = 0; !hash32_eq(&at.hash, &s->head.header_hash);) {
        struct block_header h;
        if (*n == SPEC_DEPTH_MAX || at.view <= s->head.header.view)
            return REEVE_E_AGAIN;
        enum reeve_err err = content_header(s->a.kv, at.view, &at.hash, &h);
        if (err != REEVE_OK)
            return err == REEVE_E_NOT_FOUND ? REEVE_E_AGAIN : err;
        list[(*n)++] = at;
        at = (struct ancestor){ h.parent_view, h.parent_hash };
    }
    return REEVE_OK;
}

/* Copied first: applying writes, and what is borrowed from the store ends there (K2). */
static enum reeve_err apply(struct chain *c, struct spec *s, const struct ancestor *at)
{
    uint8_t mem[KEY_LEN];
    struct slice val;
    enum reeve_err err;
    TRY(kv_get(s->a.kv, content_key(mem, at->view, &at->hash), &val));
    TRY(draft_decode(&c->work, val));
    err = attest_extend(&s->a, &c->work.header, c->work.leaf, c->work.n, NULL);
out:
    return err;
}

enum reeve_err spec_open(struct chain *c, uint64_t view, const struct hash32 *hash, struct spec *s)
{
    struct ancestor list[SPEC_DEPTH_MAX];
    size_t n = 0;
    /* Begun without the reserve: a block that would not fit when it is final is better not made. */
    enum reeve_err err = storage_begin(c->store, STORAGE_WRITE, &s->txn);
    if (err != REEVE_OK)
        return err;
    s->a = chain_attest(c, s->txn);
    TRY(attest_head(&s->a, &s->head));
    TRY(ancestors(s, view, hash, list, &n));
    while (n > 0)
        TRY(apply(c, s, &list[--n]));
    TRY(attest_head(&s->a, &s->head));
out:
    if (err != REEVE_OK)
        spec_close(s);
    return err;
}

void spec_close(struct spec *s)
{
    storage_abort(s->txn);
    s->txn = NULL;
}

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

enum reeve_err spec_add(struct spec *s, struct block_draft *d, const struct slice *leaves, size_t n, bool *known,
                        struct report *rep)
{
    struct slice joined[ATTEST_BLOCK_LEAVES_MAX];
    *known = false;
    if (!draft_has_room(d, leaves, n))
        return REEVE_E_TOO_COMPLEX;
    memcpy(joined, d->leaf, d->n * sizeof joined[0]);
    memcpy(joined + d->n, leaves, n * sizeof joined[0]);
    *known = all_known(&s->a, leaves, n);
    if (*known)
        return REEVE_OK;
    enum reeve_err err = attest_check(&s->a, joined, d->n + n, d->header.time, rep);
    if (err == REEVE_OK)
        draft_append(d, leaves, n);
    return err;
}

/* The roots come from applying; what counts is applied again when it is final. */
enum reeve_err spec_propose(struct spec *s, struct block_draft *d)
{
    return attest_propose(&s->a, d->leaf, d->n, &d->header);
}

enum reeve_err chain_judge(struct chain *c, const struct slice *leaves, size_t n, struct wall_ms time, bool *known,
                           struct report *rep)
{
    struct storage_txn *t;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    struct attest a = chain_attest(c, t);
    *known = all_known(&a, leaves, n);
    if (!*known)
        err = attest_check(&a, leaves, n, time, rep);
    storage_abort(t);
    return err;
}
