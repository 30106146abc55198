/* test_election.c - who becomes leader, who stays; scenarios 1 to 11 of docs/design/raft-scenarios.md */
#include "../unit.h"
#include "../../lib/raft_ring.h"

static struct rr *s;

static void ring(unsigned n)
{
    s = rr_new(n, 4711);
    rr_start(s);
}

static int end(void **state)
{
    unsigned n = s->broken;
    if (n)
        fprintf(stderr, "# %s\n", s->text);
    rr_free(s);
    return n ? -1 : 0;
}

static struct raft_event vote(uint32_t from, uint32_t to, uint64_t term, struct raft_msg *m)
{
    *m = (struct raft_msg){ .type = RAFT_M_VOTE, .from = from, .to = to, .from_incarnation = 0x100 + from,
                            .to_incarnation = 0x100 + to, .ring = s->config.ring, .term = term, .flags = RAFT_MF_TRANSFER };
    return (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = m };
}

/* The effect of the last step that sends that kind of message; NULL. */
static const struct raft_effect *sent(uint8_t type)
{
    for (size_t i = 0; i < s->out.n; i++)
        if (s->out.e[i].type == RAFT_F_SEND && s->out.e[i].msg.type == type)
            return &s->out.e[i];
    return NULL;
}

static void three_elect_one(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    assert_true(l > 0);
    assert_ok(rr_propose(s, l, 7));
    rr_run(s, 100);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(rr_status(s, i).commit, 2);
        assert_int_equal(rr_status(s, i).leader, l);
    }
}

/* Else it could lead twice in one term across a crash, and the second time have learners that heard the first. */
static void one_alone_leads_as_soon_as_its_term_is_durable(void **state)
{
    ring(1);
    assert_int_equal(rr_status(s, 1).role, RAFT_CANDIDATE);
    rr_complete(s, 1, 1);
    assert_int_equal(rr_status(s, 1).role, RAFT_LEADER);
    assert_int_equal(rr_status(s, 1).commit, 0);
    rr_complete(s, 1, 1);
    assert_int_equal(rr_status(s, 1).commit, 1);
}

/* scenario 1 */
static void a_vote_is_given_once_a_term_also_across_a_crash(void **state)
{
    struct raft_msg m;
    ring(3);
    s->by_hand = true;
    assert_ok(rr_feed(s, 1, vote(2, 1, 5, &m)));
    assert_false(sent(RAFT_M_VOTE_REPLY)->msg.flags & RAFT_MF_REJECT);
    assert_ok(rr_feed(s, 1, vote(3, 1, 5, &m)));
    assert_true(sent(RAFT_M_VOTE_REPLY)->msg.flags & RAFT_MF_REJECT);
    rr_complete(s, 1, 8);
    rr_restart(s, 1);
    assert_ok(rr_feed(s, 1, vote(3, 1, 5, &m)));
    assert_true(sent(RAFT_M_VOTE_REPLY)->msg.flags & RAFT_MF_REJECT);
    assert_ok(rr_feed(s, 1, vote(2, 1, 5, &m)));
    assert_false(sent(RAFT_M_VOTE_REPLY)->msg.flags & RAFT_MF_REJECT);
}

/* scenario 2 */
static void a_vote_leaves_only_when_it_is_durable(void **state)
{
    struct raft_msg m;
    ring(3);
    s->by_hand = true;
    assert_ok(rr_feed(s, 1, vote(2, 1, 5, &m)));
    uint64_t seq = 0;
    for (size_t i = 0; i < s->out.n; i++)
        if (s->out.e[i].type == RAFT_F_APPEND && s->out.e[i].append.vote == 2)
            seq = s->out.e[i].append.seq;
    assert_true(seq > 0);
    assert_int_equal(sent(RAFT_M_VOTE_REPLY)->after, seq);
    assert_int_equal(rr_deliver(s, 1, 2, 1), 0);
    rr_complete(s, 1, 8);
    assert_int_equal(rr_deliver(s, 1, 2, 1), 1);
}

/* scenario 2 */
static void a_candidate_counts_its_own_vote_only_when_durable(void **state)
{
    ring(3);
    s->disk_ms = 100000;
    s->node[2].disk_stalled = s->node[3].disk_stalled = true;
    rr_run(s, 1000);
    assert_int_equal(rr_leader(s), 0);
}

/* scenario 3 */
static void a_higher_last_term_beats_a_longer_log(void **state)
{
    struct raft_msg m;
    ring(3);
    uint32_t l = rr_elect(s);
    for (int i = 0; i < 10; i++)
        assert_ok(rr_propose(s, l, 1));
    rr_run(s, 50);
    uint32_t v = l % 3 + 1, other = v % 3 + 1;
    uint64_t term = rr_status(s, v).term;
    struct raft_event e = vote(other, v, term + 5, &m);
    m.index = 100;
    m.log_term = rr_status(s, v).last_term - 1;
    assert_ok(rr_feed(s, v, e));
    assert_true(sent(RAFT_M_VOTE_REPLY)->msg.flags & RAFT_MF_REJECT);
    e = vote(other, v, term + 6, &m);
    m.index = 1;
    m.log_term = rr_status(s, v).last_term + 1;
    assert_ok(rr_feed(s, v, e));
    assert_false(sent(RAFT_M_VOTE_REPLY)->msg.flags & RAFT_MF_REJECT);
}

/* scenario 4 */
static void late_and_repeated_votes_do_not_count(void **state)
{
    ring(5);
    s->by_hand = true;
    while (rr_status(s, 1).role != RAFT_PRECANDIDATE)
        rr_run(s, 1);
    uint64_t term = rr_status(s, 1).term;
    struct raft_msg m = { .type = RAFT_M_PREVOTE_REPLY, .from = 2, .to = 1, .from_incarnation = 0x102, .to_incarnation = 0x101,
                          .ring = s->config.ring, .term = term + 1 };
    struct raft_event e = { .type = RAFT_E_MESSAGE, .msg = &m };
    for (int i = 0; i < 5; i++)
        assert_ok(rr_feed(s, 1, e));
    assert_int_equal(rr_status(s, 1).role, RAFT_PRECANDIDATE);
    m.from = 3;
    m.from_incarnation = 0x103;
    assert_ok(rr_feed(s, 1, e));
    assert_int_equal(rr_status(s, 1).role, RAFT_CANDIDATE);
    rr_complete(s, 1, 8);
    m.from = 4;
    m.from_incarnation = 0x104;
    assert_ok(rr_feed(s, 1, e));        /* a pre-vote's answer is no vote */
    m.type = RAFT_M_VOTE_REPLY;
    m.term = term;
    assert_ok(rr_feed(s, 1, e));        /* nor is one of an earlier term */
    assert_int_equal(rr_status(s, 1).role, RAFT_CANDIDATE);
    m.term = term + 1;
    for (int i = 0; i < 5; i++)
        assert_ok(rr_feed(s, 1, e));
    assert_int_equal(rr_status(s, 1).role, RAFT_CANDIDATE);
    m.from = 5;
    m.from_incarnation = 0x105;
    assert_ok(rr_feed(s, 1, e));
    assert_int_equal(rr_status(s, 1).role, RAFT_LEADER);
}

/* scenario 5 */
static void who_is_cut_off_raises_no_term(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), f = l % 3 + 1;
    uint64_t term = rr_status(s, l).term;
    rr_isolate(s, f, true);
    rr_run(s, 30000);
    rr_isolate(s, f, false);
    rr_run(s, 1000);
    assert_int_equal(rr_leader(s), l);
    assert_int_equal(rr_status(s, f).term, term);
    assert_int_equal(rr_status(s, f).leader, l);
}

/* scenario 6: 2 hears only 4, 3 only 5, the rest is whole; 1 is the hub */
static void a_hub_and_its_spokes_keep_a_leader(void **state)
{
    ring(5);
    assert_true(rr_elect(s) > 0);
    static const uint8_t ways[][2] = { { 4, 2 }, { 5, 3 }, { 1, 4 }, { 1, 5 }, { 1, 2 } };
    memset(s->cut, 1, sizeof s->cut);
    for (unsigned i = 0; i < 5; i++)
        s->cut[ways[i][0]][ways[i][1]] = s->cut[ways[i][1]][ways[i][0]] = false;
    rr_run(s, 5000);
    uint32_t l = rr_elect(s);
    uint64_t term = rr_status(s, l).term;
    rr_run(s, 10000);
    assert_int_equal(rr_leader(s), l);
    assert_int_equal(rr_status(s, l).term, term);
    assert_ok(rr_propose(s, l, 1));
    rr_run(s, 500);
    assert_int_equal(rr_status(s, l).commit, rr_status(s, l).last);
}

/* scenarios 6 and 7 */
static void a_leader_that_hears_nobody_steps_down_and_another_follows(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    for (uint32_t i = 1; i <= 3; i++)
        s->cut[i][l] = true;
    rr_run(s, 3 * s->config.election_ms);
    assert_int_equal(rr_status(s, l).role, RAFT_LEADER);        /* late answers are no reason yet */
    rr_run(s, 2 * s->config.election_ms);
    assert_int_not_equal(rr_status(s, l).role, RAFT_LEADER);
    rr_run(s, 4 * s->config.election_ms);
    uint32_t l2 = rr_elect(s);
    assert_int_not_equal(l2, l);
    assert_int_equal(rr_status(s, l2).role, RAFT_LEADER);
}

/* scenario 6 */
static void a_leader_that_nobody_hears_is_replaced(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    for (uint32_t i = 1; i <= 3; i++)
        s->cut[l][i] = true;
    rr_run(s, 1500);
    uint32_t l2 = rr_elect(s);
    assert_int_not_equal(l2, l);
    assert_int_not_equal(rr_status(s, l).role, RAFT_LEADER);
}

/* scenario 8 */
static void a_learner_votes_when_it_is_asked(void **state)
{
    struct raft_msg m;
    s = rr_new(2, 1);
    s->node[1].base_conf.m[1].role = s->node[2].base_conf.m[1].role = RAFT_LEARNER;
    rr_start(s);
    s->by_hand = true;
    struct raft_event e = vote(1, 2, 9, &m);
    assert_ok(rr_feed(s, 2, e));
    assert_false(sent(RAFT_M_VOTE_REPLY)->msg.flags & RAFT_MF_REJECT);
}

/* scenario 8 */
static void a_removed_member_disturbs_nobody(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), f = l % 3 + 1;
    rr_run(s, 200);
    rr_isolate(s, f, true);
    assert_ok(rr_change(s, l, RAFT_REMOVE, f));
    rr_run(s, 300);
    assert_int_equal(raft_conf(s->node[l].r)->n, 2);
    uint64_t term = rr_status(s, l).term;
    rr_isolate(s, f, false);
    rr_run(s, 20000);
    assert_int_equal(rr_leader(s), l);
    assert_int_equal(rr_status(s, l).term, term);
}

/* scenario 9 */
static void a_follower_with_a_slow_disk_stays_follower(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), f = l % 3 + 1;
    uint64_t term = rr_status(s, l).term;
    s->node[f].disk_stalled = true;
    for (int i = 0; i < 50; i++) {
        (void) rr_propose(s, l, 3);
        rr_run(s, 100);
    }
    assert_int_equal(rr_leader(s), l);
    assert_int_equal(rr_status(s, f).term, term);
    assert_int_equal(rr_status(s, l).commit, rr_status(s, l).last);
}

/* scenario 10 */
static void a_leader_whose_disk_hangs_hands_over(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    rr_run(s, 200);
    s->node[l].disk_stalled = true;
    (void) rr_propose(s, l, 3);
    rr_run(s, 3000);
    uint32_t l2 = rr_elect(s);
    assert_int_not_equal(l2, l);
    assert_int_not_equal(rr_status(s, l).role, RAFT_LEADER);
    assert_ok(rr_propose(s, l2, 4));
    rr_run(s, 300);
    assert_int_equal(rr_status(s, l2).commit, rr_status(s, l2).last);
}

/* scenario 10 */
static void a_short_stall_of_the_disk_changes_nothing(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    uint64_t term = rr_status(s, l).term;
    s->node[l].disk_stalled = true;
    (void) rr_propose(s, l, 3);
    rr_run(s, 300);
    s->node[l].disk_stalled = false;
    rr_run(s, 1000);
    assert_int_equal(rr_leader(s), l);
    assert_int_equal(rr_status(s, l).term, term);
}

/* scenario 28 */
static void a_wiped_disk_has_no_vote_under_its_old_name(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), f = l % 3 + 1, g = f % 3 + 1;
    rr_run(s, 100);
    rr_wipe(s, f);
    rr_boot(s, f, RAFT_START_CLEAN, 0, 0);
    rr_run(s, 1000);
    assert_int_equal(rr_status(s, f).last, 0);          /* it is not spoken to */
    rr_crash(s, g);
    rr_run(s, 2000);
    assert_int_equal(rr_leader(s), 0);                  /* two of three are gone: a wiped one does not count */
    rr_restart(s, g);
    assert_true(rr_elect(s) > 0);
}

/* A broken connection is news; a timeout is the lack of it. */
static void who_loses_the_connection_to_a_dead_leader_stands_soon(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    rr_run(s, 200);
    rr_crash(s, l);
    for (uint32_t i = 1; i <= 3; i++)
        if (i != l)
            assert_ok(rr_feed(s, i, (struct raft_event){ .type = RAFT_E_UNREACHABLE, .peer = l }));
    int64_t since = s->now;
    assert_true(rr_elect(s) != l);
    assert_true(s->now - since < 60);
}

/* ... and who loses it to a leader that lives disturbs nobody. */
static void a_broken_connection_alone_elects_nobody(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    rr_run(s, 200);
    uint64_t term = rr_status(s, l).term;
    for (int k = 0; k < 50; k++) {
        uint32_t f = l % 3 + 1;
        assert_ok(rr_feed(s, f, (struct raft_event){ .type = RAFT_E_UNREACHABLE, .peer = l }));
        s->cut[l][f] = s->cut[f][l] = true;
        rr_run(s, 25);
        s->cut[l][f] = s->cut[f][l] = false;
        rr_run(s, 100);
        assert_int_equal(rr_status(s, f).leader, l);
    }
    assert_int_equal(rr_status(s, l).term, term);
    assert_int_equal(rr_status(s, l).role, RAFT_LEADER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(three_elect_one, end),
        cmocka_unit_test_teardown(one_alone_leads_as_soon_as_its_term_is_durable, end),
        cmocka_unit_test_teardown(a_vote_is_given_once_a_term_also_across_a_crash, end),
        cmocka_unit_test_teardown(a_vote_leaves_only_when_it_is_durable, end),
        cmocka_unit_test_teardown(a_candidate_counts_its_own_vote_only_when_durable, end),
        cmocka_unit_test_teardown(a_higher_last_term_beats_a_longer_log, end),
        cmocka_unit_test_teardown(late_and_repeated_votes_do_not_count, end),
        cmocka_unit_test_teardown(who_is_cut_off_raises_no_term, end),
        cmocka_unit_test_teardown(who_loses_the_connection_to_a_dead_leader_stands_soon, end),
        cmocka_unit_test_teardown(a_broken_connection_alone_elects_nobody, end),
        cmocka_unit_test_teardown(a_hub_and_its_spokes_keep_a_leader, end),
        cmocka_unit_test_teardown(a_leader_that_hears_nobody_steps_down_and_another_follows, end),
        cmocka_unit_test_teardown(a_leader_that_nobody_hears_is_replaced, end),
        cmocka_unit_test_teardown(a_learner_votes_when_it_is_asked, end),
        cmocka_unit_test_teardown(a_removed_member_disturbs_nobody, end),
        cmocka_unit_test_teardown(a_follower_with_a_slow_disk_stays_follower, end),
        cmocka_unit_test_teardown(a_leader_whose_disk_hangs_hands_over, end),
        cmocka_unit_test_teardown(a_short_stall_of_the_disk_changes_nothing, end),
        cmocka_unit_test_teardown(a_wiped_disk_has_no_vote_under_its_old_name, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
