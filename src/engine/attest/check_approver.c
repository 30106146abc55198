/* check_approver.c - approvers and policies: what is agreed must stay reachable; vetoes. */
#include "check_int.h"
#include "common/text.h"

/* ---- who there would be ---- */

/* The live approvers into s->approver[0..*n), with the update judged now in place of what it changes. */
static enum reeve_err approvers_then(struct check *k, unsigned *n)
{
    struct check_walk w = { .listed = false };
    struct attest_object o;
    enum reeve_err err;
    *n = 0;
    while ((err = check_next(k, AT_APPROVER, &w, &o)) == REEVE_OK) {
        if (k->now.type == AT_APPROVER && name_eq(&o.update.object, &k->now.object))
            continue;
        if (*n == APPROVERS_MAX)
            return REEVE_E_CORRUPT;
        if (approver_doc_decode(&k->s->approver[(*n)++], o.update.payload) != REEVE_OK)
            return REEVE_E_CORRUPT;
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

static enum reeve_err policies_reachable(struct check *k, unsigned n_approvers)
{
    struct check_walk w = { .listed = false };
    struct attest_object o;
    enum reeve_err err;
    while ((err = check_next(k, AT_POLICY, &w, &o)) == REEVE_OK) {
        if (policy_doc_decode(&k->s->policy[0], o.update.payload) != REEVE_OK)
            return REEVE_E_CORRUPT;
        if (!policy_met(&k->s->policy[0], k->s->approver, n_approvers))
            return refuse(k->rep, REEVE_E_DEPENDENT, "approval policy '%s' could not be met any more", o.update.object.s);
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

enum reeve_err check_approver(struct check *k)
{
    enum reeve_err err;
    struct approver_doc d;
    unsigned n;
    if (approver_doc_decode(&d, k->now.payload) != REEVE_OK)
        return refuse(k->rep, REEVE_E_MALFORMED, "approver document");
    TRY(approvers_then(k, &n));
    if (n == APPROVERS_MAX)
        return refuse(k->rep, REEVE_E_TOO_COMPLEX, "there are %d approvers already", APPROVERS_MAX);
    for (unsigned i = 0; i < n; i++)
        if (memcmp(k->s->approver[i].key.b, d.key.b, 32) == 0)
            return refuse(k->rep, REEVE_E_V_KEY, "another approver has the key of '%s'", k->now.object.s);
    k->s->approver[n++] = d;
    TRY(policies_reachable(k, n));
out:
    return err;
}

enum reeve_err check_approver_gone(struct check *k)
{
    unsigned n;
    enum reeve_err err = approvers_then(k, &n);
    return err == REEVE_OK ? policies_reachable(k, n) : err;
}

/* ---- policies ---- */

/* What the other live policies cover together, and how many they are. */
static enum reeve_err others(struct check *k, uint32_t *subjects, unsigned *n)
{
    struct check_walk w = { .listed = false };
    struct attest_object o;
    enum reeve_err err;
    *subjects = *n = 0;
    while ((err = check_next(k, AT_POLICY, &w, &o)) == REEVE_OK) {
        if (name_eq(&o.update.object, &k->now.object))
            continue;
        if (policy_doc_decode(&k->s->policy[0], o.update.payload) != REEVE_OK)
            return REEVE_E_CORRUPT;
        *subjects |= k->s->policy[0].subjects;
        (*n)++;
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

static enum reeve_err no_base(struct check *k)
{
    return refuse(k->rep, REEVE_E_V_UPDATE, "one approval policy must cover approval policies themselves");
}

static enum reeve_err veto_reachable(struct check *k, const struct policy_doc *d, unsigned n)
{
    unsigned members = 0;
    for (unsigned i = 0; i < n && d->veto_count > 0; i++)
        members += approver_in_group(&k->s->approver[i], &d->veto_group);
    if (members < d->veto_count)
        return refuse(k->rep, REEVE_E_V_UPDATE, "group '%s' has %u approvers, the veto needs %u", d->veto_group.s, members, d->veto_count);
    return REEVE_OK;
}

enum reeve_err check_policy(struct check *k)
{
    enum reeve_err err;
    struct policy_doc *d = &k->s->policy[1];
    uint32_t covered;
    unsigned n_others, n;
    if (policy_doc_decode(d, k->now.payload) != REEVE_OK)
        return refuse(k->rep, REEVE_E_MALFORMED, "approval policy document");
    TRY(others(k, &covered, &n_others));
    if (covered & d->subjects)
        return refuse(k->rep, REEVE_E_V_UPDATE, "another approval policy covers a subject of '%s'", k->now.object.s);
    if (!((covered | d->subjects) & SUBJECT_BIT(AT_POLICY)))
        return no_base(k);
    if (n_others + 1 > POLICIES_MAX)
        return refuse(k->rep, REEVE_E_TOO_COMPLEX, "there are %d approval policies already", POLICIES_MAX);
    TRY(approvers_then(k, &n));
    if (!policy_met(d, k->s->approver, n))
        return refuse(k->rep, REEVE_E_V_UPDATE, "the approvers there are could never meet policy '%s'", k->now.object.s);
    TRY(veto_reachable(k, d, n));
out:
    return err;
}

/* The last to go is the one that all others hang on. */
enum reeve_err check_policy_gone(struct check *k)
{
    uint32_t covered;
    unsigned n;
    enum reeve_err err = others(k, &covered, &n);
    if (err == REEVE_OK && n > 0 && !(covered & SUBJECT_BIT(AT_POLICY)))
        return no_base(k);
    return err;
}

/* ---- vetoes ---- */

enum reeve_err check_veto(struct check *k)
{
    enum reeve_err err;
    struct veto_doc *d = &k->s->veto;
    if (k->had)
        return refuse(k->rep, REEVE_E_V_UPDATE, "a veto is for good");
    if (veto_doc_decode(d, k->now.payload) != REEVE_OK || !veto_object_digest(&d->ref.digest, &k->now.object))
        return refuse(k->rep, REEVE_E_MALFORMED, "veto document");
    TRY(check_policy_named(k, &d->ref));
    TRY(check_verdicts(k, false, &d->ref, d->a, d->n));
    const struct policy_doc *p = &k->s->policy[0];
    unsigned members = 0;
    for (uint8_t i = 0; i < d->n; i++)
        members += approver_in_group(&k->s->approver[i], &p->veto_group);
    if (p->veto_count == 0 || members < p->veto_count)
        return refuse(k->rep, REEVE_E_APPROVAL_NEEDED, "policy '%s' knows no veto by so few", d->ref.policy.s);
    k->inner = k->brakes = true;
out:
    return err;
}
