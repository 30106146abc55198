/*
 * copy_history.c - COPY HISTORY ... TO STDOUT: what the command gives out is not rows but a file
 *
 * Its one column says which: bytes (the binary COPY format) or text. Each row
 * is the next piece, sent as it is.
 */
#include "backend/tcop/tcop_int.h"

#include <stdio.h>

static enum reeve_err file_columns(struct dest *d, int n, const struct dest_column *cols)
{
    struct tcop *t = d->arg;
    struct wr *w = pq_begin(&t->c, 'H');
    uint8_t format = n == 1 && cols[0].type_oid == T_BYTEA;
    wr_u8(w, format);
    wr_u16(w, 1);
    wr_u16(w, format);
    return pq_end(&t->c);
}

/* In messages that any client takes. */
#define MESSAGE_BYTES 65536

static enum reeve_err file_row(struct dest *d, int n, const struct datum *v)
{
    struct tcop *t = d->arg;
    enum reeve_err err = REEVE_OK;
    for (size_t at = 0; n == 1 && err == REEVE_OK && at < v->s.len; at += MESSAGE_BYTES) {
        if (t->c.dead)
            return REEVE_E_CONNECTION;
        struct wr *w = pq_begin(&t->c, 'd');
        wr_bytes(w, v->s.p + at, v->s.len - at < MESSAGE_BYTES ? v->s.len - at : MESSAGE_BYTES);
        err = pq_end(&t->c);
    }
    return err;
}

enum reeve_err control_copy_history(struct tcop *t, struct run *r, struct report *rep)
{
    struct dest dest = { .columns = file_columns, .row = file_row, .arg = t };
    struct command cmd = { .stmt = r->stmt, .text = r->text, .params = &r->params, .alone = r->alone };
    enum reeve_err err = t->ops->run(&t->s, &cmd, &dest, rep);
    if (err == REEVE_OK)
        err = reply_bare(&t->c, 'c');
    snprintf(r->tag, sizeof r->tag, "COPY %llu", (unsigned long long) dest.rows);
    return err;
}
