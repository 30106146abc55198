/* conn.c - the life of a connection: slots, phases, deadlines, closing */
#include "backend/gateway/gateway_int.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define NODE_BUCKETS 16384

/* ---- slots: a small number for each connection, with a generation ---- */

static bool slots_grow(struct gateway *g)
{
    uint32_t n = g->n_slots ? g->n_slots * 2 : 256;
    struct conn **s = realloc(g->slots, n * sizeof *s);
    if (s != NULL)
        g->slots = s;
    uint32_t *gen = realloc(g->slot_gen, n * sizeof *gen);
    if (gen != NULL)
        g->slot_gen = gen;
    if (s == NULL || gen == NULL)
        return false;
    memset(s + g->n_slots, 0, (n - g->n_slots) * sizeof *s);
    memset(gen + g->n_slots, 0, (n - g->n_slots) * sizeof *gen);
    g->n_slots = n;
    return true;
}

static bool slot_take(struct gateway *g, struct conn *c)
{
    uint32_t at = g->free_hint;
    while (at < g->n_slots && g->slots[at] != NULL)
        at++;
    if (at == g->n_slots && !slots_grow(g))
        return false;
    g->slots[at] = c;
    g->free_hint = at + 1;
    c->ref = (struct conn_ref){ at, ++g->slot_gen[at] };
    return true;
}

static void slot_free(struct gateway *g, struct conn *c)
{
    g->slots[c->ref.slot] = NULL;
    if (c->ref.slot < g->free_hint)
        g->free_hint = c->ref.slot;
}

struct conn *conn_of(struct gateway *g, struct conn_ref ref)
{
    if (ref.slot >= g->n_slots || g->slots[ref.slot] == NULL || g->slot_gen[ref.slot] != ref.gen)
        return NULL;
    return g->slots[ref.slot];
}

/* ---- by node id ---- */

static struct conn **bucket(struct gateway *g, const struct node_id *id)
{
    uint32_t h;
    memcpy(&h, id->b, sizeof h);        /* the id is a hash already */
    return &g->by_node[h & g->by_node_mask];
}

struct conn *conn_of_node(struct gateway *g, const struct node_id *id)
{
    for (struct conn *c = *bucket(g, id); c != NULL; c = c->hash_next)
        if (memcmp(c->id.b, id->b, sizeof id->b) == 0)
            return c;
    return NULL;
}

static void unindex(struct conn *c)
{
    struct conn **at = bucket(c->g, &c->id);
    while (*at != NULL && *at != c)
        at = &(*at)->hash_next;
    if (*at == c)
        *at = c->hash_next;
}

void conn_index_node(struct conn *c)
{
    struct conn *old = conn_of_node(c->g, &c->id);
    if (old == c)
        return;
    if (old != NULL) {
        struct wire_frame f = wire_frame_of(WF_GOAWAY);
        f.u.goaway.reason = 3;
        unindex(old);
        conn_send_frame(old, &f);
        conn_close(old, "replaced by a newer connection of the node");
    }
    struct conn **at = bucket(c->g, &c->id);
    c->hash_next = *at;
    *at = c;
}

/* ---- life ---- */

bool conns_init(struct gateway *g)
{
    g->by_node = calloc(NODE_BUCKETS, sizeof *g->by_node);
    g->by_node_mask = NODE_BUCKETS - 1;
    return g->by_node != NULL;
}

static void link_conn(struct gateway *g, struct conn *c)
{
    c->next = g->conns;
    if (g->conns != NULL)
        g->conns->prev = c;
    g->conns = c;
    g->n_conns++;
    g->n_opening++;
}

struct conn *conn_new(struct gateway *g, int fd)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->g = g;
    c->out_tail = &c->out_head;
    c->born = c->heard = c->wrote = loop_now(g->loop);
    c->deadline.ms = c->born.ms + GW_HANDSHAKE_MS;
    if (tls_accept_new(&c->tls, g->tls, fd) != REEVE_OK || !slot_take(g, c)) {
        tls_free(c->tls);
        free(c);
        return NULL;
    }
    if (loop_io_add(g->loop, &c->io, fd, EPOLLIN, conn_on_io, c) != REEVE_OK) {
        slot_free(g, c);
        tls_free(c->tls);
        free(c);
        return NULL;
    }
    link_conn(g, c);
    g->churn++;
    return c;
}

static bool opening(enum conn_phase p)
{
    return p < CP_READY;
}

void conn_phase_set(struct conn *c, enum conn_phase phase, int64_t deadline_ms)
{
    if (opening((enum conn_phase) c->phase) && !opening(phase))
        c->g->n_opening--;
    c->phase = (uint8_t) phase;
    c->deadline.ms = deadline_ms > 0 ? loop_now(c->g->loop).ms + deadline_ms : 0;
}

static void free_queue(struct conn *c)
{
    while (c->out_head != NULL) {
        struct outq *q = c->out_head;
        c->out_head = q->next;
        payload_unref(q->p);
        free(q);
    }
    c->out_tail = &c->out_head;
    c->out_bytes = c->out_own = 0;
}

static void unlink_conn(struct conn *c)
{
    struct gateway *g = c->g;
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        g->conns = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    g->n_conns--;
    slot_free(g, c);
}

void conn_close(struct conn *c, const char *why)
{
    struct gateway *g = c->g;
    if (c->phase == CP_DEAD)
        return;
    if (why != NULL && log_wants(LOG_SEV_DEBUG)) {
        char peer[64];
        conn_peer_text(c, peer);
        log_limited(LOG_SEV_DEBUG, "agent %s: connection closed: %s", peer, why);
    }
    if (c->enrolled)
        unindex(c);
    conn_phase_set(c, CP_DEAD, 0);
    int fd = c->io.fd;
    loop_io_del(g->loop, &c->io);
    tls_shutdown(c->tls);
    tls_free(c->tls);
    c->tls = NULL;
    close(fd);
    free_queue(c);
    unlink_conn(c);
    if (c->profile != NULL)
        profile_unref(g, c->profile);
    c->profile = NULL;
    c->next = g->dead;
    g->dead = c;
    loop_post(g->loop, &g->reap_task);
}

/* ---- refusing ---- */

static void finish(struct conn *c, const char *why)
{
    if (c->phase == CP_DEAD)
        return;
    conn_phase_set(c, CP_CLOSING, GW_CLOSING_MS);
    if (c->out_head == NULL)
        conn_close(c, why);
}

/* A limit for each code: a flood of one reason hides no other. */
#define CLOSING_SITES 64
static struct log_site closing_sites[CLOSING_SITES];

void conn_fail(struct conn *c, enum wire_code code, uint8_t retry, uint32_t after_ms, const char *why)
{
    char peer[64];
    if (c->phase >= CP_CLOSING)
        return;
    conn_peer_text(c, peer);
    if (log_site_allows(&closing_sites[code % CLOSING_SITES], LOG_SEV_INFO))
        log_info("agent %s: closing: %s (%s)", peer, why, wire_error_name(code));
    conn_reply_error(c, 0, code, retry, after_ms, why);
    finish(c, why);
}

void conn_retry_after(struct conn *c, uint32_t after_ms, uint8_t reason)
{
    if (c->phase >= CP_CLOSING)
        return;
    conn_reply_retry(c, 0, after_ms, reason);
    finish(c, "told to come back later");
}

/* ---- time ---- */

/* Bytes that this process has not come to read yet are a sign of life, too. */
static bool has_unread(const struct conn *c)
{
    uint8_t b;
    return recv(c->io.fd, &b, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void check_idle(struct conn *c, int64_t now, int64_t silent_ms)
{
    if (c->phase == CP_READY && now - c->heard.ms > silent_ms && !has_unread(c))
        conn_fail(c, WE_IDLE, 1, 0, "too long without a sign of life");
    else if (c->out_head != NULL && now - c->wrote.ms > GW_WRITE_STALL_MS)
        conn_close(c, "the agent does not read");
    else if (c->phase == CP_READY)
        slow_check(c);
}

void conn_sweep(struct gateway *g)
{
    int64_t now = loop_now(g->loop).ms;
    int64_t silent_ms = 3 * gw_setting(g, SET_agent_heartbeat_interval) + 1000;
    struct conn *next;
    for (struct conn *c = g->conns; c != NULL; c = next) {
        next = c->next;
        c->subscribes = c->subscribes > 0 ? c->subscribes - 1 : 0;
        c->heads = c->heads > 0 ? c->heads - 1 : 0;
        if (c->deadline.ms != 0 && now >= c->deadline.ms)
            conn_close(c, c->phase == CP_TLS ? "no TLS handshake in time" : "not authenticated in time");
        else
            check_idle(c, now, silent_ms);
    }
}

void conn_peer_text(const struct conn *c, char out[64])
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    snprintf(out, 64, "?");
    if (c->phase == CP_DEAD || getpeername(c->io.fd, (struct sockaddr *) &ss, &len) != 0)
        return;
    if (getnameinfo((struct sockaddr *) &ss, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(out, 64, "%.46s:%.8s", host, port);
}
