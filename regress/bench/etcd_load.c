/*
 * etcd_load.c - load on etcd as fair as it gets: gRPC by hand over nghttp2, one thread, one epoll
 *
 *   etcd_load --target HOST:PORT [--target ...] [--clients N] [--connections N] [--batch N] [--reads] [--keys N]
 *             [--value-size BYTES] [--duration SECONDS] [--warmup SECONDS]
 *
 * Each client has one request under way: KV/Put, KV/Txn of --batch puts, or KV/Range (linearizable, etcd's default).
 * Clients share connections, which is what etcd does best; messages are plain protobuf, encoded once per request
 * without any library. It costs a few microseconds of CPU a request, so on a shared machine etcd gets nearly all of it.
 * The JSON object at the end has the form of reeve-bench ring's; its gaps are between two acknowledged requests.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "frontend/reeve-bench/hist.h"

#define TARGETS_MAX  16
#define GAPS_MAX     16384
#define GAP_MIN_NS   10000000ll
#define TIMEOUT_NS   10000000000ll
#define RETRY_NS     50000000ll
#define VALUE_MAX    4096

struct client;
struct connection {
    int fd;
    unsigned home, target;
    bool up, want_write;
    nghttp2_session *h2;
    const uint8_t *out;                 /* what nghttp2 has ready and the socket did not take */
    size_t out_len;
    int64_t since_ns;
    struct client *client;
    unsigned n_clients;
};

struct client {
    struct connection *c;
    bool busy, ok;
    int64_t since_ns;
    uint8_t *body;
    size_t len, sent;
};

static struct {
    const char *target[TARGETS_MAX];
    unsigned n_targets, clients, connections, batch, keys, value_bytes;
    bool reads;
    double duration_s, warmup_s;
} o = { .clients = 10, .batch = 1, .keys = 1000, .duration_s = 10, .warmup_s = 1 };

static struct hist latency;
static int epoll_fd;
static int64_t begin_ns = INT64_MAX, end_ns, last_ack_ns, cpu_ns;
static struct { int64_t begin_ns, end_ns; } gap[GAPS_MAX];
static unsigned n_gaps;
static uint64_t serial, seed = 88172645463325252ull, failed, losses, timeouts;
static volatile sig_atomic_t stop;
static char value[VALUE_MAX];

static void on_stop(int sig) { (void) sig; stop = 1; }

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t chance(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* ---- protobuf, as much as is needed ---- */

static uint8_t *varint(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t) (v | 0x80);
    *p++ = (uint8_t) v;
    return p;
}

static uint8_t *bytes(uint8_t *p, unsigned field, const void *b, size_t len)
{
    p = varint(p, field << 3 | 2);
    p = varint(p, len);
    memcpy(p, b, len);
    return p + len;
}

/* PutRequest { key = 1, value = 2 } */
static size_t put_request(uint8_t *p)
{
    char key[48];
    uint8_t *at = p;
    int n = snprintf(key, sizeof key, "bench/%016" PRIx64, o.batch > 1 ? chance() : chance() % o.keys);
    at = bytes(at, 1, key, (size_t) n);
    int digits = snprintf(value, sizeof value, "%020" PRIu64, ++serial);
    value[digits] = 'x';
    at = bytes(at, 2, value, (size_t) digits + o.value_bytes);
    return (size_t) (at - p);
}

/* TxnRequest { success = 2: RequestOp { request_put = 2 } ... } */
static size_t txn_request(uint8_t *p)
{
    static uint8_t put[VALUE_MAX + 128], op[VALUE_MAX + 256];
    uint8_t *at = p;
    for (unsigned i = 0; i < o.batch; i++) {
        size_t n = put_request(put);
        at = bytes(at, 2, op, (size_t) (bytes(op, 2, put, n) - op));
    }
    return (size_t) (at - p);
}

/* RangeRequest { key = 1 } */
static size_t range_request(uint8_t *p)
{
    char key[48];
    int n = snprintf(key, sizeof key, "bench/%016" PRIx64, chance() % o.keys);
    return (size_t) (bytes(p, 1, key, (size_t) n) - p);
}

/* A gRPC message: u8 not compressed, u32 length, the message. */
static void make_request(struct client *cl)
{
    uint8_t *p = cl->body + 5;
    size_t n = o.reads ? range_request(p) : o.batch > 1 ? txn_request(p) : put_request(p);
    uint32_t len = htonl((uint32_t) n);
    cl->body[0] = 0;
    memcpy(cl->body + 1, &len, 4);
    cl->len = n + 5;
    cl->sent = 0;
}

/* ---- requests ---- */

static ssize_t read_body(nghttp2_session *s, int32_t id, uint8_t *buf, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
    struct client *cl = source->ptr;
    size_t n = cl->len - cl->sent < room ? cl->len - cl->sent : room;
    (void) s;
    (void) id;
    (void) user;
    memcpy(buf, cl->body + cl->sent, n);
    cl->sent += n;
    if (cl->sent == cl->len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t) n;
}

static void begin_request(struct client *cl, int64_t now)
{
#define H(n, v) { (uint8_t *) (n), (uint8_t *) (v), sizeof(n) - 1, strlen(v), NGHTTP2_NV_FLAG_NONE }
    const char *path = o.reads ? "/etcdserverpb.KV/Range" : o.batch > 1 ? "/etcdserverpb.KV/Txn" : "/etcdserverpb.KV/Put";
    nghttp2_nv head[] = { H(":method", "POST"), H(":scheme", "http"), H(":path", path), H(":authority", "etcd"),
                          H("content-type", "application/grpc"), H("te", "trailers") };
    nghttp2_data_provider body = { .source.ptr = cl, .read_callback = read_body };
    if (cl->busy || !cl->c->up || stop)
        return;
    make_request(cl);
    cl->ok = false;
    cl->since_ns = now;
    cl->busy = nghttp2_submit_request(cl->c->h2, NULL, head, sizeof head / sizeof head[0], &body, cl) >= 0;
}

static void acknowledged(struct client *cl, int64_t now)
{
    if (last_ack_ns > 0 && now - last_ack_ns >= GAP_MIN_NS && n_gaps < GAPS_MAX) {
        gap[n_gaps].begin_ns = last_ack_ns;
        gap[n_gaps++].end_ns = now;
    }
    last_ack_ns = now;
    if (now >= begin_ns)
        hist_add(&latency, now - cl->since_ns);
}

/* grpc-status 0 in the trailers is the acknowledgement. */
static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t name_len, const uint8_t *v,
                     size_t len, uint8_t flags, void *user)
{
    struct client *cl = nghttp2_session_get_stream_user_data(s, f->hd.stream_id);
    (void) flags;
    (void) user;
    if (cl != NULL && name_len == 11 && memcmp(name, "grpc-status", 11) == 0)
        cl->ok = len == 1 && v[0] == '0';
    return 0;
}

static int on_stream_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
    struct client *cl = nghttp2_session_get_stream_user_data(s, id);
    int64_t now = now_ns();
    (void) code;
    (void) user;
    if (cl == NULL)
        return 0;
    cl->busy = false;
    if (cl->ok)
        acknowledged(cl, now);
    else
        failed++;
    begin_request(cl, now);
    return 0;
}

/* ---- connections ---- */

static void watch(struct connection *c, bool write, int how)
{
    struct epoll_event ev = { .events = EPOLLIN | (write ? EPOLLOUT : 0u), .data.ptr = c };
    if (how == EPOLL_CTL_MOD && write == c->want_write)
        return;
    c->want_write = write;
    epoll_ctl(epoll_fd, how, c->fd, &ev);
}

static void lose(struct connection *c, int64_t now)
{
    if (c->h2 != NULL)
        nghttp2_session_del(c->h2);
    if (c->fd >= 0)
        close(c->fd);
    losses += c->up;
    c->target = c->up ? c->home : (c->target + 1) % o.n_targets;
    c->h2 = NULL;
    c->fd = -1;
    c->up = false;
    c->out_len = 0;
    c->since_ns = now;
    for (unsigned i = 0; i < c->n_clients; i++)
        c->client[i].busy = false;
}

static void session_new(struct connection *c)
{
    nghttp2_session_callbacks *cb;
    nghttp2_settings_entry big[] = { { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1u << 24 }, { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 } };
    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_client_new(&c->h2, cb, c);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, big, 2);
    nghttp2_session_set_local_window_size(c->h2, NGHTTP2_FLAG_NONE, 0, 1 << 28);
}

static void begin_connection(struct connection *c, int64_t now)
{
    char host[64];
    const char *t = o.target[c->target], *colon = strrchr(t, ':');
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t) atoi(colon ? colon + 1 : "0")) };
    snprintf(host, sizeof host, "%.*s", (int) (colon ? colon - t : 0), t);
    inet_pton(AF_INET, host, &a.sin_addr);
    c->since_ns = now;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connect(c->fd, (struct sockaddr *) &a, sizeof a) != 0 && errno != EINPROGRESS) {
        lose(c, now);
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    watch(c, true, EPOLL_CTL_ADD);
}

static bool flush(struct connection *c)
{
    for (;;) {
        if (c->out_len == 0) {
            ssize_t n = nghttp2_session_mem_send(c->h2, &c->out);
            if (n <= 0) {
                watch(c, false, EPOLL_CTL_MOD);
                return n == 0;
            }
            c->out_len = (size_t) n;
        }
        ssize_t k = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
        if (k < 0 && errno == EAGAIN) {
            watch(c, true, EPOLL_CTL_MOD);
            return true;
        }
        if (k < 0)
            return false;
        c->out += k;
        c->out_len -= (size_t) k;
    }
}

static bool receive(struct connection *c)
{
    static uint8_t buf[1 << 16];
    for (;;) {
        ssize_t n = recv(c->fd, buf, sizeof buf, 0);
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0 || nghttp2_session_mem_recv(c->h2, buf, (size_t) n) != n)
            return false;
        if ((size_t) n < sizeof buf)
            return true;
    }
}

static void on_event(struct connection *c, uint32_t events, int64_t now)
{
    if (c->fd < 0)
        return;
    if (!c->up) {
        int err = 0;
        socklen_t len = sizeof err;
        if ((events & (EPOLLERR | EPOLLHUP)) || getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err != 0) {
            lose(c, now);
            return;
        }
        c->up = true;
        session_new(c);
        for (unsigned i = 0; i < c->n_clients; i++)
            begin_request(&c->client[i], now);
    }
    if (((events & EPOLLIN) && !receive(c)) || !flush(c))
        lose(c, now);
}

/* A request without an answer for so long takes its whole connection with it. */
static void tick(struct connection *c, int64_t now)
{
    if (c->fd < 0) {
        if (now - c->since_ns >= RETRY_NS)
            begin_connection(c, now);
        return;
    }
    bool late = !c->up && now - c->since_ns > TIMEOUT_NS;
    for (unsigned i = 0; i < c->n_clients && c->up; i++)
        late = late || (c->client[i].busy && now - c->client[i].since_ns > TIMEOUT_NS);
    timeouts += late;
    if (late)
        lose(c, now);
}

static void drive(struct connection *c, unsigned n, int64_t until)
{
    struct epoll_event ev[256];
    int64_t next_tick = 0;
    for (int64_t now = now_ns(); now < until && !stop; now = now_ns()) {
        for (unsigned i = 0; i < n && now >= next_tick; i++)
            tick(&c[i], now);
        if (now >= next_tick)
            next_tick = now + 20000000;
        int k = epoll_wait(epoll_fd, ev, 256, 10);
        now = now_ns();
        for (int i = 0; i < k; i++)
            on_event(ev[i].data.ptr, ev[i].events, now);
    }
}

static void report(void)
{
    struct wr w = wr_heap(2u << 20);
    double seconds = (double) (end_ns - begin_ns) / 1e9;
    wr_printf(&w, "{\"subcommand\": \"etcd_load\", \"clients\": %u, \"connections\": %u, \"batch\": %u, \"seconds\": %.3f, \"load_cores\": %.2f, \"%s\": ",
              o.clients, o.connections, o.batch, seconds, (double) cpu_ns / 1e9 / seconds, o.reads ? "reads" : "writes");
    hist_json(&latency, seconds, &w);
    wr_printf(&w, ", \"rows_per_second\": %.1f, \"failed\": %llu, \"losses\": %llu, \"timeouts\": %llu, \"last_ack_ns\": %lld, \"gaps\": [",
              (double) latency.n * o.batch / seconds, (unsigned long long) failed, (unsigned long long) losses,
              (unsigned long long) timeouts, (long long) last_ack_ns);
    for (unsigned i = 0; i < n_gaps; i++)
        wr_printf(&w, "%s[%lld,%lld]", i ? "," : "", (long long) gap[i].begin_ns, (long long) gap[i].end_ns);
    wr_text(&w, "]}\n");
    fwrite(w.p, 1, w.len, stdout);
    wr_free(&w);
}

static bool options(int argc, char **argv)
{
    static const struct option longs[] = {
        { "target", 1, NULL, 't' }, { "clients", 1, NULL, 'n' }, { "connections", 1, NULL, 'c' }, { "batch", 1, NULL, 'b' },
        { "reads", 0, NULL, 'r' }, { "keys", 1, NULL, 'k' }, { "value-size", 1, NULL, 'v' }, { "duration", 1, NULL, 'd' },
        { "warmup", 1, NULL, 'w' }, { "seed", 1, NULL, 's' }, { 0, 0, 0, 0 } };
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;)
        switch (c) {
        case 't': if (o.n_targets < TARGETS_MAX) o.target[o.n_targets++] = optarg; break;
        case 'n': o.clients = (unsigned) atoi(optarg); break;
        case 'c': o.connections = (unsigned) atoi(optarg); break;
        case 'b': o.batch = (unsigned) atoi(optarg); break;
        case 'r': o.reads = true; break;
        case 'k': o.keys = (unsigned) atoi(optarg); break;
        case 'v': o.value_bytes = (unsigned) atoi(optarg); break;
        case 'd': o.duration_s = atof(optarg); break;
        case 'w': o.warmup_s = atof(optarg); break;
        case 's': seed ^= (uint64_t) atoll(optarg) << 20; break;
        default: return false;
        }
    if (o.connections == 0)
        o.connections = o.clients < 30 ? o.clients : 30;
    return o.n_targets > 0 && o.clients > 0 && o.clients <= 20000 && o.connections <= o.clients && o.batch > 0 && o.batch <= 128 &&
           o.keys > 0 && o.value_bytes <= VALUE_MAX - 64;
}

int main(int argc, char **argv)
{
    if (!options(argc, argv)) {
        fprintf(stderr, "usage: etcd_load --target HOST:PORT [--target ...] [--clients N] [--connections N] [--batch N] [--reads]\n"
                        "                 [--keys N] [--value-size BYTES] [--duration SECONDS] [--warmup SECONDS] [--seed N]\n");
        return 2;
    }
    struct connection *c = calloc(o.connections, sizeof *c);
    struct client *cl = calloc(o.clients, sizeof *cl);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    memset(value, 'x', sizeof value);
    signal(SIGTERM, on_stop);
    signal(SIGINT, on_stop);
    for (unsigned i = 0, at = 0; i < o.connections; i++) {
        unsigned n = o.clients / o.connections + (i < o.clients % o.connections);
        c[i] = (struct connection){ .fd = -1, .home = i % o.n_targets, .target = i % o.n_targets, .client = cl + at, .n_clients = n,
                                    .since_ns = -RETRY_NS };
        for (unsigned k = 0; k < n; k++) {
            cl[at + k].c = &c[i];
            cl[at + k].body = malloc((size_t) (o.value_bytes + 128) * o.batch + 64);
        }
        at += n;
    }
    drive(c, o.connections, now_ns() + (int64_t) (o.warmup_s * 1e9));
    begin_ns = now_ns();
    cpu_ns = -bench_cpu_ns();
    drive(c, o.connections, begin_ns + (int64_t) (o.duration_s * 1e9));
    end_ns = now_ns();
    cpu_ns += bench_cpu_ns();
    report();
    return 0;
}
