/* side.c - what is written beside the log: records of what was durable, and the two metas. */
#include "writer_int.h"

void wal_side_record(struct wal *w, const struct wal_frame *f)
{
    struct wal_ident *b = &w->ident;
    if (b->n == WAL_RECORDS_MAX) {
        b->n--;
        memmove(&b->rec[0], &b->rec[1], b->n * sizeof b->rec[0]);
    }
    w->urgent |= b->n == 0 || b->rec[b->n - 1].hard.term != f->hard.term || b->rec[b->n - 1].hard.vote != f->hard.vote;
    b->rec[b->n++] = (struct wal_record){ f->seq, f->first, f->last, f->last_term, f->hard, f->at, f->sum, f->flags };
    w->copies = 0;
}

/* Something of it changed: both copies are due, one after the other. */
void wal_side_meta(struct wal *w)
{
    w->meta.oldest_epoch = wal_segs_oldest(w, &w->meta.start_seq, &w->meta.start_sum);
    w->meta.cut = w->ripe.index;
    w->meta.cut_term = w->ripe.term;
    if (w->meta_step == 0)
        w->meta_step = 1;
    else
        w->meta_again = true;
}

static bool is_ripe(const struct wal *w)
{
    return w->pending.index != 0 && (w->durable >= w->pending.ticket || WAL_BROKEN(13));
}

void wal_side_ripen(struct wal *w)
{
    if (!is_ripe(w))
        return;
    do {
        w->ripe = w->pending;
        w->pending = w->next;
        w->next = (struct wal_cutting){ 0 };
    } while (is_ripe(w));
    wal_side_meta(w);
}

/* Not over the one that waits: under load there would always be a newer one. */
void wal_side_cut(struct wal *w, uint64_t index, uint64_t term)
{
    struct wal_cutting *to = w->pending.index == 0 ? &w->pending : &w->next;
    *to = (struct wal_cutting){ index, term, w->tickets };
    wal_side_ripen(w);
}

static uint64_t newest(const struct wal *w)
{
    return w->ident.n > 0 ? w->ident.rec[w->ident.n - 1].seq : 0;
}

/* Something of it is not durable twice. */
static bool ident_stale(const struct wal *w)
{
    return w->ident.n > 0 && w->copies < 2;
}

static bool ident_due(const struct wal *w)
{
    if (w->ident_fresh)
        return true;
    if (ident_stale(w) && w->copies == 0 && (w->urgent || newest(w) - w->recorded >= WAL_IDENT_EVERY))
        return true;
    return ident_stale(w) && w->rests;
}

void wal_rest(struct wal *w)
{
    w->rests = !w->flying && !w->gather.used;
}

bool wal_wants_rest(const struct wal *w)
{
    return !w->side_busy && ident_stale(w) && !ident_due(w);
}

static void ident_write(struct wal *w, struct wal_effect *out)
{
    w->ident.number++;
    w->ident_fresh = w->urgent = false;
    w->recording = newest(w);
    w->side = WAL_FILE_IDENT;
    wal_ident_encode(w->side_buf, &w->ident);
    *out = (struct wal_effect){ WAL_DO_WRITE, WAL_LANE_SIDE, { WAL_FILE_IDENT, 0 },
                                w->ident.number % WAL_IDENT_BLOCKS * WAL_BLOCK, slice_of(w->side_buf, WAL_BLOCK) };
}

/* The hard state of the newest batch that is surely durable, or an older one: only where both rings fail does it matter. */
static void meta_write(struct wal *w, struct wal_effect *out)
{
    bool second = (w->meta_first == 1) == (w->meta_step == 1);
    if (w->meta_step == 1)
        w->meta_oldest = w->meta.oldest_epoch;
    w->meta.number++;
    if (w->ident.n > 0)
        w->meta.hard = w->ident.rec[w->ident.n - 1].hard;
    w->side = second ? WAL_FILE_META_B : WAL_FILE_META_A;
    wal_meta_encode(w->side_buf, &w->meta);
    *out = (struct wal_effect){ WAL_DO_WRITE, WAL_LANE_SIDE, { w->side, 0 }, 0, slice_of(w->side_buf, WAL_BLOCK) };
}

bool wal_side_due(const struct wal *w)
{
    return !w->side_busy && (w->meta_step != 0 || ident_due(w));
}

bool wal_side_next(struct wal *w, struct wal_effect *out)
{
    if (!wal_side_due(w))
        return false;
    if (ident_due(w) && (w->copies == 0 || w->meta_step == 0))
        ident_write(w, out);
    else
        meta_write(w, out);
    w->side_busy = true;
    return true;
}

static void ident_complete(struct wal *w)
{
    w->recorded = w->recording > w->recorded ? w->recording : w->recorded;
    if (w->recording == newest(w))
        w->copies++;
}

/* After both, what they name is the oldest segment, and those before it may go. */
static void meta_complete(struct wal *w)
{
    if (w->meta_step == 1 && !WAL_BROKEN(11)) {
        w->meta_step = 2;
        return;
    }
    w->ready = true;
    w->drop_below = w->meta_oldest;
    w->meta_step = w->meta_again ? 1 : 0;
    w->meta_again = false;
}

void wal_side_complete(struct wal *w)
{
    reeve_assert(w->side_busy);
    w->side_busy = false;
    if (w->side == WAL_FILE_IDENT)
        ident_complete(w);
    else
        meta_complete(w);
}

bool wal_side_idle(const struct wal *w)
{
    return !w->side_busy && w->meta_step == 0 && w->pending.index == 0 && !w->ident_fresh && (w->ident.n == 0 || w->copies >= 2);
}
