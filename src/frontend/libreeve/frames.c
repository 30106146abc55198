/* frames.c - from a frame to the one function that handles it. */
#include "agent_int.h"

static enum wire_state state_of(enum agent_phase p)
{
    switch (p) {
    case AP_HELLO:  return WIRE_ST_HELLO;
    case AP_AUTH:   return WIRE_ST_AUTH;
    case AP_ENROLL: return WIRE_ST_ENROLL;
    default:        return WIRE_ST_READY;
    }
}

/* Retry 0 means it: this key, this token will not do. */
static void on_final_error(struct agent *a, const struct wire_error *e)
{
    const char *name = wire_error_name((unsigned) e->code);
    if (e->retry == 0 && (e->code == WE_REVOKED || e->code == WE_TOKEN || e->code == WE_AUTH)) {
        ag_halt(a, "%s: %.*s", name, (int) (e->message.len < 100 ? e->message.len : 100), (const char *) e->message.p);
        return;
    }
    if (e->retry == 1 && e->after_ms > 0)
        backoff_retry_after(&a->backoff, (uint32_t) e->after_ms);
    conn_lost(a, "%s: %.*s", name, (int) e->message.len, (const char *) e->message.p);
}

static void on_error(struct agent *a, const struct wire_head *h, const struct wire_error *e)
{
    struct request *r = h->flags & WIRE_REQID ? request_find(a, h->reqid) : NULL;
    if (r != NULL)
        request_failed(a, r, (unsigned) e->code, e->retry == 0, (int64_t) e->after_ms, e->message);
    else if ((h->flags & WIRE_REQID) == 0)
        on_final_error(a, e);
}

static void on_retry_after(struct agent *a, const struct wire_head *h, const struct wire_retry_after *w)
{
    int64_t wait = (int64_t) w->after_ms + ag_random_ms((int64_t) w->spread_ms);
    struct request *r = h->flags & WIRE_REQID ? request_find(a, h->reqid) : NULL;
    if (r != NULL) {
        request_failed(a, r, WE_BUSY, false, wait, slice_of(NULL, 0));
    } else if ((h->flags & WIRE_REQID) == 0) {
        backoff_retry_after(&a->backoff, (uint32_t) wait);
        conn_lost(a, "told to come back in %lld ms", (long long) wait);
        if (a->phase == AP_WAITING && a->attempt_ms < ag_mono(a) + wait)
            a->attempt_ms = ag_mono(a) + wait;
    }
}

static void on_goaway(struct agent *a, const struct wire_goaway *w)
{
    int64_t wait = (int64_t) w->not_before_ms + ag_random_ms((int64_t) w->spread_ms);
    if (w->reason == 3) {
        ag_log(a, AGENT_LOG_WARNING, "another connection uses this node's key");
        wait = wait < 5000 ? 5000 + ag_random_ms(5000) : wait;
    }
    ag_log(a, AGENT_LOG_INFO, "%s goes away, back in %lld ms", a->ep_text, (long long) wait);
    backoff_lost(&a->backoff, a->now.mono);
    a->attempt_ms = ag_mono(a) + wait;
    a->phase = AP_LEAVING;
    a->c.deadline_ms = ag_mono(a) + LEAVING_MS;
}

static void on_heartbeat_ack(struct agent *a, const struct wire_heartbeat_ack *w)
{
    if (w->heartbeat_ms.set)
        a->heartbeat_ms = w->heartbeat_ms.v < 100 ? 100 : (uint32_t) w->heartbeat_ms.v;
    if (w->reconnect_window_ms.set) {
        a->window_ms = (uint32_t) w->reconnect_window_ms.v;
        a->backoff.window_ms = a->window_ms;
    }
    if (a->config_ms >= 0)
        a->config_ms = ag_mono(a);      /* no change came before it: the values still stand */
}

static void on_bundle(struct agent *a, const struct wire_head *h, const struct wire_bundle *w)
{
    (void) bundle_take(a, w->bundle, w->scope, (h->flags & WIRE_MORE) != 0);
}

/* Who was shown two histories takes nothing more, also not on the region's word. */
static void on_values(struct agent *a, const struct wire_config *w, bool more)
{
    if (a->fork.len == 0)
        on_config(a, w, more);
}

static void on_resync(struct agent *a, const struct wire_resync *w)
{
    ag_log(a, AGENT_LOG_INFO, "resync: reason %u", w->reason);
    if (w->what >= 2)
        session_subscribe(a);
}

static void handle(struct agent *a, const struct wire_frame *f)
{
    switch (f->head.type) {
    case WF_WELCOME:       on_welcome(a, &f->u.welcome); break;
    case WF_AUTH_OK:       on_auth_ok(a, &f->u.auth_ok); break;
    case WF_ENROLLED:      on_enrolled(a, &f->u.enrolled); break;
    case WF_HEARTBEAT_ACK: on_heartbeat_ack(a, &f->u.heartbeat_ack); break;
    case WF_RETRY_AFTER:   on_retry_after(a, &f->head, &f->u.retry_after); break;
    case WF_GOAWAY:        on_goaway(a, &f->u.goaway); break;
    case WF_ERROR:         on_error(a, &f->head, &f->u.error); break;
    case WF_BUNDLE:        on_bundle(a, &f->head, &f->u.bundle); break;
    case WF_TICK:          (void) bundle_take(a, f->u.tick.bundle, 0, false); break;
    case WF_HEADS:         on_heads(a, &f->u.heads); break;
    case WF_CONFIG:        on_values(a, &f->u.config, (f->head.flags & WIRE_MORE) != 0); break;
    case WF_RESYNC:        on_resync(a, &f->u.resync); break;
    case WF_CERT_REPLY:    on_cert_reply(a, f->head.reqid, &f->u.cert_reply); break;
    case WF_KEY_REPLY:     on_key_reply(a, f->head.reqid, &f->u.key_reply); break;
    case WF_REPORT_ACK:    on_report_ack(a, f->head.reqid); break;
    case WF_REGISTER_ACK:  on_register_ack(a, &f->u.register_ack); break;
    default:               conn_fail(a, WE_UNEXPECTED, "a frame that does not belong here"); break;
    }
}

void on_frame(struct agent *a, struct slice bytes)
{
    struct wire_frame f;
    enum reeve_err err = wire_decode(&f, bytes);
    if (err == REEVE_E_NOT_FOUND)
        return;                         /* a type of a later version */
    bool labels_again = err == REEVE_OK && f.head.type == WF_AUTH_OK && a->phase == AP_READY && f.u.auth_ok.status == 1;
    if (err == REEVE_OK && !labels_again)
        err = wire_check(&f.head, WIRE_GATEWAY, state_of(a->phase));
    if (err != REEVE_OK) {
        conn_fail(a, wire_error_of(err), err == REEVE_E_PROTOCOL ? "unexpected frame" : "malformed frame");
        return;
    }
    handle(a, &f);
}
