/*
 * control_cursor.c - DECLARE, FETCH, MOVE, CLOSE
 *
 * SQL cursors are portals whose rows were stored when they were declared, so
 * that no read transaction stays open between two FETCHes. They go forward only.
 */
#include "backend/executor/slot.h"
#include "backend/tcop/tcop_int.h"

#include <stdio.h>

static struct slot_ctx slots(struct tcop *t, struct run *r, struct report *rep)
{
    return (struct slot_ctx){ .arena = t->s.stmt_arena, .text = r->text, .params = &r->params, .report = rep };
}

static enum reeve_err cursor_name(struct tcop *t, struct run *r, struct slice *out, struct report *rep)
{
    struct slot_ctx ctx = slots(t, r, rep);
    return slot_text(&ctx, &r->stmt->cursor.name, "cursor", out);
}

/* ---- DECLARE ---- */

static enum reeve_err fill(struct tcop *t, struct run *r, struct portal *p, struct report *rep)
{
    struct run inner = { .stmt = r->stmt->cursor.query, .text = r->text, .params = r->params };
    return tcop_run(t, &inner, &p->rows.dest, rep);
}

static enum reeve_err declare(struct tcop *t, struct run *r, struct report *rep)
{
    const struct ast_cursor *x = &r->stmt->cursor;
    struct slice name;
    struct portal *p;
    enum reeve_err err = cursor_name(t, r, &name, rep);
    if (err != REEVE_OK)
        return err;
    if (!x->with_hold && t->s.txn == TXN_IDLE)
        return report_set(rep, REEVE_E_NO_ACTIVE_TXN, "DECLARE CURSOR can only be used in transaction blocks");
    if (name.len == 0)
        return report_set(rep, REEVE_E_INVALID_CURSOR, "invalid cursor name: must not be empty");
    err = portal_new(t, name, &p);
    if (err == REEVE_OK)
        err = portal_add(t, p, rep);
    if (err != REEVE_OK)
        return err;
    p->state = PORTAL_STORED;
    p->hold_wanted = x->with_hold;
    /* A failure ends the transaction, and the portal with it. */
    return fill(t, r, p, rep);
}

/* ---- FETCH, MOVE ---- */

static enum reeve_err find(struct tcop *t, struct run *r, struct portal **out, struct report *rep)
{
    struct slice name;
    if (r->stmt->kind == AST_FETCH && !r->stmt->cursor.move && r->stmt->cursor.name.kind == PV_PARAM) {
        /* The columns are told before the parameters are known. */
        report_set(rep, REEVE_E_UNSUPPORTED, "the cursor of FETCH cannot be a parameter");
        return report_hint(rep, "The number of rows can.");
    }
    enum reeve_err err = cursor_name(t, r, &name, rep);
    if (err != REEVE_OK)
        return err;
    *out = portal_find(t, name);
    if (*out != NULL)
        return REEVE_OK;
    return report_set(rep, REEVE_E_INVALID_CURSOR, "cursor \"%.*s\" does not exist",
                      (int) (name.len < 255 ? name.len : 255), (const char *) name.p);
}

static enum reeve_err forward_only(struct report *rep)
{
    report_set(rep, REEVE_E_WRONG_STATE, "cursor can only scan forward");
    report_hint(rep, "Cursors here are always NO SCROLL.");
    return REEVE_E_WRONG_STATE;
}

/* How many rows; 0 with *none, INT64_MAX for all. */
static enum reeve_err how_many(struct tcop *t, struct run *r, int64_t *count, struct report *rep)
{
    const struct ast_cursor *x = &r->stmt->cursor;
    struct slot_ctx ctx = slots(t, r, rep);
    *count = x->all ? INT64_MAX : 1;
    if (x->backward)
        return forward_only(rep);
    if (x->all || !pv_present(&x->count))
        return REEVE_OK;
    enum reeve_err err = slot_int(&ctx, &x->count, "count", INT32_MIN, INT32_MAX, count);
    return err == REEVE_OK && *count < 0 ? forward_only(rep) : err;
}

/* A protocol portal that has not run yet can be fetched from, too. */
static enum reeve_err make_stored(struct tcop *t, struct portal *p, struct report *rep)
{
    if (p->state == PORTAL_STORED)
        return REEVE_OK;
    if (p->state == PORTAL_DONE || p->prepared == NULL || p->prepared->list.n == 0 || p->prepared->shape.ncols == 0)
        return report_set(rep, REEVE_E_WRONG_STATE, "portal \"%s\" cannot be run", p->name);
    struct run inner = { .stmt = p->prepared->list.v[0], .text = p->prepared->text, .params = p->params };
    enum reeve_err err = tcop_run(t, &inner, &p->rows.dest, rep);
    p->state = PORTAL_STORED;
    return err;
}

static enum reeve_err fetch(struct tcop *t, struct run *r, struct dest *dest, struct report *rep)
{
    struct portal *p;
    int64_t count;
    uint64_t done = 0;
    bool move = r->stmt->cursor.move;
    enum reeve_err err;
    TRY(find(t, r, &p, rep));
    TRY(how_many(t, r, &count, rep));
    TRY(make_stored(t, p, rep));
    if (!move)
        TRY(dest_columns(dest, p->rows.ncols, p->rows.cols));
    if (count > 0)
        TRY(rowstore_emit(&p->rows, t->s.stmt_arena, (uint64_t) count, move ? NULL : dest, &done));
    snprintf(r->tag, sizeof r->tag, "%s %llu", move ? "MOVE" : "FETCH", (unsigned long long) done);
out:
    return err;
}

/* ---- CLOSE ---- */

static enum reeve_err close_cursor(struct tcop *t, struct run *r, struct report *rep)
{
    struct portal *p;
    if (!pv_present(&r->stmt->cursor.name)) {
        portals_drop(t, true);
        snprintf(r->tag, sizeof r->tag, "CLOSE CURSOR ALL");
        return REEVE_OK;
    }
    enum reeve_err err = find(t, r, &p, rep);
    if (err == REEVE_OK)
        portal_drop(t, p);
    return err;
}

enum reeve_err control_cursor(struct tcop *t, struct run *r, struct dest *dest, struct report *rep)
{
    switch (r->stmt->kind) {
    case AST_DECLARE:
        return declare(t, r, rep);
    case AST_FETCH:
        return fetch(t, r, dest, rep);
    default:
        return close_cursor(t, r, rep);
    }
}
