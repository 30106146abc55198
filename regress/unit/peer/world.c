/* world.c - see world.h */
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/utils/log.h"
#include "crypto/hash.h"

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- nodes ---- */

static void on_message(void *arg, const struct raft_msg *m)
{
    struct node *n = arg;
    struct heard *h = &n->last[n->n++ % HEARD_MAX];
    *h = (struct heard){ m->type, m->from, m->term, m->index, m->n_entries, m->data.len, { { 0 } } };
    if (m->data.len > 0)
        sha256(&h->sum, m->data);
    n->heard[m->from]++;
}

static void on_reachable(void *arg, uint32_t id, bool yes)
{
    struct node *n = arg;
    n->reach[id] = yes;
    if (yes)
        n->found[id]++;
    else
        n->lost[id]++;
}

static void on_news(void *arg, uint32_t from, struct slice bytes)
{
    struct node *n = arg;
    assert_true(from != n->id);
    n->news += bytes.len;
}

static void on_letter(void *arg, uint32_t from, struct slice bytes)
{
    struct node *n = arg;
    n->letter = (struct letter){ .from = from, .len = bytes.len };
    sha256(&n->letter.sum, bytes);
    n->letters++;
}

static void on_join(void *arg, uint64_t ticket, const struct peer_join_request *j)
{
    struct node *n = arg;
    n->on_join(n, ticket, j);
}

void node_start(struct node *n)
{
    struct peers_ops ops = { n->message ? n->message : on_message, n->reachable ? n->reachable : on_reachable,
                             n->on_join ? on_join : NULL, on_news, on_letter };
    struct report rep = { 0 };
    n->config.identity = &n->identity;
    n->config.incarnation = n->incarnation;
    assert_ok(peers_new(&n->p, n->w->loop, &n->config, &ops, n, &rep));
    assert_ok(peers_listen(n->p, "127.0.0.1", &n->port, &rep));
    assert_ok(peer_addr_format(n->addr, &n->addr_len, "127.0.0.1", n->port, &n->identity.key));
    if (n->conf.n > 0)
        peers_configure(n->p, &n->conf, n->conf_index, &n->conf);
}

void node_stop(struct node *n)
{
    peers_free(n->p);
    n->p = NULL;
    memset(n->reach, 0, sizeof n->reach);
}

struct world *world_new(unsigned count)
{
    struct world *w = calloc(1, sizeof *w);
    assert_ok(crypto_init());
    signal(SIGPIPE, SIG_IGN);
    log_init("test");
    log_configure(getenv("PEER_LOG") ? LOG_SEV_DEBUG : LOG_SEV_FATAL, LOG_FORM_TEXT);
    assert_ok(loop_new(&w->loop));
    w->n = count;
    for (unsigned i = 1; i <= count; i++) {
        struct node *n = &w->node[i];
        n->w = w;
        n->id = i;
        n->incarnation = 100 + i;
        assert_ok(peer_identity_fresh(&n->identity));
        peers_config_default(&n->config);
        n->config.ring = RING_ID;
        n->config.id = i;
        n->config.retry_ms_max = 200;
        n->config.members_per_s = 2000;
        node_start(n);
    }
    return w;
}

void world_free(struct world *w)
{
    for (unsigned i = 1; i <= w->n; i++) {
        peers_free(w->node[i].p);
        peer_identity_end(&w->node[i].identity);
    }
    loop_free(w->loop);
    free(w);
}

void world_conf(struct world *w, struct raft_conf *out, unsigned set)
{
    *out = (struct raft_conf){ .last_id = w->n };
    for (unsigned i = 1; i <= w->n; i++) {
        struct node *n = &w->node[i];
        if ((set & 1u << i) == 0)
            continue;
        struct raft_member *m = &out->m[out->n++];
        *m = (struct raft_member){ .id = i, .incarnation = n->incarnation, .role = RAFT_VOTER, .addr_len = (uint8_t) n->addr_len };
        memcpy(m->addr, n->addr, n->addr_len);
    }
}

void node_conf(struct node *n, const struct raft_conf *c, uint64_t index)
{
    n->conf = *c;
    n->conf_index = index;
    peers_configure(n->p, c, index, c);
}

bool linked(const struct node *a, const struct node *b)
{
    return a->p != NULL && node_status(a, b->id, PEER_LOG).state == PEER_L_UP &&
           node_status(a, b->id, PEER_BULK).state == PEER_L_UP;
}

static bool all_linked(struct world *w)
{
    for (unsigned i = 1; i <= w->n; i++)
        for (unsigned k = 1; k <= w->n; k++)
            if (i != k && !linked(&w->node[i], &w->node[k]))
                return false;
    return true;
}

void world_join_all(struct world *w)
{
    struct raft_conf c;
    world_conf(w, &c, ~0u);
    for (unsigned i = 1; i <= w->n; i++)
        node_conf(&w->node[i], &c, 1);
    world_until(w, all_linked(w));
}

struct raft_msg node_msg(const struct node *from, const struct node *to, uint8_t type)
{
    return (struct raft_msg){ .type = type, .from = from->id, .to = to->id, .from_incarnation = from->incarnation,
                              .to_incarnation = to->incarnation, .ring = RING_ID, .term = 7 };
}

void node_send(struct node *from, const struct raft_msg *m)
{
    peers_send(from->p, m, NULL);
    peers_flush(from->p);
}

struct peer_status node_status(const struct node *n, uint32_t peer, uint8_t purpose)
{
    struct peer_status s[2 * WORLD_NODES];
    size_t count = n->p ? peers_status(n->p, s, 2 * WORLD_NODES) : 0;
    for (size_t i = 0; i < count; i++)
        if (s[i].id == peer && s[i].purpose == purpose)
            return s[i];
    return (struct peer_status){ 0 };
}

/* ---- the fake ---- */

static void fake_turn(struct fake *f)
{
    loop_run_once(f->w->loop, 1);
}

static void fake_secure(struct fake *f)
{
    int64_t end = now_ms() + 10000;
    enum tls_result r;
    while ((r = tls_handshake(f->tls)) == TLS_WANT_READ || r == TLS_WANT_WRITE) {
        fake_turn(f);
        assert_true(now_ms() < end);
    }
    f->ended = r != TLS_OK;
}

static void fake_ctx(struct fake *f, bool server, const struct peer_identity *i)
{
    struct report rep = { 0 };
    assert_ok(tls_ctx_peer(&f->ctx, server, PEER_ALPN, slice_of(i->cert, i->cert_len), i->secret, &rep));
}

void fake_dial(struct fake *f, struct world *w, uint16_t port, const struct peer_identity *i)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    memset(f, 0, sizeof *f);
    f->w = w;
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(f->fd >= 0);
    assert_true(connect(f->fd, (struct sockaddr *) &a, sizeof a) == 0 || errno == EINPROGRESS);
    if (i == NULL)
        return;
    fake_ctx(f, false, i);
    assert_ok(tls_connect_new(&f->tls, f->ctx, f->fd, NULL));
    fake_secure(f);
}

int fake_listen(uint16_t *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof a), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

void fake_accept(struct fake *f, struct world *w, int listener, const struct peer_identity *i)
{
    memset(f, 0, sizeof *f);
    f->w = w;
    world_until(w, (f->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
    fake_ctx(f, true, i);
    assert_ok(tls_accept_new(&f->tls, f->ctx, f->fd));
    fake_secure(f);
}

void fake_write(struct fake *f, struct slice b)
{
    int64_t end = now_ms() + 10000;
    while (b.len > 0 && !f->ended) {
        size_t n = 0;
        enum tls_result r = TLS_OK;
        if (f->tls != NULL) {
            r = tls_write(f->tls, b.p, b.len, &n);
        } else {
            ssize_t k = send(f->fd, b.p, b.len, MSG_NOSIGNAL);
            n = k > 0 ? (size_t) k : 0;
            r = k >= 0 ? TLS_OK : errno == EAGAIN || errno == ENOTCONN ? TLS_WANT_WRITE : TLS_FAIL;
        }
        if (r == TLS_EOF || r == TLS_FAIL)
            f->ended = true;
        b.p += n;
        b.len -= n;
        if (r != TLS_OK)
            fake_turn(f);
        assert_true(now_ms() < end);
    }
}

/* False: ended. */
static bool fake_read(struct fake *f)
{
    size_t n = 0;
    enum tls_result r;
    if (f->tls != NULL) {
        r = tls_read(f->tls, f->in + f->in_len, sizeof f->in - f->in_len, &n);
    } else {
        ssize_t k = recv(f->fd, f->in + f->in_len, sizeof f->in - f->in_len, 0);
        n = k > 0 ? (size_t) k : 0;
        r = k > 0 ? TLS_OK : k < 0 && (errno == EAGAIN || errno == ENOTCONN) ? TLS_WANT_READ : TLS_EOF;
    }
    f->in_len += n;
    if (r == TLS_EOF || r == TLS_FAIL)
        f->ended = true;
    if (n == 0)
        fake_turn(f);
    return !f->ended;
}

bool fake_frame(struct fake *f, uint8_t *kind, struct wr *body)
{
    int64_t end = now_ms() + 10000;
    struct slice b;
    size_t size;
    for (;;) {
        enum reeve_err err = peer_frame_next(slice_of(f->in, f->in_len), sizeof f->in - 4, kind, &b, &size);
        if (err == REEVE_OK)
            break;
        assert_err(err, REEVE_E_AGAIN);
        if (f->ended || !fake_read(f))
            return false;
        assert_true(now_ms() < end);
    }
    if (body != NULL) {
        wr_reset(body);
        wr_bytes(body, b.p, b.len);
    }
    memmove(f->in, f->in + size, f->in_len - size);
    f->in_len -= size;
    return true;
}

void fake_ended(struct fake *f)
{
    int64_t end = now_ms() + 10000;
    while (!f->ended) {
        f->in_len = 0;
        fake_read(f);
        assert_true(now_ms() < end);
    }
}

void fake_close(struct fake *f)
{
    tls_free(f->tls);
    tls_ctx_free(f->ctx);
    close(f->fd);
}
