/*
 * commands.h - every statement that is not a query, a cursor or a transaction
 *
 * One file per family in backend/commands; command_execute() only dispatches.
 * A command checks first and changes last: it builds operations or updates,
 * and these become true together at commit (one ring transaction, or one
 * attested batch, never both: 0A000).
 */
#ifndef REEVE_BACKEND_COMMANDS_COMMANDS_H
#define REEVE_BACKEND_COMMANDS_COMMANDS_H

#include "backend/executor/dest.h"
#include "backend/executor/query.h"
#include "backend/parser/ast.h"
#include "backend/tcop/session.h"

struct command {
    const struct ast_stmt *stmt;
    struct slice text;                  /* the whole query string, for positions */
    const struct query_params *params;
    /*
     * The only statement of its transaction: it commits itself before it
     * answers, so that its row carries the real version. Otherwise changes
     * are attached to the session (session_txn_attach) and wait for COMMIT.
     */
    bool alone;
};

/*
 * Runs any statement for which ast_flags() has neither STMT_SELECT nor
 * STMT_TXN, except SET/RESET/SHOW of session settings, DISCARD, cursors,
 * prepared statements and LISTEN, which are tcop's. Rows go to dest.
 * Statements of parts not built yet answer UNSUPPORTED (0A000) with a hint.
 */
enum reeve_err command_execute(struct session *s, const struct command *c, struct dest *dest, struct report *rep)
    REEVE_MUST_CHECK;

/*
 * Result columns of a command without running it; *n = 0: no rows. Borrowed,
 * static.
 */
void command_columns(const struct session *s, const struct ast_stmt *stmt, const struct dest_column **cols, int *n);

#endif
