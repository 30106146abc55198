/*
 * simple.c - the simple query: a string of statements, parsed whole, run as
 * one implicit transaction unless it says BEGIN
 */
#include "backend/tcop/tcop_int.h"

/* Runs one of them; the last one's commit comes before its CommandComplete. */
static enum reeve_err run_one(struct tcop *t, const struct ast_list *list, int i, struct slice text,
                              struct report *rep)
{
    struct sink sink;
    struct run r = { .stmt = list->v[i], .text = text, .in_string = list->n > 1 };
    r.alone = list->n == 1 && t->s.txn == TXN_IDLE;
    arena_reset(t->s.stmt_arena);
    tcop_read_begin(t);
    sink_init(&sink, t, true, 0, NULL);
    enum reeve_err err;
    TRY(tcop_run(t, &r, &sink.dest, rep));
    if (i == list->n - 1)
        TRY(txn_finish_implicit(t, rep));
    TRY(reply_complete(&t->c, r.tag));
out:
    return err;
}

static enum reeve_err run_all(struct tcop *t, const struct ast_list *list, struct slice text, struct report *rep)
{
    if (list->n == 0)
        return reply_bare(&t->c, 'I');
    for (int i = 0; i < list->n; i++) {
        enum reeve_err err = run_one(t, list, i, text, rep);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

void tcop_simple_query(struct tcop *t, struct slice text)
{
    struct report rep = { 0 };
    struct ast_list list = { 0 };
    enum reeve_err err;
    /* PostgreSQL, too, forgets the unnamed ones here. */
    portal_drop_unnamed(t);
    (void) !prepared_drop(t, slice_of("", 0));
    arena_reset(&t->query_arena);
    text = arena_copy(&t->query_arena, text);
    tcop_statement_begin(t);
    err = text.p == NULL ? REEVE_E_NOMEM : t->ops->parse(&t->query_arena, text, &list, &rep);
    tcop_query_shown(t, &list, text);
    if (err == REEVE_OK)
        err = run_all(t, &list, text, &rep);
    if (err != REEVE_OK)
        tcop_error(t, &rep, err);
    tcop_statement_end(t);
}
