/* listen.c - the sockets that SQL clients connect to. Agents' ports belong to the gateways. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/postmaster/pm_int.h"
#include "backend/utils/log.h"

#define BACKLOG          512
#define ACCEPTS_PER_WAKE 32

static void on_accept(void *arg, uint32_t revents)
{
    struct listener *l = arg;
    for (int i = 0; i < ACCEPTS_PER_WAKE; i++) {
        struct sockaddr_storage peer = { 0 };
        socklen_t len = sizeof peer;
        int fd = accept4(l->fd, (struct sockaddr *) &peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                log_limited(LOG_SEV_WARNING, "could not accept a connection: %s", strerror(errno));
                pm_listen_pause(l->pm, 100);
            }
            return;
        }
        pm_backend_start(l->pm, fd, &peer, len);
    }
}

static enum reeve_err add(struct pm *pm, int fd)
{
    if (pm->n_listeners == PM_LISTENERS_MAX) {
        close(fd);
        return REEVE_E_TOO_BIG;
    }
    struct listener *l = &pm->listeners[pm->n_listeners++];
    *l = (struct listener){ .pm = pm, .fd = fd };
    return loop_io_add(pm->loop, &l->io, fd, EPOLLIN, on_accept, l);
}

/* ---- TCP ---- */

static int open_tcp(const struct addrinfo *ai)
{
    int one = 1, saved;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);     /* accepted sockets inherit it */
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* An address family that this machine does not have is no reason to stay down; a port in use is. */
static enum reeve_err listen_one(struct pm *pm, const struct addrinfo *ai, int port, struct report *rep)
{
    char host[NI_MAXHOST] = "?";
    getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    int fd = open_tcp(ai);
    if (fd >= 0) {
        log_info("listening on %s port %d", host, port);
        return add(pm, fd);
    }
    if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) {
        log_info("not listening on %s: %s", host, strerror(errno));
        return REEVE_OK;
    }
    return report_set(rep, REEVE_E_CONFIG, "could not listen on %s port %d: %s", host, port, strerror(errno));
}

static enum reeve_err listen_name(struct pm *pm, const char *name, int port, struct report *rep)
{
    char service[16];
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list = NULL;
    snprintf(service, sizeof service, "%d", port);
    int rc = getaddrinfo(strcmp(name, "*") == 0 ? NULL : name, service, &hints, &list);
    if (rc != 0)
        return report_set(rep, REEVE_E_CONFIG, "could not resolve \"%s\" of listen_addresses: %s", name, gai_strerror(rc));
    enum reeve_err err = REEVE_OK;
    for (const struct addrinfo *ai = list; ai != NULL && err == REEVE_OK; ai = ai->ai_next)
        err = listen_one(pm, ai, port, rep);
    freeaddrinfo(list);
    return err;
}

static enum reeve_err listen_tcp(struct pm *pm, struct report *rep)
{
    char list[1024], *rest = list, *name;
    int port = (int) settings_int(pm->settings, SET_port);
    snprintf(list, sizeof list, "%s", settings_text(pm->settings, SET_listen_addresses));
    while ((name = strsep(&rest, ", \t")) != NULL) {
        if (*name == '\0')
            continue;
        enum reeve_err err = listen_name(pm, name, port, rep);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

/* ---- the local socket ---- */

static enum reeve_err listen_local(struct pm *pm, struct report *rep)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct pidfile *p = &pm->pidfile;
    snprintf(p->socket, sizeof p->socket, "%.990s/.s.PGSQL.%d", pm->dir, p->port);
    if (strlen(p->socket) >= sizeof un.sun_path) {
        log_warning("no local socket: the name \"%s\" is too long", p->socket);
        p->socket[0] = '\0';
        return REEVE_OK;
    }
    memcpy(un.sun_path, p->socket, strlen(p->socket) + 1);
    unlink(p->socket);                  /* the lock says that nobody uses it */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *) &un, sizeof un) == 0 && listen(fd, BACKLOG) == 0 &&
        chmod(p->socket, (mode_t) settings_int(pm->settings, SET_unix_socket_permissions)) == 0)
        return add(pm, fd);
    report_set(rep, REEVE_E_CONFIG, "could not listen on \"%s\": %s", p->socket, strerror(errno));
    if (fd >= 0)
        close(fd);
    return REEVE_E_CONFIG;
}

enum reeve_err pm_listen(struct pm *pm, struct report *rep)
{
    enum reeve_err err;
    TRY(listen_tcp(pm, rep));
    TRY(listen_local(pm, rep));
    if (pm->n_listeners == 0)
        err = report_set(rep, REEVE_E_CONFIG, "there is no address to listen on");
out:
    return err;
}

void pm_listen_close(struct pm *pm)
{
    loop_timer_cancel(pm->loop, &pm->listen_again);
    for (unsigned i = 0; i < pm->n_listeners; i++) {
        loop_io_del(pm->loop, &pm->listeners[i].io);
        close(pm->listeners[i].fd);
    }
    pm->n_listeners = 0;
    if (pm->pidfile.socket[0])
        unlink(pm->pidfile.socket);
}

static void listen_again(void *arg)
{
    struct pm *pm = arg;
    for (unsigned i = 0; i < pm->n_listeners; i++)
        loop_io_events(pm->loop, &pm->listeners[i].io, EPOLLIN);
}

void pm_listen_pause(struct pm *pm, int ms)
{
    if (loop_timer_in(pm->loop, &pm->listen_again, ms, listen_again, pm) != REEVE_OK)
        return;
    for (unsigned i = 0; i < pm->n_listeners; i++)
        loop_io_events(pm->loop, &pm->listeners[i].io, 0);
}
