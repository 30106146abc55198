/*
 * queue.c - submissions that wait for a block
 *
 * First come, first served; several submissions share a block, each is judged
 * on its own, on top of those before it.
 */
#include "backend/validator/validator_int.h"

#include <stdlib.h>

static struct submission *parse(struct slice body)
{
    struct submission *s = malloc(sizeof *s + body.len);
    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof *s);
    memcpy(s->mem, body.p, body.len);
    s->len = body.len;
    struct rd r = rd_of(slice_of(s->mem, body.len));
    s->n = rd_u16(&r);
    for (size_t i = 0; i < s->n && i < ATTEST_BLOCK_LEAVES_MAX; i++)
        s->leaf[i] = rd_str32(&r, ATTEST_LEAF_MAX);
    if (s->n > 0 && s->n <= ATTEST_BLOCK_LEAVES_MAX && rd_done(&r))
        return s;
    free(s);
    return NULL;
}

enum reeve_err queue_add(struct voter *v, struct ipc_channel *ch, struct ipc_msg *m, struct report *rep)
{
    if (v->n_queue >= QUEUE_MAX || v->queue_bytes + m->body.len > QUEUE_BYTES_MAX)
        return report_set(rep, REEVE_E_BUSY, "too many security updates are waiting");
    struct submission *s = parse(m->body);
    if (s == NULL)
        return report_set(rep, REEVE_E_MALFORMED, "malformed submission");
    s->ch = ipc_ref(ch);
    s->id = m->id;
    *v->queue_tail = s;
    v->queue_tail = &s->next;
    v->n_queue++;
    v->queue_bytes += s->len;
    return REEVE_OK;
}

/* Unlinks *at and frees it; *at is the next one then. */
static void queue_remove(struct voter *v, struct submission **at)
{
    struct submission *s = *at;
    *at = s->next;
    if (s->next == NULL)
        v->queue_tail = at;
    v->n_queue--;
    v->queue_bytes -= s->len;
    ipc_unref(s->ch);
    free(s);
}

static void answer_height(struct submission *s, uint64_t height)
{
    uint8_t mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, height);
    ipc_reply(s->ch, s->id, wr_slice(&w));
}

void queue_fill_draft(struct voter *v)
{
    for (struct submission **at = &v->queue; *at;) {
        struct submission *s = *at;
        struct report rep = { .code = REEVE_OK };
        bool known;
        enum reeve_err err = chain_draft_add(&v->chain, &v->draft, s->leaf, s->n, &known, &rep);
        if (err == REEVE_E_TOO_COMPLEX && rep.code == REEVE_OK)
            return;                     /* this block is full */
        if (err == REEVE_OK && !known) {
            s->in_block = true;
            at = &s->next;
            continue;
        }
        if (err == REEVE_OK)
            answer_height(s, v->chain.head.height);
        else
            ipc_reply_err(s->ch, s->id, report_set(&rep, err, "%s", reeve_err_text(err)), &rep);
        queue_remove(v, at);
    }
}

void queue_answer_block(struct voter *v, uint64_t height)
{
    for (struct submission **at = &v->queue; *at;) {
        if ((*at)->in_block) {
            answer_height(*at, height);
            queue_remove(v, at);
        } else
            at = &(*at)->next;
    }
}

void queue_release_block(struct voter *v)
{
    for (struct submission *s = v->queue; s; s = s->next)
        s->in_block = false;
}

static void refuse_all(struct voter *v, enum reeve_err err, const char *why)
{
    struct report rep = { .code = REEVE_OK };
    report_set(&rep, err, "%s", why);
    while (v->queue) {
        ipc_reply_err(v->queue->ch, v->queue->id, err, &rep);
        queue_remove(v, &v->queue);
    }
}

void queue_refuse_full(struct voter *v)
{
    refuse_all(v, REEVE_E_DISK_FULL, "the validator's disk is full; nothing was changed");
}

void queue_close(struct voter *v)
{
    refuse_all(v, REEVE_E_SHUTDOWN, "the validator is shutting down");
}
