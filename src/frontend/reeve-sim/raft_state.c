/* raft_state.c - the state machine of a run: a few keys, which operations took effect, the member's rows. */
#include "raft_int.h"

#include <stdlib.h>

void state_free(struct kv_state *s)
{
    for (size_t i = 0; i < s->n_rows; i++)
        free(s->row[i].p);
    free(s->row);
    *s = (struct kv_state){ 0 };
}

static uint8_t *bytes_dup(const uint8_t *p, size_t len)
{
    uint8_t *q = malloc(len + 1);
    reeve_assert(q != NULL);
    memcpy(q, p, len);
    return q;
}

void state_copy(struct kv_state *to, const struct kv_state *from)
{
    state_free(to);
    *to = *from;
    to->row = calloc(from->n_rows + 1, sizeof *to->row);
    reeve_assert(to->row != NULL);
    for (size_t i = 0; i < from->n_rows; i++)
        to->row[i] = (struct row){ from->row[i].id, from->row[i].len, bytes_dup(from->row[i].p, from->row[i].len) };
}

static struct row *row_find(const struct kv_state *s, uint32_t id)
{
    for (size_t i = 0; i < s->n_rows; i++)
        if (s->row[i].id == id)
            return &s->row[i];
    return NULL;
}

void state_row_set(struct kv_state *s, uint32_t id, struct slice value)
{
    struct row *row = row_find(s, id);
    if (row == NULL) {
        s->row = realloc(s->row, (s->n_rows + 1) * sizeof *s->row);
        reeve_assert(s->row != NULL);
        row = &s->row[s->n_rows++];
        *row = (struct row){ .id = id };
    }
    free(row->p);
    row->p = bytes_dup(value.p, value.len);
    row->len = (uint32_t) value.len;
}

bool state_row(const struct kv_state *s, uint32_t id, struct slice *out)
{
    const struct row *row = row_find(s, id);
    if (row != NULL)
        *out = slice_of(row->p, row->len);
    return row != NULL;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

uint64_t state_hash(const struct kv_state *s)
{
    uint64_t h = 1;
    for (int k = 0; k < RIG_KEYS; k++)
        h = mix(h, s->present[k] ? (uint64_t) s->value[k] : UINT64_MAX);
    for (size_t i = 0; i < sizeof s->applied; i++)
        h = mix(h, s->applied[i]);
    return h ? h : 1;
}

bool state_equal(const struct kv_state *a, const struct kv_state *b)
{
    return a->index == b->index && state_hash(a) == state_hash(b);
}

void state_encode(const struct kv_state *s, struct wr *out)
{
    wr_u64(out, s->index);
    for (int k = 0; k < RIG_KEYS; k++) {
        wr_u8(out, s->present[k]);
        wr_u64(out, (uint64_t) s->value[k]);
    }
    wr_bytes(out, s->applied, sizeof s->applied);
    wr_u32(out, (uint32_t) s->n_rows);
    for (size_t i = 0; i < s->n_rows; i++) {
        wr_u32(out, s->row[i].id);
        wr_str32(out, slice_of(s->row[i].p, s->row[i].len));
    }
}

bool state_decode(struct kv_state *s, struct slice in)
{
    struct rd r = rd_of(in);
    state_free(s);
    s->index = rd_u64(&r);
    for (int k = 0; k < RIG_KEYS; k++) {
        s->present[k] = rd_u8(&r);
        s->value[k] = (int64_t) rd_u64(&r);
    }
    rd_copy(&r, s->applied, sizeof s->applied);
    for (uint32_t n = rd_u32(&r); n > 0 && !r.bad; n--) {
        uint32_t id = rd_u32(&r);
        struct slice v = rd_str32(&r, MEMBER_ROW_MAX);
        if (!r.bad)
            state_row_set(s, id, v);
    }
    return rd_done(&r);
}
