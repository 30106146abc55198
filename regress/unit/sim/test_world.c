/* test_world.c - virtual time, lives, pauses, clocks and links behave as their headers say. */
#include "../unit.h"

#include "sim/net.h"

static struct sim_world w;
static struct sim_net net;
static char log_[4096];

static int setup(void **state)
{
    sim_world_init(&w, 42);
    log_[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    sim_world_free(&w);
    return 0;
}

static void say(void *ctx, struct sim_event *e)
{
    snprintf(log_ + strlen(log_), sizeof log_ - strlen(log_), "%.*s@%d ", (int) e->len, (const char *) e->bytes, (int) w.now_us);
}

static void later(int64_t us, int node, const char *what)
{
    sim_after(&w, us, node, say, NULL, what, strlen(what));
}

static void run(int64_t until)
{
    while (sim_world_step(&w, until))
        ;
}

static void events_run_by_time_then_by_order_of_creation(void **state)
{
    later(20, SIM_NOBODY, "c"), later(10, SIM_NOBODY, "a"), later(10, SIM_NOBODY, "b"), later(99, SIM_NOBODY, "late");
    run(50);
    assert_string_equal(log_, "a@10 b@10 c@20 ");
    assert_int_equal(w.now_us, 50);
}

static void what_was_due_in_another_life_is_lost(void **state)
{
    sim_node_boot(&w, 0);
    later(10, 0, "old");
    sim_after_any_life(&w, 20, 0, say, NULL, "any", 3);
    sim_node_crash(&w, 0);
    later(5, 0, "dead");
    run(7);
    sim_node_boot(&w, 0);
    later(1, 0, "new");
    run(50);
    assert_string_equal(log_, "new@8 any@20 ");
}

static void a_paused_node_catches_up_in_order(void **state)
{
    sim_node_boot(&w, 0);
    sim_node_pause(&w, 0, 100);
    later(10, 0, "a"), later(5, 0, "b"), later(100, 0, "c"), later(6, SIM_NOBODY, "world");
    run(1000);
    assert_string_equal(log_, "world@6 b@100 a@100 c@100 ");
    log_[0] = '\0';
    sim_node_pause(&w, 0, 100);
    later(1, 0, "d");
    run(1050);
    assert_false(sim_node_runs(&w, 0));
    sim_node_resume(&w, 0);
    later(0, 0, "e");
    run(2000);
    assert_string_equal(log_, "d@1050 e@1050 ");
}

static void clocks_drift_and_leap_but_monotonic_time_never_goes_back(void **state)
{
    sim_node_boot(&w, 0);
    int64_t m = sim_clock_mono_us(&w, 0), wall = sim_clock_wall_us(&w, 0);
    sim_clock_drift(&w, 0, 100000);
    run(1000000);
    assert_int_equal(sim_clock_mono_us(&w, 0) - m, 1100000);
    sim_clock_wall_jump(&w, 0, -5000000);
    assert_int_equal(sim_clock_mono_us(&w, 0) - m, 1100000);
    assert_int_equal(sim_clock_wall_us(&w, 0) - wall, 1100000 - 5000000);
    sim_clock_leap(&w, 0, 7);
    assert_int_equal(sim_clock_mono_us(&w, 0) - m, 1100007);
    int64_t at = sim_clock_mono_us(&w, 0) + 1000;
    run(w.now_us + sim_clock_until_us(&w, 0, at));
    assert_true(sim_clock_mono_us(&w, 0) >= at && sim_clock_mono_us(&w, 0) < at + 5);
}

/* ---- the network ---- */

static unsigned got[4];
static char seen[8192];

static void recv_(void *host, int from, int to, int lane, struct slice msg)
{
    got[to]++;
    snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%.*s,", (int) msg.len, (const char *) msg.p);
}

static void net_up(struct sim_net_profile p)
{
    memset(got, 0, sizeof got);
    seen[0] = '\0';
    for (int i = 0; i < 3; i++)
        sim_node_boot(&w, i);
    sim_net_init(&net, &w, 3, &p, recv_, NULL);
}

static void send_n(int n)
{
    char text[16];
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%d", i);
        sim_net_send(&net, 0, 1, 0, slice_str(text));
    }
}

static const struct sim_net_profile plain = { .delay_min_us = 100, .delay_mean_us = 500, .delay_max_us = 10000 };

static void without_faults_everything_arrives_once(void **state)
{
    net_up(plain);
    send_n(200);
    run(10000);
    assert_int_equal(got[1], 200);
}

static void an_ordered_lane_keeps_its_order_and_another_does_not(void **state)
{
    struct sim_net_profile p = plain;
    p.ordered = true;
    net_up(p);
    send_n(8);
    run(20000);
    assert_string_equal(seen, "0,1,2,3,4,5,6,7,");
    sim_world_free(&w);
    setup(NULL);
    net_up(plain);
    send_n(8);
    run(20000);
    assert_string_not_equal(seen, "0,1,2,3,4,5,6,7,");
    assert_int_equal(got[1], 8);
}

static void loss_and_duplicates_come_at_their_rates(void **state)
{
    struct sim_net_profile p = plain;
    p.loss_ppm = 250000;
    p.dup_ppm = 100000;
    net_up(p);
    send_n(4000);
    run(100000);
    assert_in_range(got[1], 3100, 3500);       /* 4000 * 0.75 * 1.1 = 3300 */
}

static void a_cut_is_one_way_and_eats_what_is_under_way(void **state)
{
    net_up(plain);
    send_n(5);
    sim_net_cut(&net, 0, 1, true);
    sim_net_send(&net, 1, 0, 0, slice_str("back"));
    run(20000);
    assert_int_equal(got[1], 0);
    assert_int_equal(got[0], 1);
    sim_net_partition(&net, 1 << 2);            /* {0,1} | {2}: the cut 0 -> 1 is mended */
    send_n(3);
    sim_net_send(&net, 0, 2, 0, slice_str("x"));
    run(40000);
    assert_int_equal(got[1], 3);
    assert_int_equal(got[2], 0);
    sim_net_heal(&net);
    sim_net_send(&net, 0, 2, 0, slice_str("x"));
    run(60000);
    assert_int_equal(got[2], 1);
}

/* ---- chance ---- */

static void chance_is_the_published_one(void **state)
{
    /* xoshiro256** from the state 1, 2, 3, 4: the first outputs of the authors' program. */
    struct sim_rng r = { { 1, 2, 3, 4 } };
    assert_true(sim_rng_next(&r) == 11520u);
    assert_true(sim_rng_next(&r) == 0u);
    assert_true(sim_rng_next(&r) == 1509978240u);
    assert_true(sim_rng_next(&r) == 1215971899390074240u);
}

static void the_exponential_has_its_mean(void **state)
{
    int64_t sum = 0;
    for (int i = 0; i < 20000; i++)
        sum += sim_rng_exponential(&w.rng, 1000);
    assert_in_range(sum / 20000, 960, 1040);
}

static uint64_t busy_world(uint64_t seed)
{
    sim_world_free(&w);
    sim_world_init(&w, seed);
    struct sim_net_profile p = plain;
    p.loss_ppm = 100000;
    net_up(p);
    for (int i = 0; i < 50; i++) {
        send_n(4);
        if (i % 10 == 5)
            sim_node_pause(&w, 1, 700);
        run(w.now_us + 300);
    }
    return w.trace_hash;
}

static void the_same_seed_gives_the_same_trace(void **state)
{
    assert_true(busy_world(7) == busy_world(7));
    assert_true(busy_world(7) != busy_world(8));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(events_run_by_time_then_by_order_of_creation),
        T(what_was_due_in_another_life_is_lost),
        T(a_paused_node_catches_up_in_order),
        T(clocks_drift_and_leap_but_monotonic_time_never_goes_back),
        T(without_faults_everything_arrives_once),
        T(an_ordered_lane_keeps_its_order_and_another_does_not),
        T(loss_and_duplicates_come_at_their_rates),
        T(a_cut_is_one_way_and_eats_what_is_under_way),
        T(chance_is_the_published_one),
        T(the_exponential_has_its_mean),
        T(the_same_seed_gives_the_same_trace),
    };
    return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
