/*
 * rollout_verb.c - PAUSE, RESUME, CANCEL, PROMOTE and ROLLBACK ROLLOUT
 *
 * A verb is the next version of the rollout's document; where it ends the
 * rollout, the objects it was about change in the same batch, by the same
 * function that the ring's rollout driver uses.
 */
#include "fleet_int.h"

static enum rollout_verb verb_of(enum ast_kind k)
{
    switch (k) {
    case AST_PAUSE_ROLLOUT:   return RV_PAUSE;
    case AST_RESUME_ROLLOUT:  return RV_RESUME;
    case AST_CANCEL_ROLLOUT:  return RV_CANCEL;
    case AST_PROMOTE_ROLLOUT: return RV_PROMOTE;
    default:                  return RV_ROLLBACK;
    }
}

/* PROMOTE TO WAVE n, TO 50%, or the next wave. */
static enum reeve_err promote_target(struct cmd *x, const struct rollout_doc *d, uint8_t *wave)
{
    const struct ast_verb *a = &x->stmt->verb;
    int64_t n = d->opened + 1;
    *wave = 0;
    if (x->stmt->kind != AST_PROMOTE_ROLLOUT)
        return REEVE_OK;
    if (pv_present(&a->to_wave)) {
        enum reeve_err err = slot_int(&x->slot, &a->to_wave, "wave", 1, d->n_waves, &n);
        if (err != REEVE_OK)
            return err;
    } else if (pv_present(&a->to_share.amount)) {
        int64_t share;
        enum reeve_err err = slot_share(&x->slot, &a->to_share, "share", &share);
        if (err != REEVE_OK)
            return err;
        if (a->to_share.is_nodes)
            return slot_error(&x->slot, &a->to_share.amount, REEVE_E_INVALID_VALUE, "PROMOTE takes a wave or a share");
        for (n = 1; n < d->n_waves && d->wave[n - 1].share_ppm < share; n++)
            ;
    }
    *wave = (uint8_t) (n > d->n_waves ? d->n_waves : n);
    return REEVE_OK;
}

static void put_reason(struct cmd *x, struct rollout_doc *d)
{
    if (x->reason.len == 0)
        return;
    size_t n = x->reason.len < sizeof d->why - 1 ? x->reason.len : sizeof d->why - 1;
    while (n > 0 && !utf8_valid(slice_of(x->reason.p, n)))
        n--;
    memset(d->why, 0, sizeof d->why);
    memcpy(d->why, x->reason.p, n);
}

/* The next version of the document, with its targets where it ends. */
static enum reeve_err change_doc(struct cmd *x, struct snap *sn, const struct rollout_doc *next)
{
    enum reeve_err err;
    struct update_set *set = cmd_alloc(x, sizeof *set, &err);
    if (set == NULL)
        return err;
    struct wr mem = wr_heap((1u + ROLLOUT_TARGETS_MAX) * ATTEST_PAYLOAD_MAX);
    err = attest_rollout_step(&sn->attest, next, &mem, set, x->rep);
    if (err == REEVE_OK)
        err = cmd_update_set(x, sn, set);
    wr_free(&mem);
    return err;
}

enum reeve_err cmd_rollout_verb(struct cmd *x)
{
    const struct ast_verb *a = &x->stmt->verb;
    struct snap sn = { 0 };
    struct cmd_outcome o;
    uint8_t wave;
    enum reeve_err err;
    struct rollout_doc *d = cmd_alloc(x, sizeof *d, &err), *next = d ? cmd_alloc(x, sizeof *next, &err) : NULL;
    if (next == NULL)
        return err;
    TRY(cmd_reason(x, &a->reason, true));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_get_rollout(x, &sn, &a->id, d));
    TRY(cmd_need_targets(x, &sn, PRIV_OPERATE, d));
    TRY(promote_target(x, d, &wave));
    TRY(rollout_verb_apply(d, verb_of(x->stmt->kind), wave, next, x->rep));
    put_reason(x, next);
    if (x->explain) {
        err = cmd_explain_note(x, "rollout %llu becomes %s", (unsigned long long) d->id, rollout_state_name(next->state));
        goto out;
    }
    TRY(change_doc(x, &sn, next));
    snap_close(&sn);
    TRY(cmd_finish(x, &o));
    TRY(cmd_fleet_row(x, next, &o));
out:
    snap_close(&sn);
    return err;
}

/* ---- ROLLBACK ROLLOUT ---- */

static enum reeve_err roll_back_running(struct cmd *x, struct snap *sn, const struct rollout_doc *d,
                                        struct rollout_doc *next)
{
    enum reeve_err err = rollout_verb_apply(d, RV_ROLLBACK, 0, next, x->rep);
    put_reason(x, next);
    if (err == REEVE_OK && !x->explain)
        err = change_doc(x, sn, next);
    return err;
}

/* What went back to an earlier generation is not taken back by going back. */
static enum reeve_err went_back(struct cmd *x, const struct rollout_doc *d, const struct rollout_target *t)
{
    report_set(x->rep, REEVE_E_WRONG_STATE, "rollout %llu itself went back to generation %u", (unsigned long long) d->id, t->to_gen);
    if (t->type == AT_CERT)
        report_hint(x->rep, "ROTATE CERT '%s' TO GENERATION %u gives the fleet the later one again.", t->name.s, t->from_gen);
    else
        report_hint(x->rep, "SET CONFIG '%s' to the value that you want.", t->name.s);
    return REEVE_E_WRONG_STATE;
}

/* A finished rollout is undone by another one, towards the generation that was served before it. */
static enum reeve_err plan_back(struct cmd *x, struct snap *sn, const struct rollout_doc *d, struct rollout_doc *next)
{
    const struct ast_rollout *clauses = &x->stmt->fleet.rollout;
    struct ast_rollout *r;
    enum reeve_err err;
    struct rollout_spec *spec = cmd_alloc(x, sizeof *spec, &err);
    if (spec == NULL || (r = cmd_alloc(x, sizeof *r, &err)) == NULL)
        return err;
    *r = *clauses;
    if (!roll_has(r, ROLL_CANARY) && !roll_has(r, ROLL_STRATEGY))
        r->present |= 1u << ROLL_IMMEDIATE;     /* going back is for emergencies: at once unless asked otherwise */
    TRY(cmd_spec(x, sn, r, NULL, spec));
    if (spec->where.len == 0)
        spec->where = d->where;
    memset(next, 0, sizeof *next);
    next->kind = ROLLOUT_ROLLBACK;
    next->n_targets = d->n_targets;
    for (uint8_t i = 0; i < d->n_targets; i++) {
        next->target[i] = d->target[i];
        next->target[i].from_gen = d->target[i].to_gen;
        next->target[i].to_gen = d->target[i].from_gen;
        if (d->target[i].from_gen == 0)
            return report_set(x->rep, REEVE_E_WRONG_STATE, "there was nothing before rollout %llu to go back to",
                              (unsigned long long) d->id);
        if (d->target[i].from_gen > d->target[i].to_gen)
            return went_back(x, d, &d->target[i]);
    }
    TRY(cmd_plan(x, sn, spec, next));
    cmd_doc_start(x, next, spec);
out:
    return err;
}

static enum reeve_err roll_back_finished(struct cmd *x, struct snap *sn, const struct rollout_doc *d,
                                         struct rollout_doc *next, uint64_t id)
{
    if (d->state != RS_SUCCEEDED)
        return report_set(x->rep, REEVE_E_WRONG_STATE, "rollout %llu is %s; there is nothing to roll back",
                          (unsigned long long) d->id, rollout_state_name(d->state));
    enum reeve_err err = plan_back(x, sn, d, next);
    if (err != REEVE_OK || x->explain)
        return err;
    struct rollout_change *change = cmd_alloc(x, sizeof *change * ROLLOUT_TARGETS_MAX, &err);
    next->id = id;
    return change == NULL ? err : cmd_rollout_begin(x, sn, next, change);
}

enum reeve_err cmd_rollback_rollout(struct cmd *x)
{
    const struct ast_fleet *a = &x->stmt->fleet;
    struct snap sn = { 0 };
    struct cmd_outcome o;
    uint64_t id = 0;
    enum reeve_err err;
    struct rollout_doc *d = cmd_alloc(x, sizeof *d, &err), *next = d ? cmd_alloc(x, sizeof *next, &err) : NULL;
    if (next == NULL)
        return err;
    TRY(cmd_reason(x, roll_has(&a->rollout, ROLL_REASON) ? &a->rollout.reason : NULL, true));
    if (!x->explain)
        TRY(cmd_reserve_rollout(x, &id));       /* used only when a new rollout is needed */
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_get_rollout(x, &sn, &a->name, d));
    TRY(cmd_need_targets(x, &sn, PRIV_ROLLBACK, d));
    TRY(attest_skew_ms(&sn.attest, &x->skew_ms));
    if (rollout_state_terminal(d->state))
        TRY(roll_back_finished(x, &sn, d, next, id));
    else
        TRY(roll_back_running(x, &sn, d, next));
    snap_close(&sn);
    if (x->explain)
        return cmd_explain_plan(x, next);
    TRY(cmd_finish(x, &o));
    TRY(cmd_fleet_row(x, next, &o));
out:
    snap_close(&sn);
    return err;
}
