/*
 * test_rollout.c - reports become counts, finalized steps become rows
 *
 * Dumb twin: after every batch the wave counters are recounted from the
 * rollout-node rows, and the pending table from them too.
 */
#include "shire.h"

#define NODES 300

static struct shire s;
static struct rollout_doc doc;
static struct rollout_view view;

static void attested(void)
{
    struct attest_head head;
    assert_ok(attest_head(&s.w.a, &head));
    struct wr *w = command(&s, RC_ATTESTED);
    wr_u64(w, head.height);
    wr_u64(w, (uint64_t) s.w.now.ms);
    run(&s);
    assert_item(&s, 0, REEVE_OK);
    assert_true(item_u64(&s, 0) == head.height);
}

/* A rollout of 'web' from 1 to 2, planned over the region's own nodes. */
static void begin_rollout(void)
{
    static uint64_t scratch[NODES];
    struct plan_source src = { region_plan_each, &s.r, scratch, NODES };
    struct plan_region_info home = { .name = name_of("home"), .ordinal_max = NODES - 20 };
    struct rollout_spec spec = { .n_waves = 3, .wave = { { SHARE_PPM, 200000, 3000, true }, { SHARE_PPM, 500000, 3000, true },
                                                         { SHARE_PPM, PPM, 0, true } } };
    struct report rep = { 0 };
    static struct update_set set;
    struct rollout_change change = { .fresh = true, .cert = cert_gen_sample(s.w.now) };
    memset(&doc, 0, sizeof doc);
    doc.id = 1;
    doc.kind = ROLLOUT_CERT;
    doc.n_targets = 1;
    doc.target[0] = (struct rollout_target){ AT_CERT, name_of("web"), 1, 2 };
    doc.submitted_by = name_of("anna");
    rollout_spec_default(&spec, NULL);
    assert_ok(rollout_plan(&crypto_ops_real, &doc, &spec, slice_str("web"), &home, 1, &src, &rep));
    doc.prepare_ms = 0;
    change.cert.gen = 2;
    if (attest_rollout_begin(&s.w.a, &doc, &change, &s.w.mem, &set, &rep) != REEVE_OK)
        fail_msg("%s", rep.message);
    block_of_set(&s.w, &set);
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
    begin_rollout();
    return 0;
}

static int teardown(void **state)
{
    shire_free(&s);
    return 0;
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

static void look(void)
{
    struct attest_object o;
    struct rollout_doc stored;
    memset(&view, 0, sizeof view);
    assert_ok(attest_get_rollout(&s.w.a, 1, &stored, &o));
    view.now = s.w.now;
    view.state_since = o.time;
    view.wave_since = view.created = o.aux_time;
    view.max_skew_ms = 2000;
    view.report_timeout_ms = 20000;
    assert_ok(region_rollout_view(&s.r, &stored, NULL, &view));
}

/* Lets the engine move once; time first. */
static void engine(int64_t later_ms, enum rollout_state want)
{
    struct rollout_decision dec;
    static struct rollout_doc next;
    s.w.now.ms += later_ms;
    look();
    rollout_step(&doc, &view, &dec);
    if (dec.act != RA_UPDATE || dec.state != want)
        fail_msg("%s %s, not %s", dec.act ? "moves to" : "stays", rollout_state_name(dec.state), rollout_state_name(want));
    rollout_decision_apply(&doc, &dec, &view, &next);
    step_to(&next);
}

static uint8_t wave_of(uint32_t ordinal)
{
    struct node_row row;
    char text[NODE_ID_TEXT_LEN + 1];
    assert_ok(region_node_get(&s.r, ordinal, &row));
    node_id_text(text, &row.id);
    return rollout_wave_of(&doc, &row.region, &row.labels, slice_str(text),
                           rollout_cohort(&crypto_ops_real, slice_str("web"), slice_str(text)));
}

static void report_begin(void)
{
    wr_u16(command(&s, RC_REPORT), 0);
    s.n_ops = 0;
}

static void report_add(uint32_t ordinal, uint8_t result, uint32_t tried, uint32_t serving, uint32_t latency)
{
    struct deploy_row row = { .type = AT_CERT, .result = result, .tried_gen = tried, .serving_gen = serving,
                              .latency_ms = latency, .at = s.w.now, .rollout_id = 1 };
    wr_u32(&s.cmd, ordinal);
    put_name(&s.cmd, "web");
    deploy_row_encode(&row, &s.cmd);
    s.n_ops++;
}

static void report_end(void)
{
    s.cmd.p[2] = (uint8_t) (s.n_ops >> 8);
    s.cmd.p[3] = (uint8_t) s.n_ops;
    run(&s);
    assert_item(&s, 0, REEVE_OK);
}

/* ---- the twin ---- */

static void recount(uint8_t wave, struct rollout_counts *c, unsigned *pending)
{
    struct kv_iter it;
    struct slice key, val;
    struct rollout_node_row o;
    memset(c, 0, sizeof *c);
    *pending = 0;
    region_iter_init(&s.r, &it, 'o', (struct slice){ NULL, 0 });
    while (region_iter_next(&it, &key, &val) == REEVE_OK) {
        assert_ok(rollout_node_row_decode(&o, val));
        *pending += o.counted && o.state == DEPLOY_TOLD;
        if (!o.counted || o.wave != wave)
            continue;
        c->told++;
        c->done += o.state == DEPLOY_DONE;
        c->failed += o.state == DEPLOY_FAILED;
        c->rejected += o.state == DEPLOY_REJECTED;
        c->reverted += o.state == NODE_REVERTED;
    }
}

static void assert_twin(void)
{
    struct name home = name_of("home");
    unsigned pending;
    for (uint8_t w = 1; w <= doc.n_waves; w++) {
        struct rollout_counts c;
        struct wave_row row;
        recount(w, &c, &pending);
        assert_ok(region_wave_get(&s.r, 1, &home, w, &row));
        assert_int_equal(row.counts.nodes, doc.region[0].nodes[w - 1]);
        assert_int_equal(row.counts.told, c.told);
        assert_int_equal(row.counts.done, c.done);
        assert_int_equal(row.counts.failed, c.failed);
        assert_int_equal(row.counts.rejected, c.rejected);
        assert_int_equal(row.counts.reverted, c.reverted);
        assert_int_equal(rows_in(&s, 'p'), pending);
    }
}

/* Every node of the wave answers so. */
static void wave_answers(uint8_t wave, uint8_t result, uint32_t serving)
{
    report_begin();
    for (uint32_t i = 0; i < NODES; i++)
        if (wave_of(i) == wave)
            report_add(i, result, 2, serving, 10 + i);
    report_end();
    assert_twin();
}

static bool has_event(const char *event)
{
    struct kv_iter it;
    struct slice key, val;
    struct event_row e;
    region_iter_init(&s.r, &it, 'e', (struct slice){ NULL, 0 });
    while (region_iter_next(&it, &key, &val) == REEVE_OK) {
        assert_ok(event_row_decode(&e, val));
        if (strcmp(e.event.s, event) == 0)
            return true;
    }
    return false;
}

static unsigned events_with(const char *detail)
{
    struct kv_iter it;
    struct slice key, val;
    struct event_row e;
    unsigned n = 0;
    region_iter_init(&s.r, &it, 'e', (struct slice){ NULL, 0 });
    while (region_iter_next(&it, &key, &val) == REEVE_OK) {
        assert_ok(event_row_decode(&e, val));
        n += strstr(e.detail, detail) != NULL;
    }
    return n;
}

static struct wall_ms opened_at(uint8_t wave)
{
    struct name home = name_of("home");
    struct wave_row row;
    assert_ok(region_wave_get(&s.r, 1, &home, wave, &row));
    return row.opened;
}

/* ---- tests ---- */

static void a_rollout_runs_to_its_end(void **state)
{
    assert_true(has_event("planned"));
    assert_int_equal(rows_in(&s, 'x'), 3);
    engine(1000, RS_RUNNING);
    assert_true(has_event("wave_opened"));
    wave_answers(1, DEPLOY_TOLD, 0);
    assert_true(rows_in(&s, 'p') > 0);
    wave_answers(1, DEPLOY_DONE, 2);
    assert_int_equal(rows_in(&s, 'p'), 0);
    engine(0, RS_BAKING);
    engine(8000, RS_RUNNING);
    wave_answers(2, DEPLOY_DONE, 2);
    engine(8000, RS_RUNNING);
    wave_answers(3, DEPLOY_DONE, 2);
    look();
    assert_int_equal(view.opened.done, NODES - 20);
    assert_true(view.opened.p50_ms == 256 && view.opened.p99_ms == 512);
    engine(0, RS_SUCCEEDED);
    assert_int_equal(rows_in(&s, 'u'), 0);
}

static void every_wave_keeps_when_it_was_opened_and_says_so_once(void **state)
{
    int64_t was[4] = { 0 };
    for (uint8_t w = 1; w <= 3; w++) {
        assert_int_equal(opened_at(w).ms, 0);
        engine(8000, RS_RUNNING);
        look();
        was[w] = view.wave_since.ms;
        wave_answers(w, DEPLOY_DONE, 2);
        if (w < 3)
            engine(0, RS_BAKING);
    }
    engine(0, RS_SUCCEEDED);
    for (uint8_t w = 1; w <= 3; w++) {
        char text[32];
        snprintf(text, sizeof text, "wave %u of 3 opened", w);
        assert_int_equal(events_with(text), 1);
        assert_true(was[w] > was[w - 1]);
        assert_int_equal(opened_at(w).ms, was[w]);
    }
}

static void nodes_enrolled_later_take_part_uncounted(void **state)
{
    engine(1000, RS_RUNNING);
    uint32_t late = NODES - 20;
    while (wave_of(late) != 1)
        late++;
    report_begin();
    report_add(late, DEPLOY_FAILED, 2, 1, 5);
    report_end();
    assert_twin();
    look();
    assert_int_equal(view.opened.failed + view.opened.told, 0);
    assert_int_equal(rows_in(&s, 'o'), 1);
}

static void a_gate_rolls_back_raises_an_issue_and_clears_it(void **state)
{
    engine(1000, RS_RUNNING);
    report_begin();
    unsigned n = 0;
    for (uint32_t i = 0; i < NODES - 20; i++)
        if (wave_of(i) == 1 && n++ < 40)
            report_add(i, n % 4 == 0 ? DEPLOY_FAILED : DEPLOY_DONE, 2, n % 4 == 0 ? 1 : 2, 10);
    report_end();
    assert_twin();
    engine(0, RS_ROLLING_BACK);
    assert_int_equal(doc.fired_gate, 1);
    uint64_t id = 0;
    struct issue_row issue;
    assert_ok(region_issue_next(&s.r, &id, &issue));
    assert_string_equal(issue.kind.s, "rollout_gate");
    assert_string_equal(issue.object.s, "web");
    assert_int_equal(issue.severity, 3);
    assert_non_null(strstr(issue.message, "10 of 40"));
    look();
    assert_int_equal(view.still_new, 30);
    report_begin();
    for (uint32_t i = 0; i < NODES; i++) {
        struct deploy_row row;
        struct name web = name_of("web");
        if (region_deploy_get(&s.r, AT_CERT, &web, i, &row) == REEVE_OK && row.serving_gen == 2)
            report_add(i, DEPLOY_DONE, 1, 1, 10);
    }
    report_end();
    assert_twin();
    look();
    assert_int_equal(view.still_new, 0);
    assert_int_equal(view.opened.reverted, 30);
    assert_int_equal(view.opened.failed, 10);       /* the evidence stays */
    engine(0, RS_ROLLED_BACK);
    assert_int_equal(rows_in(&s, 'u'), 0);
    assert_true(has_event("rolled_back"));
}

static void silence_is_told_and_unanswered_past_the_timeout(void **state)
{
    engine(1000, RS_RUNNING);
    wave_answers(1, DEPLOY_TOLD, 0);
    s.w.now.ms += 19999;
    look();
    assert_int_equal(view.opened.silent, 0);
    s.w.now.ms += 1;
    look();
    assert_int_equal(view.opened.silent, view.opened.told);
    assert_true(view.opened.silent > 0);
    engine(0, RS_PAUSED);
    assert_int_equal(rows_in(&s, 'u'), 1);
    struct rollout_doc next;
    assert_ok(rollout_verb_apply(&doc, RV_RESUME, 0, &next, NULL));
    step_to(&next);
    assert_int_equal(rows_in(&s, 'u'), 0);
}

static void absent_nodes_leave_the_expected_ones(void **state)
{
    engine(1000, RS_RUNNING);
    look();
    assert_int_equal(view.newest.nodes, doc.region[0].nodes[0]);
    report_begin();
    uint32_t i = 0;
    while (wave_of(i) != 1)
        i++;
    report_add(i, DEPLOY_DONE, 2, 2, 10);
    report_end();
    s.w.now.ms += 20000;
    look();
    assert_int_equal(view.newest.nodes, 1);
    engine(0, RS_RUNNING);
    assert_int_equal(doc.opened, 2);
}

static void assert_held(void)
{
    struct rollout_decision dec;
    look();
    rollout_step(&doc, &view, &dec);
    assert_int_equal(dec.act, RA_NONE);
}

/* Told (some of them) or not: each wave waits the report timeout and no longer, and says whom it did not hear. */
static void a_fleet_that_is_gone_holds_a_wave_for_the_report_timeout_only(void **state)
{
    engine(1000, RS_RUNNING);
    look();
    int64_t opened = view.wave_since.ms;
    s.w.now.ms = opened + 19999;
    assert_held();
    engine(1, RS_RUNNING);
    assert_int_equal(doc.opened, 2);
    assert_non_null(strstr(doc.why, "wave 2 of 3 opened; 0 of "));
    assert_int_equal(events_with("nodes of wave 1 answered, the others are silent or away"), 1);
    assert_true(has_event("unanswered"));
}

static void a_told_never_overwrites_an_answer(void **state)
{
    struct name web = name_of("web");
    struct deploy_row row;
    engine(1000, RS_RUNNING);
    report_begin();
    report_add(5, DEPLOY_DONE, 2, 2, 10);
    report_end();
    report_begin();
    report_add(5, DEPLOY_TOLD, 2, 0, 0);
    report_end();
    assert_ok(region_deploy_get(&s.r, AT_CERT, &web, 5, &row));
    assert_int_equal(row.result, DEPLOY_DONE);
    assert_int_equal(row.serving_gen, 2);
    assert_twin();
}

static void a_command_before_its_blocks_is_refused(void **state)
{
    struct wr *w = command(&s, RC_ATTESTED);
    wr_u64(w, 1000);
    wr_u64(w, 1);
    run(&s);
    assert_item(&s, 0, REEVE_E_WRONG_STATE);
}

/* Random reports, in any order and many times over; the counters are always the sums of the rows. */
static void counters_are_the_sums_of_the_rows(void **state)
{
    struct rng rng = rng_seeded("reports");
    engine(1000, RS_RUNNING);
    for (int round = 0; round < 60; round++) {
        if (round == 40) {
            struct rollout_doc next;
            assert_ok(rollout_verb_apply(&doc, RV_ROLLBACK, 0, &next, NULL));
            step_to(&next);
        }
        report_begin();
        for (int i = 0; i < 50; i++) {
            uint8_t result = (uint8_t) rng_below(&rng, 5);
            report_add(rng_below(&rng, NODES + 5), result, 1 + rng_below(&rng, 3), 1 + rng_below(&rng, 2), rng_below(&rng, 100000));
        }
        report_end();
        assert_twin();
        look();
        assert_true((uint64_t) view.opened.done + view.opened.failed + view.opened.rejected + view.opened.reverted +
                    view.opened.silent <= view.opened.told);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    T(a_rollout_runs_to_its_end),
    T(every_wave_keeps_when_it_was_opened_and_says_so_once),
    T(nodes_enrolled_later_take_part_uncounted),
    T(a_gate_rolls_back_raises_an_issue_and_clears_it),
    T(silence_is_told_and_unanswered_past_the_timeout),
    T(absent_nodes_leave_the_expected_ones),
    T(a_fleet_that_is_gone_holds_a_wave_for_the_report_timeout_only),
    T(a_told_never_overwrites_an_answer),
    T(a_command_before_its_blocks_is_refused),
    T(counters_are_the_sums_of_the_rows),
};
UNIT_MAIN(tests)
