/*
 * copy.c - COPY (query) TO STDOUT, text and csv
 *
 * Options: FORMAT text|csv, HEADER, DELIMITER, NULL. One CopyData per row.
 */
#include "backend/executor/slot.h"
#include "backend/tcop/tcop_int.h"

#include <stdio.h>

struct copy {
    struct dest dest;
    struct tcop *t;
    bool csv, header;
    char delimiter;
    struct slice null;
    int ncols;
    uint32_t *types;
    struct wr field;
};

static void put_text_field(struct wr *w, struct slice s, char delimiter)
{
    for (size_t i = 0; i < s.len; i++) {
        char ch = (char) s.p[i];
        const char *at = strchr("\b\f\n\r\t\v", ch);
        if (ch != '\0' && at != NULL && *at) {
            wr_u8(w, '\\');
            wr_u8(w, (uint8_t) "bfnrtv"[at - "\b\f\n\r\t\v"]);
        } else {
            if (ch == '\\' || ch == delimiter)
                wr_u8(w, '\\');
            wr_u8(w, (uint8_t) ch);
        }
    }
}

static bool csv_needs_quotes(const struct copy *k, struct slice s)
{
    if (slice_eq(s, k->null) || slice_is(s, "\\."))
        return true;
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] == '"' || s.p[i] == '\n' || s.p[i] == '\r' || (char) s.p[i] == k->delimiter)
            return true;
    return false;
}

static void put_csv_field(struct wr *w, const struct copy *k, struct slice s)
{
    if (!csv_needs_quotes(k, s)) {
        wr_bytes(w, s.p, s.len);
        return;
    }
    wr_u8(w, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '"')
            wr_u8(w, '"');
        wr_u8(w, s.p[i]);
    }
    wr_u8(w, '"');
}

static void put_field(struct wr *w, const struct copy *k, struct slice s)
{
    if (k->csv)
        put_csv_field(w, k, s);
    else
        put_text_field(w, s, k->delimiter);
}

static enum reeve_err begin(struct copy *k, int n)
{
    struct wr *w = pq_begin(&k->t->c, 'H');
    wr_u8(w, 0);
    wr_u16(w, (uint16_t) n);
    for (int i = 0; i < n; i++)
        wr_u16(w, 0);
    return pq_end(&k->t->c);
}

static enum reeve_err put_header(struct copy *k, int n, const struct dest_column *cols)
{
    struct wr *w = pq_begin(&k->t->c, 'd');
    for (int i = 0; i < n; i++) {
        if (i > 0)
            wr_u8(w, (uint8_t) k->delimiter);
        put_field(w, k, slice_str(cols[i].name));
    }
    wr_u8(w, '\n');
    return pq_end(&k->t->c);
}

static enum reeve_err copy_columns(struct dest *d, int n, const struct dest_column *cols)
{
    struct copy *k = d->arg;
    k->ncols = n;
    k->types = arena_alloc(k->t->s.stmt_arena, (size_t) (n + 1) * sizeof *k->types);
    if (k->types == NULL)
        return REEVE_E_NOMEM;
    for (int i = 0; i < n; i++)
        k->types[i] = cols[i].type_oid;
    enum reeve_err err = begin(k, n);
    return err == REEVE_OK && k->header ? put_header(k, n, cols) : err;
}

static enum reeve_err copy_row(struct dest *d, int n, const struct datum *v)
{
    struct copy *k = d->arg;
    if (k->t->c.dead)
        return REEVE_E_CONNECTION;
    struct wr *w = pq_begin(&k->t->c, 'd');
    for (int i = 0; i < n; i++) {
        if (i > 0)
            wr_u8(w, (uint8_t) k->delimiter);
        wr_reset(&k->field);
        if (v[i].kind == D_NULL)
            wr_bytes(w, k->null.p, k->null.len);
        else if (datum_out_text(&k->field, k->types[i], &v[i]))
            put_field(w, k, wr_slice(&k->field));
        else
            return REEVE_E_BUG;
    }
    wr_u8(w, '\n');
    return pq_end(&k->t->c);
}

/* ---- options ---- */

static enum reeve_err option_delimiter(const struct slot_ctx *ctx, const struct pvalue *v, struct copy *k)
{
    struct slice s;
    enum reeve_err err = slot_text(ctx, v, "delimiter", &s);
    if (err != REEVE_OK)
        return err;
    if (s.len != 1 || strchr("\r\n\\\".abcdefghijklmnopqrstuvwxyz0123456789", s.p[0]))
        return slot_error(ctx, v, REEVE_E_INVALID_VALUE, "COPY delimiter must be a single character other than "
                          "letters, digits, quotes, backslash and line ends");
    k->delimiter = (char) s.p[0];
    return REEVE_OK;
}

static enum reeve_err option_format(const struct slot_ctx *ctx, const struct pvalue *v, struct copy *k)
{
    struct slice s;
    enum reeve_err err = slot_text(ctx, v, "format", &s);
    if (err != REEVE_OK)
        return err;
    k->csv = slice_is(s, "csv");
    if (!k->csv && !slice_is(s, "text"))
        return slot_error(ctx, v, REEVE_E_INVALID_VALUE, "COPY format must be text or csv");
    return REEVE_OK;
}

static enum reeve_err options(struct copy *k, const struct slot_ctx *ctx, const struct ast_options *o)
{
    static const char *const allowed[] = { "format", "header", "delimiter", "null", "csv", NULL };
    const struct pvalue *v;
    enum reeve_err err;
    TRY(slot_options_check(ctx, o, allowed));
    if ((v = slot_option(o, "format")) != NULL)
        TRY(option_format(ctx, v, k));
    if (slot_option(o, "csv") != NULL)      /* COPY ... TO STDOUT CSV, the older spelling */
        k->csv = true;
    k->delimiter = k->csv ? ',' : '\t';
    k->null = slice_str(k->csv ? "" : "\\N");
    if ((v = slot_option(o, "header")) != NULL) {
        k->header = true;
        if (pv_present(v))
            TRY(slot_bool(ctx, v, "header", &k->header));
    }
    if ((v = slot_option(o, "delimiter")) != NULL)
        TRY(option_delimiter(ctx, v, k));
    if ((v = slot_option(o, "null")) != NULL)
        TRY(slot_text(ctx, v, "null", &k->null));
out:
    return err;
}

enum reeve_err control_copy(struct tcop *t, struct run *r, struct report *rep)
{
    struct copy k = { .t = t };
    struct slot_ctx ctx = { .arena = t->s.stmt_arena, .text = r->text, .params = &r->params, .report = rep };
    struct run inner = { .stmt = r->stmt->copy.stmt, .text = r->text, .params = r->params };
    enum reeve_err err = options(&k, &ctx, &r->stmt->copy.options);
    if (err != REEVE_OK)
        return err;
    k.dest = (struct dest){ .columns = copy_columns, .row = copy_row, .arg = &k };
    k.field = wr_heap(PQ_MESSAGE_MAX);
    err = tcop_run(t, &inner, &k.dest, rep);
    wr_free(&k.field);
    if (err == REEVE_OK)
        err = reply_bare(&t->c, 'c');
    snprintf(r->tag, sizeof r->tag, "COPY %llu", (unsigned long long) k.dest.rows);
    return err;
}
