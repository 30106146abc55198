/*
 * slow.c - agents that do not read what waits for them
 *
 * A push is skipped while GW_QUEUE_SKIP bytes wait (GW3), so a queue passes
 * the byte cap in two ways only. Answers to an agent that asks and never
 * reads are its own bytes: the cap is hard. One large set or snapshot may
 * pass it, as its bytes are shared by all who lack the same; but it must get
 * below the cap again in a time that a slow link manages. Whoever fails gets
 * its pushes dropped and a RESYNC in their place, once; the second
 * time the connection ends with SLOW.
 */
#include "backend/gateway/gateway_int.h"

#include <stdlib.h>

#define REASON_SLOW 2
#define WHAT_BOTH   3

static uint64_t cap_of(const struct conn *c)
{
    return (uint64_t) gw_setting(c->g, SET_agent_connection_bytes_max);
}

void slow_note(struct conn *c)
{
    if (c->out_bytes <= cap_of(c))
        c->drain_by_ms = 0;
    else if (c->drain_by_ms == 0)
        c->drain_by_ms = loop_now(c->g->loop).ms + GW_SLOW_GRACE_MS + (int64_t) (c->out_bytes * 1000 / GW_SLOW_BYTES_S);
}

/* The first one stays: a part of it may be with TLS already. */
static void drop(struct conn *c, bool pushes_only)
{
    struct outq **at = c->out_head != NULL ? &c->out_head->next : &c->out_head, *q;
    while ((q = *at) != NULL) {
        if (pushes_only && !q->push) {
            at = &q->next;
            continue;
        }
        *at = q->next;
        c->out_bytes -= q->p->len;
        c->out_own -= q->push ? 0 : q->p->len + GW_SEND_OVERHEAD;
        payload_unref(q->p);
        free(q);
    }
    c->out_tail = at;
}

static void first_time(struct conn *c)
{
    struct wire_frame f = wire_frame_of(WF_RESYNC);
    char peer[64];
    uint64_t before = c->out_bytes;
    c->slowed = 1;
    drop(c, true);
    conn_peer_text(c, peer);
    log_limited(LOG_SEV_INFO, "agent %s: reads too slowly: %llu of %llu waiting bytes dropped, it is to ask anew", peer,
                (unsigned long long) (before - c->out_bytes), (unsigned long long) before);
    log_debug("agent %s: told to resync", peer);
    c->following = false;               /* until it says again what it has */
    c->drain_by_ms = 0;
    f.u.resync.reason = REASON_SLOW;
    f.u.resync.what = WHAT_BOTH;
    conn_send_frame(c, &f);
}

void slow_act(struct conn *c)
{
    bool answers = c->out_own + GW_SEND_OVERHEAD * 2 > cap_of(c) / 2;
    if (c->slowed == 0 && !answers) {
        first_time(c);
        return;
    }
    if (c->slowed == 2) {               /* the word about it does not fit either */
        conn_close(c, "it does not read");
        return;
    }
    c->slowed = 2;
    drop(c, false);                     /* answers nobody reads: nothing to be had again, nothing to wait for */
    conn_fail(c, WE_SLOW, 1, 0, "it does not read");
}

void slow_check(struct conn *c)
{
    int64_t now = loop_now(c->g->loop).ms, idle = now - c->wrote.ms;
    if (c->drain_by_ms == 0)
        return;
    bool crowded = payload_bytes_live() > GW_PINNED_CAPS * cap_of(c);
    if (now >= c->drain_by_ms || idle >= GW_SLOW_STALL_MS || (crowded && idle >= 1000))
        slow_act(c);
}
