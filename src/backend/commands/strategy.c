/* strategy.c - named rollout clauses, and change windows. */
#include "cmd_int.h"

/* The clause text as it was typed: what stands after AS. */
static struct slice definition(struct cmd *x, const struct rollout_spec *spec)
{
    struct wr w = wr_heap(8192);
    rollout_spec_describe(spec, &w);
    struct slice s = arena_copy(x->arena, wr_slice(&w));
    wr_free(&w);
    return s;
}

static enum reeve_err strategy_row_of(struct cmd *x, struct strategy_row *row)
{
    enum reeve_err err;
    struct rollout_spec *spec = cmd_alloc(x, sizeof *spec, &err), *filled = spec ? cmd_alloc(x, sizeof *filled, &err) : NULL;
    if (filled == NULL)
        return err;
    TRY(cmd_spec_raw(x, &x->stmt->fleet.rollout, spec));
    if (spec->strategy.len > 0)
        return report_set(x->rep, REEVE_E_INVALID_VALUE, "a strategy cannot use another strategy");
    *filled = *spec;
    rollout_spec_default(filled, NULL);
    TRY(rollout_spec_check(filled, x->rep));
    struct wr w = wr_heap(ATTEST_PAYLOAD_MAX);
    rollout_spec_encode(spec, &w);
    row->spec = arena_copy(x->arena, wr_slice(&w));
    wr_free(&w);
    row->definition = definition(x, spec);
    row->created_by = x->s->role;
    row->created = session_wall_now();
out:
    return err;
}

enum reeve_err cmd_create_strategy(struct cmd *x)
{
    const struct ast_fleet *a = &x->stmt->fleet;
    struct strategy_row row = { 0 };
    struct cmd_outcome o;
    struct name name;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_ROTATE, GK_SYSTEM, NULL));
    TRY(slot_name(&x->slot, &a->name, "strategy", &name));
    TRY(cmd_reason(x, roll_has(&a->rollout, ROLL_REASON) ? &a->rollout.reason : NULL, false));
    TRY(strategy_row_of(x, &row));
    if (x->explain)
        return cmd_explain_note(x, "keeps strategy \"%s\": %.*s", name.s, (int) row.definition.len,
                                (const char *) row.definition.p);
    struct wr *w = cmd_op(x, RO_STRATEGY_CREATE, &err);
    if (w == NULL)
        return err;
    wr_name(w, &name);
    strategy_row_encode(&row, w);
    wr_u8(w, a->if_not_exists);
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
out:
    return err;
}

static enum reeve_err drop_named(struct cmd *x, uint8_t op, const char *what)
{
    const struct ast_object *a = &x->stmt->object;
    struct cmd_outcome o;
    struct name name;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_ROTATE, GK_SYSTEM, NULL));
    TRY(slot_name(&x->slot, &a->name, what, &name));
    if (x->explain)
        return cmd_explain_note(x, "drops %s \"%s\"", what, name.s);
    struct wr *w = cmd_op(x, op, &err);
    if (w == NULL)
        return err;
    wr_name(w, &name);
    wr_u8(w, a->if_exists);
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
out:
    return err;
}

enum reeve_err cmd_drop_strategy(struct cmd *x)
{
    return drop_named(x, RO_STRATEGY_DROP, "strategy");
}

enum reeve_err cmd_drop_window(struct cmd *x)
{
    return drop_named(x, RO_WINDOW_DROP, "window");
}

static enum reeve_err window_text(struct cmd *x, const struct ast_options *o, const char *name, const char *fallback,
                                  char *out, size_t cap)
{
    const struct pvalue *v = slot_option(o, name);
    struct slice s = slice_str(fallback ? fallback : "");
    if (v == NULL && fallback == NULL)
        return report_set(x->rep, REEVE_E_INVALID_VALUE, "a window needs %s", name);
    enum reeve_err err = v ? slot_text(&x->slot, v, name, &s) : REEVE_OK;
    if (err == REEVE_OK && s.len >= cap)
        return slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "%s is too long", name);
    if (err == REEVE_OK)
        memcpy(out, s.p, s.len);
    return err;
}

/* Five fields of digits, *, /, - and commas: what the ring's clock compares. */
static bool cron_ok(const char *s)
{
    int fields = 0;
    while (*s) {
        size_t n = strspn(s, "0123456789*/,-");
        if (n == 0)
            return false;
        fields++;
        s += n;
        s += strspn(s, " ");
    }
    return fields == 5;
}

enum reeve_err cmd_create_window(struct cmd *x)
{
    static const char *const allowed[] = { "cron", "timezone", "duration", NULL };
    const struct ast_object *a = &x->stmt->object;
    struct window_row row;
    struct cmd_outcome o;
    struct name name;
    int64_t ms = 0;
    enum reeve_err err;
    memset(&row, 0, sizeof row);
    TRY(cmd_need(x, PRIV_ADMIN, GK_SYSTEM, NULL));
    TRY(slot_name(&x->slot, &a->name, "window", &name));
    TRY(slot_options_check(&x->slot, &a->options, allowed));
    TRY(window_text(x, &a->options, "cron", NULL, row.cron, sizeof row.cron));
    TRY(window_text(x, &a->options, "timezone", "UTC", row.timezone, sizeof row.timezone));
    if (!cron_ok(row.cron))
        return slot_error(&x->slot, slot_option(&a->options, "cron"), REEVE_E_INVALID_VALUE,
                          "cron needs five fields: minute hour day month weekday");
    if (strcmp(row.timezone, "UTC") != 0)
        return cmd_unsupported(x, "windows are in UTC", "Give the times of the window in UTC.");
    const struct pvalue *d = slot_option(&a->options, "duration");
    if (d == NULL)
        return report_set(x->rep, REEVE_E_INVALID_VALUE, "a window needs duration");
    TRY(slot_duration_ms(&x->slot, d, "duration", &ms));
    row.duration_s = (uint32_t) (ms / 1000);
    if (row.duration_s == 0 || ms / 1000 > 7 * 86400)
        return slot_error(&x->slot, d, REEVE_E_INVALID_VALUE, "a window is open for 1 second to 7 days");
    if (x->explain)
        return cmd_explain_note(x, "keeps window \"%s\"", name.s);
    struct wr *w = cmd_op(x, RO_WINDOW_CREATE, &err);
    if (w == NULL)
        return err;
    wr_name(w, &name);
    window_row_encode(&row, w);
    wr_u8(w, a->if_not_exists);
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
out:
    return err;
}
