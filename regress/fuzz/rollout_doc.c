/*
 * rollout_doc.c - fuzz target: rollout documents and specs
 *
 * What decodes encodes to the same bytes; a sound doc steps, its decision is
 * lawful or the doc was unlawful to begin with, and nothing asserts.
 */
#include "engine/rollout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t again[65536];
static char text[65536];

static void spec(struct slice in)
{
    static struct rollout_spec s;
    struct report rep = { 0 };
    if (rollout_spec_decode(&s, in) != REEVE_OK)
        return;
    struct wr w = wr_fixed(again, sizeof again), t = wr_fixed(text, sizeof text);
    rollout_spec_encode(&s, &w);
    reeve_assert(slice_eq(wr_slice(&w), in));
    rollout_spec_describe(&s, &t);
    if (rollout_spec_check(&s, &rep) == REEVE_OK)
        rollout_spec_default(&s, NULL);
}

static void steps(const struct rollout_doc *d)
{
    static struct rollout_doc next;
    struct rollout_view v = { .now.ms = 100000, .wave_since.ms = 1000, .state_since.ms = 1000, .created.ms = 1000,
                              .max_skew_ms = 2000, .report_timeout_ms = 5000, .opened = d->counts, .newest = d->counts };
    struct rollout_decision dec;
    struct report rep = { 0 };
    rollout_step(d, &v, &dec);
    rollout_decision_apply(d, &dec, &v, &next);
    if (dec.act == RA_UPDATE)
        (void) rollout_check_step(d, &next, v.wave_since, v.now, v.max_skew_ms, &rep);
    for (enum rollout_verb verb = RV_PAUSE; verb <= RV_ROLLBACK; verb++) {
        report_clear(&rep);
        if (rollout_verb_apply(d, verb, 0, &next, &rep) == REEVE_OK)
            reeve_assert(rollout_doc_check(&next, &rep) == REEVE_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rollout_doc d;
    static const struct name region = { 2, "eu" };
    struct slice in = slice_of(data, size);
    spec(in);
    if (rollout_doc_decode(&d, in) != REEVE_OK)
        return 0;
    struct wr w = wr_fixed(again, sizeof again);
    rollout_doc_encode(&d, &w);
    reeve_assert(slice_eq(wr_slice(&w), in));
    if (rollout_doc_check(&d, NULL) != REEVE_OK)
        return 0;
    (void) rollout_includes(&d, &region, NULL, slice_str("n-"), 7);
    steps(&d);
    return 0;
}
