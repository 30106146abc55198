/* frame.c - a batch's frame: header and entries. */
#include "common/crc32c.h"
#include "wal_int.h"

void wal_frame_encode(uint8_t *out, struct wal_frame *f)
{
    struct wr w = wr_fixed(out, WAL_HEADER_LEN);
    wr_u32(&w, WAL_MAGIC_FRAME);
    wr_u8(&w, f->version);
    wr_u8(&w, f->flags);
    wr_u16(&w, 0);
    wr_u64(&w, f->salt);
    wr_u32(&w, f->at.epoch);
    wr_u32(&w, f->prev_sum);
    wr_u64(&w, f->seq);
    wr_u64(&w, f->first);
    wr_u32(&w, f->count);
    wr_u32(&w, f->payload_len);
    wr_u64(&w, f->prev_term);
    wr_u64(&w, f->last);
    wr_u64(&w, f->last_term);
    wal_hard_encode(&w, &f->hard);
    wr_u64(&w, f->prev_first);
    wr_u64(&w, f->cut);
    wr_u32(&w, f->at.block);
    wr_u32(&w, f->prev_flags);
    wr_u32(&w, f->payload_sum);
    f->sum = crc32c(0, out, WAL_HEADER_LEN - 4);
    wr_u32(&w, f->sum);
    reeve_assert(!w.bad && w.len == WAL_HEADER_LEN);
}

static void read_fields(struct wal_frame *f, struct rd *r)
{
    f->version = rd_u8(r);
    f->flags = rd_u8(r);
    rd_u16(r);
    f->salt = rd_u64(r);
    f->at.epoch = rd_u32(r);
    f->prev_sum = rd_u32(r);
    f->seq = rd_u64(r);
    f->first = rd_u64(r);
    f->count = rd_u32(r);
    f->payload_len = rd_u32(r);
    f->prev_term = rd_u64(r);
    f->last = rd_u64(r);
    f->last_term = rd_u64(r);
    wal_hard_decode(r, &f->hard);
    f->prev_first = rd_u64(r);
    f->cut = rd_u64(r);
    f->at.block = rd_u32(r);
    f->prev_flags = (uint8_t) rd_u32(r);
    f->payload_sum = rd_u32(r);
    f->sum = rd_u32(r);
}

/* What no writer writes is refused, so that later arithmetic cannot go over. */
static bool plausible(const struct wal_frame *f)
{
    const uint64_t far = UINT64_MAX / 2;
    if (f->seq == 0 || f->seq > far || f->first == 0 || f->first > far || f->last > far || f->prev_first > far || f->cut > far)
        return false;
    if (f->payload_len > WAL_BATCH_MAX || f->count > f->payload_len / WAL_ENTRY_HEAD || (f->count == 0) != (f->payload_len == 0))
        return false;
    return f->flags & WAL_REPAIR ? f->count > 0 && f->first + f->count - 1 <= f->last : f->last == f->first + f->count - 1;
}

enum reeve_err wal_frame_decode(struct wal_frame *f, const uint8_t *in)
{
    struct rd r = rd_of(slice_of(in, WAL_HEADER_LEN));
    memset(f, 0, sizeof *f);
    if (rd_u32(&r) != WAL_MAGIC_FRAME)
        return REEVE_E_MALFORMED;
    read_fields(f, &r);
    if (f->sum != crc32c(0, in, WAL_HEADER_LEN - 4))
        return REEVE_E_CORRUPT;
    if (f->version > WAL_VERSION)
        return REEVE_E_UNSUPPORTED;
    return plausible(f) ? REEVE_OK : REEVE_E_CORRUPT;
}

void wal_entry_encode(uint8_t *out, const struct wal_entry *e)
{
    struct wr w = wr_fixed(out, WAL_ENTRY_HEAD + e->data.len);
    wr_u64(&w, e->term);
    wr_u32(&w, (uint32_t) e->data.len);
    wr_u32(&w, (uint32_t) e->kind << 24);
    wr_bytes(&w, e->data.p, e->data.len);
    reeve_assert(!w.bad);
}

bool wal_entry_next(struct rd *r, struct wal_entry *out)
{
    if (rd_left(r) == 0)
        return false;
    out->term = rd_u64(r);
    uint32_t len = rd_u32(r);
    uint32_t kind = rd_u32(r);
    out->kind = (uint8_t) (kind >> 24);
    out->data = rd_bytes(r, len);
    if ((kind & 0xffffff) != 0)
        r->bad = true;
    return !r->bad;
}

void wal_hard_encode(struct wr *w, const struct wal_hard *h)
{
    wr_u64(w, h->term);
    wr_u64(w, h->vote);
    wr_u64(w, h->commit);
}

void wal_hard_decode(struct rd *r, struct wal_hard *h)
{
    h->term = rd_u64(r);
    h->vote = rd_u64(r);
    h->commit = rd_u64(r);
}
