/*
 * sign.h - Ed25519 under the strict rule, X25519 sealing, secret boxes
 *
 * The strict rule (docs/design/ed25519.md): a public key and the R of a
 * signature must be canonical points of the prime-order group; then
 * cofactored and cofactorless verifiers agree on every signature.
 */
#ifndef REEVE_CRYPTO_SIGN_H
#define REEVE_CRYPTO_SIGN_H

#include "common/types.h"
#include "common/err.h"

/* Finds out what libsodium's equation is; crypto_init calls it. Without it sign_verify is slower, not laxer. */
void sign_setup(void);

struct sign_key { uint8_t seed_and_pub[64]; };     /* libsodium's secret-key form */

void sign_keygen(struct sign_key *out, struct pubkey *pub);
void sign_key_from_seed(struct sign_key *out, struct pubkey *pub, const uint8_t seed[32]);
void sign_detached(struct sig64 *out, struct slice msg, const struct sign_key *key);
/* True when the key itself is acceptable (strict rule). */
bool sign_pubkey_ok(const struct pubkey *pub);
/* Strict verification, including sign_pubkey_ok(pub). */
bool sign_verify(const struct sig64 *sig, struct slice msg, const struct pubkey *pub);

/* X25519 keys for sealed boxes (crypto_box_seal): sealed = plain + SEAL_OVERHEAD bytes. */
#define SEAL_OVERHEAD 48
struct seal_key { uint8_t b[32]; };
void seal_keygen(struct seal_key *out, struct pubkey *pub);
void seal_key_public(struct pubkey *out, const struct seal_key *key);
/* V_KEY when the recipient's key is of small order; out is zeroed then. */
enum reeve_err seal_box(uint8_t *out, struct slice plain, const struct pubkey *to) REEVE_MUST_CHECK;
/* V_KEY when it does not open. out has sealed.len - SEAL_OVERHEAD bytes. */
enum reeve_err seal_open(uint8_t *out, struct slice sealed, const struct seal_key *key) REEVE_MUST_CHECK;

/* XChaCha20-Poly1305-IETF with a random 24-byte nonce in front: box = plain + AEAD_OVERHEAD. */
#define AEAD_OVERHEAD 40
struct aead_key { uint8_t b[32]; };
void aead_seal(uint8_t *out, struct slice plain, struct slice ad, const struct aead_key *key);
enum reeve_err aead_open(uint8_t *out, struct slice box, struct slice ad, const struct aead_key *key) REEVE_MUST_CHECK;

#endif
