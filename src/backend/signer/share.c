/*
 * share.c - SHARED_EXPORT, SHARED_IMPORT: a shared certificate's key, from the signer that made it to those of members
 *
 * It travels sealed to the sealing key that the attested region lists for that
 * member, and is kept there as it is here: under the master key. Who sealed it
 * does not matter: only the key whose SPKI the certificate attests is taken.
 */
#include "backend/signer/signer_int.h"

#include "crypto/hash.h"

#define PKCS8_MAX 512

/* The shared certificate's generation in use, from what was proved; s->cert is its document. */
static enum reeve_err shared_gen(struct signer *s, const struct name *cert, uint32_t gen, const struct cert_gen **out, struct report *rep)
{
    struct update u;
    const struct proved_entry *e = proved_by_name(&s->proved, AT_CERT, cert, s->now_ms());
    if (e == NULL)
        return report_set(rep, REEVE_E_AGAIN, "a proof of the certificate is needed");
    if (update_decode(&u, slice_of(e->leaf, e->leaf_len)) != REEVE_OK || cert_doc_decode(&s->cert, u.payload) != REEVE_OK)
        return report_set(rep, REEVE_E_MALFORMED, "the proved certificate does not decode");
    const struct cert_gen *g = cert_gen_find(&s->cert, gen);
    if (s->cert.mode == CERT_PER_NODE || g == NULL || (g->state != GEN_PREPARED && g->state != GEN_ACTIVE))
        return report_set(rep, REEVE_E_WRONG_STATE, "certificate \"%s\" has no shared key of generation %u in use", cert->s, gen);
    *out = g;
    return REEVE_OK;
}

static enum reeve_err sealing_key(struct signer *s, uint32_t member, struct pubkey *out, struct report *rep)
{
    static struct region_doc region;
    struct update u;
    const struct proved_entry *e = proved_by_name(&s->proved, AT_REGION, &s->region, s->now_ms());
    if (e == NULL || update_decode(&u, slice_of(e->leaf, e->leaf_len)) != REEVE_OK || region_doc_decode(&region, u.payload) != REEVE_OK)
        return report_set(rep, REEVE_E_AGAIN, "a proof of the region is needed");
    const struct region_member *m = region_member_find(&region, member);
    if (m == NULL)
        return report_set(rep, REEVE_E_V_REGION, "the region lists no key of member %u", member);
    *out = m->seal_key;
    return REEVE_OK;
}

enum reeve_err signer_shared_export(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct name cert;
    struct pubkey to;
    const struct cert_gen *g;
    struct xkey *key = NULL;
    enum reeve_err err;
    struct slice bundle = rd_str32(in, SIGNER_BUNDLE_MAX);
    rd_name(in, &cert);
    uint32_t gen = rd_u32(in), member = rd_u32(in);
    if (!rd_done(in))
        return report_set(rep, REEVE_E_MALFORMED, "malformed request for a shared key");
    TRY(trust_prove(s, bundle, rep));
    TRY(shared_gen(s, &cert, gen, &g, rep));
    TRY(sealing_key(s, member, &to, rep));
    TRY(sealed_load(s, "shared", &cert, gen, &g->spki_hash, &key, rep));
    err = seal_key_to(key, &to, out);
out:
    xkey_free(key);
    return err;
}

static enum reeve_err open_sealed(struct signer *s, struct slice box, struct xkey **out)
{
    uint8_t plain[PKCS8_MAX];
    if (box.len <= SEAL_OVERHEAD || box.len > PKCS8_MAX + SEAL_OVERHEAD)
        return REEVE_E_MALFORMED;
    enum reeve_err err = seal_open(plain, box, &s->sec->seal);
    if (err == REEVE_OK)
        err = xkey_from_der(out, slice_of(plain, box.len - SEAL_OVERHEAD));
    secret_wipe(plain, sizeof plain);
    return err;
}

enum reeve_err signer_shared_import(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct name cert;
    struct hash32 have;
    const struct cert_gen *g;
    struct xkey *key = NULL;
    enum reeve_err err;
    (void) out;
    struct slice bundle = rd_str32(in, SIGNER_BUNDLE_MAX);
    rd_name(in, &cert);
    uint32_t gen = rd_u32(in);
    struct slice box = rd_str16(in, PKCS8_MAX + SEAL_OVERHEAD);
    if (!rd_done(in) || !s->member)
        return report_set(rep, REEVE_E_MALFORMED, "malformed key of a shared certificate");
    TRY(trust_prove(s, bundle, rep));
    TRY(shared_gen(s, &cert, gen, &g, rep));
    if (sealed_load(s, "shared", &cert, gen, &g->spki_hash, &key, rep) == REEVE_OK)
        goto out;
    report_clear(rep);
    TRY(open_sealed(s, box, &key));
    TRY(sealed_spki(key, &have));
    if (!hash32_eq(&have, &g->spki_hash)) {
        err = report_set(rep, REEVE_E_V_KEY, "that is not the key that certificate \"%s\" attests", cert.s);
        goto out;
    }
    err = sealed_store(s, "shared", &cert, gen, key, &have, rep);
out:
    xkey_free(key);
    return err;
}
