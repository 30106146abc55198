/* sign.c - Ed25519 under the strict rule, sealed boxes and secret boxes (libsodium). */
#include "crypto/sign.h"
#include "crypto/hash.h"

#include <sodium.h>

_Static_assert(sizeof(struct sign_key) == crypto_sign_SECRETKEYBYTES, "libsodium's secret key");
_Static_assert(SEAL_OVERHEAD == crypto_box_SEALBYTES, "sealed box");
_Static_assert(AEAD_OVERHEAD == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
               + crypto_aead_xchacha20poly1305_ietf_ABYTES, "nonce and tag");

#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

void sign_keygen(struct sign_key *out, struct pubkey *pub)
{
    uint8_t seed[32];
    random_bytes(seed, sizeof seed);
    sign_key_from_seed(out, pub, seed);
    secret_wipe(seed, sizeof seed);
}

void sign_key_from_seed(struct sign_key *out, struct pubkey *pub, const uint8_t seed[32])
{
    int r = crypto_sign_seed_keypair(pub->b, out->seed_and_pub, seed);
    reeve_assert(r == 0);
}

void sign_detached(struct sig64 *out, struct slice msg, const struct sign_key *key)
{
    int r = crypto_sign_detached(out->b, NULL, msg.p, msg.len, key->seed_and_pub);
    reeve_assert(r == 0);
}

bool sign_pubkey_ok(const struct pubkey *pub)
{
    /* canonical, on the curve, and in the prime-order group: no small and no mixed order */
    return crypto_core_ed25519_is_valid_point(pub->b) == 1;
}

bool sign_verify(const struct sig64 *sig, struct slice msg, const struct pubkey *pub)
{
    return sign_pubkey_ok(pub)
        && crypto_core_ed25519_is_valid_point(sig->b) == 1          /* R */
        && crypto_sign_verify_detached(sig->b, msg.p, msg.len, pub->b) == 0;
}

void seal_keygen(struct seal_key *out, struct pubkey *pub)
{
    random_bytes(out->b, sizeof out->b);
    seal_key_public(pub, out);
}

void seal_key_public(struct pubkey *out, const struct seal_key *key)
{
    int r = crypto_scalarmult_base(out->b, key->b);
    reeve_assert(r == 0);
}

enum reeve_err seal_box(uint8_t *out, struct slice plain, const struct pubkey *to)
{
    if (crypto_box_seal(out, plain.p, plain.len, to->b) == 0)
        return REEVE_OK;
    /* A recipient key of small order: the shared secret would be known to everybody. */
    secret_wipe(out, plain.len + SEAL_OVERHEAD);
    return REEVE_E_V_KEY;
}

enum reeve_err seal_open(uint8_t *out, struct slice sealed, const struct seal_key *key)
{
    if (sealed.len < SEAL_OVERHEAD)
        return REEVE_E_V_KEY;
    struct pubkey pub;
    seal_key_public(&pub, key);
    return crypto_box_seal_open(out, sealed.p, sealed.len, pub.b, key->b) == 0 ? REEVE_OK : REEVE_E_V_KEY;
}

void aead_seal(uint8_t *out, struct slice plain, struct slice ad, const struct aead_key *key)
{
    random_bytes(out, NONCE_LEN);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE_LEN, NULL, plain.p, plain.len, ad.p, ad.len,
                                               NULL, out, key->b);
}

enum reeve_err aead_open(uint8_t *out, struct slice box, struct slice ad, const struct aead_key *key)
{
    if (box.len < AEAD_OVERHEAD)
        return REEVE_E_V_KEY;
    int r = crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, box.p + NONCE_LEN, box.len - NONCE_LEN,
                                                       ad.p, ad.len, box.p, key->b);
    return r == 0 ? REEVE_OK : REEVE_E_V_KEY;
}
