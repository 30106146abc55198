/*
 * txn.c - transactions as the client sees them
 *
 * Idle, in a block, in a failed block; and the implicit transaction that holds
 * the statements of one query string, or those between two Syncs.
 */
#include "backend/libpq/auth.h"
#include "backend/tcop/tcop_int.h"

static const char *const iso_words[] = {
    [ISO_READ_UNCOMMITTED] = "read uncommitted", [ISO_READ_COMMITTED] = "read committed",
    [ISO_REPEATABLE_READ] = "repeatable read", [ISO_SERIALIZABLE] = "serializable",
};

/* What a new transaction takes from the session's defaults. */
static enum reeve_err take_defaults(struct tcop *t)
{
    struct session *s = &t->s;
    struct report rep = { 0 };
    char buf[64];
    enum reeve_err err = REEVE_OK;
    if (session_int(s, SET_transaction_isolation) != session_int(s, SET_default_transaction_isolation))
        err = session_set(s, slice_str("transaction_isolation"),
                          slice_str(session_setting_text(s, SET_default_transaction_isolation, buf)), true, &rep);
    if (err == REEVE_OK && session_bool(s, SET_transaction_read_only) != session_bool(s, SET_default_transaction_read_only))
        err = session_set(s, slice_str("transaction_read_only"),
                          slice_str(session_setting_text(s, SET_default_transaction_read_only, buf)), true, &rep);
    return err;
}

/* A role that was changed or dropped meanwhile counts from here on. */
static enum reeve_err take_role(struct tcop *t, struct report *rep)
{
    struct role_row row;
    enum reeve_err err = t->start->hooks->role(t->start->arg, &t->s, &t->s.role, &row, rep);
    if (err == REEVE_E_NOT_FOUND)
        return report_set(rep, REEVE_E_AUTH, "role \"%s\" does not exist any more", t->s.role.s);
    if (err != REEVE_OK)
        return err;
    uint32_t now = auth_attributes(&row);
    if (now == t->s.role_attributes)
        return REEVE_OK;
    t->s.role_attributes = now;
    t->s.settings_changed = true;
    return session_set_internal(&t->s, SET_is_superuser, session_is_superuser(&t->s) ? "on" : "off");
}

enum reeve_err txn_ensure(struct tcop *t, struct report *rep)
{
    if (t->s.txn != TXN_IDLE || t->s.implicit)
        return REEVE_OK;
    t->s.implicit = true;
    t->s.txn_started = session_wall_now();
    enum reeve_err err = take_role(t, rep);
    return err == REEVE_OK ? take_defaults(t) : err;
}

enum reeve_err txn_finish_implicit(struct tcop *t, struct report *rep)
{
    if (t->s.txn != TXN_IDLE || !t->s.implicit)
        return REEVE_OK;
    return txn_commit(t, rep);
}

enum reeve_err txn_commit(struct tcop *t, struct report *rep)
{
    enum reeve_err err = session_txn_commit(&t->s, rep);
    for (struct portal *p = t->portals; p != NULL && err == REEVE_OK; p = p->next)
        p->hold = p->hold_wanted;
    portals_drop(t, false);
    return err;
}

void txn_abort(struct tcop *t)
{
    session_txn_abort(&t->s);
    portals_drop(t, false);
}

void txn_error(struct tcop *t)
{
    if (t->s.txn == TXN_IDLE)
        txn_abort(t);
    else if (t->s.txn == TXN_BLOCK) {
        session_txn_abort(&t->s);
        t->s.txn = TXN_FAILED;
        portals_drop(t, false);
    }
}

/* ---- modes ---- */

static enum reeve_err set_mode(struct tcop *t, const char *name, const char *value, bool local, struct report *rep)
{
    return session_set(&t->s, slice_str(name), slice_str(value), local, rep);
}

enum reeve_err txn_modes(struct tcop *t, const struct ast_txn *x, bool local, struct report *rep)
{
    enum reeve_err err = REEVE_OK;
    if (x->isolation != ISO_DEFAULT)
        err = set_mode(t, local ? "transaction_isolation" : "default_transaction_isolation", iso_words[x->isolation],
                       local, rep);
    if (err == REEVE_OK && x->access != ACCESS_DEFAULT)
        err = set_mode(t, local ? "transaction_read_only" : "default_transaction_read_only",
                       x->access == ACCESS_READ_ONLY ? "on" : "off", local, rep);
    return err;
}

enum reeve_err txn_begin(struct tcop *t, const struct ast_txn *x, struct report *rep)
{
    if (t->s.txn == TXN_BLOCK) {
        session_notice(&t->s, NOTICE_WARNING, "25001", "there is already a transaction in progress");
        return REEVE_OK;
    }
    enum reeve_err err = txn_ensure(t, rep);
    if (err == REEVE_OK)
        err = txn_modes(t, x, true, rep);
    if (err == REEVE_OK) {
        t->s.implicit = false;
        t->s.txn = TXN_BLOCK;
    }
    return err;
}

/* ---- the statements ---- */

static void warn_no_txn(struct tcop *t, bool rollback)
{
    struct report rep = { 0 };
    report_set(&rep, REEVE_E_NO_ACTIVE_TXN, "there is no transaction in progress");
    if (rollback)
        report_hint(&rep, "To undo a rollout use ROLLBACK ROLLOUT <id>.");
    session_notice_report(&t->s, NOTICE_WARNING, &rep);
}

static enum reeve_err chain(struct tcop *t, const struct ast_txn *x, struct report *rep)
{
    static const struct ast_txn plain;
    return x->chain ? txn_begin(t, &plain, rep) : REEVE_OK;
}

static enum reeve_err refuse_chain(const struct ast_txn *x, const char *verb, struct report *rep)
{
    if (!x->chain)
        return REEVE_OK;
    return report_set(rep, REEVE_E_NO_ACTIVE_TXN, "%s AND CHAIN can only be used in transaction blocks", verb);
}

static enum reeve_err do_commit(struct tcop *t, struct run *r, struct report *rep)
{
    const struct ast_txn *x = &r->stmt->txn;
    enum reeve_err err = REEVE_OK;
    switch (t->s.txn) {
    case TXN_IDLE:
        TRY(refuse_chain(x, "COMMIT", rep));
        warn_no_txn(t, false);
        TRY(txn_commit(t, rep));
        break;
    case TXN_BLOCK:
        TRY(txn_commit(t, rep));
        TRY(chain(t, x, rep));
        break;
    case TXN_FAILED:
        txn_abort(t);
        memcpy(r->tag, "ROLLBACK", 9);
        TRY(chain(t, x, rep));
        break;
    }
out:
    return err;
}

static enum reeve_err do_rollback(struct tcop *t, struct run *r, struct report *rep)
{
    const struct ast_txn *x = &r->stmt->txn;
    if (t->s.txn == TXN_IDLE) {
        enum reeve_err err = refuse_chain(x, "ROLLBACK", rep);
        if (err != REEVE_OK)
            return err;
        warn_no_txn(t, true);
    }
    txn_abort(t);
    return chain(t, x, rep);
}

static enum reeve_err no_savepoints(struct report *rep)
{
    report_set(rep, REEVE_E_UNSUPPORTED, "savepoints are not supported");
    report_hint(rep, "A transaction's changes become true together at COMMIT, or not at all.");
    return REEVE_E_UNSUPPORTED;
}

static enum reeve_err set_transaction(struct tcop *t, const struct ast_txn *x, struct report *rep)
{
    if (x->session)
        return txn_modes(t, x, false, rep);
    if (t->s.txn == TXN_IDLE)
        session_notice(&t->s, NOTICE_WARNING, "25P01", "SET TRANSACTION can only be used in transaction blocks");
    return txn_modes(t, x, true, rep);
}

enum reeve_err control_txn(struct tcop *t, struct run *r, struct report *rep)
{
    switch (r->stmt->kind) {
    case AST_BEGIN:
    case AST_START_TRANSACTION:
        return txn_begin(t, &r->stmt->txn, rep);
    case AST_COMMIT:
        return do_commit(t, r, rep);
    case AST_ROLLBACK:
        return do_rollback(t, r, rep);
    case AST_SET_TRANSACTION:
        return set_transaction(t, &r->stmt->txn, rep);
    default:
        return no_savepoints(rep);
    }
}
