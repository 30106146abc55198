/* datum_text.c - the text format of every type, both directions */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <arpa/inet.h>

#include "backend/executor/datum_int.h"
#include "common/text.h"

/* Shortest form that reads back as the same number. */
static void shortest(char *buf, size_t cap, uint32_t oid, double f)
{
    for (int digits = oid == T_FLOAT4 ? 6 : 15; digits <= 17; digits++) {
        snprintf(buf, cap, "%.*g", digits, f);
        if (oid == T_FLOAT4 ? strtof(buf, NULL) == (float) f : strtod(buf, NULL) == f)
            break;
    }
}

void numeric_text(char *buf, size_t cap, double f)
{
    shortest(buf, cap, T_NUMERIC, f);
    if (strchr(buf, 'e') == NULL)
        return;
    int n = snprintf(buf, cap, f < 1 && f > -1 ? "%.20f" : "%.0f", f);
    if (strchr(buf, '.') == NULL || n >= (int) cap)
        return;
    while (n > 1 && buf[n - 1] == '0')
        buf[--n] = '\0';
    if (buf[n - 1] == '.')
        buf[n - 1] = '\0';
}

static void float_print(struct wr *w, uint32_t oid, double f)
{
    char buf[NUMERIC_TEXT_MAX];
    if (isnan(f) || isinf(f)) {
        wr_text(w, isnan(f) ? "NaN" : f > 0 ? "Infinity" : "-Infinity");
        return;
    }
    if (oid == T_NUMERIC)
        numeric_text(buf, sizeof buf, f);
    else
        shortest(buf, sizeof buf, oid, f);
    wr_text(w, buf);
}

static void bytea_print(struct wr *w, struct slice s)
{
    static const char hex[] = "0123456789abcdef";
    wr_text(w, "\\x");
    for (size_t i = 0; i < s.len; i++) {
        wr_u8(w, (uint8_t) hex[s.p[i] >> 4]);
        wr_u8(w, (uint8_t) hex[s.p[i] & 15]);
    }
}

static bool needs_quotes(struct slice s)
{
    if (s.len == 0 || (s.len == 4 && strncasecmp((const char *) s.p, "null", 4) == 0))
        return true;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] <= ' ' || strchr("{},\"\\", s.p[i]) != NULL)
            return true;
    }
    return false;
}

bool texts_print(struct wr *w, const struct datum *d)
{
    wr_u8(w, '{');
    for (int i = 0; i < d->texts.n; i++) {
        struct slice s = d->texts.v[i];
        if (i > 0)
            wr_u8(w, ',');
        if (s.p == NULL) {
            wr_text(w, "NULL");
        } else if (!needs_quotes(s)) {
            wr_bytes(w, s.p, s.len);
        } else {
            wr_u8(w, '"');
            for (size_t k = 0; k < s.len; k++) {
                if (s.p[k] == '"' || s.p[k] == '\\')
                    wr_u8(w, '\\');
                wr_u8(w, s.p[k]);
            }
            wr_u8(w, '"');
        }
    }
    wr_u8(w, '}');
    return !w->bad;
}

bool datum_out_text(struct wr *w, uint32_t oid, const struct datum *d)
{
    switch (d->kind) {
    case D_NULL: return false;
    case D_BOOL: wr_text(w, oid == T_BOOL ? (d->b ? "t" : "f") : (d->b ? "true" : "false")); break;
    case D_INT: wr_printf(w, "%lld", (long long) d->i); break;
    case D_FLOAT: float_print(w, oid, d->f); break;
    case D_TEXT:
    case D_JSON: wr_bytes(w, d->s.p, d->s.len); break;
    case D_BYTEA: bytea_print(w, d->s); break;
    case D_TIME: time_print(w, oid, d->us); break;
    case D_INTERVAL: interval_print(w, &d->iv); break;
    case D_TEXTS: return texts_print(w, d);
    }
    return !w->bad;
}

/* ---- in ---- */

static enum reeve_err bad_text(uint32_t oid, struct slice in, struct report *rep)
{
    const struct type_info *t = type_by_oid(oid);
    int n = in.len > 64 ? 64 : (int) in.len;
    return report_set(rep, REEVE_E_INVALID_TEXT, "invalid input syntax for type %s: \"%.*s\"", t ? t->name : "?", n,
                      (const char *) in.p);
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.p[0] == ' ' || (s.p[0] >= '\t' && s.p[0] <= '\r')))
        s = slice_of(s.p + 1, s.len - 1);
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || (s.p[s.len - 1] >= '\t' && s.p[s.len - 1] <= '\r')))
        s.len--;
    return s;
}

static bool bool_parse(struct slice s, bool *out)
{
    static const char *const yes[] = { "true", "t", "yes", "y", "on", "1" }, *const no[] = { "false", "f", "no", "n", "off", "0" };
    for (size_t i = 0; i < 6; i++) {
        if (s.len == strlen(yes[i]) && strncasecmp((const char *) s.p, yes[i], s.len) == 0)
            return *out = true, true;
        if (s.len == strlen(no[i]) && strncasecmp((const char *) s.p, no[i], s.len) == 0)
            return *out = false, true;
    }
    return false;
}

static enum reeve_err int_parse(uint32_t oid, struct slice in, struct datum *out, struct report *rep)
{
    char buf[32], *end;
    if (in.len == 0 || in.len >= sizeof buf)
        return bad_text(oid, in, rep);
    memcpy(buf, in.p, in.len);
    buf[in.len] = '\0';
    errno = 0;
    long long v = strtoll(buf, &end, 10);
    if (*end != '\0' || end == buf || buf[0] == ' ')
        return bad_text(oid, in, rep);
    if (errno != 0 || !datum_int_fits(oid, v))
        return report_set(rep, REEVE_E_OUT_OF_RANGE, "value \"%s\" is out of range for type %s", buf,
                          type_by_oid(oid)->name);
    *out = d_int(v);
    return REEVE_OK;
}

static enum reeve_err float_parse(uint32_t oid, struct slice in, struct datum *out, struct report *rep)
{
    char buf[340], *end;
    if (in.len == 0 || in.len >= sizeof buf || memchr(in.p, 'x', in.len) != NULL || memchr(in.p, 'X', in.len) != NULL)
        return bad_text(oid, in, rep);
    memcpy(buf, in.p, in.len);
    buf[in.len] = '\0';
    double f = strtod(buf, &end);
    if (*end != '\0' || end == buf)
        return bad_text(oid, in, rep);
    *out = d_float(f);
    return REEVE_OK;
}

static enum reeve_err bytea_parse(struct arena *a, struct slice in, struct datum *out, struct report *rep)
{
    if (in.len < 2 || in.p[0] != '\\' || in.p[1] != 'x') {
        if (memchr(in.p ? (const void *) in.p : "", '\\', in.len) != NULL)
            return report_set(rep, REEVE_E_INVALID_TEXT, "invalid input syntax for type bytea");
        *out = d_bytes(arena_copy(a, in));
        return REEVE_OK;
    }
    size_t n = (in.len - 2) / 2;
    uint8_t *p = arena_alloc(a, n + 1);
    if (p == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    if ((in.len & 1) != 0 || !hex_decode(p, n, slice_of(in.p + 2, in.len - 2)))
        return report_set(rep, REEVE_E_INVALID_TEXT, "invalid hexadecimal data for type bytea");
    *out = d_bytes(slice_of(p, n));
    return REEVE_OK;
}

/* One element from *at; false when malformed. p stays NULL for an unquoted NULL. */
static bool take_element(struct arena *a, struct slice in, size_t *at, struct slice *out)
{
    bool quoted = *at < in.len && in.p[*at] == '"';
    char *buf = arena_alloc(a, in.len - *at + 1);
    size_t n = 0, i = *at + quoted;
    if (buf == NULL)
        return false;
    for (; i < in.len; i++) {
        if (quoted ? in.p[i] == '"' : in.p[i] == ',' || in.p[i] == '}')
            break;
        if (in.p[i] == '\\' && ++i >= in.len)
            return false;
        if (!quoted && (in.p[i] == '{' || in.p[i] == '"'))
            return false;
        buf[n++] = (char) in.p[i];
    }
    *at = i + quoted;
    *out = slice_of(buf, n);
    if (!quoted && n == 4 && strncasecmp(buf, "null", 4) == 0)
        *out = slice_of(NULL, 0);
    return i < in.len && (quoted || n > 0);
}

#define TEXTS_MAX 10000
enum reeve_err texts_parse(struct arena *a, struct slice in, struct datum *out, struct report *rep)
{
    struct slice *v = NULL;
    int n = 0;
    size_t at = 1, commas = 1;
    for (size_t i = 0; i < in.len; i++)
        commas += in.p[i] == ',';
    if (in.len < 2 || in.p[0] != '{' || in.p[in.len - 1] != '}')
        return bad_text(T_TEXT_ARRAY, in, rep);
    if (commas > TEXTS_MAX)
        return report_set(rep, REEVE_E_TOO_COMPLEX, "array is longer than %d", TEXTS_MAX);
    if ((v = arena_alloc(a, commas * sizeof *v)) == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    while (in.len > 2) {
        if (!take_element(a, in, &at, &v[n++]))
            return bad_text(T_TEXT_ARRAY, in, rep);
        if (at == in.len - 1 && in.p[at] == '}')
            break;
        if (at >= in.len - 1 || in.p[at++] != ',')
            return bad_text(T_TEXT_ARRAY, in, rep);
    }
    *out = (struct datum){ .kind = D_TEXTS, .texts = { n, v } };
    return REEVE_OK;
}

static bool uuid_ok(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        uint8_t c = s.p[i] | 0x20;
        if (dash ? s.p[i] != '-' : !((s.p[i] >= '0' && s.p[i] <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return s.len == 36;
}

static bool inet_ok(struct slice s)
{
    char buf[64];
    uint8_t addr[16];
    if (s.len == 0 || s.len >= sizeof buf)
        return false;
    memcpy(buf, s.p, s.len);
    buf[s.len] = '\0';
    char *slash = strchr(buf, '/');
    if (slash != NULL)
        *slash = '\0';
    return inet_pton(strchr(buf, ':') ? AF_INET6 : AF_INET, buf, addr) == 1;
}

static enum reeve_err text_parse(struct arena *a, uint32_t oid, struct slice in, struct datum *out, struct report *rep)
{
    if (!utf8_valid(in) || (in.len > 0 && memchr(in.p, 0, in.len) != NULL))
        return report_set(rep, REEVE_E_ENCODING, "invalid byte sequence for encoding \"UTF8\"");
    if ((oid == T_UUID && !uuid_ok(in)) || (oid == T_INET && !inet_ok(in)))
        return bad_text(oid, in, rep);
    const char *p = arena_strndup(a, in.p ? (const void *) in.p : "", in.len);
    *out = d_text(slice_of(p, in.len));
    return p != NULL ? REEVE_OK : report_set(rep, REEVE_E_NOMEM, "out of memory");
}

enum reeve_err datum_in_text(struct arena *a, uint32_t oid, struct slice in, struct datum *out, struct report *rep)
{
    const struct type_info *t = type_by_oid(oid);
    struct slice s = trim(in);
    bool b;
    enum reeve_err err;
    switch (t ? t->kind : D_TEXT) {
    case D_BOOL:
        *out = d_bool(bool_parse(s, &b) && b);
        return bool_parse(s, &b) ? REEVE_OK : bad_text(oid, in, rep);
    case D_INT: return int_parse(oid, s, out, rep);
    case D_FLOAT: return float_parse(oid, s, out, rep);
    case D_BYTEA: return bytea_parse(a, in, out, rep);
    case D_TIME:
        *out = d_time_us(0);
        return time_parse(s, 0, &out->us) ? REEVE_OK : bad_text(oid, in, rep);
    case D_INTERVAL:
        *out = (struct datum){ .kind = D_INTERVAL };
        return interval_parse(s, &out->iv) ? REEVE_OK : bad_text(oid, in, rep);
    case D_TEXTS: return texts_parse(a, s, out, rep);
    case D_JSON:
        if (!json_valid(s))
            return bad_text(oid, in, rep);
        err = text_parse(a, T_TEXT, s, out, rep);
        out->kind = D_JSON;
        return err;
    default: return text_parse(a, oid, in, out, rep);
    }
}
