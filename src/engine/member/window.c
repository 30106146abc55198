/*
 * window.c - the newest part of the log, in memory given once
 *
 * Payloads lie one after the other in a ring of bytes, each in one piece: one
 * that does not fit before the end begins at the start again. Room for raft's
 * own small entries is kept back, so that what it does not ask for always fits.
 */
#include "member_int.h"

#define RESERVE_SLOTS 8
#define RESERVE_BYTES (8 * RAFT_CONF_BYTES_MAX)

void member_window_init(struct window *w, void *slots, uint32_t n_slots, void *bytes, uint32_t n_bytes)
{
    *w = (struct window){ .slot = slots, .bytes = bytes, .cap = n_bytes, .mask = n_slots - 1u, .first = 1 };
}

static struct window_slot *slot(const struct window *w, uint64_t i) { return &w->slot[i & w->mask]; }

static uint64_t oldest_byte(const struct window *w)
{
    return w->first > w->last ? w->head : slot(w, w->first)->at;
}

/* Where a payload of that length would begin. */
static uint64_t place(const struct window *w, uint64_t len)
{
    uint64_t in = w->head % w->cap;
    return in + len > w->cap ? w->head - in + w->cap : w->head;
}

bool member_window_fits(const struct window *w, uint64_t slots, uint64_t bytes)
{
    return w->last + 1 - w->first + slots <= w->mask + 1 && bytes <= w->cap && place(w, bytes) + bytes - oldest_byte(w) <= w->cap;
}

static uint64_t op_first(void *arg) { return ((struct window *) arg)->first; }
static uint64_t op_last(void *arg) { return ((struct window *) arg)->last; }

static uint64_t op_term(void *arg, uint64_t i)
{
    const struct window *w = arg;
    reeve_assert(i + 1 >= w->first && i <= w->last);
    return i + 1 == w->first ? w->before_term : slot(w, i)->term;
}

static void op_entry(void *arg, uint64_t i, struct raft_entry *out)
{
    const struct window *w = arg;
    reeve_assert(i >= w->first && i <= w->last);
    const struct window_slot *s = slot(w, i);
    *out = (struct raft_entry){ i, s->term, s->kind, slice_of(w->bytes + s->at % w->cap, s->len) };
}

static bool op_room(void *arg, size_t n, size_t bytes)
{
    return member_window_fits(arg, n + RESERVE_SLOTS, bytes + RESERVE_BYTES);
}

static void op_append(void *arg, const struct raft_entry *e)
{
    struct window *w = arg;
    reeve_assert(e->index == w->last + 1 && member_window_fits(w, 1, e->data.len));
    uint64_t at = place(w, e->data.len);
    if (e->data.len > 0)
        memcpy(w->bytes + at % w->cap, e->data.p, e->data.len);
    *slot(w, ++w->last) = (struct window_slot){ e->term, at, (uint32_t) e->data.len, e->kind };
    w->head = at + e->data.len;
}

static void op_truncate(void *arg, uint64_t from)
{
    struct window *w = arg;
    reeve_assert(from >= w->first && from <= w->last);
    w->head = slot(w, from)->at;
    w->last = from - 1;
}

static void op_reset(void *arg, uint64_t index, uint64_t term)
{
    struct window *w = arg;
    w->first = index + 1;
    w->last = index;
    w->before_term = term;
    w->head = 0;
}

const struct raft_log_ops member_window_ops = { op_first, op_last, op_term, op_entry, op_room, op_append, op_truncate, op_reset };

void member_window_trim(struct window *w, uint64_t limit)
{
    uint64_t slots = (w->mask + 1) / 4, bytes = w->cap / 4;
    while (w->first <= w->last && w->first <= limit && !member_window_fits(w, slots, bytes)) {
        w->before_term = slot(w, w->first)->term;
        w->first++;
    }
}

bool member_window_half_full(const struct window *w)
{
    return !member_window_fits(w, (w->mask + 1) / 2, w->cap / 2);
}
