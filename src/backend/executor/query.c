/* query.c - the executor's face: run, describe, predicates */
#include "backend/executor/query.h"

#include <stdio.h>
#include <stdlib.h>

#include "backend/executor/plan_int.h"
#include "backend/parser/parser.h"

#define BYTES_MAX_DEFAULT (256u << 20)
#define ROWS_MAX_DEFAULT 5000000u

static const struct ast_select *select_of(const struct query_env *env, const struct ast_stmt *stmt, struct report *rep)
{
    if (stmt->kind == AST_SELECT)
        return stmt->select;
    if ((ast_flags(stmt->kind) & STMT_SELECT) == 0) {
        report_set(rep, REEVE_E_BUG, "not a query");
        return NULL;
    }
    return query_show_select(env, stmt, rep);
}

static enum reeve_err start(struct binder *b, const struct query_env *env, int nparams, struct slice text,
                            const uint32_t *types, int ntypes, struct report *rep)
{
    *b = (struct binder){ .env = env, .arena = env->arena, .text = text, .report = rep, .nparams = nparams };
    b->params = arena_alloc(env->arena, sizeof *b->params * (size_t) (nparams + 1));
    if (b->params == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    for (int i = 0; types != NULL && i < nparams && i < ntypes; i++)
        b->params[i] = types[i] == T_UNKNOWN ? 0 : types[i];
    return REEVE_OK;
}

struct to_dest {
    struct dest *dest;
    int n;
};

static enum reeve_err dest_fn(void *arg, const struct datum *v)
{
    struct to_dest *t = arg;
    return dest_row(t->dest, t->n, v);
}

static struct dest_column *columns_of(struct arena *a, const struct plan *p)
{
    struct dest_column *cols = arena_alloc(a, sizeof *cols * (size_t) (p->ntargets + 1));
    for (int i = 0; cols != NULL && i < p->ntargets; i++)
        cols[i] = (struct dest_column){ p->names[i], p->outputs[i]->type };
    return cols;
}

static void exec_start(struct exec *e, const struct query_env *env, struct slice text, struct report *rep)
{
    *e = (struct exec){ .env = env, .text = text, .report = rep,
                        .rows_max = env->rows_max ? env->rows_max : ROWS_MAX_DEFAULT };
    arena_init(&e->mem, env->bytes_max ? env->bytes_max : BYTES_MAX_DEFAULT);
}

enum reeve_err query_run(const struct query_env *env, const struct ast_stmt *stmt, struct slice text, struct dest *dest,
                         struct report *rep)
{
    struct binder b;
    struct exec e;
    struct plan *p = NULL;
    enum reeve_err err = REEVE_OK;
    const struct ast_select *s = select_of(env, stmt, rep);
    if (s == NULL)
        return rep->code ? rep->code : REEVE_E_NOMEM;
    exec_start(&e, env, text, rep);
    TRY(start(&b, env, stmt->nparams, text, env->params.types, env->params.n, rep));
    TRY(bind_select(&b, s, NULL, &p));
    struct dest_column *cols = columns_of(env->arena, p);
    if (cols == NULL)
        TRY(report_set(rep, REEVE_E_NOMEM, "out of memory"));
    TRY(dest_columns(dest, p->ntargets, cols));
    struct to_dest t = { dest, p->ntargets };
    err = plan_run(&e, p, dest_fn, &t);
out:
    arena_free(&e.mem);
    return err;
}

enum reeve_err query_describe(const struct query_env *env, const struct ast_stmt *stmt, struct slice text,
                              const uint32_t *hint, int nhint, struct query_shape *out, struct report *rep)
{
    struct binder b;
    struct plan *p = NULL;
    enum reeve_err err = REEVE_OK;
    const struct ast_select *s = select_of(env, stmt, rep);
    if (s == NULL)
        return rep->code ? rep->code : REEVE_E_NOMEM;
    TRY(start(&b, env, stmt->nparams, text, hint, nhint, rep));
    TRY(bind_select(&b, s, NULL, &p));
    *out = (struct query_shape){ p->ntargets, columns_of(env->arena, p), stmt->nparams, b.params };
    for (int i = 0; i < stmt->nparams; i++) {
        if (b.params[i] == 0)
            b.params[i] = T_TEXT;
    }
    if (out->cols == NULL)
        err = report_set(rep, REEVE_E_NOMEM, "out of memory");
out:
    return err;
}

/* ---- predicates ---- */

struct query_pred {
    struct plan plan;
    struct query_env env;
    struct slice text;
    struct bx *x;
    struct arena row;
};

static void free_pred(void *arg)
{
    struct query_pred *q = arg;
    arena_free(&q->row);
}

enum reeve_err query_pred_bind(const struct query_env *env, const struct ast_expr *x, struct slice text, int ncols,
                               const struct vcolumn *cols, struct query_pred **out, struct report *rep)
{
    struct binder b;
    enum reeve_err err = REEVE_OK;
    struct query_pred *q = arena_alloc(env->arena, sizeof *q);
    struct scope_column *sc = arena_alloc(env->arena, sizeof *sc * (size_t) (ncols + 1));
    if (q == NULL || sc == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    for (int i = 0; i < ncols; i++)
        sc[i] = (struct scope_column){ NULL, cols[i].name, cols[i].type_oid };
    q->env = *env;
    q->text = text;
    q->plan.scope = (struct scope){ .n = ncols, .cols = sc };
    arena_init(&q->row, 16u << 20);
    if (!arena_on_reset(env->arena, free_pred, q))
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    TRY(start(&b, env, env->params.n, text, env->params.types, env->params.n, rep));
    struct bind_ctx c = { .b = &b, .scope = &q->plan.scope };
    TRY(bind_bool(&c, x, "WHERE", &q->x));
    *out = q;
out:
    return err;
}

enum reeve_err query_pred_eval(struct query_pred *q, const struct datum *row, bool *holds, struct report *rep)
{
    struct exec e;
    exec_start(&e, &q->env, q->text, rep);
    q->plan.scope.row = (struct datum *) row;
    enum reeve_err err = eval_bool(&e, &q->row, &q->plan, q->x, holds);
    arena_reset(&q->row);
    arena_free(&e.mem);
    return err;
}

/* ---- parameters of other statements ---- */

static void want(uint32_t *t, int n, const struct pvalue *v, uint32_t type)
{
    if (v->kind == PV_PARAM && v->i >= 1 && v->i <= n && t[v->i - 1] == 0)
        t[v->i - 1] = type;
}

static void want_rollout(uint32_t *t, int n, const struct ast_rollout *r)
{
    want(t, n, &r->rate, T_INT8);
    want(t, n, &r->rollback_sample, T_INT8);
    want(t, n, &r->pause_sample, T_INT8);
    want(t, n, &r->approvals, T_INT8);
    for (int i = 0; i < r->nsteps; i++)
        want(t, n, &r->steps[i].share.amount, r->steps[i].share.is_nodes ? T_INT8 : T_FLOAT8);
}

static void want_numbers(uint32_t *t, int n, const struct ast_stmt *s)
{
    switch (s->kind) {
    case AST_ROLLBACK_ROLLOUT: want(t, n, &s->fleet.name, T_INT8); want_rollout(t, n, &s->fleet.rollout); break;
    case AST_ROTATE_CERT:
    case AST_SET_CONFIG:
    case AST_RESET_CONFIG:
    case AST_CREATE_STRATEGY:
        want(t, n, &s->fleet.generation, T_INT8);
        want_rollout(t, n, &s->fleet.rollout);
        break;
    case AST_PAUSE_ROLLOUT:
    case AST_RESUME_ROLLOUT:
    case AST_CANCEL_ROLLOUT:
    case AST_PROMOTE_ROLLOUT:
    case AST_APPROVE_ROLLOUT:
    case AST_REJECT_ROLLOUT:
    case AST_ALTER_ROLLOUT:
    case AST_WAIT_ROLLOUT:
        want(t, n, &s->verb.id, T_INT8);
        want(t, n, &s->verb.to_wave, T_INT8);
        want(t, n, &s->verb.to_share.amount, s->verb.to_share.is_nodes ? T_INT8 : T_FLOAT8);
        break;
    case AST_REVOKE_CERT:
    case AST_CREATE_SERVICE: want(t, n, &s->object.arg, T_INT8); break;
    case AST_REVOKE_LEASE:
    case AST_CANCEL_QUERY:
    case AST_TERMINATE_SESSION: want(t, n, &s->object.name, T_INT8); break;
    case AST_VERIFY_HISTORY:
    case AST_DIFF_CONFIG:
    case AST_COPY_HISTORY:
    case AST_SHOW_PROOF:
        want(t, n, &s->history.from, T_INT8);
        want(t, n, &s->history.to, T_INT8);
        break;
    case AST_CREATE_APPROVAL_POLICY:
    case AST_ALTER_APPROVAL_POLICY:
        for (int i = 0; i < s->policy.nrequire; i++)
            want(t, n, &s->policy.require[i].count, T_INT8);
        want(t, n, &s->policy.distinct_jurisdictions, T_INT8);
        want(t, n, &s->policy.veto_count, T_INT8);
        break;
    case AST_PROPOSE: want_numbers(t, n, s->proposal.stmt); break;
    case AST_EXPLAIN: want_numbers(t, n, s->explain.stmt); break;
    default: break;
    }
}

enum reeve_err query_param_types(struct arena *a, const struct ast_stmt *stmt, const uint32_t *hint, int nhint,
                                 uint32_t **types)
{
    int n = stmt->nparams;
    uint32_t *t = arena_alloc(a, sizeof *t * (size_t) (n + 1));
    if (t == NULL)
        return REEVE_E_NOMEM;
    for (int i = 0; i < n && i < nhint; i++)
        t[i] = hint[i] == T_UNKNOWN ? 0 : hint[i];
    want_numbers(t, n, stmt);
    for (int i = 0; i < n; i++) {
        if (t[i] == 0)
            t[i] = T_TEXT;
    }
    *types = t;
    return REEVE_OK;
}
