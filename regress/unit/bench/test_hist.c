/* test_hist.c - the percentiles of reeve-bench beside a sorted array. */
#include "../unit.h"

#include "frontend/reeve-bench/hist.h"

#define N 20000

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

/* Nanoseconds to hours, each size as likely as another. */
static int64_t draw(struct rng *r)
{
    return (int64_t) (rng_next(r) >> (22 + rng_below(r, 38)));
}

static void test_percentiles_are_those_of_a_sorted_array_to_a_bucket(void **state)
{
    static const double share[] = { 0, 0.01, 0.5, 0.9, 0.99, 0.999 };
    static int64_t v[N];
    static struct hist h;
    struct rng r = rng_seeded("hist");
    (void) state;
    for (int i = 0; i < N; i++)
        hist_add(&h, v[i] = draw(&r));
    qsort(v, N, sizeof *v, by_value);
    for (size_t i = 0; i < sizeof share / sizeof share[0]; i++) {
        int64_t want = v[(int) (share[i] * N)], got = hist_at_ns(&h, share[i]);
        assert_true(got >= want);
        assert_true(got <= want + want / 16 + 1);
    }
    assert_int_equal(h.max_ns, v[N - 1]);
    assert_int_equal(hist_at_ns(&h, 1), v[N - 1]);
}

static void test_every_nanosecond_of_a_small_latency_has_its_place(void **state)
{
    (void) state;
    for (int64_t ns = 0; ns < 5000; ns++) {
        static struct hist h;
        memset(&h, 0, sizeof h);
        hist_add(&h, ns);
        hist_add(&h, INT64_C(1) << 50);         /* so that the longest does not answer for it */
        int64_t got = hist_at_ns(&h, 0.4);
        assert_true(got >= ns && got <= ns + ns / 32 + 1);
    }
}

static void test_without_samples_there_is_no_percentile(void **state)
{
    static struct hist h;
    (void) state;
    assert_int_equal(hist_at_ns(&h, 0.5), 0);
    hist_add(&h, -5);                           /* a clock that went back counts as nothing */
    assert_int_equal(hist_at_ns(&h, 0.5), 0);
    assert_int_equal(h.n, 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_percentiles_are_those_of_a_sorted_array_to_a_bucket),
    cmocka_unit_test(test_every_nanosecond_of_a_small_latency_has_its_place),
    cmocka_unit_test(test_without_samples_there_is_no_percentile),
};
UNIT_MAIN(tests)
