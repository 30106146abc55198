/* fields.c - reads and writes one structure by its field table */
#include "wire_int.h"
#include "common/text.h"

#define FIELD(ctype, item, f) (*(ctype *) ((uint8_t *) (item) + (f)->at))
#define CFIELD(ctype, item, f) (*(const ctype *) ((const uint8_t *) (item) + (f)->at))

/* ---- reading ---- */

/* What a reader that failed means: it ran out of bytes, or the form was wrong. */
static enum reeve_err failed(const struct rd *r)
{
    return r->p == r->end ? REEVE_E_TRUNCATED : REEVE_E_MALFORMED;
}

static enum reeve_err read_var(struct rd *r, uint64_t max, uint64_t *out)
{
    const struct rd before = *r;
    *out = rd_varint(r);
    if (r->bad) {
        /* All continuation bytes up to the end: cut off rather than wrong. */
        size_t n = (size_t) (before.end - before.p);
        bool cut = n < 10;
        for (size_t i = 0; i < n && cut; i++)
            cut = (before.p[i] & 0x80) != 0;
        return cut ? REEVE_E_TRUNCATED : REEVE_E_MALFORMED;
    }
    return *out > max ? REEVE_E_TOO_BIG : REEVE_OK;
}

static enum reeve_err read_counted(struct rd *r, uint64_t max, struct slice *out)
{
    uint64_t len;
    enum reeve_err err = read_var(r, max, &len);
    if (err != REEVE_OK)
        return err;
    *out = rd_bytes(r, (size_t) len);
    return r->bad ? REEVE_E_TRUNCATED : REEVE_OK;
}

static bool text_ok(struct slice s)
{
    return utf8_valid(s) && (s.len == 0 || memchr(s.p, 0, s.len) == NULL);
}

static bool name_ok(struct slice s)
{
    struct name n;
    return name_set(&n, s);
}

static enum reeve_err read_text(struct rd *r, const struct wire_field *f, struct slice *out)
{
    enum reeve_err err = read_counted(r, f->max, out);
    if (err != REEVE_OK)
        return err;
    bool ok = f->kind == WK_NAME ? name_ok(*out) : text_ok(*out);
    return ok ? REEVE_OK : REEVE_E_MALFORMED;
}

static enum reeve_err read_addr(struct rd *r, struct wire_addr *a)
{
    memset(a, 0, sizeof *a);
    a->family = rd_u8(r);
    if (r->bad)
        return REEVE_E_TRUNCATED;
    if (a->family != 0 && a->family != 4 && a->family != 6)
        return REEVE_E_MALFORMED;
    rd_copy(r, a->b, a->family == 4 ? 4 : a->family == 6 ? 16 : 0);
    return r->bad ? REEVE_E_TRUNCATED : REEVE_OK;
}

/* The largest item of any list; checked in wire_list_next's unit test. */
union any_item {
#define W_GROUP(SYM, sym, text) struct wire_##sym sym;
#include "engine/framelist.h"
};

static enum reeve_err read_list(struct rd *r, const struct wire_field *f, struct wire_list *l)
{
    union any_item item;
    uint64_t n;
    enum reeve_err err = read_var(r, f->max, &n);
    if (err != REEVE_OK)
        return err;
    const uint8_t *start = r->p;
    const struct wire_group_info *g = wire_group_info(f->group);
    for (uint64_t i = 0; i < n; i++)
        if ((err = wire_fields_decode(g->fields, &item, r, false)) != REEVE_OK)
            return err;
    l->n = (uint32_t) n;
    l->bytes = slice_of(start, (size_t) (r->p - start));
    return REEVE_OK;
}

static enum reeve_err read_u8(struct rd *r, const struct wire_field *f, uint8_t *out)
{
    *out = rd_u8(r);
    if (r->bad)
        return REEVE_E_TRUNCATED;
    return *out >= f->min && *out <= f->max ? REEVE_OK : REEVE_E_MALFORMED;
}

static enum reeve_err read_field(struct rd *r, const struct wire_field *f, void *item)
{
    switch (f->kind) {
    case WK_RAW:
        rd_copy(r, (uint8_t *) item + f->at, (size_t) f->max);
        return r->bad ? REEVE_E_TRUNCATED : REEVE_OK;
    case WK_U8:    return read_u8(r, f, &FIELD(uint8_t, item, f));
    case WK_VAR:   return read_var(r, f->max, &FIELD(uint64_t, item, f));
    case WK_NAME:
    case WK_TEXT:  return read_text(r, f, &FIELD(struct slice, item, f));
    case WK_BYTES: return read_counted(r, f->max, &FIELD(struct slice, item, f));
    case WK_ADDR:  return read_addr(r, &FIELD(struct wire_addr, item, f));
    case WK_LIST:  return read_list(r, f, &FIELD(struct wire_list, item, f));
    default:       return REEVE_E_BUG;
    }
}

static enum reeve_err read_known_ext(struct slice body, const struct wire_field *f, void *item)
{
    if (f->kind == WK_XBYTES) {
        FIELD(struct slice, item, f) = body;
        return body.len <= f->max ? REEVE_OK : REEVE_E_TOO_BIG;
    }
    struct rd r = rd_of(body);
    struct wire_optvar *v = &FIELD(struct wire_optvar, item, f);
    v->set = true;
    enum reeve_err err = read_var(&r, f->max, &v->v);
    if (err != REEVE_OK)
        return err == REEVE_E_TRUNCATED ? REEVE_E_MALFORMED : err;
    return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED;
}

static const struct wire_field *ext_find(const struct wire_field *f, uint64_t tag)
{
    for (; f->kind != WK_END; f++)
        if ((f->kind == WK_XVAR || f->kind == WK_XBYTES) && f->tag == tag)
            return f;
    return NULL;
}

static enum reeve_err read_exts(const struct wire_field *fields, void *item, struct rd *r)
{
    uint64_t last = 0;
    while (rd_left(r) > 0) {
        uint64_t tag;
        struct slice body;
        enum reeve_err err = read_var(r, UINT32_MAX, &tag);
        if (err == REEVE_OK)
            err = read_counted(r, WIRE_FRAME_MAX, &body);
        if (err != REEVE_OK)
            return err;
        if (tag <= last)
            return REEVE_E_MALFORMED;
        last = tag;
        const struct wire_field *f = ext_find(fields, tag);
        if (f == NULL && (tag & 1) != 0)
            return REEVE_E_UNSUPPORTED;
        if (f != NULL && (err = read_known_ext(body, f, item)) != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

enum reeve_err wire_fields_decode(const struct wire_field *f, void *item, struct rd *r, bool exts)
{
    const struct wire_field *fields = f;
    for (; f->kind != WK_END && f->kind != WK_XVAR && f->kind != WK_XBYTES; f++) {
        enum reeve_err err = read_field(r, f, item);
        if (err != REEVE_OK)
            return err;
        if (r->bad)
            return failed(r);
    }
    return exts ? read_exts(fields, item, r) : REEVE_OK;
}

/* ---- writing ---- */

static size_t addr_len(const struct wire_addr *a)
{
    return a->family == 4 ? 4 : a->family == 6 ? 16 : 0;
}

static bool slice_fits(const struct wire_field *f, struct slice s)
{
    if (s.len > f->max || s.len < f->min)
        return false;
    if (f->kind == WK_NAME)
        return name_ok(s);
    return f->kind != WK_TEXT || text_ok(s);
}

static int64_t counted_size(const struct wire_field *f, struct slice s)
{
    return slice_fits(f, s) ? (int64_t) (varint_len(s.len) + s.len) : -1;
}

static int64_t ext_size(const struct wire_field *f, size_t len)
{
    return (int64_t) (varint_len(f->tag) + varint_len(len) + len);
}

static int64_t xvar_size(const struct wire_field *f, const struct wire_optvar *v)
{
    if (!v->set)
        return 0;
    return v->v <= f->max ? ext_size(f, varint_len(v->v)) : -1;
}

static int64_t xbytes_size(const struct wire_field *f, struct slice s)
{
    if (s.p == NULL)
        return 0;
    return s.len <= f->max ? ext_size(f, s.len) : -1;
}

static int64_t list_size(const struct wire_field *f, const struct wire_list *l)
{
    return l->n <= f->max ? (int64_t) (varint_len(l->n) + l->bytes.len) : -1;
}

static int64_t addr_size(const struct wire_addr *a)
{
    return a->family == 0 || a->family == 4 || a->family == 6 ? (int64_t) (1 + addr_len(a)) : -1;
}

static int64_t field_size(const struct wire_field *f, const void *item)
{
    switch (f->kind) {
    case WK_RAW: return (int64_t) f->max;
    case WK_U8: {
        uint8_t v = CFIELD(uint8_t, item, f);
        return v >= f->min && v <= f->max ? 1 : -1;
    }
    case WK_VAR: {
        uint64_t v = CFIELD(uint64_t, item, f);
        return v <= f->max ? (int64_t) varint_len(v) : -1;
    }
    case WK_NAME:
    case WK_TEXT:
    case WK_BYTES:  return counted_size(f, CFIELD(struct slice, item, f));
    case WK_ADDR:   return addr_size(&CFIELD(struct wire_addr, item, f));
    case WK_LIST:   return list_size(f, &CFIELD(struct wire_list, item, f));
    case WK_XVAR:   return xvar_size(f, &CFIELD(struct wire_optvar, item, f));
    case WK_XBYTES: return xbytes_size(f, CFIELD(struct slice, item, f));
    default:        return -1;
    }
}

int64_t wire_fields_size(const struct wire_field *f, const void *item)
{
    int64_t sum = 0;
    for (; f->kind != WK_END; f++) {
        int64_t n = field_size(f, item);
        if (n < 0)
            return -1;
        sum += n;
    }
    return sum;
}

static void write_list(struct wr *w, const struct wire_list *l)
{
    wr_varint(w, l->n);
    wr_bytes(w, l->bytes.p, l->bytes.len);
}

static void write_addr(struct wr *w, const struct wire_addr *a)
{
    wr_u8(w, a->family);
    wr_bytes(w, a->b, addr_len(a));
}

static void write_xvar(struct wr *w, const struct wire_field *f, const struct wire_optvar *v)
{
    if (!v->set)
        return;
    wr_varint(w, f->tag);
    wr_varint(w, varint_len(v->v));
    wr_varint(w, v->v);
}

static void write_xbytes(struct wr *w, const struct wire_field *f, struct slice s)
{
    if (s.p == NULL)
        return;
    wr_varint(w, f->tag);
    wr_vbytes(w, s);
}

static void write_field(const struct wire_field *f, const void *item, struct wr *w)
{
    switch (f->kind) {
    case WK_RAW:    wr_bytes(w, (const uint8_t *) item + f->at, (size_t) f->max); break;
    case WK_U8:     wr_u8(w, CFIELD(uint8_t, item, f)); break;
    case WK_VAR:    wr_varint(w, CFIELD(uint64_t, item, f)); break;
    case WK_NAME:
    case WK_TEXT:
    case WK_BYTES:  wr_vbytes(w, CFIELD(struct slice, item, f)); break;
    case WK_ADDR:   write_addr(w, &CFIELD(struct wire_addr, item, f)); break;
    case WK_LIST:   write_list(w, &CFIELD(struct wire_list, item, f)); break;
    case WK_XVAR:   write_xvar(w, f, &CFIELD(struct wire_optvar, item, f)); break;
    case WK_XBYTES: write_xbytes(w, f, CFIELD(struct slice, item, f)); break;
    default:        w->bad = true;
    }
}

void wire_fields_encode(const struct wire_field *f, const void *item, struct wr *w)
{
    for (; f->kind != WK_END; f++)
        write_field(f, item, w);
}
