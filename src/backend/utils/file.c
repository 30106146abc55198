/* file.c - whole files in and out, durably. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/utils/datadir.h"

static enum reeve_err code_of(int e)
{
    return e == ENOENT ? REEVE_E_NOT_FOUND : e == ENOSPC || e == EDQUOT ? REEVE_E_DISK_FULL
         : e == EACCES || e == EPERM ? REEVE_E_PRIVILEGE : REEVE_E_IO;
}

enum reeve_err file_read(const char *path, void *mem, size_t max, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return code_of(errno);
    size_t n = 0;
    ssize_t got = 0;
    while (n < max && (got = read(fd, (char *) mem + n, max - n)) > 0)
        n += (size_t) got;
    char more;
    enum reeve_err err = got < 0 ? REEVE_E_IO : n == max && read(fd, &more, 1) > 0 ? REEVE_E_TOO_BIG : REEVE_OK;
    close(fd);
    *len = n;
    return err;
}

static bool write_all(int fd, struct slice data)
{
    for (size_t n = 0; n < data.len;) {
        ssize_t put = write(fd, data.p + n, data.len - n);
        if (put <= 0)
            return false;
        n += (size_t) put;
    }
    return fsync(fd) == 0;
}

static bool sync_folder_of(const char *path)
{
    char folder[DATADIR_PATH_MAX + 8];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return true;
    *slash = '\0';
    int fd = open(folder[0] ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

enum reeve_err file_replace(const char *path, struct slice data, unsigned mode, struct report *rep)
{
    char tmp[DATADIR_PATH_MAX + 8];
    if (snprintf(tmp, sizeof tmp, "%s.new", path) >= (int) sizeof tmp)
        return report_set(rep, REEVE_E_TOO_BIG, "file name too long");
    unlink(tmp);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool ok = fd >= 0 && fchmod(fd, mode) == 0 && write_all(fd, data);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    if (ok && rename(tmp, path) == 0 && sync_folder_of(path))
        return REEVE_OK;
    enum reeve_err err = code_of(errno);
    report_set(rep, err, "could not write \"%s\": %s", path, strerror(errno));
    unlink(tmp);
    return err;
}
