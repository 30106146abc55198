/* test_frame.c - the client's bytes: whole, cut, lying and random. */
#include "../unit.h"
#include "backend/libpq/frame.h"

static struct arena arena;
#define BYTES(text) slice_of(text, sizeof (text) - 1)

static void a_message_comes_out_only_when_it_is_whole(void **state)
{
    struct slice all = BYTES("Q\0\0\0\x0dSELECT 1\0Sxxx"), body;
    uint8_t type;
    size_t used;
    for (size_t n = 0; n < 14; n++)
        assert_int_equal(frame_message(slice_of(all.p, n), 100, &type, &body, &used), REEVE_E_AGAIN);
    assert_ok(frame_message(all, 100, &type, &body, &used));
    assert_int_equal(type, 'Q');
    assert_int_equal(used, 14);
    struct slice text;
    assert_ok(pq_query_parse(&text, body));
    assert_true(slice_eq(text, slice_str("SELECT 1")));
}

static void lengths_that_lie_are_refused_at_once(void **state)
{
    struct slice body;
    uint8_t type;
    size_t used;
    assert_int_equal(frame_message(BYTES("Q\0\0\0\3"), 100, &type, &body, &used), REEVE_E_MALFORMED);
    assert_int_equal(frame_message(BYTES("Q\0\0\0\x65"), 100, &type, &body, &used), REEVE_E_TOO_BIG);
    assert_int_equal(frame_message(BYTES("Q\xff\xff\xff\xff"), 100, &type, &body, &used), REEVE_E_TOO_BIG);
    assert_int_equal(frame_message(BYTES("\x01"), 100, &type, &body, &used), REEVE_E_MALFORMED);
    assert_int_equal(frame_message(BYTES("G"), 100, &type, &body, &used), REEVE_E_MALFORMED);
    assert_int_equal(frame_startup(BYTES("\0\0\0\7"), &body, &used), REEVE_E_MALFORMED);
    assert_int_equal(frame_startup(BYTES("\0\0\x27\x11"), &body, &used), REEVE_E_TOO_BIG);
    assert_int_equal(frame_startup(BYTES("\0\0\0\x0a 1234"), &body, &used), REEVE_E_AGAIN);
}

static void a_startup_packet_gives_its_pairs(void **state)
{
    struct pq_startup s;
    struct slice name, value;
    size_t at = 0;
    assert_ok(pq_startup_parse(&s, BYTES("\0\3\0\2user\0ann\0database\0reeve\0_pq_.x\0" "1\0TimeZone\0UTC\0\0")));
    assert_int_equal(s.code, 0x30002);
    assert_true(slice_eq(s.user, slice_str("ann")) && slice_eq(s.database, slice_str("reeve")));
    assert_int_equal(s.nunknown, 1);
    int n = 0;
    while (pq_startup_param(&s, &at, &name, &value))
        n++;
    assert_int_equal(n, 4);
    assert_true(slice_eq(name, slice_str("")));
}

static void spoiled_startup_packets_are_refused(void **state)
{
    struct pq_startup s;
    assert_int_equal(pq_startup_parse(&s, BYTES("\0\3\0\0user\0ann\0")), REEVE_E_MALFORMED);
    assert_int_equal(pq_startup_parse(&s, BYTES("\0\3\0\0user\0ann")), REEVE_E_MALFORMED);
    assert_int_equal(pq_startup_parse(&s, BYTES("\0\3\0\0user\0ann\0\0x")), REEVE_E_MALFORMED);
    assert_int_equal(pq_startup_parse(&s, BYTES("\0\3\0\0user\0\0")), REEVE_E_MALFORMED);
    assert_int_equal(pq_startup_parse(&s, BYTES("\x04\xd2\x16\x2e\0\0\0\1")), REEVE_E_MALFORMED);
    assert_int_equal(pq_startup_parse(&s, BYTES("\x04\xd2\x16\x2f\0")), REEVE_E_MALFORMED);
    assert_ok(pq_startup_parse(&s, BYTES("\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2")));
    assert_int_equal(s.code, PQ_CODE_CANCEL);
    assert_int_equal(s.cancel_key, 2);
    assert_ok(pq_startup_parse(&s, BYTES("\0\2\0\0whatever")));
}

static void options_are_split_as_postgresql_splits_them(void **state)
{
    struct slice rest = slice_str(" -c a=b  --statement-timeout=5s -csearch_path=x\\ y "), name, value;
    bool more;
    assert_ok(pq_option_next(&arena, &rest, &name, &value, &more));
    assert_true(more && slice_eq(name, slice_str("a")) && slice_eq(value, slice_str("b")));
    assert_ok(pq_option_next(&arena, &rest, &name, &value, &more));
    assert_true(slice_eq(name, slice_str("statement_timeout")) && slice_eq(value, slice_str("5s")));
    assert_ok(pq_option_next(&arena, &rest, &name, &value, &more));
    assert_true(slice_eq(value, slice_str("x y")));
    assert_ok(pq_option_next(&arena, &rest, &name, &value, &more));
    assert_false(more);
    static const char *const bad[] = { "x", "-d 5", "-c", "-c x", "-c =y", "--x", "-" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rest = slice_str(bad[i]);
        assert_int_equal(pq_option_next(&arena, &rest, &name, &value, &more), REEVE_E_MALFORMED);
    }
}

static void a_bind_message_gives_formats_values_and_nulls(void **state)
{
    struct pq_bind b;
    struct slice m = BYTES("p\0s\0" "\0\1\0\1" "\0\3" "\0\0\0\2hi" "\xff\xff\xff\xff" "\0\0\0\0" "\0\2\0\0\0\1");
    assert_ok(pq_bind_parse(&arena, &b, m));
    assert_true(slice_eq(b.portal, slice_str("p")) && slice_eq(b.stmt, slice_str("s")));
    assert_int_equal(b.nparams, 3);
    assert_true(slice_eq(b.params[0], slice_str("hi")));
    assert_null(b.params[1].p);
    assert_non_null(b.params[2].p);
    assert_int_equal(b.params[2].len, 0);
    assert_int_equal(b.result[1], 1);
    for (size_t n = 0; n < m.len; n++)
        assert_int_equal(pq_bind_parse(&arena, &b, slice_of(m.p, n)), REEVE_E_MALFORMED);
}

static void counts_that_lie_are_refused(void **state)
{
    struct pq_bind b;
    struct pq_parse p;
    assert_int_equal(pq_bind_parse(&arena, &b, BYTES("\0\0\xff\xff\0\0\0\0")), REEVE_E_MALFORMED);
    assert_int_equal(pq_bind_parse(&arena, &b, BYTES("\0\0\0\0\xff\xff\0\0")), REEVE_E_MALFORMED);
    assert_int_equal(pq_bind_parse(&arena, &b, BYTES("\0\0\0\0\0\1\0\0\0\5abcd\0\0")), REEVE_E_MALFORMED);
    assert_int_equal(pq_parse_parse(&arena, &p, BYTES("\0q\0\xff\xff")), REEVE_E_MALFORMED);
    assert_int_equal(pq_parse_parse(&arena, &p, BYTES("\0q\0\0\1\0\0\0\x17x")), REEVE_E_MALFORMED);
    assert_ok(pq_parse_parse(&arena, &p, BYTES("\0q\0\0\1\0\0\0\x17")));
    assert_int_equal(p.types[0], 23);
}

/* Every decoder over random bytes; the sanitizers watch. */
static void random_bytes_never_hurt(void **state)
{
    struct rng rng = rng_seeded("frames");
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[64], type;
        size_t len = rng_next(&rng) % sizeof bytes, used;
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t) (rng_next(&rng) % 4 ? rng_next(&rng) % 3 : rng_next(&rng));
        struct slice s = slice_of(bytes, len), body;
        struct pq_bind b; struct pq_parse p; struct pq_execute e; struct pq_target t; struct pq_sasl_initial i;
        struct pq_startup u;
        (void) !frame_message(s, 50, &type, &body, &used);
        (void) !frame_startup(s, &body, &used);
        (void) !pq_startup_parse(&u, s);
        (void) !pq_query_parse(&body, s);
        (void) !pq_bind_parse(&arena, &b, s);
        (void) !pq_parse_parse(&arena, &p, s);
        (void) !pq_execute_parse(&e, s);
        (void) !pq_target_parse(&t, s);
        (void) !pq_sasl_initial_parse(&i, s);
        arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_comes_out_only_when_it_is_whole),
        cmocka_unit_test(lengths_that_lie_are_refused_at_once),
        cmocka_unit_test(a_startup_packet_gives_its_pairs),
        cmocka_unit_test(spoiled_startup_packets_are_refused),
        cmocka_unit_test(options_are_split_as_postgresql_splits_them),
        cmocka_unit_test(a_bind_message_gives_formats_values_and_nulls),
        cmocka_unit_test(counts_that_lie_are_refused),
        cmocka_unit_test(random_bytes_never_hurt),
    };
    arena_init(&arena, 64 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
