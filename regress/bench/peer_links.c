/*
 * peer_links.c - what a link between members costs: round trips, one way throughput, CPU per message
 *
 * Two processes on loopback, each with its own loop, as two members on one
 * machine are; the links are the real ones with TLS. Prints JSON last.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend/peer/peer.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"

#define RING  77
#define TRIPS 20000

struct side {
    struct loop *loop;
    struct peers *peers;
    struct peer_identity identity;
    uint32_t id;
    uint16_t port;
    bool up;
    uint64_t n, bytes;
    bool echo;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void must(enum reeve_err err, const char *what)
{
    if (err == REEVE_OK)
        return;
    fprintf(stderr, "peer_links: %s: %s\n", what, reeve_err_text(err));
    exit(1);
}

static struct raft_msg message(const struct side *s, uint8_t type, struct slice data)
{
    return (struct raft_msg){ .type = type, .from = s->id, .to = 3 - s->id, .from_incarnation = 100 + s->id,
                              .to_incarnation = 103 - s->id, .ring = RING, .term = 1, .data = data };
}

/* TIMEOUT_NOW asks how much came and what it cost; everything else is returned where asked for. */
static void on_message(void *arg, const struct raft_msg *m)
{
    struct side *s = arg;
    s->n++;
    s->bytes += m->data.len;
    if (m->type == RAFT_M_TIMEOUT_NOW && s->echo) {
        struct raft_msg r = message(s, RAFT_M_READ_REPLY, slice_of(NULL, 0));
        r.read = s->n;
        r.index = (uint64_t) (cpu_s() * 1e6);
        peers_send(s->peers, &r, NULL);
    } else if (m->type == RAFT_M_READ_REPLY) {
        s->bytes = m->index;
        s->up = true;
    } else if (s->echo && m->data.len > 0 && m->data.p[0] == 'e') {
        struct raft_msg r = message(s, m->type, m->data);
        peers_send(s->peers, &r, NULL);
    }
}

static void on_reachable(void *arg, uint32_t id, bool yes) { ((struct side *) arg)->up = yes; }

static void side_open(struct side *s)
{
    struct peers_config c;
    struct report rep = { 0 };
    static const struct peers_ops ops = { .message = on_message, .reachable = on_reachable };
    peers_config_default(&c);
    c.ring = RING;
    c.id = s->id;
    c.incarnation = 100 + s->id;
    c.identity = &s->identity;
    c.queue_bytes[PEER_LOG] = 64u << 20;
    c.queue_frames[PEER_LOG] = 1u << 20;
    must(loop_new(&s->loop), "loop");
    must(peers_new(&s->peers, s->loop, &c, &ops, s, &rep), "links");
    must(peers_listen(s->peers, "127.0.0.1", &s->port, &rep), "listening");
}

static void name(struct raft_conf *c, uint32_t id, uint16_t port, const struct hash32 *key)
{
    struct raft_member *m = &c->m[c->n++];
    char text[RAFT_ADDR_MAX + 1];
    size_t len;
    must(peer_addr_format(text, &len, "127.0.0.1", port, key), "address");
    *m = (struct raft_member){ .id = id, .incarnation = 100 + id, .role = RAFT_VOTER, .addr_len = (uint8_t) len };
    memcpy(m->addr, text, len);
}

static void configure(struct side *s, uint16_t port1, const struct hash32 *key1, uint16_t port2, const struct hash32 *key2)
{
    struct raft_conf c = { .last_id = 2 };
    name(&c, 1, port1, key1);
    name(&c, 2, port2, key2);
    peers_configure(s->peers, &c, 1, &c);
}

/* The other process: echoes until its parent is gone. */
static void echo(int tell, int hear, const struct peer_identity *mine, const struct hash32 *other)
{
    struct side s = { .id = 2, .identity = *mine, .echo = true };
    uint16_t port;
    side_open(&s);
    if (write(tell, &s.port, sizeof s.port) != sizeof s.port || read(hear, &port, sizeof port) != sizeof port)
        exit(1);
    configure(&s, port, other, s.port, &mine->key);
    while (getppid() != 1)
        loop_run_once(s.loop, 1000);
    exit(0);
}

static int order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

struct figures { double p50_us, p99_us; };

static struct figures round_trips(struct side *s, size_t len, unsigned trips)
{
    static uint64_t took[TRIPS];
    static uint8_t data[1 << 20];
    data[0] = 'e';
    for (unsigned i = 0; i < trips; i++) {
        struct raft_msg m = message(s, RAFT_M_HOST, slice_of(data, len));
        uint64_t before = s->n, start = now_ns();
        peers_send(s->peers, &m, NULL);
        peers_flush(s->peers);
        while (s->n == before)
            loop_run_once(s->loop, 1000);
        took[i] = now_ns() - start;
    }
    qsort(took, trips, sizeof *took, order);
    return (struct figures){ (double) took[trips / 2] / 1e3, (double) took[trips - trips / 100] / 1e3 };
}

/* Until the other side's link stands it drops what it would answer. */
static void await_other_direction(struct side *s)
{
    while (s->n == 0) {
        struct raft_msg m = message(s, RAFT_M_HOST, slice_str("e"));
        peers_send(s->peers, &m, NULL);
        peers_flush(s->peers);
        for (int i = 0; i < 10 && s->n == 0; i++)
            loop_run_once(s->loop, 10);
    }
    for (int i = 0; i < 20; i++)                /* late answers */
        loop_run_once(s->loop, 10);
}

/* CPU seconds of the other side so far; waits until all that was sent before has come. */
static double other_cpu(struct side *s)
{
    struct raft_msg m = message(s, RAFT_M_TIMEOUT_NOW, slice_of(NULL, 0));
    s->up = false;
    peers_send(s->peers, &m, NULL);
    peers_flush(s->peers);
    while (!s->up)
        loop_run_once(s->loop, 1000);
    return (double) s->bytes / 1e6;
}

struct flow { double per_s, mb_per_s, sender_us, receiver_us; };

/* As a leader sends: a few messages a turn, the queue kept short. */
static struct flow one_way(struct side *s, size_t len, unsigned count, unsigned a_turn)
{
    static uint8_t data[1 << 20];
    struct peer_status st[2];
    double other = other_cpu(s), own = cpu_s();
    uint64_t start = now_ns();
    data[0] = 'x';
    for (unsigned sent = 0; sent < count;) {
        for (unsigned i = 0; i < a_turn && sent < count; i++, sent++) {
            struct raft_msg m = message(s, RAFT_M_HOST, slice_of(data, len));
            peers_send(s->peers, &m, NULL);
        }
        peers_flush(s->peers);
        while (peers_status(s->peers, st, 2) > 0 && st[0].queued_bytes > (4u << 20))
            loop_run_once(s->loop, 10);
        loop_run_once(s->loop, 0);
    }
    double own_now = cpu_s(), other_now = other_cpu(s), took = (double) (now_ns() - start) / 1e9;
    return (struct flow){ count / took, count / took * (double) len / 1e6, (own_now - own) * 1e6 / count,
                          (other_now - other) * 1e6 / count };
}

static void print(const char *what, struct flow f)
{
    fprintf(stderr, "%s: %.0f messages/s, %.0f MB/s, CPU %.2f us sending, %.2f us receiving\n", what, f.per_s, f.mb_per_s,
            f.sender_us, f.receiver_us);
}

int main(void)
{
    struct side s = { .id = 1 };
    struct peer_identity other;
    int to[2], from[2];
    uint16_t port;
    signal(SIGPIPE, SIG_IGN);
    log_init("bench");
    log_configure(LOG_SEV_WARNING, LOG_FORM_TEXT);
    must(crypto_init(), "crypto");
    must(peer_identity_fresh(&s.identity), "key");
    must(peer_identity_fresh(&other), "key");
    if (pipe(to) < 0 || pipe(from) < 0)
        return 1;
    pid_t child = fork();
    if (child == 0)
        echo(from[1], to[0], &other, &s.identity.key);
    side_open(&s);
    if (read(from[0], &port, sizeof port) != sizeof port || write(to[1], &s.port, sizeof s.port) != sizeof s.port)
        return 1;
    configure(&s, s.port, &s.identity.key, port, &other.key);
    while (!s.up)
        loop_run_once(s.loop, 100);
    await_other_direction(&s);
    (void) round_trips(&s, 64, 2000);
    struct figures small = round_trips(&s, 64, TRIPS), large = round_trips(&s, 65536, TRIPS / 4);
    fprintf(stderr, "round trip, 64 bytes: p50 %.1f us, p99 %.1f us\n", small.p50_us, small.p99_us);
    fprintf(stderr, "round trip, 64 KiB: p50 %.1f us, p99 %.1f us\n", large.p50_us, large.p99_us);
    struct flow one = one_way(&s, 64, 50000, 1), crowd = one_way(&s, 64, 1000000, 64), bulk = one_way(&s, 65536, 20000, 4);
    print("64 bytes, each flushed alone", one);
    print("64 bytes, 64 a turn", crowd);
    print("64 KiB", bulk);
    printf("{\"rtt64_p50_us\": %.1f, \"rtt64_p99_us\": %.1f, \"rtt64k_p50_us\": %.1f, \"rtt64k_p99_us\": %.1f, "
           "\"alone64_per_s\": %.0f, \"alone64_send_us\": %.2f, \"alone64_receive_us\": %.2f, "
           "\"batched64_per_s\": %.0f, \"batched64_send_us\": %.2f, \"batched64_receive_us\": %.2f, "
           "\"flow64k_mb_per_s\": %.0f, \"flow64k_send_us\": %.1f, \"flow64k_receive_us\": %.1f}\n",
           small.p50_us, small.p99_us, large.p50_us, large.p99_us, one.per_s, one.sender_us, one.receiver_us, crowd.per_s,
           crowd.sender_us, crowd.receiver_us, bulk.mb_per_s, bulk.sender_us, bulk.receiver_us);
    peers_free(s.peers);
    loop_free(s.loop);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}
