/* link.c - a channel to a service that is asked for again whenever it is gone. */
#include "backend/ipc/link.h"

#include <stdlib.h>

#include "backend/utils/log.h"

#define RETRY_MS_MIN   20
#define RETRY_MS_MAX   1000
#define CONNECT_MS     5000

struct ipc_link {
    struct ipc_channel *postmaster, *ch;
    struct loop *loop;
    enum proc_kind self, service;
    struct ipc_link_handler h;
    struct loop_timer retry;
    int retry_ms;
    bool asking, closed;                /* closed while asking: the answer frees it */
};

static void ask(void *arg);

static void retry_later(struct ipc_link *l)
{
    int ms = l->retry_ms + (int) (random() % (l->retry_ms / 2 + 1));
    l->retry_ms = l->retry_ms * 2 > RETRY_MS_MAX ? RETRY_MS_MAX : l->retry_ms * 2;
    /* The timer's slot exists since the first time; a refusal here would leave the link down for good. */
    reeve_assert(loop_timer_in(l->loop, &l->retry, ms, ask, l) == REEVE_OK);
}

static void on_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct ipc_link *l = arg;
    if (l->h.message != NULL)
        l->h.message(l->h.arg, ch, m);
}

static void on_closed(void *arg, struct ipc_channel *ch, const char *why)
{
    struct ipc_link *l = arg;
    l->ch = NULL;
    log_limited(LOG_SEV_WARNING, "connection to %s lost: %s", proc_title(l->service), why);
    l->retry_ms = RETRY_MS_MIN;
    retry_later(l);
    if (l->h.down != NULL)
        l->h.down(l->h.arg, why);
}

static enum reeve_err take_channel(struct ipc_link *l, struct ipc_answer *a)
{
    struct rd r = rd_of(a->result);
    uint32_t pid = rd_u32(&r);
    int fd = a->fd;
    if (fd < 0)
        return REEVE_E_MALFORMED;
    a->fd = -1;
    enum reeve_err err = ipc_open(&l->ch, fd, l->self, l->service, pid);
    if (err != REEVE_OK)
        return err;
    err = ipc_attach(l->ch, l->loop, &(struct ipc_handler){ l, on_message, on_closed });
    if (err != REEVE_OK) {
        ipc_close(l->ch);
        l->ch = NULL;
    }
    return err;
}

static void on_answer(void *arg, struct ipc_answer *a)
{
    struct ipc_link *l = arg;
    l->asking = false;
    if (l->closed) {
        free(l);
        return;
    }
    enum reeve_err err = a->err == REEVE_OK ? take_channel(l, a) : a->err;
    if (err != REEVE_OK) {
        if (err != REEVE_E_AGAIN)
            log_limited(LOG_SEV_WARNING, "no connection to %s: %s", proc_title(l->service), a->rep.message);
        retry_later(l);
        return;
    }
    l->retry_ms = RETRY_MS_MIN;
    if (l->h.up != NULL)
        l->h.up(l->h.arg);
}

static void ask(void *arg)
{
    struct ipc_link *l = arg;
    uint8_t kind = (uint8_t) l->service;
    if (ipc_request(l->postmaster, MSG_CONNECT, slice_of(&kind, 1), CONNECT_MS, on_answer, l) == REEVE_OK)
        l->asking = true;
    else
        retry_later(l);
}

enum reeve_err ipc_link_open(struct ipc_link **out, struct ipc_channel *postmaster, struct loop *loop,
                             enum proc_kind self, enum proc_kind service, const struct ipc_link_handler *handler)
{
    struct ipc_link *l = calloc(1, sizeof *l);
    if (l == NULL)
        return REEVE_E_NOMEM;
    *l = (struct ipc_link){ .postmaster = postmaster, .loop = loop, .self = self, .service = service, .h = *handler,
                            .retry_ms = RETRY_MS_MIN };
    enum reeve_err err = loop_timer_in(loop, &l->retry, 0, ask, l);
    if (err != REEVE_OK) {
        free(l);
        return err;
    }
    *out = l;
    return REEVE_OK;
}

void ipc_link_close(struct ipc_link *l)
{
    if (l == NULL)
        return;
    loop_timer_cancel(l->loop, &l->retry);
    ipc_close(l->ch);
    l->ch = NULL;
    l->closed = true;
    if (!l->asking)
        free(l);
}

bool ipc_link_is_up(const struct ipc_link *l) { return l->ch != NULL; }
struct ipc_channel *ipc_link_channel(struct ipc_link *l) { return l->ch; }

enum reeve_err ipc_link_request(struct ipc_link *l, enum msg_type type, struct slice body, int timeout_ms,
                                ipc_answer_fn *fn, void *arg)
{
    return l->ch ? ipc_request(l->ch, type, body, timeout_ms, fn, arg) : REEVE_E_UNAVAILABLE;
}

enum reeve_err ipc_link_send(struct ipc_link *l, enum msg_type type, struct slice body)
{
    return l->ch ? ipc_send(l->ch, type, body, -1) : REEVE_E_UNAVAILABLE;
}
