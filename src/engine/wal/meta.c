/* meta.c - the metadata block, of which there are two: whose log, from where on. */
#include "common/crc32c.h"
#include "wal_int.h"

void wal_meta_encode(uint8_t *out, const struct wal_meta *m)
{
    memset(out, 0, WAL_BLOCK);
    struct wr w = wr_fixed(out, WAL_BLOCK - 4);
    wr_u32(&w, WAL_MAGIC_META);
    wr_u32(&w, (uint32_t) WAL_VERSION << 24);
    wr_u64(&w, m->number);
    wr_u64(&w, m->owner.ring);
    wr_u64(&w, m->owner.member);
    wr_u64(&w, m->owner.incarnation);
    wr_u64(&w, m->salt);
    wr_u64(&w, m->cut);
    wr_u64(&w, m->cut_term);
    wal_hard_encode(&w, &m->hard);
    wr_u64(&w, m->start_seq);
    wr_u32(&w, m->start_sum);
    wr_u32(&w, m->oldest_epoch);
    wr_u32(&w, m->segment_bytes);
    wr_u32(&w, m->n_lost);
    for (uint32_t i = 0; i < m->n_lost; i++) {
        wr_u64(&w, m->lost[i].from);
        wr_u64(&w, m->lost[i].to);
        wr_u64(&w, m->lost[i].low);
    }
    reeve_assert(!w.bad);
    struct wr sum = wr_fixed(out + WAL_BLOCK - 4, 4);
    wr_u32(&sum, crc32c(0, out, WAL_BLOCK - 4));
}

static void read_fields(struct wal_meta *m, struct rd *r)
{
    m->number = rd_u64(r);
    m->owner.ring = rd_u64(r);
    m->owner.member = rd_u64(r);
    m->owner.incarnation = rd_u64(r);
    m->salt = rd_u64(r);
    m->cut = rd_u64(r);
    m->cut_term = rd_u64(r);
    wal_hard_decode(r, &m->hard);
    m->start_seq = rd_u64(r);
    m->start_sum = rd_u32(r);
    m->oldest_epoch = rd_u32(r);
    m->segment_bytes = rd_u32(r);
    m->n_lost = rd_u32(r);
    for (uint32_t i = 0; i < m->n_lost && i < WAL_LOST_MAX; i++) {
        m->lost[i].from = rd_u64(r);
        m->lost[i].to = rd_u64(r);
        m->lost[i].low = rd_u64(r);
    }
}

enum reeve_err wal_meta_decode(struct wal_meta *m, const uint8_t *in)
{
    struct rd r = rd_of(slice_of(in, WAL_BLOCK)), s = rd_of(slice_of(in + WAL_BLOCK - 4, 4));
    memset(m, 0, sizeof *m);
    if (rd_u32(&r) != WAL_MAGIC_META)
        return REEVE_E_MALFORMED;
    uint32_t version = rd_u32(&r) >> 24;
    if (rd_u32(&s) != crc32c(0, in, WAL_BLOCK - 4))
        return REEVE_E_CORRUPT;
    if (version > WAL_VERSION)
        return REEVE_E_UNSUPPORTED;
    read_fields(m, &r);
    bool ok = m->start_seq != 0 && m->start_seq < UINT64_MAX / 2 && m->cut < UINT64_MAX / 2 && m->oldest_epoch != 0 && m->oldest_epoch < WAL_EPOCH_FAR
           && m->segment_bytes % WAL_BLOCK == 0 && m->segment_bytes >= 2 * WAL_BLOCK && m->n_lost <= WAL_LOST_MAX;
    return ok ? REEVE_OK : REEVE_E_CORRUPT;
}
