/* run.c - one statement of any kind: the checks they all share, then who answers it */
#include "backend/tcop/tcop_int.h"

#include <stdio.h>

/* In a failed block only its end is heard. */
static enum reeve_err check_failed(const struct tcop *t, enum ast_kind k, struct report *rep)
{
    if (t->s.txn != TXN_FAILED || k == AST_COMMIT || k == AST_ROLLBACK)
        return REEVE_OK;
    return report_set(rep, REEVE_E_IN_FAILED_TXN,
                      "current transaction is aborted, commands ignored until end of transaction block");
}

static enum reeve_err check_read_only(const struct tcop *t, enum ast_kind k, struct report *rep)
{
    if (!(ast_flags(k) & STMT_CHANGES) || !session_bool(&t->s, SET_transaction_read_only))
        return REEVE_OK;
    report_set(rep, REEVE_E_WRONG_STATE, "cannot execute %s in a read-only transaction", ast_tag(k));
    memcpy(rep->sqlstate, "25006", 6);
    return REEVE_E_WRONG_STATE;
}

static void default_tag(struct run *r, const struct dest *dest)
{
    if (r->tag[0] != '\0')
        return;
    if (ast_tag_counts(r->stmt->kind))
        snprintf(r->tag, sizeof r->tag, "%s %llu", ast_tag(r->stmt->kind), (unsigned long long) dest->rows);
    else
        snprintf(r->tag, sizeof r->tag, "%s", ast_tag(r->stmt->kind));
}

static enum reeve_err run_it(struct tcop *t, struct run *r, struct dest *dest, struct report *rep)
{
    if (control_owns(r->stmt->kind))
        return control_run(t, r, dest, rep);
    struct command cmd = { .stmt = r->stmt, .text = r->text, .params = &r->params, .alone = r->alone };
    return t->ops->run(&t->s, &cmd, dest, rep);
}

enum reeve_err tcop_run(struct tcop *t, struct run *r, struct dest *dest, struct report *rep)
{
    enum reeve_err err;
    r->tag[0] = '\0';
    TRY(check_failed(t, r->stmt->kind, rep));
    if (t->s.txn != TXN_FAILED)
        TRY(txn_ensure(t, rep));
    TRY(check_read_only(t, r->stmt->kind, rep));
    TRY(session_check_interrupts(&t->s, rep));
    TRY(run_it(t, r, dest, rep));
    default_tag(r, dest);
out:
    /* Others change something, or wait for something: what comes behind them asks anew. */
    if (r->stmt->kind != AST_SELECT)
        t->s.confirmed_upto = 0;
    return err;
}

enum reeve_err tcop_shape(struct tcop *t, struct arena *a, const struct ast_stmt *stmt, struct slice text,
                          const uint32_t *hint, int nhint, struct query_shape *out, struct report *rep)
{
    memset(out, 0, sizeof *out);
    enum reeve_err err = check_failed(t, stmt->kind, rep);
    if (err == REEVE_OK)
        err = t->ops->describe(&t->s, a, stmt, text, hint, nhint, out, rep);
    if (err == REEVE_OK && control_owns(stmt->kind))
        err = control_columns(t, a, stmt, out, rep);
    return err;
}
