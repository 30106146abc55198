/* test_err.c - the list of errors and the report. */
#include "../unit.h"

#include <ctype.h>

static void every_code_has_a_name_a_text_and_five_characters(void **state)
{
    for (int e = 0; e < REEVE_E__COUNT; e++) {
        const char *s = reeve_err_sqlstate((enum reeve_err) e);
        assert_int_equal(strlen(s), 5);
        for (int i = 0; i < 5; i++)
            assert_true(isupper((unsigned char) s[i]) || isdigit((unsigned char) s[i]));
        assert_true(strlen(reeve_err_text((enum reeve_err) e)) > 0);
        assert_true(strlen(reeve_err_name((enum reeve_err) e)) > 0);
    }
}

static void names_and_our_own_states_are_unique(void **state)
{
    for (int a = 0; a < REEVE_E__COUNT; a++) {
        for (int b = 0; b < a; b++) {
            const char *sa = reeve_err_sqlstate((enum reeve_err) a), *sb = reeve_err_sqlstate((enum reeve_err) b);
            assert_string_not_equal(reeve_err_name((enum reeve_err) a), reeve_err_name((enum reeve_err) b));
            assert_true(strncmp(sa, "RL", 2) != 0 || strcmp(sa, sb) != 0);
        }
    }
}

static void an_unknown_number_is_an_internal_error(void **state)
{
    assert_string_equal(reeve_err_sqlstate((enum reeve_err) 9999), "XX000");
    assert_string_equal(reeve_err_name((enum reeve_err) -1), "UNKNOWN");
}

static void the_first_report_wins(void **state)
{
    struct report r;
    report_clear(&r);
    assert_err(report_set(&r, REEVE_E_SYNTAX, "first %d", 1), REEVE_E_SYNTAX);
    assert_err(report_set(&r, REEVE_E_BUG, "second"), REEVE_E_BUG);
    assert_string_equal(r.message, "first 1");
    assert_string_equal(report_sqlstate(&r), "42601");
    report_hint(&r, "try %s", "this");
    assert_string_equal(r.hint, "try this");
    assert_err(report_set(NULL, REEVE_E_BUG, "nobody listens"), REEVE_E_BUG);
}

static void a_long_message_is_cut_not_overrun(void **state)
{
    struct report r;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    report_clear(&r);
    report_set(&r, REEVE_E_BUG, "%s", text);
    assert_int_equal(strlen(r.message), sizeof r.message - 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_code_has_a_name_a_text_and_five_characters),
    cmocka_unit_test(names_and_our_own_states_are_unique),
    cmocka_unit_test(an_unknown_number_is_an_internal_error),
    cmocka_unit_test(the_first_report_wins),
    cmocka_unit_test(a_long_message_is_cut_not_overrun),
};
UNIT_MAIN(tests)
