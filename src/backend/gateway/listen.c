/*
 * listen.c - this process's own listeners on agent_port, and shedding before TLS
 *
 * SO_REUSEPORT spreads new connections over the gateways in the kernel. What
 * is more than this process may take on costs an accept, eight plaintext bytes
 * and a close: far less than a handshake.
 */
#include "backend/gateway/gateway_int.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_BATCH 64
#define LISTEN_BACKLOG 4096
#define USER_TIMEOUT_MS 30000
#define SHED_TELL_MS 10000
#define UNSENT_BYTES 131072             /* what waits, waits in our queue, where it is counted, not in the kernel's */

static void shed(struct gateway *g, int fd)
{
    uint8_t retry[WIRE_RETRY_LEN], drain[1024];
    uint32_t r;
    random_bytes(&r, sizeof r);
    g->shed++;
    wire_retry_encode(retry, admission_shed(&g->admission, loop_now(g->loop), r));
    /* Unread bytes at close would turn into a reset that overtakes the answer. */
    if (send(fd, retry, sizeof retry, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t) sizeof retry) {
        (void) shutdown(fd, SHUT_WR);
        while (recv(fd, drain, sizeof drain, MSG_DONTWAIT) > 0)
            ;
    }
    close(fd);
}

/* One line at most in so long, whatever arrives. */
void listen_tell_shed(struct gateway *g)
{
    int64_t now = loop_now(g->loop).ms;
    if (g->shed == g->shed_told || (g->shed_told != 0 && now - g->shed_told_ms < SHED_TELL_MS))
        return;
    log_warning("%llu connections of agents were shed before TLS, %llu in all; %u are opening",
                (unsigned long long) (g->shed - g->shed_told), (unsigned long long) g->shed, g->n_opening);
    g->shed_told = g->shed;
    g->shed_told_ms = now;
}

static bool may_enter(struct gateway *g)
{
    return g->facts.known && g->facts.height > 0 && g->speaks &&
           g->n_opening < (uint64_t) gw_setting(g, SET_agent_accept_queue) &&
           admission_take(&g->admission, loop_now(g->loop));
}

static void set_options(int fd)
{
    int on = 1, timeout = USER_TIMEOUT_MS, unsent = UNSENT_BYTES;
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

static void on_listener(void *arg, uint32_t revents)
{
    struct gateway *g = arg;
    (void) revents;
    for (unsigned k = 0; k < g->n_listeners; k++)
        for (int i = 0; i < ACCEPT_BATCH; i++) {
            int fd = accept4(g->listeners[k].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) {
                if (errno == EMFILE || errno == ENFILE)
                    log_limited(LOG_SEV_WARNING, "no descriptor left for another agent");
                break;
            }
            if (!may_enter(g)) {
                shed(g, fd);
                continue;
            }
            set_options(fd);
            if (conn_new(g, fd) == NULL)
                close(fd);
        }
}

static enum reeve_err listen_one(struct gateway *g, const struct addrinfo *a, struct report *rep)
{
    int on = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return report_set(rep, REEVE_E_IO, "could not open a socket for agents: %s", strerror(errno));
    (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        report_set(rep, REEVE_E_IO, "could not listen for agents on port %lld: %s",
                   (long long) gw_setting(g, SET_agent_port), strerror(errno));
        close(fd);
        return REEVE_E_IO;
    }
    enum reeve_err err = loop_io_add(g->loop, &g->listeners[g->n_listeners], fd, EPOLLIN, on_listener, g);
    if (err != REEVE_OK) {
        close(fd);
        return err;
    }
    g->n_listeners++;
    return REEVE_OK;
}

/* One entry of listen_addresses; "*" is every address of both families. OK when at least one could be used. */
static enum reeve_err listen_host(struct gateway *g, const char *host, struct report *rep)
{
    char port[16];
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list = NULL;
    struct report last = { .code = REEVE_OK };
    unsigned before = g->n_listeners;
    snprintf(port, sizeof port, "%lld", (long long) gw_setting(g, SET_agent_port));
    int r = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, &list);
    if (r != 0)
        return report_set(rep, REEVE_E_CONFIG, "listen_addresses: \"%s\": %s", host, gai_strerror(r));
    for (struct addrinfo *a = list; a != NULL && g->n_listeners < GW_LISTEN_MAX; a = a->ai_next)
        if (listen_one(g, a, &last) != REEVE_OK)
            log_debug("%s", last.message);
    freeaddrinfo(list);
    if (g->n_listeners > before)
        return REEVE_OK;
    *rep = last;
    return last.code != REEVE_OK ? last.code : REEVE_E_CONFIG;
}

enum reeve_err listen_open(struct gateway *g, struct report *rep)
{
    char list[1024], *save = NULL;
    snprintf(list, sizeof list, "%s", settings_text(g->child->settings, SET_listen_addresses));
    for (char *h = strtok_r(list, ", \t", &save); h != NULL; h = strtok_r(NULL, ", \t", &save)) {
        enum reeve_err err = listen_host(g, h, rep);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

void listen_close(struct gateway *g)
{
    for (unsigned i = 0; i < g->n_listeners; i++) {
        int fd = g->listeners[i].fd;
        loop_io_del(g->loop, &g->listeners[i]);
        close(fd);
    }
    g->n_listeners = 0;
}
