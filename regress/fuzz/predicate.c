/*
 * predicate.c - fuzz target: whatever the check accepts must evaluate and print
 */
#include "engine/rollout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[16384];
    static const struct name region = { 2, "eu" };
    static const struct labels labels = { 1, { { { 4, "tier" }, { 4, "edge" } } } };
    struct predicate p = { 0 };
    if (size > ROLLOUT_PRED_MAX)
        return 0;
    p.len = (uint16_t) size;
    if (size > 0)
        memcpy(p.code, data, size);
    if (predicate_check(&p) != REEVE_OK)
        return 0;
    (void) predicate_holds(&p, &region, &labels, slice_str("n-000102030405060708090a0b0c0d0e0f"));
    struct wr w = wr_fixed(text, sizeof text);
    predicate_describe(&p, &w);
    reeve_assert(!w.bad);
    return 0;
}
