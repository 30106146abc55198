/* messages.c - the loop: wait for a message, hand it to whom it concerns, say that we are ready */
#include "backend/tcop/tcop_int.h"

#include <stdio.h>

#define HELD_MAX 65536                  /* bytes of answers that wait for others */

/* ---- being idle ---- */

static enum serve_activity idle_state(const struct tcop *t)
{
    switch (t->s.txn) {
    case TXN_BLOCK:
        return SERVE_IDLE_IN_TXN;
    case TXN_FAILED:
        return SERVE_FAILED_TXN;
    default:
        return SERVE_IDLE;
    }
}

/*
 * The answer waits for those of statements that are here already: a pipeline costs one write, not one for each. It goes out when
 * anything is waited for (session_wait), and when there is much of it.
 */
static void ready(struct tcop *t)
{
    if (t->ended)
        return;
    tcop_report_settings(t);
    tcop_activity(t, idle_state(t), slice_of(NULL, 0));
    if (reply_ready(&t->c, (char) t->s.txn) != REEVE_OK)
        t->ended = true;
    t->held = true;
    if (!pq_more(&t->c) || spool_len(&t->c.out) > HELD_MAX)
        tcop_send_held(t);
}

void tcop_send_held(struct tcop *t)
{
    if (t->held && pq_flush(&t->c) != REEVE_OK)
        t->ended = true;
    t->held = false;
}

static enum setting_id idle_setting(const struct tcop *t)
{
    return t->s.txn == TXN_IDLE ? SET_idle_session_timeout : SET_idle_in_transaction_session_timeout;
}

static struct mono_ms idle_deadline(const struct tcop *t)
{
    int64_t ms = session_int(&t->s, idle_setting(t));
    return (struct mono_ms){ ms ? session_mono_now().ms + ms : 0 };
}

static void idle_too_long(struct tcop *t)
{
    struct report rep = { 0 };
    if (t->s.txn == TXN_IDLE) {
        report_set(&rep, REEVE_E_SHUTDOWN, "terminating connection due to idle-session timeout");
        memcpy(rep.sqlstate, "57P05", 6);
    } else {
        report_set(&rep, REEVE_E_SHUTDOWN, "terminating connection due to idle-in-transaction timeout");
        memcpy(rep.sqlstate, "25P03", 6);
    }
    tcop_fatal(t, &rep);
}

static bool shut_down(struct tcop *t)
{
    struct report rep = { 0 };
    if (t->signals == NULL || !t->signals->die)
        return false;
    report_set(&rep, REEVE_E_SHUTDOWN, "terminating connection due to administrator command");
    tcop_fatal(t, &rep);
    return true;
}

/* ---- a client that is gone or talks nonsense ---- */

static void lost(struct tcop *t)
{
    bool open = t->s.txn != TXN_IDLE;
    if (t->c.why[0] != '\0' || open)
        tcop_log(t, SERVE_LOG_INFO, "08006", "connection lost%s%s%s", open ? " with an open transaction" : "",
                 t->c.why[0] ? ": " : "", t->c.why);
    t->ended = true;
}

static void nonsense(struct tcop *t)
{
    struct report rep = { 0 };
    report_set(&rep, REEVE_E_PROTOCOL, "invalid message from the client: %s", t->c.why);
    tcop_fatal(t, &rep);
    t->exit_code = 1;
}

/* ---- messages ---- */

static void query(struct tcop *t, struct slice body)
{
    struct slice text;
    if (t->skipping)
        return;
    if (pq_query_parse(&text, body) != REEVE_OK) {
        snprintf(t->c.why, sizeof t->c.why, "malformed Query");
        nonsense(t);
        return;
    }
    tcop_simple_query(t, text);
    ready(t);
}

static void function_call(struct tcop *t)
{
    struct report rep = { 0 };
    if (t->skipping)
        return;
    report_set(&rep, REEVE_E_UNSUPPORTED, "function calls by the fast path are not supported");
    tcop_error(t, &rep, REEVE_E_UNSUPPORTED);
    ready(t);
}

static void dispatch(struct tcop *t, uint8_t type, struct slice body)
{
    switch (type) {
    case 'Q':
        query(t, body);
        break;
    case 'P':
        tcop_parse(t, body);
        break;
    case 'B':
        tcop_bind(t, body);
        break;
    case 'D':
        tcop_describe(t, body);
        break;
    case 'E':
        tcop_execute(t, body);
        break;
    case 'C':
        tcop_close(t, body);
        break;
    case 'S':
        tcop_sync(t);
        ready(t);
        break;
    case 'H':
        if (pq_flush(&t->c) != REEVE_OK)
            t->ended = true;
        break;
    case 'X':
        t->ended = true;
        break;
    case 'F':
        function_call(t);
        break;
    case 'd': case 'c': case 'f':
        break;      /* what is left of a COPY that failed */
    default:
        snprintf(t->c.why, sizeof t->c.why, "unexpected message type 0x%02x", type);
        nonsense(t);
    }
}

static void reload(struct tcop *t)
{
    if (t->signals == NULL || !t->signals->reload)
        return;
    t->signals->reload = 0;
    if (t->start->hooks->reload != NULL)
        t->start->hooks->reload(t->start->arg, &t->s);
}

static void one_message(struct tcop *t)
{
    uint8_t type;
    struct slice body;
    struct mono_ms deadline = idle_deadline(t);
    if (!pq_more(&t->c))
        tcop_send_held(t);
    for (;;) {
        enum reeve_err err = pq_next(&t->c, PQ_FRAME_MAX, deadline, &type, &body);
        if (err == REEVE_OK) {
            dispatch(t, type, body);
            return;
        }
        if (err == REEVE_E_CLOSED) {
            lost(t);
            return;
        }
        if (err != REEVE_E_AGAIN) {
            nonsense(t);
            return;
        }
        if (shut_down(t))
            return;
        reload(t);
        if (deadline.ms != 0 && session_mono_now().ms >= deadline.ms) {
            idle_too_long(t);
            return;
        }
    }
}

void tcop_loop(struct tcop *t)
{
    ready(t);
    while (!t->ended && !shut_down(t)) {
        /* A cancel that comes while nothing runs has come too late. */
        if (t->signals != NULL && pq_have(&t->c).len == 0)
            t->signals->cancel = 0;
        reload(t);
        one_message(t);
        if (t->c.dead)
            t->ended = true;
    }
    tcop_send_held(t);                  /* Terminate came right behind it */
}
