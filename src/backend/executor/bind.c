/* bind.c - SELECT to plan: relations, targets, groups, order, limits */
#include <stdio.h>

#include "backend/executor/plan_int.h"
#include "backend/parser/parser.h"

static enum reeve_err no_memory(struct binder *b)
{
    return bind_fail(b, REEVE_E_NOMEM, -1, "out of memory");
}

const struct vtable *query_table(const struct query_env *env, const char *schema, const char *name)
{
    static const char *const usual[] = { "sys", "pg_catalog", "information_schema" };
    for (int s = 0; s < (schema ? 1 : 4); s++) {
        const char *want = schema ? schema : env->search_path[0] ? env->search_path[s] : s < 3 ? usual[s] : NULL;
        for (int i = 0; want != NULL && i < env->ntables; i++) {
            if (strcmp(env->tables[i]->name, name) == 0 && strcmp(env->tables[i]->schema, want) == 0)
                return env->tables[i];
        }
    }
    return NULL;
}

/* ---- FROM ---- */

static enum reeve_err add_columns(struct binder *b, struct plan *p, int n)
{
    struct scope *s = &p->scope;
    if (s->n + n > DEST_COLUMNS_MAX)
        return bind_fail(b, REEVE_E_TOO_COMPLEX, -1, "more than %d columns", DEST_COLUMNS_MAX);
    struct scope_column *v = arena_alloc(b->arena, sizeof *v * (size_t) (s->n + n + 1));
    if (v == NULL)
        return no_memory(b);
    if (s->n > 0)
        memcpy(v, s->cols, sizeof *v * (size_t) s->n);
    s->cols = v;
    return REEVE_OK;
}

static enum reeve_err from_table(struct binder *b, struct plan *p, struct plan_from *pf, const struct ast_from *f)
{
    const struct vtable *t = query_table(b->env, f->schema, f->name);
    enum reeve_err err = REEVE_OK;
    if (t == NULL)
        return bind_fail(b, REEVE_E_UNDEFINED_TABLE, f->pos, "relation \"%s%s%s\" does not exist",
                         f->schema ? f->schema : "", f->schema ? "." : "", f->name);
    if (b->env->may_read != NULL)
        TRY(b->env->may_read(b->env->session, t, b->report));
    TRY(add_columns(b, p, t->ncolumns));
    pf->table = t;
    pf->n = t->ncolumns;
    for (int i = 0; i < t->ncolumns; i++)
        p->scope.cols[p->scope.n + i] = (struct scope_column){ f->alias ? f->alias : t->name, t->columns[i].name,
                                                                t->columns[i].type_oid };
out:
    return err;
}

static enum reeve_err from_sub(struct binder *b, struct plan *p, struct plan_from *pf, const struct ast_from *f)
{
    enum reeve_err err = bind_select(b, f->select, p->scope.outer, &pf->sub);
    if (err == REEVE_OK)
        err = add_columns(b, p, pf->sub->ntargets);
    if (err != REEVE_OK)
        return err;
    pf->n = pf->sub->ntargets;
    for (int i = 0; i < pf->n; i++)
        p->scope.cols[p->scope.n + i] = (struct scope_column){ f->alias, pf->sub->names[i], pf->sub->outputs[i]->type };
    return REEVE_OK;
}

static enum reeve_err rename_columns(struct binder *b, struct plan *p, const struct plan_from *pf,
                                     const struct ast_from *f)
{
    if (f->column_aliases.n > pf->n)
        return bind_fail(b, REEVE_E_SYNTAX, f->pos, "more column aliases than columns");
    for (int i = 0; i < f->column_aliases.n; i++)
        p->scope.cols[p->scope.n + i].name = f->column_aliases.v[i].s;
    return REEVE_OK;
}

static enum reeve_err bind_as_of(struct binder *b, struct plan_from *pf, const struct ast_from *f)
{
    struct ast_expr x = { .kind = X_VALUE, .v = f->as_of, .pos = f->as_of.pos };
    struct bind_ctx c = { .b = b };
    if (!pv_present(&f->as_of))
        return REEVE_OK;
    if (pf->table == NULL || !pf->table->has_as_of)
        return bind_fail(b, REEVE_E_UNSUPPORTED, f->as_of.pos, "this relation keeps no versions to look back at");
    pf->has_as_of = true;
    enum reeve_err err = bind_expr(&c, &x, &pf->as_of);
    return err == REEVE_OK ? bind_coerce(b, &pf->as_of, T_INT8) : err;
}

static enum reeve_err from_item(struct binder *b, struct plan *p, const struct ast_from *f)
{
    struct plan_from *pf = &p->from[p->nfrom];
    enum reeve_err err = REEVE_OK;
    *pf = (struct plan_from){ .join = f->join, .first = p->scope.n, .pos = f->pos };
    if (f->is_func)
        return bind_fail(b, REEVE_E_UNSUPPORTED, f->pos, "functions in FROM are not supported");
    if (f->using_columns.n > 0)
        return bind_fail(b, REEVE_E_UNSUPPORTED, f->pos, "JOIN ... USING is not supported: use ON");
    if (f->join == JOIN_RIGHT || f->join == JOIN_FULL)
        return bind_fail(b, REEVE_E_UNSUPPORTED, f->pos, "RIGHT and FULL joins are not supported: use LEFT JOIN");
    TRY(f->select != NULL ? from_sub(b, p, pf, f) : from_table(b, p, pf, f));
    TRY(rename_columns(b, p, pf, f));
    TRY(bind_as_of(b, pf, f));
    for (int i = 0; i < p->nfrom; i++) {
        const char *a = p->scope.cols[p->from[i].first].table, *z = p->scope.cols[pf->first].table;
        if (a != NULL && z != NULL && p->from[i].n > 0 && strcmp(a, z) == 0)
            return bind_fail(b, REEVE_E_DUPLICATE_OBJECT, f->pos, "table name \"%s\" specified more than once", z);
    }
    p->scope.n += pf->n;
    p->nfrom++;
    if (f->on != NULL) {
        struct bind_ctx c = { .b = b, .scope = &p->scope };
        TRY(bind_bool(&c, f->on, "JOIN/ON", &pf->on));
    }
out:
    return err;
}

static enum reeve_err bind_from(struct binder *b, struct plan *p, const struct ast_froms *from)
{
    if (from->n > FROM_MAX)
        return bind_fail(b, REEVE_E_TOO_COMPLEX, from->v[FROM_MAX].pos, "more than %d relations in FROM", FROM_MAX);
    p->from = arena_alloc(b->arena, sizeof *p->from * (size_t) (from->n + 1));
    p->scope.needed = arena_alloc(b->arena, sizeof(uint64_t) * (size_t) (from->n + 1));
    if (p->from == NULL || p->scope.needed == NULL)
        return no_memory(b);
    p->scope.plan = p;
    for (int i = 0; i < from->n; i++) {
        enum reeve_err err = from_item(b, p, &from->v[i]);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

/* ---- what the scans and joins may use ---- */

static bool only_columns(const struct bx *x, const struct scope *s, int lo, int hi)
{
    if (x->sub != NULL || (x->kind == B_COLUMN && x->scope == s && (x->index < lo || x->index >= hi)))
        return false;
    for (int i = 0; i < x->n; i++) {
        if (!only_columns(x->args[i], s, lo, hi))
            return false;
    }
    return true;
}

static void note_key(struct plan *p, struct bx *c)
{
    if (c->n < 2 || c->negated || !(c->kind == B_IN || (c->kind == B_OP && c->op == OP_EQ)))
        return;
    for (int side = 0; side < (c->kind == B_IN ? 1 : 2); side++) {
        struct bx *col = c->args[side];
        for (int i = 0; i < p->nfrom && col->kind == B_COLUMN && col->scope == &p->scope; i++) {
            struct plan_from *f = &p->from[i];
            bool ok = f->table != NULL && f->key == NULL && f->table->key_column >= 0 &&
                      col->index == f->first + f->table->key_column;
            for (int k = 0; ok && k < c->n; k++)
                ok = k == side || bx_independent(c->args[k], &p->scope);
            if (!ok)
                continue;
            f->key = c;
            if (side == 1) {        /* the column stands left for whoever evaluates the key */
                c->args[1] = c->args[0];
                c->args[0] = col;
            }
        }
    }
}

static void note_hash(struct plan *p, struct plan_from *f, const struct bx *c)
{
    if (c->kind != B_OP || c->op != OP_EQ || f->hash_left != NULL)
        return;
    for (int side = 0; side < 2; side++) {
        struct bx *mine = c->args[side], *left = c->args[!side];
        if (only_columns(mine, &p->scope, f->first, f->first + f->n) && !bx_independent(mine, &p->scope) &&
            only_columns(left, &p->scope, 0, f->first) && !bx_independent(left, &p->scope)) {
            f->hash_left = left;
            f->hash_right = mine;
            return;
        }
    }
}

static void each_conjunct(struct plan *p, struct plan_from *f, struct bx *x)
{
    if (x == NULL)
        return;
    int n = x->kind == B_AND ? x->n : 1;
    for (int i = 0; i < n; i++) {
        struct bx *c = x->kind == B_AND ? x->args[i] : x;
        if (f == NULL)
            note_key(p, c);
        else
            note_hash(p, f, c);
    }
}

static void find_shortcuts(struct plan *p)
{
    each_conjunct(p, NULL, p->where);
    for (int i = 1; i < p->nfrom; i++) {
        each_conjunct(p, &p->from[i], p->from[i].on);
        if (p->from[i].join != JOIN_LEFT)
            each_conjunct(p, &p->from[i], p->where);
    }
}

/* ---- targets ---- */

static bool has_aggregate(const struct ast_expr *x)
{
    static const char *const names[] = { "count", "sum", "avg", "min", "max", "string_agg", "bool_and", "bool_or", "every",
                                         "array_agg" };
    for (size_t i = 0; x->kind == X_FUNC && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(x->name, names[i]) == 0)
            return true;
    }
    for (int i = 0; i < x->nargs; i++) {
        if (has_aggregate(x->args[i]))
            return true;
    }
    return false;
}

static bool is_grouped(const struct ast_select *s)
{
    bool any = s->group_by.n > 0 || s->having != NULL;
    for (int i = 0; i < s->targets.n && !any; i++)
        any = has_aggregate(s->targets.v[i].expr);
    for (int i = 0; i < s->order_by.n && !any; i++)
        any = has_aggregate(s->order_by.v[i].expr);
    return any;
}

static const char *target_name(const struct ast_target *t)
{
    const struct ast_expr *x = t->expr;
    if (t->alias != NULL)
        return t->alias;
    while (x->kind == X_COLLATE || (x->kind == X_CAST && x->args[0]->kind != X_VALUE))
        x = x->args[0];
    switch (x->kind) {
    case X_COLUMN:
    case X_FUNC: return x->name;
    case X_CAST: return type_by_name(x->name, false) ? type_by_name(x->name, false)->name : x->name;
    case X_CASE: return "case";
    case X_EXISTS: return "exists";
    case X_ARRAY: return "array";
    case X_SUBSELECT:
        return x->select->targets.n == 1 && x->select->targets.v[0].expr->kind != X_SUBSELECT
                   ? target_name(&x->select->targets.v[0]) : "?column?";
    case X_VALUE: return x->v.kind == PV_BOOL ? "bool" : "?column?";
    default: return "?column?";
    }
}

static enum reeve_err add_output(struct binder *b, struct plan *p, struct bx *x, const char *name)
{
    int n = p->noutputs;
    if (n >= DEST_COLUMNS_MAX)
        return bind_fail(b, REEVE_E_TOO_COMPLEX, x->pos, "more than %d columns", DEST_COLUMNS_MAX);
    if ((n & (n - 1)) == 0) {
        size_t cap = n ? (size_t) n * 2 : 1;
        struct bx **v = arena_alloc(b->arena, cap * sizeof *v);
        const char **names = arena_alloc(b->arena, cap * sizeof *names);
        if (v == NULL || names == NULL)
            return no_memory(b);
        for (int i = 0; i < n; i++) {
            v[i] = p->outputs[i];
            names[i] = p->names[i];
        }
        p->outputs = v;
        p->names = names;
    }
    p->outputs[n] = x;
    p->names[n] = name;
    p->noutputs++;
    return REEVE_OK;
}

static enum reeve_err expand_star(struct bind_ctx *c, struct plan *p, const struct ast_expr *star)
{
    bool any = false;
    for (int i = 0; i < p->scope.n; i++) {
        const struct scope_column *col = &p->scope.cols[i];
        if (star->table != NULL && (col->table == NULL || strcmp(col->table, star->table) != 0))
            continue;
        any = true;
        struct ast_expr *a = arena_alloc(c->b->arena, sizeof *a);
        struct bx *x = NULL;
        if (a == NULL)
            return no_memory(c->b);
        *a = (struct ast_expr){ .kind = X_COLUMN, .name = col->name, .table = col->table, .pos = star->pos };
        enum reeve_err err = bind_expr(c, a, &x);
        if (err == REEVE_OK)
            err = add_output(c->b, p, x, col->name);
        if (err != REEVE_OK)
            return err;
    }
    if (!any)
        return star->table != NULL
                   ? bind_fail(c->b, REEVE_E_UNDEFINED_TABLE, star->pos, "missing FROM-clause entry for table \"%s\"", star->table)
                   : bind_fail(c->b, REEVE_E_SYNTAX, star->pos, "SELECT * with no tables specified is not valid");
    return REEVE_OK;
}

static enum reeve_err bind_targets(struct bind_ctx *c, struct plan *p, const struct ast_targets *t)
{
    enum reeve_err err = REEVE_OK;
    for (int i = 0; i < t->n; i++) {
        struct bx *x = NULL;
        if (t->v[i].expr->kind == X_STAR) {
            TRY(expand_star(c, p, t->v[i].expr));
            continue;
        }
        TRY(bind_expr(c, t->v[i].expr, &x));
        TRY(bind_settle(c->b, &x));
        TRY(add_output(c->b, p, x, target_name(&t->v[i])));
    }
    p->ntargets = p->noutputs;
out:
    return err;
}

/* ---- GROUP BY, ORDER BY ---- */

/* GROUP BY 1 and GROUP BY alias mean the target. */
static enum reeve_err group_target(struct binder *b, const struct ast_select *s, const struct ast_expr **x)
{
    const struct ast_expr *g = *x;
    if (g->kind == X_VALUE && g->v.kind == PV_INT) {
        if (g->v.i < 1 || g->v.i > s->targets.n)
            return bind_fail(b, REEVE_E_GROUPING, g->pos, "GROUP BY position %lld is not in select list", (long long) g->v.i);
        *x = s->targets.v[g->v.i - 1].expr;
    } else if (g->kind == X_COLUMN && g->table == NULL) {
        for (int i = 0; i < s->targets.n; i++) {
            if (s->targets.v[i].alias != NULL && strcmp(s->targets.v[i].alias, g->name) == 0 &&
                !has_aggregate(s->targets.v[i].expr))
                *x = s->targets.v[i].expr;
        }
    }
    return REEVE_OK;
}

static enum reeve_err bind_groups(struct binder *b, struct plan *p, const struct ast_select *s)
{
    struct bind_ctx c = { .b = b, .scope = &p->scope };
    p->groups = arena_alloc(b->arena, sizeof *p->groups * (size_t) (s->group_by.n + 1));
    if (p->groups == NULL)
        return no_memory(b);
    for (int i = 0; i < s->group_by.n; i++) {
        const struct ast_expr *x = s->group_by.v[i], *written = x;
        enum reeve_err err = group_target(b, s, &x);
        /* a column of that name goes before an alias of that name */
        if (err == REEVE_OK && x != written && written->kind == X_COLUMN) {
            struct report kept = *b->report;
            if (bind_expr(&c, written, &p->groups[i]) == REEVE_OK)
                x = NULL;
            else
                *b->report = kept;
        }
        if (err == REEVE_OK && x != NULL)
            err = bind_expr(&c, x, &p->groups[i]);
        if (err == REEVE_OK)
            err = bind_settle(b, &p->groups[i]);
        if (err != REEVE_OK)
            return err;
        p->ngroups = i + 1;
    }
    return REEVE_OK;
}

static int output_named(const struct plan *p, const char *name)
{
    for (int i = 0; i < p->ntargets; i++) {
        if (strcmp(p->names[i], name) == 0)
            return i;
    }
    return -1;
}

static enum reeve_err order_column(struct bind_ctx *c, struct plan *p, const struct ast_expr *x, int *column)
{
    enum reeve_err err = REEVE_OK;
    struct bx *bound = NULL;
    if (x->kind == X_VALUE && x->v.kind == PV_INT) {
        if (x->v.i < 1 || x->v.i > p->ntargets)
            return bind_fail(c->b, REEVE_E_GROUPING, x->pos, "ORDER BY position %lld is not in select list", (long long) x->v.i);
        *column = (int) x->v.i - 1;
        return REEVE_OK;
    }
    *column = x->kind == X_COLUMN && x->table == NULL ? output_named(p, x->name) : -1;
    if (*column >= 0)
        return REEVE_OK;
    if (p->next != NULL || p->distinct)
        return bind_fail(c->b, REEVE_E_UNSUPPORTED, x->pos, "here ORDER BY can only name output columns");
    TRY(bind_expr(c, x, &bound));
    TRY(bind_settle(c->b, &bound));
    *column = p->noutputs;
    TRY(add_output(c->b, p, bound, ""));
out:
    return err;
}

static enum reeve_err bind_order(struct bind_ctx *c, struct plan *p, const struct ast_orders *o)
{
    p->order = arena_alloc(c->b->arena, sizeof *p->order * (size_t) (o->n + 1));
    if (p->order == NULL)
        return no_memory(c->b);
    for (int i = 0; i < o->n; i++) {
        struct plan_order *po = &p->order[i];
        enum reeve_err err = order_column(c, p, o->v[i].expr, &po->column);
        if (err != REEVE_OK)
            return err;
        po->desc = o->v[i].desc;
        po->nulls_first = o->v[i].nulls == NULLS_FIRST || (o->v[i].nulls == NULLS_DEFAULT && po->desc);
    }
    p->norder = o->n;
    return REEVE_OK;
}

static enum reeve_err bind_count(struct binder *b, const struct ast_expr *x, struct scope *outer, struct bx **out)
{
    struct bind_ctx c = { .b = b, .scope = outer };
    if (x == NULL)
        return REEVE_OK;
    enum reeve_err err = bind_expr(&c, x, out);
    return err == REEVE_OK ? bind_coerce(b, out, T_INT8) : err;
}

/* ---- VALUES and set operations ---- */

static enum reeve_err bind_values(struct binder *b, struct plan *p, const struct ast_select *s)
{
    static const char *const names[] = { "column1", "column2", "column3", "column4", "column5", "column6", "column7",
                                         "column8" };
    struct bind_ctx c = { .b = b, .scope = p->scope.outer };
    enum reeve_err err = REEVE_OK;
    int width = s->rows[0].n;
    p->nrows = s->nrows;
    p->rows = arena_alloc(b->arena, sizeof *p->rows * (size_t) s->nrows);
    for (int r = 0; r < s->nrows; r++) {
        if (p->rows == NULL || (p->rows[r] = arena_alloc(b->arena, sizeof(struct bx *) * (size_t) width)) == NULL)
            return no_memory(b);
        for (int i = 0; i < width; i++)
            TRY(bind_expr(&c, s->rows[r].v[i], &p->rows[r][i]));
    }
    for (int i = 0; i < width; i++) {
        uint32_t type = 0;
        for (int r = 0; r < s->nrows; r++) {
            uint32_t u = p->rows[r][i]->type;
            if (u != 0 && (type == 0 || (type_is_number(type) && (u == T_FLOAT8 || (u == T_INT8 && type != T_FLOAT8)))))
                type = u;
        }
        type = type ? type : T_TEXT;
        for (int r = 0; r < s->nrows; r++)
            TRY(bind_coerce(b, &p->rows[r][i], type));
        TRY(add_output(b, p, p->rows[0][i], i < 8 ? names[i] : arena_printf(b->arena, "column%d", i + 1)));
    }
    p->ntargets = p->noutputs;
out:
    return err;
}

static enum reeve_err bind_union(struct binder *b, struct plan *p, const struct ast_select *s)
{
    enum reeve_err err = REEVE_OK;
    if (s->set_op == SET_INTERSECT || s->set_op == SET_EXCEPT)
        return bind_fail(b, REEVE_E_UNSUPPORTED, s->next->pos, "INTERSECT and EXCEPT are not supported");
    p->set_op = (int) s->set_op;
    TRY(bind_select(b, s->next, p->scope.outer, &p->next));
    if (p->next->ntargets != p->ntargets)
        return bind_fail(b, REEVE_E_SYNTAX, s->next->pos, "each UNION query must have the same number of columns");
    for (int i = 0; i < p->ntargets; i++) {
        uint32_t l = p->outputs[i]->type, r = p->next->outputs[i]->type;
        if (l == r || p->next->nrows > 0 || p->nrows > 0)
            continue;
        bool wider = l == T_INT4 && (r == T_INT8 || r == T_FLOAT8);
        TRY(bind_coerce(b, wider ? &p->outputs[i] : &p->next->outputs[i], wider ? r : l));
    }
out:
    return err;
}

/* ---- the whole ---- */

static enum reeve_err bind_core(struct binder *b, const struct ast_select *s, struct plan *p)
{
    struct bind_ctx c = { .b = b, .scope = &p->scope };
    enum reeve_err err = REEVE_OK;
    TRY(bind_from(b, p, &s->from));
    if (s->where != NULL)
        TRY(bind_bool(&c, s->where, "WHERE", &p->where));
    find_shortcuts(p);
    p->grouped = is_grouped(s);
    TRY(bind_groups(b, p, s));
    c.plan = p;
    c.grouped = p->grouped;
    TRY(bind_targets(&c, p, &s->targets));
    if (s->having != NULL)
        TRY(bind_bool(&c, s->having, "HAVING", &p->having));
    p->distinct = s->distinct;
out:
    return err;
}

static enum reeve_err bind_tail(struct binder *b, const struct ast_select *s, struct plan *p)
{
    struct bind_ctx c = { .b = b, .scope = &p->scope, .plan = p, .grouped = p->grouped };
    enum reeve_err err = REEVE_OK;
    if (s->next != NULL)
        TRY(bind_union(b, p, s));
    TRY(bind_order(&c, p, &s->order_by));
    TRY(bind_count(b, s->limit, p->scope.outer, &p->limit));
    TRY(bind_count(b, s->offset, p->scope.outer, &p->offset));
    p->scope.row = arena_alloc(b->arena, sizeof(struct datum) * (size_t) (p->scope.n + 1));
    p->group_values = arena_alloc(b->arena, sizeof(struct datum) * (size_t) (p->ngroups + 1));
    p->agg_values = arena_alloc(b->arena, sizeof(struct datum) * (size_t) (p->naggs + 1));
    if (p->scope.row == NULL || p->group_values == NULL || p->agg_values == NULL)
        err = no_memory(b);
out:
    return err;
}

enum reeve_err bind_select(struct binder *b, const struct ast_select *s, struct scope *outer, struct plan **out)
{
    struct plan *p = arena_alloc(b->arena, sizeof *p);
    if (p == NULL)
        return no_memory(b);
    if (++b->depth > PLAN_DEPTH_MAX)
        return bind_fail(b, REEVE_E_TOO_COMPLEX, s->pos, "more than %d nested queries", PLAN_DEPTH_MAX);
    p->scope.outer = outer;
    *out = p;
    enum reeve_err err = s->nrows > 0 ? bind_values(b, p, s) : bind_core(b, s, p);
    if (err == REEVE_OK)
        err = bind_tail(b, s, p);
    b->depth--;
    return err;
}
