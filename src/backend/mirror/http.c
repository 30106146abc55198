/*
 * http.c - requests and answers: libmicrohttpd in our own event loop, without threads
 *
 * Each address listened on has a daemon, whose epoll descriptor is watched; between events it says itself when it wants to
 * be run again (its connections' time limits).
 */
#include "backend/mirror/mirror_int.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/utils/log.h"

#define BACKLOG 128
#define POLL_MS 1000

struct http {
    struct mirror *m;
    size_t bytes;                       /* of answers under way */
    unsigned n;
    struct listener { struct http *h; struct MHD_Daemon *daemon; struct loop_io io; struct loop_timer timer; } l[MIRROR_LISTEN_MAX];
};

/* ---- answers ---- */

struct answer { struct http *h; size_t len; uint8_t bytes[]; };

static void answer_free(void *arg)
{
    struct answer *a = arg;
    a->h->bytes -= a->len;
    free(a);
}

static enum MHD_Result send_response(struct MHD_Connection *c, unsigned status, struct MHD_Response *r)
{
    if (r == NULL)
        return MHD_NO;
    enum MHD_Result ok = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result send_status(struct MHD_Connection *c, unsigned status, const char *why)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(why), (void *) (uintptr_t) why, MHD_RESPMEM_PERSISTENT);
    if (r != NULL)
        (void) MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
    return send_response(c, status, r);
}

/* forever: what never changes under its path (M1). */
static enum MHD_Result send_bytes(struct http *h, struct MHD_Connection *c, struct slice bytes, bool forever)
{
    struct answer *a = h->bytes + bytes.len > MIRROR_BYTES_MAX ? NULL : malloc(sizeof *a + bytes.len);
    if (a == NULL)
        return send_status(c, MHD_HTTP_SERVICE_UNAVAILABLE, "too much under way\n");
    a->h = h;
    a->len = bytes.len;
    memcpy(a->bytes, bytes.p, bytes.len);
    h->bytes += bytes.len;
    struct MHD_Response *r = MHD_create_response_from_buffer_with_free_callback_cls(bytes.len, a->bytes, answer_free, a);
    if (r == NULL) {
        answer_free(a);
        return MHD_NO;
    }
    (void) MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, forever ? "application/octet-stream" : "text/plain; charset=utf-8");
    (void) MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, forever ? "public, max-age=604800, immutable" : "no-cache");
    return send_response(c, MHD_HTTP_OK, r);
}

static enum MHD_Result send_tile(struct http *h, struct MHD_Connection *c, const struct tile *t)
{
    struct wr w = wr_heap(t->entries ? TILE_ENTRIES_BYTES_MAX : TILE_BYTES);
    enum reeve_err err = mirror_tile(h->m, t, &w);
    enum MHD_Result ok;
    if (err == REEVE_OK)
        ok = send_bytes(h, c, wr_slice(&w), true);
    else if (err == REEVE_E_NOT_FOUND)
        ok = send_status(c, MHD_HTTP_NOT_FOUND, "the log has no such tile yet\n");
    else
        ok = send_status(c, MHD_HTTP_SERVICE_UNAVAILABLE, "the log cannot be read now\n");
    wr_free(&w);
    return ok;
}

/* ---- requests ---- */

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                                  const char *upload, size_t *upload_len, void **state)
{
    static int seen;
    struct http *h = arg;
    struct tile t;
    (void) version;
    (void) upload;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return send_status(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n");
    if (*state == NULL) {               /* the head alone; the request may be sent with a body, which is not taken */
        *state = &seen;
        return MHD_YES;
    }
    if (*upload_len > 0)
        return MHD_NO;
    if (strcmp(url, "/checkpoint") == 0) {
        if (h->m->note.len == 0)
            return send_status(c, MHD_HTTP_SERVICE_UNAVAILABLE, "there is no checkpoint yet\n");
        return send_bytes(h, c, h->m->note, false);
    }
    if (*url != '/' || tile_path_parse(&t, slice_str(url + 1)) != REEVE_OK)
        return send_status(c, MHD_HTTP_NOT_FOUND, "checkpoint, tile/L/N, tile/entries/N\n");
    return send_tile(h, c, &t);
}

/* ---- the loop ---- */

static void run(void *arg)
{
    struct listener *l = arg;
    MHD_UNSIGNED_LONG_LONG ms;
    (void) MHD_run(l->daemon);
    int64_t wait = MHD_get_timeout(l->daemon, &ms) == MHD_YES && ms < POLL_MS ? (int64_t) ms : POLL_MS;
    if (loop_timer_in(l->h->m->loop, &l->timer, wait, run, l) != REEVE_OK)
        log_error("no timer for HTTP");
}

static void on_event(void *arg, uint32_t revents)
{
    (void) revents;
    run(arg);
}

/* ---- listening ---- */

static int listen_fd(const struct addrinfo *a)
{
    int on = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static bool start(struct http *h, int fd)
{
    struct listener *l = &h->l[h->n];
    l->h = h;
    l->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned) MIRROR_CONNECTIONS_MAX,
                                 MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned) MIRROR_OF_ONE_MAX,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) MIRROR_IDLE_S,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) 16384, MHD_OPTION_END);
    if (l->daemon == NULL) {
        close(fd);
        return false;
    }
    h->n++;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || loop_io_add(h->m->loop, &l->io, info->epoll_fd, EPOLLIN, on_event, l) != REEVE_OK)
        return false;
    run(l);
    return true;
}

/* "*" is every address of both families; one that works is enough. */
static enum reeve_err listen_host(struct http *h, const char *host, struct report *rep)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list = NULL;
    char port[16];
    unsigned before = h->n;
    int saved = 0;
    snprintf(port, sizeof port, "%lld", (long long) settings_int(h->m->child->settings, SET_mirror_port));
    int r = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, &list);
    if (r != 0)
        return report_set(rep, REEVE_E_CONFIG, "listen_addresses: \"%s\": %s", host, gai_strerror(r));
    for (struct addrinfo *a = list; a != NULL && h->n < MIRROR_LISTEN_MAX; a = a->ai_next) {
        int fd = listen_fd(a);
        saved = fd < 0 ? errno : saved;
        if (fd >= 0 && !start(h, fd))
            log_warning("HTTP could not be started");
    }
    freeaddrinfo(list);
    return h->n > before ? REEVE_OK
                         : report_set(rep, REEVE_E_IO, "could not listen for mirrors on port %s: %s", port, strerror(saved));
}

enum reeve_err http_open(struct mirror *m, struct report *rep)
{
    char list[1024], *save = NULL;
    enum reeve_err err = REEVE_OK;
    m->http = calloc(1, sizeof *m->http);
    if (m->http == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    m->http->m = m;
    snprintf(list, sizeof list, "%s", settings_text(m->child->settings, SET_listen_addresses));
    for (char *host = strtok_r(list, ", \t", &save); host != NULL && err == REEVE_OK; host = strtok_r(NULL, ", \t", &save))
        err = listen_host(m->http, host, rep);
    return err;
}

void http_close(struct mirror *m)
{
    struct http *h = m->http;
    for (unsigned i = 0; h != NULL && i < h->n; i++) {
        loop_timer_cancel(m->loop, &h->l[i].timer);
        loop_io_del(m->loop, &h->l[i].io);
        MHD_stop_daemon(h->l[i].daemon);
    }
    free(h);
    m->http = NULL;
}
