/* reply.c - encoding of the server's messages; see the header. */
#include "backend/libpq/reply.h"

#include <stdio.h>

static void field(struct wr *w, char code, const char *text)
{
    wr_u8(w, (uint8_t) code);
    pq_cstr(w, text);
}

static enum reeve_err send_report(struct pq_conn *c, uint8_t type, const char *severity, const struct report *rep)
{
    struct wr *w = pq_begin(c, type);
    field(w, 'S', severity);
    field(w, 'V', severity);
    field(w, 'C', report_sqlstate(rep));
    field(w, 'M', *rep->message ? rep->message : reeve_err_text(rep->code));
    if (*rep->detail)
        field(w, 'D', rep->detail);
    if (*rep->hint)
        field(w, 'H', rep->hint);
    if (rep->position > 0) {
        char number[16];
        snprintf(number, sizeof number, "%d", rep->position);
        field(w, 'P', number);
    }
    wr_u8(w, 0);
    return pq_end(c);
}

enum reeve_err reply_error(struct pq_conn *c, const char *severity, const struct report *rep)
{
    return send_report(c, 'E', severity, rep);
}

enum reeve_err reply_notice(struct pq_conn *c, const char *severity, const struct report *rep)
{
    return send_report(c, 'N', severity, rep);
}

enum reeve_err reply_parameter(struct pq_conn *c, const char *name, const char *value)
{
    struct wr *w = pq_begin(c, 'S');
    pq_cstr(w, name);
    pq_cstr(w, value);
    return pq_end(c);
}

enum reeve_err reply_key_data(struct pq_conn *c, uint32_t pid, uint32_t key)
{
    struct wr *w = pq_begin(c, 'K');
    wr_u32(w, pid);
    wr_u32(w, key);
    return pq_end(c);
}

enum reeve_err reply_ready(struct pq_conn *c, char state)
{
    wr_u8(pq_begin(c, 'Z'), (uint8_t) state);
    return pq_end(c);
}

enum reeve_err reply_complete(struct pq_conn *c, const char *tag)
{
    pq_cstr(pq_begin(c, 'C'), tag);
    return pq_end(c);
}

enum reeve_err reply_bare(struct pq_conn *c, uint8_t type)
{
    pq_begin(c, type);
    return pq_end(c);
}

enum reeve_err reply_negotiate(struct pq_conn *c, uint32_t version, const struct slice *unknown, int n)
{
    struct wr *w = pq_begin(c, 'v');
    wr_u32(w, version);
    wr_u32(w, (uint32_t) n);
    for (int i = 0; i < n; i++) {
        wr_bytes(w, unknown[i].p, unknown[i].len);
        wr_u8(w, 0);
    }
    return pq_end(c);
}

enum reeve_err reply_auth(struct pq_conn *c, uint32_t code, struct slice data)
{
    struct wr *w = pq_begin(c, 'R');
    wr_u32(w, code);
    wr_bytes(w, data.p, data.len);
    return pq_end(c);
}
