/* backend.c - one fork per admin connection. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "backend/postmaster/pm_int.h"
#include "backend/utils/log.h"
#include "backend/utils/sandbox.h"
#include "backend/utils/sanitize.h"
#include "backend/utils/title.h"

enum reeve_err pm_backends_init(struct pm *pm)
{
    pm->n_slots = (unsigned) settings_int(pm->settings, SET_max_connections) + PM_SPARE_SLOTS;
    pm->backends = calloc(pm->n_slots, sizeof *pm->backends);
    if (pm->backends == NULL)
        return REEVE_E_NOMEM;
    for (unsigned i = 0; i < pm->n_slots; i++)
        pm->backends[i].pm = pm;
    return activity_create(&pm->activity, pm->dir, pm->n_slots);
}

static struct backend *free_slot(struct pm *pm)
{
    for (unsigned i = 0; i < pm->n_slots; i++)
        if (pm->backends[i].pid == 0)
            return &pm->backends[i];
    return NULL;
}

static enum fork_admission admission(const struct pm *pm)
{
    unsigned max = (unsigned) settings_int(pm->settings, SET_max_connections);
    unsigned reserved = (unsigned) settings_int(pm->settings, SET_superuser_reserved_connections);
    if (pm->state != PM_RUNNING)
        return pm->state == PM_STARTING ? FORK_STARTING : FORK_STOPPING;
    if (pm->n_backends >= max)
        return FORK_TOO_MANY;
    return pm->n_backends + reserved >= max ? FORK_SUPERUSER : FORK_OK;
}

/* ---- in the child ---- */

static int by_number(const void *a, const void *b)
{
    return *(const int *) a - *(const int *) b;
}

/* Closes everything but the standard three and these. */
static void keep_only(int *fds, size_t n)
{
    unsigned from = 3;
    qsort(fds, n, sizeof *fds, by_number);
    for (size_t i = 0; i < n; i++) {
        if (fds[i] < (int) from)
            continue;
        if ((unsigned) fds[i] > from)
            close_range(from, (unsigned) fds[i] - 1, 0);
        from = (unsigned) fds[i] + 1;
    }
    close_range(from, ~0u, 0);
}

void fork_unblock_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Default dispositions; the four that get handlers stay blocked until those stand. */
static void reset_signals(void)
{
    sigset_t hold;
    for (int sig = 1; sig < 32; sig++)
        signal(sig, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&hold);
    sigaddset(&hold, SIGINT);
    sigaddset(&hold, SIGTERM);
    sigaddset(&hold, SIGHUP);
    sigaddset(&hold, SIGUSR1);
    sigprocmask(SIG_SETMASK, &hold, NULL);
}

/* What the child must not carry: other sessions' cancel keys. */
static void forget(struct pm *pm)
{
    for (unsigned i = 0; i < pm->n_slots; i++)
        explicit_bzero(&pm->backends[i].cancel_key, sizeof pm->backends[i].cancel_key);
}

static _Noreturn void run_backend(struct pm *pm, struct backend_fork *b, int channel_fd)
{
    struct report rep = { 0 };
    int keep[] = { b->fd, channel_fd, pm->lock_fd, log_fd() };
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    forget(pm);
    keep_only(keep, sizeof keep / sizeof *keep);
    reset_signals();
    log_after_fork("backend");
    title_set("backend");
    if (ipc_open(&b->postmaster, channel_fd, PROC_BACKEND, PROC_POSTMASTER, (uint32_t) getppid()) != REEVE_OK)
        _exit(1);
    if (sandbox_enter(PROC_BACKEND, pm->dir, pm->settings, &rep) != REEVE_OK) {
        log_report(LOG_SEV_ERROR, &rep);
        _exit(1);
    }
    int code = pm->hooks->backend(b);
    sanitize_leaks();
    _exit(code);
}

/* ---- in the postmaster ---- */

static enum reeve_err start(struct pm *pm, struct backend *b, struct backend_fork *info)
{
    int child_fd = -1;
    enum reeve_err err = pm_channel(pm, PROC_BACKEND, &b->ch, &child_fd);
    if (err != REEVE_OK)
        return err;
    pid_t pid = fork();
    if (pid == 0)
        run_backend(pm, info, child_fd);
    close(child_fd);
    if (pid > 0 && (err = pm_channel_attach(pm, b->ch)) == REEVE_OK) {
        b->pid = (int32_t) pid;
        b->cancel_key = info->cancel_key;
        pm->n_backends++;
        return REEVE_OK;
    }
    if (pid > 0)
        kill(pid, SIGKILL);
    ipc_close(b->ch);
    b->ch = NULL;
    return pid < 0 ? REEVE_E_NOMEM : err;
}

void pm_backend_start(struct pm *pm, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
    struct backend *b = free_slot(pm);
    struct backend_fork info = { .dir = pm->dir, .fd = fd, .peer = *peer, .peer_len = len, .settings = pm->settings,
                                 .activity = pm->activity, .admission = admission(pm) };
    enum reeve_err err = REEVE_E_BUSY;
    if (b != NULL && getrandom(&info.cancel_key, sizeof info.cancel_key, 0) == (ssize_t) sizeof info.cancel_key) {
        info.slot = (unsigned) (b - pm->backends);
        err = start(pm, b, &info);
    }
    if (err != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "a connection was dropped: %s", b ? reeve_err_text(err) : "no place left");
    close(fd);
}

struct backend *pm_backend_of_pid(struct pm *pm, int32_t pid)
{
    for (unsigned i = 0; i < pm->n_slots && pid > 0; i++)
        if (pm->backends[i].pid == pid)
            return &pm->backends[i];
    return NULL;
}

void pm_backend_ended(struct backend *b)
{
    struct pm *pm = b->pm;
    ipc_close(b->ch);
    activity_clear(pm->activity, (unsigned) (b - pm->backends));
    *b = (struct backend){ .pm = pm };
    pm->n_backends--;
}

void pm_backends_signal(struct pm *pm, int sig)
{
    for (unsigned i = 0; i < pm->n_slots; i++)
        if (pm->backends[i].pid != 0)
            kill(pm->backends[i].pid, sig);
}
