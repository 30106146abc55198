/*
 * p11.h - Ed25519 keys that stay in a token, by way of its PKCS#11 module
 *
 * The module is loaded with dlopen and spoken to directly (PKCS#11 2.40 with the mechanisms of 3.0): CKM_EDDSA without
 * parameters is pure Ed25519. A module is code that runs in our process: who names one trusts it with the process, but
 * not with the signature, which is verified here before anybody else sees it.
 *
 * URI: RFC 7512, "pkcs11:" attributes, ';' and (before those of the query) '?' or '&' between them, %XX in values.
 *   token, serial        which token; both may be missing where there is one token only
 *   object, id           which key; one of them at least
 *   module-path          the module
 *   pin-source           a file with the PIN (also as file:/path), which nobody but its owner may read
 *   type                 private, if it is there
 * Others are refused rather than passed over, pin-value among them: the arguments of a command are no secret.
 *
 * Invariants
 *  P1 A signature that p11_sign answers with verifies under the strict rule (sign.h) with the key's public part.
 *  P2 The PIN is kept in guarded memory as long as the token is open, and wiped with it.
 *  P3 A session that the token ended is opened anew once; the same error twice is told.
 */
#ifndef REEVE_CRYPTO_P11_H
#define REEVE_CRYPTO_P11_H

#include "common/err.h"
#include "common/types.h"

#define P11_PIN_MAX 256

struct p11_uri {
    char module[512], pin_source[512];      /* empty: not said */
    char token[33], serial[17];
    char object[129];
    uint8_t id[64];
    size_t id_len;
};
/* INVALID_VALUE with a report. */
enum reeve_err p11_uri_parse(struct p11_uri *u, struct slice text, struct report *rep) REEVE_MUST_CHECK;

/* The first line of that file. pin has P11_PIN_MAX bytes, wiped by the caller. DENIED: others may read it. IO, TOO_BIG. */
enum reeve_err p11_pin_read(const char *path, char *pin, size_t *len, struct report *rep) REEVE_MUST_CHECK;

struct p11;
/*
 * Loads the module and logs in at the token; the PIN is copied. NOT_FOUND: no such module or token. PASSWORD: the PIN is wrong, or
 * locked by now. UNAVAILABLE: what the module answered is in the report. One at a time in a process.
 */
enum reeve_err p11_open(struct p11 **out, const struct p11_uri *u, struct slice pin, struct report *rep) REEVE_MUST_CHECK;
/* Is that the module and token of the URI? */
bool p11_is_of(const struct p11 *p, const struct p11_uri *u);
/* NULL is fine. */
void p11_close(struct p11 *p);

#define P11_KEYS_MAX 8
/*
 * The private key of that label or id, and its public part; *key is its number. NOT_FOUND; WRONG_STATE: several such keys;
 * UNSUPPORTED: no Ed25519 key; V_KEY: no acceptable point; TOO_MANY.
 */
enum reeve_err p11_key_find(struct p11 *p, const struct p11_uri *u, unsigned *key, struct pubkey *pub, struct report *rep)
    REEVE_MUST_CHECK;
/* A new key under that label, never to leave the token. DUPLICATE_OBJECT; UNSUPPORTED: the token makes none. */
enum reeve_err p11_key_make(struct p11 *p, const struct p11_uri *u, unsigned *key, struct pubkey *pub, struct report *rep)
    REEVE_MUST_CHECK;
/* UNAVAILABLE; V_SIGNATURE: the token signed something else. */
enum reeve_err p11_sign(struct p11 *p, unsigned key, struct slice msg, struct sig64 *sig, struct report *rep) REEVE_MUST_CHECK;

#endif
