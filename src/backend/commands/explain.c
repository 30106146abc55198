/* explain.c - EXPLAIN any changing statement: the same checks, the plan instead of the change. */
#include "cmd_int.h"

bool cmd_explain_is_json(const struct ast_stmt *stmt)
{
    const struct pvalue *f = slot_option(&stmt->explain.options, "format");
    return f != NULL && f->s != NULL && f->len == 4 && strncasecmp(f->s, "json", 4) == 0;
}

static enum reeve_err options(struct cmd *x, const struct ast_options *o)
{
    static const char *const allowed[] = { "format", "verbose", NULL };
    enum reeve_err err = slot_options_check(&x->slot, o, allowed);
    const struct pvalue *f = slot_option(o, "format");
    struct slice text;
    if (err == REEVE_OK && f != NULL && f->kind == PV_PARAM) {
        /* The columns are told before the parameters are known. */
        slot_error(&x->slot, f, REEVE_E_UNSUPPORTED, "the format of EXPLAIN cannot be a parameter");
        report_hint(x->rep, "Write EXPLAIN (FORMAT JSON) or EXPLAIN (FORMAT TEXT).");
        return REEVE_E_UNSUPPORTED;
    }
    if (err != REEVE_OK || f == NULL || (err = slot_text(&x->slot, f, "format", &text)) != REEVE_OK)
        return err;
    if (text.len == 4 && strncasecmp((const char *) text.p, "json", 4) == 0)
        x->explain_json = true;
    else if (text.len != 4 || strncasecmp((const char *) text.p, "text", 4) != 0)
        return slot_error(&x->slot, f, REEVE_E_INVALID_VALUE, "format is text or json");
    return REEVE_OK;
}

static enum reeve_err refuse(struct cmd *x, enum ast_kind kind, bool absent)
{
    if (absent && ast_flags(kind) & STMT_CHANGES)
        return cmd_refuse(x);
    report_set(x->rep, REEVE_E_UNSUPPORTED, "%s cannot be explained", ast_tag(kind));
    return report_hint(x->rep, "EXPLAIN takes a statement that changes something, or a query.");
}

enum reeve_err cmd_explain(struct cmd *x)
{
    enum reeve_err err = options(x, &x->stmt->explain.options);
    if (err != REEVE_OK)
        return err;
    const struct ast_stmt *inner = x->stmt->explain.stmt;
    command_fn fn = command_function(inner->kind);
    x->explain = true;
    x->stmt = inner;
    if (ast_flags(inner->kind) & STMT_SELECT)
        return cmd_explain_note(x, "reads virtual relations; nothing is changed");
    if (fn == NULL || !(ast_flags(inner->kind) & STMT_EXPLAIN))
        return refuse(x, inner->kind, fn == NULL);
    return fn(x);
}
