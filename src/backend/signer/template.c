/*
 * template.c - from a proof to a certificate
 *
 * A generation attests a template. Nothing is signed here that is not in it:
 * the request brings only the SPKI (per-node certificates) or nothing at all
 * (shared ones).
 */
#include "backend/signer/signer_int.h"

#include "crypto/hash.h"

/* A template may start this much in the future by our clock. */
#define START_SKEW_MS 300000

static enum reeve_err doc_of(const struct proved_entry *e, struct update *u)
{
    return update_decode(u, slice_of(e->leaf, e->leaf_len));
}

static enum reeve_err check_gen(struct signer *s, const struct cert_gen *g, struct report *rep)
{
    int64_t now = s->now_ms();
    if (g == NULL)
        return report_set(rep, REEVE_E_NOT_FOUND, "the certificate has no such generation");
    if (g->state == GEN_REVOKED)
        return report_set(rep, REEVE_E_V_REVOKED, "generation %u is revoked", g->gen);
    if (g->state != GEN_PREPARED && g->state != GEN_ACTIVE)
        return report_set(rep, REEVE_E_WRONG_STATE, "generation %u is neither prepared nor active", g->gen);
    if (now >= g->not_after.ms)
        return report_set(rep, REEVE_E_V_EXPIRED, "generation %u has expired", g->gen);
    if (now + START_SKEW_MS < g->not_before.ms)
        return report_set(rep, REEVE_E_V_TIME, "generation %u is not valid yet", g->gen);
    return REEVE_OK;
}

static const struct authority_gen *find_authority_gen(const struct authority_doc *d, uint32_t gen)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->g[i].gen == gen)
            return &d->g[i];
    return NULL;
}

static enum reeve_err check_authority(struct signer *s, const struct authority_gen *g, struct report *rep)
{
    if (!name_eq(&s->authority.region, &s->region))
        return report_set(rep, REEVE_E_WRONG_STATE, "the authority's key is in region \"%s\"", s->authority.region.s);
    if (g == NULL || g->state == AUTH_PENDING || g->chain_len == 0)
        return report_set(rep, REEVE_E_WRONG_STATE, "the authority has no certificate of that generation yet");
    if (g->state == AUTH_REVOKED)
        return report_set(rep, REEVE_E_V_REVOKED, "the authority's generation %u is revoked", g->gen);
    if (s->now_ms() >= g->not_after.ms)
        return report_set(rep, REEVE_E_V_EXPIRED, "the authority's generation %u has expired", g->gen);
    return REEVE_OK;
}

/* Length of the first DER element (a certificate: long form, two length bytes), 0 when it is none. */
static size_t der_first_len(struct slice der)
{
    if (der.len < 4 || der.p[0] != 0x30)
        return 0;
    size_t n = der.p[1] < 0x80 ? 2u + der.p[1] : der.p[1] == 0x81 ? 3u + der.p[2]
             : der.p[1] == 0x82 ? 4u + ((size_t) der.p[2] << 8 | der.p[3]) : 0;
    return n <= der.len ? n : 0;
}

static enum reeve_err load_authority(struct signer *s, const struct proved_entry *e, uint32_t gen, struct template_ref *t,
                                     struct report *rep)
{
    struct update u;
    if (doc_of(e, &u) != REEVE_OK || authority_doc_decode(&s->authority, u.payload) != REEVE_OK)
        return report_set(rep, REEVE_E_MALFORMED, "the proved authority does not decode");
    t->authority_name = e->name;
    t->authority = find_authority_gen(&s->authority, gen);
    enum reeve_err err = check_authority(s, t->authority, rep);
    if (err != REEVE_OK)
        return err;
    t->chain = slice_of(t->authority->chain, t->authority->chain_len);
    t->issuer = slice_of(t->chain.p, der_first_len(t->chain));
    return t->issuer.len ? REEVE_OK : report_set(rep, REEVE_E_MALFORMED, "the authority's chain is no certificate");
}

static enum reeve_err load_cert(struct signer *s, const struct proved_entry *e, uint32_t gen, struct template_ref *t,
                                struct report *rep)
{
    struct update u;
    if (doc_of(e, &u) != REEVE_OK || cert_doc_decode(&s->cert, u.payload) != REEVE_OK)
        return report_set(rep, REEVE_E_MALFORMED, "the proved certificate does not decode");
    t->cert = e->name;
    t->gen = cert_gen_find(&s->cert, gen);
    return check_gen(s, t->gen, rep);
}

enum reeve_err template_authority(struct signer *s, const struct name *name, uint32_t gen, struct template_ref *t,
                                  struct report *rep)
{
    const struct proved_entry *authority = proved_by_name(&s->proved, AT_AUTHORITY, name, s->now_ms());
    if (authority == NULL)
        return report_set(rep, REEVE_E_AGAIN, "a proof of the authority is needed");
    return load_authority(s, authority, gen, t, rep);
}

enum reeve_err template_read(struct signer *s, struct rd *in, struct template_ref *t, struct report *rep)
{
    struct hash32 leaf_hash;
    struct slice bundle = { NULL, 0 };
    uint8_t have_proof = rd_u8(in);
    if (have_proof == 1)
        bundle = rd_str32(in, SIGNER_BUNDLE_MAX);
    rd_copy(in, leaf_hash.b, 32);
    uint32_t gen = rd_u32(in);
    if (in->bad || have_proof > 1)
        return report_set(rep, REEVE_E_MALFORMED, "malformed request for a certificate");
    enum reeve_err err = have_proof ? trust_prove(s, bundle, rep) : REEVE_OK;
    if (err != REEVE_OK)
        return err;
    const struct proved_entry *cert = proved_by_hash(&s->proved, AT_CERT, &leaf_hash, s->now_ms());
    if (cert == NULL)
        return report_set(rep, REEVE_E_AGAIN, "a proof of the certificate is needed");
    err = load_cert(s, cert, gen, t, rep);
    if (err != REEVE_OK)
        return err;
    return template_authority(s, &s->cert.authority, t->gen->authority_gen, t, rep);
}

static void spec_of(struct signer *s, const struct template_ref *t, struct x509_spec *spec, char subject[300])
{
    *spec = (struct x509_spec){ .not_before = t->gen->not_before, .not_after = t->gen->not_after };
    spec->subject = slice_str(s->cert.subject);
    if (spec->subject.len == 0) {
        struct wr w = wr_fixed(subject, 300);
        wr_text(&w, "CN=");
        wr_bytes(&w, t->cert.s, t->cert.len);
        spec->subject = wr_slice(&w);
    }
    for (size_t i = 0; i < s->cert.n_sans && i < X509_SANS_MAX; i++)
        spec->sans[spec->n_sans++] = name_slice(&s->cert.san[i]);
    x509_serial_random(spec->serial);
}

enum reeve_err template_issue(struct signer *s, struct template_ref *t, struct slice spki, struct wr *der, struct report *rep)
{
    struct x509_spec spec;
    char subject[300];
    struct x509_issuer *issuer;
    spec_of(s, t, &spec, subject);
    enum reeve_err err = opened_issuer(s, t, &issuer, &t->inter, rep);
    if (err == REEVE_OK)
        err = x509_issuer_issue(issuer, der, &spec, spki);
    return err == REEVE_OK ? err : report_set(rep, err, "could not issue the certificate (%s)", reeve_err_name(err));
}
