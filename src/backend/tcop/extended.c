/* extended.c - Parse, Bind, Describe, Execute, Close, Sync */
#include "backend/tcop/tcop_int.h"

#include <stdio.h>

/* ---- Parse ---- */

static enum reeve_err parse_into(struct tcop *t, struct prepared *p, const struct pq_parse *m, struct report *rep)
{
    enum reeve_err err = t->ops->parse(&p->arena, p->text, &p->list, rep);
    if (err != REEVE_OK)
        return err;
    if (p->list.n > 1)
        return report_set(rep, REEVE_E_SYNTAX, "cannot insert multiple commands into a prepared statement");
    if (p->list.n == 0)
        return REEVE_OK;
    err = txn_ensure(t, rep);
    return err == REEVE_OK ? tcop_shape(t, &p->arena, p->list.v[0], p->text, m->types, m->ntypes, &p->shape, rep) : err;
}

static enum reeve_err do_parse(struct tcop *t, struct slice body, struct report *rep)
{
    struct pq_parse m;
    struct prepared *p = NULL;
    enum reeve_err err;
    TRY(pq_parse_parse(t->s.stmt_arena, &m, body));
    if (m.name.len == 0)
        (void) !prepared_drop(t, m.name);
    TRY(prepared_new(t, m.name, m.query, &p));
    TRY(parse_into(t, p, &m, rep));
    TRY(prepared_add(t, p, rep));
    p = NULL;
    TRY(reply_bare(&t->c, '1'));
out:
    if (p != NULL)
        prepared_unref(p);
    return err;
}

/* ---- Bind ---- */

static enum reeve_err check_counts(const struct pq_bind *m, const struct prepared *p, struct report *rep)
{
    if (m->nformats > 1 && m->nformats != m->nparams)
        return report_set(rep, REEVE_E_PROTOCOL, "bind message has %d parameter formats but %d parameters",
                          m->nformats, m->nparams);
    if (m->nparams != p->shape.nparams)
        return report_set(rep, REEVE_E_PROTOCOL,
                          "bind message supplies %d parameters, but prepared statement \"%s\" requires %d", m->nparams,
                          p->name, p->shape.nparams);
    if (m->nresult > 1 && m->nresult != p->shape.ncols)
        return report_set(rep, REEVE_E_PROTOCOL, "bind message has %d result formats but query has %d columns",
                          m->nresult, p->shape.ncols);
    return REEVE_OK;
}

static enum reeve_err check_formats(int n, const uint16_t *v, struct report *rep)
{
    for (int i = 0; i < n; i++)
        if (v[i] > 1)
            return report_set(rep, REEVE_E_INVALID_VALUE, "unsupported format code: %d", v[i]);
    return REEVE_OK;
}

static enum reeve_err one_param(struct arena *a, uint32_t type, uint16_t format, struct slice in, struct datum *out,
                                struct report *rep)
{
    if (in.p == NULL) {
        *out = d_null();
        return REEVE_OK;
    }
    if (format == 1 && type != 0 && type != T_UNKNOWN)
        return datum_in_binary(a, type, in, out, rep);
    return datum_in_text(a, type ? type : T_TEXT, in, out, rep);
}

static enum reeve_err bind_params(struct portal *p, const struct pq_bind *m, struct report *rep)
{
    const struct query_shape *shape = &p->prepared->shape;
    struct datum *v = arena_alloc(&p->arena, (size_t) (m->nparams + 1) * sizeof *v);
    if (v == NULL)
        return REEVE_E_NOMEM;
    for (int i = 0; i < m->nparams; i++) {
        enum reeve_err err = one_param(&p->arena, shape->params[i], format_of(m->nformats, m->formats, i),
                                       m->params[i], &v[i], rep);
        if (err != REEVE_OK)
            return err;
    }
    p->params = (struct query_params){ m->nparams, shape->params, v };
    return REEVE_OK;
}

static enum reeve_err bind_formats(struct portal *p, const struct pq_bind *m)
{
    p->nformats = m->nresult;
    p->formats = arena_alloc(&p->arena, (size_t) (m->nresult + 1) * sizeof *p->formats);
    if (p->formats == NULL)
        return REEVE_E_NOMEM;
    memcpy(p->formats, m->result, (size_t) m->nresult * sizeof *p->formats);
    return REEVE_OK;
}

static enum reeve_err check_block(struct tcop *t, const struct prepared *p, struct report *rep)
{
    if (t->s.txn != TXN_FAILED || p->list.n == 0 || p->list.v[0]->kind == AST_COMMIT ||
        p->list.v[0]->kind == AST_ROLLBACK)
        return REEVE_OK;
    return report_set(rep, REEVE_E_IN_FAILED_TXN,
                      "current transaction is aborted, commands ignored until end of transaction block");
}

static enum reeve_err do_bind(struct tcop *t, struct slice body, struct report *rep)
{
    struct pq_bind m;
    struct portal *portal;
    enum reeve_err err;
    TRY(pq_bind_parse(t->s.stmt_arena, &m, body));
    struct prepared *p = prepared_find(t, m.stmt);
    if (p == NULL)
        return prepared_missing(m.stmt, rep);
    TRY(check_block(t, p, rep));
    TRY(check_counts(&m, p, rep));
    TRY(check_formats(m.nformats, m.formats, rep));
    TRY(check_formats(m.nresult, m.result, rep));
    if (t->s.txn != TXN_FAILED)
        TRY(txn_ensure(t, rep));
    TRY(portal_new(t, m.portal, &portal));
    p->refs++;
    portal->prepared = p;
    TRY(portal_add(t, portal, rep));
    TRY(bind_params(portal, &m, rep));
    TRY(bind_formats(portal, &m));
    TRY(reply_bare(&t->c, '2'));
out:
    return err;
}

/* ---- Describe ---- */

static enum reeve_err portal_missing(struct slice name, struct report *rep)
{
    return report_set(rep, REEVE_E_INVALID_CURSOR, "portal \"%.*s\" does not exist",
                      (int) (name.len < 255 ? name.len : 255), (const char *) name.p);
}

static enum reeve_err describe_rows(struct tcop *t, const struct prepared *p, int nformats, const uint16_t *formats)
{
    if (p->list.n == 0 || p->shape.ncols == 0)
        return reply_bare(&t->c, 'n');
    return sink_row_description(t, p->shape.ncols, p->shape.cols, nformats, formats);
}

static enum reeve_err describe_statement(struct tcop *t, struct slice name, struct report *rep)
{
    struct prepared *p = prepared_find(t, name);
    if (p == NULL)
        return prepared_missing(name, rep);
    enum reeve_err err = check_block(t, p, rep);
    if (err != REEVE_OK)
        return err;
    struct wr *w = pq_begin(&t->c, 't');
    wr_u16(w, (uint16_t) p->shape.nparams);
    for (int i = 0; i < p->shape.nparams; i++)
        wr_u32(w, p->shape.params[i] ? p->shape.params[i] : T_TEXT);
    err = pq_end(&t->c);
    return err == REEVE_OK ? describe_rows(t, p, 0, NULL) : err;
}

static enum reeve_err describe_portal(struct tcop *t, struct slice name, struct report *rep)
{
    struct portal *p = portal_find(t, name);
    if (p == NULL)
        return portal_missing(name, rep);
    if (p->prepared == NULL)
        return sink_row_description(t, p->rows.ncols, p->rows.cols, 0, NULL);
    enum reeve_err err = check_block(t, p->prepared, rep);
    return err == REEVE_OK ? describe_rows(t, p->prepared, p->nformats, p->formats) : err;
}

static enum reeve_err do_describe(struct tcop *t, struct slice body, struct report *rep)
{
    struct pq_target m;
    enum reeve_err err = pq_target_parse(&m, body);
    if (err != REEVE_OK)
        return err;
    return m.kind == 'S' ? describe_statement(t, m.name, rep) : describe_portal(t, m.name, rep);
}

/* ---- Execute ---- */

/* Is this the only statement of its implicit transaction? Then it may commit itself. */
static bool alone(struct tcop *t)
{
    uint8_t type;
    struct slice body;
    size_t used;
    if (t->s.txn != TXN_IDLE || t->s.work.commit != NULL)
        return false;
    if (pq_have(&t->c).len == 0 && pq_fill_now(&t->c) != REEVE_OK)
        return false;
    return frame_message(pq_have(&t->c), PQ_FRAME_MAX, &type, &body, &used) == REEVE_OK && type == 'S';
}

static enum reeve_err run_portal(struct tcop *t, struct portal *p, struct dest *dest, char tag[TAG_MAX],
                                 struct report *rep)
{
    struct run r = { .stmt = p->prepared->list.v[0], .text = p->prepared->text, .params = p->params };
    r.alone = alone(t);
    t->s.received = t->c.received;      /* it may have looked for more */
    t->running = p;
    enum reeve_err err = tcop_run(t, &r, dest, rep);
    t->running = NULL;
    memcpy(tag, r.tag, TAG_MAX);
    return err;
}

/* All rows at once, straight to the client. */
static enum reeve_err execute_whole(struct tcop *t, struct portal *p, struct report *rep)
{
    struct sink sink;
    char tag[TAG_MAX];
    sink_init(&sink, t, false, p->nformats, p->formats);
    p->state = PORTAL_DONE;
    enum reeve_err err = run_portal(t, p, &sink.dest, tag, rep);
    return err == REEVE_OK ? reply_complete(&t->c, tag) : err;
}

static enum reeve_err end_or_suspend(struct tcop *t, const struct portal *p, uint64_t sent, uint32_t max)
{
    if (max > 0 && sent == max)
        return reply_bare(&t->c, 's');
    char tag[TAG_MAX];
    const char *word = p->prepared ? ast_tag(p->prepared->list.v[0]->kind) : "FETCH";
    bool counts = p->prepared == NULL || ast_tag_counts(p->prepared->list.v[0]->kind);
    if (counts)
        snprintf(tag, sizeof tag, "%s %llu", word, (unsigned long long) sent);
    else
        snprintf(tag, sizeof tag, "%s", word);
    return reply_complete(&t->c, tag);
}

/* Some rows of those stored. */
static enum reeve_err execute_stored(struct tcop *t, struct portal *p, uint32_t max, struct report *rep)
{
    struct sink sink;
    uint64_t sent;
    sink_init(&sink, t, false, p->nformats, p->formats);
    enum reeve_err err;
    TRY(dest_columns(&sink.dest, p->rows.ncols, p->rows.cols));
    TRY(rowstore_emit(&p->rows, t->s.stmt_arena, max, &sink.dest, &sent));
    TRY(end_or_suspend(t, p, sent, max));
out:
    return err;
}

static enum reeve_err execute_limited(struct tcop *t, struct portal *p, uint32_t max, struct report *rep)
{
    char tag[TAG_MAX];
    enum reeve_err err = REEVE_OK;
    if (p->state == PORTAL_NEW) {
        p->state = PORTAL_STORED;
        err = run_portal(t, p, &p->rows.dest, tag, rep);
    }
    return err == REEVE_OK ? execute_stored(t, p, max, rep) : err;
}

static enum reeve_err execute_again(struct tcop *t, struct portal *p, uint32_t max, struct report *rep)
{
    if (p->prepared->shape.ncols == 0 || !ast_tag_counts(p->prepared->list.v[0]->kind))
        return report_set(rep, REEVE_E_WRONG_STATE, "portal \"%s\" cannot be run", p->name);
    return end_or_suspend(t, p, 0, 0);
}

static enum reeve_err do_execute(struct tcop *t, struct slice body, struct report *rep)
{
    struct pq_execute m;
    enum reeve_err err = pq_execute_parse(&m, body);
    if (err != REEVE_OK)
        return err;
    struct portal *p = portal_find(t, m.portal);
    if (p == NULL)
        return portal_missing(m.portal, rep);
    if (p->prepared != NULL && p->prepared->list.n == 0)
        return reply_bare(&t->c, 'I');
    if (p->prepared != NULL)
        tcop_query_shown(t, &p->prepared->list, p->prepared->text);
    if (p->state == PORTAL_STORED)
        return execute_stored(t, p, m.max_rows, rep);
    if (p->state == PORTAL_DONE)
        return execute_again(t, p, m.max_rows, rep);
    bool rows = p->prepared->shape.ncols > 0;
    err = rows && m.max_rows > 0 ? execute_limited(t, p, m.max_rows, rep) : execute_whole(t, p, rep);
    if (p->doomed)
        portal_drop(t, p);
    return err;
}

/* ---- Close ---- */

static enum reeve_err do_close(struct tcop *t, struct slice body, struct report *rep)
{
    struct pq_target m;
    enum reeve_err err = pq_target_parse(&m, body);
    if (err != REEVE_OK)
        return err;
    struct portal *p = m.kind == 'P' ? portal_find(t, m.name) : NULL;
    if (p != NULL)
        portal_drop(t, p);
    else if (m.kind == 'S')
        (void) !prepared_drop(t, m.name);
    return reply_bare(&t->c, '3');
}

/* ---- the messages ---- */

typedef enum reeve_err message_fn(struct tcop *t, struct slice body, struct report *rep);

static void answer(struct tcop *t, message_fn *fn, struct slice body)
{
    struct report rep = { 0 };
    if (t->skipping)
        return;
    arena_reset(t->s.stmt_arena);
    tcop_statement_begin(t);
    enum reeve_err err = fn(t, body, &rep);
    if (err != REEVE_OK) {
        t->skipping = true;
        tcop_error(t, &rep, err);
    }
    tcop_statement_end(t);
}

void tcop_parse(struct tcop *t, struct slice body) { answer(t, do_parse, body); }
void tcop_bind(struct tcop *t, struct slice body) { answer(t, do_bind, body); }
void tcop_describe(struct tcop *t, struct slice body) { answer(t, do_describe, body); }
void tcop_execute(struct tcop *t, struct slice body) { answer(t, do_execute, body); }
void tcop_close(struct tcop *t, struct slice body) { answer(t, do_close, body); }

void tcop_sync(struct tcop *t)
{
    struct report rep = { 0 };
    t->skipping = false;
    enum reeve_err err = txn_finish_implicit(t, &rep);
    if (err != REEVE_OK)
        tcop_error(t, &rep, err);
}
