/* build_expr.c - expression and SELECT nodes, with the depth and length bounds (A4, A5) */
#include <stdio.h>

#include "backend/parser/build_int.h"
#include "backend/parser/grammar.h"

static struct ast_expr *alloc_expr(struct parse *p, enum ast_expr_kind kind, int pos)
{
    struct ast_expr *x = build_alloc(p, sizeof *x);
    if (x != NULL) {
        x->kind = kind;
        x->pos = pos;
        x->depth = 1;
    }
    return x;
}

/* Appends an argument; the tree must not grow deeper than evaluators may recurse. */
static void add_arg(struct parse *p, struct ast_expr *x, struct ast_expr *arg)
{
    if (x == NULL || arg == NULL)
        return;
    struct ast_expr **v = list_grow(p, x->args, x->nargs, sizeof *v, x->pos);
    if (v == NULL)
        return;
    x->args = v;
    x->args[x->nargs++] = arg;
    if (arg->depth >= x->depth)
        x->depth = arg->depth + 1;
    if (x->depth > AST_DEPTH_MAX)
        parse_fail(p, REEVE_E_TOO_COMPLEX, x->pos, "expression is nested deeper than %d", AST_DEPTH_MAX);
}

struct ast_expr *x_value(struct parse *p, struct pvalue v)
{
    struct ast_expr *x = alloc_expr(p, X_VALUE, v.pos);
    if (x != NULL)
        x->v = v;
    return x;
}

struct ast_expr *x_percent(struct parse *p, struct pvalue v)
{
    struct ast_expr *x = x_value(p, v);
    if (x != NULL)
        x->kind = X_PERCENT;
    return x;
}

struct ast_expr *x_column(struct parse *p, struct pvalue *schema, struct pvalue *table, struct pvalue name)
{
    struct ast_expr *x = alloc_expr(p, X_COLUMN, schema ? schema->pos : table ? table->pos : name.pos);
    if (x != NULL) {
        x->schema = schema ? schema->s : NULL;
        x->table = table ? table->s : NULL;
        x->name = name.s;
    }
    return x;
}

struct ast_expr *x_star(struct parse *p, struct pvalue *table, int pos)
{
    struct ast_expr *x = alloc_expr(p, X_STAR, pos);
    if (x != NULL)
        x->table = table ? table->s : NULL;
    return x;
}

struct ast_expr *x_new(struct parse *p, enum ast_expr_kind kind, enum ast_op op, int pos, struct ast_expr *a,
                       struct ast_expr *b)
{
    struct ast_expr *x = alloc_expr(p, kind, pos);
    if (x != NULL)
        x->op = op;
    add_arg(p, x, a);
    add_arg(p, x, b);
    return x;
}

/* AND and OR take the members of a left operand of their own kind. */
struct ast_expr *x_bool(struct parse *p, enum ast_expr_kind kind, int pos, struct ast_expr *a, struct ast_expr *b)
{
    if (a == NULL || a->kind != kind)
        return x_new(p, kind, OP_NONE, pos, a, b);
    add_arg(p, a, b);
    return a;
}

struct ast_expr *x_list(struct parse *p, enum ast_expr_kind kind, int pos, struct ast_expr *first, struct ast_exprs *l)
{
    struct ast_expr *x = alloc_expr(p, kind, pos);
    add_arg(p, x, first);
    for (int i = 0; l != NULL && i < l->n; i++)
        add_arg(p, x, l->v[i]);
    return x;
}

struct ast_expr *x_func(struct parse *p, struct pvalue *schema, struct pvalue name, struct ast_exprs *args)
{
    struct ast_expr *x = x_list(p, X_FUNC, schema ? schema->pos : name.pos, NULL, args);
    if (x != NULL) {
        x->schema = schema ? schema->s : NULL;
        x->name = name.s;
    }
    return x;
}

struct ast_expr *x_cast(struct parse *p, struct ast_expr *a, struct pvalue type, int pos)
{
    struct ast_expr *x = x_new(p, X_CAST, OP_NONE, pos, a, NULL);
    if (x == NULL)
        return NULL;
    x->array = type.len > 2 && memcmp(type.s + type.len - 2, "[]", 2) == 0;
    x->name = x->array ? arena_strndup(p->arena, type.s, type.len - 2) : type.s;
    if (x->name == NULL)
        parse_fail(p, REEVE_E_NOMEM, pos, "out of memory");
    return x;
}

struct ast_expr *x_collate(struct parse *p, struct ast_expr *a, int pos, struct pvalue name)
{
    struct ast_expr *x = x_new(p, X_COLLATE, OP_NONE, pos, a, NULL);
    if (x != NULL)
        x->name = name.s;
    return x;
}

struct ast_expr *x_select(struct parse *p, enum ast_expr_kind kind, int pos, struct ast_expr *first,
                          struct ast_select *s)
{
    struct ast_expr *x = x_new(p, kind, OP_NONE, pos, first, NULL);
    if (x != NULL)
        x->select = s;
    return x;
}

struct ast_expr *x_not(struct parse *p, struct ast_expr *x, bool negated)
{
    if (x != NULL)
        x->negated = negated;
    return x;
}

struct ast_expr *x_any(struct parse *p, struct ast_expr *a, enum ast_op op, int pos, bool all, struct ast_expr *b,
                       struct ast_select *s)
{
    struct ast_expr *x = x_new(p, X_ANY, op, pos, a, b);
    if (x != NULL) {
        x->negated = all;
        x->select = s;
    }
    return x;
}

struct ast_expr *x_between(struct parse *p, int pos, struct ast_expr *a, struct ast_expr *lo, struct ast_expr *hi,
                           bool negated)
{
    struct ast_expr *x = x_new(p, X_BETWEEN, OP_NONE, pos, a, lo);
    add_arg(p, x, hi);
    return x_not(p, x, negated);
}

struct ast_expr *x_case(struct parse *p, int pos, struct ast_expr *base, struct ast_exprs *whens,
                        struct ast_expr *otherwise)
{
    struct ast_expr *x = x_list(p, X_CASE, pos, base, whens);
    add_arg(p, x, otherwise);
    if (x != NULL) {
        x->has_base = base != NULL;
        x->has_else = otherwise != NULL;
    }
    return x;
}

enum ast_op x_op_of(int token)
{
    switch (token) {
    case TK_EQ: return OP_EQ;
    case TK_NE: return OP_NE;
    case TK_LT: return OP_LT;
    case TK_LE: return OP_LE;
    case TK_GT: return OP_GT;
    case TK_GE: return OP_GE;
    case TK_PLUS: return OP_ADD;
    case TK_MINUS: return OP_SUB;
    case TK_STAR: return OP_MUL;
    case TK_SLASH: return OP_DIV;
    case TK_MOD: return OP_MOD;
    case TK_CONCAT: return OP_CONCAT;
    case TK_TILDE: return OP_MATCH;
    case TK_NTILDE: return OP_NMATCH;
    case TK_ITILDE: return OP_IMATCH;
    case TK_NITILDE: return OP_NIMATCH;
    case TK_ARROW: return OP_JSON;
    case TK_DARROW: return OP_JSON_TEXT;
    default: return OP_NONE;
    }
}

struct ast_exprs *exprs_add(struct parse *p, struct ast_exprs *l, struct ast_expr *x)
{
    if (l == NULL)
        l = build_alloc(p, sizeof *l);
    if (l != NULL && x != NULL)
        LIST_ADD(p, l, v, x, x->pos);
    return l;
}

/* ---- SELECT ---- */

struct ast_targets *targets_add(struct parse *p, struct ast_targets *l, struct ast_expr *x, struct pvalue *alias)
{
    if (l == NULL)
        l = build_alloc(p, sizeof *l);
    struct ast_target t = { x, alias ? alias->s : NULL };
    if (l != NULL && x != NULL)
        LIST_ADD(p, l, v, t, x->pos);
    return l;
}

struct ast_from *from_new(struct parse *p, struct pvalue *schema, struct pvalue name)
{
    struct ast_from *f = build_alloc(p, sizeof *f);
    if (f != NULL) {
        f->pos = schema ? schema->pos : name.pos;
        f->schema = schema ? schema->s : NULL;
        f->name = name.s;
    }
    return f;
}

struct ast_from *from_alias(struct parse *p, struct ast_from *f, struct pvalue alias, struct ast_values *columns)
{
    if (f != NULL) {
        f->alias = alias.s;
        if (columns != NULL)
            f->column_aliases = *columns;
    }
    return f;
}

struct ast_from *from_select(struct parse *p, struct ast_select *s, struct pvalue alias, struct ast_values *columns)
{
    struct ast_from *f = build_alloc(p, sizeof *f);
    if (f != NULL) {
        f->pos = s ? s->pos : -1;
        f->select = s;
    }
    return from_alias(p, f, alias, columns);
}

struct ast_from *from_func(struct parse *p, struct ast_expr *x)
{
    struct ast_from *f = build_alloc(p, sizeof *f);
    if (f != NULL && x != NULL) {
        *f = (struct ast_from){ .pos = x->pos, .schema = x->schema, .name = x->name, .is_func = true,
                                .func_args = { x->nargs, x->args } };
    }
    return f;
}

struct ast_froms *froms_add(struct parse *p, struct ast_froms *l, struct ast_from *f, enum ast_join j,
                            struct ast_expr *on, struct ast_values *using_columns)
{
    if (l == NULL)
        l = build_alloc(p, sizeof *l);
    if (l == NULL || f == NULL)
        return l;
    f->join = j;
    f->on = on;
    if (using_columns != NULL)
        f->using_columns = *using_columns;
    LIST_ADD(p, l, v, *f, f->pos);
    return l;
}

struct ast_orders *orders_add(struct parse *p, struct ast_orders *l, struct ast_expr *x, bool desc, enum ast_nulls n)
{
    if (l == NULL)
        l = build_alloc(p, sizeof *l);
    struct ast_order o = { x, desc, n };
    if (l != NULL && x != NULL)
        LIST_ADD(p, l, v, o, x->pos);
    return l;
}

struct ast_select *select_new(struct parse *p, int pos)
{
    struct ast_select *s = build_alloc(p, sizeof *s);
    if (s != NULL)
        s->pos = pos;
    return s;
}

struct ast_select *select_row(struct parse *p, struct ast_select *s, struct ast_exprs *row, int pos)
{
    if (s == NULL || row == NULL)
        return s;
    if (s->nrows > 0 && s->rows[0].n != row->n) {
        parse_fail(p, REEVE_E_SYNTAX, pos, "VALUES lists must all be the same length");
        return s;
    }
    struct ast_exprs *rows = list_grow(p, s->rows, s->nrows, sizeof *rows, pos);
    if (rows != NULL) {
        s->rows = rows;
        s->rows[s->nrows++] = *row;
    }
    return s;
}

struct ast_select *select_union(struct parse *p, struct ast_select *a, int op, struct ast_select *b)
{
    struct ast_select *last = a;
    int n = 0;
    while (last != NULL && last->next != NULL) {
        last = last->next;
        if (++n > AST_DEPTH_MAX)
            parse_fail(p, REEVE_E_TOO_COMPLEX, last->pos, "more than %d set operations", AST_DEPTH_MAX);
        if (p->err != REEVE_OK)
            return a;
    }
    if (last != NULL) {
        last->set_op = op;
        last->next = b;
    }
    return a;
}
