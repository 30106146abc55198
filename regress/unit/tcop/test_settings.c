/* test_settings.c - values of settings, and how they follow transactions. */
#include "../unit.h"
#include "backend/tcop/session.h"

static struct arena arena;
static struct session s;
static struct report rep;

static void fresh(void) { assert_ok(session_init(&s, &arena, &arena, NULL)); }

static enum reeve_err set(const char *name, const char *value, bool local)
{
    report_clear(&rep);
    return session_set(&s, slice_str(name), slice_str(value), local, &rep);
}

static const char *shown(enum setting_id id)
{
    static char buf[64];
    return session_setting_text(&s, id, buf);
}

static void every_default_of_the_list_is_acceptable_and_prints_back(void **state)
{
    struct setting_value boot[SET__COUNT] = { 0 };
    assert_ok(setting_table_boot(boot));
    for (int i = 0; i < SET__COUNT; i++) {
        char buf[64];
        struct setting_value again = { 0 };
        const char *text = setting_text((enum setting_id) i, &boot[i], buf);
        assert_ok(setting_parse(&again, (enum setting_id) i, slice_str(text), &rep));
        assert_true(setting_eq((enum setting_id) i, &again, &boot[i]));
        setting_free(&again);
    }
    setting_table_free(boot);
}

static void numbers_take_units_and_bounds(void **state)
{
    fresh();
    assert_ok(set("statement_timeout", "1.5 s", false));
    assert_int_equal(session_int(&s, SET_statement_timeout), 1500);
    assert_string_equal(shown(SET_statement_timeout), "1500ms");
    assert_ok(set("STATEMENT_timeout", "2min", false));
    assert_string_equal(shown(SET_statement_timeout), "2min");
    assert_int_equal(set("statement_timeout", "-1", false), REEVE_E_INVALID_VALUE);
    assert_int_equal(set("statement_timeout", "1 week", false), REEVE_E_INVALID_VALUE);
    assert_int_equal(set("statement_timeout", "", false), REEVE_E_INVALID_VALUE);
    assert_int_equal(set("statement_timeout", "1e300", false), REEVE_E_INVALID_VALUE);
    assert_int_equal(set("statement_timeout", "nan", false), REEVE_E_INVALID_VALUE);
    assert_string_equal(shown(SET_statement_timeout), "2min");
    session_free(&s);
}

static void words_and_switches(void **state)
{
    fresh();
    assert_ok(set("rollout_returning", "of", false));
    assert_string_equal(shown(SET_rollout_returning), "off");
    assert_int_equal(set("rollout_returning", "o", false), REEVE_E_INVALID_VALUE);
    assert_ok(set("client_encoding", "'utf-8'", false));
    assert_ok(set("client_encoding", "UNICODE", false));
    assert_int_equal(set("client_encoding", "LATIN1", false), REEVE_E_INVALID_VALUE);
    assert_ok(set("standard_conforming_strings", "true", false));
    assert_int_equal(set("standard_conforming_strings", "off", false), REEVE_E_INVALID_VALUE);
    assert_ok(set("DateStyle", "ISO", false));
    assert_string_equal(shown(SET_DateStyle), "ISO, MDY");
    session_free(&s);
}

static void the_context_decides_who_may_set(void **state)
{
    fresh();
    assert_int_equal(set("port", "1", false), REEVE_E_WRONG_STATE);
    assert_string_equal(report_sqlstate(&rep), "55P02");
    assert_int_equal(set("server_version", "16", false), REEVE_E_WRONG_STATE);
    assert_int_equal(set("nonesuch", "1", false), REEVE_E_UNDEFINED_OBJECT);
    assert_int_equal(set("require_reason", "on", false), REEVE_E_PRIVILEGE);
    s.role_attributes = ROLE_SUPERUSER;
    assert_ok(set("require_reason", "on", false));
    session_free(&s);
}

static void an_abort_undoes_set_and_a_commit_keeps_it(void **state)
{
    fresh();
    assert_ok(set("application_name", "a", false));
    assert_ok(session_txn_commit(&s, &rep));
    assert_ok(set("application_name", "b", false));
    assert_ok(set("application_name", "c", false));
    session_txn_abort(&s);
    assert_string_equal(shown(SET_application_name), "a");
    session_free(&s);
}

static void set_local_ends_with_its_transaction(void **state)
{
    fresh();
    assert_ok(set("application_name", "s", false));
    assert_ok(set("application_name", "l", true));
    assert_string_equal(shown(SET_application_name), "l");
    assert_ok(session_txn_commit(&s, &rep));
    assert_string_equal(shown(SET_application_name), "s");
    assert_ok(set("application_name", "l", true));
    assert_ok(set("application_name", "t", false));
    assert_ok(session_txn_commit(&s, &rep));
    assert_string_equal(shown(SET_application_name), "t");
    session_free(&s);
}

static void reset_returns_to_what_the_start_up_packet_said(void **state)
{
    fresh();
    assert_ok(session_set_startup(&s, slice_str("application_name"), slice_str("psql"), &rep));
    assert_ok(set("application_name", "x", false));
    assert_ok(session_reset(&s, slice_str("application_name"), false, &rep));
    assert_string_equal(shown(SET_application_name), "psql");
    assert_ok(set("application_name", "y", false));
    assert_ok(session_reset_all(&s));
    assert_string_equal(shown(SET_application_name), "psql");
    session_free(&s);
}

/* ---- pending work ---- */

static int commits, aborts;
static enum reeve_err verdict;
static enum reeve_err work_commit(struct session *x, void *arg, struct report *r) { commits++; return verdict; }
static void work_abort(struct session *x, void *arg) { aborts++; }

static void work_is_committed_or_aborted_exactly_once(void **state)
{
    struct txn_work work = { work_commit, work_abort, NULL };
    fresh();
    session_txn_attach(&s, work);
    assert_ok(session_txn_commit(&s, &rep));
    assert_ok(session_txn_commit(&s, &rep));
    session_txn_abort(&s);
    assert_true(commits == 1 && aborts == 0);
    session_txn_attach(&s, work);
    session_txn_abort(&s);
    session_txn_abort(&s);
    assert_true(commits == 1 && aborts == 1);
    session_txn_attach(&s, work);
    verdict = REEVE_E_CONFLICT;
    assert_ok(set("application_name", "z", false));
    assert_int_equal(session_txn_commit(&s, &rep), REEVE_E_CONFLICT);
    assert_string_equal(shown(SET_application_name), "");
    session_txn_attach(&s, work);
    session_free(&s);
    assert_true(commits == 2 && aborts == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_of_the_list_is_acceptable_and_prints_back),
        cmocka_unit_test(numbers_take_units_and_bounds),
        cmocka_unit_test(words_and_switches),
        cmocka_unit_test(the_context_decides_who_may_set),
        cmocka_unit_test(an_abort_undoes_set_and_a_commit_keeps_it),
        cmocka_unit_test(set_local_ends_with_its_transaction),
        cmocka_unit_test(reset_returns_to_what_the_start_up_packet_said),
        cmocka_unit_test(work_is_committed_or_aborted_exactly_once),
    };
    arena_init(&arena, 64 << 20);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
