/* tls_ctx.c - what is decided once per role: versions, ALPN, certificate, tickets. */
#include "crypto/tls_int.h"
#include "crypto/hash.h"
#include "crypto/x509_int.h"

#include <openssl/err.h>
#include <stdlib.h>

/* A mass reconnect comes hours after the first connect: tickets must live that long (RFC 8446 allows 7 days). */
#define TICKET_LIFE_S (24 * 3600)
#define PEER_CERT_MAX 4096              /* a stranger's certificate is looked at, too */
#define PEER_READ_AHEAD (64 * 1024)

static const char *last_reason(void)
{
    unsigned long e = ERR_peek_last_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    return text ? text : "unknown reason";
}

static enum reeve_err ctx_new(struct tls_ctx **out, bool server, const char *alpn, struct report *rep)
{
    struct tls_ctx *c = calloc(1, sizeof *c);
    size_t alpn_len = alpn ? strlen(alpn) : 0;
    *out = NULL;
    ERR_clear_error();
    if (c != NULL)
        c->ssl_ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (c == NULL || c->ssl_ctx == NULL) {
        free(c);
        return report_set(rep, REEVE_E_NOMEM, "could not make a TLS context: %s", last_reason());
    }
    c->server = server;
    reeve_assert(alpn_len < sizeof c->alpn);
    if (alpn_len > 0) {
        c->alpn[0] = (uint8_t) alpn_len;
        memcpy(c->alpn + 1, alpn, alpn_len);
        c->alpn_len = alpn_len + 1;
    }
    SSL_CTX_set_app_data(c->ssl_ctx, c);
    SSL_CTX_set_mode(c->ssl_ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
                     | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(c->ssl_ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    *out = c;
    return REEVE_OK;
}

/* ---- server ---- */

/* Before any key is used: a client that offers no ALPN where one is required costs nothing. */
static int client_hello_cb(SSL *ssl, int *alert, void *arg)
{
    const unsigned char *ext;
    size_t len;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ext, &len) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

static int alpn_cb(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in,
                   unsigned inlen, void *arg)
{
    const struct tls_ctx *c = arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, outlen, c->alpn, (unsigned) c->alpn_len, in, inlen) == OPENSSL_NPN_NEGOTIATED) {
        *out = chosen;
        return SSL_TLSEXT_ERR_OK;
    }
    return c->alpn_required ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
}

static enum reeve_err load_certificate(SSL_CTX *ssl_ctx, const struct tls_config *cfg, struct report *rep)
{
    if (cfg->cert_file == NULL || cfg->key_file == NULL)
        return report_set(rep, REEVE_E_CONFIG, "a TLS listener needs a certificate file and a key file");
    if (SSL_CTX_use_certificate_chain_file(ssl_ctx, cfg->cert_file) != 1)
        return report_set(rep, REEVE_E_CONFIG, "could not load certificate file \"%s\": %s", cfg->cert_file, last_reason());
    if (SSL_CTX_use_PrivateKey_file(ssl_ctx, cfg->key_file, SSL_FILETYPE_PEM) != 1)
        return report_set(rep, REEVE_E_CONFIG, "could not load private key file \"%s\": %s", cfg->key_file, last_reason());
    if (SSL_CTX_check_private_key(ssl_ctx) != 1)
        return report_set(rep, REEVE_E_CONFIG, "private key file \"%s\" does not belong to certificate file \"%s\"",
                          cfg->key_file, cfg->cert_file);
    return REEVE_OK;
}

enum reeve_err tls_ctx_identity(struct tls_ctx *c, struct slice cert_der, const struct xkey *key)
{
    ERR_clear_error();
    if (cert_der.len > X509_DER_MAX || SSL_CTX_use_certificate_ASN1(c->ssl_ctx, (int) cert_der.len, cert_der.p) != 1 ||
        SSL_CTX_use_PrivateKey(c->ssl_ctx, key->pkey) != 1 || SSL_CTX_check_private_key(c->ssl_ctx) != 1) {
        ERR_clear_error();
        return REEVE_E_INVALID_VALUE;
    }
    return REEVE_OK;
}

static enum reeve_err make_certificate(struct tls_ctx *c, const char *common_name, struct report *rep)
{
    struct wr der = wr_heap(X509_DER_MAX);
    struct xkey *key = NULL;
    enum reeve_err err = tls_self_signed_der(common_name, &der, &key);
    if (err == REEVE_OK)
        err = tls_ctx_identity(c, wr_slice(&der), key);
    xkey_free(key);
    wr_free(&der);
    return err == REEVE_OK ? err : report_set(rep, err, "could not make a TLS certificate");
}

/* Who the client is gets judged by the key in its certificate, later and by somebody else. */
static int any_cert(int ok, X509_STORE_CTX *store)
{
    return 1;
}

static void setup_client_cert(SSL_CTX *ssl_ctx)
{
    /* Resumption with client certificates needs a context of its own name (SSL_CTX_set_session_id_context(3)). */
    SSL_CTX_set_session_id_context(ssl_ctx, (const unsigned char *) "reeve", 5);
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, any_cert);
}

static void setup_tickets(struct tls_ctx *c, const uint8_t *key)
{
    SSL_CTX_set_session_cache_mode(c->ssl_ctx, SSL_SESS_CACHE_OFF);
    if (key == NULL) {
        SSL_CTX_set_options(c->ssl_ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(c->ssl_ctx, 0);
        return;
    }
    tls_ctx_ticket_key(c, key);
    SSL_CTX_set_num_tickets(c->ssl_ctx, 1);
    SSL_CTX_set_timeout(c->ssl_ctx, TICKET_LIFE_S);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl_ctx, tls_ticket_cb);
}

/* An encrypted key file must not make a daemon ask its terminal. */
static int no_password(char *buf, int size, int rw, void *arg)
{
    return 0;
}

enum reeve_err tls_ctx_server(struct tls_ctx **out, const struct tls_config *cfg, struct report *rep)
{
    struct tls_ctx *c;
    enum reeve_err err = ctx_new(&c, true, cfg->alpn, rep);
    *out = NULL;
    if (err != REEVE_OK)
        return err;
    SSL_CTX_set_default_passwd_cb(c->ssl_ctx, no_password);
    SSL_CTX_set_min_proto_version(c->ssl_ctx, cfg->min_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    if (SSL_CTX_set_cipher_list(c->ssl_ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
        TRY(report_set(rep, REEVE_E_BUG, "no TLS 1.2 cipher is available"));
    setup_tickets(c, cfg->ticket_key);
    c->alpn_required = cfg->alpn_required && c->alpn_len > 0;
    if (c->alpn_len > 0)
        SSL_CTX_set_alpn_select_cb(c->ssl_ctx, alpn_cb, c);
    if (c->alpn_required)
        SSL_CTX_set_client_hello_cb(c->ssl_ctx, client_hello_cb, NULL);
    if (cfg->ask_cert)
        setup_client_cert(c->ssl_ctx);
    TRY(cfg->ephemeral_name ? make_certificate(c, cfg->ephemeral_name, rep) : load_certificate(c->ssl_ctx, cfg, rep));
    *out = c;
out:
    if (err != REEVE_OK)
        tls_ctx_free(c);
    return err;
}

/* ---- client ---- */

enum reeve_err tls_ctx_client(struct tls_ctx **out, const char *alpn, struct report *rep)
{
    struct tls_ctx *c;
    enum reeve_err err = ctx_new(&c, false, alpn, rep);
    *out = NULL;
    if (err != REEVE_OK)
        return err;
    /* With an ALPN name we talk to our own gateways; without one to whatever service is probed. */
    SSL_CTX_set_min_proto_version(c->ssl_ctx, c->alpn_len > 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_verify(c->ssl_ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(c->ssl_ctx, SSL_SESS_CACHE_OFF);
    /* SSL_CTX_set_alpn_protos answers 0 for success */
    if (c->alpn_len > 0 && SSL_CTX_set_alpn_protos(c->ssl_ctx, c->alpn, (unsigned) c->alpn_len) != 0)
        err = report_set(rep, REEVE_E_NOMEM, "could not set the ALPN name");
    if (err == REEVE_OK)
        *out = c;
    else
        tls_ctx_free(c);
    return err;
}

/* ---- links between servers ---- */

/* Instead of building a chain: possession of the key is proven by the handshake, whose key it is the caller knows. */
static int no_chain(X509_STORE_CTX *store, void *arg)
{
    return 1;
}

static bool setup_peer(SSL_CTX *x)
{
    SSL_CTX_set_min_proto_version(x, TLS1_3_VERSION);
    SSL_CTX_set_options(x, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(x, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(x, no_chain, NULL);
    SSL_CTX_set_max_cert_list(x, PEER_CERT_MAX);
    /* Few connections that carry much: their buffers stay, and one read(2) takes what is there. */
    SSL_CTX_clear_mode(x, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(x, 1);
    SSL_CTX_set_default_read_buffer_len(x, PEER_READ_AHEAD);
    return SSL_CTX_set_num_tickets(x, 0) == 1 && SSL_CTX_set1_groups_list(x, "X25519:P-256") == 1 &&
           SSL_CTX_set1_sigalgs_list(x, "ECDSA+SHA256:ed25519") == 1 &&
           SSL_CTX_set_ciphersuites(x, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") == 1;
}

enum reeve_err tls_ctx_peer(struct tls_ctx **out, bool server, const char *alpn, struct slice cert_der,
                            const struct xkey *key, struct report *rep)
{
    struct tls_ctx *c;
    enum reeve_err err = ctx_new(&c, server, alpn, rep);
    *out = NULL;
    if (err != REEVE_OK)
        return err;
    c->alpn_required = true;
    if (!setup_peer(c->ssl_ctx))
        TRY(report_set(rep, REEVE_E_BUG, "could not set up TLS between members: %s", last_reason()));
    if (server) {
        SSL_CTX_set_alpn_select_cb(c->ssl_ctx, alpn_cb, c);
        SSL_CTX_set_client_hello_cb(c->ssl_ctx, client_hello_cb, NULL);
    } else if (SSL_CTX_set_alpn_protos(c->ssl_ctx, c->alpn, (unsigned) c->alpn_len) != 0) {
        TRY(report_set(rep, REEVE_E_NOMEM, "could not set the ALPN name"));
    }
    err = tls_ctx_identity(c, cert_der, key);
    if (err != REEVE_OK)
        TRY(report_set(rep, err, "the certificate and the key of this member do not fit"));
    *out = c;
out:
    if (err != REEVE_OK)
        tls_ctx_free(c);
    return err;
}

void tls_ctx_free(struct tls_ctx *c)
{
    if (c == NULL)
        return;
    SSL_CTX_free(c->ssl_ctx);
    secret_wipe(c, sizeof *c);
    free(c);
}

size_t tls_ctx_end_point(const struct tls_ctx *c, uint8_t out[64])
{
    X509 *cert = SSL_CTX_get0_certificate(c->ssl_ctx);
    int md_nid = NID_undef;
    unsigned len = 0;
    if (cert == NULL || X509_get_signature_info(cert, &md_nid, NULL, NULL, NULL) != 1 || md_nid == NID_undef)
        return 0;
    /* RFC 5929 4.1: MD5 and SHA-1 are replaced by SHA-256 */
    if (md_nid == NID_md5 || md_nid == NID_sha1)
        md_nid = NID_sha256;
    const EVP_MD *md = EVP_get_digestbynid(md_nid);
    return md != NULL && X509_digest(cert, md, out, &len) == 1 ? len : 0;
}
