/*
 * snap.h - one consistent view of the region's store, and calls to the ring
 *
 * A snapshot is one LMDB read transaction: take it late, close it before
 * anything waits for a client (DESIGN section 5). It carries the engines'
 * readers ready to use; their scratch belongs to the session and is shared,
 * so a session has at most one snapshot open at a time.
 */
#ifndef REEVE_BACKEND_CATALOG_SNAP_H
#define REEVE_BACKEND_CATALOG_SNAP_H

#include "backend/tcop/session.h"
#include "engine/attest.h"
#include "engine/region.h"

struct snap {
    struct kv kv;
    struct region region;
    struct attest attest;
    struct session *session;
    bool open;
};

/*
 * Opens a snapshot; with read_consistency = linearizable it is at least as new as every commit answered by any member
 * before the statement began (the ring is asked once a statement). QUORUM_LOST, UNAVAILABLE: that could not be confirmed
 * within 3 s, or the ring is known to have had no leader for a while. With local it asks nobody; a notice tells revision and age
 * where no leader has been known for 2 s.
 */
enum reeve_err snap_open(struct session *s, struct snap *out, struct report *rep) REEVE_MUST_CHECK;
/* What this server has, as it is: for logging in, and for whoever looks why the ring does not answer. */
enum reeve_err snap_open_local(struct session *s, struct snap *out, struct report *rep) REEVE_MUST_CHECK;
void snap_close(struct snap *sn);

/*
 * Sends one request to the ring and waits for its reply, heeding interrupts.
 * reply gets the result after the report part. A connection lost after sending
 * a change is UNKNOWN_OUTCOME, never failure.
 */
enum reeve_err ring_call(struct session *s, uint16_t msg, struct slice body, struct wr *reply, struct report *rep)
    REEVE_MUST_CHECK;
/* A question, with a limit of its own; what is not answered is UNAVAILABLE. */
enum reeve_err ring_ask(struct session *s, uint16_t msg, int ms_max, struct wr *reply, struct report *rep) REEVE_MUST_CHECK;
/* The same to the postmaster (RELOAD_REQUEST, SIGNAL_BACKEND). */
enum reeve_err postmaster_call(struct session *s, uint16_t msg, struct slice body, struct report *rep) REEVE_MUST_CHECK;

/* Shared memory readers, NULL where not mapped: last heard of a node, in seconds since 1970. */
uint32_t snap_last_seen(struct session *s, uint32_t ordinal);

#endif
