/* valset.c - the next set: its payload, the seats in it, and how a verifier goes from one set to the next. */
#include "codec_int.h"
#include "common/text.h"

#define SET_DOC_MAX (11 + ATTEST_VALIDATORS_MAX * (256 + 68))

int valset_find(const struct valset *s, const struct pubkey *key)
{
    for (uint16_t i = 0; i < s->n; i++)
        if (memcmp(s->v[i].key.b, key->b, 32) == 0)
            return i;
    return -1;
}

/* ---- the payload ---- */

bool seat_is_taken(const struct valset_doc *d, unsigned i)
{
    return d->bitmap[i / 8] >> i % 8 & 1;
}

void valset_doc_encode(const struct valset_doc *d, struct wr *out)
{
    wr_u8(out, 1);
    size_t at = out->len;
    wr_u32(out, 0);
    valset_encode(&d->set, out);
    if (!out->bad)
        wr_patch_u32(out, at, (uint32_t) (out->len - at - 4));
    wr_u16(out, d->set.n);
    wr_bytes(out, d->bitmap, (d->set.n + 7u) / 8);
    for (unsigned i = 0; i < d->set.n; i++)
        if (seat_is_taken(d, i)) {
            wr_bytes(out, d->seat[i].by_key.b, 64);
            wr_bytes(out, d->seat[i].by_cosign.b, 64);
        }
}

enum reeve_err valset_doc_decode(struct valset_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    memset(d, 0, sizeof *d);
    at_version(&r);
    struct slice set = rd_str32(&r, SET_DOC_MAX);
    uint16_t n_bits = rd_u16(&r);
    if (r.bad || valset_decode(&d->set, set) != REEVE_OK || n_bits != d->set.n)
        return REEVE_E_MALFORMED;
    rd_copy(&r, d->bitmap, (n_bits + 7u) / 8);
    for (unsigned i = 0; i < ATTEST_VALIDATORS_MAX && !r.bad; i++) {
        if (!seat_is_taken(d, i))
            continue;
        if (i >= n_bits)
            return REEVE_E_MALFORMED;
        rd_copy(&r, d->seat[i].by_key.b, 64);
        rd_copy(&r, d->seat[i].by_cosign.b, 64);
    }
    return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED;
}

enum reeve_err valset_doc_hash(const struct crypto_ops *c, struct hash32 *out, const struct valset_doc *d)
{
    uint8_t mem[SET_DOC_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    valset_encode(&d->set, &w);
    if (w.bad)
        return REEVE_E_INVALID_VALUE;
    valset_hash(c, out, wr_slice(&w));
    return REEVE_OK;
}

struct slice valset_payload_find(const struct slice *leaves, size_t n)
{
    struct update u;
    for (size_t i = 0; i < n; i++)
        if (leaves[i].len > 1 && leaves[i].p[1] == AT_VALSET && update_decode(&u, leaves[i]) == REEVE_OK)
            return u.payload;
    return slice_of(NULL, 0);
}

/* ---- seats ---- */

void seat_digest(const struct crypto_ops *c, struct hash32 *out, const struct hash32 *chain_id, const struct hash32 *set_hash)
{
    labelled_hash(c, out, "reeve-seat-v1", slice_of(chain_id->b, 32), slice_of(set_hash->b, 32));
}

static bool is_known(const struct valset *was, const struct validator *v)
{
    int i = valset_find(was, &v->key);
    return i >= 0 && name_eq(&was->v[i].name, &v->name) && memcmp(was->v[i].cosign_key.b, v->cosign_key.b, 32) == 0;
}

enum reeve_err seats_verify(const struct crypto_ops *c, const struct valset_doc *d, const struct hash32 *chain_id,
                            const struct valset *was)
{
    struct hash32 set_hash, digest;
    unsigned taken = 0;
    enum reeve_err err = valset_doc_hash(c, &set_hash, d);
    if (err != REEVE_OK)
        return err;
    seat_digest(c, &digest, chain_id, &set_hash);
    struct slice bytes = slice_of(digest.b, 32);
    for (unsigned i = 0; i < d->set.n; i++) {
        const struct validator *v = &d->set.v[i];
        if (!seat_is_taken(d, i)) {
            if (!is_known(was, v))
                return REEVE_E_V_QUORUM;
            continue;
        }
        if (!c->verify(&d->seat[i].by_key, bytes, &v->key) || !c->verify(&d->seat[i].by_cosign, bytes, &v->cosign_key))
            return REEVE_E_V_SIGNATURE;
        taken++;
    }
    return taken >= valset_quorum(d->set.n) ? REEVE_OK : REEVE_E_V_QUORUM;
}

/* ---- from one set to the next ---- */

bool header_is_closer(const struct crypto_ops *c, const struct block_header *h)
{
    struct hash32 none;
    block_payload_root(c, NULL, 0, &none);
    return header_ends_epoch(h) && hash32_eq(&none, &h->payload_root);
}

enum reeve_err valset_advance(const struct crypto_ops *c, const struct finalization *f, struct slice payload, struct valset *set,
                              struct hash32 *set_hash)
{
    struct valset_doc d;
    struct hash32 hash;
    enum reeve_err err;
    if (!header_ends_epoch(&f->header))
        return REEVE_E_V_SET;
    TRY(valset_doc_decode(&d, payload));
    TRY(valset_doc_hash(c, &hash, &d));
    if (!hash32_eq(&hash, &f->header.next_valset_hash) || d.set.epoch != set->epoch + 1)
        return REEVE_E_V_SET;
    if (f->recovery.len == 0)
        TRY(seats_verify(c, &d, &f->header.chain_id, set));
    *set = d.set;
    *set_hash = hash;
out:
    return err;
}
