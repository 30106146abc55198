/*
 * relay.c - TCP with a distance in between
 *
 *   relay <<< "LISTEN TARGET MICROSECONDS" ...      a line each; prints "ready" once it listens, ends with its standard input
 *
 * What comes in on a connection to LISTEN (loopback) goes out to TARGET so much later, in either direction, in order; so does
 * the end of it. A connection that is accepted at once, as the kernel does here, would have taken a round trip in the world: its
 * first bytes take it instead. Bandwidth is not limited; at most WAITING_MAX bytes wait each way, then nothing more is read.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUTES_MAX  1024
#define PAIRS_MAX   4096
#define WAITING_MAX (8u << 20)
#define PIECE       65536

struct piece { struct piece *next; int64_t due; size_t len, at; uint8_t bytes[]; };
/* From one end to the other. */
struct way { struct piece *first, **last; size_t waiting; bool ended, told_end; int64_t not_before; };
struct route { int fd; uint16_t target; int64_t delay_us; };
struct end { struct pair *pair; int fd; int side; };
struct pair { struct end end[2]; struct way way[2]; int64_t delay_us; bool used; };     /* way[i] leads away from end[i] */

static struct route routes[ROUTES_MAX];
static unsigned n_routes;
static struct pair pairs[PAIRS_MAX];
static int epfd;

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- pairs ---- */

static void pair_close(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        close(p->end[i].fd);
        for (struct piece *k = p->way[i].first, *next; k != NULL; k = next) {
            next = k->next;
            free(k);
        }
    }
    p->used = false;
}

static void watch(struct end *e, bool add)
{
    struct way *in = &e->pair->way[e->side];
    struct epoll_event ev = { .events = !in->ended && in->waiting < WAITING_MAX ? EPOLLIN : 0, .data.ptr = e };
    if (epoll_ctl(epfd, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, e->fd, &ev) != 0)
        die("epoll_ctl");
}

static int dial(uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *) &to, sizeof to) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void on_accept(struct route *r)
{
    struct pair *p = NULL;
    int fd = accept4(r->fd, NULL, NULL, SOCK_CLOEXEC), other, one = 1;
    for (unsigned i = 0; i < PAIRS_MAX && p == NULL; i++)
        if (!pairs[i].used)
            p = &pairs[i];
    if (fd < 0)
        return;
    other = p != NULL ? dial(r->target) : -1;
    if (other < 0) {
        close(fd);
        return;
    }
    *p = (struct pair){ .used = true, .delay_us = r->delay_us, .end = { { p, fd, 0 }, { p, other, 1 } } };
    for (int i = 0; i < 2; i++) {
        p->way[i].last = &p->way[i].first;
        setsockopt(p->end[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (fcntl(p->end[i].fd, F_SETFL, O_NONBLOCK) != 0)
            die("fcntl");
        watch(&p->end[i], true);
    }
    p->way[0].not_before = now_us() + 3 * r->delay_us;      /* SYN, SYN-ACK, and the bytes' own way */
}

/* ---- bytes ---- */

static void take(struct end *e)
{
    static uint8_t mem[PIECE];
    struct way *w = &e->pair->way[e->side];
    ssize_t n = recv(e->fd, mem, sizeof mem, MSG_DONTWAIT);
    if (n < 0)
        n = 0;      /* a reset ends it as well */
    struct piece *k = malloc(sizeof *k + (size_t) n);
    if (k == NULL)
        die("malloc");
    int64_t due = now_us() + e->pair->delay_us;
    *k = (struct piece){ .due = due > w->not_before ? due : w->not_before, .len = (size_t) n };
    memcpy(k->bytes, mem, (size_t) n);
    *w->last = k;
    w->last = &k->next;
    w->waiting += (size_t) n;
    w->ended = n == 0;
    watch(e, false);
}

/* Writes what is due; false: the pair is over. */
static bool give(struct pair *p, int from, int64_t now)
{
    struct way *w = &p->way[from];
    while (w->first != NULL && w->first->due <= now) {
        struct piece *k = w->first;
        if (k->len == 0)
            return false;
        ssize_t n = send(p->end[!from].fd, k->bytes + k->at, k->len - k->at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0) {
            k->due = now + 1000;        /* full: again in a millisecond */
            return true;
        }
        k->at += (size_t) n;
        if (k->at < k->len)
            continue;
        w->first = k->next;
        if (w->first == NULL)
            w->last = &w->first;
        w->waiting -= k->len;
        free(k);
        watch(&p->end[from], false);
    }
    return true;
}

/* All that is due, and how long until the next is. */
static int64_t give_all(void)
{
    int64_t now = now_us(), next = now + 1000000;
    for (unsigned i = 0; i < PAIRS_MAX; i++) {
        struct pair *p = &pairs[i];
        if (p->used && (!give(p, 0, now) || !give(p, 1, now)))
            pair_close(p);
        for (int k = 0; k < 2 && p->used; k++)
            if (p->way[k].first != NULL && p->way[k].first->due < next)
                next = p->way[k].first->due;
    }
    return next - now;
}

/* ---- start ---- */

static void route_add(unsigned port, unsigned target, long delay)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct route *r = &routes[n_routes++];
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = r };
    int one = 1;
    *r = (struct route){ socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), (uint16_t) target, delay };
    if (r->fd < 0 || setsockopt(r->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(r->fd, (struct sockaddr *) &at, sizeof at) != 0 || listen(r->fd, 64) != 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, r->fd, &ev) != 0)
        die("listen");
}

static bool is_route(const void *p)
{
    return (const struct route *) p >= routes && (const struct route *) p < routes + ROUTES_MAX;
}

int main(void)
{
    unsigned port, target;
    long delay;
    char line[128];
    epfd = epoll_create1(EPOLL_CLOEXEC);
    while (fgets(line, sizeof line, stdin) != NULL && line[0] != '\n') {
        if (n_routes == ROUTES_MAX || sscanf(line, "%u %u %ld", &port, &target, &delay) != 3 || port > 65535 || target > 65535)
            return 2;
        route_add(port, target, delay);
    }
    struct epoll_event in = { .events = EPOLLIN | EPOLLHUP, .data.ptr = NULL };
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, 0, &in) != 0)
        die("standard input");
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event ev[64];
        struct timespec wait = { 0 };
        int64_t us = give_all();
        wait.tv_sec = us / 1000000;
        wait.tv_nsec = us > 0 ? us % 1000000 * 1000 : 0;
        int n = epoll_pwait2(epfd, ev, 64, &wait, NULL);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.ptr == NULL)
                return 0;
            if (is_route(ev[i].data.ptr))
                on_accept(ev[i].data.ptr);
            else if (((struct end *) ev[i].data.ptr)->pair->used)
                take(ev[i].data.ptr);
        }
    }
}
