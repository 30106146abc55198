/*
 * seats.c - who will serve in the next set: asked of everybody, answered for ourselves
 *
 * The ring beside us has a set document that nobody has signed yet. It goes to every server that is linked, for a new
 * validator's region has no validator so far; whose key is in it answers with his seat. After a quorum, and a little
 * patience for the others, the ring gets what has come: whether it suffices the update's check says.
 */
#include "backend/validator/validator_int.h"

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/ops.h"

#define SEATS_MS 4000

/* ---- our own ---- */

static void take_seat(struct voter *v, const struct letter_seat *l);

static void on_signed(void *arg, struct ipc_answer *a)
{
    struct voter *v = arg;
    struct seats *s = &v->seats;
    struct letter_seat l = { .set_hash = s->own_hash, .key = s->own_key };
    s->signing = false;
    if (a->err != REEVE_OK || a->result.len != 128) {
        log_limited(LOG_SEV_WARNING, "the signer does not take a seat in a set that was proposed: %s", a->rep.message);
        return;
    }
    memcpy(l.seat.by_key.b, a->result.p, 64);
    memcpy(l.seat.by_cosign.b, a->result.p + 64, 64);
    if (s->own_to == 0)
        take_seat(v, &l);
    else
        net_send_seat(v, &l, s->own_to);
}

/* One at a time; whoever asks meanwhile asks again. */
static void sign_own(struct voter *v, const struct valset_doc *d, uint32_t to)
{
    struct seats *s = &v->seats;
    struct wr w = wr_heap(ATTEST_PAYLOAD_MAX);
    int at = valset_find(&d->set, &v->chain.own);
    if (at < 0 || s->signing || d->set.epoch != v->chain.set.epoch + 1 || valset_doc_hash(&crypto_ops_real, &s->own_hash, d) != REEVE_OK) {
        wr_free(&w);
        return;
    }
    s->own_to = to;
    s->own_key = v->chain.own;
    valset_doc_encode(d, &w);
    s->signing = !w.bad && ipc_link_request(v->signer, MSG_SIGN_SEAT, wr_slice(&w), SEATS_MS, on_signed, v) == REEVE_OK;
    wr_free(&w);
}

/* ---- asking ---- */

static void finish(struct voter *v)
{
    struct seats *s = &v->seats;
    struct wr w = wr_heap(ATTEST_PAYLOAD_MAX);
    loop_timer_cancel(v->loop, &s->timer);
    valset_doc_encode(&s->doc, &w);
    ipc_reply(s->ch, s->id, wr_slice(&w));
    ipc_unref(s->ch);
    s->ch = NULL;
    wr_free(&w);
}

static void on_time(void *arg)
{
    finish(arg);
}

static bool complete(const struct valset_doc *d)
{
    for (unsigned i = 0; i < d->set.n; i++)
        if (!seat_is_taken(d, i))
            return false;
    return true;
}

static void take_seat(struct voter *v, const struct letter_seat *l)
{
    struct seats *s = &v->seats;
    struct hash32 digest;
    int at = valset_find(&s->doc.set, &l->key);
    if (s->ch == NULL || at < 0 || !hash32_eq(&l->set_hash, &s->hash))
        return;
    seat_digest(&crypto_ops_real, &digest, &v->chain.head.chain_id, &s->hash);
    struct slice bytes = slice_of(digest.b, 32);
    if (!crypto_ops_real.verify(&l->seat.by_key, bytes, &s->doc.set.v[at].key) ||
        !crypto_ops_real.verify(&l->seat.by_cosign, bytes, &s->doc.set.v[at].cosign_key))
        return;
    s->doc.seat[at] = l->seat;
    s->doc.bitmap[at / 8] |= (uint8_t) (1u << at % 8);
    if (complete(&s->doc))
        finish(v);
}

void seats_ask(struct voter *v, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct seats *s = &v->seats;
    struct report rep = { .code = REEVE_OK };
    enum reeve_err err = REEVE_OK;
    if (s->ch != NULL)
        err = report_set(&rep, REEVE_E_BUSY, "another validator set is being asked for");
    else if (valset_doc_decode(&s->doc, m->body) != REEVE_OK || valset_doc_hash(&crypto_ops_real, &s->hash, &s->doc) != REEVE_OK)
        err = report_set(&rep, REEVE_E_MALFORMED, "malformed validator set");
    else if (loop_timer_in(v->loop, &s->timer, SEATS_MS, on_time, v) != REEVE_OK)
        err = report_set(&rep, REEVE_E_NOMEM, "out of memory");
    if (err != REEVE_OK) {
        ipc_reply_err(ch, m->id, err, &rep);
        return;
    }
    s->ch = ipc_ref(ch);
    s->id = m->id;
    memset(s->doc.bitmap, 0, sizeof s->doc.bitmap);
    net_send_seats_wanted(v, m->body);
    sign_own(v, &s->doc, 0);
}

/* ---- letters ---- */

void seats_wanted(struct voter *v, uint32_t from, struct slice body)
{
    static struct valset_doc d;
    if (valset_doc_decode(&d, body) == REEVE_OK)
        sign_own(v, &d, from);
}

void seats_came(struct voter *v, struct slice body)
{
    struct letter_seat l;
    if (letter_seat_decode(&l, body) == REEVE_OK)
        take_seat(v, &l);
}

void seats_close(struct voter *v)
{
    struct report rep = { .code = REEVE_OK };
    loop_timer_cancel(v->loop, &v->seats.timer);
    if (v->seats.ch == NULL)
        return;
    ipc_reply_err(v->seats.ch, v->seats.id, report_set(&rep, REEVE_E_SHUTDOWN, "the validator is shutting down"), &rep);
    ipc_unref(v->seats.ch);
    v->seats.ch = NULL;
}
