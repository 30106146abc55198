/* recover_damage.c - what is lost where a batch that was durable cannot be read. */
#include "recover_int.h"

#define LOST_MAX 256        /* batches asked for one by one; more reach down to what was committed */

const struct wal_record *wal_record_of(const struct wal_walk *w, uint64_t seq)
{
    for (uint32_t i = 0; i < w->f->ident.n && !WAL_BROKEN(2); i++)
        if (w->f->ident.rec[i].seq == seq)
            return &w->f->ident.rec[i];
    return NULL;
}

uint64_t wal_newest_seq(const struct wal_walk *w)
{
    return w->f->ident.n > 0 && !WAL_BROKEN(2) ? w->f->ident.rec[w->f->ident.n - 1].seq : 0;
}

/* The header here is the lost batch's own only if its successor or its record knows its sum. */
static bool header_is_of(const struct wal_walk *w, uint64_t seq, const struct wal_frame *next)
{
    const struct wal_record *r = wal_record_of(w, seq);
    if (w->sight != SIGHT_FRAME || w->here.seq != seq)
        return false;
    return (next != NULL && next->seq == seq + 1 && next->prev_sum == w->here.sum) || (r != NULL && r->sum == w->here.sum);
}

/* The lowest index that batch seq may have superseded or brought; UINT64_MAX: none. False: nobody knows. */
static bool first_of(const struct wal_walk *w, uint64_t seq, const struct wal_frame *next, uint64_t *first)
{
    const struct wal_record *r = wal_record_of(w, seq);
    uint8_t flags;
    if (r != NULL) {
        *first = r->first;
        flags = r->flags;
    } else if (next != NULL && next->seq == seq + 1) {
        *first = next->prev_first;
        flags = next->prev_flags;
    } else if (header_is_of(w, seq, next)) {
        *first = w->here.first;
        flags = w->here.flags;
    } else {
        return false;
    }
    if (flags & WAL_REPAIR)         /* the hole that it filled is still in the set */
        *first = UINT64_MAX;
    return true;
}

/* No batch supersedes below this. */
static uint64_t committed(const struct wal_walk *w)
{
    return w->f->hard.commit < w->f->last ? w->f->hard.commit : w->f->last;
}

static uint64_t lowest_lost(const struct wal_walk *w, uint64_t end_seq, const struct wal_frame *next)
{
    uint64_t low = UINT64_MAX, first;
    for (uint32_t i = 0; i < w->f->meta.n_lost; i++)
        if (w->f->meta.lost[i].from == w->f->next_seq && w->f->meta.lost[i].to == end_seq)
            return w->f->meta.lost[i].low;
    if (end_seq - w->f->next_seq > LOST_MAX)
        return committed(w) + 1;
    for (uint64_t q = w->f->next_seq; q < end_seq; q++) {
        if (!first_of(w, q, next, &first))
            return committed(w) + 1;
        low = first < low ? first : low;
    }
    return low;
}

/* Segments in which something was lost are kept as long as what was lost is wanted. */
static void mark_segments(struct wal_walk *w, uint32_t up_to, uint64_t index)
{
    for (size_t i = 0; i < w->n_starts; i++)
        if (w->start[i].epoch >= w->at.epoch && w->start[i].epoch <= up_to) {
            struct wal_segment *s = wal_segment_at(w->f, w->start[i].epoch);
            if (s->max_index < index)
                s->max_index = index;
        }
}

/* A list that is full forgets; then the range is guessed again, wider. */
static void remember(struct wal_found *f, uint64_t to, uint64_t low)
{
    if (f->n_lost < WAL_LOST_MAX)
        f->lost[f->n_lost++] = (struct wal_lost){ f->next_seq, to, low };
}

static void set_end(struct wal_walk *w, uint64_t low, uint64_t last, uint64_t last_term)
{
    struct wal_found *f = w->f;
    wal_holes_remove(&f->holes, last + 1, UINT64_MAX - 1);
    wal_holes_add(&f->holes, low, last);
    f->last = last;
    f->last_term = last_term;
}

static void behind_frame(struct wal_walk *w, const struct wal_frame *next)
{
    struct wal_found *f = w->f;
    bool repair = next->flags & WAL_REPAIR;
    uint64_t low = lowest_lost(w, next->seq, next);
    if (next->seq == f->next_seq)       /* it names another predecessor than the batch that was read */
        low = committed(w) + 1;
    remember(f, next->seq, low);
    uint64_t last = repair ? next->last : next->first - 1;
    mark_segments(w, next->at.epoch, last);
    set_end(w, low, last, repair ? next->last_term : next->prev_term);
    f->damaged += next->seq - f->next_seq;
    f->next_seq = next->seq;
    w->at = next->at;
    w->prev_known = false;
}

static void behind_record(struct wal_walk *w, const struct wal_record *r)
{
    struct wal_found *f = w->f;
    uint64_t low = lowest_lost(w, r->seq + 1, NULL);
    remember(f, r->seq + 1, low);
    mark_segments(w, UINT32_MAX, r->last);
    set_end(w, low, r->last, r->last_term);
    f->damaged += r->seq + 1 - f->next_seq;
    f->hard = r->hard;
    f->next_seq = r->seq + 1;
    f->prev_sum = r->sum;
    f->prev_first = r->first;
    f->prev_flags = r->flags;
    f->tail_good = false;
    w->prev_known = true;
}

void wal_damage(struct wal_walk *w, const struct wal_frame *next)
{
    uint64_t offset = (uint64_t) w->at.block * WAL_BLOCK;
    uint64_t end = next != NULL ? next->seq : wal_newest_seq(w) + 1;
    w->damage = true;
    wal_reason(w, wal_segment_file(w->at.epoch), offset, "batch %llu: %s", (unsigned long long) w->f->next_seq, w->why);
    wal_note(w, wal_segment_file(w->at.epoch), offset, "batch %llu was durable and cannot be read: %s; %s know of it",
             (unsigned long long) w->f->next_seq, w->why, next != NULL ? "later batches" : "its record and others");
    if (end > w->f->next_seq + 1)
        wal_note(w, wal_segment_file(w->at.epoch), offset, "with it all batches up to %llu", (unsigned long long) end - 1);
    if (next != NULL)
        behind_frame(w, next);
    else
        behind_record(w, wal_record_of(w, wal_newest_seq(w)));
}
