/* test_simple.c - the simple query: strings of statements, transactions, settings, cursors. */
#include "talk.h"

#include <unistd.h>

static struct talk t;

/* One conversation: what is asked and what is answered, one line each. */
struct line { const char *ask, *want; };

static void converse(const struct line *l)
{
    talk_login(&t, NULL);
    for (; l->ask != NULL; l++) {
        talk_query(&t, l->ask);
        const char *got = talk_reply(&t, 0);
        if (strcmp(got, l->want) != 0)
            fail_msg("\n  asked: %s\n  got:   %s\n  want:  %s", l->ask, got, l->want);
    }
    assert_int_equal(talk_close(&t), 0);
}

static void rows_tags_and_emptiness(void **state)
{
    converse((struct line[]){
        { "SELECT 1, 'two', NULL", "T(x:23:0,x:25:0,x:25:0) D(1,two,NULL) C(SELECT 1) Z(I)" },
        { "SELECT rows(3)", "T(x:23:0) D(1) D(2) D(3) C(SELECT 3) Z(I)" },
        { "SELECT rows(0)", "T(x:23:0) C(SELECT 0) Z(I)" },
        { "", "I Z(I)" }, { " ; ;", "I Z(I)" }, { "-- ping", "I Z(I)" }, { "/* ping */", "I Z(I)" },
        { "SELECT 1; SELECT 2", "T(x:23:0) D(1) C(SELECT 1) T(x:23:0) D(2) C(SELECT 1) Z(I)" },
        { "SELECT notice()", "T(x:23:0) N(00000 hello) D(1) C(SELECT 1) Z(I)" },
        { NULL, NULL } });
}

static void the_whole_string_is_parsed_before_anything_runs(void **state)
{
    talk_login(&t, NULL);
    talk_query(&t, "SELECT notice(); SELEC 1");
    const char *r = talk_reply(&t, 0);
    assert_non_null(strstr(r, "E(42601"));
    assert_non_null(strstr(r, " @18) Z(I)"));
    assert_null(strstr(r, "hello"));
    talk_close(&t);
}

static void an_error_ends_the_string_and_undoes_all_of_it(void **state)
{
    converse((struct line[]){
        { "ROTATE CERT a; SELECT fail(); SELECT 1",
          "T(rollout_id:20:0,version:20:0) D(1,NULL) C(ROTATE CERT) T(x:23:0) E(22012 division by zero) "
          "N(00000 undone) Z(I)" },
        { "ROTATE CERT a; SELECT 1",
          "T(rollout_id:20:0,version:20:0) D(1,NULL) C(ROTATE CERT) T(x:23:0) D(1) N(00000 committed) C(SELECT 1) Z(I)" },
        { "ROTATE CERT a", "T(rollout_id:20:0,version:20:0) D(1,7) C(ROTATE CERT) Z(I)" },
        { "SELECT 1; ROTATE CERT conflict",
          "T(x:23:0) D(1) C(SELECT 1) T(rollout_id:20:0,version:20:0) D(1,NULL) N(00000 committed) "
          "E(40001 somebody was faster) Z(I)" },
        { NULL, NULL } });
}

static void blocks_commit_fail_and_roll_back(void **state)
{
    converse((struct line[]){
        { "BEGIN", "C(BEGIN) Z(T)" },
        { "BEGIN", "N(25001 there is already a transaction in progress) C(BEGIN) Z(T)" },
        { "ROTATE CERT a", "T(rollout_id:20:0,version:20:0) D(1,NULL) C(ROTATE CERT) Z(T)" },
        { "COMMIT", "N(00000 committed) C(COMMIT) Z(I)" },
        { "START TRANSACTION", "C(START TRANSACTION) Z(T)" },
        { "ROTATE CERT a", "T(rollout_id:20:0,version:20:0) D(1,NULL) C(ROTATE CERT) Z(T)" },
        { "SELECT fail()", "T(x:23:0) E(22012 division by zero) N(00000 undone) Z(E)" },
        { "SELECT 1", "E(25P02 current transaction is aborted, commands ignored until end of transaction block) Z(E)" },
        { "SET application_name = x", "E(25P02 current transaction is aborted, commands ignored until end of transaction block) Z(E)" },
        { "", "I Z(E)" },
        { "COMMIT", "C(ROLLBACK) Z(I)" },
        { "COMMIT", "N(25P01 there is no transaction in progress) C(COMMIT) Z(I)" },
        { "ROLLBACK", "N(25P01 there is no transaction in progress) C(ROLLBACK) Z(I)" },
        { "BEGIN; SELECT 1; ROLLBACK", "C(BEGIN) T(x:23:0) D(1) C(SELECT 1) C(ROLLBACK) Z(I)" },
        { "BEGIN; ROTATE CERT conflict", "C(BEGIN) T(rollout_id:20:0,version:20:0) D(1,NULL) C(ROTATE CERT) Z(T)" },
        { "COMMIT", "N(00000 committed) E(40001 somebody was faster) Z(I)" },
        { "ROTATE CERT a; BEGIN; COMMIT; SELECT 1",
          "T(rollout_id:20:0,version:20:0) D(1,NULL) C(ROTATE CERT) C(BEGIN) N(00000 committed) C(COMMIT) "
          "T(x:23:0) D(1) C(SELECT 1) Z(I)" },
        { "BEGIN", "C(BEGIN) Z(T)" },
        { "SAVEPOINT s", "E(0A000 savepoints are not supported) Z(E)" },
        { "ROLLBACK", "C(ROLLBACK) Z(I)" },
        { "BEGIN READ ONLY", "C(BEGIN) Z(T)" },
        { "ROTATE CERT a", "E(25006 cannot execute ROTATE CERT in a read-only transaction) Z(E)" },
        { "ROLLBACK; ROTATE CERT a",
          "C(ROLLBACK) T(rollout_id:20:0,version:20:0) D(1,NULL) N(00000 committed) C(ROTATE CERT) Z(I)" },
        { NULL, NULL } });
}

static void settings_are_reported_just_before_ready(void **state)
{
    converse((struct line[]){
        { "SET application_name = 'my app'", "C(SET) S(application_name=my app) Z(I)" },
        { "SET application_name = 'my app'", "C(SET) Z(I)" },
        { "SHOW application_name", "T(application_name:25:0) D(my app) C(SHOW) Z(I)" },
        { "BEGIN; SET LOCAL TimeZone = 'UTC'; SET application_name = x", "C(BEGIN) C(SET) C(SET) S(application_name=x) Z(T)" },
        { "ROLLBACK", "C(ROLLBACK) S(application_name=my app) Z(I)" },
        { "RESET application_name", "C(RESET) S(application_name=) Z(I)" },
        { "SET LOCAL application_name = y",
          "N(25P01 SET LOCAL can only be used in transaction blocks) C(SET) Z(I)" },
        { "SET nosuch = 1", "E(42704 unrecognized configuration parameter \"nosuch\" @5) Z(I)" },
        { "SET statement_timeout = 'x'", "E(22023 invalid value for parameter \"statement_timeout\": \"x\") Z(I)" },
        { "SHOW TRANSACTION ISOLATION LEVEL", "T(transaction_isolation:25:0) D(read committed) C(SHOW) Z(I)" },
        { "BEGIN ISOLATION LEVEL SERIALIZABLE; SHOW transaction_isolation; COMMIT",
          "C(BEGIN) T(transaction_isolation:25:0) D(serializable) C(SHOW) C(COMMIT) Z(I)" },
        { "SHOW transaction_isolation", "T(transaction_isolation:25:0) D(read committed) C(SHOW) Z(I)" },
        { "SET application_name TO DEFAULT; DISCARD ALL; RESET ALL", "C(SET) E(25001 DISCARD ALL cannot run inside a transaction block) Z(I)" },
        { "DISCARD ALL", "C(DISCARD ALL) Z(I)" },
        { NULL, NULL } });
}

static void what_pools_send_on_reset_is_taken(void **state)
{
    converse((struct line[]){
        { "CLOSE ALL; UNLISTEN *; RESET ALL;", "C(CLOSE CURSOR ALL) C(UNLISTEN) C(RESET) Z(I)" },
        { "DEALLOCATE ALL", "C(DEALLOCATE ALL) Z(I)" },
        { "LISTEN x", "E(0A000 LISTEN is not supported) Z(I)" },
        { NULL, NULL } });
}

static void cursors_hand_out_rows_forward(void **state)
{
    converse((struct line[]){
        { "DECLARE c CURSOR FOR SELECT 1", "E(25P01 DECLARE CURSOR can only be used in transaction blocks) Z(I)" },
        { "BEGIN; DECLARE c NO SCROLL CURSOR FOR SELECT rows(5)", "C(BEGIN) C(DECLARE CURSOR) Z(T)" },
        { "FETCH 2 FROM c", "T(x:23:0) D(1) D(2) C(FETCH 2) Z(T)" },
        { "MOVE 1 FROM c", "C(MOVE 1) Z(T)" },
        { "FETCH FORWARD 10 FROM c", "T(x:23:0) D(4) D(5) C(FETCH 2) Z(T)" },
        { "FETCH c", "T(x:23:0) C(FETCH 0) Z(T)" },
        { "CLOSE c", "C(CLOSE CURSOR) Z(T)" },
        { "FETCH c", "E(34000 cursor \"c\" does not exist) Z(E)" },
        { "ROLLBACK", "C(ROLLBACK) Z(I)" },
        { "DECLARE h CURSOR WITH HOLD FOR SELECT rows(2)", "C(DECLARE CURSOR) Z(I)" },
        { "FETCH ALL FROM h", "T(x:23:0) D(1) D(2) C(FETCH 2) Z(I)" },
        { "DECLARE h CURSOR WITH HOLD FOR SELECT 1", "E(42P03 cursor \"h\" already exists) Z(I)" },
        { "BEGIN; DECLARE g CURSOR FOR SELECT 1; COMMIT", "C(BEGIN) C(DECLARE CURSOR) C(COMMIT) Z(I)" },
        { "FETCH g", "E(34000 cursor \"g\" does not exist) Z(I)" },
        { "CLOSE h", "C(CLOSE CURSOR) Z(I)" },
        { NULL, NULL } });
}

static void prepared_statements_of_sql(void **state)
{
    converse((struct line[]){
        { "PREPARE p (int4, text) AS SELECT $1, $2", "C(PREPARE) Z(I)" },
        { "EXECUTE p (5, 'x')", "T(x:23:0,x:25:0) D(5,x) C(SELECT 1) Z(I)" },
        { "PREPARE p AS SELECT 1", "E(42P05 prepared statement \"p\" already exists) Z(I)" },
        { "EXECUTE p (5)", "E(42601 wrong number of parameters for prepared statement \"p\") Z(I)" },
        { "DEALLOCATE p", "C(DEALLOCATE) Z(I)" },
        { "EXECUTE p (1, 'x')", "E(26000 prepared statement \"p\" does not exist) Z(I)" },
        { NULL, NULL } });
}

static void copy_out_in_text_and_csv(void **state)
{
    converse((struct line[]){
        { "COPY (SELECT rows(2)) TO STDOUT", "H d(1) d(2) c C(COPY 2) Z(I)" },
        { "COPY (SELECT 'a\"b,c', NULL, 1) TO STDOUT WITH (FORMAT csv, HEADER true)",
          "H d(x,x,x) d(\"a\"\"b,c\",,1) c C(COPY 1) Z(I)" },
        { "COPY (SELECT 'a\tb\\', NULL) TO STDOUT", "H d(a\\tb\\\\\t\\N) c C(COPY 1) Z(I)" },
        { "COPY (SELECT fail()) TO STDOUT", "H E(22012 division by zero) Z(I)" },
        { NULL, NULL } });
}

static void a_statement_that_takes_too_long_is_stopped(void **state)
{
    converse((struct line[]){
        { "SET statement_timeout = 50", "C(SET) Z(I)" },
        { "SELECT hang()", "T(x:23:0) N(00000 waiting) E(57014 canceling statement due to statement timeout) Z(I)" },
        { "SET statement_timeout = 0", "C(SET) Z(I)" },
        { "SET client_min_messages = warning", "C(SET) Z(I)" },
        { "SELECT notice()", "T(x:23:0) D(1) C(SELECT 1) Z(I)" },
        { NULL, NULL } });
}

static void an_idle_session_is_ended(void **state)
{
    talk_login(&t, NULL);
    talk_query(&t, "SET idle_session_timeout = 30");
    talk_expect(&t, "C(SET) Z(I)");
    talk_expect(&t, "E(57P05 terminating connection due to idle-session timeout) EOF");
    talk_close(&t);
    talk_login(&t, NULL);
    talk_query(&t, "SET idle_in_transaction_session_timeout = 30; BEGIN");
    talk_expect(&t, "C(SET) C(BEGIN) Z(T)");
    talk_expect(&t, "E(25P03 terminating connection due to idle-in-transaction timeout) EOF");
    talk_close(&t);
}

static void more_rows_than_memory_holds_reach_a_slow_client(void **state)
{
    static uint8_t sink[1 << 20];
    talk_login(&t, NULL);
    talk_query(&t, "SELECT rows(400000)");
    uint64_t total = 0;
    uint8_t tail[64] = { 0 };
    while (memcmp(tail + sizeof tail - 6, "Z\0\0\0\5I", 6) != 0) {
        ssize_t n = read(t.fd, sink, sizeof sink);
        assert_true(n > 0);
        total += (uint64_t) n;
        if (n >= 64)
            memcpy(tail, sink + n - 64, 64);
        else {
            memmove(tail, tail + n, 64 - (size_t) n);
            memcpy(tail + 64 - n, sink, (size_t) n);
        }
    }
    assert_true(total > 400000 * 12);
    talk_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_tags_and_emptiness),
        cmocka_unit_test(the_whole_string_is_parsed_before_anything_runs),
        cmocka_unit_test(an_error_ends_the_string_and_undoes_all_of_it),
        cmocka_unit_test(blocks_commit_fail_and_roll_back),
        cmocka_unit_test(settings_are_reported_just_before_ready),
        cmocka_unit_test(what_pools_send_on_reset_is_taken),
        cmocka_unit_test(cursors_hand_out_rows_forward),
        cmocka_unit_test(prepared_statements_of_sql),
        cmocka_unit_test(copy_out_in_text_and_csv),
        cmocka_unit_test(a_statement_that_takes_too_long_is_stopped),
        cmocka_unit_test(an_idle_session_is_ended),
        cmocka_unit_test(more_rows_than_memory_holds_reach_a_slow_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
