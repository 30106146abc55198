/* test_extended.c - Parse, Bind, Describe, Execute, Close, Flush, Sync. */
#include "talk.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

static struct talk t;

static void a_statement_with_parameters_goes_round(void **state)
{
    talk_login(&t, NULL);
    talk_parse(&t, "s", "SELECT $1, $2");
    talk_describe(&t, 'S', "s");
    talk_bind(&t, "", "s", 0, "one", "two", NULL);
    talk_describe(&t, 'P', "");
    talk_execute(&t, "", 0);
    talk_sync(&t);
    talk_expect(&t, "1 t(25,25) T(x:25:0,x:25:0) 2 T(x:25:0,x:25:0) D(one,two) C(SELECT 1) Z(I)");
    talk_bind(&t, "", "s", 0, "three", "four", NULL);
    talk_execute(&t, "", 0);
    talk_sync(&t);
    talk_expect(&t, "2 D(three,four) C(SELECT 1) Z(I)");
    talk_close(&t);
}

static void binary_parameters_and_results(void **state)
{
    talk_login(&t, NULL);
    /* $1 int4 binary 258, $2 int2 NULL; results binary, then text */
    talk_message(&t, 'P', BYTES("b\0SELECT $1, $2\0\0\2\0\0\0\x17\0\0\0\x15"));
    talk_message(&t, 'B', BYTES("\0b\0\0\1\0\1\0\2\0\0\0\4\0\0\1\2\xff\xff\xff\xff\0\2\0\1\0\0"));
    talk_describe(&t, 'P', "");
    talk_execute(&t, "", 0);
    talk_sync(&t);
    talk_expect(&t, "1 2 T(x:23:1,x:21:0) D(00000102,NULL) C(SELECT 1) Z(I)");
    talk_message(&t, 'B', BYTES("\0b\0\0\1\0\1\0\2\0\0\0\3\0\0\1\xff\xff\xff\xff\0\0"));
    talk_sync(&t);
    const char *r = talk_reply(&t, 0);
    assert_non_null(strstr(r, "E(22P03"));
    talk_message(&t, 'B', BYTES("\0b\0\0\1\0\7\0\2\0\0\0\4\0\0\1\2\xff\xff\xff\xff\0\0"));
    talk_sync(&t);
    talk_expect(&t, "E(22023 unsupported format code: 7) Z(I)");
    talk_close(&t);
}

static void row_limits_suspend_only_when_they_are_hit(void **state)
{
    talk_login(&t, NULL);
    talk_parse(&t, "", "SELECT rows(4)");
    talk_bind(&t, "p", "", 0, NULL);
    talk_execute(&t, "p", 2);
    talk_execute(&t, "p", 2);
    talk_execute(&t, "p", 2);
    talk_execute(&t, "p", 0);
    talk_sync(&t);
    talk_expect(&t, "1 2 D(1) D(2) s D(3) D(4) s C(SELECT 0) C(SELECT 0) Z(I)");
    talk_execute(&t, "p", 0);
    talk_sync(&t);
    talk_expect(&t, "E(34000 portal \"p\" does not exist) Z(I)");
    talk_close(&t);
}

static void a_portal_lives_through_syncs_inside_a_block(void **state)
{
    talk_login(&t, NULL);
    talk_query(&t, "BEGIN");
    talk_expect(&t, "C(BEGIN) Z(T)");
    talk_parse(&t, "", "SELECT rows(3)");
    talk_bind(&t, "C_1", "", 0, NULL);
    talk_execute(&t, "C_1", 2);
    talk_sync(&t);
    talk_expect(&t, "1 2 D(1) D(2) s Z(T)");
    talk_execute(&t, "C_1", 2);
    talk_sync(&t);
    talk_expect(&t, "D(3) C(SELECT 1) Z(T)");
    talk_query(&t, "COMMIT");
    talk_expect(&t, "C(COMMIT) Z(I)");
    talk_describe(&t, 'P', "C_1");
    talk_sync(&t);
    talk_expect(&t, "E(34000 portal \"C_1\" does not exist) Z(I)");
    talk_close(&t);
}

static void a_limit_does_not_suspend_what_returns_no_rows(void **state)
{
    talk_login(&t, NULL);
    talk_parse(&t, "", "SET extra_float_digits = 3");
    talk_bind(&t, "", "", 0, NULL);
    talk_describe(&t, 'P', "");
    talk_execute(&t, "", 1);
    talk_execute(&t, "", 1);
    talk_sync(&t);
    talk_expect(&t, "1 2 n C(SET) E(55000 portal \"\" cannot be run) Z(I)");
    talk_close(&t);
}

static void an_error_skips_to_sync(void **state)
{
    talk_login(&t, NULL);
    talk_parse(&t, "", "SELECT fail()");
    talk_bind(&t, "", "", 0, NULL);
    talk_execute(&t, "", 0);
    talk_parse(&t, "later", "SELECT 1");
    talk_query(&t, "SELECT 1");
    talk_sync(&t);
    talk_expect(&t, "1 2 E(22012 division by zero) Z(I)");
    talk_bind(&t, "", "later", 0, NULL);
    talk_sync(&t);
    talk_expect(&t, "E(26000 prepared statement \"later\" does not exist) Z(I)");
    talk_sync(&t);
    talk_expect(&t, "Z(I)");
    talk_close(&t);
}

static void names_are_checked(void **state)
{
    talk_login(&t, NULL);
    talk_parse(&t, "s", "SELECT 1");
    talk_parse(&t, "s", "SELECT 2");
    talk_sync(&t);
    talk_expect(&t, "1 E(42P05 prepared statement \"s\" already exists) Z(I)");
    talk_parse(&t, "", "SELECT 1");
    talk_parse(&t, "", "SELECT 2");
    talk_sync(&t);
    talk_expect(&t, "1 1 Z(I)");
    talk_close_name(&t, 'S', "s");
    talk_close_name(&t, 'S', "never");
    talk_close_name(&t, 'P', "never");
    talk_bind(&t, "", "s", 0, NULL);
    talk_sync(&t);
    talk_expect(&t, "3 3 3 E(26000 prepared statement \"s\" does not exist) Z(I)");
    talk_parse(&t, "", "SELECT 1; SELECT 2");
    talk_sync(&t);
    talk_expect(&t, "E(42601 cannot insert multiple commands into a prepared statement) Z(I)");
    talk_parse(&t, "", "SELECT $1");
    talk_bind(&t, "", "", 0, NULL);
    talk_sync(&t);
    talk_expect(&t, "1 E(08P01 bind message supplies 0 parameters, but prepared statement \"\" requires 1) Z(I)");
    talk_parse(&t, "", "SELECT 1 FROM nowhere");
    talk_sync(&t);
    talk_expect(&t, "E(42P01 relation \"nowhere\" does not exist) Z(I)");
    talk_query(&t, "SELECT 1");
    talk_reply(&t, 0);
    talk_describe(&t, 'S', "");
    talk_sync(&t);
    talk_expect(&t, "E(26000 unnamed prepared statement does not exist) Z(I)");
    talk_close(&t);
}

static void the_empty_query_answers_as_such(void **state)
{
    talk_login(&t, NULL);
    talk_parse(&t, "", "-- ping");
    talk_describe(&t, 'S', "");
    talk_bind(&t, "", "", 0, NULL);
    talk_execute(&t, "", 1);
    talk_sync(&t);
    talk_expect(&t, "1 t() n 2 I Z(I)");
    talk_close(&t);
}

static void flush_delivers_without_ready(void **state)
{
    talk_login(&t, NULL);
    talk_parse(&t, "st", "SELECT $1");
    talk_describe(&t, 'S', "st");
    talk_flush(&t);
    assert_string_equal(talk_reply(&t, 3), "1 t(25) T(x:25:0)");
    talk_bind(&t, "", "st", 1, "a", NULL);
    talk_execute(&t, "", 1);
    talk_flush(&t);
    assert_string_equal(talk_reply(&t, 3), "2 D(a) s");
    talk_sync(&t);
    talk_expect(&t, "Z(I)");
    talk_close(&t);
}

static void transactions_through_the_extended_protocol(void **state)
{
    static const char *const steps[] = { "BEGIN", "ROTATE CERT a", "COMMIT" };
    talk_login(&t, NULL);
    for (int i = 0; i < 3; i++) {
        talk_parse(&t, "", steps[i]);
        talk_bind(&t, "", "", 0, NULL);
        talk_execute(&t, "", 0);
    }
    talk_sync(&t);
    talk_expect(&t, "1 2 C(BEGIN) 1 2 D(1,NULL) C(ROTATE CERT) 1 2 N(00000 committed) C(COMMIT) Z(I)");
    talk_query(&t, "BEGIN");
    talk_expect(&t, "C(BEGIN) Z(T)");
    talk_parse(&t, "", "SELECT fail()");
    talk_bind(&t, "", "", 0, NULL);
    talk_execute(&t, "", 0);
    talk_sync(&t);
    talk_expect(&t, "1 2 E(22012 division by zero) Z(E)");
    talk_parse(&t, "", "SELECT 1");
    talk_sync(&t);
    talk_expect(&t, "E(25P02 current transaction is aborted, commands ignored until end of transaction block) Z(E)");
    talk_parse(&t, "", "COMMIT");
    talk_bind(&t, "", "", 0, NULL);
    talk_execute(&t, "", 0);
    talk_sync(&t);
    talk_expect(&t, "1 2 C(ROLLBACK) Z(I)");
    talk_close(&t);
}

static void a_change_alone_commits_itself_and_in_a_pipeline_waits_for_sync(void **state)
{
    struct wr all = wr_heap(10000);
    talk_login(&t, NULL);
    /* In one packet, as libpq sends it: the loop sees that Sync follows. */
    wr_bytes(&all, "P\0\0\0\x15\0ROTATE CERT a\0\0\0", 22);
    wr_bytes(&all, "B\0\0\0\x0c\0\0\0\0\0\0\0\0", 13);
    wr_bytes(&all, "E\0\0\0\x09\0\0\0\0\0", 10);
    wr_bytes(&all, "S\0\0\0\x04", 5);
    talk_raw(&t, wr_slice(&all));
    talk_expect(&t, "1 2 D(1,7) C(ROTATE CERT) Z(I)");
    all.len -= 5;
    wr_bytes(&all, "B\0\0\0\x0c\0\0\0\0\0\0\0\0" "E\0\0\0\x09\0\0\0\0\0" "S\0\0\0\x04", 28);
    talk_raw(&t, wr_slice(&all));
    talk_expect(&t, "1 2 D(1,NULL) C(ROTATE CERT) 2 D(1,NULL) C(ROTATE CERT) N(00000 committed) Z(I)");
    wr_free(&all);
    talk_parse(&t, "", "ROTATE CERT conflict");
    talk_bind(&t, "", "", 0, NULL);
    talk_execute(&t, "", 0);
    talk_flush(&t);
    assert_string_equal(talk_reply(&t, 4), "1 2 D(1,NULL) C(ROTATE CERT)");
    talk_sync(&t);
    talk_expect(&t, "N(00000 committed) E(40001 somebody was faster) Z(I)");
    talk_close(&t);
}

static void sql_and_protocol_share_statements_and_cursors(void **state)
{
    talk_login(&t, NULL);
    talk_query(&t, "PREPARE p AS SELECT 1; BEGIN; DECLARE c CURSOR FOR SELECT rows(3)");
    talk_expect(&t, "C(PREPARE) C(BEGIN) C(DECLARE CURSOR) Z(T)");
    talk_bind(&t, "", "p", 0, NULL);
    talk_execute(&t, "", 0);
    talk_parse(&t, "", "FETCH FORWARD 2 FROM c");
    talk_bind(&t, "", "", 1, NULL);
    talk_describe(&t, 'P', "");
    talk_execute(&t, "", 0);
    talk_execute(&t, "c", 0);
    talk_sync(&t);
    talk_expect(&t, "2 D(1) C(SELECT 1) 1 2 T(x:23:1) D(00000001) D(00000002) C(FETCH 2) D(3) C(FETCH 1) Z(T)");
    talk_close(&t);
}

static void spoiled_messages_end_the_session_with_a_reason(void **state)
{
    static const struct { char type; const char body[12]; size_t len; } cases[] = {
        { 'Q', "SELECT", 6 }, { 'B', "\0\0\0", 3 }, { 'P', "x", 1 }, { 'D', "X\0", 2 }, { 'E', "\0\0\0", 3 },
        { 'C', "S", 1 }, { 'p', "x", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        talk_login(&t, NULL);
        talk_message(&t, cases[i].type, slice_of(cases[i].body, cases[i].len));
        const char *r = talk_reply(&t, 0);
        assert_non_null(strstr(r, "E(08P01"));
        assert_non_null(strstr(r, "EOF"));
        assert_int_equal(talk_close(&t), 1);
    }
    talk_login(&t, NULL);
    talk_raw(&t, BYTES("Q\0\x10\0\1"));
    talk_expect(&t, "E(08P01 invalid message from the client: oversized frame) EOF");
    talk_close(&t);
    talk_login(&t, NULL);
    talk_message(&t, 'F', BYTES("\0\0\0\0"));
    talk_expect(&t, "E(0A000 function calls by the fast path are not supported) Z(I)");
    talk_close(&t);
}

static void signals(struct serve_start *b) { b->catch_signals = true; }

static void sigint_cancels_and_sigterm_ends(void **state)
{
    talk_login(&t, signals);
    talk_query(&t, "SELECT hang()");
    assert_string_equal(talk_reply(&t, 2), "T(x:23:0) N(00000 waiting)");
    kill(t.pid, SIGINT);
    talk_expect(&t, "E(57014 canceling statement due to user request) Z(I)");
    talk_query(&t, "SELECT hang()");
    talk_reply(&t, 2);
    kill(t.pid, SIGTERM);
    talk_expect(&t, "E(57P01 terminating connection due to administrator command) EOF");
    assert_int_equal(talk_close(&t), 0);
    talk_login(&t, signals);
    kill(t.pid, SIGTERM);
    talk_expect(&t, "E(57P01 terminating connection due to administrator command) EOF");
    assert_int_equal(talk_close(&t), 0);
}

static void a_client_that_leaves_ends_what_it_waited_for(void **state)
{
    talk_login(&t, NULL);
    talk_query(&t, "SELECT hang()");
    talk_reply(&t, 2);
    assert_true(talk_close(&t) >= 0);
}

/* In one write each: what is said of a statement goes out, whatever stands behind it in the same packet. */
static void a_statement_is_answered_before_what_came_with_it(void **state)
{
    talk_login(&t, NULL);
    talk_raw(&t, BYTES("Q\0\0\0\16SELECT $1\0" "Q\0\0\0\13SELECT\0" "X\0\0\0\4"));
    talk_reply(&t, 0);
    assert_non_null(strstr(talk_reply(&t, 0), "Z(I)"));
    talk_expect(&t, "EOF");
    assert_int_equal(talk_close(&t), 0);
}

static void a_pipeline_whose_client_hangs_up_behind_it_is_run_and_answered(void **state)
{
    talk_login(&t, NULL);
    talk_raw(&t, BYTES("Q\0\0\0\5\0" "Q\0\0\0\5\0"));
    assert_int_equal(shutdown(t.fd, SHUT_WR), 0);
    talk_expect(&t, "I Z(I)");
    talk_expect(&t, "I Z(I)");
    talk_expect(&t, "EOF");
    talk_close(&t);
}

/* What was answered is not kept back by what stands behind it and waits: nothing else would send it. */
static void what_is_held_of_a_pipeline_goes_out_when_a_wait_begins(void **state)
{
    struct pollfd p = { .events = POLLIN };
    talk_login(&t, signals);
    talk_raw(&t, BYTES("Q\0\0\0\5\0" "Q\0\0\0\23SELECT stall()\0"));
    p.fd = t.fd;
    assert_int_equal(poll(&p, 1, 20000), 1);
    talk_expect(&t, "I Z(I)");
    kill(t.pid, SIGINT);
    talk_expect(&t, "T(x:23:0) E(57014 canceling statement due to user request) Z(I)");
    talk_close(&t);
}

static void half_a_message_behind_a_statement_does_not_hold_its_answer(void **state)
{
    talk_login(&t, NULL);
    talk_raw(&t, BYTES("Q\0\0\0\5\0" "Q\0\0"));
    talk_expect(&t, "I Z(I)");
    talk_raw(&t, BYTES("\0\5\0"));
    talk_expect(&t, "I Z(I)");
    talk_close(&t);
}

/* Random messages after login: the session answers or ends, and never dies of it. */
static void random_messages_never_crash_it(void **state)
{
    static const char types[] = "QPBEDCSHdcf";
    struct rng rng = rng_seeded("messages");
    for (int round = 0; round < 60; round++) {
        talk_login(&t, NULL);
        for (int i = 0; i < 30; i++) {
            uint8_t body[40];
            size_t len = rng_below(&rng, sizeof body);
            for (size_t k = 0; k < len; k++)
                body[k] = rng_below(&rng, 3) ? 0 : (uint8_t) rng_next(&rng);
            talk_message(&t, types[rng_below(&rng, sizeof types - 1)], slice_of(body, len));
        }
        assert_true(talk_close(&t) >= 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_with_parameters_goes_round),
        cmocka_unit_test(binary_parameters_and_results),
        cmocka_unit_test(row_limits_suspend_only_when_they_are_hit),
        cmocka_unit_test(a_portal_lives_through_syncs_inside_a_block),
        cmocka_unit_test(a_limit_does_not_suspend_what_returns_no_rows),
        cmocka_unit_test(an_error_skips_to_sync),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(the_empty_query_answers_as_such),
        cmocka_unit_test(flush_delivers_without_ready),
        cmocka_unit_test(transactions_through_the_extended_protocol),
        cmocka_unit_test(a_change_alone_commits_itself_and_in_a_pipeline_waits_for_sync),
        cmocka_unit_test(sql_and_protocol_share_statements_and_cursors),
        cmocka_unit_test(spoiled_messages_end_the_session_with_a_reason),
        cmocka_unit_test(sigint_cancels_and_sigterm_ends),
        cmocka_unit_test(a_client_that_leaves_ends_what_it_waited_for),
        cmocka_unit_test(a_statement_is_answered_before_what_came_with_it),
        cmocka_unit_test(a_pipeline_whose_client_hangs_up_behind_it_is_run_and_answered),
        cmocka_unit_test(what_is_held_of_a_pipeline_goes_out_when_a_wait_begins),
        cmocka_unit_test(half_a_message_behind_a_statement_does_not_hold_its_answer),
        cmocka_unit_test(random_messages_never_crash_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
