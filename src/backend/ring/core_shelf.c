/*
 * core_shelf.c - what a start has read of the log: entries by index, as far as they can be read
 *
 * Holes are known when all is read (wal_found.holes); what lies in one is not given out. Batches come in the order in which
 * they were written: a lower first supersedes, a repair does not.
 */
#include <stdlib.h>

#include "backend/ring/core_int.h"

#define SPAN_MAX (1u << 22)             /* entries; a window holds far less above the state */

void core_shelf_init(struct core_shelf *s, uint64_t above)
{
    *s = (struct core_shelf){ .above = above, .bytes = wr_heap(SIZE_MAX / 2) };
}

void core_shelf_free(struct core_shelf *s)
{
    free(s->item);
    wr_free(&s->bytes);
    *s = (struct core_shelf){ .n = 0 };
}

static bool room_for(struct core_shelf *s, size_t n)
{
    size_t cap = s->cap ? s->cap : 1024;
    if (n > SPAN_MAX)
        return false;
    while (cap < n)
        cap *= 2;
    if (cap == s->cap)
        return true;
    struct core_shelf_item *more = realloc(s->item, cap * sizeof *more);
    if (more == NULL)
        return false;
    s->item = more;
    s->cap = cap;
    return true;
}

/* What a repair brings may lie before everything else. */
static bool reach_down(struct core_shelf *s, uint64_t index)
{
    size_t by = (size_t) (s->first - index);
    if (s->first - index > SPAN_MAX || !room_for(s, s->n + by))
        return false;
    memmove(s->item + by, s->item, s->n * sizeof *s->item);
    memset(s->item, 0, by * sizeof *s->item);
    s->first = index;
    s->n += by;
    return true;
}

static struct core_shelf_item *place(struct core_shelf *s, uint64_t index)
{
    if (s->n == 0 || (index > s->first && index - s->first > SPAN_MAX)) {
        s->first = index;               /* behind a state that came from elsewhere: what is before is of no use */
        s->n = 0;
    }
    if (index < s->first && !reach_down(s, index))
        return NULL;
    size_t at = (size_t) (index - s->first);
    if (!room_for(s, at + 1))
        return NULL;
    if (at >= s->n) {
        memset(s->item + s->n, 0, (at + 1 - s->n) * sizeof *s->item);
        s->n = at + 1;
    }
    return &s->item[at];
}

static void put(struct core_shelf *s, uint64_t index, const struct wal_entry *e)
{
    struct core_shelf_item *it = index > s->above ? place(s, index) : NULL;
    if (it == NULL) {
        s->bad |= index > s->above;
        return;
    }
    *it = (struct core_shelf_item){ .term = e->term, .at = s->bytes.len, .len = (uint32_t) e->data.len, .kind = e->kind };
    wr_bytes(&s->bytes, e->data.p, e->data.len);
    s->bad |= s->bytes.bad;
}

void core_shelf_batch(struct core_shelf *s, const struct wal_frame *f, struct slice payload)
{
    struct rd r = rd_of(payload);
    struct wal_entry e;
    uint64_t index = f->first;
    if (!(f->flags & WAL_REPAIR) && s->n > 0 && index < s->first + s->n)
        s->n = index > s->first ? (size_t) (index - s->first) : 0;
    while (wal_entry_next(&r, &e))
        put(s, index++, &e);
}

bool core_shelf_entry(const struct core_shelf *s, uint64_t index, struct raft_entry *out)
{
    if (s->n == 0 || index <= s->low || index < s->first || index - s->first >= s->n || wal_holes_touch(&s->holes, index, index))
        return false;
    const struct core_shelf_item *it = &s->item[index - s->first];
    *out = (struct raft_entry){ index, it->term, it->kind, slice_of(s->bytes.p + it->at, it->len) };
    return it->term != 0;
}

uint64_t core_shelf_last(const struct core_shelf *s) { return s->n > 0 ? s->first + s->n - 1 : 0; }
