/*
 * federation.h - the links between regions (docs/design/federation.md)
 *
 * DIR/federation exists where a region is in one chain with others, and holds the key of its links as DIR/peer holds that
 * of the ring's.
 */
#ifndef REEVE_BACKEND_FEDERATION_H
#define REEVE_BACKEND_FEDERATION_H

#include "backend/peer/peer.h"

struct child;

/* Runs until the postmaster says stop; the exit status. */
int federation_main(struct child *c);

#define FEDERATION_FOLDER "federation"

/* A new key as files in DIR/federation/peer; the folders are made. */
enum reeve_err federation_identity_make(const char *dir, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err federation_identity_load(struct peer_identity *out, const char *dir, struct report *rep) REEVE_MUST_CHECK;

#endif
