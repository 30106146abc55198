/*
 * simplex_blame.h - who contradicted himself: pairs of signed votes
 *
 * Pure: signed votes in, for each validator at most one pair out that nobody
 * honest signs, in one view:
 *   (a) two different notarizes (or two proposals, or two finalizes)
 *   (b) finalize and nullify
 *   (c) finalize of one block and notarize of another
 * Notarize and nullify of one view by one key is lawful and no evidence.
 *
 * Why it suffices (TON's Simplex.md, forensics; research/bft.md 1.3): of two
 * conflicting Finals of views v <= w, that of w has an ancestor, or itself, in
 * view v on another block (a, c), or skips v over Null(v) (b). Two quorums
 * share at least 2q - n validators, and each of these signed both. The votes
 * must contain the certificates between v and w; with fewer than q faulty
 * validators honest ones hold them all.
 */
#ifndef REEVE_ENGINE_SIMPLEX_BLAME_H
#define REEVE_ENGINE_SIMPLEX_BLAME_H

#include "engine/simplex.h"

struct simplex_signed { uint16_t signer; struct simplex_vote vote; struct sig64 sig; };
struct simplex_proof { struct simplex_signed a, b; };

/* Would nobody honest sign both? Signer and signatures are the caller's to compare. */
bool simplex_contradict(const struct simplex_vote *a, const struct simplex_vote *b);
/*
 * c: n and verify are used. votes: any, from anybody; reordered. Votes whose
 * signature is none are ignored. out: SIMPLEX_VALIDATORS_MAX proofs, in order
 * of validators. Returns how many. O(n log n) plus the pairs of one validator
 * in one view.
 */
size_t simplex_blame(const struct simplex_config *c, struct simplex_signed *votes, size_t n,
                     struct simplex_proof out[SIMPLEX_VALIDATORS_MAX]);
/* The votes of a certificate, at most SIMPLEX_VALIDATORS_MAX. Returns how many; 0 for a malformed one. */
size_t simplex_cert_votes(const struct simplex_cert *cert, struct simplex_signed out[SIMPLEX_VALIDATORS_MAX]);
/* For whoever is shown a proof: one validator, one view, a contradiction, both signatures good. */
bool simplex_proof_ok(const struct simplex_config *c, const struct simplex_proof *p);

#endif
