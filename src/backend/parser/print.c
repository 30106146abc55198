/*
 * print.c - expressions back to text
 *
 * Every operator is put in parentheses, so that no precedence needs to be
 * known here; parsing the text again gives the same tree.
 */
#include <stdio.h>

#include "backend/parser/parse_int.h"
#include "common/buf.h"

static void print_string(struct wr *w, const char *s, size_t len)
{
    wr_u8(w, '\'');
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\'')
            wr_u8(w, '\'');
        wr_u8(w, (uint8_t) s[i]);
    }
    wr_u8(w, '\'');
}

static bool plain_word(const char *s)
{
    if (!((*s >= 'a' && *s <= 'z') || *s == '_'))
        return false;
    for (const char *c = s; *c != '\0'; c++) {
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_'))
            return false;
    }
    int kw = scan_keyword(s, strlen(s));
    return kw == 0 || grammar_falls_back(kw);
}

static void print_name(struct wr *w, const char *s)
{
    if (plain_word(s)) {
        wr_text(w, s);
        return;
    }
    wr_u8(w, '"');
    for (; *s != '\0'; s++) {
        if (*s == '"')
            wr_u8(w, '"');
        wr_u8(w, (uint8_t) *s);
    }
    wr_u8(w, '"');
}

static void print_value(struct wr *w, const struct pvalue *v)
{
    switch (v->kind) {
    case PV_IDENT: print_name(w, v->s); break;
    case PV_STRING: print_string(w, v->s, v->len); break;
    case PV_INT:
    case PV_FLOAT: wr_text(w, v->s); break;
    case PV_BOOL: wr_text(w, v->i ? "true" : "false"); break;
    case PV_NULL: wr_text(w, "NULL"); break;
    case PV_INTERVAL: wr_text(w, "INTERVAL "); print_string(w, v->s, v->len); break;
    case PV_PARAM: wr_printf(w, "$%lld", (long long) v->i); break;
    case PV_DEFAULT: wr_text(w, "DEFAULT"); break;
    case PV_ABSENT: break;
    }
}

static bool print_expr(struct wr *w, const struct ast_expr *x);

static bool print_list(struct wr *w, const struct ast_expr *x, int from, const char *sep)
{
    for (int i = from; i < x->nargs; i++) {
        if (i > from)
            wr_text(w, sep);
        if (!print_expr(w, x->args[i]))
            return false;
    }
    return true;
}

static bool print_qualified(struct wr *w, const struct ast_expr *x)
{
    if (x->schema != NULL) {
        print_name(w, x->schema);
        wr_u8(w, '.');
    }
    if (x->table != NULL) {
        print_name(w, x->table);
        wr_u8(w, '.');
    }
    print_name(w, x->name);
    return true;
}

static bool print_func(struct wr *w, const struct ast_expr *x)
{
    print_qualified(w, x);
    wr_text(w, x->star ? "(*" : x->distinct ? "(DISTINCT " : "(");
    bool ok = print_list(w, x, 0, ", ");
    wr_u8(w, ')');
    return ok;
}

static bool print_case(struct wr *w, const struct ast_expr *x)
{
    int i = 0;
    wr_text(w, "CASE ");
    if (x->has_base && !print_expr(w, x->args[i++]))
        return false;
    int end = x->nargs - x->has_else;
    for (bool when = true; i < end; i++, when = !when) {
        wr_text(w, when ? " WHEN " : " THEN ");
        if (!print_expr(w, x->args[i]))
            return false;
    }
    if (x->has_else) {
        wr_text(w, " ELSE ");
        if (!print_expr(w, x->args[i]))
            return false;
    }
    wr_text(w, " END");
    return true;
}

/* (first OP second), with the middle text given. */
static bool print_infix(struct wr *w, const struct ast_expr *x, const char *middle)
{
    bool ok = print_expr(w, x->args[0]);
    wr_printf(w, " %s%s ", x->negated ? "NOT " : "", middle);
    return ok && (x->nargs < 2 || print_expr(w, x->args[1]));
}

static bool print_is(struct wr *w, const struct ast_expr *x, const char *what)
{
    bool ok = print_expr(w, x->args[0]);
    wr_printf(w, " IS %s%s", x->negated ? "NOT " : "", what);
    return ok;
}

static bool print_operator(struct wr *w, const struct ast_expr *x)
{
    switch (x->kind) {
    case X_AND: return print_list(w, x, 0, " AND ");
    case X_OR: return print_list(w, x, 0, " OR ");
    case X_NOT: wr_text(w, "NOT "); return print_expr(w, x->args[0]);
    case X_OP:
        if (x->nargs == 2)
            return print_infix(w, x, ast_op_text(x->op));
        wr_text(w, "- ");
        return print_expr(w, x->args[0]);
    case X_IS_NULL: return print_is(w, x, "NULL");
    case X_IS_BOOL: return print_is(w, x, ast_op_text(x->op));
    case X_DISTINCT:
        return print_is(w, x, "DISTINCT FROM ") && print_expr(w, x->args[1]);
    case X_IN: {
        bool ok = print_expr(w, x->args[0]);
        wr_text(w, x->negated ? " NOT IN (" : " IN (");
        ok = ok && print_list(w, x, 1, ", ");
        wr_u8(w, ')');
        return ok;
    }
    case X_BETWEEN: {
        bool ok = print_infix(w, x, "BETWEEN");
        wr_text(w, " AND ");
        return ok && print_expr(w, x->args[2]);
    }
    case X_LIKE: return print_infix(w, x, ast_op_text(x->op));
    case X_ANY: {
        bool ok = print_expr(w, x->args[0]);
        wr_printf(w, " %s %s (", ast_op_text(x->op), x->negated ? "ALL" : "ANY");
        ok = ok && print_expr(w, x->args[1]);
        wr_u8(w, ')');
        return ok;
    }
    case X_CAST: {
        bool ok = print_expr(w, x->args[0]);
        wr_text(w, "::");
        print_name(w, x->name);
        wr_text(w, x->array ? "[]" : "");
        return ok;
    }
    case X_COLLATE: {
        bool ok = print_expr(w, x->args[0]);
        wr_text(w, " COLLATE ");
        print_name(w, x->name);
        return ok;
    }
    case X_SUBSCRIPT: {
        bool ok = print_expr(w, x->args[0]);
        wr_u8(w, '[');
        ok = ok && print_expr(w, x->args[1]);
        wr_u8(w, ']');
        return ok;
    }
    default: return false;
    }
}

static bool print_expr(struct wr *w, const struct ast_expr *x)
{
    if (x->select != NULL)
        return false;
    switch (x->kind) {
    case X_VALUE: print_value(w, &x->v); return true;
    case X_PERCENT: print_value(w, &x->v); wr_u8(w, '%'); return true;
    case X_COLUMN: return print_qualified(w, x);
    case X_STAR: wr_u8(w, '*'); return true;
    case X_FUNC: return print_func(w, x);
    case X_CASE: return print_case(w, x);
    case X_ARRAY: {
        wr_text(w, "ARRAY[");
        bool ok = print_list(w, x, 0, ", ");
        wr_u8(w, ']');
        return ok;
    }
    default: break;
    }
    wr_u8(w, '(');
    bool ok = print_operator(w, x);
    wr_u8(w, ')');
    return ok;
}

bool ast_expr_print(struct wr *w, const struct ast_expr *x)
{
    return print_expr(w, x) && !w->bad;
}
