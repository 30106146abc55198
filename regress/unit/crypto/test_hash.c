/* test_hash.c - digests and key derivation against published vectors. */
#include "../unit.h"
#include "crypto/hash.h"

static void assert_hash(const struct hash32 *h, const char *hex)
{
    char text[65];
    hex_encode(text, h->b, 32);
    assert_string_equal(text, hex);
}

static void sha256_vectors_of_fips_180(void **state)
{
    struct hash32 h;
    sha256(&h, slice_of(NULL, 0));
    assert_hash(&h, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256(&h, slice_str("abc"));
    assert_hash(&h, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void parts_and_streams_hash_the_concatenation(void **state)
{
    struct hash32 h;
    struct sha256_stream s;
    sha256_parts(&h, (struct slice[]){ slice_str("a"), slice_of(NULL, 0), slice_str("bc") }, 3);
    assert_hash(&h, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_init(&s);
    sha256_add(&s, slice_str("ab"));
    sha256_add(&s, slice_str("c"));
    sha256_end(&s, &h);
    assert_hash(&h, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void hmac_vector_of_rfc_4231(void **state)
{
    struct hash32 h;
    hmac_sha256(&h, slice_str("Jefe"), slice_str("what do ya want for nothing?"));
    assert_hash(&h, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void pbkdf2_vector_of_rfc_7914(void **state)
{
    struct hash32 h;
    assert_ok(pbkdf2_sha256(&h, slice_str("passwd"), slice_str("salt"), 1));
    assert_hash(&h, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    assert_err(pbkdf2_sha256(&h, slice_str("p"), slice_str("s"), 0), REEVE_E_INVALID_VALUE);
    assert_err(pbkdf2_sha256(&h, slice_str("p"), slice_str("s"), UINT32_MAX), REEVE_E_INVALID_VALUE);
}

static void a_node_id_is_the_labelled_hash_of_its_key(void **state)
{
    struct pubkey key;
    struct node_id id;
    struct hash32 h;
    uint8_t bytes[14 + 32] = "reeve-node-v1";
    memset(key.b, 7, 32);
    memset(bytes + 14, 7, 32);
    sha256(&h, slice_of(bytes, sizeof bytes));
    node_id_of_key(&id, &key);
    assert_memory_equal(id.b, h.b, 16);
}

static void start(void) __attribute__((constructor));
static void start(void)
{
    if (crypto_init() != REEVE_OK)
        abort();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sha256_vectors_of_fips_180),
    cmocka_unit_test(parts_and_streams_hash_the_concatenation),
    cmocka_unit_test(hmac_vector_of_rfc_4231),
    cmocka_unit_test(pbkdf2_vector_of_rfc_7914),
    cmocka_unit_test(a_node_id_is_the_labelled_hash_of_its_key),
};
UNIT_MAIN(tests)
