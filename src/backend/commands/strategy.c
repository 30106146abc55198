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

/* Is there a row of that name in the region's table? */
static enum reeve_err exists_already(struct cmd *x, uint8_t table, const struct name *name, bool *exists)
{
    uint8_t key[NAME_MAX_LEN + 2] = { REGION_KV_PREFIX, table };
    struct slice v;
    struct snap sn;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    memcpy(key + 2, name->s, name->len);
    err = kv_get(&sn.kv, slice_of(key, 2u + name->len), &v);
    snap_close(&sn);
    *exists = err == REEVE_OK;
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

/* What certificates renew themselves by stays. */
static enum reeve_err refuse_needed(struct cmd *x, const struct name *strategy)
{
    struct snap sn = { 0 };
    struct name cert = { 0 };
    enum reeve_err err;
    struct attest_object *o = cmd_alloc(x, sizeof *o, &err);
    struct cert_doc *d = o ? cmd_alloc(x, sizeof *d, &err) : NULL;
    if (d == NULL)
        return err;
    TRY(snap_open(x->s, &sn, x->rep));
    while ((err = attest_next(&sn.attest, AT_CERT, &cert, o)) == REEVE_OK)
        if (o->update.op == 1 && cert_doc_decode(d, o->update.payload) == REEVE_OK && name_eq(&d->strategy, strategy)) {
            report_set(x->rep, REEVE_E_DEPENDENT, "certificate \"%s\" is renewed by strategy \"%s\"", cert.s, strategy->s);
            err = report_hint(x->rep, "ALTER CERT \"%s\" SET (strategy = ...) first.", cert.s);
            goto out;
        }
    err = err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
out:
    snap_close(&sn);
    return err;
}

enum reeve_err cmd_create_strategy(struct cmd *x)
{
    const struct ast_fleet *a = &x->stmt->fleet;
    struct strategy_row row = { 0 };
    struct cmd_outcome o;
    struct name name;
    bool exists;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_ROTATE, GK_SYSTEM, NULL));
    TRY(slot_name(&x->slot, &a->name, "strategy", &name));
    TRY(cmd_reason(x, roll_has(&a->rollout, ROLL_REASON) ? &a->rollout.reason : NULL, false));
    TRY(strategy_row_of(x, &row));
    if (a->if_not_exists) {
        TRY(exists_already(x, 's', &name, &exists));
        if (exists) {
            cmd_skip_notice(x, "strategy \"%s\" already exists, skipping", name.s);
            goto out;
        }
    }
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

static enum reeve_err drop_named(struct cmd *x, uint8_t op, uint8_t table, const char *what)
{
    const struct ast_object *a = &x->stmt->object;
    struct cmd_outcome o;
    struct name name;
    bool exists = true;
    enum reeve_err err;
    TRY(cmd_need(x, op == RO_STRATEGY_DROP ? PRIV_ROTATE : PRIV_ADMIN, GK_SYSTEM, NULL));
    TRY(slot_name(&x->slot, &a->name, what, &name));
    TRY(cmd_reason(x, &a->reason, false));
    if (a->if_exists)
        TRY(exists_already(x, table, &name, &exists));
    if (!exists) {
        cmd_skip_notice(x, "%s \"%s\" does not exist, skipping", what, name.s);
        goto out;
    }
    if (op == RO_STRATEGY_DROP)
        TRY(refuse_needed(x, &name));
    if (x->explain)
        return cmd_explain_note(x, "drops %s \"%s\"", what, name.s);
    struct wr *w = cmd_op(x, op, &err);
    if (w == NULL)
        return err;
    wr_name(w, &name);
    if (op == RO_STRATEGY_DROP)
        wr_u8(w, a->if_exists);
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
out:
    return err;
}

enum reeve_err cmd_drop_strategy(struct cmd *x)
{
    return drop_named(x, RO_STRATEGY_DROP, 's', "strategy");
}

enum reeve_err cmd_drop_window(struct cmd *x)
{
    return drop_named(x, RO_WINDOW_DROP, 'w', "window");
}

static enum reeve_err needs(struct cmd *x, const char *option)
{
    report_set(x->rep, REEVE_E_INVALID_VALUE, "a window needs %s", option);
    report_hint(x->rep, "For example WITH (cron = '0 3 * * *', duration = '2 h').");
    return REEVE_E_INVALID_VALUE;
}

static enum reeve_err window_text(struct cmd *x, const struct ast_options *o, const char *name, const char *fallback,
                                  char *out, size_t cap)
{
    const struct pvalue *v = slot_option(o, name);
    struct slice s = slice_str(fallback ? fallback : "");
    if (v == NULL && fallback == NULL)
        return needs(x, name);
    enum reeve_err err = v ? slot_text(&x->slot, v, name, &s) : REEVE_OK;
    if (err == REEVE_OK && s.len >= cap)
        return slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "%s is too long", name);
    if (err == REEVE_OK)
        memcpy(out, s.p, s.len);
    return err;
}

enum reeve_err cmd_create_window(struct cmd *x)
{
    static const char *const allowed[] = { "cron", "timezone", "duration", NULL };
    const struct ast_object *a = &x->stmt->object;
    struct window_row row;
    struct cmd_outcome o;
    struct name name;
    int64_t ms = 0;
    bool exists;
    enum reeve_err err;
    memset(&row, 0, sizeof row);
    TRY(cmd_need(x, PRIV_ADMIN, GK_SYSTEM, NULL));
    TRY(slot_name(&x->slot, &a->name, "window", &name));
    TRY(slot_options_check(&x->slot, &a->options, allowed));
    TRY(window_text(x, &a->options, "cron", NULL, row.cron, sizeof row.cron));
    TRY(window_text(x, &a->options, "timezone", "UTC", row.timezone, sizeof row.timezone));
    if (!window_cron_ok(row.cron))
        return slot_error(&x->slot, slot_option(&a->options, "cron"), REEVE_E_INVALID_VALUE,
                          "cron needs five fields within their bounds: minute hour day month weekday");
    if (strcmp(row.timezone, "UTC") != 0)
        return cmd_unsupported(x, "windows are in UTC", "Give the times of the window in UTC.");
    const struct pvalue *d = slot_option(&a->options, "duration");
    if (d == NULL)
        return needs(x, "duration");
    TRY(slot_duration_ms(&x->slot, d, "duration", &ms));
    row.duration_s = (uint32_t) (ms / 1000);
    if (row.duration_s == 0 || ms / 1000 > 7 * 86400)
        return slot_error(&x->slot, d, REEVE_E_INVALID_VALUE, "a window is open for 1 second to 7 days");
    if (a->if_not_exists) {
        TRY(exists_already(x, 'w', &name, &exists));
        if (exists) {
            cmd_skip_notice(x, "window \"%s\" already exists, skipping", name.s);
            goto out;
        }
    }
    if (x->explain)
        return cmd_explain_note(x, "keeps window \"%s\"", name.s);
    struct wr *w = cmd_op(x, RO_WINDOW_CREATE, &err);
    if (w == NULL)
        return err;
    wr_name(w, &name);
    window_row_encode(&row, w);
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
out:
    return err;
}
