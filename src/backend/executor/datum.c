/* datum.c - the type table; copying, comparing, hashing and casting of values */
#include "backend/executor/datum.h"

#include <math.h>

#include "backend/executor/datum_int.h"

static const struct type_info types[] = {
    { T_BOOL, "bool", 1, D_BOOL }, { T_BYTEA, "bytea", -1, D_BYTEA }, { T_NAME, "name", 64, D_TEXT },
    { T_INT8, "int8", 8, D_INT }, { T_INT2, "int2", 2, D_INT }, { T_INT4, "int4", 4, D_INT },
    { T_TEXT, "text", -1, D_TEXT }, { T_OID, "oid", 4, D_INT }, { T_JSON, "json", -1, D_JSON },
    { T_FLOAT4, "float4", 4, D_FLOAT }, { T_FLOAT8, "float8", 8, D_FLOAT }, { T_UNKNOWN, "unknown", -2, D_TEXT },
    { T_INET, "inet", -1, D_TEXT }, { T_TEXT_ARRAY, "_text", -1, D_TEXTS }, { T_VARCHAR, "varchar", -1, D_TEXT },
    { T_DATE, "date", 4, D_TIME }, { T_TIMESTAMP, "timestamp", 8, D_TIME },
    { T_TIMESTAMPTZ, "timestamptz", 8, D_TIME }, { T_INTERVAL, "interval", 16, D_INTERVAL },
    { T_NUMERIC, "numeric", -1, D_FLOAT }, { T_REGCLASS, "regclass", 4, D_TEXT }, { T_VOID, "void", 4, D_TEXT },
    { T_UUID, "uuid", 16, D_TEXT }, { T_JSONB, "jsonb", -1, D_JSON },
};
#define NTYPES ((int) (sizeof types / sizeof types[0]))

static const struct { const char *alias; uint32_t oid; } aliases[] = {
    { "boolean", T_BOOL }, { "bigint", T_INT8 }, { "smallint", T_INT2 }, { "int", T_INT4 }, { "integer", T_INT4 },
    { "real", T_FLOAT4 }, { "float", T_FLOAT8 }, { "double precision", T_FLOAT8 }, { "decimal", T_NUMERIC },
    { "character varying", T_VARCHAR }, { "char", T_TEXT }, { "bpchar", T_TEXT }, { "character", T_TEXT },
    { "timestamp with time zone", T_TIMESTAMPTZ }, { "timestamp without time zone", T_TIMESTAMP },
    { "regtype", T_REGCLASS }, { "regnamespace", T_REGCLASS }, { "regproc", T_REGCLASS }, { "cstring", T_TEXT },
};

const struct type_info *type_at(int i) { return i >= 0 && i < NTYPES ? &types[i] : NULL; }

const struct type_info *type_by_oid(uint32_t oid)
{
    for (int i = 0; i < NTYPES; i++) {
        if (types[i].oid == oid)
            return &types[i];
    }
    return NULL;
}

const struct type_info *type_by_name(const char *name, bool array)
{
    const struct type_info *t = NULL;
    for (int i = 0; i < NTYPES && t == NULL; i++) {
        if (strcmp(types[i].name, name) == 0)
            t = &types[i];
    }
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0] && t == NULL; i++) {
        if (strcmp(aliases[i].alias, name) == 0)
            t = type_by_oid(aliases[i].oid);
    }
    if (!array || t == NULL)
        return t;
    return t->kind == D_TEXT ? type_by_oid(T_TEXT_ARRAY) : NULL;
}

/* ---- copies ---- */

static bool copy_texts(struct arena *a, struct datum *dst, const struct datum *src)
{
    struct slice *v = arena_alloc(a, sizeof *v * (size_t) (src->texts.n ? src->texts.n : 1));
    if (v == NULL)
        return false;
    for (int i = 0; i < src->texts.n; i++) {
        if (src->texts.v[i].p == NULL)
            continue;
        const char *p = arena_strndup(a, src->texts.v[i].p, src->texts.v[i].len);
        if (p == NULL)
            return false;
        v[i] = slice_of(p, src->texts.v[i].len);
    }
    dst->texts.v = v;
    return true;
}

bool datum_copy(struct arena *a, struct datum *dst, const struct datum *src)
{
    *dst = *src;
    switch (src->kind) {
    case D_TEXT:
    case D_BYTEA:
    case D_JSON: {
        const char *p = arena_strndup(a, src->s.p ? (const void *) src->s.p : "", src->s.len);
        dst->s.p = (const uint8_t *) p;
        return p != NULL;
    }
    case D_TEXTS:
        return copy_texts(a, dst, src);
    default:
        return true;
    }
}

struct datum d_wall(struct wall_ms t)
{
    int64_t us;
    if (t.ms == 0)
        return d_null();
    if (__builtin_sub_overflow(t.ms, EPOCH_MS, &us) || __builtin_mul_overflow(us, 1000, &us))
        return d_time_us(t.ms > 0 ? INT64_MAX : INT64_MIN);
    return d_time_us(us);
}

struct wall_ms datum_wall(const struct datum *d)
{
    int64_t ms = d->us / 1000 - (d->us % 1000 < 0);
    return (struct wall_ms){ ms + EPOCH_MS };
}

/* ---- order ---- */

static int cmp_int(int64_t a, int64_t b) { return a < b ? -1 : a > b; }

static int cmp_float(double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) - isnan(b);
    return a < b ? -1 : a > b;
}

static int cmp_slice(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return c != 0 ? (c < 0 ? -1 : 1) : cmp_int((int64_t) a.len, (int64_t) b.len);
}

static int cmp_texts(const struct datum *a, const struct datum *b)
{
    for (int i = 0; i < a->texts.n && i < b->texts.n; i++) {
        int c = cmp_slice(a->texts.v[i], b->texts.v[i]);
        if (c != 0)
            return c;
    }
    return cmp_int(a->texts.n, b->texts.n);
}

/* 30-day months, 24-hour days; 128 bits so that nothing overflows. */
static int cmp_interval(const struct interval *a, const struct interval *b)
{
    __int128 x = (__int128) (a->months * 30LL + a->days) * 86400000000LL + a->us;
    __int128 y = (__int128) (b->months * 30LL + b->days) * 86400000000LL + b->us;
    return x < y ? -1 : x > y;
}

static bool is_text(const struct datum *d) { return d->kind == D_TEXT || d->kind == D_JSON; }
static bool is_number(const struct datum *d) { return d->kind == D_INT || d->kind == D_FLOAT; }
static double as_float(const struct datum *d) { return d->kind == D_INT ? (double) d->i : d->f; }

bool datum_cmp(const struct datum *a, const struct datum *b, int *order)
{
    if (is_number(a) && is_number(b)) {
        bool ints = a->kind == D_INT && b->kind == D_INT;
        *order = ints ? cmp_int(a->i, b->i) : cmp_float(as_float(a), as_float(b));
        return true;
    }
    if (is_text(a) && is_text(b)) {
        *order = cmp_slice(a->s, b->s);
        return true;
    }
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case D_BOOL: *order = cmp_int(a->b, b->b); return true;
    case D_BYTEA: *order = cmp_slice(a->s, b->s); return true;
    case D_TIME: *order = cmp_int(a->us, b->us); return true;
    case D_INTERVAL: *order = cmp_interval(&a->iv, &b->iv); return true;
    case D_TEXTS: *order = cmp_texts(a, b); return true;
    default: return false;
    }
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
    return h ^ h >> 29;
}

static uint64_t mix_slice(uint64_t h, struct slice s)
{
    while (s.len >= 8) {
        uint64_t v;
        memcpy(&v, s.p, 8);
        h = mix(h, v);
        s = slice_of(s.p + 8, s.len - 8);
    }
    uint64_t tail = s.len;
    for (size_t i = 0; i < s.len; i++)
        tail = tail << 8 | s.p[i];
    return mix(h, tail);
}

/* Equal values hash alike, also 1 and 1.0. */
uint64_t datum_hash(const struct datum *d, uint64_t seed)
{
    uint64_t bits = 0;
    double f;
    switch (d->kind) {
    case D_NULL: return mix(seed, 0x5bd1e995);
    case D_BOOL: return mix(seed, d->b + 1u);
    case D_INT:
    case D_FLOAT:
        f = as_float(d) + 0.0;      /* -0.0 becomes 0.0 */
        if (isnan(f))
            return mix(seed, 0x7ff8);
        memcpy(&bits, &f, sizeof bits);
        return mix(seed, bits);
    case D_TEXT:
    case D_JSON:
    case D_BYTEA: return mix_slice(seed, d->s);
    case D_TIME: return mix(seed, (uint64_t) d->us);
    case D_INTERVAL:
        return mix(seed, (uint64_t) (d->iv.us + (d->iv.months * 30LL + d->iv.days) * 86400000000LL));
    case D_TEXTS:
        for (int i = 0; i < d->texts.n; i++)
            seed = mix_slice(seed, d->texts.v[i]);
        return mix(seed, (uint64_t) d->texts.n);
    }
    return seed;
}

/* ---- casts ---- */

static enum reeve_err to_int(const struct datum *in, uint32_t to, struct datum *out, struct report *rep)
{
    int64_t v;
    if (in->kind == D_FLOAT) {
        if (!(in->f >= -9223372036854775808.0 && in->f < 9223372036854775808.0))
            return report_set(rep, REEVE_E_OUT_OF_RANGE, "%s out of range", type_by_oid(to)->name);
        v = float_nearest(in->f);
    } else {
        v = in->kind == D_BOOL ? in->b : in->i;
    }
    *out = d_int(v);
    return datum_int_fits(to, v) ? REEVE_OK
                                 : report_set(rep, REEVE_E_OUT_OF_RANGE, "%s out of range", type_by_oid(to)->name);
}

static enum reeve_err to_text(struct arena *a, uint32_t from, const struct datum *in, struct datum *out,
                              struct report *rep)
{
    struct wr w = wr_heap(16u << 20);
    enum reeve_err err = REEVE_OK;
    if (in->kind == D_BOOL) {           /* "t" is how one is sent, "true" is what a cast says */
        wr_free(&w);
        *out = d_str(in->b ? "true" : "false");
        return REEVE_OK;
    }
    if (!datum_out_text(&w, from, in))
        err = report_set(rep, REEVE_E_TOO_COMPLEX, "value is too long");
    struct slice s = arena_copy(a, wr_slice(&w));
    if (err == REEVE_OK && s.p == NULL && w.len > 0)
        err = report_set(rep, REEVE_E_NOMEM, "out of memory");
    wr_free(&w);
    *out = d_text(s.p ? s : slice_str(""));
    return err;
}

static int64_t day_floor(int64_t us)
{
    int64_t d = us / DAY_US;
    return (us % DAY_US < 0 ? d - 1 : d) * DAY_US;
}

enum reeve_err datum_cast(struct arena *a, uint32_t from, const struct datum *in, uint32_t to, struct datum *out,
                          struct report *rep)
{
    const struct type_info *ti = type_by_oid(to);
    *out = *in;
    if (in->kind == D_NULL || ti == NULL)
        return REEVE_OK;
    if (to == T_REGCLASS)
        return in->kind == D_TEXT ? REEVE_OK : to_text(a, from, in, out, rep);
    if (ti->kind == D_INT && (in->kind == D_INT || in->kind == D_FLOAT || in->kind == D_BOOL))
        return to_int(in, to, out, rep);
    if (ti->kind == D_FLOAT && (in->kind == D_INT || in->kind == D_FLOAT)) {
        *out = d_float(in->kind == D_INT ? (double) in->i : in->f);
        return REEVE_OK;
    }
    if (ti->kind == D_BOOL && in->kind == D_INT) {
        *out = d_bool(in->i != 0);
        return REEVE_OK;
    }
    if (to == T_DATE && in->kind == D_TIME && in->us != INT64_MAX && in->us != INT64_MIN) {
        *out = d_time_us(day_floor(in->us));
        return REEVE_OK;
    }
    if (ti->kind == in->kind && to != T_UUID && to != T_INET)
        return REEVE_OK;
    if (ti->kind == D_TEXT && in->kind != D_TEXT)
        return to_text(a, from, in, out, rep);
    if (in->kind == D_TEXT || in->kind == D_JSON)
        return datum_in_text(a, to, in->s, out, rep);
    const struct type_info *fi = type_by_oid(from);
    return report_set(rep, REEVE_E_DATATYPE_MISMATCH, "cannot cast type %s to %s", fi ? fi->name : "unknown", ti->name);
}
