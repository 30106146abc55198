/* statefile.c - a store's rows into a file and out of it; see the header. */
#include "backend/ring/statefile.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/crc32c.h"

#define MAGIC "reeve-state-1\n\0"       /* 16 bytes with the terminator */
#define MAGIC_LEN 16u
#define BLOCK_BYTES (256u << 10)
#define BLOCK_MAX (32u << 20)
#define BLOCK_HEAD 8u
#define END_MARK 0xffffffffu
#define END_BYTES 8u

_Static_assert(sizeof MAGIC == MAGIC_LEN, "the first bytes of a state file");

bool file_write_all(int fd, struct slice s)
{
    while (s.len > 0) {
        ssize_t n = write(fd, s.p, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = slice_of(s.p + n, s.len - (size_t) n);
    }
    return true;
}

size_t file_read_at(int fd, void *to, size_t len, uint64_t at)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(fd, (uint8_t *) to + got, len - got, (off_t) (at + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        got += (size_t) n;
    }
    return got;
}

/* ---- out ---- */

struct out { int fd; uint64_t size, rows; struct wr block; const bool *abandon; };

static enum reeve_err put_block(struct out *o, uint32_t mark)
{
    uint8_t head[BLOCK_HEAD];
    struct wr h = wr_fixed(head, sizeof head);
    wr_u32(&h, mark ? mark : (uint32_t) o->block.len);
    wr_u32(&h, crc32c(0, o->block.p, o->block.len));
    bool ok = !o->block.bad && file_write_all(o->fd, wr_slice(&h)) && file_write_all(o->fd, wr_slice(&o->block));
    o->size += BLOCK_HEAD + o->block.len;
    wr_reset(&o->block);
    return ok ? REEVE_OK : REEVE_E_IO;
}

static enum reeve_err put_row(struct out *o, struct slice key, struct slice val)
{
    wr_u16(&o->block, (uint16_t) key.len);
    wr_u32(&o->block, (uint32_t) val.len);
    wr_bytes(&o->block, key.p, key.len);
    wr_bytes(&o->block, val.p, val.len);
    o->rows++;
    return o->block.len < BLOCK_BYTES ? REEVE_OK : put_block(o, 0);
}

static enum reeve_err put_rows(struct out *o, struct kv *kv, statefile_own_fn *own)
{
    static const uint8_t first_key[] = { 0 };
    uint8_t mem[KV_KEY_MAX];
    struct slice key = slice_of(first_key, sizeof first_key), val;
    bool inclusive = true;
    enum reeve_err err;
    while ((err = kv_seek(kv, key, 1, inclusive, &key, &val)) == REEVE_OK) {
        if (o->abandon && __atomic_load_n(o->abandon, __ATOMIC_RELAXED))
            return REEVE_E_CANCELED;
        if (own == NULL || !own(key))
            TRY(put_row(o, key, val));
        memcpy(mem, key.p, key.len);
        key.p = mem;
        inclusive = false;
    }
    if (err == REEVE_E_NOT_FOUND)
        err = o->block.len > 0 ? put_block(o, 0) : REEVE_OK;
out:
    return err;
}

enum reeve_err statefile_write(int fd, struct kv *kv, statefile_own_fn *own, const bool *abandon, uint64_t *size)
{
    struct out o = { .fd = fd, .size = MAGIC_LEN, .block = wr_heap(BLOCK_MAX), .abandon = abandon };
    enum reeve_err err = file_write_all(fd, slice_of(MAGIC, MAGIC_LEN)) ? REEVE_OK : REEVE_E_IO;
    if (err == REEVE_OK)
        err = put_rows(&o, kv, own);
    if (err == REEVE_OK) {
        wr_u64(&o.block, o.rows);
        err = put_block(&o, END_MARK);
    }
    wr_free(&o.block);
    *size = o.size;
    return err;
}

/* ---- in ---- */

struct in { int fd; uint64_t at, end, rows; uint8_t *mem; size_t last_len; uint8_t last[KV_KEY_MAX]; };

static enum reeve_err read_block(struct in *b, struct slice *out, bool *last)
{
    uint8_t head[BLOCK_HEAD];
    if (b->end - b->at < sizeof head || file_read_at(b->fd, head, sizeof head, b->at) != sizeof head)
        return REEVE_E_MALFORMED;
    struct rd r = rd_of(slice_of(head, sizeof head));
    uint32_t len = rd_u32(&r), sum = rd_u32(&r);
    *last = len == END_MARK;
    len = *last ? END_BYTES : len;
    if (len == 0 || len > BLOCK_MAX || len > b->end - b->at - BLOCK_HEAD ||
        file_read_at(b->fd, b->mem, len, b->at + BLOCK_HEAD) != len || crc32c(0, b->mem, len) != sum)
        return REEVE_E_MALFORMED;
    b->at += BLOCK_HEAD + len;
    *out = slice_of(b->mem, len);
    return REEVE_OK;
}

static bool follows(struct in *b, struct slice key)
{
    size_t common = b->last_len < key.len ? b->last_len : key.len;
    int order = common ? memcmp(b->last, key.p, common) : 0;
    bool ok = order < 0 || (order == 0 && b->last_len < key.len);
    memcpy(b->last, key.p, key.len);
    b->last_len = key.len;
    return ok;
}

static enum reeve_err take_rows(struct in *b, struct kv *kv, statefile_own_fn *own, struct slice block)
{
    struct rd r = rd_of(block);
    while (r.p < r.end) {
        size_t klen = rd_u16(&r), vlen = rd_u32(&r);
        struct slice key = rd_bytes(&r, klen), val = rd_bytes(&r, vlen);
        if (r.bad || klen == 0 || klen > KV_KEY_MAX || (own && own(key)) || !follows(b, key))
            return REEVE_E_MALFORMED;
        b->rows++;
        enum reeve_err err = kv ? kv_put(kv, key, val) : REEVE_OK;
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

static enum reeve_err take_file(struct in *b, struct kv *kv, statefile_own_fn *own)
{
    uint8_t magic[MAGIC_LEN];
    struct slice block;
    bool last = false;
    enum reeve_err err;
    if (b->end < b->at || b->end - b->at < MAGIC_LEN || file_read_at(b->fd, magic, sizeof magic, b->at) != sizeof magic ||
        memcmp(magic, MAGIC, sizeof magic) != 0)
        return REEVE_E_MALFORMED;
    for (b->at += MAGIC_LEN;;) {
        TRY(read_block(b, &block, &last));
        if (last)
            break;
        TRY(take_rows(b, kv, own, block));
    }
    struct rd r = rd_of(block);
    err = rd_u64(&r) == b->rows && b->at == b->end ? REEVE_OK : REEVE_E_MALFORMED;
out:
    return err;
}

enum reeve_err statefile_read(int fd, uint64_t from, uint64_t end, struct kv *kv, statefile_own_fn *own, uint64_t *at)
{
    struct in b = { .fd = fd, .at = from, .end = end, .mem = malloc(BLOCK_MAX) };
    enum reeve_err err = b.mem ? take_file(&b, kv, own) : REEVE_E_NOMEM;
    free(b.mem);
    *at = b.at;
    return err;
}
