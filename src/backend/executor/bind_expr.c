/* bind_expr.c - expressions: names to columns and functions, literals to types */
#include <stdarg.h>
#include <stdio.h>

#include "backend/executor/plan_int.h"
#include "backend/parser/parser.h"

enum reeve_err bind_fail(struct binder *b, enum reeve_err code, int pos, const char *fmt, ...)
{
    char message[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (b->report->code == REEVE_OK)
        report_set(b->report, code, "%s", message);
    if (b->report->position == 0)
        b->report->position = parse_position(b->text, pos);
    return code;
}

static enum reeve_err no_memory(struct binder *b)
{
    return bind_fail(b, REEVE_E_NOMEM, -1, "out of memory");
}

struct bx *bx_new(struct binder *b, enum bkind kind, uint32_t type, int pos, int nargs)
{
    struct bx *x = arena_alloc(b->arena, sizeof *x);
    if (x == NULL)
        return NULL;
    x->kind = kind;
    x->type = type;
    x->pos = pos;
    x->n = nargs;
    x->args = arena_alloc(b->arena, sizeof *x->args * (size_t) (nargs ? nargs : 1));
    return x->args ? x : NULL;
}

/* ---- types ---- */

bool type_is_number(uint32_t t)
{
    return t == T_INT2 || t == T_INT4 || t == T_INT8 || t == T_OID || t == T_FLOAT4 || t == T_FLOAT8 || t == T_NUMERIC;
}
static bool type_is_int(uint32_t t) { return t == T_INT2 || t == T_INT4 || t == T_INT8 || t == T_OID; }
bool type_is_text(uint32_t t)
{
    return t == T_TEXT || t == T_NAME || t == T_VARCHAR || t == T_UUID || t == T_INET || t == T_REGCLASS || t == T_UNKNOWN;
}
static bool type_is_time(uint32_t t) { return t == T_TIMESTAMPTZ || t == T_TIMESTAMP || t == T_DATE; }

static const char *type_word(uint32_t t)
{
    const struct type_info *i = type_by_oid(t);
    return i ? i->name : "unknown";
}

static bool same_family(uint32_t a, uint32_t b)
{
    const struct type_info *x = type_by_oid(a), *y = type_by_oid(b);
    if (a == b || (type_is_number(a) && type_is_number(b)) || (type_is_time(a) && type_is_time(b)))
        return true;
    if (x == NULL || y == NULL)
        return false;
    bool xt = x->kind == D_TEXT || x->kind == D_JSON, yt = y->kind == D_TEXT || y->kind == D_JSON;
    return xt && yt;
}

/* A literal of unknown type is parsed now, so that a bad one is refused with its position. */
static enum reeve_err type_literal(struct binder *b, struct bx *x, uint32_t to)
{
    if (x->value.kind == D_TEXT) {
        struct datum d;
        struct slice s = x->value.s;
        if (type_is_time(to) && b->env != NULL) {
            d = d_time_us(0);
            if (!time_parse(s, b->env->now_us, &d.us))
                return bind_fail(b, REEVE_E_INVALID_TEXT, x->pos, "invalid input syntax for type %s: \"%.*s\"",
                                 type_word(to), (int) (s.len > 64 ? 64 : s.len), (const char *) s.p);
        } else if (to != T_REGCLASS) {
            enum reeve_err err = datum_in_text(b->arena, to, s, &d, b->report);
            if (err != REEVE_OK)
                return bind_fail(b, err, x->pos, "invalid literal");
        } else {
            d = x->value;
        }
        x->value = d;
    }
    x->type = to;
    return REEVE_OK;
}

enum reeve_err bind_coerce(struct binder *b, struct bx **x, uint32_t to)
{
    struct bx *v = *x;
    if (to == 0 || v->type == to)
        return REEVE_OK;
    if (v->kind == B_PARAM && v->type == 0) {
        v->type = to;
        if (b->params[v->index] == 0)
            b->params[v->index] = to;
        return REEVE_OK;
    }
    if (v->kind == B_CONST && v->type == 0)
        return type_literal(b, v, to);
    if (v->type != 0 && !same_family(v->type, to))
        return bind_fail(b, REEVE_E_DATATYPE_MISMATCH, v->pos, "expression is of type %s, not %s", type_word(v->type),
                         type_word(to));
    const struct type_info *from = type_by_oid(v->type), *target = type_by_oid(to);
    if (from != NULL && target != NULL && from->kind == target->kind && from->kind != D_INT)
        return REEVE_OK;
    struct bx *cast = bx_new(b, B_CAST, to, v->pos, 1);
    if (cast == NULL)
        return no_memory(b);
    cast->args[0] = v;
    *x = cast;
    return REEVE_OK;
}

enum reeve_err bind_settle(struct binder *b, struct bx **x)
{
    return (*x)->type == 0 ? bind_coerce(b, x, T_TEXT) : REEVE_OK;
}

/* Brings two operands to comparable types. */
static enum reeve_err unify(struct binder *b, struct bx **l, struct bx **r, int pos, const char *op)
{
    enum reeve_err err = REEVE_OK;
    if ((*l)->type == 0 && (*r)->type != 0)
        TRY(bind_coerce(b, l, (*r)->type));
    if ((*r)->type == 0 && (*l)->type != 0)
        TRY(bind_coerce(b, r, (*l)->type));
    TRY(bind_settle(b, l));
    TRY(bind_settle(b, r));
    if (!same_family((*l)->type, (*r)->type)) {
        err = bind_fail(b, REEVE_E_UNDEFINED_FUNCTION, pos, "operator does not exist: %s %s %s", type_word((*l)->type), op,
                        type_word((*r)->type));
        report_hint(b->report, "You might need to add an explicit cast.");
    }
out:
    return err;
}

/* The type several branches share: the first known; numbers widen. */
static enum reeve_err unify_all(struct binder *b, struct bx **v, int from, int step, int n, uint32_t *type)
{
    uint32_t t = 0;
    for (int i = from; i < n; i += step) {
        uint32_t u = v[i]->type;
        if (u == 0 || (v[i]->kind == B_CONST && v[i]->value.kind == D_NULL))
            continue;
        if (t == 0 || (type_is_number(t) && type_is_number(u) && (u == T_FLOAT8 || (u == T_INT8 && t != T_FLOAT8))))
            t = u;
    }
    *type = t ? t : T_TEXT;
    for (int i = from; i < n; i += step) {
        bool null = v[i]->kind == B_CONST && v[i]->value.kind == D_NULL;
        enum reeve_err err = null ? REEVE_OK : bind_coerce(b, &v[i], *type);
        if (err != REEVE_OK)
            return err;
        if (null)
            v[i]->type = *type;
    }
    return REEVE_OK;
}

/* ---- leaves ---- */

static enum reeve_err bind_param(struct bind_ctx *c, const struct pvalue *v, struct bx **out)
{
    struct binder *b = c->b;
    struct bx *x = bx_new(b, B_PARAM, 0, v->pos, 0);
    if (x == NULL)
        return no_memory(b);
    if (v->i > b->nparams)
        return bind_fail(b, REEVE_E_UNDEFINED_PARAM, v->pos, "there is no parameter $%lld", (long long) v->i);
    x->index = (int) v->i - 1;
    x->type = b->params[x->index] == T_UNKNOWN ? 0 : b->params[x->index];
    *out = x;
    return REEVE_OK;
}

static enum reeve_err bind_value(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    const struct pvalue *v = &a->v;
    if (v->kind == PV_PARAM)
        return bind_param(c, v, out);
    struct bx *x = bx_new(c->b, B_CONST, 0, a->pos, 0);
    if (x == NULL)
        return no_memory(c->b);
    *out = x;
    switch (v->kind) {
    case PV_INT:
        x->type = v->i >= INT32_MIN && v->i <= INT32_MAX ? T_INT4 : T_INT8;
        x->value = d_int(v->i);
        return REEVE_OK;
    case PV_FLOAT: x->type = T_FLOAT8; x->value = d_float(v->f); return REEVE_OK;
    case PV_BOOL: x->type = T_BOOL; x->value = d_bool(v->i != 0); return REEVE_OK;
    case PV_NULL: x->value = d_null(); return REEVE_OK;
    case PV_INTERVAL:
        x->value = d_text(slice_of(v->s, v->len));
        return type_literal(c->b, x, T_INTERVAL);
    default: x->value = d_text(slice_of(v->s, v->len)); return REEVE_OK;
    }
}

static enum reeve_err bind_percent(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    if (a->v.kind == PV_PARAM)
        return bind_fail(c->b, REEVE_E_UNSUPPORTED, a->pos, "a parameter cannot be a percentage in an expression");
    struct bx *x = bx_new(c->b, B_CONST, T_FLOAT8, a->pos, 0);
    if (x == NULL)
        return no_memory(c->b);
    x->value = d_float((a->v.kind == PV_INT ? (double) a->v.i : a->v.f) / 100);
    *out = x;
    return REEVE_OK;
}

static bool column_matches(const struct scope_column *col, const struct ast_expr *x)
{
    return strcmp(col->name, x->name) == 0 &&
           (x->table == NULL || (col->table != NULL && strcmp(col->table, x->table) == 0));
}

static void mark_needed(struct scope *s, int column)
{
    for (int i = 0; s->plan != NULL && i < s->plan->nfrom; i++) {
        const struct plan_from *f = &s->plan->from[i];
        if (column >= f->first && column < f->first + f->n && s->needed != NULL)
            s->needed[i] |= 1ull << ((column - f->first) & 63);
    }
}

/* current_user and its kin are spelled like columns. */
static const struct func *bare_function(const struct query_env *env, const char *name)
{
    static const char *const bare[] = { "current_user", "session_user", "user", "current_catalog", "current_schema",
                                        "current_timestamp", "current_date", "localtimestamp", "current_role" };
    for (size_t i = 0; i < sizeof bare / sizeof bare[0]; i++) {
        if (strcmp(bare[i], name) == 0)
            return func_find(env, name, 0);
    }
    return NULL;
}

static enum reeve_err find_column(struct bind_ctx *c, const struct ast_expr *a, struct scope **scope, int *index)
{
    for (struct scope *s = c->scope; s != NULL; s = s->outer) {
        int found = -1;
        for (int i = 0; i < s->n; i++) {
            if (!column_matches(&s->cols[i], a))
                continue;
            if (found >= 0)
                return bind_fail(c->b, REEVE_E_AMBIGUOUS_COLUMN, a->pos, "column reference \"%s\" is ambiguous", a->name);
            found = i;
        }
        if (found >= 0) {
            *scope = s;
            *index = found;
            return REEVE_OK;
        }
    }
    return REEVE_E_NOT_FOUND;
}

static enum reeve_err bind_column(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    struct scope *s = NULL;
    int i = 0;
    enum reeve_err err = find_column(c, a, &s, &i);
    if (err == REEVE_E_NOT_FOUND) {
        const struct func *f = a->table == NULL ? bare_function(c->b->env, a->name) : NULL;
        if (f == NULL)
            return bind_fail(c->b, REEVE_E_UNDEFINED_COLUMN, a->pos, "column %s%s%s%s does not exist", a->table ? "" : "\"",
                             a->table ? a->table : a->name, a->table ? "." : "\"", a->table ? a->name : "");
        *out = bx_new(c->b, B_FUNC, f->ret, a->pos, 0);
        if (*out == NULL)
            return no_memory(c->b);
        (*out)->func = f;
        return REEVE_OK;
    }
    if (err != REEVE_OK)
        return err;
    struct bx *x = bx_new(c->b, B_COLUMN, s->cols[i].type, a->pos, 0);
    if (x == NULL)
        return no_memory(c->b);
    x->scope = s;
    x->index = i;
    mark_needed(s, i);
    *out = x;
    return REEVE_OK;
}

/* ---- aggregates ---- */

static bool agg_by_name(const char *name, enum agg_kind *kind)
{
    static const struct { const char *name; enum agg_kind kind; } list[] = {
        { "count", AGG_COUNT }, { "sum", AGG_SUM }, { "avg", AGG_AVG }, { "min", AGG_MIN }, { "max", AGG_MAX },
        { "string_agg", AGG_STRING }, { "bool_and", AGG_AND }, { "every", AGG_AND }, { "bool_or", AGG_OR },
        { "array_agg", AGG_ARRAY }
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (strcmp(list[i].name, name) == 0) {
            *kind = list[i].kind;
            return true;
        }
    }
    return false;
}

static enum reeve_err agg_types(struct binder *b, struct agg *g, int pos)
{
    enum reeve_err err = REEVE_OK;
    uint32_t t = g->arg ? g->arg->type : 0;
    bool number = t == 0 || type_is_number(t);
    switch (g->kind) {
    case AGG_COUNT_STAR:
    case AGG_COUNT: g->type = T_INT8; break;
    case AGG_SUM:
        if (t == T_INTERVAL) {
            g->type = T_INTERVAL;
            break;
        }
        if (!number)
            return bind_fail(b, REEVE_E_UNDEFINED_FUNCTION, pos, "function sum(%s) does not exist", type_word(t));
        g->type = t != 0 && !type_is_int(t) ? T_FLOAT8 : T_INT8;
        err = bind_coerce(b, &g->arg, g->type);
        break;
    case AGG_AVG:
        if (!number)
            return bind_fail(b, REEVE_E_UNDEFINED_FUNCTION, pos, "function avg(%s) does not exist", type_word(t));
        g->type = T_FLOAT8;
        err = bind_coerce(b, &g->arg, T_FLOAT8);
        break;
    case AGG_AND:
    case AGG_OR:
        g->type = T_BOOL;
        err = bind_coerce(b, &g->arg, T_BOOL);
        break;
    case AGG_STRING:
        g->type = T_TEXT;
        TRY(bind_coerce(b, &g->arg, T_TEXT));
        err = bind_coerce(b, &g->arg2, T_TEXT);
        break;
    case AGG_ARRAY:
        g->type = T_TEXT_ARRAY;
        err = bind_coerce(b, &g->arg, T_TEXT);
        break;
    default: g->type = g->arg->type; break;
    }
out:
    return err;
}

static enum reeve_err bind_agg(struct bind_ctx *c, const struct ast_expr *a, enum agg_kind kind, struct bx **out)
{
    struct binder *b = c->b;
    enum reeve_err err = REEVE_OK;
    if (c->in_agg || c->plan == NULL)
        return bind_fail(b, REEVE_E_GROUPING, a->pos, "aggregate functions are not allowed here");
    int want = kind == AGG_STRING ? 2 : 1;
    if (a->star ? kind != AGG_COUNT : a->nargs != want)
        return bind_fail(b, REEVE_E_UNDEFINED_FUNCTION, a->pos, "function %s with %d arguments does not exist", a->name,
                         a->nargs);
    struct agg g = { .kind = a->star ? AGG_COUNT_STAR : kind, .distinct = a->distinct };
    struct bind_ctx inner = { .b = b, .scope = c->scope, .plan = NULL, .in_agg = true };
    if (!a->star) {
        TRY(bind_expr(&inner, a->args[0], &g.arg));
        if (kind == AGG_STRING)
            TRY(bind_expr(&inner, a->args[1], &g.arg2));
        if (kind == AGG_COUNT || kind == AGG_MIN || kind == AGG_MAX)
            TRY(bind_settle(b, &g.arg));
    }
    TRY(agg_types(b, &g, a->pos));
    struct plan *p = c->plan;
    if ((p->naggs & (p->naggs - 1)) == 0) {
        struct agg *v = arena_alloc(b->arena, sizeof *v * (size_t) (p->naggs ? p->naggs * 2 : 1));
        if (v == NULL)
            return no_memory(b);
        if (p->naggs > 0)
            memcpy(v, p->aggs, sizeof *v * (size_t) p->naggs);
        p->aggs = v;
    }
    p->aggs[p->naggs] = g;
    *out = bx_new(b, B_AGG, g.type, a->pos, 0);
    if (*out == NULL)
        return no_memory(b);
    (*out)->index = p->naggs++;
out:
    return err;
}

/* ---- functions ---- */

static uint32_t letter_type(char l)
{
    switch (l) {
    case 't': return T_TEXT;
    case 'i': return T_INT8;
    case 'f': return T_FLOAT8;
    case 'b': return T_BOOL;
    case 'm': return T_TIMESTAMPTZ;
    case 'v': return T_INTERVAL;
    case 'j': return T_JSONB;
    case 'a': return T_TEXT_ARRAY;
    default: return 0;
    }
}

/* How the letters of struct func fit n arguments. */
static bool arity_fits(const char *letters, int n)
{
    int least = 0, most = 0;
    bool optional = false, repeat = false;
    for (const char *l = letters; *l != '\0'; l++) {
        if (*l == '?') {
            optional = true;
        } else if (*l == '+') {
            repeat = true;
        } else {
            most++;
            least += !optional;
        }
    }
    return n >= least && (repeat || n <= most);
}

const struct func *func_find(const struct query_env *env, const char *name, int nargs)
{
    const struct func *lists[2] = { func_builtins, env ? env->funcs : NULL };
    for (int i = 0; i < 2; i++) {
        for (const struct func *f = lists[i]; f != NULL && f->name != NULL; f++) {
            if (strcmp(f->name, name) == 0 && (nargs < 0 || arity_fits(f->args, nargs)))
                return f;
        }
    }
    return NULL;
}

static enum reeve_err coerce_args(struct bind_ctx *c, struct bx *x)
{
    const char *l = x->func->args;
    char last = '*';
    for (int i = 0; i < x->n; i++) {
        if (*l == '?')
            l++;
        if (*l != '\0' && *l != '+')
            last = *l++;
        uint32_t t = letter_type(last);
        enum reeve_err err = t ? bind_coerce(c->b, &x->args[i], t) : REEVE_OK;
        if (err == REEVE_OK && t == 0 && last == '*' && x->func->ret != 0)
            err = bind_settle(c->b, &x->args[i]);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

/* label('tier') reads the row's column labels. */
static enum reeve_err bind_label(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    enum reeve_err err = REEVE_OK;
    struct ast_expr column = { .kind = X_COLUMN, .name = "labels", .pos = a->pos };
    struct bx *x = bx_new(c->b, B_JSON, T_TEXT, a->pos, 2);
    if (x == NULL)
        return no_memory(c->b);
    x->op = OP_JSON_TEXT;
    TRY(bind_expr(c, &column, &x->args[0]));
    TRY(bind_expr(c, a->args[0], &x->args[1]));
    TRY(bind_coerce(c->b, &x->args[1], T_TEXT));
    *out = x;
out:
    return err;
}

static enum reeve_err bind_func(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    enum agg_kind kind;
    enum reeve_err err = REEVE_OK;
    if (agg_by_name(a->name, &kind))
        return bind_agg(c, a, kind, out);
    if (strcmp(a->name, "label") == 0 && a->nargs == 1)
        return bind_label(c, a, out);
    const struct func *f = func_find(c->b->env, a->name, a->nargs);
    if (f == NULL || a->star || a->distinct) {
        bool exists = func_find(c->b->env, a->name, -1) != NULL;
        return bind_fail(c->b, REEVE_E_UNDEFINED_FUNCTION, a->pos, "function %s%s%s", a->name,
                         exists ? " does not take these arguments" : "() does not exist", "");
    }
    if (a->nargs > FUNC_ARGS_MAX)
        return bind_fail(c->b, REEVE_E_TOO_COMPLEX, a->pos, "more than %d arguments", FUNC_ARGS_MAX);
    struct bx *x = bx_new(c->b, B_FUNC, f->ret, a->pos, a->nargs);
    if (x == NULL)
        return no_memory(c->b);
    x->func = f;
    for (int i = 0; i < a->nargs; i++)
        TRY(bind_expr(c, a->args[i], &x->args[i]));
    TRY(coerce_args(c, x));
    if (f->ret == 0)
        TRY(unify_all(c->b, x->args, 0, 1, x->n, &x->type));
    *out = x;
out:
    return err;
}

/* ---- operators ---- */

static enum reeve_err bind_args(struct bind_ctx *c, const struct ast_expr *a, struct bx *x)
{
    enum reeve_err err = x == NULL ? no_memory(c->b) : REEVE_OK;
    for (int i = 0; err == REEVE_OK && i < a->nargs; i++)
        err = bind_expr(c, a->args[i], &x->args[i]);
    return err;
}

static uint32_t number_result(uint32_t a, uint32_t b)
{
    if (!type_is_int(a) || !type_is_int(b))
        return T_FLOAT8;
    return a == T_INT8 || b == T_INT8 || a == T_OID || b == T_OID ? T_INT8 : T_INT4;
}

/* Result type of + - * / %, 0 where there is none. */
static uint32_t arithmetic_type(enum ast_op op, uint32_t l, uint32_t r)
{
    if (type_is_number(l) && type_is_number(r))
        return number_result(l, r);
    if (type_is_time(l) && r == T_INTERVAL && (op == OP_ADD || op == OP_SUB))
        return l == T_DATE ? T_TIMESTAMP : l;
    if (l == T_INTERVAL && type_is_time(r) && op == OP_ADD)
        return r == T_DATE ? T_TIMESTAMP : r;
    if (type_is_time(l) && type_is_time(r) && op == OP_SUB)
        return T_INTERVAL;
    if (l == T_INTERVAL && r == T_INTERVAL && (op == OP_ADD || op == OP_SUB))
        return T_INTERVAL;
    if ((l == T_INTERVAL && type_is_number(r) && (op == OP_MUL || op == OP_DIV)) ||
        (type_is_number(l) && r == T_INTERVAL && op == OP_MUL))
        return T_INTERVAL;
    return 0;
}

static uint32_t other_operand(enum ast_op op, uint32_t known)
{
    return type_is_time(known) ? (op == OP_SUB ? known : T_INTERVAL) : known;
}

static enum reeve_err bind_arithmetic(struct bind_ctx *c, const struct ast_expr *a, struct bx *x)
{
    enum reeve_err err = REEVE_OK;
    struct bx **l = &x->args[0], **r = &x->args[1];
    if ((*l)->type == 0 && (*r)->type == 0)
        TRY(bind_coerce(c->b, l, T_INT8));
    if ((*l)->type == 0)
        TRY(bind_coerce(c->b, l, type_is_time((*r)->type) ? (*r)->type : other_operand(a->op, (*r)->type)));
    if ((*r)->type == 0)
        TRY(bind_coerce(c->b, r, other_operand(a->op, (*l)->type)));
    x->type = arithmetic_type(a->op, (*l)->type, (*r)->type);
    if (x->type == 0)
        err = bind_fail(c->b, REEVE_E_UNDEFINED_FUNCTION, a->pos, "operator does not exist: %s %s %s",
                        type_word((*l)->type), ast_op_text(a->op), type_word((*r)->type));
out:
    return err;
}

static enum reeve_err bind_negation(struct bind_ctx *c, const struct ast_expr *a, struct bx *x)
{
    enum reeve_err err = REEVE_OK;
    if (x->args[0]->type == 0)
        TRY(bind_coerce(c->b, &x->args[0], T_FLOAT8));
    x->type = x->args[0]->type;
    if (!type_is_number(x->type) && x->type != T_INTERVAL)
        err = bind_fail(c->b, REEVE_E_UNDEFINED_FUNCTION, a->pos, "operator does not exist: - %s", type_word(x->type));
out:
    return err;
}

static enum reeve_err bind_match(struct bind_ctx *c, struct bx *x)
{
    enum reeve_err err = bind_coerce(c->b, &x->args[0], T_TEXT);
    if (err == REEVE_OK)
        err = bind_coerce(c->b, &x->args[1], T_TEXT);
    x->type = T_BOOL;
    return err;
}

static enum reeve_err bind_concat(struct bind_ctx *c, struct bx *x)
{
    for (int i = 0; i < 2; i++) {
        enum reeve_err err = bind_settle(c->b, &x->args[i]);
        if (err != REEVE_OK)
            return err;
    }
    x->type = T_TEXT;
    return REEVE_OK;
}

static enum reeve_err bind_json(struct bind_ctx *c, struct bx *x)
{
    enum reeve_err err = bind_coerce(c->b, &x->args[0], T_JSONB);
    if (err == REEVE_OK)
        err = bind_coerce(c->b, &x->args[1], T_TEXT);
    x->type = x->op == OP_JSON ? T_JSONB : T_TEXT;
    return err;
}

static enum reeve_err bind_op(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    struct bx *x = bx_new(c->b, B_OP, 0, a->pos, a->nargs);
    enum reeve_err err = bind_args(c, a, x);
    if (err != REEVE_OK)
        return err;
    x->op = a->op;
    *out = x;
    switch (a->op) {
    case OP_EQ: case OP_NE: case OP_LT: case OP_LE: case OP_GT: case OP_GE:
        x->type = T_BOOL;
        return unify(c->b, &x->args[0], &x->args[1], a->pos, ast_op_text(a->op));
    case OP_NEG: return bind_negation(c, a, x);
    case OP_CONCAT: return bind_concat(c, x);
    case OP_MATCH: case OP_NMATCH: case OP_IMATCH: case OP_NIMATCH:
        x->kind = B_MATCH;
        return bind_match(c, x);
    case OP_JSON: case OP_JSON_TEXT:
        x->kind = B_JSON;
        return bind_json(c, x);
    default: return bind_arithmetic(c, a, x);
    }
}

static enum reeve_err bind_logic(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    enum bkind kind = a->kind == X_AND ? B_AND : a->kind == X_OR ? B_OR : B_NOT;
    struct bx *x = bx_new(c->b, kind, T_BOOL, a->pos, a->nargs);
    if (x == NULL)
        return no_memory(c->b);
    *out = x;
    for (int i = 0; i < a->nargs; i++) {
        const char *word = a->kind == X_AND ? "AND" : a->kind == X_OR ? "OR" : "NOT";
        enum reeve_err err = bind_bool(c, a->args[i], word, &x->args[i]);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

/* IS NULL, IS TRUE, IS DISTINCT FROM, LIKE, BETWEEN: operands, then what they must share. */
static enum reeve_err bind_test(struct bind_ctx *c, const struct ast_expr *a, enum bkind kind, struct bx **out)
{
    struct bx *x = bx_new(c->b, kind, T_BOOL, a->pos, a->nargs);
    enum reeve_err err = bind_args(c, a, x);
    if (err != REEVE_OK)
        return err;
    x->op = a->op;
    x->negated = a->negated;
    *out = x;
    switch (kind) {
    case B_IS_NULL: return bind_settle(c->b, &x->args[0]);
    case B_IS_BOOL: return bind_coerce(c->b, &x->args[0], T_BOOL);
    case B_LIKE: return bind_match(c, x);
    case B_DISTINCT: return unify(c->b, &x->args[0], &x->args[1], a->pos, "IS DISTINCT FROM");
    default:
        TRY(unify(c->b, &x->args[0], &x->args[1], a->pos, "BETWEEN"));
        return unify(c->b, &x->args[0], &x->args[2], a->pos, "BETWEEN");
    }
out:
    return err;
}

static enum reeve_err bind_sub(struct bind_ctx *c, const struct ast_expr *a, enum bkind kind, struct bx **out)
{
    enum reeve_err err = REEVE_OK;
    struct bx *x = bx_new(c->b, kind, T_BOOL, a->pos, a->nargs);
    TRY(bind_args(c, a, x));
    TRY(bind_select(c->b, a->select, c->scope, &x->sub));
    if (c->scope != NULL && c->scope->plan != NULL)
        c->scope->plan->has_sub = true;
    x->negated = a->negated;
    x->op = a->op;
    *out = x;
    if (kind != B_EXISTS && x->sub->ntargets != 1)
        return bind_fail(c->b, REEVE_E_SYNTAX, a->pos, "sub-select must return only one column");
    if (kind == B_SUBSELECT)
        x->type = x->sub->outputs[0]->type;
    if (kind == B_ARRAY_SELECT)
        x->type = T_TEXT_ARRAY;
    if (kind == B_IN_SELECT)
        TRY(bind_coerce(c->b, &x->args[0], x->sub->outputs[0]->type));
out:
    return err;
}

static enum reeve_err bind_in(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    if (a->select != NULL)
        return bind_sub(c, a, B_IN_SELECT, out);
    struct bx *x = bx_new(c->b, B_IN, T_BOOL, a->pos, a->nargs);
    enum reeve_err err = bind_args(c, a, x);
    if (err != REEVE_OK)
        return err;
    x->negated = a->negated;
    *out = x;
    for (int i = 1; i < x->n; i++)
        TRY(unify(c->b, &x->args[0], &x->args[i], x->args[i]->pos, "="));
out:
    return err;
}

static enum reeve_err bind_case(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    enum reeve_err err = REEVE_OK;
    struct bx *x = bx_new(c->b, B_CASE, 0, a->pos, a->nargs);
    TRY(bind_args(c, a, x));
    x->has_base = a->has_base;
    x->has_else = a->has_else;
    *out = x;
    int end = x->n - x->has_else;
    for (int i = x->has_base; i < end; i += 2)
        TRY(x->has_base ? unify(c->b, &x->args[0], &x->args[i], x->args[i]->pos, "=")
                        : bind_coerce(c->b, &x->args[i], T_BOOL));
    /* branches stand at has_base + 1, + 3, ...; ELSE last, at the same parity */
    struct bx **branch = arena_alloc(c->b->arena, sizeof *branch * (size_t) x->n);
    int n = 0;
    if (branch == NULL)
        return no_memory(c->b);
    for (int i = x->has_base + 1; i < end; i += 2)
        branch[n++] = x->args[i];
    if (x->has_else)
        branch[n++] = x->args[x->n - 1];
    TRY(unify_all(c->b, branch, 0, 1, n, &x->type));
    n = 0;
    for (int i = x->has_base + 1; i < end; i += 2)
        x->args[i] = branch[n++];
    if (x->has_else)
        x->args[x->n - 1] = branch[n];
out:
    return err;
}

static enum reeve_err bind_cast(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    const struct type_info *t = type_by_name(a->name, a->array);
    if (t == NULL)
        return bind_fail(c->b, REEVE_E_UNDEFINED_OBJECT, a->pos, "type \"%s%s\" does not exist", a->name,
                         a->array ? "[]" : "");
    struct bx *x = bx_new(c->b, B_CAST, t->oid, a->pos, 1);
    enum reeve_err err = bind_args(c, a, x);
    if (err != REEVE_OK)
        return err;
    *out = x;
    if (x->args[0]->type != 0)
        return REEVE_OK;
    *out = x->args[0];
    return bind_coerce(c->b, out, t->oid);
}

static enum reeve_err bind_any(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    if (a->select != NULL) {
        if (a->op != OP_EQ || a->negated)
            return bind_fail(c->b, REEVE_E_UNSUPPORTED, a->pos, "only = ANY (sub-select) is supported");
        return bind_sub(c, a, B_IN_SELECT, out);
    }
    struct bx *x = bx_new(c->b, B_ANY, T_BOOL, a->pos, a->nargs);
    enum reeve_err err = bind_args(c, a, x);
    if (err != REEVE_OK)
        return err;
    x->op = a->op;
    x->negated = a->negated;
    *out = x;
    TRY(bind_coerce(c->b, &x->args[1], T_TEXT_ARRAY));
    err = bind_settle(c->b, &x->args[0]);
out:
    return err;
}

static enum reeve_err bind_array(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    if (a->select != NULL)
        return bind_sub(c, a, B_ARRAY_SELECT, out);
    struct bx *x = bx_new(c->b, B_ARRAY, T_TEXT_ARRAY, a->pos, a->nargs);
    enum reeve_err err = bind_args(c, a, x);
    for (int i = 0; err == REEVE_OK && i < x->n; i++)
        err = bind_settle(c->b, &x->args[i]);
    *out = x;
    return err;
}

static enum reeve_err bind_subscript(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    struct bx *x = bx_new(c->b, B_SUBSCRIPT, T_TEXT, a->pos, 2);
    enum reeve_err err = bind_args(c, a, x);
    *out = x;
    if (err == REEVE_OK)
        err = bind_coerce(c->b, &x->args[0], T_TEXT_ARRAY);
    return err == REEVE_OK ? bind_coerce(c->b, &x->args[1], T_INT8) : err;
}

static enum reeve_err dispatch(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    switch (a->kind) {
    case X_VALUE: return bind_value(c, a, out);
    case X_PERCENT: return bind_percent(c, a, out);
    case X_COLUMN: return bind_column(c, a, out);
    case X_AND: case X_OR: case X_NOT: return bind_logic(c, a, out);
    case X_OP: return bind_op(c, a, out);
    case X_IS_NULL: return bind_test(c, a, B_IS_NULL, out);
    case X_IS_BOOL: return bind_test(c, a, B_IS_BOOL, out);
    case X_DISTINCT: return bind_test(c, a, B_DISTINCT, out);
    case X_LIKE: return bind_test(c, a, B_LIKE, out);
    case X_BETWEEN: return bind_test(c, a, B_BETWEEN, out);
    case X_IN: return bind_in(c, a, out);
    case X_FUNC: return bind_func(c, a, out);
    case X_CASE: return bind_case(c, a, out);
    case X_CAST: return bind_cast(c, a, out);
    case X_ANY: return bind_any(c, a, out);
    case X_ARRAY: return bind_array(c, a, out);
    case X_SUBSCRIPT: return bind_subscript(c, a, out);
    case X_EXISTS: return bind_sub(c, a, B_EXISTS, out);
    case X_SUBSELECT: return bind_sub(c, a, B_SUBSELECT, out);
    case X_COLLATE: return bind_expr(c, a->args[0], out);
    case X_STAR: break;
    }
    return bind_fail(c->b, REEVE_E_SYNTAX, a->pos, "* is not allowed here");
}

/* In a grouped query an expression equal to a GROUP BY member is that member. */
static enum reeve_err find_group(struct bind_ctx *c, const struct ast_expr *a, struct bx **out, bool *found)
{
    struct bx *raw = NULL;
    struct bind_ctx plain = { .b = c->b, .scope = c->scope, .plan = NULL, .in_agg = true };
    struct report kept = *c->b->report;
    *found = false;
    if (a->kind == X_VALUE || a->kind == X_SUBSELECT || a->kind == X_EXISTS)
        return REEVE_OK;
    enum reeve_err err = bind_expr(&plain, a, &raw);
    *c->b->report = kept;
    for (int i = 0; err == REEVE_OK && i < c->plan->ngroups; i++) {
        if (bx_equal(raw, c->plan->groups[i])) {
            struct bx *x = bx_new(c->b, B_GROUP, c->plan->groups[i]->type, a->pos, 0);
            if (x == NULL)
                return no_memory(c->b);
            x->index = i;
            *out = x;
            *found = true;
            return REEVE_OK;
        }
    }
    return REEVE_OK;
}

enum reeve_err bind_expr(struct bind_ctx *c, const struct ast_expr *a, struct bx **out)
{
    bool found = false;
    if (c->grouped && c->plan != NULL && c->plan->ngroups > 0) {
        enum reeve_err err = find_group(c, a, out, &found);
        if (err != REEVE_OK || found)
            return err;
    }
    enum reeve_err err = dispatch(c, a, out);
    if (err == REEVE_OK && c->grouped && (*out)->kind == B_COLUMN && (*out)->scope == c->scope)
        return bind_fail(c->b, REEVE_E_GROUPING, a->pos,
                         "column \"%s\" must appear in the GROUP BY clause or be used in an aggregate function", a->name);
    return err;
}

enum reeve_err bind_bool(struct bind_ctx *c, const struct ast_expr *x, const char *clause, struct bx **out)
{
    enum reeve_err err = bind_expr(c, x, out);
    if (err != REEVE_OK)
        return err;
    uint32_t t = (*out)->type;
    if (t != 0 && t != T_BOOL)
        return bind_fail(c->b, REEVE_E_DATATYPE_MISMATCH, x->pos, "argument of %s must be type boolean, not type %s", clause,
                         type_word(t));
    return bind_coerce(c->b, out, T_BOOL);
}

/* ---- comparing bound trees ---- */

static bool const_equal(const struct bx *a, const struct bx *b)
{
    int order;
    if (a->value.kind == D_NULL || b->value.kind == D_NULL)
        return a->value.kind == b->value.kind;
    return datum_cmp(&a->value, &b->value, &order) && order == 0;
}

bool bx_equal(const struct bx *a, const struct bx *b)
{
    if (a->kind != b->kind || a->op != b->op || a->type != b->type || a->n != b->n || a->negated != b->negated ||
        a->index != b->index || a->scope != b->scope || a->func != b->func || a->sub != b->sub ||
        a->has_base != b->has_base || a->has_else != b->has_else)
        return false;
    if (a->kind == B_CONST && !const_equal(a, b))
        return false;
    for (int i = 0; i < a->n; i++) {
        if (!bx_equal(a->args[i], b->args[i]))
            return false;
    }
    return true;
}

bool bx_independent(const struct bx *x, const struct scope *s)
{
    if (x->kind == B_AGG || x->kind == B_GROUP || x->sub != NULL || (x->kind == B_COLUMN && x->scope == s))
        return false;
    for (int i = 0; i < x->n; i++) {
        if (!bx_independent(x->args[i], s))
            return false;
    }
    return true;
}
