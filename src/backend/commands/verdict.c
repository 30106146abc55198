/*
 * verdict.c - APPROVE, REJECT and WITHDRAW PROPOSAL
 *
 * A session only hands over what was signed elsewhere: the signature says who
 * approves, whoever is logged in. The approval that makes a proposal suffice
 * submits it. Where that fails (the validators are away) the approvals stay,
 * and giving one of them again submits once more.
 */
#include "proposal_int.h"

#include "backend/ipc/ipc.h"
#include "crypto/ops.h"

/* ---- finding ---- */

enum reeve_err cmd_get_proposal(struct cmd *x, struct snap *sn, const struct pvalue *slot, struct proposal_row *row)
{
    struct name name;
    enum reeve_err err = slot_name(&x->slot, slot, "proposal", &name);
    if (err != REEVE_OK)
        return err;
    err = region_proposal_get(&sn->region, &name, row);
    if (err == REEVE_E_NOT_FOUND)
        return slot_error(&x->slot, slot, REEVE_E_UNDEFINED_OBJECT, "proposal \"%s\" does not exist", name.s);
    return err == REEVE_OK ? err : report_set(x->rep, err, "could not read proposal \"%s\"", name.s);
}

const struct dest_column cmd_proposal_columns[CMD_PROPOSAL_COLUMNS] = {
    { "proposal", T_TEXT }, { "state", T_TEXT }, { "policy", T_TEXT }, { "approvals_have", T_INT4 }, { "approvals_need", T_INT4 },
    { "not_after", T_TIMESTAMPTZ }, { "digest", T_TEXT }, { "version", T_INT8 },
};

enum reeve_err cmd_proposal_row(struct cmd *x, const struct name *proposal)
{
    struct snap sn = { 0 };
    char digest[48];
    enum reeve_err err;
    struct proposal_row *row = cmd_alloc(x, sizeof *row, &err);
    struct proposal_view *v = row ? cmd_alloc(x, sizeof *v, &err) : NULL;
    if (v == NULL)
        return err;
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(region_proposal_get(&sn.region, proposal, row));
    proposal_look(&sn, row, session_wall_now(), v);
    snap_close(&sn);
    base64_encode(digest, row->ref.digest.b, 32);
    struct datum d[CMD_PROPOSAL_COLUMNS] = {
        d_text(name_slice(proposal)), d_str(v->state), d_text(name_slice(&row->ref.policy)), d_int(v->n),
        v->policy.n_terms > 0 ? d_int(policy_places(&v->policy)) : d_null(), d_wall((struct wall_ms){ (int64_t) row->ref.not_after_s * 1000 }),
        d_str(digest), row->state == PROPOSAL_APPLIED ? d_int((int64_t) row->leaf) : d_null(),
    };
    TRY(dest_columns(x->dest, CMD_PROPOSAL_COLUMNS, cmd_proposal_columns));
    TRY(dest_row(x->dest, CMD_PROPOSAL_COLUMNS, d));
out:
    snap_close(&sn);
    return err;
}

/* ---- ring operations ---- */

static enum reeve_err commit_op(struct cmd *x)
{
    struct cmd_outcome o;
    enum reeve_err err = cmd_op_end(x);
    if (err == REEVE_OK)
        err = cmd_finish(x, &o);
    cmd_pending_drop(x);
    x->noted = false;
    return err;
}

static enum reeve_err record(struct cmd *x, const struct approval_ref *ref, const struct verdict_row *v)
{
    enum reeve_err err;
    struct wr *w = cmd_op(x, RO_PROPOSAL_VERDICT, &err);
    if (w == NULL)
        return err;
    wr_name(w, &ref->proposal);
    wr_bytes(w, ref->digest.b, 32);
    wr_name(w, &v->approver);
    wr_u8(w, v->verdict);
    wr_bytes(w, v->sig.b, 64);
    wr_str16(w, x->reason);
    return commit_op(x);
}

static enum reeve_err close_proposal(struct cmd *x, const struct approval_ref *ref, enum proposal_state state, uint64_t leaf)
{
    enum reeve_err err;
    struct wr *w = cmd_op(x, RO_PROPOSAL_CLOSE, &err);
    if (w == NULL)
        return err;
    wr_name(w, &ref->proposal);
    wr_bytes(w, ref->digest.b, 32);
    wr_u8(w, (uint8_t) state);
    wr_u64(w, leaf);
    return commit_op(x);
}

/* ---- submitting ---- */

/* The fewest of those who count that suffice, so that a set always has room. */
static void choose(const struct proposal_view *v, struct approval_set *set)
{
    struct approver_doc who[VERDICTS_MAX];
    struct approval a[VERDICTS_MAX];
    unsigned n = v->n;
    memcpy(who, v->who, sizeof who);
    memcpy(a, v->a, sizeof a);
    for (unsigned i = n; i > 0; i--) {
        struct approver_doc out = who[i - 1];
        memmove(&who[i - 1], &who[i], sizeof out * (n - i));
        if (policy_met(&v->policy, who, n - 1)) {
            memmove(&a[i - 1], &a[i], sizeof a[0] * (n - i));
            n--;
            continue;
        }
        memmove(&who[i], &who[i - 1], sizeof out * (n - i));
        who[i - 1] = out;
    }
    set->n = (uint8_t) n;
    memcpy(set->a, a, sizeof a[0] * n);
}

static enum reeve_err build_set(struct cmd *x, const struct proposal_row *row, const struct proposal_view *v, struct approval_set *set)
{
    set->ref = row->ref;
    set->n_parts = row->n_parts;
    for (uint8_t i = 0; i < row->n_parts; i++)
        if (update_content_hash(&crypto_ops_real, &set->content[i], row->part[i]) != REEVE_OK)
            return report_set(x->rep, REEVE_E_CORRUPT, "proposal \"%s\" does not decode", row->ref.proposal.s);
    choose(v, set);
    return REEVE_OK;
}

/* The parts with their approvals in place of none: the last byte of a part says that there are none. */
static enum reeve_err parts_with(struct cmd *x, const struct proposal_row *row, struct approval_set *set, struct slice *out)
{
    for (uint8_t i = 0; i < row->n_parts; i++) {
        struct wr w = wr_heap(ATTEST_LEAF_MAX);
        set->part = i;
        wr_bytes(&w, row->part[i].p, row->part[i].len - 1);
        approval_set_encode(set, &w);
        bool bad = w.bad;
        out[i] = arena_copy(x->arena, wr_slice(&w));
        wr_free(&w);
        if (bad || out[i].p == NULL)
            return report_set(x->rep, REEVE_E_TOO_BIG, "proposal \"%s\" is too large with its approvals", row->ref.proposal.s);
    }
    return REEVE_OK;
}

/* Nothing is tried again by itself: a version that was taken is another proposal's. */
static enum reeve_err told(struct cmd *x, enum reeve_err err, const struct name *proposal)
{
    if (err == REEVE_OK)
        return err;
    if (err == REEVE_E_CONFLICT) {
        report_clear(x->rep);
        report_set(x->rep, REEVE_E_WRONG_STATE, "proposal \"%s\" is stale: its object or its policy has changed", proposal->s);
        report_hint(x->rep, "Propose the change anew.");
        return REEVE_E_WRONG_STATE;
    }
    report_detail(x->rep, "The approval is kept; giving it again submits the change once more.");
    return err;
}

static enum reeve_err apply(struct cmd *x, const struct proposal_row *row, const struct slice *part)
{
    struct cmd_outcome o = { .known = false };
    enum reeve_err err = cmd_submit(x->s, part, row->n_parts, &o, x->rep);
    if (err != REEVE_OK)
        return told(x, err, &row->ref.proposal);
    return close_proposal(x, &row->ref, PROPOSAL_APPLIED, o.version);
}

static enum reeve_err veto(struct cmd *x, struct snap *sn, const struct proposal_row *row, const struct proposal_view *v)
{
    struct veto_doc d = { .ref = row->ref };
    struct name object;
    struct slice payload, bytes;
    struct cmd_outcome o = { .known = false };
    d.n = (uint8_t) (v->n_rejections < APPROVALS_MAX ? v->n_rejections : APPROVALS_MAX);
    memcpy(d.a, v->rejection, sizeof d.a[0] * d.n);
    veto_object_name(&object, &row->ref.digest);
    enum reeve_err err = CMD_PAYLOAD(x, veto_doc_encode, &d, &payload);
    if (err == REEVE_OK)
        err = cmd_update_bytes(x, sn, AT_VETO, &object, payload, &bytes);
    snap_close(sn);
    if (err == REEVE_OK)
        err = cmd_submit(x->s, &bytes, 1, &o, x->rep);
    if (err != REEVE_OK)
        return told(x, err, &row->ref.proposal);
    return close_proposal(x, &row->ref, PROPOSAL_VETOED, o.version);
}

/* What the verdicts there are now make of the proposal. */
static enum reeve_err decide(struct cmd *x, const struct name *proposal)
{
    struct snap sn = { 0 };
    struct slice part[PROPOSAL_PARTS_MAX];
    enum reeve_err err;
    struct proposal_row *row = cmd_alloc(x, sizeof *row, &err);
    struct proposal_view *v = row ? cmd_alloc(x, sizeof *v, &err) : NULL;
    struct approval_set *set = v ? cmd_alloc(x, sizeof *set, &err) : NULL;
    if (set == NULL)
        return err;
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(region_proposal_get(&sn.region, proposal, row));
    proposal_look(&sn, row, session_wall_now(), v);
    if (!v->open || (!v->met && !v->vetoed))
        goto out;
    if (v->vetoed) {
        err = veto(x, &sn, row, v);
        goto out;
    }
    TRY(build_set(x, row, v, set));
    TRY(parts_with(x, row, set, part));
    snap_close(&sn);
    err = apply(x, row, part);
out:
    snap_close(&sn);
    return err;
}

/* ---- one verdict ---- */

/* \x and 64 hex digits, the digits alone, or the base64 of the signed text. */
static bool digest_read(struct slice text, struct hash32 *out)
{
    if (text.len == 66 && text.p[0] == '\\' && text.p[1] == 'x')
        text = slice_of(text.p + 2, 64);
    return text.len == 64 ? hex_decode(out->b, 32, text) : base64_decode(out->b, 32, text) == 32;
}

static enum reeve_err same_digest(struct cmd *x, const struct proposal_row *row)
{
    const struct pvalue *v = &x->stmt->proposal.digest;
    struct slice text;
    struct hash32 digest;
    enum reeve_err err = slot_text(&x->slot, v, "digest", &text);
    if (err != REEVE_OK)
        return err;
    if (!digest_read(text, &digest))
        return slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "the digest is 32 bytes in hex or base64");
    if (!hash32_eq(&digest, &row->ref.digest)) {
        slot_error(&x->slot, v, REEVE_E_V_LEAF, "that is not the digest of proposal \"%s\"", row->ref.proposal.s);
        return report_hint(x->rep, "Look at SHOW PROPOSAL again: what was signed is something else.");
    }
    return REEVE_OK;
}

static enum reeve_err bad_note(struct cmd *x, const struct name *proposal, enum reeve_err why, bool approve)
{
    const struct pvalue *v = &x->stmt->proposal.signature;
    if (why == REEVE_E_V_UPDATE)
        slot_error(&x->slot, v, REEVE_E_V_SIGNATURE, "the note signs another text than the %s of proposal \"%s\"",
                   approve ? "approval" : "rejection", proposal->s);
    else if (why == REEVE_E_MALFORMED)
        slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "the signature is not a signed note, nor the signature line of one");
    else
        slot_error(&x->slot, v, REEVE_E_V_SIGNATURE, "no approver's key made that signature");
    return report_hint(x->rep, "SHOW PROPOSAL \"%s\" shows the text to sign; reeve-audit sign signs it.", proposal->s);
}

/* Whose signature it is: the note names its key. */
static enum reeve_err find_signer(struct cmd *x, struct snap *sn, const struct proposal_row *row, bool approve, struct verdict_row *v)
{
    uint8_t bytes[APPROVAL_TEXT_MAX];
    struct wr text = wr_fixed(bytes, sizeof bytes);
    struct attest_head head;
    struct slice note;
    struct approver_doc d;
    enum reeve_err err, why = REEVE_E_NOT_FOUND;
    struct attest_object *o = cmd_alloc(x, sizeof *o, &err);
    if (o == NULL)
        return err;
    TRY(slot_text(&x->slot, &x->stmt->proposal.signature, "signature", &note));
    TRY(attest_head(&sn->attest, &head));
    approval_text(&text, &head.chain_id, approve, &row->ref);
    memset(&v->approver, 0, sizeof v->approver);
    while ((err = attest_next(&sn->attest, AT_APPROVER, &v->approver, o)) == REEVE_OK) {
        if (o->update.op != 1 || approver_doc_decode(&d, o->update.payload) != REEVE_OK)
            continue;
        why = approval_note_read(&crypto_ops_real, &v->sig, note, wr_slice(&text), &v->approver, &d.key);
        if (why != REEVE_E_NOT_FOUND)
            break;
    }
    if (why != REEVE_OK)
        return bad_note(x, &row->ref.proposal, why, approve);
    err = REEVE_OK;
out:
    return err;
}

static enum reeve_err may_take(struct cmd *x, struct snap *sn, const struct proposal_row *row, const struct verdict_row *v)
{
    struct approver_doc who;
    const char *why;
    enum reeve_err err;
    struct proposal_view *view = cmd_alloc(x, sizeof *view, &err);
    if (view == NULL)
        return err;
    proposal_look(sn, row, session_wall_now(), view);
    if (!view->open)
        return report_set(x->rep, REEVE_E_WRONG_STATE, "proposal \"%s\" is %s", row->ref.proposal.s, view->state);
    if (proposal_verdict_counts(sn, row, &view->policy, v, &who, &why))
        return REEVE_OK;
    /* A rejection without a veto is an opinion, and kept as one; but it must be signed. */
    struct approval a = { v->approver, v->sig };
    struct attest_head head;
    if (v->verdict == VERDICT_REJECT && attest_head(&sn->attest, &head) == REEVE_OK &&
        approval_verify(&crypto_ops_real, &a, &who.key, &head.chain_id, false, &row->ref))
        return REEVE_OK;
    return report_set(x->rep, REEVE_E_APPROVAL_NEEDED, "the word of \"%s\" does not count for proposal \"%s\": %s", v->approver.s,
                      row->ref.proposal.s, why);
}

static enum reeve_err take(struct cmd *x, struct snap *sn, struct approval_ref *ref, struct verdict_row *v)
{
    const struct ast_proposal *p = &x->stmt->proposal;
    enum reeve_err err;
    struct proposal_row *row = cmd_alloc(x, sizeof *row, &err);
    if (row == NULL)
        return err;
    TRY(cmd_get_proposal(x, sn, &p->name, row));
    if (v->verdict == VERDICT_APPROVE)
        TRY(same_digest(x, row));
    TRY(find_signer(x, sn, row, v->verdict == VERDICT_APPROVE, v));
    TRY(may_take(x, sn, row, v));
    *ref = row->ref;
out:
    return err;
}

static enum reeve_err give_verdict(struct cmd *x, uint8_t verdict)
{
    struct snap sn = { 0 };
    struct approval_ref ref;
    struct verdict_row v = { .verdict = verdict };
    enum reeve_err err;
    TRY(cmd_need_alone(x));
    TRY(cmd_need(x, PRIV_APPROVE, GK_SYSTEM, NULL));
    TRY(cmd_reason(x, &x->stmt->proposal.reason, false));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(take(x, &sn, &ref, &v));
    snap_close(&sn);
    TRY(record(x, &ref, &v));
    TRY(decide(x, &ref.proposal));
    TRY(cmd_proposal_row(x, &ref.proposal));
out:
    snap_close(&sn);
    return err;
}

enum reeve_err cmd_approve_proposal(struct cmd *x)
{
    return give_verdict(x, VERDICT_APPROVE);
}

enum reeve_err cmd_reject_proposal(struct cmd *x)
{
    if (!pv_present(&x->stmt->proposal.signature)) {
        report_set(x->rep, REEVE_E_APPROVAL_NEEDED, "a rejection is signed like an approval");
        return report_hint(x->rep, "SHOW PROPOSAL shows the text of a rejection; add SIGNATURE '...'. Who proposed may WITHDRAW.");
    }
    return give_verdict(x, VERDICT_REJECT);
}

enum reeve_err cmd_withdraw_proposal(struct cmd *x)
{
    struct snap sn = { 0 };
    enum reeve_err err;
    struct proposal_row *row = cmd_alloc(x, sizeof *row, &err);
    if (row == NULL)
        return err;
    TRY(cmd_need_alone(x));
    TRY(cmd_reason(x, &x->stmt->proposal.reason, false));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_get_proposal(x, &sn, &x->stmt->proposal.name, row));
    snap_close(&sn);
    if (!name_eq(&row->proposer, &x->s->login_role) && !session_is_superuser(x->s))
        return report_set(x->rep, REEVE_E_PRIVILEGE, "only \"%s\", who made it, may withdraw proposal \"%s\"", row->proposer.s,
                          row->ref.proposal.s);
    TRY(close_proposal(x, &row->ref, PROPOSAL_WITHDRAWN, 0));
out:
    snap_close(&sn);
    return err;
}
