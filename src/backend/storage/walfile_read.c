/* walfile_read.c - names, syncing at the start, and reading past the page cache. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/text.h"
#include "walfile_int.h"

bool walfile_name(char *out, size_t cap, const char *folder, struct wal_file file)
{
    int n = 0;
    switch (file.kind) {
    case WAL_FILE_SEGMENT: n = snprintf(out, cap, "%s/%08x.seg", folder, file.epoch); break;
    case WAL_FILE_IDENT:   n = snprintf(out, cap, "%s/ident", folder); break;
    case WAL_FILE_META_A:  n = snprintf(out, cap, "%s/meta.a", folder); break;
    case WAL_FILE_META_B:  n = snprintf(out, cap, "%s/meta.b", folder); break;
    }
    return n > 0 && (size_t) n < cap;
}

uint32_t walfile_epoch_of(const char *name)
{
    uint8_t b[4];
    if (strlen(name) != 12 || strcmp(name + 8, ".seg") != 0 || !hex_decode(b, 4, slice_of(name, 8)))
        return 0;
    return (uint32_t) b[0] << 24 | (uint32_t) b[1] << 16 | (uint32_t) b[2] << 8 | b[3];
}

bool walfile_spare_of(const char *name, unsigned *n)
{
    char *end;
    if (strncmp(name, "spare.", 6) != 0 || name[6] < '0' || name[6] > '9')
        return false;
    unsigned long v = strtoul(name + 6, &end, 10);
    *n = (unsigned) v;
    return *end == '\0' && v < WALFILE_SPARE_NAMES;
}

/* ---- the reader ---- */

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return x < y ? -1 : x > y;
}

static enum reeve_err list(void *arg, uint32_t *epochs, size_t max, size_t *n)
{
    struct walfile_reader *r = arg;
    enum reeve_err err = REEVE_OK;
    DIR *d = opendir(r->folder);
    *n = 0;
    if (d == NULL)
        return errno == ENOENT ? REEVE_OK : REEVE_E_IO;
    errno = 0;
    for (struct dirent *e; err == REEVE_OK && (e = readdir(d)) != NULL;) {
        uint32_t epoch = walfile_epoch_of(e->d_name);
        if (epoch != 0 && *n == max)
            err = REEVE_E_TOO_BIG;
        else if (epoch != 0)
            epochs[(*n)++] = epoch;
    }
    closedir(d);
    qsort(epochs, *n, sizeof *epochs, by_number);
    return err;
}

/* Where O_DIRECT is refused, at least what the cache holds and the disk may not is thrown away first. */
static int open_past_cache(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0 && errno == EINVAL && (fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0)
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return fd;
}

static enum reeve_err turn_to(struct walfile_reader *r, struct wal_file file)
{
    char path[WALFILE_PATH_MAX + 16];
    if (r->open && r->file.kind == file.kind && r->file.epoch == file.epoch)
        return REEVE_OK;
    walfile_reader_done(r);
    if (!walfile_name(path, sizeof path, r->folder, file))
        return REEVE_E_NOT_FOUND;
    r->fd = open_past_cache(path);
    if (r->fd < 0)
        return errno == ENOENT ? REEVE_E_NOT_FOUND : REEVE_E_IO;
    r->open = true;
    r->file = file;
    return REEVE_OK;
}

static enum reeve_err read_at(void *arg, struct wal_file file, uint64_t offset, void *buf, size_t len, size_t *got)
{
    struct walfile_reader *r = arg;
    enum reeve_err err = turn_to(r, file);
    *got = 0;
    while (err == REEVE_OK && *got < len) {
        ssize_t n = pread(r->fd, (char *) buf + *got, len - *got, (off_t) (offset + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            err = REEVE_E_IO;
        if (n <= 0)
            break;
        *got += (size_t) n;
        if (*got % WAL_BLOCK != 0)
            break;                      /* the end of a file that is no whole number of blocks */
    }
    return err;
}

void walfile_reader_init(struct walfile_reader *r, const char *folder, struct wal_reader *out)
{
    *r = (struct walfile_reader){ .fd = -1 };
    snprintf(r->folder, sizeof r->folder, "%s", folder);
    *out = (struct wal_reader){ r, list, read_at };
}

void walfile_reader_done(struct walfile_reader *r)
{
    if (r->open)
        close(r->fd);
    r->open = false;
}

/* ---- before anything is read (F2) ---- */

static bool sync_one(struct walfile *f, const char *name)
{
    int fd = openat(f->folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    bool ok = fd >= 0 && fsync(fd) == 0;
    int err = errno;
    if (fd >= 0)
        close(fd);
    errno = err;
    return ok;
}

static bool is_half_made(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strncmp(name, "spare.", 6) == 0 && strcmp(name + n - 4, ".tmp") == 0;
}

static void know_spare(struct walfile *f, const char *name)
{
    unsigned n;
    if (walfile_spare_of(name, &n) && f->n_spares < WALFILE_SPARE_NAMES)
        f->spare[f->n_spares++] = n;
}

enum reeve_err walfile_sync_all(struct walfile *f, struct report *rep)
{
    DIR *d = opendir(f->folder);
    enum reeve_err err = d != NULL ? REEVE_OK : report_set(rep, REEVE_E_IO, "could not read folder \"%s\": %s", f->folder, strerror(errno));
    for (struct dirent *e; err == REEVE_OK && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        if (is_half_made(e->d_name))
            unlinkat(f->folder_fd, e->d_name, 0);
        else if (!sync_one(f, e->d_name))
            err = report_set(rep, REEVE_E_IO, "could not sync \"%s/%.64s\": %s", f->folder, e->d_name, strerror(errno));
        else
            know_spare(f, e->d_name);
    }
    if (d != NULL)
        closedir(d);
    if (err == REEVE_OK && fsync(f->folder_fd) < 0)
        err = report_set(rep, REEVE_E_IO, "could not sync folder \"%s\": %s", f->folder, strerror(errno));
    return err;
}
