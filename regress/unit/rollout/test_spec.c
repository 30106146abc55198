/* test_spec.c - what was asked for: bytes, defaults, refusals, clause text; gates. */
#include "../unit.h"
#include "engine/rollout.h"

static struct rollout_spec spec;
static struct report rep;

static struct wave_spec share(uint32_t ppm, uint32_t bake_ms)
{
    return (struct wave_spec){ SHARE_PPM, ppm, bake_ms, bake_ms > 0 };
}

static void start(unsigned n, ...)
{
    va_list ap;
    memset(&spec, 0, sizeof spec);
    report_clear(&rep);
    va_start(ap, n);
    for (unsigned i = 0; i < n; i++)
        spec.wave[spec.n_waves++] = share(va_arg(ap, unsigned) * 10000, 0);
    va_end(ap);
}

static void assert_text(const char *want)
{
    char text[2048];
    struct wr w = wr_fixed(text, sizeof text - 1);
    rollout_spec_describe(&spec, &w);
    assert_false(w.bad);
    text[w.len] = '\0';
    assert_string_equal(text, want);
}

static void a_lone_canary_grows_to_everybody(void **state)
{
    start(1, 5u);
    rollout_spec_default(&spec, NULL);
    assert_text("CANARY 5% FOR '10 min' THEN 25% FOR '10 min', 100% ROLLBACK IF failed > 5% SAMPLE 20 "
                "PAUSE IF silent > 20% SAMPLE 20");
    assert_ok(rollout_spec_check(&spec, &rep));
}

static void the_demo_s_clauses_mean_what_they_say(void **state)
{
    start(0);
    spec.wave[0] = share(50000, 3000);
    spec.wave[1] = share(250000, 3000);
    spec.wave[2] = share(PPM, 0);
    spec.n_waves = 3;
    rollout_spec_default(&spec, NULL);
    assert_int_equal(spec.n_waves, 3);
    assert_int_equal(spec.wave[2].bake_ms, 0);
    assert_text("CANARY 5% FOR '3 s' THEN 25% FOR '3 s', 100% ROLLBACK IF failed > 5% SAMPLE 20 "
                "PAUSE IF silent > 20% SAMPLE 20");
}

static void nothing_given_is_the_default_strategy(void **state)
{
    start(0);
    rollout_spec_default(&spec, NULL);
    assert_string_equal(spec.strategy.s, "default");
    assert_text("CANARY 100 NODES FOR '10 min' THEN 1% FOR '10 min', 5% FOR '10 min', 25% FOR '10 min', 100% "
                "ROLLBACK IF failed > 5% SAMPLE 20 PAUSE IF silent > 20% SAMPLE 20");
}

static void a_list_that_stops_short_is_completed(void **state)
{
    start(2, 1u, 50u);
    rollout_spec_default(&spec, NULL);
    assert_int_equal(spec.n_waves, 3);
    assert_int_equal(spec.wave[2].amount, PPM);
}

static void a_wave_bakes_as_the_one_before_it(void **state)
{
    start(3, 1u, 5u, 100u);
    spec.wave[0].bake_ms = 7000;
    spec.wave[0].bake_given = true;
    rollout_spec_default(&spec, NULL);
    assert_int_equal(spec.wave[1].bake_ms, 7000);
    assert_int_equal(spec.wave[2].bake_ms, 0);
}

static void a_strategy_fills_only_what_was_left_out(void **state)
{
    start(2, 1u, 100u);
    struct rollout_spec base = spec;
    base.deadline_s = 3600;
    base.n_gates = 1;
    base.gate[0] = (struct gate){ GATE_ROLLBACK, 1, { { GATE_FAILED, GATE_GT, GATE_SHARE_PPM, false, 5000 } }, 200 };
    start(0);
    spec.deadline_s = 60;
    rollout_spec_default(&spec, &base);
    assert_int_equal(spec.n_waves, 2);
    assert_int_equal(spec.deadline_s, 60);
    assert_int_equal(spec.n_gates, 1);
    assert_int_equal(spec.gate[0].sample, 200);
    start(1, 5u);
    rollout_spec_default(&spec, &base);
    assert_int_equal(spec.wave[0].amount, 50000);
    assert_int_equal(spec.deadline_s, 3600);
    start(0);
    spec.immediate = true;
    rollout_spec_default(&spec, &base);
    assert_int_equal(spec.n_waves, 0);
}

static void assert_refused(enum reeve_err want, const char *message)
{
    report_clear(&rep);
    assert_err(rollout_spec_check(&spec, &rep), want);
    if (strstr(rep.message, message) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", rep.message, message);
}

static void what_no_plan_could_mean_is_refused(void **state)
{
    start(2, 5u, 5u);
    assert_refused(REEVE_E_INVALID_VALUE, "wave 2 does not grow");
    start(2, 25u, 5u);
    assert_refused(REEVE_E_INVALID_VALUE, "wave 2 does not grow");
    start(1, 0u);
    assert_refused(REEVE_E_INVALID_VALUE, "wave 1 is empty");
    start(1, 101u);
    assert_refused(REEVE_E_INVALID_VALUE, "more than 100%");
    start(1, 5u);
    spec.immediate = true;
    assert_refused(REEVE_E_INVALID_VALUE, "IMMEDIATE");
    start(2, 5u, 100u);
    spec.wave[2] = (struct wave_spec){ SHARE_NODES, 10, 0, false };
    spec.n_waves = 3;
    assert_refused(REEVE_E_INVALID_VALUE, "after 100%");
    start(1, 5u);
    spec.n_gates = 1;
    spec.gate[0] = (struct gate){ GATE_ROLLBACK, 1, { { GATE_HANDSHAKE_FAIL, GATE_GT, GATE_COUNT, false, 1 } }, 20 };
    assert_refused(REEVE_E_UNSUPPORTED, "handshake_fail");
    spec.gate[0].term[0] = (struct gate_term){ GATE_P99_MS, GATE_GT, GATE_SHARE_PPM, false, 1 };
    assert_refused(REEVE_E_INVALID_VALUE, "milliseconds");
    spec.gate[0].term[0] = (struct gate_term){ GATE_FAILED, GATE_GT, GATE_SHARE_PPM, false, PPM + 1 };
    assert_refused(REEVE_E_INVALID_VALUE, "more than 100%");
    start(1, 5u);
    spec.n_regions = 2;
    spec.by_region = true;
    assert_true(name_set_str(&spec.region[0], "eu") && name_set_str(&spec.region[1], "eu"));
    assert_refused(REEVE_E_INVALID_VALUE, "listed twice");
}

static void every_clause_is_printed(void **state)
{
    bool bad = false;
    start(0);
    spec.wave[0] = (struct wave_spec){ SHARE_NODES, 100, 86400000, true };
    spec.wave[1] = share(5000, 90000);
    spec.wave[2] = share(PPM, 7200000);
    spec.n_waves = 3;
    predicate_op(&spec.where, 0x02, &bad);
    predicate_push_const(&spec.where, slice_str("eu"), &bad);
    predicate_op(&spec.where, 0x10, &bad);
    spec.by_region = true;
    spec.n_regions = 2;
    assert_true(name_set_str(&spec.region[0], "eu") && name_set_str(&spec.region[1], "us"));
    spec.rate_per_min = 50000;
    spec.overlap_s = 86400;
    spec.valid_for_s = 90 * 86400;
    spec.deadline_s = 6 * 3600;
    spec.manual = true;
    spec.approvals = 2;
    assert_true(name_set_str(&spec.window, "nights"));
    spec.n_gates = 3;
    spec.gate[0] = (struct gate){ GATE_ROLLBACK, 2, { { GATE_FAILED, GATE_GT, GATE_SHARE_PPM, true, 5000 },
                                                      { GATE_P99_MS, GATE_GE, GATE_MS, false, 500 } }, 200 };
    spec.gate[1] = (struct gate){ GATE_PAUSE, 1, { { GATE_SILENT, GATE_GT, GATE_COUNT, false, 7 } }, 20 };
    spec.gate[2] = (struct gate){ GATE_ROLLBACK, 1, { { GATE_REJECTED, GATE_LE, GATE_COUNT, false, 3 } }, 200 };
    assert_ok(rollout_spec_check(&spec, &rep));
    assert_text("CANARY 100 NODES FOR '1 day' THEN 0.5% FOR '90 s', 100% FOR '2 h' WHERE region = 'eu' "
                "BY REGION ('eu', 'us') RATE 50000 PER MINUTE OVERLAP '1 day' VALID FOR '90 days' "
                "DURING WINDOW 'nights' DEADLINE '6 h' MANUAL "
                "ROLLBACK IF delta(failed) > 0.5% AND p99_ms >= 500 OR rejected <= 3 SAMPLE 200 "
                "PAUSE IF silent > 7 SAMPLE 20 REQUIRE 2 APPROVALS");
}

static void bytes_and_spec_are_the_same_thing(void **state)
{
    uint8_t mem[8192], again[8192];
    struct rollout_spec back;
    every_clause_is_printed(state);
    struct wr w = wr_fixed(mem, sizeof mem), v = wr_fixed(again, sizeof again);
    rollout_spec_encode(&spec, &w);
    assert_ok(rollout_spec_decode(&back, wr_slice(&w)));
    rollout_spec_encode(&back, &v);
    assert_true(slice_eq(wr_slice(&w), wr_slice(&v)));
    for (size_t cut = 0; cut < w.len; cut++)
        assert_err(rollout_spec_decode(&back, slice_of(mem, cut)), REEVE_E_MALFORMED);
    struct rng rng = rng_seeded("spec bytes");
    for (int i = 0; i < 20000; i++) {       /* one byte string per spec: what decodes encodes to itself */
        size_t at = rng_below(&rng, (uint32_t) w.len);
        uint8_t old = mem[at];
        mem[at] ^= (uint8_t) (1u << rng_below(&rng, 8));
        if (rollout_spec_decode(&back, wr_slice(&w)) == REEVE_OK) {
            wr_reset(&v);
            rollout_spec_encode(&back, &v);
            assert_true(slice_eq(wr_slice(&w), wr_slice(&v)));
        }
        mem[at] = old;
    }
}

/* ---- gates ---- */

static struct rollout_counts counts(uint32_t nodes, uint32_t told, uint32_t done, uint32_t failed, uint32_t silent)
{
    return (struct rollout_counts){ .nodes = nodes, .told = told, .done = done, .failed = failed, .silent = silent };
}

static bool fires(uint8_t var, uint8_t unit, uint32_t value, uint32_t sample, struct rollout_counts c)
{
    char why[256];
    const struct gate g = { GATE_ROLLBACK, 1, { { var, GATE_GT, unit, false, value } }, sample };
    return rollout_gate_fires(&g, &c, why);
}

static void a_share_fires_above_its_bound_and_not_at_it(void **state)
{
    assert_false(fires(GATE_FAILED, GATE_SHARE_PPM, 50000, 20, counts(100, 100, 95, 5, 0)));
    assert_true(fires(GATE_FAILED, GATE_SHARE_PPM, 50000, 20, counts(100, 100, 94, 6, 0)));
    assert_false(fires(GATE_SILENT, GATE_SHARE_PPM, 200000, 20, counts(100, 100, 80, 0, 20)));
    assert_true(fires(GATE_SILENT, GATE_SHARE_PPM, 200000, 20, counts(100, 100, 79, 0, 21)));
    assert_false(fires(GATE_FAILED, GATE_COUNT, 5, 1, counts(100, 100, 94, 5, 0)));
    assert_true(fires(GATE_FAILED, GATE_COUNT, 5, 1, counts(100, 100, 94, 6, 0)));
}

static void too_few_answers_never_fire(void **state)
{
    assert_false(fires(GATE_FAILED, GATE_SHARE_PPM, 50000, 20, counts(100, 100, 0, 19, 0)));
    assert_true(fires(GATE_FAILED, GATE_SHARE_PPM, 50000, 20, counts(100, 100, 0, 20, 0)));
    /* a small fleet lowers the sample to itself, never to nothing */
    assert_false(fires(GATE_FAILED, GATE_SHARE_PPM, 50000, 20, counts(3, 3, 0, 2, 0)));
    assert_true(fires(GATE_FAILED, GATE_SHARE_PPM, 50000, 20, counts(3, 3, 2, 1, 0)));
    assert_false(fires(GATE_FAILED, GATE_COUNT, 0, 0, counts(0, 0, 0, 0, 0)));
    /* silence counts as an answer to the question of silence only */
    assert_false(fires(GATE_FAILED, GATE_SHARE_PPM, 50000, 20, counts(100, 30, 0, 1, 29)));
    assert_true(fires(GATE_SILENT, GATE_SHARE_PPM, 50000, 20, counts(100, 30, 0, 1, 29)));
}

static void delta_is_against_the_control_group(void **state)
{
    char why[256];
    const struct gate g = { GATE_ROLLBACK, 1, { { GATE_FAILED, GATE_GT, GATE_SHARE_PPM, true, 50000 } }, 20 };
    struct rollout_counts c = counts(100, 100, 90, 10, 0);
    assert_true(rollout_gate_fires(&g, &c, why));
    c.control_nodes = 1000;
    c.control_failed = 50;
    assert_false(rollout_gate_fires(&g, &c, why));
    c.control_failed = 49;
    assert_true(rollout_gate_fires(&g, &c, why));
    assert_string_equal(why, "rollback gate: delta(failed) > 5% (10 of 100, 10%)");
}

static void all_terms_of_a_gate_must_hold(void **state)
{
    char why[256];
    const struct gate g = { GATE_PAUSE, 2, { { GATE_FAILED, GATE_GE, GATE_COUNT, false, 1 },
                                             { GATE_P99_MS, GATE_GT, GATE_MS, false, 500 } }, 10 };
    struct rollout_counts c = counts(100, 20, 19, 1, 0);
    c.p99_ms = 500;
    assert_false(rollout_gate_fires(&g, &c, why));
    c.p99_ms = 501;
    assert_true(rollout_gate_fires(&g, &c, why));
    assert_string_equal(why, "pause gate: failed >= 1 (1 of 20, 5%) AND p99_ms > 500 (501)");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_lone_canary_grows_to_everybody),
    cmocka_unit_test(the_demo_s_clauses_mean_what_they_say),
    cmocka_unit_test(nothing_given_is_the_default_strategy),
    cmocka_unit_test(a_list_that_stops_short_is_completed),
    cmocka_unit_test(a_wave_bakes_as_the_one_before_it),
    cmocka_unit_test(a_strategy_fills_only_what_was_left_out),
    cmocka_unit_test(what_no_plan_could_mean_is_refused),
    cmocka_unit_test(every_clause_is_printed),
    cmocka_unit_test(bytes_and_spec_are_the_same_thing),
    cmocka_unit_test(a_share_fires_above_its_bound_and_not_at_it),
    cmocka_unit_test(too_few_answers_never_fire),
    cmocka_unit_test(delta_is_against_the_control_group),
    cmocka_unit_test(all_terms_of_a_gate_must_hold),
};
UNIT_MAIN(tests)
