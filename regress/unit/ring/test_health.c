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

/* ---- how far the members are, as the leader tells it ---- */

static struct progress told(void)
{
    return (struct progress){ .from = 2, .term = 7, .last = 100, .at_ms = 1000, .n = 3, .m = {
        { .id = 1, .heard_ms = 20, .match = 90, .behind = true }, { .id = 2, .heard_ms = UINT32_MAX, .match = 100 },
        { .id = 5, .heard_ms = UINT32_MAX, .snapshot = true } } };
}

static void what_the_leader_tells_is_read(void **state)
{
    struct progress got, p = told();
    struct progress_of m;
    uint8_t mem[200];
    struct wr w = wr_fixed(mem, sizeof mem);
    progress_encode(&p, &w);
    struct rd r = rd_of(wr_slice(&w));
    assert_int_equal(rd_u8(&r), NEWS_PROGRESS);
    assert_true(progress_decode(&got, &r) && rd_done(&r));
    got.at_ms = p.at_ms;
    assert_true(got.term == 7 && got.last == 100 && got.n == 3);
    assert_true(progress_find(&got, 1, 1300, &m) && m.match == 90 && m.heard_ms == 320 && m.behind && !m.snapshot);
    assert_true(progress_find(&got, 2, 1300, &m) && m.match == 100 && m.heard_ms == UINT32_MAX && !m.behind);
    assert_true(progress_find(&got, 5, 1300, &m) && m.match == 0 && m.snapshot);
    assert_false(progress_find(&got, 3, 1300, &m));
    for (size_t len = 1; len < w.len; len++) {
        r = rd_of(slice_of(mem + 1, len - 1));
        assert_false(progress_decode(&got, &r));
    }
    mem[18] = 255;                      /* more members than there can be */
    r = rd_of(slice_of(mem + 1, w.len - 1));
    assert_false(progress_decode(&got, &r));
}

static void it_counts_while_its_leader_leads_and_it_is_not_old(void **state)
{
    struct progress p = told(), none = { .from = 0 };
    assert_true(progress_counts(&p, 2, 7, 5999));
    assert_false(progress_counts(&p, 2, 7, 6000));
    assert_false(progress_counts(&p, 2, 8, 1001));
    assert_false(progress_counts(&p, 1, 7, 1001));
    assert_false(progress_counts(&none, 0, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_leader_tells_is_read),
        cmocka_unit_test(it_counts_while_its_leader_leads_and_it_is_not_old),
        cmocka_unit_test(who_keeps_up_is_never_behind),
        cmocka_unit_test(who_stands_still_is_behind_after_ten_seconds),
        cmocka_unit_test(nothing_new_is_nothing_missed),
        cmocka_unit_test(who_is_always_twenty_seconds_late_is_behind_all_the_time),
        cmocka_unit_test(who_has_caught_up_is_not_behind),
        cmocka_unit_test(another_member_in_the_same_place_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
