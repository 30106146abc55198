/* message.c - what children ask of the postmaster; every sender was checked against the table. */
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/postmaster/pm_int.h"
#include "backend/utils/log.h"

/* ---- channels ---- */

enum reeve_err pm_channel(struct pm *pm, enum proc_kind kind, struct ipc_channel **out, int *child_fd)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return REEVE_E_NOMEM;
    enum reeve_err err = ipc_open(out, pair[0], PROC_POSTMASTER, kind, 0);
    if (err != REEVE_OK) {
        close(pair[1]);
        return err;
    }
    *child_fd = pair[1];
    return REEVE_OK;
}

/* The child that a channel belongs to: exactly one of them. */
static struct service *service_of(struct pm *pm, const struct ipc_channel *ch)
{
    for (unsigned i = 0; i < pm->n_services; i++)
        if (pm->services[i].ch == ch)
            return &pm->services[i];
    return NULL;
}

static struct backend *backend_of(struct pm *pm, const struct ipc_channel *ch)
{
    for (unsigned i = 0; i < pm->n_slots; i++)
        if (pm->backends[i].ch == ch)
            return &pm->backends[i];
    return NULL;
}

static int32_t pid_of(struct pm *pm, const struct ipc_channel *ch)
{
    struct service *s = service_of(pm, ch);
    struct backend *b = s ? NULL : backend_of(pm, ch);
    return s ? s->pid : b ? b->pid : 0;
}

/* ---- the broker ---- */

static void refuse(struct ipc_channel *ch, uint64_t id, enum reeve_err err, const char *why, enum proc_kind kind)
{
    struct report rep = { 0 };
    report_set(&rep, err, why, proc_title(kind));
    ipc_reply_err(ch, id, err, &rep);
}

/* One end to the service with the asker's kind and pid, which it cannot forge; the other to the asker. */
static enum reeve_err introduce(struct pm *pm, struct ipc_channel *asker, uint64_t id, struct service *to, int pair[2])
{
    uint8_t peer[5], pid[4];
    struct wr w = wr_fixed(peer, sizeof peer), p = wr_fixed(pid, sizeof pid);
    wr_u8(&w, (uint8_t) ipc_peer(asker));
    wr_u32(&w, (uint32_t) pid_of(pm, asker));
    wr_u32(&p, (uint32_t) to->pid);
    enum reeve_err err = ipc_send(to->ch, MSG_PEER, wr_slice(&w), pair[0]);
    if (err == REEVE_OK)
        ipc_reply_fd(asker, id, wr_slice(&p), pair[1]);
    return err;
}

static void on_connect(struct pm *pm, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct rd r = rd_of(m->body);
    unsigned kind = rd_u8(&r);
    if (!rd_done(&r) || kind >= PROC__COUNT) {
        ipc_reply_err(ch, m->id, REEVE_E_MALFORMED, NULL);
        return;
    }
    enum proc_kind want = (enum proc_kind) kind;
    if (!proc_may_connect(ipc_peer(ch), want)) {
        log_limited(LOG_SEV_WARNING, "%s (pid %d) asked for a channel to %s and was refused", proc_title(ipc_peer(ch)),
                    pid_of(pm, ch), proc_title(want));
        refuse(ch, m->id, REEVE_E_DENIED, "no channel to %s for this kind of process", want);
        return;
    }
    struct service *s = pm_service_ready(pm, want);
    int pair[2];
    if (s == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        refuse(ch, m->id, REEVE_E_AGAIN, "%s is not running", want);
        return;
    }
    if (introduce(pm, ch, m->id, s, pair) != REEVE_OK)
        refuse(ch, m->id, REEVE_E_AGAIN, "%s does not answer", want);
    close(pair[0]);
    close(pair[1]);
}

/* ---- the rest ---- */

static void on_ready(struct pm *pm, struct ipc_channel *ch)
{
    struct service *s = service_of(pm, ch);
    if (s == NULL || s->ready)
        return;
    s->ready = s->ever_ready = true;
    log_debug("%s (pid %d) is ready", proc_title(s->kind), s->pid);
    if (pm->state == PM_STARTING && pm_services_all_ready(pm))
        pm_became_ready(pm);
}

/* The answer says nothing about whether pid or key was right. */
static void on_cancel(struct pm *pm, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct rd r = rd_of(m->body);
    uint32_t pid = rd_u32(&r), key = rd_u32(&r);
    struct backend *b = rd_done(&r) ? pm_backend_of_pid(pm, (int32_t) pid) : NULL;
    if (b != NULL && (b->cancel_key ^ key) == 0)        /* one word: its comparison takes the same time for any key */
        kill(b->pid, SIGINT);
    ipc_reply(ch, m->id, (struct slice){ NULL, 0 });
}

static void on_signal_backend(struct pm *pm, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct rd r = rd_of(m->body);
    uint32_t pid = rd_u32(&r);
    unsigned what = rd_u8(&r);
    struct backend *b = rd_done(&r) ? pm_backend_of_pid(pm, (int32_t) pid) : NULL;
    if (b == NULL || what < 1 || what > 2) {
        ipc_reply_err(ch, m->id, REEVE_E_NOT_FOUND, NULL);
        return;
    }
    kill(b->pid, what == 1 ? SIGINT : SIGTERM);
    ipc_reply(ch, m->id, (struct slice){ NULL, 0 });
}

/*
 * A child keeps an old state of the store. A session's statement is canceled; the services read for a moment only, so one that
 * is still there at the second word stands still, as does a session that does not hear the first.
 */
static void on_old_snapshot(struct pm *pm, struct ipc_msg *m)
{
    struct rd r = rd_of(m->body);
    int32_t pid = (int32_t) rd_u32(&r);
    unsigned what = rd_u8(&r), seconds = rd_u32(&r);
    if (!rd_done(&r) || what < 1 || what > 2)
        return;
    struct backend *b = pm_backend_of_pid(pm, pid);
    struct service *s = b ? NULL : pm_service_of_pid(pm, pid);
    const char *kind = b ? "session" : s ? proc_title(s->kind) : "process";
    const char *then = what == 2 ? "does not end it; killing it" : b ? "canceling its statement"
                     : s ? "it is waited for" : "it is none of this server's and left alone";
    if (what == 1 || b != NULL || s != NULL)
        log_warning("%s %d reads a state of the store that is %u s old, and keeps room from being used again: %s", kind, pid,
                    seconds, then);
    if (b != NULL || (s != NULL && what == 2))
        kill(pid, what == 1 ? SIGUSR1 : SIGKILL);
}

static void answer(struct ipc_channel *ch, uint64_t id, enum reeve_err err, const struct report *rep)
{
    if (err == REEVE_OK)
        ipc_reply(ch, id, (struct slice){ NULL, 0 });
    else
        ipc_reply_err(ch, id, err, rep);
}

static void on_auto_settings(struct pm *pm, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct report rep = { 0 };
    enum reeve_err err = settings_auto_replace(pm->dir, m->body, &rep);
    if (err != REEVE_OK)
        log_error("settings of ALTER SYSTEM not written: %s", rep.message[0] ? rep.message : reeve_err_text(err));
    answer(ch, m->id, err, &rep);
}

static void on_reload_request(struct pm *pm, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct report rep = { 0 };
    answer(ch, m->id, pm_reload(pm, &rep), &rep);
}

static void on_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct pm *pm = arg;
    switch (m->type) {
    case MSG_CONNECT:
        on_connect(pm, ch, m);
        break;
    case MSG_READY:
        on_ready(pm, ch);
        break;
    case MSG_CANCEL:
        on_cancel(pm, ch, m);
        break;
    case MSG_SIGNAL_BACKEND:
        on_signal_backend(pm, ch, m);
        break;
    case MSG_OLD_SNAPSHOT:
        on_old_snapshot(pm, m);
        break;
    case MSG_AUTO_SETTINGS:
        on_auto_settings(pm, ch, m);
        break;
    case MSG_RELOAD_REQUEST:
        on_reload_request(pm, ch, m);
        break;
    default:
        break;
    }
}

/* A child without its channel is useless and perhaps hostile; SIGCHLD does the rest. */
static void on_closed(void *arg, struct ipc_channel *ch, const char *why)
{
    struct pm *pm = arg;
    struct service *s = service_of(pm, ch);
    struct backend *b = s ? NULL : backend_of(pm, ch);
    if (s != NULL) {
        s->ch = NULL;
        s->ready = false;       /* from now on: its death may be reaped much later */
    }
    if (b != NULL)
        b->ch = NULL;
    int32_t pid = s ? s->pid : b ? b->pid : 0;
    if (strcmp(why, "closed by its peer") == 0 || pid == 0)
        return;
    log_limited(LOG_SEV_ERROR, "channel to %s (pid %d) broken: %s", proc_title(ipc_peer(ch)), pid, why);
    kill(pid, SIGKILL);
}

enum reeve_err pm_channel_attach(struct pm *pm, struct ipc_channel *ch)
{
    return ipc_attach(ch, pm->loop, &(struct ipc_handler){ pm, on_message, on_closed });
}
