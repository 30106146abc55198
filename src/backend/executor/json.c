/* json.c - the little JSON that values need: is it well-formed, one key of an object, quoting */
#include <ctype.h>
#include <stdio.h>

#include "backend/executor/datum.h"

#define JSON_DEPTH_MAX 64

struct cur {
    const uint8_t *p, *end;
};

static void blank(struct cur *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
        c->p++;
}

static bool eat(struct cur *c, char ch)
{
    if (c->p >= c->end || *c->p != (uint8_t) ch)
        return false;
    c->p++;
    return true;
}

static bool skip_string(struct cur *c)
{
    if (!eat(c, '"'))
        return false;
    while (c->p < c->end && *c->p != '"') {
        if (*c->p < 0x20)
            return false;
        if (*c->p == '\\') {
            c->p++;
            if (c->p >= c->end || memchr("\"\\/bfnrtu", *c->p, 9) == NULL)
                return false;
            if (*c->p == 'u') {
                for (int i = 1; i <= 4; i++) {
                    if (c->end - c->p <= i || !isxdigit(c->p[i]))
                        return false;
                }
                c->p += 4;
            }
        }
        c->p++;
    }
    return eat(c, '"');
}

static bool skip_digits(struct cur *c)
{
    const uint8_t *start = c->p;
    while (c->p < c->end && isdigit(*c->p))
        c->p++;
    return c->p > start;
}

static bool skip_number(struct cur *c)
{
    (void) eat(c, '-');
    if (c->end - c->p > 1 && c->p[0] == '0' && isdigit(c->p[1]))
        return false;
    if (!skip_digits(c) || (eat(c, '.') && !skip_digits(c)))
        return false;
    if (c->p < c->end && (*c->p | 0x20) == 'e') {
        c->p++;
        if (!eat(c, '+'))
            (void) eat(c, '-');
        return skip_digits(c);
    }
    return true;
}

static bool skip_word(struct cur *c, const char *w)
{
    size_t n = strlen(w);
    if ((size_t) (c->end - c->p) < n || memcmp(c->p, w, n) != 0)
        return false;
    c->p += n;
    return true;
}

static bool skip_value(struct cur *c, int depth);

static bool skip_members(struct cur *c, char close, bool keyed, int depth)
{
    blank(c);
    if (eat(c, close))
        return true;
    do {
        blank(c);
        if (keyed) {
            if (!skip_string(c))
                return false;
            blank(c);
            if (!eat(c, ':'))
                return false;
        }
        if (!skip_value(c, depth + 1))
            return false;
        blank(c);
    } while (eat(c, ','));
    return eat(c, close);
}

static bool skip_value(struct cur *c, int depth)
{
    blank(c);
    if (c->p >= c->end || depth > JSON_DEPTH_MAX)
        return false;
    switch (*c->p) {
    case '{': c->p++; return skip_members(c, '}', true, depth);
    case '[': c->p++; return skip_members(c, ']', false, depth);
    case '"': return skip_string(c);
    case 't': return skip_word(c, "true");
    case 'f': return skip_word(c, "false");
    case 'n': return skip_word(c, "null");
    default: return skip_number(c);
    }
}

bool json_valid(struct slice json)
{
    struct cur c = { json.p, json.p + json.len };
    if (json.len == 0 || !skip_value(&c, 0))
        return false;
    blank(&c);
    return c.p == c.end;
}

static int hex4(const uint8_t *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++)
        v = v * 16 + (isdigit(p[i]) ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    return v;
}

static size_t put_char(uint8_t *out, uint32_t c)
{
    if (c < 0x80)
        return out[0] = (uint8_t) c, 1;
    if (c < 0x800)
        return out[0] = (uint8_t) (0xc0 | c >> 6), out[1] = (uint8_t) (0x80 | (c & 63)), 2;
    if (c < 0x10000)
        return out[0] = (uint8_t) (0xe0 | c >> 12), out[1] = (uint8_t) (0x80 | (c >> 6 & 63)),
               out[2] = (uint8_t) (0x80 | (c & 63)), 3;
    return out[0] = (uint8_t) (0xf0 | c >> 18), out[1] = (uint8_t) (0x80 | (c >> 12 & 63)),
           out[2] = (uint8_t) (0x80 | (c >> 6 & 63)), out[3] = (uint8_t) (0x80 | (c & 63)), 4;
}

/* Body of a string that skip_string() accepted, without quotes. Never longer than its source. */
static struct slice unquote(struct arena *a, struct slice raw)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    uint8_t *out = arena_alloc(a, raw.len + 1);
    size_t n = 0;
    for (size_t i = 1; out != NULL && i + 1 < raw.len; i++) {
        if (raw.p[i] != '\\') {
            out[n++] = raw.p[i];
            continue;
        }
        i++;
        if (raw.p[i] == 'u') {
            uint32_t v = (uint32_t) hex4(raw.p + i + 1);
            i += 4;
            if (v >= 0xd800 && v < 0xdc00 && i + 6 < raw.len && raw.p[i + 1] == '\\' && raw.p[i + 2] == 'u') {
                uint32_t low = (uint32_t) hex4(raw.p + i + 3);
                v = 0x10000 + ((v - 0xd800) << 10) + ((low - 0xdc00) & 0x3ff);
                i += 6;
            } else if (v >= 0xd800 && v < 0xe000) {
                v = 0xfffd;
            }
            n += put_char(out + n, v == 0 ? 0xfffd : v);
        } else {
            const char *m = strchr(from, raw.p[i]);
            out[n++] = m != NULL ? (uint8_t) to[m - from] : raw.p[i];
        }
    }
    return slice_of(out, out ? n : 0);
}

bool json_get(struct arena *a, struct slice json, struct slice key, struct slice *out, bool *is_string, bool *is_null)
{
    struct cur c = { json.p, json.p + json.len };
    blank(&c);
    if (!eat(&c, '{'))
        return false;
    for (;;) {
        blank(&c);
        const uint8_t *k = c.p;
        if (!skip_string(&c))
            return false;
        struct slice raw = slice_of(k, (size_t) (c.p - k));
        bool plain = memchr(raw.p, '\\', raw.len) == NULL;
        struct slice name = plain ? slice_of(raw.p + 1, raw.len - 2) : unquote(a, raw);
        blank(&c);
        if (!eat(&c, ':'))
            return false;
        blank(&c);
        const uint8_t *v = c.p;
        if (!skip_value(&c, 1))
            return false;
        if (slice_eq(name, key)) {
            struct slice value = slice_of(v, (size_t) (c.p - v));
            *is_string = value.p[0] == '"';
            *is_null = value.p[0] == 'n';
            *out = *is_string ? unquote(a, value) : value;
            return true;
        }
        blank(&c);
        if (!eat(&c, ','))
            return false;
    }
}

void json_quote(struct wr *w, struct slice s)
{
    wr_u8(w, '"');
    for (size_t i = 0; i < s.len; i++) {
        uint8_t ch = s.p[i];
        if (ch == '"' || ch == '\\') {
            wr_u8(w, '\\');
            wr_u8(w, ch);
        } else if (ch < 0x20) {
            wr_printf(w, "\\u%04x", ch);
        } else {
            wr_u8(w, ch);
        }
    }
    wr_u8(w, '"');
}
