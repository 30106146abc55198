/*
 * validator.h - the process that decides the attested chain (engine/simplex)
 *
 * It keeps the chain in its own store DIR/validator and signs nothing itself:
 * every vote is an effect that the signer carries out.
 */
#ifndef REEVE_BACKEND_VALIDATOR_H
#define REEVE_BACKEND_VALIDATOR_H

#include <stdio.h>

#include "common/buf.h"

struct child;

/* Runs until the postmaster says stop; the exit status. */
int validator_main(struct child *c);

/*
 * Second step: makes DIR/validator with the chain at height 0. own: this validator's key, NULL: the set has one. LOCKED when
 * it is there already.
 */
struct pubkey;
enum reeve_err validator_init(const char *dir, struct slice genesis, const struct pubkey *own, struct report *rep) REEVE_MUST_CHECK;

/*
 * What is kept in DIR/validator of validators that contradicted themselves: key, votes as they were signed, signatures, in hex. The
 * server may be running. An exit code: 0, also where nothing is kept; 2 where there is no such store.
 */
int evidence_print(const char *dir, FILE *out);

/*
 * Past a lost quorum (engine/attest.h, E4), while the server stands still. The set in force and the genesis document; the header
 * and the leaf of the block that begins the next set; a block that is final, into the store, which tells its height.
 */
struct valset;
struct valset_doc;
struct block_header;
enum reeve_err validator_set_read(const char *dir, struct valset *set, struct wr *genesis, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err validator_recovery_draft(const char *dir, const struct valset_doc *d, const struct name *region, struct wall_ms now,
                                        struct block_header *h, struct wr *leaf, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err validator_take(const char *dir, struct slice block, uint64_t *height, struct report *rep) REEVE_MUST_CHECK;

#endif
