/* test_text.c - UTF-8, hex, base64 and node ids: one text per value. */
#include "../unit.h"

static void utf8_is_the_strict_form(void **state)
{
    static const char *const good[] = { "", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                                        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };
    static const char *const bad[] = { "\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82",
                                       "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xfe" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(utf8_valid(slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(utf8_valid(slice_str(bad[i])));
}

/* The dumb twin: decode by arithmetic, then compare with the shortest encoding of the result. */
static int twin_utf8_len(const uint8_t *p, size_t left)
{
    for (uint32_t n = 1; n <= 4 && n <= left; n++) {
        uint32_t cp = n == 1 ? p[0] : p[0] & (0x7fu >> n);
        uint8_t enc[4];
        for (uint32_t i = 1; i < n; i++)
            cp = cp * 64 + (p[i] & 0x3f);
        uint32_t need = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        if (need != n || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
            continue;
        for (uint32_t i = n - 1, c = cp; i > 0; i--, c /= 64)
            enc[i] = (uint8_t) (0x80 + c % 64);
        uint32_t top = cp >> 6 * (n - 1);
        enc[0] = (uint8_t) (n == 1 ? cp : (0xf00u >> n & 0xff) | top);
        if (memcmp(enc, p, n) == 0)
            return (int) n;
    }
    return 0;
}

static void random_utf8_agrees_with_the_dumb_twin(void **state)
{
    static const uint8_t lead[] = { 0x41, 0x7f, 0x80, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf3, 0xf4, 0xf5 };
    static const uint8_t cont[] = { 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0 };
    struct rng rng = rng_seeded("utf8");
    for (int round = 0; round < 200000; round++) {
        uint8_t b[4];
        size_t len = 1 + rng_below(&rng, 4), at = 0;
        b[0] = lead[rng_below(&rng, sizeof lead)];
        for (size_t i = 1; i < len; i++)
            b[i] = cont[rng_below(&rng, sizeof cont)];
        while (at < len) {
            int n = twin_utf8_len(b + at, len - at);
            if (n == 0)
                break;
            at += (size_t) n;
        }
        assert_int_equal(utf8_valid(slice_of(b, len)), at == len);
    }
}

static void names_have_bounds(void **state)
{
    struct name n;
    char long_name[NAME_MAX_LEN + 2];
    memset(long_name, 'x', sizeof long_name);
    assert_true(name_set(&n, slice_of(long_name, NAME_MAX_LEN)));
    assert_int_equal(n.len, NAME_MAX_LEN);
    assert_int_equal(n.s[NAME_MAX_LEN], 0);
    assert_false(name_set(&n, slice_of(long_name, NAME_MAX_LEN + 1)));
    assert_false(name_set_str(&n, ""));
    assert_false(name_set_str(&n, "a\tb"));
    assert_false(name_set(&n, slice_of("a\0b", 3)));
}

static void hex_takes_exactly_the_length_asked_for(void **state)
{
    uint8_t out[2];
    char text[5];
    hex_encode(text, "\x0f\xa0", 2);
    assert_string_equal(text, "0fa0");
    assert_true(hex_decode(out, 2, slice_str("0Fa0")));
    assert_memory_equal(out, "\x0f\xa0", 2);
    assert_false(hex_decode(out, 2, slice_str("0fa")));
    assert_false(hex_decode(out, 2, slice_str("0fa00")));
    assert_false(hex_decode(out, 2, slice_str("0fag")));
    assert_false(hex_decode(out, 2, slice_str("0f 0")));
}

static void base64_vectors_of_rfc_4648(void **state)
{
    static const char *const plain[] = { "", "f", "fo", "foo", "foob", "fooba", "foobar" };
    static const char *const std[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
    char text[16];
    uint8_t out[16];
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(base64_encode(text, plain[i], strlen(plain[i])), strlen(std[i]));
        assert_string_equal(text, std[i]);
        assert_int_equal(base64_decode(out, sizeof out, slice_str(std[i])), strlen(plain[i]));
        assert_memory_equal(out, plain[i], strlen(plain[i]));
        size_t n = base64url_encode(text, plain[i], strlen(plain[i]));
        assert_null(strchr(text, '='));
        assert_int_equal(base64url_decode(out, sizeof out, slice_of(text, n)), strlen(plain[i]));
    }
    base64_encode(text, "\xfb\xff", 2);
    assert_string_equal(text, "+/8=");
    base64url_encode(text, "\xfb\xff", 2);
    assert_string_equal(text, "-_8");
}

static void base64_refuses_every_other_spelling(void **state)
{
    static const char *const bad_std[] = { "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm8", "=", "==", "====", "Z===", "Zm9v=",
                                           "Zm9v====", "Zg==Zg==", "Z g=", "Zm8-", "Zm\n8", "Zm8=\n" };
    static const char *const bad_url[] = { "Z", "Zg==", "Zh", "Zm9", "Zm9vY", "Zm8+", "Zm 8" };
    uint8_t out[16];
    for (size_t i = 0; i < sizeof bad_std / sizeof bad_std[0]; i++)
        assert_int_equal(base64_decode(out, sizeof out, slice_str(bad_std[i])), -1);
    for (size_t i = 0; i < sizeof bad_url / sizeof bad_url[0]; i++)
        assert_int_equal(base64url_decode(out, sizeof out, slice_str(bad_url[i])), -1);
    assert_int_equal(base64_decode(out, 2, slice_str("Zm9v")), -1);     /* three bytes into two */
    assert_int_equal(base64_decode(out, 3, slice_str("Zm9v")), 3);
}

static void what_base64_accepts_encodes_back_to_itself(void **state)
{
    static const char chars[] = "AQgw/+Z9=";
    struct rng rng = rng_seeded("base64");
    for (int round = 0; round < 200000; round++) {
        char text[13], again[16];
        uint8_t out[16];
        size_t len = rng_below(&rng, 13);
        for (size_t i = 0; i < len; i++)
            text[i] = chars[rng_below(&rng, sizeof chars - 1)];
        long n = base64_decode(out, sizeof out, slice_of(text, len));
        if (n < 0)
            continue;
        assert_int_equal(base64_encode(again, out, (size_t) n), len);
        assert_memory_equal(text, again, len);
    }
}

static void node_ids_have_one_text(void **state)
{
    struct node_id id, back;
    char text[NODE_ID_TEXT_LEN + 1];
    unhex(id.b, 16, "00112233445566778899aabbccddeeff");
    node_id_text(text, &id);
    assert_string_equal(text, "n-00112233445566778899aabbccddeeff");
    assert_true(node_id_parse(&back, slice_str(text)));
    assert_memory_equal(back.b, id.b, 16);
    assert_false(node_id_parse(&back, slice_str("n-00112233445566778899AABBCCDDEEFF")));
    assert_false(node_id_parse(&back, slice_str("m-00112233445566778899aabbccddeeff")));
    assert_false(node_id_parse(&back, slice_str("n-00112233445566778899aabbccddeef")));
    assert_false(node_id_parse(&back, slice_str("n-00112233445566778899aabbccddeefg")));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(utf8_is_the_strict_form),
    cmocka_unit_test(random_utf8_agrees_with_the_dumb_twin),
    cmocka_unit_test(names_have_bounds),
    cmocka_unit_test(hex_takes_exactly_the_length_asked_for),
    cmocka_unit_test(base64_vectors_of_rfc_4648),
    cmocka_unit_test(base64_refuses_every_other_spelling),
    cmocka_unit_test(what_base64_accepts_encodes_back_to_itself),
    cmocka_unit_test(node_ids_have_one_text),
};
UNIT_MAIN(tests)
