/*
 * attest_history.h - the history bundle: what an auditor verifies without any server
 *
 * History bundle (integers big endian):
 *   "reeve-history-bundle v1" 0A | str32 genesis document |
 *   u64 first | popcount(first) x 32: roots of the complete subtrees of the log's first leaves, largest first |
 *   blocks, each: u8 kind | str32 bytes; the last one is followed by u8 0
 *     kind 1: finalization | u16 n | n x str32 leaf, n >= 1        (attest_block's form)
 *     kind 3: the finalization of a block that ended an epoch and is not in the bundle itself | str32 its payload (attest.h, E1):
 *       those before the first block stand before it, those between the last and the head behind that
 *     kind 2: header | u16 n | n x str32 leaf: has no finalization of its own, final by its child, which follows at once
 *   finalization of the head | u8 n | n x 32: consistency proof from the log size behind the last block to the head's |
 *   str32 checkpoint (a note over the head's log size and root, engine/note.h), empty where there is none |
 *   32 SHA-256 of all bytes before
 * Blocks without leaves (ticks) are left out, but for those of kind 2. The digest is against accidents; what holds against
 * people is the rest.
 *
 * What a bundle proves to who knows the chain id (history_verify)
 *  H1 The genesis document is the chain's, so its validator set is, and each set behind it was named by the one before.
 *  H2 Every block is final by a quorum of its epoch's set, or the parent of one that is; heights, views and times rise.
 *  H3 The leaves [first, end) are those that the log has there, none left out, none added, in this order: the log's root is
 *     computed anew behind every block.
 *  H4 The log of the head extends it.
 * Not proved here: the rules by which an update is valid (the quorum's word), and the notes' signatures (who verifies has
 * a policy for that); the checkpoint's text is held against the head by history_checkpoint_is().
 *
 * The log's origin in checkpoints is "reeve/" and the chain id in hex. So whoever pins the log's name pins the chain.
 */
#ifndef REEVE_ENGINE_ATTEST_HISTORY_H
#define REEVE_ENGINE_ATTEST_HISTORY_H

#include "engine/attest.h"

#define HISTORY_MAGIC       "reeve-history-bundle v1\n"
#define HISTORY_GENESIS_MAX (1u << 20)
#define HISTORY_NOTE_MAX    65536
#define HISTORY_ORIGIN_LEN  70
void history_origin(char out[HISTORY_ORIGIN_LEN + 1], const struct hash32 *chain_id);
bool history_origin_parse(struct hash32 *chain_id, struct slice origin);
/*
 * A validator's name in notes: origin "/" and its name, in which bytes outside [A-Za-z0-9._-] stand as %XX.
 * cap: HISTORY_COSIGNER_MAX. Returns the length.
 */
#define HISTORY_COSIGNER_MAX (HISTORY_ORIGIN_LEN + 2 + 3 * NAME_MAX_LEN)
size_t history_cosigner(char *out, const struct hash32 *chain_id, const struct name *validator);

/* ---- reading: everything borrows from the bundle's bytes ---- */
struct history_block {
    bool final;                         /* kind 1 and 3; else only f.header is filled in */
    bool link;                          /* kind 3: no leaves of it, but the payload */
    struct slice payload;
    struct finalization f;
    uint64_t first;                     /* index of the first leaf */
    size_t n;
    struct slice leaf[ATTEST_BLOCK_LEAVES_MAX];
};
struct history_tail {
    struct finalization head;
    size_t n;
    struct hash32 path[MERKLE_PATH_MAX];
    struct slice note;
};
struct history_reader { struct rd r; struct slice genesis; struct merkle_range start; uint64_t next; };
/* MALFORMED. Judges nothing. */
enum reeve_err history_open(struct history_reader *h, struct slice in) REEVE_MUST_CHECK;
/* NOT_FOUND behind the last block. */
enum reeve_err history_next(struct history_reader *h, struct history_block *b) REEVE_MUST_CHECK;
/* After the last block; MALFORMED also when something follows. */
enum reeve_err history_tail(struct history_reader *h, struct history_tail *t) REEVE_MUST_CHECK;

struct history_facts {
    struct valset set;                  /* who decided the head (of an epoch's last block: who follows) */
    uint64_t first, end;                /* leaves [first, end) */
    uint64_t blocks, signatures;
    struct genesis genesis;
    struct block_header head;
    struct slice note;                  /* borrowed; empty: none */
};
/* Room for one verification; large, the caller's. */
struct history_work { struct history_block b; struct history_tail t; struct history_facts facts; };
/*
 * The whole bundle against a chain id. Everything is verified before anything is answered; w->facts is filled in then.
 * MALFORMED, V_*; rep says what, and where.
 */
enum reeve_err history_verify(const struct crypto_ops *c, const struct hash32 *chain_id, struct slice in,
                              struct history_work *w, struct report *rep) REEVE_MUST_CHECK;
/* Is that the size and root of the head? */
bool history_checkpoint_is(const struct history_facts *f, uint64_t size, const struct hash32 *root);

/* ---- writing, in pieces: a log only grows, so each piece may be read in a transaction of its own ---- */
struct history_plan {
    uint64_t next, end;                 /* leaves still to come: whole blocks */
    uint64_t head_height, last_height;  /* of the head; of the last block written */
};
/*
 * The bundle's beginning, for the leaves [from, to] (extended to whole blocks), under the head at that height.
 * OUT_OF_RANGE: the log has no such leaf there.
 */
enum reeve_err attest_history_start(struct attest *a, uint64_t from, uint64_t to, uint64_t head_height,
                                    struct history_plan *p, struct wr *out) REEVE_MUST_CHECK;
/* Blocks, until soft_max bytes are in out or plan->next reaches plan->end. */
enum reeve_err attest_history_blocks(struct attest *a, struct history_plan *p, size_t soft_max, struct wr *out) REEVE_MUST_CHECK;
/* What is behind the blocks, but for the digest. */
enum reeve_err attest_history_end(struct attest *a, const struct history_plan *p, struct slice note, struct wr *out)
    REEVE_MUST_CHECK;
/* Path from a leaf to the log's root at that size. */
enum reeve_err attest_inclusion(struct attest *a, uint64_t index, uint64_t size, struct hash32 path[MERKLE_PATH_MAX],
                                size_t *n) REEVE_MUST_CHECK;
/* That the log of one size extends that of another. */
enum reeve_err attest_consistency(struct attest *a, uint64_t old, uint64_t size, struct hash32 path[MERKLE_PATH_MAX],
                                  size_t *n) REEVE_MUST_CHECK;

#endif
