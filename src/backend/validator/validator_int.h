/*
 * validator_int.h - the validator's state and its parts
 *
 * Store DIR/validator (backend/storage): engine/attest's tables under 'A', and
 *   'V' 'p'   the block under way: 275 header | u16 n | n x str32 leaf
 *
 * What is durable when
 *  D1 A block's content is synced here before its first vote is asked for, so
 *     that after a crash at any point the same block is voted for again; the
 *     signer answers a vote it gave before with the same signature.
 *  D2 A finalized block is synced with its finalization before anybody is told.
 *  D3 The block under way goes away in the transaction that finalizes it.
 */
#ifndef REEVE_BACKEND_VALIDATOR_INT_H
#define REEVE_BACKEND_VALIDATOR_INT_H

#include "backend/ipc/child.h"
#include "backend/ipc/link.h"
#include "backend/storage/storage.h"
#include "backend/validator/validator.h"
#include "engine/attest.h"

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
/* D2 and D3; block gets the stored form. */
enum reeve_err chain_commit(struct chain *c, const struct block_draft *d, const struct finalization *f,
                            struct wr *block, struct report *rep) REEVE_MUST_CHECK;
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

/* Where the block under way stands; the order of votes is the protocol's. */
enum phase { PHASE_IDLE, PHASE_PROPOSE, PHASE_NOTARIZE, PHASE_FINALIZE, PHASE_COMMIT };

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
    struct block_draft draft;
    enum phase phase;
    bool signing;                                   /* a vote is with the signer */
    struct finalization fin;
    struct loop_timer tick, retry;
};

/* drive.c */
void drive_start(struct voter *v);
/* Something to decide, a signer that is back, or time that passed. */
void drive(struct voter *v);
void drive_stop(struct voter *v);

/* queue.c: submissions that wait */
enum reeve_err queue_add(struct voter *v, struct ipc_channel *ch, struct ipc_msg *m, struct report *rep) REEVE_MUST_CHECK;
/* Takes what fits and is valid into the draft; answers what is refused or done already. */
void queue_fill_draft(struct voter *v);
/* Everything in the block is final at this height. */
void queue_answer_block(struct voter *v, uint64_t height);
/* The block under way was given up before anybody voted: its submissions wait again. */
void queue_release_block(struct voter *v);
void queue_close(struct voter *v);

/* main.c */
void peers_push(struct voter *v, struct slice block);

#endif
