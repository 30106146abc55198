/* scan.c - what stands in a block, and where the next frame is. */
#include "common/crc32c.h"
#include "recover_int.h"

const char *wal_sight_text(enum wal_sight s)
{
    switch (s) {
    case SIGHT_FRAME:      return "a frame";
    case SIGHT_ZERO:       return "zeros where a batch was";
    case SIGHT_OLD:        return "old bytes of a recycled segment where a batch was";
    case SIGHT_BYTES:      return "no header where a batch was";
    case SIGHT_BROKEN:     return "a header whose sum is wrong";
    case SIGHT_STRAY:      return "a batch that belongs to another place";
    case SIGHT_OTHER_LOG:  return "a batch of another log";
    case SIGHT_NEWER:      return "a batch of a newer version";
    case SIGHT_UNREADABLE: return "a read error";
    case SIGHT_NOTHING:    return "nothing: the segment is missing or too short";
    }
    return "?";
}

static bool all_zero(const uint8_t *p, size_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

enum wal_sight wal_judge(struct wal_walk *w, struct wal_place at, const uint8_t *block, struct wal_frame *f)
{
    enum reeve_err err = wal_frame_decode(f, block);
    if (err == REEVE_E_MALFORMED)
        return all_zero(block, WAL_BLOCK) ? SIGHT_ZERO : SIGHT_BYTES;
    if (err != REEVE_OK && err != REEVE_E_UNSUPPORTED)
        return SIGHT_BROKEN;
    if (w->salt_known && f->salt != w->salt)
        return SIGHT_OTHER_LOG;
    if (f->at.epoch < at.epoch && !WAL_BROKEN(4))
        return SIGHT_OLD;
    if ((f->at.epoch != at.epoch && !WAL_BROKEN(4)) || f->at.block != at.block)
        return SIGHT_STRAY;
    if (err == REEVE_E_UNSUPPORTED)
        return SIGHT_NEWER;     /* only now: a recycled segment may hold a newer version's old batches, too */
    f->at = at;
    return SIGHT_FRAME;
}

enum wal_sight wal_look(struct wal_walk *w, struct wal_place at, struct wal_frame *f)
{
    size_t got = 0;
    if (at.block >= w->blocks)
        return SIGHT_NOTHING;
    enum reeve_err err = w->r->read(w->r->arg, wal_segment_file(at.epoch), (uint64_t) at.block * WAL_BLOCK,
                                    w->block, WAL_BLOCK, &got);
    if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && got < WAL_BLOCK))
        return SIGHT_NOTHING;
    return err == REEVE_OK ? wal_judge(w, at, w->block, f) : SIGHT_UNREADABLE;
}

/* Entries fill the payload exactly, as many as the header says, with terms that never fall. */
static bool entries_fit(const struct wal_walk *w, const struct wal_frame *f)
{
    struct rd r = rd_of(slice_of(w->payload + WAL_HEADER_LEN, f->payload_len));
    struct wal_entry e;
    uint64_t term = f->prev_term;
    uint32_t n = 0;
    for (; wal_entry_next(&r, &e); n++) {
        if (e.term < term)
            return false;
        term = e.term;
    }
    return !r.bad && n == f->count && (f->flags & WAL_REPAIR || term == f->last_term);
}

const char *wal_payload_wrong(struct wal_walk *w, const struct wal_frame *f)
{
    size_t got = 0, len = (size_t) wal_frame_bytes(f->payload_len);
    if (f->at.block + len / WAL_BLOCK > w->blocks)
        return "a batch longer than its segment";
    enum reeve_err err = w->r->read(w->r->arg, wal_segment_file(f->at.epoch), (uint64_t) f->at.block * WAL_BLOCK,
                                    w->payload, len, &got);
    if (err != REEVE_OK)
        return "a read error in the entries of a batch";
    if (got < len)
        return "the segment ends inside of a batch";
    if (crc32c(0, w->payload + WAL_HEADER_LEN, f->payload_len) != f->payload_sum && !WAL_BROKEN(7))
        return "the entries of a batch do not match their sum";
    return entries_fit(w, f) ? NULL : "the entries of a batch do not fit its header";
}

/* A chunk, or block by block where it cannot be read at once; unreadable blocks come as zeros. */
static size_t read_chunk(struct wal_walk *w, uint32_t epoch, uint32_t block, uint32_t n)
{
    size_t got = 0;
    uint64_t offset = (uint64_t) block * WAL_BLOCK;
    enum reeve_err err = w->r->read(w->r->arg, wal_segment_file(epoch), offset, w->chunk, (size_t) n * WAL_BLOCK, &got);
    if (err == REEVE_OK)
        return got / WAL_BLOCK;
    if (err == REEVE_E_NOT_FOUND)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *to = w->chunk + (size_t) i * WAL_BLOCK;
        err = w->r->read(w->r->arg, wal_segment_file(epoch), offset + (uint64_t) i * WAL_BLOCK, to, WAL_BLOCK, &got);
        if (err == REEVE_OK && got < WAL_BLOCK)
            return i;
        if (err != REEVE_OK)
            memset(to, 0, WAL_BLOCK);
    }
    return n;
}

static bool scan_segment(struct wal_walk *w, uint32_t epoch, uint32_t from, uint64_t least, struct wal_frame *out)
{
    for (uint32_t b = from; b < w->blocks;) {
        uint32_t want = w->blocks - b < WAL_CHUNK / WAL_BLOCK ? w->blocks - b : WAL_CHUNK / WAL_BLOCK;
        size_t n = read_chunk(w, epoch, b, want);
        for (uint32_t i = 0; i < n; i++)
            if (wal_judge(w, (struct wal_place){ epoch, b + i }, w->chunk + (size_t) i * WAL_BLOCK, out) == SIGHT_FRAME
                && out->seq >= least)
                return true;
        if (n < want)
            return false;
        b += want;
    }
    return false;
}

bool wal_scan(struct wal_walk *w, struct wal_place at, uint64_t least, struct wal_frame *out)
{
    if (scan_segment(w, at.epoch, at.block + 1, least, out))
        return true;
    for (size_t i = 0; i < w->n_starts; i++)
        if (w->start[i].epoch > at.epoch && scan_segment(w, w->start[i].epoch, 0, least, out))
            return true;
    return false;
}

void wal_read_starts(struct wal_walk *w)
{
    struct wal_frame f;
    for (size_t i = 0; i < w->n_starts; i++) {
        struct wal_start *s = &w->start[i];
        *s = (struct wal_start){ .epoch = w->epochs[i] };
        if (wal_look(w, (struct wal_place){ s->epoch, 0 }, &f) == SIGHT_FRAME) {
            s->seq = f.seq;
            s->prev_sum = f.prev_sum;
        }
    }
}
