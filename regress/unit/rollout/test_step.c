/*
 * test_step.c - the state machine: (doc, view) -> decision, with the nearest
 * input that decides otherwise; what validators refuse; operators' verbs
 */
#include "../unit.h"
#include "engine/rollout.h"

#define T0      1000000
#define BAKE    3000
#define SKEW    2000
#define DUE     (T0 + BAKE + 2 * SKEW)
#define TIMEOUT 10000

static struct rollout_doc doc;
static struct rollout_view view;
static struct rollout_decision dec;

/* Three waves of 100, 400 and 1500 nodes; the default gates; in that state with that many waves open. */
static void at(enum rollout_state s, uint8_t opened)
{
    static const uint32_t nodes[] = { 100, 400, 1500 };
    memset(&doc, 0, sizeof doc);
    memset(&view, 0, sizeof view);
    doc.id = 7;
    doc.kind = ROLLOUT_CERT;
    doc.n_targets = 1;
    doc.target[0] = (struct rollout_target){ .type = 4, .from_gen = 1, .to_gen = 2 };
    assert_true(name_set_str(&doc.target[0].name, "edge-tls"));
    doc.n_regions = 1;
    assert_true(name_set_str(&doc.region[0].name, "eu"));
    doc.region[0].ordinal_max = 2000;
    doc.n_waves = 3;
    for (unsigned w = 0; w < 3; w++) {
        doc.wave[w].bake_ms = w < 2 ? BAKE : 0;
        doc.region[0].bound[w] = COHORT_END / (3 - w);
        doc.region[0].nodes[w] = nodes[w];
    }
    doc.n_gates = 2;
    doc.gate[0] = (struct gate){ GATE_ROLLBACK, 1, { { GATE_FAILED, GATE_GT, GATE_SHARE_PPM, false, 50000 } }, 20 };
    doc.gate[1] = (struct gate){ GATE_PAUSE, 1, { { GATE_SILENT, GATE_GT, GATE_SHARE_PPM, false, 200000 } }, 20 };
    doc.prepare_ms = 500;
    doc.state = (uint8_t) s;
    doc.opened = opened;
    view.created.ms = view.wave_since.ms = view.state_since.ms = view.now.ms = T0;
    view.max_skew_ms = SKEW;
    view.report_timeout_ms = TIMEOUT;
    for (unsigned w = 0; w < opened; w++)
        view.opened.nodes += nodes[w];
    view.newest.nodes = opened > 0 ? nodes[opened - 1] : 0;
    assert_ok(rollout_doc_check(&doc, NULL));
}

static void answer_all(void)
{
    view.opened.told = view.opened.done = view.opened.nodes;
    view.newest.told = view.newest.done = view.newest.nodes;
}

/* Of all that were told, so many failed and are silent. */
static void answers(uint32_t done, uint32_t failed, uint32_t silent)
{
    view.opened.done = done;
    view.opened.failed = failed;
    view.opened.silent = silent;
    view.opened.told = done + failed + silent;
    view.newest = view.opened;
}

/* Steps; every decision must be lawful for a validator, and pure. */
static void step(void)
{
    struct rollout_decision again;
    struct rollout_doc next;
    struct report rep = { 0 };
    rollout_step(&doc, &view, &dec);
    rollout_step(&doc, &view, &again);
    assert_memory_equal(&dec, &again, sizeof dec);
    if (dec.act == RA_NONE)
        return;
    rollout_decision_apply(&doc, &dec, &view, &next);
    if (rollout_check_step(&doc, &next, view.wave_since, view.now, SKEW, &rep) != REEVE_OK)
        fail_msg("%s -> %s: %s", rollout_state_name(doc.state), rollout_state_name(next.state), rep.message);
    assert_ok(rollout_doc_check(&next, NULL));
}

static void assert_moves(enum rollout_state s, uint8_t opened)
{
    step();
    if (dec.act != RA_UPDATE || dec.state != s || dec.opened != opened)
        fail_msg("%s/%u: %s %s/%u, not %s/%u (%s)", rollout_state_name(doc.state), doc.opened,
                 dec.act ? "moves to" : "stays", rollout_state_name(dec.state), dec.opened, rollout_state_name(s),
                 opened, dec.why);
    assert_true(dec.why[0] != '\0');
}

static void assert_stays(int64_t wake)
{
    step();
    if (dec.act != RA_NONE || dec.wake.ms != wake)
        fail_msg("%s/%u: %s %s/%u, wakes at %lld, not %lld", rollout_state_name(doc.state), doc.opened,
                 dec.act ? "moves to" : "stays", rollout_state_name(dec.state), dec.opened, (long long) dec.wake.ms,
                 (long long) wake);
}

/* ---- before the first wave ---- */

static void the_prepare_phase_passes_before_the_first_wave(void **state)
{
    at(RS_PLANNED, 0);
    view.now.ms = T0 + 499;
    assert_stays(T0 + 500);
    view.now.ms = T0 + 500;
    assert_moves(RS_RUNNING, 1);
    assert_string_equal(dec.why, "wave 1 of 3 opened");
}

static void a_shut_window_is_waited_for(void **state)
{
    at(RS_PLANNED, 0);
    assert_true(name_set_str(&doc.window, "nights"));
    view.now.ms = T0 + 500;
    assert_moves(RS_WAITING_WINDOW, 0);
    doc.state = RS_WAITING_WINDOW;
    assert_stays(T0 + 1500);
    view.window_open = true;
    assert_moves(RS_RUNNING, 1);
    at(RS_BAKING, 1);
    assert_true(name_set_str(&doc.window, "nights"));
    answer_all();
    view.now.ms = DUE;
    assert_moves(RS_WAITING_WINDOW, 1);
    doc.state = RS_WAITING_WINDOW;
    assert_stays(DUE + 1000);
    view.window_open = true;
    assert_moves(RS_RUNNING, 2);
}

static void approvals_are_waited_for_until_the_deadline(void **state)
{
    at(RS_AWAITING_APPROVAL, 0);
    view.now.ms = T0 + 1000000;
    assert_stays(INT64_MAX);
    doc.deadline_s = 1000;
    assert_moves(RS_EXPIRED, 0);
}

/* ---- with waves open ---- */

static void a_wave_bakes_once_everybody_answered(void **state)
{
    at(RS_RUNNING, 1);
    assert_stays(T0 + TIMEOUT);
    answers(99, 0, 0);
    assert_stays(T0 + TIMEOUT);
    answers(100, 0, 0);
    assert_moves(RS_BAKING, 1);
    answers(98, 2, 0);
    assert_moves(RS_BAKING, 1);
    answers(90, 0, 10);
    assert_moves(RS_BAKING, 1);
}

static void the_next_wave_waits_for_bake_and_skew(void **state)
{
    at(RS_BAKING, 1);
    answer_all();
    view.now.ms = DUE - 1;
    assert_stays(DUE);
    view.now.ms = DUE;
    assert_moves(RS_RUNNING, 2);
    at(RS_RUNNING, 1);
    answer_all();
    view.now.ms = DUE;
    assert_moves(RS_RUNNING, 2);
}

static void nodes_that_were_never_told_are_not_waited_for_for_ever(void **state)
{
    at(RS_RUNNING, 1);
    answers(60, 0, 0);
    view.now.ms = T0 + TIMEOUT - 1;
    assert_stays(T0 + TIMEOUT);
    view.now.ms = T0 + TIMEOUT;
    assert_moves(RS_RUNNING, 2);
    view.newest.told++;         /* told, and still thinking */
    assert_stays(T0 + TIMEOUT + 1000);
}

static void the_last_wave_s_end_is_success(void **state)
{
    at(RS_RUNNING, 3);
    answers(1999, 0, 0);
    view.newest.nodes = 2000;
    assert_stays(T0 + TIMEOUT);
    answer_all();
    assert_moves(RS_SUCCEEDED, 3);
    doc.wave[2].bake_ms = BAKE;
    assert_moves(RS_BAKING, 3);
    view.now.ms = DUE;
    assert_moves(RS_SUCCEEDED, 3);
}

static void manual_waits_for_a_promotion(void **state)
{
    at(RS_PLANNED, 0);
    doc.manual = true;
    view.now.ms = T0 + 500;
    assert_moves(RS_RUNNING, 1);
    at(RS_RUNNING, 1);
    doc.manual = true;
    answer_all();
    view.now.ms = DUE;
    assert_moves(RS_BAKING, 1);
    assert_string_equal(dec.why, "waiting for PROMOTE");
    doc.state = RS_BAKING;
    assert_stays(INT64_MAX);
    at(RS_PROMOTING, 3);
    doc.manual = true;
    answer_all();
    assert_moves(RS_SUCCEEDED, 3);
}

static void a_rollback_gate_fires_in_every_open_state(void **state)
{
    static const uint8_t states[] = { RS_RUNNING, RS_BAKING, RS_PAUSED, RS_PROMOTING, RS_WAITING_WINDOW };
    for (unsigned i = 0; i < sizeof states; i++) {
        at(states[i], 1);
        answers(95, 5, 0);
        step();
        assert_int_not_equal(dec.state, RS_ROLLING_BACK);
        answers(94, 6, 0);
        assert_moves(RS_ROLLING_BACK, 1);
        assert_int_equal(dec.fired_gate, 1);
        assert_string_equal(dec.why, "rollback gate: failed > 5% (6 of 100, 6%)");
    }
}

static void the_minimum_sample_holds_the_gate(void **state)
{
    at(RS_RUNNING, 1);
    answers(0, 19, 0);
    view.opened.told = view.newest.told = 100;
    assert_stays(T0 + TIMEOUT);
    answers(0, 20, 0);
    assert_moves(RS_ROLLING_BACK, 1);
}

static void a_pause_gate_pauses_once_per_wave(void **state)
{
    at(RS_RUNNING, 1);
    answers(79, 0, 21);
    assert_moves(RS_PAUSED, 1);
    assert_int_equal(dec.fired_gate, 2);
    rollout_decision_apply(&doc, &dec, &view, &doc);
    assert_stays(INT64_MAX);
    assert_ok(rollout_verb_apply(&doc, RV_RESUME, 0, &doc, NULL));
    assert_int_equal(doc.state, RS_RUNNING);
    assert_moves(RS_BAKING, 1);             /* mute now */
    view.now.ms = DUE;
    assert_moves(RS_RUNNING, 2);
    rollout_decision_apply(&doc, &dec, &view, &doc);
    assert_int_equal(doc.fired_gate, 0);    /* and awake again */
    assert_moves(RS_PAUSED, 2);
    answers(70, 9, 21);
    doc.fired_gate = 2;
    assert_moves(RS_ROLLING_BACK, 2);       /* a rollback gate is never mute */
}

static void the_deadline_ends_it(void **state)
{
    static const struct { uint8_t state, opened; } in[] = { { RS_PLANNED, 0 }, { RS_WAITING_WINDOW, 0 }, { RS_RUNNING, 1 },
        { RS_BAKING, 2 }, { RS_PAUSED, 1 }, { RS_PAUSED, 0 }, { RS_PROMOTING, 3 }, { RS_WAITING_WINDOW, 2 } };
    for (unsigned i = 0; i < sizeof in / sizeof *in; i++) {
        at((enum rollout_state) in[i].state, in[i].opened);
        doc.deadline_s = 60;
        assert_true(name_set_str(&doc.window, "nights"));
        view.wave_since.ms = T0 + 59000;
        view.now.ms = T0 + 59999;
        step();
        assert_int_not_equal(dec.state, RS_EXPIRED);
        view.now.ms = T0 + 60000;
        assert_moves(RS_EXPIRED, in[i].opened);
    }
}

static void rolling_back_watches_the_nodes_return(void **state)
{
    at(RS_ROLLING_BACK, 2);
    view.still_new = 1;
    assert_stays(T0 + TIMEOUT);
    view.still_new = 0;
    assert_moves(RS_ROLLED_BACK, 2);
    view.still_new = 1;
    view.now.ms = T0 + TIMEOUT;
    assert_moves(RS_ROLLBACK_FAILED, 2);
    assert_string_equal(dec.why, "live nodes that still serve it: 1");
}

static void ends_are_ends(void **state)
{
    static const uint8_t ends[] = { RS_ROLLED_BACK, RS_ROLLBACK_FAILED, RS_CANCELED, RS_EXPIRED, RS_SUCCEEDED };
    for (unsigned i = 0; i < sizeof ends; i++) {
        at((enum rollout_state) ends[i], 3);
        doc.deadline_s = 1;
        view.now.ms = T0 + 100000000;
        answers(0, 2000, 0);
        assert_stays(INT64_MAX);
        for (enum rollout_verb v = RV_PAUSE; v <= RV_ROLLBACK; v++) {
            struct rollout_doc next;
            struct report rep = { 0 };
            assert_err(rollout_verb_apply(&doc, v, 0, &next, &rep), REEVE_E_WRONG_STATE);
        }
        for (unsigned to = RS_PLANNED; to <= RS_EXPIRED; to++) {
            struct rollout_doc next = doc;
            next.state = (uint8_t) to;
            assert_err(rollout_check_step(&doc, &next, view.wave_since, view.now, SKEW, NULL), REEVE_E_V_UPDATE);
        }
    }
}

/* ---- who has the new generation ---- */

static void exactly_the_opened_waves_have_it_and_nobody_after_a_withdrawal(void **state)
{
    struct name eu, us;
    assert_true(name_set_str(&eu, "eu") && name_set_str(&us, "us"));
    for (unsigned s = RS_PLANNED; s <= RS_EXPIRED; s++) {
        at(RS_RUNNING, 2);
        doc.state = (uint8_t) s;
        bool back = s == RS_ROLLING_BACK || s == RS_ROLLED_BACK || s == RS_ROLLBACK_FAILED || s == RS_CANCELED || s == RS_EXPIRED;
        assert_int_equal(rollout_includes(&doc, &eu, NULL, slice_str("n"), 0), !back);
        assert_int_equal(rollout_includes(&doc, &eu, NULL, slice_str("n"), doc.region[0].bound[1] - 1), !back);
        assert_false(rollout_includes(&doc, &eu, NULL, slice_str("n"), doc.region[0].bound[1]));
        assert_false(rollout_includes(&doc, &us, NULL, slice_str("n"), 0));
    }
}

/* ---- what a validator refuses ---- */

static struct rollout_doc lawful(void)
{
    struct rollout_doc next;
    at(RS_BAKING, 1);
    answer_all();
    view.now.ms = DUE;
    assert_moves(RS_RUNNING, 2);
    rollout_decision_apply(&doc, &dec, &view, &next);
    return next;
}

static void assert_refused(const struct rollout_doc *next, const char *why)
{
    struct report rep = { 0 };
    assert_err(rollout_check_step(&doc, next, view.wave_since, view.now, SKEW, &rep), REEVE_E_V_UPDATE);
    if (strstr(rep.message, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", rep.message, why);
}

static void a_captured_region_cannot_rush(void **state)
{
    struct rollout_doc next = lawful();
    next.opened = 3;
    assert_refused(&next, "a wave is skipped");
    next = lawful();
    view.now.ms--;
    assert_refused(&next, "the bake is not over");
    next = lawful();
    next.counts.done -= 6;
    next.counts.failed = 6;
    assert_refused(&next, "a rollback gate fires");
    next = lawful();
    next.counts.done -= 21;
    next.counts.silent = 21;
    assert_refused(&next, "a pause gate fires");
    next = lawful();
    next.opened = 1;
    next.state = RS_SUCCEEDED;
    assert_refused(&next, "succeeded before the last wave");
    next = lawful();
    next.opened = 0;
    assert_refused(&next, "out of range");
    next = lawful();
    doc.manual = next.manual = true;
    assert_refused(&next, "waits for its promotion");
    next = lawful();
    next.counts.done += 1;
    assert_refused(&next, "contradict");
    next = lawful();
    next.fired_gate = 1;
    assert_refused(&next, "without having fired");
    next = lawful();
    doc.state = RS_PAUSED;
    assert_refused(&next, "opens none");
    next = lawful();
    next.promoted = true;
    assert_refused(&next, "promotes nothing");
    at(RS_PLANNED, 0);
    next = doc;
    next.state = RS_RUNNING;
    next.opened = 1;
    view.now.ms = T0 + 499;
    assert_refused(&next, "prepare");
}

static void the_plan_is_fixed(void **state)
{
    struct rollout_doc next = lawful();
    next.region[0].bound[1]++;
    assert_refused(&next, "the plan was changed");
    next = lawful();
    next.gate[0].term[0].value = PPM;
    assert_refused(&next, "the plan was changed");
    next = lawful();
    next.wave[1].bake_ms = 0;
    assert_refused(&next, "the plan was changed");
    next = lawful();
    next.target[0].to_gen = 9;
    assert_refused(&next, "the plan was changed");
    next = lawful();
    next.deadline_s = 1;
    assert_refused(&next, "the plan was changed");
    next = lawful();
    next.n_gates = 1;
    assert_refused(&next, "the plan was changed");
}

static void a_gate_cannot_be_claimed(void **state)
{
    struct rollout_doc next;
    at(RS_RUNNING, 1);
    answers(100, 0, 0);
    next = doc;
    next.counts = view.opened;
    next.state = RS_ROLLING_BACK;
    assert_ok(rollout_check_step(&doc, &next, view.wave_since, view.now, SKEW, NULL));
    next.fired_gate = 1;
    assert_refused(&next, "does not fire");
    next.counts.done = 0;
    next.counts.failed = 100;
    assert_ok(rollout_check_step(&doc, &next, view.wave_since, view.now, SKEW, NULL));
    next.fired_gate = 2;
    assert_refused(&next, "does not fire");
}

/* ---- verbs ---- */

static void verbs_lead_where_validators_follow(void **state)
{
    static const struct { uint8_t from, opened; enum rollout_verb v; uint8_t to, then; enum reeve_err err; } rows[] = {
        { RS_RUNNING, 1, RV_PAUSE, RS_PAUSED, 1, REEVE_OK },
        { RS_PLANNED, 0, RV_PAUSE, RS_PAUSED, 0, REEVE_OK },
        { RS_PAUSED, 1, RV_PAUSE, 0, 0, REEVE_E_WRONG_STATE },
        { RS_PAUSED, 1, RV_RESUME, RS_RUNNING, 1, REEVE_OK },
        { RS_PAUSED, 0, RV_RESUME, RS_PLANNED, 0, REEVE_OK },
        { RS_RUNNING, 1, RV_RESUME, 0, 0, REEVE_E_WRONG_STATE },
        { RS_BAKING, 2, RV_CANCEL, RS_CANCELED, 2, REEVE_OK },
        { RS_AWAITING_APPROVAL, 0, RV_CANCEL, RS_CANCELED, 0, REEVE_OK },
        { RS_BAKING, 1, RV_PROMOTE, RS_PROMOTING, 2, REEVE_OK },
        { RS_PAUSED, 1, RV_PROMOTE, RS_PROMOTING, 2, REEVE_OK },
        { RS_PLANNED, 0, RV_PROMOTE, RS_PROMOTING, 1, REEVE_OK },
        { RS_AWAITING_APPROVAL, 0, RV_PROMOTE, 0, 0, REEVE_E_WRONG_STATE },
        { RS_RUNNING, 3, RV_PROMOTE, 0, 0, REEVE_E_WRONG_STATE },
        { RS_RUNNING, 1, RV_ROLLBACK, RS_ROLLING_BACK, 1, REEVE_OK },
        { RS_PLANNED, 0, RV_ROLLBACK, RS_ROLLING_BACK, 0, REEVE_OK },
        { RS_ROLLING_BACK, 1, RV_ROLLBACK, 0, 0, REEVE_E_WRONG_STATE },
        { RS_ROLLING_BACK, 1, RV_CANCEL, 0, 0, REEVE_E_WRONG_STATE },
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rollout_doc next;
        struct report rep = { 0 };
        at((enum rollout_state) rows[i].from, rows[i].opened);
        assert_err(rollout_verb_apply(&doc, rows[i].v, 0, &next, &rep), rows[i].err);
        if (rows[i].err != REEVE_OK)
            continue;
        assert_int_equal(next.state, rows[i].to);
        assert_int_equal(next.opened, rows[i].then);
        assert_ok(rollout_check_step(&doc, &next, view.wave_since, view.now, SKEW, &rep));
        assert_ok(rollout_doc_check(&next, &rep));
    }
}

static void promotion_names_a_wave_to_come(void **state)
{
    struct rollout_doc next;
    struct report rep = { 0 };
    at(RS_BAKING, 1);
    assert_ok(rollout_verb_apply(&doc, RV_PROMOTE, 3, &next, &rep));
    assert_int_equal(next.opened, 3);
    assert_true(next.promoted);
    assert_ok(rollout_check_step(&doc, &next, view.wave_since, view.now, SKEW, &rep));
    assert_err(rollout_verb_apply(&doc, RV_PROMOTE, 4, &next, &rep), REEVE_E_INVALID_VALUE);
    report_clear(&rep);
    assert_err(rollout_verb_apply(&doc, RV_PROMOTE, 1, &next, &rep), REEVE_E_INVALID_VALUE);
}

static void states_have_names_that_parse_back(void **state)
{
    for (unsigned s = RS_PLANNED; s <= RS_EXPIRED; s++) {
        enum rollout_state back;
        assert_true(rollout_state_parse(&back, slice_str(rollout_state_name((enum rollout_state) s))));
        assert_int_equal(back, s);
    }
    enum rollout_state none;
    assert_false(rollout_state_parse(&none, slice_str("Running")));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_prepare_phase_passes_before_the_first_wave),
    cmocka_unit_test(a_shut_window_is_waited_for),
    cmocka_unit_test(approvals_are_waited_for_until_the_deadline),
    cmocka_unit_test(a_wave_bakes_once_everybody_answered),
    cmocka_unit_test(the_next_wave_waits_for_bake_and_skew),
    cmocka_unit_test(nodes_that_were_never_told_are_not_waited_for_for_ever),
    cmocka_unit_test(the_last_wave_s_end_is_success),
    cmocka_unit_test(manual_waits_for_a_promotion),
    cmocka_unit_test(a_rollback_gate_fires_in_every_open_state),
    cmocka_unit_test(the_minimum_sample_holds_the_gate),
    cmocka_unit_test(a_pause_gate_pauses_once_per_wave),
    cmocka_unit_test(the_deadline_ends_it),
    cmocka_unit_test(rolling_back_watches_the_nodes_return),
    cmocka_unit_test(ends_are_ends),
    cmocka_unit_test(exactly_the_opened_waves_have_it_and_nobody_after_a_withdrawal),
    cmocka_unit_test(a_captured_region_cannot_rush),
    cmocka_unit_test(the_plan_is_fixed),
    cmocka_unit_test(a_gate_cannot_be_claimed),
    cmocka_unit_test(verbs_lead_where_validators_follow),
    cmocka_unit_test(promotion_names_a_wave_to_come),
    cmocka_unit_test(states_have_names_that_parse_back),
};
UNIT_MAIN(tests)
