/*
 * test_targets.c - one rollout of several keys: a node counts once, by all of them
 *
 * Dumb twin: the test keeps what every node said last of every key and counts
 * from that. A certificate that is called like one of the keys has a rollout of
 * its own; the two must not meet.
 */
#include "shire.h"

#define NODES 60
#define KEYS 3
#define REVERTED 9

static struct shire s;
static struct rollout_doc doc;                      /* of the keys */
static const char *const key[KEYS] = { "web", "http/a", "http/b" };
static uint8_t said[NODES][KEYS];

static void attested(void)
{
    struct attest_head head;
    assert_ok(attest_head(&s.w.a, &head));
    struct wr *w = command(&s, RC_ATTESTED);
    wr_u64(w, head.height);
    wr_u64(w, (uint64_t) s.w.now.ms);
    run(&s);
    assert_item(&s, 0, REEVE_OK);
}

static void begin(struct rollout_doc *d, uint64_t id, uint8_t kind, struct rollout_change *change)
{
    static uint64_t scratch[NODES];
    static struct update_set set;
    struct plan_source src = { region_plan_each, &s.r, scratch, NODES };
    struct plan_region_info home = { .name = name_of("home"), .ordinal_max = NODES };
    struct rollout_spec spec = { .immediate = true };
    struct report rep = { 0 };
    d->id = id;
    d->kind = kind;
    d->submitted_by = name_of("anna");
    rollout_spec_default(&spec, NULL);
    assert_ok(rollout_plan(&crypto_ops_real, d, &spec, name_slice(&d->target[0].name), &home, 1, &src, &rep));
    d->prepare_ms = 0;
    if (attest_rollout_begin(&s.w.a, d, change, &s.w.mem, &set, &rep) != REEVE_OK)
        fail_msg("%s", rep.message);
    block_of_set(&s.w, &set);
    attested();
}

static void begin_keys(void)
{
    struct rollout_change change[KEYS];
    memset(change, 0, sizeof change);
    memset(&doc, 0, sizeof doc);
    for (unsigned i = 0; i < KEYS; i++) {
        doc.target[doc.n_targets++] = (struct rollout_target){ AT_CONFIG, name_of(key[i]), 0, 1 };
        change[i].fresh = true;
        change[i].config = (struct config_gen){ .gen = 1, .digest = { { (uint8_t) (i + 1) } } };
    }
    begin(&doc, 1, ROLLOUT_CONFIG, change);
}

static void begin_cert(void)
{
    static struct rollout_doc d;
    struct rollout_change change = { .fresh = true, .cert = cert_gen_sample(s.w.now) };
    memset(&d, 0, sizeof d);
    d.target[d.n_targets++] = (struct rollout_target){ AT_CERT, name_of("web"), 1, 2 };
    change.cert.gen = 2;
    begin(&d, 2, ROLLOUT_CERT, &change);
}

static void step_to(const struct rollout_doc *next)
{
    static struct update_set set;
    struct report rep = { 0 };
    if (attest_rollout_step(&s.w.a, next, &s.w.mem, &set, &rep) != REEVE_OK)
        fail_msg("%s", rep.message);
    block_of_set(&s.w, &set);
    doc = *next;
    attested();
}

static int setup(void **state)
{
    shire_new(&s);
    world_furnish(&s.w);
    attested();
    txn(&s, "root");
    put_token(&s, 7, 1000, 0);
    commit(&s);
    enroll_many(&s, 7, NODES);
    memset(said, 0, sizeof said);
    begin_keys();
    begin_cert();
    struct rollout_doc next = doc;
    next.state = RS_RUNNING;
    next.opened = 1;
    s.w.now.ms += 1000;
    step_to(&next);
    return 0;
}

static int teardown(void **state)
{
    shire_free(&s);
    return 0;
}

static void report(uint32_t ordinal, unsigned k, uint8_t type, uint8_t result, uint32_t tried, uint32_t serving)
{
    struct deploy_row row = { .type = type, .result = result, .tried_gen = tried, .serving_gen = serving,
                              .at = s.w.now, .rollout_id = type == AT_CONFIG ? 1 : 2 };
    if (result == DEPLOY_FAILED)
        snprintf(row.error, sizeof row.error, "key %u", k);
    wr_u16(command(&s, RC_REPORT), 1);
    wr_u32(&s.cmd, ordinal);
    put_name(&s.cmd, key[k]);
    deploy_row_encode(&row, &s.cmd);
    run(&s);
    assert_item(&s, 0, REEVE_OK);
}

/* The node says so of the key, and the twin remembers. */
static void says(uint32_t ordinal, unsigned k, uint8_t state)
{
    bool has = state == DEPLOY_DONE;
    report(ordinal, k, AT_CONFIG, state == REVERTED ? DEPLOY_DONE : state, state == REVERTED ? 0 : 1, has ? 1 : 0);
    if (state == DEPLOY_TOLD ? said[ordinal][k] == 0 : true)
        said[ordinal][k] = state;
}

/* ---- the twin ---- */

static unsigned saying(uint32_t ordinal, uint8_t state)
{
    unsigned n = 0;
    for (unsigned k = 0; k < KEYS; k++)
        n += said[ordinal][k] == state;
    return n;
}

/* Rows of a table that belong to the rollout of the keys. */
static unsigned rows_of_keys(uint8_t table)
{
    static const uint8_t id[8] = { 0, 0, 0, 0, 0, 0, 0, 1 };
    struct kv_iter it;
    struct slice k, v;
    unsigned n = 0;
    region_iter_init(&s.r, &it, table, slice_of(id, sizeof id));
    while (region_iter_next(&it, &k, &v) == REEVE_OK)
        n++;
    return n;
}

static struct rollout_counts counted(void)
{
    struct rollout_counts c = { .nodes = NODES };
    for (uint32_t i = 0; i < NODES; i++) {
        bool failed = saying(i, DEPLOY_FAILED) > 0, rejected = !failed && saying(i, DEPLOY_REJECTED) > 0;
        c.told += saying(i, 0) < KEYS;
        c.failed += failed;
        c.rejected += rejected;
        c.done += saying(i, DEPLOY_DONE) == KEYS;
    }
    return c;
}

static void assert_twin(void)
{
    struct name home = name_of("home");
    struct rollout_counts c = counted();
    struct wave_row row;
    assert_ok(region_wave_get(&s.r, 1, &home, 1, &row));
    assert_int_equal(row.counts.nodes, c.nodes);
    assert_int_equal(row.counts.told, c.told);
    assert_int_equal(row.counts.failed, c.failed);
    assert_int_equal(row.counts.rejected, c.rejected);
    assert_int_equal(row.counts.done, c.done);
    assert_int_equal(rows_of_keys('o'), c.told);
    assert_int_equal(rows_of_keys('p'), c.told - c.failed - c.rejected - c.done);
}

static struct rollout_view look(void)
{
    static struct rollout_view v;
    memset(&v, 0, sizeof v);
    v.now = v.state_since = v.wave_since = s.w.now;
    v.report_timeout_ms = 20000;
    assert_ok(region_rollout_view(&s.r, &doc, NULL, &v));
    return v;
}

/* ---- tests ---- */

static void a_node_is_done_when_all_keys_are_installed(void **state)
{
    says(3, 0, DEPLOY_DONE);
    assert_twin();
    assert_int_equal(look().opened.done, 0);
    says(3, 1, DEPLOY_DONE);
    says(3, 1, DEPLOY_DONE);
    assert_twin();
    assert_int_equal(look().opened.done, 0);
    says(3, 2, DEPLOY_DONE);
    assert_twin();
    assert_int_equal(look().opened.done, 1);
    assert_int_equal(look().opened.told, 1);
}

static void a_node_with_one_failed_key_is_failed_once(void **state)
{
    says(3, 0, DEPLOY_DONE);
    says(3, 1, DEPLOY_FAILED);
    says(3, 2, DEPLOY_DONE);
    assert_twin();
    assert_int_equal(look().opened.failed, 1);
    says(3, 2, DEPLOY_FAILED);
    assert_twin();
    assert_int_equal(look().opened.failed, 1);
    says(3, 1, DEPLOY_DONE);
    assert_int_equal(look().opened.failed, 1);
    says(3, 2, DEPLOY_DONE);                        /* mended */
    assert_twin();
    assert_int_equal(look().opened.failed, 0);
    assert_int_equal(look().opened.done, 1);
}

static void a_node_that_installed_some_keys_only_is_silent_in_the_end(void **state)
{
    says(3, 0, DEPLOY_DONE);
    says(3, 1, DEPLOY_DONE);
    assert_int_equal(look().newest.silent, 0);
    s.w.now.ms += 20000;
    assert_int_equal(look().newest.silent, 1);
}

static void a_failed_node_is_watched_until_its_other_keys_are_back(void **state)
{
    struct rollout_doc next;
    says(3, 0, DEPLOY_DONE);
    says(3, 1, DEPLOY_FAILED);
    says(4, 0, DEPLOY_DONE);
    assert_ok(rollout_verb_apply(&doc, RV_ROLLBACK, 0, &next, NULL));
    step_to(&next);
    assert_int_equal(look().still_new, 2);
    says(3, 0, REVERTED);
    assert_int_equal(look().still_new, 1);
    says(4, 0, REVERTED);                           /* and of the others it was never told */
    assert_int_equal(look().still_new, 0);
    assert_int_equal(look().opened.failed, 1);
    assert_int_equal(look().opened.reverted, 1);
    assert_int_equal(rows_of_keys('p'), 0);
}

static void a_certificate_of_the_same_name_is_another_object(void **state)
{
    struct name web = name_of("web");
    struct deploy_row row;
    report(5, 0, AT_CERT, DEPLOY_DONE, 2, 2);
    says(5, 0, DEPLOY_FAILED);
    assert_twin();
    assert_ok(region_deploy_get(&s.r, AT_CERT, &web, 5, &row));
    assert_int_equal(row.serving_gen, 2);
    assert_int_equal(row.attempts, 1);
    assert_string_equal(row.error, "");
    assert_ok(region_deploy_get(&s.r, AT_CONFIG, &web, 5, &row));
    assert_int_equal(row.result, DEPLOY_FAILED);
    assert_int_equal(row.tried_gen, 1);
}

static void why_it_failed_stays_until_it_succeeds(void **state)
{
    static const struct { uint8_t result; uint32_t tried, serving; const char *error; } step[] = {
        { DEPLOY_FAILED, 3, 2, "key 0" },           /* went back to what it served */
        { DEPLOY_DONE, 2, 2, "key 0" },             /* told to go back: it is there already */
        { DEPLOY_DONE, 3, 3, "" },
        { DEPLOY_FAILED, 4, 0, "key 0" },           /* the way back failed too */
        { DEPLOY_DONE, 3, 3, "key 0" },             /* told to go back, it found what it serves */
        { DEPLOY_DONE, 4, 4, "" },
        { DEPLOY_FAILED, 5, 0, "key 0" },
        { DEPLOY_DONE, 5, 5, "" },                  /* the second try of the same */
    };
    struct name web = name_of("web");
    struct deploy_row row;
    for (size_t i = 0; i < sizeof step / sizeof step[0]; i++) {
        report(6, 0, AT_CERT, step[i].result, step[i].tried, step[i].serving);
        assert_ok(region_deploy_get(&s.r, AT_CERT, &web, 6, &row));
        assert_string_equal(row.error, step[i].error);
    }
}

static void in_any_order_the_counters_are_the_twins(void **state)
{
    static const uint8_t states[] = { DEPLOY_TOLD, DEPLOY_DONE, DEPLOY_DONE, DEPLOY_DONE, DEPLOY_FAILED, DEPLOY_REJECTED };
    struct rng rng = rng_seeded("targets");
    for (int i = 0; i < 2000; i++) {
        uint32_t node = rng_below(&rng, NODES);
        says(node, rng_below(&rng, KEYS), states[rng_below(&rng, 6)]);
        if (i % 3 == 0)
            report(node, 0, AT_CERT, (uint8_t) (1 + rng_below(&rng, 4)), 2, 1 + rng_below(&rng, 2));
        if (i % 20 == 0)
            report(node, 0, AT_CONFIG, DEPLOY_DONE, 0, 0);          /* what it served before says nothing */
        assert_twin();
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    T(a_node_is_done_when_all_keys_are_installed),
    T(a_node_with_one_failed_key_is_failed_once),
    T(a_node_that_installed_some_keys_only_is_silent_in_the_end),
    T(a_failed_node_is_watched_until_its_other_keys_are_back),
    T(a_certificate_of_the_same_name_is_another_object),
    T(why_it_failed_stays_until_it_succeeds),
    T(in_any_order_the_counters_are_the_twins),
};
UNIT_MAIN(tests)
