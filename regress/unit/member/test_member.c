/* test_member.c - proposals and their outcomes, sessions, reads, snapshots, state hashes, orderly ends */
#include "ring.h"

static struct mr *s;

static void ring(unsigned n)
{
    s = mr_new(n);
    mr_start(s);
}

static int end(void **state)
{
    mr_free(s);
    return 0;
}

static uint32_t follower(uint32_t l) { return l % s->n + 1; }

static void one_alone_takes_a_command_at_once(void **state)
{
    ring(1);
    assert_ok(mr_propose(s, 1, 9, 0, 0, 5));
    mr_run(s, 3);
    struct mr_done *d = mr_done(s, 1, 9);
    assert_non_null(d);
    assert_int_equal(d->outcome, MEMBER_APPLIED);
    assert_int_equal(s->node[1].live.value[0], 5);
}

static void a_command_is_applied_everywhere_and_told_where_it_was_proposed(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s);
    assert_ok(mr_propose(s, l, 1, 0, 0, 100));
    assert_int_equal(mr_wait(s, l, 1)->outcome, MEMBER_APPLIED);
    assert_ok(mr_propose(s, follower(l), 2, 0, 0, 200));
    struct mr_done *d = mr_wait(s, follower(l), 2);
    assert_int_equal(d->outcome, MEMBER_APPLIED);
    assert_int_equal(d->seen, 2);               /* M2: it is in this member's own state by then */
    mr_run(s, 100);
    assert_true(mr_same(s));
    assert_int_equal(s->node[1].live.n, 2);
}

static void a_crowd_shares_entries(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s);
    for (uint64_t i = 1; i <= 1500; i++)
        assert_ok(mr_propose(s, l, i, 0, 0, i));
    mr_run(s, 200);
    for (uint64_t i = 1; i <= 1500; i++)
        assert_int_equal(mr_done(s, l, i)->outcome, MEMBER_APPLIED);
    for (uint64_t i = 0; i < 1500; i++)
        assert_int_equal(s->node[l].live.value[i], i + 1);      /* P1: in the order taken */
    assert_true(mr_status(s, l).batches < 20);
    assert_true(mr_same(s));
}

static void what_waits_for_a_leader_goes_to_it(void **state)
{
    ring(3);
    assert_ok(mr_propose(s, 1, 1, 0, 0, 7));
    assert_ok(mr_propose(s, 2, 2, 0, 0, 8));
    assert_int_equal(mr_wait(s, 1, 1)->outcome, MEMBER_APPLIED);
    assert_int_equal(mr_wait(s, 2, 2)->outcome, MEMBER_APPLIED);
}

static void a_repeated_message_puts_nothing_into_the_log_twice(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s), f = follower(l);
    s->twice = true;
    for (uint64_t i = 1; i <= 100; i++) {
        assert_ok(mr_propose(s, f, i, 0, 0, i));
        mr_run(s, i % 3);
    }
    mr_run(s, 100);
    for (uint64_t i = 1; i <= 100; i++)
        assert_int_equal(mr_done(s, f, i)->outcome, MEMBER_APPLIED);
    assert_int_equal(s->node[l].live.n, 100);
}

/* scenario 34: the answer to a question of an earlier life */
static void an_answer_from_before_a_restart_confirms_nothing(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s), f = follower(l);
    mr_run(s, 100);
    s->cut[f][l] = true;                /* its question arrives nowhere */
    assert_ok(mr_event(s, f, MEMBER_E_READ, 1));
    for (uint64_t id = 0; id < 20; id++) {
        struct raft_msg m = { .type = RAFT_M_READ_REPLY, .from = l, .to = f, .from_incarnation = l + 10, .to_incarnation = f + 10,
                              .ring = 1, .term = mr_status(s, l).raft.term, .read = id };
        (void) mr_feed(s, f, (struct member_event){ .type = MEMBER_E_MESSAGE, .msg = &m });
    }
    mr_run(s, 20);
    assert_null(mr_done(s, f, 1));
    s->cut[f][l] = false;
    assert_int_equal(mr_wait(s, f, 1)->err, REEVE_OK);
}

/* scenario 22 */
static void what_was_never_sent_is_certainly_not_applied(void **state)
{
    ring(3);
    s->config.unknown_ms = 500;
    mr_isolate(s, 1, true);
    mr_isolate(s, 2, true);
    mr_isolate(s, 3, true);
    mr_free(s);
    s = mr_new(3);
    s->config.unknown_ms = 500;
    mr_start(s);
    for (uint32_t i = 1; i <= 3; i++)
        mr_isolate(s, i, true);
    assert_ok(mr_propose(s, 1, 1, 0, 0, 7));
    struct mr_done *d = mr_wait(s, 1, 1);
    assert_int_equal(d->outcome, MEMBER_NOT_APPLIED);
    for (uint32_t i = 1; i <= 3; i++)
        mr_isolate(s, i, false);
    uint32_t l = mr_elect(s);
    assert_ok(mr_propose(s, l, 2, 0, 0, 8));
    mr_wait(s, l, 2);
    mr_run(s, 200);
    assert_int_equal(s->node[l].live.n, 1);
}

/* scenario 22 */
static void what_a_lost_leader_took_is_unknown_and_repeated_in_a_session_applied_once(void **state)
{
    s = mr_new(3);
    s->config.unknown_ms = 1000;
    mr_start(s);
    uint32_t l = mr_elect(s), f = follower(l);
    assert_ok(mr_event(s, f, MEMBER_E_OPEN, 1));
    uint64_t session = mr_wait(s, f, 1)->id;
    assert_true(session > 0);
    /* the leader takes it and tells nobody of the others */
    assert_ok(mr_propose(s, l, 2, session, 1, 77));
    s->cut[f][l] = s->cut[follower(f)][l] = true;       /* it never hears that it was stored */
    mr_run(s, 20);
    mr_isolate(s, l, true);
    assert_int_equal(mr_wait(s, l, 2)->outcome, MEMBER_UNKNOWN);
    uint32_t l2 = mr_elect(s);
    assert_int_not_equal(l2, l);
    assert_ok(mr_propose(s, f, 3, session, 1, 77));
    struct mr_done *d = mr_wait(s, f, 3);
    assert_true(d->outcome == MEMBER_DUPLICATE || d->outcome == MEMBER_APPLIED);
    mr_isolate(s, l, false);
    mr_run(s, 1000);
    assert_int_equal(s->node[f].live.n, 1);
    assert_true(mr_same(s));
}

/* The log says so: what has a higher term stands behind all that has a lower one. */
static void what_did_not_reach_a_lost_leader_is_certainly_not_applied_as_soon_as_the_next_one_commits(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s), f = follower(l);
    mr_run(s, 100);
    s->cut[f][l] = true;
    assert_ok(mr_propose(s, f, 1, 0, 0, 7));
    mr_run(s, 5);
    mr_isolate(s, l, true);
    int64_t since = s->now;
    struct mr_done *d = mr_wait(s, f, 1);
    assert_int_equal(d->outcome, MEMBER_NOT_APPLIED);
    assert_int_equal(d->err, REEVE_E_NOT_LEADER);
    assert_true(s->now - since < 1000);
    assert_ok(mr_propose(s, f, 2, 0, 0, 8));
    assert_int_equal(mr_wait(s, f, 2)->outcome, MEMBER_APPLIED);
    mr_isolate(s, l, false);
    s->cut[f][l] = false;
    mr_run(s, 1000);
    assert_int_equal(s->node[f].live.n, 1);
    assert_true(mr_same(s));
}

/* ... and what the leader itself took and could not send. */
static void a_leader_that_comes_back_knows_what_became_of_its_own(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s);
    mr_run(s, 100);
    mr_isolate(s, l, true);
    assert_ok(mr_propose(s, l, 1, 0, 0, 7));
    mr_run(s, 700);
    assert_null(mr_done(s, l, 1));
    mr_isolate(s, l, false);
    mr_run(s, 200);
    assert_int_equal(mr_wait(s, l, 1)->outcome, MEMBER_NOT_APPLIED);
    mr_run(s, 500);
    assert_int_equal(s->node[l].live.n, 0);
    assert_true(mr_same(s));
}

/* What the lost leader had spread is found in the log: no second attempt, no doubt. */
static void what_a_lost_leader_had_spread_is_applied(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s), f = follower(l), g = follower(f);
    mr_run(s, 100);
    s->cut[f][l] = s->cut[g][l] = true;                 /* it spreads, and hears of nothing */
    assert_ok(mr_propose(s, l, 9, 0, 0, 7));
    mr_run(s, 5);
    mr_crash(s, l);
    mr_elect(s);
    mr_run(s, 500);
    assert_int_equal(s->node[f].live.n, 1);
}

/* A forwarded batch that was on its way for long, in the same number of words as a fresh one. */
static void what_was_sent_in_an_earlier_term_is_not_taken(void **state)
{
    uint8_t bytes[128];
    ring(3);
    uint32_t l = mr_elect(s), f = follower(l);
    mr_run(s, 100);
    struct wr w = wr_fixed(bytes, sizeof bytes);
    wr_u8(&w, 1);
    wr_u8(&w, 1);
    wr_u64(&w, 0xabcdef);
    wr_u64(&w, 5);
    wr_u16(&w, 1);
    wr_varint(&w, 0);
    wr_varint(&w, 0);
    wr_u64(&w, 0xabcdef);
    wr_varint(&w, 77);
    static const uint8_t value[8] = { 0, 0, 0, 0, 0, 0, 0, 3 };
    wr_vbytes(&w, slice_of(value, sizeof value));
    struct raft_msg m = { .type = RAFT_M_HOST, .from = f, .to = l, .from_incarnation = raft_conf_find(raft_conf(member_raft(s->node[f].m)), f)->incarnation,
                          .to_incarnation = raft_conf_find(raft_conf(member_raft(s->node[f].m)), l)->incarnation, .ring = s->config.raft.ring,
                          .term = mr_status(s, l).raft.term - 1, .data = wr_slice(&w) };
    (void) mr_feed(s, l, (struct member_event){ .type = MEMBER_E_MESSAGE, .msg = &m });
    mr_run(s, 100);
    assert_int_equal(s->node[l].live.n, 0);
    m.term++;
    (void) mr_feed(s, l, (struct member_event){ .type = MEMBER_E_MESSAGE, .msg = &m });
    mr_run(s, 100);
    assert_int_equal(s->node[l].live.n, 0);             /* its number was used up */
    bytes[17]++;
    (void) mr_feed(s, l, (struct member_event){ .type = MEMBER_E_MESSAGE, .msg = &m });
    mr_run(s, 100);
    assert_int_equal(s->node[l].live.n, 1);
}

static void a_session_applies_each_number_once_in_any_order(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s);
    assert_ok(mr_event(s, l, MEMBER_E_OPEN, 1));
    uint64_t session = mr_wait(s, l, 1)->id;
    static const uint64_t seqs[] = { 1, 3, 2, 3, 1, 200, 4, 150, 200, 2 };
    static const uint8_t want[] = { 1, 1, 1, 2, 2, 1, 4, 1, 2, 4 };
    for (unsigned i = 0; i < 10; i++) {
        assert_ok(mr_propose(s, l, 10 + i, session, seqs[i], seqs[i]));
        assert_int_equal(mr_wait(s, l, 10 + i)->outcome, want[i]);
    }
    assert_int_equal(mr_done(s, l, 13)->index, mr_done(s, l, 11)->index);   /* where it was applied first */
    assert_int_equal(s->node[l].live.n, 5);
    assert_ok(mr_propose(s, l, 30, session + 12345, 1, 1));
    assert_int_equal(mr_wait(s, l, 30)->outcome, MEMBER_NOT_APPLIED);
    assert_int_equal(mr_done(s, l, 30)->err, REEVE_E_WRONG_STATE);
}

static void the_session_unused_for_longest_gives_way(void **state)
{
    ring(1);
    uint64_t first = 0, second = 0;
    for (uint64_t i = 1; i <= MEMBER_SESSIONS_MAX; i++) {
        assert_ok(mr_event(s, 1, MEMBER_E_OPEN, i));
        uint64_t id = mr_wait(s, 1, i)->id;
        first = i == 1 ? id : first;
        second = i == 2 ? id : second;
    }
    assert_ok(mr_propose(s, 1, 5000, first, 1, 1));
    assert_int_equal(mr_wait(s, 1, 5000)->outcome, MEMBER_APPLIED);
    assert_ok(mr_event(s, 1, MEMBER_E_OPEN, 5001));
    mr_wait(s, 1, 5001);
    assert_ok(mr_propose(s, 1, 5002, first, 1, 1));
    assert_int_equal(mr_wait(s, 1, 5002)->outcome, MEMBER_DUPLICATE);
    assert_ok(mr_propose(s, 1, 5003, second, 1, 1));
    assert_int_equal(mr_wait(s, 1, 5003)->err, REEVE_E_WRONG_STATE);
}

static void sessions_survive_restarts_and_snapshots(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s), f = follower(l);
    assert_ok(mr_event(s, l, MEMBER_E_OPEN, 1));
    uint64_t session = mr_wait(s, l, 1)->id;
    assert_ok(mr_propose(s, l, 2, session, 1, 11));
    mr_wait(s, l, 2);
    mr_run(s, 50);
    mr_crash(s, f);
    for (uint64_t i = 0; i < 600; i++) {        /* beyond the window */
        assert_ok(mr_propose(s, l, 100 + i, 0, 0, i));
        mr_run(s, 4);
    }
    mr_boot(s, f);
    mr_run(s, 1000);
    assert_int_equal(s->node[f].installs, 1);
    assert_true(mr_same(s));
    for (uint32_t i = 1; i <= 3; i++) {
        mr_flush(s, i);
        mr_crash(s, i);
    }
    mr_start(s);
    l = mr_elect(s);
    assert_ok(mr_propose(s, f, 3, session, 1, 11));
    assert_int_equal(mr_wait(s, f, 3)->outcome, MEMBER_DUPLICATE);
    mr_run(s, 100);
    assert_int_equal(s->node[f].live.n, 601);
    assert_true(mr_same(s));
}

/* scenarios 33, 37 */
static void a_read_waits_for_what_was_acknowledged_before_it(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s), f = follower(l);
    s->node[f].apply_stalled = true;
    assert_ok(mr_propose(s, l, 1, 0, 0, 5));
    mr_wait(s, l, 1);
    assert_ok(mr_event(s, f, MEMBER_E_READ, 2));
    mr_run(s, 200);
    assert_null(mr_done(s, f, 2));
    s->node[f].apply_stalled = false;
    struct mr_done *d = mr_wait(s, f, 2);
    assert_int_equal(d->err, REEVE_OK);
    assert_true(d->seen >= 1);
}

static void many_reads_share_rounds(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s), f = follower(l);
    for (uint64_t i = 1; i <= 1000; i++)
        assert_ok(mr_event(s, i % 2 ? l : f, MEMBER_E_READ, i));
    mr_run(s, 50);
    for (uint64_t i = 1; i <= 1000; i++)
        assert_int_equal(mr_done(s, i % 2 ? l : f, i)->err, REEVE_OK);
}

/* scenario 34 */
static void a_leader_that_is_cut_off_serves_no_read(void **state)
{
    s = mr_new(3);
    s->config.read_ms = 2000;
    mr_start(s);
    uint32_t l = mr_elect(s);
    mr_run(s, 100);
    mr_isolate(s, l, true);
    assert_ok(mr_event(s, l, MEMBER_E_READ, 1));
    uint32_t f = follower(l);
    mr_run(s, 600);
    assert_true(mr_leader(s) != 0);
    assert_ok(mr_propose(s, f, 2, 0, 0, 9));
    mr_wait(s, f, 2);
    assert_int_equal(mr_wait(s, l, 1)->err, REEVE_E_AGAIN);
}

static void a_read_survives_a_change_of_leader(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s), f = follower(l);
    mr_run(s, 100);
    mr_crash(s, l);
    assert_ok(mr_event(s, f, MEMBER_E_READ, 1));
    assert_int_equal(mr_wait(s, f, 1)->err, REEVE_OK);
}

/* scenario 21 */
static void without_a_quorum_memory_stays_bounded_and_the_ring_recovers(void **state)
{
    s = mr_new(3);
    s->config.unknown_ms = 60000;
    mr_start(s);
    uint32_t l = mr_elect(s);
    mr_crash(s, follower(l));
    mr_crash(s, follower(follower(l)));
    uint8_t big[4000] = { 1 };
    unsigned taken = 0;
    enum reeve_err err = REEVE_OK;
    for (uint64_t i = 1; i < 2000 && err == REEVE_OK; i++, taken += err == REEVE_OK)
        err = mr_feed(s, l, (struct member_event){ .type = MEMBER_E_PROPOSE, .ticket = i, .data = slice_of(big, sizeof big) });
    assert_int_equal(err, REEVE_E_BUSY);
    assert_true(taken > 10 && taken < 200);
    mr_boot(s, follower(l));
    mr_boot(s, follower(follower(l)));
    mr_run(s, 3000);
    for (uint64_t i = 1; i <= taken; i++)
        assert_int_equal(mr_done(s, l, i)->outcome, MEMBER_APPLIED);
    assert_true(mr_same(s));
}

/* scenario 60 */
static void a_member_with_another_state_puts_itself_into_quarantine(void **state)
{
    s = mr_new(3);
    s->config.hash_every = 20;
    mr_start(s);
    uint32_t l = mr_elect(s), f = follower(l);
    for (uint64_t i = 0; i < 100; i++) {
        assert_ok(mr_propose(s, l, i + 1, 0, 0, i));
        mr_run(s, 5);
    }
    for (uint32_t i = 1; i <= 3; i++)
        assert_false(s->node[i].quarantined);
    s->node[f].corrupt_state = true;
    for (uint64_t i = 0; i < 100; i++) {
        assert_ok(mr_propose(s, l, i + 201, 0, 0, i));
        mr_run(s, 5);
    }
    assert_true(s->node[f].quarantined);
    assert_false(s->node[l].quarantined || s->node[follower(f)].quarantined);
    assert_err(mr_event(s, f, MEMBER_E_READ, 999), REEVE_E_UNAVAILABLE);
}

/* scenario 60 */
static void also_a_leader(void **state)
{
    s = mr_new(3);
    s->config.hash_every = 20;
    mr_start(s);
    uint32_t l = mr_elect(s);
    s->node[l].corrupt_state = true;
    for (uint64_t i = 0; i < 60; i++) {
        (void) mr_propose(s, follower(l), i + 1, 0, 0, i);
        mr_run(s, 5);
    }
    assert_true(s->node[l].quarantined);
    uint32_t l2 = mr_elect(s);
    assert_true(l2 != l && l2 != 0);
    assert_ok(mr_propose(s, l2, 500, 0, 0, 1));
    assert_int_equal(mr_wait(s, l2, 500)->outcome, MEMBER_APPLIED);
}

/* scenario 61: an entry of a version to come is not skipped */
static void an_unknown_kind_of_entry_stops_the_state(void **state)
{
    ring(1);
    assert_ok(mr_propose(s, 1, 1, 0, 0, 5));
    mr_wait(s, 1, 1);
    mr_crash(s, 1);
    struct mr_node *n = &s->node[1];
    uint64_t applied = n->live.n;
    n->log[++n->last] = (struct mr_entry){ .term = n->term, .kind = RAFT_HOST + 9, .len = 1, .p = calloc(1, 2) };
    mr_boot(s, 1);
    mr_run(s, 50);
    assert_true(n->quarantined);
    assert_true(mr_status(s, 1).applied < n->last);
    assert_int_equal(n->live.n, applied);
    assert_err(mr_propose(s, 1, 2, 0, 0, 6), REEVE_E_UNAVAILABLE);
}

static void an_orderly_stop_hands_over_and_loses_nothing(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s), f = follower(l);
    for (uint64_t i = 1; i <= 300; i++) {
        assert_ok(mr_propose(s, f, i, 0, 0, i));
        if (i == 100)
            assert_ok(mr_event(s, l, MEMBER_E_STOP, 0));
        mr_run(s, 1);
        if (s->node[l].stopped && s->node[l].up)
            mr_crash(s, l);
    }
    mr_run(s, 1000);
    assert_false(s->node[l].up);
    unsigned unknown = 0;
    for (uint64_t i = 1; i <= 300; i++) {
        struct mr_done *d = mr_wait(s, f, i);
        unknown += d->outcome == MEMBER_UNKNOWN;
        assert_true(d->outcome == MEMBER_APPLIED || d->outcome == MEMBER_NOT_APPLIED);
    }
    assert_int_equal(unknown, 0);
}

static void a_change_of_members_is_told_when_it_is_in_force(void **state)
{
    ring(3);
    uint32_t l = mr_elect(s), f = follower(l);
    mr_run(s, 100);
    struct raft_change c = { .kind = RAFT_REMOVE, .id = f };
    struct member_event e = { .type = MEMBER_E_CHANGE, .ticket = 4, .change = &c, .n = 1 };
    assert_ok(mr_feed(s, l, e));
    assert_int_equal(mr_wait(s, l, 4)->outcome, MEMBER_APPLIED);
    mr_run(s, 50);
    assert_int_equal(raft_conf(member_raft(s->node[l].m))->n, 2);
}

static void random_kills_lose_and_double_nothing(void **state)
{
    struct rng r = rng_seeded("random_kills");
    s = mr_new(3);
    s->config.unknown_ms = 800;
    mr_start(s);
    uint64_t session[4] = { 0 }, seq[4] = { 0 }, ticket = 1, applied_sum = 0, applied_n = 0;
    for (int round = 0; round < 60; round++) {
        uint32_t at = rng_below(&r, 3) + 1;
        for (int i = 0; i < 8; i++) {
            mr_run(s, rng_below(&r, 6));
            uint32_t via = rng_below(&r, 3) + 1;
            if (!s->node[via].up)
                continue;
            if (session[via] == 0) {
                if (mr_event(s, via, MEMBER_E_OPEN, ++ticket) == REEVE_OK) {
                    struct mr_done *d = mr_wait(s, via, ticket);
                    session[via] = d->outcome == MEMBER_APPLIED ? d->id : 0;
                }
                continue;
            }
            uint64_t n = ++seq[via];
            /* until it is known: the same command under the same number, wherever a member is up */
            for (int attempt = 0; attempt < 50; attempt++) {
                uint32_t to = rng_below(&r, 3) + 1;
                if (!s->node[to].up || mr_propose(s, to, ++ticket, session[via], n, via * 100000 + n) != REEVE_OK)
                    continue;
                struct mr_done *d = mr_wait(s, to, ticket);
                if (d->outcome == MEMBER_APPLIED || d->outcome == MEMBER_DUPLICATE) {
                    applied_sum += via * 100000 + n;
                    applied_n++;
                    break;
                }
            }
        }
        if (s->node[at].up) {
            mr_crash(s, at);
        } else {
            mr_boot(s, at);
        }
        unsigned up = s->node[1].up + s->node[2].up + s->node[3].up;
        if (up < 2)
            mr_boot(s, s->node[1].up ? 2 : 1);
        if (rng_below(&r, 3) == 0 && s->node[1].up && s->node[1].live.row[0].len)
            mr_flush(s, 1);
    }
    for (uint32_t i = 1; i <= 3; i++)
        if (!s->node[i].up)
            mr_boot(s, i);
    mr_run(s, 3000);
    assert_true(mr_same(s));
    uint64_t sum = 0;
    for (uint64_t i = 0; i < s->node[1].live.n; i++)
        sum += s->node[1].live.value[i];
    assert_true(applied_n > 50);
    assert_int_equal(sum, applied_sum);
    assert_int_equal(s->node[1].live.n, applied_n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_alone_takes_a_command_at_once, end),
        cmocka_unit_test_teardown(a_command_is_applied_everywhere_and_told_where_it_was_proposed, end),
        cmocka_unit_test_teardown(a_crowd_shares_entries, end),
        cmocka_unit_test_teardown(what_waits_for_a_leader_goes_to_it, end),
        cmocka_unit_test_teardown(a_repeated_message_puts_nothing_into_the_log_twice, end),
        cmocka_unit_test_teardown(an_answer_from_before_a_restart_confirms_nothing, end),
        cmocka_unit_test_teardown(what_was_never_sent_is_certainly_not_applied, end),
        cmocka_unit_test_teardown(what_a_lost_leader_took_is_unknown_and_repeated_in_a_session_applied_once, end),
        cmocka_unit_test_teardown(what_did_not_reach_a_lost_leader_is_certainly_not_applied_as_soon_as_the_next_one_commits, end),
        cmocka_unit_test_teardown(a_leader_that_comes_back_knows_what_became_of_its_own, end),
        cmocka_unit_test_teardown(what_a_lost_leader_had_spread_is_applied, end),
        cmocka_unit_test_teardown(what_was_sent_in_an_earlier_term_is_not_taken, end),
        cmocka_unit_test_teardown(a_session_applies_each_number_once_in_any_order, end),
        cmocka_unit_test_teardown(the_session_unused_for_longest_gives_way, end),
        cmocka_unit_test_teardown(sessions_survive_restarts_and_snapshots, end),
        cmocka_unit_test_teardown(a_read_waits_for_what_was_acknowledged_before_it, end),
        cmocka_unit_test_teardown(many_reads_share_rounds, end),
        cmocka_unit_test_teardown(a_leader_that_is_cut_off_serves_no_read, end),
        cmocka_unit_test_teardown(a_read_survives_a_change_of_leader, end),
        cmocka_unit_test_teardown(without_a_quorum_memory_stays_bounded_and_the_ring_recovers, end),
        cmocka_unit_test_teardown(a_member_with_another_state_puts_itself_into_quarantine, end),
        cmocka_unit_test_teardown(also_a_leader, end),
        cmocka_unit_test_teardown(an_unknown_kind_of_entry_stops_the_state, end),
        cmocka_unit_test_teardown(an_orderly_stop_hands_over_and_loses_nothing, end),
        cmocka_unit_test_teardown(a_change_of_members_is_told_when_it_is_in_force, end),
        cmocka_unit_test_teardown(random_kills_lose_and_double_nothing, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
