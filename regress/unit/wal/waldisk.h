/*
 * waldisk.h - a disk in memory that crashes, tears and rots, and a twin that knows what was promised
 *
 * The disk carries out effects of the writer lane by lane; what is not completed
 * when it crashes is there sector by sector or not. The twin keeps the whole log
 * after every append and answers one question: is what recovery found one of
 * the logs between the last one acknowledged and the last one asked for?
 */
#ifndef REEVE_UNIT_WALDISK_H
#define REEVE_UNIT_WALDISK_H

#include "../unit.h"
#include "engine/wal.h"

#define SECTOR      512u
#define FILES_MAX   96
#define LOG_MAX     600
#define TICKETS_MAX 600

/* ---- the disk ---- */

struct dfile { bool used; uint32_t epoch; uint8_t *p; };
struct disk {
    struct wal_config c;
    uint8_t *ident, *meta[2];
    bool has_ident, has_meta[2];
    struct dfile seg[FILES_MAX];
    uint8_t *spare[FILES_MAX];
    unsigned n_spare;
    bool busy[WAL_LANES];
    struct wal_effect pending[WAL_LANES];
    /* blocks that cannot be read, by segment */
    uint32_t bad_epoch, bad_block;
};

static inline void *block_alloc(size_t len)
{
    void *p = NULL;
    assert_int_equal(posix_memalign(&p, WAL_BLOCK, (len + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK), 0);
    memset(p, 0, len);
    return p;
}

static inline void disk_init(struct disk *d, const struct wal_config *c)
{
    memset(d, 0, sizeof *d);
    d->c = *c;
    d->ident = block_alloc(WAL_IDENT_BYTES);
    d->meta[0] = block_alloc(WAL_BLOCK);
    d->meta[1] = block_alloc(WAL_BLOCK);
}

static inline void disk_free(struct disk *d)
{
    free(d->ident);
    free(d->meta[0]);
    free(d->meta[1]);
    for (unsigned i = 0; i < FILES_MAX; i++)
        free(d->seg[i].p);
    for (unsigned i = 0; i < d->n_spare; i++)
        free(d->spare[i]);
}

static inline struct dfile *disk_seg(struct disk *d, uint32_t epoch)
{
    for (unsigned i = 0; i < FILES_MAX; i++)
        if (d->seg[i].used && d->seg[i].epoch == epoch)
            return &d->seg[i];
    return NULL;
}

static inline uint8_t *disk_file(struct disk *d, struct wal_file f, size_t *len)
{
    struct dfile *s;
    switch (f.kind) {
    case WAL_FILE_IDENT:  *len = WAL_IDENT_BYTES; return d->has_ident ? d->ident : NULL;
    case WAL_FILE_META_A: *len = WAL_BLOCK; return d->has_meta[0] ? d->meta[0] : NULL;
    case WAL_FILE_META_B: *len = WAL_BLOCK; return d->has_meta[1] ? d->meta[1] : NULL;
    case WAL_FILE_SEGMENT: break;
    }
    s = disk_seg(d, f.epoch);
    *len = d->c.segment_bytes;
    return s ? s->p : NULL;
}

static inline void disk_open(struct disk *d, uint32_t epoch)
{
    if (disk_seg(d, epoch) != NULL)
        return;
    for (unsigned i = 0; i < FILES_MAX; i++)
        if (!d->seg[i].used) {
            uint8_t *p = d->n_spare ? d->spare[--d->n_spare] : block_alloc(d->c.segment_bytes);
            d->seg[i] = (struct dfile){ true, epoch, p };
            return;
        }
    reeve_assert(!"too many segments");
}

static inline void disk_drop(struct disk *d, uint32_t epoch)
{
    struct dfile *s = disk_seg(d, epoch);
    if (s == NULL)
        return;
    reeve_assert(d->n_spare < FILES_MAX);
    d->spare[d->n_spare++] = s->p;
    *s = (struct dfile){ 0 };
}

static inline void disk_exists(struct disk *d, struct wal_file f)
{
    d->has_ident |= f.kind == WAL_FILE_IDENT;
    d->has_meta[0] |= f.kind == WAL_FILE_META_A;
    d->has_meta[1] |= f.kind == WAL_FILE_META_B;
}

static inline void disk_do(struct disk *d, const struct wal_effect *e)
{
    size_t len;
    if (e->type == WAL_DO_OPEN) {
        disk_open(d, e->file.epoch);
    } else if (e->type == WAL_DO_DROP) {
        disk_drop(d, e->file.epoch);
    } else {
        disk_exists(d, e->file);
        uint8_t *p = disk_file(d, e->file, &len);
        reeve_assert(p != NULL);
        reeve_assert(e->offset % WAL_BLOCK == 0 && e->data.len % WAL_BLOCK == 0 && e->offset + e->data.len <= len);
        memcpy(p + e->offset, e->data.p, e->data.len);
    }
}

/* Each sector of a write under way is old, new or (rarely) garbage. */
static inline void disk_tear(struct disk *d, const struct wal_effect *e, struct rng *r)
{
    size_t len;
    if (e->type != WAL_DO_WRITE) {
        if (rng_below(r, 2))
            disk_do(d, e);
        return;
    }
    disk_exists(d, e->file);
    uint8_t *p = disk_file(d, e->file, &len);
    unsigned how = rng_below(r, 4);
    for (size_t at = 0; p != NULL && at < e->data.len; at += SECTOR) {
        unsigned dice = how == 0 ? 0 : how == 1 ? 1 : rng_below(r, 2);
        if (how == 3 && rng_below(r, 8) == 0)
            dice = 2;
        if (dice == 0)
            memcpy(p + e->offset + at, e->data.p + at, SECTOR);
        else if (dice == 2)
            for (size_t i = 0; i < SECTOR; i++)
                p[e->offset + at + i] = (uint8_t) rng_next(r);
    }
}

/* Takes up to one effect of a lane and, if told so, completes it. */
static inline bool disk_step(struct disk *d, struct wal *w, enum wal_lane lane, bool finish)
{
    if (!d->busy[lane]) {
        if (!wal_next(w, lane, &d->pending[lane]))
            return false;
        d->busy[lane] = true;
    }
    if (finish) {
        disk_do(d, &d->pending[lane]);
        d->busy[lane] = false;
        wal_complete(w, lane);
    }
    return true;
}

static inline void disk_settle(struct disk *d, struct wal *w)
{
    for (int more = 1; more;) {
        more = 0;
        for (int lane = 0; lane < WAL_LANES; lane++)
            more |= disk_step(d, w, lane, true);
        if (!more) {
            wal_rest(w);
            more = wal_has(w, WAL_LANE_SIDE);
        }
    }
}

static inline void disk_crash(struct disk *d, struct rng *r)
{
    for (int lane = 0; lane < WAL_LANES; lane++) {
        if (d->busy[lane])
            disk_tear(d, &d->pending[lane], r);
        d->busy[lane] = false;
    }
}

static inline enum reeve_err disk_list(void *arg, uint32_t *epochs, size_t max, size_t *n)
{
    struct disk *d = arg;
    *n = 0;
    for (unsigned i = 0; i < FILES_MAX; i++)
        if (d->seg[i].used) {
            size_t at = (*n)++;
            reeve_assert(*n <= max);
            for (; at > 0 && epochs[at - 1] > d->seg[i].epoch; at--)
                epochs[at] = epochs[at - 1];
            epochs[at] = d->seg[i].epoch;
        }
    return REEVE_OK;
}

static inline enum reeve_err disk_read(void *arg, struct wal_file f, uint64_t offset, void *buf, size_t len, size_t *got)
{
    struct disk *d = arg;
    size_t have;
    uint8_t *p = disk_file(d, f, &have);
    if (p == NULL)
        return REEVE_E_NOT_FOUND;
    *got = offset >= have ? 0 : have - offset < len ? have - offset : len;
    if (f.kind == WAL_FILE_SEGMENT && f.epoch == d->bad_epoch && offset / WAL_BLOCK <= d->bad_block
        && offset + *got > (uint64_t) d->bad_block * WAL_BLOCK)
        return REEVE_E_IO;
    memcpy(buf, p + offset, *got);
    return REEVE_OK;
}

/* ---- the twin ---- */

struct tentry { uint64_t term, id; };
struct tstate { uint64_t last, last_term, cut, cut_term; struct wal_hard hard; struct tentry *e; };
struct twin {
    struct tstate now;
    struct tstate at[TICKETS_MAX];      /* after each ticket; 0: at the beginning of this life */
    uint64_t tickets;
    uint64_t next_id;
    uint64_t snap, snap_term;           /* the newest snapshot that took the log's place in this life; 0: none */
};

static inline struct tstate state_copy(const struct tstate *s)
{
    struct tstate c = *s;
    c.e = malloc(LOG_MAX * sizeof *c.e);
    memcpy(c.e, s->e, LOG_MAX * sizeof *c.e);
    return c;
}

static inline void twin_forget(struct twin *t)
{
    for (uint64_t i = 0; i <= t->tickets; i++)
        free(t->at[i].e);
    memset(t->at, 0, sizeof t->at);
    t->tickets = 0;
}

/* A new life begins with what recovery found. */
static inline void twin_begin(struct twin *t)
{
    twin_forget(t);
    t->snap = t->snap_term = 0;
    t->at[0] = state_copy(&t->now);
}

static inline void twin_init(struct twin *t)
{
    memset(t, 0, sizeof *t);
    t->now.e = calloc(LOG_MAX, sizeof *t->now.e);
    t->at[0] = state_copy(&t->now);
}

static inline void twin_free(struct twin *t)
{
    twin_forget(t);
    free(t->now.e);
}

static inline uint64_t twin_term(const struct twin *t, uint64_t index)
{
    return index == t->now.cut ? t->now.cut_term : t->now.e[index].term;
}

/* ---- what recovery delivers ---- */

struct replay { struct tentry *e; unsigned notes, batches; char text[400]; struct wal_frame frame[LOG_MAX]; };

static inline void replay_batch(void *arg, const struct wal_frame *f, struct slice payload)
{
    struct replay *p = arg;
    struct rd r = rd_of(payload);
    struct wal_entry e;
    assert_true(p->batches < LOG_MAX);
    p->frame[p->batches++] = *f;
    for (uint64_t i = f->first; wal_entry_next(&r, &e); i++) {
        assert_true(i < LOG_MAX && e.data.len >= 8);
        p->e[i].term = e.term;
        memcpy(&p->e[i].id, e.data.p, 8);
        for (size_t k = 8; k < e.data.len; k++)
            if (e.data.p[k] != (uint8_t) (p->e[i].id * 31 + k))
                p->e[i].id = 0;         /* nobody's */
    }
}

static inline void replay_note(void *arg, struct wal_file f, uint64_t offset, const char *text)
{
    struct replay *p = arg;
    p->notes++;
    if (p->text[0] == '\0')
        snprintf(p->text, sizeof p->text, "kind %d epoch %u offset %llu: %s", f.kind, f.epoch, (unsigned long long) offset, text);
}

struct bench {          /* one member's log, its disk and its twin */
    struct disk d;
    struct twin t;
    struct wal *w;
    void *mem;
    struct wal_found *found;
    struct replay replay;
};

static const struct wal_owner test_owner = { 11, 22, 33 };

static inline void bench_init(struct bench *b, const struct wal_config *c)
{
    memset(b, 0, sizeof *b);
    disk_init(&b->d, c);
    twin_init(&b->t);
    b->mem = block_alloc(wal_size(c));
    b->found = calloc(1, sizeof *b->found);
    b->replay.e = calloc(LOG_MAX, sizeof *b->replay.e);
    assert_ok(wal_init(&b->w, b->mem, wal_size(c), c));
    wal_format(b->w, &test_owner, 0x5a17);
    disk_settle(&b->d, b->w);
}

static inline void bench_free(struct bench *b)
{
    disk_free(&b->d);
    twin_free(&b->t);
    free(b->mem);
    free(b->found);
    free(b->replay.e);
}

static inline void bench_recover(struct bench *b)
{
    static void *scratch;
    struct wal_reader r = { &b->d, disk_list, disk_read };
    struct wal_visitor v = { .arg = &b->replay, .batch = replay_batch, .note = replay_note };
    if (scratch == NULL)
        scratch = block_alloc(wal_recover_scratch());
    memset(b->replay.e, 0, LOG_MAX * sizeof *b->replay.e);
    b->replay.notes = b->replay.batches = 0;
    b->replay.text[0] = '\0';
    wal_recover(&b->d.c, &r, &test_owner, scratch, &v, b->found);
}

static inline bool same_hard(const struct wal_hard *a, const struct wal_hard *b)
{
    return a->term == b->term && a->vote == b->vote && a->commit == b->commit;
}

/* Why what was found is not state s; NULL: it is. Holes excuse entries, nothing else. */
static inline const char *differs(const struct bench *b, const struct tstate *s)
{
    const struct wal_found *f = b->found;
    struct tstate snapped = *s;
    if (b->t.snap > s->last && f->cut == b->t.snap) {       /* it is no append: it may be there before the next one is */
        snapped.last = snapped.cut = b->t.snap;
        snapped.last_term = snapped.cut_term = b->t.snap_term;
        s = &snapped;
    }
    if (f->last != s->last || f->last_term != s->last_term)
        return "last index or term";
    if (!same_hard(&f->hard, &s->hard))
        return "hard state";
    if (f->cut > s->cut)
        return "cut";
    for (uint64_t i = s->cut + 1; i <= s->last; i++)
        if (!wal_holes_touch(&f->holes, i, i) && (b->replay.e[i].term != s->e[i].term || b->replay.e[i].id != s->e[i].id))
            return "an entry";
    return NULL;
}

/* The ticket whose state was found, at least the last acknowledged one; -1. */
static inline int64_t found_ticket(const struct bench *b, uint64_t durable)
{
    for (uint64_t t = b->t.tickets + 1; t-- > durable;)
        if (differs(b, &b->t.at[t]) == NULL)
            return (int64_t) t;
    return -1;
}

/* The process starts again on what was found; the twin goes on from the same. */
static inline void bench_resume(struct bench *b, uint64_t ticket)
{
    struct tstate s = state_copy(&b->t.at[ticket]);
    if (b->found->cut > s.last) {
        s.last = s.cut = b->found->cut;
        s.last_term = s.cut_term = b->found->cut_term;
    }
    free(b->t.now.e);
    b->t.now = s;
    twin_begin(&b->t);
    assert_ok(wal_init(&b->w, b->mem, wal_size(&b->d.c), &b->d.c));
    assert_ok(wal_resume(b->w, b->found));
}

/* ---- random life ---- */

static inline void fill_entry(struct bench *b, struct rng *r, struct wal_entry *e, uint64_t term, uint64_t id, uint8_t *mem)
{
    size_t len = 8 + (rng_below(r, 4) == 0 ? rng_below(r, 2500) : rng_below(r, 100));
    memcpy(mem, &id, 8);
    for (size_t i = 8; i < len; i++)
        mem[i] = (uint8_t) (id * 31 + i);
    *e = (struct wal_entry){ term, (uint8_t) (id % 5), slice_of(mem, len) };
}

static inline void twin_apply(struct bench *b, const struct wal_append *a, const uint64_t *ids, uint64_t ticket)
{
    struct tstate *s = &b->t.now;
    for (size_t i = 0; i < a->n; i++)
        s->e[a->first + i] = (struct tentry){ a->entry[i].term, ids[i] };
    s->hard = a->hard;
    if (!(a->flags & WAL_REPAIR)) {
        s->last = a->first + a->n - 1;
        s->last_term = a->n ? a->entry[a->n - 1].term : a->prev_term;
    }
    assert_true(ticket == b->t.tickets + 1 && ticket < TICKETS_MAX);
    b->t.tickets = ticket;
    b->t.at[ticket] = state_copy(s);
}

/* Appends n entries from first on with this hard state; false when the log is busy. */
static inline bool bench_append(struct bench *b, struct rng *r, uint64_t first, size_t n, uint64_t term, struct wal_hard hard)
{
    static uint8_t mem[8][2600];
    struct wal_entry e[8];
    uint64_t ids[8], ticket;
    assert_true(n <= 8);
    for (size_t i = 0; i < n; i++)
        fill_entry(b, r, &e[i], term, ids[i] = b->t.next_id + i + 1, mem[i]);
    struct wal_append a = { first, twin_term(&b->t, first - 1), e, n, hard, 0 };
    enum reeve_err err = wal_append(b->w, &a, &ticket);
    if (err == REEVE_E_AGAIN)
        return false;
    assert_ok(err);
    b->t.next_id += n;
    twin_apply(b, &a, ids, ticket);
    return true;
}

/* A snapshot from the leader is installed, beyond all that is here; then, at once or not, more entries. */
static inline void bench_snapshot(struct bench *b, struct rng *r)
{
    struct tstate *s = &b->t.now;
    if (b->t.snap != 0 || s->last + 40 >= LOG_MAX)
        return;
    struct wal_hard newer = s->hard;
    newer.term = newer.term < s->last_term ? s->last_term + 1 : newer.term + 1;
    newer.vote = 0;
    if (rng_below(r, 2) && s->last > newer.commit && newer.commit >= s->cut      /* what is here is another history */
        && !bench_append(b, r, newer.commit + 1, 0, newer.term, newer))
        return;
    s->last = s->cut = b->t.snap = s->last + 1 + rng_below(r, 8);
    s->last_term = s->cut_term = b->t.snap_term = s->hard.term > s->last_term ? s->hard.term : s->last_term;
    wal_cut(b->w, b->t.snap, b->t.snap_term);
    struct wal_hard h = s->hard;
    h.commit = s->last;
    h.term = s->last_term;
    h.vote = h.term == s->hard.term ? h.vote : 0;
    if (rng_below(r, 2))
        bench_append(b, r, s->last + 1, rng_below(r, 3), h.term, h);
}

/* One thing a member might ask of its log. */
static inline void bench_random_ask(struct bench *b, struct rng *r)
{
    struct tstate *s = &b->t.now;
    struct wal_hard h = s->hard;
    uint64_t first = s->last + 1;
    if (h.commit < s->cut)
        h.commit = s->cut;              /* a snapshot is committed */
    if (h.term < s->last_term)
        h = (struct wal_hard){ s->last_term, 0, h.commit };     /* and of a term that has been */
    unsigned dice = rng_below(r, 101);
    if (s->last + 10 >= LOG_MAX || b->t.tickets + 2 >= TICKETS_MAX)
        return;
    if (dice == 100) {
        bench_snapshot(b, r);
    } else if (dice < 10) {
        h.term++;
        h.vote = 1 + rng_below(r, 5);
        bench_append(b, r, first, 0, h.term, h);
    } else if (dice < 18 && s->last > h.commit) {
        first = h.commit + 1 + rng_below(r, (uint32_t) (s->last - h.commit));
        h.term++;
        h.vote = 0;
        bench_append(b, r, first, rng_below(r, 4), h.term, h);
    } else if (dice < 26) {
        /* what is durable elsewhere is committed; here it is at least durable */
        uint64_t commit = b->t.at[wal_durable(b->w)].hard.commit;
        uint64_t index = commit > s->cut ? s->cut + rng_below(r, (uint32_t) (commit - s->cut + 1)) : 0;
        if (index > s->cut) {
            s->cut_term = s->e[index].term;
            s->cut = index;
            wal_cut(b->w, index, s->cut_term);
            for (uint64_t t = 0; t <= b->t.tickets; t++)    /* a cut is no append: it holds for all of them */
                if (b->t.at[t].cut < index) {
                    b->t.at[t].cut = index;
                    b->t.at[t].cut_term = s->cut_term;
                }
        }
    } else {
        h.commit += rng_below(r, (uint32_t) (s->last - h.commit + 1));
        bench_append(b, r, first, rng_below(r, 6), h.term, h);
    }
}

static inline void bench_random_life(struct bench *b, struct rng *r, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        if (rng_below(r, 3) == 0)
            bench_random_ask(b, r);
        if (rng_below(r, 4) == 0)
            wal_rest(b->w);
        disk_step(&b->d, b->w, rng_below(r, WAL_LANES), rng_below(r, 3) != 0);
    }
}

#endif
