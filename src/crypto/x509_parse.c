/* x509_parse.c - what a certificate somebody hands us says. */
#include "crypto/x509_int.h"
#include "crypto/hash.h"

#include <openssl/x509v3.h>
#include <stdlib.h>

/* Encoding it again must give the same bytes: no trailing data, one form per certificate. */
static bool canonical(X509 *c, struct slice der)
{
    unsigned char *again = NULL;
    int len = i2d_X509(c, &again);
    bool same = len > 0 && slice_eq(der, slice_of(again, (size_t) len));
    OPENSSL_free(again);
    return same;
}

enum reeve_err x509_decode(X509 **out, struct slice der)
{
    const unsigned char *p = der.p;
    *out = NULL;
    if (der.len == 0 || der.len > X509_DER_MAX)
        return REEVE_E_MALFORMED;
    X509 *c = d2i_X509(NULL, &p, (long) der.len);
    if (c == NULL)
        return REEVE_E_MALFORMED;
    if (!canonical(c, der)) {
        X509_free(c);
        return REEVE_E_MALFORMED;
    }
    *out = c;
    return REEVE_OK;
}

static bool time_of(struct wall_ms *out, const ASN1_TIME *t)
{
    struct tm tm;
    if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
        return false;
    out->ms = (int64_t) timegm(&tm) * 1000;
    return true;
}

static bool serial_of(struct x509_info *out, const X509 *c)
{
    const ASN1_INTEGER *n = X509_get0_serialNumber(c);
    int len = ASN1_STRING_length(n);
    if (ASN1_STRING_type(n) != V_ASN1_INTEGER || len < 1 || (size_t) len > sizeof out->serial)
        return false;       /* negative (V_ASN1_NEG_INTEGER) or longer than RFC 5280 allows */
    memcpy(out->serial, ASN1_STRING_get0_data(n), (size_t) len);
    out->serial_len = (size_t) len;
    return true;
}

static bool key_of(struct x509_info *out, X509 *c)
{
    unsigned char *spki = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c), &spki);
    if (len <= 0 || X509_get0_pubkey(c) == NULL) {
        OPENSSL_free(spki);
        return false;
    }
    out->key_type = spki_type(slice_of(spki, (size_t) len));
    sha256(&out->spki_hash, slice_of(spki, (size_t) len));
    OPENSSL_free(spki);
    return true;
}

enum reeve_err x509_open(struct x509_cert **out, struct slice der)
{
    X509 *x;
    *out = NULL;
    enum reeve_err err = x509_decode(&x, der);
    if (err != REEVE_OK)
        return err;
    struct x509_cert *c = malloc(sizeof *c);
    if (c == NULL) {
        X509_free(x);
        return REEVE_E_NOMEM;
    }
    c->x = x;
    sha256(&c->fingerprint, der);
    *out = c;
    return REEVE_OK;
}

void x509_close(struct x509_cert *c)
{
    if (c == NULL)
        return;
    X509_free(c->x);
    free(c);
}

enum reeve_err x509_cert_info(const struct x509_cert *c, struct x509_info *out)
{
    enum reeve_err err;
    X509 *x = c->x;
    memset(out, 0, sizeof *out);
    if (!time_of(&out->not_before, X509_get0_notBefore(x)) || !time_of(&out->not_after, X509_get0_notAfter(x))
        || !serial_of(out, x) || !key_of(out, x))
        TRY(REEVE_E_MALFORMED);
    TRY(x509_name_text(out->subject, sizeof out->subject, X509_get_subject_name(x)));
    TRY(x509_name_text(out->issuer, sizeof out->issuer, X509_get_issuer_name(x)));
    /* 1 is basicConstraints CA:TRUE; the older ways to be an authority do not count */
    out->is_ca = X509_check_ca(x) == 1;
    if ((X509_get_extension_flags(x) & EXFLAG_INVALID) != 0)
        TRY(REEVE_E_MALFORMED);
    out->fingerprint = c->fingerprint;
out:
    return err;
}

enum reeve_err x509_cert_key_matches(const struct x509_cert *c, const struct xkey *key)
{
    return X509_check_private_key(c->x, key->pkey) == 1 ? REEVE_OK : REEVE_E_V_KEY;
}

enum reeve_err x509_parse(struct x509_info *out, struct slice der)
{
    struct x509_cert *c;
    memset(out, 0, sizeof *out);
    enum reeve_err err = x509_open(&c, der);
    if (err == REEVE_OK)
        err = x509_cert_info(c, out);
    x509_close(c);
    return err;
}

enum reeve_err x509_key_matches(struct slice der, const struct xkey *key)
{
    struct x509_cert *c;
    enum reeve_err err = x509_open(&c, der);
    if (err == REEVE_OK)
        err = x509_cert_key_matches(c, key);
    x509_close(c);
    return err;
}

#define CHAIN_MAX 16

bool x509_may_certify(struct slice chain)
{
    const unsigned char *p = chain.p, *end = chain.p + chain.len;
    bool known = false;
    for (long below = 1; p < end; below++) {
        X509 *c = below <= CHAIN_MAX ? d2i_X509(NULL, &p, (long) (end - p)) : NULL;
        if (c == NULL)
            return false;
        long length = X509_get_pathlen(c);      /* of authorities below it; -1: any */
        bool allows = X509_check_ca(c) == 1 && (length < 0 || length >= below);
        bool root = X509_NAME_cmp(X509_get_subject_name(c), X509_get_issuer_name(c)) == 0;
        known |= root || (below == 1 && length > 0);
        X509_free(c);
        if (!allows)
            return false;
    }
    return known;
}
