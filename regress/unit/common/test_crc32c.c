/* test_crc32c.c - the sum, known answers, and its two ways against each other. */
#include "../unit.h"

#include "common/crc32c.h"

static void the_vectors_of_rfc_3720_come_out(void **state)
{
    uint8_t b[32] = { 0 };
    assert_int_equal(crc32c(0, b, 32), 0x8a9136aa);
    memset(b, 0xff, 32);
    assert_int_equal(crc32c(0, b, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        b[i] = (uint8_t) i;
    assert_int_equal(crc32c(0, b, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++)
        b[i] = (uint8_t) (31 - i);
    assert_int_equal(crc32c(0, b, 32), 0x113fdb5c);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, "", 0), 0);
}

static void instruction_and_table_agree_on_any_length_and_alignment(void **state)
{
    struct rng r = rng_seeded("crc32c");
    uint8_t b[600];
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t) rng_next(&r);
    if (!crc32c_has_instruction())
        fprintf(stderr, "# no instruction on this CPU: the table against itself\n");
    for (int i = 0; i < 3000; i++) {
        size_t at = rng_below(&r, 64), len = rng_below(&r, 512);
        uint32_t seed = (uint32_t) rng_next(&r), want = crc32c_table(seed, b + at, len);
        assert_int_equal(crc32c(seed, b + at, len), want);
        if (crc32c_has_instruction())
            assert_int_equal(crc32c_instruction(seed, b + at, len), want);
    }
}

static void a_sum_in_parts_is_the_sum_of_the_whole(void **state)
{
    struct rng r = rng_seeded("crc32c parts");
    uint8_t b[300];
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t) rng_next(&r);
    for (size_t cut = 0; cut <= sizeof b; cut++)
        assert_int_equal(crc32c(crc32c(0, b, cut), b + cut, sizeof b - cut), crc32c(0, b, sizeof b));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_vectors_of_rfc_3720_come_out),
    cmocka_unit_test(instruction_and_table_agree_on_any_length_and_alignment),
    cmocka_unit_test(a_sum_in_parts_is_the_sum_of_the_whole),
};

UNIT_MAIN(tests)
