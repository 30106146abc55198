/* pqcomm.c - socket, TLS and queues of one client; see the header. */
#include "backend/libpq/pqcomm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/tcop/session.h"
#include "crypto/hash.h"

#define IN_FIRST 8192
#define FLUSH_WHEN_OVER 65536
#define FILL_AHEAD 65536

enum reeve_err pq_init(struct pq_conn *c, int fd, const char *spool_dir)
{
    *c = (struct pq_conn){ .fd = fd, .in_max = PQ_FRAME_MAX + 16 };
    spool_init(&c->out, spool_dir, PQ_OUT_MEM_MAX);
    c->msg = wr_heap(PQ_MESSAGE_MAX);
    c->in = malloc(IN_FIRST);
    c->in_cap = IN_FIRST;
    if (c->in == NULL)
        return REEVE_E_NOMEM;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? REEVE_OK : REEVE_E_IO;
}

void pq_free(struct pq_conn *c)
{
    if (c->tls != NULL) {
        if (!c->dead)
            tls_shutdown(c->tls);
        tls_free(c->tls);
    }
    if (c->in != NULL)
        secret_wipe(c->in, c->in_cap);
    free(c->in);
    spool_free(&c->out);
    wr_free(&c->msg);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static enum reeve_err die(struct pq_conn *c, const char *why)
{
    if (!c->dead)
        snprintf(c->why, sizeof c->why, "%s", why);
    c->dead = true;
    return REEVE_E_CLOSED;
}

/* ---- waiting ---- */

static int left_ms(struct mono_ms deadline)
{
    if (deadline.ms == 0)
        return -1;
    int64_t left = deadline.ms - session_mono_now().ms;
    return left <= 0 ? 0 : left > 3600000 ? 3600000 : (int) left;
}

static bool shutting_down(const struct pq_conn *c) { return c->signals != NULL && c->signals->die; }

/* OK when the socket is ready, AGAIN when time is up or a signal came. */
static enum reeve_err wait_for(struct pq_conn *c, short events, struct mono_ms deadline)
{
    struct pollfd p[2] = {
        { .fd = c->fd, .events = events },
        { .fd = c->signals ? c->signals->wake_fd : -1, .events = POLLIN },
    };
    int n = poll(p, 2, left_ms(deadline));
    if (n < 0 && errno != EINTR)
        return die(c, "poll failed");
    if (n > 0 && p[1].revents) {
        uint64_t count;
        (void) !read(p[1].fd, &count, sizeof count);
    }
    return n > 0 && p[0].revents ? REEVE_OK : REEVE_E_AGAIN;
}

/* ---- in ---- */

static enum reeve_err in_room(struct pq_conn *c)
{
    if (c->in_off > 0) {
        memmove(c->in, c->in + c->in_off, c->in_len - c->in_off);
        c->in_len -= c->in_off;
        c->in_off = 0;
    }
    if (c->in_len < c->in_cap)
        return REEVE_OK;
    size_t cap = c->in_cap * 2 < c->in_max ? c->in_cap * 2 : c->in_max;
    uint8_t *p = cap > c->in_cap ? malloc(cap) : NULL;
    if (p == NULL)
        return die(c, "out of memory for input");
    /* Not realloc: a password may stand here and must not stay behind. */
    memcpy(p, c->in, c->in_len);
    secret_wipe(c->in, c->in_cap);
    free(c->in);
    c->in = p;
    c->in_cap = cap;
    return REEVE_OK;
}

static enum reeve_err read_plain(struct pq_conn *c, size_t *n)
{
    ssize_t got = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
    if (got > 0) {
        *n = (size_t) got;
        return REEVE_OK;
    }
    c->eof = got == 0;
    if (got == 0 || errno == EINTR || errno == EAGAIN)
        return REEVE_E_AGAIN;
    return die(c, errno == ECONNRESET ? "connection reset by peer" : "read failed");
}

static enum reeve_err read_tls(struct pq_conn *c, size_t *n)
{
    switch (tls_read(c->tls, c->in + c->in_len, c->in_cap - c->in_len, n)) {
    case TLS_OK:
        return REEVE_OK;
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        return REEVE_E_AGAIN;
    case TLS_EOF:
        c->eof = true;
        return REEVE_E_AGAIN;
    case TLS_FAIL:
        break;
    }
    return die(c, tls_error(c->tls));
}

/* One read of what is there: OK, AGAIN (also with eof), CLOSED. */
static enum reeve_err read_once(struct pq_conn *c)
{
    size_t n = 0;
    if (c->dead || c->eof)
        return c->dead ? REEVE_E_CLOSED : REEVE_E_AGAIN;
    enum reeve_err err = in_room(c);
    if (err == REEVE_OK)
        err = c->tls ? read_tls(c, &n) : read_plain(c, &n);
    c->in_len += n;
    c->received += n;
    return err;
}

/* Whose words wait already is ahead of us, and there may be more of them, each in a TLS record of its own. */
enum reeve_err pq_fill_now(struct pq_conn *c)
{
    enum reeve_err err = REEVE_OK;
    while (err == REEVE_OK && pq_have(c).len < FILL_AHEAD)
        err = read_once(c);
    if (err != REEVE_OK && err != REEVE_E_AGAIN && pq_have(c).len > 0) {
        c->dead = false;                /* what came before that is heard to its end, and then it is found again */
        c->eof = true;
        err = REEVE_OK;
    }
    return err == REEVE_E_AGAIN ? REEVE_OK : err;
}

/* What came before the client's end is heard to its end. */
static enum reeve_err none(struct pq_conn *c, enum reeve_err err)
{
    if (err != REEVE_E_AGAIN || !c->eof)
        return err;
    c->dead = true;                     /* why: nothing, or what pq_fill_now() met */
    return REEVE_E_CLOSED;
}

enum reeve_err pq_fill(struct pq_conn *c, struct mono_ms deadline)
{
    enum reeve_err err = none(c, read_once(c));
    if (err == REEVE_OK)
        return pq_fill_now(c);
    if (err != REEVE_E_AGAIN)
        return err;
    err = wait_for(c, POLLIN, deadline);
    return err == REEVE_OK ? none(c, read_once(c)) : err;
}

bool pq_more(const struct pq_conn *c)
{
    uint8_t type;
    struct slice body;
    size_t used;
    return frame_message(pq_have(c), PQ_FRAME_MAX, &type, &body, &used) == REEVE_OK;
}

void pq_drop(struct pq_conn *c, size_t len)
{
    reeve_assert(len <= c->in_len - c->in_off);
    c->in_off += len;
}


static enum reeve_err bad_frame(struct pq_conn *c, enum reeve_err err, const char *what)
{
    snprintf(c->why, sizeof c->why, "%s %s", err == REEVE_E_TOO_BIG ? "oversized" : "invalid", what);
    return err;
}

enum reeve_err pq_next(struct pq_conn *c, size_t max, struct mono_ms deadline, uint8_t *type, struct slice *body)
{
    for (;;) {
        size_t used;
        enum reeve_err err = frame_message(pq_have(c), max, type, body, &used);
        if (err == REEVE_OK) {
            pq_drop(c, used);
            return REEVE_OK;
        }
        if (err != REEVE_E_AGAIN)
            return bad_frame(c, err, "frame");
        err = pq_fill(c, deadline);
        if (err != REEVE_OK)
            return err;
    }
}

enum reeve_err pq_next_startup(struct pq_conn *c, struct mono_ms deadline, struct slice *body)
{
    for (;;) {
        size_t used;
        enum reeve_err err = frame_startup(pq_have(c), body, &used);
        if (err == REEVE_OK) {
            pq_drop(c, used);
            return REEVE_OK;
        }
        if (err != REEVE_E_AGAIN)
            return bad_frame(c, err, "start-up packet");
        err = pq_fill(c, deadline);
        if (err != REEVE_OK)
            return err;
    }
}

enum reeve_err pq_peek_tls(struct pq_conn *c, struct mono_ms deadline, bool *is_tls)
{
    for (;;) {
        uint8_t first;
        ssize_t n = recv(c->fd, &first, 1, MSG_PEEK);
        *is_tls = n == 1 && first == 0x16;
        if (n == 1)
            return REEVE_OK;
        if (n == 0)
            return die(c, "");
        if (errno != EAGAIN && errno != EINTR)
            return die(c, "read failed");
        enum reeve_err err = wait_for(c, POLLIN, deadline);
        if (err != REEVE_OK)
            return err;
    }
}

bool pq_gone(struct pq_conn *c)
{
    struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };
    return c->dead || (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
}

/* ---- TLS ---- */

static enum reeve_err handshake(struct pq_conn *c, struct mono_ms deadline)
{
    for (;;) {
        enum reeve_err err;
        switch (tls_handshake(c->tls)) {
        case TLS_OK:
            return REEVE_OK;
        case TLS_WANT_READ:
            err = wait_for(c, POLLIN, deadline);
            break;
        case TLS_WANT_WRITE:
            err = wait_for(c, POLLOUT, deadline);
            break;
        case TLS_EOF:
            return die(c, "client left during the TLS handshake");
        default:
            return die(c, tls_error(c->tls));
        }
        if (err != REEVE_OK)
            return err;
    }
}

enum reeve_err pq_tls_start(struct pq_conn *c, struct tls_ctx *ctx, struct mono_ms deadline)
{
    reeve_assert(c->tls == NULL && pq_have(c).len == 0);    /* C3 */
    enum reeve_err err = tls_accept_new(&c->tls, ctx, c->fd);
    if (err == REEVE_OK)
        err = handshake(c, deadline);
    if (err == REEVE_E_AGAIN)
        return die(c, "TLS handshake took too long");
    return err;
}

/* ---- out ---- */

struct wr *pq_begin(struct pq_conn *c, uint8_t type)
{
    wr_reset(&c->msg);
    wr_u8(&c->msg, type);
    c->msg_at = c->msg.len;
    wr_u32(&c->msg, 0);
    return &c->msg;
}

void pq_cstr(struct wr *w, const char *s) { wr_bytes(w, s, strlen(s) + 1); }

static enum reeve_err put(struct pq_conn *c, const void *p, size_t len)
{
    if (c->dead)
        return REEVE_OK;    /* C2 */
    enum reeve_err err = spool_put(&c->out, p, len);
    if (err == REEVE_OK && spool_len(&c->out) > FLUSH_WHEN_OVER)
        pq_flush_some(c);
    return err;
}

enum reeve_err pq_end(struct pq_conn *c)
{
    if (c->msg.bad)
        return REEVE_E_TOO_COMPLEX;
    wr_patch_u32(&c->msg, c->msg_at, (uint32_t) (c->msg.len - c->msg_at));
    return put(c, c->msg.p, c->msg.len);
}

enum reeve_err pq_put_byte(struct pq_conn *c, uint8_t b) { return put(c, &b, 1); }

static enum reeve_err write_plain(struct pq_conn *c, struct slice s, size_t *n)
{
    ssize_t put_n = send(c->fd, s.p, s.len, MSG_NOSIGNAL);
    *n = put_n > 0 ? (size_t) put_n : 0;
    if (put_n >= 0 || errno == EINTR)
        return REEVE_OK;
    return errno == EAGAIN ? REEVE_E_AGAIN : die(c, "write failed");
}

static enum reeve_err write_tls(struct pq_conn *c, struct slice s, size_t *n)
{
    switch (tls_write(c->tls, s.p, s.len, n)) {
    case TLS_OK:
        return REEVE_OK;
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        *n = 0;
        return REEVE_E_AGAIN;
    default:
        return die(c, tls_error(c->tls));
    }
}

/* OK when the queue is empty, AGAIN when the socket is full. */
static enum reeve_err write_queue(struct pq_conn *c)
{
    while (!c->dead && spool_len(&c->out) > 0) {
        struct slice s;
        size_t n = 0;
        enum reeve_err err = spool_peek(&c->out, &s);
        if (err != REEVE_OK)
            return die(c, "reading queued output failed");
        err = c->tls ? write_tls(c, s, &n) : write_plain(c, s, &n);
        if (err != REEVE_OK)
            return err;
        spool_skip(&c->out, n);
    }
    return c->dead ? REEVE_E_CLOSED : REEVE_OK;
}

void pq_flush_some(struct pq_conn *c) { (void) !write_queue(c); }

enum reeve_err pq_flush(struct pq_conn *c)
{
    struct mono_ms give_up = { 0 };
    for (;;) {
        enum reeve_err err = write_queue(c);
        if (err != REEVE_E_AGAIN)
            return err;
        if (shutting_down(c) && give_up.ms == 0)
            give_up.ms = session_mono_now().ms + 1000;
        if (give_up.ms != 0 && session_mono_now().ms >= give_up.ms)
            return die(c, "the client did not take its answer before shutdown");
        err = wait_for(c, POLLOUT, give_up);
        if (err == REEVE_E_CLOSED)
            return err;
    }
}
