/* walfile.c - the log's owner's side: opening, appending, being told. Never waits for a file but at open and close. */
#include "backend/storage/walfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "walfile_int.h"

static const struct walfile_sys real_sys = { pwrite, fdatasync, false };

/* ---- opening ---- */

static enum reeve_err make_folder(struct walfile *f, struct report *rep)
{
    bool made = mkdir(f->folder, 0700) == 0;
    if (!made && errno != EEXIST)
        return report_set(rep, errno == EACCES ? REEVE_E_PRIVILEGE : REEVE_E_IO, "could not make folder \"%s\": %s",
                          f->folder, strerror(errno));
    f->folder_fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->folder_fd < 0)
        return report_set(rep, errno == EACCES ? REEVE_E_PRIVILEGE : REEVE_E_IO, "could not open folder \"%s\": %s",
                          f->folder, strerror(errno));
    /* its own name, too; a process that may not reach the parent was given a folder that is durable */
    int parent = openat(f->folder_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 && !made && errno == EACCES)
        return REEVE_OK;
    if (parent < 0 || fsync(parent) < 0) {
        report_set(rep, REEVE_E_IO, "could not sync the folder of \"%s\": %s", f->folder, strerror(errno));
        if (parent >= 0)
            close(parent);
        return REEVE_E_IO;
    }
    close(parent);
    return REEVE_OK;
}

static void find_mode(struct walfile *f)
{
    char path[WALFILE_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/spare.probe.tmp", f->folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT | O_DSYNC, 0600);
    f->direct = fd >= 0 && !f->sys.no_direct;
    if (fd >= 0)
        close(fd);
    unlink(path);
    log_info("log \"%s\": batches are written with %s", f->folder,
             f->direct ? "O_DIRECT and O_DSYNC" : "write and fdatasync: the file system refuses O_DIRECT");
}

static enum reeve_err read_log(struct walfile *f, const struct wal_owner *expect, const struct wal_visitor *v,
                               struct wal_found *found, struct report *rep)
{
    struct walfile_reader r;
    struct wal_reader reader;
    void *scratch = NULL;
    size_t len = (wal_recover_scratch() + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
    if (posix_memalign(&scratch, WAL_BLOCK, len) != 0)
        return report_set(rep, REEVE_E_NOMEM, "out of memory reading the log");
    walfile_reader_init(&r, f->folder, &reader);
    wal_recover(&f->c, &reader, expect, scratch, v, found);
    walfile_reader_done(&r);
    free(scratch);
    return REEVE_OK;
}

static void log_found(const struct walfile *f, const struct wal_found *found)
{
    char text[2048];
    struct wr w = wr_fixed(text, sizeof text - 1);
    wal_found_describe(found, &w);
    text[w.len] = '\0';
    enum log_severity s = found->verdict == WAL_CLEAN || found->verdict == WAL_MISSING ? LOG_SEV_INFO
                        : found->verdict == WAL_TORN ? LOG_SEV_NOTICE : LOG_SEV_ERROR;
    log_write(s, "log \"%s\": %s", f->folder, text);
}

static void release(struct walfile *f)
{
    int *fds[] = { &f->folder_fd, &f->event_fd, &f->seg_fd, &f->ident_fd, &f->meta_fd[0], &f->meta_fd[1] };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (*fds[i] >= 0)
            close(*fds[i]);
    pthread_cond_destroy(&f->done);
    for (int i = 0; i < WAL_LANES; i++)
        pthread_cond_destroy(&f->lane[i].work);
    pthread_mutex_destroy(&f->lock);
    free(f->mem);
    free(f);
}

static enum reeve_err allocate(struct walfile **out, const char *folder, const struct wal_config *c, const struct walfile_sys *sys,
                               struct report *rep)
{
    struct walfile *f = calloc(1, sizeof *f);
    if (f == NULL || strlen(folder) >= sizeof f->folder) {
        free(f);
        return report_set(rep, f == NULL ? REEVE_E_NOMEM : REEVE_E_TOO_BIG, "could not open the log \"%.100s\"", folder);
    }
    memcpy(f->folder, folder, strlen(folder) + 1);
    f->c = *c;
    f->sys = sys != NULL ? *sys : real_sys;
    f->folder_fd = f->seg_fd = f->ident_fd = f->meta_fd[0] = f->meta_fd[1] = -1;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->done, NULL);
    for (int i = 0; i < WAL_LANES; i++) {
        f->lane[i].f = f;
        f->lane[i].lane = (enum wal_lane) i;
        pthread_cond_init(&f->lane[i].work, NULL);
    }
    f->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    size_t len = (wal_size(c) + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
    enum reeve_err err = f->event_fd < 0 || posix_memalign(&f->mem, WAL_BLOCK, len) != 0 ? REEVE_E_NOMEM
                                                                                          : wal_init(&f->w, f->mem, len, c);
    if (err != REEVE_OK) {
        release(f);
        return report_set(rep, err, "could not open the log \"%.100s\": %s", folder, reeve_err_text(err));
    }
    *out = f;
    return REEVE_OK;
}

enum reeve_err walfile_open(struct walfile **out, const char *folder, const struct wal_config *c,
                            const struct wal_owner *expect, const struct wal_visitor *v, struct wal_found *found,
                            const struct walfile_sys *sys, struct report *rep)
{
    struct walfile *f = NULL;
    enum reeve_err err;
    TRY(allocate(&f, folder, c, sys, rep));
    TRY(make_folder(f, rep));
    TRY(walfile_sync_all(f, rep));
    TRY(read_log(f, expect, v, found, rep));
    log_found(f, found);
    *out = f;
    return REEVE_OK;
out:
    if (f != NULL)
        release(f);
    return err;
}

/* ---- starting and stopping ---- */

/* Signals are the owner's business. */
static enum reeve_err start_threads(struct walfile *f, struct report *rep)
{
    sigset_t all, before;
    enum reeve_err err = REEVE_OK;
    find_mode(f);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < WAL_LANES && err == REEVE_OK; i++) {
        int rc = pthread_create(&f->lane[i].thread, NULL, walfile_lane_main, &f->lane[i]);
        f->lane[i].running = rc == 0;
        if (rc != 0)
            err = report_set(rep, REEVE_E_NOMEM, "could not start a thread of the log: %s", strerror(rc));
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

enum reeve_err walfile_format(struct walfile *f, const struct wal_owner *owner, uint64_t salt, struct report *rep)
{
    wal_format(f->w, owner, salt);
    enum reeve_err err = start_threads(f, rep);
    pthread_mutex_lock(&f->lock);
    while (err == REEVE_OK && !wal_idle(f->w))
        pthread_cond_wait(&f->done, &f->lock);
    pthread_mutex_unlock(&f->lock);
    return err;
}

enum reeve_err walfile_resume(struct walfile *f, const struct wal_found *found, struct report *rep)
{
    enum reeve_err err = wal_resume(f->w, found);
    if (err != REEVE_OK)
        return report_set(rep, err, "the log \"%s\" cannot be used as it is: %s", f->folder, wal_verdict_name(found->verdict));
    return start_threads(f, rep);
}

void walfile_close(struct walfile *f, bool drain)
{
    if (f->loop != NULL)
        loop_io_del(f->loop, &f->io);
    pthread_mutex_lock(&f->lock);
    f->stopping = true;
    f->drain = drain && f->lane[0].running && f->lane[1].running && f->lane[2].running;
    walfile_nudge(f);
    pthread_mutex_unlock(&f->lock);
    for (int i = 0; i < WAL_LANES; i++)
        if (f->lane[i].running)
            pthread_join(f->lane[i].thread, NULL);
    release(f);
}

/* ---- running ---- */

enum reeve_err walfile_append(struct walfile *f, const struct wal_append *a, uint64_t *ticket)
{
    pthread_mutex_lock(&f->lock);
    enum reeve_err err = wal_append(f->w, a, ticket);
    if (err == REEVE_OK)
        walfile_nudge(f);
    pthread_mutex_unlock(&f->lock);
    return err;
}

void walfile_cut(struct walfile *f, uint64_t index, uint64_t term)
{
    pthread_mutex_lock(&f->lock);
    wal_cut(f->w, index, term);
    walfile_nudge(f);
    pthread_mutex_unlock(&f->lock);
}

uint64_t walfile_durable(const struct walfile *f)
{
    return __atomic_load_n(&f->durable, __ATOMIC_ACQUIRE);
}

int64_t walfile_stalled_ms(struct walfile *f)
{
    int64_t now = clock_mono().ms;
    pthread_mutex_lock(&f->lock);
    int64_t since = f->lane[WAL_LANE_LOG].since_ms;
    pthread_mutex_unlock(&f->lock);
    return since == 0 || now < since ? 0 : now - since;
}

void walfile_status(struct walfile *f, struct wal_status *out, bool *disk_full)
{
    pthread_mutex_lock(&f->lock);
    wal_status(f->w, out);
    *disk_full = f->disk_full;
    pthread_mutex_unlock(&f->lock);
}

static void on_event(void *arg, uint32_t revents)
{
    struct walfile *f = arg;
    uint64_t n;
    if (read(f->event_fd, &n, sizeof n) == (ssize_t) sizeof n)
        f->fn(f->arg, walfile_durable(f));
}

enum reeve_err walfile_watch(struct walfile *f, struct loop *l, void (*fn)(void *arg, uint64_t ticket), void *arg)
{
    f->fn = fn;
    f->arg = arg;
    f->loop = l;
    return loop_io_add(l, &f->io, f->event_fd, EPOLLIN, on_event, f);
}

int walfile_fd(const struct walfile *f)
{
    return f->event_fd;
}
