/* test_pem.c - PEM framing. */
#include "../unit.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

static void write_then_read_gives_the_bytes(void **state)
{
    struct rng rng = rng_seeded("pem");
    for (size_t len = 1; len < 300; len++) {
        uint8_t der[300];
        struct wr text = wr_heap(10000), back = wr_heap(10000);
        for (size_t i = 0; i < len; i++)
            der[i] = (uint8_t) rng_next(&rng);
        assert_ok(x509_to_pem(slice_of(der, len), &text));
        struct slice rest = wr_slice(&text);
        assert_ok(x509_pem_next(&rest, &back));
        assert_true(slice_eq(wr_slice(&back), slice_of(der, len)));
        assert_err(x509_pem_next(&rest, &back), REEVE_E_NOT_FOUND);
        wr_free(&text);
        wr_free(&back);
    }
}

static void text_and_other_blocks_are_skipped(void **state)
{
    static const char text[] =
        "subject: somebody\r\n"
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
        "-----BEGIN CERTIFICATE-----\r\nAQ\r\n ID\r\n-----END CERTIFICATE-----\r\n"
        "-----BEGIN CERTIFICATE-----BAUG-----END CERTIFICATE-----";
    struct slice rest = slice_str(text);
    struct wr out = wr_heap(100);
    assert_ok(x509_pem_next(&rest, &out));
    assert_true(slice_eq(wr_slice(&out), slice_of("\x01\x02\x03", 3)));
    wr_reset(&out);
    assert_ok(x509_pem_next(&rest, &out));
    assert_true(slice_eq(wr_slice(&out), slice_of("\x04\x05\x06", 3)));
    assert_err(x509_pem_next(&rest, &out), REEVE_E_NOT_FOUND);
    wr_free(&out);
}

static void bad_blocks_are_malformed(void **state)
{
    static const char *const bad[] = {
        "-----BEGIN CERTIFICATE-----\nAQID\n",                                  /* no end */
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",             /* empty */
        "-----BEGIN CERTIFICATE-----\nAQI\n-----END CERTIFICATE-----\n",        /* no padding */
        "-----BEGIN CERTIFICATE-----\nAQ*D\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAQID\n-----END PRIVATE KEY-----\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct slice rest = slice_str(bad[i]);
        struct wr out = wr_heap(100);
        assert_err(x509_pem_next(&rest, &out), REEVE_E_MALFORMED);
        assert_err(x509_pem_next(&rest, &out), REEVE_E_NOT_FOUND);     /* it moved on */
        wr_free(&out);
    }
}

static void a_block_beyond_the_bound_is_malformed(void **state)
{
    struct wr text = wr_heap(100000), out = wr_heap(100000);
    uint8_t *der = calloc(1, X509_DER_MAX + 1);
    assert_ok(x509_to_pem(slice_of(der, X509_DER_MAX), &text));
    struct slice rest = wr_slice(&text);
    assert_ok(x509_pem_next(&rest, &out));
    wr_reset(&text);
    assert_ok(x509_to_pem(slice_of(der, X509_DER_MAX + 1), &text));
    rest = wr_slice(&text);
    assert_err(x509_pem_next(&rest, &out), REEVE_E_MALFORMED);
    free(der);
    wr_free(&text);
    wr_free(&out);
}

static void keys_go_through_pem_and_der(void **state)
{
    for (int t = KEY_ECDSA_P256; t <= KEY_ED25519; t++) {
        struct xkey *key, *back;
        struct wr text = wr_heap(10000), der = wr_heap(10000), spki = wr_heap(1000), again = wr_heap(1000);
        assert_ok(xkey_generate(&key, (enum key_type) t));
        assert_int_equal(xkey_type(key), t);
        assert_ok(xkey_spki(key, &spki));
        assert_ok(xkey_to_pem(key, &text));
        assert_ok(xkey_from_pem(&back, wr_slice(&text)));
        assert_ok(xkey_spki(back, &again));
        assert_true(slice_eq(wr_slice(&spki), wr_slice(&again)));
        xkey_free(back);
        assert_ok(xkey_to_der(key, &der));
        assert_ok(xkey_from_der(&back, wr_slice(&der)));
        assert_int_equal(xkey_type(back), t);
        xkey_free(back);
        for (size_t len = 0; len < der.len; len++)
            assert_err(xkey_from_der(&back, slice_of(der.p, len)), REEVE_E_MALFORMED);
        wr_u8(&der, 0);
        assert_err(xkey_from_der(&back, wr_slice(&der)), REEVE_E_MALFORMED);
        xkey_free(key);
        wr_free(&text);
        wr_free(&der);
        wr_free(&spki);
        wr_free(&again);
    }
}

static void start(void) __attribute__((constructor));
static void start(void)
{
    if (crypto_init() != REEVE_OK)
        abort();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(write_then_read_gives_the_bytes),
    cmocka_unit_test(text_and_other_blocks_are_skipped),
    cmocka_unit_test(bad_blocks_are_malformed),
    cmocka_unit_test(a_block_beyond_the_bound_is_malformed),
    cmocka_unit_test(keys_go_through_pem_and_der),
};
UNIT_MAIN(tests)
