/*
 * test_evidence.c - the counts of several regions, against a twin that knows every node
 *
 * A fleet is drawn node by node. The twin judges it by going through the nodes; the code sees what regions would sign. Both must
 * agree whether a step may go on, and what the driver decides must be lawful for a validator.
 */
#include "../unit.h"
#include "engine/rollout.h"

#define REGIONS 4
#define NODES   40
#define T0      1000000
#define BAKE    3000

enum outcome { UNTOLD, WAITING, SILENT, DONE, FAILED, REJECTED, OUTCOMES };
struct fleet_region {
    bool opened, held, heard, late;     /* heard: its counts came; late: after the bake */
    uint8_t brake;
    unsigned n;
    uint8_t outcome[NODES];
    uint32_t latency_ms[NODES];
};
static struct fleet_region fleet[REGIONS];
static unsigned n_regions;
static struct rollout_doc doc;
static uint64_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t) (seed >> 33) % below;
}

static void draw_fleet(void)
{
    unsigned bad = draw(4), gone = draw(3) == 0;
    n_regions = 1 + draw(REGIONS);
    memset(fleet, 0, sizeof fleet);
    for (unsigned g = 0; g < n_regions; g++) {
        struct fleet_region *f = &fleet[g];
        f->opened = draw(5) > 0;
        f->held = g > 0 && draw(6) == 0;
        f->heard = g == 0 || draw(8) > 0;
        f->late = g == 0 || draw(8) > 0;
        f->brake = (uint8_t) (draw(12) == 0 ? 1 + draw(2) : 0);
        f->n = f->opened ? draw(NODES) : 0;
        for (unsigned i = 0; i < f->n; i++) {
            f->outcome[i] = (uint8_t) (draw(10) < bad ? FAILED + draw(2) : gone && draw(3) == 0 ? SILENT : DONE);
            f->latency_ms[i] = draw(5000);
        }
    }
}

static void make_doc(void)
{
    memset(&doc, 0, sizeof doc);
    doc.id = 7;
    doc.kind = ROLLOUT_CERT;
    doc.n_targets = 1;
    doc.target[0] = (struct rollout_target){ .type = 4, .from_gen = 1, .to_gen = 2 };
    assert_true(name_set_str(&doc.target[0].name, "edge-tls"));
    doc.n_regions = (uint8_t) n_regions;
    doc.n_waves = 2;
    doc.wave[0].bake_ms = BAKE;
    for (unsigned g = 0; g < n_regions; g++) {
        char name[8];
        snprintf(name, sizeof name, "r%u", g);
        assert_true(name_set_str(&doc.region[g].name, name));
        doc.region[g].bound[0] = fleet[g].opened ? COHORT_END / 2 : 0;
        doc.region[g].bound[1] = COHORT_END;
    }
    doc.n_gates = 3;
    doc.gate[0] = (struct gate){ GATE_ROLLBACK, 1, { { GATE_FAILED, GATE_GT, GATE_SHARE_PPM, false, 100000 } }, 10 };
    doc.gate[1] = (struct gate){ GATE_PAUSE, 1, { { GATE_SILENT, GATE_GE, GATE_SHARE_PPM, false, 200000 } }, 10 };
    doc.gate[2] = (struct gate){ GATE_PAUSE, 1, { { GATE_P95_MS, GATE_GT, GATE_MS, false, 4096 } }, 10 };
    doc.state = RS_RUNNING;
    doc.opened = 1;
    assert_ok(rollout_doc_check(&doc, NULL));
}

/* What that region signs. */
static void part_of(const struct fleet_region *f, struct rollout_evidence *e)
{
    struct rollout_counts *c = &e->opened;
    memset(e, 0, sizeof *e);
    e->there = f->heard;
    e->brake = f->brake;
    e->at.ms = f->late ? T0 + BAKE : T0 + BAKE - 1;
    c->nodes = f->n;
    for (unsigned i = 0; i < f->n; i++) {
        c->told++;
        c->done += f->outcome[i] == DONE;
        c->failed += f->outcome[i] == FAILED;
        c->rejected += f->outcome[i] == REJECTED;
        c->silent += f->outcome[i] == SILENT;
        unsigned b = 0;
        while (f->outcome[i] == DONE && b < 23 && f->latency_ms[i] >= 1u << b)
            b++;
        e->latency[b] += f->outcome[i] == DONE;
    }
    e->newest = e->opened;
}

/* ---- the twin ---- */

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return x < y ? -1 : x > y;
}

/* The nodes of all regions that count, one after the other. */
struct heap { unsigned nodes, answered, failed, silent, n_ms; uint32_t ms[REGIONS * NODES]; };

static void heap_of(struct heap *h)
{
    memset(h, 0, sizeof *h);
    for (unsigned g = 0; g < n_regions; g++)
        for (unsigned i = 0; i < fleet[g].n && !fleet[g].held && fleet[g].heard; i++) {
            h->nodes++;
            h->answered += fleet[g].outcome[i] >= DONE;
            h->failed += fleet[g].outcome[i] == FAILED;
            h->silent += fleet[g].outcome[i] == SILENT;
            if (fleet[g].outcome[i] == DONE)
                h->ms[h->n_ms++] = fleet[g].latency_ms[i];
        }
    qsort(h->ms, h->n_ms, sizeof *h->ms, by_number);
}

static bool twin_gate_fires(void)
{
    struct heap h;
    heap_of(&h);
    unsigned need = h.nodes < 10 ? h.nodes : 10, both = h.answered + h.silent;
    if (h.answered > 0 && h.answered >= need && h.failed * 10 > h.answered)
        return true;
    if (both > 0 && both >= need && h.silent * 5 >= h.nodes)
        return true;
    return h.answered >= need && h.n_ms > 0 && h.ms[(h.n_ms * 95 + 99) / 100 - 1] >= 4096;
}

static bool twin_may_go_on(void)
{
    for (unsigned g = 0; g < n_regions; g++) {
        const struct fleet_region *f = &fleet[g];
        if (!f->held && f->opened && (!f->heard || !f->late))
            return false;
        if (!f->held && f->heard && f->brake != BRAKE_NONE && n_regions > 1)
            return false;
    }
    return !twin_gate_fires();
}

/* ---- the code ---- */

static uint16_t held(void)
{
    uint16_t h = 0;
    for (unsigned g = 0; g < n_regions; g++)
        h |= (uint16_t) (fleet[g].held << g);
    return h;
}

static enum reeve_err judge(const struct rollout_doc *next, struct report *rep)
{
    struct name owner;
    enum reeve_err err;
    assert_true(name_set_str(&owner, "r0"));
    TRY(rollout_check_step(&doc, next, (struct wall_ms){ T0 }, (struct wall_ms){ T0 + 60000 }, 2000, rep));
    TRY(rollout_check_evidence(&doc, next, &owner, held(), (struct wall_ms){ T0 }, rep));
out:
    return err;
}

static void view_of(struct rollout_view *v)
{
    memset(v, 0, sizeof *v);
    v->now.ms = T0 + 60000;
    v->created.ms = v->wave_since.ms = v->state_since.ms = T0;
    v->max_skew_ms = 2000;
    v->report_timeout_ms = 10000;
    v->shared = n_regions > 1;
    v->held = held();
    for (unsigned g = 0; g < n_regions; g++)
        part_of(&fleet[g], &v->part[g]);
    if (v->shared)
        rollout_view_join(&doc, v);
    else {
        evidence_sum(v->part, 1, &v->opened);
        v->newest = v->opened;
    }
}

static void go_on(const struct rollout_view *v, struct rollout_doc *next)
{
    const struct rollout_decision dec = { .act = RA_UPDATE, .state = RS_RUNNING, .opened = 2 };
    rollout_decision_apply(&doc, &dec, v, next);
}

/* ---- claims ---- */

static void a_step_goes_on_exactly_where_the_twin_lets_it(void **state)
{
    unsigned yes = 0, no = 0;
    seed = (uint64_t) time(NULL);
    print_message("# seed %llu\n", (unsigned long long) seed);
    for (unsigned round = 0; round < 20000; round++) {
        struct rollout_view v;
        struct rollout_doc next;
        struct report rep = { 0 };
        draw_fleet();
        make_doc();
        view_of(&v);
        go_on(&v, &next);
        enum reeve_err err = judge(&next, &rep);
        bool may = twin_may_go_on() || (n_regions == 1 && !twin_gate_fires());
        if ((err == REEVE_OK) != may)
            fail_msg("round %u: %s, but the twin says %s (%s)", round, reeve_err_name(err), may ? "yes" : "no", rep.message);
        yes += may;
        no += !may;
    }
    assert_true(yes > 1000 && no > 1000);
}

static void what_the_driver_decides_is_lawful(void **state)
{
    unsigned waits = 0, opens = 0, stops = 0;
    seed = (uint64_t) time(NULL) + 1;
    print_message("# seed %llu\n", (unsigned long long) seed);
    for (unsigned round = 0; round < 20000; round++) {
        struct rollout_view v;
        struct rollout_doc next;
        struct rollout_decision dec;
        struct report rep = { 0 };
        draw_fleet();
        make_doc();
        view_of(&v);
        rollout_step(&doc, &v, &dec);
        waits += dec.missing != 0;
        assert_true((dec.missing & v.held) == 0);
        if (dec.act == RA_NONE)
            continue;
        assert_true(dec.missing == 0 || dec.state == RS_BAKING);
        opens += dec.opened == 2;
        stops += dec.state == RS_PAUSED || dec.state == RS_ROLLING_BACK;
        rollout_decision_apply(&doc, &dec, &v, &next);
        if (judge(&next, &rep) != REEVE_OK)
            fail_msg("round %u: %s", round, rep.message);
    }
    print_message("# %u wait, %u open, %u stop\n", waits, opens, stops);
    assert_true(waits > 100 && opens > 200 && stops > 200);
}

/* One thing about lawful evidence is changed: nothing of that passes. */
static void no_forged_sum_passes(void **state)
{
    unsigned tried = 0;
    seed = (uint64_t) time(NULL) + 2;
    for (unsigned round = 0; round < 20000; round++) {
        struct rollout_view v;
        struct rollout_doc next;
        draw_fleet();
        make_doc();
        view_of(&v);
        go_on(&v, &next);
        if (!v.shared || judge(&next, NULL) != REEVE_OK)
            continue;
        tried++;
        switch (draw(4)) {
        case 0: next.counts.done++, next.counts.told++; break;
        case 1: next.counts.nodes++; break;
        case 2: next.counts.p95_ms++; break;
        default: next.opened = 3; break;
        }
        assert_err(judge(&next, NULL), REEVE_E_V_UPDATE);
    }
    assert_true(tried > 500);
}

static void a_statement_is_read_back(void **state)
{
    uint8_t mem[EVIDENCE_BYTES_MAX], again[EVIDENCE_BYTES_MAX];
    seed = (uint64_t) time(NULL) + 3;
    for (unsigned round = 0; round < 200; round++) {
        struct wr w = wr_fixed(mem, sizeof mem), x = wr_fixed(again, sizeof again);
        struct rollout_evidence e, back;
        struct evidence_head h;
        struct slice body;
        draw_fleet();
        make_doc();
        part_of(&fleet[0], &e);
        memset(e.sig.b, 9, sizeof e.sig.b);
        evidence_encode(&doc.region[0].name, 7, 1, &e, &w);
        wr_bytes(&w, e.sig.b, 64);
        assert_ok(evidence_decode(&h, &back, &body, wr_slice(&w)));
        assert_true(name_eq(&h.region, &doc.region[0].name) && h.rollout == 7 && h.opened == 1 && body.len + 64 == w.len);
        evidence_encode(&h.region, h.rollout, h.opened, &back, &x);
        wr_bytes(&x, back.sig.b, 64);
        assert_true(slice_eq(wr_slice(&w), wr_slice(&x)));
        assert_err(evidence_decode(&h, &back, &body, slice_of(w.p, w.len - 1)), REEVE_E_MALFORMED);
        e.opened.failed = e.opened.told + 1;            /* more answers than were told */
        wr_reset(&w);
        evidence_encode(&doc.region[0].name, 7, 1, &e, &w);
        wr_bytes(&w, e.sig.b, 64);
        assert_err(evidence_decode(&h, &back, &body, wr_slice(&w)), REEVE_E_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_goes_on_exactly_where_the_twin_lets_it),
        cmocka_unit_test(what_the_driver_decides_is_lawful),
        cmocka_unit_test(no_forged_sum_passes),
        cmocka_unit_test(a_statement_is_read_back),
    };
    return cmocka_run_group_tests_name("rollout/evidence", tests, NULL, NULL);
}
