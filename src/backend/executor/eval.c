/* eval.c - one bound expression over the current rows; NULL is three-valued as in SQL */
#include "backend/executor/plan_int.h"

#include <stdarg.h>
#include <stdio.h>

#include "backend/executor/datum_int.h"
#include "backend/parser/parser.h"

enum reeve_err eval_fail(struct exec *e, enum reeve_err code, int pos, const char *fmt, ...)
{
    char message[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (e->report->code == REEVE_OK) {
        report_set(e->report, code, "%s", message);
        e->report->position = parse_position(e->text, pos);
    }
    return code;
}

bool compare_holds(enum ast_op op, int order)
{
    switch (op) {
    case OP_EQ: return order == 0;
    case OP_NE: return order != 0;
    case OP_LT: return order < 0;
    case OP_LE: return order <= 0;
    case OP_GT: return order > 0;
    default: return order >= 0;
    }
}

static enum reeve_err compare(struct exec *e, const struct datum *l, const struct datum *r, enum ast_op op, int pos,
                              struct datum *out)
{
    int order;
    *out = d_null();
    if (l->kind == D_NULL || r->kind == D_NULL)
        return REEVE_OK;
    if (!datum_cmp(l, r, &order))
        return eval_fail(e, REEVE_E_DATATYPE_MISMATCH, pos, "values cannot be compared");
    *out = d_bool(compare_holds(op, order));
    return REEVE_OK;
}

/* ---- arithmetic ---- */

static enum reeve_err out_of_range(struct exec *e, const struct bx *x)
{
    const struct type_info *t = type_by_oid(x->type);
    return eval_fail(e, REEVE_E_OUT_OF_RANGE, x->pos, "%s out of range", t ? t->name : "value");
}

static enum reeve_err int_op(struct exec *e, const struct bx *x, int64_t l, int64_t r, struct datum *out)
{
    int64_t v = 0;
    bool over = false;
    if ((x->op == OP_DIV || x->op == OP_MOD) && r == 0)
        return eval_fail(e, REEVE_E_DIVISION, x->pos, "division by zero");
    switch (x->op) {
    case OP_ADD: over = __builtin_add_overflow(l, r, &v); break;
    case OP_SUB: over = __builtin_sub_overflow(l, r, &v); break;
    case OP_MUL: over = __builtin_mul_overflow(l, r, &v); break;
    case OP_DIV: over = r == -1 && l == INT64_MIN; v = over ? 0 : l / r; break;
    default: v = r == -1 ? 0 : l % r; break;
    }
    *out = d_int(v);
    return over || !datum_int_fits(x->type, v) ? out_of_range(e, x) : REEVE_OK;
}

static double as_float(const struct datum *d) { return d->kind == D_INT ? (double) d->i : d->f; }

static enum reeve_err float_op(struct exec *e, const struct bx *x, double l, double r, struct datum *out)
{
    double v;
    if ((x->op == OP_DIV || x->op == OP_MOD) && r == 0)
        return eval_fail(e, REEVE_E_DIVISION, x->pos, "division by zero");
    switch (x->op) {
    case OP_ADD: v = l + r; break;
    case OP_SUB: v = l - r; break;
    case OP_MUL: v = l * r; break;
    case OP_DIV: v = l / r; break;
    default:
        if (!(l / r < 9e18 && l / r > -9e18))
            return out_of_range(e, x);
        v = l - r * (double) (int64_t) (l / r);
        break;
    }
    *out = d_float(v);
    return REEVE_OK;
}

#define YEAR_MAX_US (290000LL * 366 * DAY_US)
/* Months are added as calendar months by way of the text forms' day arithmetic: 30 days each is PostgreSQL's
 * rule only for comparison, so a month here moves the month and clamps the day. */
static int64_t add_months(int64_t us, int32_t months)
{
    char buf[80];
    struct wr w = wr_fixed(buf, sizeof buf - 1);
    long long y;
    int m, d, used = 0;
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int64_t clock = ((us % DAY_US) + DAY_US) % DAY_US, at;
    time_print(&w, T_DATE, us);
    buf[w.len] = '\0';
    if (months == 0 || sscanf(buf, "%lld-%d-%d%n", &y, &m, &d, &used) != 3 || buf[used] != '\0')
        return us;
    long long total = y * 12 + (m - 1) + months;
    y = total / 12;
    m = (int) (total % 12);
    int last = days[m] + (m == 1 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
    snprintf(buf, sizeof buf, "%04lld-%02d-%02d", y, m + 1, d < last ? d : last);
    return time_parse(slice_str(buf), 0, &at) ? at + clock : us;
}

static enum reeve_err time_shift(struct exec *e, const struct bx *x, int64_t us, const struct interval *iv, int sign,
                                 struct datum *out)
{
    int64_t shift;
    if (us == INT64_MAX || us == INT64_MIN) {
        *out = d_time_us(us);
        return REEVE_OK;
    }
    if (us > YEAR_MAX_US || us < -YEAR_MAX_US || iv->months > 3000000 || iv->months < -3000000)
        return out_of_range(e, x);
    us = add_months(us, sign * iv->months);
    if (__builtin_mul_overflow((int64_t) iv->days, DAY_US, &shift) || __builtin_add_overflow(shift, iv->us, &shift) ||
        __builtin_mul_overflow(shift, (int64_t) sign, &shift) || __builtin_add_overflow(us, shift, &us))
        return out_of_range(e, x);
    *out = d_time_us(us);
    return REEVE_OK;
}

static enum reeve_err interval_sum(struct exec *e, const struct bx *x, const struct interval *a, const struct interval *b,
                                   struct datum *out)
{
    int sign = x->op == OP_SUB ? -1 : 1;
    struct interval v;
    if (__builtin_add_overflow(a->us, sign * b->us, &v.us) || __builtin_add_overflow(a->days, sign * b->days, &v.days) ||
        __builtin_add_overflow(a->months, sign * b->months, &v.months))
        return out_of_range(e, x);
    *out = (struct datum){ .kind = D_INTERVAL, .iv = v };
    return REEVE_OK;
}

static enum reeve_err interval_scale(struct exec *e, const struct bx *x, const struct interval *iv, double by,
                                     struct datum *out)
{
    if (x->op == OP_DIV) {
        if (by == 0)
            return eval_fail(e, REEVE_E_DIVISION, x->pos, "division by zero");
        by = 1 / by;
    }
    double months = iv->months * by, days = iv->days * by, us = (double) iv->us * by;
    if (!(months > -2e9 && months < 2e9 && days > -1e9 && days < 1e9 && us > -9e18 && us < 9e18))
        return out_of_range(e, x);
    struct interval v = { .months = (int32_t) months };
    days += (months - v.months) * 30;
    v.days = (int32_t) days;
    v.us = float_nearest(us + (days - v.days) * (double) DAY_US);
    *out = (struct datum){ .kind = D_INTERVAL, .iv = v };
    return REEVE_OK;
}

static enum reeve_err time_op(struct exec *e, const struct bx *x, const struct datum *l, const struct datum *r,
                              struct datum *out)
{
    if (l->kind == D_TIME && r->kind == D_INTERVAL)
        return time_shift(e, x, l->us, &r->iv, x->op == OP_SUB ? -1 : 1, out);
    if (l->kind == D_INTERVAL && r->kind == D_TIME)
        return time_shift(e, x, r->us, &l->iv, 1, out);
    if (l->kind == D_TIME && r->kind == D_TIME) {
        int64_t us;
        if (__builtin_sub_overflow(l->us, r->us, &us))
            return out_of_range(e, x);
        *out = (struct datum){ .kind = D_INTERVAL, .iv = { us % DAY_US, (int32_t) (us / DAY_US), 0 } };
        return REEVE_OK;
    }
    if (l->kind == D_INTERVAL && r->kind == D_INTERVAL)
        return interval_sum(e, x, &l->iv, &r->iv, out);
    return l->kind == D_INTERVAL ? interval_scale(e, x, &l->iv, as_float(r), out)
                                 : interval_scale(e, x, &r->iv, as_float(l), out);
}

static enum reeve_err eval_concat(struct exec *e, struct arena *a, const struct bx *x, const struct datum *v,
                                  struct datum *out)
{
    struct datum t[2];
    for (int i = 0; i < 2; i++) {
        enum reeve_err err = datum_cast(a, x->args[i]->type, &v[i], T_TEXT, &t[i], e->report);
        if (err != REEVE_OK)
            return err;
    }
    size_t n = t[0].s.len + t[1].s.len;
    char *s = n <= 16u << 20 ? arena_alloc(a, n + 1) : NULL;
    if (s == NULL)
        return eval_fail(e, REEVE_E_TOO_COMPLEX, x->pos, "text is too long");
    if (t[0].s.len > 0)
        memcpy(s, t[0].s.p, t[0].s.len);
    if (t[1].s.len > 0)
        memcpy(s + t[0].s.len, t[1].s.p, t[1].s.len);
    *out = d_text(slice_of(s, n));
    return REEVE_OK;
}

static enum reeve_err eval_op(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    struct datum v[2];
    for (int i = 0; i < x->n; i++) {
        enum reeve_err err = eval(e, a, p, x->args[i], &v[i]);
        if (err != REEVE_OK)
            return err;
    }
    *out = d_null();
    for (int i = 0; i < x->n; i++) {
        if (v[i].kind == D_NULL)
            return REEVE_OK;
    }
    if (x->op >= OP_EQ && x->op <= OP_GE)
        return compare(e, &v[0], &v[1], x->op, x->pos, out);
    if (x->op == OP_CONCAT)
        return eval_concat(e, a, x, v, out);
    if (x->op == OP_NEG) {
        struct bx minus = *x;
        minus.op = v[0].kind == D_INTERVAL ? OP_MUL : OP_SUB;
        if (v[0].kind == D_INTERVAL)
            return interval_scale(e, &minus, &v[0].iv, -1, out);
        return v[0].kind == D_INT ? int_op(e, &minus, 0, v[0].i, out) : float_op(e, &minus, 0, v[0].f, out);
    }
    if (v[0].kind == D_INT && v[1].kind == D_INT)
        return int_op(e, x, v[0].i, v[1].i, out);
    bool numbers = (v[0].kind == D_INT || v[0].kind == D_FLOAT) && (v[1].kind == D_INT || v[1].kind == D_FLOAT);
    return numbers ? float_op(e, x, as_float(&v[0]), as_float(&v[1]), out) : time_op(e, x, &v[0], &v[1], out);
}

/* ---- logic ---- */

static enum reeve_err eval_logic(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    bool decisive = x->kind == B_OR, null = false;
    struct datum v;
    for (int i = 0; i < x->n; i++) {
        enum reeve_err err = eval(e, a, p, x->args[i], &v);
        if (err != REEVE_OK)
            return err;
        if (v.kind == D_NULL)
            null = true;
        else if (v.b == decisive) {
            *out = v;
            return REEVE_OK;
        }
    }
    *out = null ? d_null() : d_bool(!decisive);
    return REEVE_OK;
}


static enum reeve_err eval_in(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    struct datum left, v, same;
    bool null = false;
    enum reeve_err err = REEVE_OK;
    TRY(eval(e, a, p, x->args[0], &left));
    for (int i = 1; i < x->n && left.kind != D_NULL; i++) {
        TRY(eval(e, a, p, x->args[i], &v));
        TRY(compare(e, &left, &v, OP_EQ, x->pos, &same));
        null |= same.kind == D_NULL;
        if (same.kind == D_BOOL && same.b) {
            *out = d_bool(!x->negated);
            return REEVE_OK;
        }
    }
    *out = left.kind == D_NULL || null ? d_null() : d_bool(x->negated);
out:
    return err;
}

static enum reeve_err eval_between(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    struct datum v[3], lo, hi;
    enum reeve_err err = REEVE_OK;
    for (int i = 0; i < 3; i++)
        TRY(eval(e, a, p, x->args[i], &v[i]));
    TRY(compare(e, &v[0], &v[1], OP_GE, x->pos, &lo));
    TRY(compare(e, &v[0], &v[2], OP_LE, x->pos, &hi));
    if ((lo.kind == D_BOOL && !lo.b) || (hi.kind == D_BOOL && !hi.b))
        *out = d_bool(x->negated);
    else
        *out = lo.kind == D_NULL || hi.kind == D_NULL ? d_null() : d_bool(!x->negated);
out:
    return err;
}

static enum reeve_err eval_distinct(struct exec *e, struct arena *a, struct plan *p, const struct bx *x,
                                    struct datum *out)
{
    struct datum l, r, same;
    enum reeve_err err = REEVE_OK;
    TRY(eval(e, a, p, x->args[0], &l));
    TRY(eval(e, a, p, x->args[1], &r));
    bool differ = l.kind != r.kind;
    if (l.kind != D_NULL && r.kind != D_NULL) {
        TRY(compare(e, &l, &r, OP_NE, x->pos, &same));
        differ = same.b;
    }
    *out = d_bool(differ != x->negated);
out:
    return err;
}

static enum reeve_err eval_pattern(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    struct datum s, pattern;
    bool holds = false;
    enum reeve_err err = REEVE_OK;
    TRY(eval(e, a, p, x->args[0], &s));
    TRY(eval(e, a, p, x->args[1], &pattern));
    *out = d_null();
    if (s.kind == D_NULL || pattern.kind == D_NULL)
        return REEVE_OK;
    if (x->kind == B_LIKE)
        holds = like_match(s.s, pattern.s, x->op == OP_ILIKE);
    else
        TRY(regex_match(e, a, x, s.s, pattern.s, x->op == OP_IMATCH || x->op == OP_NIMATCH, &holds));
    *out = d_bool(holds != (x->negated || x->op == OP_NMATCH || x->op == OP_NIMATCH));
out:
    return err;
}

static enum reeve_err eval_case(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    struct datum base = d_null(), v, same;
    enum reeve_err err = REEVE_OK;
    int end = x->n - x->has_else;
    if (x->has_base)
        TRY(eval(e, a, p, x->args[0], &base));
    for (int i = x->has_base; i + 1 < end; i += 2) {
        TRY(eval(e, a, p, x->args[i], &v));
        same = v;
        if (x->has_base)
            TRY(compare(e, &base, &v, OP_EQ, x->pos, &same));
        if (same.kind == D_BOOL && same.b)
            return eval(e, a, p, x->args[i + 1], out);
    }
    if (x->has_else)
        return eval(e, a, p, x->args[x->n - 1], out);
    *out = d_null();
out:
    return err;
}

/* ---- arrays, JSON, functions ---- */

static enum reeve_err eval_array(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    struct slice *v = arena_alloc(a, sizeof *v * (size_t) (x->n + 1));
    enum reeve_err err = v == NULL ? eval_fail(e, REEVE_E_NOMEM, x->pos, "out of memory") : REEVE_OK;
    for (int i = 0; err == REEVE_OK && i < x->n; i++) {
        struct datum d, t;
        err = eval(e, a, p, x->args[i], &d);
        if (err == REEVE_OK && d.kind != D_NULL) {
            err = datum_cast(a, x->args[i]->type, &d, T_TEXT, &t, e->report);
            v[i] = t.s.p ? t.s : slice_str("");
        }
    }
    *out = (struct datum){ .kind = D_TEXTS, .texts = { x->n, v } };
    return err;
}

static enum reeve_err eval_any(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    struct datum l, arr, t, same;
    enum reeve_err err = REEVE_OK;
    bool null = false;
    TRY(eval(e, a, p, x->args[0], &l));
    TRY(eval(e, a, p, x->args[1], &arr));
    *out = d_null();
    if (l.kind == D_NULL || arr.kind == D_NULL)
        return REEVE_OK;
    for (int i = 0; i < arr.texts.n; i++) {
        if (arr.texts.v[i].p == NULL) {
            null = true;
            continue;
        }
        struct datum el = d_text(arr.texts.v[i]);
        TRY(datum_cast(a, T_TEXT, &el, x->args[0]->type, &t, e->report));
        TRY(compare(e, &l, &t, x->op, x->pos, &same));
        if (same.b != x->negated) {
            *out = d_bool(!x->negated);
            return REEVE_OK;
        }
    }
    if (!null)
        *out = d_bool(x->negated);
out:
    return err;
}

static enum reeve_err eval_subscript(struct exec *e, struct arena *a, struct plan *p, const struct bx *x,
                                     struct datum *out)
{
    struct datum arr, i;
    enum reeve_err err = REEVE_OK;
    TRY(eval(e, a, p, x->args[0], &arr));
    TRY(eval(e, a, p, x->args[1], &i));
    bool there = arr.kind == D_TEXTS && i.kind == D_INT && i.i >= 1 && i.i <= arr.texts.n && arr.texts.v[i.i - 1].p != NULL;
    *out = there ? d_text(arr.texts.v[i.i - 1]) : d_null();
out:
    return err;
}

static enum reeve_err eval_json(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    struct datum j, k;
    struct slice s;
    bool string, null;
    enum reeve_err err = REEVE_OK;
    TRY(eval(e, a, p, x->args[0], &j));
    TRY(eval(e, a, p, x->args[1], &k));
    *out = d_null();
    if (j.kind == D_NULL || k.kind == D_NULL || !json_get(a, j.s, k.s, &s, &string, &null))
        return REEVE_OK;
    if (x->op == OP_JSON_TEXT) {
        *out = null ? d_null() : d_text(s);
    } else if (!string) {
        *out = d_json(s);
    } else {
        struct wr w = wr_heap(16u << 20);
        json_quote(&w, s);
        struct slice copy = arena_copy(a, wr_slice(&w));
        wr_free(&w);
        *out = d_json(copy);
    }
out:
    return err;
}

static enum reeve_err eval_func(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    struct datum v[FUNC_ARGS_MAX];
    uint32_t types[FUNC_ARGS_MAX];
    bool null = false;
    for (int i = 0; i < x->n; i++) {
        enum reeve_err err = eval(e, a, p, x->args[i], &v[i]);
        if (err != REEVE_OK)
            return err;
        types[i] = x->args[i]->type;
        null |= v[i].kind == D_NULL;
    }
    *out = d_null();
    if (null && !x->func->nulls)
        return REEVE_OK;
    struct func_call c = { e->env, a, e->report, x->n, v, types };
    enum reeve_err err = x->func->call(&c, out);
    if (err != REEVE_OK && e->report->code == REEVE_OK)
        eval_fail(e, err, x->pos, "%s", reeve_err_text(err));
    return err;
}

static enum reeve_err eval_param(struct exec *e, struct arena *a, const struct bx *x, struct datum *out)
{
    const struct query_params *q = &e->env->params;
    if (x->index >= q->n)
        return eval_fail(e, REEVE_E_UNDEFINED_PARAM, x->pos, "there is no parameter $%d", x->index + 1);
    uint32_t type = q->types && q->types[x->index] ? q->types[x->index] : T_TEXT;
    if (type == x->type || x->type == 0) {
        *out = q->v[x->index];
        return REEVE_OK;
    }
    enum reeve_err err = datum_cast(a, type, &q->v[x->index], x->type, out, e->report);
    if (err != REEVE_OK && e->report->position == 0)
        e->report->position = parse_position(e->text, x->pos);
    return err;
}

/* ---- sub-selects ---- */

struct sub_state {
    struct exec *e;
    struct arena *a;
    const struct bx *x;
    struct datum left, *out;
    size_t rows;
    bool null;
    struct slice *texts;
    size_t cap;
};

static enum reeve_err too_many_rows(struct sub_state *s)
{
    eval_fail(s->e, REEVE_E_INVALID_VALUE, s->x->pos, "more than one row returned by a subquery used as an expression");
    memcpy(s->e->report->sqlstate, "21000", 6);         /* cardinality_violation */
    return REEVE_E_INVALID_VALUE;
}

static enum reeve_err sub_row(void *arg, const struct datum *v)
{
    struct sub_state *s = arg;
    struct datum same;
    enum reeve_err err = REEVE_OK;
    s->rows++;
    switch (s->x->kind) {
    case B_EXISTS: return REEVE_E_CLOSED;
    case B_SUBSELECT:
        if (s->rows > 1)
            return too_many_rows(s);
        return datum_copy(s->a, s->out, &v[0]) ? REEVE_OK : REEVE_E_NOMEM;
    case B_IN_SELECT:
        err = compare(s->e, &s->left, &v[0], OP_EQ, s->x->pos, &same);
        if (err != REEVE_OK)
            return err;
        s->null |= same.kind == D_NULL;
        if (same.kind == D_BOOL && same.b) {
            *s->out = d_bool(!s->x->negated);
            return REEVE_E_CLOSED;
        }
        return REEVE_OK;
    default: break;
    }
    if (s->rows > s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        struct slice *t = cap <= 65536 ? arena_alloc(s->a, cap * sizeof *t) : NULL;
        if (t == NULL)
            return eval_fail(s->e, REEVE_E_TOO_COMPLEX, s->x->pos, "array is too long");
        if (s->rows > 1)
            memcpy(t, s->texts, (s->rows - 1) * sizeof *t);
        s->texts = t;
        s->cap = cap;
    }
    struct datum t, copy;
    err = v[0].kind == D_NULL ? REEVE_OK
                              : datum_cast(s->a, s->x->sub->outputs[0]->type, &v[0], T_TEXT, &t, s->e->report);
    if (err == REEVE_OK && v[0].kind != D_NULL) {
        if (!datum_copy(s->a, &copy, &t))
            return REEVE_E_NOMEM;
        s->texts[s->rows - 1] = copy.s;
    }
    return err;
}

static enum reeve_err eval_sub(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    struct sub_state s = { .e = e, .a = a, .x = x, .out = out };
    enum reeve_err err = REEVE_OK;
    *out = d_null();
    if (x->n > 0)
        TRY(eval(e, a, p, x->args[0], &s.left));
    if (x->kind == B_IN_SELECT && s.left.kind == D_NULL)
        return REEVE_OK;
    TRY(plan_run(e, x->sub, sub_row, &s));
    if (x->kind == B_EXISTS)
        *out = d_bool((s.rows > 0) != x->negated);
    else if (x->kind == B_IN_SELECT && out->kind == D_NULL && !s.null)
        *out = d_bool(x->negated);
    else if (x->kind == B_ARRAY_SELECT)
        *out = (struct datum){ .kind = D_TEXTS, .texts = { (int) s.rows, s.texts } };
out:
    return err;
}

/* ---- dispatch ---- */

static enum reeve_err eval_unary(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    struct datum v;
    enum reeve_err err = eval(e, a, p, x->args[0], &v);
    if (err != REEVE_OK)
        return err;
    switch (x->kind) {
    case B_NOT: *out = v.kind == D_NULL ? v : d_bool(!v.b); break;
    case B_IS_NULL: *out = d_bool((v.kind == D_NULL) != x->negated); break;
    case B_IS_BOOL: {
        bool is = x->op == OP_UNKNOWN ? v.kind == D_NULL : v.kind == D_BOOL && v.b == (x->op == OP_TRUE);
        *out = d_bool(is != x->negated);
        break;
    }
    default:
        err = datum_cast(a, x->args[0]->type, &v, x->type, out, e->report);
        if (err != REEVE_OK && e->report->position == 0)
            e->report->position = parse_position(e->text, x->pos);
        break;
    }
    return err;
}

enum reeve_err eval(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
{
    switch (x->kind) {
    case B_CONST: *out = x->value; return REEVE_OK;
    case B_PARAM: return eval_param(e, a, x, out);
    case B_COLUMN: *out = x->scope->row[x->index]; return REEVE_OK;
    case B_GROUP: *out = p->group_values[x->index]; return REEVE_OK;
    case B_AGG: *out = p->agg_values[x->index]; return REEVE_OK;
    case B_FUNC: return eval_func(e, a, p, x, out);
    case B_OP: return eval_op(e, a, p, x, out);
    case B_AND: case B_OR: return eval_logic(e, a, p, x, out);
    case B_NOT: case B_IS_NULL: case B_IS_BOOL: case B_CAST: return eval_unary(e, a, p, x, out);
    case B_DISTINCT: return eval_distinct(e, a, p, x, out);
    case B_IN: return eval_in(e, a, p, x, out);
    case B_LIKE: case B_MATCH: return eval_pattern(e, a, p, x, out);
    case B_CASE: return eval_case(e, a, p, x, out);
    case B_ANY: return eval_any(e, a, p, x, out);
    case B_ARRAY: return eval_array(e, a, p, x, out);
    case B_SUBSCRIPT: return eval_subscript(e, a, p, x, out);
    case B_JSON: return eval_json(e, a, p, x, out);
    case B_BETWEEN: return eval_between(e, a, p, x, out);
    case B_EXISTS: case B_SUBSELECT: case B_IN_SELECT: case B_ARRAY_SELECT: return eval_sub(e, a, p, x, out);
    }
    return eval_fail(e, REEVE_E_BUG, x->pos, "unknown expression");
}

enum reeve_err eval_bool(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, bool *out)
{
    struct datum v;
    enum reeve_err err = eval(e, a, p, x, &v);
    *out = err == REEVE_OK && v.kind == D_BOOL && v.b;
    return err;
}
