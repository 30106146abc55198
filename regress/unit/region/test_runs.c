/* test_runs.c - a node's workloads as sorted runs, against a twin that keeps one row an id. */
#include <stdlib.h>

#include "../unit.h"
#include "engine/region/region_int.h"
#include "sim/sim_kv.h"

#define NODES 3
#define IDS   900

struct twin_row { bool there; struct workload_row row; };

static struct sim_kv *store;
static struct runs_scratch *scratch;
static struct twin_row twin[NODES][IDS];
static uint8_t id_mem[IDS][16], row_mem[REGION_BATCH_MAX][400];
static struct rng rng;

/* ---- the world ---- */

/* Ids that share beginnings, so that comparing a few bytes is not enough. */
static void draw_ids(void)
{
    memset(id_mem, 0, sizeof id_mem);
    for (unsigned i = 0; i < IDS; i++) {
        id_mem[i][0] = (uint8_t) rng_below(&rng, 4);
        id_mem[i][8] = (uint8_t) (i >> 8);
        id_mem[i][15] = (uint8_t) i;
    }
}

static void fresh(void)
{
    sim_kv_free(store);
    store = sim_kv_new();
    sim_kv_strict(store, true);
    sim_kv_begin(store);
    assert_ok(meta_put(sim_kv_handle(store), "level", 1));
    memset(twin, 0, sizeof twin);
    draw_ids();
}

static struct workload_row draw_row(void)
{
    struct workload_row row = { .family = 4, .port = (uint16_t) rng_below(&rng, 65536), .epoch = rng_below(&rng, 12) };
    memset(row.service.s, 'a' + (int) rng_below(&rng, 26), NAME_MAX_LEN);
    row.service.len = (uint8_t) (1 + (rng_below(&rng, 8) == 0 ? rng_below(&rng, NAME_MAX_LEN) : rng_below(&rng, 12)));
    row.service.s[row.service.len] = '\0';
    return row;
}

static void twin_say(unsigned node, unsigned id, const struct workload_row *row)
{
    struct twin_row *t = &twin[node][id];
    if (row != NULL && t->there && t->row.epoch > row->epoch)
        return;
    t->there = row != NULL;
    if (row != NULL)
        t->row = *row;
}

/* One word about one id goes into item i of the batch, and to the twin. */
static void say(unsigned node, unsigned i, unsigned id, const struct workload_row *row)
{
    struct wr w = wr_fixed(row_mem[i], sizeof row_mem[i]);
    if (row != NULL)
        workload_row_encode(row, &w);
    scratch->item[i] = (struct run_item){ id_mem[id], wr_slice(&w) };
    twin_say(node, id, row);
}

static void add(unsigned node, unsigned n)
{
    struct run_dir d;
    enum reeve_err err = run_dir_get(sim_kv_handle(store), node * 7, &d);
    assert_true(err == REEVE_OK || err == REEVE_E_NOT_FOUND);
    assert_ok(runs_add(scratch, sim_kv_handle(store), &d, n));
}

static void say_batch(unsigned node, unsigned n, unsigned ids)
{
    for (unsigned i = 0; i < n; i++) {
        struct workload_row row = draw_row();
        say(node, i, rng_below(&rng, ids), rng_below(&rng, 5) > 0 ? &row : NULL);
    }
    add(node, n);
}

/* ---- what is checked ---- */

static void check_row(struct slice id, uint32_t ordinal, struct slice val)
{
    struct workload_row row;
    for (unsigned i = 0; i < IDS; i++) {
        if (memcmp(id.p, id_mem[i], 16) != 0)
            continue;
        const struct twin_row *t = &twin[ordinal / 7][i];
        uint8_t want[400];
        struct wr w = wr_fixed(want, sizeof want);
        assert_true(t->there);
        workload_row_encode(&t->row, &w);
        assert_ok(workload_row_decode(&row, val));
        assert_true(slice_eq(val, wr_slice(&w)));
        return;
    }
    fail_msg("an id that nobody registered");
}

static void check_against_twin(void)
{
    struct region r = { .kv = sim_kv_handle(store) };
    struct region_workloads *w = malloc(region_workloads_size());
    struct slice id, val;
    uint8_t last[20] = { 0 }, at[20];
    uint32_t ordinal;
    unsigned n = 0, want = 0;
    enum reeve_err err;
    region_workloads_begin(w, &r);
    while ((err = region_workloads_next(w, &ordinal, &id, &val)) == REEVE_OK) {
        memcpy(at, (uint8_t[]){ 0, 0, 0, (uint8_t) ordinal }, 4);
        memcpy(at + 4, id.p, 16);
        assert_true(n++ == 0 || memcmp(at, last, sizeof at) > 0);
        memcpy(last, at, sizeof at);
        check_row(id, ordinal, val);
    }
    assert_err(err, REEVE_E_NOT_FOUND);
    for (unsigned node = 0; node < NODES; node++)
        for (unsigned i = 0; i < IDS; i++)
            want += twin[node][i].there;
    assert_int_equal(n, want);
    free(w);
}

/* J1, J2, J4 of one run. */
static void check_run(struct kv *kv, uint32_t ordinal, const struct run_ref *ref, bool bottom)
{
    uint8_t last[16];
    unsigned n = 0;
    for (uint32_t chunk = 0; chunk < ref->chunks; chunk++) {
        struct rkey k;
        struct slice v;
        run_chunk_key(&k, ordinal, ref->run, chunk);
        assert_ok(kv_get(kv, rkey_slice(&k), &v));
        assert_true(v.len > 0 && v.len <= RUN_CHUNK_MAX);
        struct rd r = rd_of(v);
        while (rd_left(&r) > 0) {
            struct slice id = rd_bytes(&r, 16);
            uint8_t kind = rd_u8(&r);
            (void) rd_str16(&r, RUN_CHUNK_MAX);
            assert_false(r.bad);
            assert_true(n++ == 0 || memcmp(id.p, last, 16) > 0);
            memcpy(last, id.p, 16);
            assert_true(!bottom || kind == RUN_ROW);
        }
    }
}

/* J2, J3, and that nothing lies about which no directory names. */
static void check_invariants(unsigned node)
{
    struct kv *kv = sim_kv_handle(store);
    struct run_dir d;
    struct kv_iter it;
    struct rkey k;
    struct slice key, val;
    size_t chunks = 0, keys = 0;
    enum reeve_err err = run_dir_get(kv, node * 7, &d);
    assert_true(err == REEVE_OK || err == REEVE_E_NOT_FOUND);
    assert_true(d.n < RUNS_MAX);
    for (unsigned i = 0; i < d.n; i++) {
        chunks += d.ref[i].chunks;
        assert_true(i == 0 || d.ref[i].run > d.ref[i - 1].run);
        check_run(kv, node * 7, &d.ref[i], i == 0);
    }
    rkey_u32(&k, 'j', node * 7);
    kv_iter_init(&it, kv, rkey_slice(&k));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK)
        keys++;
    assert_int_equal(keys, chunks + (d.n > 0));
}

/* ---- claims ---- */

static void whatever_is_said_reads_as_one_row_an_id(void **state)
{
    for (unsigned round = 0; round < 40; round++) {
        fresh();
        unsigned ids = 1 + rng_below(&rng, IDS), most = (unsigned[]){ 2, 40, 100, REGION_BATCH_MAX }[rng_below(&rng, 4)];
        for (unsigned batch = 0; batch < 60; batch++) {
            unsigned node = rng_below(&rng, NODES);
            say_batch(node, 1 + rng_below(&rng, most), ids);
            check_invariants(node);
            if (batch % 10 == 9)
                check_against_twin();
        }
    }
}

/* Forty rows: more than a small run takes. */
static void add_forty(unsigned node, unsigned first_id, uint64_t epoch)
{
    struct workload_row row = { .service = { 1, "a" }, .epoch = epoch };
    for (unsigned i = 0; i < 40; i++)
        say(node, i, first_id + i, &row);
    add(node, 40);
}

static void an_older_epoch_comes_back_only_after_a_deletion(void **state)
{
    struct workload_row three = { .service = { 1, "a" }, .epoch = 3 };
    fresh();
    for (unsigned i = 0; i < 3; i++)            /* a large run below, so that what follows is merged apart from it */
        say_batch(0, REGION_BATCH_MAX, IDS);
    for (unsigned i = 0; i < RUNS_MAX; i++)
        add_forty(0, 0, 100);
    say(0, 0, 0, &three);
    add(0, 1);
    assert_int_equal(twin[0][0].row.epoch, 100);
    check_against_twin();
    add_forty(0, 40, 100);
    say(0, 0, 0, NULL);
    say(0, 1, 0, &three);
    add(0, 2);
    check_against_twin();
    for (unsigned i = 0; i < 3 * RUNS_MAX; i++) {
        add_forty(0, 40 + i, 100);
        check_against_twin();
    }
    assert_int_equal(twin[0][0].row.epoch, 3);
}

/* Of one container, and of a few: nothing gathers beside the row. */
static void a_word_at_a_time_is_written_in_its_place(void **state)
{
    struct run_dir d;
    fresh();
    for (unsigned i = 0; i < 200; i++) {
        struct workload_row row = { .service = { 1, "a" }, .epoch = i };
        say(0, 0, i % 20, &row);
        add(0, 1);
    }
    check_against_twin();
    assert_ok(run_dir_get(sim_kv_handle(store), 0, &d));
    assert_int_equal(d.n, 1);
    assert_int_equal(sim_kv_count(store), 1 + 2);
}

static void a_node_whose_workloads_all_ended_leaves_nothing(void **state)
{
    fresh();
    struct workload_row row = { .service = { 1, "a" }, .epoch = 1 };        /* short: deletions are no match for long rows */
    for (unsigned i = 0; i < 500; i++)
        say(1, i, i, &row);
    add(1, 500);
    for (unsigned round = 0; round < RUNS_MAX; round++) {
        for (unsigned i = 0; i < 500; i++)
            say(1, i, i, NULL);
        add(1, 500);
    }
    check_against_twin();
    check_invariants(1);
    assert_int_equal(sim_kv_count(store), 1);       /* the level */
}

static void a_dropped_node_leaves_nothing_and_its_neighbours_all(void **state)
{
    fresh();
    for (unsigned node = 0; node < NODES; node++)
        for (unsigned batch = 0; batch < 20; batch++)
            say_batch(node, 50, IDS);
    assert_ok(runs_drop(sim_kv_handle(store), 7));
    memset(twin[1], 0, sizeof twin[1]);
    check_against_twin();
}

/* 40,000 rows in 400 batches: log2 of some 650 chunks is 9.3. */
static void a_growing_node_writes_each_row_a_few_times(void **state)
{
    uint64_t chunks = 0, before = 0;
    struct run_dir d;
    fresh();
    for (unsigned batch = 0; batch < 400; batch++) {
        for (unsigned i = 0; i < 100; i++) {
            uint64_t x = rng_next(&rng);
            struct workload_row row = { .service = { 5, "bench" }, .epoch = 1 };
            say(0, i, 0, &row);
            memcpy(id_mem[i], &x, 8);
            scratch->item[i].id = id_mem[i];
        }
        add(0, 100);
        assert_ok(run_dir_get(sim_kv_handle(store), 0, &d));
        chunks += 2;
        if (d.ref[d.n - 1].run > before + 1)
            chunks += d.ref[d.n - 1].chunks;
        before = d.ref[d.n - 1].run;
    }
    unsigned perfect = 400 * 100 * (RUN_ENTRY_HEAD + 47) / RUN_CHUNK_MAX;
    print_message("# %llu chunks written where %u would hold all rows\n", (unsigned long long) chunks, perfect);
    assert_true(chunks < 5 * perfect);
}

static void a_chunk_that_is_not_ours_is_corrupt_and_nothing_worse(void **state)
{
    fresh();
    for (unsigned batch = 0; batch < 5; batch++)
        say_batch(0, 200, IDS);
    struct kv *kv = sim_kv_handle(store);
    struct run_dir d;
    struct rkey k;
    struct slice v;
    struct region r = { .kv = kv };
    struct region_workloads *w = malloc(region_workloads_size());
    assert_ok(run_dir_get(kv, 0, &d));
    run_chunk_key(&k, 0, d.ref[0].run, 0);
    assert_ok(kv_get(kv, rkey_slice(&k), &v));
    uint8_t good[RUN_CHUNK_MAX], bad[RUN_CHUNK_MAX];
    size_t len = v.len;
    memcpy(good, v.p, len);
    for (unsigned i = 0; i < 3000; i++) {
        struct slice id, val;
        uint32_t ordinal;
        enum reeve_err err;
        unsigned n = 0;
        memcpy(bad, good, len);
        bad[rng_below(&rng, (uint32_t) len)] ^= (uint8_t) (1 + rng_below(&rng, 255));
        assert_ok(kv_put(kv, rkey_slice(&k), slice_of(bad, len - rng_below(&rng, 3))));
        region_workloads_begin(w, &r);
        while ((err = region_workloads_next(w, &ordinal, &id, &val)) == REEVE_OK)
            assert_true(++n <= 1000);
        assert_true(err == REEVE_E_NOT_FOUND || err == REEVE_E_CORRUPT);
    }
    free(w);
}

static int begin(void **state)
{
    rng = rng_seeded("runs");
    scratch = malloc(sizeof *scratch);
    return scratch == NULL;
}

static int end(void **state)
{
    sim_kv_free(store);
    free(scratch);
    return 0;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(whatever_is_said_reads_as_one_row_an_id),
    cmocka_unit_test(an_older_epoch_comes_back_only_after_a_deletion),
    cmocka_unit_test(a_word_at_a_time_is_written_in_its_place),
    cmocka_unit_test(a_node_whose_workloads_all_ended_leaves_nothing),
    cmocka_unit_test(a_dropped_node_leaves_nothing_and_its_neighbours_all),
    cmocka_unit_test(a_growing_node_writes_each_row_a_few_times),
    cmocka_unit_test(a_chunk_that_is_not_ours_is_corrupt_and_nothing_worse),
};

int main(void)
{
    return cmocka_run_group_tests(tests, begin, end);
}
