/* frames.c - what arrives on a link that stands: messages of raft, and the pings that say whether it still does */
#include "backend/peer/peer_int.h"

#include <time.h>

#include "backend/utils/log.h"

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static void put_number(struct conn *c, uint8_t kind, uint64_t n, enum urgent u)
{
    struct frame *f = out_frame_new(PEER_FRAME_HEAD + 8, PEER_FRAME_HEAD + 8);
    if (f == NULL)
        return;
    peer_number_encode(kind, n, &f->w);
    peer_conn_put(c, f, u);
}

static void misbehaved(struct conn *c, const char *what)
{
    c->p->n.misbehaved++;
    peer_conn_close(c, "%s", what);
}

/* ---- the accepting side ---- */

/* Sender and receiver were fixed by the greeting; nobody speaks for another here. */
static bool addressed(const struct conn *c, const struct raft_msg *m)
{
    const struct peers *p = c->p;
    return m->from == c->peer->id && m->from_incarnation == c->peer_incarnation && m->to == p->c.id &&
           m->to_incarnation == p->c.incarnation && m->ring == p->c.ring;
}

static void message(struct conn *c, struct slice body)
{
    struct raft_msg m;
    if (raft_msg_decode(&m, body) != REEVE_OK) {
        misbehaved(c, "it sent a malformed message");
        return;
    }
    if (!addressed(c, &m)) {
        misbehaved(c, "it sent a message that is not from it to us");
        return;
    }
    c->peer->counts[c->purpose].frames_in++;
    c->p->ops.message(c->p->arg, &m);
}

static void news(struct conn *c, struct slice body)
{
    c->peer->counts[c->purpose].frames_in++;
    if (c->p->ops.news)
        c->p->ops.news(c->p->arg, c->peer->id, body);
}

static void letter(struct conn *c, struct slice body)
{
    c->peer->counts[c->purpose].frames_in++;
    if (c->p->ops.letter)
        c->p->ops.letter(c->p->arg, c->peer->id, body);
}

void frames_accepted(struct conn *c, uint8_t kind, struct slice body)
{
    uint64_t n;
    if (kind == PEER_F_RAFT && c->p->ops.message != NULL)
        message(c, body);
    else if (kind == PEER_F_NEWS && c->purpose == PEER_LOG && body.len <= PEER_NEWS_MAX)
        news(c, body);
    else if (kind == PEER_F_LETTER && c->purpose == PEER_BULK && body.len <= PEER_LETTER_MAX)
        letter(c, body);
    else if (kind == PEER_F_PING && peer_number_decode(&n, body) == REEVE_OK)
        put_number(c, PEER_F_PONG, n, U_PONG);
    else
        misbehaved(c, "it sent what does not belong on this connection");
}

/* ---- the dialing side ---- */

static void pong(struct conn *c, uint64_t sent_us)
{
    uint32_t *rtt = &c->peer->counts[c->purpose].rtt_us;
    uint64_t us = now_us() - sent_us;
    c->ping_at.ms = 0;
    if (us > UINT32_MAX / 8)            /* not a number of ours */
        return;
    *rtt = *rtt == 0 ? (uint32_t) us : (uint32_t) ((7 * (uint64_t) *rtt + us) / 8);
}

void frames_dialed(struct conn *c, uint8_t kind, struct slice body)
{
    uint64_t n;
    if (kind == PEER_F_PONG && peer_number_decode(&n, body) == REEVE_OK)
        pong(c, n);
    else
        misbehaved(c, "it sent what does not belong on this connection");
}

void ping_send(struct conn *c)
{
    put_number(c, PEER_F_PING, now_us(), U_PING);
}

/*
 * The dialer asks; one question at a time. What was not even written because a
 * large frame is before it counts from the last progress.
 */
void ping_check(struct conn *c, struct mono_ms now)
{
    int64_t dead = c->p->c.dead_ms;
    if (c->link == NULL) {
        if (now.ms - c->heard.ms > 2 * dead)
            peer_conn_close(c, "it was silent for %lld ms", (long long) (now.ms - c->heard.ms));
        return;
    }
    bool waits = c->q.urgent[U_PING] != NULL;
    int64_t since = c->ping_at.ms != 0 ? c->ping_at.ms : waits ? c->wrote.ms : now.ms;
    if (now.ms - since > dead)
        peer_conn_close(c, "no answer for %lld ms", (long long) (now.ms - since));
    else if (c->ping_at.ms == 0 && !waits)
        ping_send(c);
}
