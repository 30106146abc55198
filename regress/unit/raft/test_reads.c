/* test_reads.c - ReadIndex; scenarios 33 to 35 */
#include "../unit.h"
#include "../../lib/raft_ring.h"

static struct rr *s;

static void ring(unsigned n)
{
    s = rr_new(n, 41);
    rr_start(s);
}

static int end(void **state)
{
    unsigned n = s->broken;
    rr_free(s);
    return n ? -1 : 0;
}

static uint32_t next(uint32_t id) { return id % 3 + 1; }

static struct raft_msg beat_reply(uint32_t from, uint32_t to, uint64_t term, uint64_t read)
{
    return (struct raft_msg){ .type = RAFT_M_HEARTBEAT_REPLY, .from = from, .to = to, .from_incarnation = 0x100 + from,
        .to_incarnation = 0x100 + to, .ring = s->config.ring, .term = term, .read = read };
}

static void feed(uint32_t to, struct raft_msg m)
{
    assert_ok(rr_feed(s, to, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &m }));
}

/* scenario 33 */
static void a_new_leader_serves_no_read_before_its_first_commit(void **state)
{
    ring(3);
    uint32_t l = 0;
    while (l == 0) {
        rr_run(s, 1);
        l = rr_leader(s);
    }
    assert_false(rr_status(s, l).committed_in_term);
    assert_err(rr_read(s, l, 1), REEVE_E_AGAIN);
    rr_elect(s);
    assert_ok(rr_read(s, l, 2));
    rr_run(s, 10);
    assert_int_equal(s->node[l].n_ok, 1);
}

/* scenario 34 */
static void an_answer_to_an_earlier_round_confirms_nothing(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    uint64_t term = rr_status(s, l).term;
    rr_run(s, 100);
    s->by_hand = true;
    rr_drop(s, 0, 0);
    assert_ok(rr_read(s, l, 1));
    assert_ok(rr_read(s, l, 2));
    feed(l, beat_reply(next(l), l, term, 0));
    assert_int_equal(s->node[l].n_ok, 0);
    feed(l, beat_reply(next(l), l, term, 1));
    assert_int_equal(s->node[l].n_ok, 1);
    feed(l, beat_reply(next(l), l, term, 1));               /* repeated */
    feed(l, beat_reply(next(next(l)), l, term, 1));
    assert_int_equal(s->node[l].n_ok, 1);
    feed(l, beat_reply(next(l), l, term, 2));
    assert_int_equal(s->node[l].n_ok, 2);
    assert_int_equal(s->node[l].reads_ok[1], 2);
}

/* scenario 35 */
static void one_answer_confirms_all_reads_before_it(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    rr_run(s, 100);
    s->by_hand = true;
    rr_drop(s, 0, 0);
    for (uint64_t i = 1; i <= 40; i++)
        assert_ok(rr_read(s, l, i));
    feed(l, beat_reply(next(l), l, rr_status(s, l).term, 40));
    assert_int_equal(s->node[l].n_ok, 40);
}

static void reads_that_wait_are_bounded(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    rr_isolate(s, l, true);
    s->by_hand = true;
    unsigned taken = 0;
    while (rr_read(s, l, taken + 1) == REEVE_OK) {
        taken++;
        rr_drop(s, 0, 0);
    }
    assert_int_equal(taken, RAFT_READS_MAX);
}

/* scenario 34 */
static void a_deposed_leader_gives_its_reads_up(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    rr_run(s, 100);
    rr_isolate(s, l, true);
    for (uint64_t i = 1; i <= 30; i++)
        assert_ok(rr_read(s, l, i));
    rr_run(s, 1000);
    assert_int_equal(s->node[l].n_ok, 0);
    assert_int_equal(s->node[l].n_failed, 30);
}

static void a_follower_reads_through_its_leader(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), f = next(l);
    rr_run(s, 100);
    assert_ok(rr_propose(s, l, 1));
    rr_run(s, 10);
    uint64_t commit = rr_status(s, l).commit;
    assert_ok(rr_read(s, f, 77));
    rr_run(s, 20);
    assert_int_equal(s->node[f].n_ok, 1);
    assert_int_equal(s->node[f].reads_ok[0], 77);
    assert_true(s->node[f].read_index[0] >= commit);
}

/* scenario 35 */
static void while_joint_a_read_needs_both_majorities(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), a = next(l), b = next(a);
    for (uint32_t id = 4; id <= 5; id++) {
        rr_join(s);
        assert_ok(rr_change(s, l, RAFT_ADD_LEARNER, id));
        rr_run(s, 200);
    }
    struct raft_change ch[] = { { .kind = RAFT_PROMOTE, .id = 4 }, { .kind = RAFT_PROMOTE, .id = 5 }, { .kind = RAFT_REMOVE, .id = a },
                                { .kind = RAFT_REMOVE, .id = b } };
    s->by_hand = true;
    assert_ok(rr_change_many(s, l, ch, 4));
    rr_drop(s, 0, 0);
    uint64_t term = rr_status(s, l).term;
    assert_ok(rr_read(s, l, 1));
    feed(l, beat_reply(4, l, term, 1));
    feed(l, beat_reply(5, l, term, 1));
    assert_int_equal(s->node[l].n_ok, 0);
    feed(l, beat_reply(a, l, term, 1));
    assert_int_equal(s->node[l].n_ok, 1);
}

static void one_alone_confirms_at_once(void **state)
{
    ring(1);
    rr_run(s, 10);
    assert_ok(rr_read(s, 1, 5));
    assert_int_equal(s->node[1].n_ok, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_new_leader_serves_no_read_before_its_first_commit, end),
        cmocka_unit_test_teardown(an_answer_to_an_earlier_round_confirms_nothing, end),
        cmocka_unit_test_teardown(one_answer_confirms_all_reads_before_it, end),
        cmocka_unit_test_teardown(reads_that_wait_are_bounded, end),
        cmocka_unit_test_teardown(a_deposed_leader_gives_its_reads_up, end),
        cmocka_unit_test_teardown(a_follower_reads_through_its_leader, end),
        cmocka_unit_test_teardown(while_joint_a_read_needs_both_majorities, end),
        cmocka_unit_test_teardown(one_alone_confirms_at_once, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
