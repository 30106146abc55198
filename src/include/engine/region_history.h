/*
 * region_history.h - a region's log of its config changes, and what an auditor believes of it without any server
 *
 * Every change of a config key (SET, RESET, the end of a rollout) is a leaf of an RFC 6962 log of the region's own, in the order
 * of its revisions. Its size and root become an update of the global log (AT_CHECKPOINT, engine/attest.h), at most one a
 * minute; validators judge that each extends the one before, and do not see the leaves.
 *
 * Leaf: u8 1 | u64 revision | u16 n | 32 SHA-256 of the value that was set (zero: none, or from before there was this log) |
 *       history row (engine/region.h): who, from where, when, what before and after, statement, reason
 *
 * Config bundle:
 *   "reeve-config-bundle v1" 0A | u64 first | popcount(first) x 32: roots of the complete subtrees before it, largest first |
 *   u64 n | n x str32 leaf | u8 m | m x 32: consistency proof from first + n to the checkpoint's size |
 *   u64 index of the checkpoint's leaf in the global log | str32 history bundle (engine/attest_history.h) that has it |
 *   32 SHA-256 of all bytes before
 *
 * What it proves to who knows the chain id (config_history_verify)
 *  C1 The checkpoint is an update of that region that was made final.
 *  C2 The leaves [first, first + n) are those that the region's log of the checkpoint's size has there, in this order.
 * Not proved: that there is no later checkpoint, and that no change waits for one.
 */
#ifndef REEVE_ENGINE_REGION_HISTORY_H
#define REEVE_ENGINE_REGION_HISTORY_H

#include "engine/attest_history.h"
#include "engine/region.h"

#define CONFIG_BUNDLE_MAGIC "reeve-config-bundle v1\n"
#define CONFIG_LEAF_MAX     (192u << 10)

/* ---- reading ---- */
struct config_leaf { uint64_t revision; uint16_t n; struct hash32 value; struct history_row row; /* borrows */ };
enum reeve_err config_leaf_decode(struct config_leaf *l, struct slice in) REEVE_MUST_CHECK;

struct config_reader { struct rd r; struct merkle_range start; uint64_t first, n, at; };
/* MALFORMED. Judges nothing. */
enum reeve_err config_history_open(struct config_reader *h, struct slice in) REEVE_MUST_CHECK;
/* NOT_FOUND behind the last leaf. */
enum reeve_err config_history_next(struct config_reader *h, struct slice *leaf) REEVE_MUST_CHECK;

struct config_facts {
    struct name region;
    uint64_t first, end;                /* leaves [first, end) */
    struct checkpoint_doc checkpoint;
    uint64_t version, leaf_index;       /* of the region's checkpoints; in the global log */
    struct wall_ms at;                  /* header time of its block */
};
/* MALFORMED, V_*; rep says what. work is filled in with what the history bundle in it proves. */
enum reeve_err config_history_verify(const struct crypto_ops *c, const struct hash32 *chain_id, struct slice in,
                                     struct history_work *work, struct config_facts *f, struct report *rep) REEVE_MUST_CHECK;

/* ---- the log in a region's state (any snapshot) ---- */
enum reeve_err config_log_size(struct region *r, uint64_t *size) REEVE_MUST_CHECK;
/* Revision and time of a leaf, without its content. NOT_FOUND. */
enum reeve_err config_log_at(struct region *r, uint64_t index, uint64_t *revision, struct wall_ms *at) REEVE_MUST_CHECK;
/* Index of the first leaf of that revision or a later one; the size where there is none. */
enum reeve_err config_log_find(struct region *r, uint64_t revision, uint64_t *index) REEVE_MUST_CHECK;
/* Its bytes, made anew from the history; appended to out. CORRUPT: the history row is gone. */
enum reeve_err config_log_leaf(struct region *r, uint64_t index, struct wr *out) REEVE_MUST_CHECK;
/* Is that a checkpoint of this log? */
enum reeve_err config_log_has(struct region *r, const struct checkpoint_doc *d, bool *yes) REEVE_MUST_CHECK;
/*
 * The next checkpoint after was (NULL: none yet). NOT_FOUND: nothing has changed since. V_CONSISTENCY: was is of another log, and
 * nothing says that this state was brought back.
 */
enum reeve_err config_log_checkpoint(struct region *r, const struct checkpoint_doc *was, struct checkpoint_doc *out) REEVE_MUST_CHECK;

/* ---- writing a bundle, in pieces: the log only grows ---- */
/* Its beginning: leaves [first, end) will follow. */
enum reeve_err config_history_start(struct region *r, uint64_t first, uint64_t end, struct wr *out) REEVE_MUST_CHECK;
/* Leaves from *next on, until soft_max bytes are in out or *next reaches end. */
enum reeve_err config_history_leaves(struct region *r, uint64_t *next, uint64_t end, size_t soft_max, struct wr *out) REEVE_MUST_CHECK;
/* What is behind them, but for the digest: size is the checkpoint's, bundle one that holds its leaf. */
enum reeve_err config_history_end(struct region *r, uint64_t end, uint64_t size, uint64_t leaf_index, struct slice bundle,
                                  struct wr *out) REEVE_MUST_CHECK;

#endif
