/*
 * test_datum.c - values survive the wire, in both formats and both directions
 */
#include "../unit.h"

#include "backend/executor/datum.h"

static struct arena arena;
static struct report rep;

static int setup(void **state)
{
    arena_init(&arena, 64u << 20);
    return 0;
}
static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static const struct { uint32_t oid; const char *in, *out, *binary; } values[] = {
    { T_BOOL, "on", "t", "01" },
    { T_INT2, "-5", "-5", "fffb" },
    { T_INT4, " 42 ", "42", "0000002a" },
    { T_INT8, "-9223372036854775808", "-9223372036854775808", "8000000000000000" },
    { T_OID, "4294967295", "4294967295", "ffffffff" },
    { T_FLOAT8, "0.1", "0.1", "3fb999999999999a" },
    { T_FLOAT8, "1e300", "1e+300", NULL },
    { T_FLOAT8, "NaN", "NaN", NULL },
    { T_FLOAT4, "0.1", "0.1", "3dcccccd" },
    { T_NUMERIC, "12345.678", "12345.678", "0003 0001 0000 0003 0001 0929 1a7c" },
    { T_NUMERIC, "0", "0", "0000000000000000" },
    { T_NUMERIC, "-0.5", "-0.5", "0001ffff400000011388" },
    { T_TEXT, "hä", "hä", "68c3a4" },
    { T_TEXT, "", "", "" },
    { T_BYTEA, "\\x00ff", "\\x00ff", "00ff" },
    { T_TIMESTAMPTZ, "2026-08-03 12:34:56.789+02", "2026-08-03 10:34:56.789+00", NULL },
    { T_TIMESTAMPTZ, "2000-01-01T00:00:01Z", "2000-01-01 00:00:01+00", "00000000000f4240" },
    { T_TIMESTAMPTZ, "1999-12-31 23:59:59.5", "1999-12-31 23:59:59.5+00", "fffffffffff85ee0" },
    { T_TIMESTAMPTZ, "infinity", "infinity", "7fffffffffffffff" },
    { T_DATE, "1999-12-31", "1999-12-31", "ffffffff" },
    { T_DATE, "2024-02-29", "2024-02-29", "00002279" },
    { T_INTERVAL, "1 day 02:03:04.5", "1 day 02:03:04.5", "00000001b8268720 00000001 00000000" },
    { T_INTERVAL, "1 year 2 mons", "1 year 2 mons", "0000000000000000000000000000000e" },
    { T_INTERVAL, "P1DT2H", "1 day 02:00:00", NULL },
    { T_INTERVAL, "10 min", "00:10:00", NULL },
    { T_INTERVAL, "-90 s", "-00:01:30", NULL },
    { T_INTERVAL, "0.5 days", "12:00:00", NULL },
    { T_INTERVAL, "2 weeks", "14 days", NULL },
    { T_JSONB, "{\"a\": [1, null]}", "{\"a\": [1, null]}", "017b2261223a205b312c206e756c6c5d7d" },
    { T_TEXT_ARRAY, "{a,\"b \\\"c\",NULL,\"null\"}", "{a,\"b \\\"c\",NULL,\"null\"}", NULL },
    { T_TEXT_ARRAY, "{}", "{}", "000000000000000000000019" },
    { T_UUID, "01234567-89ab-cdef-0123-456789abcdef", "01234567-89ab-cdef-0123-456789abcdef", "0123456789abcdef0123456789abcdef" },
    { T_INET, "10.0.0.1", "10.0.0.1", "0220 0004 0a000001" },
    { T_INET, "::1/64", "::1/64", NULL },
};

static size_t strip(char *out, const char *hex)
{
    size_t n = 0;
    for (; *hex != '\0'; hex++) {
        if (*hex != ' ')
            out[n++] = *hex;
    }
    out[n] = '\0';
    return n / 2;
}

static void every_type_round_trips(void **state)
{
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char buf[256], hex[128];
        uint8_t want[64];
        struct datum d, back;
        report_clear(&rep);
        if (datum_in_text(&arena, values[i].oid, slice_str(values[i].in), &d, &rep) != REEVE_OK)
            fail_msg("%s: %s", values[i].in, rep.message);
        struct wr w = wr_fixed(buf, sizeof buf - 1);
        assert_true(datum_out_text(&w, values[i].oid, &d));
        buf[w.len] = '\0';
        assert_string_equal(buf, values[i].out);
        w = wr_fixed(buf, sizeof buf);
        assert_true(datum_out_binary(&w, values[i].oid, &d));
        if (values[i].binary != NULL) {
            size_t n = strip(hex, values[i].binary);
            unhex(want, n, hex);
            if (w.len != n || memcmp(buf, want, n) != 0) {
                char got[520];
                hex_encode(got, buf, w.len);
                fail_msg("%s: binary %s, not %s", values[i].in, got, hex);
            }
        }
        assert_ok(datum_in_binary(&arena, values[i].oid, wr_slice(&w), &back, &rep));
        char again[256];
        struct wr w2 = wr_fixed(again, sizeof again - 1);
        assert_true(datum_out_text(&w2, values[i].oid, &back));
        again[w2.len] = '\0';
        assert_string_equal(again, values[i].out);
    }
}

static void bad_text_is_refused(void **state)
{
    static const struct { uint32_t oid; const char *in; enum reeve_err want; } bad[] = {
        { T_INT4, "x", REEVE_E_INVALID_TEXT }, { T_INT4, "", REEVE_E_INVALID_TEXT },
        { T_INT4, "2147483648", REEVE_E_OUT_OF_RANGE }, { T_INT8, "9223372036854775808", REEVE_E_OUT_OF_RANGE },
        { T_INT4, "0x10", REEVE_E_INVALID_TEXT }, { T_FLOAT8, "1..2", REEVE_E_INVALID_TEXT },
        { T_FLOAT8, "0x1p3", REEVE_E_INVALID_TEXT }, { T_BOOL, "maybe", REEVE_E_INVALID_TEXT },
        { T_TIMESTAMPTZ, "2023-02-29", REEVE_E_INVALID_TEXT }, { T_TIMESTAMPTZ, "2023-13-01", REEVE_E_INVALID_TEXT },
        { T_TIMESTAMPTZ, "2023-01-01 25:61", REEVE_E_INVALID_TEXT }, { T_INTERVAL, "5 parsecs", REEVE_E_INVALID_TEXT },
        { T_INTERVAL, "", REEVE_E_INVALID_TEXT }, { T_JSONB, "{a:1}", REEVE_E_INVALID_TEXT },
        { T_JSONB, "[1,]", REEVE_E_INVALID_TEXT }, { T_BYTEA, "\\x0", REEVE_E_INVALID_TEXT },
        { T_UUID, "123", REEVE_E_INVALID_TEXT }, { T_INET, "1.2.3", REEVE_E_INVALID_TEXT },
        { T_TEXT_ARRAY, "{a", REEVE_E_INVALID_TEXT }, { T_TEXT_ARRAY, "{a,{b}}", REEVE_E_INVALID_TEXT },
        { T_TEXT, "\xff", REEVE_E_ENCODING },
    };
    struct datum d;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        report_clear(&rep);
        enum reeve_err err = datum_in_text(&arena, bad[i].oid, slice_str(bad[i].in), &d, &rep);
        if (err != bad[i].want)
            fail_msg("%s as %u: %s", bad[i].in, bad[i].oid, reeve_err_name(err));
    }
}

static void hostile_bytes_never_crash(void **state)
{
    struct rng rng = rng_seeded("datum");
    uint8_t buf[64];
    for (int round = 0; round < 30000; round++) {
        struct datum d;
        const struct type_info *t = type_at((int) rng_below(&rng, 24));
        size_t n = rng_below(&rng, sizeof buf);
        if (t == NULL)
            continue;
        for (size_t i = 0; i < n; i++)
            buf[i] = rng_below(&rng, 3) ? (uint8_t) rng_below(&rng, 4) : (uint8_t) rng_next(&rng);
        report_clear(&rep);
        arena_reset(&arena);
        if (datum_in_binary(&arena, t->oid, slice_of(buf, n), &d, &rep) == REEVE_OK) {
            struct wr w = wr_heap(1 << 20);
            (void) datum_out_text(&w, t->oid, &d);
            wr_reset(&w);
            (void) datum_out_binary(&w, t->oid, &d);
            wr_free(&w);
        }
        report_clear(&rep);
        if (datum_in_text(&arena, t->oid, slice_of(buf, n), &d, &rep) != REEVE_OK)
            assert_true(rep.message[0] != 0);
    }
}

static void json_keys_are_found(void **state)
{
    struct slice out, json = slice_str("{\"a\":\"x\\u00e4\\n\",\"b\\\"\":{\"a\":1},\"c\":null,\"d\":[1,{}]}");
    bool string, null;
    assert_true(json_valid(json));
    assert_true(json_get(&arena, json, slice_str("a"), &out, &string, &null));
    assert_true(string && slice_eq(out, slice_str("xä\n")));
    assert_true(json_get(&arena, json, slice_str("b\""), &out, &string, &null));
    assert_true(!string && slice_eq(out, slice_str("{\"a\":1}")));
    assert_true(json_get(&arena, json, slice_str("c"), &out, &string, &null) && null);
    assert_true(json_get(&arena, json, slice_str("d"), &out, &string, &null));
    assert_false(json_get(&arena, json, slice_str("e"), &out, &string, &null));
    assert_false(json_get(&arena, slice_str("[1]"), slice_str("a"), &out, &string, &null));
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    assert_false(json_valid(slice_of(deep, 400)));
}

static void wall_times_convert(void **state)
{
    struct datum d = d_wall((struct wall_ms){ 946684800000LL });
    assert_int_equal(d.us, 0);
    assert_int_equal(datum_wall(&d).ms, 946684800000LL);
    assert_int_equal(d_wall((struct wall_ms){ 0 }).kind, D_NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_round_trips),
        cmocka_unit_test(bad_text_is_refused),
        cmocka_unit_test(hostile_bytes_never_crash),
        cmocka_unit_test(json_keys_are_found),
        cmocka_unit_test(wall_times_convert),
    };
    return cmocka_run_group_tests_name("datum", tests, setup, teardown);
}
