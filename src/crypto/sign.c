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

/*
 * A cofactorless library computes SB - hA, encodes it and compares bytes: with
 * A in the prime-order group a signature that holds has a canonical R in that
 * group (small order is refused by itself). Then rule 2 is implied by rules 1
 * and 4, and its point check, a third of the time, is left out. A library that
 * takes the signature below, whose R carries the point of order two, has the
 * cofactor in its equation; with such a one R is checked.
 */
static bool r_is_implied;

static bool refuses_mixed_r(void)
{
    static const struct pubkey pub = { {
        0x21, 0x52, 0xf8, 0xd1, 0x9b, 0x79, 0x1d, 0x24, 0x45, 0x32, 0x42, 0xe1, 0x5f, 0x2e, 0xab, 0x6c,
        0xb7, 0xcf, 0xfa, 0x7b, 0x6a, 0x5e, 0xd3, 0x00, 0x97, 0x96, 0x0e, 0x06, 0x98, 0x81, 0xdb, 0x12 } };
    static const struct sig64 sig = { {
        0xe3, 0x37, 0x15, 0x2a, 0x6d, 0xe9, 0x95, 0xc7, 0xc5, 0xef, 0xb8, 0x20, 0x26, 0x44, 0xdf, 0x1c,
        0xb3, 0x05, 0xfd, 0x15, 0x20, 0xb6, 0x0e, 0x1a, 0x71, 0x24, 0xcd, 0xdc, 0x34, 0x56, 0x83, 0x44,
        0xd6, 0xcd, 0x3b, 0x71, 0xd0, 0x64, 0x1d, 0x53, 0x96, 0xc4, 0x33, 0x31, 0xb0, 0xd6, 0xa7, 0x8b,
        0x37, 0x42, 0xa7, 0x55, 0x58, 0xa6, 0xeb, 0x4c, 0x74, 0xea, 0x25, 0x22, 0x45, 0x25, 0x9f, 0x0e } };
    return crypto_sign_verify_detached(sig.b, (const uint8_t *) "cofactor", 8, pub.b) != 0;
}

void sign_setup(void)
{
    r_is_implied = refuses_mixed_r();
}

bool sign_verify(const struct sig64 *sig, struct slice msg, const struct pubkey *pub)
{
    return sign_pubkey_ok(pub)
        && (r_is_implied || crypto_core_ed25519_is_valid_point(sig->b) == 1)
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
