/*
 * attest_sign.c - the validators' keys
 *
 * Real Ed25519 costs 90 us a check, and a run checks up to a million: so most
 * runs have a stand-in, two keyed 64-bit hashes over the same 175 bytes. It is
 * no cryptography and need not be: whoever forges in this world would have to
 * call keys_sign for a key that is not its own, and the mutators do not. Runs
 * with --real sign and verify with crypto/sign.h.
 */
#include "attest_int.h"

#include "crypto/sign.h"

#include <stdlib.h>

static struct sign_key *real_key;

static uint64_t mix(uint64_t h, uint64_t w)
{
    h = (h ^ w) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t keyed(uint64_t secret, const uint8_t bytes[ATTEST_VOTE_LEN])
{
    uint64_t h = secret, w;
    for (size_t i = 0; i + 8 <= ATTEST_VOTE_LEN; i += 8) {
        memcpy(&w, bytes + i, 8);
        h = mix(h, w);
    }
    w = 0;
    memcpy(&w, bytes + ATTEST_VOTE_LEN / 8 * 8, ATTEST_VOTE_LEN % 8);
    return mix(mix(h, w), secret);
}

void keys_init(struct keys *k, int n, uint64_t seed, bool real)
{
    struct sim_rng r;
    sim_rng_seed(&r, seed ^ 0x6b657973);
    k->real = real;
    if (real && real_key == NULL)
        real_key = calloc(RIG_VALIDATORS, sizeof *real_key);
    for (int i = 0; i < n; i++) {
        uint8_t bytes[32];
        k->secret[i] = sim_rng_next(&r);
        sim_rng_bytes(&r, bytes, sizeof bytes);
        if (real)
            sign_key_from_seed(&real_key[i], &k->pub[i], bytes);
        else
            memcpy(k->pub[i].b, bytes, 32);
    }
}

void keys_free(void)
{
    free(real_key);
    real_key = NULL;
}

void keys_sign(const struct keys *k, int who, const uint8_t bytes[ATTEST_VOTE_LEN], struct sig64 *out)
{
    if (k->real) {
        sign_detached(out, slice_of(bytes, ATTEST_VOTE_LEN), &real_key[who]);
        return;
    }
    uint64_t a = keyed(k->secret[who], bytes), b = keyed(~k->secret[who], bytes);
    memset(out, 0, sizeof *out);
    memcpy(out->b, &a, 8);
    memcpy(out->b + 8, &b, 8);
}

bool keys_verify(const struct keys *k, int who, const uint8_t bytes[ATTEST_VOTE_LEN], const struct sig64 *sig)
{
    struct sig64 want;
    if (k->real)
        return sign_verify(sig, slice_of(bytes, ATTEST_VOTE_LEN), &k->pub[who]);
    keys_sign(k, who, bytes, &want);
    return memcmp(&want, sig, sizeof want) == 0;
}
