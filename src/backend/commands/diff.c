/* diff.c - DIFF CONFIG FROM VERSION a TO VERSION b: which keys have another value now, and who did it last */
#include "history_int.h"

#include "backend/catalog/config_past.h"

const struct dest_column cmd_diff_columns[7] = {
    { "key", T_TEXT }, { "before", T_TEXT }, { "after", T_TEXT }, { "version", T_INT8 }, { "at", T_TIMESTAMPTZ },
    { "actor", T_TEXT }, { "reason", T_TEXT },
};

struct diff_row { struct past_key k; bool had, has; struct slice before, after; };

/* Away from the snapshot; false: the value is the same as before. */
static bool row_make(struct arena *a, const struct past_key *k, struct diff_row *row)
{
    struct slice was, is;
    *row = (struct diff_row){ .k = *k };
    row->had = config_past_value(a, k->before, &row->before, &was);
    row->has = config_past_value(a, k->after, &row->after, &is);
    row->k.reason = arena_copy(a, k->reason);
    return row->had != row->has || (row->has && !(slice_eq(row->before, row->after) && slice_eq(was, is)));
}

static enum reeve_err rows_make(struct cmd *x, const struct config_past *past, struct diff_row **rows, size_t *n)
{
    *n = 0;
    if ((*rows = arena_alloc(x->arena, (past->n + 1) * sizeof **rows)) == NULL)
        return REEVE_E_NOMEM;
    for (size_t i = 0; i < past->n; i++)
        *n += row_make(x->arena, past->v[i], &(*rows)[*n]);
    return REEVE_OK;
}

static enum reeve_err revision(struct cmd *x, const struct pvalue *v, uint64_t newest, uint64_t *out)
{
    int64_t n;
    enum reeve_err err = slot_int(&x->slot, v, "version", 0, INT64_MAX, &n);
    if (err != REEVE_OK)
        return err;
    *out = (uint64_t) n;
    if (*out <= newest)
        return REEVE_OK;
    err = slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "revision %lld has not come yet", (long long) n);
    report_hint(x->rep, "Versions of the config are those of sys.config and of SHOW HISTORY WHERE log = 'region'.");
    return err;
}

static enum reeve_err diff_read(struct cmd *x, struct diff_row **rows, size_t *n)
{
    const struct ast_history *h = &x->stmt->history;
    struct config_past past;
    struct snap sn;
    uint64_t from, to, newest;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    TRY(region_applied_index(&sn.region, &newest));
    TRY(revision(x, &h->from, newest, &from));
    TRY(revision(x, &h->to, newest, &to));
    if (from > to)
        TRY(slot_error(&x->slot, &h->to, REEVE_E_INVALID_VALUE, "the range ends before it begins"));
    TRY(config_past_read(&sn, x->arena, from, to, &past, x->rep));
    err = rows_make(x, &past, rows, n);
out:
    snap_close(&sn);
    return err;
}

static struct datum text_or_null(bool there, struct slice s) { return there ? d_text(s) : d_null(); }

enum reeve_err cmd_diff_config(struct cmd *x)
{
    struct diff_row *r;
    size_t n;
    enum reeve_err err;
    TRY(cmd_need_audit(x));
    TRY(diff_read(x, &r, &n));
    TRY(dest_columns(x->dest, 7, cmd_diff_columns));
    for (; n > 0; n--, r++) {
        struct datum v[] = {
            d_text(name_slice(&r->k.key)), text_or_null(r->had, r->before), text_or_null(r->has, r->after),
            d_int((int64_t) r->k.version), d_wall(r->k.at), text_or_null(r->k.actor.len > 0, name_slice(&r->k.actor)),
            text_or_null(r->k.reason.len > 0, r->k.reason),
        };
        TRY(dest_row(x->dest, 7, v));
    }
out:
    return err;
}
