/* peers.c - whom we know, the turn of the loop around every callback */
#include "backend/peer/peer_int.h"

#include <stdlib.h>
#include <unistd.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/x509.h"

void peers_config_default(struct peers_config *c)
{
    *c = (struct peers_config){
        .alpn = PEER_ALPN,
        .queue_bytes = { 32u << 20, 8u << 20 }, .queue_frames = { 4096, 64 },
        .open_ms = 2000, .ping_ms = 250, .dead_ms = 3000, .retry_ms_min = 50, .retry_ms_max = 2000, .join_ms = 10000,
        .opening_max = 32, .members_per_s = 100, .strangers_per_s = 20,
    };
}

/* ---- the turn of the loop ---- */

static void flush_all(struct peers *p)
{
    for (struct conn *c = p->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->dirty)
            peer_conn_flush(c);
    }
}

static bool tell(struct peers *p, struct peer *peer)
{
    uint32_t id = peer->id;
    if (!peer->tell_lost && !peer->tell_up)
        return false;
    bool up = !peer->tell_lost;
    if (up)
        peer->tell_up = false;
    peer->tell_lost = false;
    p->ops.reachable(p->arg, id, up);   /* may change the configuration: peer may be gone */
    return true;
}

/* One at a time from the start, since each may change the table; what is lost is told before what stands again. */
static void tell_all(struct peers *p)
{
    for (unsigned told = 0; told < 2 * PEERS_MAX; told++) {
        unsigned i = 0;
        while (i < p->n_peers && !tell(p, p->peer[i]))
            i++;
        if (i == p->n_peers)
            return;
    }
    peers_soon(p);
}

void peers_flush(struct peers *p)
{
    if (p->depth == 0)                  /* else at the end of the turn */
        flush_all(p);
}

void peers_enter(struct peers *p) { p->depth++; }

void peers_leave(struct peers *p)
{
    if (p->depth == 1) {
        flush_all(p);
        tell_all(p);
        flush_all(p);
        peer_conns_reap(p);
    }
    p->depth--;
}

static void on_soon(void *arg)
{
    struct peers *p = arg;
    peers_enter(p);
    for (struct conn *c = p->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (!c->again)
            continue;
        peer_conn_resume(c);
        if (c->dead)                    /* others may have gone with it: what is left comes in the next turn */
            break;
    }
    peers_leave(p);
}

void peers_soon(struct peers *p)
{
    if (!loop_timer_is_set(&p->soon) && loop_timer_in(p->loop, &p->soon, 0, on_soon, p) != REEVE_OK)
        log_limited(LOG_SEV_ERROR, "links between members: out of memory");
}

/* Messages come on what was accepted; a callback may end other connections, so each is looked up anew. */
static struct conn *unread(struct peers *p, uint64_t turn)
{
    for (struct conn *c = p->conns; c != NULL; c = c->next)
        if (c->state == CONN_UP && c->link == NULL && c->turn != turn)
            return c;
    return NULL;
}

bool peers_read(struct peers *p)
{
    bool all = true;
    uint64_t turn = ++p->turns;
    reeve_assert(p->depth == 0);
    peers_enter(p);
    for (struct conn *c; (c = unread(p, turn)) != NULL;) {
        c->turn = turn;
        all &= peer_conn_drain(c);
    }
    peers_leave(p);
    return all;
}

/* A process that stood still itself has not heard anybody, and must not blame them. */
static void forgive(struct peers *p, struct mono_ms now)
{
    for (struct conn *c = p->conns; c != NULL; c = c->next) {
        c->heard = c->wrote = now;
        if (c->ping_at.ms != 0)
            c->ping_at = now;
    }
}

static void on_tick(void *arg)
{
    struct peers *p = arg;
    struct mono_ms now = clock_mono();
    peers_enter(p);
    if (now.ms - p->ticked.ms > 3 * (int64_t) p->c.ping_ms + 100)
        forgive(p, now);
    p->ticked = now;
    accept_pause_end(p);
    for (struct conn *c = p->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->state == CONN_UP)
            ping_check(c, now);
    }
    if (loop_timer_in(p->loop, &p->tick, p->c.ping_ms, on_tick, p) != REEVE_OK)
        log_error("links between members: out of memory");
    peers_leave(p);
}

/* ---- whom we know ---- */

struct peer *peers_find(const struct peers *p, uint32_t id)
{
    for (unsigned i = 0; i < p->n_peers; i++)
        if (p->peer[i]->id == id)
            return p->peer[i];
    return NULL;
}

/* key NULL: any. */
bool peers_name_matches(const struct peer *peer, const struct hash32 *key, uint64_t incarnation)
{
    for (unsigned i = 0; i < peer->n_names; i++)
        if (peer->name[i].incarnation == incarnation && (key == NULL || hash32_eq(&peer->name[i].addr.key, key)))
            return true;
    return false;
}

static bool name_known(const struct peer *peer, const struct raft_member *m)
{
    for (unsigned i = 0; i < peer->n_names; i++)
        if (peer->name[i].incarnation == m->incarnation &&
            slice_eq(slice_of(peer->name[i].text, peer->name[i].text_len), slice_of(m->addr, m->addr_len)))
            return true;
    return false;
}

static void name_add(struct peer *peer, const struct raft_member *m)
{
    struct peer_name *n = &peer->name[peer->n_names];
    if (peer->n_names == NAMES_MAX || name_known(peer, m))
        return;
    if (peer_addr_parse(&n->addr, slice_of(m->addr, m->addr_len)) != REEVE_OK) {
        log_limited(LOG_SEV_ERROR, "the address of member %u cannot be used: \"%.*s\"", m->id, (int) m->addr_len, m->addr);
        return;
    }
    n->incarnation = m->incarnation;
    n->text_len = m->addr_len;
    memcpy(n->text, m->addr, m->addr_len);
    peer->n_names++;
}

static struct peer *peer_new(struct peers *p, uint32_t id)
{
    struct peer *peer = p->n_peers < PEERS_MAX ? calloc(1, sizeof *peer) : NULL;
    if (peer == NULL) {
        log_error("no link to member %u: out of memory", id);
        return NULL;
    }
    peer->p = p;
    peer->id = id;
    for (uint8_t i = 0; i < PEER_PURPOSES; i++)
        peer_link_init(&peer->link[i], peer, i);
    unsigned at = p->n_peers++;
    for (; at > 0 && p->peer[at - 1]->id > id; at--)
        p->peer[at] = p->peer[at - 1];
    p->peer[at] = peer;
    return peer;
}

static void names_from(struct peers *p, const struct raft_conf *conf)
{
    for (uint16_t i = 0; i < conf->n; i++) {
        const struct raft_member *m = &conf->m[i];
        if (m->id == p->c.id)
            continue;
        struct peer *peer = peers_find(p, m->id);
        if (peer == NULL)
            peer = peer_new(p, m->id);
        if (peer != NULL)
            name_add(peer, m);
    }
}

static void cut_accepted(struct peer *peer, bool all)
{
    for (int i = 0; i < PEER_PURPOSES; i++) {
        struct conn *c = peer->in[i];
        if (c != NULL && (all || !peers_name_matches(peer, &c->key, c->peer_incarnation)))
            peer_conn_close(c, "the configuration no longer names it");
    }
}

static void peer_end(struct peers *p, unsigned at, const char *why)
{
    struct peer *peer = p->peer[at];
    for (int i = 0; i < PEER_PURPOSES; i++)
        peer_link_stop(&peer->link[i], why);
    cut_accepted(peer, true);
    for (struct conn *c = p->conns; c != NULL; c = c->next)
        reeve_assert(c->peer != peer);
    p->n_peers--;
    memmove(&p->peer[at], &p->peer[at + 1], (p->n_peers - at) * sizeof *p->peer);
    for (struct conn *c = p->dead; c != NULL; c = c->next)
        if (c->peer == peer)
            c->peer = NULL;
    free(peer);
}

/* A link is dialed anew when what it stands on is no longer named. */
static void links_check(struct peer *peer)
{
    for (int i = 0; i < PEER_PURPOSES; i++) {
        struct link *k = &peer->link[i];
        struct conn *c = k->conn;
        bool proven = c != NULL && c->state >= CONN_OPENING;
        if (proven && !peers_name_matches(peer, &c->key, c->peer_incarnation))
            peer_link_stop(k, "the configuration no longer names it so");
        if (k->state == PEER_L_IDLE)
            peer_link_start(k);
    }
}

void peers_rebuild(struct peers *p)
{
    peers_enter(p);
    for (unsigned i = 0; i < p->n_peers; i++)
        p->peer[i]->n_names = 0;
    if (p->learned_index > p->conf_index)
        names_from(p, &p->learned);
    names_from(p, &p->conf);
    names_from(p, &p->committed);
    for (unsigned i = p->n_peers; i-- > 0;)
        if (p->peer[i]->n_names == 0) {
            log_info("member %u is not in the configuration any more", p->peer[i]->id);
            peer_end(p, i, "the configuration no longer names it");
        }
    for (unsigned i = 0; i < p->n_peers; i++) {
        cut_accepted(p->peer[i], false);
        links_check(p->peer[i]);
    }
    p->depth--;                         /* no callbacks from here (P2) */
    peers_soon(p);
}

void peers_configure(struct peers *p, const struct raft_conf *conf, uint64_t index, const struct raft_conf *committed)
{
    uint8_t a_mem[RAFT_CONF_BYTES_MAX], b_mem[RAFT_CONF_BYTES_MAX];
    struct wr a = wr_fixed(a_mem, sizeof a_mem), b = wr_fixed(b_mem, sizeof b_mem);
    raft_conf_encode(conf, &a);
    raft_conf_encode(committed, &b);
    p->conf = *conf;
    p->conf_index = index;
    p->committed = *committed;
    if (slice_eq(wr_slice(&a), wr_slice(&b)))
        p->committed_index = index;
    peers_rebuild(p);
}

static bool names_us(const struct peers *p, const struct raft_conf *conf)
{
    const struct raft_member *m = raft_conf_find(conf, p->c.id);
    return m != NULL && m->incarnation == p->c.incarnation;
}

void peers_learn(struct peers *p, uint64_t index, struct slice bytes)
{
    struct raft_conf conf;
    if (p->c.fixed || index <= p->conf_index || index <= p->learned_index || bytes.len == 0 ||
        raft_conf_decode(&conf, bytes) != REEVE_OK)
        return;
    if (!names_us(p, &conf)) {
        log_limited(LOG_SEV_WARNING, "the ring's configuration %llu does not name this member any more",
                    (unsigned long long) index);
        return;
    }
    p->learned = conf;
    p->learned_index = index;
    peers_rebuild(p);
}

struct slice peers_conf_bytes(const struct peers *p, struct wr *w, uint64_t *index)
{
    *index = p->committed_index;
    if (p->committed.n == 0 || p->committed_index == 0)
        return slice_of(NULL, 0);
    raft_conf_encode(&p->committed, w);
    return wr_slice(w);
}

/* ---- beginning and end ---- */

static enum reeve_err contexts(struct peers *p, const struct peer_identity *i, struct report *rep)
{
    struct slice cert = slice_of(i->cert, i->cert_len);
    enum reeve_err err = tls_ctx_peer(&p->server, true, p->c.alpn, cert, i->secret, rep);
    return err != REEVE_OK ? err : tls_ctx_peer(&p->client, false, p->c.alpn, cert, i->secret, rep);
}

enum reeve_err peers_new(struct peers **out, struct loop *l, const struct peers_config *c, const struct peers_ops *ops,
                         void *arg, struct report *rep)
{
    struct peers *p = calloc(1, sizeof *p);
    enum reeve_err err;
    *out = NULL;
    if (p == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    p->loop = l;
    p->c = *c;
    p->c.identity = NULL;
    p->ops = *ops;
    p->arg = arg;
    p->ticked = p->members.at = p->strangers.at = clock_mono();
    p->members.milli = (int64_t) c->members_per_s * 1000;
    p->strangers.milli = (int64_t) c->strangers_per_s * 1000;
    TRY(contexts(p, c->identity, rep));
    TRY(loop_timer_in(l, &p->tick, c->ping_ms, on_tick, p));
    *out = p;
out:
    if (err != REEVE_OK)
        peers_free(p);
    return err;
}

void peers_free(struct peers *p)
{
    if (p == NULL)
        return;
    reeve_assert(p->depth == 0);
    while (p->n_peers > 0)
        peer_end(p, p->n_peers - 1, "this member stops");
    while (p->conns != NULL) {
        p->conns->quiet = true;
        peer_conn_close(p->conns, "this member stops");
    }
    peer_conns_reap(p);
    for (unsigned i = 0; i < p->n_listeners; i++) {
        loop_io_del(p->loop, &p->listener[i]);
        close(p->listener[i].fd);
    }
    loop_timer_cancel(p->loop, &p->tick);
    loop_timer_cancel(p->loop, &p->soon);
    tls_ctx_free(p->server);
    tls_ctx_free(p->client);
    free(p);
}
