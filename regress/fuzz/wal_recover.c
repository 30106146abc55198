/*
 * wal_recover.c - fuzz target of the log's recovery and the decoders under it
 *
 * A sound log is made once: appends, a truncation, a cut, a restart, recycled
 * segments. The input is a list of patches {file, block, offset u16, length, bytes};
 * the file's top bit asks for right sums afterwards, so that what stands behind
 * the sums is reached, too (only in the log's own files: nobody wrote right sums ahead
 * of time into what is to be recycled). Whatever comes out must be consistent, and where
 * the log may go on, it must go on and be found again.
 */
#include "common/crc32c.h"
#include "engine/wal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SEGS     8
#define BLOCKS   8u
#define SIDE     3          /* ident, meta A, meta B come after the segments */
#define IMAGE    (SEGS * BLOCKS * WAL_BLOCK + WAL_IDENT_BYTES + 2 * WAL_BLOCK)

static const struct wal_config config = { BLOCKS * WAL_BLOCK, 4 * WAL_BLOCK };
static const struct wal_owner owner = { 1, 2, 3 };

struct image { bool used[SEGS]; uint32_t epoch[SEGS]; uint8_t *bytes; };
static struct image base, now;
static uint8_t *mem, *scratch;
static struct wal_found found;

static uint8_t *file_of(struct image *m, struct wal_file f, size_t *len)
{
    uint8_t *side = m->bytes + SEGS * BLOCKS * WAL_BLOCK;
    *len = f.kind == WAL_FILE_SEGMENT ? BLOCKS * WAL_BLOCK : f.kind == WAL_FILE_IDENT ? WAL_IDENT_BYTES : WAL_BLOCK;
    if (f.kind != WAL_FILE_SEGMENT)
        return f.kind == WAL_FILE_IDENT ? side : side + WAL_IDENT_BYTES + (f.kind == WAL_FILE_META_B ? WAL_BLOCK : 0);
    for (int i = 0; i < SEGS; i++)
        if (m->used[i] && m->epoch[i] == f.epoch)
            return m->bytes + (size_t) i * BLOCKS * WAL_BLOCK;
    return NULL;
}

static enum reeve_err list(void *arg, uint32_t *epochs, size_t max, size_t *n)
{
    struct image *m = arg;
    *n = 0;
    for (int i = 0; i < SEGS; i++)
        if (m->used[i]) {
            size_t at = (*n)++;
            for (; at > 0 && epochs[at - 1] > m->epoch[i]; at--)
                epochs[at] = epochs[at - 1];
            epochs[at] = m->epoch[i];
        }
    return REEVE_OK;
}

static enum reeve_err read_at(void *arg, struct wal_file f, uint64_t offset, void *buf, size_t len, size_t *got)
{
    size_t have;
    uint8_t *p = file_of(arg, f, &have);
    if (p == NULL)
        return REEVE_E_NOT_FOUND;
    *got = offset >= have ? 0 : have - offset < len ? have - offset : len;
    memcpy(buf, p + offset, *got);
    return REEVE_OK;
}

/* False: no room for another segment. */
static bool carry_out(struct image *m, const struct wal_effect *e)
{
    size_t len;
    if (e->type == WAL_DO_WRITE) {
        uint8_t *p = file_of(m, e->file, &len);
        reeve_assert(p != NULL && e->offset + e->data.len <= len);
        memcpy(p + e->offset, e->data.p, e->data.len);
        return true;
    }
    for (int i = 0; i < SEGS; i++) {
        if (e->type == WAL_DO_DROP && m->used[i] && m->epoch[i] == e->file.epoch)
            m->used[i] = false;
        if (e->type == WAL_DO_OPEN && !m->used[i]) {
            m->used[i] = true;
            m->epoch[i] = e->file.epoch;
            return true;
        }
    }
    return e->type == WAL_DO_DROP;
}

static bool settle(struct image *m, struct wal *w)
{
    struct wal_effect e;
    for (bool more = true; more;) {
        more = false;
        for (int lane = WAL_LANES; lane-- > 0;)
            if (wal_next(w, (enum wal_lane) lane, &e)) {
                if (!carry_out(m, &e))
                    return false;
                wal_complete(w, (enum wal_lane) lane);
                more = true;
            }
        if (!more) {
            wal_rest(w);
            more = wal_has(w, WAL_LANE_SIDE);
        }
    }
    return true;
}

static void put(struct wal *w, uint64_t first, uint64_t prev_term, uint64_t term, size_t n, size_t bytes, uint64_t commit)
{
    static uint8_t body[6000];
    struct wal_entry e[4];
    uint64_t ticket;
    for (size_t i = 0; i < n; i++)
        e[i] = (struct wal_entry){ term, 1, slice_of(body, bytes) };
    struct wal_append a = { first, prev_term, e, n, { term, 9, commit }, 0 };
    reeve_assert(wal_append(w, &a, &ticket) == REEVE_OK);
    reeve_assert(settle(&base, w));
}

static void recover(struct image *m)
{
    struct wal_reader r = { m, list, read_at };
    wal_recover(&config, &r, &owner, scratch, NULL, &found);
}

static void make_base(void)
{
    struct wal *w;
    size_t size = (wal_size(&config) + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
    mem = aligned_alloc(WAL_BLOCK, size);
    scratch = aligned_alloc(WAL_BLOCK, (wal_recover_scratch() + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK);
    base.bytes = calloc(1, IMAGE);
    now.bytes = calloc(1, IMAGE);
    reeve_assert(wal_init(&w, mem, size, &config) == REEVE_OK);
    wal_format(w, &owner, 0x5a17);
    reeve_assert(settle(&base, w));
    for (uint64_t i = 1; i < 30; i += 2)
        put(w, i, i > 1 ? 1 : 0, 1, 2, i % 3 ? 60 : 3000, i - 1);
    wal_cut(w, 12, 1);
    reeve_assert(settle(&base, w));
    put(w, 29, 1, 2, 3, 100, 28);       /* supersedes 29 and 30 */
    recover(&base);
    reeve_assert(found.verdict == WAL_CLEAN && found.last == 31 && wal_init(&w, mem, size, &config) == REEVE_OK);
    reeve_assert(wal_resume(w, &found) == REEVE_OK && settle(&base, w));
    put(w, 32, 2, 2, 2, 50, 31);
    put(w, 34, 2, 3, 1, 50, 33);
}

/* As its writer would have left this block. */
static void right_sums(uint8_t *block, size_t left)
{
    uint32_t magic = (uint32_t) block[0] << 24 | (uint32_t) block[1] << 16 | (uint32_t) block[2] << 8 | block[3];
    uint32_t len = (uint32_t) block[44] << 24 | (uint32_t) block[45] << 16 | (uint32_t) block[46] << 8 | block[47];
    size_t at = magic == 0x52565746u ? 124 : magic == 0x52565749u ? 60 : magic == 0x5256574du ? WAL_BLOCK - 4 : 0;
    if (at == 0)
        return;
    if (at == 124 && len <= left - WAL_HEADER_LEN) {
        struct wr w = wr_fixed(block + 120, 4);
        wr_u32(&w, crc32c(0, block + WAL_HEADER_LEN, len));
    }
    memset(block + at, 0, 4);
    struct wr w = wr_fixed(block + at, 4);
    wr_u32(&w, crc32c(0, block, at == 60 ? WAL_BLOCK : at));
}

static void patch(struct rd *r)
{
    uint8_t file = rd_u8(r), block = rd_u8(r);
    uint16_t offset = rd_u16(r) % WAL_BLOCK;
    uint8_t len = rd_u8(r);
    size_t have = 0;
    struct slice bytes = rd_bytes(r, len < rd_left(r) ? len : rd_left(r));
    unsigned which = (file & 0x7f) % (SEGS + SIDE);
    if (which < SEGS && (file & 0x60) == 0x60) {
        now.used[which] = false;                    /* a lost segment, never to be recycled */
        memset(now.bytes + which * BLOCKS * WAL_BLOCK, 0, BLOCKS * WAL_BLOCK);
        return;
    }
    uint8_t *p = which < SEGS ? now.bytes + which * BLOCKS * WAL_BLOCK
                              : file_of(&now, (struct wal_file){ (enum wal_file_kind) (WAL_FILE_IDENT + which - SEGS), 0 }, &have);
    have = which < SEGS ? BLOCKS * WAL_BLOCK : have;
    size_t at = block % (have / WAL_BLOCK) * WAL_BLOCK;
    size_t n = bytes.len < have - at - offset ? bytes.len : have - at - offset;
    if (n > 0)
        memcpy(p + at + offset, bytes.p, n);
    if (file & 0x80 && (which >= SEGS || now.used[which]))
        right_sums(p + at, have - at);
}

static void check(void)
{
    reeve_assert(found.last >= found.cut && found.holes.n <= WAL_HOLES_MAX);
    reeve_assert(!found.may_lead || (found.may_vote && found.holes.n == 0));
    reeve_assert(found.may_vote == (found.verdict <= WAL_CORRUPT));
    reeve_assert(found.verdict == WAL_CLEAN || found.reason[0] != '\0');
    for (uint32_t i = 0; i < found.holes.n; i++)
        reeve_assert(found.holes.r[i].first > found.cut && found.holes.r[i].last <= found.last);
}

static void go_on(void)
{
    struct wal *w;
    struct wal_entry e = { UINT64_MAX, 1, { NULL, 0 } };
    uint64_t ticket, last = found.last + 1;
    struct wal_append a = { last, found.last_term, &e, 1, { UINT64_MAX, 1, found.hard.commit }, 0 };
    reeve_assert(wal_init(&w, mem, wal_size(&config), &config) == REEVE_OK);
    if (wal_resume(w, &found) != REEVE_OK || wal_append(w, &a, &ticket) != REEVE_OK || !settle(&now, w))
        return;
    reeve_assert(wal_durable(w) == ticket);
    recover(&now);
    check();
    reeve_assert(found.verdict <= WAL_CORRUPT && found.last == last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rd r = rd_of(slice_of(data, len));
    if (base.bytes == NULL)
        make_base();
    memcpy(now.bytes, base.bytes, IMAGE);
    memcpy(now.used, base.used, sizeof now.used);
    memcpy(now.epoch, base.epoch, sizeof now.epoch);
    for (int i = 0; i < 32 && rd_left(&r) > 0; i++)
        patch(&r);
    recover(&now);
    check();
    if (found.verdict <= WAL_CORRUPT)
        go_on();
    return 0;
}
