/*
 * accept.c - what others open: listeners, who may come in, the greeting
 *
 * A stranger costs an accept, at most a handshake, and one of a few places. He
 * cannot keep a place: when all are taken the oldest one gives way, so that a
 * member, who needs a millisecond, comes in through any crowd. Addresses of
 * members have a rate of their own.
 */
#include "backend/peer/peer_int.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"

#define ACCEPT_BATCH 32
#define BACKLOG      256

/* ---- who may come in ---- */

static bool bucket_take(struct bucket *b, unsigned per_s, struct mono_ms now)
{
    int64_t full = (int64_t) per_s * 1000, gone = now.ms - b->at.ms;
    b->milli += (gone < 1000 ? gone : 1000) * per_s;
    b->milli = b->milli < full ? b->milli : full;
    b->at = now;
    if (b->milli < 1000)
        return false;
    b->milli -= 1000;
    return true;
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *) a)->sin_addr.s_addr == ((const struct sockaddr_in *) b)->sin_addr.s_addr;
    return a->ss_family == AF_INET6 && memcmp(&((const struct sockaddr_in6 *) a)->sin6_addr,
                                              &((const struct sockaddr_in6 *) b)->sin6_addr, 16) == 0;
}

static bool from_member(const struct peers *p, const struct sockaddr_storage *from)
{
    for (unsigned i = 0; i < p->n_peers; i++)
        for (int k = 0; k < PEER_PURPOSES; k++)
            for (unsigned a = 0; a < p->peer[i]->link[k].to.n; a++)
                if (same_host(&p->peer[i]->link[k].to.addr[a], from))
                    return true;
    return false;
}

static void crowd_out(struct peers *p)
{
    struct conn *oldest = NULL;
    for (struct conn *c = p->conns; c != NULL; c = c->next)
        if (c->role == &accepted_role && c->state < CONN_JOINING && (oldest == NULL || c->serial < oldest->serial))
            oldest = c;
    p->n.crowded_out++;
    if (oldest != NULL)
        peer_conn_close(oldest, "too many connections are opening");
}

static void take_in(struct peers *p, int fd, const struct sockaddr_storage *from, socklen_t from_len)
{
    char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";
    if (p->opening >= p->c.opening_max)
        crowd_out(p);
    peer_conn_set_options(fd, p->c.dead_ms);
    struct conn *c = peer_conn_new(p, fd, &accepted_role, CONN_SECURING, p->c.open_ms);
    if (c == NULL)
        return;
    p->opening++;
    p->n.accepted++;
    getnameinfo((const struct sockaddr *) from, from_len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(c->from, sizeof c->from, "%.50s:%.8s", host, port);
    if (tls_accept_new(&c->tls, p->server, fd) != REEVE_OK)
        peer_conn_close(c, "out of memory");
}

static void accept_pause(struct peers *p)
{
    log_limited(LOG_SEV_WARNING, "could not accept a connection of a member: %s", strerror(errno));
    p->paused = true;
    for (unsigned i = 0; i < p->n_listeners; i++)
        loop_io_events(p->loop, &p->listener[i], 0);
}

void accept_pause_end(struct peers *p)
{
    if (!p->paused)
        return;
    p->paused = false;
    for (unsigned i = 0; i < p->n_listeners; i++)
        loop_io_events(p->loop, &p->listener[i], EPOLLIN);
}

/* False: nobody else waits. */
static bool accept_one(struct peers *p, int listener)
{
    struct sockaddr_storage from = { 0 };
    socklen_t len = sizeof from;
    int fd = accept4(listener, (struct sockaddr *) &from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            accept_pause(p);
        return errno == ECONNABORTED || errno == EINTR;
    }
    bool member = from_member(p, &from);
    if (bucket_take(member ? &p->members : &p->strangers, member ? p->c.members_per_s : p->c.strangers_per_s, clock_mono())) {
        take_in(p, fd, &from, len);
        return true;
    }
    p->n.shed++;
    close(fd);
    log_limited(LOG_SEV_WARNING, "connections to the peer port are shed: more than %u a second",
                member ? p->c.members_per_s : p->c.strangers_per_s);
    return true;
}

static void on_listener(void *arg, uint32_t revents)
{
    struct peers *p = arg;
    (void) revents;
    peers_enter(p);
    for (unsigned k = 0; k < p->n_listeners; k++)
        for (int i = 0; i < ACCEPT_BATCH && !p->paused && accept_one(p, p->listener[k].fd); i++)
            ;
    peers_leave(p);
}

/* ---- listeners ---- */

static int listen_socket(const struct addrinfo *a)
{
    int on = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage a = { 0 };
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *) &a, &len) < 0)
        return 0;
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *) &a)->sin6_port : ((struct sockaddr_in *) &a)->sin_port);
}

static enum reeve_err listen_one(struct peers *p, const struct addrinfo *a, uint16_t *port, struct report *rep)
{
    if (p->n_listeners == LISTEN_MAX)
        return report_set(rep, REEVE_E_TOO_BIG, "too many addresses to listen on");
    int fd = listen_socket(a);
    if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
        return REEVE_E_NOT_FOUND;
    if (fd < 0)
        return report_set(rep, REEVE_E_CONFIG, "could not listen for members on port %u: %s", *port, strerror(errno));
    *port = port_of(fd);
    enum reeve_err err = loop_io_add(p->loop, &p->listener[p->n_listeners], fd, EPOLLIN, on_listener, p);
    if (err != REEVE_OK)
        close(fd);
    else
        p->n_listeners++;
    return err;
}

enum reeve_err peers_listen(struct peers *p, const char *host, uint16_t *port, struct report *rep)
{
    char text[8];
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list = NULL;
    unsigned before = p->n_listeners;
    enum reeve_err err = REEVE_OK;
    snprintf(text, sizeof text, "%u", *port);
    int r = getaddrinfo(host, text, &hints, &list);
    if (r != 0)
        return report_set(rep, REEVE_E_CONFIG, "could not resolve \"%s\": %s", host ? host : "*", gai_strerror(r));
    for (struct addrinfo *a = list; a != NULL && (err == REEVE_OK || err == REEVE_E_NOT_FOUND); a = a->ai_next)
        err = listen_one(p, a, port, rep);
    freeaddrinfo(list);
    if (err == REEVE_E_NOT_FOUND)       /* an address family that this machine does not have */
        err = p->n_listeners > before ? REEVE_OK : report_set(rep, REEVE_E_CONFIG, "there is no address to listen on");
    return err;
}

/* ---- the greeting ---- */

static void refuse(struct conn *c, uint8_t reason, const char *why)
{
    uint8_t mem[16];
    struct wr w = wr_fixed(mem, sizeof mem);
    c->p->n.refused++;
    peer_refused_encode(reason, &w);
    peer_conn_last_word(c, &w, why);
}

static bool known_key(const struct peers *p, const struct hash32 *key)
{
    for (unsigned i = 0; i < p->n_peers; i++)
        for (unsigned k = 0; k < p->peer[i]->n_names; k++)
            if (hash32_eq(&p->peer[i]->name[k].addr.key, key))
                return true;
    return false;
}

/* Strangers come this far only where somebody may join. */
static bool accepted_secured(struct conn *c)
{
    c->known = known_key(c->p, &c->key);
    if (c->known || c->p->ops.join_requested != NULL)
        return true;
    refuse(c, PEER_R_STRANGER, "its key is in no configuration");
    return false;
}

/* 0: welcome. */
static uint8_t judge(const struct conn *c, const struct peer_hello *h, const char **why)
{
    const struct peers *p = c->p;
    const struct peer *peer = peers_find(p, h->from);
    struct { bool bad; uint8_t reason; const char *why; } rules[] = {
        { h->ring != p->c.ring, PEER_R_RING, "it asks for another ring" },
        { h->to != p->c.id, PEER_R_NOT_ME, "it asks for another member" },
        { h->to_incarnation != p->c.incarnation, PEER_R_INCARNATION, "it asks for another incarnation of this member" },
        { peer == NULL, PEER_R_STRANGER, "the configuration does not name it" },
        { peer != NULL && !peers_name_matches(peer, NULL, h->from_incarnation), PEER_R_INCARNATION,
          "the configuration names another incarnation of it" },
        { peer != NULL && !peers_name_matches(peer, &c->key, h->from_incarnation), PEER_R_KEY,
          "the configuration names another key for it" },
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].bad) {
            *why = rules[i].why;
            return rules[i].reason;
        }
    return 0;
}

/* A second connection means that the dialer has given up the first. */
static void let_in(struct conn *c, const struct peer_hello *h)
{
    struct peers *p = c->p;
    struct peer *peer = peers_find(p, h->from);
    uint8_t conf_mem[RAFT_CONF_BYTES_MAX], mem[PEER_FRAME_HEAD + PEER_OPENING_MAX];
    struct wr conf = wr_fixed(conf_mem, sizeof conf_mem), w = wr_fixed(mem, sizeof mem);
    struct peer_welcome hi = { .version = PEER_VERSION, .id = p->c.id, .incarnation = p->c.incarnation };
    hi.conf = peers_conf_bytes(p, &conf, &hi.conf_index);
    peer_welcome_encode(&hi, &w);
    if (peer->in[h->purpose] != NULL) {
        peer->in[h->purpose]->quiet = true;
        peer_conn_close(peer->in[h->purpose], "a newer connection takes its place");
    }
    peer_conn_open_up(c);
    p->opening--;
    c->peer = peer;
    c->purpose = h->purpose;
    c->peer_incarnation = h->from_incarnation;
    peer->in[h->purpose] = c;
    peer_conn_put_small(c, &w);
    peer_link_hurry(&peer->link[h->purpose]);
    peers_learn(p, h->conf_index, h->conf);
}

static void hello(struct conn *c, struct slice body)
{
    struct peer_hello h;
    const char *why = NULL;
    enum reeve_err err = peer_hello_decode(&h, body);
    if (err != REEVE_OK) {
        c->p->n.misbehaved++;
        refuse(c, err == REEVE_E_UNSUPPORTED ? PEER_R_VERSION : PEER_R_MALFORMED,
               err == REEVE_E_UNSUPPORTED ? "no version in common" : "its greeting is malformed");
        return;
    }
    uint8_t reason = judge(c, &h, &why);
    if (reason != 0)
        refuse(c, reason, why);
    else
        let_in(c, &h);
}

static void accepted_frame(struct conn *c, uint8_t kind, struct slice body)
{
    if (c->state == CONN_UP)
        frames_accepted(c, kind, body);
    else if (c->state == CONN_OPENING && kind == PEER_F_HELLO)
        hello(c, body);
    else if (c->state == CONN_OPENING && kind == PEER_F_JOIN && c->p->ops.join_requested != NULL)
        join_serve(c, body);
    else
        refuse(c, PEER_R_MALFORMED, "it did not begin with a greeting");
}

static void accepted_closed(struct conn *c, const char *why)
{
    struct peers *p = c->p;
    if (c->state == CONN_JOINING)
        p->joining--;
    else if (c->state < CONN_JOINING)
        p->opening--;
    bool last = c->peer != NULL && c->peer->in[c->purpose] == c;
    if (last)
        c->peer->in[c->purpose] = NULL;
    if (c->quiet)
        return;
    if (last)                           /* all that it had sent is read, so this is the later and surer sign of its end */
        peers_dropped(c->peer, c->purpose);
    if (c->peer != NULL)
        log_limited(LOG_SEV_INFO, "connection of member %u from %s ended: %s", c->peer->id, c->from, why);
    else
        log_limited(LOG_SEV_WARNING, "connection to the peer port from %s closed: %s", c->from, why);
}

const struct conn_role accepted_role = { accepted_secured, accepted_frame, accepted_closed };
