/*
 * config_log.c - changes of config keys as a log with hashes, kept beside the history rows that they are made of
 *
 * A leaf's bytes follow from its row in 'h' and its digest in 'H', so they are stored once. Only commands that change config
 * come here: the masses (registrations, liveness, reports) pay nothing.
 */
#include "engine/region_history.h"
#include "engine/region/region_int.h"

#include "engine/merkle.h"

#define CONFIG_LOG_LEVEL 2

static struct merkle_log tree(struct kv *kv, const struct crypto_ops *c)
{
    return (struct merkle_log){ kv, c, REGION_KV_PREFIX };
}

static void leaf_key(struct rkey *k, uint64_t index)
{
    rkey_begin(k, 'H');
    wr_u64(&k->w, index);
}

static void leaf_head(struct wr *w, uint64_t revision, uint16_t n, const struct hash32 *value)
{
    wr_u64(w, revision);
    wr_u16(w, n);
    wr_bytes(w, value->b, sizeof value->b);
}

/* ---- appending ---- */

/* One leaf more: its place, and the hashes. The row's bytes are hashed where they stand. */
static enum reeve_err append(struct apply *a, uint64_t revision, uint16_t n, const struct hash32 *value, struct slice row)
{
    static const uint8_t begins[2] = { 0, 1 };      /* RFC 6962 leaf, version of ours */
    uint8_t mem[64];
    struct wr head = wr_fixed(mem, sizeof mem);
    struct merkle_log log = tree(a->kv, a->r->c);
    struct hash32 h;
    struct rkey k;
    uint64_t size;
    enum reeve_err err;
    leaf_head(&head, revision, n, value);
    const struct slice parts[] = { slice_of(begins, 2), wr_slice(&head), row };
    a->r->c->sha256(&h, parts, 3);
    TRY(meta_get(a->kv, META_CONFIG_LOG, &size));
    leaf_key(&k, size);
    TRY(put_bytes(a->kv, &k, wr_slice(&head)));
    TRY(merkle_log_append(&log, size, &h));
    TRY(meta_put(a->kv, META_CONFIG_LOG, size + 1));
out:
    return err;
}

/* Of the value as the key has it now, which may be longer than the part that history shows. */
static enum reeve_err value_digest(struct apply *a, const struct name *key, struct hash32 *out)
{
    struct config_row row;
    struct rkey k;
    struct slice v;
    enum reeve_err err;
    memset(out, 0, sizeof *out);
    rkey_name(&k, 'c', key);
    TRY(load_config(a->kv, &k, &row));
    if (row.absent)
        return REEVE_OK;
    rkey_name_u32(&k, 'v', key, row.gen);
    TRY(kv_get(a->kv, rkey_slice(&k), &v));
    a->r->c->sha256(out, &v, 1);
out:
    return err == REEVE_E_NOT_FOUND ? REEVE_E_CORRUPT : err;
}

enum reeve_err config_log_add(struct apply *a, const struct name *key, uint16_t index_n, struct slice row)
{
    uint64_t level;
    struct hash32 value;
    enum reeve_err err = meta_get(a->kv, "level", &level);
    if (err != REEVE_OK || level < CONFIG_LOG_LEVEL)
        return err;
    TRY(value_digest(a, key, &value));
    TRY(append(a, a->index, index_n, &value, row));
out:
    return err;
}

enum reeve_err config_log_begin(struct apply *a)
{
    static const struct hash32 unknown;
    struct history_row row;
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err;
    kv_iter_init(&it, a->kv, slice_of("Rh", 2));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct rd r = rd_of(slice_of(key.p + 2, key.len - 2));
        uint64_t revision = rd_u64(&r);
        uint16_t n = rd_u16(&r);
        if (!rd_done(&r) || val.len > sizeof a->s->row || history_row_decode(&row, val) != REEVE_OK)
            return REEVE_E_CORRUPT;
        if (!slice_eq(name_slice(&row.object_kind), slice_str("config")))
            continue;
        memcpy(a->s->row, val.p, val.len);          /* K2: the writes come before the hash is done with it */
        TRY(append(a, revision, n, &unknown, slice_of(a->s->row, val.len)));
    }
    err = err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
out:
    return err;
}

/* ---- reading ---- */

enum reeve_err config_log_size(struct region *r, uint64_t *size)
{
    return meta_get(r->kv, META_CONFIG_LOG, size);
}

static enum reeve_err place(struct region *r, uint64_t index, struct slice *head, uint64_t *revision, struct slice *row)
{
    struct rkey k;
    enum reeve_err err;
    leaf_key(&k, index);
    TRY(kv_get(r->kv, rkey_slice(&k), head));
    struct rd in = rd_of(*head);
    *revision = rd_u64(&in);
    uint16_t n = rd_u16(&in);
    (void) rd_bytes(&in, 32);
    if (!rd_done(&in))
        return REEVE_E_CORRUPT;
    rkey_u64_u16(&k, 'h', *revision, n);
    err = kv_get(r->kv, rkey_slice(&k), row);
    err = err == REEVE_E_NOT_FOUND ? REEVE_E_CORRUPT : err;
out:
    return err;
}

enum reeve_err config_log_at(struct region *r, uint64_t index, uint64_t *revision, struct wall_ms *at)
{
    struct slice head, bytes;
    struct history_row row;
    enum reeve_err err;
    TRY(place(r, index, &head, revision, &bytes));
    if (history_row_decode(&row, bytes) != REEVE_OK)
        return REEVE_E_CORRUPT;
    *at = row.at;
out:
    return err;
}

enum reeve_err config_log_find(struct region *r, uint64_t revision, uint64_t *index)
{
    struct slice head, row;
    uint64_t lo = 0, hi, there;
    enum reeve_err err;
    TRY(config_log_size(r, &hi));
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        TRY(place(r, mid, &head, &there, &row));
        if (there < revision)
            lo = mid + 1;
        else
            hi = mid;
    }
    *index = lo;
out:
    return err;
}

enum reeve_err config_log_leaf(struct region *r, uint64_t index, struct wr *out)
{
    struct slice head, row;
    uint64_t revision;
    enum reeve_err err;
    TRY(place(r, index, &head, &revision, &row));
    wr_u8(out, 1);
    wr_bytes(out, head.p, head.len);
    wr_bytes(out, row.p, row.len);
    err = out->bad ? REEVE_E_NOMEM : REEVE_OK;
out:
    return err;
}

/* ---- checkpoints ---- */

enum reeve_err config_log_has(struct region *r, const struct checkpoint_doc *d, bool *yes)
{
    struct merkle_log log = tree(r->kv, r->c);
    struct hash32 root;
    uint64_t size;
    enum reeve_err err;
    *yes = false;
    TRY(config_log_size(r, &size));
    if (d->size > size)
        return REEVE_OK;
    TRY(merkle_log_root(&log, d->size, &root));
    *yes = hash32_eq(&root, &d->root);
out:
    return err;
}

static enum reeve_err prove(struct region *r, const struct checkpoint_doc *was, struct checkpoint_doc *out)
{
    struct merkle_log log = tree(r->kv, r->c);
    uint64_t back;
    size_t n = 0;
    bool ours;
    enum reeve_err err;
    TRY(config_log_has(r, was, &ours));
    TRY(meta_get(r->kv, META_CONFIG_LOG_BACK, &back));
    if (!ours && back == 0)
        return REEVE_E_V_CONSISTENCY;
    if (ours && was->size == out->size)
        return REEVE_E_NOT_FOUND;
    out->anew = !ours;
    if (ours)
        TRY(merkle_log_consistency(&log, was->size, out->size, out->path, &n));
    out->n = (uint8_t) n;
out:
    return err;
}

enum reeve_err config_log_checkpoint(struct region *r, const struct checkpoint_doc *was, struct checkpoint_doc *out)
{
    struct merkle_log log = tree(r->kv, r->c);
    enum reeve_err err;
    memset(out, 0, sizeof *out);
    TRY(config_log_size(r, &out->size));
    if (out->size == 0)
        return was == NULL ? REEVE_E_NOT_FOUND : REEVE_E_V_CONSISTENCY;
    if (was != NULL)
        TRY(prove(r, was, out));
    TRY(merkle_log_root(&log, out->size, &out->root));
out:
    return err;
}

/*
 * What was attested after the copy was taken is not of this log, or is what the copy has, too. The first one that is made of the
 * state that was brought back ends it: from there on it must be extended.
 */
enum reeve_err attested_checkpoint(struct apply *a, const struct update *u)
{
    struct region here = *a->r;
    struct checkpoint_doc d;
    struct name region;
    bool ours;
    uint64_t back;
    enum reeve_err err;
    here.kv = a->kv;
    TRY(meta_get(a->kv, META_CONFIG_LOG_BACK, &back));
    if (back == 0)
        return REEVE_OK;
    TRY(region_name(&here, &region));
    if (!name_eq(&region, &u->object))
        return REEVE_OK;
    if (u->op != 1 || checkpoint_doc_decode(&d, u->payload) != REEVE_OK)
        return REEVE_E_CORRUPT;
    TRY(config_log_has(&here, &d, &ours));
    if (ours && (d.anew || d.size >= back))
        TRY(meta_put(a->kv, META_CONFIG_LOG_BACK, 0));
out:
    return err;
}
