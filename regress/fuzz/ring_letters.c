/*
 * ring_letters.c - fuzz target of what ring processes of two members write to each other, and of the requests inside
 *
 * What decodes is encoded again and must be the same bytes; an answer's text is cleaned once, so there the second time.
 */
#include "backend/ring/forward.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t mem[FORWARD_HEAD_MAX];

static struct slice again(const struct letter *l)
{
    struct wr w = wr_fixed(mem, sizeof mem);
    letter_encode(l, &w);
    reeve_assert(!w.bad);
    return wr_slice(&w);
}

static void answer(const struct letter *l)
{
    static struct letter second;
    uint8_t first[FORWARD_HEAD_MAX];
    struct slice bytes = again(l);
    memcpy(first, bytes.p, bytes.len);
    enum reeve_err err = letter_decode(&second, slice_of(first, bytes.len));
    reeve_assert(err == REEVE_OK && second.rep.code == l->rep.code && slice_eq(again(&second), slice_of(first, bytes.len)));
    for (uint8_t kind = 0; kind <= FORWARD__COUNT; kind++)
        (void) forward_result_is(kind, l->rest);
}

static void body(const struct letter *l)
{
    static struct slice updates[SUBMIT_UPDATES_MAX];
    size_t n;
    if (!submit_body_read(l->rest, updates, &n))
        return;
    for (size_t i = 0; i < n; i++)
        reeve_assert(updates[i].p >= l->rest.p && updates[i].p + updates[i].len <= l->rest.p + l->rest.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct letter l;
    if (letter_decode(&l, slice_of(data, len)) != REEVE_OK)
        return 0;
    if (l.what == LETTER_ANSWER) {
        answer(&l);
        return 0;
    }
    struct slice head = again(&l);
    reeve_assert(head.len + l.rest.len == len && memcmp(head.p, data, head.len) == 0);
    if (l.what == LETTER_BODY)
        body(&l);
    return 0;
}
