/* func.c - the built-in scalar functions, one list at the end */
#include "backend/executor/func.h"

#include <stdio.h>
#include <stdlib.h>

#include "backend/executor/datum_int.h"
#include "crypto/hash.h"

static enum reeve_err no_memory(struct func_call *c) { return report_set(c->report, REEVE_E_NOMEM, "out of memory"); }

static enum reeve_err text_out(struct func_call *c, const char *s, struct datum *out)
{
    *out = d_str(s);
    return REEVE_OK;
}

/* ---- the session ---- */

static enum reeve_err f_now(struct func_call *c, struct datum *out) { *out = d_time_us(c->env->now_us); return REEVE_OK; }
static enum reeve_err f_clock(struct func_call *c, struct datum *out)
{
    *out = d_time_us(c->env->clock_us ? c->env->clock_us : c->env->now_us);
    return REEVE_OK;
}
static enum reeve_err f_today(struct func_call *c, struct datum *out)
{
    struct datum now = d_time_us(c->env->now_us);
    return datum_cast(c->arena, T_TIMESTAMPTZ, &now, T_DATE, out, c->report);
}
static enum reeve_err f_user(struct func_call *c, struct datum *out) { return text_out(c, c->env->user, out); }
static enum reeve_err f_database(struct func_call *c, struct datum *out) { return text_out(c, c->env->database, out); }
static enum reeve_err f_version(struct func_call *c, struct datum *out) { return text_out(c, c->env->version, out); }
static enum reeve_err f_schema(struct func_call *c, struct datum *out)
{
    return text_out(c, c->env->search_path[0] ? c->env->search_path[0] : "sys", out);
}
static enum reeve_err f_pid(struct func_call *c, struct datum *out) { *out = d_int(c->env->pid); return REEVE_OK; }
static enum reeve_err f_txid(struct func_call *c, struct datum *out) { *out = d_int(c->env->txid); return REEVE_OK; }

static enum reeve_err f_setting(struct func_call *c, struct datum *out)
{
    char name[128];
    bool missing_ok = c->nargs > 1 && c->args[1].b;
    const char *v = NULL;
    if (c->args[0].s.len < sizeof name && c->env->setting != NULL) {
        memcpy(name, c->args[0].s.p, c->args[0].s.len);
        name[c->args[0].s.len] = '\0';
        v = c->env->setting(c->env->session, name);
    }
    if (v == NULL && !missing_ok)
        return report_set(c->report, REEVE_E_UNDEFINED_OBJECT, "unrecognized configuration parameter \"%.*s\"",
                          (int) (c->args[0].s.len > 64 ? 64 : c->args[0].s.len), (const char *) c->args[0].s.p);
    return text_out(c, v ? arena_strdup(c->arena, v) : NULL, out);
}

/* ---- times ---- */

static enum reeve_err shift_now(struct func_call *c, int sign, struct datum *out)
{
    int64_t us;
    if (!interval_to_us(&c->args[0].iv, &us) || __builtin_sub_overflow(c->env->now_us, sign * us, &us))
        return report_set(c->report, REEVE_E_OUT_OF_RANGE, "timestamp out of range");
    *out = d_time_us(us);
    return REEVE_OK;
}
static enum reeve_err f_now_minus(struct func_call *c, struct datum *out) { return shift_now(c, 1, out); }
static enum reeve_err f_now_plus(struct func_call *c, struct datum *out) { return shift_now(c, -1, out); }
static enum reeve_err f_age(struct func_call *c, struct datum *out)
{
    int64_t from = c->nargs > 1 ? c->args[0].us : c->env->now_us, us;
    if (__builtin_sub_overflow(from, c->args[c->nargs - 1].us, &us))
        return report_set(c->report, REEVE_E_OUT_OF_RANGE, "interval out of range");
    *out = (struct datum){ .kind = D_INTERVAL, .iv = { us % DAY_US, (int32_t) (us / DAY_US), 0 } };
    return REEVE_OK;
}
/* Seconds, for charts: extract(epoch from t) in function form. */
static enum reeve_err f_epoch(struct func_call *c, struct datum *out)
{
    *out = d_float(((double) c->args[0].us + (double) EPOCH_MS * 1000.0) / 1e6);
    return REEVE_OK;
}
static enum reeve_err f_seconds(struct func_call *c, struct datum *out)
{
    int64_t us;
    if (!interval_to_us(&c->args[0].iv, &us))
        return report_set(c->report, REEVE_E_OUT_OF_RANGE, "interval out of range");
    *out = d_float((double) us / 1e6);
    return REEVE_OK;
}

/* ---- text ---- */

static enum reeve_err change_case(struct func_call *c, char from, char to, struct datum *out)
{
    struct slice s = c->args[0].s;
    char *p = arena_strndup(c->arena, s.p ? (const void *) s.p : "", s.len);
    if (p == NULL)
        return no_memory(c);
    for (size_t i = 0; i < s.len; i++) {
        if (p[i] >= from && p[i] < from + 26)
            p[i] = (char) (p[i] - from + to);
    }
    *out = d_text(slice_of(p, s.len));
    return REEVE_OK;
}
static enum reeve_err f_lower(struct func_call *c, struct datum *out) { return change_case(c, 'A', 'a', out); }
static enum reeve_err f_upper(struct func_call *c, struct datum *out) { return change_case(c, 'a', 'A', out); }

static int64_t characters(struct slice s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += (s.p[i] & 0xc0) != 0x80;
    return n;
}
static enum reeve_err f_length(struct func_call *c, struct datum *out) { *out = d_int(characters(c->args[0].s)); return REEVE_OK; }

/* Byte offset of the n-th character, clamped to the text. */
static size_t char_offset(struct slice s, int64_t n)
{
    size_t i = 0;
    while (i < s.len && n > 0) {
        i++;
        while (i < s.len && (s.p[i] & 0xc0) == 0x80)
            i++;
        n--;
    }
    return i;
}

static enum reeve_err slice_chars(struct slice s, int64_t from, int64_t n, struct datum *out)
{
    if (from < 0) {
        n = n > INT64_MAX + from ? n : n + from;
        from = 0;
    }
    size_t lo = char_offset(s, from);
    struct slice rest = slice_of(s.p + lo, s.len - lo);
    *out = d_text(slice_of(rest.p, n <= 0 ? 0 : char_offset(rest, n)));
    return REEVE_OK;
}
static enum reeve_err f_substr(struct func_call *c, struct datum *out)
{
    int64_t from = c->args[1].i, n = c->nargs > 2 ? c->args[2].i : INT64_MAX / 2;
    if (n < 0)
        return report_set(c->report, REEVE_E_INVALID_VALUE, "negative substring length not allowed");
    if (from < -1000000000 || from > 1000000000)
        from = from < 0 ? -1000000000 : 1000000000;
    return slice_chars(c->args[0].s, from - 1, n, out);
}
static enum reeve_err f_left(struct func_call *c, struct datum *out)
{
    int64_t n = c->args[1].i, len = characters(c->args[0].s);
    return slice_chars(c->args[0].s, 0, n < 0 ? (n < -len ? 0 : len + n) : n, out);
}
static enum reeve_err f_right(struct func_call *c, struct datum *out)
{
    int64_t n = c->args[1].i, len = characters(c->args[0].s);
    int64_t from = n < 0 ? (n < -len ? len : -n) : n > len ? 0 : len - n;
    return slice_chars(c->args[0].s, from, len, out);
}
static enum reeve_err f_position(struct func_call *c, struct datum *out)
{
    struct slice s = c->args[0].s, w = c->args[1].s;
    const void *at = w.len == 0 ? (const void *) s.p : s.len ? memmem(s.p, s.len, w.p, w.len) : NULL;
    *out = d_int(w.len == 0 ? 1 : at == NULL ? 0 : characters(slice_of(s.p, (size_t) ((const uint8_t *) at - s.p))) + 1);
    return REEVE_OK;
}
static enum reeve_err f_starts_with(struct func_call *c, struct datum *out)
{
    struct slice s = c->args[0].s, w = c->args[1].s;
    *out = d_bool(w.len <= s.len && (w.len == 0 || memcmp(s.p, w.p, w.len) == 0));
    return REEVE_OK;
}
static enum reeve_err f_trim(struct func_call *c, struct datum *out)
{
    struct slice s = c->args[0].s;
    while (s.len > 0 && s.p[0] == ' ')
        s = slice_of(s.p + 1, s.len - 1);
    while (s.len > 0 && s.p[s.len - 1] == ' ')
        s.len--;
    *out = d_text(s);
    return REEVE_OK;
}

#define TEXT_MAX (16u << 20)
static enum reeve_err glue(struct func_call *c, int from, struct slice separator, struct datum *out)
{
    struct wr w = wr_heap(TEXT_MAX);
    enum reeve_err err = REEVE_OK;
    bool first = true;
    for (int i = from; i < c->nargs; i++) {
        if (c->args[i].kind == D_NULL)
            continue;
        if (!first)
            wr_bytes(&w, separator.p, separator.len);
        first = false;
        if (!datum_out_text(&w, c->types[i] == T_BOOL ? T_BOOL : c->types[i], &c->args[i]))
            break;
    }
    struct slice s = arena_copy(c->arena, wr_slice(&w));
    if (w.bad || (s.p == NULL && w.len > 0))
        err = report_set(c->report, REEVE_E_TOO_COMPLEX, "text is too long");
    wr_free(&w);
    *out = d_text(s.p ? s : slice_str(""));
    return err;
}
static enum reeve_err f_concat(struct func_call *c, struct datum *out) { return glue(c, 0, slice_str(""), out); }
static enum reeve_err f_concat_ws(struct func_call *c, struct datum *out)
{
    if (c->args[0].kind == D_NULL)
        return REEVE_OK;
    return glue(c, 1, c->args[0].s, out);
}
static enum reeve_err f_replace(struct func_call *c, struct datum *out)
{
    struct slice s = c->args[0].s, from = c->args[1].s, to = c->args[2].s;
    struct wr w = wr_heap(TEXT_MAX);
    enum reeve_err err = REEVE_OK;
    for (size_t i = 0; i < s.len;) {
        if (from.len > 0 && s.len - i >= from.len && memcmp(s.p + i, from.p, from.len) == 0) {
            wr_bytes(&w, to.p, to.len);
            i += from.len;
        } else {
            wr_u8(&w, s.p[i++]);
        }
    }
    struct slice r = arena_copy(c->arena, wr_slice(&w));
    if (w.bad || (r.p == NULL && w.len > 0))
        err = report_set(c->report, REEVE_E_TOO_COMPLEX, "text is too long");
    wr_free(&w);
    *out = d_text(r.p ? r : slice_str(""));
    return err;
}
static enum reeve_err f_array_to_string(struct func_call *c, struct datum *out)
{
    struct wr w = wr_heap(TEXT_MAX);
    bool first = true;
    for (int i = 0; i < c->args[0].texts.n; i++) {
        struct slice s = c->args[0].texts.v[i];
        if (s.p == NULL)
            continue;
        if (!first)
            wr_bytes(&w, c->args[1].s.p, c->args[1].s.len);
        wr_bytes(&w, s.p, s.len);
        first = false;
    }
    struct slice r = arena_copy(c->arena, wr_slice(&w));
    bool bad = w.bad || (r.p == NULL && w.len > 0);
    wr_free(&w);
    *out = d_text(r.p ? r : slice_str(""));
    return bad ? report_set(c->report, REEVE_E_TOO_COMPLEX, "text is too long") : REEVE_OK;
}
static enum reeve_err f_array_length(struct func_call *c, struct datum *out)
{
    *out = c->args[0].texts.n > 0 ? d_int(c->args[0].texts.n) : d_null();
    return REEVE_OK;
}

/* ---- numbers ---- */

static enum reeve_err f_abs(struct func_call *c, struct datum *out)
{
    *out = c->args[0];
    if (out->kind == D_INT && out->i == INT64_MIN)
        return report_set(c->report, REEVE_E_OUT_OF_RANGE, "integer out of range");
    if (out->kind == D_INT && out->i < 0)
        out->i = -out->i;
    else if (out->kind == D_FLOAT && out->f < 0)
        out->f = -out->f;
    else if (out->kind != D_INT && out->kind != D_FLOAT)
        return report_set(c->report, REEVE_E_DATATYPE_MISMATCH, "a number is needed");
    return REEVE_OK;
}

static double whole(double f, int direction)
{
    if (!(f < 9e15 && f > -9e15))
        return f;
    double t = (double) (int64_t) f;
    if (direction > 0)
        return t < f ? t + 1 : t;
    return t > f ? t - 1 : t;
}
static enum reeve_err f_floor(struct func_call *c, struct datum *out) { *out = d_float(whole(c->args[0].f, -1)); return REEVE_OK; }
static enum reeve_err f_ceil(struct func_call *c, struct datum *out) { *out = d_float(whole(c->args[0].f, 1)); return REEVE_OK; }
static enum reeve_err f_round(struct func_call *c, struct datum *out)
{
    int64_t digits = c->nargs > 1 ? c->args[1].i : 0;
    double f = c->args[0].f, scale = 1;
    if (digits > 15 || digits < -15) {
        *out = d_float(digits > 0 ? f : 0);
        return REEVE_OK;
    }
    for (int64_t i = digits < 0 ? -digits : digits; i > 0; i--)
        scale *= 10;
    double v = digits < 0 ? f / scale : f * scale;
    v = v < 0 ? -whole(-v + 0.5, -1) : whole(v + 0.5, -1);
    *out = d_float(digits < 0 ? v * scale : v / scale);
    return REEVE_OK;
}

/* ---- any type ---- */

static enum reeve_err f_coalesce(struct func_call *c, struct datum *out)
{
    for (int i = 0; i < c->nargs && out->kind == D_NULL; i++)
        *out = c->args[i];
    return REEVE_OK;
}
static enum reeve_err extreme(struct func_call *c, int want, struct datum *out)
{
    for (int i = 0; i < c->nargs; i++) {
        int order = 0;
        if (c->args[i].kind == D_NULL)
            continue;
        if (out->kind != D_NULL && !datum_cmp(&c->args[i], out, &order))
            return report_set(c->report, REEVE_E_DATATYPE_MISMATCH, "values cannot be compared");
        if (out->kind == D_NULL || order * want > 0)
            *out = c->args[i];
    }
    return REEVE_OK;
}
static enum reeve_err f_greatest(struct func_call *c, struct datum *out) { return extreme(c, 1, out); }
static enum reeve_err f_least(struct func_call *c, struct datum *out) { return extreme(c, -1, out); }
static enum reeve_err f_nullif(struct func_call *c, struct datum *out)
{
    int order;
    bool same = c->args[0].kind != D_NULL && c->args[1].kind != D_NULL &&
                datum_cmp(&c->args[0], &c->args[1], &order) && order == 0;
    *out = same ? d_null() : c->args[0];
    return REEVE_OK;
}

/* ---- cohorts ---- */

#define COHORT_SCALE 9007199254740992.0     /* 2^53 */
/* First 53 bits of SHA-256(object name, 00, node id) as a fraction: what a wave's share is compared with. */
static enum reeve_err f_cohort(struct func_call *c, struct datum *out)
{
    struct slice parts[3] = { c->args[0].s, slice_of("", 1), c->args[1].s };
    struct hash32 h;
    sha256_parts(&h, parts, 3);
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | h.b[i];
    *out = d_float((double) (v >> 11) / COHORT_SCALE);
    return REEVE_OK;
}

const struct func func_builtins[] = {
    { "now", "", T_TIMESTAMPTZ, false, f_now },
    { "current_timestamp", "", T_TIMESTAMPTZ, false, f_now },
    { "transaction_timestamp", "", T_TIMESTAMPTZ, false, f_now },
    { "statement_timestamp", "", T_TIMESTAMPTZ, false, f_clock },
    { "clock_timestamp", "", T_TIMESTAMPTZ, false, f_clock },
    { "localtimestamp", "", T_TIMESTAMP, false, f_now },
    { "current_date", "", T_DATE, false, f_today },
    { "now_minus", "v", T_TIMESTAMPTZ, false, f_now_minus },
    { "now_plus", "v", T_TIMESTAMPTZ, false, f_now_plus },
    { "age", "m?m", T_INTERVAL, false, f_age },
    { "epoch", "m", T_FLOAT8, false, f_epoch },
    { "seconds", "v", T_FLOAT8, false, f_seconds },
    { "current_user", "", T_NAME, false, f_user },
    { "current_role", "", T_NAME, false, f_user },
    { "session_user", "", T_NAME, false, f_user },
    { "user", "", T_NAME, false, f_user },
    { "current_database", "", T_NAME, false, f_database },
    { "current_catalog", "", T_NAME, false, f_database },
    { "current_schema", "", T_NAME, false, f_schema },
    { "version", "", T_TEXT, false, f_version },
    { "current_setting", "t?b", T_TEXT, false, f_setting },
    { "pg_backend_pid", "", T_INT4, false, f_pid },
    { "txid_current", "", T_INT8, false, f_txid },
    { "cohort", "tt", T_FLOAT8, false, f_cohort },
    { "lower", "t", T_TEXT, false, f_lower },
    { "upper", "t", T_TEXT, false, f_upper },
    { "length", "t", T_INT4, false, f_length },
    { "char_length", "t", T_INT4, false, f_length },
    { "substr", "ti?i", T_TEXT, false, f_substr },
    { "substring", "ti?i", T_TEXT, false, f_substr },
    { "left", "ti", T_TEXT, false, f_left },
    { "right", "ti", T_TEXT, false, f_right },
    { "strpos", "tt", T_INT4, false, f_position },
    { "starts_with", "tt", T_BOOL, false, f_starts_with },
    { "btrim", "t", T_TEXT, false, f_trim },
    { "replace", "ttt", T_TEXT, false, f_replace },
    { "concat", "*+", T_TEXT, true, f_concat },
    { "concat_ws", "t*+", T_TEXT, true, f_concat_ws },
    { "array_to_string", "at", T_TEXT, false, f_array_to_string },
    { "array_length", "a?i", T_INT4, false, f_array_length },
    { "cardinality", "a", T_INT4, false, f_array_length },
    { "abs", "*", 0, false, f_abs },
    { "floor", "f", T_FLOAT8, false, f_floor },
    { "ceil", "f", T_FLOAT8, false, f_ceil },
    { "ceiling", "f", T_FLOAT8, false, f_ceil },
    { "round", "f?i", T_FLOAT8, false, f_round },
    { "coalesce", "*+", 0, true, f_coalesce },
    { "greatest", "*+", 0, true, f_greatest },
    { "least", "*+", 0, true, f_least },
    { "nullif", "**", 0, true, f_nullif },
    { NULL, NULL, 0, false, NULL }
};
