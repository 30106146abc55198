/* child.c - the common beginning and end of every re-executed child. */
#include "backend/ipc/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/utils/log.h"
#include "backend/utils/sandbox.h"
#include "backend/utils/title.h"

/* One child per process: what the loop's handlers need besides it. */
struct child_private {
    struct loop_io signals;
    int signal_fd;
};
static struct child_private priv;

/* For a child that cannot hear that its parent is gone (stopped, stuck); the others see the channel close. */
static bool die_with_parent(void)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0;
}

static void close_strays(void)
{
    close_range(CHILD_LOCK_FD + 1, ~0u, 0);
    fcntl(CHILD_LOCK_FD, F_SETFD, FD_CLOEXEC);
}

void child_stop(struct child *c, int exit_code)
{
    c->exit_code = exit_code;
    loop_stop(c->loop);
}

static void begin_shutdown(struct child *c, enum shutdown_mode mode)
{
    if (mode == SHUTDOWN_IMMEDIATE)
        _exit(0);
    if (c->ops.shutdown != NULL)
        c->ops.shutdown(c, mode);
    else
        child_stop(c, 0);
}

static void reload(struct child *c)
{
    struct settings *fresh;
    struct report rep = { 0 };
    if (settings_load_shared(&fresh, c->dir, &rep) != REEVE_OK) {
        log_report(LOG_SEV_ERROR, &rep);
        return;
    }
    settings_free(c->settings);
    c->settings = fresh;
    settings_apply_log(fresh);
    if (c->ops.reload != NULL)
        c->ops.reload(c);
}

static void take_peer(struct child *c, struct ipc_msg *m)
{
    struct ipc_channel *ch;
    struct rd r = rd_of(m->body);
    unsigned kind = rd_u8(&r);
    uint32_t pid = rd_u32(&r);
    int fd = m->fd;
    if (!rd_done(&r) || kind >= PROC__COUNT || fd < 0 || c->ops.peer == NULL)
        return;
    m->fd = -1;
    if (ipc_open(&ch, fd, c->kind, (enum proc_kind) kind, pid) == REEVE_OK)
        c->ops.peer(c, ch);
}

static void on_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct child *c = arg;
    struct rd r = rd_of(m->body);
    switch (m->type) {
    case MSG_PEER:
        take_peer(c, m);
        break;
    case MSG_SHUTDOWN:
        begin_shutdown(c, (enum shutdown_mode) rd_u8(&r));
        break;
    case MSG_RELOAD:
        reload(c);
        break;
    default:
        break;
    }
}

static void on_closed(void *arg, struct ipc_channel *ch, const char *why)
{
    struct child *c = arg;
    c->postmaster = NULL;
    log_warning("the postmaster is gone (%s)", why);
    _exit(1);
}

static void on_signal(void *arg, uint32_t revents)
{
    struct signalfd_siginfo si;
    if (read(priv.signal_fd, &si, sizeof si) == (ssize_t) sizeof si && si.ssi_signo == SIGTERM)
        begin_shutdown(arg, SHUTDOWN_FAST);
}

/* SIGTERM asks to end; what a terminal sends to its whole group is the postmaster's business. */
static enum reeve_err take_signals(struct child *c)
{
    sigset_t set;
    sigemptyset(&set);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGQUIT, SIG_DFL);
    sigprocmask(SIG_SETMASK, &set, NULL);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    priv.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return priv.signal_fd < 0 ? REEVE_E_IO : loop_io_add(c->loop, &priv.signals, priv.signal_fd, EPOLLIN, on_signal, c);
}

static void set_title(const struct child *c)
{
    if (proc_info(c->kind)->many == PROC_IS_MANY)
        title_set("%s %u", proc_title(c->kind), c->index);
    else
        title_set("%s", proc_title(c->kind));
}

static enum reeve_err open_all(struct child *c, struct report *rep)
{
    enum reeve_err err;
    TRY(log_open(c->dir, rep));
    TRY(settings_load_shared(&c->settings, c->dir, rep));
    settings_apply_log(c->settings);
    TRY(loop_new(&c->loop));
    TRY(take_signals(c));
    TRY(sandbox_enter(c->kind, c->dir, c->settings, rep));
    TRY(ipc_open(&c->postmaster, CHILD_CHANNEL_FD, c->kind, PROC_POSTMASTER, (uint32_t) getppid()));
    TRY(ipc_attach(c->postmaster, c->loop, &(struct ipc_handler){ c, on_message, on_closed }));
out:
    return err;
}

enum reeve_err child_start(struct child *c, const struct child_ops *ops)
{
    struct report rep = { 0 };
    c->ops = *ops;
    log_init(proc_title(c->kind));
    if (!die_with_parent())
        return REEVE_E_CLOSED;
    close_strays();
    set_title(c);
    srandom((unsigned) getpid());
    umask(077);
    enum reeve_err err = open_all(c, &rep);
    if (err != REEVE_OK)
        log_fatal("could not start: %s", rep.message[0] ? rep.message : reeve_err_text(err));
    return err;
}

void child_ready(struct child *c)
{
    if (ipc_send(c->postmaster, MSG_READY, (struct slice){ NULL, 0 }, -1) != REEVE_OK)
        log_error("could not tell the postmaster of being ready");
    log_startup_done();
}

int child_run(struct child *c)
{
    loop_run(c->loop);
    return c->exit_code;
}
