/* sys_approvals.c - sys.approvers, approval_policies, proposals, approvals */
#include "cat_int.h"

#include "backend/catalog/proposals.h"
#include "crypto/ops.h"

/* ---- who may approve, and what needs it ---- */

static const struct vcolumn approvers_columns[] = {
    { "name", T_TEXT, true }, { "groups", T_TEXT_ARRAY, true }, { "jurisdiction", T_TEXT, true }, { "role", T_TEXT, true },
    { "key", T_TEXT, true }, { "version", T_INT8, false }, { "since", T_TIMESTAMPTZ, false },
};

static struct datum d_vkey(struct vscan *s, const struct name *name, const struct pubkey *key)
{
    char text[NAME_MAX_LEN + 64];
    struct wr w = wr_fixed(text, sizeof text);
    vkey_write(&crypto_ops_real, &w, name, key);
    return d_text(arena_copy(s->row, wr_slice(&w)));
}

static enum reeve_err scan_approvers(struct vscan *s)
{
    struct cat c;
    struct name after = { 0 };
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    while ((err = cat_next_object(&c, AT_APPROVER, &after)) == REEVE_OK) {
        struct approver_doc d;
        TRY(approver_doc_decode(&d, c.o->update.payload));
        struct datum v[] = { d_name(&after), d_names(s, d.group, d.n_groups), d_name(&d.jurisdiction), d_name(&d.role),
                             d_vkey(s, &after, &d.key), d_int((int64_t) c.o->version), d_wall(c.o->time) };
        TRY(vscan_row(s, v));
    }
out:
    cat_close(&c);
    return cat_end(err);
}
RELATION(sys_approvers, "sys", "approvers", approvers_columns, VKEY_NONE, scan_approvers, NULL);

static const struct vcolumn policies_columns[] = {
    { "name", T_TEXT, true }, { "subjects", T_TEXT, true }, { "requires", T_TEXT, true }, { "distinct_jurisdictions", T_INT4, true },
    { "exclude_proposer", T_BOOL, true }, { "expires_s", T_INT4, true }, { "veto", T_TEXT, true }, { "version", T_INT8, true },
};

static struct datum d_written(struct vscan *s, struct wr *w)
{
    struct datum d = d_text(arena_copy(s->row, wr_slice(w)));
    wr_reset(w);
    return d;
}

static enum reeve_err scan_policies(struct vscan *s)
{
    struct cat c;
    struct name after = { 0 };
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    struct wr w = wr_heap(8192);
    while ((err = cat_next_object(&c, AT_POLICY, &after)) == REEVE_OK) {
        struct policy_doc d;
        TRY(policy_doc_decode(&d, c.o->update.payload));
        policy_subjects_describe(&w, d.subjects);
        struct datum subjects = d_written(s, &w);
        policy_terms_describe(&w, &d);
        struct datum requires = d_written(s, &w);
        struct datum v[] = { d_name(&after), subjects, requires, d_int(d.distinct), d_bool(d.exclude_proposer), d_int(d.expires_s),
                             d.veto_count > 0 ? d_fmt(s, "%u of %s", d.veto_count, d.veto_group.s) : d_null(), d_int((int64_t) c.o->version) };
        TRY(vscan_row(s, v));
    }
out:
    wr_free(&w);
    cat_close(&c);
    return cat_end(err);
}
RELATION(sys_approval_policies, "sys", "approval_policies", policies_columns, VKEY_NONE, scan_policies, NULL);

/* ---- proposals ---- */

static const struct vcolumn proposals_columns[] = {
    { "proposal", T_TEXT, true }, { "state", T_TEXT, true }, { "policy", T_TEXT, true }, { "approvals_have", T_INT4, true },
    { "approvals_need", T_INT4, true }, { "rejections", T_INT4, true }, { "not_after", T_TIMESTAMPTZ, true }, { "proposer", T_TEXT, true },
    { "statement", T_TEXT, true }, { "reason", T_TEXT, false }, { "policy_version", T_INT8, false }, { "digest", T_TEXT, false },
    { "parts", T_INT4, false }, { "created", T_TIMESTAMPTZ, false }, { "closed", T_TIMESTAMPTZ, false }, { "leaf", T_INT8, false },
};

typedef enum reeve_err each_proposal(struct cat *c, const struct proposal_row *row);

static enum reeve_err scan_each(struct vscan *s, each_proposal *each)
{
    struct cat c;
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    struct proposal_row *row = cat_alloc(&c, sizeof *row, &err);
    if (row == NULL)
        goto out;
    region_iter_init(&c.sn.region, &it, 'l', (struct slice){ NULL, 0 });
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        TRY(proposal_row_decode(row, val));
        TRY(each(&c, row));
    }
out:
    cat_close(&c);
    return cat_end(err);
}

static struct datum d_slice_text(struct vscan *s, struct slice t)
{
    return t.len > 0 ? d_text(arena_copy(s->row, t)) : d_null();
}

static enum reeve_err proposal_one(struct cat *c, const struct proposal_row *p)
{
    enum reeve_err err;
    char digest[48];
    struct vscan *s = c->s;
    struct proposal_view *v = arena_alloc(s->row, sizeof *v);
    if (v == NULL)
        return report_set(s->report, REEVE_E_NOMEM, "out of memory");
    proposal_look(&c->sn, p, session_wall_now(), v);
    base64_encode(digest, p->ref.digest.b, 32);
    struct datum row[] = {
        d_text(arena_copy(s->row, name_slice(&p->ref.proposal))), d_str(v->state), d_text(arena_copy(s->row, name_slice(&p->ref.policy))),
        d_int(v->n), v->policy.n_terms > 0 ? d_int(policy_places(&v->policy)) : d_null(), d_int(v->n_rejections),
        d_wall((struct wall_ms){ (int64_t) p->ref.not_after_s * 1000 }), d_text(arena_copy(s->row, name_slice(&p->proposer))),
        d_slice_text(s, p->statement), d_slice_text(s, p->reason), d_int((int64_t) p->ref.policy_version), d_str(arena_strdup(s->row, digest)),
        d_int(p->n_parts), d_wall(p->created), d_wall(p->closed), p->state == PROPOSAL_APPLIED ? d_int((int64_t) p->leaf) : d_null(),
    };
    TRY(vscan_row(s, row));
out:
    return err;
}

static enum reeve_err scan_proposals(struct vscan *s)
{
    return scan_each(s, proposal_one);
}
RELATION(sys_proposals, "sys", "proposals", proposals_columns, VKEY_NONE, scan_proposals, "proposal");

/* ---- what approvers said ---- */

static const struct vcolumn approvals_columns[] = {
    { "proposal", T_TEXT, true }, { "approver", T_TEXT, true }, { "verdict", T_TEXT, true }, { "counts", T_BOOL, true },
    { "at", T_TIMESTAMPTZ, true }, { "reason", T_TEXT, true }, { "why_not", T_TEXT, false }, { "signature", T_TEXT, false },
};

static enum reeve_err verdicts_of(struct cat *c, const struct proposal_row *p)
{
    enum reeve_err err = REEVE_OK;
    struct vscan *s = c->s;
    struct policy_doc policy;
    struct approver_doc who;
    struct attest_object *o = c->o;
    bool same = attest_get_policy(&c->sn.attest, &p->ref.policy, &policy, o) == REEVE_OK && o->version == p->ref.policy_version;
    for (uint8_t i = 0; i < p->n_verdicts; i++) {
        const struct verdict_row *v = &p->verdict[i];
        const char *why = "the policy has changed";
        char sig[96];
        bool counts = same && proposal_verdict_counts(&c->sn, p, &policy, v, &who, &why);
        base64_encode(sig, v->sig.b, 64);
        struct datum row[] = {
            d_text(arena_copy(s->row, name_slice(&p->ref.proposal))), d_text(arena_copy(s->row, name_slice(&v->approver))),
            d_str(v->verdict == VERDICT_APPROVE ? "approve" : "reject"), d_bool(counts), d_wall(v->at), d_slice_text(s, v->reason),
            counts ? d_null() : d_str(why), d_str(arena_strdup(s->row, sig)),
        };
        TRY(vscan_row(s, row));
    }
out:
    return err;
}

static enum reeve_err scan_approvals(struct vscan *s)
{
    return scan_each(s, verdicts_of);
}
RELATION(sys_approvals, "sys", "approvals", approvals_columns, VKEY_NONE, scan_approvals, "proposal");
