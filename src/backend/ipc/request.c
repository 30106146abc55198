/* request.c - requests under way on a channel in a loop, and the form of replies. */
#include <stdlib.h>
#include <unistd.h>

#include "backend/ipc/ipc_int.h"

#define REPORT_TEXT_MAX 511u

static void take_text(struct rd *r, char out[512])
{
    struct slice s = rd_str16(r, REPORT_TEXT_MAX);
    if (s.len > 0)
        memcpy(out, s.p, s.len);
    out[s.len] = '\0';
}

enum reeve_err reply_split(struct slice body, enum reeve_err *err, struct report *rep, struct slice *result)
{
    struct rd r = rd_of(body);
    report_clear(rep);
    unsigned code = rd_u16(&r);
    take_text(&r, rep->message);
    take_text(&r, rep->detail);
    take_text(&r, rep->hint);
    if (r.bad || code >= REEVE_E__COUNT)
        return REEVE_E_MALFORMED;
    *err = rep->code = (enum reeve_err) code;
    *result = rd_bytes(&r, rd_left(&r));
    return REEVE_OK;
}

/* Frees the slot, then tells the asker: it may ask again from inside. */
static void finish(struct pending *p, struct ipc_answer *a)
{
    struct pending done = *p;
    struct ipc_channel *ch = p->ch;
    loop_timer_cancel(ch->loop, &p->timer);
    p->id = 0;
    ch->n_pending--;
    done.fn(done.arg, a);
    if (a->fd >= 0)
        close(a->fd);
}

static void finish_err(struct pending *p, enum reeve_err err)
{
    struct ipc_answer a = { .err = err, .fd = -1 };
    report_set(&a.rep, err, err == REEVE_E_TIMEOUT ? "%s did not answer in time" : "the connection to %s broke",
               proc_title(p->ch->peer));
    finish(p, &a);
}

static void on_timeout(void *arg)
{
    struct pending *p = arg;
    struct ipc_channel *ch = ipc_ref(p->ch);
    finish_err(p, REEVE_E_TIMEOUT);
    ipc_unref(ch);
}

void request_answered(struct ipc_channel *ch, struct ipc_msg *m)
{
    struct pending *p = ch->pending ? &ch->pending[m->id % IPC_PENDING_MAX] : NULL;
    if (p == NULL || p->id != m->id)
        return;
    struct ipc_answer a = { .fd = m->fd };
    m->fd = -1;
    if (reply_split(m->body, &a.err, &a.rep, &a.result) != REEVE_OK) {
        a.err = REEVE_E_MALFORMED;
        report_set(&a.rep, a.err, "%s sent a malformed reply", proc_title(ch->peer));
    }
    finish(p, &a);
}

void request_fail_all(struct ipc_channel *ch)
{
    for (unsigned i = 0; i < IPC_PENDING_MAX && ch->n_pending > 0; i++)
        if (ch->pending[i].id != 0)
            finish_err(&ch->pending[i], REEVE_E_CLOSED);
}

/* The next id whose slot is free. */
static struct pending *take_slot(struct ipc_channel *ch)
{
    if (ch->pending == NULL && (ch->pending = calloc(IPC_PENDING_MAX, sizeof *ch->pending)) == NULL)
        return NULL;
    if (ch->n_pending >= IPC_PENDING_MAX)
        return NULL;
    struct pending *p;
    do
        p = &ch->pending[++ch->last_id % IPC_PENDING_MAX];
    while (p->id != 0);
    return p;
}

enum reeve_err ipc_request(struct ipc_channel *ch, enum msg_type type, struct slice body, int timeout_ms,
                           ipc_answer_fn *fn, void *arg)
{
    reeve_assert(ch->loop != NULL);
    if (ch->fd < 0)
        return REEVE_E_CLOSED;
    struct pending *p = take_slot(ch);
    if (p == NULL)
        return REEVE_E_BUSY;
    enum reeve_err err = REEVE_OK;
    if (timeout_ms > 0)
        TRY(loop_timer_in(ch->loop, &p->timer, timeout_ms, on_timeout, p));
    TRY(frame_send(ch, type, ch->last_id, body, -1));
    p->id = ch->last_id;
    p->fn = fn;
    p->arg = arg;
    p->ch = ch;
    ch->n_pending++;
    loop_io_events(ch->loop, &ch->io, channel_wanted_events(ch));
    return REEVE_OK;
out:
    loop_timer_cancel(ch->loop, &p->timer);
    return err;
}
