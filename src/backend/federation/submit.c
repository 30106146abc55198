/*
 * submit.c - what a ring without a validator submits: to every validator, again and again, until blocks or f + 1 of them answer
 *
 * That it was done the ring sees itself, when the block comes. A refusal of
 * f + 1 is one of an honest validator at least.
 */
#include "backend/federation/fed_int.h"

#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "common/text.h"
#include "crypto/hash.h"

#define AGAIN_MS 3000
#define KEEP_MS  (600 * 1000)

struct held {
    struct held *next;
    struct ipc_channel *ch;                 /* a reference */
    uint64_t id;
    struct hash32 digest;
    int64_t since_ms, sent_ms;
    bool answered[FED_LINKS_MAX];
    enum reeve_err answer[FED_LINKS_MAX];
    size_t len;
    uint8_t leaves[];
};

static void held_free(struct fed *f, struct held **at)
{
    struct held *h = *at;
    *at = h->next;
    f->n_held--;
    ipc_unref(h->ch);
    free(h);
}

/* k NULL: to all. */
static void send_one(struct fed *f, struct held *h, const struct fed_link *k)
{
    struct letter_submit l = { f->height, slice_of(h->leaves, h->len) };
    struct wr w = wr_heap(h->len + 64);
    letter_submit_encode(&l, &w);
    if (w.bad)
        ;
    else if (k == NULL)
        fed_send_validators(f, wr_slice(&w));
    else
        (void) fed_send(f, k, wr_slice(&w));
    wr_free(&w);
}

void held_add(struct fed *f, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct report rep = { .code = REEVE_OK };
    struct held *h = f->n_held < FED_HELD_MAX ? calloc(1, sizeof *h + m->body.len) : NULL;
    if (h == NULL) {
        ipc_reply_err(ch, m->id, report_set(&rep, REEVE_E_BUSY, "too many security updates are waiting"), &rep);
        return;
    }
    h->ch = ipc_ref(ch);
    h->id = m->id;
    h->since_ms = h->sent_ms = clock_mono().ms;
    h->len = m->body.len;
    memcpy(h->leaves, m->body.p, m->body.len);
    sha256(&h->digest, m->body);
    h->next = f->held;
    f->held = h;
    f->n_held++;
    fed_read_height(f);
    send_one(f, h, NULL);
}

void held_send_again(struct fed *f, const struct fed_link *link)
{
    int64_t now = clock_mono().ms;
    if (link != NULL && !link->validates)
        return;
    for (struct held **at = &f->held; *at;) {
        struct held *h = *at;
        if (now - h->since_ms > KEEP_MS) {
            struct report rep = { .code = REEVE_OK };
            ipc_reply_err(h->ch, h->id, report_set(&rep, REEVE_E_TIMEOUT, "the validators have not decided"), &rep);
            held_free(f, at);
            continue;
        }
        if (link != NULL)
            send_one(f, h, link);
        else if (now - h->sent_ms >= AGAIN_MS) {
            h->sent_ms = now;
            send_one(f, h, NULL);
        }
        at = &h->next;
    }
    peers_flush(f->peers);
}

void held_drop(struct fed *f, const struct ipc_channel *ch)
{
    for (struct held **at = &f->held; *at;) {
        if (ch == NULL || (*at)->ch == ch)
            held_free(f, at);
        else
            at = &(*at)->next;
    }
}

/* ---- answers ---- */

static unsigned count(const struct fed *f, const struct held *h, enum reeve_err err)
{
    unsigned n = 0;
    for (unsigned i = 0; i < f->n_links; i++)
        n += h->answered[i] && h->answer[i] == err;
    return n;
}

/* The words are those of the last one who said so; they only go to a person. */
static void end(struct fed *f, struct held **at, const struct letter_answer *l)
{
    struct held *h = *at;
    struct report rep = { .code = REEVE_OK };
    uint8_t mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, f->height);
    if (l->err == REEVE_OK)
        ipc_reply(h->ch, h->id, wr_slice(&w));
    else {
        if (utf8_valid(l->message) && memchr(l->message.p, 0, l->message.len) == NULL)
            report_set(&rep, l->err, "%.*s", (int) l->message.len, l->message.p);
        else
            report_set(&rep, l->err, "%s", reeve_err_text(l->err));
        ipc_reply_err(h->ch, h->id, l->err, &rep);
    }
    held_free(f, at);
}

void held_answer(struct fed *f, const struct fed_link *k, struct slice body)
{
    struct letter_answer l;
    unsigned at_link = (unsigned) (k - f->link);
    if (!k->validates || letter_answer_decode(&l, body) != REEVE_OK)
        return;
    for (struct held **at = &f->held; *at; at = &(*at)->next) {
        struct held *h = *at;
        if (!hash32_eq(&h->digest, &l.digest))
            continue;
        h->answered[at_link] = true;
        h->answer[at_link] = l.err;
        if (count(f, h, l.err) >= (f->set.n - 1u) / 3 + 1)
            end(f, at, &l);
        return;
    }
}
