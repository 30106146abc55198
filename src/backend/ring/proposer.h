/*
 * proposer.h - the one way a command gets into the region's log
 *
 * Contract:
 *  P1 Commands are applied in the order of the log, each at the next revision; nothing else writes the store. Those
 *     of one proposer are in the order in which ring_propose() accepted them.
 *  P2 done runs exactly once for each accepted command, later, in the loop:
 *     after OK the command is durable, and visible to every reader that begins
 *     from then on; registrations and liveness (RC_REGISTER, RC_LIVENESS) are answered when they are durable in
 *     the log, and readers see them after proposer_read(), or soon. After any error it was not applied, but for
 *     UNKNOWN_OUTCOME (a leader that lost its place, a log that stands still for MEMBER's unknown_ms).
 *  P3 A refusal by ring_propose itself (BUSY, TOO_BIG, NOMEM, DISK_FULL, SHUTDOWN) means that the
 *     command was never accepted and done will not run.
 *  P4 A failed write or sync ends the process: what stands is found out at the next start, and proposers learn of it
 *     by their broken channel.
 *
 * Commands become entries of the log (core.h); the first of a quiet moment goes alone and at once, a crowd shares an
 * entry, a sync of the log and one of the store.
 */
#ifndef REEVE_BACKEND_RING_PROPOSER_H
#define REEVE_BACKEND_RING_PROPOSER_H

#include "backend/ring/core.h"
#include "engine/region.h"

#define PROPOSER_QUEUE_MAX   4096u              /* commands and bytes under way */
#define PROPOSER_BYTES_MAX   (64u << 20)
#define PROPOSER_AGAIN_MS    10000              /* what a lost leader did not take is proposed to the next one for so long */
#define PROPOSER_PAUSE_MS    2
/* A block comes inside its command: attested command, then the block. */
#define PROPOSER_ATTESTED_HEAD 18u
#define PROPOSER_COMMAND_MAX (PROPOSER_ATTESTED_HEAD + ATTEST_BLOCK_MAX)

/* result and rep are borrowed; result is the region's; empty after an error, and (index 0) of what is not applied yet. */
typedef void propose_done(void *arg, enum reeve_err err, const struct report *rep, uint64_t index, struct slice result);

struct proposer_host {
    /* In the state writer's thread, with an argument of its own: state_host.apply. */
    void *apply_arg;
    enum reeve_err (*apply)(void *apply_arg, struct kv *kv, uint64_t index, struct slice command, struct wr *out,
                            struct report *rep);
    bool (*early)(struct slice command);
    /* In the loop, all with arg. A command is in the state that readers see; in order of index. */
    void *arg;
    void (*applied)(void *arg, uint64_t index, struct slice command);
    /* After the last of those that became visible together, before the callers are told. */
    void (*committed)(void *arg, uint64_t index);
    /* A write or sync failed (P4). */
    void (*fatal)(void *arg, enum reeve_err err);
    /* As in core_host. */
    enum reeve_err (*revision)(void *apply_arg, struct kv *kv, uint64_t *out);
    void (*replaced)(void *arg, uint64_t revision);
    void (*role)(void *arg, bool leads);
    enum reeve_err (*admit)(void *arg, const struct peer_join_request *j, uint32_t *last_id);
    void (*news)(void *arg, uint32_t from, struct slice bytes);
    void (*letter)(void *arg, uint32_t from, struct slice bytes);
};

struct proposal {
    propose_done *done;
    void *arg;
    size_t len;
    uint8_t *copy;                              /* in a ring of several: to propose it again */
    struct mono_ms until;
    uint32_t life;                              /* told apart from what used the slot before */
    bool used;
    uint16_t next_free;                         /* of one that will be proposed again: the next such */
};

struct proposer {
    struct proposer_host host;
    struct core *core;
    struct proposal slot[PROPOSER_QUEUE_MAX];
    uint16_t free;                              /* the first free slot; PROPOSER_QUEUE_MAX: none */
    unsigned n;
    size_t bytes;
    uint64_t applied;                           /* the revision that readers see */
    bool leads;                                 /* what a region does by itself is done here */
    struct wr joined;                           /* a command in two parts */
    struct loop *loop;
    struct loop_timer again_timer;
    uint16_t again, again_last;                 /* those that wait, oldest first; PROPOSER_QUEUE_MAX: none */
    uint64_t repeated;
};

/*
 * Opens the log in dir and brings the store, which is at that revision, up to it; p->applied is what it is at then. The
 * host hears only of what comes later.
 */
enum reeve_err proposer_init(struct proposer *p, struct loop *loop, struct storage *store, const char *dir,
                             uint32_t segment_bytes, uint64_t revision, const struct proposer_host *host,
                             const struct core_net *net, struct report *rep) REEVE_MUST_CHECK;
/* What waits is given up with SHUTDOWN. */
void proposer_free(struct proposer *p);
/* Copies the command. done may be NULL. */
enum reeve_err ring_propose(struct proposer *p, struct slice command, propose_done *done, void *arg) REEVE_MUST_CHECK;
/* The same for a command in two parts. */
enum reeve_err ring_propose_parts(struct proposer *p, struct slice head, struct slice tail, propose_done *done,
                                  void *arg) REEVE_MUST_CHECK;
/* As core_read(): fn runs once when readers see all that was acknowledged before. */
enum reeve_err proposer_read(struct proposer *p, core_read_done *fn, void *arg) REEVE_MUST_CHECK;
/* As core_stop(). */
void proposer_stop(struct proposer *p, void (*fn)(void *arg), void *arg);
/* Waits until everything under way is synced and answered, and takes nothing more (shutdown). */
void proposer_flush(struct proposer *p);

#endif
