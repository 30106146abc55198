/* test_oldread.c - who reads an old state: when it is canceled, and when killed. */
#include "../unit.h"

#include <stdio.h>

#include "backend/ring/ring_int.h"

#define PATIENCE 30000

static struct old_reads o;
static char said[256];

static int setup(void **state)
{
    o = (struct old_reads){ 0 };
    said[0] = '\0';
    return 0;
}

static void note(void *arg, const struct old_read *r, enum old_verdict v)
{
    size_t at = strlen(said);
    snprintf(said + at, sizeof said - at, "%s%d ", v == OLD_CANCEL ? "cancel " : "kill ", r->pid);
}

/* What is said of them at that second. */
static const char *look(const struct storage_reader *now, unsigned n, int64_t second, bool tight)
{
    said[0] = '\0';
    old_reads_look(&o, now, n, second * 1000, tight, PATIENCE, note, NULL);
    return said;
}

static void it_is_canceled_after_its_time_and_killed_five_seconds_later_each_once(void **state)
{
    struct storage_reader a = { 7, 100 };
    for (int i = 10; i < 40; i++)
        assert_string_equal(look(&a, 1, i, false), "");
    assert_string_equal(look(&a, 1, 40, false), "cancel 7 ");
    for (int i = 41; i < 45; i++)
        assert_string_equal(look(&a, 1, i, false), "");
    assert_string_equal(look(&a, 1, 45, false), "kill 7 ");
    for (int i = 46; i < 100; i++)
        assert_string_equal(look(&a, 1, i, false), "");
}

static void one_that_always_reads_but_never_for_long_is_left_alone(void **state)
{
    for (int i = 0; i < 200; i++)
        assert_string_equal(look(&(struct storage_reader){ 7, 100 + (uint64_t) i / 20 }, 1, i, false), "");
}

static void one_that_heeds_the_cancel_is_not_killed(void **state)
{
    struct storage_reader a = { 7, 100 };
    assert_string_equal(look(&a, 1, 0, false), "");
    assert_string_equal(look(&a, 1, 30, false), "cancel 7 ");
    assert_string_equal(look(NULL, 0, 31, false), "");
    assert_string_equal(look(&(struct storage_reader){ 7, 101 }, 1, 36, false), "");
}

static void each_has_a_time_of_its_own(void **state)
{
    struct storage_reader a[2] = { { 7, 100 }, { 8, 100 } };
    assert_string_equal(look(a, 1, 0, false), "");
    assert_string_equal(look(a, 2, 20, false), "");
    assert_string_equal(look(a, 2, 30, false), "cancel 7 ");
    assert_string_equal(look(a, 2, 50, false), "kill 7 cancel 8 ");
}

static void where_there_is_little_room_nobody_is_waited_for(void **state)
{
    struct storage_reader a = { 7, 100 };
    assert_string_equal(look(&a, 1, 0, true), "");
    assert_string_equal(look(&a, 1, 1, true), "cancel 7 ");
    assert_string_equal(look(&a, 1, 2, true), "kill 7 ");
}

static void more_than_can_be_kept_does_no_harm(void **state)
{
    static struct storage_reader a[2 * OLD_READS_MAX];
    for (unsigned i = 0; i < 2 * OLD_READS_MAX; i++)
        a[i] = (struct storage_reader){ 1 + (int32_t) i, 5 };
    assert_string_equal(look(a, 2 * OLD_READS_MAX, 0, false), "");
    assert_int_equal(o.n, OLD_READS_MAX);
    assert_string_equal(look(a + 3, 1, 30, false), "cancel 4 ");
}

#define T(f) cmocka_unit_test_setup(f, setup)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(it_is_canceled_after_its_time_and_killed_five_seconds_later_each_once),
        T(one_that_always_reads_but_never_for_long_is_left_alone),
        T(one_that_heeds_the_cancel_is_not_killed),
        T(each_has_a_time_of_its_own),
        T(where_there_is_little_room_nobody_is_waited_for),
        T(more_than_can_be_kept_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
