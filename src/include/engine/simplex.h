/*
 * simplex.h - agreement on blocks: Simplex (ePrint 2023/463) with a stable leader
 *
 * Sans-IO: simplex_step() takes one event with the time in it and returns
 * effects in the order the driver must obey: a vote is an effect SIGN first;
 * the signer's answer comes back as an event and only then is it sent. The
 * block's content is opaque here; validity is the host's answer to CHECK.
 * With n = 1 the same path runs: propose, notarize, finalize, each signed.
 *
 * Rules (research: bft 1.3; R1 frontier ... R8 standstill) and these invariants
 *  S1 at most one notarize per view; never finalize and nullify in one view.
 *  S2 a finalize vote follows a notarization of the same block that we notarized ourselves.
 *  S3 the view never decreases; memory for votes is bounded to SIMPLEX_VIEWS_AHEAD views.
 *  S4 nothing is sent that was not signed by the signer after its own durable check.
 * Not here: sockets, disks, clocks (backend/validator), simulation (sim).
 */
#ifndef REEVE_ENGINE_SIMPLEX_H
#define REEVE_ENGINE_SIMPLEX_H

#include "common/crypto_ops.h"
#include "common/buf.h"

#define SIMPLEX_VALIDATORS_MAX 64
#define SIMPLEX_VIEWS_AHEAD    16

#endif
