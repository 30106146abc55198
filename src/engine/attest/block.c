/* block.c - blocks as bytes. */
#include "codec_int.h"

void block_encode(const struct finalization *f, const struct slice *leaves, size_t n, struct wr *out)
{
    finalization_encode(f, out);
    reeve_assert(n <= ATTEST_BLOCK_LEAVES_MAX);
    wr_u16(out, (uint16_t) n);
    for (size_t i = 0; i < n; i++)
        wr_str32(out, leaves[i]);
}

enum reeve_err block_decode(struct finalization *f, struct slice *leaves, size_t cap, size_t *n, struct slice in)
{
    struct rd r = rd_of(in);
    *n = 0;
    if (in.len > ATTEST_BLOCK_MAX)
        return REEVE_E_TOO_BIG;
    if (finalization_decode(f, &r) != REEVE_OK)
        return REEVE_E_MALFORMED;
    uint16_t count = rd_u16(&r);
    if (count > cap || count > ATTEST_BLOCK_LEAVES_MAX)
        return REEVE_E_TOO_BIG;
    for (uint16_t i = 0; i < count; i++)
        leaves[i] = rd_str32(&r, ATTEST_LEAF_MAX);
    if (!rd_done(&r))
        return REEVE_E_MALFORMED;
    *n = count;
    return REEVE_OK;
}
