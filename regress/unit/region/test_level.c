/* test_level.c - a state of an older level, and what raising it leaves as it was. */
#include "shire.h"

#define NODES 3

static struct shire s;
static uint64_t seed;

/* All workloads as bytes: ordinal, id, row. */
struct listing { struct wr w; unsigned n; };

static struct listing list_all(void)
{
    struct listing l = { .w = wr_heap(8 << 20) };
    struct region_workloads *it = malloc(region_workloads_size());
    struct slice id, row;
    uint32_t ordinal;
    enum reeve_err err;
    region_workloads_begin(it, &s.r);
    while ((err = region_workloads_next(it, &ordinal, &id, &row)) == REEVE_OK) {
        wr_u32(&l.w, ordinal);
        wr_bytes(&l.w, id.p, id.len);
        wr_bytes(&l.w, row.p, row.len);
        l.n++;
    }
    assert_err(err, REEVE_E_NOT_FOUND);
    free(it);
    return l;
}

static void assert_same(struct listing *a, struct listing *b)
{
    assert_int_equal(a->n, b->n);
    assert_true(slice_eq(wr_slice(&a->w), wr_slice(&b->w)));
    wr_free(&a->w);
    wr_free(&b->w);
}

/* As a program wrote it that knew no levels. */
static void make_old(void)
{
    sim_kv_begin(s.w.store);
    assert_ok(kv_del(s.r.kv, slice_str("Rmlevel")));
    sim_kv_commit(s.w.store);
}

static void raise_it(uint32_t level)
{
    wr_u32(command(&s, RC_LEVEL), level);
    run(&s);
}

/* The draw of batch number b is the same whenever it is asked for. */
static void register_batch(unsigned b)
{
    struct rng draw = { seed + b };
    (void) rng_next(&draw);
    (void) rng_next(&draw);
    unsigned n = 1 + rng_below(&draw, 200), ordinal = rng_below(&draw, NODES);
    struct wr *w = command(&s, RC_REGISTER);
    wr_u16(w, (uint16_t) n);
    for (unsigned i = 0; i < n; i++) {
        struct workload_row row = { .service = name_of("web"), .family = 4, .epoch = rng_below(&draw, 10), .port = (uint16_t) i };
        uint8_t id[16] = { (uint8_t) rng_below(&draw, 256), 0, (uint8_t) rng_below(&draw, 4) };
        if (rng_below(&draw, 40) == 0)
            ordinal = rng_below(&draw, NODES);
        bool put = rng_below(&draw, 6) > 0;
        wr_u32(w, ordinal);
        wr_bytes(w, id, sizeof id);
        wr_u8(w, put ? 1 : 2);
        if (put)
            workload_row_encode(&row, w);
    }
    run(&s);
    assert_item(&s, 0, REEVE_OK);
    assert_int_equal(item_u32(&s, 0), n);
}

static int setup(void **state)
{
    shire_new(&s);
    txn(&s, "root");
    put_token(&s, 7, NODES, 0);
    commit(&s);
    enroll_many(&s, 7, NODES);
    return 0;
}

static int teardown(void **state)
{
    shire_free(&s);
    return 0;
}

static void a_new_region_is_of_the_newest_level(void **state)
{
    uint32_t level;
    assert_ok(region_level(&s.r, &level));
    assert_int_equal(level, REGION_LEVEL_NEWEST);
    assert_int_equal(region_level_max, REGION_LEVEL_NEWEST);
}

static void raised_it_reads_as_before_and_nothing_of_the_old_form_is_left(void **state)
{
    make_old();
    for (unsigned b = 0; b < 60; b++)
        register_batch(b);
    assert_true(rows_in(&s, 'k') > 200);
    assert_int_equal(rows_in(&s, 'j'), 0);
    struct listing before = list_all();
    raise_it(1);
    assert_item(&s, 0, REEVE_OK);
    assert_int_equal(item_u32(&s, 0), 1);
    assert_int_equal(rows_in(&s, 'k'), 0);
    struct listing after = list_all();
    assert_same(&before, &after);
}

/* Both forms say the same of the same commands: at whichever moment the state is raised, the end is the same. */
static void the_moment_of_raising_makes_no_difference(void **state)
{
    struct listing want = { .n = 0 };
    for (unsigned at = 0; at <= 40; at += 8) {
        teardown(NULL);
        setup(NULL);
        make_old();
        for (unsigned b = 0; b < 40; b++) {
            if (b == at)
                raise_it(1);
            register_batch(b);
        }
        struct listing got = list_all();
        if (at == 0) {
            want = got;
            continue;
        }
        assert_int_equal(got.n, want.n);
        assert_true(slice_eq(wr_slice(&got.w), wr_slice(&want.w)));
        wr_free(&got.w);
    }
    wr_free(&want.w);
}

static void raising_twice_or_to_less_changes_nothing(void **state)
{
    make_old();
    register_batch(1);
    raise_it(1);
    size_t keys = sim_kv_count(s.w.store);
    raise_it(1);
    assert_int_equal(item_u32(&s, 0), 1);
    raise_it(0);
    assert_int_equal(item_u32(&s, 0), 1);
    assert_int_equal(sim_kv_count(s.w.store), keys);
}

/* The others go on with it; a member that went on without would hold another state. */
static void a_level_that_this_program_does_not_know_is_no_refusal(void **state)
{
    struct wr out = wr_heap(1 << 20);
    wr_u32(command(&s, RC_LEVEL), REGION_LEVEL_NEWEST + 1);
    sim_kv_begin(s.w.store);
    assert_err(region_apply(&s.r, s.index + 1, wr_slice(&s.cmd), &out), REEVE_E_CORRUPT);
    sim_kv_abort(s.w.store);
    wr_free(&out);
}

static void a_node_dropped_before_the_raise_leaves_nothing(void **state)
{
    make_old();
    for (unsigned b = 0; b < 20; b++)
        register_batch(b);
    for (uint32_t ordinal = 0; ordinal < NODES; ordinal++) {
        txn(&s, "root");
        wr_u32(op(&s, RO_NODE_DROP), ordinal);
        commit(&s);
        assert_item(&s, 0, REEVE_OK);
    }
    assert_int_equal(rows_in(&s, 'k'), 0);
    raise_it(1);
    assert_int_equal(rows_in(&s, 'j'), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    T(a_new_region_is_of_the_newest_level),
    T(raised_it_reads_as_before_and_nothing_of_the_old_form_is_left),
    T(the_moment_of_raising_makes_no_difference),
    T(raising_twice_or_to_less_changes_nothing),
    T(a_level_that_this_program_does_not_know_is_no_refusal),
    T(a_node_dropped_before_the_raise_leaves_nothing),
};

static int begin(void **state)
{
    struct rng rng = rng_seeded("level");
    seed = rng_next(&rng) | 1u << 20;
    return 0;
}

int main(void)
{
    return cmocka_run_group_tests(tests, begin, NULL);
}
