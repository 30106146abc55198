/* holes.c - a bounded set of index ranges that rather holds too much than too little. */
#include "engine/wal.h"

static void take_out(struct wal_holes *h, uint32_t i)
{
    h->n--;
    memmove(&h->r[i], &h->r[i + 1], (h->n - i) * sizeof h->r[0]);
}

static void put_in(struct wal_holes *h, uint32_t i, struct wal_range r)
{
    reeve_assert(h->n < WAL_HOLES_MAX);
    memmove(&h->r[i + 1], &h->r[i], (h->n - i) * sizeof h->r[0]);
    h->r[i] = r;
    h->n++;
}

/* Two neighbours and what lies between them become one: those that are closest. */
static void make_room(struct wal_holes *h)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i + 1 < h->n; i++)
        if (h->r[i + 1].first - h->r[i].last < h->r[best + 1].first - h->r[best].last)
            best = i;
    h->r[best].last = h->r[best + 1].last;
    take_out(h, best + 1);
}

void wal_holes_add(struct wal_holes *h, uint64_t first, uint64_t last)
{
    if (first > last)
        return;
    if (h->n == WAL_HOLES_MAX)
        make_room(h);
    uint32_t i = 0;
    while (i < h->n && h->r[i].last + 1 < first)
        i++;
    while (i < h->n && h->r[i].first <= last + 1) {
        first = h->r[i].first < first ? h->r[i].first : first;
        last = h->r[i].last > last ? h->r[i].last : last;
        take_out(h, i);
    }
    put_in(h, i, (struct wal_range){ first, last });
}

void wal_holes_remove(struct wal_holes *h, uint64_t first, uint64_t last)
{
    for (uint32_t i = 0; i < h->n;) {
        struct wal_range r = h->r[i];
        if (first > last || r.last < first || r.first > last) {
            i++;
            continue;
        }
        take_out(h, i);
        if (r.first < first)
            put_in(h, i++, (struct wal_range){ r.first, first - 1 });
        if (r.last > last) {
            if (h->n == WAL_HOLES_MAX) {        /* no room to split: the part before stays with what was taken out */
                h->r[i - 1].last = r.last;
                return;
            }
            put_in(h, i++, (struct wal_range){ last + 1, r.last });
        }
    }
}

bool wal_holes_touch(const struct wal_holes *h, uint64_t first, uint64_t last)
{
    for (uint32_t i = 0; i < h->n; i++)
        if (h->r[i].first <= last && h->r[i].last >= first)
            return true;
    return false;
}
