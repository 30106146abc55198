/* test_p11.c - keys of tokens: their URIs; what a token does is judged in regress/cluster/082_tokens.t */
#include "../unit.h"

#include "crypto/p11.h"

static struct p11_uri u;

static enum reeve_err parse(const char *text)
{
    struct report rep = { .code = REEVE_OK };
    enum reeve_err err = p11_uri_parse(&u, slice_str(text), &rep);
    assert_int_equal(err, rep.code);
    return err;
}

static void a_uri_names_module_token_and_key(void **state)
{
    assert_int_equal(parse("pkcs11:token=My%20token;serial=0a;object=ops%2Fanna;id=%00%ff;type=private?module-path=/m.so&pin-source=file:/p"),
                     REEVE_OK);
    assert_string_equal(u.token, "My token");
    assert_string_equal(u.serial, "0a");
    assert_string_equal(u.object, "ops/anna");
    assert_int_equal(u.id_len, 2);
    assert_memory_equal(u.id, "\x00\xff", 2);
    assert_string_equal(u.module, "/m.so");
    assert_string_equal(u.pin_source, "/p");
}

static void what_is_missing_is_empty(void **state)
{
    assert_int_equal(parse("pkcs11:module-path=/m.so"), REEVE_OK);
    assert_string_equal(u.token, "");
    assert_int_equal(u.id_len, 0);
    assert_string_equal(u.pin_source, "");
}

static void other_uris_are_refused(void **state)
{
    static const char *const bad[] = {
        "", "pkcs11", "pkcs11:", "pkcs12:token=a?module-path=/m", "pkcs11:token=a", "pkcs11:token?module-path=/m",
        "pkcs11:token=?module-path=/m", "pkcs11:token=a;token=b?module-path=/m", "pkcs11:token=%4?module-path=/m",
        "pkcs11:token=%zz?module-path=/m", "pkcs11:token=%00?module-path=/m", "pkcs11:token=a;;object=b?module-path=/m",
        "pkcs11:token=123456789012345678901234567890123?module-path=/m", "pkcs11:object=a?module-path=/m&pin-value=1",
        "pkcs11:object=a?module-path=/m&pin-source=|cat", "pkcs11:object=a?module-path=/m&pin-source=file:",
        "pkcs11:object=a;type=public?module-path=/m", "pkcs11:manufacturer=x?module-path=/m", "pkcs11:id=?module-path=/m",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse(bad[i]) != REEVE_E_INVALID_VALUE)
            fail_msg("taken: %s", bad[i]);
}

static void a_uri_may_end_anywhere(void **state)
{
    const char *whole = "pkcs11:token=a%20b;object=c;id=%01%02?module-path=/m.so&pin-source=file:/p";
    char part[128];
    for (size_t n = 0; n < strlen(whole); n++) {
        struct report rep = { .code = REEVE_OK };
        memcpy(part, whole, n);
        enum reeve_err err = p11_uri_parse(&u, slice_of(part, n), &rep);
        assert_true(err == REEVE_OK || err == REEVE_E_INVALID_VALUE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uri_names_module_token_and_key), cmocka_unit_test(what_is_missing_is_empty),
        cmocka_unit_test(other_uris_are_refused), cmocka_unit_test(a_uri_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
