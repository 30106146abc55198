/*
 * test_plan.c - cohorts and plans
 *
 * Cohorts are recomputed here from the hash itself, bounds by counting every
 * node: the twin knows no order statistics.
 */
#include "../unit.h"
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "engine/rollout.h"

#define NODES 2003

static struct plan_node fleet[NODES];
static struct labels tier[2];
static uint64_t scratch[NODES];
static size_t n_nodes, scratch_n;
static struct rollout_doc doc;
static struct rollout_spec spec;
static uint32_t elsewhere;              /* nodes of "us" that the source does not have */
static bool frozen;
static struct report rep;
static const char object[] = "edge-tls";

/* SHA-256(object 00 id) by the hash library alone, the top 53 bits by division. */
static uint64_t cohort_again(const char *id)
{
    char text[300];
    size_t n = strlen(object);
    memcpy(text, object, n + 1);
    strcpy(text + n + 1, id);
    struct slice part = slice_of(text, n + 1 + strlen(id));
    struct hash32 h;
    sha256_parts(&h, &part, 1);
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v * 256 + h.b[i];
    return v / 2048;
}

static void make_fleet(size_t n)
{
    n_nodes = n;
    scratch_n = NODES;
    assert_true(name_set_str(&tier[0].l[0].key, "tier") && name_set_str(&tier[0].l[0].value, "edge"));
    tier[0].n = 1;
    for (size_t i = 0; i < n; i++) {
        struct node_id id = { { (uint8_t) i, (uint8_t) (i >> 8), 7 } };
        fleet[i].ordinal = (uint32_t) i;
        assert_true(name_set_str(&fleet[i].region, i % 3 == 0 ? "us" : "eu"));
        fleet[i].labels = &tier[i % 2];
        node_id_text(fleet[i].id_text, &id);
    }
}

static enum reeve_err each(void *h, void (*visit)(void *arg, const struct plan_node *n), void *arg)
{
    for (size_t i = 0; i < n_nodes; i++)
        visit(arg, &fleet[i]);
    return REEVE_OK;
}

static enum reeve_err plan(void)
{
    struct plan_region_info regions[2] = { { .ordinal_max = (uint32_t) n_nodes }, { .ordinal_max = (uint32_t) n_nodes } };
    struct plan_source src = { each, NULL, scratch, scratch_n };
    regions[1].elsewhere = elsewhere;
    regions[1].frozen = frozen;
    assert_true(name_set_str(&regions[0].name, "eu") && name_set_str(&regions[1].name, "us"));
    memset(&doc, 0, sizeof doc);
    report_clear(&rep);
    doc.id = 1;
    doc.kind = ROLLOUT_CERT;
    doc.n_targets = 1;
    doc.target[0] = (struct rollout_target){ .type = 4, .from_gen = 1, .to_gen = 2 };
    assert_true(name_set_str(&doc.target[0].name, object));
    rollout_spec_default(&spec, NULL);
    assert_ok(rollout_spec_check(&spec, &rep));
    return rollout_plan(&crypto_ops_real, &doc, &spec, slice_str(object), regions, 2, &src, &rep);
}

static void shares(unsigned n, ...)
{
    va_list ap;
    memset(&spec, 0, sizeof spec);
    va_start(ap, n);
    for (unsigned i = 0; i < n; i++)
        spec.wave[spec.n_waves++] = (struct wave_spec){ SHARE_PPM, va_arg(ap, unsigned) * 10000, 3000, true };
    va_end(ap);
}

/* Nodes with cohort below the bound of their region in wave w, counted one by one. */
static unsigned below(unsigned w)
{
    unsigned n = 0;
    for (size_t i = 0; i < n_nodes; i++) {
        const struct rollout_region *g = &doc.region[strcmp(doc.region[0].name.s, fleet[i].region.s) != 0];
        n += predicate_holds(&doc.where, &fleet[i].region, fleet[i].labels, slice_str(fleet[i].id_text)) &&
             cohort_again(fleet[i].id_text) < g->bound[w];
    }
    return n;
}

static unsigned planned_upto(unsigned w)
{
    unsigned n = 0;
    for (unsigned i = 0; i <= w; i++)
        n += doc.region[0].nodes[i] + doc.region[1].nodes[i];
    return n;
}

static void assert_sound(void)
{
    assert_ok(rollout_doc_check(&doc, &rep));
    for (unsigned w = 0; w < doc.n_waves; w++)
        assert_int_equal(planned_upto(w), below(w));
}

static void cohorts_are_the_first_53_bits_of_the_hash(void **state)
{
    /* from: perl -MDigest::SHA=sha256_hex -e 'print hex(substr(sha256_hex("edge-tls\0n-…"),0,16))>>11' */
    assert_true(rollout_cohort(&crypto_ops_real, slice_str(object), slice_str("n-000102030405060708090a0b0c0d0e0f")) ==
                UINT64_C(2711164897394321));
    assert_true(rollout_cohort(&crypto_ops_real, slice_str(object), slice_str("n-ffffffffffffffffffffffffffffffff")) ==
                UINT64_C(4239964670483929));
    make_fleet(NODES);
    for (size_t i = 0; i < NODES; i++)
        assert_true(rollout_cohort(&crypto_ops_real, slice_str(object), slice_str(fleet[i].id_text)) ==
                    cohort_again(fleet[i].id_text));
}

static void shares_are_exact_fractions_of_2_to_the_53(void **state)
{
    make_fleet(NODES);
    shares(3, 5u, 25u, 100u);
    assert_ok(plan());
    assert_int_equal(doc.n_waves, 3);
    assert_true(doc.region[0].bound[0] == 450359962737049u);       /* floor(0.05 * 2^53) */
    assert_true(doc.region[0].bound[1] == 2251799813685248u);
    assert_true(doc.region[0].bound[2] == COHORT_END);
    assert_int_equal(planned_upto(2), NODES);
    assert_in_range(planned_upto(0), 60, 140);
    assert_int_equal(doc.prepare_ms, 2000 + NODES);
    assert_sound();
}

static void counts_are_exact_order_statistics(void **state)
{
    make_fleet(NODES);
    for (uint32_t n = 1; n < NODES; n = n * 3 + 1) {
        shares(0);
        spec.wave[0] = (struct wave_spec){ SHARE_NODES, n, 3000, true };
        spec.wave[1] = (struct wave_spec){ SHARE_PPM, PPM, 0, false };
        spec.n_waves = 2;
        assert_ok(plan());
        assert_int_equal(below(0), n);
        assert_sound();
    }
}

static void the_default_never_takes_a_small_fleet_at_once(void **state)
{
    make_fleet(50);
    shares(0);
    assert_ok(plan());
    assert_int_equal(doc.n_waves, 4);       /* the 100 nodes fell back to the 1% that follows */
    assert_true(doc.region[0].bound[0] < COHORT_END / 99);
    assert_sound();
    make_fleet(NODES);
    shares(0);
    spec.wave[0] = (struct wave_spec){ SHARE_NODES, 5000, 3000, true };
    spec.n_waves = 1;
    assert_ok(plan());                      /* an operator's own count is obeyed */
    assert_int_equal(doc.n_waves, 1);
    assert_sound();
}

static void a_condition_limits_whom_the_waves_count(void **state)
{
    bool bad = false;
    make_fleet(NODES);
    shares(2, 10u, 100u);
    predicate_push_label(&spec.where, slice_str("tier"), &bad);
    predicate_push_const(&spec.where, slice_str("edge"), &bad);
    predicate_op(&spec.where, 0x10, &bad);
    assert_ok(plan());
    assert_int_equal(planned_upto(1), (NODES + 1) / 2);
    assert_sound();
    assert_int_equal(rollout_wave_of(&doc, &fleet[1].region, fleet[1].labels, slice_str(fleet[1].id_text), 0), 0);
    assert_int_equal(rollout_wave_of(&doc, &fleet[0].region, fleet[0].labels, slice_str(fleet[0].id_text), 0), 1);
}

static void regions_follow_one_another(void **state)
{
    make_fleet(NODES);
    shares(2, 5u, 100u);
    spec.by_region = true;
    spec.n_regions = 1;
    assert_true(name_set_str(&spec.region[0], "us"));
    assert_ok(plan());
    assert_int_equal(doc.n_waves, 4);
    assert_string_equal(doc.region[0].name.s, "us");
    assert_true(doc.region[1].bound[1] == 0 && doc.region[0].bound[1] == COHORT_END);
    assert_true(doc.region[0].bound[2] == COHORT_END && doc.region[1].bound[2] == 450359962737049u);
    assert_sound();
    assert_true(name_set_str(&spec.region[0], "mars"));
    assert_err(plan(), REEVE_E_INVALID_VALUE);
}

/* The same shares of a region of which only the number of nodes is known, to within one node. */
static void nodes_elsewhere_are_planned_by_their_number(void **state)
{
    make_fleet(1000);
    for (size_t i = 0; i < n_nodes; i++)
        assert_true(name_set_str(&fleet[i].region, "eu"));
    elsewhere = 500;
    shares(3, 10u, 50u, 100u);
    assert_ok(plan());
    assert_int_equal(doc.n_waves, 3);
    uint32_t sum = 0;
    for (unsigned w = 0; w < 3; w++) {
        const uint32_t want[] = { 50, 200, 250 };
        assert_true(doc.region[1].nodes[w] + 1 >= want[w] && doc.region[1].nodes[w] <= want[w] + 1);
        assert_true(doc.region[0].bound[w] == doc.region[1].bound[w]);
        sum += doc.region[1].nodes[w];
    }
    assert_int_equal(sum, 500);
    spec.by_region = true;
    assert_ok(plan());
    assert_true(doc.n_waves == 6 && doc.region[1].bound[2] == 0 && doc.region[1].nodes[2] == 0 && doc.region[0].nodes[3] == 0);
    frozen = true;
    assert_err(plan(), REEVE_E_REGION_FROZEN);
    elsewhere = 0;
    assert_ok(plan());
    frozen = false;
}

static void a_rate_cuts_waves_into_slices(void **state)
{
    make_fleet(NODES);
    shares(2, 5u, 100u);
    spec.wave[0].bake_ms = 60000;
    spec.wave[1].bake_ms = 0;
    spec.rate_per_min = 400;
    assert_ok(plan());
    assert_sound();
    for (unsigned w = 0; w < doc.n_waves; w++) {
        uint32_t nodes = doc.region[0].nodes[w] + doc.region[1].nodes[w];
        assert_true(nodes <= 400);
        assert_true(doc.wave[w].bake_ms == 60000 || w + 1u == doc.n_waves);
    }
    assert_int_equal(doc.n_waves, 6);
    spec.rate_per_min = 10;
    assert_err(plan(), REEVE_E_INVALID_VALUE);
    assert_non_null(strstr(rep.hint, "RATE"));
}

static void immediate_is_one_wave_without_prepare(void **state)
{
    make_fleet(NODES);
    shares(0);
    spec.immediate = true;
    assert_ok(plan());
    assert_int_equal(doc.n_waves, 1);
    assert_int_equal(doc.wave[0].bake_ms, 0);
    assert_int_equal(doc.prepare_ms, 0);
    assert_sound();
}

static void what_cannot_be_planned_says_why(void **state)
{
    bool bad = false;
    make_fleet(NODES);
    scratch_n = NODES - 1;
    assert_err(plan(), REEVE_E_NOMEM);
    scratch_n = NODES;
    shares(1, 5u);
    predicate_op(&spec.where, 0x02, &bad);
    predicate_push_const(&spec.where, slice_str("mars"), &bad);
    predicate_op(&spec.where, 0x10, &bad);
    assert_err(plan(), REEVE_E_INVALID_VALUE);
    assert_string_equal(rep.message, "no node matches");
}

static void without_nodes_the_change_is_for_those_to_come(void **state)
{
    bool bad = false;
    make_fleet(0);
    shares(2, 5u, 100u);
    spec.manual = true;
    assert_ok(plan());
    assert_int_equal(doc.n_waves, 1);
    assert_int_equal(doc.wave[0].bake_ms, 0);
    assert_int_equal(doc.prepare_ms, 0);
    assert_false(doc.manual);
    assert_true(doc.region[0].bound[0] == COHORT_END);
    assert_sound();
    /* who narrows the plan means somebody, unless it is the object's own condition */
    predicate_op(&spec.where, 0x02, &bad);
    predicate_push_const(&spec.where, slice_str("mars"), &bad);
    predicate_op(&spec.where, 0x10, &bad);
    assert_err(plan(), REEVE_E_INVALID_VALUE);
    spec.where_implied = true;
    assert_ok(plan());
    assert_int_equal(doc.n_waves, 1);
}

static void random_plans_are_nested_and_complete(void **state)
{
    struct rng rng = rng_seeded("plans");
    for (int round = 0; round < 60; round++) {
        make_fleet(1 + rng_below(&rng, NODES));
        shares(0);
        uint32_t ppm = 0, nodes = 0;
        for (unsigned i = 0; i < 1 + rng_below(&rng, 5); i++) {
            bool count = rng_below(&rng, 2);
            uint32_t *at = count ? &nodes : &ppm;
            *at += 1 + rng_below(&rng, count ? 300 : 200000);
            spec.wave[spec.n_waves++] = (struct wave_spec){ count ? SHARE_NODES : SHARE_PPM, *at, rng_below(&rng, 100000), true };
        }
        spec.by_region = rng_below(&rng, 3) == 0;
        assert_ok(plan());
        assert_sound();
        assert_int_equal(planned_upto(doc.n_waves - 1u), n_nodes);
    }
}

static void bytes_and_doc_are_the_same_thing(void **state)
{
    static uint8_t mem[32768], again[32768];
    static struct rollout_doc back;
    make_fleet(300);
    shares(3, 5u, 25u, 100u);
    assert_ok(plan());
    strcpy(doc.why, "because");
    doc.counts.failed = 12;
    doc.state = RS_ROLLING_BACK;
    doc.opened = 2;
    doc.fired_gate = 1;
    struct wr w = wr_fixed(mem, sizeof mem), v = wr_fixed(again, sizeof again);
    rollout_doc_encode(&doc, &w);
    assert_ok(rollout_doc_decode(&back, wr_slice(&w)));
    rollout_doc_encode(&back, &v);
    assert_true(slice_eq(wr_slice(&w), wr_slice(&v)));
    assert_true(rollout_plan_same(&doc, &back));
    for (size_t cut = 0; cut < w.len; cut++)
        assert_err(rollout_doc_decode(&back, slice_of(mem, cut)), REEVE_E_MALFORMED);
    struct rng rng = rng_seeded("doc bytes");
    for (int i = 0; i < 20000; i++) {
        size_t at = rng_below(&rng, (uint32_t) w.len);
        uint8_t old = mem[at];
        mem[at] ^= (uint8_t) (1u << rng_below(&rng, 8));
        if (rollout_doc_decode(&back, wr_slice(&w)) == REEVE_OK) {
            wr_reset(&v);
            rollout_doc_encode(&back, &v);
            assert_true(slice_eq(wr_slice(&w), wr_slice(&v)));
        }
        mem[at] = old;
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(cohorts_are_the_first_53_bits_of_the_hash),
    cmocka_unit_test(shares_are_exact_fractions_of_2_to_the_53),
    cmocka_unit_test(counts_are_exact_order_statistics),
    cmocka_unit_test(the_default_never_takes_a_small_fleet_at_once),
    cmocka_unit_test(a_condition_limits_whom_the_waves_count),
    cmocka_unit_test(regions_follow_one_another),
    cmocka_unit_test(nodes_elsewhere_are_planned_by_their_number),
    cmocka_unit_test(a_rate_cuts_waves_into_slices),
    cmocka_unit_test(immediate_is_one_wave_without_prepare),
    cmocka_unit_test(what_cannot_be_planned_says_why),
        cmocka_unit_test(without_nodes_the_change_is_for_those_to_come),
    cmocka_unit_test(random_plans_are_nested_and_complete),
    cmocka_unit_test(bytes_and_doc_are_the_same_thing),
};
UNIT_MAIN(tests)
