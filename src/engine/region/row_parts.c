/* row_parts.c - what rows are made of. One byte string per value: flags are 0 or 1, text is UTF-8 without NUL. */
#include "engine/region/region_int.h"

void rd_row_name(struct rd *r, struct name *out)
{
    memset(out, 0, sizeof *out);
    if (rd_left(r) > 0 && *r->p == 0)
        (void) rd_u8(r);
    else
        rd_name(r, out);
}

bool rd_row_flag(struct rd *r)
{
    uint8_t v = rd_u8(r);
    if (v > 1)
        r->bad = true;
    return v == 1;
}

/* Times are stored as 64 bits; negative ones (before 1970) are nobody's. */
struct wall_ms rd_time(struct rd *r)
{
    uint64_t v = rd_u64(r);
    if (v > INT64_MAX)
        r->bad = true;
    return (struct wall_ms){ r->bad ? 0 : (int64_t) v };
}

void wr_time(struct wr *w, struct wall_ms t)
{
    if (t.ms < 0)
        w->bad = true;
    wr_u64(w, (uint64_t) t.ms);
}

static bool text_ok(struct slice s)
{
    return utf8_valid(s) && (s.len == 0 || memchr(s.p, 0, s.len) == NULL);
}

void rd_chars(struct rd *r, char *dst, size_t cap)
{
    struct slice s = rd_bytes(r, rd_u8(r));
    memset(dst, 0, cap);
    if (s.len >= cap || !text_ok(s))
        r->bad = true;
    else if (s.len > 0)
        memcpy(dst, s.p, s.len);
}

void wr_chars(struct wr *w, const char *s, size_t cap)
{
    size_t len = strnlen(s, cap - 1);
    wr_u8(w, (uint8_t) len);
    wr_bytes(w, s, len);
}

struct slice rd_text16(struct rd *r, size_t max)
{
    struct slice s = rd_str16(r, max);
    if (!text_ok(s))
        r->bad = true;
    return s;
}

void rd_labels(struct rd *r, struct labels *l)
{
    memset(l, 0, sizeof *l);
    uint8_t n = rd_u8(r);
    if (n > ROLLOUT_LABELS_MAX)
        r->bad = true;
    for (unsigned i = 0; i < n && !r->bad; i++) {
        rd_name(r, &l->l[i].key);
        rd_row_name(r, &l->l[i].value);
        for (unsigned k = 0; k < i; k++)
            if (name_eq(&l->l[k].key, &l->l[i].key))
                r->bad = true;
        l->n++;
    }
}

void wr_labels(struct wr *w, const struct labels *l)
{
    wr_u8(w, l->n);
    for (unsigned i = 0; i < l->n; i++) {
        wr_name(w, &l->l[i].key);
        wr_name(w, &l->l[i].value);
    }
}
