/* channel.c - life of a channel and its place in the event loop. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/ipc/ipc_int.h"

#define READS_PER_WAKE 8                /* then others have their turn */

/* ---- life ---- */

enum reeve_err ipc_open(struct ipc_channel **out, int fd, enum proc_kind self, enum proc_kind peer, uint32_t peer_pid)
{
    struct ipc_channel *ch = calloc(1, sizeof *ch);
    int flags = fcntl(fd, F_GETFL);
    if (ch == NULL || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        free(ch);
        close(fd);
        return ch == NULL ? REEVE_E_NOMEM : REEVE_E_IO;
    }
    ch->fd = fd;
    ch->self = self;
    ch->peer = peer;
    ch->peer_pid = peer_pid;
    ch->refs = 1;
    ch->owned = true;
    ch->out_end = &ch->out;
    *out = ch;
    return REEVE_OK;
}

struct ipc_channel *ipc_ref(struct ipc_channel *ch)
{
    ch->refs++;
    return ch;
}

void ipc_unref(struct ipc_channel *ch)
{
    if (ch == NULL || --ch->refs > 0)
        return;
    reeve_assert(ch->fd < 0);
    frame_free(ch);
    free(ch->pending);
    free(ch);
}

/* Leaves the loop and the socket; pending requests end. The object stays. */
static void go_dead(struct ipc_channel *ch)
{
    if (ch->loop != NULL)
        loop_io_del(ch->loop, &ch->io);
    close(ch->fd);
    ch->fd = -1;
    request_fail_all(ch);
}

void ipc_close(struct ipc_channel *ch)
{
    if (ch == NULL || !ch->owned)
        return;
    ch->owned = false;
    if (ch->fd >= 0)
        go_dead(ch);
    ipc_unref(ch);
}

/* The peer or the protocol ended it. */
static void fail(struct ipc_channel *ch)
{
    if (!ch->owned)
        return;
    ch->owned = false;
    go_dead(ch);
    if (ch->handler.closed != NULL)
        ch->handler.closed(ch->handler.arg, ch, ch->why);
    ipc_unref(ch);
}

/* ---- in the loop ---- */

uint32_t channel_wanted_events(const struct ipc_channel *ch)
{
    return (ch->paused ? 0u : (uint32_t) EPOLLIN) | (ch->out != NULL ? (uint32_t) EPOLLOUT : 0u);
}

static void update_events(struct ipc_channel *ch)
{
    if (ch->loop != NULL && ch->fd >= 0)
        loop_io_events(ch->loop, &ch->io, channel_wanted_events(ch));
}

static void deliver(struct ipc_channel *ch, struct ipc_msg *m)
{
    if (m->type == MSG_REPLY)
        request_answered(ch, m);
    else if (ch->handler.message != NULL)
        ch->handler.message(ch->handler.arg, ch, m);
    if (m->fd >= 0)
        close(m->fd);
}

/* Hands out every whole frame that has arrived; OK ends in AGAIN. */
static enum reeve_err deliver_all(struct ipc_channel *ch)
{
    struct ipc_msg m;
    enum reeve_err err = REEVE_OK;
    while (ch->fd >= 0 && !ch->paused && (err = frame_next(ch, &m)) == REEVE_OK)
        deliver(ch, &m);
    return err;
}

static enum reeve_err read_some(struct ipc_channel *ch)
{
    enum reeve_err err = REEVE_OK;
    for (int i = 0; i < READS_PER_WAKE; i++) {
        err = deliver_all(ch);
        if (err != REEVE_OK && err != REEVE_E_AGAIN)
            return err;
        if (ch->fd < 0 || ch->paused)
            break;
        if ((err = frame_read(ch)) != REEVE_OK)
            return err == REEVE_E_AGAIN || ch->fd < 0 ? REEVE_E_AGAIN : err;
    }
    if (ch->fd >= 0 && !ch->paused)
        err = deliver_all(ch);
    return err == REEVE_OK ? REEVE_E_AGAIN : err;
}

/* err is AGAIN while all is well; may end the channel. */
static void settle(struct ipc_channel *ch, enum reeve_err err)
{
    if (err != REEVE_E_AGAIN && ch->fd >= 0) {
        if (ch->why[0] == '\0')
            snprintf(ch->why, sizeof ch->why, "%s", err == REEVE_E_CLOSED ? "closed by its peer" : reeve_err_text(err));
        fail(ch);
    }
    update_events(ch);
    ipc_unref(ch);
}

static void on_event(void *arg, uint32_t revents)
{
    struct ipc_channel *ch = ipc_ref(arg);
    enum reeve_err err = REEVE_E_AGAIN;
    if (revents & EPOLLOUT)
        err = frame_flush(ch) == REEVE_OK ? REEVE_E_AGAIN : REEVE_E_CLOSED;
    if (err == REEVE_E_AGAIN && (revents & EPOLLIN))
        err = read_some(ch);
    /* A hang-up with nothing more to read: EPOLLIN accompanies it unless reading is paused. */
    if (err == REEVE_E_AGAIN && (revents & (EPOLLHUP | EPOLLERR)) && !(revents & EPOLLIN))
        err = REEVE_E_CLOSED;
    settle(ch, err);
}

/* Whole frames may lie in memory, for which no event will come. */
static void on_resume(void *arg)
{
    struct ipc_channel *ch = arg;
    settle(ch, ch->fd >= 0 ? read_some(ch) : REEVE_E_AGAIN);
}

enum reeve_err ipc_attach(struct ipc_channel *ch, struct loop *loop, const struct ipc_handler *handler)
{
    reeve_assert(ch->loop == NULL);
    if (ch->fd < 0)
        return REEVE_E_CLOSED;
    ch->handler = *handler;
    enum reeve_err err = loop_io_add(loop, &ch->io, ch->fd, channel_wanted_events(ch), on_event, ch);
    if (err == REEVE_OK)
        ch->loop = loop;
    return err;
}

void ipc_pause(struct ipc_channel *ch, bool paused)
{
    bool resumed = ch->paused && !paused;
    ch->paused = paused;
    update_events(ch);
    if (resumed && ch->loop != NULL && ch->fd >= 0 && !ch->resume.queued) {
        ch->resume = (struct loop_task){ .fn = on_resume, .arg = ipc_ref(ch) };
        loop_post(ch->loop, &ch->resume);
    }
}

/* ---- sending ---- */

enum reeve_err ipc_send(struct ipc_channel *ch, enum msg_type type, struct slice body, int fd)
{
    enum reeve_err err = frame_send(ch, type, 0, body, fd);
    update_events(ch);
    return err;
}

/* A peer that waits for an answer it will never get must hear that: the channel ends (in the loop, later). */
static void reply(struct ipc_channel *ch, uint64_t id, struct slice body, int fd)
{
    if (id == 0 || ch->fd < 0)
        return;
    enum reeve_err err = frame_send(ch, MSG_REPLY, id, body, fd);
    if (err != REEVE_OK && err != REEVE_E_CLOSED) {
        snprintf(ch->why, sizeof ch->why, "a reply could not be queued: %s", reeve_err_text(err));
        shutdown(ch->fd, SHUT_RDWR);
    }
    update_events(ch);
}

static void put_head(struct wr *w, enum reeve_err err, const char *message, const char *detail, const char *hint)
{
    wr_u16(w, (uint16_t) err);
    wr_str16(w, slice_str(message));
    wr_str16(w, slice_str(detail));
    wr_str16(w, slice_str(hint));
}

void ipc_reply_fd(struct ipc_channel *ch, uint64_t id, struct slice result, int fd)
{
    struct wr w = wr_heap(IPC_BODY_MAX);
    put_head(&w, REEVE_OK, "", "", "");
    wr_bytes(&w, result.p, result.len);
    if (w.bad)
        ipc_reply_err(ch, id, REEVE_E_TOO_BIG, NULL);
    else
        reply(ch, id, wr_slice(&w), fd);
    wr_free(&w);
}

void ipc_reply(struct ipc_channel *ch, uint64_t id, struct slice result)
{
    ipc_reply_fd(ch, id, result, -1);
}

void ipc_reply_err(struct ipc_channel *ch, uint64_t id, enum reeve_err err, const struct report *rep)
{
    uint8_t mem[2 + 3 * (2 + 512)];
    struct wr w = wr_fixed(mem, sizeof mem);
    bool told = rep != NULL && rep->message[0] != '\0';
    put_head(&w, err, told ? rep->message : reeve_err_text(err), told ? rep->detail : "", told ? rep->hint : "");
    reply(ch, id, wr_slice(&w), -1);
}

/* ---- questions about a channel ---- */

enum proc_kind ipc_peer(const struct ipc_channel *ch) { return ch->peer; }
uint32_t ipc_peer_pid(const struct ipc_channel *ch) { return ch->peer_pid; }
bool ipc_is_open(const struct ipc_channel *ch) { return ch->fd >= 0; }
int ipc_fd(const struct ipc_channel *ch) { return ch->fd; }
size_t ipc_queued(const struct ipc_channel *ch) { return ch->out_bytes; }
void ipc_set_user(struct ipc_channel *ch, void *user) { ch->user = user; }
void *ipc_user(const struct ipc_channel *ch) { return ch->user; }
