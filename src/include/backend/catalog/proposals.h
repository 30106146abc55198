/*
 * proposals.h - what a proposal says, and how it stands
 *
 * The region keeps what people signed; what it is worth follows from the
 * attested state of the moment: a policy, an object or a key may have changed
 * since. So nothing of it is stored, it is looked at anew each time.
 */
#ifndef REEVE_BACKEND_CATALOG_PROPOSALS_H
#define REEVE_BACKEND_CATALOG_PROPOSALS_H

#include "backend/catalog/snap.h"

struct proposal_view {
    const char *state;          /* pending, approved, applied, withdrawn, vetoed, expired, stale */
    bool open;                  /* takes verdicts: pending or approved */
    bool met;                   /* what there is suffices */
    bool vetoed;                /* the rejections suffice for a veto */
    struct policy_doc policy;   /* zero where it is gone */
    /* Approvals that count now, ascending; beside each, who it is. */
    unsigned n;
    struct approval a[VERDICTS_MAX];
    struct approver_doc who[VERDICTS_MAX];
    /* Rejections by members of the veto group. */
    unsigned n_rejections;
    struct approval rejection[VERDICTS_MAX];
};
/* What row is worth at now. Reads the snapshot; the row's slices may borrow from it. */
void proposal_look(struct snap *sn, const struct proposal_row *row, struct wall_ms now, struct proposal_view *out);
/* Would this verdict count? Fills in who; false with a reason, a sentence without its end. */
bool proposal_verdict_counts(struct snap *sn, const struct proposal_row *row, const struct policy_doc *policy,
                             const struct verdict_row *v, struct approver_doc *who, const char **why);

/* A document in lines "what: value", for people and for diffs. What cannot be read says so. */
void attest_describe(struct wr *out, uint8_t type, struct slice payload);
/* "2 of security and 1 of legal"; "cert, rollout". */
void policy_terms_describe(struct wr *out, const struct policy_doc *p);
void policy_subjects_describe(struct wr *out, uint32_t subjects);
/* The bit of a word after FOR in CREATE APPROVAL POLICY; 0: unknown. */
uint32_t policy_subject(struct slice word);

#endif
