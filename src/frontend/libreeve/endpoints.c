/* endpoints.c - "host:port,[v6]:port,...": parsed, and a socket on its way to one of them. */
#include "agent_int.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static bool port_ok(const char *p, size_t len)
{
    if (len < 1 || len > 5)
        return false;
    unsigned v = 0;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        v = v * 10 + (unsigned) (p[i] - '0');
    }
    return v >= 1 && v <= 65535;
}

/* One "host:port"; IPv6 addresses in brackets. */
static bool endpoint_parse(struct endpoint *e, const char *text, size_t len)
{
    const char *colon = memrchr(text, ':', len), *end = text + len;
    if (colon == NULL || !port_ok(colon + 1, (size_t) (end - colon - 1)))
        return false;
    const char *host = text;
    size_t host_len = (size_t) (colon - text);
    if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
        host++;
        host_len -= 2;
    }
    if (host_len == 0 || host_len >= sizeof e->host)
        return false;
    snprintf(e->host, sizeof e->host, "%.*s", (int) host_len, host);
    snprintf(e->port, sizeof e->port, "%.*s", (int) (end - colon - 1), colon + 1);
    return true;
}

enum reeve_err endpoints_parse(struct agent *a, const char *text, struct report *rep)
{
    a->n_ep = 0;
    for (const char *p = text; p != NULL && *p != '\0';) {
        size_t len = strcspn(p, ",");
        if (a->n_ep == AGENT_ENDPOINTS_MAX)
            return report_set(rep, REEVE_E_TOO_BIG, "more than %d servers", AGENT_ENDPOINTS_MAX);
        if (!endpoint_parse(&a->ep[a->n_ep++], p, len))
            return report_set(rep, REEVE_E_INVALID_TEXT, "\"%.*s\" is not host:port", (int) len, p);
        p += len + (p[len] == ',');
    }
    if (a->n_ep == 0)
        return report_set(rep, REEVE_E_INVALID_TEXT, "no server is given");
    return REEVE_OK;
}

static int socket_connect(struct agent *a, const struct addrinfo *ai)
{
    int one = 1, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        snprintf(a->last_error, sizeof a->last_error, "socket: %s", strerror(errno));
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 || errno == EINPROGRESS)
        return fd;
    snprintf(a->last_error, sizeof a->last_error, "%s", strerror(errno));
    close(fd);
    return -1;
}

static const struct addrinfo *nth_address(const struct addrinfo *list, unsigned i)
{
    while (i-- > 0)
        list = list->ai_next;
    return list;
}

/*
 * Addresses resolve without waiting; a name waits for the resolver. Of a name
 * with several addresses each failure moves on to the next one: that an address
 * leads nowhere often shows only later.
 */
int endpoint_connect(struct agent *a, const struct endpoint *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST }, *list;
    int rc = getaddrinfo(e->host, e->port, &hints, &list);
    if (rc == EAI_NONAME) {
        hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
        rc = getaddrinfo(e->host, e->port, &hints, &list);
    }
    if (rc != 0) {
        snprintf(a->last_error, sizeof a->last_error, "%.100s: %.80s", e->host, gai_strerror(rc));
        return -1;
    }
    int fd = -1;
    unsigned n = 0;
    for (struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
        n++;
    for (unsigned i = 0; i < n && fd < 0; i++)
        fd = socket_connect(a, nth_address(list, (e->failed + i) % n));
    freeaddrinfo(list);
    return fd;
}
