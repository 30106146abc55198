/* test_startup.c - the first bytes of a connection, good and hostile. */
#include "talk.h"

#include <unistd.h>

static struct talk t;

static void a_trusted_client_is_told_what_drivers_need(void **state)
{
    static const char pairs[] = "user\0ann\0database\0reeve\0application_name\0test\0client_encoding\0'utf-8'\0"
                                "options\0-c statement_timeout=5s";
    talk_open(&t, NULL);
    talk_startup(&t, pairs, sizeof pairs);
    talk_expect(&t, "R0 S(server_version=15.0 (reeve 0.1)) S(server_encoding=UTF8) S(client_encoding=UTF8) "
                    "S(application_name=test) S(DateStyle=ISO, MDY) S(IntervalStyle=postgres) S(TimeZone=UTC) "
                    "S(integer_datetimes=on) S(standard_conforming_strings=on) S(is_superuser=on) "
                    "S(session_authorization=ann) S(default_transaction_read_only=off) S(in_hot_standby=off) "
                    "S(scram_iterations=4096) K Z(I)");
    talk_query(&t, "SHOW statement_timeout");
    talk_expect(&t, "T(statement_timeout:25:0) D(5s) C(SHOW) Z(I)");
    talk_message(&t, 'X', slice_of("", 0));
    talk_expect(&t, "EOF");
    assert_int_equal(talk_close(&t), 0);
}

static void tls_and_gss_are_declined_on_a_local_socket(void **state)
{
    char answer;
    talk_open(&t, NULL);
    talk_raw(&t, BYTES("\0\0\0\x08\x04\xd2\x16\x30"));
    assert_int_equal(read(t.fd, &answer, 1), 1);
    assert_int_equal(answer, 'N');
    talk_raw(&t, BYTES("\0\0\0\x08\x04\xd2\x16\x2f"));
    assert_int_equal(read(t.fd, &answer, 1), 1);
    assert_int_equal(answer, 'N');
    talk_raw(&t, BYTES("\0\0\0\x08\x04\xd2\x16\x2f"));
    talk_expect(&t, "E(08P01 unexpected second request for encryption) EOF");
    talk_close(&t);
}

static void newer_protocols_and_unknown_options_are_negotiated_down(void **state)
{
    talk_open(&t, NULL);
    talk_raw(&t, BYTES("\0\0\0\x41\0\3\x27\x0fuser\0ann\0database\0reeve\0_pq_.test_protocol_negotiation\0\0\0"));
    const char *r = talk_reply(&t, 2);
    assert_string_equal(r, "v(196608;_pq_.test_protocol_negotiation) R0");
    talk_close(&t);
    talk_open(&t, NULL);
    talk_raw(&t, BYTES("\0\0\0\x10\0\2\0\0user\0an\0"));
    talk_expect(&t, "E(0A000 unsupported frontend protocol 2.0: server supports 3.0 to 3.0) EOF");
    talk_close(&t);
}

/* Byte for byte what PostgreSQL 15 answers to libpq 19's test of negotiation. */
static void the_negotiation_message_has_postgresqls_bytes(void **state)
{
    uint8_t got[44];
    size_t n = 0;
    talk_open(&t, NULL);
    talk_raw(&t, BYTES("\0\0\0\x41\0\3\x27\x0fuser\0ann\0database\0reeve\0_pq_.test_protocol_negotiation\0\0\0"));
    while (n < sizeof got)
        n += (size_t) read(t.fd, got + n, sizeof got - n);
    assert_memory_equal(got, "v\0\0\0\x2b\0\3\0\0\0\0\0\1_pq_.test_protocol_negotiation\0", 44);
    talk_close(&t);
}

static void who_may_not_come_in_hears_why(void **state)
{
    static const struct { const char pairs[60]; size_t len; const char *want; } cases[] = {
        { "user\0ann\0database\0postgres", 27, "R0 E(3D000 database \"postgres\" does not exist) EOF" },
        { "user\0ann", 9, "R0 E(3D000 database \"ann\" does not exist) EOF" },
        { "user\0carl\0database\0reeve", 25, "E(28000 role \"carl\" is not permitted to log in) EOF" },
        { "user\0dora\0database\0reeve", 25, "E(28000 role \"dora\" is not permitted to log in) EOF" },
        { "user\0eve\0database\0reeve", 24, "E(28000 role \"eve\" does not exist) EOF" },
        { "database\0reeve", 15, "E(28000 no PostgreSQL user name specified in startup packet) EOF" },
        { "user\0ann\0database\0reeve\0nosuch\0x", 33,
          "R0 E(42704 unrecognized configuration parameter \"nosuch\") EOF" },
        { "user\0ann\0database\0reeve\0port\0" "1", 31,
          "R0 E(55P02 parameter \"port\" cannot be changed without restarting the server) EOF" },
        { "user\0ann\0database\0reeve\0replication\0true", 41, "E(0A000 replication connections are not supported) EOF" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        talk_open(&t, NULL);
        talk_startup(&t, cases[i].pairs, cases[i].len);
        talk_expect(&t, cases[i].want);
        talk_close(&t);
    }
}

static void full(struct serve_start *b) { b->admission = SERVE_ADMIT_TOO_MANY; }
static void starting(struct serve_start *b) { b->admission = SERVE_ADMIT_STARTING; }
static void reserved(struct serve_start *b)
{
    static const char text[] = "local all all trust\n";
    static struct arena a;
    static struct hba h;
    struct report rep = { 0 };
    arena_init(&a, 1 << 20);
    assert_ok(hba_parse(&h, &a, slice_str(text), &rep));
    b->hba = &h;
    b->only_superusers = true;
}
static void nobody(struct serve_start *b) { b->hba = NULL; }

static void a_full_or_unready_server_says_so(void **state)
{
    static const char bob[] = "user\0bob\0database\0reeve";
    static const struct { void (*change)(struct serve_start *); const char *want; } cases[] = {
        { full, "E(53300 sorry, too many clients already) EOF" },
        { starting, "E(57P03 the database system is starting up) EOF" },
        { nobody, "E(28000 no reeve_hba.conf entry for host \"[local]\", user \"bob\", database \"reeve\", "
                  "no encryption) EOF" },
        { reserved, "R0 E(53300 remaining connection slots are reserved for superusers) EOF" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        talk_open(&t, cases[i].change);
        talk_startup(&t, bob, sizeof bob);
        talk_expect(&t, cases[i].want);
        talk_close(&t);
    }
    talk_login(&t, reserved);
    talk_close(&t);
}

static void spoiled_packets_close_the_connection(void **state)
{
    static const struct { const char bytes[20]; size_t len; } cases[] = {
        { "\0\0\0\7", 4 }, { "\xff\xff\xff\xff", 4 }, { "\0\0\x27\x11", 4 }, { "GET / HTTP/1.1\r\n", 16 },
        { "\0\0\0\x09\0\3\0\0x", 9 }, { "\0\0\0\x0e\0\3\0\0user\0\0", 14 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        talk_open(&t, NULL);
        talk_raw(&t, slice_of(cases[i].bytes, cases[i].len));
        const char *r = talk_reply(&t, 0);
        assert_non_null(strstr(r, "E(08P01"));
        assert_non_null(strstr(r, "EOF"));
        assert_int_equal(talk_close(&t), 1);
    }
}

static void a_client_that_only_looks_in_leaves_no_trace(void **state)
{
    talk_open(&t, NULL);
    assert_int_equal(talk_close(&t), 0);
}

static void hurry(struct serve_start *b)
{
    static struct setting_value v[SET__COUNT];
    assert_ok(setting_table_boot(v));
    v[SET_authentication_timeout].n = 1;
    b->settings = v;
}

static void a_silent_client_is_cut_off(void **state)
{
    talk_open(&t, hurry);
    talk_raw(&t, BYTES("\0\0\0\x20\0\3"));
    talk_expect(&t, "EOF");
    assert_int_equal(talk_close(&t), 1);
}

static void a_cancel_request_is_handed_on_and_never_answered(void **state)
{
    talk_open(&t, NULL);
    talk_raw(&t, BYTES("\0\0\0\x10\x04\xd2\x16\x2e\0\0\x12\x67\1\2\3\4"));
    talk_expect(&t, "EOF");
    assert_int_equal(talk_close(&t), 42);
    talk_open(&t, NULL);
    talk_raw(&t, BYTES("\0\0\0\x10\x04\xd2\x16\x2e\0\0\x12\x67\1\2\3\5"));
    talk_expect(&t, "EOF");
    assert_int_equal(talk_close(&t), 0);
}

static void scram_is_asked_and_a_wrong_or_unknown_user_fails_alike(void **state)
{
    static const char *const users[] = { "bob", "zoe" };
    for (int i = 0; i < 2; i++) {
        char pairs[64], body[200], want[100];
        int n = snprintf(pairs, sizeof pairs, "user%c%s%cdatabase%creeve", 0, users[i], 0, 0) + 1;
        talk_open(&t, NULL);
        talk_startup(&t, pairs, (size_t) n);
        assert_string_equal(talk_reply(&t, 1), "R10(SCRAM-SHA-256;)");
        talk_message(&t, 'p', BYTES("SCRAM-SHA-256\0\0\0\0\x0bn,,n=,r=abc"));
        assert_string_equal(talk_reply(&t, 1), "R11");
        n = snprintf(body, sizeof body, "c=biws,r=wrong,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        talk_message(&t, 'p', slice_of(body, (size_t) n));
        snprintf(want, sizeof want, "E(08P01 invalid SCRAM response) EOF");
        talk_expect(&t, want);
        talk_close(&t);
    }
}

static void anything_but_a_sasl_response_is_refused_while_authenticating(void **state)
{
    static const char bob[] = "user\0bob\0database\0reeve";
    talk_open(&t, NULL);
    talk_startup(&t, bob, sizeof bob);
    talk_reply(&t, 1);
    talk_query(&t, "SELECT 1");
    talk_expect(&t, "E(08P01 expected SASL response, got message type 81) EOF");
    talk_close(&t);
    talk_open(&t, NULL);
    talk_startup(&t, bob, sizeof bob);
    talk_reply(&t, 1);
    talk_message(&t, 'p', BYTES("SCRAM-SHA-256\0\0\0\0\xff"));
    talk_expect(&t, "E(08P01 malformed SASL message) EOF");
    talk_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trusted_client_is_told_what_drivers_need),
        cmocka_unit_test(tls_and_gss_are_declined_on_a_local_socket),
        cmocka_unit_test(newer_protocols_and_unknown_options_are_negotiated_down),
        cmocka_unit_test(the_negotiation_message_has_postgresqls_bytes),
        cmocka_unit_test(who_may_not_come_in_hears_why),
        cmocka_unit_test(a_full_or_unready_server_says_so),
        cmocka_unit_test(spoiled_packets_close_the_connection),
        cmocka_unit_test(a_client_that_only_looks_in_leaves_no_trace),
        cmocka_unit_test(a_silent_client_is_cut_off),
        cmocka_unit_test(a_cancel_request_is_handed_on_and_never_answered),
        cmocka_unit_test(scram_is_asked_and_a_wrong_or_unknown_user_fails_alike),
        cmocka_unit_test(anything_but_a_sasl_response_is_refused_while_authenticating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
