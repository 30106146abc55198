/* proposal_int.h - what the files about proposals share. */
#ifndef REEVE_COMMANDS_PROPOSAL_INT_H
#define REEVE_COMMANDS_PROPOSAL_INT_H

#include "cmd_int.h"

#include "backend/catalog/proposals.h"

/* A proposal by the name in the slot; the row's slices borrow from the snapshot. */
enum reeve_err cmd_get_proposal(struct cmd *x, struct snap *sn, const struct pvalue *slot, struct proposal_row *row) REEVE_MUST_CHECK;
/* The row that PROPOSE, APPROVE and REJECT answer with. */
enum reeve_err cmd_proposal_row(struct cmd *x, const struct name *proposal) REEVE_MUST_CHECK;
/* ACTIVE_TXN inside a transaction block. */
enum reeve_err cmd_need_alone(struct cmd *x) REEVE_MUST_CHECK;

#endif
