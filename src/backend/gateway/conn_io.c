/* conn_io.c - bytes of a connection: handshake, reading frames, the queue out */
#include "backend/gateway/gateway_int.h"

#include <stdlib.h>

static uint32_t events_of(const struct conn *c)
{
    uint32_t e = 0;
    if (!c->paused && c->phase != CP_CLOSING)
        e |= EPOLLIN;
    if (c->out_head != NULL)
        e |= EPOLLOUT;
    return e;
}

static void update_events(struct conn *c)
{
    if (c->phase != CP_DEAD && c->phase != CP_TLS && c->io.events != events_of(c))
        loop_io_events(c->g->loop, &c->io, events_of(c));
}

/* ---- out ---- */

static void queue_pop(struct conn *c)
{
    struct outq *q = c->out_head;
    c->out_head = q->next;
    if (c->out_head == NULL)
        c->out_tail = &c->out_head;
    c->out_bytes -= q->p->len;
    c->out_own -= q->push ? 0 : q->p->len + GW_SEND_OVERHEAD;
    c->out_off = 0;
    payload_unref(q->p);
    free(q);
}

/* False: the connection is gone. */
static bool flush(struct conn *c)
{
    while (c->out_head != NULL) {
        struct payload *p = c->out_head->p;
        size_t n;
        enum tls_result r = tls_write(c->tls, p->b + c->out_off, p->len - c->out_off, &n);
        if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
            break;
        if (r != TLS_OK) {
            conn_close(c, "the agent is gone");
            return false;
        }
        c->wrote = loop_now(c->g->loop);
        c->out_off += (uint32_t) n;
        if (c->out_off == p->len)
            queue_pop(c);
    }
    slow_note(c);
    if (c->out_head == NULL && c->phase == CP_CLOSING) {
        conn_close(c, NULL);
        return false;
    }
    update_events(c);
    return true;
}

static void enqueue(struct conn *c, struct payload *p, bool push)
{
    struct outq *q = c->phase != CP_DEAD && p != NULL ? malloc(sizeof *q) : NULL;
    if (q == NULL) {
        payload_unref(p);
        conn_close(c, "out of memory");         /* or closed already */
        return;
    }
    if (c->out_head == NULL)
        c->wrote = loop_now(c->g->loop);
    *q = (struct outq){ p, NULL, push };
    *c->out_tail = q;
    c->out_tail = &q->next;
    c->out_bytes += p->len;
    c->out_own += push ? 0 : p->len + GW_SEND_OVERHEAD;
    slow_note(c);
    if (c->out_head == q)
        flush(c);
}

void conn_send(struct conn *c, struct payload *p)
{
    uint64_t cap = (uint64_t) gw_setting(c->g, SET_agent_connection_bytes_max);
    if (p != NULL && c->phase < CP_CLOSING && c->out_own + p->len + GW_SEND_OVERHEAD > cap)
        slow_act(c);
    enqueue(c, p, false);
}

void conn_push(struct conn *c, struct payload *p)
{
    enqueue(c, p, true);
}

void conn_send_frame(struct conn *c, const struct wire_frame *f)
{
    if (c->phase != CP_DEAD)
        conn_send(c, payload_of_frame(f));
}

static struct slice cut(const char *s, size_t max)
{
    size_t n = strlen(s);
    return slice_of(s, n < max ? n : max);
}

void conn_reply_error(struct conn *c, uint64_t reqid, enum wire_code code, uint8_t retry, uint32_t after_ms,
                      const char *why)
{
    struct wire_frame f = wire_frame_of(WF_ERROR);
    if (c->phase <= CP_TLS || c->phase >= CP_CLOSING)
        return;
    f.head.flags = reqid ? WIRE_REQID : 0;
    f.head.reqid = reqid;
    f.u.error.code = code;
    f.u.error.retry = retry;
    f.u.error.after_ms = after_ms;
    f.u.error.message = cut(why, 200);
    conn_send_frame(c, &f);
}

void conn_reply_retry(struct conn *c, uint64_t reqid, uint32_t after_ms, uint8_t reason)
{
    struct wire_frame f = wire_frame_of(WF_RETRY_AFTER);
    if (c->phase <= CP_TLS || c->phase >= CP_CLOSING)
        return;
    f.head.flags = reqid ? WIRE_REQID : 0;
    f.head.reqid = reqid;
    f.u.retry_after.after_ms = after_ms;
    f.u.retry_after.spread_ms = after_ms;
    f.u.retry_after.reason = reason;
    conn_send_frame(c, &f);
}

/* ---- in ---- */

static bool keep(struct conn *c, struct slice rest)
{
    if (rest.len == 0) {
        free(c->in);
        c->in = NULL;
        c->in_len = c->in_cap = 0;
        return true;
    }
    if (c->in != NULL && rest.p >= c->in && rest.p <= c->in + c->in_cap) {
        memmove(c->in, rest.p, rest.len);
        c->in_len = (uint32_t) rest.len;
        return true;
    }
    uint8_t *p = malloc(rest.len);
    if (p == NULL) {
        conn_close(c, "out of memory");
        return false;
    }
    memcpy(p, rest.p, rest.len);
    c->in = p;
    c->in_len = c->in_cap = (uint32_t) rest.len;
    return true;
}

static size_t frame_limit(const struct conn *c)
{
    return c->phase == CP_READY ? (size_t) gw_setting(c->g, SET_agent_frame_max) : WIRE_FRAME_PRE_AUTH;
}

/* Handles every whole frame of data and keeps the rest. False: the connection is gone or closing. */
static bool take_frames(struct conn *c, struct slice data)
{
    while (data.len > 0 && !c->paused) {
        size_t total;
        enum reeve_err err = wire_frame_len(data, frame_limit(c), &total);
        if (err == REEVE_E_AGAIN)
            break;
        if (err != REEVE_OK) {
            conn_fail(c, wire_error_of(err), 0, 0, err == REEVE_E_TOO_BIG ? "oversized frame" : "malformed frame");
            return false;
        }
        if (dispatch_frame(c, slice_of(data.p, total)) == H_LATER) {
            if (c->phase < CP_CLOSING)
                conn_pause(c, true);
            break;
        }
        if (c->phase >= CP_CLOSING)
            return false;
        data = slice_of(data.p + total, data.len - total);
    }
    return c->phase < CP_CLOSING && keep(c, data);
}

/* Room behind the bytes kept; the whole buffer stays below the frame limit plus one read. */
static bool make_room(struct conn *c)
{
    if (c->in_cap - c->in_len >= 4096)
        return true;
    size_t cap = (size_t) c->in_len * 2 < 16384 ? 16384 : (size_t) c->in_len * 2;
    size_t max = frame_limit(c) + GW_SCRATCH;
    cap = cap < max ? cap : max;
    if (cap <= c->in_len) {
        conn_close(c, "too many bytes of one frame");
        return false;
    }
    uint8_t *p = realloc(c->in, cap);
    if (p == NULL) {
        conn_close(c, "out of memory");
        return false;
    }
    c->in = p;
    c->in_cap = (uint32_t) cap;
    return true;
}

/* One read. 1 go on, 0 nothing more for now, -1 gone. */
static int read_once(struct conn *c)
{
    size_t n;
    bool direct = c->in_len == 0;
    if (!direct && !make_room(c))
        return -1;
    uint8_t *to = direct ? c->g->scratch : c->in + c->in_len;
    size_t cap = direct ? sizeof c->g->scratch : c->in_cap - c->in_len;
    enum tls_result r = tls_read(c->tls, to, cap, &n);
    if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
        return 0;
    if (r != TLS_OK) {
        conn_close(c, r == TLS_EOF ? "the agent closed it" : tls_error(c->tls));
        return -1;
    }
    c->heard = loop_now(c->g->loop);
    if (!direct)
        c->in_len += (uint32_t) n;
    return take_frames(c, direct ? slice_of(to, n) : slice_of(c->in, c->in_len)) ? 1 : -1;
}

static void read_some(struct conn *c)
{
    for (int i = 0; i < GW_READ_ROUNDS; i++) {
        if (c->paused)
            return;
        int r = read_once(c);
        if (r <= 0)
            return;
    }
    /* TLS may hold bytes that the socket no longer shows: come back without waiting for it. */
    if (!c->busy) {
        c->busy = true;
        c->busy_next = c->g->busy;
        c->g->busy = c;
        loop_post(c->g->loop, &c->g->busy_task);
    }
}

void conn_busy_run(void *arg)
{
    struct gateway *g = arg;
    struct conn *list = g->busy;
    g->busy = NULL;
    while (list != NULL) {
        struct conn *c = list;
        list = c->busy_next;
        c->busy = false;
        if (c->phase == CP_DEAD || c->phase == CP_CLOSING)
            continue;
        if (c->in_len > 0 && !take_frames(c, slice_of(c->in, c->in_len)))
            continue;
        if (!c->paused)
            read_some(c);
        update_events(c);
    }
}

void conn_pause(struct conn *c, bool paused)
{
    if (c->phase == CP_DEAD || c->paused == paused)
        return;
    c->paused = paused;
    update_events(c);
    if (!paused && !c->busy) {
        c->busy = true;
        c->busy_next = c->g->busy;
        c->g->busy = c;
        loop_post(c->g->loop, &c->g->busy_task);
    }
}

/* ---- handshake ---- */

static void handshake(struct conn *c)
{
    struct gateway *g = c->g;
    enum tls_result r = tls_handshake(c->tls);
    if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
        loop_io_events(g->loop, &c->io, r == TLS_WANT_READ ? EPOLLIN : EPOLLOUT);
        return;
    }
    if (r != TLS_OK) {
        char peer[64];
        conn_peer_text(c, peer);
        log_limited(LOG_SEV_INFO, "agent %s: TLS handshake failed: %s", peer, tls_error(c->tls));
        conn_close(c, "TLS handshake failed");
        return;
    }
    admission_done(&g->admission, loop_now(g->loop), loop_now(g->loop).ms - c->born.ms);
    conn_phase_set(c, CP_HELLO, GW_AUTH_MS);
    update_events(c);
    read_some(c);
}

void conn_on_io(void *arg, uint32_t revents)
{
    struct conn *c = arg;
    if (c->phase == CP_DEAD)
        return;
    if (c->phase == CP_TLS) {
        handshake(c);
        return;
    }
    bool had = c->out_head != NULL;
    if ((revents & EPOLLOUT) != 0 && !flush(c))
        return;
    if ((revents & EPOLLIN) != 0 && c->phase != CP_CLOSING && !c->paused)
        read_some(c);
    if (c->phase != CP_DEAD && (revents & (EPOLLERR | EPOLLHUP)) != 0 && (revents & EPOLLIN) == 0) {
        conn_close(c, "the agent is gone");
        return;
    }
    if (c->phase == CP_READY && had && c->out_head == NULL)
        follow_catch_up(c, false);
    update_events(c);
}
