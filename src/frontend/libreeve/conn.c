/*
 * conn.c - the life of a connection: attempts, deadlines, the end
 *
 * When to come back is engine/backoff's decision (reconnect window, full
 * jitter, RETRY_AFTER); this file only keeps the time.
 */
#include "agent_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void conn_init(struct conn *c)
{
    c->fd = -1;
    c->out = wr_heap(OUT_MAX);
}

static void close_socket(struct conn *c)
{
    if (c->tls != NULL) {
        tls_shutdown(c->tls);
        tls_free(c->tls);
        c->tls = NULL;
    }
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    free(c->in);
    c->in = NULL;
    c->in_len = c->in_cap = 0;
    wr_free(&c->out);
    c->out = wr_heap(OUT_MAX);
    c->out_off = 0;
    c->want_write = c->more_to_read = c->peeked = false;
    c->deadline_ms = 0;
}

void conn_drop(struct agent *a)
{
    if ((a->phase == AP_READY || a->phase == AP_LEAVING) && a->config_ms >= 0)
        cache_put_meta(a);              /* until now the values were confirmed */
    close_socket(&a->c);
    requests_reset(a);
    workloads_reset(a);
    a->list_open = a->list_known = a->snapshot_open = false;
    a->heartbeat_due_ms = a->subscribe_due_ms = NEVER_MS;
}

/* Ends it of our own will, as if it had been lost: within the window again. */
void conn_leave(struct agent *a)
{
    conn_drop(a);
    backoff_lost(&a->backoff, a->now.mono);
    plan_attempt(a, 0);
}

void plan_attempt(struct agent *a, int64_t at_least_ms)
{
    int64_t wait = backoff_delay(&a->backoff, (uint32_t) ag_random_ms(UINT32_MAX - 1));
    a->phase = AP_WAITING;
    a->attempt_ms = ag_mono(a) + (wait > at_least_ms ? wait : at_least_ms);
}

static void next_endpoint(struct agent *a)
{
    a->at_ep = (a->at_ep + 1) % a->n_ep;
}

void conn_lost(struct agent *a, const char *fmt, ...)
{
    va_list ap;
    if (a->phase == AP_HALTED || a->phase == AP_WAITING)
        return;
    if (a->phase == AP_LEAVING) {       /* GOAWAY has set the time of the next attempt */
        conn_drop(a);
        a->phase = AP_WAITING;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(a->last_error, sizeof a->last_error, fmt, ap);
    va_end(ap);
    bool was_ready = a->phase == AP_READY;
    ag_log(a, was_ready ? AGENT_LOG_WARNING : AGENT_LOG_INFO, "%s %s: %s",
           was_ready ? "lost" : "could not connect to", a->ep_text, a->last_error);
    if (was_ready)
        a->stats.losses++;
    conn_drop(a);
    backoff_lost(&a->backoff, a->now.mono);
    if (!was_ready) {
        a->ep[a->at_ep].failed++;
        next_endpoint(a);
    }
    plan_attempt(a, 0);
}

void conn_fail(struct agent *a, enum wire_code code, const char *why)
{
    struct wire_frame f = wire_frame_of(WF_ERROR);
    if (a->c.tls != NULL && a->phase > AP_TLS) {
        f.u.error.code = code;
        f.u.error.message = slice_str(why);
        if (conn_send(a, &f))
            (void) conn_write(a);
    }
    bool was_ready = a->phase == AP_READY;
    conn_lost(a, "closing: %s", why);
    if (was_ready)
        next_endpoint(a);               /* whoever sent that is not asked again at once */
}

/* ---- an attempt ---- */

void conn_open(struct agent *a)
{
    const struct endpoint *e = &a->ep[a->at_ep];
    snprintf(a->ep_text, sizeof a->ep_text, "%s:%s", e->host, e->port);
    a->phase = AP_CONNECTING;
    a->stats.connects++;
    a->c.serial++;
    a->c.since_ms = a->c.heard_ms = a->c.sent_ms = ag_mono(a);
    a->c.deadline_ms = ag_mono(a) + CONNECT_MS;
    a->c.fd = endpoint_connect(a, e);
    if (a->c.fd < 0) {
        char why[sizeof a->last_error];
        snprintf(why, sizeof why, "%s", a->last_error);
        conn_lost(a, "%s", why);
    }
}

static bool is_name(const char *host)
{
    return strspn(host, "0123456789.") != strlen(host) && strchr(host, ':') == NULL;
}

static void start_tls(struct agent *a)
{
    int e = 0;
    socklen_t len = sizeof e;
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof peer;
    if (getsockopt(a->c.fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0 || e != 0) {
        conn_lost(a, "%s", strerror(e ? e : errno));
        return;
    }
    if (getpeername(a->c.fd, (struct sockaddr *) &peer, &peer_len) != 0)
        return;                         /* still on its way */
    const char *host = a->ep[a->at_ep].host;
    if (tls_connect_new(&a->c.tls, a->tls, a->c.fd, is_name(host) ? host : NULL) != REEVE_OK) {
        conn_lost(a, "no memory for TLS");
        return;
    }
    if (a->session.len > 0 && tls_session_set(a->c.tls, wr_slice(&a->session)) != REEVE_OK)
        wr_reset(&a->session);
    a->phase = AP_TLS;
    a->c.deadline_ms = ag_mono(a) + HANDSHAKE_MS;
}

/* A loaded gateway answers 8 plaintext bytes in place of a ServerHello. False: wait, or the connection is gone. */
static bool peek(struct agent *a)
{
    uint8_t b[WIRE_RETRY_LEN];
    ssize_t n = recv(a->c.fd, b, sizeof b, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;                    /* nothing came yet: let TLS send its part */
    if (n <= 0) {
        conn_lost(a, "closed before TLS");
        return false;
    }
    a->c.peeked = true;
    if (b[0] != 0x52)
        return true;
    int64_t ms = n == WIRE_RETRY_LEN ? wire_retry_decode(slice_of(b, (size_t) n)) : -1;
    if (ms >= 0)
        backoff_retry_after(&a->backoff, (uint32_t) ms);
    conn_lost(a, "the gateway is busy: %lld ms", (long long) ms);
    return false;
}

static void handshake(struct agent *a)
{
    if (!a->c.peeked && !peek(a))
        return;
    enum tls_result r = tls_handshake(a->c.tls);
    a->c.want_write = r == TLS_WANT_WRITE;
    if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
        return;
    if (r != TLS_OK) {
        wr_reset(&a->session);          /* should it be to blame */
        conn_lost(a, "TLS: %s", tls_error(a->c.tls));
        return;
    }
    a->stats.resumed += tls_resumed(a->c.tls);
    a->c.deadline_ms = ag_mono(a) + OPENING_MS;
    session_hello(a);
}

void conn_run(struct agent *a)
{
    if (a->phase == AP_WAITING && ag_mono(a) >= a->attempt_ms)
        conn_open(a);
    if (a->phase == AP_CONNECTING)
        start_tls(a);
    if (a->phase == AP_TLS)
        handshake(a);
    if (a->phase > AP_TLS && a->phase < AP_HALTED && conn_read(a))
        (void) conn_write(a);
}

void conn_flush(struct agent *a)
{
    if (a->phase > AP_TLS && a->phase < AP_HALTED && a->c.out.len > a->c.out_off)
        (void) conn_write(a);
}

static void keep_session(struct agent *a)
{
    struct wr w = wr_heap(8192);
    if (a->c.tls != NULL && tls_session_get(a->c.tls, &w) == REEVE_OK &&
        !slice_eq(wr_slice(&w), wr_slice(&a->session))) {
        secret_wipe(a->session.p, a->session.len);
        wr_free(&a->session);
        a->session = w;
        cache_put_session(a);
        return;
    }
    secret_wipe(w.p, w.len);
    wr_free(&w);
}

void conn_ready(struct agent *a)
{
    a->phase = AP_READY;
    a->c.deadline_ms = 0;
    a->heartbeat_due_ms = ag_mono(a) + ag_random_ms(a->heartbeat_ms);
    ag_log(a, AGENT_LOG_INFO, "connected to %s, region %s, ordinal %u", a->ep_text, a->region.s, a->ordinal);
    keep_session(a);
    gossip_ready(a);
    session_subscribe(a);
    for (struct slot *s = a->slots; s != NULL; s = s->next)
        if (s->report_reqid != 0)
            s->report_due = true;
}

/* ---- time ---- */

static void heartbeat(struct agent *a)
{
    struct wire_frame f = wire_frame_of(WF_HEARTBEAT);
    int64_t interval = a->heartbeat_ms;
    if (ag_mono(a) - a->c.sent_ms >= interval / 2 && !conn_send(a, &f))
        return;
    a->heartbeat_due_ms = ag_mono(a) + interval * 8 / 10 + ag_random_ms(interval * 4 / 10);
    keep_session(a);
}

/* Connected, but the chain stands still as far as this gateway says: another may know more. */
static bool chain_silent(const struct agent *a)
{
    int64_t since = a->header_ms > a->c.since_ms ? a->header_ms : a->c.since_ms;
    return a->n_ep > 1 && ag_mono(a) - since >= 3 * (int64_t) a->tick_ms;
}

static void ready_timers(struct agent *a)
{
    int64_t now = ag_mono(a);
    if (now - a->c.heard_ms >= 3 * (int64_t) a->heartbeat_ms) {
        conn_lost(a, "silent for three heartbeats");
    } else if (chain_silent(a)) {
        next_endpoint(a);
        conn_lost(a, "no newer header for three intervals");
    } else {
        if (now >= a->heartbeat_due_ms)
            heartbeat(a);
        if (now >= a->subscribe_due_ms)
            session_subscribe(a);
    }
}

void conn_timers(struct agent *a)
{
    bool over = a->c.deadline_ms != 0 && ag_mono(a) >= a->c.deadline_ms;
    if (over || (a->phase == AP_LEAVING && a->n_cert_rq + a->n_report_rq == 0))
        conn_lost(a, "no answer in time");
    if (a->phase == AP_READY)
        ready_timers(a);
}

int64_t conn_deadline(const struct agent *a)
{
    int64_t at = NEVER_MS;
    if (a->c.more_to_read)
        return ag_mono(a);
    if (a->phase == AP_WAITING)
        return a->attempt_ms;
    if (a->c.deadline_ms != 0)
        at = a->c.deadline_ms;
    if (a->phase != AP_READY)
        return at;
    int64_t silent = a->c.heard_ms + 3 * (int64_t) a->heartbeat_ms;
    at = silent < at ? silent : at;
    at = a->heartbeat_due_ms < at ? a->heartbeat_due_ms : at;
    return a->subscribe_due_ms < at ? a->subscribe_due_ms : at;
}
