/* test_snapshot.c - snapshots in chunks, repair after damage; scenarios 38 to 41, 43 */
#include "../unit.h"
#include "../../lib/raft_ring.h"

static struct rr *s;
static uint32_t window_bytes;           /* append requests under way; 0: as usual */

static int end(void **state)
{
    unsigned n = s->broken;
    if (n)
        fprintf(stderr, "# %s\n", s->text);
    rr_free(s);
    window_bytes = 0;
    return n ? -1 : 0;
}

static uint32_t next(uint32_t id) { return id % 3 + 1; }

/* A follower that is behind the leader's window. */
static uint32_t behind(uint32_t *l)
{
    s = rr_new(3, 51);
    if (window_bytes)
        s->config.window_bytes = window_bytes;
    rr_start(s);
    *l = rr_elect(s);
    uint32_t f = next(*l);
    rr_run(s, 100);
    rr_isolate(s, f, true);
    for (int i = 0; i < 50; i++)
        assert_ok(rr_propose(s, *l, (uint64_t) i));
    rr_run(s, 100);
    rr_compact(s, *l, rr_status(s, *l).commit);
    return f;
}

static void who_is_behind_the_window_gets_a_snapshot_and_then_entries(void **state)
{
    uint32_t l, f = behind(&l);
    rr_isolate(s, f, false);
    for (int i = 0; i < 30; i++) {
        assert_ok(rr_propose(s, l, (uint64_t) i));
        rr_run(s, 5);
    }
    rr_run(s, 500);
    assert_int_equal(s->node[f].snaps_installed, 1);
    assert_int_equal(rr_status(s, f).commit, rr_status(s, l).commit);
}

/* scenario 40 */
static void a_transfer_goes_on_where_it_stopped(void **state)
{
    uint32_t l, f = behind(&l);
    rr_isolate(s, f, false);
    struct raft_peer_status p = { .state = 0 };
    while (!raft_peer_status(s->node[l].r, f, &p) || p.snap_offset < 128)
        rr_run(s, 1);
    uint64_t packets = s->packets;
    rr_isolate(s, f, true);
    rr_drop(s, 0, f);
    rr_run(s, 100);
    rr_isolate(s, f, false);
    rr_run(s, 1000);
    assert_int_equal(s->node[f].snaps_installed, 1);
    assert_true(s->packets > packets);
    assert_int_equal(rr_status(s, f).commit, rr_status(s, l).commit);
}

/* A snapshot that takes longer than the window lasts: it moves with every commit, whoever is on the way up. */
static void load(uint32_t l, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        (void) rr_propose(s, l, (uint64_t) i);
        rr_run(s, 10);
        rr_compact(s, l, rr_status(s, l).commit);
    }
}

static uint32_t behind_a_slow_way(uint32_t *l)
{
    uint32_t f = behind(l);
    s->keeps = true;
    s->config.append_bytes = 64;
    s->delay_ms = 30;
    rr_isolate(s, f, false);
    return f;
}

/* scenario 40 */
static void a_snapshot_slower_than_the_log_does_not_loop(void **state)
{
    uint32_t l, f = behind_a_slow_way(&l);
    load(l, 60);
    assert_int_equal(s->node[f].snaps_installed, 1);
    assert_true(s->node[l].reads_back > 0);
    load(l, 100);
    assert_true(rr_status(s, l).commit - rr_status(s, f).commit < 20);      /* in step, while the load goes on */
    rr_run(s, 1000);
    assert_int_equal(s->node[f].snaps_installed, 1);
    assert_int_equal(rr_status(s, f).commit, rr_status(s, l).commit);
    assert_true(raft_needed(s->node[l].r) == UINT64_MAX);
}

/* scenario 40: the same without what is kept; what the test above proves is this rule's */
static void without_what_is_kept_it_begins_anew(void **state)
{
    uint32_t l, f = behind_a_slow_way(&l);
    s->keeps = false;
    load(l, 160);
    assert_int_equal(s->node[f].snaps_installed, 0);
}

static void what_is_read_back_and_lost_is_sent_again(void **state)
{
    uint32_t l, f = behind_a_slow_way(&l);
    while (s->node[l].reads_back < 3)
        load(l, 1);
    s->loss = 30;
    load(l, 100);
    rr_isolate(s, f, true);
    rr_drop(s, 0, f);
    load(l, 20);
    s->loss = 0;
    rr_isolate(s, f, false);
    load(l, 100);
    rr_run(s, 1000);
    assert_int_equal(s->node[f].snaps_installed, 1);
    assert_int_equal(rr_status(s, f).commit, rr_status(s, l).commit);
}

/* Nothing is kept for a new leader, and nothing of an old one's is believed. */
static void with_its_leadership_ends_what_a_leader_keeps(void **state)
{
    uint32_t l, f = behind_a_slow_way(&l);
    while (s->node[l].reads_back < 1)
        load(l, 1);
    assert_ok(rr_feed(s, l, (struct raft_event){ .type = RAFT_E_TRANSFER, .peer = next(f) == l ? next(l) : next(f) }));
    rr_run(s, 2000);
    uint32_t l2 = rr_leader(s);
    assert_true(l2 != l && s->node[l].kept == 0);
    assert_true(raft_needed(s->node[l].r) == UINT64_MAX);
    load(l2, 100);
    rr_run(s, 1000);
    assert_int_equal(rr_status(s, f).commit, rr_status(s, l2).commit);
}

/* Little room: refused while the peer moves, and only then. */
static void a_full_store_of_kept_entries_is_busy_while_the_peer_moves(void **state)
{
    uint32_t l, f = behind_a_slow_way(&l);
    while (s->node[l].kept == 0)
        load(l, 1);
    assert_ok(rr_feed(s, l, (struct raft_event){ .type = RAFT_E_LOG_KEPT, .index = s->node[l].kept, .n = 1 }));
    assert_int_equal(rr_propose(s, l, 1), REEVE_E_BUSY);
    rr_isolate(s, f, true);
    rr_run(s, 1000);
    assert_ok(rr_propose(s, l, 1));
    rr_isolate(s, f, false);
    rr_run(s, 3000);
    assert_ok(rr_propose(s, l, 1));
    rr_run(s, 100);
    assert_int_equal(s->node[f].snaps_installed, 1);
    assert_int_equal(rr_status(s, f).commit, rr_status(s, l).commit);
}

/* More is proposed than the peer can take: the ring takes half of that, so what it lacks shrinks. */
static void writes_are_slowed_to_the_pace_of_who_is_on_the_way_up(void **state)
{
    window_bytes = 128;
    uint32_t l, f = behind_a_slow_way(&l);
    unsigned busy = 0;
    for (int i = 0; i < 3000 && (s->node[f].snaps_installed == 0 || raft_needed(s->node[l].r) != UINT64_MAX); i++) {
        for (int k = 0; k < 4; k++)
            busy += rr_propose(s, l, (uint64_t) k) == REEVE_E_BUSY;
        rr_run(s, 10);
        rr_compact(s, l, rr_status(s, l).commit - 20);
    }
    assert_true(busy > 0);
    assert_int_equal(s->node[f].snaps_installed, 1);
    assert_true(raft_needed(s->node[l].r) == UINT64_MAX);
    assert_true(rr_status(s, l).commit < 3000);
}

/* scenario 40 */
static void a_window_that_moved_on_makes_a_newer_snapshot(void **state)
{
    uint32_t l, f = behind(&l);
    rr_isolate(s, f, false);
    struct raft_peer_status p = { .state = 0 };
    while (!raft_peer_status(s->node[l].r, f, &p) || p.snap_offset < 64)
        rr_run(s, 1);
    for (int i = 0; i < 20; i++)
        assert_ok(rr_propose(s, l, (uint64_t) i));
    rr_isolate(s, f, true);
    rr_run(s, 20);
    rr_compact(s, l, rr_status(s, l).commit);               /* against its wish */
    rr_isolate(s, f, false);
    rr_run(s, 2000);
    assert_int_equal(s->node[f].snaps_installed, 1);
    assert_int_equal(rr_status(s, f).commit, rr_status(s, l).commit);
}

static void the_sender_dies_and_the_next_leader_begins_anew(void **state)
{
    uint32_t l, f = behind(&l);
    rr_compact(s, next(f), rr_status(s, next(f)).commit);
    rr_isolate(s, f, false);
    struct raft_peer_status p = { .state = 0 };
    while (!raft_peer_status(s->node[l].r, f, &p) || p.snap_offset < 64)
        rr_run(s, 1);
    rr_crash(s, l);
    rr_run(s, 3000);
    uint32_t l2 = rr_elect(s);
    assert_int_equal(l2, next(f) == l ? next(l) : next(f));
    assert_int_equal(s->node[f].snaps_installed, 1);
    assert_int_equal(rr_status(s, f).commit, rr_status(s, l2).commit);
}

/* ---- one member, a snapshot fed by hand (scenario 38) ---- */

static struct raft_msg snapshot(uint64_t index, uint64_t term, uint64_t offset, struct wr *conf)
{
    static uint8_t chunk[RR_SNAP];
    for (unsigned i = 0; i < RR_SNAP; i++)
        chunk[i] = (uint8_t) (index * 7 + i * 13 + 1);
    raft_conf_encode(&s->node[1].base_conf, conf);
    return (struct raft_msg){ .type = RAFT_M_SNAPSHOT, .from = 2, .to = 1, .from_incarnation = 0x102, .to_incarnation = 0x101,
        .ring = s->config.ring, .term = 9, .index = index, .log_term = term, .snap = index, .size = RR_SNAP, .offset = offset,
        .conf = wr_slice(conf), .data = slice_of(chunk + offset, RR_SNAP - offset) };
}

static void with_log(uint64_t n, uint64_t term)
{
    s = rr_new(3, 1);
    for (uint64_t i = 1; i <= n; i++)
        s->node[1].disk.e[i] = (struct rr_entry){ .term = term, .kind = RAFT_HOST, .len = 1, .data = { (uint8_t) i } };
    s->node[1].disk.last = n;
    s->node[1].disk_term = term;
    rr_start(s);
    s->by_hand = true;
}

static void give(uint64_t index, uint64_t term)
{
    uint8_t bytes[RAFT_CONF_BYTES_MAX];
    struct wr conf = wr_fixed(bytes, sizeof bytes);
    struct raft_msg m = snapshot(index, term, 0, &conf);
    assert_ok(rr_feed(s, 1, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &m }));
}

static void a_log_that_agrees_with_a_snapshot_is_kept(void **state)
{
    with_log(10, 3);
    give(6, 3);
    assert_int_equal(rr_status(s, 1).commit, 6);
    assert_int_equal(rr_status(s, 1).last, 10);
}

static void a_log_that_does_not_is_dropped(void **state)
{
    with_log(10, 3);
    give(6, 4);
    assert_int_equal(rr_status(s, 1).commit, 6);
    assert_int_equal(rr_status(s, 1).last, 6);
    assert_int_equal(rr_status(s, 1).durable, 6);
}

/* scenario 26 (openraft#1808): the configuration at 9 was never committed, and is above the snapshot */
static void with_a_log_that_is_dropped_goes_its_configuration(void **state)
{
    struct raft_conf c;
    s = rr_new(3, 1);
    struct rr_log *d = &s->node[1].disk;
    for (uint64_t i = 1; i <= 10; i++)
        d->e[i] = (struct rr_entry){ .term = 3, .kind = RAFT_HOST, .len = 1, .data = { (uint8_t) i } };
    struct raft_change up = { .kind = RAFT_DEMOTE, .id = 3 };
    assert_ok(raft_conf_change(&c, &s->node[1].base_conf, &up, 1));
    struct wr w = wr_fixed(d->e[9].data, sizeof d->e[9].data);
    raft_conf_encode(&c, &w);
    d->e[9].kind = RAFT_CONF;
    d->e[9].len = (uint16_t) w.len;
    d->last = 10;
    s->node[1].disk_term = 3;
    rr_start(s);
    s->by_hand = true;
    assert_true(raft_conf(s->node[1].r)->joint);
    give(6, 4);
    assert_false(raft_conf(s->node[1].r)->joint);
    assert_int_equal(rr_status(s, 1).conf_index, 6);
}

static void an_old_snapshot_is_passed_over(void **state)
{
    with_log(10, 3);
    give(6, 3);
    assert_int_equal(s->node[1].snaps_installed, 1);
    give(5, 3);
    give(6, 3);
    assert_int_equal(s->node[1].snaps_installed, 1);
    assert_int_equal(rr_status(s, 1).commit, 6);
}

static void chunks_out_of_order_are_asked_for_again(void **state)
{
    uint8_t bytes[RAFT_CONF_BYTES_MAX];
    struct wr conf = wr_fixed(bytes, sizeof bytes);
    with_log(2, 3);
    struct raft_msg m = snapshot(20, 4, 100, &conf);
    assert_ok(rr_feed(s, 1, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &m }));
    bool asked = false;
    for (size_t i = 0; i < s->out.n; i++)
        asked |= s->out.e[i].type == RAFT_F_SEND && s->out.e[i].msg.type == RAFT_M_SNAPSHOT_REPLY && s->out.e[i].msg.offset == 0;
    assert_true(asked);
    assert_int_equal(s->node[1].snaps_installed, 0);
}

/* ---- members that come back with less (scenario 43; the WAL's part is tested with it) ---- */

static void damage(uint32_t id, uint64_t keep)
{
    rr_crash(s, id);
    s->node[id].disk.last = keep;
}

static void a_member_in_repair_votes_by_what_it_held_and_does_not_stand(void **state)
{
    s = rr_new(3, 61);
    rr_start(s);
    uint32_t l = rr_elect(s), f = next(l), g = next(f);
    for (int i = 0; i < 20; i++)
        assert_ok(rr_propose(s, l, (uint64_t) i));
    rr_run(s, 100);
    rr_crash(s, g);
    for (int i = 0; i < 20; i++)
        assert_ok(rr_propose(s, l, (uint64_t) i));
    rr_run(s, 100);
    /* what l and f committed, f cannot read any more, and l is gone: g must not lead */
    uint64_t last = rr_status(s, f).last, term = rr_status(s, f).last_term;
    rr_crash(s, l);
    damage(f, 30);                      /* still longer than g's */
    rr_boot(s, f, RAFT_START_REPAIR, last, term);
    rr_boot(s, g, RAFT_START_CLEAN, 0, 0);
    rr_run(s, 5000);
    assert_int_equal(rr_leader(s), 0);
    rr_restart(s, l);
    rr_run(s, 2000);
    assert_int_equal(rr_elect(s), l);
    assert_true(s->node[f].repaired);
    assert_int_equal(rr_status(s, f).mode, RAFT_START_CLEAN);
    assert_int_equal(rr_status(s, f).commit, rr_status(s, l).commit);
}

static void a_running_leader_fills_the_holes_of_a_member_it_thought_complete(void **state)
{
    s = rr_new(3, 62);
    rr_start(s);
    uint32_t l = rr_elect(s), f = next(l);
    for (int i = 0; i < 20; i++)
        assert_ok(rr_propose(s, l, (uint64_t) i));
    rr_run(s, 100);
    uint64_t last = rr_status(s, f).last, term = rr_status(s, f).last_term;
    damage(f, 5);
    rr_boot(s, f, RAFT_START_REPAIR, last, term);
    rr_run(s, 1000);
    assert_true(s->node[f].repaired);
    assert_int_equal(rr_status(s, f).last, rr_status(s, l).last);
    assert_int_equal(rr_leader(s), l);
}

/* The node's own entries first..last, as they were before the damage. */
static enum reeve_err fill(uint32_t id, uint64_t first, uint64_t last)
{
    static uint8_t mem[65536];
    struct wr w = wr_fixed(mem, sizeof mem);
    const struct rr_log *was = &s->node[id].disk;
    for (uint64_t i = first; i <= last; i++) {
        const struct rr_entry *e = &was->e[i % RR_LOG];
        wr_varint(&w, e->term);
        wr_u8(&w, e->kind);
        wr_vbytes(&w, slice_of(e->data, e->len));
    }
    return rr_feed(s, id, (struct raft_event){ .type = RAFT_E_FILL, .id = first, .data = wr_slice(&w) });
}

static void members_that_are_all_in_repair_lead_again_when_they_have_back_what_they_held(void **state)
{
    s = rr_new(3, 65);
    rr_start(s);
    uint32_t l = rr_elect(s);
    for (int i = 0; i < 20; i++)
        assert_ok(rr_propose(s, l, (uint64_t) i));
    rr_run(s, 100);
    uint64_t last[4], term[4];
    for (uint32_t i = 1; i <= 3; i++) {
        last[i] = rr_status(s, i).last;
        term[i] = rr_status(s, i).last_term;
    }
    for (uint32_t i = 1; i <= 3; i++)
        damage(i, 4 + i);
    for (uint32_t i = 1; i <= 3; i++)
        rr_boot(s, i, RAFT_START_REPAIR, last[i], term[i]);
    rr_run(s, 3000);
    assert_int_equal(rr_leader(s), 0);
    assert_err(fill(1, 7, 8), REEVE_E_WRONG_STATE);             /* 6 is missing */
    for (uint32_t i = 1; i <= 3; i++) {
        assert_ok(fill(i, 5 + i, last[i] - 1));
        assert_int_equal(rr_status(s, i).mode, RAFT_START_REPAIR);
        assert_ok(fill(i, last[i], last[i]));
        assert_int_equal(rr_status(s, i).mode, RAFT_START_CLEAN);
        assert_err(fill(i, last[i] + 1, last[i] + 1), REEVE_E_WRONG_STATE);
    }
    rr_run(s, 3000);
    l = rr_leader(s);
    assert_int_not_equal(l, 0);
    for (uint32_t i = 1; i <= 3; i++)
        assert_true(rr_status(s, i).commit > last[i]);
}

static void what_a_leader_has_changed_is_not_filled_any_more(void **state)
{
    s = rr_new(3, 66);
    rr_start(s);
    uint32_t l = rr_elect(s), f = next(l);
    for (int i = 0; i < 20; i++)
        assert_ok(rr_propose(s, l, (uint64_t) i));
    rr_run(s, 100);
    uint64_t last = rr_status(s, f).last, term = rr_status(s, f).last_term;
    damage(f, 5);
    rr_boot(s, f, RAFT_START_REPAIR, last + 100, term);         /* it held more than the leader ever had */
    assert_ok(fill(f, 6, 7));
    rr_run(s, 100);
    assert_true(rr_status(s, f).last >= last);
    rr_crash(s, l);
    rr_run(s, 3000);
    assert_int_equal(rr_status(s, f).mode, RAFT_START_REPAIR);
    assert_false(rr_status(s, f).led);
    assert_err(fill(f, rr_status(s, f).last + 1, rr_status(s, f).last + 1), REEVE_E_WRONG_STATE);
}

static void what_cannot_have_stood_there_is_not_filled_in(void **state)
{
    static uint8_t mem[64];
    struct wr w = wr_fixed(mem, sizeof mem);
    s = rr_new(3, 67);
    rr_start(s);
    uint32_t l = rr_elect(s), f = next(l);
    for (int i = 0; i < 20; i++)
        assert_ok(rr_propose(s, l, (uint64_t) i));
    rr_run(s, 100);
    uint64_t last = rr_status(s, f).last, term = rr_status(s, f).last_term;
    for (uint32_t i = 1; i <= 3; i++)
        rr_crash(s, i);
    s->node[f].disk.last = last - 1;
    rr_boot(s, f, RAFT_START_REPAIR, last, term);
    for (uint64_t t = term - 1; t <= term + 1; t += 2) {
        w.len = 0;
        wr_varint(&w, t);
        wr_u8(&w, RAFT_HOST);
        wr_vbytes(&w, slice_of(NULL, 0));
        assert_err(rr_feed(s, f, (struct raft_event){ .type = RAFT_E_FILL, .id = last, .data = wr_slice(&w) }), REEVE_E_MALFORMED);
    }
    assert_err(fill(f, last, last + 1), REEVE_E_MALFORMED);     /* beyond its end */
    assert_ok(fill(f, last, last));
}

static void a_mute_member_neither_votes_nor_counts(void **state)
{
    s = rr_new(3, 63);
    rr_start(s);
    uint32_t l = rr_elect(s), f = next(l), g = next(f);
    for (int i = 0; i < 20; i++)
        assert_ok(rr_propose(s, l, (uint64_t) i));
    rr_run(s, 100);
    damage(f, 5);
    s->node[f].disk_term = 1;
    rr_boot(s, f, RAFT_START_MUTE, 0, 0);
    rr_crash(s, g);
    rr_run(s, 200);
    uint64_t commit = rr_status(s, l).commit;
    (void) rr_propose(s, l, 1);
    rr_run(s, 2000);
    assert_true(rr_status(s, l).commit <= commit);
    rr_crash(s, l);
    rr_restart(s, g);
    rr_run(s, 2000);
    assert_int_equal(rr_leader(s), 0);
    assert_int_equal(rr_status(s, f).mode, RAFT_START_MUTE);
}

static void a_mute_member_is_whole_again_in_a_newer_term_of_all_others(void **state)
{
    s = rr_new(3, 64);
    rr_start(s);
    uint32_t l = rr_elect(s), f = next(l);
    for (int i = 0; i < 20; i++)
        assert_ok(rr_propose(s, l, (uint64_t) i));
    rr_run(s, 100);
    damage(f, 5);
    rr_boot(s, f, RAFT_START_MUTE, 0, 0);
    rr_run(s, 1000);
    assert_int_equal(rr_status(s, f).mode, RAFT_START_MUTE);        /* the term is the one it knew */
    assert_ok(rr_feed(s, l, (struct raft_event){ .type = RAFT_E_TRANSFER }));
    rr_run(s, 2000);
    assert_true(s->node[f].repaired);
    assert_int_equal(rr_status(s, f).mode, RAFT_START_CLEAN);
    assert_int_equal(rr_status(s, f).commit, rr_status(s, rr_leader(s)).commit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(who_is_behind_the_window_gets_a_snapshot_and_then_entries, end),
        cmocka_unit_test_teardown(a_transfer_goes_on_where_it_stopped, end),
        cmocka_unit_test_teardown(a_snapshot_slower_than_the_log_does_not_loop, end),
        cmocka_unit_test_teardown(without_what_is_kept_it_begins_anew, end),
        cmocka_unit_test_teardown(what_is_read_back_and_lost_is_sent_again, end),
        cmocka_unit_test_teardown(with_its_leadership_ends_what_a_leader_keeps, end),
        cmocka_unit_test_teardown(a_full_store_of_kept_entries_is_busy_while_the_peer_moves, end),
        cmocka_unit_test_teardown(writes_are_slowed_to_the_pace_of_who_is_on_the_way_up, end),
        cmocka_unit_test_teardown(a_window_that_moved_on_makes_a_newer_snapshot, end),
        cmocka_unit_test_teardown(the_sender_dies_and_the_next_leader_begins_anew, end),
        cmocka_unit_test_teardown(a_log_that_agrees_with_a_snapshot_is_kept, end),
        cmocka_unit_test_teardown(a_log_that_does_not_is_dropped, end),
        cmocka_unit_test_teardown(with_a_log_that_is_dropped_goes_its_configuration, end),
        cmocka_unit_test_teardown(an_old_snapshot_is_passed_over, end),
        cmocka_unit_test_teardown(chunks_out_of_order_are_asked_for_again, end),
        cmocka_unit_test_teardown(a_member_in_repair_votes_by_what_it_held_and_does_not_stand, end),
        cmocka_unit_test_teardown(a_running_leader_fills_the_holes_of_a_member_it_thought_complete, end),
        cmocka_unit_test_teardown(members_that_are_all_in_repair_lead_again_when_they_have_back_what_they_held, end),
        cmocka_unit_test_teardown(what_a_leader_has_changed_is_not_filled_any_more, end),
        cmocka_unit_test_teardown(what_cannot_have_stood_there_is_not_filled_in, end),
        cmocka_unit_test_teardown(a_mute_member_neither_votes_nor_counts, end),
        cmocka_unit_test_teardown(a_mute_member_is_whole_again_in_a_newer_term_of_all_others, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
