/*
 * ring_int.h - the ring process: who proposes what, and the parts' calls
 *
 * Everything but the state writer (state.h) and the log's files (walfile.h) runs
 * in one loop and nothing waits: a disk that syncs slowly holds up those threads, a stopped signer or validator
 * leaves PROPOSE traffic alone, because whatever needs them is a request with
 * a time limit.
 *
 * Invariants
 *  N1 A client is answered only after its change is durable in the log, and can be read (P2).
 *  N2 The attested table is changed only by finalized blocks, each in one
 *     transaction with the RC_ATTESTED command that names its height.
 *  N3 A submission ends exactly once: with the height that holds it, with a
 *     refusal that says nothing was changed, or with "outcome unknown".
 */
#ifndef REEVE_BACKEND_RING_INT_H
#define REEVE_BACKEND_RING_INT_H

#include "backend/ipc/child.h"
#include "backend/ipc/link.h"
#include "backend/ring/proposer.h"
#include "backend/ring/ring.h"
#include "backend/storage/storage.h"
#include "backend/utils/liveness.h"

#define RING_GATEWAYS_MAX 256

struct submit;
struct client;
struct forwards;

/* The chain as this process follows it (follow.c). */
#define FOLLOW_QUEUE_MAX 64
struct follower {
    uint64_t applied;                   /* height in the store */
    uint64_t queued;                    /* height of the last block proposed to the log; applied when none waits */
    bool fetching;
    bool caught_up;                     /* at the validator's head since the link came up */
    struct loop_timer retry;
};

/* What the state writer's thread applies with; the loop's own are in struct ring. */
struct applier { void *region_scratch, *attest_scratch; };
enum reeve_err applier_init(struct applier *ap) REEVE_MUST_CHECK;
void applier_free(struct applier *ap);

/* health.c: a member as the leader watches it. mark: an index of the log and since when it is waited for there. */
/* What a member said that its program knows of the state's levels, and when. */
struct known_level { uint32_t id, level; int64_t heard_ms; };
struct watch { uint32_t id; int64_t linked_ms, mark_ms; uint64_t mark; bool behind; };

/* progress.c: how far a member's log is. heard_ms: since the leader heard of it; UINT32_MAX, match 0: not known. */
struct progress_of { uint32_t id, heard_ms; uint64_t match; bool snapshot, behind; };
/* All of them, as that member told at at_ms, with its term and the end of its own log. from 0: nobody has. */
struct progress { uint32_t from; uint64_t term, last; int64_t at_ms; unsigned n; struct progress_of m[RAFT_MEMBERS_MAX]; };

/* oldread.c: a snapshot of a state that is no longer the newest; since: when that was first seen. */
#define OLD_READS_MAX 512               /* at one time; who is not among them is found when others have ended */
enum old_verdict { OLD_LET, OLD_CANCEL, OLD_KILL };
struct old_read { int32_t pid; uint64_t txn; int64_t since_ms, said_ms; enum old_verdict said; };
struct old_reads { unsigned n; struct old_read r[OLD_READS_MAX]; };

/* A validator that contradicted itself (culprit.c). */
#define CULPRITS_MAX ATTEST_VALIDATORS_MAX
struct culprit { struct name who; uint64_t view; uint8_t type[2]; bool stands; };

struct ring {
    struct child *child;
    struct loop *loop;
    struct storage *store;
    struct proposer prop;
    struct name region_name;
    bool attests;                       /* the region's own key and a way to the validators are beside this member */
    enum proc_kind chain_of;            /* PROC_VALIDATOR, or PROC_FEDERATION in its place */
    bool has_keys;                      /* a signer is */
    struct applier applier;             /* the thread's */
    void *region_scratch, *attest_scratch;  /* the loop's, for reading */
    struct ipc_link *signer, *validator;    /* validator: to chain_of */
    struct ipc_link *regions;           /* to the federation process; NULL: one region alone, or a member without its links */
    struct follower follow;

    struct submit *submits;             /* under way */
    unsigned n_submits;

    struct client *clients;
    struct key_call *key_calls;         /* keycall.c */
    struct forwards *forwards;          /* forward.c */

    struct loop_timer wake_timer;       /* wake.c */
    bool wake_dirty;
    int64_t wake_last_ms;

    bool txn_applied;                   /* an operator's transaction is in the batch */
    struct hash32 auto_sum;             /* autoconf.c: of what the postmaster was sent last */

    struct loop_timer driver_timer, slow_timer, reader_timer, old_timer;
    struct old_reads old;
    struct driver *driver;
    struct watch watch[RAFT_MEMBERS_MAX];
    struct progress progress;           /* what the leader told last; progress.c */
    struct culprit culprit[CULPRITS_MAX];
    unsigned n_culprits;
    uint32_t odd[RAFT_MEMBERS_MAX];     /* by place, the member that told that it is in quarantine; 0: none */
    struct known_level known[RAFT_MEMBERS_MAX];     /* by place (level.c) */
    int64_t disk_slow_ms;               /* when its disk was slow last; 0: never */
    struct liveness *liveness;
    struct livewatch *livewatch;
    struct kin *kin;
    struct liveshare *liveshare;
    struct inter *inter;
    struct share *share;
    struct shared_rollouts *shared;
};

/* ---- transactions for reading ---- */
struct ring_view {
    struct storage_txn *txn;
    struct region region;
    struct attest attest;
};
enum reeve_err ring_view_open(struct ring *r, struct ring_view *v) REEVE_MUST_CHECK;
void ring_view_close(struct ring_view *v);

/* ---- apply.c: the host of the two state machines ---- */
extern const struct proposer_host ring_host;        /* the arguments are set by main.c */
/* "u8 1 | u8 type" of a command; 0 when it is shorter. */
uint8_t ring_command_type(struct slice command);
/* An attested command carries its block behind it, so that whoever has the log has all it takes to apply it. */
bool ring_command_block(struct slice command, uint64_t *height, struct slice *block);

/* ---- client.c: channels of backends and gateways ---- */
/* Has there been no leader for so long that nobody should wait for one? Then rep says so, and what that means. */
bool ring_leaderless(struct ring *r, const char *what, struct report *rep);
void ring_on_peer(struct child *c, struct ipc_channel *ch);
void clients_wake(struct ring *r, uint64_t revision, uint64_t height);
void clients_close(struct ring *r);

/* ---- submit.c ---- */
#define SUBMIT_UPDATES_MAX ATTEST_BLOCK_LEAVES_MAX
#define SUBMITS_MAX 256
/* height 0 after an error. */
typedef void submit_done(void *arg, enum reeve_err err, const struct report *rep, uint64_t height, uint64_t first_leaf);
/*
 * Copies n updates without signature, names this region in them, has them
 * signed and decided together. done runs exactly once, later, in the loop.
 * BUSY, MALFORMED, NOMEM: not accepted, done never runs.
 */
enum reeve_err ring_submit(struct ring *r, const struct slice *updates, size_t n, submit_done *done, void *arg,
                           struct report *rep) REEVE_MUST_CHECK;
/* The same for another member of the ring: each update is judged first (forward_judge). */
enum reeve_err ring_submit_guest(struct ring *r, uint32_t from, const struct slice *updates, size_t n, submit_done *done, void *arg,
                                 struct report *rep) REEVE_MUST_CHECK;
/*
 * What became of a submission, from the newest state here: OK, it was made (the same leaves, whoever submitted them, in one
 * block); CONFLICT: it was not, and never will be, since another leaf has the version of one; AGAIN: this cannot be told, or not yet.
 */
enum reeve_err submit_look(struct ring *r, struct slice body, uint64_t *height, uint64_t *first_leaf) REEVE_MUST_CHECK;
/* The body of SUBMIT: 1 to SUBMIT_UPDATES_MAX updates, borrowed. */
bool submit_body_read(struct slice body, struct slice updates[SUBMIT_UPDATES_MAX], size_t *n);
/* The same with updates as structures (drivers). */
enum reeve_err ring_submit_updates(struct ring *r, const struct update *updates, size_t n, submit_done *done, void *arg,
                                   struct report *rep) REEVE_MUST_CHECK;
/* A block is applied: whoever waits for one of its leaves is answered. */
void submits_applied(struct ring *r, uint64_t height, uint64_t first_leaf, const struct slice *leaves, size_t n);
/* The signer or validator is there, or the chain is caught up: try what waits. */
void submits_poke(struct ring *r);
void submits_close(struct ring *r);

/* ---- keycall.c ---- */
typedef void key_done(void *arg, enum reeve_err err, const struct report *rep, struct slice result);
/* AUTHORITY_KEY or SHARED_KEY to the signer; done runs exactly once, later. */
enum reeve_err key_call(struct ring *r, enum msg_type type, struct slice body, key_done *done, void *arg) REEVE_MUST_CHECK;
void key_calls_close(struct ring *r);
/* ---- checkpoint.c: as key_call, with SIGN_CHECKPOINT; the note has the cosignatures of the others that answer ---- */
#define CHECKPOINT_NOTE_MAX 60000
enum reeve_err checkpoint_call(struct ring *r, struct slice body, key_done *done, void *arg) REEVE_MUST_CHECK;

/* ---- forward.c: what this member cannot do is asked of the one that can; letters and news in ---- */
enum forward_kind { FORWARD_SUBMIT = 1, FORWARD_RING_CHANGE, FORWARD_AUTHORITY_KEY, FORWARD_SHARED_KEY, FORWARD_CHECKPOINT, FORWARD__COUNT };
struct forwards *forwards_new(void);
void forwards_free(struct forwards *fs);
/* Copies the request (bodies: msglist.h). done runs exactly once, with the result as the other member made it. BUSY, TOO_BIG, NOMEM. */
enum reeve_err forward_ask(struct ring *r, enum forward_kind kind, struct slice body, key_done *done, void *arg) REEVE_MUST_CHECK;
/* Once a second: the other members learn what can be asked for here. */
void forward_announce(struct ring *r);
void forward_heard(struct ring *r, uint32_t from, struct rd *in);
void ring_letter(void *ring, uint32_t from, struct slice bytes);
/* What was asked for ends, as known or not as it is. */
void forward_close(struct ring *r);

/* ---- follow.c ---- */
void follow_start(struct ring *r);
/* The whole state was replaced. */
void follow_replaced(struct ring *r);
void follow_up(struct ring *r);                                     /* the validator's link */
void follow_down(struct ring *r);
void follow_message(struct ring *r, struct ipc_msg *m);            /* ATTEST_BLOCK */
/* A block is in the state that readers see, whoever proposed it. */
void follow_applied(struct ring *r, uint64_t height, struct slice block);
void follow_close(struct ring *r);

/* ---- drivers.c: what the region does by itself, on timers ---- */
enum reeve_err drivers_start(struct ring *r) REEVE_MUST_CHECK;
void drivers_stop(struct ring *r);
/* After everything they asked for has ended. */
void drivers_free(struct ring *r);
/* The whole state was replaced: what was remembered of it is read again. */
void drivers_replaced(struct ring *r);
/* A block was applied. */
void drivers_block(struct ring *r, const struct slice *leaves, size_t n);

/* ---- regions.c ---- */
/* RING_LETTER_IN: what another region says to this ring. */
void regions_letter(struct ring *r, struct slice body);

/* ---- autoconf.c: ALTER SYSTEM reaches reeve.auto.conf ---- */
void autoconf_run(struct ring *r, struct ring_view *v);

/* ---- members.c; ring_admit: core_host.admit ---- */
/*
 * RING_CHANGE; with *waits fn tells the end, else it is the answer. DUPLICATE_OBJECT (it stands so already), WRONG_STATE (nobody
 * would vote, or who shall lead does not), UNAVAILABLE (who would have to be there does not answer), TOO_COMPLEX, AGAIN,
 * NOT_LEADER with who leads: each with a report.
 */
enum reeve_err ring_change(struct ring *r, uint8_t what, uint32_t id, core_read_done *fn, void *arg, bool *waits,
                           struct report *rep) REEVE_MUST_CHECK;
/* Is the answer known to a member that does not lead? Who drops itself would not hear the leader's: it is not passed on. */
bool ring_change_is_local(struct ring *r, uint8_t what, uint32_t id);
enum reeve_err ring_admit(void *ring, const struct peer_join_request *j, uint32_t *last_id);
/* A member as statements name it. */
struct told { char s[NAME_MAX_LEN + 16]; };
struct told ring_told(const struct ring *r, uint32_t id);
/* Does this member lead? */
bool ring_leads(struct ring *r);

/* ---- health.c ---- */
/* Does this member's link to that one stand? Its own always does. */
bool member_linked(struct core *core, uint32_t id);
/* The body of RING_STATUS. */
void ring_status(struct ring *r, struct wr *out);
/* Is that member more than 10 s behind? Asked now and then, with the log's last index and what it is known to have. */
bool watch_behind(struct watch *w, uint32_t id, int64_t now_ms, uint64_t last, uint64_t match);

/* Of the member at that place of the configuration, as far as this one knows by itself: only who leads knows of others. */
struct progress_of progress_here(struct ring *r, const struct core_status *st, unsigned place, uint32_t id);

/* ---- progress.c ---- */
/* The leader: once a second, to the others. */
void progress_tell(struct ring *r);
void progress_heard(struct ring *r, uint32_t from, struct rd *in);
void progress_encode(const struct progress *p, struct wr *out);
/* Behind the kind. False: spoiled, or of a form that is not known. */
bool progress_decode(struct progress *p, struct rd *in);
/* Is it the word of that leader, in that term, and not old? */
bool progress_counts(const struct progress *p, uint32_t leader, uint64_t term, int64_t now_ms);
/* False: nothing was told of that member. */
bool progress_find(const struct progress *p, uint32_t id, int64_t now_ms, struct progress_of *out);

/* That member says of itself that its state is not the ring's. */
void quarantine_heard(struct ring *r, uint32_t from);

/* ---- oldread.c ---- */
typedef void old_read_fn(void *arg, const struct old_read *o, enum old_verdict v);
/*
 * Who is behind now, at that time; fn for each that is to be canceled (after patience_ms) or killed (5 s later), each once.
 * tight: there is little room left, both times are a second at most.
 */
void old_reads_look(struct old_reads *o, const struct storage_reader *now, unsigned n, int64_t now_ms, bool tight,
                    int64_t patience_ms, old_read_fn *fn, void *arg);
/* Once a second, from the first call on. */
void old_reads_run(void *ring);

/* ---- level.c ---- */
void level_heard(struct ring *r, uint32_t from, struct rd *in);
void level_run(struct ring *r, struct ring_view *v);
/* WRONG_STATE: the state is of a level that this program does not know. */
enum reeve_err level_check(struct storage *store, struct report *rep) REEVE_MUST_CHECK;

/* ---- what members tell each other beside the log (core_tell): u8 which | more. One that is not known is passed over. ---- */
enum ring_news_kind { NEWS_LIVE = 1, NEWS_QUARANTINE, NEWS_FORWARD, NEWS_PROGRESS, NEWS_LEVEL };
void ring_news(void *ring, uint32_t from, struct slice bytes);
/* liveshare.c: when the nodes were last heard of */
void liveshare_heard(struct ring *r, uint32_t from, struct rd *in);

/* ---- wake.c: gateways are told that something changed ---- */
void wake_later(struct ring *r);
void wake_close(struct ring *r);

/* ---- culprit.c ---- */
/* CHAIN_CULPRIT of the validator beside us. */
void culprit_heard(struct ring *r, struct slice body);

#endif
