/*
 * http.c - one GET of HTTP/1.1, as much of it as a mirror needs
 *
 * The answer is a status line, headers of at most HEAD_MAX bytes and a body whose length is said, or which ends with the
 * connection. Chunks, encodings and redirections are refused: a mirror of files has none.
 */
#include "mirror.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX    16384
#define DEADLINE_MS 60000

struct get { struct source *s; const char *path; int fd; int64_t until_ms; };

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool failed(struct get *g, const char *why)
{
    snprintf(g->s->why, sizeof g->s->why, "http://%.100s/%.64s: %.60s", g->s->host, g->path, why);
    return false;
}

/* Until the descriptor has one of these events, or the time is over. */
static bool ready(struct get *g, short events)
{
    struct pollfd p = { .fd = g->fd, .events = events };
    int64_t left = g->until_ms - now_ms();
    int n = left > 0 ? poll(&p, 1, (int) left) : 0;
    return n > 0 || failed(g, n == 0 ? "no answer in time" : strerror(errno));
}

/* ---- the connection ---- */

static bool connect_one(struct get *g, const struct addrinfo *a)
{
    int err = 0;
    socklen_t len = sizeof err;
    g->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (g->fd < 0)
        return failed(g, strerror(errno));
    bool ok = connect(g->fd, a->ai_addr, a->ai_addrlen) == 0;
    if (!ok && errno == EINPROGRESS)
        ok = ready(g, POLLOUT) && getsockopt(g->fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && (err == 0 || failed(g, strerror(err)));
    else if (!ok)
        failed(g, strerror(errno));
    if (!ok)
        close(g->fd);
    return ok;
}

static bool connect_any(struct get *g)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    int r = getaddrinfo(g->s->host, g->s->port, &hints, &list);
    if (r != 0)
        return failed(g, gai_strerror(r));
    bool ok = false;
    for (struct addrinfo *a = list; a != NULL && !ok; a = a->ai_next)
        ok = connect_one(g, a);
    freeaddrinfo(list);
    return ok;
}

static bool ask(struct get *g)
{
    char text[2048];
    bool v6 = strchr(g->s->host, ':') != NULL;
    int len = snprintf(text, sizeof text, "GET %s/%s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUser-Agent: reeve-audit\r\nConnection: close\r\n\r\n",
                       g->s->base, g->path, v6 ? "[" : "", g->s->host, v6 ? "]" : "", g->s->port);
    for (int at = 0; at < len;) {
        ssize_t n = ready(g, POLLOUT) ? send(g->fd, text + at, (size_t) (len - at), MSG_NOSIGNAL) : -1;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return failed(g, strerror(errno));
        at += n > 0 ? (int) n : 0;
        if (now_ms() >= g->until_ms)
            return failed(g, "no answer in time");
    }
    return true;
}

/* At most size bytes; 0: the end. -1: it was said. */
static ssize_t take(struct get *g, void *p, size_t size)
{
    for (;;) {
        if (!ready(g, POLLIN))
            return -1;
        ssize_t n = recv(g->fd, p, size, 0);
        if (n >= 0)
            return n;
        if (errno != EAGAIN && errno != EINTR)
            return failed(g, strerror(errno)) ? 0 : -1;
    }
}

/* ---- the answer's head ---- */

struct head { int status; bool bounded; uint64_t length; };

static bool header(struct get *g, char *line, struct head *h)
{
    char *value = strchr(line, ':'), *end;
    if (value == NULL)
        return failed(g, "a malformed header");
    *value++ = '\0';
    value += strspn(value, " \t");
    if (strcasecmp(line, "transfer-encoding") == 0 || (strcasecmp(line, "content-encoding") == 0 && strcasecmp(value, "identity") != 0))
        return failed(g, "an encoding that is not understood");
    if (strcasecmp(line, "content-length") != 0)
        return true;
    errno = 0;
    h->length = strtoull(value, &end, 10);
    h->bounded = true;
    return (*value >= '0' && *value <= '9' && *end == '\0' && errno == 0) || failed(g, "a malformed length");
}

static bool head_parse(struct get *g, char *text, struct head *h)
{
    char *save = NULL, *line = strtok_r(text, "\r\n", &save);
    if (line == NULL || sscanf(line, "HTTP/1.%*1[01] %3d", &h->status) != 1)
        return failed(g, "this is no HTTP");
    while ((line = strtok_r(NULL, "\r\n", &save)) != NULL)
        if (!header(g, line, h))
            return false;
    return true;
}

/* What came behind the head with it goes into out. */
static bool head_read(struct get *g, struct head *h, struct wr *out)
{
    char text[HEAD_MAX + 1];
    size_t len = 0;
    char *end = NULL;
    while (end == NULL) {
        ssize_t n = len < HEAD_MAX ? take(g, text + len, HEAD_MAX - len) : 0;
        if (n <= 0)
            return n < 0 ? false : failed(g, len < HEAD_MAX ? "the answer ends too soon" : "the headers are too long");
        len += (size_t) n;
        text[len] = '\0';
        end = strstr(text, "\r\n\r\n");
        if (memchr(text, '\0', end ? (size_t) (end - text) : len) != NULL)
            return failed(g, "this is no HTTP");
    }
    *end = '\0';
    wr_bytes(out, end + 4, len - (size_t) (end + 4 - text));
    return head_parse(g, text, h);
}

static bool body_read(struct get *g, const struct head *h, struct wr *out)
{
    uint8_t piece[16384];
    while (!h->bounded || out->len < h->length) {
        ssize_t n = out->bad ? -1 : take(g, piece, sizeof piece);
        if (n < 0)
            return out->bad ? failed(g, "it is larger than any such file may be") : false;
        if (n == 0)
            break;
        wr_bytes(out, piece, (size_t) n);
    }
    if (out->bad)
        return failed(g, "it is larger than any such file may be");
    return !h->bounded || out->len == h->length || failed(g, "the answer has another length than it says");
}

enum source_err http_get(struct source *s, const char *path, struct wr *out)
{
    struct get g = { .s = s, .path = path, .fd = -1, .until_ms = now_ms() + DEADLINE_MS };
    struct head h = { 0 };
    char why[32];
    if (!connect_any(&g))
        return SOURCE_FAILED;
    bool ok = ask(&g) && head_read(&g, &h, out);
    if (ok && h.status == 200)
        ok = body_read(&g, &h, out);
    close(g.fd);
    if (!ok || h.status == 200)
        return ok ? SOURCE_OK : SOURCE_FAILED;
    snprintf(why, sizeof why, "status %d", h.status);
    failed(&g, why);
    return h.status == 404 ? SOURCE_MISSING : SOURCE_FAILED;
}
