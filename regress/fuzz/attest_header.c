/* attest_header.c - fuzz target of finalizations and blocks, sets and genesis: same bytes or refused. */
#include "engine/attest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t mem[ATTEST_BLOCK_MAX];

static void block(struct slice in)
{
    static struct slice leaf[ATTEST_BLOCK_LEAVES_MAX];
    static struct finalization f;
    size_t n;
    struct wr w = wr_fixed(mem, sizeof mem);
    if (block_decode(&f, leaf, ATTEST_BLOCK_LEAVES_MAX, &n, in) != REEVE_OK)
        return;
    block_encode(&f, leaf, n, &w);
    reeve_assert(slice_eq(wr_slice(&w), in));
}

static void genesis(struct slice in)
{
    static struct genesis g;
    struct wr w = wr_fixed(mem, sizeof mem);
    if (genesis_decode(&g, in) != REEVE_OK)
        return;
    genesis_encode(&g, &w);
    reeve_assert(slice_eq(wr_slice(&w), in));
}

static void trust(struct slice in)
{
    static struct trust t;
    struct wr w = wr_fixed(mem, sizeof mem);
    if (trust_decode(&t, in) != REEVE_OK)
        return;
    trust_encode(&t, &w);
    reeve_assert(slice_eq(wr_slice(&w), in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice in = slice_of(data, len);
    block(in);
    genesis(in);
    trust(in);
    return 0;
}
