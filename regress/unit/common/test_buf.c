/* test_buf.c - the bounded reader and writer. */
#include "../unit.h"
#include "common/buf.h"

static struct rd rd_hex(uint8_t *mem, const char *hex)
{
    size_t len = strlen(hex) / 2;
    unhex(mem, len, hex);
    return rd_of(slice_of(mem, len));
}

static void integers_are_big_endian(void **state)
{
    uint8_t mem[32];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u8(&w, 0x01);
    wr_u16(&w, 0x0203);
    wr_u32(&w, 0x04050607);
    wr_u64(&w, 0x08090a0b0c0d0e0fULL);
    for (size_t i = 0; i < 15; i++)
        assert_int_equal(mem[i], i + 1);
    struct rd r = rd_of(wr_slice(&w));
    assert_int_equal(rd_u8(&r), 0x01);
    assert_int_equal(rd_u16(&r), 0x0203);
    assert_int_equal(rd_u32(&r), 0x04050607);
    assert_true(rd_u64(&r) == 0x08090a0b0c0d0e0fULL);
    assert_true(rd_done(&r));
}

static void varints_round_trip_at_every_length(void **state)
{
    for (int bit = 0; bit < 64; bit++) {
        for (int d = -1; d <= 1; d++) {
            uint64_t v = (1ULL << bit) + (uint64_t) (int64_t) d;
            uint8_t mem[10];
            struct wr w = wr_fixed(mem, sizeof mem);
            wr_varint(&w, v);
            assert_int_equal(w.len, varint_len(v));
            struct rd r = rd_of(wr_slice(&w));
            assert_true(rd_varint(&r) == v);
            assert_true(rd_done(&r));
        }
    }
}

static void varints_have_one_form(void **state)
{
    static const char *const bad[] = {
        "8000",                         /* 0 in two bytes */
        "ff00",                         /* 127 in two bytes */
        "80808000",
        "ffffffffffffffffff02",         /* 2^64 and more */
        "ffffffffffffffffff7f",
        "80808080808080808000",         /* overlong in the tenth byte */
        "8080808080808080808001",       /* eleven bytes */
        "80", "ffff", "",               /* truncated */
    };
    uint8_t mem[16];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rd r = rd_hex(mem, bad[i]);
        assert_true(rd_varint(&r) == 0);
        assert_true(r.bad);
    }
    struct rd r = rd_hex(mem, "ffffffffffffffffff01");
    assert_true(rd_varint(&r) == UINT64_MAX);
    assert_true(rd_done(&r));
}

static void a_failed_reader_stays_failed(void **state)
{
    uint8_t mem[4] = { 1, 2, 3, 4 }, copy[2] = { 9, 9 };
    struct rd r = rd_of(slice_of(mem, 4));
    assert_int_equal(rd_u8(&r), 1);
    assert_int_equal(rd_u64(&r), 0);        /* too long */
    assert_int_equal(rd_u8(&r), 0);         /* would fit, but the failure sticks */
    assert_int_equal(rd_left(&r), 0);
    assert_null(rd_bytes(&r, 1).p);
    rd_copy(&r, copy, 2);
    assert_int_equal(copy[0], 0);
    assert_false(rd_done(&r));
}

static void an_empty_slice_reads_as_empty(void **state)
{
    struct rd r = rd_of(slice_of(NULL, 0));
    assert_true(rd_done(&r));
    assert_int_equal(rd_bytes(&r, 0).len, 0);
    assert_false(r.bad);
    rd_u8(&r);
    assert_true(r.bad);
}

static void what_is_left_over_is_not_done(void **state)
{
    uint8_t mem[2] = { 0, 0 };
    struct rd r = rd_of(slice_of(mem, 2));
    rd_u8(&r);
    assert_false(rd_done(&r));
    assert_int_equal(rd_left(&r), 1);
}

static void counted_bytes_obey_both_bounds(void **state)
{
    uint8_t mem[16];
    struct rd r = rd_hex(mem, "0003616263");
    assert_true(slice_eq(rd_str16(&r, 3), slice_str("abc")));
    r = rd_hex(mem, "0003616263");
    rd_str16(&r, 2);                        /* longer than allowed */
    assert_true(r.bad);
    r = rd_hex(mem, "00000004616263");
    rd_str32(&r, 100);                      /* longer than what is there */
    assert_true(r.bad);
    r = rd_hex(mem, "ffffffff61");
    rd_str32(&r, SIZE_MAX);
    assert_true(r.bad);
    r = rd_hex(mem, "03616263");
    assert_true(slice_eq(rd_vbytes(&r, 3), slice_str("abc")));
    r = rd_hex(mem, "ffffffffffffffffff01");
    rd_vbytes(&r, SIZE_MAX);                /* 2^64-1 bytes */
    assert_true(r.bad);
}

static void names_are_utf8_without_control_characters(void **state)
{
    struct name n;
    uint8_t mem[8];
    struct rd r = rd_hex(mem, "03c3a962");
    rd_name(&r, &n);
    assert_true(rd_done(&r));
    assert_string_equal(n.s, "\xc3\xa9" "b");
    static const char *const bad[] = { "00", "0100", "010a", "017f", "01ff", "02c3", "02c328", "03eda080", "0561" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        r = rd_hex(mem, bad[i]);
        rd_name(&r, &n);
        assert_true(r.bad);
        assert_int_equal(n.len, 0);
    }
}

static void a_full_writer_discards_and_remembers(void **state)
{
    uint8_t mem[4] = { 0 };
    struct wr w = wr_fixed(mem, 3);
    wr_u16(&w, 0x0102);
    wr_u16(&w, 0x0304);                     /* does not fit: nothing of it is written */
    assert_true(w.bad);
    assert_int_equal(w.len, 2);
    wr_u8(&w, 5);                           /* would fit */
    assert_int_equal(w.len, 2);
    assert_int_equal(mem[2], 0);
    assert_null(wr_reserve(&w, 1));
    wr_reset(&w);
    wr_u8(&w, 6);
    assert_int_equal(mem[0], 6);
}

static void a_heap_writer_grows_to_its_bound(void **state)
{
    struct wr w = wr_heap(1000);
    for (int i = 0; i < 1000; i++)
        wr_u8(&w, (uint8_t) i);
    assert_false(w.bad);
    assert_int_equal(w.len, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(w.p[i], (uint8_t) i);
    wr_u8(&w, 0);
    assert_true(w.bad);
    wr_free(&w);
    w = wr_heap(10);
    assert_null(wr_reserve(&w, SIZE_MAX));
    assert_true(w.bad);
    wr_free(&w);
}

static void printed_text_has_no_terminator(void **state)
{
    char mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_printf(&w, "%d-%s", 12, "abc");
    assert_true(slice_eq(wr_slice(&w), slice_str("12-abc")));
    wr_printf(&w, "xy");                    /* two characters, but no room for the NUL */
    assert_true(w.bad);
}

static void a_length_known_late_is_patched_in(void **state)
{
    uint8_t mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u32(&w, 0);
    wr_u8(&w, 7);
    wr_patch_u32(&w, 0, 0x01020304);
    struct rd r = rd_of(wr_slice(&w));
    assert_int_equal(rd_u32(&r), 0x01020304);
}

/* The dumb twin: the value as a sum, no shifts, and the rule "shorter does not exist" by re-encoding. */
static bool twin_varint(struct slice s, uint64_t *out)
{
    unsigned __int128 v = 0, weight = 1;
    for (size_t i = 0; i < s.len && i < 10; i++) {
        v += weight * (s.p[i] % 128);
        weight *= 128;
        if (s.p[i] < 128) {
            *out = (uint64_t) v;
            return v <= UINT64_MAX && i + 1 == varint_len((uint64_t) v);
        }
    }
    return false;
}

static void random_varints_agree_with_the_dumb_twin(void **state)
{
    struct rng rng = rng_seeded("varint");
    for (int round = 0; round < 200000; round++) {
        uint8_t mem[12];
        size_t len = rng_below(&rng, 12);
        for (size_t i = 0; i < len; i++)
            mem[i] = (uint8_t) (rng_below(&rng, 4) ? rng_next(&rng) | 0x80 : rng_next(&rng) & 0x83);
        struct rd r = rd_of(slice_of(mem, len));
        uint64_t want = 0, got = rd_varint(&r);
        bool ok = twin_varint(slice_of(mem, len), &want);
        assert_int_equal(ok, !r.bad);
        assert_true(got == (ok ? want : 0));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(integers_are_big_endian),
    cmocka_unit_test(varints_round_trip_at_every_length),
    cmocka_unit_test(varints_have_one_form),
    cmocka_unit_test(random_varints_agree_with_the_dumb_twin),
    cmocka_unit_test(a_failed_reader_stays_failed),
    cmocka_unit_test(an_empty_slice_reads_as_empty),
    cmocka_unit_test(what_is_left_over_is_not_done),
    cmocka_unit_test(counted_bytes_obey_both_bounds),
    cmocka_unit_test(names_are_utf8_without_control_characters),
    cmocka_unit_test(a_full_writer_discards_and_remembers),
    cmocka_unit_test(a_heap_writer_grows_to_its_bound),
    cmocka_unit_test(printed_text_has_no_terminator),
    cmocka_unit_test(a_length_known_late_is_patched_in),
};
UNIT_MAIN(tests)
