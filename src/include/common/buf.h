/*
 * buf.h - bounded reader and writer, the only pointer arithmetic over bytes
 *
 * Both carry a sticky failure: read or write a whole structure, then check
 * once. After a failure a reader yields zeros and empty slices, a writer
 * discards. Integers are big endian unless the name says varint (LEB128,
 * at most 10 bytes, shortest form only).
 */
#ifndef REEVE_COMMON_BUF_H
#define REEVE_COMMON_BUF_H

#include "common/err.h"
#include "common/types.h"

struct rd {
    const uint8_t *p, *end;
    bool bad;
};

static inline struct rd rd_of(struct slice s)
{
    return (struct rd){ s.p, s.p ? s.p + s.len : s.p, false };
}
static inline size_t rd_left(const struct rd *r) { return r->bad ? 0 : (size_t) (r->end - r->p); }

uint8_t  rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
uint64_t rd_varint(struct rd *r);
/* Borrows len bytes from the underlying buffer. */
struct slice rd_bytes(struct rd *r, size_t len);
void rd_copy(struct rd *r, void *dst, size_t len);
/* u16 length + bytes, refused when longer than max. */
struct slice rd_str16(struct rd *r, size_t max);
/* u32 length + bytes, refused when longer than max. */
struct slice rd_str32(struct rd *r, size_t max);
/* varint length + bytes, refused when longer than max. */
struct slice rd_vbytes(struct rd *r, size_t max);
/* u8 length + bytes into a name; refuses NUL bytes and invalid UTF-8. */
void rd_name(struct rd *r, struct name *out);
/* True when nothing failed and nothing is left. */
bool rd_done(const struct rd *r);

/*
 * Writer. With grow == NULL it writes into fixed memory and fails when full;
 * wr_heap() makes one that grows with realloc up to max (free with wr_free).
 */
struct wr {
    uint8_t *p;
    size_t len, cap, max;
    bool bad;
    bool heap;
};

static inline struct wr wr_fixed(void *mem, size_t cap)
{
    return (struct wr){ (uint8_t *) mem, 0, cap, cap, false, false };
}
struct wr wr_heap(size_t max);
void wr_free(struct wr *w);
static inline void wr_reset(struct wr *w) { w->len = 0; w->bad = false; }
static inline struct slice wr_slice(const struct wr *w) { return slice_of(w->p, w->len); }

/* Reserves len bytes and returns where to put them; NULL after a failure. */
uint8_t *wr_reserve(struct wr *w, size_t len);
void wr_u8(struct wr *w, uint8_t v);
void wr_u16(struct wr *w, uint16_t v);
void wr_u32(struct wr *w, uint32_t v);
void wr_u64(struct wr *w, uint64_t v);
void wr_varint(struct wr *w, uint64_t v);
void wr_bytes(struct wr *w, const void *p, size_t len);
void wr_str16(struct wr *w, struct slice s);
void wr_str32(struct wr *w, struct slice s);
void wr_vbytes(struct wr *w, struct slice s);
void wr_name(struct wr *w, const struct name *n);
/* Text without the terminating NUL; printf style (needs room for one NUL). */
void wr_text(struct wr *w, const char *s);
void wr_printf(struct wr *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Overwrites 4 bytes at an offset already written (for lengths known late). */
void wr_patch_u32(struct wr *w, size_t at, uint32_t v);

size_t varint_len(uint64_t v);

#endif
