/*
 * storage.h - the region's LMDB environment behind struct kv
 *
 * DIR/data/data.mdb and lock.mdb. The ring is the only writer; backends and
 * gateways read. LMDB is fully synchronous: what storage_commit() answered
 * with OK survives a power cut.
 *
 * Invariants
 *  L1 An environment belongs to the process that opened it; it is never
 *     inherited across fork (checked).
 *  L2 One write transaction at a time, by the one process opened for writing.
 *  L3 A read transaction is a snapshot. While one of an older state lives no
 *     page that later changes free is used again: the writer finds them
 *     (storage_readers_behind) and has them ended (backend/ring/oldread.c).
 *  L4 MDB_MAP_FULL and ENOSPC are DISK_FULL: the transaction is over, nothing
 *     of it happened, and the environment stays readable and writable.
 *  L5 What begins with less than STORAGE_RESERVE bytes left on the disk is
 *     DISK_FULL before anything is written: a write cut short looks to LMDB
 *     like a failing disk. The reserve is for what must be kept all the same.
 *  L6 In the process that opened for writing one thread may read and another
 *     write; a write transaction begins and ends in the same thread. A
 *     snapshot begins and ends in the reading one, which may lend it to
 *     another thread in between, and leaves it alone meanwhile.
 */
#ifndef REEVE_BACKEND_STORAGE_STORAGE_H
#define REEVE_BACKEND_STORAGE_STORAGE_H

#include "common/kv.h"

struct storage;
struct storage_txn;

#define STORAGE_RESERVE    (4u << 20)

/* STORAGE_RESERVED: a write transaction that may use the reserve; begin only, opening takes the other two. */
enum storage_mode { STORAGE_READ, STORAGE_WRITE, STORAGE_RESERVED };

/*
 * map_size: bytes of address space, the largest the store may grow to (WRITE;
 * readers take the file's). readers_max: of the process that opens first, 0 is
 * enough for any number of sessions.
 * STORAGE_WRITE creates what is missing. CORRUPT, DISK_FULL, IO, NOT_FOUND
 * (READ before anything was written) with a report.
 */
enum reeve_err storage_open(struct storage **out, const char *dir, enum storage_mode mode, uint64_t map_size,
                            unsigned readers_max, struct report *rep) REEVE_MUST_CHECK;
/* No transaction may be open. NULL is allowed. */
void storage_close(struct storage *s);

/* A snapshot for reading, or the one write transaction. BUSY: no reader slot left. DISK_FULL: L5. */
enum reeve_err storage_begin(struct storage *s, enum storage_mode mode, struct storage_txn **out) REEVE_MUST_CHECK;
/* The view to hand to engines; put and del answer BUG on a snapshot. */
struct kv *storage_kv(struct storage_txn *t);
/* Ends the transaction in any case. Fast and never refused for readers. */
enum reeve_err storage_commit(struct storage_txn *t) REEVE_MUST_CHECK;
void storage_abort(struct storage_txn *t);
/* Every row goes, in this write transaction. */
enum reeve_err storage_clear(struct storage_txn *t) REEVE_MUST_CHECK;
/* Frees the slots of readers that died; how many. The ring calls it on a timer. */
unsigned storage_reader_check(struct storage *s);

/* Who reads a state that is no longer the newest, and its number: the same again later is the same snapshot (L3). */
struct storage_reader { int32_t pid; uint64_t txn; };
/* Those of other processes, also dead ones until they are freed; how many, at most max. */
unsigned storage_readers_behind(struct storage *s, struct storage_reader *out, unsigned max);

/*
 * Is there room for so many bytes more, on the disk and in the map? DISK_FULL: no. The map is counted with
 * the pages that were freed, but only when it comes near its end.
 */
enum reeve_err storage_room(struct storage *s, uint64_t bytes) REEVE_MUST_CHECK;

struct storage_stat {
    uint64_t map_size, used_bytes, last_txn;
    unsigned readers, readers_max;
};
enum reeve_err storage_stat(struct storage *s, struct storage_stat *out) REEVE_MUST_CHECK;

#endif
