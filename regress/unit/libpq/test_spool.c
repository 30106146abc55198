/* test_spool.c - the byte queue against a plain array, across memory and file. */
#include "../unit.h"
#include "backend/libpq/spool.h"

#define TOTAL (3u << 20)

static uint8_t twin[TOTAL];

static void bytes_come_out_in_the_order_they_went_in(void **state)
{
    struct rng rng = rng_seeded("spool");
    struct spool s;
    size_t in = 0, out = 0;
    for (size_t i = 0; i < TOTAL; i++)
        twin[i] = (uint8_t) rng_next(&rng);
    spool_init(&s, "/tmp", 10000);
    while (out < TOTAL) {
        size_t n = rng_next(&rng) % 30000;
        if (n > TOTAL - in)
            n = TOTAL - in;
        assert_ok(spool_put(&s, twin + in, n));
        in += n;
        for (int k = (int) (rng_next(&rng) % 4); k > 0 || (in == TOTAL && out < TOTAL); k--) {
            struct slice got;
            assert_ok(spool_peek(&s, &got));
            assert_true((got.len == 0) == (in == out));
            size_t take = got.len ? 1 + rng_next(&rng) % got.len : 0;
            assert_memory_equal(got.p ? got.p : twin, twin + out, take);
            spool_skip(&s, take);
            out += take;
            assert_int_equal(spool_len(&s), in - out);
        }
    }
    spool_free(&s);
}

static void exact_amounts_can_be_taken_across_the_border(void **state)
{
    struct spool s;
    uint8_t got[5000];
    spool_init(&s, "/tmp", 1000);
    for (int i = 0; i < 10; i++)
        assert_ok(spool_put(&s, twin + i * 500, 500));
    assert_true(s.fd >= 0);
    assert_ok(spool_take(&s, got, 4999));
    assert_memory_equal(got, twin, 4999);
    assert_int_equal(spool_take(&s, got, 2), REEVE_E_MALFORMED);
    spool_clear(&s);
    assert_int_equal(spool_len(&s), 0);
    spool_free(&s);
}

static void without_a_folder_only_what_exceeds_memory_fails(void **state)
{
    struct spool s;
    spool_init(&s, "/nonexistent", 1000);
    assert_ok(spool_put(&s, twin, 1000));
    assert_int_equal(spool_put(&s, twin, 1), REEVE_E_IO);
    spool_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_in_the_order_they_went_in),
        cmocka_unit_test(exact_amounts_can_be_taken_across_the_border),
        cmocka_unit_test(without_a_folder_only_what_exceeds_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
