/*
 * validator_int.h - the validator's state and its parts
 *
 * Store DIR/validator (backend/storage): engine/attest's tables under 'A', and
 *   'V' 'p'                   the block under way: 275 header | u16 n | n x str32 leaf
 *   'V' 's' view u64, type u8 an own vote above the last final block: vote (backend/signer/signer.h) | 64 signature
 *   'V' 'k'                   32 own public key (stores made before sets of several have none)
 *
 * What is durable when
 *  D1 A block's content is synced here before its first vote is asked for, so
 *     that after a crash at any point the same block is voted for again; the
 *     signer answers a vote it gave before with the same signature.
 *  D2 A vote with its signature is synced before the engine hears of it, and so
 *     before anybody could; all of them go back into the engine at a restart.
 *  D3 A finalized block is synced with its finalization before anybody is told;
 *     the block under way and its votes go away in the same transaction.
 */
#ifndef REEVE_BACKEND_VALIDATOR_INT_H
#define REEVE_BACKEND_VALIDATOR_INT_H

#include "backend/ipc/child.h"
#include "backend/ipc/link.h"
#include "backend/storage/storage.h"
#include "backend/validator/validator.h"
#include "engine/attest.h"
#include "engine/simplex.h"

/* ---- chain.c: the store ---- */
struct block_draft {
    struct block_header header;
    size_t n;
    struct slice leaf[ATTEST_BLOCK_LEAVES_MAX];     /* borrow from mem */
    uint8_t *mem;                                   /* ATTEST_BLOCK_MAX bytes */
    size_t used;
};
struct chain {
    struct storage *store;
    void *scratch;                                  /* attest_scratch_size() */
    struct attest_head head;
    struct valset set;
};
enum reeve_err chain_open(struct chain *c, const char *dir, struct report *rep) REEVE_MUST_CHECK;
void chain_close(struct chain *c);
/*
 * One submission on top of a draft whose header time is set: takes its leaves
 * over when all are valid there; *known is set instead when each of them is
 * the newest version of its object already. TOO_COMPLEX: no room in this block.
 */
enum reeve_err chain_draft_add(struct chain *c, struct block_draft *d, const struct slice *leaves, size_t n,
                               bool *known, struct report *rep) REEVE_MUST_CHECK;
/* Fills the header (view, proposer, time given) and makes the draft durable (D1). */
enum reeve_err chain_draft_save(struct chain *c, struct block_draft *d) REEVE_MUST_CHECK;
/* NOT_FOUND when no block is under way. */
enum reeve_err chain_draft_load(struct chain *c, struct block_draft *d) REEVE_MUST_CHECK;
/* D3; block gets the stored form. */
enum reeve_err chain_commit(struct chain *c, const struct block_draft *d, const struct finalization *f,
                            struct wr *block, struct report *rep) REEVE_MUST_CHECK;
/* D2. */
enum reeve_err chain_vote_save(struct chain *c, const struct simplex_vote *v, const struct sig64 *sig) REEVE_MUST_CHECK;
/* Every own vote kept, by view; stops and answers what fn answers when that is not OK. */
enum reeve_err chain_votes(struct chain *c, enum reeve_err (*fn)(void *arg, const struct simplex_vote *v, const struct sig64 *sig),
                           void *arg) REEVE_MUST_CHECK;
/* The vote as the signer is asked for it, in this chain and set. */
void chain_vote_of(const struct chain *c, const struct simplex_vote *v, struct vote *out);
/* Appends u64 head height, u16 n and as many blocks from a height as fit in max bytes (at least one). */
enum reeve_err chain_fetch(struct chain *c, uint64_t from, size_t max, struct wr *out) REEVE_MUST_CHECK;

/* ---- the process ---- */
#define QUEUE_MAX 256
#define QUEUE_BYTES_MAX (16u << 20)
struct submission {
    struct submission *next;
    struct ipc_channel *ch;                         /* a reference */
    uint64_t id;
    bool in_block;                                  /* part of the block under way */
    size_t n;
    struct slice leaf[ATTEST_BLOCK_LEAVES_MAX];     /* borrow from mem */
    size_t len;
    uint8_t mem[];
};

/* Votes that the engine asked for and the signer has not answered; one is with him at a time, in order. */
#define SIGNS_MAX 64
/* Events that effects led to, not yet stepped. */
#define EVENTS_MAX 256

struct peer;
struct voter {
    struct child *child;
    struct loop *loop;
    struct chain chain;
    struct ipc_link *signer;
    struct peer *peers;                             /* rings that follow */
    struct submission *queue, **queue_tail;
    unsigned n_queue;
    size_t queue_bytes;
    struct block_draft draft;                       /* header.view 0: none */
    void *engine_mem;
    struct simplex *engine;
    struct simplex_config config;
    struct simplex_event event[EVENTS_MAX];
    unsigned event_head, n_events;
    bool stepping;
    struct simplex_vote sign[SIGNS_MAX];
    unsigned n_signs;
    bool signing;                                   /* sign[0] is with the signer */
    struct simplex_effects effects;                 /* of the step under way */
    struct loop_timer clock, retry, work_retry;
};

/* drive.c: the engine's events and effects */
enum reeve_err drive_start(struct voter *v, struct report *rep) REEVE_MUST_CHECK;
/* There are submissions. */
void drive_work(struct voter *v);
void drive_event(struct voter *v, const struct simplex_event *e);
void drive_stop(struct voter *v);
/* Nothing can go on: the process ends. */
void drive_die(struct voter *v, enum reeve_err err, const char *what);

/* effect.c: what each effect does */
void effect_obey(struct voter *v, const struct simplex_effect *e);

/* sign.c: votes on their way to the signer */
void sign_ask(struct voter *v, const struct simplex_vote *vote);
/* The signer is there. */
void sign_next(struct voter *v);

/* queue.c: submissions that wait */
enum reeve_err queue_add(struct voter *v, struct ipc_channel *ch, struct ipc_msg *m, struct report *rep) REEVE_MUST_CHECK;
/* Takes what fits and is valid into the draft; answers what is refused or done already. */
void queue_fill_draft(struct voter *v);
/* Everything in the block is final at this height. */
void queue_answer_block(struct voter *v, uint64_t height);
/* The block under way was given up before anybody voted: its submissions wait again. */
void queue_release_block(struct voter *v);
/* No block can be made: none of those that wait is in one. */
void queue_refuse_full(struct voter *v);
void queue_close(struct voter *v);

/* main.c */
void peers_push(struct voter *v, struct slice block);

#endif
