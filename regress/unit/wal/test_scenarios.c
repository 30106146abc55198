/* test_scenarios.c - the disk's scenarios by their numbers (42 to 48, 50), one story each. */
#include "walproperty.h"

/* Batches of one append each, all durable, records too. */
static void write_batches(struct bench *b, struct rng *r, unsigned n)
{
    struct wal_hard h = b->t.now.hard;
    for (unsigned i = 0; i < n; i++) {
        h.commit = b->t.now.last;
        assert_true(bench_append(b, r, b->t.now.last + 1, 1 + i % 3, 1, h));
        disk_settle(&b->d, b->w);
    }
}

/* The log once around, so that what comes next stands on old frames. */
static void recycle_all(struct bench *b, struct rng *r)
{
    for (int i = 0; i < 4; i++) {
        write_batches(b, r, 12);
        uint64_t index = b->t.now.hard.commit;
        b->t.now.cut_term = b->t.now.e[index].term;
        b->t.now.cut = index;
        wal_cut(b->w, index, 1);
        disk_settle(&b->d, b->w);
    }
    assert_true(b->d.n_spare > 0);
    for (uint64_t t = 0; t <= b->t.tickets; t++) {
        b->t.at[t].cut = b->t.now.cut;
        b->t.at[t].cut_term = 1;
    }
}

enum fill { FILL_OLD, FILL_ZERO, FILL_GARBAGE };

static void put_sectors(struct bench *b, const struct wal_effect *e, unsigned arrived, bool from_end, enum fill fill, struct rng *r)
{
    size_t n = e->data.len / SECTOR;
    uint8_t *p = disk_seg(&b->d, e->file.epoch)->p + e->offset;
    for (size_t i = 0; i < n; i++) {
        bool there = from_end ? i >= n - arrived : i < arrived;
        if (there)
            memcpy(p + i * SECTOR, e->data.p + i * SECTOR, SECTOR);
        else if (fill == FILL_ZERO)
            memset(p + i * SECTOR, 0, SECTOR);
        else if (fill == FILL_GARBAGE)
            for (size_t k = 0; k < SECTOR; k++)
                p[i * SECTOR + k] = (uint8_t) rng_next(r);
    }
}

static void s42_a_batch_torn_at_any_sector_is_ignored_and_nothing_before_it(void **state)
{
    struct rng r = rng_seeded("s42");
    for (unsigned arrived = 0; arrived <= 24; arrived++)
        for (unsigned how = 0; how < 6; how++) {
            static struct bench b;
            bench_init(&b, &tiny);
            recycle_all(&b, &r);
            uint64_t durable = wal_durable(b.w);
            struct wal_hard h = b.t.now.hard;
            while (!disk_step(&b.d, b.w, WAL_LANE_LOG, false)) {    /* one batch under way, of three blocks at most */
                assert_true(bench_append(&b, &r, b.t.now.last + 1, 3, 1, h));
                disk_step(&b.d, b.w, WAL_LANE_FILES, true);
            }
            struct wal_effect e = b.d.pending[WAL_LANE_LOG];
            unsigned n = (unsigned) (e.data.len / SECTOR);
            put_sectors(&b, &e, arrived < n ? arrived : n, how % 2, (enum fill) (how / 2), &r);
            bench_recover(&b);
            assert_true(b.found->verdict == WAL_CLEAN || b.found->verdict == WAL_TORN);
            assert_true(b.found->may_vote && b.found->may_lead);
            int64_t t = found_ticket(&b, durable);
            if (t < 0)
                fail_msg("%u of %u sectors, way %u: %s", arrived, n, how, say_found(&b));
            if (arrived >= n)
                assert_true((uint64_t) t > durable);
            bench_free(&b);
        }
}

static void expect_hole(struct bench *b, const struct wal_frame *f)
{
    bench_recover(b);
    if (b->found->verdict != WAL_CORRUPT || !b->found->may_vote || b->found->may_lead || b->found->holes.n != 1
        || b->found->holes.r[0].first != f->first || b->found->holes.r[0].last != f->first + f->count - 1)
        fail_msg("batch %llu: %s", (unsigned long long) f->seq, say_found(b));
    assert_null(differs(b, &b->t.now));
}

static void s43_a_flipped_bit_in_any_committed_batch_is_a_hole_of_just_that_batch(void **state)
{
    struct rng r = rng_seeded("s43");
    static struct bench b;
    static struct wal_frame frame[LOG_MAX];
    bench_init(&b, &tiny);
    write_batches(&b, &r, 25);
    bench_recover(&b);
    unsigned n = b.replay.batches;
    memcpy(frame, b.replay.frame, n * sizeof *frame);
    for (unsigned i = 0; i + 1 < n; i++)
        for (int part = 0; part < 2; part++) {
            uint8_t *p = frame_bytes(&b, &frame[i]) + (part ? WAL_HEADER_LEN + rng_below(&r, frame[i].payload_len)
                                                            : rng_below(&r, WAL_HEADER_LEN));
            *p ^= 2;
            expect_hole(&b, &frame[i]);
            *p ^= 2;
        }
    bench_free(&b);
}

static void s43_on_three_members_at_different_places_each_is_repaired_from_the_others(void **state)
{
    struct rng r = rng_seeded("s43b");
    static struct bench b[3];
    uint64_t seed = rng_next(&r);
    for (int i = 0; i < 3; i++) {
        struct rng same = { seed };
        bench_init(&b[i], &tiny);
        write_batches(&b[i], &same, 20);
        bench_recover(&b[i]);
        frame_bytes(&b[i], &b[i].replay.frame[3 + 5 * i])[WAL_HEADER_LEN + 9] ^= 1;
        bench_recover(&b[i]);
        assert_int_equal(b[i].found->holes.n, 1);
    }
    for (int i = 0; i < 3; i++) {       /* the neighbour has what is missing here */
        struct wal_range hole = b[i].found->holes.r[0];
        assert_false(wal_holes_touch(&b[(i + 1) % 3].found->holes, hole.first, hole.last));
        bench_resume(&b[i], b[i].t.tickets);
        repair(&b[i], &b[(i + 1) % 3].t.now);
        bench_recover(&b[i]);
        assert_int_equal(b[i].found->holes.n, 0);
        assert_true(b[i].found->may_lead);
        assert_true(found_ticket(&b[i], b[i].t.tickets) >= 0);
    }
    for (int i = 0; i < 3; i++)
        bench_free(&b[i]);
}

static void s44_damage_of_the_last_batch_after_its_record_is_no_torn_batch(void **state)
{
    struct rng r = rng_seeded("s44");
    for (unsigned at = 0; at < WAL_HEADER_LEN + 60; at++) {
        static struct bench b;
        bench_init(&b, &tiny);
        write_batches(&b, &r, 9);
        bench_recover(&b);
        struct wal_frame last = b.replay.frame[b.replay.batches - 1];
        if (at < WAL_HEADER_LEN + last.payload_len) {
            frame_bytes(&b, &last)[at] ^= 0x40;
            expect_hole(&b, &last);
        }
        bench_free(&b);
    }
}

static void s45_lost_misdirected_and_zeroed_writes_are_holes(void **state)
{
    struct rng r = rng_seeded("s45");
    static const enum damage kinds[] = { D_LOST, D_MISDIRECTED, D_ZERO_SECTOR, D_STALE };
    for (unsigned i = 0; i < 400; i++) {
        struct rng one = { rng_next(&r) };
        const char *bad = run_damage(&one, i % 2, kinds[i % 4]);
        if (bad != NULL)
            fail_msg("%s", bad);
    }
}

static void s46_without_a_completed_write_nothing_is_acknowledged(void **state)
{
    struct rng r = rng_seeded("s46");
    static struct bench b;
    bench_init(&b, &tiny);
    write_batches(&b, &r, 3);
    uint64_t before = wal_durable(b.w);
    bench_append(&b, &r, b.t.now.last + 1, 2, 1, b.t.now.hard);
    assert_true(disk_step(&b.d, b.w, WAL_LANE_LOG, false));
    for (int i = 0; i < 20; i++) {
        disk_step(&b.d, b.w, WAL_LANE_SIDE, true);
        disk_step(&b.d, b.w, WAL_LANE_FILES, true);
    }
    assert_int_equal(wal_durable(b.w), before);         /* the sync that failed: the process is gone, no ack went out */
    b.d.busy[WAL_LANE_LOG] = false;
    bench_recover(&b);
    assert_int_equal(found_ticket(&b, before), before);
    bench_free(&b);
}

static void s47_a_crash_at_every_step_of_opening_cutting_and_metadata_is_borne(void **state)
{
    struct rng r = rng_seeded("s47");
    uint64_t seed = rng_next(&r);
    for (unsigned steps = 0; steps < 260; steps++) {
        static struct bench b;
        struct rng same = { seed };
        unsigned done = 0;
        int64_t ticket;
        bench_init(&b, &tiny);
        for (unsigned i = 0; done < steps && i < 4000; i++) {
            if (i % 3 == 0)
                bench_random_ask(&b, &same);
            if (i % 4 == 0)
                wal_rest(b.w);
            done += disk_step(&b.d, b.w, i % WAL_LANES, true);
        }
        for (int lane = 0; lane < WAL_LANES; lane++)
            disk_step(&b.d, b.w, (enum wal_lane) lane, false);
        uint64_t durable = wal_durable(b.w);
        disk_crash(&b.d, &r);
        const char *bad = check_crash(&b, durable, &ticket);
        if (bad != NULL)
            fail_msg("step %u: %s", steps, bad);
        bench_free(&b);
    }
}

static void s47_one_half_written_meta_of_two_costs_nothing(void **state)
{
    struct rng r = rng_seeded("s47b");
    for (int which = 0; which < 2; which++)
        for (unsigned sector = 0; sector < WAL_BLOCK / SECTOR; sector++) {
            static struct bench b;
            bench_init(&b, &tiny);
            recycle_all(&b, &r);
            for (unsigned i = 0; i < SECTOR; i++)
                b.d.meta[which][sector * SECTOR + i] ^= 0x5a;
            bench_recover(&b);
            assert_int_equal(b.found->verdict, WAL_CLEAN);
            assert_int_equal(b.found->cut, b.t.now.cut);
            assert_null(differs(&b, &b.t.now));
            bench_resume(&b, b.t.tickets);
            disk_settle(&b.d, b.w);
            bench_recover(&b);
            assert_true(b.found->meta_good[0] && b.found->meta_good[1]);
            bench_free(&b);
        }
}

static void s48_all_members_lose_power_at_once_and_no_acknowledged_write(void **state)
{
    struct rng r = rng_seeded("s48");
    for (int round = 0; round < 60; round++) {
        static struct bench b[3];
        for (int i = 0; i < 3; i++) {
            bench_init(&b[i], &tiny);
            bench_random_life(&b[i], &r, 150);
            for (int lane = 0; lane < WAL_LANES; lane++)
                b[i].d.busy[lane] = false;              /* nothing of what was under way arrived */
            int64_t ticket;
            const char *bad = check_crash(&b[i], wal_durable(b[i].w), &ticket);
            if (bad != NULL)
                fail_msg("%s", bad);
            bench_free(&b[i]);
        }
    }
}

/* At each drop: both metas on disk name a later segment, and every entry of the dropped one is below the cut they name. */
static void assert_drop_allowed(struct bench *b, uint32_t epoch)
{
    struct wal_meta m[2];
    struct wal_frame f;
    assert_ok(wal_meta_decode(&m[0], b->d.meta[0]));
    assert_ok(wal_meta_decode(&m[1], b->d.meta[1]));
    assert_true(m[0].oldest_epoch > epoch && m[1].oldest_epoch > epoch);
    const uint8_t *p = disk_seg(&b->d, epoch)->p;
    for (uint32_t at = 0; at < b->d.c.segment_bytes; at += WAL_BLOCK)
        if (wal_frame_decode(&f, p + at) == REEVE_OK && f.at.epoch == epoch && f.count > 0)
            assert_true(f.first + f.count - 1 <= m[0].cut && f.first + f.count - 1 <= m[1].cut);
}

static void s50_a_prefix_goes_only_after_the_cut_is_durable_in_both_metas(void **state)
{
    struct rng r = rng_seeded("s50");
    unsigned drops = 0;
    for (int round = 0; round < 60; round++) {
        static struct bench b;
        bench_init(&b, &tiny);
        for (unsigned i = 0; i < 1500 && b.t.tickets + 3 < TICKETS_MAX; i++) {
            if (rng_below(&r, 3) == 0)
                bench_random_ask(&b, &r);
            enum wal_lane lane = (enum wal_lane) rng_below(&r, WAL_LANES);
            if (!disk_step(&b.d, b.w, lane, false))
                continue;
            if (b.d.pending[lane].type == WAL_DO_DROP) {
                assert_drop_allowed(&b, b.d.pending[lane].file.epoch);
                drops++;
            }
            disk_step(&b.d, b.w, lane, true);
        }
        bench_free(&b);
    }
    assert_true(drops > 20);
}

static void a_snapshot_takes_the_place_of_the_whole_log(void **state)
{
    struct rng r = rng_seeded("snapshot");
    static struct bench b;
    bench_init(&b, &tiny);
    write_batches(&b, &r, 10);
    wal_cut(b.w, 200, 7);
    disk_settle(&b.d, b.w);
    bench_recover(&b);
    assert_true(b.found->last == 200 && b.found->last_term == 7 && b.found->cut == 200);
    struct wal_entry e = { 7, 1, slice_str("12345678") };
    struct wal_append a = { 201, 7, &e, 1, { 7, 0, 200 }, 0 };
    uint64_t ticket;
    assert_ok(wal_append(b.w, &a, &ticket));
    disk_settle(&b.d, b.w);
    memset(b.d.meta[0], 0, WAL_BLOCK);      /* even if the metas with the cut are older than the batch: it says so itself */
    bench_recover(&b);
    assert_true(b.found->verdict == WAL_CLEAN && b.found->last == 201 && b.found->cut == 200 && b.found->cut_term == 7);
    bench_free(&b);
}

/* The lanes as they come, but nobody says that the log rests. */
static void steps_without_rest(struct bench *b)
{
    for (int i = 0; i < 60; i++)
        disk_step(&b->d, b->w, (enum wal_lane) (i % WAL_LANES), true);
}

static uint64_t recorded(struct bench *b)
{
    struct wal_status s;
    wal_status(b->w, &s);
    return s.recorded;
}

static void records_come_every_few_batches_at_rest_and_at_once_for_a_vote(void **state)
{
    struct rng r = rng_seeded("records");
    static struct bench b;
    bench_init(&b, &tiny);
    struct wal_hard h = { 1, 2, 0 };
    assert_true(bench_append(&b, &r, 1, 1, 1, h));
    steps_without_rest(&b);
    assert_int_equal(recorded(&b), 1);                  /* the first vote */
    for (uint64_t i = 2; i <= 1 + WAL_IDENT_EVERY; i++) {
        assert_int_equal(recorded(&b), 1);
        assert_true(bench_append(&b, &r, i, 1, 1, h));
        steps_without_rest(&b);
        assert_int_equal(wal_durable(b.w), i);          /* what a record never delays */
    }
    assert_int_equal(recorded(&b), 1 + WAL_IDENT_EVERY);
    assert_true(bench_append(&b, &r, 2 + WAL_IDENT_EVERY, 1, 1, h));
    steps_without_rest(&b);
    assert_int_equal(recorded(&b), 1 + WAL_IDENT_EVERY);
    assert_true(wal_wants_rest(b.w));
    wal_rest(b.w);
    steps_without_rest(&b);
    assert_int_equal(recorded(&b), 2 + WAL_IDENT_EVERY);
    assert_true(wal_idle(b.w) && !wal_wants_rest(b.w));
    h.vote = 3;
    assert_true(bench_append(&b, &r, 3 + WAL_IDENT_EVERY, 0, 1, h));
    steps_without_rest(&b);
    assert_int_equal(recorded(&b), 3 + WAL_IDENT_EVERY);
    bench_free(&b);
}

/* A header of the next version, whole and with its sum, where the log's next batch would stand. */
static void put_newer(struct bench *b, uint64_t salt, uint32_t epoch)
{
    struct wal_place at = b->found->end;
    uint8_t *p = disk_seg(&b->d, at.epoch)->p + (size_t) at.block * WAL_BLOCK;
    struct wal_frame f = { .version = WAL_VERSION + 1, .salt = salt, .at = { epoch, at.block },
                           .seq = b->found->next_seq, .first = b->found->last + 1, .last = b->found->last };
    wal_frame_encode(p, &f);
}

static void a_newer_batch_counts_only_with_this_logs_salt_in_its_own_place(void **state)
{
    struct rng r = rng_seeded("newer");
    static struct bench b;
    bench_init(&b, &tiny);
    write_batches(&b, &r, 5);
    bench_recover(&b);
    uint64_t last = b.found->last;
    uint32_t epoch = b.found->end.epoch;
    put_newer(&b, b.found->meta.salt, epoch);
    bench_recover(&b);
    assert_int_equal(b.found->verdict, WAL_NEWER);
    assert_false(b.found->may_vote);
    put_newer(&b, b.found->meta.salt, epoch - 1);       /* of the segment that was recycled */
    bench_recover(&b);
    assert_true(b.found->verdict == WAL_CLEAN && b.found->last == last);
    put_newer(&b, b.found->meta.salt + 1, epoch);
    bench_recover(&b);
    assert_true(b.found->verdict == WAL_TORN && b.found->last == last);
    bench_free(&b);
}

static void foreign_newer_and_missing_logs_are_named(void **state)
{
    struct rng r = rng_seeded("foreign");
    static struct bench b;
    static struct wal_found found;
    void *scratch = block_alloc(wal_recover_scratch());
    struct wal_reader reader = { &b.d, disk_list, disk_read };
    struct wal_owner other = test_owner;
    bench_init(&b, &tiny);
    write_batches(&b, &r, 5);
    other.incarnation++;
    wal_recover(&tiny, &reader, &other, scratch, NULL, &found);
    assert_int_equal(found.verdict, WAL_FOREIGN);
    assert_false(found.may_vote);
    assert_err(wal_resume(b.w, &found), REEVE_E_WRONG_STATE);
    other.incarnation = 0;                  /* any */
    wal_recover(&tiny, &reader, &other, scratch, NULL, &found);
    assert_int_equal(found.verdict, WAL_CLEAN);
    struct disk empty;
    disk_init(&empty, &tiny);
    reader.arg = &empty;
    wal_recover(&tiny, &reader, &test_owner, scratch, NULL, &found);
    assert_int_equal(found.verdict, WAL_MISSING);
    b.d.has_meta[0] = b.d.has_meta[1] = false;
    reader.arg = &b.d;
    wal_recover(&tiny, &reader, &test_owner, scratch, NULL, &found);
    assert_int_equal(found.verdict, WAL_IDENTITY_UNKNOWN);
    assert_false(found.may_vote || found.may_lead);
    disk_free(&empty);
    bench_free(&b);
    free(scratch);
}

static void a_busy_log_says_so_and_takes_nothing(void **state)
{
    static struct bench b;
    static uint8_t big[7 * WAL_BLOCK];
    struct wal_entry e = { 1, 0, slice_of(big, sizeof big) };
    struct wal_append a = { 1, 0, &e, 1, { 1, 0, 0 }, 0 };
    uint64_t ticket = 99;
    bench_init(&b, &tiny);
    assert_err(wal_append(b.w, &a, &ticket), REEVE_E_TOO_BIG);
    e.data.len = 5 * WAL_BLOCK;
    assert_ok(wal_append(b.w, &a, &ticket));
    a.first = 2;
    a.prev_term = 1;
    assert_err(wal_append(b.w, &a, &ticket), REEVE_E_AGAIN);
    assert_int_equal(ticket, 1);
    a.first = 1;                            /* superseding what gathers needs no more room */
    a.prev_term = 0;
    assert_ok(wal_append(b.w, &a, &ticket));
    disk_settle(&b.d, b.w);
    assert_int_equal(wal_durable(b.w), 2);
    bench_free(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(s42_a_batch_torn_at_any_sector_is_ignored_and_nothing_before_it),
    cmocka_unit_test(s43_a_flipped_bit_in_any_committed_batch_is_a_hole_of_just_that_batch),
    cmocka_unit_test(s43_on_three_members_at_different_places_each_is_repaired_from_the_others),
    cmocka_unit_test(s44_damage_of_the_last_batch_after_its_record_is_no_torn_batch),
    cmocka_unit_test(s45_lost_misdirected_and_zeroed_writes_are_holes),
    cmocka_unit_test(s46_without_a_completed_write_nothing_is_acknowledged),
    cmocka_unit_test(s47_a_crash_at_every_step_of_opening_cutting_and_metadata_is_borne),
    cmocka_unit_test(s47_one_half_written_meta_of_two_costs_nothing),
    cmocka_unit_test(s48_all_members_lose_power_at_once_and_no_acknowledged_write),
    cmocka_unit_test(s50_a_prefix_goes_only_after_the_cut_is_durable_in_both_metas),
    cmocka_unit_test(a_snapshot_takes_the_place_of_the_whole_log),
    cmocka_unit_test(records_come_every_few_batches_at_rest_and_at_once_for_a_vote),
    cmocka_unit_test(a_newer_batch_counts_only_with_this_logs_salt_in_its_own_place),
    cmocka_unit_test(foreign_newer_and_missing_logs_are_named),
    cmocka_unit_test(a_busy_log_says_so_and_takes_nothing),
};

UNIT_MAIN(tests)
