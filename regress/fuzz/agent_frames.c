/*
 * agent_frames.c - fuzz target of the agents' frames, tokens and delegations
 *
 * Corpus: docs/protocol/vectors (hex of frames.json as files, made by
 * corpus-agent-frames). Whatever decodes must encode and decode again.
 */
#include "engine/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void round_trip(struct slice in)
{
    struct wire_frame f, g;
    if (wire_decode(&f, in) != REEVE_OK)
        return;
    struct wr w = wr_heap(WIRE_FRAME_MAX + 16);
    reeve_assert(wire_encode(&w, &f) == REEVE_OK);
    reeve_assert(w.len <= in.len);
    reeve_assert(wire_decode(&g, wr_slice(&w)) == REEVE_OK);
    struct wr again = wr_heap(WIRE_FRAME_MAX + 16);
    reeve_assert(wire_encode(&again, &g) == REEVE_OK);
    reeve_assert(slice_eq(wr_slice(&w), wr_slice(&again)));
    wr_free(&w);
    wr_free(&again);
}

static void stream(struct slice in)
{
    size_t total;
    while (in.len > 0 && wire_frame_len(in, WIRE_FRAME_PRE_AUTH, &total) == REEVE_OK) {
        round_trip(slice_of(in.p, total));
        in = slice_of(in.p + total, in.len - total);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice in = slice_of(data, len);
    struct wire_token t;
    struct wire_delegation d;
    round_trip(in);
    stream(in);
    if (wire_token_decode(&t, in) == REEVE_OK) {
        char text[WIRE_TOKEN_TEXT_MAX];
        reeve_assert(wire_token_encode(text, &t) == len && memcmp(text, data, len) == 0);
    }
    if (wire_delegation_decode(&d, in) == REEVE_OK) {
        uint8_t mem[WIRE_DELEGATION_MAX];
        struct wr w = wr_fixed(mem, sizeof mem);
        wire_delegation_encode(&d, &w);
        reeve_assert(slice_eq(wr_slice(&w), in));
    }
    (void) wire_retry_decode(in);
    return 0;
}
