/*
 * resolve.c - names without waiting for them
 *
 * getaddrinfo(3) blocks for as long as name servers please. Numeric addresses
 * are read at once; a name is asked by a thread of its own, which posts the
 * answer into the loop. A cancelled question is freed by whoever sees it last.
 */
#include "backend/peer/peer_int.h"

#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ASKED_MAX 16                    /* threads at a time, whatever the name servers do */

struct resolve {
    struct loop_task task;
    struct loop *loop;
    char host[PEER_HOST_MAX + 1], port[8];
    void (*fn)(void *arg, const struct resolved *r, const char *error);
    void *arg;
    bool cancelled;                     /* under the lock */
    struct resolved out;
    const char *error;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned asked;

static const char *ask(struct resolved *out, const char *host, const char *port, int flags)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *list = NULL;
    int r = getaddrinfo(host, port, &hints, &list);
    out->n = 0;
    if (r != 0)
        return gai_strerror(r);
    for (struct addrinfo *a = list; a != NULL && out->n < ADDRS_MAX; a = a->ai_next) {
        if (a->ai_addrlen > sizeof out->addr[0])
            continue;
        memcpy(&out->addr[out->n], a->ai_addr, a->ai_addrlen);
        out->len[out->n++] = a->ai_addrlen;
    }
    freeaddrinfo(list);
    return out->n > 0 ? NULL : "no address";
}

bool resolve_numeric(struct resolved *out, const char *host, uint16_t port)
{
    char text[8];
    snprintf(text, sizeof text, "%u", port);
    return ask(out, host, text, AI_NUMERICHOST | AI_NUMERICSERV) == NULL;
}

static void answered(void *arg)
{
    struct resolve *r = arg;
    pthread_mutex_lock(&lock);
    bool cancelled = r->cancelled;
    pthread_mutex_unlock(&lock);
    if (!cancelled)
        r->fn(r->arg, &r->out, r->error);
    free(r);
}

static void *work(void *arg)
{
    struct resolve *r = arg;
    r->error = ask(&r->out, r->host, r->port, AI_NUMERICSERV);
    pthread_mutex_lock(&lock);
    asked--;
    bool cancelled = r->cancelled;
    if (!cancelled)                     /* under the lock: until it is posted nobody may cancel and free the loop */
        loop_post(r->loop, &r->task);
    pthread_mutex_unlock(&lock);
    if (cancelled)
        free(r);
    return NULL;
}

static bool spawn(struct resolve *r)
{
    pthread_attr_t attr;
    pthread_t t;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&lock);
    bool ok = asked < ASKED_MAX && pthread_create(&t, &attr, work, r) == 0;
    asked += ok;
    pthread_mutex_unlock(&lock);
    pthread_attr_destroy(&attr);
    return ok;
}

struct resolve *resolve_start(struct loop *l, const char *host, uint16_t port,
                              void (*fn)(void *arg, const struct resolved *r, const char *error), void *arg)
{
    struct resolve *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->loop = l;
    r->fn = fn;
    r->arg = arg;
    r->task.fn = answered;
    r->task.arg = r;
    snprintf(r->host, sizeof r->host, "%s", host);
    snprintf(r->port, sizeof r->port, "%u", port);
    if (spawn(r))
        return r;
    free(r);
    return NULL;
}

void resolve_cancel(struct resolve *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&lock);
    r->cancelled = true;
    pthread_mutex_unlock(&lock);
}
