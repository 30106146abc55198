/* test_admission.c - the rate of handshakes, and when those who are shed come back */
#include "../unit.h"
#include "backend/gateway/admission.h"

static struct mono_ms at(int64_t ms) { return (struct mono_ms){ ms }; }

static void the_rate_bounds_what_is_taken(void **state)
{
    struct admission a;
    unsigned taken = 0;
    admission_init(&a, at(0));
    for (int ms = 1; ms <= 10000; ms++)
        for (int k = 0; k < 10; k++)
            taken += admission_take(&a, at(ms));
    /* 10,000 a second ask; the start rate of 2,000 and a quarter second of burst are let in. */
    assert_in_range(taken, 20000, 20600);
}

static void slow_handshakes_cut_the_rate_and_quick_ones_raise_it(void **state)
{
    struct admission a;
    admission_init(&a, at(0));
    for (int i = 0; i < 100; i++)
        admission_done(&a, at(i * 10), 2000);
    assert_true(a.rate < ADMISSION_RATE_START * 0.5);
    for (int i = 0; i < 100000; i++)
        admission_done(&a, at(100000 + i * 200), 2000);
    assert_true(a.rate == ADMISSION_RATE_MIN);
    double low = a.rate;
    for (int i = 0; i < 1000; i++) {
        while (admission_take(&a, at(100000000 + i)))
            ;
        admission_done(&a, at(100000000 + i), 5);
    }
    assert_true(a.rate > low + 500);
}

/* A machine that finishes 200 a second, each after two seconds of waiting: the rate stays near what goes through. */
static void the_rate_is_not_cut_far_below_what_is_finished(void **state)
{
    struct admission a;
    admission_init(&a, at(0));
    for (int i = 0; i < 4000; i++)
        admission_done(&a, at(i * 5), 2000);
    assert_true(a.rate >= 170 && a.rate <= 200);
}

static void an_idle_bucket_says_nothing_about_the_machine(void **state)
{
    struct admission a;
    admission_init(&a, at(0));
    for (int i = 0; i < 1000; i++)
        admission_done(&a, at(i), 5);
    assert_true(a.rate == ADMISSION_RATE_START);
}

/* All of a mass that is shed and obeys is in after little more than the ideal time. */
static void a_mass_that_obeys_is_in_soon(void **state)
{
    enum { N = 50000, SLOTS = 200000 };
    struct rng rng = rng_seeded("mass");
    static unsigned due[SLOTS];
    struct admission a;
    unsigned in = 0, attempts = 0;
    int ms = 0;
    memset(due, 0, sizeof due);
    admission_init(&a, at(0));
    due[1] = N;
    for (ms = 1; ms < SLOTS - 70000 && in < N; ms++)
        for (unsigned k = due[ms]; k > 0; k--) {
            attempts++;
            if (admission_take(&a, at(ms))) {
                in++;
                continue;
            }
            uint32_t wait = admission_shed(&a, at(ms), (uint32_t) rng_next(&rng));
            due[ms + (int) wait + (int) rng_below(&rng, wait / 4 + 1)]++;   /* */
        }
    print_message("# %u in after %d ms (ideal %d), %.1f attempts each\n", in, ms, N * 1000 / ADMISSION_RATE_START,
                  (double) attempts / N);
    assert_int_equal(in, N);
    assert_in_range(ms, 0, N * 1200 / ADMISSION_RATE_START);
    assert_true(attempts < 4 * N);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_rate_bounds_what_is_taken),
    cmocka_unit_test(slow_handshakes_cut_the_rate_and_quick_ones_raise_it),
    cmocka_unit_test(the_rate_is_not_cut_far_below_what_is_finished),
    cmocka_unit_test(an_idle_bucket_says_nothing_about_the_machine),
    cmocka_unit_test(a_mass_that_obeys_is_in_soon),
};

UNIT_MAIN(tests)
