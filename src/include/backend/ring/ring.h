/*
 * ring.h - the process that owns the region's state: the only LMDB writer
 *
 * Proposals come in as messages (PROPOSE, SUBMIT, BARRIER ...), are applied by
 * engine/region and engine/attest in one transaction per batch, and are
 * answered after that transaction is synced.
 */
#ifndef REEVE_BACKEND_RING_H
#define REEVE_BACKEND_RING_H

#include "common/kv.h"
#include "engine/raft.h"
#include "common/buf.h"

struct child;

/* Runs until the postmaster says stop; the exit status. */
int ring_main(struct child *c);

/*
 * Third step: makes the region's store in DIR with the attested table at
 * height 0 and the region's built-in rows; verifier is the superuser's SCRAM
 * verifier, empty for none. LOCKED when a store is there already.
 */
enum reeve_err ring_init(const char *dir, struct slice genesis, const struct name *region,
                         const struct name *superuser, struct slice verifier, struct wall_ms now,
                         struct report *rep) REEVE_MUST_CHECK;

/* A member's disk, as RING_STATUS has it. */
enum ring_disk { RING_DISK_OK = 1, RING_DISK_SLOW, RING_DISK_FULL };

/* The ring's members as the store knows them, for whoever reads it; self: which of them this server is. NOT_FOUND: too early. */
struct ring_members { uint64_t ring; uint32_t self; struct raft_conf conf; };
enum reeve_err ring_members_read(struct kv *kv, struct ring_members *out) REEVE_MUST_CHECK;

#endif
