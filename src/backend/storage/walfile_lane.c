/* walfile_lane.c - one thread a lane: takes an effect, carries it out, says so. What fails here ends the process (F1). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "walfile_int.h"

void walfile_die(const struct walfile *f, const char *what, const char *name, int err)
{
    log_fatal("log \"%s\": could not %s \"%s\": %s; nothing is retried on a file that failed, this process ends",
              f->folder, what, name, strerror(err));
    abort();
}

int walfile_open_for_writing(struct walfile *f, const char *path, bool create)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0) | (f->direct ? O_DIRECT | O_DSYNC : 0);
    int fd = open(path, flags, 0600);
    if (fd < 0)
        walfile_die(f, "open", path, errno);
    return fd;
}

/* At once or not at all. */
void walfile_write(struct walfile *f, int fd, const char *name, const void *p, size_t len, uint64_t at)
{
    ssize_t n = f->sys.pwrite(fd, p, len, (off_t) at);
    if (n < 0)
        walfile_die(f, "write", name, errno);
    if ((size_t) n != len)
        walfile_die(f, "write all of a batch to", name, ENOSPC);
    if (!f->direct && f->sys.fdatasync(fd) < 0)
        walfile_die(f, "sync", name, errno);
}

void walfile_sync_folder(struct walfile *f)
{
    if (fsync(f->folder_fd) < 0)
        walfile_die(f, "sync folder", f->folder, errno);
}

static void write_segment(struct walfile *f, const struct wal_effect *e)
{
    char path[WALFILE_PATH_MAX + 16];
    reeve_assert(walfile_name(path, sizeof path, f->folder, e->file));
    if (f->seg_fd < 0 || f->seg_epoch != e->file.epoch) {
        if (f->seg_fd >= 0)
            close(f->seg_fd);
        f->seg_fd = walfile_open_for_writing(f, path, false);
        f->seg_epoch = e->file.epoch;
    }
    walfile_write(f, f->seg_fd, path, e->data.p, e->data.len, e->offset);
}

/* The two metas and the ring have their full size and a durable name before they are first written. */
static int side_file(struct walfile *f, const char *path, size_t bytes)
{
    int fd = walfile_open_for_writing(f, path, true);
    off_t size = lseek(fd, 0, SEEK_END);
    static const uint8_t zero[WAL_BLOCK] __attribute__((aligned(4096)));
    for (uint64_t at = 0; size < (off_t) bytes && at < bytes; at += WAL_BLOCK)
        if (at >= (uint64_t) size)
            walfile_write(f, fd, path, zero, WAL_BLOCK, at);
    if (fsync(fd) < 0)
        walfile_die(f, "sync", path, errno);
    walfile_sync_folder(f);
    return fd;
}

static void write_side(struct walfile *f, const struct wal_effect *e)
{
    char path[WALFILE_PATH_MAX + 16];
    int *fd = e->file.kind == WAL_FILE_IDENT ? &f->ident_fd : &f->meta_fd[e->file.kind == WAL_FILE_META_B];
    reeve_assert(walfile_name(path, sizeof path, f->folder, e->file));
    if (*fd < 0)
        *fd = side_file(f, path, e->file.kind == WAL_FILE_IDENT ? WAL_IDENT_BYTES : WAL_BLOCK);
    walfile_write(f, *fd, path, e->data.p, e->data.len, e->offset);
}

/* False: given up because the log is being closed. */
static bool carry_out(struct walfile *f, const struct wal_effect *e)
{
    if (e->type == WAL_DO_OPEN)
        return walfile_seg_open(f, e->file.epoch);
    if (e->type == WAL_DO_DROP)
        walfile_seg_drop(f, e->file.epoch);
    else if (e->file.kind == WAL_FILE_SEGMENT)
        write_segment(f, e);
    else
        write_side(f, e);
    return true;
}

/* A batch went out a moment ago: the side lane looks by itself, soon. */
static bool has_work(const struct walfile *f, const struct walfile_lane *l)
{
    return f->stopping || wal_has(f->w, l->lane) || (l->lane == WAL_LANE_SIDE && !l->watching && wal_wants_rest(f->w));
}

void walfile_nudge(struct walfile *f)
{
    for (int i = 0; i < WAL_LANES; i++)
        if (f->lane[i].resting && has_work(f, &f->lane[i]))
            pthread_cond_signal(&f->lane[i].work);
}

/* Under the lock, after a completion. */
static void announce(struct walfile *f)
{
    uint64_t durable = wal_durable(f->w), one = 1;
    walfile_nudge(f);
    pthread_cond_broadcast(&f->done);
    if (durable == f->durable)
        return;
    __atomic_store_n(&f->durable, durable, __ATOMIC_RELEASE);
    if (write(f->event_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        walfile_die(f, "write", "eventfd", errno);
}

static void do_one(struct walfile_lane *l, const struct wal_effect *e)
{
    struct walfile *f = l->f;
    l->since_ms = clock_mono().ms;
    pthread_mutex_unlock(&f->lock);
    bool done = carry_out(f, e);
    pthread_mutex_lock(&f->lock);
    l->since_ms = 0;
    if (!done)
        return;
    wal_complete(f->w, l->lane);
    announce(f);
}

static bool may_stop(const struct walfile *f)
{
    return f->stopping && (!f->drain || wal_idle(f->w) || f->disk_full);
}

/* Until somebody wakes us, or so long; 0: only that. */
static void rest_for(struct walfile_lane *l, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + ms * 1000000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    l->resting = true;
    if (ms == 0)
        pthread_cond_wait(&l->work, &l->f->lock);
    else
        pthread_cond_clockwait(&l->work, &l->f->lock, CLOCK_MONOTONIC, &until);
    l->resting = false;
}

/* Records wait until no batch went out for a while. */
static void watch(struct walfile_lane *l)
{
    struct wal_status before, now;
    wal_status(l->f->w, &before);
    l->watching = true;
    rest_for(l, l->f->stopping ? 1 : WALFILE_REST_MS);
    l->watching = false;
    wal_status(l->f->w, &now);
    if (now.seq == before.seq)
        wal_rest(l->f->w);
}

/* Nothing to do; the files lane looks for room again every second. */
static void rest(struct walfile_lane *l)
{
    if (l->lane == WAL_LANE_SIDE && wal_wants_rest(l->f->w))
        watch(l);
    else
        rest_for(l, l->lane == WAL_LANE_FILES && l->f->disk_full ? 1000 : 0);
}

/* A spare is filled without the lock; so look for work again afterwards. False: the disk is full. */
static bool fill(struct walfile *f)
{
    pthread_mutex_unlock(&f->lock);
    bool ok = walfile_seg_fill(f);
    pthread_mutex_lock(&f->lock);
    return ok;
}

void *walfile_lane_main(void *arg)
{
    struct walfile_lane *l = arg;
    struct walfile *f = l->f;
    struct wal_effect e;
    bool failed = false;
    pthread_mutex_lock(&f->lock);
    while (!may_stop(f)) {
        if (wal_next(f->w, l->lane, &e)) {
            do_one(l, &e);
        } else if (l->lane == WAL_LANE_FILES && !f->stopping && !failed && walfile_seg_wanted(f)) {
            failed = !fill(f);
        } else {
            rest(l);
            failed = false;
        }
    }
    walfile_nudge(f);
    pthread_cond_broadcast(&f->done);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}
