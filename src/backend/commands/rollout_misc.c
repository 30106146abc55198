/* rollout_misc.c - WAIT FOR ROLLOUT, ALTER ROLLOUT, COPY. */
#include "cmd_int.h"

#define WAIT_POLL_MS 100

struct waiting {
    uint64_t id;
    enum rollout_state want;
    bool any_end;                       /* no UNTIL: any end will do, but only succeeded without error */
    struct mono_ms deadline;            /* ms 0: none */
    uint8_t opened, state;              /* last told */
    struct rollout_counts sum;
};

static enum reeve_err hint_states(struct cmd *x)
{
    char list[400] = "";
    size_t len = 0;
    for (unsigned s = RS_PLANNED; s <= RS_EXPIRED; s++) {
        int n = snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "", rollout_state_name((enum rollout_state) s));
        len += n > 0 && (size_t) n < sizeof list - len ? (size_t) n : 0;
    }
    report_hint(x->rep, "States are %s.", list);
    return REEVE_E_INVALID_VALUE;
}

static enum reeve_err read_until(struct cmd *x, struct waiting *w)
{
    const struct ast_verb *a = &x->stmt->verb;
    struct slice word;
    int64_t ms;
    enum reeve_err err = REEVE_OK;
    w->want = RS_SUCCEEDED;
    if (pv_present(&a->until)) {
        TRY(slot_text(&x->slot, &a->until, "state", &word));
        if (!rollout_state_parse(&w->want, word)) {
            slot_error(&x->slot, &a->until, REEVE_E_INVALID_VALUE, "\"%.*s\" is not a state of a rollout",
                       (int) (word.len > 64 ? 64 : word.len), (const char *) word.p);
            return hint_states(x);
        }
    }
    if (pv_present(&a->timeout)) {
        TRY(slot_duration_ms(&x->slot, &a->timeout, "timeout", &ms));
        w->deadline.ms = session_mono_now().ms + ms;
    }
out:
    return err;
}

static void add_counts(struct rollout_counts *sum, const struct rollout_counts *c)
{
    sum->nodes += c->nodes;
    sum->done += c->done;
    sum->failed += c->failed;
    sum->silent += c->silent;
}

static void read_counts(struct snap *sn, const struct rollout_doc *d, struct rollout_counts *sum)
{
    memset(sum, 0, sizeof *sum);
    for (uint8_t r = 0; r < d->n_regions; r++)
        for (uint8_t w = 1; w <= d->opened; w++) {
            struct wave_row row;
            if (region_wave_get(&sn->region, d->id, &d->region[r].name, w, &row) == REEVE_OK)
                add_counts(sum, &row.counts);
        }
}

static enum reeve_err look(struct cmd *x, struct waiting *w, struct rollout_doc *d)
{
    struct snap sn;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    x->n_seen = 0;
    err = cmd_get_rollout(x, &sn, &x->stmt->verb.id, d);
    if (err == REEVE_OK)
        err = cmd_need_targets(x, &sn, PRIV_SELECT, d);
    if (err == REEVE_OK)
        read_counts(&sn, d, &w->sum);
    snap_close(&sn);
    return err;
}

static void tell(struct cmd *x, struct waiting *w, const struct rollout_doc *d)
{
    if (d->opened != w->opened)
        session_notice(x->s, NOTICE_NOTICE, NULL, "rollout %llu: wave %u of %u is open", (unsigned long long) d->id,
                       d->opened, d->n_waves);
    if (d->state != w->state)
        session_notice(x->s, NOTICE_NOTICE, NULL, "rollout %llu: %s%s%s (done %u, failed %u)", (unsigned long long) d->id,
                       rollout_state_name(d->state), d->why[0] ? ": " : "", d->why, w->sum.done, w->sum.failed);
    w->opened = d->opened;
    w->state = d->state;
}

static enum reeve_err wait_row(struct cmd *x, const struct waiting *w, const struct rollout_doc *d)
{
    const struct dest_column *cols;
    int n;
    command_columns(x->s, x->stmt, &cols, &n);
    enum reeve_err err = dest_columns(x->dest, n, cols);
    struct datum row[] = { d_int((int64_t) d->id), d_str(rollout_state_name(d->state)), d_int(w->sum.done),
                           d_int(w->sum.failed), d_int(w->sum.silent) };
    return err == REEVE_OK ? dest_row(x->dest, 5, row) : err;
}

static enum reeve_err not_reached(struct cmd *x, const struct waiting *w, const struct rollout_doc *d, const char *how)
{
    report_set(x->rep, REEVE_E_ROLLOUT_NOT_DONE, "rollout %llu %s %s, not %s", (unsigned long long) d->id, how,
               rollout_state_name(d->state), rollout_state_name(w->want));
    if (d->why[0])
        report_detail(x->rep, "%s", d->why);
    return REEVE_E_ROLLOUT_NOT_DONE;
}

enum reeve_err cmd_wait_rollout(struct cmd *x)
{
    struct waiting w = { 0 };
    enum reeve_err err;
    struct rollout_doc *d = cmd_alloc(x, sizeof *d, &err);
    if (d == NULL)
        return err;
    TRY(read_until(x, &w));
    TRY(look(x, &w, d));
    while (d->state != w.want && !rollout_state_terminal(d->state)) {
        tell(x, &w, d);
        if (w.deadline.ms != 0 && session_mono_now().ms >= w.deadline.ms)
            return not_reached(x, &w, d, "is still");
        err = session_wait(x->s, -1, 0, WAIT_POLL_MS, x->rep);
        if (err != REEVE_OK && err != REEVE_E_AGAIN)
            return err;
        TRY(look(x, &w, d));
    }
    tell(x, &w, d);
    if (d->state != w.want)
        return not_reached(x, &w, d, "ended as");
    TRY(wait_row(x, &w, d));
out:
    return err;
}

/* The plan is attested and never changes; what can be changed has a verb of its own. */
enum reeve_err cmd_alter_rollout(struct cmd *x)
{
    return cmd_unsupported(x, "the plan of a rollout is attested and cannot be altered",
                           "PAUSE, PROMOTE or CANCEL it, then start another with the clauses you want.");
}

enum reeve_err cmd_copy_query(struct cmd *x)
{
    return cmd_unsupported(x, "COPY is not available yet", "Use the shell's --csv, or SELECT.");
}
