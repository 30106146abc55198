/*
 * slowdisk.c - a log's disk that takes seconds for a write, while a file says so
 *
 *   LD_PRELOAD=slowdisk.so REEVE_SLOW_DISK=FILE reeve-ctl start -D DIR      every write under DIR/wal takes 2.5 s while FILE exists
 *
 * The write itself is done as ever, then waits: what a disk that retries its sectors looks like to whoever writes. The server
 * knows nothing of it.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

typedef ssize_t pwrite_fn(int, const void *, size_t, off_t);

static int is_log(int fd)
{
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, "/wal/") != NULL;
}

static ssize_t slowly(const char *name, int fd, const void *p, size_t len, off_t at)
{
    const char *file = getenv("REEVE_SLOW_DISK");
    pwrite_fn *real = (pwrite_fn *) dlsym(RTLD_NEXT, name);
    ssize_t n = real(fd, p, len, at);
    if (file != NULL && is_log(fd) && access(file, F_OK) == 0)
        nanosleep(&(struct timespec){ 2, 500000000 }, NULL);
    return n;
}

ssize_t pwrite(int fd, const void *p, size_t len, off_t at) { return slowly("pwrite", fd, p, len, at); }
ssize_t pwrite64(int fd, const void *p, size_t len, off_t at) { return slowly("pwrite64", fd, p, len, at); }
