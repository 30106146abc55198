/* postmaster.c - start, signals, reload, end; see the header for what it must not do. */
#include "backend/postmaster/postmaster.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/postmaster/pm_int.h"
#include "backend/utils/clock.h"
#include "backend/utils/liveness.h"
#include "backend/utils/log.h"
#include "backend/utils/title.h"

#define HOUSEKEEPING_MS 2000
#define REMAINS_MS      10000           /* how long the remains of a killed server may take to go */

/* ---- children's ends ---- */

/* The wording is a contract: others look for it in the log. */
static void log_end(enum proc_kind kind, int32_t pid, int status)
{
    bool quiet = kind == PROC_BACKEND && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    enum log_severity s = quiet ? LOG_SEV_DEBUG : WIFSIGNALED(status) ? LOG_SEV_WARNING : LOG_SEV_INFO;
    if (WIFSIGNALED(status))
        log_write(s, "process %s (pid %d) ended by signal %d", proc_title(kind), pid, WTERMSIG(status));
    else
        log_write(s, "process %s (pid %d) ended by exit %d", proc_title(kind), pid, WEXITSTATUS(status));
}

static void reap(struct pm *pm)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct service *s = pm_service_of_pid(pm, (int32_t) pid);
        struct backend *b = s ? NULL : pm_backend_of_pid(pm, (int32_t) pid);
        if (s == NULL && b == NULL)
            continue;
        log_end(s ? s->kind : PROC_BACKEND, (int32_t) pid, status);
        if (s != NULL)
            pm_service_ended(s);
        else
            pm_backend_ended(b);
    }
    pm_shutdown_step(pm);
}

/* ---- reload ---- */

static void log_change(void *arg, enum setting_id id, const char *from, const char *to, bool restart)
{
    if (restart)
        log_warning("parameter \"%s\" cannot be changed without restarting the server", setting_def(id)->name);
    else
        log_info("parameter \"%s\" changed from \"%s\" to \"%s\"", setting_def(id)->name, from, to);
}

static void tell_all(struct pm *pm)
{
    for (unsigned i = 0; i < pm->n_services; i++) {
        struct service *s = &pm->services[i];
        if (s->ch != NULL && ipc_send(s->ch, MSG_RELOAD, (struct slice){ NULL, 0 }, -1) != REEVE_OK)
            log_error("could not tell %s (pid %d) of the reload", proc_title(s->kind), s->pid);
    }
    pm_backends_signal(pm, SIGHUP);
}

enum reeve_err pm_reload(struct pm *pm, struct report *rep)
{
    struct settings *fresh = NULL;
    enum reeve_err err;
    TRY(settings_load(&fresh, pm->dir, rep));
    TRY(settings_apply(pm->settings, fresh, log_change, NULL));
    settings_apply_log(pm->settings);
    TRY(settings_share(pm->settings, pm->dir, rep));
    if (pm->hooks->prepare != NULL && !pm->hooks->prepare(pm->dir, pm->settings, rep))
        err = rep->code;
    tell_all(pm);
out:
    if (err == REEVE_OK)
        log_info("configuration reloaded");
    else
        log_error("configuration not reloaded: %s", rep->message);
    settings_free(fresh);
    return err;
}

/* ---- signals ---- */

static void on_reload(struct pm *pm)
{
    struct report rep = { 0 };
    if (pm_reload(pm, &rep) == REEVE_OK)
        return;
    if (rep.hint[0])
        log_info("hint: %s", rep.hint);
}

static void on_signal(void *arg, uint32_t revents)
{
    struct pm *pm = arg;
    struct signalfd_siginfo si;
    while (read(pm->signal_fd, &si, sizeof si) == (ssize_t) sizeof si)
        switch (si.ssi_signo) {
        case SIGCHLD:
            reap(pm);
            break;
        case SIGHUP:
            on_reload(pm);
            break;
        case SIGTERM:
            pm_shutdown(pm, SHUTDOWN_SMART);
            break;
        case SIGINT:
            pm_shutdown(pm, SHUTDOWN_FAST);
            break;
        case SIGQUIT:
            pm_shutdown(pm, SHUTDOWN_IMMEDIATE);
            break;
        default:
            break;
        }
}

static enum reeve_err take_signals(struct pm *pm)
{
    static const int wanted[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGQUIT };
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        sigaddset(&set, wanted[i]);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &set, NULL);
    pm->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return pm->signal_fd < 0 ? REEVE_E_IO : loop_io_add(pm->loop, &pm->signal_io, pm->signal_fd, EPOLLIN, on_signal, pm);
}

/* ---- housekeeping ---- */

static void check_pidfile(struct pm *pm)
{
    struct pidfile p;
    enum reeve_err err = pidfile_read(&p, pm->dir);
    if (pm->state == PM_STOPPING || (err == REEVE_OK && p.pid == (int32_t) getpid()) || (err != REEVE_OK && err != REEVE_E_NOT_FOUND))
        return;
    log_fatal("the pid file is gone or another's; the data directory is not ours any more");
    pm->failed = true;
    pm_shutdown(pm, SHUTDOWN_IMMEDIATE);
}

static void housekeeping(void *arg)
{
    struct pm *pm = arg;
    log_rotate_if_big(settings_int(pm->settings, SET_log_rotation_size));
    check_pidfile(pm);
    reap(pm);                           /* signals merge; nobody is forgotten for long */
    if (loop_timer_in(pm->loop, &pm->housekeeping, HOUSEKEEPING_MS, housekeeping, pm) != REEVE_OK)
        log_error("no memory for housekeeping");
}

/* ---- start and end ---- */

void pm_became_ready(struct pm *pm)
{
    struct report rep = { 0 };
    pm->state = PM_RUNNING;
    memcpy(pm->pidfile.state, "ready", sizeof "ready");
    if (pidfile_write(pm->dir, &pm->pidfile, &rep) != REEVE_OK)
        log_report(LOG_SEV_WARNING, &rep);
    log_info("the server is ready to accept connections");
    log_startup_done();
}

/* Every descriptor the limits allow: a session costs two. */
static void raise_limits(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static enum reeve_err take_directory(struct pm *pm, const char *given, struct report *rep)
{
    enum reeve_err err;
    TRY(datadir_resolve(pm->dir, given, rep));
    TRY(datadir_check(pm->dir, rep));
    TRY(datadir_lock(&pm->lock_fd, pm->dir, REMAINS_MS, rep));
    TRY(datadir_upgrade(pm->dir, rep));
    TRY(settings_load(&pm->settings, pm->dir, rep));
    TRY(log_open(pm->dir, rep));
    settings_apply_log(pm->settings);
    pm->pidfile = (struct pidfile){ .pid = (int32_t) getpid(), .started_s = clock_wall().ms / 1000,
                                    .port = (int) settings_int(pm->settings, SET_port), .state = "starting" };
    TRY(pidfile_write(pm->dir, &pm->pidfile, rep));
out:
    return err;
}

static enum reeve_err begin(struct pm *pm, struct report *rep)
{
    enum reeve_err err;
    TRY(settings_share(pm->settings, pm->dir, rep));
    TRY(loop_new(&pm->loop));
    TRY(take_signals(pm));
    TRY(liveness_create(pm->dir));
    TRY(pm_backends_init(pm));
    if (pm->hooks->prepare != NULL && !pm->hooks->prepare(pm->dir, pm->settings, rep))
        TRY(rep->code);
    TRY(pm_listen(pm, rep));
    TRY(pidfile_write(pm->dir, &pm->pidfile, rep));
    pm_services_init(pm);
    for (unsigned i = 0; i < pm->n_services; i++)
        pm_service_start(&pm->services[i]);
    TRY(loop_timer_in(pm->loop, &pm->housekeeping, HOUSEKEEPING_MS, housekeeping, pm));
out:
    return err;
}

static void end(struct pm *pm)
{
    if (pm->loop != NULL)
        pm_listen_close(pm);
    pidfile_remove(pm->dir);
    log_info("the server has stopped");
}

static int refuse_start(enum reeve_err err, const struct report *rep)
{
    log_fatal("%s", rep->message[0] ? rep->message : reeve_err_text(err));
    if (rep->detail[0])
        log_info("detail: %s", rep->detail);
    if (rep->hint[0])
        log_info("hint: %s", rep->hint);
    return 1;
}

int postmaster_main(const char *dir, const struct postmaster_hooks *hooks)
{
    static struct pm pm;
    struct report rep = { 0 };
    pm.hooks = hooks;
    pm.lock_fd = pm.signal_fd = -1;
    log_init("postmaster");
    umask(077);
    raise_limits();
    enum reeve_err err = take_directory(&pm, dir, &rep);
    if (err != REEVE_OK)
        return refuse_start(err, &rep);
    title_set("postmaster -D %s", pm.dir);
    log_info("starting, data directory \"%s\"", pm.dir);
    err = begin(&pm, &rep);
    if (err != REEVE_OK) {
        refuse_start(err, &rep);
        end(&pm);
        return 1;
    }
    loop_run(pm.loop);
    end(&pm);
    return pm.failed ? 1 : 0;
}
