/*
 * talk_ops.c - a stand-in for executor, commands and roles
 *
 * SELECT of literals and parameters, and a few functions: rows(n) gives n rows
 * 1..n, fail() an error, notice() a NOTICE first, hang() waits for an
 * interrupt. ROTATE CERT is a change: alone it commits at once (version 7),
 * else it waits (version NULL); the name 'conflict' is refused at COMMIT.
 */
#include "talk.h"

#include <signal.h>
#include <unistd.h>

/* ---- shape ---- */

static uint32_t type_of(const struct ast_expr *x, const uint32_t *hint, int nhint)
{
    if (x->kind == X_FUNC)
        return T_INT4;
    if (x->kind == X_VALUE && x->v.kind == PV_PARAM)
        return x->v.i <= nhint && hint[x->v.i - 1] ? hint[x->v.i - 1] : T_TEXT;
    if (x->kind == X_CAST)
        return type_by_name(x->name, x->array)->oid;
    return x->kind == X_VALUE && x->v.kind == PV_INT ? T_INT4 : T_TEXT;
}

static enum reeve_err columns_of(struct arena *a, const struct ast_stmt *stmt, const uint32_t *hint, int nhint,
                                 struct query_shape *out, struct report *rep)
{
    static struct dest_column rotate[] = { { "rollout_id", T_INT8 }, { "version", T_INT8 } };
    if (stmt->kind == AST_ROTATE_CERT) {
        out->ncols = 2;
        out->cols = rotate;
        return REEVE_OK;
    }
    if (stmt->kind != AST_SELECT)
        return REEVE_OK;
    if (stmt->select->from.n > 0)
        return report_set(rep, REEVE_E_UNDEFINED_TABLE, "relation \"%s\" does not exist", stmt->select->from.v[0].name);
    out->ncols = stmt->select->targets.n;
    out->cols = arena_alloc(a, (size_t) (out->ncols + 1) * sizeof *out->cols);
    for (int i = 0; i < out->ncols; i++)
        out->cols[i] = (struct dest_column){ "x", type_of(stmt->select->targets.v[i].expr, hint, nhint) };
    return REEVE_OK;
}

static enum reeve_err fake_describe(struct session *s, struct arena *a, const struct ast_stmt *stmt,
                                    struct slice text, const uint32_t *hint, int nhint, struct query_shape *out,
                                    struct report *rep)
{
    out->nparams = stmt->nparams;
    out->params = arena_alloc(a, (size_t) (stmt->nparams + 1) * sizeof *out->params);
    for (int i = 0; i < stmt->nparams; i++)
        out->params[i] = i < nhint && hint[i] ? hint[i] : T_TEXT;
    return columns_of(a, stmt, out->params, stmt->nparams, out, rep);
}

/* ---- running ---- */

static struct datum value_of(const struct ast_expr *x, const struct query_params *params)
{
    if (x->kind == X_CAST)
        return value_of(x->args[0], params);
    switch (x->v.kind) {
    case PV_INT:
        return d_int(x->v.i);
    case PV_PARAM:
        return x->v.i <= params->n ? params->v[x->v.i - 1] : d_null();
    case PV_STRING:
        return d_text(slice_of(x->v.s, x->v.len));
    default:
        return d_null();
    }
}

static enum reeve_err hang(struct session *s, struct report *rep)
{
    session_notice(s, NOTICE_NOTICE, NULL, "waiting");
    return session_wait(s, -1, 0, -1, rep);
}

static enum reeve_err call(struct session *s, const struct ast_expr *x, struct dest *dest, struct report *rep)
{
    int64_t n = x->nargs ? x->args[0]->v.i : 1;
    if (strcmp(x->name, "fail") == 0)
        return report_set(rep, REEVE_E_DIVISION, "division by zero");
    if (strcmp(x->name, "hang") == 0)
        return hang(s, rep);
    if (strcmp(x->name, "stall") == 0)
        return session_wait(s, -1, 0, -1, rep);
    if (strcmp(x->name, "notice") == 0)
        session_notice(s, NOTICE_NOTICE, NULL, "hello");
    if (strcmp(x->name, "crash") == 0)
        raise(SIGKILL);
    enum reeve_err err = REEVE_OK;
    for (int64_t i = 1; i <= n && err == REEVE_OK; i++) {
        struct datum v = d_int(i);
        err = dest_row(dest, 1, &v);
    }
    return err;
}

static enum reeve_err run_select(struct session *s, const struct command *c, struct dest *dest, struct report *rep)
{
    struct query_shape shape = { 0 };
    const struct ast_targets *t = &c->stmt->select->targets;
    struct datum v[16];
    enum reeve_err err;
    TRY(columns_of(s->stmt_arena, c->stmt, c->params->types, c->params->n, &shape, rep));
    TRY(dest_columns(dest, shape.ncols, shape.cols));
    if (t->v[0].expr->kind == X_FUNC)
        return call(s, t->v[0].expr, dest, rep);
    for (int i = 0; i < t->n; i++)
        v[i] = value_of(t->v[i].expr, c->params);
    TRY(dest_row(dest, t->n, v));
out:
    return err;
}

static enum reeve_err work_commit(struct session *s, void *arg, struct report *rep)
{
    session_notice(s, NOTICE_NOTICE, NULL, "committed");
    return arg ? report_set(rep, REEVE_E_CONFLICT, "somebody was faster") : REEVE_OK;
}

static void work_abort(struct session *s, void *arg) { session_notice(s, NOTICE_NOTICE, NULL, "undone"); }

static enum reeve_err run_rotate(struct session *s, const struct command *c, struct dest *dest)
{
    struct query_shape shape = { 0 };
    bool conflict = strcmp(c->stmt->fleet.name.s, "conflict") == 0;
    enum reeve_err err;
    TRY(columns_of(s->stmt_arena, c->stmt, NULL, 0, &shape, NULL));
    TRY(dest_columns(dest, shape.ncols, shape.cols));
    struct datum v[2] = { d_int(1), c->alone ? d_int(7) : d_null() };
    TRY(dest_row(dest, 2, v));
    if (!c->alone && s->work.commit == NULL)
        session_txn_attach(s, (struct txn_work){ work_commit, work_abort, conflict ? s : NULL });
out:
    return err;
}

static enum reeve_err fake_run(struct session *s, const struct command *c, struct dest *dest, struct report *rep)
{
    if (c->stmt->kind == AST_SELECT)
        return run_select(s, c, dest, rep);
    if (c->stmt->kind == AST_ROTATE_CERT)
        return run_rotate(s, c, dest);
    return report_set(rep, REEVE_E_UNSUPPORTED, "%s is not supported", ast_tag(c->stmt->kind));
}

const struct tcop_ops talk_ops = { .parse = parse_string, .describe = fake_describe, .run = fake_run };

/* ---- the rest of the server ---- */

static enum reeve_err fake_open(void *arg, struct session *s, struct report *rep)
{
    s->env = (struct backend_env *) s;
    return REEVE_OK;
}
static void fake_close(void *arg, struct session *s) { s->env = NULL; }

/* ann: superuser without password; bob: RFC 7677's "pencil"; carl may not log in; dora has expired. */
static enum reeve_err fake_role(void *arg, struct session *s, const struct name *role, struct role_row *out,
                                struct report *rep)
{
    memset(out, 0, sizeof *out);
    out->created.ms = 1;
    out->attrs = ROLE_ATTR_LOGIN;
    if (strcmp(role->s, "ann") == 0)
        out->attrs |= ROLE_ATTR_SUPERUSER;
    else if (strcmp(role->s, "bob") == 0)
        strcpy(out->verifier, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
                              ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
    else if (strcmp(role->s, "carl") == 0)
        out->attrs = ROLE_ATTR_INHERIT;
    else if (strcmp(role->s, "dora") == 0)
        out->valid_until.ms = 1000;
    else
        return REEVE_E_NOT_FOUND;
    return REEVE_OK;
}

static bool fake_member(void *arg, struct session *s, const struct name *role, const struct name *member)
{
    return strcmp(role->s, "scram") == 0 && (strcmp(member->s, "bob") == 0 || strcmp(member->s, "zoe") == 0);
}

/* A cancel request leaves its mark where the test looks. */
static void fake_cancel(void *arg, uint32_t pid, uint32_t key)
{
    if (pid == 4711 && key == 0x01020304)
        _exit(42);
}

const struct serve_hooks talk_hooks = { .open = fake_open, .close = fake_close, .role = fake_role,
                                        .role_member = fake_member, .cancel = fake_cancel };
