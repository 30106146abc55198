/* datum_binary.c - the binary format of every type, both directions (big endian, as PostgreSQL's send/recv) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <arpa/inet.h>

#include "backend/executor/datum_int.h"
#include "common/text.h"

static uint64_t float_bits(double f)
{
    uint64_t v;
    memcpy(&v, &f, sizeof v);
    return v;
}

static uint32_t float4_bits(double f)
{
    float g = (float) f;
    uint32_t v;
    memcpy(&v, &g, sizeof v);
    return v;
}

static bool out_int(struct wr *w, uint32_t oid, int64_t v)
{
    if (!datum_int_fits(oid, v))
        return false;
    if (oid == T_INT2)
        wr_u16(w, (uint16_t) v);
    else if (oid == T_INT4 || oid == T_OID)
        wr_u32(w, (uint32_t) v);
    else
        wr_u64(w, (uint64_t) v);
    return true;
}

/* ndigits, weight, sign, dscale, base-10000 digits; made from the text form. */
static bool out_numeric(struct wr *w, double f)
{
    char text[NUMERIC_TEXT_MAX];
    uint16_t digits[128];
    if (isnan(f) || isinf(f)) {
        wr_u32(w, 0);
        wr_u16(w, isnan(f) ? 0xc000 : f > 0 ? 0xd000 : 0xf000);
        wr_u16(w, 0);
        return true;
    }
    numeric_text(text, sizeof text, f < 0 ? -f : f);
    int len = (int) strlen(text);
    char *dot = strchr(text, '.');
    if (dot == NULL)
        dot = text + len;
    int whole = (int) (dot - text), scale = *dot == '.' ? len - whole - 1 : 0, groups = (whole + 3) / 4, n = 0;
    for (int g = 0; g < groups + (scale + 3) / 4; g++) {
        int v = 0;
        for (int k = 0; k < 4; k++) {
            int at = g < groups ? whole - (groups - g) * 4 + k : whole + 1 + (g - groups) * 4 + k;
            v = v * 10 + (at >= 0 && at < len && text[at] != '.' ? text[at] - '0' : 0);
        }
        digits[n++] = (uint16_t) v;
    }
    int from = 0;
    while (from < n && digits[from] == 0)
        from++;
    while (n > from && digits[n - 1] == 0)
        n--;
    wr_u16(w, (uint16_t) (n - from));
    wr_u16(w, (uint16_t) (n > from ? groups - 1 - from : 0));
    wr_u16(w, f < 0 ? 0x4000 : 0);
    wr_u16(w, (uint16_t) scale);
    for (int i = from; i < n; i++)
        wr_u16(w, digits[i]);
    return true;
}

static bool out_float(struct wr *w, uint32_t oid, double f)
{
    if (oid == T_NUMERIC)
        return out_numeric(w, f);
    if (oid == T_FLOAT4)
        wr_u32(w, float4_bits(f));
    else
        wr_u64(w, float_bits(f));
    return true;
}

static bool out_texts(struct wr *w, const struct datum *d)
{
    bool nulls = false;
    for (int i = 0; i < d->texts.n; i++)
        nulls |= d->texts.v[i].p == NULL;
    wr_u32(w, d->texts.n > 0);
    wr_u32(w, nulls);
    wr_u32(w, T_TEXT);
    if (d->texts.n > 0) {
        wr_u32(w, (uint32_t) d->texts.n);
        wr_u32(w, 1);
    }
    for (int i = 0; i < d->texts.n; i++) {
        if (d->texts.v[i].p == NULL)
            wr_u32(w, UINT32_MAX);
        else
            wr_str32(w, d->texts.v[i]);
    }
    return true;
}

static bool out_uuid(struct wr *w, struct slice s)
{
    char hex[33];
    size_t n = 0;
    uint8_t b[16];
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] != '-' && n < 32)
            hex[n++] = (char) (s.p[i] >= 'A' && s.p[i] <= 'F' ? s.p[i] | 0x20 : s.p[i]);
    }
    if (n != 32 || !hex_decode(b, 16, slice_of(hex, 32)))
        return false;
    wr_bytes(w, b, 16);
    return true;
}

static bool out_inet(struct wr *w, struct slice s)
{
    char buf[64];
    uint8_t addr[16];
    if (s.len == 0 || s.len >= sizeof buf)
        return false;
    memcpy(buf, s.p, s.len);
    buf[s.len] = '\0';
    char *slash = strchr(buf, '/');
    bool six = strchr(buf, ':') != NULL;
    if (slash != NULL)
        *slash = '\0';
    if (inet_pton(six ? AF_INET6 : AF_INET, buf, addr) != 1)
        return false;
    wr_u8(w, six ? 3 : 2);
    wr_u8(w, slash ? (uint8_t) atoi(slash + 1) : six ? 128 : 32);
    wr_u8(w, 0);
    wr_u8(w, six ? 16 : 4);
    wr_bytes(w, addr, six ? 16 : 4);
    return true;
}

static bool out_text(struct wr *w, uint32_t oid, const struct datum *d)
{
    if (oid == T_UUID)
        return out_uuid(w, d->s);
    if (oid == T_INET)
        return out_inet(w, d->s);
    if (oid == T_JSONB)
        wr_u8(w, 1);
    wr_bytes(w, d->s.p, d->s.len);
    return true;
}

static void out_time(struct wr *w, uint32_t oid, int64_t us)
{
    if (oid != T_DATE)
        wr_u64(w, (uint64_t) us);
    else if (us == INT64_MAX || us == INT64_MIN)
        wr_u32(w, us > 0 ? 0x7fffffffu : 0x80000000u);
    else
        wr_u32(w, (uint32_t) (int32_t) (us / DAY_US - (us % DAY_US < 0)));
}

bool datum_out_binary(struct wr *w, uint32_t oid, const struct datum *d)
{
    const struct type_info *t = type_by_oid(oid);
    bool textual = d->kind == D_TEXT || d->kind == D_JSON;
    if (t == NULL || (t->kind != d->kind && !(textual && (t->kind == D_TEXT || t->kind == D_JSON))))
        return false;
    bool ok = true;
    switch (d->kind) {
    case D_NULL: return false;
    case D_BOOL: wr_u8(w, d->b); break;
    case D_INT: ok = out_int(w, oid, d->i); break;
    case D_FLOAT: ok = out_float(w, oid, d->f); break;
    case D_TEXT:
    case D_JSON: ok = out_text(w, oid, d); break;
    case D_BYTEA: wr_bytes(w, d->s.p, d->s.len); break;
    case D_TIME: out_time(w, oid, d->us); break;
    case D_INTERVAL:
        wr_u64(w, (uint64_t) d->iv.us);
        wr_u32(w, (uint32_t) d->iv.days);
        wr_u32(w, (uint32_t) d->iv.months);
        break;
    case D_TEXTS: ok = out_texts(w, d); break;
    }
    return ok && !w->bad;
}

/* ---- in ---- */

static bool in_int(struct rd *r, uint32_t oid, struct datum *out)
{
    if (oid == T_INT2)
        *out = d_int((int16_t) rd_u16(r));
    else if (oid == T_INT4)
        *out = d_int((int32_t) rd_u32(r));
    else if (oid == T_OID)
        *out = d_int(rd_u32(r));
    else
        *out = d_int((int64_t) rd_u64(r));
    return true;
}

static double pow10000(int n)
{
    double f = 1;
    for (int i = n < 0 ? -n : n; i > 0 && f < 1e300; i--)
        f *= 10000;
    return n < 0 ? 1 / f : f;
}

static bool in_numeric(struct rd *r, double *f)
{
    int n = rd_u16(r), weight = (int16_t) rd_u16(r), sign = rd_u16(r);
    rd_u16(r);
    *f = 0;
    if (sign == 0xc000 || sign == 0xd000 || sign == 0xf000) {
        *f = sign == 0xc000 ? NAN : sign == 0xd000 ? INFINITY : -INFINITY;
        return true;
    }
    if (sign != 0 && sign != 0x4000)
        return false;
    for (int i = 0; i < n && !r->bad; i++) {
        int d = rd_u16(r);
        if (d > 9999)
            return false;
        *f += d * pow10000(weight - i);
    }
    *f = sign != 0 ? -*f : *f;
    return true;
}

static bool in_float(struct rd *r, uint32_t oid, struct datum *out)
{
    double f;
    if (oid == T_NUMERIC) {
        if (!in_numeric(r, &f))
            return false;
    } else if (oid == T_FLOAT4) {
        uint32_t v = rd_u32(r);
        float g;
        memcpy(&g, &v, sizeof g);
        f = g;
    } else {
        uint64_t v = rd_u64(r);
        memcpy(&f, &v, sizeof f);
    }
    *out = d_float(f);
    return true;
}

static bool in_texts(struct arena *a, struct rd *r, struct datum *out)
{
    uint32_t dims = rd_u32(r);
    rd_u32(r);
    rd_u32(r);
    uint32_t n = dims == 1 ? rd_u32(r) : 0;
    if (dims > 1 || n > 10000 || n > rd_left(r) / 4 + 1)
        return false;
    if (dims == 1)
        rd_u32(r);
    struct slice *v = arena_alloc(a, (n + 1) * sizeof *v);
    if (v == NULL)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t len = rd_u32(r);
        if (len == UINT32_MAX)
            continue;
        struct slice s = rd_bytes(r, len);
        const char *p = r->bad || !utf8_valid(s) ? NULL : arena_strndup(a, s.p, s.len);
        if (p == NULL)
            return false;
        v[i] = slice_of(p, s.len);
    }
    *out = (struct datum){ .kind = D_TEXTS, .texts = { (int) n, v } };
    return true;
}

static bool in_uuid(struct arena *a, struct rd *r, struct datum *out)
{
    uint8_t b[16];
    char h[33];
    rd_copy(r, b, 16);
    hex_encode(h, b, 16);
    const char *s = arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
    *out = d_str(s);
    return s != NULL;
}

static bool in_inet(struct arena *a, struct rd *r, struct datum *out)
{
    char buf[INET6_ADDRSTRLEN];
    int family = rd_u8(r), bits = rd_u8(r);
    rd_u8(r);
    int n = rd_u8(r);
    bool six = family == 3;
    if ((!six && family != 2) || n != (six ? 16 : 4) || bits > n * 8)
        return false;
    struct slice s = rd_bytes(r, (size_t) n);
    if (r->bad || inet_ntop(six ? AF_INET6 : AF_INET, s.p, buf, sizeof buf) == NULL)
        return false;
    const char *t = bits == n * 8 ? arena_strdup(a, buf) : arena_printf(a, "%s/%d", buf, bits);
    *out = d_str(t);
    return t != NULL;
}

static bool in_time(struct rd *r, uint32_t oid, struct datum *out)
{
    if (oid != T_DATE) {
        *out = d_time_us((int64_t) rd_u64(r));
        return true;
    }
    int32_t days = (int32_t) rd_u32(r);
    *out = d_time_us(days == INT32_MAX ? INT64_MAX : days == INT32_MIN ? INT64_MIN : days * DAY_US);
    return true;
}

static bool in_text(struct arena *a, struct rd *r, uint32_t oid, enum dkind kind, struct datum *out)
{
    if (oid == T_UUID)
        return in_uuid(a, r, out);
    if (oid == T_INET)
        return in_inet(a, r, out);
    if (oid == T_JSONB && rd_u8(r) != 1)
        return false;
    struct slice s = rd_bytes(r, rd_left(r));
    bool ok = kind == D_JSON ? json_valid(s) && utf8_valid(s)
                             : utf8_valid(s) && (s.len == 0 || memchr(s.p, 0, s.len) == NULL);
    const char *p = ok ? arena_strndup(a, s.p ? (const void *) s.p : "", s.len) : NULL;
    *out = (struct datum){ .kind = kind, .s = slice_of(p, s.len) };
    return p != NULL;
}

static bool in_any(struct arena *a, struct rd *r, uint32_t oid, const struct type_info *t, struct datum *out)
{
    switch (t ? t->kind : D_TEXT) {
    case D_BOOL: *out = d_bool(rd_u8(r) != 0); return true;
    case D_INT: return in_int(r, oid, out);
    case D_FLOAT: return in_float(r, oid, out);
    case D_TIME: return in_time(r, oid, out);
    case D_TEXTS: return in_texts(a, r, out);
    case D_BYTEA:
        *out = d_bytes(arena_copy(a, rd_bytes(r, rd_left(r))));
        return true;
    case D_INTERVAL:
        *out = (struct datum){ .kind = D_INTERVAL };
        out->iv.us = (int64_t) rd_u64(r);
        out->iv.days = (int32_t) rd_u32(r);
        out->iv.months = (int32_t) rd_u32(r);
        return true;
    default: return in_text(a, r, oid, t ? t->kind : D_TEXT, out);
    }
}

enum reeve_err datum_in_binary(struct arena *a, uint32_t oid, struct slice in, struct datum *out, struct report *rep)
{
    const struct type_info *t = type_by_oid(oid);
    struct rd r = rd_of(in);
    if (in_any(a, &r, oid, t, out) && rd_done(&r))
        return REEVE_OK;
    return report_set(rep, REEVE_E_INVALID_BINARY, "invalid binary value for type %s", t ? t->name : "unknown");
}
