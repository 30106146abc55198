/* walfile_seg.c - segments: filled ahead, taken from the spares, given back to them. Runs in the files lane only. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/utils/log.h"
#include "walfile_int.h"

#define FILL_BYTES (1u << 20)

static void spare_path(const struct walfile *f, char *out, size_t cap, unsigned n, const char *suffix)
{
    snprintf(out, cap, "%s/spare.%u%s", f->folder, n, suffix);
}

static void set_full(struct walfile *f, bool full)
{
    pthread_mutex_lock(&f->lock);
    if (full != f->disk_full)
        log_write(full ? LOG_SEV_ERROR : LOG_SEV_NOTICE, full ? "log \"%s\": no room for another segment; trying again every second"
                                                              : "log \"%s\": there is room for segments again", f->folder);
    f->disk_full = full;
    pthread_mutex_unlock(&f->lock);
}

/* False: no room. The first write into a fresh extent costs a journal commit, so it is done here and not by a batch. */
static bool fill_file(struct walfile *f, int fd, const char *path)
{
    static const uint8_t zero[FILL_BYTES] __attribute__((aligned(4096)));
    for (uint64_t at = 0; at < f->c.segment_bytes;) {
        size_t want = f->c.segment_bytes - at < FILL_BYTES ? (size_t) (f->c.segment_bytes - at) : FILL_BYTES;
        ssize_t n = f->sys.pwrite(fd, zero, want, (off_t) at);
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
            return false;
        if (n < 0)
            walfile_die(f, "fill", path, errno);
        if ((size_t) n != want)
            return false;               /* the next write would say why; the file goes anyway */
        at += (uint64_t) n;
    }
    if (fsync(fd) == 0)
        return true;
    if (errno != ENOSPC && errno != EDQUOT)
        walfile_die(f, "sync", path, errno);
    return false;
}

static unsigned free_name(const struct walfile *f)
{
    for (unsigned n = 0;; n++) {
        bool taken = false;
        for (unsigned i = 0; i < f->n_spares; i++)
            taken |= f->spare[i] == n;
        if (!taken)
            return n;
    }
}

static void rename_or_die(struct walfile *f, const char *from, const char *to)
{
    if (rename(from, to) < 0)
        walfile_die(f, "rename", from, errno);
    walfile_sync_folder(f);
}

static bool make_spare(struct walfile *f)
{
    char tmp[WALFILE_PATH_MAX + 32], path[WALFILE_PATH_MAX + 32];
    unsigned n = free_name(f);
    spare_path(f, tmp, sizeof tmp, n, ".tmp");
    spare_path(f, path, sizeof path, n, "");
    int fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | (f->direct ? O_DIRECT : 0), 0600);
    if (fd < 0 && errno != ENOSPC && errno != EDQUOT)
        walfile_die(f, "make", tmp, errno);
    bool ok = fd >= 0 && fill_file(f, fd, tmp);
    if (fd >= 0)
        close(fd);
    if (ok) {
        rename_or_die(f, tmp, path);
        f->spare[f->n_spares++] = n;
    } else {
        unlink(tmp);
    }
    set_full(f, !ok);
    return ok;
}

bool walfile_seg_wanted(const struct walfile *f)
{
    return f->n_spares < WALFILE_SPARES;
}

bool walfile_seg_fill(struct walfile *f)
{
    return make_spare(f);
}

/* A spare of another size (the setting was changed, or it is damaged) is no use. */
static bool spare_fits(struct walfile *f, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == (off_t) f->c.segment_bytes)
        return true;
    unlink(path);
    return false;
}

static bool stopping(struct walfile *f)
{
    pthread_mutex_lock(&f->lock);
    bool stop = f->stopping;
    pthread_mutex_unlock(&f->lock);
    return stop;
}

bool walfile_seg_open(struct walfile *f, uint32_t epoch)
{
    char from[WALFILE_PATH_MAX + 32], to[WALFILE_PATH_MAX + 32];
    reeve_assert(walfile_name(to, sizeof to, f->folder, (struct wal_file){ WAL_FILE_SEGMENT, epoch }));
    for (;;) {
        while (f->n_spares == 0 && !make_spare(f)) {
            if (stopping(f))
                return false;
            usleep(1000000);
        }
        spare_path(f, from, sizeof from, f->spare[--f->n_spares], "");
        if (spare_fits(f, from))
            break;
    }
    rename_or_die(f, from, to);
    return true;
}

void walfile_seg_drop(struct walfile *f, uint32_t epoch)
{
    char from[WALFILE_PATH_MAX + 32], to[WALFILE_PATH_MAX + 32];
    reeve_assert(walfile_name(from, sizeof from, f->folder, (struct wal_file){ WAL_FILE_SEGMENT, epoch }));
    if (f->n_spares >= WALFILE_SPARES) {
        if (unlink(from) < 0 && errno != ENOENT)
            walfile_die(f, "remove", from, errno);
        walfile_sync_folder(f);
        return;
    }
    unsigned n = free_name(f);
    spare_path(f, to, sizeof to, n, "");
    rename_or_die(f, from, to);
    f->spare[f->n_spares++] = n;
}
