/* test_state.c - the state machine: chain, objects, rollouts from begin to end, followers. */
#include "world.h"

static struct world w;
static struct cert_doc cert;
static struct config_doc config;
static struct rollout_doc roll;
static struct update_set set;

static int setup(void **state)
{
    world_new(&w, 1);
    return 0;
}

static int teardown(void **state)
{
    world_free(&w);
    return 0;
}

static struct rollout_change fresh_cert(void)
{
    return (struct rollout_change){ .fresh = true, .cert = cert_gen_sample(w.now) };
}

/* A rotation of 'web' from its active generation to a new one. */
static void rotate(uint64_t id)
{
    struct name web = name_of("web");
    uint32_t from, next;
    struct rollout_change change = fresh_cert();
    assert_ok(attest_gen_numbers(&w.a, AT_CERT, &web, &from, &next));
    rollout_doc_sample(&roll, id, AT_CERT, "web", from, next);
    assert_ok(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep));
    block_of_set(&w, &set);
}

/* The next step of rollout id: state, opened, after a pause that ends every bake. */
static void step_set(uint64_t id, uint8_t to, uint8_t opened)
{
    assert_ok(attest_get_rollout(&w.a, id, &roll, NULL));
    roll.state = to;
    roll.opened = opened;
    w.now.ms += 20000;
    assert_ok(attest_rollout_step(&w.a, &roll, &w.mem, &set, &w.rep));
}

static void step(uint64_t id, uint8_t to, uint8_t opened)
{
    step_set(id, to, opened);
    block_of_set(&w, &set);
}

static void get_web(void)
{
    struct name web = name_of("web");
    assert_ok(attest_get_cert(&w.a, &web, &cert, NULL));
}

static void genesis_is_the_block_of_height_zero(void **state)
{
    struct attest_head head;
    struct hash32 chain_id;
    struct slice doc;
    assert_ok(attest_head(&w.a, &head));
    genesis_chain_id(w.a.c, &chain_id, wr_slice(&w.genesis_doc));
    assert_int_equal(head.height, 0);
    assert_true(hash32_eq(&head.chain_id, &chain_id) && hash32_eq(&head.header_hash, &chain_id));
    assert_true(hash32_is_zero(&head.state_root));
    assert_int_equal(head.header.time.ms, GENESIS_MS);
    assert_ok(attest_genesis(&w.a, &doc));
    assert_true(slice_eq(doc, wr_slice(&w.genesis_doc)));
    assert_err(attest_init(&w.a, wr_slice(&w.genesis_doc)), REEVE_E_DUPLICATE_OBJECT);
}

static void a_tick_moves_height_and_time_alone(void **state)
{
    struct attest_head a, b;
    world_furnish(&w);
    assert_ok(attest_head(&w.a, &a));
    block(&w, NULL, 0);
    assert_ok(attest_head(&w.a, &b));
    assert_int_equal(b.height, a.height + 1);
    assert_int_equal(b.log_size, a.log_size);
    assert_true(hash32_eq(&a.state_root, &b.state_root) && hash32_eq(&a.log_root, &b.log_root));
    assert_true(b.header.time.ms > a.header.time.ms);
}

static void objects_and_leaves_can_be_read_back(void **state)
{
    struct attest_object o;
    struct name web = name_of("web"), at = { 0 };
    struct slice leaf;
    uint64_t height;
    world_furnish(&w);
    assert_ok(attest_get(&w.a, AT_CERT, &web, &o));
    assert_int_equal(o.version, 1);
    assert_int_equal(o.gen_max, 1);
    assert_int_equal(o.leaf_index, 2);
    assert_ok(attest_leaf(&w.a, 2, &leaf, &height));
    assert_int_equal(height, 3);
    assert_true(slice_eq(leaf, o.leaf));
    assert_ok(attest_next(&w.a, AT_CERT, &at, &o));
    assert_true(name_eq(&at, &web));
    assert_err(attest_next(&w.a, AT_CERT, &at, &o), REEVE_E_NOT_FOUND);
    web = name_of("none");
    assert_err(attest_get(&w.a, AT_CERT, &web, &o), REEVE_E_NOT_FOUND);
}

static void a_rotation_succeeds_and_the_new_generation_is_active(void **state)
{
    world_furnish(&w);
    rotate(41);
    get_web();
    assert_int_equal(cert.rollout_id, 41);
    assert_int_equal(cert.g[1].state, GEN_PREPARED);
    step(41, RS_RUNNING, 1);
    step(41, RS_RUNNING, 2);
    step(41, RS_SUCCEEDED, 2);
    get_web();
    assert_int_equal(cert.active_gen, 2);
    assert_int_equal(cert.rollout_id, 0);
    assert_int_equal(cert.g[0].state, GEN_RETIRED);
    assert_int_equal(cert.g[1].state, GEN_ACTIVE);
}

static void a_rolled_back_rotation_withdraws_its_generation(void **state)
{
    world_furnish(&w);
    rotate(41);
    step(41, RS_RUNNING, 1);
    step(41, RS_ROLLING_BACK, 1);
    step(41, RS_ROLLED_BACK, 1);
    get_web();
    assert_int_equal(cert.active_gen, 1);
    assert_int_equal(cert.g[1].state, GEN_WITHDRAWN);
    /* the next one gets the next number */
    rotate(42);
    get_web();
    assert_int_equal(cert.g[2].gen, 3);
}

static void a_rotation_for_some_becomes_a_rule(void **state)
{
    bool bad = false;
    struct name web = name_of("web");
    struct predicate p = { 0 };
    predicate_push_label(&p, slice_str("tier"), &bad);
    predicate_push_const(&p, slice_str("edge"), &bad);
    predicate_op(&p, 0x10, &bad);
    assert_false(bad);
    world_furnish(&w);
    for (uint64_t id = 50; id < 52; id++) {
        struct rollout_change change = fresh_cert();
        rollout_doc_sample(&roll, id, AT_CERT, "web", 1, (uint32_t) (id - 48));
        roll.where = p;
        assert_ok(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep));
        block_of_set(&w, &set);
        step(id, RS_RUNNING, 1);
        step(id, RS_RUNNING, 2);
        step(id, RS_SUCCEEDED, 2);
        get_web();
        /* the same condition again takes the place of the earlier rule */
        assert_int_equal(cert.active_gen, 1);
        assert_int_equal(cert.n_rules, 1);
        assert_int_equal(cert.rule[0].gen, id - 48);
    }
    assert_int_equal(cert_gen_find(&cert, 2)->state, GEN_RETIRED);
    struct labels edge = { 1, { { name_of("tier"), name_of("edge") } } }, pop = { 1, { { name_of("tier"), name_of("pop") } } };
    struct node_view n = { name_of("home"), &edge, "n-00000000000000000000000000000000", 5 };
    assert_int_equal(cert_gen_for(&cert, NULL, &web, &n), 3);
    n.labels = &pop;
    assert_int_equal(cert_gen_for(&cert, NULL, &web, &n), 1);
    /* for everybody: rules go */
    rotate(60);
    step(60, RS_RUNNING, 1);
    step(60, RS_RUNNING, 2);
    step(60, RS_SUCCEEDED, 2);
    get_web();
    assert_int_equal(cert.n_rules, 0);
    assert_int_equal(cert.active_gen, 4);
}

static void a_node_serves_what_waves_and_rules_say(void **state)
{
    struct name web = name_of("web");
    struct labels none = { 0 };
    struct node_view canary = { name_of("home"), &none, "n-00000000000000000000000000000000", 1 }, last = canary;
    last.cohort = COHORT_END - 1;
    world_furnish(&w);
    rotate(41);
    get_web();
    assert_ok(attest_get_rollout(&w.a, 41, &roll, NULL));
    assert_int_equal(cert_gen_for(&cert, &roll, &web, &canary), 1);
    step(41, RS_RUNNING, 1);
    assert_ok(attest_get_rollout(&w.a, 41, &roll, NULL));
    assert_int_equal(cert_gen_for(&cert, &roll, &web, &canary), 2);
    assert_int_equal(cert_gen_for(&cert, &roll, &web, &last), 1);
    /* another rollout's document says nothing about this certificate */
    roll.id = 7;
    assert_int_equal(cert_gen_for(&cert, &roll, &web, &canary), 1);
}

static void config_follows_its_rollout(void **state)
{
    struct name key = name_of("http/max");
    struct rollout_change change = { .fresh = true };
    world_furnish(&w);
    change.base = (struct config_gen){ .gen = 6 };
    change.config = (struct config_gen){ .gen = 7 };
    memset(change.base.digest.b, 1, 32);
    memset(change.config.digest.b, 2, 32);
    rollout_doc_sample(&roll, 70, AT_CONFIG, "http/max", 6, 7);
    assert_ok(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep));
    block_of_set(&w, &set);
    step(70, RS_RUNNING, 1);
    step(70, RS_CANCELED, 1);
    assert_ok(attest_get_config(&w.a, &key, &config, NULL));
    assert_int_equal(config.active_gen, 6);
    assert_int_equal(config.g[1].state, GEN_WITHDRAWN);
    /* meanwhile the region went on by itself */
    change.base.gen = 9;
    change.config.gen = 10;
    rollout_doc_sample(&roll, 71, AT_CONFIG, "http/max", 9, 10);
    assert_ok(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep));
    block_of_set(&w, &set);
    step(71, RS_RUNNING, 1);
    step(71, RS_RUNNING, 2);
    step(71, RS_SUCCEEDED, 2);
    assert_ok(attest_get_config(&w.a, &key, &config, NULL));
    assert_int_equal(config.active_gen, 10);
}

static void a_follower_reaches_the_same_bytes(void **state)
{
    struct world f;
    world_new(&f, 1);
    world_furnish(&w);
    rotate(41);
    step(41, RS_RUNNING, 1);
    block(&w, NULL, 0);
    for (uint64_t h = 1; h <= 6; h++) {
        struct slice b;
        assert_ok(attest_block(&w.a, h, &b));
        sim_kv_begin(f.store);
        assert_ok(attest_apply(&f.a, b, &f.rep));
        sim_kv_commit(f.store);
    }
    assert_true(sim_kv_equal(w.store, f.store));
    world_free(&f);
}

static void a_follower_refuses_a_block_that_does_not_fit(void **state)
{
    struct world f;
    struct slice b;
    uint8_t *copy;
    world_new(&f, 1);
    world_furnish(&w);
    sim_kv_begin(f.store);
    assert_ok(attest_block(&w.a, 2, &b));
    assert_err(attest_apply(&f.a, b, &f.rep), REEVE_E_V_HEIGHT);
    assert_ok(attest_block(&w.a, 1, &b));
    copy = malloc(b.len);
    memcpy(copy, b.p, b.len);
    copy[b.len - 70] ^= 1;      /* in the leaf, not in its signature */
    assert_err(attest_apply(&f.a, slice_of(copy, b.len), &f.rep), REEVE_E_V_LEAF);
    copy[b.len - 70] ^= 1;
    copy[100] ^= 1;             /* in the header */
    assert_int_not_equal(attest_apply(&f.a, slice_of(copy, b.len), &f.rep), REEVE_OK);
    assert_err(attest_apply(&f.a, slice_of(copy, b.len - 1), &f.rep), REEVE_E_MALFORMED);
    copy[100] ^= 1;
    assert_ok(attest_apply(&f.a, slice_of(copy, b.len), &f.rep));
    free(copy);
    sim_kv_abort(f.store);
    world_free(&f);
}

static void a_proposal_with_other_roots_is_refused(void **state)
{
    struct region_doc home = { .key = w.genesis.region[0].key, .state = REGION_OK };
    struct slice leaf = leaf_for(&w, AT_REGION, "home", PAYLOAD(&w, region, &home));
    struct block_header good = { .view = 1, .time = { w.now.ms + 1 } }, h;
    sim_kv_begin(w.store);
    assert_ok(attest_propose(&w.a, &leaf, 1, &good));
    sim_kv_abort(w.store);
#define REFUSED(field, value, want) \
    h = good; h.field = value; sim_kv_begin(w.store); assert_err(attest_extend(&w.a, &h, &leaf, 1, &w.rep), want); sim_kv_abort(w.store)
    REFUSED(chain_id.b[0], (uint8_t) (good.chain_id.b[0] ^ 1), REEVE_E_V_CHAIN);
    REFUSED(epoch, 9, REEVE_E_V_EPOCH);
    REFUSED(valset_hash.b[0], (uint8_t) (good.valset_hash.b[0] ^ 1), REEVE_E_V_SET);
    REFUSED(height, 2, REEVE_E_V_HEIGHT);
    REFUSED(parent_view, 5, REEVE_E_V_CONSISTENCY);
    REFUSED(parent_hash.b[0], (uint8_t) (good.parent_hash.b[0] ^ 1), REEVE_E_V_CONSISTENCY);
    REFUSED(time.ms, GENESIS_MS, REEVE_E_V_TIME);
    REFUSED(log_size, 2, REEVE_E_V_LEAF);
    REFUSED(payload_root.b[0], (uint8_t) (good.payload_root.b[0] ^ 1), REEVE_E_V_LEAF);
    REFUSED(log_root.b[0], (uint8_t) (good.log_root.b[0] ^ 1), REEVE_E_CORRUPT);
    REFUSED(state_root.b[0], (uint8_t) (good.state_root.b[0] ^ 1), REEVE_E_CORRUPT);
    sim_kv_begin(w.store);
    assert_ok(attest_extend(&w.a, &good, &leaf, 1, &w.rep));
    sim_kv_abort(w.store);
}

static void a_block_may_hold_several_groups_and_versions(void **state)
{
    struct slice leaf[8];
    size_t n = 0;
    world_furnish(&w);
    /* begin and first wave in one block: the prepare phase is zero, and each update sees the one before */
    struct rollout_change change = fresh_cert();
    rollout_doc_sample(&roll, 5, AT_CERT, "web", 1, 2);
    assert_ok(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep));
    for (size_t i = 0; i < set.n; i++)
        leaf[n++] = leaf_of(&w, set.u[i]);
    struct update u = set.u[0];
    roll.state = RS_PAUSED;
    u.version = 2;
    merkle_leaf_hash(w.a.c, &u.prev, leaf[0]);
    u.payload = PAYLOAD(&w, rollout, &roll);
    leaf[n++] = leaf_of(&w, u);
    block(&w, leaf, n);
    assert_ok(attest_get_rollout(&w.a, 5, &roll, NULL));
    assert_int_equal(roll.state, RS_PAUSED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(genesis_is_the_block_of_height_zero),
        T(a_tick_moves_height_and_time_alone),
        T(objects_and_leaves_can_be_read_back),
        T(a_rotation_succeeds_and_the_new_generation_is_active),
        T(a_rolled_back_rotation_withdraws_its_generation),
        T(a_rotation_for_some_becomes_a_rule),
        T(a_node_serves_what_waves_and_rules_say),
        T(config_follows_its_rollout),
        T(a_follower_reaches_the_same_bytes),
        T(a_follower_refuses_a_block_that_does_not_fit),
        T(a_proposal_with_other_roots_is_refused),
        T(a_block_may_hold_several_groups_and_versions),
    };
    return cmocka_run_group_tests_name("attest_state", tests, NULL, NULL);
}
