/* control.c - statements the loop answers itself: the dispatcher, and the small ones */
#include "backend/tcop/tcop_int.h"

#include <stdio.h>

bool control_owns(enum ast_kind k)
{
    switch (k) {
    case AST_SHOW_SETTING: case AST_SHOW_ALL: case AST_SET_SETTING: case AST_RESET_SETTING: case AST_RESET_ALL:
    case AST_DISCARD: case AST_LISTEN: case AST_UNLISTEN: case AST_NOTIFY: case AST_SET_TRANSACTION:
    case AST_DECLARE: case AST_FETCH: case AST_CLOSE: case AST_PREPARE: case AST_EXECUTE: case AST_DEALLOCATE:
    case AST_COPY_QUERY: case AST_COPY_HISTORY:
        return true;
    default:
        return (ast_flags(k) & STMT_TXN) != 0;
    }
}

static enum reeve_err discard_all(struct tcop *t, const struct run *r, struct report *rep)
{
    if (t->s.txn != TXN_IDLE || r->in_string || t->s.work.commit != NULL)
        return report_set(rep, REEVE_E_ACTIVE_TXN, "DISCARD ALL cannot run inside a transaction block");
    portals_drop(t, true);
    prepared_drop_all(t);
    return session_reset_all(&t->s);
}

static enum reeve_err notify(struct run *r, struct report *rep)
{
    if (r->stmt->kind == AST_UNLISTEN)
        return REEVE_OK;
    report_set(rep, REEVE_E_UNSUPPORTED, "%s is not supported", ast_tag(r->stmt->kind));
    report_hint(rep, "Query sys.rollouts and sys.issues, or use WAIT FOR ROLLOUT.");
    return REEVE_E_UNSUPPORTED;
}

enum reeve_err control_run(struct tcop *t, struct run *r, struct dest *dest, struct report *rep)
{
    switch (r->stmt->kind) {
    case AST_SHOW_SETTING: case AST_SHOW_ALL: case AST_SET_SETTING: case AST_RESET_SETTING: case AST_RESET_ALL:
        return control_settings(t, r, dest, rep);
    case AST_DISCARD:
        return discard_all(t, r, rep);
    case AST_LISTEN: case AST_UNLISTEN: case AST_NOTIFY:
        return notify(r, rep);
    case AST_DECLARE: case AST_FETCH: case AST_CLOSE:
        return control_cursor(t, r, dest, rep);
    case AST_PREPARE: case AST_EXECUTE: case AST_DEALLOCATE:
        return control_prepare(t, r, dest, rep);
    case AST_COPY_QUERY:
        return control_copy(t, r, rep);
    case AST_COPY_HISTORY:
        return control_copy_history(t, r, rep);
    default:
        return control_txn(t, r, rep);
    }
}
