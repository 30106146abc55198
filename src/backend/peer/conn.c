/* conn.c - one connection: TLS on a socket, frames in, the queue out, and its end */
#include "backend/peer/peer_int.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/utils/clock.h"

#define UNSENT_BYTES (128 * 1024)       /* what waits, waits in our queue, where a heartbeat can overtake it */
#define OPENING_IN   4096

static void on_io(void *arg, uint32_t revents);

/* ---- beginning and end ---- */

void peer_conn_set_options(int fd, uint32_t dead_ms)
{
    int on = 1, unsent = UNSENT_BYTES;
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms);
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

static void on_deadline(void *arg)
{
    struct conn *c = arg;
    struct peers *p = c->p;
    static const char *const doing[] = { "it was not connected", "TLS was not agreed", "nothing was said", "there was no answer" };
    peers_enter(p);
    peer_conn_close(c, "%s in time", doing[c->state < CONN_UP ? c->state : 0]);
    peers_leave(p);
}

static void list_in(struct conn *c, struct conn **list)
{
    c->next = *list;
    c->at = list;
    if (c->next != NULL)
        c->next->at = &c->next;
    *list = c;
}

static void list_out(struct conn *c)
{
    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
}

static void conn_free(struct conn *c)
{
    sendq_end(&c->q);
    free(c->in);
    free(c);
}

struct conn *peer_conn_new(struct peers *p, int fd, const struct conn_role *role, uint8_t state, int64_t open_ms)
{
    struct conn *c = calloc(1, sizeof *c);
    uint32_t events = state == CONN_CONNECTING ? EPOLLOUT : EPOLLIN;
    if (c == NULL) {
        close(fd);
        return NULL;
    }
    *c = (struct conn){ .p = p, .role = role, .fd = fd, .state = state, .in_max = PEER_OPENING_MAX, .in_cap = OPENING_IN,
                        .serial = ++p->serial };
    c->in = malloc(c->in_cap);
    if (!sendq_init(&c->q) || c->in == NULL ||
        loop_timer_in(p->loop, &c->deadline, open_ms, on_deadline, c) != REEVE_OK ||
        loop_io_add(p->loop, &c->io, fd, events, on_io, c) != REEVE_OK) {
        loop_timer_cancel(p->loop, &c->deadline);
        conn_free(c);
        close(fd);
        return NULL;
    }
    list_in(c, &p->conns);
    p->n_conns++;
    return c;
}

void peer_conn_close(struct conn *c, const char *fmt, ...)
{
    struct peers *p = c->p;
    char why[160];
    va_list ap;
    if (c->dead)
        return;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    c->dead = true;
    loop_timer_cancel(p->loop, &c->deadline);
    loop_io_del(p->loop, &c->io);
    if (c->tls != NULL) {
        tls_shutdown(c->tls);
        tls_free(c->tls);
        c->tls = NULL;
    }
    close(c->fd);
    list_out(c);
    p->n_conns--;
    c->role->closed(c, why);
    list_in(c, &p->dead);
    peers_soon(p);
}

void peer_conns_reap(struct peers *p)
{
    while (p->dead != NULL) {
        struct conn *c = p->dead;
        list_out(c);
        conn_free(c);
    }
}

void peer_conn_open_up(struct conn *c)
{
    c->in_least = IN_BYTES;             /* later: a frame of the buffer that is there is being read */
    c->in_max = PEER_FRAME_MAX;
    c->state = CONN_UP;
    c->heard = c->wrote = clock_mono();
    loop_timer_cancel(c->p->loop, &c->deadline);
}

/* ---- out ---- */

void peer_conn_put(struct conn *c, struct frame *f, enum urgent u)
{
    if (sendq_put(&c->q, f, u) && c->peer != NULL && (u == U_HEARTBEAT || u == U_HEARTBEAT_REPLY))
        c->peer->counts[c->purpose].replaced++;
    c->dirty = true;
}

void peer_conn_put_small(struct conn *c, const struct wr *bytes)
{
    struct frame *f = bytes->bad ? NULL : out_frame_new(bytes->len, bytes->len);
    if (f == NULL) {
        peer_conn_close(c, "out of memory");
        return;
    }
    wr_bytes(&f->w, bytes->p, bytes->len);
    peer_conn_put(c, f, NOT_URGENT);
}

void peer_conn_last_word(struct conn *c, const struct wr *bytes, const char *why)
{
    peer_conn_put_small(c, bytes);
    peer_conn_flush(c);                      /* little on a fresh connection: it goes out whole, or is not missed */
    peer_conn_close(c, "%s", why);
}

static size_t budget(const struct conn *c)
{
    return c->purpose == PEER_BULK ? BUDGET_BULK : BUDGET_LOG;
}

static void wrote(struct conn *c, size_t n)
{
    sendq_wrote(&c->q, n);
    c->wrote = loop_now(c->p->loop);
    if (c->peer != NULL)
        c->peer->counts[c->purpose].bytes_out += n;
}

/* What is left is written when the socket takes it; the budget leaves the others their turn. */
void peer_conn_flush(struct conn *c)
{
    struct slice piece;
    size_t n, left = budget(c);
    c->dirty = false;
    if (c->dead || c->state < CONN_OPENING)
        return;
    while (sendq_piece(&c->q, &piece)) {
        if (c->q.took_ping) {
            c->ping_at = loop_now(c->p->loop);
            c->q.took_ping = false;
        }
        enum tls_result r = left > 0 ? tls_write(c->tls, piece.p, piece.len, &n) : TLS_WANT_WRITE;
        if (r == TLS_WANT_WRITE || r == TLS_WANT_READ) {
            loop_io_events(c->p->loop, &c->io, EPOLLIN | EPOLLOUT);
            return;
        }
        if (r != TLS_OK) {
            peer_conn_close(c, "writing: %s", tls_error(c->tls));
            return;
        }
        wrote(c, n);
        left -= n < left ? n : left;
    }
    loop_io_events(c->p->loop, &c->io, EPOLLIN);
}

/* ---- in ---- */

static bool make_room(struct conn *c, size_t size)
{
    if (size <= c->in_cap)
        return true;
    uint8_t *in = realloc(c->in, size);
    if (in == NULL) {
        peer_conn_close(c, "out of memory");
        return false;
    }
    c->in = in;
    c->in_cap = size;
    return true;
}

/* Every whole frame that is there; what is left moves to the front. False: the connection is closed. */
static bool take_frames(struct conn *c)
{
    size_t at = 0, size = 0;
    while (!c->dead) {
        uint8_t kind;
        struct slice body;
        enum reeve_err err = peer_frame_next(slice_of(c->in + at, c->in_len - at), c->in_max, &kind, &body, &size);
        if (err == REEVE_E_AGAIN)
            break;
        if (err != REEVE_OK) {
            c->p->n.misbehaved++;
            peer_conn_close(c, "it sent a frame that is %s", err == REEVE_E_TOO_BIG ? "too big" : "malformed");
            return false;
        }
        c->role->frame(c, kind, body);
        at += size;
    }
    if (c->dead)
        return false;
    if (at > 0)                         /* else a large frame would be moved onto itself with each record of it */
        memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
    return make_room(c, size > c->in_least ? size : c->in_least);
}

static void came(struct conn *c, size_t n)
{
    c->in_len += n;
    c->heard = loop_now(c->p->loop);
    if (c->peer != NULL)
        c->peer->counts[c->purpose].bytes_in += n;
}

/* Once; false: nothing is there, or it is closed. */
static bool read_some(struct conn *c, size_t *left)
{
    size_t n;
    enum tls_result r = tls_read(c->tls, c->in + c->in_len, c->in_cap - c->in_len, &n);
    if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
        return false;
    if (r != TLS_OK) {
        peer_conn_close(c, r == TLS_EOF ? "it closed the connection%s" : "reading: %s", r == TLS_EOF ? "" : tls_error(c->tls));
        return false;
    }
    came(c, n);
    *left -= n < *left ? n : *left;
    return take_frames(c);
}

/* Its turn is over: what TLS holds back is not in the socket, and epoll does not tell of it. */
static void read_on_later(struct conn *c)
{
    if (tls_pending(c->tls)) {
        c->again = true;
        peers_soon(c->p);
    }
}

/* Until nothing is left; the socket itself need not be asked again, epoll tells. */
static void conn_read(struct conn *c)
{
    size_t left = budget(c);
    bool more = read_some(c, &left);
    while (more && left > 0 && tls_pending(c->tls))
        more = read_some(c, &left);
    if (more)
        read_on_later(c);
}

bool peer_conn_drain(struct conn *c)
{
    size_t left = budget(c);
    bool more = read_some(c, &left);
    while (more && left > 0)
        more = read_some(c, &left);
    if (more)
        read_on_later(c);
    return !more;
}

void peer_conn_resume(struct conn *c)
{
    c->again = false;
    if (!c->dead)
        conn_read(c);
}

/* ---- opening ---- */

static bool secure(struct conn *c)
{
    enum tls_result r = tls_handshake(c->tls);
    if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
        loop_io_events(c->p->loop, &c->io, r == TLS_WANT_READ ? EPOLLIN : EPOLLOUT);
        return false;
    }
    if (r != TLS_OK || tls_peer_key(c->tls, &c->key) != REEVE_OK) {
        peer_conn_close(c, "TLS: %s", r == TLS_OK ? "it showed no certificate" : tls_error(c->tls));
        return false;
    }
    c->state = CONN_OPENING;
    loop_io_events(c->p->loop, &c->io, EPOLLIN);
    return c->role->secured(c);
}

static bool connected(struct conn *c)
{
    int code = 0;
    socklen_t len = sizeof code;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
        code = errno;
    if (code != 0) {
        peer_conn_close(c, "could not connect: %s", strerror(code));
        return false;
    }
    if (tls_connect_new(&c->tls, c->p->client, c->fd, NULL) != REEVE_OK) {
        peer_conn_close(c, "out of memory");
        return false;
    }
    c->state = CONN_SECURING;
    return true;
}

static void on_io(void *arg, uint32_t revents)
{
    struct conn *c = arg;
    struct peers *p = c->p;
    peers_enter(p);
    bool on = true;
    if (c->state == CONN_CONNECTING)
        on = connected(c);
    if (on && c->state == CONN_SECURING)
        on = secure(c);
    if (on && (revents & EPOLLOUT) && c->state >= CONN_OPENING)
        peer_conn_flush(c);
    if (on && !c->dead && c->state >= CONN_OPENING)
        conn_read(c);
    peers_leave(p);
}
