/* frame.c - from socket bytes to checked frames and back; see ipc.h for the format. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/ipc/ipc_int.h"

#define LEN_MIN  12u                    /* type, flags, id */
#define IN_MIN   16384u

struct out_frame {
    struct out_frame *next;
    int fd;                             /* to go with the first byte; -1 none */
    size_t len, sent;
    uint8_t bytes[];
};

static enum reeve_err refuse(struct ipc_channel *ch, const char *what, unsigned type)
{
    snprintf(ch->why, sizeof ch->why, "%s (message %s from %s %u)", what, msg_name(type), proc_title(ch->peer),
             ch->peer_pid);
    return REEVE_E_MALFORMED;
}

/* ---- in ---- */

/* Length of the frame at in_at, 0 while its length field is incomplete. */
static size_t frame_len(const struct ipc_channel *ch)
{
    if (ch->in_len - ch->in_at < 4)
        return 0;
    struct rd r = rd_of(slice_of(ch->in + ch->in_at, 4));
    return 4 + (size_t) rd_u32(&r);
}

static bool len_ok(size_t len)
{
    return len >= 4 + LEN_MIN && len <= IPC_HEADER_LEN + IPC_BODY_MAX;
}

/* Room for the rest of the frame that is arriving, at least one byte. */
static enum reeve_err in_room(struct ipc_channel *ch)
{
    frame_done(ch);
    size_t want = frame_len(ch);
    if (want != 0 && !len_ok(want))
        return refuse(ch, "frame of impossible length", MSG_NONE);
    if (want < IN_MIN)
        want = IN_MIN;
    if (want <= ch->in_cap && ch->in_len < ch->in_cap)
        return REEVE_OK;
    uint8_t *in = realloc(ch->in, want);
    if (in == NULL)
        return REEVE_E_NOMEM;
    ch->in = in;
    ch->in_cap = want;
    return REEVE_OK;
}

static enum reeve_err keep_fds(struct ipc_channel *ch, struct msghdr *mh)
{
    enum reeve_err err = REEVE_OK;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (ch->n_fds < IPC_FDS_MAX) {
                ch->fds[ch->n_fds++] = fd;
            } else {
                close(fd);
                err = refuse(ch, "too many descriptors", MSG_NONE);
            }
        }
    }
    return mh->msg_flags & MSG_CTRUNC ? refuse(ch, "descriptors cut off", MSG_NONE) : err;
}

enum reeve_err frame_read(struct ipc_channel *ch)
{
    union {
        struct cmsghdr align;
        char mem[CMSG_SPACE(IPC_FDS_MAX * sizeof(int))];
    } control;
    enum reeve_err err = in_room(ch);
    if (err != REEVE_OK)
        return err;
    struct iovec iov = { ch->in + ch->in_len, ch->in_cap - ch->in_len };
    struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.mem, .msg_controllen = sizeof control.mem };
    ssize_t n = recvmsg(ch->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return REEVE_E_AGAIN;
    if (n <= 0) {
        snprintf(ch->why, sizeof ch->why, "%s", n == 0 ? "closed by its peer" : strerror(errno));
        return REEVE_E_CLOSED;
    }
    ch->in_len += (size_t) n;
    return keep_fds(ch, &mh);
}

void frame_done(struct ipc_channel *ch)
{
    if (ch->in_at == 0)
        return;
    memmove(ch->in, ch->in + ch->in_at, ch->in_len - ch->in_at);
    ch->in_len -= ch->in_at;
    ch->in_at = 0;
}

static enum reeve_err take_fd(struct ipc_channel *ch, unsigned type, unsigned flags, int *fd)
{
    bool may = msg_carries_fd(type) || (type == MSG_REPLY && ch->peer == PROC_POSTMASTER);
    bool must = msg_carries_fd(type);
    *fd = -1;
    if ((flags & IPC_F_FD) == 0)
        return must ? refuse(ch, "descriptor missing", type) : REEVE_OK;
    if (!may)
        return refuse(ch, "unexpected descriptor", type);
    if (ch->n_fds == 0)
        return refuse(ch, "descriptor missing", type);
    *fd = ch->fds[0];
    memmove(ch->fds, ch->fds + 1, --ch->n_fds * sizeof ch->fds[0]);
    return REEVE_OK;
}

enum reeve_err frame_next(struct ipc_channel *ch, struct ipc_msg *m)
{
    size_t len = frame_len(ch);
    if (len == 0)
        return REEVE_E_AGAIN;
    if (!len_ok(len))
        return refuse(ch, "frame of impossible length", MSG_NONE);
    if (ch->in_len - ch->in_at < len)
        return REEVE_E_AGAIN;
    struct rd r = rd_of(slice_of(ch->in + ch->in_at + 4, len - 4));
    unsigned type = rd_u16(&r), flags = rd_u16(&r);
    m->id = rd_u64(&r);
    if ((flags & ~IPC_F_FD) != 0)
        return refuse(ch, "unknown flags", type);
    if (!msg_allowed(type, ch->peer, ch->self))
        return refuse(ch, "message not allowed", type);
    if (type == MSG_REPLY && m->id == 0)
        return refuse(ch, "reply to nothing", type);
    enum reeve_err err = take_fd(ch, type, flags, &m->fd);
    if (err != REEVE_OK)
        return err;
    m->type = (enum msg_type) type;
    m->body = rd_bytes(&r, rd_left(&r));
    ch->in_at += len;
    /* A descriptor that came with bytes of no frame that wants one is nobody's. */
    if (ch->in_at == ch->in_len && ch->n_fds > 0)
        return refuse(ch, "unexpected descriptor", type);
    return REEVE_OK;
}

/* ---- out ---- */

/* Bytes the socket took; 0 when it is full, -1 when it is broken. */
static ssize_t push(struct ipc_channel *ch, struct iovec *iov, size_t n_iov, int fd)
{
    union {
        struct cmsghdr align;
        char mem[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr mh = { .msg_iov = iov, .msg_iovlen = n_iov };
    if (fd >= 0) {
        mh.msg_control = control.mem;
        mh.msg_controllen = sizeof control.mem;
        struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
        *c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n = sendmsg(ch->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS))
        return 0;
    return n;
}

static void out_pop(struct ipc_channel *ch)
{
    struct out_frame *f = ch->out;
    ch->out = f->next;
    if (ch->out == NULL)
        ch->out_end = &ch->out;
    ch->out_bytes -= f->len;
    if (f->fd >= 0)
        close(f->fd);
    free(f);
}

enum reeve_err frame_flush(struct ipc_channel *ch)
{
    while (ch->out != NULL) {
        struct out_frame *f = ch->out;
        struct iovec iov = { f->bytes + f->sent, f->len - f->sent };
        ssize_t n = push(ch, &iov, 1, f->fd);
        if (n < 0)
            return REEVE_E_CLOSED;
        if (n == 0)
            return REEVE_OK;
        if (f->fd >= 0) {
            close(f->fd);
            f->fd = -1;
        }
        f->sent += (size_t) n;
        if (f->sent == f->len)
            out_pop(ch);
    }
    return REEVE_OK;
}

/* Keeps what the socket did not take of header and body. */
static enum reeve_err enqueue(struct ipc_channel *ch, const uint8_t *head, struct slice body, size_t sent, int fd)
{
    size_t len = IPC_HEADER_LEN + body.len;
    struct out_frame *f = malloc(sizeof *f + len);
    if (f == NULL)
        return REEVE_E_NOMEM;
    *f = (struct out_frame){ .fd = -1, .len = len, .sent = sent };
    if (fd >= 0 && sent == 0 && (f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
        free(f);
        return REEVE_E_NOMEM;
    }
    memcpy(f->bytes, head, IPC_HEADER_LEN);
    if (body.len > 0)
        memcpy(f->bytes + IPC_HEADER_LEN, body.p, body.len);
    *ch->out_end = f;
    ch->out_end = &f->next;
    ch->out_bytes += len;
    return REEVE_OK;
}

enum reeve_err frame_send(struct ipc_channel *ch, enum msg_type type, uint64_t id, struct slice body, int fd)
{
    if (ch->fd < 0)
        return REEVE_E_CLOSED;
    if (body.len > IPC_BODY_MAX)
        return REEVE_E_TOO_BIG;
    if (ch->out_bytes + body.len > IPC_QUEUE_MAX)
        return REEVE_E_BUSY;
    uint8_t head[IPC_HEADER_LEN];
    struct wr w = wr_fixed(head, sizeof head);
    wr_u32(&w, (uint32_t) (LEN_MIN + body.len));
    wr_u16(&w, (uint16_t) type);
    wr_u16(&w, fd >= 0 ? IPC_F_FD : 0);
    wr_u64(&w, id);
    size_t sent = 0;
    if (ch->out == NULL) {
        struct iovec iov[2] = { { head, sizeof head }, { (void *) (uintptr_t) body.p, body.len } };
        ssize_t n = push(ch, iov, body.len > 0 ? 2 : 1, fd);
        if (n < 0)
            return REEVE_E_CLOSED;
        sent = (size_t) n;
    }
    if (sent == IPC_HEADER_LEN + body.len)
        return REEVE_OK;
    enum reeve_err err = enqueue(ch, head, body, sent, fd);
    /* Half a frame is out and the rest cannot follow: the stream is lost. */
    if (err != REEVE_OK && sent > 0)
        shutdown(ch->fd, SHUT_RDWR);
    return err;
}

void frame_free(struct ipc_channel *ch)
{
    while (ch->out != NULL)
        out_pop(ch);
    while (ch->n_fds > 0)
        close(ch->fds[--ch->n_fds]);
    free(ch->in);
    ch->in = NULL;
    ch->in_len = ch->in_cap = ch->in_at = 0;
}
