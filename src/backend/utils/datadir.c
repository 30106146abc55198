/* datadir.c - paths, version and lock of the data directory. */
#include "backend/utils/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/utils/clock.h"
#include "engine/engine.h"

#define VERSION_FILE "reeve.version"
#define LOCK_FILE    "run/lock"
#define DYING_MS     500                /* a killed process is seen alive for a moment */

bool datadir_path(char *out, size_t cap, const char *dir, const char *name)
{
    return snprintf(out, cap, "%s/%s", dir, name) < (int) cap;
}

enum reeve_err datadir_resolve(char out[DATADIR_PATH_MAX], const char *given, struct report *rep)
{
    char full[PATH_MAX];
    struct stat st;
    if (realpath(given, full) == NULL || stat(full, &st) < 0)
        return report_set(rep, REEVE_E_UNDEFINED_OBJECT, "could not use data directory \"%s\": %s", given, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return report_set(rep, REEVE_E_WRONG_STATE, "\"%s\" is not a directory", given);
    /* Room for the longest name inside, and for the local socket's address. */
    if (strlen(full) > DATADIR_PATH_MAX - 100)
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    memcpy(out, full, strlen(full) + 1);
    return REEVE_OK;
}

static enum reeve_err read_version(const char *dir, unsigned *version, struct report *rep)
{
    char path[DATADIR_PATH_MAX], text[64];
    size_t len = 0;
    int end = 0;
    if (!datadir_path(path, sizeof path, dir, VERSION_FILE))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    enum reeve_err err = file_read(path, text, sizeof text - 1, &len);
    if (err == REEVE_E_NOT_FOUND) {
        report_set(rep, REEVE_E_WRONG_STATE, "\"%s\" is not a Reeve data directory", dir);
        report_detail(rep, "File \"%s\" is missing.", VERSION_FILE);
        report_hint(rep, "Make one with reeve-ctl init -D DIR.");
        return REEVE_E_WRONG_STATE;
    }
    text[err == REEVE_OK ? len : 0] = '\0';
    if (err != REEVE_OK || sscanf(text, "reeve-data %9u %n", version, &end) != 1 || text[end] != '\0')
        return report_set(rep, REEVE_E_WRONG_STATE, "\"%s\" is not a Reeve data directory: \"%s\" is not understood",
                          dir, VERSION_FILE);
    return REEVE_OK;
}

static enum reeve_err check_owner(const char *dir, struct report *rep)
{
    struct stat st;
    if (stat(dir, &st) < 0)
        return report_set(rep, REEVE_E_IO, "could not use data directory \"%s\": %s", dir, strerror(errno));
    if (st.st_uid != geteuid())
        return report_set(rep, REEVE_E_WRONG_STATE, "data directory \"%s\" belongs to another user", dir);
    if ((st.st_mode & 077) == 0)
        return REEVE_OK;
    report_set(rep, REEVE_E_WRONG_STATE, "data directory \"%s\" can be used by others", dir);
    return report_hint(rep, "Its mode must be 0700.");
}

enum reeve_err datadir_check(const char *dir, struct report *rep)
{
    unsigned version = 0;
    enum reeve_err err;
    TRY(read_version(dir, &version, rep));
    TRY(check_owner(dir, rep));
    if (version > REEVE_FORMAT_VERSION) {
        err = report_set(rep, REEVE_E_WRONG_STATE, "data directory \"%s\" is of format %u, newer than this program's %u",
                         dir, version, (unsigned) REEVE_FORMAT_VERSION);
        report_hint(rep, "Use the programs of the version that wrote it, or a newer one.");
    } else if (version < 1) {
        err = report_set(rep, REEVE_E_WRONG_STATE, "data directory \"%s\" is of an unknown format", dir);
    }
out:
    return err;
}

enum reeve_err datadir_write_version(const char *dir, struct report *rep)
{
    char path[DATADIR_PATH_MAX], text[64];
    if (!datadir_path(path, sizeof path, dir, VERSION_FILE))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    snprintf(text, sizeof text, "reeve-data %u\n", (unsigned) REEVE_FORMAT_VERSION);
    return file_replace(path, slice_str(text), 0600, rep);
}

/* The folder first: with the new version written there is nothing left to do. */
enum reeve_err datadir_upgrade(const char *dir, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    unsigned version = 0;
    enum reeve_err err;
    TRY(read_version(dir, &version, rep));
    if (version >= REEVE_FORMAT_VERSION)
        return REEVE_OK;
    if (!datadir_path(path, sizeof path, dir, "wal"))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return report_set(rep, REEVE_E_IO, "could not create directory \"%s\": %s", path, strerror(errno));
    err = datadir_write_version(dir, rep);
out:
    return err;
}

/* ---- the lock ---- */

bool pid_alive(int32_t pid)
{
    char path[64], text[512];
    size_t len = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (kill(pid, 0) < 0 && errno == ESRCH)
        return false;
    enum reeve_err err = file_read(path, text, sizeof text - 1, &len);
    if (err != REEVE_OK && err != REEVE_E_TOO_BIG)
        return err != REEVE_E_NOT_FOUND;
    text[len] = '\0';
    const char *after = strrchr(text, ')');         /* the name before it may hold anything */
    return after == NULL || after[1] == '\0' || after[2] != 'Z';
}

/* A live postmaster holds the lock; without one its remains do, and those go by themselves. */
static int32_t holder(const char *dir)
{
    struct pidfile p;
    if (pidfile_read(&p, dir) != REEVE_OK || p.pid <= 1 || p.pid == getpid() || p.pid == getppid())
        return 0;
    return pid_alive(p.pid) ? p.pid : 0;
}

static enum reeve_err refuse_lock(const char *dir, int32_t pid, struct report *rep)
{
    if (pid != 0)
        return report_set(rep, REEVE_E_LOCKED, "data directory \"%s\" is in use by a server (pid %d)", dir, pid);
    return report_set(rep, REEVE_E_LOCKED, "data directory \"%s\" is in use by processes of a server that ended", dir);
}

enum reeve_err datadir_lock(int *fd, const char *dir, int wait_ms, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    if (!datadir_path(path, sizeof path, dir, LOCK_FILE))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    int lock = open(path, O_RDWR | O_CREAT, 0600);
    if (lock < 0)
        return report_set(rep, REEVE_E_IO, "could not open \"%s\": %s", path, strerror(errno));
    struct mono_ms deadline = clock_deadline(wait_ms > 0 ? wait_ms : 1), dying = clock_deadline(DYING_MS);
    while (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        int32_t pid = holder(dir);
        if ((pid != 0 && clock_left(dying) == 0) || clock_left(deadline) == 0) {
            close(lock);
            return refuse_lock(dir, pid, rep);
        }
        usleep(20000);
    }
    *fd = lock;
    return REEVE_OK;
}
