/* text.c - text in lines and words. */
#include "note_int.h"
#include "common/text.h"

bool line_take(struct slice *in, struct slice *line)
{
    return slice_until(in, '\n', line);
}

bool slice_skip(struct slice *s, const char *prefix)
{
    size_t n = strlen(prefix);
    if (s->len < n || memcmp(s->p, prefix, n) != 0)
        return false;
    *s = slice_of(s->p + n, s->len - n);
    return true;
}

bool slice_until(struct slice *s, uint8_t c, struct slice *out)
{
    const uint8_t *at = s->len ? memchr(s->p, c, s->len) : NULL;
    if (at == NULL)
        return false;
    *out = slice_of(s->p, (size_t) (at - s->p));
    *s = slice_of(at + 1, s->len - out->len - 1);
    return true;
}

bool decimal_parse(struct slice s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.len == 0 || s.len > 19 || (s.p[0] == '0' && s.len > 1))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t) (s.p[i] - '0');     /* 19 digits fit */
    }
    *out = v;
    return v <= INT64_MAX;
}

void wr_decimal(struct wr *out, uint64_t v)
{
    uint8_t digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (uint8_t) ('0' + v % 10);
    while ((v /= 10) > 0);
    wr_bytes(out, digits + at, sizeof digits - at);
}

bool hash_parse(struct slice s, struct hash32 *out)
{
    return base64_decode(out->b, sizeof out->b, s) == (long) sizeof out->b;
}

/* In pieces whose lengths are multiples of three, so that only the last one is padded. */
void wr_base64(struct wr *out, const void *p, size_t len)
{
    char text[68];
    for (size_t at = 0; at < len; at += 48) {
        size_t n = len - at < 48 ? len - at : 48;
        wr_bytes(out, text, base64_encode(text, (const uint8_t *) p + at, n));
    }
}

bool note_text_ok(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < 0x20 && s.p[i] != '\n')
            return false;
    return utf8_valid(s);
}
