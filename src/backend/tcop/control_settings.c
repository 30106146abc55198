/* control_settings.c - SET, RESET and SHOW of session settings */
#include <strings.h>

#include "backend/catalog/catalog.h"
#include "backend/executor/slot.h"
#include "backend/tcop/tcop_int.h"

/* Settings that SQL also spells in several words. */
enum reeve_err setting_find_words(enum setting_id *out, const char *name, struct report *rep)
{
    static const struct { const char *words; enum setting_id id; } alias[] = {
        { "transaction isolation level", SET_transaction_isolation },
        { "session authorization", SET_session_authorization },
        { "time zone", SET_TimeZone },
        { "timezone", SET_TimeZone },
        { "names", SET_client_encoding },
    };
    for (size_t i = 0; i < sizeof alias / sizeof *alias; i++)
        if (strcmp(alias[i].words, name) == 0) {
            *out = alias[i].id;
            return REEVE_OK;
        }
    return session_setting_find(out, slice_str(name), rep);
}

/* The values of SET x TO a, b as one text. */
static enum reeve_err values_text(struct tcop *t, struct run *r, struct slice *out, struct report *rep)
{
    struct slot_ctx ctx = { .arena = t->s.stmt_arena, .text = r->text, .params = &r->params, .report = rep };
    const struct ast_values *v = &r->stmt->setting.values;
    char *mem = arena_alloc(t->s.stmt_arena, SETTING_TEXT_MAX);
    if (mem == NULL)
        return REEVE_E_NOMEM;
    struct wr w = wr_fixed(mem, SETTING_TEXT_MAX);
    for (int i = 0; i < v->n; i++) {
        struct slice piece;
        enum reeve_err err = slot_text(&ctx, &v->v[i], r->stmt->setting.name, &piece);
        if (err != REEVE_OK)
            return err;
        wr_text(&w, i > 0 ? ", " : "");
        wr_bytes(&w, piece.p, piece.len);
    }
    if (w.bad)
        return report_set(rep, REEVE_E_INVALID_VALUE, "value of parameter \"%s\" is too long", r->stmt->setting.name);
    *out = wr_slice(&w);
    return REEVE_OK;
}

/* SET ROLE and SET SESSION AUTHORIZATION: only back to who the session is anyway. */
static bool is_identity(const char *name)
{
    return strcmp(name, "role") == 0 || strcmp(name, "session_authorization") == 0 ||
           strcmp(name, "session authorization") == 0;
}

static enum reeve_err set_identity(struct tcop *t, struct run *r, struct report *rep)
{
    struct slice who;
    enum reeve_err err = r->stmt->setting.to_default ? REEVE_OK : values_text(t, r, &who, rep);
    if (err != REEVE_OK || r->stmt->setting.to_default || slice_is(who, "none") || slice_is(who, t->s.role.s))
        return err;
    report_set(rep, REEVE_E_UNSUPPORTED, "a session cannot become another role");
    return report_hint(rep, "Connect as that role; what it is a member of counts anyway.");
}

static enum reeve_err set(struct tcop *t, struct run *r, struct report *rep)
{
    const struct ast_setting *x = &r->stmt->setting;
    bool local = x->scope == SET_LOCAL;
    enum setting_id id;
    struct slice text;
    enum reeve_err err;
    if (is_identity(x->name))
        return set_identity(t, r, rep);
    TRY(setting_find_words(&id, x->name, rep));
    if (local && t->s.txn == TXN_IDLE)
        session_notice(&t->s, NOTICE_WARNING, "25P01", "SET LOCAL can only be used in transaction blocks");
    struct slice name = slice_str(setting_def(id)->name);
    if (x->to_default)
        return session_reset(&t->s, name, local, rep);
    TRY(values_text(t, r, &text, rep));
    TRY(session_set(&t->s, name, text, local, rep));
out:
    if (err == REEVE_E_UNDEFINED_OBJECT && rep->position == 0 && x->pos >= 0)
        rep->position = parse_position(r->text, x->pos);
    return err;
}

static enum reeve_err reset(struct tcop *t, struct run *r, struct report *rep)
{
    enum setting_id id;
    if (is_identity(r->stmt->setting.name))
        return REEVE_OK;
    enum reeve_err err = setting_find_words(&id, r->stmt->setting.name, rep);
    return err == REEVE_OK ? session_reset(&t->s, slice_str(setting_def(id)->name), false, rep) : err;
}

/* SHOW takes settings and nouns; a word that is neither may be near one, or be a relation that SELECT shows. */
static void hint_show(const char *word, struct report *rep)
{
    char near[32];
    if (parse_nearest_show(slice_str(word), near)) {
        report_hint(rep, "Perhaps you meant SHOW %s.", near);
        return;
    }
    for (int i = 0; i < catalog_ntables; i++)
        if (strcmp(catalog_tables[i]->schema, "sys") == 0 && strcasecmp(catalog_tables[i]->name, word) == 0)
            report_hint(rep, "SELECT * FROM sys.%s shows them.", catalog_tables[i]->name);
}

static enum reeve_err show(struct tcop *t, struct run *r, struct dest *dest, struct report *rep)
{
    enum setting_id id;
    char buf[64];
    enum reeve_err err = setting_find_words(&id, r->stmt->setting.name, rep);
    if (err == REEVE_E_UNDEFINED_OBJECT)
        hint_show(r->stmt->setting.name, rep);
    TRY(err);
    struct dest_column col = { setting_def(id)->name, T_TEXT };
    struct datum v = d_str(session_setting_text(&t->s, id, buf));
    TRY(dest_columns(dest, 1, &col));
    TRY(dest_row(dest, 1, &v));
out:
    return err;
}

static const struct dest_column all_columns[] = {
    { "name", T_TEXT }, { "setting", T_TEXT }, { "description", T_TEXT },
};

static enum reeve_err show_all(struct tcop *t, struct dest *dest)
{
    enum reeve_err err = dest_columns(dest, 3, all_columns);
    for (int i = 0; i < SET__COUNT && err == REEVE_OK; i++) {
        char buf[64];
        const struct setting_def *d = setting_def((enum setting_id) i);
        struct datum v[3] = { d_str(d->name), d_str(session_setting_text(&t->s, (enum setting_id) i, buf)),
                              d_str(d->desc) };
        err = dest_row(dest, 3, v);
    }
    return err;
}

enum reeve_err control_settings(struct tcop *t, struct run *r, struct dest *dest, struct report *rep)
{
    switch (r->stmt->kind) {
    case AST_SET_SETTING:
        return set(t, r, rep);
    case AST_RESET_SETTING:
        return reset(t, r, rep);
    case AST_RESET_ALL:
        return session_reset_all(&t->s);
    case AST_SHOW_ALL:
        return show_all(t, dest);
    default:
        return show(t, r, dest, rep);
    }
}

/* ---- columns without running ---- */

static enum reeve_err keep_columns(struct arena *a, struct query_shape *out, int n, const struct dest_column *cols)
{
    out->ncols = n;
    out->cols = arena_alloc(a, (size_t) (n + 1) * sizeof *out->cols);
    if (out->cols == NULL)
        return REEVE_E_NOMEM;
    for (int i = 0; i < n; i++) {
        out->cols[i] = cols[i];
        if ((out->cols[i].name = arena_strdup(a, cols[i].name)) == NULL)
            return REEVE_E_NOMEM;
    }
    return REEVE_OK;
}

static enum reeve_err fetch_columns(struct tcop *t, struct arena *a, const struct ast_cursor *x,
                                    struct query_shape *out)
{
    if (x->move || (x->name.kind != PV_IDENT && x->name.kind != PV_STRING))
        return REEVE_OK;
    struct portal *p = portal_find(t, slice_of(x->name.s, x->name.len));
    if (p == NULL)
        return REEVE_OK;
    return p->prepared ? keep_columns(a, out, p->prepared->shape.ncols, p->prepared->shape.cols)
                       : keep_columns(a, out, p->rows.ncols, p->rows.cols);
}

static enum reeve_err execute_columns(struct tcop *t, struct arena *a, const struct ast_prepare *x,
                                      struct query_shape *out, struct report *rep)
{
    struct slice name = slice_of(x->name.s, x->name.len);
    struct prepared *p = prepared_find(t, name);
    if (p == NULL)
        return prepared_missing(name, rep);
    return keep_columns(a, out, p->shape.ncols, p->shape.cols);
}

enum reeve_err control_columns(struct tcop *t, struct arena *a, const struct ast_stmt *stmt, struct query_shape *out,
                               struct report *rep)
{
    enum setting_id id;
    out->ncols = 0;
    switch (stmt->kind) {
    case AST_SHOW_SETTING: {
        enum reeve_err err = setting_find_words(&id, stmt->setting.name, rep);
        struct dest_column col = { err == REEVE_OK ? setting_def(id)->name : "", T_TEXT };
        return err == REEVE_OK ? keep_columns(a, out, 1, &col) : err;
    }
    case AST_SHOW_ALL:
        return keep_columns(a, out, 3, all_columns);
    case AST_FETCH:
        return fetch_columns(t, a, &stmt->cursor, out);
    case AST_EXECUTE:
        return execute_columns(t, a, &stmt->prepare, out, rep);
    default:
        return REEVE_OK;
    }
}
