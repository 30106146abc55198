/*
 * tls.h - TLS as a thin wrapper over OpenSSL on non-blocking sockets
 *
 * One struct tls_ctx per role, made at start and shared; one struct tls per
 * connection. Calls return TLS_OK (bytes in *n), TLS_WANT_READ,
 * TLS_WANT_WRITE, TLS_EOF or TLS_FAIL (reason by tls_error).
 * RELEASE_BUFFERS is on; one ticket per connection on agent contexts.
 *
 * Invariants
 *  T1 After TLS_FAIL or TLS_EOF nothing more is read or written.
 *  T2 A write that answered WANT_* is repeated with the same bytes (they may
 *     have moved, and more may follow them).
 *  T3 TLS_EOF does not tell close_notify from a cut connection: what we carry
 *     is framed, a missing end shows there.
 *  T4 Where an ALPN name is required (server) or offered (our client) a
 *     handshake without it fails.
 * The process ignores SIGPIPE; TCP_NODELAY and closing fd are the caller's.
 */
#ifndef REEVE_CRYPTO_TLS_H
#define REEVE_CRYPTO_TLS_H

#include "common/buf.h"

struct tls_ctx;
struct tls;
enum tls_result { TLS_OK, TLS_WANT_READ, TLS_WANT_WRITE, TLS_EOF, TLS_FAIL };

struct tls_config {
    const char *cert_file, *key_file;   /* PEM; server roles */
    const char *alpn;                   /* "reeve/1", "postgresql", or NULL */
    bool alpn_required;
    bool min_tls13;                     /* agents: 1.3 only; SQL listener: 1.2 up */
    /* 80 bytes shared by every worker of a region (16 name, 32 AES, 32 HMAC); NULL: no tickets. */
    const uint8_t *ticket_key;
    /*
     * Instead of files: a fresh self-signed certificate for this name, whose
     * key never leaves this process. For peers that do not judge it (agents).
     */
    const char *ephemeral_name;
    /* Ask for a client certificate. Any is let in, and none too; tls_peer_cert tells. */
    bool ask_cert;
};
#define TLS_TICKET_KEY_LEN 80

enum reeve_err tls_ctx_server(struct tls_ctx **out, const struct tls_config *c, struct report *rep) REEVE_MUST_CHECK;
/* Agents authenticate the gateway by the region key, so the client does not check the chain. */
enum reeve_err tls_ctx_client(struct tls_ctx **out, const char *alpn, struct report *rep) REEVE_MUST_CHECK;
/* A client certificate (DER) with its key, for servers that ask for one. INVALID_VALUE when they do not fit. */
struct xkey;
enum reeve_err tls_ctx_identity(struct tls_ctx *c, struct slice cert_der, const struct xkey *key) REEVE_MUST_CHECK;
/*
 * One end of a link between servers that know each other's keys: TLS 1.3 only, no tickets, both sides show a certificate
 * and prove its key (ECDSA P-256 or Ed25519). No chain is judged: the caller compares tls_peer_key() with what it knows.
 * Such a connection reads ahead, see tls_pending().
 */
enum reeve_err tls_ctx_peer(struct tls_ctx **out, bool server, const char *alpn, struct slice cert_der,
                            const struct xkey *key, struct report *rep) REEVE_MUST_CHECK;
void tls_ctx_free(struct tls_ctx *c);
/*
 * Changes the ticket key: new tickets are made with it, tickets under the one
 * before are still taken. No effect on a context made without a key.
 */
void tls_ctx_ticket_key(struct tls_ctx *c, const uint8_t key[TLS_TICKET_KEY_LEN]);
/* tls-server-end-point data (RFC 5929) of the server certificate; len 0 when undefined (Ed25519). */
size_t tls_ctx_end_point(const struct tls_ctx *c, uint8_t out[64]);

enum reeve_err tls_accept_new(struct tls **out, struct tls_ctx *c, int fd) REEVE_MUST_CHECK;
enum reeve_err tls_connect_new(struct tls **out, struct tls_ctx *c, int fd, const char *sni) REEVE_MUST_CHECK;
void tls_free(struct tls *t);           /* does not close fd */
enum tls_result tls_handshake(struct tls *t);
enum tls_result tls_read(struct tls *t, void *p, size_t cap, size_t *n);
enum tls_result tls_write(struct tls *t, const void *p, size_t len, size_t *n);
void tls_shutdown(struct tls *t);       /* sends close_notify if it can */
bool tls_resumed(const struct tls *t);
const char *tls_version(const struct tls *t);
const char *tls_cipher(const struct tls *t);
/* Negotiated ALPN, empty when none. */
struct slice tls_alpn(const struct tls *t);
/* The peer's certificate (DER) appended; NOT_FOUND when it sent none. */
enum reeve_err tls_peer_cert(const struct tls *t, struct wr *der) REEVE_MUST_CHECK;
/* SHA-256 of the SubjectPublicKeyInfo in the peer's certificate; NOT_FOUND when it sent none. */
enum reeve_err tls_peer_key(const struct tls *t, struct hash32 *out) REEVE_MUST_CHECK;
/* Bytes were read off the socket and not yet handed out: it will not become readable for them. */
bool tls_pending(const struct tls *t);
/* RFC 8446 7.5 / RFC 5705 exporter, 32 bytes, no context. */
enum reeve_err tls_exporter(const struct tls *t, const char *label, uint8_t out[32]) REEVE_MUST_CHECK;
/*
 * Client session resumption: the serialised session to keep (a secret; NOT_FOUND
 * until a ticket was read), and to offer before the handshake of the next connect.
 */
enum reeve_err tls_session_get(struct tls *t, struct wr *out) REEVE_MUST_CHECK;
enum reeve_err tls_session_set(struct tls *t, struct slice session) REEVE_MUST_CHECK;
/* Reason of the last failure on this connection, borrowed until the next call. */
const char *tls_error(const struct tls *t);

/* Makes a self-signed ECDSA P-256 listener certificate, both as PEM. */
enum reeve_err tls_self_signed(const char *common_name, struct wr *cert_pem, struct wr *key_pem) REEVE_MUST_CHECK;

#endif
