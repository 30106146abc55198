/* ident.c - blocks of the identity ring: which batches were durable, told apart from the batches themselves. */
#include "common/crc32c.h"
#include "wal_int.h"

#define HEAD_LEN 64
#define SUM_AT   60

static void record_encode(struct wr *w, const struct wal_record *r)
{
    wr_u64(w, r->seq);
    wr_u64(w, r->first);
    wr_u64(w, r->last);
    wr_u64(w, r->last_term);
    wal_hard_encode(w, &r->hard);
    wr_u32(w, r->at.epoch);
    wr_u32(w, r->at.block);
    wr_u32(w, r->sum);
    wr_u32(w, r->flags);
}

static void record_decode(struct rd *r, struct wal_record *out)
{
    out->seq = rd_u64(r);
    out->first = rd_u64(r);
    out->last = rd_u64(r);
    out->last_term = rd_u64(r);
    wal_hard_decode(r, &out->hard);
    out->at.epoch = rd_u32(r);
    out->at.block = rd_u32(r);
    out->sum = rd_u32(r);
    out->flags = (uint8_t) rd_u32(r);
}

/* Of the block with zeros for the sum itself. */
static uint32_t sum_of(const uint8_t *block)
{
    static const uint8_t zero[4];
    uint32_t sum = crc32c(0, block, SUM_AT);
    sum = crc32c(sum, zero, sizeof zero);
    return crc32c(sum, block + HEAD_LEN, WAL_BLOCK - HEAD_LEN);
}

void wal_ident_encode(uint8_t *out, const struct wal_ident *b)
{
    memset(out, 0, WAL_BLOCK);
    struct wr w = wr_fixed(out, HEAD_LEN);
    wr_u32(&w, WAL_MAGIC_IDENT);
    wr_u8(&w, WAL_VERSION);
    wr_u8(&w, 0);
    wr_u16(&w, (uint16_t) b->n);
    wr_u64(&w, b->salt);
    wr_u64(&w, b->number);
    struct wr body = wr_fixed(out + HEAD_LEN, WAL_BLOCK - HEAD_LEN);
    for (uint32_t i = 0; i < b->n; i++)
        record_encode(&body, &b->rec[i]);
    reeve_assert(!w.bad && !body.bad);
    struct wr sum = wr_fixed(out + SUM_AT, 4);
    wr_u32(&sum, sum_of(out));
}

static bool plausible(const struct wal_record *r)
{
    const uint64_t far = UINT64_MAX / 2;
    return r->seq != 0 && r->seq < far && r->first < far && r->last < far && r->at.epoch != 0 && r->at.epoch < WAL_EPOCH_FAR;
}

enum reeve_err wal_ident_decode(struct wal_ident *b, const uint8_t *in)
{
    struct rd r = rd_of(slice_of(in, WAL_BLOCK));
    memset(b, 0, sizeof *b);
    if (rd_u32(&r) != WAL_MAGIC_IDENT)
        return REEVE_E_MALFORMED;
    uint8_t version = rd_u8(&r);
    rd_u8(&r);
    uint16_t n = rd_u16(&r);
    b->salt = rd_u64(&r);
    b->number = rd_u64(&r);
    rd_bytes(&r, SUM_AT - 24);
    if (rd_u32(&r) != sum_of(in))
        return REEVE_E_CORRUPT;
    if (version > WAL_VERSION)
        return REEVE_E_UNSUPPORTED;
    if (n > WAL_RECORDS_MAX || b->number > UINT64_MAX / 2)
        return REEVE_E_CORRUPT;
    for (; b->n < n; b->n++) {
        record_decode(&r, &b->rec[b->n]);
        if (!plausible(&b->rec[b->n]))
            return REEVE_E_CORRUPT;
    }
    return REEVE_OK;
}
