/* test_arena.c - memory that is freed together. */
#include "../unit.h"
#include "common/arena.h"

static char trace[16];

static void note(void *arg)
{
    strncat(trace, arg, sizeof trace - strlen(trace) - 1);
}

static void memory_is_zeroed_aligned_and_separate(void **state)
{
    struct arena a;
    uint8_t *p[200];
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < 200; i++) {
        p[i] = arena_alloc(&a, i);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t) p[i] % 16, 0);
        for (size_t k = 0; k < i; k++)
            assert_int_equal(p[i][k], 0);
        memset(p[i], (int) i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(p[i][k], (uint8_t) i);
    arena_free(&a);
}

static void an_arena_refuses_beyond_its_bound(void **state)
{
    struct arena a;
    arena_init(&a, 1000);
    assert_null(arena_alloc(&a, 1001));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_non_null(arena_alloc(&a, 900));
    assert_null(arena_alloc(&a, 200));
    assert_non_null(arena_alloc(&a, 50));
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 900));
    arena_free(&a);
}

static void clean_ups_run_last_in_first_out_and_once(void **state)
{
    struct arena a;
    arena_init(&a, 10000);
    trace[0] = 0;
    assert_true(arena_on_reset(&a, note, "a"));
    assert_true(arena_on_reset(&a, note, "b"));
    assert_true(arena_on_reset(&a, note, "c"));
    assert_string_equal(trace, "");
    arena_reset(&a);
    assert_string_equal(trace, "cba");
    arena_free(&a);
    assert_string_equal(trace, "cba");
}

static void a_clean_up_that_cannot_be_kept_runs_at_once(void **state)
{
    struct arena a;
    arena_init(&a, 8);
    trace[0] = 0;
    assert_false(arena_on_reset(&a, note, "x"));
    assert_string_equal(trace, "x");
    arena_free(&a);
}

static void copies_are_terminated(void **state)
{
    struct arena a;
    arena_init(&a, 10000);
    assert_string_equal(arena_strdup(&a, "abc"), "abc");
    assert_string_equal(arena_strndup(&a, "abcdef", 2), "ab");
    assert_string_equal(arena_printf(&a, "%s-%d", "x", 7), "x-7");
    struct slice s = arena_copy(&a, slice_str("bytes"));
    assert_true(slice_eq(s, slice_str("bytes")));
    arena_free(&a);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(memory_is_zeroed_aligned_and_separate),
    cmocka_unit_test(an_arena_refuses_beyond_its_bound),
    cmocka_unit_test(clean_ups_run_last_in_first_out_and_once),
    cmocka_unit_test(a_clean_up_that_cannot_be_kept_runs_at_once),
    cmocka_unit_test(copies_are_terminated),
};
UNIT_MAIN(tests)
