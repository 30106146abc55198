/*
 * join.c - the side of a join that asks
 *
 * One connection after the other, each to a member whose key is known before
 * the secret is told: the token's, or that of an address which such a member
 * named. Everything that may pass is tried again until the time is up; what
 * will not (the token, the ring, the key) ends it at once.
 */
#include "backend/peer/peer_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "backend/utils/clock.h"
#include "crypto/hash.h"

#define HOPS_MAX 8                      /* in a row; then back to the first */

struct peer_join {
    struct peers *p;                    /* our own, for the connection's sake: nobody is linked, nothing listens */
    struct peer_token token;
    struct peer_addr first, ask;        /* with the key we expect there */
    uint64_t incarnation;
    uint8_t addr_len;
    char addr[RAFT_ADDR_MAX];
    uint32_t try_ms;
    struct backoff backoff;
    struct loop_timer retry, end;
    struct resolve *asked;
    struct resolved to;
    struct conn *conn;
    unsigned hops;
    char why[160];
    peer_join_done_fn *done;
    void *arg;
    /* the outcome, told from the loop */
    bool over;
    enum reeve_err err;
    struct peer_joined joined;
    uint8_t conf[RAFT_CONF_BYTES_MAX];
};

static const struct conn_role joining_role;

static void tell(void *arg)
{
    struct peer_join *j = arg;
    j->done(j->arg, j->err, j->err == REEVE_OK ? &j->joined : NULL, j->why);
}

/* Nothing more is tried; done() comes by itself, so that it may be followed by peer_join_free(). */
static void finish(struct peer_join *j, enum reeve_err err)
{
    struct loop *l = j->p->loop;
    if (j->over)
        return;
    j->over = true;
    j->err = err;
    loop_timer_cancel(l, &j->retry);
    resolve_cancel(j->asked);
    j->asked = NULL;
    if (j->conn != NULL)
        peer_conn_close(j->conn, "it is over");
    if (loop_timer_in(l, &j->end, 0, tell, j) != REEVE_OK)
        tell(j);
}

static void on_end(void *arg)
{
    struct peer_join *j = arg;
    finish(j, REEVE_E_TIMEOUT);
}

static void ask(struct peer_join *j);

static void on_retry(void *arg)
{
    ask(arg);
}

static void again(struct peer_join *j, const char *why)
{
    uint32_t r;
    if (j->over)
        return;
    snprintf(j->why, sizeof j->why, "%s", why);
    random_bytes(&r, sizeof r);
    j->ask = j->first;
    j->hops = 0;
    backoff_lost(&j->backoff, clock_mono());
    if (loop_timer_in(j->p->loop, &j->retry, backoff_delay(&j->backoff, r), on_retry, j) != REEVE_OK)
        finish(j, REEVE_E_NOMEM);
}

/* ---- connecting ---- */

static void dial(struct peer_join *j)
{
    int fd = dial_socket(&j->to, 0, j->p->c.dead_ms);
    if (fd < 0) {
        again(j, "could not connect");
        return;
    }
    j->conn = peer_conn_new(j->p, fd, &joining_role, CONN_CONNECTING, j->try_ms);
    if (j->conn == NULL) {
        again(j, "out of memory");
        return;
    }
    j->conn->join = j;
    snprintf(j->conn->from, sizeof j->conn->from, "%.50s:%u", j->ask.host, j->ask.port);
}

static void on_resolved(void *arg, const struct resolved *r, const char *error)
{
    struct peer_join *j = arg;
    j->asked = NULL;
    j->to = *r;
    if (error != NULL)
        again(j, error);
    else
        dial(j);
}

static void ask(struct peer_join *j)
{
    if (resolve_numeric(&j->to, j->ask.host, j->ask.port)) {
        dial(j);
        return;
    }
    j->asked = resolve_start(j->p->loop, j->ask.host, j->ask.port, on_resolved, j);
    if (j->asked == NULL)
        again(j, "too many names are being looked up");
}

/* ---- asking ---- */

static bool joining_secured(struct conn *c)
{
    struct peer_join *j = c->join;
    uint8_t mem[PEER_FRAME_HEAD + RAFT_ADDR_MAX + 64];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (!hash32_eq(&c->key, &j->ask.key)) {
        snprintf(j->why, sizeof j->why, "%s has another key than the token names", c->from);
        finish(j, REEVE_E_V_KEY);
        return false;
    }
    struct peer_join_request r = { .least = PEER_VERSION, .most = PEER_VERSION, .ring = j->token.ring,
                                   .incarnation = j->incarnation, .addr = slice_of(j->addr, j->addr_len) };
    memcpy(r.secret, j->token.secret, sizeof r.secret);
    peer_join_encode(&r, &w);
    peer_conn_put_small(c, &w);
    peer_conn_flush(c);
    secret_wipe(&r, sizeof r);
    secret_wipe(mem, sizeof mem);
    return !c->dead;
}

static bool acceptable(struct peer_join *j, const struct peer_joined *in)
{
    struct raft_conf conf;
    if (in->ring != j->token.ring || in->conf.len > sizeof j->conf || raft_conf_decode(&conf, in->conf) != REEVE_OK)
        return false;
    const struct raft_member *m = raft_conf_find(&conf, in->id);
    return m != NULL && m->incarnation == j->incarnation &&
           slice_eq(slice_of(m->addr, m->addr_len), slice_of(j->addr, j->addr_len));
}

static void joined(struct conn *c, struct slice body)
{
    struct peer_join *j = c->join;
    struct peer_joined in;
    if (peer_joined_decode(&in, body) != REEVE_OK || !acceptable(j, &in)) {
        peer_conn_close(c, "its answer does not name this member");
        return;
    }
    memcpy(j->conf, in.conf.p, in.conf.len);
    j->joined = in;
    j->joined.conf.p = j->conf;
    j->why[0] = '\0';
    finish(j, REEVE_OK);
}

static void elsewhere(struct conn *c, struct slice body)
{
    struct peer_join *j = c->join;
    struct slice text;
    struct peer_addr to;
    if (peer_elsewhere_decode(&text, body) != REEVE_OK || peer_addr_parse(&to, text) != REEVE_OK || ++j->hops > HOPS_MAX) {
        peer_conn_close(c, "it did not say where the leader is");
        return;
    }
    j->conn = NULL;                     /* so that its end is none of ours */
    peer_conn_close(c, "another is asked");
    j->ask = to;
    ask(j);
}

static void refused(struct conn *c, struct slice body)
{
    struct peer_join *j = c->join;
    uint8_t reason = 0;
    (void) !peer_refused_decode(&reason, body);
    if (reason != PEER_R_TOKEN && reason != PEER_R_RING && reason != PEER_R_VERSION && reason != PEER_R_FULL) {
        peer_conn_close(c, "refused: %s", peer_refusal_text(reason));
        return;
    }
    snprintf(j->why, sizeof j->why, "%s refused: %s", c->from, peer_refusal_text(reason));
    finish(j, reason == PEER_R_TOKEN ? REEVE_E_AUTH : reason == PEER_R_RING ? REEVE_E_V_CHAIN :
              reason == PEER_R_FULL ? REEVE_E_TOO_MANY : REEVE_E_UNSUPPORTED);
}

static void joining_frame(struct conn *c, uint8_t kind, struct slice body)
{
    switch (kind) {
    case PEER_F_JOINED:    joined(c, body); break;
    case PEER_F_ELSEWHERE: elsewhere(c, body); break;
    case PEER_F_REFUSED:   refused(c, body); break;
    default:               peer_conn_close(c, "it answered something else"); break;
    }
}

static void joining_closed(struct conn *c, const char *why)
{
    struct peer_join *j = c->join;
    char text[sizeof j->why];
    if (j->conn != c)
        return;
    j->conn = NULL;
    snprintf(text, sizeof text, "%.40s: %.100s", c->from, why);
    again(j, text);
}

static const struct conn_role joining_role = { joining_secured, joining_frame, joining_closed };

/* ---- beginning and end ---- */

static void no_message(void *arg, const struct raft_msg *m) { }
static void no_reachable(void *arg, uint32_t id, bool yes) { }

static enum reeve_err own_peers(struct peer_join *j, struct loop *l, const struct peer_join_config *c, struct report *rep)
{
    static const struct peers_ops ops = { .message = no_message, .reachable = no_reachable };
    struct peers_config pc;
    peers_config_default(&pc);
    pc.ring = c->token->ring;
    pc.incarnation = c->incarnation;
    pc.identity = c->identity;
    return peers_new(&j->p, l, &pc, &ops, j, rep);
}

enum reeve_err peer_join_start(struct peer_join **out, struct loop *l, const struct peer_join_config *c,
                               peer_join_done_fn *done, void *arg, struct report *rep)
{
    enum reeve_err err;
    struct peer_join *j = calloc(1, sizeof *j);
    *out = NULL;
    if (j == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    j->token = *c->token;
    j->incarnation = c->incarnation;
    j->try_ms = c->try_ms;
    j->done = done;
    j->arg = arg;
    j->first.port = c->port;
    j->first.key = c->token->key;
    snprintf(j->why, sizeof j->why, "nobody answered");
    if (strlen(c->host) > PEER_HOST_MAX || c->addr.len > sizeof j->addr)
        TRY(report_set(rep, REEVE_E_INVALID_VALUE, "the address is too long"));
    memcpy(j->first.host, c->host, strlen(c->host) + 1);
    memcpy(j->addr, c->addr.p, c->addr.len);
    j->addr_len = (uint8_t) c->addr.len;
    TRY(own_peers(j, l, c, rep));
    backoff_init_between(&j->backoff, j->p->c.retry_ms_min, j->p->c.retry_ms_max, 1000);
    TRY(loop_timer_in(l, &j->end, c->give_up_ms, on_end, j));
    j->ask = j->first;
    ask(j);
    *out = j;
out:
    if (err != REEVE_OK)
        peer_join_free(j);
    return err;
}

void peer_join_free(struct peer_join *j)
{
    if (j == NULL)
        return;
    j->over = true;
    if (j->p != NULL) {
        loop_timer_cancel(j->p->loop, &j->retry);
        loop_timer_cancel(j->p->loop, &j->end);
        resolve_cancel(j->asked);
        j->conn = NULL;
        peers_free(j->p);
    }
    secret_wipe(j, sizeof *j);
    free(j);
}
