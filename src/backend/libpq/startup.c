/* startup.c - what comes before authentication; see auth.h. */
#include "backend/libpq/auth.h"
#include "backend/libpq/reply.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#define PROTOCOL_LATEST 0x00030000u

void auth_peer_text(const struct sockaddr_storage *peer, char text[64], uint16_t *port)
{
    *port = 0;
    snprintf(text, 64, "[local]");
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *) peer;
        inet_ntop(AF_INET, &in->sin_addr, text, 64);
        *port = ntohs(in->sin_port);
    } else if (peer->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) peer;
        inet_ntop(AF_INET6, &in6->sin6_addr, text, 64);
        *port = ntohs(in6->sin6_port);
    }
}

/* What was asked for before the start-up packet; each at most once. */
struct asked { bool ssl, gss; };

static bool is_local(const struct serve_start *b) { return b->peer.ss_family == AF_UNIX; }

/* A whole packet, whatever signals come meanwhile. AGAIN: the time is over. */
static enum reeve_err next_packet(struct pq_conn *c, struct mono_ms deadline, struct slice *body)
{
    for (;;) {
        enum reeve_err err = pq_next_startup(c, deadline, body);
        bool over = deadline.ms != 0 && session_mono_now().ms >= deadline.ms;
        bool dying = c->signals != NULL && c->signals->die;
        if (err != REEVE_E_AGAIN || over || dying)
            return err;
    }
}

static enum reeve_err direct_tls(struct pq_conn *c, const struct serve_start *b, struct mono_ms deadline)
{
    bool is_tls = false;
    if (is_local(b))
        return REEVE_OK;
    enum reeve_err err;
    do
        err = pq_peek_tls(c, deadline, &is_tls);
    while (err == REEVE_E_AGAIN && (deadline.ms == 0 || session_mono_now().ms < deadline.ms) &&
           !(c->signals != NULL && c->signals->die));
    if (err != REEVE_OK || !is_tls)
        return err;
    if (b->tls == NULL) {
        snprintf(c->why, sizeof c->why, "direct TLS, but ssl is off");
        return REEVE_E_CLOSED;
    }
    err = pq_tls_start(c, b->tls, deadline);
    if (err == REEVE_OK && !slice_eq(tls_alpn(c->tls), slice_str("postgresql"))) {
        snprintf(c->why, sizeof c->why, "direct TLS without ALPN \"postgresql\"");
        return REEVE_E_CLOSED;
    }
    return err;
}

static enum reeve_err answer_ssl(struct pq_conn *c, const struct serve_start *b, struct asked *asked,
                                 struct mono_ms deadline, struct report *rep)
{
    bool yes = b->tls != NULL && !is_local(b);
    if (asked->ssl || c->tls != NULL)
        return report_set(rep, REEVE_E_PROTOCOL, "unexpected second request for encryption");
    asked->ssl = true;
    if (yes && pq_have(c).len > 0) {
        report_set(rep, REEVE_E_PROTOCOL, "received unencrypted data after SSL request");
        return report_detail(rep, "This could be either a client-software bug or evidence of an attempted "
                                  "man-in-the-middle attack.");
    }
    enum reeve_err err;
    TRY(pq_put_byte(c, yes ? 'S' : 'N'));
    TRY(pq_flush(c));
    if (yes)
        err = pq_tls_start(c, b->tls, deadline);
out:
    return err;
}

static enum reeve_err answer_gss(struct pq_conn *c, struct asked *asked, struct report *rep)
{
    if (asked->gss || c->tls != NULL)
        return report_set(rep, REEVE_E_PROTOCOL, "unexpected second request for encryption");
    asked->gss = true;
    enum reeve_err err = pq_put_byte(c, 'N');
    return err == REEVE_OK ? pq_flush(c) : err;
}

static enum reeve_err cancel(struct pq_conn *c, const struct serve_start *b, const struct pq_startup *su)
{
    /* The answer is silence, whether the key fits or not. */
    b->hooks->cancel(b->arg, su->cancel_pid, su->cancel_key);
    return REEVE_E_CLOSED;
}

static enum reeve_err refuse_version(uint32_t code, struct report *rep)
{
    return report_set(rep, REEVE_E_UNSUPPORTED, "unsupported frontend protocol %u.%u: server supports 3.0 to 3.0",
                      code >> 16, code & 0xffff);
}

static enum reeve_err check_admission(const struct serve_start *b, struct report *rep)
{
    switch (b->admission) {
    case SERVE_ADMIT_OK:
        return REEVE_OK;
    case SERVE_ADMIT_TOO_MANY:
        return report_set(rep, REEVE_E_TOO_MANY, "sorry, too many clients already");
    case SERVE_ADMIT_STARTING:
        return report_set(rep, REEVE_E_CANNOT_CONNECT, "the database system is starting up");
    case SERVE_ADMIT_STOPPING:
        return report_set(rep, REEVE_E_CANNOT_CONNECT, "the database system is shutting down");
    }
    return REEVE_E_BUG;
}

static bool utf8_all(const struct pq_startup *su)
{
    struct slice name, value;
    size_t at = 0;
    while (pq_startup_param(su, &at, &name, &value))
        if (memchr(value.p, 0, value.len) != NULL)
            return false;
    return true;
}

static enum reeve_err check_packet(struct pq_conn *c, const struct serve_start *b, struct pq_startup *su,
                                   struct report *rep)
{
    enum reeve_err err;
    if (su->code >> 16 != 3)
        return refuse_version(su->code, rep);
    if (su->code != PROTOCOL_LATEST || su->nunknown > 0)
        TRY(reply_negotiate(c, PROTOCOL_LATEST, su->unknown, su->nunknown));
    TRY(check_admission(b, rep));
    if (!utf8_all(su))
        return report_set(rep, REEVE_E_PROTOCOL, "invalid startup packet");
    if (su->user.len == 0)
        return report_set(rep, REEVE_E_AUTH, "no PostgreSQL user name specified in startup packet");
    if (su->replication.len > 0 && !slice_eq(su->replication, slice_str("off")) &&
        !slice_eq(su->replication, slice_str("false")) && !slice_eq(su->replication, slice_str("0")))
        return report_set(rep, REEVE_E_UNSUPPORTED, "replication connections are not supported");
    if (su->database.len == 0)
        su->database = su->user;
out:
    return err;
}

/* The packet outlives the input buffer. */
static enum reeve_err keep_packet(struct arena *a, struct slice body, struct pq_startup *out)
{
    struct slice copy = arena_copy(a, body);
    return copy.p == NULL ? REEVE_E_NOMEM : pq_startup_parse(out, copy);
}

enum reeve_err auth_startup(struct pq_conn *c, const struct serve_start *b, struct mono_ms deadline, struct arena *a,
                            struct pq_startup *out, struct report *rep)
{
    struct asked asked = { 0 };
    enum reeve_err err = direct_tls(c, b, deadline);
    while (err == REEVE_OK) {
        struct slice body;
        err = next_packet(c, deadline, &body);
        if (err == REEVE_OK)
            err = pq_startup_parse(out, body);
        if (err != REEVE_OK)
            break;
        switch (out->code) {
        case PQ_CODE_SSL:
            err = answer_ssl(c, b, &asked, deadline, rep);
            break;
        case PQ_CODE_GSS:
            err = answer_gss(c, &asked, rep);
            break;
        case PQ_CODE_CANCEL:
            return cancel(c, b, out);
        default:
            err = keep_packet(a, body, out);
            return err == REEVE_OK ? check_packet(c, b, out, rep) : err;
        }
    }
    if (err == REEVE_E_MALFORMED || err == REEVE_E_TOO_BIG)
        return report_set(rep, REEVE_E_PROTOCOL, "invalid length or content of startup packet");
    return err;
}
