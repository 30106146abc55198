/* files.c - small files, whole. */
#include "files_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum reeve_err errno_report(struct report *rep, const char *what, const char *path)
{
    int e = errno;
    enum reeve_err err = e == ENOENT ? REEVE_E_NOT_FOUND : e == EEXIST ? REEVE_E_DUPLICATE_OBJECT
                       : e == ENOSPC || e == EDQUOT ? REEVE_E_DISK_FULL : REEVE_E_IO;
    return report_set(rep, err, "%s \"%s\": %s", what, path, strerror(e));
}

enum reeve_err file_read(const char *path, void *buf, size_t cap, size_t *len, struct report *rep)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *len = 0;
    if (fd < 0)
        return errno_report(rep, "could not open", path);
    enum reeve_err err = REEVE_OK;
    while (err == REEVE_OK) {
        ssize_t n = read(fd, (char *) buf + *len, cap - *len);
        if (n < 0 && errno != EINTR)
            err = errno_report(rep, "could not read", path);
        if (n == 0)
            break;
        *len += n > 0 ? (size_t) n : 0;
        if (*len == cap)
            err = report_set(rep, REEVE_E_TOO_BIG, "%s is too big", path);
    }
    close(fd);
    return err;
}

static enum reeve_err write_all(int fd, struct slice s, const char *path, struct report *rep)
{
    while (s.len > 0) {
        ssize_t n = write(fd, s.p, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno_report(rep, "could not write", path);
        s.p += n;
        s.len -= (size_t) n;
    }
    return fsync(fd) == 0 ? REEVE_OK : errno_report(rep, "could not sync", path);
}

/* A finished temporary file beside path; its name in tmp. */
static enum reeve_err write_beside(const char *path, struct slice content, mode_t mode, char tmp[4200], struct report *rep)
{
    snprintf(tmp, 4200, "%s.tmp.%ld", path, (long) getpid());
    unlink(tmp);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return errno_report(rep, "could not create", tmp);
    enum reeve_err err = fchmod(fd, mode) == 0 ? write_all(fd, content, tmp, rep)
                                               : errno_report(rep, "could not set the mode of", tmp);
    close(fd);
    if (err != REEVE_OK)
        unlink(tmp);
    return err;
}

static enum reeve_err sync_parent(const char *path, struct report *rep)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return dir_sync(".", rep);
    snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int) (slash - path), path);
    return dir_sync(dir, rep);
}

enum reeve_err file_create(const char *path, struct slice content, mode_t mode, struct report *rep)
{
    char tmp[4200];
    enum reeve_err err = write_beside(path, content, mode, tmp, rep);
    if (err != REEVE_OK)
        return err;
    if (link(tmp, path) != 0)
        err = errno_report(rep, "could not create", path);
    unlink(tmp);
    return err == REEVE_OK ? sync_parent(path, rep) : err;
}

enum reeve_err file_replace(const char *path, struct slice content, mode_t mode, struct report *rep)
{
    char tmp[4200];
    enum reeve_err err = write_beside(path, content, mode, tmp, rep);
    if (err != REEVE_OK)
        return err;
    if (rename(tmp, path) != 0) {
        err = errno_report(rep, "could not replace", path);
        unlink(tmp);
        return err;
    }
    return sync_parent(path, rep);
}

enum reeve_err dir_make(const char *path, mode_t mode, struct report *rep)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return REEVE_OK;
    return errno_report(rep, "could not create the folder", path);
}

enum reeve_err dir_sync(const char *path, struct report *rep)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno_report(rep, "could not open", path);
    enum reeve_err err = fsync(fd) == 0 ? REEVE_OK : errno_report(rep, "could not sync", path);
    close(fd);
    return err;
}
