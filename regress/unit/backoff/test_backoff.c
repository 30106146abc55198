/* test_backoff.c - when an agent may try again. */
#include "../unit.h"
#include "engine/backoff.h"

#define LOW 0u
#define HIGH UINT32_MAX

static void fail_times(struct backoff *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        backoff_lost(b, (struct mono_ms){ 0 });
}

static void the_very_first_attempt_waits_for_nothing(void **state)
{
    struct backoff b;
    backoff_init(&b);
    assert_int_equal(backoff_delay(&b, HIGH), 0);
}

static void the_ceiling_doubles_to_thirty_seconds_and_stays(void **state)
{
    static const uint32_t want[] = { 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000 };
    for (unsigned n = 1; n <= sizeof want / sizeof *want; n++) {
        struct backoff b;
        backoff_init(&b);
        fail_times(&b, n);
        assert_int_equal(backoff_delay(&b, HIGH), want[n - 1]);
        assert_int_equal(backoff_delay(&b, LOW), BACKOFF_BASE_MS);
    }
}

static void other_limits_hold_for_ceiling_floor_and_memory(void **state)
{
    static const uint32_t want[] = { 50, 100, 200, 400, 800, 1600, 2000, 2000 };
    struct backoff b;
    for (unsigned n = 1; n <= sizeof want / sizeof *want; n++) {
        backoff_init_between(&b, 50, 2000, 5000);
        fail_times(&b, n);
        assert_int_equal(backoff_delay(&b, HIGH), want[n - 1]);
        assert_int_equal(backoff_delay(&b, LOW), 50);
    }
    backoff_connected(&b, (struct mono_ms){ 0 }, 0);
    backoff_lost(&b, (struct mono_ms){ 4999 });
    assert_int_equal(backoff_delay(&b, HIGH), 2000);
    backoff_connected(&b, (struct mono_ms){ 5000 }, 0);
    backoff_lost(&b, (struct mono_ms){ 10000 });
    assert_int_equal(backoff_delay(&b, HIGH), 50);
}

static void a_failure_count_does_not_overflow(void **state)
{
    struct backoff b;
    backoff_init(&b);
    b.failures = UINT32_MAX;
    fail_times(&b, 2);
    assert_int_equal(backoff_delay(&b, HIGH), BACKOFF_CAP_MS);
}

static void the_jitter_is_full_and_even(void **state)
{
    struct rng rng = rng_seeded("jitter");
    struct backoff b;
    unsigned bucket[10] = { 0 };
    backoff_init(&b);
    fail_times(&b, 12);
    for (int i = 0; i < 20000; i++) {
        uint32_t d = backoff_delay(&b, (uint32_t) (rng_next(&rng) >> 32));
        assert_in_range(d, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
        bucket[d == BACKOFF_CAP_MS ? 9 : d / 3000]++;
    }
    for (int i = 0; i < 10; i++)        /* 2000 expected, sigma 42 */
        assert_in_range(bucket[i], 1700, 2300);
}

static void only_a_connection_that_lived_a_minute_resets(void **state)
{
    struct backoff b;
    backoff_init(&b);
    fail_times(&b, 5);
    backoff_connected(&b, (struct mono_ms){ 1000 }, 0);
    backoff_lost(&b, (struct mono_ms){ 1000 + BACKOFF_STABLE_MS - 1 });
    assert_int_equal(backoff_delay(&b, HIGH), 3200);
    backoff_connected(&b, (struct mono_ms){ 100000 }, 0);
    backoff_lost(&b, (struct mono_ms){ 100000 + BACKOFF_STABLE_MS });
    assert_int_equal(backoff_delay(&b, HIGH), 100);
}

static void retry_after_is_a_minimum_and_used_once(void **state)
{
    struct backoff b;
    backoff_init(&b);
    fail_times(&b, 1);
    backoff_retry_after(&b, 8000);
    struct backoff copy = b;
    assert_int_equal(backoff_delay(&b, LOW), 8000);
    assert_int_equal(backoff_delay(&copy, HIGH), 10000);
    assert_int_equal(backoff_delay(&b, HIGH), 100);
    backoff_retry_after(&b, UINT32_MAX);
    assert_int_equal(backoff_delay(&b, LOW), BACKOFF_RETRY_AFTER_MAX_MS);
}

static void the_window_spreads_the_first_attempt_only(void **state)
{
    struct backoff b;
    backoff_init(&b);
    backoff_connected(&b, (struct mono_ms){ 0 }, 40000);
    backoff_lost(&b, (struct mono_ms){ 5 });
    struct backoff copy = b;
    assert_int_equal(backoff_delay(&copy, LOW), 0);
    assert_int_equal(backoff_delay(&b, HIGH), 40000);
    backoff_lost(&b, (struct mono_ms){ 6 });
    assert_int_equal(backoff_delay(&b, HIGH), 200);
}

static void retry_after_takes_precedence_over_the_window(void **state)
{
    struct backoff b;
    backoff_init(&b);
    backoff_connected(&b, (struct mono_ms){ 0 }, 40000);
    backoff_lost(&b, (struct mono_ms){ 5 });
    backoff_retry_after(&b, 1000);
    assert_in_range(backoff_delay(&b, HIGH), 1000, 1250);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_very_first_attempt_waits_for_nothing),
    cmocka_unit_test(the_ceiling_doubles_to_thirty_seconds_and_stays),
    cmocka_unit_test(other_limits_hold_for_ceiling_floor_and_memory),
    cmocka_unit_test(a_failure_count_does_not_overflow),
    cmocka_unit_test(the_jitter_is_full_and_even),
    cmocka_unit_test(only_a_connection_that_lived_a_minute_resets),
    cmocka_unit_test(retry_after_is_a_minimum_and_used_once),
    cmocka_unit_test(the_window_spreads_the_first_attempt_only),
    cmocka_unit_test(retry_after_takes_precedence_over_the_window),
};
UNIT_MAIN(tests)
