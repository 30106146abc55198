/* x509_issue.c - certificates made: the extensions, the names, the signature (RFC 5280). */
#include "crypto/x509_int.h"
#include "crypto/hash.h"

#include <openssl/x509v3.h>
#include <stdlib.h>

#define YEAR_9999_END_MS 253402300799999LL

static enum reeve_err check_times(const struct x509_spec *s, struct report *rep)
{
    if (s->not_before.ms < 0 || s->not_after.ms > YEAR_9999_END_MS || s->not_after.ms <= s->not_before.ms)
        return report_set(rep, REEVE_E_INVALID_VALUE, "the validity of a certificate must end after it begins");
    return REEVE_OK;
}

static enum reeve_err check_sans(const struct x509_spec *s, struct report *rep)
{
    uint8_t ip[16];
    size_t ip_len;
    if (s->n_sans > X509_SANS_MAX)
        return report_set(rep, REEVE_E_INVALID_VALUE, "a certificate has at most %d alternative names", X509_SANS_MAX);
    for (size_t i = 0; i < s->n_sans; i++) {
        enum reeve_err err = x509_san_parse(ip, &ip_len, s->sans[i], rep);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

enum reeve_err x509_spec_check(const struct x509_spec *s, struct report *rep)
{
    enum reeve_err err;
    X509_NAME *name = NULL;
    TRY(x509_name_make(&name, s->subject, rep));
    TRY(check_sans(s, rep));
    TRY(check_times(s, rep));
    if (s->subject.len == 0 && (s->is_ca || s->n_sans == 0))
        TRY(report_set(rep, REEVE_E_INVALID_VALUE, "a certificate needs a subject or an alternative name"));
    if (s->is_ca && s->path_len < -1)
        TRY(report_set(rep, REEVE_E_INVALID_VALUE, "the path length of an authority must not be negative"));
out:
    X509_NAME_free(name);
    return err;
}

void x509_serial_random(uint8_t serial[X509_SERIAL_LEN])
{
    random_bytes(serial, X509_SERIAL_LEN);
    serial[0] = (uint8_t) ((serial[0] & 0x7f) | 0x40);
}

static enum reeve_err set_serial(X509 *c, const uint8_t serial[X509_SERIAL_LEN])
{
    uint8_t b[X509_SERIAL_LEN];
    memcpy(b, serial, sizeof b);
    b[0] &= 0x7f;
    BIGNUM *n = BN_bin2bn(b, sizeof b, NULL);
    bool ok = n != NULL && !BN_is_zero(n) && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(c)) != NULL;
    BN_free(n);
    return ok ? REEVE_OK : REEVE_E_INVALID_VALUE;
}

static enum reeve_err set_times(X509 *c, const struct x509_spec *s)
{
    bool ok = ASN1_TIME_set(X509_getm_notBefore(c), (time_t) (s->not_before.ms / 1000)) != NULL
           && ASN1_TIME_set(X509_getm_notAfter(c), (time_t) (s->not_after.ms / 1000)) != NULL;
    return ok ? REEVE_OK : REEVE_E_NOMEM;
}

static enum reeve_err add_ext(X509 *c, int nid, void *value, int critical)
{
    if (value == NULL)
        return REEVE_E_NOMEM;
    return X509_add1_ext_i2d(c, nid, value, critical, X509V3_ADD_DEFAULT) == 1 ? REEVE_OK : REEVE_E_NOMEM;
}

static enum reeve_err add_basic(X509 *c, const struct x509_spec *s)
{
    BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
    if (bc == NULL)
        return REEVE_E_NOMEM;
    bc->ca = s->is_ca ? 0xff : 0;
    bool ok = true;
    if (s->is_ca && s->path_len >= 0)
        ok = (bc->pathlen = ASN1_INTEGER_new()) != NULL && ASN1_INTEGER_set(bc->pathlen, s->path_len) == 1;
    enum reeve_err err = ok ? add_ext(c, NID_basic_constraints, bc, 1) : REEVE_E_NOMEM;
    BASIC_CONSTRAINTS_free(bc);
    return err;
}

/* Bit 0 is digitalSignature, 5 keyCertSign, 6 cRLSign. */
static enum reeve_err add_usage(X509 *c, bool is_ca)
{
    ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
    if (bits == NULL)
        return REEVE_E_NOMEM;
    bool ok = is_ca ? ASN1_BIT_STRING_set_bit(bits, 5, 1) && ASN1_BIT_STRING_set_bit(bits, 6, 1)
                    : ASN1_BIT_STRING_set_bit(bits, 0, 1);
    enum reeve_err err = ok ? add_ext(c, NID_key_usage, bits, 1) : REEVE_E_NOMEM;
    ASN1_BIT_STRING_free(bits);
    return err;
}

static enum reeve_err add_extended_usage(X509 *c)
{
    EXTENDED_KEY_USAGE *eku = sk_ASN1_OBJECT_new_null();
    if (eku == NULL)
        return REEVE_E_NOMEM;
    bool ok = sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(NID_server_auth)) > 0
           && sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(NID_client_auth)) > 0;
    enum reeve_err err = ok ? add_ext(c, NID_ext_key_usage, eku, 0) : REEVE_E_NOMEM;
    sk_ASN1_OBJECT_pop_free(eku, ASN1_OBJECT_free);
    return err;
}

/* RFC 7093 method 1: the first 160 bits of SHA-256 over the key's bit string. */
static ASN1_OCTET_STRING *key_id(X509 *c)
{
    ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(c);
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    struct hash32 h;
    if (bits == NULL || id == NULL) {
        ASN1_OCTET_STRING_free(id);
        return NULL;
    }
    sha256(&h, slice_of(ASN1_STRING_get0_data(bits), (size_t) ASN1_STRING_length(bits)));
    if (ASN1_OCTET_STRING_set(id, h.b, 20) != 1) {
        ASN1_OCTET_STRING_free(id);
        return NULL;
    }
    return id;
}

static enum reeve_err add_key_ids(X509 *c, X509 *issuer)
{
    enum reeve_err err;
    ASN1_OCTET_STRING *own = key_id(c);
    AUTHORITY_KEYID *aki = AUTHORITY_KEYID_new();
    const ASN1_OCTET_STRING *theirs = issuer ? X509_get0_subject_key_id(issuer) : own;
    if (own == NULL || aki == NULL)
        TRY(REEVE_E_NOMEM);
    TRY(add_ext(c, NID_subject_key_identifier, own, 0));
    /* An issuer without a key id of its own is found by name alone. */
    if (theirs != NULL) {
        if ((aki->keyid = ASN1_OCTET_STRING_dup(theirs)) == NULL)
            TRY(REEVE_E_NOMEM);
        TRY(add_ext(c, NID_authority_key_identifier, aki, 0));
    }
out:
    AUTHORITY_KEYID_free(aki);
    ASN1_OCTET_STRING_free(own);
    return err;
}

static GENERAL_NAME *san_make(struct slice text)
{
    uint8_t ip[16];
    size_t ip_len;
    if (x509_san_parse(ip, &ip_len, text, NULL) != REEVE_OK)
        return NULL;
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *s = ip_len > 0 ? (ASN1_STRING *) ASN1_OCTET_STRING_new() : (ASN1_STRING *) ASN1_IA5STRING_new();
    int ok = g != NULL && s != NULL
          && (ip_len > 0 ? ASN1_STRING_set(s, ip, (int) ip_len) : ASN1_STRING_set(s, text.p, (int) text.len));
    if (!ok) {
        ASN1_STRING_free(s);
        GENERAL_NAME_free(g);
        return NULL;
    }
    GENERAL_NAME_set0_value(g, ip_len > 0 ? GEN_IPADD : GEN_DNS, s);
    return g;
}

static enum reeve_err add_sans(X509 *c, const struct x509_spec *s)
{
    enum reeve_err err = REEVE_OK;
    if (s->n_sans == 0)
        return REEVE_OK;
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    if (names == NULL)
        return REEVE_E_NOMEM;
    for (size_t i = 0; i < s->n_sans; i++) {
        GENERAL_NAME *g = san_make(s->sans[i]);
        if (g == NULL || sk_GENERAL_NAME_push(names, g) <= 0) {
            GENERAL_NAME_free(g);
            TRY(REEVE_E_NOMEM);
        }
    }
    /* RFC 5280 4.2.1.6: critical when the subject is empty */
    TRY(add_ext(c, NID_subject_alt_name, names, s->subject.len == 0));
out:
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return err;
}

static enum reeve_err add_extensions(X509 *c, const struct x509_spec *s, X509 *issuer)
{
    enum reeve_err err;
    TRY(add_basic(c, s));
    TRY(add_usage(c, s->is_ca));
    if (!s->is_ca)
        TRY(add_extended_usage(c));
    TRY(add_key_ids(c, issuer));
    TRY(add_sans(c, s));
out:
    return err;
}

/* The issuer must be what it claims: its certificate an authority's, its key that certificate's. */
static enum reeve_err check_issuer(X509 *issuer, const struct xkey *key, EVP_PKEY *subject)
{
    if (issuer == NULL)
        return EVP_PKEY_eq(subject, key->pkey) == 1 ? REEVE_OK : REEVE_E_V_KEY;
    if (X509_check_ca(issuer) != 1)
        return REEVE_E_INVALID_VALUE;
    return X509_check_private_key(issuer, key->pkey) == 1 ? REEVE_OK : REEVE_E_V_KEY;
}

static enum reeve_err set_names(X509 *c, struct slice subject, X509 *issuer)
{
    X509_NAME *name;
    enum reeve_err err = x509_name_make(&name, subject, NULL);
    if (err != REEVE_OK)
        return err;
    int ok = X509_set_subject_name(c, name)
          && X509_set_issuer_name(c, issuer ? X509_get_subject_name(issuer) : name);
    X509_NAME_free(name);
    return ok ? REEVE_OK : REEVE_E_NOMEM;
}

static enum reeve_err write_der(X509 *c, struct wr *out)
{
    unsigned char *der = NULL;
    int len = i2d_X509(c, &der);
    if (len <= 0)
        return REEVE_E_NOMEM;
    wr_bytes(out, der, (size_t) len);
    OPENSSL_free(der);
    return len > X509_DER_MAX ? REEVE_E_TOO_BIG : out->bad ? REEVE_E_NOMEM : REEVE_OK;
}

static enum reeve_err build(struct wr *out_der, const struct x509_spec *spec, struct slice spki, const struct xkey *key,
                            X509 *issuer)
{
    enum reeve_err err;
    X509 *c = X509_new();
    if (c == NULL || X509_set_version(c, X509_VERSION_3) != 1)
        TRY(REEVE_E_NOMEM);
    TRY(spki_put(X509_get_X509_PUBKEY(c), spki));
    TRY(set_serial(c, spec->serial));
    TRY(set_names(c, spec->subject, issuer));
    TRY(set_times(c, spec));
    TRY(add_extensions(c, spec, issuer));
    if (X509_sign(c, key->pkey, xkey_digest(key->type)) <= 0)
        TRY(REEVE_E_BUG);
    TRY(write_der(c, out_der));
out:
    X509_free(c);
    return err;
}

/* The subject's key is decoded to be judged; what goes into the certificate are its bytes. */
static enum reeve_err check_subject(struct slice spki, const struct xkey *self)
{
    enum key_type type;
    EVP_PKEY *subject = NULL;
    enum reeve_err err;
    TRY(spki_decode(&subject, &type, spki));
    if (self != NULL)
        TRY(check_issuer(NULL, self, subject));
out:
    EVP_PKEY_free(subject);
    return err;
}

enum reeve_err x509_issue(struct wr *out_der, const struct x509_spec *spec, struct slice subject_spki,
                          const struct xkey *issuer_key, struct slice issuer_cert)
{
    enum reeve_err err;
    X509 *issuer = NULL;

    TRY(x509_spec_check(spec, NULL));
    TRY(check_subject(subject_spki, issuer_cert.len > 0 ? NULL : issuer_key));
    if (issuer_cert.len > 0) {
        TRY(x509_decode(&issuer, issuer_cert));
        TRY(check_issuer(issuer, issuer_key, NULL));
    }
    TRY(build(out_der, spec, subject_spki, issuer_key, issuer));
out:
    X509_free(issuer);
    return err;
}

/* ---- one who issues many ---- */

struct x509_issuer {
    struct xkey *key;
    X509 *cert;
};

enum reeve_err x509_issuer_new(struct x509_issuer **out, struct xkey *key, struct slice cert)
{
    enum reeve_err err;
    struct x509_issuer *i = calloc(1, sizeof *i);
    *out = NULL;
    if (i == NULL) {
        xkey_free(key);
        return REEVE_E_NOMEM;
    }
    i->key = key;
    TRY(x509_decode(&i->cert, cert));
    TRY(check_issuer(i->cert, key, NULL));
    *out = i;
    return REEVE_OK;
out:
    x509_issuer_free(i);
    return err;
}

void x509_issuer_free(struct x509_issuer *i)
{
    if (i == NULL)
        return;
    xkey_free(i->key);
    X509_free(i->cert);
    free(i);
}

enum reeve_err x509_issuer_issue(struct x509_issuer *i, struct wr *out_der, const struct x509_spec *spec,
                                 struct slice subject_spki)
{
    enum reeve_err err;
    TRY(x509_spec_check(spec, NULL));
    TRY(check_subject(subject_spki, NULL));
    TRY(build(out_der, spec, subject_spki, i->key, i->cert));
out:
    return err;
}
