/*
 * test_sign.c - the strict Ed25519 rule, sealing, secret boxes
 *
 * The refused points and signatures are built here from curve arithmetic, so
 * that each refusal is shown to be of a signature that some verifier takes.
 */
#include "../unit.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

#include <sodium.h>

static const struct { const char *seed, *pub, *msg, *sig; } rfc8032[] = {
    { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
    { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
    { "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
};

/* The eight points of small order: index i is i times the first point of order eight. */
static const char *const torsion[8] = {
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
};

/* Encodings that are not the one of their point. */
static const char *const non_canonical[] = {
    "0100000000000000000000000000000000000000000000000000000000000080",     /* identity with a sign */
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",     /* (0,-1) with a sign */
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",     /* y = p */
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",     /* y = p+1 */
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",     /* y = p+3, on the curve */
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void signatures_are_those_of_rfc_8032(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        uint8_t seed[32], msg[8];
        size_t len = strlen(rfc8032[i].msg) / 2;
        struct sign_key key;
        struct pubkey pub, want_pub;
        struct sig64 sig, want;
        unhex(seed, 32, rfc8032[i].seed);
        unhex(want_pub.b, 32, rfc8032[i].pub);
        unhex(want.b, 64, rfc8032[i].sig);
        unhex(msg, len, rfc8032[i].msg);
        sign_key_from_seed(&key, &pub, seed);
        assert_memory_equal(pub.b, want_pub.b, 32);
        sign_detached(&sig, slice_of(msg, len), &key);
        assert_memory_equal(sig.b, want.b, 64);
        assert_true(sign_verify(&sig, slice_of(msg, len), &pub));
    }
}

static void a_changed_bit_anywhere_is_refused(void **state)
{
    struct sign_key key;
    struct pubkey pub;
    struct sig64 sig;
    uint8_t msg[20] = "hello";
    sign_keygen(&key, &pub);
    sign_detached(&sig, slice_of(msg, sizeof msg), &key);
    assert_true(sign_verify(&sig, slice_of(msg, sizeof msg), &pub));
    for (int bit = 0; bit < 512; bit++) {
        struct sig64 bad = sig;
        bad.b[bit / 8] ^= (uint8_t) (1 << bit % 8);
        assert_false(sign_verify(&bad, slice_of(msg, sizeof msg), &pub));
    }
    for (int bit = 0; bit < 256; bit += 7) {
        struct pubkey bad = pub;
        bad.b[bit / 8] ^= (uint8_t) (1 << bit % 8);
        assert_false(sign_verify(&sig, slice_of(msg, sizeof msg), &bad));
    }
    msg[19] ^= 1;
    assert_false(sign_verify(&sig, slice_of(msg, sizeof msg), &pub));
    assert_false(sign_verify(&sig, slice_of(msg, 19), &pub));
}

static void keys_of_small_order_are_refused(void **state)
{
    struct pubkey key;
    for (int i = 0; i < 8; i++) {
        unhex(key.b, 32, torsion[i]);
        assert_false(sign_pubkey_ok(&key));
        /* S = 0 and R the identity satisfy every equation without the cofactor's rule */
        struct sig64 sig = { { 1 } };
        assert_false(sign_verify(&sig, slice_str("any message"), &key));
    }
}

static void keys_in_another_encoding_are_refused(void **state)
{
    struct pubkey key;
    for (size_t i = 0; i < sizeof non_canonical / sizeof non_canonical[0]; i++) {
        unhex(key.b, 32, non_canonical[i]);
        assert_false(sign_pubkey_ok(&key));
    }
}

static void keys_of_mixed_order_are_refused(void **state)
{
    struct sign_key key;
    struct pubkey pub, mixed;
    sign_keygen(&key, &pub);
    assert_true(sign_pubkey_ok(&pub));
    for (int i = 1; i < 8; i++) {
        uint8_t t[32];
        unhex(t, 32, torsion[i]);
        assert_int_equal(crypto_core_ed25519_add(mixed.b, pub.b, t), 0);
        assert_false(sign_pubkey_ok(&mixed));
    }
}

/*
 * A signature in which A and R carry torsion that cancels out: S*B = R + h*A
 * holds exactly, so plain verifiers take it, and the strict rule must not.
 * A = a*B + T[1]; R = r*B + T[j] with j = -h mod 8, found by trying. With
 * clean_r only j = 0 is tried: R is a good point and A alone is at fault.
 */
static bool make_cancelling(struct sig64 *sig, struct pubkey *pub, struct slice msg, bool clean_r)
{
    uint8_t a[32], r[32], t[32], h64[64], h[32], ha[32], base[32];
    crypto_core_ed25519_scalar_random(a);
    crypto_scalarmult_ed25519_base_noclamp(base, a);
    unhex(t, 32, torsion[1]);
    crypto_core_ed25519_add(pub->b, base, t);
    for (int tries = 0; tries < 1000; tries++) {
        int j = clean_r ? 0 : 1 + tries % 7;
        crypto_core_ed25519_scalar_random(r);
        crypto_scalarmult_ed25519_base_noclamp(base, r);
        unhex(t, 32, torsion[j]);
        if (j == 0)
            memcpy(sig->b, base, 32);
        else
            crypto_core_ed25519_add(sig->b, base, t);
        crypto_hash_sha512_state st;
        crypto_hash_sha512_init(&st);
        crypto_hash_sha512_update(&st, sig->b, 32);
        crypto_hash_sha512_update(&st, pub->b, 32);
        crypto_hash_sha512_update(&st, msg.p, msg.len);
        crypto_hash_sha512_final(&st, h64);
        crypto_core_ed25519_scalar_reduce(h, h64);
        if (((h[0] & 7) + j) % 8 != 0)
            continue;
        crypto_core_ed25519_scalar_mul(ha, h, a);
        crypto_core_ed25519_scalar_add(sig->b + 32, ha, r);
        return true;
    }
    return false;
}

static void a_signature_whose_torsion_cancels_is_refused(void **state)
{
    struct sig64 sig;
    struct pubkey pub;
    struct slice msg = slice_str("mixed order");
    for (int clean_r = 0; clean_r < 2; clean_r++) {
        assert_true(make_cancelling(&sig, &pub, msg, clean_r));
        /* libsodium alone takes it: this is why the rule exists */
        assert_int_equal(crypto_sign_verify_detached(sig.b, msg.p, msg.len, pub.b), 0);
        assert_false(sign_verify(&sig, msg, &pub));
    }
}

/* A good key; R = r*B + T: only verifiers that multiply by the cofactor take it. */
static void an_r_of_mixed_order_is_refused(void **state)
{
    uint8_t seed[32] = { 5 }, az[64], r[32], base[32], t[32], h64[64], h[32], ha[32], a[32];
    struct sign_key key;
    struct pubkey pub;
    struct slice msg = slice_str("mixed R");
    sign_key_from_seed(&key, &pub, seed);
    crypto_hash_sha512(az, seed, 32);
    az[0] &= 248;
    az[31] = (uint8_t) ((az[31] & 63) | 64);
    uint8_t wide[64] = { 0 };
    memcpy(wide, az, 32);
    crypto_core_ed25519_scalar_reduce(a, wide);
    for (int i = 0; i < 8; i++) {
        struct sig64 sig;
        crypto_core_ed25519_scalar_random(r);
        crypto_scalarmult_ed25519_base_noclamp(base, r);
        unhex(t, 32, torsion[i]);
        crypto_core_ed25519_add(sig.b, base, t);
        crypto_hash_sha512_state st;
        crypto_hash_sha512_init(&st);
        crypto_hash_sha512_update(&st, sig.b, 32);
        crypto_hash_sha512_update(&st, pub.b, 32);
        crypto_hash_sha512_update(&st, msg.p, msg.len);
        crypto_hash_sha512_final(&st, h64);
        crypto_core_ed25519_scalar_reduce(h, h64);
        crypto_core_ed25519_scalar_mul(ha, h, a);
        crypto_core_ed25519_scalar_add(sig.b + 32, ha, r);
        /* i == 0 shows that the construction is right: no torsion, a good signature */
        assert_int_equal(sign_verify(&sig, msg, &pub), i == 0);
    }
}

static void an_r_of_small_order_or_in_another_encoding_is_refused(void **state)
{
    struct sign_key key;
    struct pubkey pub;
    struct sig64 sig;
    sign_keygen(&key, &pub);
    sign_detached(&sig, slice_str("m"), &key);
    for (int i = 0; i < 8; i++) {
        unhex(sig.b, 32, torsion[i]);
        assert_false(sign_verify(&sig, slice_str("m"), &pub));
    }
    for (size_t i = 0; i < sizeof non_canonical / sizeof non_canonical[0]; i++) {
        unhex(sig.b, 32, non_canonical[i]);
        assert_false(sign_verify(&sig, slice_str("m"), &pub));
    }
}

static void add_order(uint8_t s[32])
{
    uint8_t order[32];
    unsigned carry = 0;
    unhex(order, 32, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    for (int i = 0; i < 32; i++) {
        carry += (unsigned) s[i] + order[i];
        s[i] = (uint8_t) carry;
        carry >>= 8;
    }
}

static void s_plus_the_group_order_is_refused(void **state)
{
    struct sign_key key;
    struct pubkey pub;
    for (int round = 0; round < 32; round++) {
        struct sig64 sig;
        sign_keygen(&key, &pub);
        sign_detached(&sig, slice_str("malleable"), &key);
        for (int times = 1; times <= 6; times++) {
            add_order(sig.b + 32);
            assert_false(sign_verify(&sig, slice_str("malleable"), &pub));
        }
    }
}

static void a_sealed_box_opens_only_for_its_recipient_and_unchanged(void **state)
{
    struct seal_key key, other;
    struct pubkey pub, other_pub, again;
    uint8_t sealed[5 + SEAL_OVERHEAD], out[5 + SEAL_OVERHEAD];
    seal_keygen(&key, &pub);
    seal_keygen(&other, &other_pub);
    seal_key_public(&again, &key);
    assert_memory_equal(again.b, pub.b, 32);
    assert_ok(seal_box(sealed, slice_str("plain"), &pub));
    assert_ok(seal_open(out, slice_of(sealed, sizeof sealed), &key));
    assert_memory_equal(out, "plain", 5);
    assert_err(seal_open(out, slice_of(sealed, sizeof sealed), &other), REEVE_E_V_KEY);
    for (size_t len = 0; len < sizeof sealed; len++)
        assert_err(seal_open(out, slice_of(sealed, len), &key), REEVE_E_V_KEY);
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 1;
        assert_err(seal_open(out, slice_of(sealed, sizeof sealed), &key), REEVE_E_V_KEY);
        sealed[i] ^= 1;
    }
}

static void nothing_is_sealed_to_a_key_of_small_order(void **state)
{
    struct pubkey zero = { { 0 } }, one = { { 1 } };
    uint8_t sealed[5 + SEAL_OVERHEAD];
    static const uint8_t nothing[sizeof sealed];
    memset(sealed, 0xaa, sizeof sealed);
    assert_err(seal_box(sealed, slice_str("plain"), &zero), REEVE_E_V_KEY);
    assert_memory_equal(sealed, nothing, sizeof sealed);
    assert_err(seal_box(sealed, slice_str("plain"), &one), REEVE_E_V_KEY);
}

static void a_secret_box_is_bound_to_its_key_and_its_label(void **state)
{
    struct aead_key key, other;
    uint8_t box[5 + AEAD_OVERHEAD], twice[sizeof box], out[5];
    struct slice ad = slice_str("keys/7");
    random_bytes(key.b, 32);
    random_bytes(other.b, 32);
    aead_seal(box, slice_str("plain"), ad, &key);
    aead_seal(twice, slice_str("plain"), ad, &key);
    assert_memory_not_equal(box, twice, sizeof box);
    assert_ok(aead_open(out, slice_of(box, sizeof box), ad, &key));
    assert_memory_equal(out, "plain", 5);
    assert_err(aead_open(out, slice_of(box, sizeof box), ad, &other), REEVE_E_V_KEY);
    assert_err(aead_open(out, slice_of(box, sizeof box), slice_str("keys/8"), &key), REEVE_E_V_KEY);
    assert_err(aead_open(out, slice_of(box, AEAD_OVERHEAD - 1), ad, &key), REEVE_E_V_KEY);
    for (size_t i = 0; i < sizeof box; i++) {
        box[i] ^= 0x80;
        assert_err(aead_open(out, slice_of(box, sizeof box), ad, &key), REEVE_E_V_KEY);
        box[i] ^= 0x80;
    }
    assert_ok(aead_open(out, slice_of(box, sizeof box), ad, &key));
}

static void start(void) __attribute__((constructor));
static void start(void)
{
    if (crypto_init() != REEVE_OK)
        abort();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(signatures_are_those_of_rfc_8032),
    cmocka_unit_test(a_changed_bit_anywhere_is_refused),
    cmocka_unit_test(keys_of_small_order_are_refused),
    cmocka_unit_test(keys_in_another_encoding_are_refused),
    cmocka_unit_test(keys_of_mixed_order_are_refused),
    cmocka_unit_test(a_signature_whose_torsion_cancels_is_refused),
    cmocka_unit_test(an_r_of_mixed_order_is_refused),
    cmocka_unit_test(an_r_of_small_order_or_in_another_encoding_is_refused),
    cmocka_unit_test(s_plus_the_group_order_is_refused),
    cmocka_unit_test(a_sealed_box_opens_only_for_its_recipient_and_unchanged),
    cmocka_unit_test(nothing_is_sealed_to_a_key_of_small_order),
    cmocka_unit_test(a_secret_box_is_bound_to_its_key_and_its_label),
};
UNIT_MAIN(tests)
