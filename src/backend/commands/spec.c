/* spec.c - the rollout clauses, from syntax to the engine's spec. */
#include "cmd_int.h"

#include "backend/parser/parser.h"

static enum reeve_err seconds(struct cmd *x, const struct pvalue *v, const char *what, uint32_t *out)
{
    int64_t ms;
    enum reeve_err err = slot_duration_ms(&x->slot, v, what, &ms);
    if (err != REEVE_OK)
        return err;
    if (ms / 1000 > UINT32_MAX)
        return slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "%s is too long", what);
    *out = (uint32_t) ((ms + 999) / 1000);
    return REEVE_OK;
}

static enum reeve_err wave(struct cmd *x, const struct ast_step *st, struct wave_spec *w)
{
    int64_t amount, ms;
    enum reeve_err err = slot_share(&x->slot, &st->share, "share", &amount);
    if (err != REEVE_OK)
        return err;
    w->kind = st->share.is_nodes ? SHARE_NODES : SHARE_PPM;
    w->amount = (uint32_t) amount;
    if (!pv_present(&st->bake))
        return REEVE_OK;
    err = slot_duration_ms(&x->slot, &st->bake, "bake time", &ms);
    if (err == REEVE_OK && ms > UINT32_MAX)
        err = slot_error(&x->slot, &st->bake, REEVE_E_INVALID_VALUE, "the bake time is too long");
    w->bake_ms = (uint32_t) ms;
    w->bake_given = true;
    return err;
}

static enum reeve_err waves(struct cmd *x, const struct ast_rollout *r, struct rollout_spec *out)
{
    if (r->nsteps > ROLLOUT_WAVES_MAX)
        return slot_error(&x->slot, &r->steps[ROLLOUT_WAVES_MAX].share.amount, REEVE_E_TOO_COMPLEX,
                          "a rollout has at most %d waves", ROLLOUT_WAVES_MAX);
    for (int i = 0; i < r->nsteps; i++) {
        enum reeve_err err = wave(x, &r->steps[i], &out->wave[i]);
        if (err != REEVE_OK)
            return err;
    }
    out->n_waves = (uint8_t) r->nsteps;
    return REEVE_OK;
}

static enum reeve_err regions(struct cmd *x, const struct ast_rollout *r, struct rollout_spec *out)
{
    out->by_region = true;
    if (r->regions.n > ROLLOUT_REGIONS_MAX)
        return slot_error(&x->slot, &r->regions.v[0], REEVE_E_TOO_COMPLEX, "too many regions");
    for (int i = 0; i < r->regions.n; i++) {
        enum reeve_err err = slot_name(&x->slot, &r->regions.v[i], "region", &out->region[i]);
        if (err != REEVE_OK)
            return err;
    }
    out->n_regions = (uint8_t) r->regions.n;
    return REEVE_OK;
}

static enum reeve_err rate(struct cmd *x, const struct ast_rollout *r, struct rollout_spec *out)
{
    int64_t n;
    enum reeve_err err = slot_int(&x->slot, &r->rate, "rate", 1, UINT32_MAX, &n);
    if (err != REEVE_OK)
        return err;
    switch (r->rate_unit) {
    case UNIT_SECOND: n *= 60; break;
    case UNIT_HOUR:   n = (n + 59) / 60; break;
    case UNIT_DAY:    n = (n + 1439) / 1440; break;
    default: break;
    }
    out->rate_per_min = n > UINT32_MAX ? UINT32_MAX : (uint32_t) n;
    return REEVE_OK;
}

static enum reeve_err gate(struct cmd *x, const struct ast_expr *e, const struct pvalue *sample, enum gate_action action,
                           struct rollout_spec *out)
{
    int64_t n = 0;
    if (pv_present(sample)) {
        enum reeve_err err = slot_int(&x->slot, sample, "sample", 1, UINT32_MAX, &n);
        if (err != REEVE_OK)
            return err;
    }
    return cmd_gates(x, e, action, (uint32_t) n, out);
}

static enum reeve_err limits(struct cmd *x, const struct ast_rollout *r, struct rollout_spec *out)
{
    enum reeve_err err = REEVE_OK;
    if (roll_has(r, ROLL_OVERLAP))
        TRY(seconds(x, &r->overlap, "overlap", &out->overlap_s));
    if (roll_has(r, ROLL_DEADLINE))
        TRY(seconds(x, &r->deadline, "deadline", &out->deadline_s));
    if (roll_has(r, ROLL_VALID_FOR))
        TRY(seconds(x, &r->valid_for, "validity", &out->valid_for_s));
    if (roll_has(r, ROLL_RATE))
        TRY(rate(x, r, out));
    if (roll_has(r, ROLL_APPROVALS)) {
        int64_t n;
        TRY(slot_int(&x->slot, &r->approvals, "approvals", 0, 64, &n));
        if (n > 0)
            return cmd_unsupported(x, "approvals are not available yet",
                                   "Leave out REQUIRE n APPROVALS; the rollout then starts by itself.");
    }
    if (roll_has(r, ROLL_WITH) && r->with.n > 0) {
        slot_error(&x->slot, &r->with.v[0].name, REEVE_E_INVALID_VALUE, "a rollout has no option \"%s\"", r->with.v[0].name.s);
        report_hint(x->rep, "Everything about a rollout is said by clauses; WITH is kept for what judges may add.");
        return REEVE_E_INVALID_VALUE;
    }
out:
    return err;
}

enum reeve_err cmd_spec_raw(struct cmd *x, const struct ast_rollout *r, struct rollout_spec *out)
{
    enum reeve_err err = REEVE_OK;
    memset(out, 0, sizeof *out);
    TRY(cmd_predicate(x, roll_has(r, ROLL_WHERE) ? r->where : NULL, &out->where));
    TRY(waves(x, r, out));
    out->immediate = roll_has(r, ROLL_IMMEDIATE);
    out->manual = roll_has(r, ROLL_MANUAL);
    if (roll_has(r, ROLL_BY_REGION))
        TRY(regions(x, r, out));
    if (roll_has(r, ROLL_STRATEGY))
        TRY(slot_name(&x->slot, &r->strategy, "strategy", &out->strategy));
    if (roll_has(r, ROLL_WINDOW))
        TRY(slot_name(&x->slot, &r->window, "window", &out->window));
    if (roll_has(r, ROLL_ROLLBACK_IF))
        TRY(gate(x, r->rollback_if, &r->rollback_sample, GATE_ROLLBACK, out));
    if (roll_has(r, ROLL_PAUSE_IF))
        TRY(gate(x, r->pause_if, &r->pause_sample, GATE_PAUSE, out));
    TRY(limits(x, r, out));
out:
    return err;
}

static enum reeve_err strategy_load(struct cmd *x, struct snap *sn, const struct name *name, struct rollout_spec *out)
{
    struct strategy_row row;
    enum reeve_err err = region_strategy_get(&sn->region, name, &row);
    if (err == REEVE_E_NOT_FOUND)
        return report_set(x->rep, REEVE_E_UNDEFINED_OBJECT, "strategy \"%s\" does not exist", name->s);
    if (err == REEVE_OK)
        err = rollout_spec_decode(out, row.spec);
    return err == REEVE_OK ? err : report_set(x->rep, err, "could not read strategy \"%s\"", name->s);
}

/* "5%" or "100 NODES" of a setting: read as the clause it stands for. */
static enum reeve_err canary_setting(struct cmd *x, const char *canary, struct rollout_spec *s)
{
    char *text = arena_printf(x->arena, "CREATE STRATEGY x AS CANARY %s", canary);
    struct ast_list list;
    struct report rep = { 0 };
    if (text == NULL)
        return report_set(x->rep, REEVE_E_NOMEM, "out of memory");
    if (parse_string(x->arena, slice_str(text), &list, &rep) != REEVE_OK || list.n != 1 ||
        list.v[0]->kind != AST_CREATE_STRATEGY || list.v[0]->fleet.rollout.present != 1u << ROLL_CANARY)
        return report_set(x->rep, REEVE_E_INVALID_VALUE, "setting rollout_default_canary is not a share: \"%s\"", canary);
    return waves(x, &list.v[0]->fleet.rollout, s);
}

enum reeve_err cmd_check_canary(struct cmd *x, const char *text)
{
    enum reeve_err err;
    struct rollout_spec *s = cmd_alloc(x, sizeof *s, &err);
    return s == NULL ? err : canary_setting(x, text, s);
}

/* The settings rollout_default_canary and rollout_default_bake, where they differ from the built-in ones. */
static enum reeve_err apply_settings(struct cmd *x, struct rollout_spec *s)
{
    uint32_t bake = (uint32_t) session_int(x->s, SET_rollout_default_bake);
    const char *canary = session_text(x->s, SET_rollout_default_canary);
    bool stock = strcasecmp(canary, "100 NODES") == 0;
    if (s->n_waves == 0 && !s->immediate && !stock) {
        enum reeve_err err = canary_setting(x, canary, s);
        if (err != REEVE_OK)
            return err;
    }
    for (int i = 0; i < s->n_waves && bake != 600000; i++)
        if (!s->wave[i].bake_given) {
            s->wave[i].bake_ms = bake;
            s->wave[i].bake_given = true;
        }
    return REEVE_OK;
}

static enum reeve_err default_predicate(struct cmd *x, struct rollout_spec *s)
{
    const char *text = session_text(x->s, SET_target_predicate);
    struct ast_expr *e;
    if (s->where.len > 0 || text[0] == '\0')
        return REEVE_OK;
    enum reeve_err err = parse_expression(x->arena, slice_str(text), &e, x->rep);
    return err == REEVE_OK ? cmd_predicate(x, e, &s->where) : err;
}

enum reeve_err cmd_spec(struct cmd *x, struct snap *sn, const struct ast_rollout *r, const struct name *own_strategy,
                        struct rollout_spec *out)
{
    enum reeve_err err;
    struct rollout_spec *base = cmd_alloc(x, sizeof *base, &err);
    if (base == NULL)
        return err;
    TRY(cmd_spec_raw(x, r, out));
    TRY(default_predicate(x, out));
    struct name strategy = out->strategy;
    if (strategy.len == 0 && own_strategy != NULL && out->n_waves == 0 && !out->immediate)
        strategy = *own_strategy;
    const char *setting = session_text(x->s, SET_rollout_strategy);
    if (strategy.len == 0 && out->n_waves == 0 && !out->immediate && setting[0] != '\0' &&
        !name_set_str(&strategy, setting))
        return report_set(x->rep, REEVE_E_INVALID_VALUE, "setting rollout_strategy is not a name");
    if (strategy.len > 0) {
        TRY(strategy_load(x, sn, &strategy, base));
        out->strategy = strategy;
    } else {
        TRY(apply_settings(x, out));
    }
    rollout_spec_default(out, strategy.len > 0 ? base : NULL);
    TRY(rollout_spec_check(out, x->rep));
out:
    return err;
}
