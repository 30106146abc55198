/*
 * tcop.h - what the session loop asks of the language
 *
 * The loop knows messages, transactions, portals and settings; how a statement
 * is parsed, described and run comes in through this table. The real one is
 * tcop_ops_real (parser, executor, commands); tests bring their own.
 */
#ifndef REEVE_BACKEND_TCOP_TCOP_H
#define REEVE_BACKEND_TCOP_TCOP_H

#include "backend/commands/commands.h"
#include "backend/executor/query.h"
#include "backend/parser/parser.h"
#include "backend/tcop/session.h"

struct tcop_ops {
    enum reeve_err (*parse)(struct arena *a, struct slice text, struct ast_list *list, struct report *rep);
    /*
     * Types of the parameters (hint wins where not 0) and result columns
     * without running. For the statements tcop answers itself only the
     * parameters count.
     */
    enum reeve_err (*describe)(struct session *s, struct arena *a, const struct ast_stmt *stmt, struct slice text,
                               const uint32_t *hint, int nhint, struct query_shape *out, struct report *rep);
    /* Runs any statement that tcop does not answer itself. */
    enum reeve_err (*run)(struct session *s, const struct command *cmd, struct dest *dest, struct report *rep);
};

extern const struct tcop_ops tcop_ops_real;

#endif
