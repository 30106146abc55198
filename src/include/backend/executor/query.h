/*
 * query.h - running SELECT, VALUES and the SHOW statements that are SELECTs
 *
 *     ast_flags(stmt->kind) & STMT_SELECT  ->  query_run(env, stmt, dest, report)
 *
 * A query runs to its end in one call: rows go to a dest, which for portals
 * with a row limit is a rowset (dest.h), so that no read transaction waits
 * for a client. Everything it keeps lies in env->arena and is bounded by
 * env->bytes_max (54000 beyond).
 */
#ifndef REEVE_BACKEND_EXECUTOR_QUERY_H
#define REEVE_BACKEND_EXECUTOR_QUERY_H

#include "backend/executor/dest.h"
#include "backend/executor/vtable.h"
#include "backend/parser/ast.h"

/* Values of $1..$n with the types they were bound as. */
struct query_params {
    int n;
    const uint32_t *types;      /* 0 or T_UNKNOWN: text of a type not known yet */
    const struct datum *v;
};

/*
 * What a query may ask of its session. Everything but tables and arena may be
 * zero: functions that need the rest then answer NULL.
 */
struct query_env {
    struct arena *arena;        /* of the statement; results of parsing lie there too */
    const struct vtable *const *tables;
    int ntables;
    const char *search_path[4]; /* schemas tried for an unqualified name; empty: sys, pg_catalog, information_schema */
    void *session;              /* handed to scans and callbacks */
    struct query_params params;
    int64_t now_us;             /* transaction time, D2 */
    int64_t clock_us;           /* statement time */
    int64_t txid;
    int pid;
    const char *user, *database, *version;
    size_t bytes_max;           /* 0: 256 MiB */
    uint64_t rows_max;          /* rows kept by sorts, groups and joins; 0: 5,000,000 */
    /* NULL where unknown (42704, or NULL with missing_ok). */
    const char *(*setting)(void *session, const char *name);
    /* May this session read the relation? Fills report (42501). NULL: everything. */
    enum reeve_err (*may_read)(void *session, const struct vtable *t, struct report *rep);
    /* Called every 1,024 rows: CANCELED or TIMEOUT stops the query. */
    enum reeve_err (*interrupted)(void *session, struct report *rep);
    /* Functions of the catalog beside the built-in ones; NULL-terminated by name. See func.h. */
    const struct func *funcs;
};

/* Errors: everything a SELECT may answer, report filled with position. text is the statement's, for positions; may be empty. */
enum reeve_err query_run(const struct query_env *env, const struct ast_stmt *stmt, struct slice text, struct dest *dest,
                         struct report *rep) REEVE_MUST_CHECK;

/*
 * Types without running: result columns (n == 0 never happens for a STMT_SELECT)
 * and the types of all stmt->nparams parameters. hint[i] is what the client
 * declared (0: unknown) and wins; text where nothing tells.
 */
struct query_shape {
    int ncols;
    struct dest_column *cols;
    int nparams;
    uint32_t *params;
};
enum reeve_err query_describe(const struct query_env *env, const struct ast_stmt *stmt, struct slice text,
                              const uint32_t *hint, int nhint, struct query_shape *out, struct report *rep)
    REEVE_MUST_CHECK;

/* Parameter types of any other statement: text, except where a slot can only be a number (int8 / float8). */
enum reeve_err query_param_types(struct arena *a, const struct ast_stmt *stmt, const uint32_t *hint, int nhint,
                                 uint32_t **types) REEVE_MUST_CHECK;

/* A SHOW as the SELECT it stands for (PROPERTY: same columns, same rows). NULL when memory is short or no such relation. */
const struct ast_select *query_show_select(const struct query_env *env, const struct ast_stmt *stmt, struct report *rep);

/*
 * One expression over one row, for predicates that commands evaluate
 * themselves (WHERE of a rollout over node labels, tests of gates). Bind once,
 * evaluate often. A predicate that is NULL is false.
 */
struct query_pred;
enum reeve_err query_pred_bind(const struct query_env *env, const struct ast_expr *x, struct slice text, int ncols,
                               const struct vcolumn *cols, struct query_pred **out, struct report *rep)
    REEVE_MUST_CHECK;
enum reeve_err query_pred_eval(struct query_pred *p, const struct datum *row, bool *holds, struct report *rep)
    REEVE_MUST_CHECK;

/* The table list's entry, NULL where there is none; schema NULL: by search path. */
const struct vtable *query_table(const struct query_env *env, const char *schema, const char *name);

#endif
