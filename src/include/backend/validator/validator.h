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

#endif
