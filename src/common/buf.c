/* buf.c - bounded reader and writer; see the header for the rules. */
#include "common/buf.h"
#include "common/text.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- reader ---- */

static const uint8_t *take(struct rd *r, size_t len)
{
    if (r->bad || (size_t) (r->end - r->p) < len) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += len;
    return p;
}

static uint64_t take_be(struct rd *r, int bytes)
{
    const uint8_t *p = take(r, (size_t) bytes);
    uint64_t v = 0;
    if (p != NULL)
        for (int i = 0; i < bytes; i++)
            v = v << 8 | p[i];
    return v;
}

uint8_t  rd_u8(struct rd *r)  { return (uint8_t) take_be(r, 1); }
uint16_t rd_u16(struct rd *r) { return (uint16_t) take_be(r, 2); }
uint32_t rd_u32(struct rd *r) { return (uint32_t) take_be(r, 4); }
uint64_t rd_u64(struct rd *r) { return take_be(r, 8); }

uint64_t rd_varint(struct rd *r)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        const uint8_t *p = take(r, 1);
        if (p == NULL)
            return 0;
        uint64_t bits = *p & 0x7f;
        if (shift == 63 && bits > 1)
            break;
        v |= bits << shift;
        if ((*p & 0x80) == 0) {
            /* A final zero byte after the first is an overlong form. */
            if (*p == 0 && shift > 0)
                break;
            return v;
        }
    }
    r->bad = true;
    return 0;
}

struct slice rd_bytes(struct rd *r, size_t len)
{
    const uint8_t *p = take(r, len);
    return p ? slice_of(p, len) : (struct slice){ NULL, 0 };
}

void rd_copy(struct rd *r, void *dst, size_t len)
{
    const uint8_t *p = take(r, len);
    if (p != NULL && len > 0)
        memcpy(dst, p, len);
    else if (len > 0)
        memset(dst, 0, len);
}

static struct slice take_counted(struct rd *r, uint64_t len, size_t max)
{
    if (len > max) {
        r->bad = true;
        return (struct slice){ NULL, 0 };
    }
    return rd_bytes(r, (size_t) len);
}

struct slice rd_str16(struct rd *r, size_t max)  { uint64_t n = rd_u16(r); return take_counted(r, n, max); }
struct slice rd_str32(struct rd *r, size_t max)  { uint64_t n = rd_u32(r); return take_counted(r, n, max); }
struct slice rd_vbytes(struct rd *r, size_t max) { uint64_t n = rd_varint(r); return take_counted(r, n, max); }

void rd_name(struct rd *r, struct name *out)
{
    uint8_t len = rd_u8(r);
    struct slice s = rd_bytes(r, len);
    if (r->bad || !name_set(out, s)) {
        r->bad = true;
        memset(out, 0, sizeof *out);
    }
}

bool rd_done(const struct rd *r)
{
    return !r->bad && r->p == r->end;
}

/* ---- writer ---- */

struct wr wr_heap(size_t max)
{
    return (struct wr){ NULL, 0, 0, max, false, true };
}

void wr_free(struct wr *w)
{
    if (w->heap)
        free(w->p);
    memset(w, 0, sizeof *w);
}

static bool grow(struct wr *w, size_t need)
{
    if (!w->heap || need > w->max)
        return false;
    size_t cap = w->cap ? w->cap : 256;
    while (cap < need)
        cap *= 2;
    if (cap > w->max)
        cap = w->max;
    uint8_t *p = realloc(w->p, cap);
    if (p == NULL)
        return false;
    w->p = p;
    w->cap = cap;
    return true;
}

uint8_t *wr_reserve(struct wr *w, size_t len)
{
    if (w->bad)
        return NULL;
    if (len > w->cap - w->len && (len > w->max - w->len || !grow(w, w->len + len))) {
        w->bad = true;
        return NULL;
    }
    uint8_t *p = w->p + w->len;
    w->len += len;
    return p;
}

static void put_be(struct wr *w, uint64_t v, int bytes)
{
    uint8_t *p = wr_reserve(w, (size_t) bytes);
    if (p != NULL)
        for (int i = 0; i < bytes; i++)
            p[i] = (uint8_t) (v >> 8 * (bytes - 1 - i));
}

void wr_u8(struct wr *w, uint8_t v)   { put_be(w, v, 1); }
void wr_u16(struct wr *w, uint16_t v) { put_be(w, v, 2); }
void wr_u32(struct wr *w, uint32_t v) { put_be(w, v, 4); }
void wr_u64(struct wr *w, uint64_t v) { put_be(w, v, 8); }

size_t varint_len(uint64_t v)
{
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

void wr_varint(struct wr *w, uint64_t v)
{
    uint8_t *p = wr_reserve(w, varint_len(v));
    if (p == NULL)
        return;
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t) (v | 0x80);
    *p = (uint8_t) v;
}

void wr_bytes(struct wr *w, const void *src, size_t len)
{
    uint8_t *p = wr_reserve(w, len);
    if (p != NULL && len > 0)
        memcpy(p, src, len);
}

void wr_str16(struct wr *w, struct slice s)
{
    if (s.len > UINT16_MAX)
        w->bad = true;
    wr_u16(w, (uint16_t) s.len);
    wr_bytes(w, s.p, s.len);
}

void wr_str32(struct wr *w, struct slice s)
{
    if (s.len > UINT32_MAX)
        w->bad = true;
    wr_u32(w, (uint32_t) s.len);
    wr_bytes(w, s.p, s.len);
}

void wr_vbytes(struct wr *w, struct slice s)
{
    wr_varint(w, s.len);
    wr_bytes(w, s.p, s.len);
}

void wr_name(struct wr *w, const struct name *n)
{
    wr_u8(w, n->len);
    wr_bytes(w, n->s, n->len);
}

void wr_text(struct wr *w, const char *s)
{
    wr_bytes(w, s, strlen(s));
}

void wr_printf(struct wr *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        w->bad = true;
        return;
    }
    uint8_t *p = wr_reserve(w, (size_t) n + 1);
    if (p == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf((char *) p, (size_t) n + 1, fmt, ap);
    va_end(ap);
    w->len--;
}

void wr_patch_u32(struct wr *w, size_t at, uint32_t v)
{
    if (w->bad)
        return;
    reeve_assert(at + 4 <= w->len);
    for (int i = 0; i < 4; i++)
        w->p[at + (size_t) i] = (uint8_t) (v >> 8 * (3 - i));
}
