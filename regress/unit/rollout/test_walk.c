/*
 * test_walk.c - random rollouts over 500 fake nodes
 *
 * Nodes answer, fail, stay silent, disappear; operators interfere; time jumps.
 * After each step R1-R7 are asked of the new doc by a twin that knows only the
 * header's sentences, and the validator's check must accept it and refuse
 * mutations of it. In the end, undisturbed, every rollout ends.
 */
#include "../unit.h"
#include "engine/rollout.h"

#define NODES 500
#define SKEW  2000
#define TIMEOUT 10000

struct node { uint64_t cohort; bool counted; uint8_t state; int64_t told; bool away; };
enum { IDLE, TOLD, DONE, FAILED, REVERTED };

static struct rng rng;
static struct node node[NODES];
static struct rollout_doc doc;
static struct rollout_view view;
static int64_t opened_at[ROLLOUT_WAVES_MAX + 1];
static bool promoted_past[ROLLOUT_WAVES_MAX + 1];
static unsigned seen_states[RS_EXPIRED + 1], refused_mutations;

static unsigned wave_of(const struct node *n)
{
    unsigned w = 0;
    while (n->cohort >= doc.region[0].bound[w])
        w++;
    return w + 1;
}

static void fresh(void)
{
    memset(&doc, 0, sizeof doc);
    memset(&view, 0, sizeof view);
    memset(promoted_past, 0, sizeof promoted_past);
    doc.id = 1;
    doc.kind = ROLLOUT_CERT;
    doc.n_targets = 1;
    doc.target[0] = (struct rollout_target){ .type = 4, .from_gen = 1, .to_gen = 2 };
    assert_true(name_set_str(&doc.target[0].name, "x"));
    doc.n_waves = (uint8_t) (1 + rng_below(&rng, 5));
    doc.n_regions = 1;
    assert_true(name_set_str(&doc.region[0].name, "eu"));
    doc.region[0].ordinal_max = NODES * 9 / 10;
    for (unsigned w = 0; w < doc.n_waves; w++) {
        doc.wave[w].bake_ms = rng_below(&rng, 3) ? rng_below(&rng, 20000) : 0;
        doc.region[0].bound[w] = w + 1u == doc.n_waves ? COHORT_END : COHORT_END / (doc.n_waves + 2) * (w + 1);
    }
    doc.n_gates = 2;
    doc.gate[0] = (struct gate){ GATE_ROLLBACK, 1, { { GATE_FAILED, GATE_GT, GATE_SHARE_PPM, false, 100000 } }, 20 };
    doc.gate[1] = (struct gate){ GATE_PAUSE, 1, { { GATE_SILENT, GATE_GT, GATE_SHARE_PPM, false, 200000 } }, 20 };
    doc.manual = rng_below(&rng, 5) == 0;
    doc.deadline_s = rng_below(&rng, 4) == 0 ? 120 : 0;
    doc.prepare_ms = rng_below(&rng, 5000);
    doc.state = RS_PLANNED;
    for (unsigned i = 0; i < NODES; i++) {
        node[i] = (struct node){ .cohort = rng_next(&rng) >> 11, .counted = i < doc.region[0].ordinal_max,
                                 .away = rng_below(&rng, 20) == 0 };
        if (node[i].counted)
            doc.region[0].nodes[wave_of(&node[i]) - 1]++;
    }
    view.now.ms = view.created.ms = view.wave_since.ms = view.state_since.ms = 1000000;
    view.max_skew_ms = SKEW;
    view.report_timeout_ms = TIMEOUT;
    opened_at[0] = view.now.ms;
    assert_ok(rollout_doc_check(&doc, NULL));
}

static void count_into(struct rollout_counts *c, const struct node *n)
{
    c->nodes++;
    c->told += n->state != IDLE;
    c->done += n->state == DONE;
    c->failed += n->state == FAILED;
    c->reverted += n->state == REVERTED;
    c->silent += n->state == TOLD && view.now.ms >= n->told + TIMEOUT;
}

static void look(void)
{
    memset(&view.opened, 0, sizeof view.opened);
    memset(&view.newest, 0, sizeof view.newest);
    view.still_new = 0;
    for (unsigned i = 0; i < NODES; i++) {
        unsigned w = wave_of(&node[i]);
        if (!node[i].counted || w > doc.opened)
            continue;
        count_into(&view.opened, &node[i]);
        if (w == doc.opened)
            count_into(&view.newest, &node[i]);
        view.still_new += node[i].state == DONE && !node[i].away;
    }
}

static void nodes_act(unsigned fail_percent, unsigned silent_percent)
{
    for (unsigned i = 0; i < NODES; i++) {
        struct node *n = &node[i];
        bool has = wave_of(n) <= doc.opened && !rollout_state_withdraws((enum rollout_state) doc.state);
        if (n->away || rng_below(&rng, 2))
            continue;
        if (has && n->state == IDLE) {
            n->state = TOLD;
            n->told = view.now.ms;
        } else if (has && n->state == TOLD && rng_below(&rng, 100) >= silent_percent) {
            n->state = rng_below(&rng, 100) < fail_percent ? FAILED : DONE;
        } else if (!has && (n->state == DONE || n->state == TOLD) && rng_below(&rng, 50)) {
            n->state = REVERTED;
        }
    }
}

/* The rules of the header, asked of a step from prev to doc; evidence: the counts it carries. */
static void ask_rules(const struct rollout_doc *prev, bool by_operator)
{
    char why[256];
    assert_true(rollout_plan_same(prev, &doc));                                     /* R1 stays what it was */
    assert_true(doc.opened >= prev->opened);                                        /* R2 */
    assert_true(doc.opened <= prev->opened + 1 || doc.promoted);
    if (doc.opened > prev->opened && !doc.promoted) {                               /* R3 */
        uint32_t bake = prev->opened > 0 ? doc.wave[prev->opened - 1].bake_ms : 0;
        assert_true(view.now.ms >= opened_at[prev->opened] + (bake ? bake + 2 * SKEW : 0));
        assert_false(prev->opened > 0 && rollout_gate_fires(&doc.gate[0], &doc.counts, why));
        assert_false(by_operator);
    }
    assert_false(rollout_state_terminal((enum rollout_state) prev->state));         /* R4 */
    if (doc.fired_gate != 0 && doc.fired_gate != prev->fired_gate) {                /* R5 */
        const struct rollout_counts *c = &doc.counts;
        uint32_t heard = c->done + c->failed + c->rejected + c->reverted + (doc.fired_gate == 2 ? c->silent : 0);
        assert_true(heard >= (c->nodes < 20 ? c->nodes : 20) && heard > 0);
    }
    assert_true(doc.counts.nodes <= doc.region[0].ordinal_max);                     /* R6 */
    if (doc.state == RS_SUCCEEDED)                                                  /* R7 */
        assert_int_equal(doc.opened, doc.n_waves);
    assert_ok(rollout_doc_check(&doc, NULL));
}

/* A mutation that goes on faster than the lawful step must be refused. */
static void mutate(const struct rollout_doc *prev, const struct rollout_doc *good)
{
    struct rollout_doc bad = *good;
    switch (rng_below(&rng, 5)) {
    case 0: bad.opened++; break;
    case 1: bad.wave[0].bake_ms++; break;
    case 2: bad.state = RS_SUCCEEDED; bad.opened = prev->opened; break;
    case 3: bad.counts.told = 0; bad.counts.done = 1; break;
    default: bad.region[0].bound[0] ^= 1; break;
    }
    if (bad.state == RS_SUCCEEDED && good->state == RS_SUCCEEDED)
        return;
    if (bad.state == RS_SUCCEEDED && prev->opened == prev->n_waves)
        return;     /* the last wave's bake may be over by now */
    if (bad.promoted && bad.opened > good->opened && bad.opened <= bad.n_waves)
        return;     /* another promotion, as lawful */
    assert_err(rollout_check_step(prev, &bad, view.wave_since, view.now, SKEW, NULL), REEVE_E_V_UPDATE);
    refused_mutations++;
}

static void accept(const struct rollout_doc *next, bool by_operator)
{
    struct report rep = { 0 };
    struct rollout_doc prev = doc;
    if (rollout_check_step(&doc, next, view.wave_since, view.now, SKEW, &rep) != REEVE_OK)
        fail_msg("%s/%u -> %s/%u: %s", rollout_state_name(doc.state), doc.opened, rollout_state_name(next->state),
                 next->opened, rep.message);
    mutate(&prev, next);
    doc = *next;
    ask_rules(&prev, by_operator);
    view.state_since = view.now;
    seen_states[doc.state]++;
    if (doc.opened > prev.opened) {
        view.wave_since = view.now;
        opened_at[doc.opened] = view.now.ms;
    }
}

static void operator_acts(void)
{
    static const enum rollout_verb verbs[] = { RV_PAUSE, RV_RESUME, RV_RESUME, RV_PROMOTE, RV_PROMOTE, RV_CANCEL, RV_ROLLBACK };
    struct rollout_doc next;
    struct report rep = { 0 };
    enum rollout_verb v = verbs[rng_below(&rng, rng_below(&rng, 4) ? 5 : 7)];
    if (rollout_verb_apply(&doc, v, 0, &next, &rep) == REEVE_OK) {
        next.counts = view.opened;
        accept(&next, true);
    }
}

static void engine_acts(void)
{
    struct rollout_decision dec;
    struct rollout_doc next;
    look();
    rollout_step(&doc, &view, &dec);
    if (dec.act == RA_NONE) {
        assert_true(dec.wake.ms > view.now.ms);
        return;
    }
    rollout_decision_apply(&doc, &dec, &view, &next);
    accept(&next, false);
}

static void one_rollout(void)
{
    unsigned fail = rng_below(&rng, 4) == 0 ? 30 : rng_below(&rng, 4), silent = rng_below(&rng, 5) == 0 ? 60 : 0;
    fresh();
    for (int i = 0; i < 60; i++) {
        view.now.ms += 1 + rng_below(&rng, 4000);
        nodes_act(fail, silent);
        look();
        if (rng_below(&rng, 15) == 0)
            operator_acts();
        engine_acts();
    }
    for (int i = 0; i < 200 && !rollout_state_terminal((enum rollout_state) doc.state); i++) {
        view.now.ms += TIMEOUT;     /* left alone, and pushed where it waits for a person */
        nodes_act(fail, 0);
        if (doc.state == RS_PAUSED || (doc.state == RS_BAKING && doc.manual && doc.opened < doc.n_waves)) {
            struct rollout_doc next;
            look();
            assert_ok(rollout_verb_apply(&doc, doc.state == RS_PAUSED ? RV_RESUME : RV_PROMOTE, 0, &next,
                                         &(struct report){ 0 }));
            next.counts = view.opened;
            accept(&next, true);
        }
        engine_acts();
    }
    assert_true(rollout_state_terminal((enum rollout_state) doc.state));
}

static void rules_hold_after_every_step_of_random_rollouts(void **state)
{
    rng = rng_seeded("rollouts");
    for (int i = 0; i < 400; i++)
        one_rollout();
    static const uint8_t must[] = { RS_RUNNING, RS_BAKING, RS_PAUSED, RS_PROMOTING, RS_ROLLING_BACK, RS_ROLLED_BACK,
                                    RS_CANCELED, RS_SUCCEEDED, RS_EXPIRED };
    for (unsigned i = 0; i < sizeof must; i++)
        assert_true(seen_states[must[i]] > 0);
    assert_true(refused_mutations > 500);
}

static const struct CMUnitTest tests[] = { cmocka_unit_test(rules_hold_after_every_step_of_random_rollouts) };
UNIT_MAIN(tests)
