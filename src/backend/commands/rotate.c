/*
 * rotate.c - ROTATE CERT: a new generation (or an earlier one) and the
 * rollout that brings it
 */
#include "fleet_int.h"

#include <stdlib.h>

struct rotation {
    struct name name;
    struct cert_doc *cert;
    struct rollout_spec *spec;
    struct rollout_doc *doc;
    struct rollout_change change;
};

/* The template of a new generation; its number comes from the attested table. */
static enum reeve_err new_generation(struct cmd *x, struct snap *sn, struct rotation *r, uint32_t *to)
{
    enum reeve_err err;
    uint32_t from;
    struct authority_doc *auth = cmd_alloc(x, sizeof *auth, &err);
    if (auth == NULL)
        return err;
    struct pvalue slot = { .kind = PV_STRING, .pos = -1, .s = r->cert->authority.s, .len = r->cert->authority.len };
    struct name authority;
    TRY(cmd_get_authority(x, sn, &slot, &authority, auth));
    TRY(attest_gen_numbers(&sn->attest, AT_CERT, &r->name, &from, to));
    uint32_t validity = r->spec->valid_for_s > 0 ? r->spec->valid_for_s : r->cert->validity_s;
    TRY(cmd_new_generation(x, r->cert, auth, *to, validity, &r->change.cert));
    r->change.fresh = true;
out:
    return err;
}

static enum reeve_err earlier_generation(struct cmd *x, const struct name *name, struct cert_doc *doc, uint32_t *to)
{
    const struct pvalue *slot = &x->stmt->fleet.generation;
    int64_t n;
    enum reeve_err err = slot_int(&x->slot, slot, "generation", 1, UINT32_MAX, &n);
    if (err != REEVE_OK)
        return err;
    struct cert_gen *g = cert_gen_find(doc, (uint32_t) n);
    if (g == NULL)
        return slot_error(&x->slot, slot, REEVE_E_UNDEFINED_OBJECT, "certificate \"%s\" has no generation %lld", name->s, (long long) n);
    if (g->state == GEN_REVOKED)
        return slot_error(&x->slot, slot, REEVE_E_V_REVOKED, "generation %lld is revoked", (long long) n);
    if (g->not_after.ms <= session_wall_now().ms)
        return slot_error(&x->slot, slot, REEVE_E_V_EXPIRED, "generation %lld has expired", (long long) n);
    if (g->gen == doc->active_gen && doc->n_rules == 0)
        return slot_error(&x->slot, slot, REEVE_E_WRONG_STATE, "generation %lld is active already", (long long) n);
    *to = g->gen;
    return REEVE_OK;
}

/* Requests of the prepare phase come at most about a thousand a second. */
uint32_t cmd_prepare_ms(const struct cmd *x, const struct rollout_doc *d, const struct rollout_spec *spec)
{
    uint64_t nodes = 0;
    for (unsigned w = 0; w < d->n_waves; w++)
        for (unsigned i = 0; i < d->n_regions; i++)
            nodes += d->region[i].nodes[w];
    uint64_t window = (uint64_t) session_int(x->s, SET_rollout_prepare_window), ms = nodes + 500;
    return spec->immediate ? 0 : (uint32_t) (ms < window ? ms : window);
}

void cmd_doc_start(const struct cmd *x, struct rollout_doc *d, const struct rollout_spec *spec)
{
    d->submitted_by = x->s->role;
    d->state = RS_PLANNED;
    d->strategy = spec->strategy;
    cmd_doc_why(x, d);
}

void cmd_doc_why(const struct cmd *x, struct rollout_doc *d)
{
    size_t n = x->reason.len < sizeof d->why - 1 ? x->reason.len : sizeof d->why - 1;
    while (n > 0 && !utf8_valid(slice_of(x->reason.p, n)))
        n--;
    memset(d->why, 0, sizeof d->why);
    if (n > 0)
        memcpy(d->why, x->reason.p, n);
}

/* The first version of a rollout and what it makes of its targets. */
enum reeve_err cmd_rollout_begin(struct cmd *x, struct snap *sn, const struct rollout_doc *d,
                                 const struct rollout_change *change)
{
    enum reeve_err err;
    struct update_set *set = cmd_alloc(x, sizeof *set, &err);
    if (set == NULL)
        return err;
    struct wr mem = wr_heap((1u + ROLLOUT_TARGETS_MAX) * ATTEST_PAYLOAD_MAX);
    err = attest_rollout_begin(&sn->attest, d, change, &mem, set, x->rep);
    if (err == REEVE_OK)
        err = cmd_update_set(x, sn, set);
    else
        report_set(x->rep, err, "the rollout cannot begin");
    wr_free(&mem);
    return err;
}

/* The window must exist; whether it is open is the engine's question. */
enum reeve_err cmd_check_window(struct cmd *x, struct snap *sn, const struct rollout_spec *spec)
{
    struct window_row row;
    if (spec->window.len == 0)
        return REEVE_OK;
    enum reeve_err err = region_window_get(&sn->region, &spec->window, &row);
    if (err == REEVE_E_NOT_FOUND)
        return report_set(x->rep, REEVE_E_UNDEFINED_OBJECT, "window \"%s\" does not exist", spec->window.s);
    return err;
}

static enum reeve_err prepare(struct cmd *x, struct snap *sn, struct rotation *r)
{
    const struct ast_fleet *a = &x->stmt->fleet;
    uint32_t to = 0;
    enum reeve_err err;
    TRY(cmd_get_cert(x, sn, &a->name, &r->name, r->cert));
    TRY(cmd_cert_not_running(x, &r->name, r->cert));
    TRY(cmd_spec(x, sn, &a->rollout, r->cert->strategy.len ? &r->cert->strategy : NULL, r->spec));
    TRY(cmd_check_window(x, sn, r->spec));
    uint32_t from = r->cert->active_gen;
    if (!pv_present(&a->generation))
        TRY(new_generation(x, sn, r, &to));
    else
        TRY(earlier_generation(x, &r->name, r->cert, &to));
    r->doc->kind = ROLLOUT_CERT;
    r->doc->n_targets = 1;
    r->doc->target[0] = (struct rollout_target){ AT_CERT, r->name, from, to };
    TRY(cmd_plan(x, sn, r->spec, r->doc));
    cmd_doc_start(x, r->doc, r->spec);
    r->doc->prepare_ms = r->change.fresh && r->cert->mode == CERT_PER_NODE ? cmd_prepare_ms(x, r->doc, r->spec) : 0;
out:
    return err;
}

static enum reeve_err submit(struct cmd *x, struct rotation *r)
{
    struct snap sn = { 0 };
    enum reeve_err err;
    if (r->change.fresh && r->cert->mode != CERT_PER_NODE)
        TRY(cmd_shared_key(x, &r->name, r->change.cert.gen, r->cert->key_type, &r->change.cert.spki_hash));
    TRY(cmd_reserve_rollout(x, &r->doc->id));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_rollout_begin(x, &sn, r->doc, &r->change));
out:
    snap_close(&sn);
    return err;
}

enum reeve_err cmd_rotate_cert(struct cmd *x)
{
    const struct ast_fleet *a = &x->stmt->fleet;
    struct snap sn = { 0 };
    struct rotation r = { 0 };
    struct cmd_outcome o;
    enum reeve_err err;
    if ((r.cert = cmd_alloc(x, sizeof *r.cert, &err)) == NULL || (r.spec = cmd_alloc(x, sizeof *r.spec, &err)) == NULL ||
        (r.doc = cmd_alloc(x, sizeof *r.doc, &err)) == NULL)
        return err;
    TRY(slot_name(&x->slot, &a->name, "certificate", &r.name));
    TRY(cmd_need(x, PRIV_ROTATE, GK_CERT, &r.name));
    TRY(cmd_reason(x, roll_has(&a->rollout, ROLL_REASON) ? &a->rollout.reason : NULL, true));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(prepare(x, &sn, &r));
    snap_close(&sn);
    if (x->explain)
        return cmd_explain_plan(x, r.doc);
    TRY(submit(x, &r));
    TRY(cmd_finish(x, &o));
    TRY(cmd_fleet_row(x, r.doc, &o));
out:
    snap_close(&sn);
    return err;
}
