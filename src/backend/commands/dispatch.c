/*
 * dispatch.c - one arm per statement, nothing else
 *
 * What belongs to parts that are not built yet is refused here, in one table,
 * with the reason and what to do instead.
 */
#include "cmd_int.h"

#include "backend/access/access.h"
#include "history_int.h"

static const struct {
    enum ast_kind kind;
    command_fn fn;
} arms[] = {
    { AST_ROTATE_CERT, cmd_rotate_cert }, { AST_SET_CONFIG, cmd_set_config }, { AST_RESET_CONFIG, cmd_reset_config },
    { AST_ROLLBACK_ROLLOUT, cmd_rollback_rollout }, { AST_PAUSE_ROLLOUT, cmd_rollout_verb },
    { AST_RESUME_ROLLOUT, cmd_rollout_verb }, { AST_CANCEL_ROLLOUT, cmd_rollout_verb },
    { AST_PROMOTE_ROLLOUT, cmd_rollout_verb }, { AST_ALTER_ROLLOUT, cmd_alter_rollout },
    { AST_WAIT_ROLLOUT, cmd_wait_rollout }, { AST_CREATE_STRATEGY, cmd_create_strategy },
    { AST_DROP_STRATEGY, cmd_drop_strategy }, { AST_CREATE_WINDOW, cmd_create_window },
    { AST_DROP_WINDOW, cmd_drop_window }, { AST_CREATE_AUTHORITY, cmd_create_authority },
    { AST_ALTER_AUTHORITY, cmd_alter_authority }, { AST_DROP_AUTHORITY, cmd_drop_authority },
    { AST_CREATE_CERT, cmd_create_cert }, { AST_ALTER_CERT, cmd_alter_cert }, { AST_DROP_CERT, cmd_drop_cert },
    { AST_REVOKE_CERT, cmd_revoke_cert }, { AST_CREATE_JOIN_TOKEN, cmd_create_join_token },
    { AST_REVOKE_JOIN_TOKEN, cmd_revoke_join_token }, { AST_ALTER_NODE, cmd_alter_node },
    { AST_ALTER_NODES, cmd_alter_nodes }, { AST_DROP_NODE, cmd_drop_node }, { AST_REVOKE_NODE, cmd_revoke_node },
    { AST_ALTER_REGION, cmd_alter_region }, { AST_ALTER_RING, cmd_alter_ring }, { AST_ALTER_SYSTEM_SET, cmd_alter_system },
    { AST_ALTER_SYSTEM_RESET, cmd_alter_system }, { AST_RELOAD, cmd_reload },
    { AST_CANCEL_QUERY, cmd_signal_session }, { AST_TERMINATE_SESSION, cmd_signal_session },
    { AST_CREATE_ROLE, cmd_create_role }, { AST_ALTER_ROLE, cmd_alter_role }, { AST_DROP_ROLE, cmd_drop_role },
    { AST_GRANT, cmd_grant }, { AST_REVOKE, cmd_grant }, { AST_GRANT_ROLE, cmd_grant_role },
    { AST_REVOKE_ROLE, cmd_grant_role }, { AST_EXPLAIN, cmd_explain }, { AST_COPY_QUERY, cmd_copy_query },
    { AST_CREATE_CHECKPOINT, cmd_create_checkpoint }, { AST_SHOW_PROOF, cmd_show_proof },
    { AST_VERIFY_HISTORY, cmd_verify_history }, { AST_COPY_HISTORY, cmd_copy_history },
    { AST_DIFF_CONFIG, cmd_diff_config },
    { AST_CREATE_VALIDATOR, cmd_create_validator }, { AST_DROP_VALIDATOR, cmd_drop_validator },
    { AST_CREATE_APPROVER, cmd_create_approver }, { AST_ALTER_APPROVER, cmd_alter_approver },
    { AST_DROP_APPROVER, cmd_drop_approver }, { AST_CREATE_APPROVAL_POLICY, cmd_create_policy },
    { AST_ALTER_APPROVAL_POLICY, cmd_alter_policy }, { AST_DROP_APPROVAL_POLICY, cmd_drop_policy },
    { AST_PROPOSE, cmd_propose }, { AST_APPROVE_PROPOSAL, cmd_approve_proposal },
    { AST_REJECT_PROPOSAL, cmd_reject_proposal }, { AST_WITHDRAW_PROPOSAL, cmd_withdraw_proposal },
    { AST_SHOW_PROPOSAL, cmd_show_proposal },
};

static const struct {
    enum ast_kind kind;
    const char *what, *hint;
} absent[] = {
    { AST_APPROVE_ROLLOUT, "approvals are not available yet", "Leave out REQUIRE n APPROVALS; the rollout then starts by itself." },
    { AST_REJECT_ROLLOUT, "approvals are not available yet", "Use CANCEL ROLLOUT or ROLLBACK ROLLOUT." },
    { AST_CREATE_SERVICE, "services are not available yet", "Service discovery comes with the federation of regions." },
    { AST_ALTER_SERVICE, "services are not available yet", "Service discovery comes with the federation of regions." },
    { AST_DROP_SERVICE, "services are not available yet", "Service discovery comes with the federation of regions." },
    { AST_RESOLVE_SERVICE, "services are not available yet", "Service discovery comes with the federation of regions." },
    { AST_REVOKE_LEASE, "leases are not available yet", "Leases come with the federation of regions." },
    { AST_CREATE_REGION, "this server has one region", "More regions come with the global validators." },
    { AST_SUBSCRIBE, "SUBSCRIBE is not available yet", "Use \\watch in the shell, or WAIT FOR ROLLOUT." },
    { AST_CREATE_EXTENSION, "extensions are not available yet", "The server has no extension loader so far." },
    { AST_ALTER_EXTENSION, "extensions are not available yet", "The server has no extension loader so far." },
    { AST_DROP_EXTENSION, "extensions are not available yet", "The server has no extension loader so far." },
};

command_fn command_function(enum ast_kind kind)
{
    for (size_t i = 0; i < sizeof arms / sizeof arms[0]; i++)
        if (arms[i].kind == kind)
            return arms[i].fn;
    return NULL;
}

enum reeve_err cmd_unsupported(struct cmd *x, const char *what, const char *hint)
{
    enum reeve_err err = report_set(x->rep, REEVE_E_UNSUPPORTED, "%s", what);
    report_hint(x->rep, "%s", hint);
    return err;
}

enum reeve_err cmd_refuse(struct cmd *x)
{
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        if (absent[i].kind == x->stmt->kind)
            return cmd_unsupported(x, absent[i].what, absent[i].hint);
    report_set(x->rep, REEVE_E_UNSUPPORTED, "%s is not supported", ast_tag(x->stmt->kind));
    return REEVE_E_UNSUPPORTED;
}

static enum reeve_err run_once(struct session *s, const struct command *c, struct dest *dest, struct report *rep)
{
    struct cmd x = {
        .s = s, .c = c, .stmt = c->stmt, .dest = dest, .rep = rep, .arena = s->stmt_arena,
        .slot = { .arena = s->stmt_arena, .text = c->text, .params = c->params, .report = rep },
    };
    command_fn fn = command_function(c->stmt->kind);
    enum reeve_err err = fn != NULL ? fn(&x) : cmd_refuse(&x);
    cmd_pending_drop(&x);
    return err;
}

/*
 * A statement that stands alone may lose a race against the rollout engine
 * over an object's version; nothing of it happened, so it is tried again on
 * the new state before anybody is bothered. Who named the version (SET CONFIG
 * ... WITH) asked to be told: that version does not come back.
 */
#define CONFLICT_TRIES 8

static bool names_version(const struct ast_stmt *stmt)
{
    return stmt->kind == AST_SET_CONFIG && roll_has(&stmt->fleet.rollout, ROLL_WITH);
}

enum reeve_err command_execute(struct session *s, const struct command *c, struct dest *dest, struct report *rep)
{
    if (ast_flags(c->stmt->kind) & STMT_CHANGES && session_bool(s, SET_transaction_read_only))
        return report_set(rep, REEVE_E_ACTIVE_TXN, "cannot execute %s in a read-only transaction", ast_tag(c->stmt->kind));
    for (int i = 0;; i++) {
        enum reeve_err err = run_once(s, c, dest, rep);
        if (err != REEVE_E_CONFLICT || !c->alone || names_version(c->stmt) || dest->rows > 0 || i + 1 >= CONFLICT_TRIES)
            return err;
        report_clear(rep);
    }
}

static const struct dest_column token_columns[] = { { "token", T_TEXT }, { "expires", T_TIMESTAMPTZ }, { "uses", T_INT4 } };
static const struct dest_column wait_columns[] = {
    { "rollout_id", T_INT8 }, { "state", T_TEXT }, { "done", T_INT4 }, { "failed", T_INT4 }, { "silent", T_INT4 } };

/* Statements whose rows are always the same. */
static const struct { enum ast_kind kind; const struct dest_column *cols; int n; } shapes[] = {
    { AST_CREATE_JOIN_TOKEN, token_columns, 3 }, { AST_WAIT_ROLLOUT, wait_columns, 5 },
    { AST_CREATE_CHECKPOINT, cmd_checkpoint_columns, 5 }, { AST_SHOW_PROOF, cmd_proof_columns, 6 },
    { AST_VERIFY_HISTORY, cmd_verify_columns, 6 }, { AST_DIFF_CONFIG, cmd_diff_columns, 7 },
    { AST_PROPOSE, cmd_proposal_columns, CMD_PROPOSAL_COLUMNS }, { AST_APPROVE_PROPOSAL, cmd_proposal_columns, CMD_PROPOSAL_COLUMNS },
    { AST_REJECT_PROPOSAL, cmd_proposal_columns, CMD_PROPOSAL_COLUMNS }, { AST_SHOW_PROPOSAL, cmd_show_proposal_columns, CMD_SHOW_PROPOSAL_COLUMNS },
};

void command_columns(const struct session *s, const struct ast_stmt *stmt, const struct dest_column **cols, int *n)
{
    *cols = NULL;
    *n = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        if (shapes[i].kind == stmt->kind) {
            *cols = shapes[i].cols;
            *n = shapes[i].n;
            return;
        }
    if (stmt->kind == AST_EXPLAIN) {
        bool json = cmd_explain_is_json(stmt);
        *cols = json ? &cmd_explain_json_column : cmd_explain_columns;
        *n = json ? 1 : CMD_EXPLAIN_COLUMNS;
    } else if (ast_flags(stmt->kind) & STMT_FLEET && ast_flags(stmt->kind) & STMT_ROWS &&
               session_bool(s, SET_rollout_returning)) {
        *cols = cmd_fleet_columns;
        *n = 6;
    }
}
