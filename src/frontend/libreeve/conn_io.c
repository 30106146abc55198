/* conn_io.c - bytes in and out of one connection, frame by frame. */
#include "agent_int.h"

#include <stdlib.h>

#define READ_CHUNK  16384
#define READ_ROUNDS 16                  /* then others in the process have their turn */

bool conn_send(struct agent *a, const struct wire_frame *f)
{
    if (a->c.tls == NULL)
        return false;
    if (wire_encode(&a->c.out, f) != REEVE_OK) {
        conn_lost(a, "could not queue a frame");
        return false;
    }
    if (f->head.type != WF_HEARTBEAT || a->phase == AP_READY)
        a->c.sent_ms = ag_mono(a);
    return true;
}

bool conn_write(struct agent *a)
{
    struct conn *c = &a->c;
    while (c->tls != NULL && c->out_off < c->out.len) {
        size_t n;
        enum tls_result r = tls_write(c->tls, c->out.p + c->out_off, c->out.len - c->out_off, &n);
        c->want_write = r == TLS_WANT_WRITE;
        if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
            return true;
        if (r != TLS_OK) {
            conn_lost(a, "%s", tls_error(c->tls));
            return false;
        }
        c->out_off += n;
    }
    if (c->out_off > 0 && c->out_off == c->out.len) {
        wr_free(&c->out);               /* an idle connection holds no buffer */
        c->out = wr_heap(OUT_MAX);
        c->out_off = 0;
    }
    return c->tls != NULL;
}

static bool room(struct conn *c, size_t want)
{
    if (c->in_cap - c->in_len >= want)
        return true;
    size_t cap = c->in_len + want;
    uint8_t *p = realloc(c->in, cap);
    if (p == NULL)
        return false;
    c->in = p;
    c->in_cap = cap;
    return true;
}

/* Handles the whole frames in the buffer; false when the connection is gone. */
static bool frames(struct agent *a)
{
    struct conn *c = &a->c;
    uint64_t serial = c->serial;
    size_t at = 0;
    while (at < c->in_len) {
        size_t total;
        enum reeve_err err = wire_frame_len(slice_of(c->in + at, c->in_len - at), a->max_frame, &total);
        if (err == REEVE_E_AGAIN)
            break;
        if (err != REEVE_OK) {
            conn_fail(a, wire_error_of(err), "malformed frame");
            return false;
        }
        on_frame(a, slice_of(c->in + at, total));
        if (c->tls == NULL || c->serial != serial)
            return false;
        at += total;
    }
    memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
    if (c->in_len == 0) {
        free(c->in);
        c->in = NULL;
        c->in_cap = 0;
    }
    return true;
}

bool conn_read(struct agent *a)
{
    struct conn *c = &a->c;
    for (int i = 0; i < READ_ROUNDS; i++) {
        size_t n;
        if (!room(c, READ_CHUNK)) {
            conn_lost(a, "out of memory");
            return false;
        }
        enum tls_result r = tls_read(c->tls, c->in + c->in_len, c->in_cap - c->in_len, &n);
        if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
            c->more_to_read = false;
            if (c->in_len == 0) {
                free(c->in);
                c->in = NULL;
                c->in_cap = 0;
            }
            return true;
        }
        if (r != TLS_OK) {
            conn_lost(a, "%s", r == TLS_EOF ? "closed by the gateway" : tls_error(c->tls));
            return false;
        }
        c->in_len += n;
        c->heard_ms = ag_mono(a);
        if (!frames(a))
            return false;
    }
    c->more_to_read = true;
    return true;
}
