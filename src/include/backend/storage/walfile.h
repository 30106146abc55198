/*
 * walfile.h - the log of engine/wal.h on real files, written by threads of its own
 *
 * DATADIR/wal/
 *   meta.a meta.b ident          as in engine/wal.h
 *   EPOCH.seg                    8 hex digits; full size from the beginning
 *   spare.N                      zero-filled or recycled, waiting to become a segment
 *   spare.N.tmp                  being filled; removed at the next start
 *
 * Three threads, one a lane: batches (one O_DIRECT|O_DSYNC pwrite each, or pwrite
 * and fdatasync where the file system has no O_DIRECT), records and metas, files
 * (which also keeps WALFILE_SPARES spares filled). The owner appends from its own
 * thread and never waits for a file; when appends became durable an eventfd says so.
 *
 * F1 A write or sync that fails, or writes less than it should, ends the process after a line in
 *    the log: nothing is retried on a file whose sync failed. Only a full disk while a *new* file
 *    is being filled is borne: the file is removed, tried again every second, and appends come
 *    back with AGAIN when the last segment is used up.
 * F2 At the start all files and the folder are synced before anything is read, and read past the
 *    page cache: what a dead process never made durable decides nothing.
 * F3 A name is durable (folder synced) before anything is written under it.
 */
#ifndef REEVE_BACKEND_STORAGE_WALFILE_H
#define REEVE_BACKEND_STORAGE_WALFILE_H

#include <stdio.h>
#include <sys/types.h>

#include "backend/utils/loop.h"
#include "engine/wal.h"

#define WALFILE_SPARES  2
#define WALFILE_REST_MS 5           /* without a batch, and the log rests (wal_rest) */

/* The system calls that can fail; tests put their own in. NULL: the real ones. */
struct walfile_sys {
    ssize_t (*pwrite)(int fd, const void *p, size_t len, off_t at);
    int (*fdatasync)(int fd);
    bool no_direct;                 /* as on a file system without O_DIRECT */
};

struct walfile;
/*
 * Makes the folder if there is none, syncs and reads everything; v may be NULL, found is the
 * caller's. Nothing is written yet. IO, PRIVILEGE with a report; what is wrong with the log
 * itself is in found->verdict.
 */
enum reeve_err walfile_open(struct walfile **out, const char *folder, const struct wal_config *c,
                            const struct wal_owner *expect, const struct wal_visitor *v, struct wal_found *found,
                            const struct walfile_sys *sys, struct report *rep) REEVE_MUST_CHECK;
/* Begins a new log: found->verdict was WAL_MISSING. Returns when its metadata is durable. */
enum reeve_err walfile_format(struct walfile *f, const struct wal_owner *owner, uint64_t salt, struct report *rep)
    REEVE_MUST_CHECK;
/* Goes on with what was found. WRONG_STATE for a verdict that engine/wal.h does not let go on. */
enum reeve_err walfile_resume(struct walfile *f, const struct wal_found *found, struct report *rep) REEVE_MUST_CHECK;
/* Without drain what gathers is given up; either way the threads end. */
void walfile_close(struct walfile *f, bool drain);

/* As wal_append() and wal_cut(). */
enum reeve_err walfile_append(struct walfile *f, const struct wal_append *a, uint64_t *ticket) REEVE_MUST_CHECK;
void walfile_cut(struct walfile *f, uint64_t index, uint64_t term);
/* As wal_durable(); any thread. */
uint64_t walfile_durable(const struct walfile *f);
/* Milliseconds that the oldest write under way has taken; 0: none is. A leader whose disk stalls asks this. */
int64_t walfile_stalled_ms(struct walfile *f);
void walfile_status(struct walfile *f, struct wal_status *out, bool *disk_full);

/* fn runs in the loop's thread when more appends are durable (ticket as wal_durable()). Once, before the first append. */
enum reeve_err walfile_watch(struct walfile *f, struct loop *l, void (*fn)(void *arg, uint64_t ticket), void *arg)
    REEVE_MUST_CHECK;
/* The eventfd behind it, for those without a loop: readable when more became durable. */
int walfile_fd(const struct walfile *f);

/* What stands in a data directory or its wal folder, in readable columns; 0 clean or torn, 1 damaged, 2 not readable. */
int waldump(const char *dir, FILE *out);

#endif
