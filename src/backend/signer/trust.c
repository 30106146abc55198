/*
 * trust.c - what this signer believes of the chain, durably
 *
 * File "trust": u8 1 | name region | str32 trust (engine/attest.h) | 32 SHA-256
 * of all before. Pinned at init; afterwards only a verified bundle moves it,
 * and its height never falls, so nobody can show an old state again.
 */
#include "backend/signer/signer_int.h"

#include "crypto/hash.h"
#include "crypto/ops.h"

#define TRUST_FILE "trust"
#define TRUST_FILE_MAX 65536

enum reeve_err trust_pin(int dirfd, const struct name *region, const struct trust *t)
{
    struct wr w = wr_heap(TRUST_FILE_MAX), doc = wr_heap(TRUST_FILE_MAX);
    struct hash32 sum;
    trust_encode(t, &doc);
    wr_u8(&w, 1);
    wr_name(&w, region);
    wr_str32(&w, wr_slice(&doc));
    sha256(&sum, wr_slice(&w));
    wr_bytes(&w, sum.b, 32);
    enum reeve_err err = w.bad || doc.bad ? REEVE_E_NOMEM : keydir_write(dirfd, TRUST_FILE, wr_slice(&w), false);
    wr_free(&w);
    wr_free(&doc);
    return err;
}

static enum reeve_err trust_parse(struct slice file, struct name *region, struct trust *t)
{
    struct hash32 sum;
    if (file.len < 32)
        return REEVE_E_CORRUPT;
    file.len -= 32;
    sha256(&sum, file);
    if (memcmp(sum.b, file.p + file.len, 32) != 0)
        return REEVE_E_CORRUPT;
    struct rd r = rd_of(file);
    if (rd_u8(&r) != 1)
        return REEVE_E_CORRUPT;
    rd_name(&r, region);
    struct slice doc = rd_str32(&r, TRUST_FILE_MAX);
    return rd_done(&r) ? trust_decode(t, doc) : REEVE_E_CORRUPT;
}

enum reeve_err trust_load(int dirfd, struct name *region, struct trust *t, struct report *rep)
{
    static uint8_t file[TRUST_FILE_MAX];
    size_t len;
    enum reeve_err err = keydir_read(dirfd, TRUST_FILE, file, sizeof file, &len);
    if (err == REEVE_OK)
        err = trust_parse(slice_of(file, len), region, t);
    return err == REEVE_OK ? err : report_set(rep, REEVE_E_CORRUPT, "the signer's trust file is missing or damaged");
}

static enum reeve_err remember(struct signer *s, const struct bundle_object *o)
{
    if (o->type != AT_CERT && o->type != AT_AUTHORITY && o->type != AT_REGION)
        return REEVE_OK;
    if (!o->present || o->update.op != 1) {
        proved_drop(&s->proved, o->type, &o->name);
        return REEVE_OK;
    }
    struct hash32 leaf_hash;
    merkle_leaf_hash(&crypto_ops_real, &leaf_hash, o->leaf);
    return proved_put(&s->proved, o->type, &o->name, &leaf_hash, o->leaf, s->now_ms());
}

/* Two gateways may hold snapshots of different age: that is no attack. */
static enum reeve_err prove_error(enum reeve_err err, struct report *rep)
{
    if (err == REEVE_E_V_HEIGHT)
        return report_set(rep, REEVE_E_AGAIN, "the proof is older than what this signer has seen");
    return report_set(rep, err, "the proof was refused (%s)", reeve_err_name(err));
}

enum reeve_err trust_prove(struct signer *s, struct slice bundle, struct report *rep)
{
    static struct bundle_object objects[8];
    static struct trust t;
    size_t n = 0;
    t = s->trust;
    t.view = t.height = t.log_size = 0;
    enum reeve_err err = bundle_open(&crypto_ops_real, &t, bundle, false, objects, 8, &n);
    if (err != REEVE_OK)
        return prove_error(err, rep);
    if (t.height < s->trust.height)
        return prove_error(REEVE_E_V_HEIGHT, rep);
    if (t.height == s->trust.height && (t.log_size != s->trust.log_size || !hash32_eq(&t.log_root, &s->trust.log_root)))
        return prove_error(REEVE_E_V_CONSISTENCY, rep);
    if (t.height > s->trust.height) {
        err = trust_pin(s->dirfd, &s->region, &t);
        if (err != REEVE_OK)
            return report_set(rep, err, "could not sync the signer's trust");
    }
    s->trust = t;
    for (size_t i = 0; i < n && err == REEVE_OK; i++)
        err = remember(s, &objects[i]);
    return err;
}
