/*
 * test_evidence.c - a rollout over two regions: validators go on only with what each region signed
 *
 * Region "home" owns the rollout, "away" has nodes in it. Every refusal stands beside the nearest step that is accepted.
 */
#include "world.h"

static struct world w;
static struct rollout_doc roll;
static struct update_set set;

static void region_object(unsigned r, uint8_t state)
{
    struct region_doc d = { .key = w.genesis.region[r].key, .state = state };
    struct name name = w.genesis.region[r].name;
    struct update u;
    assert_ok(update_prepare(&w.a, AT_REGION, &name, PAYLOAD(&w, region, &d), &u));
    u.region = name;
    struct slice leaf = leaf_of(&w, u);
    block(&w, &leaf, 1);
}

/* Both regions in both waves, or with BY REGION "away" in the second alone. */
static void plan(bool by_region)
{
    rollout_doc_sample(&roll, 41, AT_CERT, "web", 1, 2);
    roll.n_regions = 2;
    roll.region[1] = roll.region[0];
    roll.region[1].name = name_of("away");
    if (by_region) {
        roll.region[1].bound[0] = 0;
        roll.region[1].nodes[0] = 0;
    }
    roll.n_gates = 1;
    roll.gate[0] = (struct gate){ GATE_ROLLBACK, 1, { { GATE_FAILED, GATE_GT, GATE_SHARE_PPM, false, 100000 } }, 5 };
}

static void begin(bool by_region)
{
    struct rollout_change change = { .fresh = true, .cert = cert_gen_sample(w.now) };
    plan(by_region);
    assert_ok(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep));
    block_of_set(&w, &set);
}

/* The next step, on counts of home alone so far. */
static void step_to(uint8_t state, uint8_t opened)
{
    assert_ok(attest_get_rollout(&w.a, 41, &roll, NULL));
    w.now.ms += 20000;
    roll.state = state;
    roll.opened = opened;
    memset(roll.evidence, 0, sizeof roll.evidence);
    roll.evidence[0] = (struct rollout_evidence){ .there = true, .at = w.now, .opened = { .nodes = 5, .told = 5, .done = 5 } };
}

static enum reeve_err check_step(void)
{
    evidence_sum(roll.evidence, roll.n_regions, &roll.counts);
    assert_ok(attest_rollout_step(&w.a, &roll, &w.mem, &set, &w.rep));
    return check_set(&w, &set);
}

static void sign_away(uint8_t opened, unsigned key)
{
    uint8_t mem[EVIDENCE_BYTES_MAX];
    struct wr body = wr_fixed(mem, sizeof mem);
    struct hash32 digest;
    struct attest_head head;
    assert_ok(attest_head(&w.a, &head));
    evidence_encode(&roll.region[1].name, roll.id, opened, &roll.evidence[1], &body);
    statement_digest(w.a.c, &digest, STATEMENT_EVIDENCE, &head.chain_id, wr_slice(&body));
    sign_detached(&roll.evidence[1].sig, slice_of(digest.b, 32), &w.region[key]);
}

/* "away" says: so many done, so many failed, counted just now. */
static void away(uint32_t done, uint32_t failed)
{
    roll.evidence[1] = (struct rollout_evidence){ .there = true, .at = w.now, .opened = { .nodes = 10, .told = done + failed, .done = done,
                                                                                        .failed = failed } };
    roll.evidence[1].latency[3] = done;
    sign_away((uint8_t) (roll.opened - 1), 1);
}

static void open_first(void)
{
    step_to(RS_RUNNING, 1);
    assert_ok(check_step());
    block_of_set(&w, &set);
}

static int setup(void **state)
{
    world_new(&w, 1);
    world_furnish(&w);
    region_object(1, REGION_OK);
    return 0;
}

static int teardown(void **state)
{
    world_free(&w);
    return 0;
}

/* ---- claims ---- */

static void a_plan_names_every_region_that_it_reaches(void **state)
{
    struct rollout_change change = { .fresh = true, .cert = cert_gen_sample(w.now) };
    plan(false);
    roll.n_regions = 1;
    assert_ok(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep));
    assert_err(check_set(&w, &set), REEVE_E_PLAN_STALE);
    bool bad = false;
    predicate_op(&roll.where, 0x02, &bad);              /* region */
    predicate_push_const(&roll.where, slice_str("home"), &bad);
    predicate_op(&roll.where, 0x10, &bad);              /* = */
    assert_false(bad);
    assert_ok(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep));
    assert_ok(check_set(&w, &set));
    roll.where.len = 0;
    roll.n_regions = 2;
    assert_ok(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep));
    assert_ok(check_set(&w, &set));
}

static void a_wave_opens_only_with_the_other_regions_signed_counts(void **state)
{
    begin(false);
    open_first();
    step_to(RS_RUNNING, 2);
    assert_err(check_step(), REEVE_E_V_UPDATE);         /* none */
    away(10, 0);
    assert_ok(check_step());
    roll.evidence[1].opened.done = 9;                   /* not what was signed */
    assert_err(check_step(), REEVE_E_V_SIGNATURE);
    away(10, 0);
    sign_away(1, 0);                                    /* by the wrong region */
    assert_err(check_step(), REEVE_E_V_SIGNATURE);
    sign_away(0, 1);                                    /* about other waves */
    assert_err(check_step(), REEVE_E_V_SIGNATURE);
    sign_away(1, 1);
    assert_ok(check_step());
}

static void counts_are_the_sum_of_the_parts(void **state)
{
    begin(false);
    open_first();
    step_to(RS_RUNNING, 2);
    away(10, 0);
    assert_ok(check_step());
    roll.counts.done++;
    roll.counts.told++;
    assert_ok(attest_rollout_step(&w.a, &roll, &w.mem, &set, &w.rep));
    assert_err(check_set(&w, &set), REEVE_E_V_UPDATE);
}

static void a_gate_that_another_regions_counts_fire_is_not_passed(void **state)
{
    begin(false);
    open_first();
    step_to(RS_RUNNING, 2);
    away(9, 1);                                         /* 1 of 15 */
    assert_ok(check_step());
    away(8, 2);                                         /* 2 of 15: more than a tenth */
    assert_err(check_step(), REEVE_E_V_UPDATE);
    roll.state = RS_ROLLING_BACK;
    roll.opened = 1;
    roll.fired_gate = 1;
    sign_away(1, 1);
    assert_ok(check_step());
    away(10, 0);
    sign_away(1, 1);
    assert_err(check_step(), REEVE_E_V_UPDATE);         /* a gate is claimed that does not fire */
}

static void old_counts_do_not_count(void **state)
{
    begin(false);
    open_first();
    int64_t due = w.now.ms + 3000;
    step_to(RS_RUNNING, 2);
    away(10, 0);
    roll.evidence[1].at.ms = due - 1;
    sign_away(1, 1);
    assert_err(check_step(), REEVE_E_V_UPDATE);
    roll.evidence[1].at.ms = due;
    sign_away(1, 1);
    assert_ok(check_step());
}

static void a_region_without_an_opened_wave_is_not_waited_for(void **state)
{
    begin(true);
    open_first();
    step_to(RS_RUNNING, 2);
    assert_ok(check_step());
    block_of_set(&w, &set);
    step_to(RS_SUCCEEDED, 2);
    assert_err(check_step(), REEVE_E_V_UPDATE);
    roll.opened = 3;                                    /* away() counts over the waves before */
    away(10, 0);
    roll.opened = 2;
    assert_ok(check_step());
}

static void a_frozen_region_is_not_waited_for_and_does_not_count(void **state)
{
    begin(false);
    open_first();
    region_object(1, REGION_FROZEN);
    step_to(RS_RUNNING, 2);
    assert_ok(check_step());
    away(10, 0);
    assert_err(check_step(), REEVE_E_V_UPDATE);
    region_object(1, REGION_OK);
    step_to(RS_RUNNING, 2);
    assert_err(check_step(), REEVE_E_V_UPDATE);
}

static void a_region_that_brakes_is_not_passed_over(void **state)
{
    begin(false);
    open_first();
    step_to(RS_RUNNING, 2);
    away(10, 0);
    roll.evidence[1].brake = BRAKE_STOP;
    sign_away(1, 1);
    assert_err(check_step(), REEVE_E_V_UPDATE);
    roll.opened = 1;
    roll.state = RS_PAUSED;
    assert_ok(check_step());
}

static void an_operators_word_needs_no_counts(void **state)
{
    begin(false);
    open_first();
    step_to(RS_RUNNING, 2);
    away(10, 0);
    assert_ok(check_step());
    block_of_set(&w, &set);
    assert_ok(attest_get_rollout(&w.a, 41, &roll, NULL));
    assert_true(roll.evidence[1].there);
    roll.state = RS_PAUSED;                             /* the evidence stands as it stood */
    assert_ok(attest_rollout_step(&w.a, &roll, &w.mem, &set, &w.rep));
    assert_ok(check_set(&w, &set));
    roll.evidence[1].opened.done--;
    roll.counts.done--;
    assert_ok(attest_rollout_step(&w.a, &roll, &w.mem, &set, &w.rep));
    assert_err(check_set(&w, &set), REEVE_E_V_SIGNATURE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_plan_names_every_region_that_it_reaches),
        T(a_wave_opens_only_with_the_other_regions_signed_counts),
        T(counts_are_the_sum_of_the_parts),
        T(a_gate_that_another_regions_counts_fire_is_not_passed),
        T(old_counts_do_not_count),
        T(a_region_without_an_opened_wave_is_not_waited_for),
        T(a_frozen_region_is_not_waited_for_and_does_not_count),
        T(a_region_that_brakes_is_not_passed_over),
        T(an_operators_word_needs_no_counts),
    };
    return cmocka_run_group_tests_name("attest/evidence", tests, NULL, NULL);
}
