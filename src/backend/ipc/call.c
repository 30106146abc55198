/* call.c - asking and waiting, for processes without an event loop. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "backend/ipc/ipc_int.h"
#include "backend/utils/clock.h"

static enum reeve_err wait_poll(void *arg, int fd, short events, int timeout_ms, struct report *rep)
{
    struct pollfd p = { fd, events, 0 };
    int n = poll(&p, 1, timeout_ms);
    return n > 0 || (n < 0 && errno == EINTR) ? REEVE_OK : REEVE_E_AGAIN;
}

void ipc_set_wait(struct ipc_channel *ch, ipc_wait_fn *fn, void *arg)
{
    ch->wait = fn;
    ch->wait_arg = arg;
}

static enum reeve_err wait_for(struct ipc_channel *ch, struct mono_ms deadline, struct report *rep)
{
    ipc_wait_fn *fn = ch->wait ? ch->wait : wait_poll;
    short events = (short) (POLLIN | (ch->out != NULL ? POLLOUT : 0));
    enum reeve_err err = fn(ch->wait_arg, ch->fd, events, clock_left(deadline), rep);
    if (err != REEVE_E_AGAIN)
        return err;
    return clock_left(deadline) == 0 ? report_set(rep, REEVE_E_TIMEOUT, "%s did not answer in time", proc_title(ch->peer))
                                     : REEVE_OK;
}

/* Reads until the reply with that id is here. Others are late replies and one-way news that this process has no use for. */
static enum reeve_err await(struct ipc_channel *ch, uint64_t id, struct mono_ms deadline, struct ipc_msg *m,
                            struct report *rep)
{
    for (;;) {
        enum reeve_err err = frame_flush(ch);
        if (err != REEVE_OK)
            return err;
        while ((err = frame_next(ch, m)) == REEVE_OK) {
            if (m->type == MSG_REPLY && m->id == id)
                return REEVE_OK;
            if (m->fd >= 0)
                close(m->fd);
        }
        if (err != REEVE_E_AGAIN)
            return err;
        err = frame_read(ch);
        if (err == REEVE_E_AGAIN)
            err = wait_for(ch, deadline, rep);
        if (err != REEVE_OK)
            return err;
    }
}

/* Socket gone or peer not to be trusted: nothing more on this channel. */
static enum reeve_err dead(struct ipc_channel *ch, enum reeve_err err, struct report *rep)
{
    if (ch->fd >= 0)
        close(ch->fd);
    ch->fd = -1;
    return report_set(rep, err, "the connection to %s broke", proc_title(ch->peer));
}

static enum reeve_err unpack(struct ipc_channel *ch, struct ipc_msg *m, struct slice *result, int *fd_out,
                             struct report *rep)
{
    struct report theirs;
    struct slice ours;
    enum reeve_err err;
    if (fd_out != NULL)
        *fd_out = m->fd;
    else if (m->fd >= 0)
        close(m->fd);
    if (reply_split(m->body, &err, &theirs, result ? result : &ours) != REEVE_OK)
        return dead(ch, REEVE_E_MALFORMED, rep);
    if (err != REEVE_OK && rep != NULL)
        *rep = theirs;
    return err;
}

enum reeve_err ipc_call(struct ipc_channel *ch, enum msg_type type, struct slice body, struct mono_ms deadline,
                        struct slice *result, int *fd_out, struct report *rep)
{
    struct ipc_msg m = { .fd = -1 };
    reeve_assert(ch->loop == NULL);
    if (fd_out != NULL)
        *fd_out = -1;
    if (ch->fd < 0)
        return report_set(rep, REEVE_E_CLOSED, "the connection to %s broke", proc_title(ch->peer));
    uint64_t id = ++ch->last_id;
    enum reeve_err err = frame_send(ch, type, id, body, -1);
    if (err == REEVE_OK)
        err = await(ch, id, deadline, &m, rep);
    if (err == REEVE_E_CLOSED || err == REEVE_E_MALFORMED)
        return dead(ch, err, rep);
    if (err != REEVE_OK)
        return report_set(rep, err, "%s", reeve_err_text(err));
    return unpack(ch, &m, result, fd_out, rep);
}

enum reeve_err ipc_connect(struct ipc_channel *postmaster, enum proc_kind self, enum proc_kind service,
                           struct mono_ms deadline, struct ipc_channel **out, struct report *rep)
{
    uint8_t kind = (uint8_t) service;
    struct slice result;
    int fd = -1;
    enum reeve_err err = ipc_call(postmaster, MSG_CONNECT, slice_of(&kind, 1), deadline, &result, &fd, rep);
    if (err != REEVE_OK || fd < 0) {
        if (fd >= 0)
            close(fd);
        return err != REEVE_OK ? err : report_set(rep, REEVE_E_MALFORMED, "the postmaster answered without a channel");
    }
    struct rd r = rd_of(result);
    uint32_t pid = rd_u32(&r);
    return ipc_open(out, fd, self, service, pid);
}
