/*
 * test_absence.c - a member that was itself away (no core, SIGSTOP): silence that it could not have heard counts for nothing,
 * and what waits in its sockets is read before anybody is missed. What really is silent is missed as soon as ever.
 */
#include "../unit.h"
#include "../../lib/raft_ring.h"

static struct rr *s;
static uint32_t l, f, g;                /* leader, two followers */

static void ring(uint64_t seed)
{
    s = rr_new(3, seed);
    rr_start(s);
    l = rr_elect(s);
    f = l % 3 + 1;
    g = f % 3 + 1;
    rr_run(s, 200);
    s->by_hand = true;
}

static int end(void **state)
{
    unsigned n = s ? s->broken : 0;
    if (n)
        fprintf(stderr, "# %s\n", s->text);
    if (s)
        rr_free(s);
    s = NULL;
    return n ? -1 : 0;
}

static void clock_of(uint32_t id) { assert_ok(rr_feed(s, id, (struct raft_event){ .type = RAFT_E_CLOCK })); }

/* Any event but a message and the clock: here its log's thread, with nothing new. */
static void any_event(uint32_t id) { assert_ok(rr_feed(s, id, (struct raft_event){ .type = RAFT_E_APPENDED })); }

/* All but the one live on; what is sent to it waits. */
static void without(uint32_t away, int64_t ms)
{
    while (ms-- > 0) {
        s->now++;
        for (uint32_t i = 1; i <= 3; i++) {
            if (i == away)
                continue;
            while (rr_deliver(s, 0, i, 1) > 0)
                ;
            rr_complete(s, i, s->node[i].n_writes);
            if (raft_wake(s->node[i].r).ms <= s->now)
                clock_of(i);
        }
    }
}

static bool sent(uint8_t type)
{
    for (size_t i = 0; i < s->out.n; i++)
        if (s->out.e[i].type == RAFT_F_SEND && s->out.e[i].msg.type == type)
            return true;
    return false;
}

static void a_follower_that_was_away_reads_before_it_misses_its_leader(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        ring(seed);
        uint64_t term = rr_status(s, l).term;
        without(f, 400);
        any_event(f);
        assert_int_equal(rr_status(s, f).role, RAFT_FOLLOWER);
        assert_true(rr_deliver(s, g, f, 1) + rr_deliver(s, l, f, 1000) > 0);
        clock_of(f);
        assert_int_equal(rr_status(s, f).leader, l);
        s->by_hand = false;
        rr_run(s, 1000);
        assert_int_equal(rr_leader(s), l);
        assert_int_equal(rr_status(s, l).term, term);
        assert_int_equal(end(NULL), 0);
    }
}

/* One whose leader is really gone asks one who has not read yet that it is not. */
static void who_was_away_gives_no_vote_against_a_leader_it_has_not_read(void **state)
{
    struct raft_msg m;
    ring(2);
    without(f, 400);
    m = (struct raft_msg){ .type = RAFT_M_PREVOTE, .from = g, .to = f, .from_incarnation = 0x100 + g, .to_incarnation = 0x100 + f,
                           .ring = s->config.ring, .term = rr_status(s, g).term + 1, .index = 1000, .log_term = rr_status(s, g).last_term };
    assert_ok(rr_feed(s, f, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &m }));
    assert_false(sent(RAFT_M_PREVOTE_REPLY));
    assert_int_equal(rr_status(s, f).leader, l);
}

static void a_leader_that_was_away_reads_before_it_steps_down(void **state)
{
    ring(3);
    /* An answer is under way when it falls asleep. */
    while (raft_wake(s->node[l].r).ms > s->now)
        s->now++;
    clock_of(l);
    assert_true(rr_deliver(s, l, f, 1) == 1);
    s->now += 120;
    any_event(l);
    s->now += 60;
    any_event(l);
    assert_int_equal(rr_status(s, l).role, RAFT_LEADER);
    assert_true(rr_deliver(s, f, l, 1) == 1);
    clock_of(l);
    assert_int_equal(rr_status(s, l).role, RAFT_LEADER);
}

/* The whole machine stood still, so nothing waits: the leader has a heartbeat's time to wake as well, once. */
static void a_late_clock_gives_the_leader_one_heartbeat_more(void **state)
{
    ring(4);
    s->now = raft_wake(s->node[f].r).ms + 1000;
    clock_of(f);
    assert_false(sent(RAFT_M_PREVOTE));
    int64_t due = raft_wake(s->node[f].r).ms;
    assert_true(due > s->now && due <= s->now + 2 * s->config.heartbeat_ms);
    s->now = due + 1000;
    clock_of(f);
    assert_true(sent(RAFT_M_PREVOTE));
}

static void all_that_stood_still_together_keep_their_leader(void **state)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        ring(seed);
        uint64_t term = rr_status(s, l).term;
        s->now += 200 + (int64_t) (seed * 37 % 1000);
        s->by_hand = false;
        rr_run(s, 1000);
        assert_int_equal(rr_leader(s), l);
        assert_int_equal(rr_status(s, l).term, term);
        assert_int_equal(end(NULL), 0);
    }
}

static void a_leader_whose_clock_was_late_needs_answers_still(void **state)
{
    ring(5);
    int64_t since = s->now += 1000;
    clock_of(l);
    assert_int_equal(rr_status(s, l).role, RAFT_LEADER);
    assert_true(sent(RAFT_M_HEARTBEAT));
    (void) rr_drop(s, 0, 0);
    while (rr_status(s, l).role == RAFT_LEADER) {
        s->now = raft_wake(s->node[l].r).ms;
        clock_of(l);
        assert_true(s->now - since <= (int64_t) (RAFT_UNHEARD_ELECTIONS * s->config.election_ms + 2 * s->config.heartbeat_ms));
    }
}

/* Each question is a heartbeat and puts the next one off. */
static void a_leader_that_is_asked_all_the_time_needs_answers_still(void **state)
{
    ring(7);
    int64_t since = s->now;
    for (uint64_t read = 1; rr_status(s, l).role == RAFT_LEADER; read++) {
        s->now++;
        (void) rr_read(s, l, read);
        (void) rr_drop(s, 0, 0);
        if (raft_wake(s->node[l].r).ms <= s->now)
            clock_of(l);
        assert_true(s->now - since <= (int64_t) (RAFT_UNHEARD_ELECTIONS * s->config.election_ms + 2 * s->config.heartbeat_ms));
    }
}

/* The kernel's word is no silence. */
static void a_lost_connection_needs_no_second_chance(void **state)
{
    ring(6);
    assert_ok(rr_feed(s, f, (struct raft_event){ .type = RAFT_E_UNREACHABLE, .peer = l }));
    s->now = raft_wake(s->node[f].r).ms + 300;
    clock_of(f);
    assert_true(sent(RAFT_M_PREVOTE));
}

/* The other follower is asked in time: its lease on the leader ends by its own clock, though its own timeout is later. */
static void a_silent_leader_is_replaced_as_soon_as_ever(void **state)
{
    int64_t sum = 0, worst = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        ring(seed);
        s->by_hand = false;
        rr_crash(s, l);
        int64_t since = s->now;
        assert_true(rr_elect(s) != l);
        sum += s->now - since;
        worst = s->now - since > worst ? s->now - since : worst;
        assert_int_equal(end(NULL), 0);
    }
    print_message("# replaced after %lld ms, at worst %lld\n", (long long) sum / 200, (long long) worst);
    assert_true(sum / 200 <= 200 && worst <= 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_follower_that_was_away_reads_before_it_misses_its_leader, end),
        cmocka_unit_test_teardown(who_was_away_gives_no_vote_against_a_leader_it_has_not_read, end),
        cmocka_unit_test_teardown(a_leader_that_was_away_reads_before_it_steps_down, end),
        cmocka_unit_test_teardown(a_late_clock_gives_the_leader_one_heartbeat_more, end),
        cmocka_unit_test_teardown(all_that_stood_still_together_keep_their_leader, end),
        cmocka_unit_test_teardown(a_leader_whose_clock_was_late_needs_answers_still, end),
        cmocka_unit_test_teardown(a_leader_that_is_asked_all_the_time_needs_answers_still, end),
        cmocka_unit_test_teardown(a_lost_connection_needs_no_second_chance, end),
        cmocka_unit_test_teardown(a_silent_leader_is_replaced_as_soon_as_ever, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
