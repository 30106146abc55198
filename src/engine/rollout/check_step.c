/*
 * check_step.c - the validator's side: may this follow that?
 *
 * Braking (pause, roll back, cancel, expire) is lawful at any time. Going on
 * is lawful only one wave at a time, after the bake, with counts on which no
 * gate fires; or all at once as a promotion, which carries its operator's
 * name and is therefore somebody's responsibility.
 */
#include "engine/rollout/rollout_int.h"

#define TO(s) (1u << (s))
#define BRAKES (TO(RS_PAUSED) | TO(RS_ROLLING_BACK) | TO(RS_CANCELED) | TO(RS_EXPIRED))
#define GO_ON  (TO(RS_RUNNING) | TO(RS_BAKING) | TO(RS_WAITING_WINDOW) | TO(RS_PROMOTING) | TO(RS_SUCCEEDED))

static const uint32_t edges[] = {
    [RS_PLANNED] = BRAKES | TO(RS_WAITING_WINDOW) | TO(RS_RUNNING) | TO(RS_PROMOTING),
    [RS_AWAITING_APPROVAL] = TO(RS_CANCELED) | TO(RS_EXPIRED),
    [RS_WAITING_WINDOW] = BRAKES | TO(RS_RUNNING) | TO(RS_PROMOTING),
    [RS_RUNNING] = BRAKES | GO_ON,
    [RS_BAKING] = BRAKES | (GO_ON & ~TO(RS_BAKING)),
    [RS_PAUSED] = (BRAKES & ~TO(RS_PAUSED)) | TO(RS_PLANNED) | TO(RS_RUNNING) | TO(RS_PROMOTING),
    [RS_PROMOTING] = BRAKES | GO_ON,
    [RS_ROLLING_BACK] = TO(RS_ROLLED_BACK) | TO(RS_ROLLBACK_FAILED),
    [RS_EXPIRED] = 0,       /* and so are the other ends: R4 */
};

static enum reeve_err no(struct report *rep, const char *what)
{
    return rep != NULL ? report_set(rep, REEVE_E_V_UPDATE, "rollout step: %s", what) : REEVE_E_V_UPDATE;
}

/* ---- the plan is fixed at version 1 ---- */

static bool targets_same(const struct rollout_doc *a, const struct rollout_doc *b)
{
    if (a->n_targets != b->n_targets)
        return false;
    for (unsigned i = 0; i < a->n_targets; i++) {
        const struct rollout_target *x = &a->target[i], *y = &b->target[i];
        if (x->type != y->type || !name_eq(&x->name, &y->name) || x->from_gen != y->from_gen ||
            x->to_gen != y->to_gen)
            return false;
    }
    return true;
}

static bool waves_same(const struct rollout_doc *a, const struct rollout_doc *b)
{
    if (a->n_waves != b->n_waves || a->n_regions != b->n_regions)
        return false;
    for (unsigned w = 0; w < a->n_waves; w++)
        if (a->wave[w].share_ppm != b->wave[w].share_ppm || a->wave[w].bake_ms != b->wave[w].bake_ms)
            return false;
    for (unsigned i = 0; i < a->n_regions; i++) {
        const struct rollout_region *x = &a->region[i], *y = &b->region[i];
        if (!name_eq(&x->name, &y->name) || x->ordinal_max != y->ordinal_max ||
            memcmp(x->bound, y->bound, a->n_waves * sizeof *x->bound) != 0 ||
            memcmp(x->nodes, y->nodes, a->n_waves * sizeof *x->nodes) != 0)
            return false;
    }
    return true;
}

static bool gates_same(const struct rollout_doc *a, const struct rollout_doc *b)
{
    if (a->n_gates != b->n_gates)
        return false;
    for (unsigned i = 0; i < a->n_gates; i++) {
        const struct gate *x = &a->gate[i], *y = &b->gate[i];
        if (x->action != y->action || x->n_terms != y->n_terms || x->sample != y->sample)
            return false;
        for (unsigned k = 0; k < x->n_terms; k++) {
            const struct gate_term *s = &x->term[k], *t = &y->term[k];
            if (s->var != t->var || s->cmp != t->cmp || s->unit != t->unit || s->delta != t->delta ||
                s->value != t->value)
                return false;
        }
    }
    return true;
}

bool rollout_plan_same(const struct rollout_doc *a, const struct rollout_doc *b)
{
    return a->id == b->id && a->kind == b->kind && targets_same(a, b) && a->where.len == b->where.len &&
           memcmp(a->where.code, b->where.code, a->where.len) == 0 && waves_same(a, b) && gates_same(a, b) &&
           a->rate_per_min == b->rate_per_min && a->prepare_ms == b->prepare_ms &&
           a->deadline_s == b->deadline_s && a->overlap_s == b->overlap_s && a->manual == b->manual &&
           a->approvals == b->approvals && name_eq(&a->window, &b->window) &&
           name_eq(&a->strategy, &b->strategy) && name_eq(&a->submitted_by, &b->submitted_by);
}

/* ---- going on ---- */

static enum reeve_err gates_quiet(const struct rollout_doc *prev, const struct rollout_doc *next, struct report *rep)
{
    char why[256];
    if (prev->opened > 0 && rollout_gate_first(prev, GATE_ROLLBACK, &next->counts, why) != 0)
        return no(rep, "goes on although a rollback gate fires");
    if (prev->opened > 0 && rollout_gate_first(prev, GATE_PAUSE, &next->counts, why) != 0)
        return no(rep, "goes on although a pause gate fires");
    return REEVE_OK;
}

static enum reeve_err bake_over(const struct rollout_doc *prev, struct wall_ms wave_since, struct wall_ms now,
                                uint32_t max_skew_ms, struct report *rep)
{
    if (now.ms < rollout_bake_until_ms(prev, wave_since, max_skew_ms))
        return no(rep, prev->opened == 0 ? "the prepare phase is not over" : "the bake is not over");
    return REEVE_OK;
}

struct step { const struct rollout_doc *prev, *next; struct wall_ms wave_since, now; uint32_t max_skew_ms; };

static enum reeve_err check_opening(const struct step *s, struct report *rep)
{
    enum reeve_err err;
    if (s->next->state != RS_RUNNING || s->prev->state == RS_PAUSED)
        return no(rep, "a wave opens in a state that opens none");
    if (s->next->opened != s->prev->opened + 1)
        return no(rep, "a wave is skipped");
    if (s->prev->manual && s->prev->opened > 0)
        return no(rep, "a manual rollout waits for its promotion");
    if (s->next->fired_gate != 0)
        return no(rep, "a gate is named without having fired");
    TRY(bake_over(s->prev, s->wave_since, s->now, s->max_skew_ms, rep));
    TRY(gates_quiet(s->prev, s->next, rep));
out:
    return err;
}

static enum reeve_err check_promotion(const struct step *s, struct report *rep)
{
    if (s->next->state != RS_PROMOTING || s->next->opened <= s->prev->opened || s->next->fired_gate != 0)
        return no(rep, "a promotion that promotes nothing");
    return REEVE_OK;
}

/* ---- the same waves, another state ---- */

static enum reeve_err check_gate_claim(const struct step *s, struct report *rep)
{
    uint8_t g = s->next->fired_gate;
    char why[256];
    if (g == s->prev->fired_gate)
        return REEVE_OK;
    uint8_t action = s->next->state == RS_ROLLING_BACK ? GATE_ROLLBACK : s->next->state == RS_PAUSED ? GATE_PAUSE : 0;
    if (g == 0 || g > s->prev->n_gates || action == 0 || s->prev->gate[g - 1].action != action ||
        !rollout_gate_fires(&s->prev->gate[g - 1], &s->next->counts, why))
        return no(rep, "a gate is named that does not fire");
    return REEVE_OK;
}

static enum reeve_err check_standing(const struct step *s, struct report *rep)
{
    enum reeve_err err;
    TRY(check_gate_claim(s, rep));
    switch (s->next->state) {
    case RS_RUNNING:
        return s->prev->state == RS_PAUSED && s->prev->opened > 0 ? REEVE_OK : no(rep, "runs on without a new wave");
    case RS_PLANNED:
        return s->prev->opened == 0 ? REEVE_OK : no(rep, "waves are open already");
    case RS_PROMOTING:
        return no(rep, "promoting without a promotion");
    case RS_WAITING_WINDOW:
        return s->prev->window.len > 0 ? REEVE_OK : no(rep, "there is no window to wait for");
    case RS_EXPIRED:
        return s->prev->deadline_s > 0 ? REEVE_OK : no(rep, "there is no deadline");
    case RS_SUCCEEDED:
        if (s->prev->opened != s->prev->n_waves)
            return no(rep, "succeeded before the last wave");
        TRY(bake_over(s->prev, s->wave_since, s->now, s->max_skew_ms, rep));
        TRY(gates_quiet(s->prev, s->next, rep));
        break;
    default:
        break;
    }
out:
    return err;
}

bool counts_sane(const struct rollout_counts *c)
{
    return (uint64_t) c->done + c->failed + c->rejected + c->reverted + c->silent <= c->told &&
           c->control_failed <= c->control_nodes;
}

enum reeve_err rollout_check_step(const struct rollout_doc *prev, const struct rollout_doc *next,
                                  struct wall_ms wave_since, struct wall_ms now, uint32_t max_skew_ms,
                                  struct report *rep)
{
    const struct step s = { prev, next, wave_since, now, max_skew_ms };
    if (next->state < RS_PLANNED || next->state > RS_EXPIRED || prev->state < RS_PLANNED || prev->state > RS_EXPIRED)
        return no(rep, "no such state");
    if ((edges[prev->state] & TO(next->state)) == 0)
        return no(rep, "no way leads from that state to this");
    if (!rollout_plan_same(prev, next))
        return no(rep, "the plan was changed");
    if (next->opened < prev->opened || next->opened > prev->n_waves)
        return no(rep, "opened waves out of range");
    if (!counts_sane(&next->counts))
        return no(rep, "counts contradict themselves");
    if (next->promoted)
        return check_promotion(&s, rep);
    return next->opened > prev->opened ? check_opening(&s, rep) : check_standing(&s, rep);
}
