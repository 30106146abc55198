/*
 * tls_ticket.c - session tickets under keys that all workers of a region share
 *
 * RFC 5077's recommended form: AES-256-CBC and HMAC-SHA-256. A ticket under
 * an unknown key is no error: the handshake goes on in full. A ticket under
 * the previous key is taken and a new one is issued, so that changing the key
 * costs no handshake.
 */
#include "crypto/tls_int.h"
#include "crypto/hash.h"

#include <openssl/core_names.h>

void tls_ctx_ticket_key(struct tls_ctx *c, const uint8_t key[TLS_TICKET_KEY_LEN])
{
    _Static_assert(sizeof(struct ticket_key) == TLS_TICKET_KEY_LEN, "name, AES key, HMAC key");
    if (c->n_tickets > 0 && memcmp(&c->tickets[0], key, TLS_TICKET_KEY_LEN) == 0)
        return;
    if (c->n_tickets > 0)
        c->tickets[1] = c->tickets[0];
    memcpy(&c->tickets[0], key, TLS_TICKET_KEY_LEN);
    c->n_tickets = c->n_tickets > 0 ? 2 : 1;
}

static int mac_init(EVP_MAC_CTX *mac, struct ticket_key *k)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->hmac, sizeof k->hmac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *) "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params);
}

static int ticket_make(struct tls_ctx *c, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac)
{
    struct ticket_key *k = &c->tickets[0];
    random_bytes(iv, 16);
    memcpy(name, k->name, sizeof k->name);
    bool ok = EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->aes, iv) == 1 && mac_init(mac, k) == 1;
    return ok ? 1 : -1;
}

/* 0: unknown key; 1: taken; 2: taken, and a fresh ticket follows. */
static int ticket_take(struct tls_ctx *c, bool renew, const unsigned char *name, const unsigned char *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    for (int i = 0; i < c->n_tickets; i++) {
        struct ticket_key *k = &c->tickets[i];
        if (memcmp(name, k->name, sizeof k->name) != 0)
            continue;
        if (EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->aes, iv) != 1 || mac_init(mac, k) != 1)
            return -1;

        return i > 0 || renew ? 2 : 1;
    }
    return 0;
}

int tls_ticket_cb(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc)
{
    struct tls_ctx *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (enc)
        return ticket_make(c, name, iv, cipher, mac);
    /* RFC 8446 C.4: a client should not offer a TLS 1.3 ticket twice, so it gets another. */
    return ticket_take(c, SSL_version(ssl) >= TLS1_3_VERSION, name, iv, cipher, mac);
}
