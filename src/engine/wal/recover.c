/* recover.c - from the files to a verdict: batch after batch, and what stands where one should (R1 to R6). */
#include "recover_int.h"

void wal_note_text(struct wal_walk *w, struct wal_file file, uint64_t offset, const char *text)
{
    if (w->v != NULL && w->v->note != NULL)
        w->v->note(w->v->arg, file, offset, text);
}

void wal_reason_text(struct wal_walk *w, struct wal_file file, uint64_t offset, const char *text)
{
    struct wal_found *f = w->f;
    if (f->reason[0] != '\0')
        return;
    f->file = file;
    f->offset = offset;
    memcpy(f->reason, text, strlen(text) + 1);
}

struct wal_segment *wal_segment_at(struct wal_found *f, uint32_t epoch)
{
    uint32_t i = f->n_segments;
    while (i > 0 && f->segment[i - 1].epoch >= epoch)
        i--;
    if (i < f->n_segments && f->segment[i].epoch == epoch)
        return &f->segment[i];
    reeve_assert(f->n_segments < WAL_SEGMENTS_MAX);
    memmove(&f->segment[i + 1], &f->segment[i], (f->n_segments - i) * sizeof f->segment[0]);
    f->n_segments++;
    f->segment[i] = (struct wal_segment){ .epoch = epoch };
    return &f->segment[i];
}

/* ---- good batches ---- */

static bool follows(const struct wal_walk *w, uint64_t seq, uint32_t prev_sum)
{
    return seq == w->f->next_seq && (!w->prev_known || prev_sum == w->f->prev_sum || WAL_BROKEN(3));
}

/* Where a restart went on, that counts, whatever stands in the place given up. The last one wins. */
static void roll(struct wal_walk *w)
{
    for (size_t i = w->n_starts; i-- > 0 && w->start[i].epoch > w->at.epoch;)
        if (w->start[i].seq != 0 && follows(w, w->start[i].seq, w->start[i].prev_sum)) {
            w->at = (struct wal_place){ w->start[i].epoch, 0 };
            return;
        }
}

static bool good_here(struct wal_walk *w)
{
    w->sight = wal_look(w, w->at, &w->here);
    w->why = wal_sight_text(w->sight);
    if (w->sight != SIGHT_FRAME)
        return false;
    if (!follows(w, w->here.seq, w->here.prev_sum) && !WAL_BROKEN(4)) {
        w->why = "a batch that does not follow the one before";
        return false;
    }
    const char *wrong = wal_payload_wrong(w, &w->here);
    if (wrong != NULL)
        w->why = wrong;
    return wrong == NULL;
}

static void take_place(struct wal_walk *w, const struct wal_frame *f)
{
    struct wal_segment *s = wal_segment_at(w->f, f->at.epoch);
    uint64_t last = f->first + f->count - 1;
    if (f->at.block == 0) {
        s->start_seq = f->seq;
        s->start_sum = f->prev_sum;
    }
    if (f->count > 0 && s->max_index < last)
        s->max_index = last;
    w->at.block += (uint32_t) (wal_frame_bytes(f->payload_len) / WAL_BLOCK);
}

/*
 * What stands before a batch and below its cut is wanted no more, and may be another history than that
 * of the snapshot which took its place. The cut may have moved on while the batch waited for the disk.
 */
static void take_cut(struct wal_walk *w, const struct wal_frame *f)
{
    struct wal_found *o = w->f;
    if (f->first - 1 > f->cut || f->first - 1 <= o->cut)
        return;
    o->cut = f->first - 1;
    o->cut_term = f->prev_term;
    wal_holes_remove(&o->holes, 0, o->cut);
}

/* A first beyond last + 1 is a snapshot's, or nobody's (W7). */
static void check_gap(struct wal_walk *w, const struct wal_frame *f)
{
    struct wal_found *o = w->f;
    if (f->first <= o->last + 1 || f->first - 1 <= o->cut)
        return;
    w->damage = true;
    w->why = "entries are missing before this batch";
    wal_reason(w, wal_segment_file(f->at.epoch), (uint64_t) f->at.block * WAL_BLOCK, "%s", w->why);
    wal_note(w, wal_segment_file(f->at.epoch), (uint64_t) f->at.block * WAL_BLOCK, "%s", w->why);
    wal_holes_add(&o->holes, o->last + 1, f->first - 1);
}

static void take_range(struct wal_walk *w, const struct wal_frame *f)
{
    struct wal_found *o = w->f;
    if (f->flags & WAL_REPAIR) {
        wal_holes_remove(&o->holes, f->first, f->first + f->count - 1);
        return;
    }
    take_cut(w, f);
    check_gap(w, f);
    wal_holes_remove(&o->holes, f->first, UINT64_MAX - 1);
    if (WAL_BROKEN(10) && f->last < o->last)
        return;
    o->last = f->last;
    o->last_term = f->last_term;
}

static void take(struct wal_walk *w, const struct wal_frame *f)
{
    struct wal_found *o = w->f;
    if (!w->salt_known) {
        w->salt = f->salt;
        w->salt_known = true;
    }
    take_place(w, f);
    take_range(w, f);
    o->tail_good = true;
    o->tail = f->at;
    o->end = w->at;
    o->hard = f->hard;
    o->next_seq = f->seq + 1;
    o->prev_sum = f->sum;
    o->prev_first = f->first;
    o->prev_flags = f->flags;
    w->prev_known = true;
    o->batches++;
    o->entries += f->count;
    if (w->v != NULL && w->v->batch != NULL)
        w->v->batch(w->v->arg, f, slice_of(w->payload + WAL_HEADER_LEN, f->payload_len));
}

/* ---- the walk ---- */

/* Without metadata the log begins at the first segment that does. */
static void guess_start(struct wal_walk *w)
{
    struct wal_frame f;
    for (size_t i = 0; i < w->n_starts; i++) {
        struct wal_place at = { w->start[i].epoch, 0 };
        if (w->start[i].seq == 0 || wal_look(w, at, &f) != SIGHT_FRAME)
            continue;
        w->at = at;
        w->f->next_seq = f.seq;
        w->f->last = f.first - 1;
        w->f->last_term = f.prev_term;
        w->f->cut = f.cut < f.first ? f.cut : f.first - 1;
        return;
    }
    w->f->next_seq = 1;
    w->at = (struct wal_place){ w->n_starts > 0 ? w->start[0].epoch : 1, 0 };
}

static bool something_later(struct wal_walk *w, struct wal_frame *next)
{
    return !WAL_BROKEN(8) && wal_scan(w, w->at, w->f->next_seq, next);
}

static void walk(struct wal_walk *w)
{
    struct wal_frame next;
    for (;;) {
        roll(w);
        if (good_here(w))
            take(w, &w->here);
        else if (something_later(w, &next))
            wal_damage(w, &next);
        else if (wal_newest_seq(w) >= w->f->next_seq)
            wal_damage(w, NULL);
        else
            return;
    }
}

/* ---- the end of the log ---- */

struct end { bool torn, unreadable, newer, blank; struct wal_place at; const char *why; };

static void look_at_end(struct wal_walk *w, struct wal_place at, struct end *e)
{
    struct wal_frame f;
    enum wal_sight s = wal_look(w, at, &f);
    if (s == SIGHT_FRAME && f.seq < w->f->next_seq)
        return;         /* what an earlier restart gave up */
    bool torn = s == SIGHT_FRAME || s == SIGHT_BROKEN || s == SIGHT_OTHER_LOG;
    if (torn || s == SIGHT_UNREADABLE || s == SIGHT_NEWER) {
        e->at = at;
        e->why = s == SIGHT_FRAME ? wal_payload_wrong(w, &f) : wal_sight_text(s);
        if (e->why == NULL)
            e->why = "a batch that does not follow the one before";
    }
    e->torn |= torn;
    e->unreadable |= s == SIGHT_UNREADABLE;
    e->newer |= s == SIGHT_NEWER;
    e->blank &= s == SIGHT_ZERO || s == SIGHT_OLD || s == SIGHT_NOTHING || s == SIGHT_BYTES;    /* BYTES: old entries */
}

/* The next batch could stand here, or at the beginning of any later segment. */
static struct end find_end(struct wal_walk *w)
{
    struct end e = { .blank = true };
    if (w->at.block < w->blocks)
        look_at_end(w, w->at, &e);
    for (size_t i = 0; i < w->n_starts; i++)
        if (w->start[i].epoch > w->at.epoch)
            look_at_end(w, (struct wal_place){ w->start[i].epoch, 0 }, &e);
    return e;
}

static void give(struct wal_walk *w, enum wal_verdict v, const struct end *e, const char *what)
{
    uint64_t offset = (uint64_t) e->at.block * WAL_BLOCK;
    w->f->verdict = v;
    if (e->why == NULL)
        return;
    wal_reason(w, wal_segment_file(e->at.epoch), offset, "batch %llu: %s%s", (unsigned long long) w->f->next_seq, e->why, what);
    wal_note(w, wal_segment_file(e->at.epoch), offset, "batch %llu: %s%s", (unsigned long long) w->f->next_seq, e->why, what);
}

static void judge(struct wal_walk *w)
{
    struct wal_found *f = w->f;
    struct end e = find_end(w);
    bool lost_ring = !w->ident_good && (!e.blank || f->batches == 0);
    if (e.newer)
        give(w, WAL_NEWER, &e, "");
    else if (w->metas_lost || e.unreadable || lost_ring)
        give(w, WAL_IDENTITY_UNKNOWN, &e, ", and nothing tells whether it was durable");
    else if (w->damage)
        give(w, WAL_CORRUPT, &e, " (never acknowledged: ignored)");
    else if (e.torn)
        give(w, WAL_BROKEN(1) ? WAL_CORRUPT : WAL_TORN, &e, ", never acknowledged: ignored");
    else
        f->verdict = WAL_CLEAN;
    if (f->verdict == WAL_IDENTITY_UNKNOWN)
        wal_reason(w, wal_side_file(WAL_FILE_IDENT), 0, "there is no readable identity ring, and no batch");
}

/* What lies below the cut is wanted no more. */
static void conclude(struct wal_walk *w)
{
    struct wal_found *f = w->f;
    wal_holes_remove(&f->holes, 0, f->cut);
    if (f->last < f->cut) {
        f->last = f->cut;
        f->last_term = f->cut_term;
    }
    for (size_t i = 0; i < w->n_starts; i++) {
        if (f->epoch_max < w->start[i].epoch)
            f->epoch_max = w->start[i].epoch;
        (void) wal_segment_at(f, w->start[i].epoch);
    }
    if (f->epoch_max + 1 < f->meta.oldest_epoch)
        f->epoch_max = f->meta.oldest_epoch - 1;
    for (uint32_t i = 0; i < f->ident.n; i++)
        if (f->epoch_max < f->ident.rec[i].at.epoch)
            f->epoch_max = f->ident.rec[i].at.epoch;
    f->may_vote = f->verdict <= WAL_CORRUPT;
    f->may_lead = f->verdict <= WAL_TORN || (f->verdict == WAL_CORRUPT && f->holes.n == 0 && !WAL_BROKEN(1));
}

static void list_segments(struct wal_walk *w)
{
    size_t n = 0;
    if (w->r->list(w->r->arg, w->epochs, WAL_SEGMENTS_MAX, &n) != REEVE_OK) {
        w->damage = true;
        wal_reason(w, wal_segment_file(0), 0, "the segments cannot be listed");
        n = 0;
    }
    reeve_assert(n <= WAL_SEGMENTS_MAX);
    w->n_starts = n;
}

static uint8_t *carve(uint8_t **mem, size_t len)
{
    uint8_t *p = *mem;
    *mem += (len + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
    return p;
}

size_t wal_recover_scratch(void)
{
    return WAL_BATCH_MAX + WAL_CHUNK + sizeof(struct wal_walk) + 4 * WAL_BLOCK;
}

void wal_recover(const struct wal_config *c, const struct wal_reader *r, const struct wal_owner *expect,
                 void *scratch, const struct wal_visitor *v, struct wal_found *out)
{
    uint8_t *mem = scratch;
    struct wal_walk *w = (struct wal_walk *) carve(&mem, sizeof *w);
    memset(w, 0, sizeof *w);
    memset(out, 0, sizeof *out);
    w->r = r;
    w->v = v;
    w->f = out;
    w->block = carve(&mem, WAL_BLOCK);
    w->chunk = carve(&mem, WAL_CHUNK);
    w->payload = carve(&mem, WAL_BATCH_MAX + WAL_BLOCK);
    list_segments(w);
    if (!wal_read_metas(w, expect, c->segment_bytes))
        return;
    wal_read_ident(w);
    if (wal_is_missing(w))
        return;
    if (!w->salt_known && w->ident_good) {
        w->salt = out->ident.salt;
        w->salt_known = true;
    }
    wal_read_starts(w);
    if (w->metas_lost)
        guess_start(w);
    walk(w);
    judge(w);
    conclude(w);
}
