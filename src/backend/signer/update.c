/* update.c - SIGN_UPDATE: the region's word for a security update of its own. */
#include "backend/signer/signer_int.h"

#include "crypto/ops.h"

/* The engine decodes whole leaves only: an empty signature makes it one. */
static enum reeve_err decode_unsigned(struct slice unsigned_bytes, struct update *u, struct wr *leaf)
{
    wr_bytes(leaf, unsigned_bytes.p, unsigned_bytes.len);
    memset(wr_reserve(leaf, 64) ?: (uint8_t[64]){ 0 }, 0, 64);
    return leaf->bad ? REEVE_E_TOO_BIG : update_decode(u, wr_slice(leaf));
}

enum reeve_err signer_sign_update(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    static uint8_t leaf_bytes[ATTEST_LEAF_MAX];
    struct wr leaf = wr_fixed(leaf_bytes, sizeof leaf_bytes);
    struct update u;
    struct hash32 digest;
    struct sig64 sig;
    struct slice body = rd_str32(in, ATTEST_LEAF_MAX);
    if (!rd_done(in) || decode_unsigned(body, &u, &leaf) != REEVE_OK)
        return report_set(rep, REEVE_E_MALFORMED, "malformed security update");
    if (!name_eq(&u.region, &s->region))
        return report_set(rep, REEVE_E_DENIED, "the update names region \"%s\", this signer speaks for \"%s\"",
                          u.region.s, s->region.s);
    update_sign_digest(&crypto_ops_real, &digest, &s->trust.chain_id, body);
    enum reeve_err err = own_key_sign(s->token, &s->sec->region, slice_of(digest.b, 32), &sig, rep);
    if (err == REEVE_OK)
        wr_bytes(out, sig.b, sizeof sig.b);
    return err;
}
