/* x509_int.h - what the X.509 files of this folder share; OpenSSL types stay inside it. */
#ifndef REEVE_CRYPTO_X509_INT_H
#define REEVE_CRYPTO_X509_INT_H

#include "crypto/x509.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#define SPKI_MAX 91                     /* P-256: 91 bytes, Ed25519: 44 */
struct xkey {
    EVP_PKEY *pkey;
    enum key_type type;
    uint8_t spki[SPKI_MAX], spki_len;   /* OpenSSL 3.0 takes 100 us and more to encode or decode one */
};

/* KEY_OTHER unless the SPKI has exactly the one encoding we accept for its kind. */
enum key_type spki_type(struct slice spki);
/* The decoded key, owned by the caller; MALFORMED when the point is not acceptable. */
enum reeve_err spki_decode(EVP_PKEY **out, enum key_type *type, struct slice spki);
/* Puts an SPKI that spki_type knows into a certificate or request under construction; NOMEM. */
enum reeve_err spki_put(X509_PUBKEY *to, struct slice spki);
/* Digest that goes with a key when it signs: SHA-256, or none for Ed25519. */
const EVP_MD *xkey_digest(enum key_type t);
/* Signature algorithms accepted in requests. */
bool sig_nid_ok(int nid, enum key_type t);

struct x509_cert {
    X509 *x;
    struct hash32 fingerprint;
};
/* The whole slice as one certificate whose encoding is canonical; owned by the caller. */
enum reeve_err x509_decode(X509 **out, struct slice der);

/*
 * A name from "CN=a,O=b". RFC 4514 writes the most specific part first and
 * DER holds it last, so the order is turned round.
 */
enum reeve_err x509_name_make(X509_NAME **out, struct slice text, struct report *rep);
/* The text of a name in out[cap]; MALFORMED when it does not fit. */
enum reeve_err x509_name_text(char *out, size_t cap, const X509_NAME *name);

/* A subject alternative name: IP address bytes (4 or 16), or 0 for a DNS name that was checked. */
enum reeve_err x509_san_parse(uint8_t ip[16], size_t *ip_len, struct slice text, struct report *rep);

/* One PEM block appended; len is exact, so a heap writer that was empty leaves no stray copy. */
enum reeve_err pem_write(struct wr *out, const char *label, struct slice der);
/* The next block with that label; moves *text past it, also when MALFORMED. NOT_FOUND when there is none. */
enum reeve_err pem_read(struct slice *text, const char *label, struct wr *der_out);

#endif
