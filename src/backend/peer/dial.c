/*
 * dial.c - what this member opens: one link for each purpose to every other
 * member, kept up by trying again
 *
 * The answerer is known before a word is said: its key is the one in the
 * address that was dialed, or the connection ends.
 */
#include "backend/peer/peer_int.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"

#define STABLE_MS 5000                  /* a link that stood so long starts with short waits again */

static const struct conn_role dialed_role;

static void set_state(struct link *k, uint8_t state)
{
    k->state = state;
    k->since = clock_mono();
}

static const char *purpose_name(uint8_t purpose) { return purpose == PEER_BULK ? "bulk" : "log"; }

void peer_link_init(struct link *k, struct peer *peer, uint8_t purpose)
{
    const struct peers_config *c = &peer->p->c;
    *k = (struct link){ .peer = peer, .purpose = purpose };
    backoff_init_between(&k->backoff, c->retry_ms_min, c->retry_ms_max, STABLE_MS);
    set_state(k, PEER_L_IDLE);
}

/* ---- waiting ---- */

static void on_retry(void *arg)
{
    struct link *k = arg;
    struct peers *p = k->peer->p;
    peers_enter(p);
    peer_link_start(k);
    peers_leave(p);
}

static void wait_and_retry(struct link *k)
{
    uint32_t r;
    random_bytes(&r, sizeof r);
    set_state(k, PEER_L_WAITING);
    uint32_t ms = backoff_delay(&k->backoff, r);
    if (loop_timer_in(k->peer->p->loop, &k->retry, ms, on_retry, k) != REEVE_OK)
        log_error("link to member %u: out of memory, it stays down", k->peer->id);
}

/* It did not come to stand, or stood and fell. */
static void link_lost(struct link *k, const char *why)
{
    struct peer *peer = k->peer;
    bool was_up = k->state == PEER_L_UP;
    snprintf(k->error, sizeof k->error, "%s", why);
    k->conn = NULL;
    k->at_addr++;
    if (k->at_addr >= k->to.n) {
        k->at_addr = 0;
        k->at_name++;
    }
    if (was_up)
        log_limited(LOG_SEV_WARNING, "lost the %s link to member %u: %s", purpose_name(k->purpose), peer->id, why);
    else
        log_limited(LOG_SEV_INFO, "no %s link to member %u: %s", purpose_name(k->purpose), peer->id, why);
    backoff_lost(&k->backoff, clock_mono());
    if (was_up)
        peers_dropped(peer, k->purpose);
    wait_and_retry(k);
}

void peer_link_stop(struct link *k, const char *why)
{
    struct peers *p = k->peer->p;
    loop_timer_cancel(p->loop, &k->retry);
    resolve_cancel(k->asked);
    k->asked = NULL;
    set_state(k, PEER_L_IDLE);          /* first: then closing is no loss */
    if (k->conn != NULL)
        peer_conn_close(k->conn, "%s", why);
    k->conn = NULL;
}

void peer_link_hurry(struct link *k)
{
    /* Not faster than the shortest wait: who connects and leaves in a circle must not make us do the same. */
    struct peers *p = k->peer->p;
    int64_t since = clock_mono().ms - k->tried.ms;
    if (k->state != PEER_L_WAITING)
        return;
    loop_timer_cancel(p->loop, &k->retry);
    k->at_addr = 0;
    if (since >= p->c.retry_ms_min)
        peer_link_start(k);
    else if (loop_timer_in(p->loop, &k->retry, p->c.retry_ms_min - since, on_retry, k) != REEVE_OK)
        log_error("link to member %u: out of memory, it stays down", k->peer->id);
}

/* ---- connecting ---- */

int dial_socket(const struct resolved *to, unsigned at, uint32_t dead_ms)
{
    const struct sockaddr *a = (const struct sockaddr *) &to->addr[at];
    int fd = socket(a->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    peer_conn_set_options(fd, dead_ms);
    if (connect(fd, a, to->len[at]) == 0 || errno == EINPROGRESS)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static const struct peer_name *name_of(const struct link *k)
{
    return &k->peer->name[k->at_name % k->peer->n_names];
}

static void link_connect(struct link *k)
{
    struct peers *p = k->peer->p;
    const struct peer_name *name = name_of(k);
    int fd = dial_socket(&k->to, k->at_addr % k->to.n, p->c.dead_ms);
    if (fd < 0) {
        link_lost(k, strerror(errno));
        return;
    }
    struct conn *c = peer_conn_new(p, fd, &dialed_role, CONN_CONNECTING, p->c.open_ms);
    if (c == NULL) {
        link_lost(k, "out of memory");
        return;
    }
    c->link = k;
    c->peer = k->peer;
    c->purpose = k->purpose;
    c->peer_incarnation = name->incarnation;
    snprintf(c->from, sizeof c->from, "%.50s:%u", name->addr.host, name->addr.port);
    k->conn = c;
    set_state(k, PEER_L_CONNECTING);
}

static void on_resolved(void *arg, const struct resolved *r, const char *error)
{
    struct link *k = arg;
    struct peers *p = k->peer->p;
    k->asked = NULL;
    peers_enter(p);
    k->to = *r;
    if (error != NULL) {
        char why[sizeof k->error];
        snprintf(why, sizeof why, "could not find \"%.40s\": %s", name_of(k)->addr.host, error);
        link_lost(k, why);
    } else {
        link_connect(k);
    }
    peers_leave(p);
}

void peer_link_start(struct link *k)
{
    const struct peer_addr *a = &name_of(k)->addr;
    k->tried = clock_mono();
    if (k->at_addr > 0 && k->to.n > 1) {        /* the next address of the same name */
        link_connect(k);
        return;
    }
    if (resolve_numeric(&k->to, a->host, a->port)) {
        link_connect(k);
        return;
    }
    set_state(k, PEER_L_RESOLVING);
    k->asked = resolve_start(k->peer->p->loop, a->host, a->port, on_resolved, k);
    if (k->asked == NULL)
        link_lost(k, "too many names are being looked up");
}

/* ---- the greeting ---- */

static bool dialed_secured(struct conn *c)
{
    struct peers *p = c->p;
    uint8_t conf_mem[RAFT_CONF_BYTES_MAX], mem[PEER_FRAME_HEAD + PEER_OPENING_MAX];
    struct wr conf = wr_fixed(conf_mem, sizeof conf_mem), w = wr_fixed(mem, sizeof mem);
    if (!peers_name_matches(c->peer, &c->key, c->peer_incarnation)) {
        p->n.misbehaved++;
        peer_conn_close(c, "its key is not the one in the configuration");
        return false;
    }
    struct peer_hello h = { .least = PEER_VERSION, .most = PEER_VERSION, .purpose = c->purpose, .ring = p->c.ring,
                            .from = p->c.id, .from_incarnation = p->c.incarnation, .to = c->peer->id,
                            .to_incarnation = c->peer_incarnation };
    h.conf = peers_conf_bytes(p, &conf, &h.conf_index);
    peer_hello_encode(&h, &w);
    peer_conn_put_small(c, &w);
    set_state(c->link, PEER_L_OPENING);
    return !c->dead;
}

static void welcomed(struct conn *c, struct slice body)
{
    struct peer_welcome w;
    struct link *k = c->link;
    if (peer_welcome_decode(&w, body) != REEVE_OK || w.id != c->peer->id || w.incarnation != c->peer_incarnation) {
        c->p->n.misbehaved++;
        peer_conn_close(c, "its answer to our greeting is malformed");
        return;
    }
    peer_conn_open_up(c);
    set_state(k, PEER_L_UP);
    k->error[0] = '\0';
    k->peer->counts[k->purpose].connects++;
    backoff_connected(&k->backoff, k->since, 0);
    log_info("%s link to member %u at %s stands", purpose_name(k->purpose), k->peer->id, c->from);
    if (k->purpose == PEER_LOG)
        k->peer->tell_up = true;
    peers_learn(c->p, w.conf_index, w.conf);
    if (!c->dead)
        ping_send(c);
}

static void dialed_frame(struct conn *c, uint8_t kind, struct slice body)
{
    uint8_t reason = 0;
    if (c->state == CONN_UP) {
        frames_dialed(c, kind, body);
    } else if (kind == PEER_F_WELCOME) {
        welcomed(c, body);
    } else if (kind == PEER_F_REFUSED && peer_refused_decode(&reason, body) == REEVE_OK) {
        peer_conn_close(c, "refused: %s", peer_refusal_text(reason));
    } else {
        c->p->n.misbehaved++;
        peer_conn_close(c, "it did not answer our greeting");
    }
}

static void dialed_closed(struct conn *c, const char *why)
{
    struct link *k = c->link;
    if (k->state == PEER_L_IDLE || k->conn != c)        /* stopped by ourselves */
        return;
    link_lost(k, why);
}

static const struct conn_role dialed_role = { dialed_secured, dialed_frame, dialed_closed };
