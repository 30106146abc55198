/* recovery_int.h - what the other files need of the recovery rule (E4). */
#ifndef ENGINE_ATTEST_RECOVERY_INT_H
#define ENGINE_ATTEST_RECOVERY_INT_H

#include "engine/attest.h"

/* Of a finalization with a genesis document in it. V_CHAIN, MALFORMED, V_SIGNER, V_QUORUM, V_SIGNATURE. */
enum reeve_err recovery_verify(const struct crypto_ops *c, const struct finalization *f) REEVE_MUST_CHECK;
/* attest_check for the leaf of such a block: the recovery keys stand for the region, the approvers and the seats. */
enum reeve_err attest_check_recovery(struct attest *a, const struct slice *leaves, size_t n, struct wall_ms time,
                                     struct report *rep) REEVE_MUST_CHECK;

#endif
