/* test_membership.c - changes of members and of leaders; scenarios 23 to 32 */
#include "../unit.h"
#include "../../lib/raft_ring.h"

static struct rr *s;

static void ring(unsigned n)
{
    s = rr_new(n, 31);
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

static uint32_t next(uint32_t id) { return id % 3 + 1; }

static bool whole(struct rr *r)
{
    uint32_t l = rr_leader(r);
    return l && !raft_conf(r->node[l].r)->joint && rr_status(r, l).conf_index <= rr_status(r, l).commit;
}

/* scenario 29 */
static void one_grows_to_three(void **state)
{
    ring(1);
    rr_run(s, 10);
    for (uint32_t id = 2; id <= 3; id++) {
        assert_int_equal(rr_join(s), id);
        assert_ok(rr_change(s, 1, RAFT_ADD_LEARNER, id));
        rr_run(s, 100);
        assert_int_equal(rr_status(s, id).commit, rr_status(s, 1).commit);
        assert_ok(rr_change(s, 1, RAFT_PROMOTE, id));
        assert_true(rr_run_until(s, 1000, whole));
    }
    assert_int_equal(raft_conf(s->node[1].r)->n, 3);
    rr_crash(s, 1);
    rr_run(s, 1000);
    assert_true(rr_leader(s) > 1);
}

/* scenario 29 */
static void who_is_not_there_becomes_no_voter(void **state)
{
    ring(1);
    rr_run(s, 10);
    rr_join(s);
    rr_crash(s, 2);
    assert_ok(rr_change(s, 1, RAFT_ADD_LEARNER, 2));
    rr_run(s, 500);
    assert_err(rr_change(s, 1, RAFT_PROMOTE, 2), REEVE_E_UNAVAILABLE);
    assert_ok(rr_propose(s, 1, 1));
    rr_run(s, 50);
    assert_int_equal(rr_status(s, 1).commit, rr_status(s, 1).last);
}

/* scenario 23 */
static void no_change_before_the_first_commit_of_the_term_and_one_at_a_time(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    rr_run(s, 100);
    s->by_hand = true;
    assert_ok(rr_change(s, l, RAFT_REMOVE, next(l)));
    assert_err(rr_change(s, l, RAFT_REMOVE, next(next(l))), REEVE_E_AGAIN);
    s->by_hand = false;
    rr_run(s, 500);
    rr_crash(s, l);
    /* the next leader, as long as its first entry is not stored by others */
    rr_restart(s, l);
    uint32_t l2 = 0;
    for (int i = 0; i < 3000 && l2 == 0; i++) {
        rr_run(s, 1);
        l2 = rr_leader(s);
    }
    assert_true(l2 > 0);
    if (!rr_status(s, l2).committed_in_term)
        assert_err(rr_change(s, l2, RAFT_READDRESS, l2), REEVE_E_AGAIN);
}

/* scenario 24 */
static void while_joint_both_majorities_are_needed(void **state)
{
    s = rr_new(3, 31);
    rr_start(s);
    uint32_t l = rr_elect(s);
    for (uint32_t id = 4; id <= 5; id++) {
        rr_join(s);
        assert_ok(rr_change(s, l, RAFT_ADD_LEARNER, id));
        rr_run(s, 200);
    }
    uint32_t a = next(l), b = next(a);
    /* {l, a, b} becomes {l, 4, 5}; the old majority is cut off at that moment */
    struct raft_change ch[] = { { .kind = RAFT_PROMOTE, .id = 4 }, { .kind = RAFT_PROMOTE, .id = 5 }, { .kind = RAFT_REMOVE, .id = a },
                                { .kind = RAFT_REMOVE, .id = b } };
    rr_isolate(s, a, true);
    rr_isolate(s, b, true);
    assert_ok(rr_change_many(s, l, ch, 4));
    uint64_t commit = rr_status(s, l).commit;
    rr_run(s, 100);
    assert_int_equal(rr_status(s, l).commit, commit);       /* {l, 4, 5} alone does not decide */
    rr_isolate(s, a, false);
    assert_true(rr_run_until(s, 3000, whole));
    assert_int_equal(raft_conf(s->node[rr_leader(s)].r)->n, 3);
}

/* scenario 24: the leader dies in every phase of the change; somebody finishes it, once */
static void a_joint_configuration_is_left_by_whoever_leads(void **state)
{
    for (int64_t at = 0; at < 12; at++) {
        s = rr_new(3, (uint64_t) (100 + at));
        rr_start(s);
        uint32_t l = rr_elect(s);
        rr_join(s);
        assert_ok(rr_change(s, l, RAFT_ADD_LEARNER, 4));
        rr_run(s, 200);
        struct raft_change ch[] = { { .kind = RAFT_PROMOTE, .id = 4 }, { .kind = RAFT_REMOVE, .id = next(l) } };
        assert_ok(rr_change_many(s, l, ch, 2));
        rr_run(s, at);
        rr_crash(s, l);
        rr_run(s, 3000);
        assert_true(whole(s));
        rr_restart(s, l);
        rr_run(s, 2000);
        uint32_t l2 = rr_elect(s);
        assert_true(l2 > 0);
        unsigned confs = 0;
        for (uint64_t i = s->node[l2].log.base + 1; i <= rr_status(s, l2).commit; i++)
            confs += s->node[l2].log.e[i].kind == RAFT_CONF;
        assert_true(confs == 1 || confs == 3);
        if (at < 11)
            assert_int_equal(end(NULL), 0);
    }
}

/* scenario 24, 31 */
static void a_leader_that_removes_itself_hands_over(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    rr_run(s, 100);
    assert_ok(rr_change(s, l, RAFT_REMOVE, l));
    rr_run(s, (int64_t) s->config.election_ms);
    assert_int_not_equal(rr_status(s, l).role, RAFT_LEADER);
    uint32_t l2 = rr_elect(s);
    assert_int_not_equal(l2, l);
    assert_int_equal(raft_conf(s->node[l2].r)->n, 2);
    uint64_t term = rr_status(s, l2).term;
    rr_run(s, 5000);
    assert_int_equal(rr_status(s, l2).term, term);          /* the removed one stays quiet */
}

/* scenario 31: of {l, a, b} only a and b are left; l and a together are no majority of them */
static void a_leader_on_its_way_out_does_not_count_itself(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), a = next(l), b = next(a);
    rr_run(s, 100);
    assert_ok(rr_change(s, l, RAFT_REMOVE, l));
    while (raft_conf(s->node[l].r)->n == 3)
        rr_run(s, 1);
    rr_isolate(s, b, true);
    rr_drop(s, 0, b);
    uint64_t commit = rr_status(s, l).commit;
    rr_run(s, 50);
    assert_int_equal(rr_status(s, a).last, rr_status(s, l).last);
    assert_int_equal(rr_status(s, l).commit, commit);
    rr_isolate(s, b, false);
    rr_run(s, 100);
    assert_true(rr_status(s, l).commit > commit);
}

/* scenario 25 */
static void a_change_that_is_cut_off_is_undone(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    rr_run(s, 100);
    rr_isolate(s, l, true);
    assert_ok(rr_change(s, l, RAFT_REMOVE, next(l)));
    rr_run(s, 20);
    assert_true(raft_conf(s->node[l].r)->joint);
    rr_run(s, 2000);
    rr_isolate(s, l, false);
    rr_run(s, 1000);
    assert_false(raft_conf(s->node[l].r)->joint);
    assert_int_equal(raft_conf(s->node[l].r)->n, 3);
}

/* scenario 26 */
static void a_snapshot_replaces_a_configuration_that_was_never_committed(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    rr_run(s, 100);
    rr_isolate(s, l, true);
    assert_ok(rr_change(s, l, RAFT_REMOVE, next(l)));
    rr_run(s, 2000);
    assert_true(raft_conf(s->node[l].r)->joint);
    uint32_t l2 = rr_elect(s);
    for (int i = 0; i < 20; i++)
        assert_ok(rr_propose(s, l2, 1));
    rr_run(s, 200);
    rr_compact(s, l2, rr_status(s, l2).commit);
    rr_isolate(s, l, false);
    rr_run(s, 2000);
    assert_int_equal(s->node[l].snaps_installed, 1);
    assert_false(raft_conf(s->node[l].r)->joint);
    assert_int_equal(raft_conf(s->node[l].r)->n, 3);
}

/* scenario 27 */
static void a_snapshot_may_demote_or_remove_its_receiver(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), f = next(l);
    rr_run(s, 100);
    rr_isolate(s, f, true);
    assert_ok(rr_change(s, l, RAFT_DEMOTE, f));
    rr_run(s, 300);
    for (int i = 0; i < 20; i++)
        assert_ok(rr_propose(s, l, 1));
    rr_run(s, 200);
    rr_compact(s, l, rr_status(s, l).commit);
    rr_isolate(s, f, false);
    rr_run(s, 1000);
    assert_int_equal(s->node[f].snaps_installed, 1);
    assert_int_equal(raft_conf_find(raft_conf(s->node[f].r), f)->role, RAFT_LEARNER);
    assert_int_equal(rr_status(s, f).commit, rr_status(s, l).commit);
    rr_crash(s, l);
    rr_crash(s, next(f) == l ? next(l) : next(f));
    rr_run(s, 2000);
    assert_int_equal(rr_status(s, f).role, RAFT_FOLLOWER);  /* a learner does not stand */
}

/* scenario 28 */
static void a_wiped_member_comes_back_under_a_new_number(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), f = next(l);
    rr_run(s, 100);
    rr_wipe(s, f);
    rr_boot(s, f, RAFT_START_CLEAN, 0, 0);
    rr_run(s, 300);
    assert_ok(rr_change(s, l, RAFT_REMOVE, f));
    rr_run(s, 300);
    rr_crash(s, f);
    uint32_t id = rr_join(s);
    assert_ok(rr_change(s, l, RAFT_ADD_LEARNER, id));
    rr_run(s, 300);
    assert_ok(rr_change(s, l, RAFT_PROMOTE, id));
    assert_true(rr_run_until(s, 1000, whole));
    rr_run(s, 50);
    assert_int_equal(rr_status(s, id).commit, rr_status(s, l).commit);
}

/* scenario 30 */
static void the_only_one_with_the_newest_log_may_still_be_elected(void **state)
{
    ring(2);
    uint32_t l = rr_elect(s), f = 3 - l;
    rr_run(s, 100);
    assert_ok(rr_change(s, l, RAFT_REMOVE, l));
    while (raft_conf(s->node[l].r)->joint || rr_status(s, l).conf_index <= 2)
        rr_run(s, 1);
    rr_drop(s, l, f);                   /* the end of the joint configuration reached nobody */
    rr_complete(s, l, 9);
    rr_restart(s, l);
    rr_drop(s, 0, 0);
    assert_int_equal(raft_conf(s->node[l].r)->n, 1);
    assert_true(raft_conf(s->node[f].r)->joint);
    rr_run(s, 5000);
    assert_true(whole(s));
    assert_int_equal(rr_leader(s), f);
}

/* ---- transfer (scenario 32) ---- */

static enum reeve_err transfer(uint32_t from, uint32_t to)
{
    return rr_feed(s, from, (struct raft_event){ .type = RAFT_E_TRANSFER, .peer = to });
}

static void leadership_moves_under_load_without_a_gap(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), f = next(l);
    rr_run(s, 100);
    for (int i = 0; i < 20; i++)
        assert_ok(rr_propose(s, l, 1));
    assert_ok(transfer(l, f));
    assert_err(rr_propose(s, l, 2), REEVE_E_AGAIN);
    rr_run(s, 30);
    assert_int_equal(rr_leader(s), f);
    assert_ok(rr_propose(s, f, 3));
    rr_run(s, 50);
    assert_int_equal(rr_status(s, f).commit, rr_status(s, f).last);
}

static void a_transfer_that_cannot_be_is_refused(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), f = next(l);
    rr_run(s, 100);
    assert_err(transfer(l, l), REEVE_E_INVALID_VALUE);
    assert_err(transfer(l, 7), REEVE_E_INVALID_VALUE);
    assert_err(transfer(f, l), REEVE_E_NOT_LEADER);
    rr_isolate(s, f, true);
    rr_run(s, 300);
    assert_err(transfer(l, f), REEVE_E_UNAVAILABLE);
    rr_join(s);
    assert_ok(rr_change(s, l, RAFT_ADD_LEARNER, 4));
    rr_run(s, 200);
    assert_err(transfer(l, 4), REEVE_E_UNAVAILABLE);
}

static void a_transfer_that_fails_ends_within_a_timeout(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), f = next(l);
    rr_run(s, 100);
    s->cut[l][f] = true;
    assert_ok(rr_propose(s, l, 1));
    assert_ok(transfer(l, f));
    assert_err(transfer(l, f), REEVE_E_AGAIN);
    rr_run(s, (int64_t) s->config.election_ms + 1);
    assert_int_equal(rr_leader(s), l);
    assert_ok(rr_propose(s, l, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_grows_to_three, end),
        cmocka_unit_test_teardown(who_is_not_there_becomes_no_voter, end),
        cmocka_unit_test_teardown(no_change_before_the_first_commit_of_the_term_and_one_at_a_time, end),
        cmocka_unit_test_teardown(while_joint_both_majorities_are_needed, end),
        cmocka_unit_test_teardown(a_joint_configuration_is_left_by_whoever_leads, end),
        cmocka_unit_test_teardown(a_leader_that_removes_itself_hands_over, end),
        cmocka_unit_test_teardown(a_leader_on_its_way_out_does_not_count_itself, end),
        cmocka_unit_test_teardown(a_change_that_is_cut_off_is_undone, end),
        cmocka_unit_test_teardown(a_snapshot_replaces_a_configuration_that_was_never_committed, end),
        cmocka_unit_test_teardown(a_snapshot_may_demote_or_remove_its_receiver, end),
        cmocka_unit_test_teardown(a_wiped_member_comes_back_under_a_new_number, end),
        cmocka_unit_test_teardown(the_only_one_with_the_newest_log_may_still_be_elected, end),
        cmocka_unit_test_teardown(leadership_moves_under_load_without_a_gap, end),
        cmocka_unit_test_teardown(a_transfer_that_cannot_be_is_refused, end),
        cmocka_unit_test_teardown(a_transfer_that_fails_ends_within_a_timeout, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
