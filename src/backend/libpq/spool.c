/* spool.c - a byte queue in memory and an unlinked file; see the header. */
#include "backend/libpq/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_CAP 8192

void spool_init(struct spool *s, const char *dir, size_t mem_max)
{
    *s = (struct spool){ .dir = dir, .mem_max = mem_max, .fd = -1 };
}

void spool_free(struct spool *s)
{
    free(s->mem);
    if (s->fd >= 0)
        close(s->fd);
    spool_init(s, s->dir, s->mem_max);
}

void spool_clear(struct spool *s)
{
    const char *dir = s->dir;
    size_t max = s->mem_max;
    spool_free(s);
    spool_init(s, dir, max);
}

uint64_t spool_len(const struct spool *s)
{
    return (s->len - s->off) + (s->file_len - s->file_off);
}

static enum reeve_err io_error(void)
{
    return errno == ENOSPC || errno == EDQUOT ? REEVE_E_DISK_FULL : REEVE_E_IO;
}

static enum reeve_err file_open(struct spool *s)
{
    if (s->fd >= 0)
        return REEVE_OK;
    s->fd = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return s->fd >= 0 ? REEVE_OK : io_error();
}

static enum reeve_err file_put(struct spool *s, const uint8_t *p, size_t len)
{
    enum reeve_err err = file_open(s);
    while (err == REEVE_OK && len > 0) {
        ssize_t n = pwrite(s->fd, p, len, (off_t) s->file_len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return io_error();
        s->file_len += (uint64_t) n;
        p += n;
        len -= (size_t) n;
    }
    return err;
}

/* Room for len more bytes in memory, moving what waits to the front first. */
static enum reeve_err mem_room(struct spool *s, size_t len)
{
    if (s->off > 0) {
        memmove(s->mem, s->mem + s->off, s->len - s->off);
        s->len -= s->off;
        s->off = 0;
    }
    size_t cap = s->cap ? s->cap : FIRST_CAP;
    while (cap - s->len < len)
        cap *= 2;
    if (cap == s->cap)
        return REEVE_OK;
    uint8_t *p = realloc(s->mem, cap);
    if (p == NULL)
        return REEVE_E_NOMEM;
    s->mem = p;
    s->cap = cap;
    return REEVE_OK;
}

static enum reeve_err mem_put(struct spool *s, const void *p, size_t len)
{
    if (s->cap - s->len < len) {
        enum reeve_err err = mem_room(s, len);
        if (err != REEVE_OK)
            return err;
    }
    memcpy(s->mem + s->len, p, len);
    s->len += len;
    return REEVE_OK;
}

enum reeve_err spool_put(struct spool *s, const void *p, size_t len)
{
    if (len == 0)
        return REEVE_OK;
    if (s->file_len > s->file_off || s->len - s->off >= s->mem_max)
        return file_put(s, p, len);
    return mem_put(s, p, len);
}

/* Memory is empty: brings the next piece of the file there. */
static enum reeve_err refill(struct spool *s)
{
    uint64_t left = s->file_len - s->file_off;
    size_t want = left < s->mem_max ? (size_t) left : s->mem_max;
    s->off = s->len = 0;
    enum reeve_err err = mem_room(s, want);
    if (err != REEVE_OK)
        return err;
    ssize_t n = pread(s->fd, s->mem, want, (off_t) s->file_off);
    if (n <= 0)
        return REEVE_E_IO;
    s->len = (size_t) n;
    s->file_off += (uint64_t) n;
    if (s->file_off < s->file_len)
        return REEVE_OK;
    s->file_off = s->file_len = 0;
    return ftruncate(s->fd, 0) == 0 ? REEVE_OK : REEVE_E_IO;
}

enum reeve_err spool_peek(struct spool *s, struct slice *out)
{
    enum reeve_err err = REEVE_OK;
    if (s->off == s->len && s->file_len > s->file_off)
        err = refill(s);
    *out = err == REEVE_OK ? slice_of(s->mem + s->off, s->len - s->off) : slice_of(NULL, 0);
    return err;
}

void spool_skip(struct spool *s, size_t len)
{
    reeve_assert(len <= s->len - s->off);
    s->off += len;
    if (s->off == s->len)
        s->off = s->len = 0;
}

enum reeve_err spool_take(struct spool *s, void *p, size_t len)
{
    uint8_t *to = p;
    if (spool_len(s) < len)
        return REEVE_E_MALFORMED;
    while (len > 0) {
        struct slice piece;
        enum reeve_err err = spool_peek(s, &piece);
        if (err != REEVE_OK)
            return err;
        size_t n = piece.len < len ? piece.len : len;
        memcpy(to, piece.p, n);
        spool_skip(s, n);
        to += n;
        len -= n;
    }
    return REEVE_OK;
}
