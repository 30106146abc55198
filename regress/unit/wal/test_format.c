/* test_format.c - frames, records and metas: what is written is read, and nothing else is taken for it. */
#include "../unit.h"

#include "common/crc32c.h"
#include "engine/wal.h"

static struct wal_frame random_frame(struct rng *r)
{
    struct wal_frame f = { .version = WAL_VERSION, .at = { (uint32_t) rng_next(r), (uint32_t) rng_next(r) } };
    f.count = rng_below(r, 5);
    f.payload_len = f.count * (WAL_ENTRY_HEAD + rng_below(r, 100));
    f.seq = 1 + (rng_next(r) >> 2);
    f.first = 1 + (rng_next(r) >> 3);
    f.last = f.first + f.count - 1;
    f.prev_term = rng_next(r);
    f.last_term = rng_next(r);
    f.prev_first = rng_next(r) >> 2;
    f.cut = rng_next(r) >> 2;
    f.salt = rng_next(r);
    f.prev_sum = (uint32_t) rng_next(r);
    f.payload_sum = (uint32_t) rng_next(r);
    f.prev_flags = rng_below(r, 2);
    f.hard = (struct wal_hard){ rng_next(r), rng_next(r), rng_next(r) };
    if (f.count > 0 && rng_below(r, 2)) {
        f.flags = WAL_REPAIR;
        f.last += rng_below(r, 100);
    }
    return f;
}

static void a_header_comes_back_as_it_was(void **state)
{
    struct rng r = rng_seeded("format header");
    uint8_t mem[WAL_HEADER_LEN], again[WAL_HEADER_LEN];
    for (int i = 0; i < 500; i++) {
        struct wal_frame f = random_frame(&r), g;
        wal_frame_encode(mem, &f);
        assert_ok(wal_frame_decode(&g, mem));
        wal_frame_encode(again, &g);
        assert_memory_equal(mem, again, sizeof mem);
        assert_true(g.sum == f.sum && g.hard.vote == f.hard.vote && g.last == f.last && g.at.block == f.at.block);
    }
}

static void any_flipped_bit_of_a_header_is_noticed(void **state)
{
    struct rng r = rng_seeded("format flip");
    uint8_t mem[WAL_HEADER_LEN];
    struct wal_frame f = random_frame(&r), g;
    wal_frame_encode(mem, &f);
    for (unsigned bit = 0; bit < WAL_HEADER_LEN * 8; bit++) {
        mem[bit / 8] ^= (uint8_t) (1u << bit % 8);
        assert_true(wal_frame_decode(&g, mem) != REEVE_OK);
        mem[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
}

static void a_newer_version_is_told_from_damage(void **state)
{
    struct rng r = rng_seeded("format version");
    uint8_t mem[WAL_HEADER_LEN], block[WAL_BLOCK];
    struct wal_frame f = random_frame(&r), g;
    f.version = WAL_VERSION + 1;
    wal_frame_encode(mem, &f);
    assert_err(wal_frame_decode(&g, mem), REEVE_E_UNSUPPORTED);
    struct wal_meta m = { .start_seq = 1, .oldest_epoch = 1, .segment_bytes = 1 << 20 }, n;
    wal_meta_encode(block, &m);
    block[4] = WAL_VERSION + 1;
    uint32_t sum = crc32c(0, block, WAL_BLOCK - 4);
    for (int i = 0; i < 4; i++)
        block[WAL_BLOCK - 4 + i] = (uint8_t) (sum >> (24 - 8 * i));
    assert_err(wal_meta_decode(&n, block), REEVE_E_UNSUPPORTED);
}

static void what_no_writer_writes_is_refused_though_its_sum_is_right(void **state)
{
    struct rng r = rng_seeded("format implausible");
    uint8_t mem[WAL_HEADER_LEN];
    struct wal_frame f, g, good = random_frame(&r);
    good.flags = 0;
    good.count = 2;
    good.payload_len = 2 * WAL_ENTRY_HEAD;
    good.last = good.first + 1;
    f = good;
    f.payload_len = WAL_BATCH_MAX + 1;
    wal_frame_encode(mem, &f);
    assert_err(wal_frame_decode(&g, mem), REEVE_E_CORRUPT);
    f = good;
    f.count = 1000;
    wal_frame_encode(mem, &f);
    assert_err(wal_frame_decode(&g, mem), REEVE_E_CORRUPT);
    f = good;
    f.last++;
    wal_frame_encode(mem, &f);
    assert_err(wal_frame_decode(&g, mem), REEVE_E_CORRUPT);
    f = good;
    f.first = UINT64_MAX;
    wal_frame_encode(mem, &f);
    assert_err(wal_frame_decode(&g, mem), REEVE_E_CORRUPT);
}

static void metas_and_records_come_back_as_they_were(void **state)
{
    struct rng r = rng_seeded("format meta");
    uint8_t block[WAL_BLOCK], again[WAL_BLOCK];
    for (int i = 0; i < 100; i++) {
        struct wal_meta m = { .number = rng_next(&r), .salt = rng_next(&r), .cut = rng_next(&r) >> 2, .cut_term = rng_next(&r),
                              .start_seq = 1 + (rng_next(&r) >> 2), .owner = { rng_next(&r), rng_next(&r), rng_next(&r) },
                              .hard = { 1, 2, 3 }, .start_sum = 7, .oldest_epoch = 9, .segment_bytes = 1 << 20 }, n;
        for (m.n_lost = i % (WAL_LOST_MAX + 1); m.n_lost > 0 && m.lost[m.n_lost - 1].to == 0;)
            m.lost[--m.n_lost] = (struct wal_lost){ rng_next(&r), 1 + (rng_next(&r) >> 1), rng_next(&r) };
        m.n_lost = i % (WAL_LOST_MAX + 1);
        wal_meta_encode(block, &m);
        assert_ok(wal_meta_decode(&n, block));
        wal_meta_encode(again, &n);
        assert_memory_equal(block, again, sizeof block);
        assert_true(n.cut == m.cut && n.owner.member == m.owner.member && n.segment_bytes == m.segment_bytes);
        assert_true(n.n_lost == m.n_lost && memcmp(n.lost, m.lost, m.n_lost * sizeof *m.lost) == 0);
        block[rng_below(&r, WAL_BLOCK)] ^= 16;
        assert_true(wal_meta_decode(&n, block) != REEVE_OK);
    }
    static struct wal_ident a, b;
    a.salt = 1;
    a.number = 99;
    for (a.n = 0; a.n < WAL_RECORDS_MAX; a.n++)
        a.rec[a.n] = (struct wal_record){ a.n + 1, a.n, a.n * 2, 5, { 6, 7, 8 }, { 3, a.n }, (uint32_t) rng_next(&r), a.n % 2 };
    wal_ident_encode(block, &a);
    assert_ok(wal_ident_decode(&b, block));
    assert_int_equal(b.n, WAL_RECORDS_MAX);
    for (unsigned i = 0; i < b.n; i++)
        assert_true(a.rec[i].seq == b.rec[i].seq && a.rec[i].sum == b.rec[i].sum && a.rec[i].flags == b.rec[i].flags
                    && a.rec[i].hard.vote == b.rec[i].hard.vote && a.rec[i].at.block == b.rec[i].at.block);
    for (int i = 0; i < 200; i++) {
        unsigned at = rng_below(&r, WAL_BLOCK);
        block[at] ^= 1;
        assert_true(wal_ident_decode(&b, block) != REEVE_OK);
        block[at] ^= 1;
    }
}

/* The dumb twin: one flag an index. */
static void holes_never_hold_too_little(void **state)
{
    struct rng r = rng_seeded("holes");
    for (int round = 0; round < 200; round++) {
        static struct wal_holes h;
        static bool twin[400];
        bool full = false;
        memset(&h, 0, sizeof h);
        memset(twin, 0, sizeof twin);
        for (int i = 0; i < 300; i++) {
            uint64_t first = 1 + rng_below(&r, 390), last = first + rng_below(&r, round % 2 ? 2 : 9);
            bool add = rng_below(&r, round % 3 ? 2 : 8) != 0;
            full |= h.n >= WAL_HOLES_MAX - 1;
            if (add)
                wal_holes_add(&h, first, last);
            else
                wal_holes_remove(&h, first, last);
            for (uint64_t k = first; k <= last && k < 400; k++)
                twin[k] = add;
            for (uint32_t k = 1; k < h.n; k++)
                assert_true(h.r[k - 1].last + 1 < h.r[k].first);
            for (uint64_t k = 1; k < 400; k++) {
                if (twin[k])
                    assert_true(wal_holes_touch(&h, k, k));
                else if (!full)
                    assert_false(wal_holes_touch(&h, k, k));
            }
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_header_comes_back_as_it_was),
    cmocka_unit_test(any_flipped_bit_of_a_header_is_noticed),
    cmocka_unit_test(a_newer_version_is_told_from_damage),
    cmocka_unit_test(what_no_writer_writes_is_refused_though_its_sum_is_right),
    cmocka_unit_test(metas_and_records_come_back_as_they_were),
    cmocka_unit_test(holes_never_hold_too_little),
};

UNIT_MAIN(tests)
