/* x509_verify.c - does a leaf chain to a root we name, at a time we name? */
#include "crypto/x509_int.h"

#include <openssl/x509_vfy.h>

#define INTER_MAX 16
#define ROOTS_MAX 64
#define DEPTH_MAX 8
#define SECURITY_LEVEL 2        /* 112 bits: no SHA-1, no RSA below 2048 */

static enum reeve_err store_make(X509_STORE **out, const struct slice *roots, size_t n)
{
    *out = X509_STORE_new();
    if (*out == NULL)
        return REEVE_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        X509 *c;
        enum reeve_err err = x509_decode(&c, roots[i]);
        if (err != REEVE_OK)
            return err;
        int ok = X509_STORE_add_cert(*out, c);
        X509_free(c);
        if (ok != 1)
            return REEVE_E_NOMEM;
    }
    return REEVE_OK;
}

static enum reeve_err stack_make(STACK_OF(X509) **out, const struct slice *inter, size_t n)
{
    *out = sk_X509_new_null();
    if (*out == NULL)
        return REEVE_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        X509 *c;
        enum reeve_err err = x509_decode(&c, inter[i]);
        if (err != REEVE_OK)
            return err;
        if (sk_X509_push(*out, c) <= 0) {
            X509_free(c);
            return REEVE_E_NOMEM;
        }
    }
    return REEVE_OK;
}

static enum reeve_err verify_answer(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return REEVE_E_V_EXPIRED;
    case X509_V_ERR_OUT_OF_MEM:
        return REEVE_E_NOMEM;
    default:
        return REEVE_E_V_SIGNATURE;
    }
}

static enum reeve_err verify(X509_STORE *store, X509 *leaf, STACK_OF(X509) *inter, struct wall_ms at)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (ctx == NULL || X509_STORE_CTX_init(ctx, store, leaf, inter) != 1) {
        X509_STORE_CTX_free(ctx);
        return REEVE_E_NOMEM;
    }
    X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(p, (time_t) (at.ms / 1000));
    X509_VERIFY_PARAM_set_depth(p, DEPTH_MAX);
    X509_VERIFY_PARAM_set_auth_level(p, SECURITY_LEVEL);
    /* A root here is what the fleet trusts, self-signed or not. */
    X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN);
    enum reeve_err err = X509_verify_cert(ctx) == 1 ? REEVE_OK : verify_answer(X509_STORE_CTX_get_error(ctx));
    X509_STORE_CTX_free(ctx);
    return err;
}

enum reeve_err x509_cert_verify(const struct x509_cert *c, const struct slice *inter, size_t n_inter,
                                const struct slice *roots, size_t n_roots, struct wall_ms at)
{
    enum reeve_err err;
    X509_STORE *store = NULL;
    STACK_OF(X509) *untrusted = NULL;

    if (n_inter > INTER_MAX || n_roots > ROOTS_MAX)
        return REEVE_E_TOO_BIG;
    TRY(store_make(&store, roots, n_roots));
    TRY(stack_make(&untrusted, inter, n_inter));
    TRY(verify(store, c->x, untrusted, at));
out:
    sk_X509_pop_free(untrusted, X509_free);
    X509_STORE_free(store);
    return err;
}

enum reeve_err x509_cert_verify_by(const struct x509_cert *c, const struct x509_cert *root, struct wall_ms at)
{
    X509_STORE *store = X509_STORE_new();
    enum reeve_err err = store != NULL && X509_STORE_add_cert(store, root->x) == 1 ? REEVE_OK : REEVE_E_NOMEM;
    if (err == REEVE_OK)
        err = verify(store, c->x, NULL, at);
    X509_STORE_free(store);
    return err;
}

enum reeve_err x509_verify_chain(struct slice leaf, const struct slice *inter, size_t n_inter,
                                 const struct slice *roots, size_t n_roots, struct wall_ms at)
{
    struct x509_cert *c;
    enum reeve_err err = x509_open(&c, leaf);
    if (err == REEVE_OK)
        err = x509_cert_verify(c, inter, n_inter, roots, n_roots, at);
    x509_close(c);
    return err;
}
