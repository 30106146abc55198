/*
 * hash.h - SHA-256, HMAC, PBKDF2, random bytes (libsodium, OpenSSL)
 * All calls are thread safe after crypto_init().
 */
#ifndef REEVE_CRYPTO_HASH_H
#define REEVE_CRYPTO_HASH_H

#include "common/types.h"
#include "common/err.h"

/*
 * Must run once in every process before any other crypto call. UNSUPPORTED:
 * this libsodium accepts points of mixed order, so signatures could not be judged.
 */
enum reeve_err crypto_init(void) REEVE_MUST_CHECK;

void sha256(struct hash32 *out, struct slice data);
/* SHA-256 over parts concatenated; n is small. */
void sha256_parts(struct hash32 *out, const struct slice *parts, size_t n);

struct sha256_stream { _Alignas(16) uint8_t state[256]; };
void sha256_init(struct sha256_stream *s);
void sha256_add(struct sha256_stream *s, struct slice data);
void sha256_end(struct sha256_stream *s, struct hash32 *out);

void hmac_sha256(struct hash32 *out, struct slice key, struct slice data);
/* RFC 8018 PBKDF2-HMAC-SHA-256, 32 bytes out (SCRAM's Hi()). */
enum reeve_err pbkdf2_sha256(struct hash32 *out, struct slice password, struct slice salt, uint32_t iterations) REEVE_MUST_CHECK;

void random_bytes(void *out, size_t len);
uint32_t random_below(uint32_t bound);
void secret_wipe(void *p, size_t len);
/* Constant time. */
bool secret_eq(const void *a, const void *b, size_t len);

/* Node id of an Ed25519 public key, see types.h. */
void node_id_of_key(struct node_id *out, const struct pubkey *key);

#endif
