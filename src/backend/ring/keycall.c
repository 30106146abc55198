/*
 * keycall.c - CREATE_AUTHORITY_KEY, CREATE_SHARED_KEY, CREATE_CHECKPOINT: the signer's work, passed on
 *
 * A signer that is just starting is waited for. Asking again after a lost
 * answer leaves at most a key that nobody ever names.
 */
#include "backend/ring/ring_int.h"

#include <stdlib.h>

#include "backend/utils/clock.h"

#define KEY_TIMEOUT_MS 10000
#define RETRY_MS 50

struct key_call {
    struct ring *r;
    enum msg_type type;
    key_done *done;
    void *arg;
    struct loop_timer retry;
    struct key_call *next;
    struct mono_ms deadline;
    bool asked;
    size_t len;
    uint8_t body[];
};

static void attempt(void *arg);

static void finish(struct key_call *k, enum reeve_err err, const struct report *rep, struct slice result)
{
    struct key_call **at = &k->r->key_calls;
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    loop_timer_cancel(k->r->loop, &k->retry);
    k->done(k->arg, err, rep, result);
    free(k);
}

static void finish_err(struct key_call *k, enum reeve_err err)
{
    struct report rep = { .code = REEVE_OK };
    report_set(&rep, err, "the signer does not answer; nothing was changed");
    finish(k, err, &rep, slice_of(NULL, 0));
}

static void again(struct key_call *k)
{
    if (loop_now(k->r->loop).ms >= k->deadline.ms || loop_timer_in(k->r->loop, &k->retry, RETRY_MS, attempt, k) != REEVE_OK)
        finish_err(k, REEVE_E_UNAVAILABLE);
}

static void answered(void *arg, struct ipc_answer *a)
{
    struct key_call *k = arg;
    k->asked = false;
    if (a->err == REEVE_E_CLOSED && k->r->signer != NULL)
        again(k);
    else if (a->err == REEVE_E_TIMEOUT || a->err == REEVE_E_CLOSED)
        finish_err(k, REEVE_E_UNAVAILABLE);
    else
        finish(k, a->err, &a->rep, a->result);
}

static void attempt(void *arg)
{
    struct key_call *k = arg;
    struct ipc_link *to = k->type == MSG_ATTEST_SEATS ? k->r->validator : k->r->signer;
    enum reeve_err err = ipc_link_request(to, k->type, slice_of(k->body, k->len), KEY_TIMEOUT_MS, answered, k);
    if (err == REEVE_OK)
        k->asked = true;
    else if (err == REEVE_E_UNAVAILABLE || err == REEVE_E_BUSY || err == REEVE_E_CLOSED)
        again(k);
    else
        finish_err(k, err);
}

enum reeve_err key_call(struct ring *r, enum msg_type type, struct slice body, key_done *done, void *arg)
{
    if (!r->attests)
        return REEVE_E_UNAVAILABLE;
    struct key_call *k = calloc(1, sizeof *k + body.len);
    if (k == NULL)
        return REEVE_E_NOMEM;
    *k = (struct key_call){ .r = r, .type = type, .done = done, .arg = arg, .next = r->key_calls, .len = body.len,
                            .deadline = { loop_now(r->loop).ms + KEY_TIMEOUT_MS } };
    memcpy(k->body, body.p, body.len);
    enum reeve_err err = loop_timer_in(r->loop, &k->retry, 0, attempt, k);
    if (err != REEVE_OK) {
        free(k);
        return err;
    }
    r->key_calls = k;
    return REEVE_OK;
}

/* After the signer's link is closed: whoever was asking has been answered by then. */
void key_calls_close(struct ring *r)
{
    while (r->key_calls)
        finish_err(r->key_calls, REEVE_E_SHUTDOWN);
}
