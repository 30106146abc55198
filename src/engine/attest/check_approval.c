/*
 * check_approval.c - does an update need approvals, and does it have them?
 *
 * Which policy asks follows from what the update does: its kind, unless it only
 * takes trust away or is the region's inner affair, or is what an approved
 * rollout makes of its targets at its end. What it brings is believed only as a
 * whole: every signature of a set must count.
 */
#include "check_int.h"
#include "common/text.h"

/* ---- who asks ---- */

static uint32_t subject_of(const struct check *k)
{
    if (k->inner || (k->member && !k->group.begins) || (k->now.type == AT_ROLLOUT && k->had))
        return 0;
    return k->stops ? SUBJECT_REVOCATION : SUBJECT_BIT(k->now.type);
}

/* The policy that covers the update, its document in s->policy[0]; needed false: none does. */
static enum reeve_err policy_for(struct check *k, struct proposal_need *need)
{
    uint32_t subject = subject_of(k);
    struct check_walk w = { .listed = false };
    struct attest_object o;
    enum reeve_err err = REEVE_E_NOT_FOUND;
    memset(need, 0, sizeof *need);
    while (subject != 0 && (err = check_next(k, AT_POLICY, &w, &o)) == REEVE_OK) {
        struct policy_doc *d = &k->s->policy[1];
        if (policy_doc_decode(d, o.update.payload) != REEVE_OK)
            return REEVE_E_CORRUPT;
        bool base = (subject & SUBJECTS_ALWAYS) && (d->subjects & SUBJECT_BIT(AT_POLICY)) && !need->needed;
        if (!base && !(d->subjects & subject))
            continue;
        *need = (struct proposal_need){ true, o.update.object, o.version, d->expires_s };
        if (d->subjects & subject)
            return REEVE_OK;
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

/* ---- what it brings ---- */

enum reeve_err check_policy_named(struct check *k, const struct approval_ref *ref)
{
    struct attest_object o;
    enum reeve_err err = check_lookup(k, AT_POLICY, &ref->policy, &o);
    if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && (o.update.op != 1 || o.version != ref->policy_version)))
        return refuse(k->rep, REEVE_E_CONFLICT, "approval policy '%s' has changed since proposal '%s' was made", ref->policy.s,
                      ref->proposal.s);
    if (err != REEVE_OK)
        return err;
    if (k->time.ms > (int64_t) ref->not_after_s * 1000)
        return refuse(k->rep, REEVE_E_V_EXPIRED, "proposal '%s' has expired", ref->proposal.s);
    return policy_doc_decode(&k->s->policy[0], o.update.payload) == REEVE_OK ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err one_verdict(struct check *k, bool approve, const struct approval_ref *ref, const struct approval *a,
                                  struct approver_doc *d)
{
    struct attest_object o;
    enum reeve_err err = check_lookup(k, AT_APPROVER, &a->approver, &o);
    if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && o.update.op != 1))
        return refuse(k->rep, REEVE_E_V_REVOKED, "there is no approver '%s'", a->approver.s);
    if (err != REEVE_OK)
        return err;
    if (approver_doc_decode(d, o.update.payload) != REEVE_OK)
        return REEVE_E_CORRUPT;
    if (!approval_verify(k->a->c, a, &d->key, &k->chain_id, approve, ref))
        return refuse(k->rep, REEVE_E_V_SIGNATURE, "the signature of approver '%s' is not for this proposal", a->approver.s);
    return REEVE_OK;
}

enum reeve_err check_verdicts(struct check *k, bool approve, const struct approval_ref *ref, const struct approval *a, uint8_t n)
{
    enum reeve_err err = REEVE_OK;
    for (uint8_t i = 0; i < n && err == REEVE_OK; i++)
        err = one_verdict(k, approve, ref, &a[i], &k->s->approver[i]);
    return err;
}

static enum reeve_err not_vetoed(struct check *k, const struct approval_ref *ref)
{
    struct name object;
    struct attest_object o;
    veto_object_name(&object, &ref->digest);
    enum reeve_err err = check_lookup(k, AT_VETO, &object, &o);
    if (err == REEVE_OK)
        return refuse(k->rep, REEVE_E_V_REVOKED, "proposal '%s' was vetoed", ref->proposal.s);
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

/* The proposer's own word is his proposal. */
static enum reeve_err not_by_proposer(struct check *k, const struct approval_set *s, const struct name *proposer)
{
    for (uint8_t i = 0; i < s->n && k->s->policy[0].exclude_proposer; i++)
        if (name_eq(&k->s->approver[i].role, proposer))
            return refuse(k->rep, REEVE_E_APPROVAL_NEEDED, "approver '%s' made proposal '%s' himself", s->a[i].approver.s,
                          s->ref.proposal.s);
    return REEVE_OK;
}

/* s->ref.digest is filled in. */
static enum reeve_err set_suffices(struct check *k, const struct approval_set *s, const struct name *proposer)
{
    enum reeve_err err;
    TRY(check_policy_named(k, &s->ref));
    TRY(not_vetoed(k, &s->ref));
    TRY(check_verdicts(k, true, &s->ref, s->a, s->n));
    TRY(not_by_proposer(k, s, proposer));
    if (!policy_met(&k->s->policy[0], k->s->approver, s->n))
        return refuse(k->rep, REEVE_E_APPROVAL_NEEDED, "the approvals of proposal '%s' do not meet policy '%s'", s->ref.proposal.s,
                      s->ref.policy.s);
out:
    return err;
}

/* This leaf's content is the part it says, and parts come one behind another from the first. */
static enum reeve_err part_fits(struct check *k, const struct approval_set *s)
{
    struct hash32 content;
    struct bundle *b = &k->bundle;
    enum reeve_err err = update_content_hash(k->a->c, &content, k->leaves[k->at]);
    if (err != REEVE_OK)
        return err;
    if (!hash32_eq(&content, &s->content[s->part]))
        return refuse(k->rep, REEVE_E_V_UPDATE, "the approvals of proposal '%s' are for another update", s->ref.proposal.s);
    if (b->open ? s->part != b->next || !hash32_eq(&b->digest, &s->ref.digest) : s->part != 0)
        return refuse(k->rep, REEVE_E_V_UPDATE, "the parts of proposal '%s' do not stand one behind another", s->ref.proposal.s);
    *b = (struct bundle){ s->part + 1 < s->n_parts, (uint8_t) (s->part + 1), s->ref.digest, s->ref.proposal };
    return REEVE_OK;
}

static enum reeve_err check_brought(struct check *k, const struct proposal_need *need)
{
    enum reeve_err err;
    struct approval_set *s = &k->s->approvals;
    TRY(approval_set_decode(s, k->now.approvals));
    proposal_digest(k->a->c, &s->ref, &k->chain_id, s->content, s->n_parts);
    TRY(part_fits(k, s));
    if (need->needed && !name_eq(&need->policy, &s->ref.policy))
        return refuse(k->rep, REEVE_E_APPROVAL_NEEDED, "%s '%s' needs approvals under policy '%s', not '%s'",
                      attest_type_name((enum attest_type) k->now.type), k->now.object.s, need->policy.s, s->ref.policy.s);
    TRY(set_suffices(k, s, &k->now.actor));
out:
    return err;
}

/* Only asked: all updates of a list must come under one policy, for they become one proposal. */
static enum reeve_err note_need(struct check *k, const struct proposal_need *need)
{
    if (!need->needed)
        return REEVE_OK;
    if (k->need->needed && !name_eq(&k->need->policy, &need->policy))
        return refuse(k->rep, REEVE_E_UNSUPPORTED, "policies '%s' and '%s' both ask for approvals of this change", k->need->policy.s,
                      need->policy.s);
    *k->need = *need;
    return REEVE_OK;
}

enum reeve_err check_approvals(struct check *k)
{
    struct proposal_need need;
    enum reeve_err err = policy_for(k, &need);
    if (err != REEVE_OK)
        return err;
    if (k->need != NULL)
        return note_need(k, &need);
    if (k->now.approvals.len > 0)
        return check_brought(k, &need);
    if (k->bundle.open)
        return refuse(k->rep, REEVE_E_V_UPDATE, "proposal '%s' must be followed by its part %u", k->bundle.proposal.s, k->bundle.next + 1);
    if (need.needed)
        return refuse(k->rep, REEVE_E_APPROVAL_NEEDED, "%s '%s' needs approvals under policy '%s'",
                      attest_type_name((enum attest_type) k->now.type), k->now.object.s, need.policy.s);
    return REEVE_OK;
}
