/* ops_real.c - the language behind the loop: parser, executor, catalog, commands */
#include "backend/catalog/catalog.h"
#include "backend/tcop/tcop.h"
#include "backend/tcop/tcop_int.h"

static enum reeve_err real_describe(struct session *s, struct arena *a, const struct ast_stmt *stmt,
                                    struct slice text, const uint32_t *hint, int nhint, struct query_shape *out,
                                    struct report *rep)
{
    if (ast_flags(stmt->kind) & STMT_SELECT) {
        struct query_params none = { 0 };
        struct query_env env;
        catalog_query_env(s, a, &none, &env);
        return query_describe(&env, stmt, text, hint, nhint, out, rep);
    }
    const struct dest_column *cols = NULL;
    out->nparams = stmt->nparams;
    enum reeve_err err = query_param_types(a, stmt, hint, nhint, &out->params);
    if (err != REEVE_OK || control_owns(stmt->kind))
        return err;
    command_columns(s, stmt, &cols, &out->ncols);
    out->cols = arena_alloc(a, (size_t) (out->ncols + 1) * sizeof *out->cols);
    if (out->cols == NULL)
        return REEVE_E_NOMEM;
    if (out->ncols > 0)
        memcpy(out->cols, cols, (size_t) out->ncols * sizeof *cols);
    return REEVE_OK;
}

static enum reeve_err real_run(struct session *s, const struct command *cmd, struct dest *dest, struct report *rep)
{
    if (!(ast_flags(cmd->stmt->kind) & STMT_SELECT))
        return command_execute(s, cmd, dest, rep);
    struct query_env env;
    catalog_query_env(s, s->stmt_arena, cmd->params, &env);
    return query_run(&env, cmd->stmt, cmd->text, dest, rep);
}

const struct tcop_ops tcop_ops_real = { .parse = parse_string, .describe = real_describe, .run = real_run };
