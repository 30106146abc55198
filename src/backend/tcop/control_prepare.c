/* control_prepare.c - PREPARE, EXECUTE, DEALLOCATE; their statements and the protocol's are the same */
#include "backend/tcop/tcop_int.h"

#include <stdio.h>

#include "backend/executor/slot.h"

static struct slot_ctx slots(struct tcop *t, struct run *r, struct report *rep)
{
    return (struct slot_ctx){ .arena = t->s.stmt_arena, .text = r->text, .params = &r->params, .report = rep };
}

static enum reeve_err stmt_name(struct tcop *t, struct run *r, struct slice *out, struct report *rep)
{
    struct slot_ctx ctx = slots(t, r, rep);
    return slot_text(&ctx, &r->stmt->prepare.name, "prepared statement", out);
}

/* ---- PREPARE ---- */

static enum reeve_err declared_types(struct tcop *t, struct run *r, uint32_t **types, struct report *rep)
{
    const struct ast_values *v = &r->stmt->prepare.types;
    struct slot_ctx ctx = slots(t, r, rep);
    *types = arena_alloc(t->s.stmt_arena, (size_t) (v->n + 1) * sizeof **types);
    if (*types == NULL)
        return REEVE_E_NOMEM;
    for (int i = 0; i < v->n; i++) {
        struct slice name;
        enum reeve_err err = slot_text(&ctx, &v->v[i], "type", &name);
        if (err != REEVE_OK)
            return err;
        const char *word = arena_strndup(t->s.stmt_arena, name.p, name.len);
        const struct type_info *type = word ? type_by_name(word, false) : NULL;
        if (type == NULL)
            return slot_error(&ctx, &v->v[i], REEVE_E_UNDEFINED_OBJECT, "type \"%s\" does not exist", word ? word : "");
        (*types)[i] = type->oid;
    }
    return REEVE_OK;
}

/* The statement is parsed again, so that its tree lives as long as the name; then its inner one takes its place. */
static enum reeve_err parse_again(struct tcop *t, struct run *r, struct prepared *p, const uint32_t *types, int ntypes,
                                  struct report *rep)
{
    enum reeve_err err = t->ops->parse(&p->arena, p->text, &p->list, rep);
    if (err != REEVE_OK)
        return err;
    reeve_assert(p->list.n == 1 && p->list.v[0]->kind == AST_PREPARE);
    int nparams = p->list.v[0]->nparams;
    if (nparams < ntypes)
        nparams = ntypes;               /* declared counts, used or not */
    p->list.v[0] = p->list.v[0]->prepare.stmt;
    p->list.v[0]->nparams = nparams;
    return tcop_shape(t, &p->arena, p->list.v[0], p->text, types, ntypes, &p->shape, rep);
}

static enum reeve_err prepare(struct tcop *t, struct run *r, struct report *rep)
{
    const struct ast_stmt *whole = r->stmt;
    struct prepared *p = NULL;
    struct slice name;
    uint32_t *types;
    enum reeve_err err;
    TRY(stmt_name(t, r, &name, rep));
    TRY(declared_types(t, r, &types, rep));
    reeve_assert(whole->pos >= 0 && (size_t) whole->pos + (size_t) whole->len <= r->text.len);
    TRY(prepared_new(t, name, slice_of(r->text.p + whole->pos, (size_t) whole->len), &p));
    TRY(parse_again(t, r, p, types, r->stmt->prepare.types.n, rep));
    TRY(prepared_add(t, p, rep));
    p = NULL;
out:
    if (p != NULL)
        prepared_unref(p);
    return err;
}

/* ---- EXECUTE ---- */

/* Catches the one row that the arguments make. */
struct capture {
    struct dest dest;
    struct arena *arena;
    int n;
    uint32_t *types;
    struct datum *v;
};

static enum reeve_err capture_columns(struct dest *d, int n, const struct dest_column *cols)
{
    struct capture *k = d->arg;
    k->n = n;
    k->types = arena_alloc(k->arena, (size_t) (n + 1) * sizeof *k->types);
    k->v = arena_alloc(k->arena, (size_t) (n + 1) * sizeof *k->v);
    if (k->types == NULL || k->v == NULL)
        return REEVE_E_NOMEM;
    for (int i = 0; i < n; i++)
        k->types[i] = cols[i].type_oid;
    return REEVE_OK;
}

static enum reeve_err capture_row(struct dest *d, int n, const struct datum *v)
{
    struct capture *k = d->arg;
    for (int i = 0; i < n; i++)
        if (!datum_copy(k->arena, &k->v[i], &v[i]))
            return REEVE_E_NOMEM;
    return REEVE_OK;
}

/* EXECUTE p (a, b) evaluates its arguments as SELECT a, b would. */
static enum reeve_err evaluate(struct tcop *t, struct run *r, struct capture *k, struct report *rep)
{
    const struct ast_exprs *args = &r->stmt->prepare.args;
    struct arena *a = t->s.stmt_arena;
    *k = (struct capture){ .arena = a };
    k->dest = (struct dest){ .columns = capture_columns, .row = capture_row, .arg = k };
    if (args->n == 0)
        return REEVE_OK;
    struct ast_select *sel = arena_alloc(a, sizeof *sel);
    struct ast_stmt *stmt = arena_alloc(a, sizeof *stmt);
    struct ast_target *targets = arena_alloc(a, (size_t) args->n * sizeof *targets);
    if (sel == NULL || stmt == NULL || targets == NULL)
        return REEVE_E_NOMEM;
    for (int i = 0; i < args->n; i++)
        targets[i].expr = args->v[i];
    sel->targets = (struct ast_targets){ args->n, targets };
    *stmt = (struct ast_stmt){ .kind = AST_SELECT, .pos = r->stmt->pos, .len = r->stmt->len,
                                .nparams = r->stmt->nparams, .select = sel };
    struct command cmd = { .stmt = stmt, .text = r->text, .params = &r->params };
    return t->ops->run(&t->s, &cmd, &k->dest, rep);
}

static enum reeve_err cast_args(struct tcop *t, struct capture *k, const struct prepared *p, struct report *rep)
{
    if (k->n != p->shape.nparams) {
        report_set(rep, REEVE_E_SYNTAX, "wrong number of parameters for prepared statement \"%s\"", p->name);
        report_detail(rep, "Expected %d parameters but got %d.", p->shape.nparams, k->n);
        return REEVE_E_SYNTAX;
    }
    for (int i = 0; i < k->n; i++) {
        struct datum out;
        uint32_t to = p->shape.params[i];
        if (k->types[i] == to || k->v[i].kind == D_NULL)
            continue;
        enum reeve_err err = datum_cast(t->s.stmt_arena, k->types[i], &k->v[i], to, &out, rep);
        if (err != REEVE_OK)
            return err;
        k->v[i] = out;
    }
    return REEVE_OK;
}

static enum reeve_err execute(struct tcop *t, struct run *r, struct dest *dest, struct report *rep)
{
    struct slice name;
    struct capture k;
    enum reeve_err err = stmt_name(t, r, &name, rep);
    if (err != REEVE_OK)
        return err;
    struct prepared *p = prepared_find(t, name);
    if (p == NULL)
        return prepared_missing(name, rep);
    p->refs++;
    if ((err = evaluate(t, r, &k, rep)) == REEVE_OK && (err = cast_args(t, &k, p, rep)) == REEVE_OK) {
        struct run inner = { .stmt = p->list.v[0], .text = p->text, .alone = r->alone,
                             .params = { p->shape.nparams, p->shape.params, k.v } };
        err = inner.stmt->kind == AST_EXECUTE
            ? report_set(rep, REEVE_E_UNSUPPORTED, "EXECUTE of EXECUTE is not supported")
            : tcop_run(t, &inner, dest, rep);
        memcpy(r->tag, inner.tag, sizeof r->tag);
    }
    prepared_unref(p);
    return err;
}

static enum reeve_err deallocate(struct tcop *t, struct run *r, struct report *rep)
{
    struct slice name;
    if (!pv_present(&r->stmt->prepare.name)) {
        prepared_drop_all(t);
        snprintf(r->tag, sizeof r->tag, "DEALLOCATE ALL");
        return REEVE_OK;
    }
    enum reeve_err err = stmt_name(t, r, &name, rep);
    if (err != REEVE_OK)
        return err;
    return prepared_drop(t, name) ? REEVE_OK : prepared_missing(name, rep);
}

enum reeve_err control_prepare(struct tcop *t, struct run *r, struct dest *dest, struct report *rep)
{
    switch (r->stmt->kind) {
    case AST_PREPARE:
        return prepare(t, r, rep);
    case AST_EXECUTE:
        return execute(t, r, dest, rep);
    default:
        return deallocate(t, r, rep);
    }
}
