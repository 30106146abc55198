/* test_replication.c - the log: conflicts, commit, durability, windows; scenarios 12 to 21 */
#include "../unit.h"
#include "../../lib/raft_ring.h"

static struct rr *s;

static void ring(unsigned n)
{
    s = rr_new(n, 99);
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

/* ---- one member, driven by hand as follower of 2 ---- */

static uint8_t body[4096];

struct term_run { uint64_t term; unsigned n; };

static struct raft_msg append(uint64_t term, uint64_t prev, uint64_t prev_term, uint64_t commit, const uint64_t *terms, uint32_t n)
{
    struct wr w = wr_fixed(body, sizeof body);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t v[2] = { (uint8_t) terms[i], (uint8_t) (prev + 1 + i) };
        wr_varint(&w, terms[i]);
        wr_u8(&w, RAFT_HOST);
        wr_vbytes(&w, slice_of(v, 2));
    }
    return (struct raft_msg){ .type = RAFT_M_APPEND, .from = 2, .to = 1, .from_incarnation = 0x102, .to_incarnation = 0x101,
        .ring = s->config.ring, .term = term, .index = prev, .log_term = prev_term, .commit = commit, .n_entries = n,
        .data = wr_slice(&w) };
}

static const struct raft_msg *feed(struct raft_msg m)
{
    assert_ok(rr_feed(s, 1, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &m }));
    for (size_t i = 0; i < s->out.n; i++)
        if (s->out.e[i].type == RAFT_F_SEND)
            return &s->out.e[i].msg;
    return NULL;
}

static void by_hand(void)
{
    ring(3);
    s->by_hand = true;
}

/* scenario 13 */
static void an_older_request_takes_nothing_away(void **state)
{
    static const uint64_t t[] = { 1, 1, 1, 1, 1 };
    by_hand();
    feed(append(1, 0, 0, 0, t, 5));
    const struct raft_msg *a = feed(append(1, 0, 0, 0, t, 2));
    assert_int_equal(a->index, 2);
    assert_int_equal(rr_status(s, 1).last, 5);
    feed(append(1, 5, 1, 0, t, 0));
    assert_int_equal(rr_status(s, 1).last, 5);
}

/* scenario 14 */
static void a_conflict_cuts_exactly_from_the_first_difference(void **state)
{
    static const uint64_t t[] = { 1, 1, 2, 2 }, u[] = { 1, 3 };
    by_hand();
    feed(append(2, 0, 0, 0, t, 4));
    feed(append(3, 1, 1, 0, u, 2));
    assert_int_equal(rr_status(s, 1).last, 3);
    assert_int_equal(rr_status(s, 1).last_term, 3);
    uint64_t from = 0;
    for (size_t i = 0; i < s->out.n; i++)
        if (s->out.e[i].type == RAFT_F_APPEND)
            from = s->out.e[i].append.truncate_from;
    assert_int_equal(from, 3);
}

/* scenario 14 */
static void what_is_committed_is_never_cut(void **state)
{
    static const uint64_t t[] = { 1, 1, 1 }, u[] = { 2, 2, 2 };
    by_hand();
    feed(append(1, 0, 0, 3, t, 3));
    assert_int_equal(rr_status(s, 1).commit, 3);
    uint64_t dropped = rr_status(s, 1).dropped;
    feed(append(2, 0, 0, 3, u, 3));
    assert_int_equal(rr_status(s, 1).last_term, 1);
    assert_int_equal(rr_status(s, 1).dropped, dropped + 1);
}

static void what_no_leader_would_send_is_dropped(void **state)
{
    static const uint64_t back[] = { 2, 1 }, ahead[] = { 9 };
    by_hand();
    feed(append(2, 0, 0, 0, back, 2));
    feed(append(2, 0, 0, 0, ahead, 1));
    assert_int_equal(rr_status(s, 1).last, 0);
}

/* scenario 19: A is under way, B takes its place, A comes again; only the last completion counts */
static void the_completion_of_what_was_cut_off_is_not_durable(void **state)
{
    static const uint64_t a[] = { 1, 2 }, b[] = { 3 }, c[] = { 2, 4 };
    by_hand();
    feed(append(2, 0, 0, 0, a, 2));
    feed(append(3, 1, 1, 0, b, 1));
    feed(append(4, 1, 1, 0, c, 2));
    assert_int_equal(rr_status(s, 1).durable, 0);
    rr_complete(s, 1, 1);
    assert_int_equal(rr_status(s, 1).durable, 1);
    rr_complete(s, 1, 1);
    assert_int_equal(rr_status(s, 1).durable, 1);
    rr_complete(s, 1, 1);
    assert_int_equal(rr_status(s, 1).durable, 3);
}

static void an_answer_waits_for_the_append_it_speaks_of(void **state)
{
    static const uint64_t t[] = { 1, 1 };
    struct raft_msg m;
    by_hand();
    m = append(1, 0, 0, 0, t, 1);
    assert_ok(rr_feed(s, 1, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &m }));
    uint64_t first = s->out.e[0].after;
    assert_true(first > 0);
    m = append(1, 1, 1, 0, t, 1);
    assert_ok(rr_feed(s, 1, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &m }));
    assert_true(s->out.e[0].after > first);
    m = append(1, 0, 0, 0, t, 1);       /* repeated: the same append as the first time */
    assert_ok(rr_feed(s, 1, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &m }));
    assert_int_equal(s->out.e[0].after, first);
    rr_complete(s, 1, 9);
    assert_ok(rr_feed(s, 1, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &m }));
    assert_int_equal(s->out.e[0].after, 0);
}

/* scenario 17 */
static void a_heartbeat_commits_only_what_the_peer_holds(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s), f = l % 3 + 1;
    rr_run(s, 100);
    rr_isolate(s, f, true);
    for (int i = 0; i < 5; i++)
        assert_ok(rr_propose(s, l, 1));
    rr_run(s, 100);
    rr_drop(s, 0, 0);
    s->by_hand = true;
    rr_run(s, (int64_t) s->config.heartbeat_ms + 1);
    bool seen = false;
    for (unsigned i = 0; i < RR_QUEUE; i++) {
        struct raft_msg m;
        if (!s->net[i].used || s->net[i].to != f)
            continue;
        assert_ok(raft_msg_decode(&m, slice_of(s->net[i].p, s->net[i].len)));
        struct raft_peer_status p;
        assert_true(raft_peer_status(s->node[l].r, f, &p));
        if (m.type != RAFT_M_HEARTBEAT)
            continue;
        assert_true(m.commit <= p.match && p.match < rr_status(s, l).commit);
        seen = true;
    }
    assert_true(seen);
}

/* scenario 12, both branches: 1 leads in term 2, 5 in 3, 1 again in 4 */
static void figure_8(bool finish)
{
    s = rr_new(5, 5);
    static const struct term_run logs[6][3] = { { { 0, 0 } }, { { 1, 1 }, { 2, 1 } }, { { 1, 1 }, { 2, 1 } }, { { 1, 1 } }, { { 1, 1 } },
                                               { { 1, 1 }, { 3, 1 } } };
    for (uint32_t i = 1; i <= 5; i++) {
        struct rr_log *d = &s->node[i].disk;
        for (unsigned k = 0; k < 3 && logs[i][k].n; k++) {
            struct rr_entry *e = &d->e[++d->last];
            *e = (struct rr_entry){ .term = logs[i][k].term, .len = 2, .kind = RAFT_HOST,
                                    .data = { (uint8_t) logs[i][k].term, (uint8_t) d->last } };
        }
        s->node[i].disk_term = 3;
        s->node[i].disk_commit = 1;
    }
    s->committed[1] = s->node[1].disk.e[1];
    s->committed_last = 1;
    rr_start(s);
    s->by_hand = true;
    rr_crash(s, 5);
    struct raft_msg now = { .type = RAFT_M_TIMEOUT_NOW, .from = 2, .to = 1, .from_incarnation = 0x102, .to_incarnation = 0x101,
                            .ring = s->config.ring, .term = 3 };
    assert_ok(rr_feed(s, 1, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &now }));
    rr_complete(s, 1, 9);
    /* votes of 2 and 3; then 3 is sent the entry of term 2, without that of term 4 */
    rr_deliver(s, 1, 2, 9);
    rr_complete(s, 2, 9);
    rr_deliver(s, 2, 1, 9);
    rr_deliver(s, 1, 3, 9);
    rr_complete(s, 3, 9);
    rr_deliver(s, 3, 1, 9);
    assert_int_equal(rr_status(s, 1).role, RAFT_LEADER);
    assert_int_equal(rr_status(s, 1).last, 3);
    static const uint64_t two[] = { 2 };
    struct raft_msg old = append(4, 1, 1, 1, two, 1);
    old.from = 1;
    old.from_incarnation = 0x101;
    old.to = 3;
    old.to_incarnation = 0x103;
    assert_ok(rr_feed(s, 3, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &old }));
    rr_complete(s, 3, 9);
    /* the answers: 2 on 1, 2, 3 is a majority, but of an old term */
    for (uint32_t i = 2; i <= 3; i++) {
        struct raft_msg a = { .type = RAFT_M_APPEND_REPLY, .from = i, .to = 1, .from_incarnation = 0x100 + i, .to_incarnation = 0x101,
                              .ring = s->config.ring, .term = 4, .index = 2 };
        assert_ok(rr_feed(s, 1, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &a }));
    }
    assert_int_equal(rr_status(s, 1).commit, 1);
    if (finish) {
        rr_complete(s, 1, 9);
        rr_settle(s);
        assert_int_equal(rr_status(s, 1).commit, 3);    /* 8e: with an entry of its own term both are */
        return;
    }
    rr_crash(s, 1);                                     /* 8d: 5 comes back and may overwrite it */
    rr_drop(s, 0, 0);
    rr_boot(s, 5, RAFT_START_CLEAN, 0, 0);
    s->by_hand = false;
    rr_crash(s, 2);
    rr_run(s, 5000);
    uint32_t l = rr_leader(s);
    assert_int_equal(l, 5);
    assert_int_equal(s->node[3].log.e[2].term, 3);
    rr_restart(s, 1);
    rr_restart(s, 2);
    rr_run(s, 2000);
    assert_int_equal(s->node[1].log.e[2].term, 3);
}

static void an_old_terms_majority_commits_nothing_and_may_be_overwritten(void **state) { figure_8(false); }
static void an_entry_of_its_own_term_commits_what_is_before_it(void **state) { figure_8(true); }

/* scenario 15: the seven logs of figure 7 */
static void the_logs_of_figure_7_converge(void **state)
{
    static const struct term_run logs[7][5] = {
        { { 1, 3 }, { 4, 2 }, { 5, 2 }, { 6, 3 } },
        { { 1, 3 }, { 4, 2 }, { 5, 2 }, { 6, 2 } },
        { { 1, 3 }, { 4, 1 } },
        { { 1, 3 }, { 4, 2 }, { 5, 2 }, { 6, 4 } },
        { { 1, 3 }, { 4, 2 }, { 5, 2 }, { 6, 3 }, { 7, 2 } },
        { { 1, 3 }, { 4, 4 } },
        { { 1, 3 }, { 2, 3 }, { 3, 5 } } };
    s = rr_new(7, 3);
    for (uint32_t i = 1; i <= 7; i++) {
        struct rr_log *d = &s->node[i].disk;
        for (unsigned k = 0; k < 5; k++)
            for (unsigned n = 0; n < logs[i - 1][k].n; n++) {
                uint64_t at = ++d->last;
                d->e[at] = (struct rr_entry){ .term = logs[i - 1][k].term, .len = 2, .kind = RAFT_HOST,
                                              .data = { (uint8_t) logs[i - 1][k].term, (uint8_t) at } };
            }
        s->node[i].disk_term = 7;
    }
    rr_start(s);
    rr_run(s, 5000);
    uint32_t l = rr_elect(s);
    assert_true(l > 0);
    for (uint32_t i = 1; i <= 7; i++) {
        assert_int_equal(rr_status(s, i).last, rr_status(s, l).last);
        assert_int_equal(rr_status(s, i).commit, rr_status(s, l).last);
        for (uint64_t k = 1; k <= rr_status(s, l).last; k++)
            assert_int_equal(s->node[i].log.e[k].term, s->node[l].log.e[k].term);
    }
}

/* scenario 15 */
static void many_conflicting_terms_are_passed_quickly(void **state)
{
    s = rr_new(3, 8);
    for (uint32_t i = 1; i <= 3; i++) {
        struct rr_log *d = &s->node[i].disk;
        for (uint64_t k = 1; k <= 200; k++)
            d->e[k] = (struct rr_entry){ .term = 2 * k + (i == 3), .len = 2, .kind = RAFT_HOST, .data = { (uint8_t) k, (uint8_t) i } };
        d->last = i == 3 ? 190 : 200;
        s->node[i].disk_term = 500;
    }
    for (uint64_t k = 1; k <= 200; k++)
        s->node[2].disk.e[k] = s->node[1].disk.e[k];
    rr_start(s);
    rr_run(s, 3000);
    uint32_t l = rr_elect(s);
    assert_int_not_equal(l, 3);
    assert_int_equal(rr_status(s, 3).commit, rr_status(s, l).last);
    assert_int_equal(s->node[3].log.e[100].term, 200);
}

/* scenario 18 */
static void a_full_window_and_lost_messages_go_on(void **state)
{
    s = rr_new(3, 17);
    s->config.window_msgs = 4;
    s->config.append_bytes = 16;
    rr_start(s);
    uint32_t l = rr_elect(s);
    s->loss = 40;
    s->dup = 20;
    s->delay_jitter_ms = 10;
    for (int i = 0; i < 300; i++) {
        (void) rr_propose(s, l, (uint64_t) i);
        rr_run(s, 2);
        for (uint32_t k = 1; k <= 3; k++) {
            struct raft_peer_status p;
            if (raft_peer_status(s->node[l].r, k, &p))
                assert_true(p.next - p.match <= 4 * 2 + 2);
        }
    }
    s->loss = 0;
    rr_run(s, 2000);
    l = rr_elect(s);
    for (uint32_t i = 1; i <= 3; i++)
        assert_int_equal(rr_status(s, i).commit, rr_status(s, l).last);
}

/* scenario 20 */
static void a_leader_that_applied_more_than_its_log_held_restarts(void **state)
{
    ring(3);
    uint32_t l = rr_elect(s);
    rr_run(s, 100);
    s->node[l].disk_stalled = true;
    for (int i = 0; i < 4; i++)
        assert_ok(rr_propose(s, l, (uint64_t) i));
    rr_run(s, 50);
    struct rr_node *n = &s->node[l];
    assert_int_equal(rr_status(s, l).commit, rr_status(s, l).last);         /* by the others' disks */
    assert_true(rr_status(s, l).durable < rr_status(s, l).commit);
    n->base = n->applied;                       /* the state became durable before the log */
    n->base_term = rr_status(s, l).last_term;
    n->disk_stalled = false;
    rr_restart(s, l);
    assert_int_equal(rr_status(s, l).commit, n->base);
    assert_int_equal(rr_status(s, l).last, n->base);
    uint32_t l2 = rr_elect(s);
    assert_ok(rr_propose(s, l2, 9));
    rr_run(s, 500);
    for (uint32_t i = 1; i <= 3; i++)
        assert_int_equal(rr_status(s, i).commit, rr_status(s, l2).last);
}

/* scenario 21 */
static void without_a_quorum_proposals_end_in_busy(void **state)
{
    s = rr_new(3, 2);
    s->config.uncommitted_bytes = 80;
    rr_start(s);
    uint32_t l = rr_elect(s);
    rr_isolate(s, l, true);
    unsigned taken = 0;
    while (rr_propose(s, l, 1) == REEVE_OK)
        taken++;
    assert_int_equal(taken, 10);
    assert_err(rr_propose(s, l, 1), REEVE_E_BUSY);
    rr_isolate(s, l, false);
    rr_run(s, 100);
    assert_int_equal(rr_status(s, l).uncommitted_bytes, 0);
    assert_ok(rr_propose(s, l, 2));
}

/* scenario 41 */
static void a_gap_between_state_and_log_is_found(void **state)
{
    ring(1);
    struct rr_node *n = &s->node[1];
    rr_settle(s);
    for (int i = 0; i < 9; i++)
        assert_ok(rr_propose(s, 1, 1));
    rr_settle(s);
    rr_crash(s, 1);
    n->disk.base = 5;
    n->disk.base_term = 1;
    n->base = 3;
    n->base_term = 1;
    assert_err(rr_try_boot(s, 1, RAFT_START_CLEAN, 0, 0), REEVE_E_CORRUPT);
    n->base = 5;
    assert_ok(rr_try_boot(s, 1, RAFT_START_CLEAN, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_older_request_takes_nothing_away, end),
        cmocka_unit_test_teardown(a_conflict_cuts_exactly_from_the_first_difference, end),
        cmocka_unit_test_teardown(what_is_committed_is_never_cut, end),
        cmocka_unit_test_teardown(what_no_leader_would_send_is_dropped, end),
        cmocka_unit_test_teardown(the_completion_of_what_was_cut_off_is_not_durable, end),
        cmocka_unit_test_teardown(an_answer_waits_for_the_append_it_speaks_of, end),
        cmocka_unit_test_teardown(a_heartbeat_commits_only_what_the_peer_holds, end),
        cmocka_unit_test_teardown(an_old_terms_majority_commits_nothing_and_may_be_overwritten, end),
        cmocka_unit_test_teardown(an_entry_of_its_own_term_commits_what_is_before_it, end),
        cmocka_unit_test_teardown(the_logs_of_figure_7_converge, end),
        cmocka_unit_test_teardown(many_conflicting_terms_are_passed_quickly, end),
        cmocka_unit_test_teardown(a_full_window_and_lost_messages_go_on, end),
        cmocka_unit_test_teardown(a_leader_that_applied_more_than_its_log_held_restarts, end),
        cmocka_unit_test_teardown(without_a_quorum_proposals_end_in_busy, end),
        cmocka_unit_test_teardown(a_gap_between_state_and_log_is_found, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
