/* tls.c - one connection: handshake, bytes in and out, and what was agreed. */
#include "crypto/tls_int.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>

#define SESSION_MAX 8192

static enum reeve_err tls_new(struct tls **out, struct tls_ctx *c, int fd)
{
    struct tls *t = calloc(1, sizeof *t);
    *out = NULL;
    if (t == NULL)
        return REEVE_E_NOMEM;
    t->ctx = c;
    t->ssl = SSL_new(c->ssl_ctx);
    if (t->ssl == NULL || SSL_set_fd(t->ssl, fd) != 1) {
        tls_free(t);
        return REEVE_E_NOMEM;
    }
    *out = t;
    return REEVE_OK;
}

enum reeve_err tls_accept_new(struct tls **out, struct tls_ctx *c, int fd)
{
    reeve_assert(c->server);
    enum reeve_err err = tls_new(out, c, fd);
    if (err == REEVE_OK)
        SSL_set_accept_state((*out)->ssl);
    return err;
}

enum reeve_err tls_connect_new(struct tls **out, struct tls_ctx *c, int fd, const char *sni)
{
    reeve_assert(!c->server);
    enum reeve_err err = tls_new(out, c, fd);
    if (err != REEVE_OK)
        return err;
    SSL_set_connect_state((*out)->ssl);
    if (sni != NULL && SSL_set_tlsext_host_name((*out)->ssl, sni) != 1) {
        tls_free(*out);
        *out = NULL;
        return REEVE_E_INVALID_VALUE;
    }
    return REEVE_OK;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    free(t);
}

/* What an SSL call that did not succeed means; errno must still be the call's. */
static enum tls_result result_of(struct tls *t, int ret)
{
    int saved = errno;
    switch (SSL_get_error(t->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_EOF;
    case SSL_ERROR_SYSCALL:
        t->sys_errno = saved;
        return saved == 0 || saved == ECONNRESET || saved == EPIPE ? TLS_EOF : TLS_FAIL;
    default:
        t->reason = ERR_peek_error();
        if (ERR_GET_REASON(t->reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
            return TLS_EOF;
        return TLS_FAIL;
    }
}

/* OpenSSL reads the thread's error queue to explain a result: it must begin empty. */
static void begin(struct tls *t)
{
    ERR_clear_error();
    errno = 0;
    t->reason = 0;
    t->sys_errno = 0;
}

enum tls_result tls_handshake(struct tls *t)
{
    if (t->why != NULL)
        return TLS_FAIL;
    begin(t);
    int r = SSL_do_handshake(t->ssl);
    if (r != 1)
        return result_of(t, r);
    bool wanted = t->ctx->alpn_len > 0 && (t->ctx->alpn_required || !t->ctx->server);
    if (wanted && tls_alpn(t).len == 0) {
        t->why = "the peer did not agree on the application protocol";
        return TLS_FAIL;
    }
    return TLS_OK;
}

enum tls_result tls_read(struct tls *t, void *p, size_t cap, size_t *n)
{
    *n = 0;
    if (t->why != NULL)
        return TLS_FAIL;
    begin(t);
    int r = SSL_read_ex(t->ssl, p, cap, n);
    return r == 1 ? TLS_OK : result_of(t, r);
}

enum tls_result tls_write(struct tls *t, const void *p, size_t len, size_t *n)
{
    *n = 0;
    if (t->why != NULL)
        return TLS_FAIL;
    if (len == 0)
        return TLS_OK;
    begin(t);
    int r = SSL_write_ex(t->ssl, p, len, n);
    return r == 1 ? TLS_OK : result_of(t, r);
}

void tls_shutdown(struct tls *t)
{
    /* After a fatal error OpenSSL forbids it, and before the handshake's end there is nothing to close. */
    if (SSL_is_init_finished(t->ssl) && t->reason == 0 && t->sys_errno == 0)
        (void) SSL_shutdown(t->ssl);
    ERR_clear_error();
}

bool tls_resumed(const struct tls *t)       { return SSL_session_reused(t->ssl) == 1; }
const char *tls_version(const struct tls *t) { return SSL_get_version(t->ssl); }
const char *tls_cipher(const struct tls *t) { return SSL_get_cipher_name(t->ssl); }

struct slice tls_alpn(const struct tls *t)
{
    const unsigned char *p;
    unsigned len;
    SSL_get0_alpn_selected(t->ssl, &p, &len);
    return slice_of(p, len);
}

enum reeve_err tls_peer_cert(const struct tls *t, struct wr *der)
{
    X509 *c = SSL_get0_peer_certificate(t->ssl);
    unsigned char *p = NULL;
    int len = c ? i2d_X509(c, &p) : 0;
    if (len <= 0)
        return REEVE_E_NOT_FOUND;
    if (len <= X509_DER_MAX)
        wr_bytes(der, p, (size_t) len);
    OPENSSL_free(p);
    return len > X509_DER_MAX ? REEVE_E_TOO_BIG : der->bad ? REEVE_E_NOMEM : REEVE_OK;
}

enum reeve_err tls_peer_key(const struct tls *t, struct hash32 *out)
{
    X509 *c = SSL_get0_peer_certificate(t->ssl);
    unsigned char *p = NULL;
    int len = c ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c), &p) : 0;
    if (len <= 0)
        return REEVE_E_NOT_FOUND;
    sha256(out, slice_of(p, (size_t) len));
    OPENSSL_free(p);
    return REEVE_OK;
}

bool tls_pending(const struct tls *t) { return SSL_has_pending(t->ssl) == 1; }

enum reeve_err tls_exporter(const struct tls *t, const char *label, uint8_t out[32])
{
    if (!SSL_is_init_finished(t->ssl))
        return REEVE_E_WRONG_STATE;
    /* Under TLS 1.2 without RFC 7627 two connections can be made to export the same bytes. */
    if (SSL_version(t->ssl) < TLS1_3_VERSION && SSL_get_extms_support(t->ssl) != 1)
        return REEVE_E_UNSUPPORTED;
    int r = SSL_export_keying_material(t->ssl, out, 32, label, strlen(label), NULL, 0, 0);
    return r == 1 ? REEVE_OK : REEVE_E_BUG;
}

enum reeve_err tls_session_get(struct tls *t, struct wr *out)
{
    SSL_SESSION *s = SSL_get0_session(t->ssl);
    if (s == NULL || SSL_SESSION_is_resumable(s) != 1)
        return REEVE_E_NOT_FOUND;
    int len = i2d_SSL_SESSION(s, NULL);
    if (len <= 0)
        return REEVE_E_NOT_FOUND;
    if (len > SESSION_MAX)
        return REEVE_E_TOO_BIG;
    unsigned char *p = wr_reserve(out, (size_t) len);
    if (p == NULL)
        return REEVE_E_NOMEM;
    i2d_SSL_SESSION(s, &p);
    return REEVE_OK;
}

enum reeve_err tls_session_set(struct tls *t, struct slice session)
{
    const unsigned char *p = session.p;
    if (session.len == 0 || session.len > SESSION_MAX)
        return REEVE_E_MALFORMED;
    SSL_SESSION *s = d2i_SSL_SESSION(NULL, &p, (long) session.len);
    if (s == NULL || p != session.p + session.len) {
        SSL_SESSION_free(s);
        return REEVE_E_MALFORMED;
    }
    int r = SSL_set_session(t->ssl, s);
    SSL_SESSION_free(s);
    ERR_clear_error();
    return r == 1 ? REEVE_OK : REEVE_E_MALFORMED;
}

const char *tls_error(const struct tls *t)
{
    static _Thread_local char text[256];
    if (t->why != NULL)
        return t->why;
    if (t->reason != 0) {
        const char *s = ERR_reason_error_string(t->reason);
        return s ? s : "TLS error";
    }
    if (t->sys_errno != 0)
        return strerror_r(t->sys_errno, text, sizeof text);
    return "connection closed";
}
