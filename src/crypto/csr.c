/* csr.c - PKCS#10 requests (RFC 2986): made by agents, checked before anything is signed. */
#include "crypto/x509_int.h"

#include <openssl/provider.h>

enum reeve_err csr_create(struct wr *out_der, const struct xkey *key, struct slice subject)
{
    enum reeve_err err;
    unsigned char *der = NULL;
    int len = 0;
    X509_NAME *name = NULL;
    X509_REQ *req = NULL;

    TRY(x509_name_make(&name, subject, NULL));
    req = X509_REQ_new();
    if (req == NULL || X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1
        || X509_REQ_set_subject_name(req, name) != 1)
        TRY(REEVE_E_NOMEM);
    TRY(spki_put(X509_REQ_get_X509_PUBKEY(req), slice_of(key->spki, key->spki_len)));
    if (X509_REQ_sign(req, key->pkey, xkey_digest(key->type)) <= 0)
        TRY(REEVE_E_BUG);
    if ((len = i2d_X509_REQ(req, &der)) <= 0)
        TRY(REEVE_E_NOMEM);
    wr_bytes(out_der, der, (size_t) len);
    if (out_der->bad)
        TRY(REEVE_E_NOMEM);
out:
    OPENSSL_free(der);
    X509_REQ_free(req);
    X509_NAME_free(name);
    return err;
}

/* The request's SPKI as it stood in the request, appended to out. */
static enum reeve_err req_spki(X509_REQ *req, struct wr *out)
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(req), &der);
    if (len <= 0)
        return REEVE_E_MALFORMED;
    wr_bytes(out, der, (size_t) len);
    OPENSSL_free(der);
    return out->bad ? REEVE_E_NOMEM : REEVE_OK;
}

/*
 * Decoding a request makes OpenSSL 3.0 look for decoders of its key, which
 * takes longer than verifying it, and the key is taken from its bytes anyway
 * (spki_decode). A library context without algorithms finds none.
 */
static OSSL_LIB_CTX *bare_context(void)
{
    static OSSL_LIB_CTX *bare;
    if (bare != NULL)
        return bare;
    bare = OSSL_LIB_CTX_new();
    if (bare != NULL && OSSL_PROVIDER_load(bare, "null") == NULL) {
        OSSL_LIB_CTX_free(bare);
        bare = NULL;
    }
    return bare;
}

static enum reeve_err req_decode(X509_REQ **out, struct slice der)
{
    const unsigned char *p = der.p;
    *out = NULL;
    if (der.len == 0 || der.len > X509_DER_MAX)
        return REEVE_E_MALFORMED;
    *out = (X509_REQ *) ASN1_item_d2i_ex(NULL, &p, (long) der.len, ASN1_ITEM_rptr(X509_REQ), bare_context(), NULL);
    if (*out == NULL || p != der.p + der.len || X509_REQ_get_version(*out) != X509_REQ_VERSION_1)
        return REEVE_E_MALFORMED;
    return REEVE_OK;
}

enum reeve_err csr_check(struct slice der, enum key_type want, struct wr *spki_out)
{
    enum reeve_err err;
    enum key_type type;
    X509_REQ *req = NULL;
    EVP_PKEY *key = NULL;
    struct wr spki = wr_heap(X509_DER_MAX);

    TRY(req_decode(&req, der));
    TRY(req_spki(req, &spki));
    if (spki_type(wr_slice(&spki)) != want)
        TRY(REEVE_E_V_KEY);
    TRY(spki_decode(&key, &type, wr_slice(&spki)));
    if (!sig_nid_ok(X509_REQ_get_signature_nid(req), type) || X509_REQ_verify_ex(req, key, NULL, NULL) != 1)
        TRY(REEVE_E_V_SIGNATURE);
    wr_bytes(spki_out, spki.p, spki.len);
    if (spki_out->bad)
        TRY(REEVE_E_NOMEM);
out:
    wr_free(&spki);
    EVP_PKEY_free(key);
    X509_REQ_free(req);
    return err;
}
