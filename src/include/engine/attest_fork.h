/*
 * attest_fork.h - two finalized heads that cannot both be true, and who made them so
 *
 * Evidence: u8 1 | str16 finalization | str16 finalization (engine/attest.h), the lower height first, at equal heights the
 * smaller bytes: one pair has one form.
 *
 * Invariants
 *  F1 Only heads that a quorum of the set has finalized count: nobody else's bytes can make anybody stop.
 *  F2 Heads that can stand in one log are no fork: of different heights those whose order, times and log sizes agree. Whether
 *     a log of one size extends another follows from no two headers; that is asked of whoever has the chain, by height.
 *  F3 Named as culprit is who signed two finalize votes of one view for different blocks: nobody honest does. Where the
 *     certificates are of different views, those who signed both are suspects only; the validators' own certificates
 *     between the two views tell (engine/simplex_blame.h).
 */
#ifndef REEVE_ENGINE_ATTEST_FORK_H
#define REEVE_ENGINE_ATTEST_FORK_H

#include "engine/attest.h"

/* 32 headers of a chain of descendants and 64 signatures are the most. */
#define HEAD_BYTES_MAX 16000
#define FORK_BYTES_MAX (2 * HEAD_BYTES_MAX + 8)

/* A finalization and nothing behind it. MALFORMED, TOO_BIG. */
enum reeve_err head_decode(struct finalization *f, struct slice in) REEVE_MUST_CHECK;
/* Can both stand in one chain? Headers of one chain and epoch are assumed. */
bool headers_agree(const struct crypto_ops *c, const struct block_header *a, const struct block_header *b);

struct fork { struct finalization a, b; };
void fork_encode(const struct fork *k, struct wr *out);
enum reeve_err fork_decode(struct fork *k, struct slice in) REEVE_MUST_CHECK;

struct fork_facts {
    bool proven;                        /* those who signed both are culprits (F3); else suspects */
    uint64_t signers;                   /* bit i: validator i signed both */
};
/* OK: both are final and they do not agree. NOT_FOUND: they agree. Else what finalization_verify says. */
enum reeve_err fork_judge(const struct crypto_ops *c, const struct fork *k, const struct hash32 *chain_id, const struct valset *set,
                          const struct hash32 *set_hash, struct fork_facts *out) REEVE_MUST_CHECK;
/* "culprits: eu, us" or "suspects: ..."; one line, cut where it does not fit. */
void fork_describe(const struct fork_facts *f, const struct valset *set, char *out, size_t cap);

#endif
