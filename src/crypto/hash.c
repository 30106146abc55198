/* hash.c - digests, key derivation and randomness. */
#include "crypto/hash.h"
#include "crypto/sign.h"

#include <openssl/evp.h>
#include <sodium.h>

/*
 * The base point plus the point of order two: a point of mixed order, which
 * libsodium before the repair of CVE-2025-69277 took for a good one. With such
 * a library the strict rule of sign.h would not hold, so nothing starts.
 */
static bool strict_points(void)
{
    uint8_t mixed[32];
    memset(mixed, 0x99, sizeof mixed);
    mixed[0] = 0x95;
    return crypto_core_ed25519_is_valid_point(mixed) == 0;
}

enum reeve_err crypto_init(void)
{
    /* One configuration everywhere: the machine's openssl.cnf must not decide what we accept. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 || sodium_init() < 0)
        return REEVE_E_BUG;
    sign_setup();
    return strict_points() ? REEVE_OK : REEVE_E_UNSUPPORTED;
}

void sha256(struct hash32 *out, struct slice data)
{
    crypto_hash_sha256(out->b, data.p, data.len);
}

void sha256_parts(struct hash32 *out, const struct slice *parts, size_t n)
{
    crypto_hash_sha256_state st;
    crypto_hash_sha256_init(&st);
    for (size_t i = 0; i < n; i++)
        crypto_hash_sha256_update(&st, parts[i].p, parts[i].len);
    crypto_hash_sha256_final(&st, out->b);
}

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(struct sha256_stream), "state fits");

void sha256_init(struct sha256_stream *s)
{
    crypto_hash_sha256_init((crypto_hash_sha256_state *) s->state);
}

void sha256_add(struct sha256_stream *s, struct slice data)
{
    crypto_hash_sha256_update((crypto_hash_sha256_state *) s->state, data.p, data.len);
}

void sha256_end(struct sha256_stream *s, struct hash32 *out)
{
    crypto_hash_sha256_final((crypto_hash_sha256_state *) s->state, out->b);
}

void hmac_sha256(struct hash32 *out, struct slice key, struct slice data)
{
    crypto_auth_hmacsha256_state st;
    crypto_auth_hmacsha256_init(&st, key.p, key.len);
    crypto_auth_hmacsha256_update(&st, data.p, data.len);
    crypto_auth_hmacsha256_final(&st, out->b);
    sodium_memzero(&st, sizeof st);
}

enum reeve_err pbkdf2_sha256(struct hash32 *out, struct slice password, struct slice salt, uint32_t iterations)
{
    if (iterations == 0 || iterations > 10000000 || password.len > 4096 || salt.len > 1024)
        return REEVE_E_INVALID_VALUE;
    int ok = PKCS5_PBKDF2_HMAC((const char *) password.p, (int) password.len, salt.p, (int) salt.len,
                               (int) iterations, EVP_sha256(), 32, out->b);
    return ok == 1 ? REEVE_OK : REEVE_E_BUG;
}

void random_bytes(void *out, size_t len)    { randombytes_buf(out, len); }
uint32_t random_below(uint32_t bound)       { return randombytes_uniform(bound); }
void secret_wipe(void *p, size_t len)       { sodium_memzero(p, len); }
bool secret_eq(const void *a, const void *b, size_t len) { return sodium_memcmp(a, b, len) == 0; }

void node_id_of_key(struct node_id *out, const struct pubkey *key)
{
    static const char label[] = "reeve-node-v1";    /* the NUL is part of the label */
    struct hash32 h;
    sha256_parts(&h, (struct slice[]){ slice_of(label, sizeof label), slice_of(key->b, 32) }, 2);
    memcpy(out->b, h.b, sizeof out->b);
}
