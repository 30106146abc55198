/* attest_update.c - fuzz target of leaves: what decodes encodes to the same bytes. */
#include "engine/attest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t mem[ATTEST_LEAF_MAX];
    struct slice in = slice_of(data, len);
    struct update u;
    if (update_decode(&u, in) != REEVE_OK)
        return 0;
    struct wr w = wr_fixed(mem, sizeof mem);
    update_encode(&u, true, &w);
    reeve_assert(slice_eq(wr_slice(&w), in));
    return 0;
}
