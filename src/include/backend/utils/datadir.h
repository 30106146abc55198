/*
 * datadir.h - the data directory: layout, version, lock, pid file
 *
 * DIR/reeve.version   "reeve-data N\n", N = REEVE_FORMAT_VERSION when made
 * DIR/reeve.conf, reeve.auto.conf, reeve_hba.conf
 * DIR/reeve.pid       pid, data directory, start time (s), port, local socket, state; one a line
 * DIR/data/           the region's LMDB, the attested chain
 * DIR/wal/            the region's write-ahead log
 * DIR/run/            shared files, lock, settings; nothing that must survive
 * DIR/log/            reeve.log and its predecessors
 * DIR/tls/            listeners' certificates and keys
 * DIR/keys/           the signer's alone
 * DIR/peer/           the key by which other members know this one: the ring process's alone
 *
 * The lock is flock(2) on DIR/run/lock: every child inherits it, so that it is
 * free only when the last process of a server is gone.
 */
#ifndef REEVE_BACKEND_UTILS_DATADIR_H
#define REEVE_BACKEND_UTILS_DATADIR_H

#include "common/err.h"
#include "common/types.h"

#define DATADIR_PATH_MAX 1024

/* Joins; false when it does not fit. */
bool datadir_path(char *out, size_t cap, const char *dir, const char *name);
/* Absolute form of what the user wrote; the directory must exist. UNDEFINED_OBJECT with a report. */
enum reeve_err datadir_resolve(char out[DATADIR_PATH_MAX], const char *given, struct report *rep) REEVE_MUST_CHECK;
/* Refuses foreign, newer, badly protected or other people's directories. WRONG_STATE with a report. */
enum reeve_err datadir_check(const char *dir, struct report *rep) REEVE_MUST_CHECK;
/* Makes the version file, durable; the last step of init. */
enum reeve_err datadir_write_version(const char *dir, struct report *rep) REEVE_MUST_CHECK;
/*
 * A directory that an earlier version made becomes one of this format, under the lock. From format 1: DIR/wal, where the
 * ring begins its log after the state as it is. Programs of the earlier version refuse it from then on.
 */
enum reeve_err datadir_upgrade(const char *dir, struct report *rep) REEVE_MUST_CHECK;
/*
 * LOCKED with a report (after half a second) when a server runs here; waits up to wait_ms
 * for the remains of a killed one. *fd is inheritable.
 */
enum reeve_err datadir_lock(int *fd, const char *dir, int wait_ms, struct report *rep) REEVE_MUST_CHECK;

struct pidfile {
    int32_t pid;
    int64_t started_s;
    int port;
    char socket[DATADIR_PATH_MAX];
    char state[16];                     /* "starting", "ready", "stopping" */
};
enum reeve_err pidfile_write(const char *dir, const struct pidfile *p, struct report *rep) REEVE_MUST_CHECK;
/* NOT_FOUND; MALFORMED when the first line is no pid. */
enum reeve_err pidfile_read(struct pidfile *out, const char *dir) REEVE_MUST_CHECK;
void pidfile_remove(const char *dir);

/* A zombie that nobody reaps counts as gone. */
bool pid_alive(int32_t pid);

/* Whole file; TOO_BIG over max, NOT_FOUND, IO. mem has max bytes. */
enum reeve_err file_read(const char *path, void *mem, size_t max, size_t *len) REEVE_MUST_CHECK;
/* Writes beside and renames; file and folder are synced. */
enum reeve_err file_replace(const char *path, struct slice data, unsigned mode, struct report *rep) REEVE_MUST_CHECK;

#endif
