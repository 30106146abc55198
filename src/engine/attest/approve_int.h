/* approve_int.h - what the files about approvals share. */
#ifndef ENGINE_ATTEST_APPROVE_INT_H
#define ENGINE_ATTEST_APPROVE_INT_H

#include "engine/approval.h"

/* The order of lists of names: bytes, then length. */
int at_name_order(const struct name *a, const struct name *b);
/* Everything of a reference but its digest. */
void at_put_ref(struct wr *out, const struct approval_ref *ref);
void at_ref(struct rd *r, struct approval_ref *ref);
/* Signatures without their count, ascending approvers. */
void at_put_approvals(struct wr *out, const struct approval *a, uint8_t n);
void at_approvals(struct rd *r, struct approval *a, uint8_t n);

#endif
