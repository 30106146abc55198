/* proposals.c - what a proposal is worth now: its policy, its objects and the keys of those who signed, as they stand. */
#include "cat_int.h"

#include "backend/catalog/proposals.h"
#include "crypto/ops.h"

bool proposal_verdict_counts(struct snap *sn, const struct proposal_row *row, const struct policy_doc *policy,
                             const struct verdict_row *v, struct approver_doc *who, const char **why)
{
    struct attest_head head;
    struct approval a = { .approver = v->approver, .sig = v->sig };
    bool approve = v->verdict == VERDICT_APPROVE, member = false;
    *why = "there is no such approver any more";
    if (attest_head(&sn->attest, &head) != REEVE_OK || attest_get_approver(&sn->attest, &v->approver, who, NULL) != REEVE_OK)
        return false;
    *why = "the signature is not by the approver's key over this proposal";
    if (!approval_verify(&crypto_ops_real, &a, &who->key, &head.chain_id, approve, &row->ref))
        return false;
    *why = "who proposes does not approve";
    if (approve && policy->exclude_proposer && name_eq(&who->role, &row->proposer))
        return false;
    for (uint8_t i = 0; i < policy->n_terms && approve; i++)
        member = member || approver_in_group(who, &policy->term[i].group);
    if (!approve)
        member = policy->veto_count > 0 && approver_in_group(who, &policy->veto_group);
    *why = approve ? "the approver is in no group that the policy asks" : "the approver has no veto under the policy";
    return member;
}

/* The policy the proposal was made under, unless it has changed. */
static bool same_policy(struct snap *sn, const struct proposal_row *row, struct policy_doc *policy)
{
    struct attest_object o;
    memset(policy, 0, sizeof *policy);
    return attest_get_policy(&sn->attest, &row->ref.policy, policy, &o) == REEVE_OK && o.version == row->ref.policy_version;
}

/* A part's place: free, taken by it, or by another change. */
enum place { FREE, OURS, TAKEN };

static enum place part_place(struct snap *sn, struct slice part)
{
    struct update u;
    struct attest_object o;
    struct hash32 mine, there;
    struct wr leaf = wr_heap(ATTEST_LEAF_MAX + 64);
    static const uint8_t zero[64];
    wr_bytes(&leaf, part.p, part.len);
    wr_bytes(&leaf, zero, sizeof zero);
    enum place place = TAKEN;
    if (!leaf.bad && update_decode(&u, wr_slice(&leaf)) == REEVE_OK) {
        enum reeve_err err = attest_get(&sn->attest, (enum attest_type) u.type, &u.object, &o);
        uint64_t version = err == REEVE_OK ? o.version : 0;
        if (version + 1 == u.version)
            place = FREE;
        else if (version == u.version && update_content_hash(&crypto_ops_real, &mine, part) == REEVE_OK &&
                 update_content_hash(&crypto_ops_real, &there, o.leaf) == REEVE_OK && hash32_eq(&mine, &there))
            place = OURS;
    }
    wr_free(&leaf);
    return place;
}

static bool veto_stands(struct snap *sn, const struct proposal_row *row)
{
    struct name object;
    struct attest_object o;
    veto_object_name(&object, &row->ref.digest);
    return attest_get(&sn->attest, AT_VETO, &object, &o) == REEVE_OK;
}

static void sort_verdicts(struct snap *sn, const struct proposal_row *row, struct proposal_view *out)
{
    struct approver_doc who;
    const char *why;
    for (uint8_t i = 0; i < row->n_verdicts; i++) {
        const struct verdict_row *v = &row->verdict[i];
        if (!proposal_verdict_counts(sn, row, &out->policy, v, &who, &why))
            continue;
        if (v->verdict == VERDICT_REJECT) {
            out->rejection[out->n_rejections++] = (struct approval){ v->approver, v->sig };
            continue;
        }
        out->a[out->n] = (struct approval){ v->approver, v->sig };
        out->who[out->n++] = who;
    }
    out->met = policy_met(&out->policy, out->who, out->n);
    out->vetoed = out->policy.veto_count > 0 && out->n_rejections >= out->policy.veto_count;
}

void proposal_look(struct snap *sn, const struct proposal_row *row, struct wall_ms now, struct proposal_view *out)
{
    memset(out, 0, sizeof *out);
    bool same = same_policy(sn, row, &out->policy);
    enum place place = part_place(sn, row->part[0]);
    for (uint8_t i = 1; i < row->n_parts; i++)
        if (part_place(sn, row->part[i]) == TAKEN && place == FREE)
            place = TAKEN;
    if (same)
        sort_verdicts(sn, row, out);
    out->state = "pending";
    if (place == OURS)
        out->state = "applied";     /* whatever was said of it since */
    else if (row->state != PROPOSAL_PENDING)
        out->state = proposal_state_name((enum proposal_state) row->state);
    else if (veto_stands(sn, row))
        out->state = "vetoed";
    else if (!same || place == TAKEN)
        out->state = "stale";
    else if (now.ms > (int64_t) row->ref.not_after_s * 1000)
        out->state = "expired";
    else
        out->open = true;
    if (out->open && out->met)
        out->state = "approved";
}
