/*
 * runs.h - the workloads of a node, as sorted runs
 *
 * A host registers its containers in batches, under ids that look like chance. A row of the store for each would make
 * every one of them touch a page of its own; here a batch is written as it came, as one sorted run in full pages, or into the
 * newest run if both are small, and runs are merged when there are RUNS_MAX of them (a log-structured merge tree, O'Neil et
 * al. 1996, one for each node).
 *
 *   'j' u32 ordinal                         -> directory: u8 n { u64 run | u32 chunks }, oldest run first
 *   'j' u32 ordinal, u64 run, u32 chunk     -> entries in order of ids: 16 id | u8 kind | u16 length | row
 *
 * What lies in older runs is not read to write a newer one. So an entry means what it means on top of those before it: a row yields to an older
 * one of a higher epoch, a deletion clears, and a row that was merged with a deletion before it says so.
 *
 * Invariants
 *  J1 The ids of a run ascend strictly, across its chunks.
 *  J2 Chunks are numbered from 0 and hold at least one entry; a run has at least one, a directory at least one run.
 *  J3 A later run has a higher number; merged are the newest ones, and the result has a number above theirs.
 *  J4 The oldest run holds plain rows only: there is nothing below it to delete.
 */
#ifndef REEVE_ENGINE_REGION_RUNS_H
#define REEVE_ENGINE_REGION_RUNS_H

#include "engine/region.h"

struct rkey;

#define RUNS_MAX       12
#define RUN_ENTRY_HEAD 19
#define RUN_CHUNK_MAX  4080         /* with its head one overflow page of a store with pages of 4 KiB */
#define RUN_SMALL_MAX  1900         /* what such a store keeps among its keys: half a page */

/* RUN_ANEW: a row put after a deletion; older ones below do not count, whatever their epoch. */
enum run_kind { RUN_ROW = 1, RUN_DELETED, RUN_ANEW };
struct run_entry { const uint8_t *id; uint8_t kind; struct slice row; };

struct run_ref { uint64_t run; uint32_t chunks; };
struct run_dir { uint32_t ordinal; uint8_t n; struct run_ref ref[RUNS_MAX]; };

/* Reads a run, a chunk at a time, copied: what is written meanwhile moves nothing (K2). */
struct run_cursor {
    struct run_ref ref;
    uint32_t chunk;                     /* the next one */
    size_t len, pos;
    bool end;
    struct run_entry at;
    uint8_t buf[RUN_CHUNK_MAX];
};
struct run_merge {
    struct kv *kv;
    uint32_t ordinal;
    unsigned n;
    bool begun;
    uint8_t id[16];                     /* handed out last: its cursors move on at the next call, the entry lies in them */
    struct run_cursor cursor[RUNS_MAX];
};

/* What an older and a newer entry of one id mean together. */
struct run_entry run_fold(const struct run_entry *old, const struct run_entry *new);

void run_chunk_key(struct rkey *k, uint32_t ordinal, uint64_t run, uint32_t chunk);
/* NOT_FOUND: the node has no workloads (n is 0). CORRUPT: not what was written. */
enum reeve_err run_dir_get(struct kv *kv, uint32_t ordinal, struct run_dir *out) REEVE_MUST_CHECK;
enum reeve_err run_merge_begin(struct run_merge *m, struct kv *kv, const struct run_dir *dir, unsigned first) REEVE_MUST_CHECK;
/* One more run, the newest: what the caller wrote into cursor[n].buf, len bytes of entries, more than none. */
enum reeve_err run_merge_add(struct run_merge *m, size_t len) REEVE_MUST_CHECK;
/* The next id and what all runs together say of it; valid until the next call. NOT_FOUND at the end. */
enum reeve_err run_merge_next(struct run_merge *m, struct run_entry *out) REEVE_MUST_CHECK;

/* A batch's entries of one node, in the order in which they were said. id and row are borrowed. */
struct run_item { const uint8_t *id; struct slice row; };      /* an empty row: deleted */
struct runs_scratch {
    uint16_t order[REGION_BATCH_MAX], spare[REGION_BATCH_MAX];
    struct run_merge merge;
    uint8_t chunk[RUN_CHUNK_MAX];
    struct run_item item[REGION_BATCH_MAX];
};
/* Adds the first n items of s to the node's workloads. d: as run_dir_get gave it, which may be that there are none. */
enum reeve_err runs_add(struct runs_scratch *s, struct kv *kv, struct run_dir *d, unsigned n) REEVE_MUST_CHECK;
/* Forgets all workloads of a node. */
enum reeve_err runs_drop(struct kv *kv, uint32_t ordinal) REEVE_MUST_CHECK;

#endif
