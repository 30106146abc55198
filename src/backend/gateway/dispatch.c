/* dispatch.c - from a frame to the one function that handles it */
#include "backend/gateway/gateway_int.h"

static enum wire_state state_of(enum conn_phase p)
{
    switch (p) {
    case CP_HELLO: return WIRE_ST_HELLO;
    case CP_AUTH:  return WIRE_ST_AUTH;
    case CP_ENROLL: return WIRE_ST_ENROLL;
    default: return WIRE_ST_READY;
    }
}

static enum handled on_heartbeat(struct conn *c, const struct wire_frame *f)
{
    struct wire_frame ack = wire_frame_of(WF_HEARTBEAT_ACK);
    conn_send_frame(c, &ack);
    return H_DONE;
}

static enum handled on_error(struct conn *c, const struct wire_frame *f)
{
    char peer[64];
    conn_peer_text(c, peer);
    log_limited(LOG_SEV_INFO, "agent %s: says %s: %.*s", peer, wire_error_name((unsigned) f->u.error.code),
                (int) f->u.error.message.len, (const char *) f->u.error.message.p);
    if ((f->head.flags & WIRE_REQID) == 0)
        conn_close(c, "the agent reported an error");
    return H_DONE;
}

static enum handled handle(struct conn *c, const struct wire_frame *f)
{
    switch (f->head.type) {
    case WF_HELLO:          return on_hello(c, f);
    case WF_AUTH:           return on_auth(c, f);
    case WF_ENROLL:         return on_enroll(c, f);
    case WF_HEARTBEAT:      return on_heartbeat(c, f);
    case WF_ERROR:          return on_error(c, f);
    case WF_SUBSCRIBE:      return on_subscribe(c, f);
    case WF_HEADS:          return on_heads(c, f);
    case WF_CERT_REQUEST:   return on_cert_request(c, f);
    case WF_KEY_REQUEST:    return on_key_request(c, f);
    case WF_REPORT:         return on_report(c, f);
    case WF_REGISTER:       return on_register(c, f);
    case WF_REGISTER_BATCH: return on_register_batch(c, f);
    default:
        conn_fail(c, WE_UNEXPECTED, 0, 0, "a frame that does not belong here");
        return H_DONE;
    }
}

static void touch(struct conn *c)
{
    uint32_t now_s = (uint32_t) (clock_wall().ms / 1000);
    if (c->enrolled && c->touched_s != now_s) {
        c->touched_s = now_s;
        liveness_touch(c->g->liveness, c->ordinal, now_s);
    }
}

enum handled dispatch_frame(struct conn *c, struct slice bytes)
{
    struct wire_frame f;
    if (c->phase == CP_ENROLLING)
        return H_LATER;
    enum reeve_err err = wire_decode(&f, bytes);
    if (err == REEVE_E_NOT_FOUND) {
        touch(c);
        return H_DONE;                  /* a type of a later version */
    }
    if (err == REEVE_OK)
        err = wire_check(&f.head, WIRE_AGENT, state_of((enum conn_phase) c->phase));
    if (err != REEVE_OK) {
        conn_fail(c, wire_error_of(err), 0, 0, err == REEVE_E_PROTOCOL ? "unexpected frame" : "malformed frame");
        return H_DONE;
    }
    touch(c);
    return handle(c, &f);
}
