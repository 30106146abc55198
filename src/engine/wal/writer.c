/* writer.c - appends gather into a batch, one batch at a time goes to disk. */
#include "common/crc32c.h"
#include "writer_int.h"

/* ---- beginning ---- */

static bool config_good(const struct wal_config *c)
{
    return c->segment_bytes % WAL_BLOCK == 0 && c->batch_bytes_max % WAL_BLOCK == 0 && c->batch_bytes_max >= WAL_BLOCK
        && c->batch_bytes_max <= WAL_BATCH_MAX && c->segment_bytes / 2 >= c->batch_bytes_max;
}

static size_t state_bytes(void)
{
    return (sizeof(struct wal) + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
}

size_t wal_size(const struct wal_config *c)
{
    return state_bytes() + 2 * (size_t) c->batch_bytes_max + WAL_BLOCK;
}

enum reeve_err wal_init(struct wal **out, void *mem, size_t len, const struct wal_config *c)
{
    if (!config_good(c) || len < wal_size(c) || (uintptr_t) mem % WAL_BLOCK != 0)
        return REEVE_E_INVALID_VALUE;
    struct wal *w = mem;
    uint8_t *bytes = (uint8_t *) mem + state_bytes();
    memset(w, 0, sizeof *w);
    w->c = *c;
    w->blocks = c->segment_bytes / WAL_BLOCK;
    w->gather.buf = bytes;
    w->flight.buf = bytes + c->batch_bytes_max;
    w->side_buf = bytes + 2 * (size_t) c->batch_bytes_max;
    *out = w;
    return REEVE_OK;
}

void wal_format(struct wal *w, const struct wal_owner *owner, uint64_t salt)
{
    w->meta = (struct wal_meta){ .owner = *owner, .salt = salt, .start_seq = 1, .oldest_epoch = 1,
                                 .segment_bytes = w->c.segment_bytes };
    w->ident.salt = salt;
    w->ident_fresh = true;
    wal_side_meta(w);
}

static struct wal_frame tail_frame(const struct wal_found *f)
{
    return (struct wal_frame){ .seq = f->next_seq - 1, .first = f->prev_first, .flags = f->prev_flags, .last = f->last,
                               .last_term = f->last_term, .hard = f->hard, .at = f->tail, .sum = f->prev_sum };
}

/* The newest batch may have been made durable by this very start: it gets its record now. */
static void resume_records(struct wal *w, const struct wal_found *f)
{
    struct wal_frame tail = tail_frame(f);
    w->ident = f->ident;
    w->ident.salt = f->meta.salt;
    w->ident_fresh = true;
    w->recorded = w->recording = w->seq;
    if (f->tail_good && (w->ident.n == 0 || w->ident.rec[w->ident.n - 1].seq < tail.seq))
        wal_side_record(w, &tail);
}

enum reeve_err wal_resume(struct wal *w, const struct wal_found *f)
{
    if (f->verdict > WAL_CORRUPT)
        return REEVE_E_WRONG_STATE;
    if (f->meta.segment_bytes != w->c.segment_bytes)
        return REEVE_E_INVALID_VALUE;
    w->last = f->last;
    w->last_term = f->last_term;
    w->cut = f->cut;
    w->cut_term = f->cut_term;
    w->ripe = (struct wal_cutting){ f->cut, f->cut_term, 0 };
    w->hard = f->hard;
    w->holes = f->holes;
    w->seq = f->next_seq - 1;
    w->prev_sum = f->prev_sum;
    w->prev_first = f->prev_first;
    w->prev_flags = f->prev_flags;
    w->epoch_max = f->epoch_max;
    w->n_segments = f->n_segments;
    memcpy(w->segment, f->segment, f->n_segments * sizeof f->segment[0]);
    w->meta = f->meta;
    w->meta.n_lost = f->n_lost;
    memcpy(w->meta.lost, f->lost, sizeof f->lost);
    w->meta_first = f->meta_newest == 0;        /* never over the only good one */
    w->ready = true;
    if (WAL_BROKEN(12))
        w->at = f->end;
    resume_records(w, f);
    wal_side_meta(w);
    return REEVE_OK;
}

/* ---- appending ---- */

static uint64_t gather_next(const struct wal_gather *g)
{
    return g->first + g->count;
}

static size_t bytes_of(const struct wal_append *a)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++) {
        if (a->entry[i].data.len > WAL_BATCH_MAX)
            return SIZE_MAX;
        n += WAL_ENTRY_HEAD + a->entry[i].data.len;
        if (n > WAL_BATCH_MAX)
            return SIZE_MAX;
    }
    return n;
}

static uint32_t bytes_of_first(struct rd *r, uint32_t n)
{
    size_t all = rd_left(r);
    struct wal_entry e;
    for (uint32_t i = 0; i < n; i++)
        reeve_assert(wal_entry_next(r, &e));
    return (uint32_t) (all - rd_left(r));
}

/* Entries that gathered and are superseded before they were ever written. */
static void gather_drop_from(struct wal_gather *g, uint64_t first, uint64_t prev_term)
{
    struct rd r = rd_of(slice_of(g->buf + WAL_HEADER_LEN, g->len));
    if (first <= g->first) {
        g->first = first;
        g->prev_term = prev_term;
        g->count = g->len = g->sum = 0;
        return;
    }
    g->count = (uint32_t) (first - g->first);
    g->len = bytes_of_first(&r, g->count);
    g->sum = crc32c(0, g->buf + WAL_HEADER_LEN, g->len);
}

static void gather_add(struct wal_gather *g, const struct wal_append *a)
{
    uint8_t *from = g->buf + WAL_HEADER_LEN + g->len, *to = from;
    for (size_t i = 0; i < a->n; i++) {
        wal_entry_encode(to, &a->entry[i]);
        to += WAL_ENTRY_HEAD + a->entry[i].data.len;
    }
    g->sum = crc32c(g->sum, from, (size_t) (to - from));
    g->len += (uint32_t) (to - from);
    g->count += (uint32_t) a->n;
}

/* What only a bug of the host would ask for (W6, W7). */
static void assert_append(const struct wal *w, const struct wal_append *a)
{
    uint64_t term = a->prev_term;
    for (size_t i = 0; i < a->n; i++) {
        reeve_assert(a->entry[i].term >= term);
        term = a->entry[i].term;
    }
    reeve_assert(a->hard.term >= w->hard.term && a->hard.commit >= w->hard.commit);
    reeve_assert(a->first > 0);
    if (a->flags & WAL_REPAIR) {
        reeve_assert(a->n > 0 && a->first + a->n - 1 <= w->last);
        return;
    }
    reeve_assert(a->first <= w->last + 1);
    reeve_assert(a->first > w->last || a->first > w->hard.commit);
    reeve_assert(a->first <= w->last || a->prev_term == w->last_term);
}

/* May it join what gathers? */
static bool joins(const struct wal_gather *g, const struct wal_append *a)
{
    if (!g->used)
        return true;
    if (g->flags != a->flags)
        return false;
    return !(a->flags & WAL_REPAIR) || a->first == gather_next(g);
}

static uint32_t bytes_kept(const struct wal_gather *g, uint64_t first)
{
    struct rd r = rd_of(slice_of(g->buf + WAL_HEADER_LEN, g->len));
    if (!g->used || first <= g->first)
        return 0;
    return first < gather_next(g) ? bytes_of_first(&r, (uint32_t) (first - g->first)) : g->len;
}

static void set_end(struct wal *w, const struct wal_append *a)
{
    w->hard = a->hard;
    if (a->flags & WAL_REPAIR)
        return;
    wal_holes_remove(&w->holes, a->first, UINT64_MAX - 1);
    w->last = a->first + a->n - 1;
    w->last_term = a->n > 0 ? a->entry[a->n - 1].term : a->prev_term;
}

enum reeve_err wal_append(struct wal *w, const struct wal_append *a, uint64_t *ticket)
{
    struct wal_gather *g = &w->gather;
    size_t bytes = bytes_of(a);
    if (bytes > w->c.batch_bytes_max - WAL_HEADER_LEN)
        return REEVE_E_TOO_BIG;
    assert_append(w, a);
    if (!joins(g, a) || bytes_kept(g, a->first) + bytes > w->c.batch_bytes_max - WAL_HEADER_LEN)
        return REEVE_E_AGAIN;
    if (!g->used) {
        *g = (struct wal_gather){ .buf = g->buf, .used = true, .flags = a->flags, .first = a->first, .prev_term = a->prev_term };
    } else if (a->first < gather_next(g)) {
        gather_drop_from(g, a->first, a->prev_term);
    }
    reeve_assert(gather_next(g) == a->first);
    gather_add(g, a);
    set_end(w, a);
    g->ticket = *ticket = ++w->tickets;
    return REEVE_OK;
}

/* ---- a batch goes out ---- */

static uint32_t gather_blocks(const struct wal_gather *g)
{
    return (uint32_t) (wal_frame_bytes(g->len) / WAL_BLOCK);
}

bool wal_needs_segment(const struct wal *w)
{
    return w->gather.used && (w->at.epoch == 0 || w->at.block + gather_blocks(&w->gather) > w->blocks);
}

static void seal(struct wal *w)
{
    struct wal_gather *g = &w->flight;
    size_t end = WAL_HEADER_LEN + g->len, padded = (size_t) gather_blocks(g) * WAL_BLOCK;
    memset(g->buf + end, 0, padded - end);
    w->frame = (struct wal_frame){
        .version = WAL_VERSION, .flags = g->flags, .prev_flags = w->prev_flags, .at = w->at, .prev_sum = w->prev_sum,
        .count = g->count, .payload_len = g->len, .salt = w->meta.salt, .seq = ++w->seq, .first = g->first,
        .prev_term = g->prev_term, .last = w->last, .last_term = w->last_term, .prev_first = w->prev_first,
        .cut = w->cut, .hard = w->hard, .payload_sum = g->sum,
    };
    reeve_assert(g->flags & WAL_REPAIR || w->last == g->first + g->count - 1);
    wal_frame_encode(g->buf, &w->frame);
    w->prev_sum = w->frame.sum;
    w->prev_first = g->first;
    w->prev_flags = g->flags;
}

/* W2, W3, and a place to stand. */
static bool log_due(const struct wal *w)
{
    return !w->flying && w->gather.used && w->ready && w->seq - w->recorded <= WAL_IDENT_LAG_MAX
        && (w->opened != 0 || !wal_needs_segment(w));
}

static bool log_next(struct wal *w, struct wal_effect *out)
{
    if (!log_due(w))
        return false;
    if (wal_needs_segment(w))
        wal_segs_use(w, w->opened);
    uint8_t *spare = w->flight.buf;
    w->flight = w->gather;
    w->gather = (struct wal_gather){ .buf = spare };
    seal(w);
    w->flying = true;
    w->rests = false;
    *out = (struct wal_effect){ WAL_DO_WRITE, WAL_LANE_LOG, { WAL_FILE_SEGMENT, w->at.epoch },
                                (uint64_t) w->at.block * WAL_BLOCK,
                                slice_of(w->flight.buf, (size_t) gather_blocks(&w->flight) * WAL_BLOCK) };
    w->at.block += gather_blocks(&w->flight);
    if (w->flight.count > 0)
        wal_segs_reach(w, w->frame.first + w->frame.count - 1);
    if (WAL_BROKEN(6))
        w->durable = w->flight.ticket;
    if (WAL_BROKEN(9))
        wal_side_record(w, &w->frame);
    return true;
}

static void log_complete(struct wal *w)
{
    reeve_assert(w->flying);
    w->flying = false;
    w->durable = w->flight.ticket;
    if (w->flight.flags & WAL_REPAIR)
        wal_holes_remove(&w->holes, w->frame.first, w->frame.first + w->frame.count - 1);
    if (!WAL_BROKEN(9))
        wal_side_record(w, &w->frame);
    wal_side_ripen(w);
}

/* ---- the door ---- */

void wal_cut(struct wal *w, uint64_t index, uint64_t term)
{
    if (index <= w->cut)
        return;
    w->cut = index;
    w->cut_term = term;
    wal_holes_remove(&w->holes, 0, index);
    if (index > w->last) {
        w->last = index;
        w->last_term = term;
        if (w->gather.used && !(w->gather.flags & WAL_REPAIR))
            w->gather = (struct wal_gather){ .buf = w->gather.buf, .used = true, .first = index + 1, .prev_term = term,
                                             .ticket = w->gather.ticket };
    }
    wal_side_cut(w, index, term);
}

bool wal_next(struct wal *w, enum wal_lane lane, struct wal_effect *out)
{
    switch (lane) {
    case WAL_LANE_LOG:   return log_next(w, out);
    case WAL_LANE_SIDE:  return wal_side_next(w, out);
    case WAL_LANE_FILES: return wal_files_next(w, out);
    case WAL_LANES:      break;
    }
    return false;
}

bool wal_has(const struct wal *w, enum wal_lane lane)
{
    return lane == WAL_LANE_LOG ? log_due(w) : lane == WAL_LANE_SIDE ? wal_side_due(w) : wal_files_due(w);
}

void wal_complete(struct wal *w, enum wal_lane lane)
{
    switch (lane) {
    case WAL_LANE_LOG:   log_complete(w); return;
    case WAL_LANE_SIDE:  wal_side_complete(w); return;
    case WAL_LANE_FILES: wal_files_complete(w); return;
    case WAL_LANES:      break;
    }
    reeve_assert(false);
}

uint64_t wal_durable(const struct wal *w)
{
    return w->durable;
}

bool wal_idle(const struct wal *w)
{
    return w->ready && !w->flying && !w->gather.used && !w->files_busy && wal_side_idle(w);
}

void wal_status(const struct wal *w, struct wal_status *out)
{
    *out = (struct wal_status){ .last = w->last, .last_term = w->last_term, .cut = w->cut, .seq = w->seq,
                                .tickets = w->tickets, .durable = w->durable, .epoch = w->at.epoch, .block = w->at.block,
                                .n_segments = w->n_segments, .hard = w->hard, .holes = w->holes, .recorded = w->recorded };
}
