/* slot.c - the values in a statement's slots, parameters resolved */
#include "backend/executor/slot.h"

#include <stdarg.h>
#include <stdio.h>

#include "backend/parser/parser.h"
#include "common/text.h"

enum reeve_err slot_error(const struct slot_ctx *c, const struct pvalue *v, enum reeve_err code, const char *fmt, ...)
{
    char message[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (c->report->code == REEVE_OK) {
        report_set(c->report, code, "%s", message);
        if (v != NULL && v->kind != PV_ABSENT)
            c->report->position = parse_position(c->text, v->pos);
    }
    return code;
}

/* The bound value of a parameter; NULL for one that was not given. */
static const struct datum *param_of(const struct slot_ctx *c, const struct pvalue *v, uint32_t *type)
{
    if (c->params == NULL || v->i < 1 || v->i > c->params->n)
        return NULL;
    *type = c->params->types && c->params->types[v->i - 1] ? c->params->types[v->i - 1] : T_TEXT;
    return &c->params->v[v->i - 1];
}

bool slot_is_null(const struct slot_ctx *c, const struct pvalue *v)
{
    uint32_t type;
    if (v->kind != PV_PARAM)
        return v->kind == PV_ABSENT || v->kind == PV_NULL;
    const struct datum *d = param_of(c, v, &type);
    return d != NULL && d->kind == D_NULL;
}

static enum reeve_err param_text(const struct slot_ctx *c, const struct pvalue *v, const char *what, struct slice *out)
{
    uint32_t type;
    struct datum text;
    const struct datum *d = param_of(c, v, &type);
    if (d == NULL)
        return slot_error(c, v, REEVE_E_UNDEFINED_PARAM, "there is no parameter $%lld", (long long) v->i);
    if (d->kind == D_NULL)
        return slot_error(c, v, REEVE_E_INVALID_VALUE, "%s must not be NULL", what);
    enum reeve_err err = datum_cast(c->arena, type, d, T_TEXT, &text, c->report);
    *out = text.s;
    return err;
}

enum reeve_err slot_text(const struct slot_ctx *c, const struct pvalue *v, const char *what, struct slice *out)
{
    switch (v->kind) {
    case PV_PARAM: return param_text(c, v, what, out);
    case PV_BOOL: *out = slice_str(v->i ? "true" : "false"); return REEVE_OK;
    case PV_ABSENT: return slot_error(c, v, REEVE_E_INVALID_VALUE, "%s is missing", what);
    case PV_NULL: return slot_error(c, v, REEVE_E_INVALID_VALUE, "%s must not be NULL", what);
    case PV_DEFAULT: *out = slice_str("default"); return REEVE_OK;
    default: *out = slice_of(v->s, v->len); return REEVE_OK;
    }
}

enum reeve_err slot_name(const struct slot_ctx *c, const struct pvalue *v, const char *what, struct name *out)
{
    struct slice s;
    enum reeve_err err = slot_text(c, v, what, &s);
    if (err != REEVE_OK)
        return err;
    return name_set(out, s) ? REEVE_OK
                            : slot_error(c, v, REEVE_E_INVALID_VALUE,
                                         "%s must have 1 to %d bytes and no control characters", what, NAME_MAX_LEN);
}

static enum reeve_err number_of(const struct slot_ctx *c, const struct pvalue *v, const char *what, uint32_t type,
                                struct datum *out)
{
    struct slice s;
    struct report inner;
    enum reeve_err err = slot_text(c, v, what, &s);
    if (err != REEVE_OK)
        return err;
    report_clear(&inner);
    if (datum_in_text(c->arena, type, s, out, &inner) != REEVE_OK)
        return slot_error(c, v, REEVE_E_INVALID_VALUE, "%s must be a %snumber, not \"%.*s\"", what,
                          type == T_INT8 ? "whole " : "", (int) (s.len > 64 ? 64 : s.len), (const char *) s.p);
    return REEVE_OK;
}

enum reeve_err slot_int(const struct slot_ctx *c, const struct pvalue *v, const char *what, int64_t min, int64_t max,
                        int64_t *out)
{
    struct datum d;
    enum reeve_err err = number_of(c, v, what, T_INT8, &d);
    if (err != REEVE_OK)
        return err;
    *out = d.i;
    if (d.i >= min && d.i <= max)
        return REEVE_OK;
    return slot_error(c, v, REEVE_E_INVALID_VALUE, "%s must lie between %lld and %lld", what, (long long) min,
                      (long long) max);
}

enum reeve_err slot_float(const struct slot_ctx *c, const struct pvalue *v, const char *what, double min, double max,
                          double *out)
{
    struct datum d;
    enum reeve_err err = number_of(c, v, what, T_FLOAT8, &d);
    if (err != REEVE_OK)
        return err;
    *out = d.f;
    if (d.f >= min && d.f <= max)
        return REEVE_OK;
    return slot_error(c, v, REEVE_E_INVALID_VALUE, "%s must lie between %g and %g", what, min, max);
}

enum reeve_err slot_bool(const struct slot_ctx *c, const struct pvalue *v, const char *what, bool *out)
{
    struct slice s;
    struct datum d;
    struct report inner;
    enum reeve_err err = slot_text(c, v, what, &s);
    if (err != REEVE_OK)
        return err;
    report_clear(&inner);
    if (datum_in_text(c->arena, T_BOOL, s, &d, &inner) != REEVE_OK)
        return slot_error(c, v, REEVE_E_INVALID_VALUE, "%s must be true or false", what);
    *out = d.b;
    return REEVE_OK;
}

enum reeve_err slot_duration_ms(const struct slot_ctx *c, const struct pvalue *v, const char *what, int64_t *out)
{
    struct slice s;
    struct interval iv;
    int64_t us;
    enum reeve_err err = slot_text(c, v, what, &s);
    if (err != REEVE_OK)
        return err;
    if (!interval_parse(s, &iv) || !interval_to_us(&iv, &us) || us < 0) {
        slot_error(c, v, REEVE_E_INVALID_VALUE, "%s must be a duration, not \"%.*s\"", what,
                   (int) (s.len > 64 ? 64 : s.len), (const char *) s.p);
        return report_hint(c->report, "Durations look like '10 min', '1 h 30 min', INTERVAL '2 days' or 10 MINUTES."),
               REEVE_E_INVALID_VALUE;
    }
    *out = us / 1000;
    return REEVE_OK;
}

enum reeve_err slot_time(const struct slot_ctx *c, const struct pvalue *v, const char *what, struct wall_ms *out)
{
    struct slice s;
    struct datum d = d_time_us(0);
    enum reeve_err err = slot_text(c, v, what, &s);
    if (err != REEVE_OK)
        return err;
    if (s.len == 0 || s.p[0] < '0' || s.p[0] > '9' || !time_parse(s, 0, &d.us) || d.us == INT64_MAX || d.us == INT64_MIN)
        return slot_error(c, v, REEVE_E_INVALID_VALUE, "%s must be a point in time, not \"%.*s\"", what,
                          (int) (s.len > 64 ? 64 : s.len), (const char *) s.p);
    *out = datum_wall(&d);
    return REEVE_OK;
}

#define PERCENT_UNITS 10000         /* millionths in a percent */
enum reeve_err slot_share(const struct slot_ctx *c, const struct ast_share *s, const char *what, int64_t *out)
{
    double percent;
    if (s->is_nodes)
        return slot_int(c, &s->amount, what, 1, UINT32_MAX - 1, out);
    enum reeve_err err = slot_float(c, &s->amount, what, 0, 100, &percent);
    if (err != REEVE_OK)
        return err;
    *out = (int64_t) (percent * PERCENT_UNITS + 0.5);
    return *out >= 1 ? REEVE_OK
                     : slot_error(c, &s->amount, REEVE_E_INVALID_VALUE, "%s must be at least 0.0001%%", what);
}

const struct pvalue *slot_option(const struct ast_options *o, const char *name)
{
    for (int i = 0; i < o->n; i++) {
        if (strcmp(o->v[i].name.s, name) == 0)
            return &o->v[i].value;
    }
    return NULL;
}

/* Letters that differ at the same place, plus the difference in length: enough to find a slip. */
static size_t rough_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), d = n > m ? n - m : m - n, front = 0, back = 0;
    size_t least = n < m ? n : m;
    while (front < least && a[front] == b[front])
        front++;
    while (back < least - front && a[n - 1 - back] == b[m - 1 - back])
        back++;
    return least - front - back > d ? least - front - back : d;
}

/* The names there are, and the one that was probably meant first. */
static void hint_option(const struct slot_ctx *c, const char *name, const char *const *allowed)
{
    char list[400] = "";
    const char *best = NULL;
    size_t len = 0;
    int n = 0;
    while (allowed[n] != NULL)
        n++;
    for (int i = 0; i < n; i++) {
        if (rough_distance(name, allowed[i]) <= 2 &&
            (best == NULL || rough_distance(name, allowed[i]) < rough_distance(name, best)))
            best = allowed[i];
        int more = snprintf(list + len, sizeof list - len, "%s%s", i == 0 ? "" : i == n - 1 ? " and " : ", ", allowed[i]);
        len += more > 0 && (size_t) more < sizeof list - len ? (size_t) more : 0;
    }
    report_hint(c->report, "%s%s%sThe %s %s.", best ? "Perhaps you meant " : "", best ? best : "", best ? ". " : "",
                n == 1 ? "option is" : "options are", list);
}

enum reeve_err slot_options_check(const struct slot_ctx *c, const struct ast_options *o, const char *const *allowed)
{
    for (int i = 0; i < o->n; i++) {
        const struct pvalue *name = &o->v[i].name;
        int k = 0;
        while (allowed[k] != NULL && strcmp(allowed[k], name->s) != 0)
            k++;
        if (allowed[k] == NULL) {
            slot_error(c, name, REEVE_E_INVALID_VALUE, "there is no option \"%s\" here", name->s);
            hint_option(c, name->s, allowed);
            return REEVE_E_INVALID_VALUE;
        }
        if (slot_option(o, name->s) != &o->v[i].value)
            return slot_error(c, name, REEVE_E_INVALID_VALUE, "option \"%s\" is given twice", name->s);
    }
    return REEVE_OK;
}
