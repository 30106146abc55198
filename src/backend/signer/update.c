/* update.c - SIGN_UPDATE and SIGN_STATEMENT: the region's word, for a security update of its own or beside the log. */
#include "backend/signer/signer_int.h"

#include "crypto/ops.h"

/* The engine decodes whole leaves only: an empty signature makes it one. */
static enum reeve_err decode_unsigned(struct slice unsigned_bytes, struct update *u, struct wr *leaf)
{
    wr_bytes(leaf, unsigned_bytes.p, unsigned_bytes.len);
    memset(wr_reserve(leaf, 64) ?: (uint8_t[64]){ 0 }, 0, 64);
    return leaf->bad ? REEVE_E_TOO_BIG : update_decode(u, wr_slice(leaf));
}

static enum reeve_err sign_digest(struct signer *s, const struct hash32 *digest, struct wr *out, struct report *rep)
{
    struct sig64 sig;
    enum reeve_err err = own_key_sign(s->token, &s->sec->region, slice_of(digest->b, 32), &sig, rep);
    if (err == REEVE_OK)
        wr_bytes(out, sig.b, sizeof sig.b);
    return err;
}

enum reeve_err signer_sign_update(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    static uint8_t leaf_bytes[ATTEST_LEAF_MAX];
    struct wr leaf = wr_fixed(leaf_bytes, sizeof leaf_bytes);
    struct update u;
    struct hash32 digest;
    struct slice body = rd_str32(in, ATTEST_LEAF_MAX);
    if (!rd_done(in) || decode_unsigned(body, &u, &leaf) != REEVE_OK)
        return report_set(rep, REEVE_E_MALFORMED, "malformed security update");
    if (!name_eq(&u.region, &s->region))
        return report_set(rep, REEVE_E_DENIED, "the update names region \"%s\", this signer speaks for \"%s\"",
                          u.region.s, s->region.s);
    update_sign_digest(&crypto_ops_real, &digest, &s->trust.chain_id, body);
    return sign_digest(s, &digest, out, rep);
}

/* Which kinds there are is fixed; the bytes are bound to kind, chain and region, and else the ring's affair. */
enum reeve_err signer_sign_statement(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct hash32 digest;
    struct name region;
    uint8_t kind = rd_u8(in);
    struct slice body = rd_str16(in, UINT16_MAX);
    struct rd r = rd_of(body);
    rd_name(&r, &region);
    if (!rd_done(in) || r.bad || kind < STATEMENT_EVIDENCE || kind >= STATEMENT__COUNT)
        return report_set(rep, REEVE_E_MALFORMED, "malformed statement");
    if (!name_eq(&region, &s->region))
        return report_set(rep, REEVE_E_DENIED, "the statement names region \"%s\", this signer speaks for \"%s\"", region.s, s->region.s);
    statement_digest(&crypto_ops_real, &digest, (enum statement_kind) kind, &s->trust.chain_id, body);
    return sign_digest(s, &digest, out, rep);
}
