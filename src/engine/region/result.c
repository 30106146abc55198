/*
 * result.c - what the proposer gets back, the same form for every command
 *
 *   u16 n | n x { u16 reeve_err | str16 message | str16 data }
 */
#include "engine/region/region_int.h"

void result_begin(struct apply *a)
{
    a->result = wr_fixed(a->s->result, sizeof a->s->result);
    a->n_results = 0;
    wr_u16(&a->result, 0);
}

void result_item(struct apply *a, enum reeve_err err, const char *message, struct slice data)
{
    wr_u16(&a->result, (uint16_t) err);
    wr_str16(&a->result, slice_str(message));
    wr_str16(&a->result, data);
    a->n_results++;
}

void result_u32(struct apply *a, uint32_t v)
{
    uint8_t b[4];
    struct wr w = wr_fixed(b, sizeof b);
    wr_u32(&w, v);
    result_item(a, REEVE_OK, "", wr_slice(&w));
}

void result_u64(struct apply *a, uint64_t v)
{
    uint8_t b[8];
    struct wr w = wr_fixed(b, sizeof b);
    wr_u64(&w, v);
    result_item(a, REEVE_OK, "", wr_slice(&w));
}

void region_result_ok(struct wr *w)
{
    wr_u16(w, 1);
    wr_u16(w, REEVE_OK);
    wr_str16(w, slice_str(""));
    wr_str16(w, slice_str(""));
}

void result_end(struct apply *a)
{
    /* Bounds: at most REGION_BATCH_MAX items of at most report.message bytes. */
    reeve_assert(!a->result.bad);
    a->result.p[0] = (uint8_t) (a->n_results >> 8);
    a->result.p[1] = (uint8_t) a->n_results;
}
