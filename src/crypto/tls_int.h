/* tls_int.h - the two structs behind crypto/tls.h. */
#ifndef REEVE_CRYPTO_TLS_INT_H
#define REEVE_CRYPTO_TLS_INT_H

#include "crypto/tls.h"

#include <openssl/ssl.h>

struct ticket_key {
    uint8_t name[16], aes[32], hmac[32];
};

struct tls_ctx {
    SSL_CTX *ssl_ctx;
    bool server;
    bool alpn_required;
    uint8_t alpn[32];               /* wire form: length, then the name; alpn_len 0: none */
    size_t alpn_len;
    /* [0] makes tickets; [1] is the one before, still accepted and then renewed. */
    struct ticket_key tickets[2];
    int n_tickets;
};

/* Kept small: a gateway holds one for each of tens of thousands of connections. */
struct tls {
    SSL *ssl;
    const struct tls_ctx *ctx;
    unsigned long reason;           /* OpenSSL's error code, 0 when none */
    int sys_errno;
    const char *why;                /* our own refusal, NULL when none */
};

/* A fresh ECDSA P-256 key and a self-signed certificate over it, ten years long. */
enum reeve_err tls_self_signed_der(const char *common_name, struct wr *der, struct xkey **key);

/* SSL_CTX hooks of a server context; tls_ticket.c and tls_ctx.c. */
int tls_ticket_cb(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc);

#endif
