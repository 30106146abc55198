/* test_disk.c - what a simulated disk keeps, and what it may lose. */
#include "../unit.h"

#include "sim/disk.h"

static struct sim_world w;
static struct sim_disk d;
static enum reeve_err last[64];
static bool came[64];

static void done(void *host, int node, uint64_t cookie, enum reeve_err err)
{
    last[cookie] = err;
    came[cookie] = true;
}

static const struct sim_disk_profile plain = { .write_min_us = 50, .write_mean_us = 100, .sync_min_us = 100, .sync_mean_us = 200 };

static void up(uint64_t seed, struct sim_disk_profile p)
{
    sim_world_init(&w, seed);
    sim_node_boot(&w, 0);
    sim_disk_init(&d, &w, 0, &p, done, NULL);
    memset(came, 0, sizeof came);
}

static void down(void)
{
    sim_disk_free(&d);
    sim_world_free(&w);
}

static void run(int64_t for_us)
{
    int64_t until = w.now_us + for_us;
    while (sim_world_step(&w, until))
        ;
}

static void write_(const char *name, uint64_t off, const char *text, bool dsync, uint64_t cookie)
{
    sim_disk_write(&d, name, off, slice_str(text), dsync, cookie);
}

static bool holds(const char *name, const char *text)
{
    struct slice s;
    return sim_disk_read(&d, name, &s) && slice_eq(s, slice_str(text));
}

static void crash(bool power)
{
    sim_node_crash(&w, 0);
    sim_disk_crash(&d, power);
    sim_node_boot(&w, 0);
}

static void what_was_synced_survives_power(void **state)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        up(seed, plain);
        write_("a", 0, "hello", false, 1);
        run(5000);
        assert_true(came[1]);
        sim_disk_sync(&d, "a", 2), sim_disk_sync(&d, "", 3);
        run(10000);
        crash(true);
        assert_true(holds("a", "hello"));
        write_("a", 0, "HELLO", true, 4);
        run(5000);
        crash(true);
        assert_true(holds("a", "HELLO"));
        down();
    }
}

static void what_was_not_synced_may_be_lost_with_power_but_not_by_a_kill(void **state)
{
    int lost = 0, kept = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        up(seed, plain);
        write_("a", 0, "old", true, 1), sim_disk_sync(&d, "", 2);
        run(10000);
        write_("a", 0, "new", false, 3);
        run(10000);
        crash(false);
        assert_true(holds("a", "new"));
        crash(true);
        if (holds("a", "new"))
            kept++;
        else
            lost++, assert_true(holds("a", "old"));
        down();
    }
    assert_in_range(lost, 20, 80);
    assert_in_range(kept, 20, 80);
}

static void a_batch_is_torn_at_sectors(void **state)
{
    char text[4 * SIM_SECTOR + 1];
    memset(text, 'n', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    int torn = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        up(seed, plain);
        sim_disk_extend(&d, "a", sizeof text - 1);
        sim_disk_sync(&d, "a", 1), sim_disk_sync(&d, "", 2);
        run(10000);
        write_("a", 0, text, true, 3);
        crash(seed % 2);
        struct slice s;
        assert_true(sim_disk_read(&d, "a", &s));
        assert_int_equal(s.len, sizeof text - 1);
        unsigned news = 0;
        for (size_t i = 0; i < s.len; i++) {
            assert_true(s.p[i] == s.p[i / SIM_SECTOR * SIM_SECTOR]);
            news += i % SIM_SECTOR == 0 && s.p[i] == 'n';
        }
        torn += news > 0 && news < 4;
        assert_false(came[3]);
        down();
    }
    assert_true(torn > 20);
}

static void names_become_durable_in_their_order(void **state)
{
    int both = 0, first = 0, none = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        up(seed, plain);
        write_("a", 0, "1", true, 1), write_("b", 0, "2", true, 2);
        run(10000);
        crash(true);
        bool a = holds("a", "1"), b = holds("b", "2");
        assert_false(b && !a);
        both += a && b, first += a && !b, none += !a;
        down();
    }
    assert_true(both > 5 && first > 5 && none > 5);
}

static void a_rename_replaces_wholly_or_not_at_all(void **state)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        up(seed, plain);
        write_("cur", 0, "old", true, 1), sim_disk_sync(&d, "", 2);
        run(10000);
        write_("tmp", 0, "new", true, 3);
        run(10000);
        sim_disk_rename(&d, "tmp", "cur");
        assert_true(holds("cur", "new"));
        assert_null(sim_disk_name(&d, 1));
        crash(true);
        assert_true(holds("cur", "new") || holds("cur", "old"));
        down();
    }
}

static void a_failed_sync_is_not_mended_by_a_second(void **state)
{
    int lost = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        up(seed, plain);
        write_("a", 0, "old", true, 1), sim_disk_sync(&d, "", 2);
        run(10000);
        write_("a", 0, "new", false, 3);
        run(10000);
        d.p.eio_sync_ppm = 1000000;
        sim_disk_sync(&d, "a", 4);
        run(10000);
        assert_int_equal(last[4], REEVE_E_IO);
        d.p.eio_sync_ppm = 0;
        sim_disk_sync(&d, "a", 5);
        run(10000);
        assert_int_equal(last[5], REEVE_OK);
        assert_true(holds("a", "new"));
        crash(true);
        lost += holds("a", "old");
        down();
    }
    assert_true(lost > 10);
}

static void a_full_disk_says_so_and_still_takes_what_does_not_grow(void **state)
{
    struct sim_disk_profile p = plain;
    p.capacity = 4;
    up(1, p);
    write_("a", 0, "1234", true, 1);
    run(10000);
    write_("a", 4, "5", true, 2), write_("a", 0, "43", true, 3);
    run(10000);
    assert_int_equal(last[1], REEVE_OK);
    assert_int_equal(last[2], REEVE_E_DISK_FULL);
    assert_int_equal(last[3], REEVE_OK);
    assert_true(holds("a", "4334"));
    down();
}

static void lost_and_misdirected_writes_report_success(void **state)
{
    struct sim_disk_profile p = plain;
    p.lost_ppm = 1000000;
    up(1, p);
    sim_disk_extend(&d, "a", 3 * 4096);
    write_("a", 0, "x", true, 1);
    run(10000);
    struct slice s;
    assert_true(sim_disk_read(&d, "a", &s) && s.p[0] == 'x');       /* damage was not allowed here */
    d.damage = true;
    write_("a", 0, "y", true, 2);
    run(10000);
    assert_int_equal(last[2], REEVE_OK);
    assert_true(sim_disk_read(&d, "a", &s) && s.p[0] == 'x');
    d.p.lost_ppm = 0, d.p.misdirected_ppm = 1000000;
    for (int i = 0; i < 20; i++)
        write_("a", 100, "z", true, 3);
    run(100000);
    assert_true(sim_disk_read(&d, "a", &s));
    unsigned z = 0;
    for (size_t i = 0; i < s.len; i++)
        z += s.p[i] == 'z';
    assert_true(z >= 2 && s.p[100] == 0);
    down();
}

static void a_hung_disk_completes_nothing_until_it_is_lifted(void **state)
{
    up(1, plain);
    sim_disk_hang(&d, true);
    write_("a", 0, "x", true, 1);
    run(10000000);
    assert_false(came[1]);
    sim_disk_heal(&d);
    run(10000);
    assert_true(came[1] && last[1] == REEVE_OK);
    down();
}

static void a_flip_changes_one_bit_and_survives_power(void **state)
{
    up(1, plain);
    write_("a", 0, "abc", true, 1), sim_disk_sync(&d, "", 2);
    run(10000);
    assert_true(sim_disk_flip(&d, "a", 1, 0));
    assert_false(sim_disk_flip(&d, "a", 3, 0));
    assert_true(holds("a", "acc"));
    crash(true);
    assert_true(holds("a", "acc"));
    down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_synced_survives_power),
        cmocka_unit_test(what_was_not_synced_may_be_lost_with_power_but_not_by_a_kill),
        cmocka_unit_test(a_batch_is_torn_at_sectors),
        cmocka_unit_test(names_become_durable_in_their_order),
        cmocka_unit_test(a_rename_replaces_wholly_or_not_at_all),
        cmocka_unit_test(a_failed_sync_is_not_mended_by_a_second),
        cmocka_unit_test(a_full_disk_says_so_and_still_takes_what_does_not_grow),
        cmocka_unit_test(lost_and_misdirected_writes_report_success),
        cmocka_unit_test(a_hung_disk_completes_nothing_until_it_is_lifted),
        cmocka_unit_test(a_flip_changes_one_bit_and_survives_power),
    };
    return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}
