/*
 * plan.c - from a spec to absolute numbers over the fleet as it stands, and
 * how a plan is shown
 */
#include "cmd_int.h"

const struct dest_column cmd_fleet_columns[6] = {
    { "rollout_id", T_INT8 }, { "state", T_TEXT }, { "version", T_INT8 },
    { "targets", T_INT4 }, { "waves", T_INT4 }, { "first_wave", T_INT4 },
};
/* share is what was asked for, drawn what the cohorts of the nodes that are there come to, both up to this wave. */
const struct dest_column cmd_explain_columns[CMD_EXPLAIN_COLUMNS] = {
    { "wave", T_INT4 }, { "share", T_TEXT }, { "nodes", T_INT4 }, { "drawn", T_TEXT }, { "regions", T_TEXT },
    { "earliest_start", T_TEXT }, { "gate", T_TEXT }, { "note", T_TEXT },
};

const struct dest_column cmd_explain_json_column = { "QUERY PLAN", T_JSON };

/* Only nodes that carry the object at all are planned for. */
struct carriers {
    struct region *region;
    const struct predicate *where;
    void (*visit)(void *arg, const struct plan_node *n);
    void *arg;
};

static void visit_carrier(void *arg, const struct plan_node *n)
{
    struct carriers *c = arg;
    if (c->where == NULL || c->where->len == 0 ||
        predicate_holds(c->where, &n->region, n->labels, slice_str(n->id_text)))
        c->visit(c->arg, n);
}

static enum reeve_err each_carrier(void *h, void (*visit)(void *arg, const struct plan_node *n), void *arg)
{
    struct carriers *c = h;
    c->visit = visit;
    c->arg = arg;
    return region_plan_each(c->region, visit_carrier, c);
}

/* The predicate of a certificate target, NULL for config keys (every node carries them). */
static enum reeve_err carrier_predicate(struct cmd *x, struct snap *sn, const struct rollout_doc *doc,
                                        struct predicate **out)
{
    *out = NULL;
    if (doc->target[0].type != AT_CERT)
        return REEVE_OK;
    enum reeve_err err;
    struct attest_object *o = cmd_alloc(x, sizeof *o, &err);
    struct cert_doc *cert = o ? cmd_alloc(x, sizeof *cert, &err) : NULL;
    if (cert == NULL)
        return err;
    TRY(attest_get(&sn->attest, AT_CERT, &doc->target[0].name, o));
    TRY(cert_doc_decode(cert, o->update.payload));
    *out = &cert->where;
out:
    return err;
}

enum reeve_err cmd_plan(struct cmd *x, struct snap *sn, const struct rollout_spec *spec, struct rollout_doc *doc)
{
    struct predicate *where;
    enum reeve_err err;
    struct region_plan *p = cmd_alloc(x, sizeof *p, &err);
    if (p == NULL)
        return err;
    err = carrier_predicate(x, sn, doc, &where);
    if (err == REEVE_OK)
        err = region_plan_regions(&sn->region, &spec->where, where, p);
    if (err == REEVE_E_TOO_COMPLEX)
        return report_set(x->rep, err, "a rollout reaches at most %d regions", ROLLOUT_REGIONS_MAX);
    if (err == REEVE_OK)
        err = attest_skew_ms(&sn->attest, &x->skew_ms);
    if (err != REEVE_OK)
        return report_set(x->rep, err, "could not read the fleet");
    if (p->info[0].frozen) {
        report_set(x->rep, REEVE_E_REGION_FROZEN, "region \"%s\" is frozen", p->info[0].name.s);
        report_hint(x->rep, "ALTER REGION '%s' UNFREEZE.", p->info[0].name.s);
        return REEVE_E_REGION_FROZEN;
    }
    struct carriers c = { .region = &sn->region, .where = where };
    struct plan_source src = { .each = each_carrier, .h = &c, .scratch_n = p->nodes + 1 };
    src.scratch = calloc(src.scratch_n, sizeof *src.scratch);
    if (src.scratch == NULL)
        return report_set(x->rep, REEVE_E_NOMEM, "out of memory");
    err = rollout_plan(sn->attest.c, doc, spec, name_slice(&doc->target[0].name), p->info, p->n, &src, x->rep);
    free(src.scratch);
    return err;
}

static uint32_t wave_nodes(const struct rollout_doc *d, unsigned w)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < d->n_regions; i++)
        n += d->region[i].nodes[w];
    return n;
}

static uint32_t all_nodes(const struct rollout_doc *d)
{
    uint32_t n = 0;
    for (unsigned w = 0; w < d->n_waves; w++)
        n += wave_nodes(d, w);
    return n;
}

static void warn_big_canary(struct cmd *x, const struct rollout_doc *d)
{
    int64_t limit = session_int(x->s, SET_canary_warn_nodes);
    uint32_t first = wave_nodes(d, 0);
    if (limit > 0 && first > limit && d->n_waves > 1)
        session_notice(x->s, NOTICE_WARNING, NULL, "the first wave takes %u nodes; CANARY n NODES starts smaller", first);
}

enum reeve_err cmd_fleet_row(struct cmd *x, const struct rollout_doc *d, const struct cmd_outcome *o)
{
    if (d->opened == 0)
        warn_big_canary(x, d);
    if (!session_bool(x->s, SET_rollout_returning))
        return REEVE_OK;
    enum reeve_err err = dest_columns(x->dest, 6, cmd_fleet_columns);
    struct datum row[] = {
        d_int((int64_t) d->id), d_str(rollout_state_name(d->state)),
        o->known ? d_int((int64_t) o->version) : d_null(),
        d_int(all_nodes(d)), d_int(d->n_waves), d_int(wave_nodes(d, 0)),
    };
    return err == REEVE_OK ? dest_row(x->dest, 6, row) : err;
}

/* ---- EXPLAIN ---- */

static const char *gate_var_name(uint8_t v)
{
    static const char *const names[] = { "?", "failed", "silent", "rejected", "handshake_fail", "p50_ms", "p95_ms", "p99_ms" };
    return v < 8 ? names[v] : "?";
}

static void gate_print(struct wr *w, const struct gate *g)
{
    static const char *const cmps[] = { "?", ">", ">=", "<", "<=" };
    wr_text(w, g->action == GATE_ROLLBACK ? "ROLLBACK IF " : "PAUSE IF ");
    for (unsigned i = 0; i < g->n_terms; i++) {
        const struct gate_term *t = &g->term[i];
        wr_printf(w, "%s%s%s%s %s ", i ? " AND " : "", t->delta ? "delta(" : "", gate_var_name(t->var),
                  t->delta ? ")" : "", t->cmp < 5 ? cmps[t->cmp] : "?");
        if (t->unit == GATE_SHARE_PPM)
            wr_printf(w, "%g%%", t->value / 10000.0);
        else
            wr_printf(w, "%u", t->value);
    }
    if (g->sample > 0)
        wr_printf(w, " SAMPLE %u", g->sample);
}

static char *gates_text(struct cmd *x, const struct rollout_doc *d)
{
    struct wr w = wr_heap(8192);
    for (unsigned i = 0; i < d->n_gates; i++) {
        wr_text(&w, i ? " " : "");
        gate_print(&w, &d->gate[i]);
    }
    char *s = arena_strndup(x->arena, w.p, w.len);
    wr_free(&w);
    return s;
}

static char *regions_text(struct cmd *x, const struct rollout_doc *d, unsigned wave)
{
    struct wr w = wr_heap(8192);
    for (unsigned i = 0; i < d->n_regions; i++)
        if (d->region[i].bound[wave] > (wave > 0 ? d->region[i].bound[wave - 1] : 0))
            wr_printf(&w, "%s%s", w.len ? ", " : "", d->region[i].name.s);
    char *s = arena_strndup(x->arena, w.p, w.len);
    wr_free(&w);
    return s;
}

static char *start_text(struct cmd *x, uint64_t ms)
{
    if (ms < 60000)
        return arena_printf(x->arena, "+%.1f s", (double) ms / 1000);
    return arena_printf(x->arena, "+%llu min", (unsigned long long) (ms / 60000));
}

static uint64_t after_bake(struct cmd *x, const struct rollout_doc *d, unsigned w, uint64_t start)
{
    return (uint64_t) rollout_wave_end_ms(d, w + 1, (struct wall_ms){ (int64_t) start }, x->skew_ms);
}

static struct datum percent(struct cmd *x, double share)
{
    return d_str(arena_printf(x->arena, "%.4g%%", 100.0 * share));
}

static const char *wave_note(struct cmd *x, const struct rollout_doc *d, unsigned w)
{
    if (w == 0 && d->prepare_ms > 0)
        return arena_printf(x->arena, "requests spread over %.1f s before", (double) d->prepare_ms / 1000);
    if (w > 0 && d->manual)
        return "waits for PROMOTE ROLLOUT";
    return w + 1 == d->n_waves ? "last wave" : "";
}

/* One document in one column, laid out as PostgreSQL lays out its own. */
static void member(struct wr *w, bool first, const char *name)
{
    wr_printf(w, "%s    \"%s\": ", first ? "" : ",\n", name);
}

static void member_number(struct wr *w, const char *name, uint64_t v)
{
    member(w, strcmp(name, "wave") == 0, name);
    wr_printf(w, "%llu", (unsigned long long) v);
}

static void member_text(struct wr *w, const char *name, const char *v)
{
    member(w, false, name);
    json_quote(w, slice_str(v ? v : ""));
}

static enum reeve_err json_row(struct cmd *x, struct wr *w)
{
    struct datum v = d_json(arena_copy(x->arena, wr_slice(w)));
    enum reeve_err err = w->bad ? report_set(x->rep, REEVE_E_TOO_COMPLEX, "the plan is too large") : REEVE_OK;
    wr_free(w);
    if (err == REEVE_OK)
        err = dest_columns(x->dest, 1, &cmd_explain_json_column);
    return err == REEVE_OK ? dest_row(x->dest, 1, &v) : err;
}

static enum reeve_err explain_json(struct cmd *x, const struct rollout_doc *d)
{
    struct wr w = wr_heap(262144);
    uint64_t start = d->prepare_ms, sum = 0, all = all_nodes(d);
    wr_text(&w, "[\n");
    for (unsigned i = 0; i < d->n_waves; i++) {
        sum += wave_nodes(d, i);
        wr_text(&w, i ? ",\n  {\n" : "  {\n");
        member_number(&w, "wave", i + 1);
        member_number(&w, "share_ppm", d->wave[i].share_ppm);
        member_number(&w, "nodes", wave_nodes(d, i));
        member_number(&w, "drawn_ppm", all > 0 ? sum * PPM / all : 0);
        member_text(&w, "regions", regions_text(x, d, i));
        member_number(&w, "bake_ms", d->wave[i].bake_ms);
        member_number(&w, "earliest_start_ms", start);
        member_text(&w, "gate", gates_text(x, d));
        member_text(&w, "note", wave_note(x, d, i));
        wr_text(&w, "\n  }");
        start = after_bake(x, d, i, start);
    }
    wr_text(&w, "\n]");
    return json_row(x, &w);
}

enum reeve_err cmd_explain_plan(struct cmd *x, const struct rollout_doc *d)
{
    if (x->explain_json)
        return explain_json(x, d);
    enum reeve_err err = dest_columns(x->dest, CMD_EXPLAIN_COLUMNS, cmd_explain_columns);
    uint64_t start = d->prepare_ms;
    uint32_t sum = 0, all = all_nodes(d);
    for (unsigned w = 0; w < d->n_waves && err == REEVE_OK; w++) {
        sum += wave_nodes(d, w);
        struct datum row[] = {
            d_int(w + 1),
            d->wave[w].share_ppm > 0 ? percent(x, (double) d->wave[w].share_ppm / PPM) : d_null(),
            d_int(wave_nodes(d, w)), all > 0 ? percent(x, (double) sum / all) : d_null(),
            d_str(regions_text(x, d, w)), d_str(start_text(x, start)),
            d_str(gates_text(x, d)), d_str(wave_note(x, d, w)),
        };
        err = dest_row(x->dest, CMD_EXPLAIN_COLUMNS, row);
        start = after_bake(x, d, w, start);
    }
    return err;
}

static enum reeve_err note_json(struct cmd *x, const char *text)
{
    struct wr w = wr_heap(8192);
    wr_text(&w, "[\n  {\n    \"note\": ");
    json_quote(&w, slice_str(text));
    wr_text(&w, "\n  }\n]");
    return json_row(x, &w);
}

enum reeve_err cmd_explain_note(struct cmd *x, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (x->explain_json)
        return note_json(x, text);
    enum reeve_err err = dest_columns(x->dest, CMD_EXPLAIN_COLUMNS, cmd_explain_columns);
    struct datum row[] = { d_null(), d_null(), d_null(), d_null(), d_null(), d_null(), d_null(), d_str(text) };
    return err == REEVE_OK ? dest_row(x->dest, CMD_EXPLAIN_COLUMNS, row) : err;
}
