/* service.c - the children that are always there: start, restart with back-off. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/postmaster/pm_int.h"
#include "backend/utils/clock.h"
#include "backend/utils/datadir.h"
#include "backend/utils/log.h"

#define GOOD_LIFE_MS     10000          /* lived so long: the next restart is immediate again */
#define RESTART_MS_MIN   100
#define RESTART_MS_MAX   5000
#define START_FAILURES   5u             /* the server does not come up: give up instead of trying for ever */

static void add_service(struct pm *pm, enum proc_kind kind, unsigned index)
{
    reeve_assert(pm->n_services < PM_SERVICES_MAX);
    pm->services[pm->n_services++] = (struct service){ .pm = pm, .kind = kind, .index = index };
}

static unsigned gateway_count(const struct pm *pm)
{
    int64_t n = settings_int(pm->settings, SET_gateways);
    if (n == 0)
        n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (unsigned) n;
}

/* Every kind that is started always, the signer first: the others ask for it. */
/*
 * A member that joined a ring has no validator of its own, and one that joined before members had keys no signer: it keeps
 * the region's state and serves statements, and what needs those is done where they are. Only a region that is in one chain with
 * others has links to them.
 */
static bool has_folder(const struct pm *pm, const char *name)
{
    char path[DATADIR_PATH_MAX];
    struct stat st;
    return datadir_path(path, sizeof path, pm->dir, name) && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

void pm_services_init(struct pm *pm)
{
    bool keys = has_folder(pm, "keys");
    if (keys)
        add_service(pm, PROC_SIGNER, 0);
    for (unsigned k = 0; k < PROC__COUNT; k++) {
        const struct proc_info *info = proc_info((enum proc_kind) k);
        if (info->restart != PROC_RESTART_ALWAYS || k == PROC_SIGNER)
            continue;
        if ((k == PROC_GATEWAY && !keys) || (k == PROC_VALIDATOR && !has_folder(pm, "validator")) ||
            (k == PROC_FEDERATION && !has_folder(pm, "federation")) ||
            (k == PROC_MIRROR && settings_int(pm->settings, SET_mirror_port) == 0))
            continue;
        unsigned n = info->many == PROC_IS_ONE ? 1 : gateway_count(pm);
        for (unsigned i = 0; i < n; i++)
            add_service(pm, (enum proc_kind) k, i);
    }
}

/* ---- starting ---- */

/* In the child, between fork and exec: the two descriptors to their fixed places. */
static _Noreturn void become(struct service *s, int channel_fd)
{
    char title[64], index[32];
    sigset_t none;
    int ch = fcntl(channel_fd, F_DUPFD, 16), lock = fcntl(s->pm->lock_fd, F_DUPFD, 16);
    if (ch < 0 || lock < 0 || dup2(ch, CHILD_CHANNEL_FD) < 0 || dup2(lock, CHILD_LOCK_FD) < 0)
        _exit(1);
    close_range(CHILD_LOCK_FD + 1, ~0u, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    snprintf(title, sizeof title, "--child=%s", proc_title(s->kind));
    snprintf(index, sizeof index, "--index=%u", s->index);
    char *argv[] = { (char *) "reeved", title, (char *) "-D", s->pm->dir, index, NULL };
    execv("/proc/self/exe", argv);
    _exit(1);
}

static enum reeve_err spawn(struct service *s)
{
    int child_fd = -1;
    enum reeve_err err = pm_channel(s->pm, s->kind, &s->ch, &child_fd);
    if (err != REEVE_OK)
        return err;
    pid_t pid = fork();
    if (pid == 0)
        become(s, child_fd);
    close(child_fd);
    if (pid > 0 && (err = pm_channel_attach(s->pm, s->ch)) == REEVE_OK) {
        s->pid = (int32_t) pid;
        return REEVE_OK;
    }
    if (pid > 0)
        kill(pid, SIGKILL);
    ipc_close(s->ch);
    s->ch = NULL;
    return pid < 0 ? REEVE_E_NOMEM : err;
}

static void restart_now(void *arg)
{
    pm_service_start(arg);
}

/* 0, then 100 ms doubling to 5 s. */
static int64_t restart_delay(const struct service *s)
{
    if (s->failures <= 1)
        return 0;
    int64_t ms = RESTART_MS_MIN;
    for (unsigned i = 2; i < s->failures && ms < RESTART_MS_MAX; i++)
        ms *= 2;
    return ms < RESTART_MS_MAX ? ms : RESTART_MS_MAX;
}

static void restart_later(struct service *s)
{
    if (loop_timer_in(s->pm->loop, &s->restart, restart_delay(s), restart_now, s) != REEVE_OK)
        log_error("no memory to restart %s", proc_title(s->kind));
}

void pm_service_start(struct service *s)
{
    if (s->pm->state == PM_STOPPING || s->pid != 0)
        return;
    s->ready = false;
    s->started = clock_mono();
    enum reeve_err err = spawn(s);
    if (err == REEVE_OK)
        return;
    log_error("could not start %s: %s", proc_title(s->kind), reeve_err_text(err));
    s->failures++;
    restart_later(s);
}

/* ---- ending ---- */

void pm_service_ended(struct service *s)
{
    struct pm *pm = s->pm;
    bool good = clock_mono().ms - s->started.ms >= GOOD_LIFE_MS;
    s->pid = 0;
    s->ready = false;
    ipc_close(s->ch);
    s->ch = NULL;
    s->failures = good ? 1 : s->failures + 1;
    if (pm->state == PM_STOPPING)
        return;
    if (!s->ever_ready && s->failures >= START_FAILURES && pm->state == PM_STARTING) {
        log_fatal("%s does not start; the server gives up", proc_title(s->kind));
        pm->failed = true;
        pm_shutdown(pm, SHUTDOWN_FAST);
        return;
    }
    restart_later(s);
}

/* ---- questions ---- */

struct service *pm_service_of_pid(struct pm *pm, int32_t pid)
{
    for (unsigned i = 0; i < pm->n_services; i++)
        if (pm->services[i].pid == pid)
            return &pm->services[i];
    return NULL;
}

struct service *pm_service_ready(struct pm *pm, enum proc_kind kind)
{
    for (unsigned i = 0; i < pm->n_services; i++)
        if (pm->services[i].kind == kind && pm->services[i].ready) {
            reeve_assert(pm->services[i].ch != NULL);
            return &pm->services[i];
        }
    return NULL;
}

bool pm_services_all_ready(const struct pm *pm)
{
    for (unsigned i = 0; i < pm->n_services; i++)
        if (!pm->services[i].ready)
            return false;
    return true;
}

unsigned pm_services_alive(const struct pm *pm, unsigned kinds)
{
    unsigned n = 0;
    for (unsigned i = 0; i < pm->n_services; i++)
        n += pm->services[i].pid != 0 && (kinds & 1u << pm->services[i].kind) != 0;
    return n;
}
