/*
 * statefile.h - the rows of a region's store as a file: for another member (core_snap.c), for a backup (backup.c)
 *
 *   16 bytes "reeve-state-1", line feed, zeros
 *   blocks   u32 length | u32 CRC-32C | length bytes: n x (u16 length of key | u32 length of value | key | value)
 *   the last one has 0xffffffff for its length, and 8 bytes: u64 the number of rows
 *
 * Rows are in strict order of their keys; a row is in one piece; a block has about 256 KiB, at most 32 MiB.
 */
#ifndef REEVE_BACKEND_RING_STATEFILE_H
#define REEVE_BACKEND_RING_STATEFILE_H

#include "common/kv.h"
#include "common/err.h"

typedef bool statefile_own_fn(struct slice key);
/*
 * Writes where fd stands all rows but those that own() claims; *size: bytes written. *abandon, which may be set meanwhile by
 * another thread, ends it (CANCELED). IO: nothing is said about what was written. own, abandon: NULL where there is none.
 */
enum reeve_err statefile_write(int fd, struct kv *kv, statefile_own_fn *own, const bool *abandon, uint64_t *size) REEVE_MUST_CHECK;
/*
 * Checks everything between from and end, and puts the rows into kv (NULL: only looks). MALFORMED: not such a file, damaged,
 * or with a row that own() claims; *at is then about where. Errors of kv otherwise.
 */
enum reeve_err statefile_read(int fd, uint64_t from, uint64_t end, struct kv *kv, statefile_own_fn *own, uint64_t *at) REEVE_MUST_CHECK;

bool file_write_all(int fd, struct slice s);
/* How many bytes there were. */
size_t file_read_at(int fd, void *to, size_t len, uint64_t at);

#endif
