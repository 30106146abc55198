/*
 * propose.c - PROPOSE SECURITY UPDATE name AS statement
 *
 * The statement runs as it would alone, up to its commit: rights, rules and
 * plan are its own. What it would submit becomes the content of the proposal.
 * The proposer is who logged in, whatever role was set since: EXCLUDE PROPOSER
 * is about the person.
 */
#include "cmd_int.h"

#include "proposal_int.h"
#include "crypto/ops.h"

/* Statements whose change is attested, and made before its commit by nothing else. */
static bool can_be_proposed(enum ast_kind k)
{
    switch (k) {
    case AST_ROTATE_CERT: case AST_SET_CONFIG: case AST_RESET_CONFIG: case AST_ROLLBACK_ROLLOUT:
    case AST_CREATE_AUTHORITY: case AST_ALTER_AUTHORITY: case AST_DROP_AUTHORITY:
    case AST_CREATE_CERT: case AST_ALTER_CERT: case AST_DROP_CERT: case AST_REVOKE_CERT: case AST_REVOKE_NODE:
    case AST_CREATE_VALIDATOR: case AST_DROP_VALIDATOR:
    case AST_ALTER_REGION: case AST_CREATE_APPROVER: case AST_ALTER_APPROVER: case AST_DROP_APPROVER:
    case AST_CREATE_APPROVAL_POLICY: case AST_ALTER_APPROVAL_POLICY: case AST_DROP_APPROVAL_POLICY:
        return true;
    default:
        return false;
    }
}

enum reeve_err cmd_need_alone(struct cmd *x)
{
    if (x->c->alone)
        return REEVE_OK;
    return report_set(x->rep, REEVE_E_ACTIVE_TXN, "%s cannot run inside a transaction block", ast_tag(x->stmt->kind));
}

/* The statement's own rows are not the answer. */
static enum reeve_err run_inner(struct cmd *x, const struct ast_stmt *whole)
{
    struct dest nowhere = { .columns = NULL }, *dest = x->dest;
    struct ast_stmt inner = *whole->proposal.stmt;
    command_fn fn = command_function(inner.kind);
    if (!can_be_proposed(inner.kind) || fn == NULL) {
        report_set(x->rep, REEVE_E_UNSUPPORTED, "%s cannot be proposed", ast_tag(inner.kind));
        return report_hint(x->rep, "Proposals are changes of certificates, authorities, attested config, regions, approvers and policies.");
    }
    inner.pos = whole->pos;         /* history tells the whole statement */
    inner.len = whole->len;
    x->stmt = &inner;
    x->dest = &nowhere;
    x->proposing = true;
    enum reeve_err err = fn(x);
    x->proposing = false;
    x->stmt = whole;
    x->dest = dest;
    return err;
}

/* Updates as leaves whose signature nobody looks at. */
static enum reeve_err leaves_of(struct cmd *x, const struct slice *content, size_t n, struct slice *leaf)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t *p = arena_alloc(x->arena, content[i].len + 64);
        if (p == NULL)
            return report_set(x->rep, REEVE_E_NOMEM, "out of memory");
        memcpy(p, content[i].p, content[i].len);
        memset(p + content[i].len, 0, 64);
        leaf[i] = slice_of(p, content[i].len + 64);
    }
    return REEVE_OK;
}

static enum reeve_err ask_policy(struct cmd *x, struct snap *sn, const struct slice *leaf, size_t n, struct proposal_need *need)
{
    struct attest_head head;
    struct wall_ms now = session_wall_now();
    enum reeve_err err = attest_head(&sn->attest, &head);
    if (err != REEVE_OK)
        return err;
    if (now.ms <= head.header.time.ms)
        now.ms = head.header.time.ms + 1;
    err = attest_check_proposal(&sn->attest, leaf, n, now, need, x->rep);
    if (err != REEVE_OK || need->needed)
        return err;
    report_set(x->rep, REEVE_E_WRONG_STATE, "no approval policy asks for approvals of this change");
    return report_hint(x->rep, "Give the statement itself; it takes effect at once.");
}

static enum reeve_err build(struct cmd *x, struct snap *sn, const struct slice *content, size_t n, struct proposal_row *row)
{
    struct hash32 hash[PROPOSAL_PARTS_MAX];
    struct slice leaf[PROPOSAL_PARTS_MAX];
    struct proposal_need need;
    struct attest_head head;
    enum reeve_err err;
    TRY(leaves_of(x, content, n, leaf));
    TRY(ask_policy(x, sn, leaf, n, &need));
    TRY(attest_head(&sn->attest, &head));
    row->ref.policy = need.policy;
    row->ref.policy_version = need.version;
    row->ref.not_after_s = (uint64_t) session_wall_now().ms / 1000 + need.expires_s;
    row->n_parts = (uint8_t) n;
    for (size_t i = 0; i < n; i++) {
        row->part[i] = content[i];
        TRY(update_content_hash(&crypto_ops_real, &hash[i], leaf[i]));
    }
    proposal_digest(&crypto_ops_real, &row->ref, &head.chain_id, hash, row->n_parts);
out:
    return err;
}

static enum reeve_err keep(struct cmd *x, const struct proposal_row *row)
{
    struct cmd_outcome o;
    enum reeve_err err;
    struct wr *w = cmd_op(x, RO_PROPOSAL_CREATE, &err);
    if (w == NULL)
        return err;
    proposal_row_encode(row, w);
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
out:
    return err;
}

enum reeve_err cmd_propose(struct cmd *x)
{
    const struct ast_stmt *stmt = x->stmt;
    struct slice content[PROPOSAL_PARTS_MAX];
    struct snap sn = { 0 };
    size_t n = 0;
    enum reeve_err err;
    struct proposal_row *row = cmd_alloc(x, sizeof *row, &err);
    if (row == NULL)
        return err;
    TRY(cmd_need_alone(x));
    row->state = PROPOSAL_PENDING;
    TRY(slot_name(&x->slot, &stmt->proposal.name, "proposal", &row->ref.proposal));
    TRY(run_inner(x, stmt));
    TRY(cmd_pending_take(x, content, PROPOSAL_PARTS_MAX, &n, &row->statement));
    row->reason = x->reason;
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(build(x, &sn, content, n, row));
    snap_close(&sn);
    TRY(keep(x, row));
    session_notice(x->s, NOTICE_NOTICE, NULL, "SHOW PROPOSAL \"%s\" shows what approvers sign", row->ref.proposal.s);
    err = cmd_proposal_row(x, &row->ref.proposal);
out:
    snap_close(&sn);
    return err;
}
