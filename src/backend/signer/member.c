/*
 * member.c - the signer of a member that joined a ring: keys of its own, and what others must prove to use them
 *
 * It has a key that speaks for the region once the region's own key has said
 * so (REGION object), and a key that secrets are sealed to. It votes for
 * nothing and knows no chain before its ring process has told it one, once.
 */
#include "backend/signer/signer_int.h"

#include <stdio.h>

#include "crypto/hash.h"
#include "crypto/ops.h"

enum reeve_err signer_member_keys(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct pubkey seal = { { 0 } };
    if (!rd_done(in))
        return report_set(rep, REEVE_E_MALFORMED, "malformed request for a member's keys");
    if (s->member)
        seal_key_public(&seal, &s->sec->seal);
    wr_u8(out, s->pinned);
    wr_bytes(out, s->region_pub.b, 32);
    wr_bytes(out, seal.b, 32);
    return REEVE_OK;
}

static enum reeve_err trust_of(struct slice doc, const struct name *region, struct trust *t)
{
    static struct genesis g;
    struct wr set = wr_heap(ATTEST_LEAF_MAX);
    bool known = false;
    enum reeve_err err = genesis_decode(&g, doc);
    for (uint16_t i = 0; err == REEVE_OK && i < g.n_regions; i++)
        known |= name_eq(&g.region[i].name, region);
    if (err == REEVE_OK && !known)
        err = REEVE_E_V_REGION;
    if (err == REEVE_OK) {
        memset(t, 0, sizeof *t);
        genesis_chain_id(&crypto_ops_real, &t->chain_id, doc);
        t->set = g.set;
        t->time = g.time;
        valset_encode(&g.set, &set);
        valset_hash(&crypto_ops_real, &t->set_hash, wr_slice(&set));
        err = set.bad ? REEVE_E_NOMEM : REEVE_OK;
    }
    wr_free(&set);
    return err;
}

/* The first time is believed: what comes then is the ring that the operator's token led this member into. */
enum reeve_err signer_member_pin(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    static struct trust t;
    struct name region;
    (void) out;
    rd_name(in, &region);
    struct slice doc = rd_str32(in, ATTEST_LEAF_MAX);
    if (!rd_done(in) || trust_of(doc, &region, &t) != REEVE_OK)
        return report_set(rep, REEVE_E_MALFORMED, "that is no chain to believe in");
    if (s->pinned)
        return hash32_eq(&t.chain_id, &s->trust.chain_id) && name_eq(&region, &s->region)
                   ? REEVE_OK : report_set(rep, REEVE_E_V_CHAIN, "this signer believes in another chain");
    enum reeve_err err = trust_pin(s->dirfd, &region, &t);
    if (err != REEVE_OK)
        return report_set(rep, err, "could not sync the signer's trust");
    s->region = region;
    s->trust = t;
    s->pinned = true;
    return REEVE_OK;
}

/* ---- intermediates ---- */

/* "reeve-intermediate-v1" 00 | chain id | name authority | u32 gen | str16 SPKI, signed by the member's key. */
static void intermediate_message(const struct signer *s, const struct name *authority, uint32_t gen, struct slice spki, struct wr *w)
{
    wr_bytes(w, "reeve-intermediate-v1", 22);
    wr_bytes(w, s->trust.chain_id.b, 32);
    wr_name(w, authority);
    wr_u32(w, gen);
    wr_str16(w, spki);
}

enum reeve_err signer_intermediate_key(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct name authority;
    struct xkey *key = NULL;
    struct hash32 spki_hash;
    uint8_t mem[256], msg_mem[700];
    struct wr spki = wr_fixed(mem, sizeof mem), msg = wr_fixed(msg_mem, sizeof msg_mem);
    struct sig64 sig;
    enum reeve_err err;
    rd_name(in, &authority);
    uint32_t gen = rd_u32(in);
    uint8_t key_type = rd_u8(in);
    if (!rd_done(in) || !s->member || authority.len == 0 || gen == 0 || (key_type != KEY_ECDSA_P256 && key_type != KEY_ED25519))
        return report_set(rep, REEVE_E_MALFORMED, "malformed request for an intermediate's key");
    TRY(xkey_generate(&key, key_type));
    TRY(sealed_store(s, "authority", &authority, gen, key, &spki_hash, rep));
    TRY(xkey_spki(key, &spki));
    intermediate_message(s, &authority, gen, wr_slice(&spki), &msg);
    TRY(own_key_sign(s->token, &s->sec->region, wr_slice(&msg), &sig, rep));
    wr_str16(out, wr_slice(&spki));
    wr_bytes(out, sig.b, 64);
out:
    xkey_free(key);
    return err;
}

struct intermediate_request { struct name authority; uint32_t gen, member; struct slice spki; struct sig64 sig; };

static enum reeve_err intermediate_read(struct signer *s, struct rd *in, struct intermediate_request *q, struct report *rep)
{
    struct slice bundle = rd_str32(in, SIGNER_BUNDLE_MAX);
    rd_name(in, &q->authority);
    q->gen = rd_u32(in);
    q->member = rd_u32(in);
    q->spki = rd_str16(in, 256);
    rd_copy(in, q->sig.b, 64);
    return rd_done(in) ? trust_prove(s, bundle, rep) : report_set(rep, REEVE_E_MALFORMED, "malformed request for an intermediate");
}

/* The member that asks is one whom the attested region lists, and it asks for this key itself. */
static enum reeve_err member_vouches(struct signer *s, const struct intermediate_request *q, struct report *rep)
{
    static struct region_doc region;
    uint8_t mem[700];
    struct wr msg = wr_fixed(mem, sizeof mem);
    struct update u;
    const struct proved_entry *e = proved_by_name(&s->proved, AT_REGION, &s->region, s->now_ms());
    if (e == NULL || update_decode(&u, slice_of(e->leaf, e->leaf_len)) != REEVE_OK || region_doc_decode(&region, u.payload) != REEVE_OK)
        return report_set(rep, REEVE_E_AGAIN, "a proof of the region is needed");
    const struct region_member *m = region_member_find(&region, q->member);
    if (m == NULL)
        return report_set(rep, REEVE_E_V_REGION, "the region lists no key of member %u", q->member);
    intermediate_message(s, &q->authority, q->gen, q->spki, &msg);
    return sign_verify(&q->sig, wr_slice(&msg), &m->key)
               ? REEVE_OK : report_set(rep, REEVE_E_V_SIGNATURE, "the request is not signed by member %u", q->member);
}

/* As long as the authority's own, and nothing below it but leaves. */
static enum reeve_err intermediate_issue(struct signer *s, const struct template_ref *t, const struct intermediate_request *q,
                                         struct wr *der, struct report *rep)
{
    char subject[64];
    struct x509_issuer *issuer;
    struct x509_spec spec = { .not_before = t->authority->not_before, .not_after = t->authority->not_after, .is_ca = true };
    snprintf(subject, sizeof subject, "CN=intermediate of member %u", q->member);
    spec.subject = slice_str(subject);
    x509_serial_random(spec.serial);
    enum reeve_err err = opened_issuer(s, t, &issuer, NULL, rep);
    if (err == REEVE_OK)
        err = x509_issuer_issue(issuer, der, &spec, q->spki);
    return err == REEVE_OK ? err : report_set(rep, err, "could not issue the intermediate (%s)", reeve_err_name(err));
}

enum reeve_err signer_intermediate_issue(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct intermediate_request q;
    struct template_ref t = { .gen = NULL };
    struct wr der = wr_fixed(s->scratch, AUTHORITY_INTER_BYTES);
    enum reeve_err err;
    TRY(intermediate_read(s, in, &q, rep));
    TRY(member_vouches(s, &q, rep));
    TRY(template_authority(s, &q.authority, q.gen, &t, rep));
    TRY(intermediate_issue(s, &t, &q, &der, rep));
    wr_str16(out, wr_slice(&der));
out:
    return err;
}
