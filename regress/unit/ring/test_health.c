/* test_health.c - how late a member is, from what it has now and then. */
#include "../unit.h"

#include "backend/ring/ring_int.h"

#define SECOND 1000

static struct watch w;

static void who_keeps_up_is_never_behind(void **state)
{
    w = (struct watch){ 0 };
    for (int i = 1; i < 100; i++)
        assert_false(watch_behind(&w, 2, i * SECOND, (uint64_t) i * 1000, (uint64_t) i * 1000 - 500));
}

static void who_stands_still_is_behind_after_ten_seconds(void **state)
{
    w = (struct watch){ 0 };
    for (int i = 1; i <= 11; i++)
        assert_false(watch_behind(&w, 2, i * SECOND, (uint64_t) i * 1000, 10));
    assert_true(watch_behind(&w, 2, 12 * SECOND, 12000, 10));
}

static void nothing_new_is_nothing_missed(void **state)
{
    w = (struct watch){ 0 };
    for (int i = 1; i < 100; i++)
        assert_false(watch_behind(&w, 2, i * SECOND, 500, 500));
}

static void who_is_always_twenty_seconds_late_is_behind_all_the_time(void **state)
{
    bool said = false;
    w = (struct watch){ 0 };
    for (int i = 1; i < 200; i++) {
        bool is = watch_behind(&w, 2, i * SECOND, (uint64_t) i * 1000, i > 20 ? (uint64_t) (i - 20) * 1000 : 0);
        assert_true(is || !said);
        said |= is;
    }
    assert_true(said);
}

static void who_has_caught_up_is_not_behind(void **state)
{
    w = (struct watch){ 0 };
    for (int i = 1; i < 30; i++)
        (void) watch_behind(&w, 2, i * SECOND, (uint64_t) i * 1000, 10);
    assert_true(watch_behind(&w, 2, 30 * SECOND, 30000, 10));
    (void) watch_behind(&w, 2, 31 * SECOND, 31000, 31000);
    assert_false(watch_behind(&w, 2, 32 * SECOND, 32000, 31900));
}

static void another_member_in_the_same_place_begins_anew(void **state)
{
    w = (struct watch){ 0 };
    for (int i = 1; i < 30; i++)
        (void) watch_behind(&w, 2, i * SECOND, (uint64_t) i * 1000, 10);
    assert_false(watch_behind(&w, 3, 30 * SECOND, 30000, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_keeps_up_is_never_behind),
        cmocka_unit_test(who_stands_still_is_behind_after_ten_seconds),
        cmocka_unit_test(nothing_new_is_nothing_missed),
        cmocka_unit_test(who_is_always_twenty_seconds_late_is_behind_all_the_time),
        cmocka_unit_test(who_has_caught_up_is_not_behind),
        cmocka_unit_test(another_member_in_the_same_place_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
