/* verb.c - what operators may do to a running rollout. */
#include "engine/rollout/rollout_int.h"

static enum reeve_err wrong(const struct rollout_doc *d, const char *verb, struct report *rep)
{
    return report_set(rep, REEVE_E_WRONG_STATE, "rollout %llu is %s and cannot be %s", (unsigned long long) d->id,
                      rollout_state_name((enum rollout_state) d->state), verb);
}

static void set(struct rollout_doc *d, enum rollout_state s, const char *why)
{
    struct why y = why_begin(d->why);
    wr_text(&y.w, why);
    why_end(&y);
    d->state = (uint8_t) s;
}

static enum reeve_err verb_pause(struct rollout_doc *d, struct report *rep)
{
    if (d->state == RS_PAUSED || d->state == RS_AWAITING_APPROVAL)
        return wrong(d, "paused", rep);
    set(d, RS_PAUSED, "paused by an operator");
    return REEVE_OK;
}

/* fired_gate stays: it keeps the PAUSE gates mute for this wave, or they would fire again at once. */
static enum reeve_err verb_resume(struct rollout_doc *d, struct report *rep)
{
    if (d->state != RS_PAUSED)
        return wrong(d, "resumed", rep);
    set(d, d->opened > 0 ? RS_RUNNING : RS_PLANNED, "resumed by an operator");
    return REEVE_OK;
}

static enum reeve_err verb_promote(struct rollout_doc *d, uint8_t to_wave, struct report *rep)
{
    uint8_t to = to_wave != 0 ? to_wave : (uint8_t) (d->opened + 1);
    if (d->state == RS_AWAITING_APPROVAL)
        return wrong(d, "promoted", rep);
    if (d->opened == d->n_waves)
        return report_set(rep, REEVE_E_WRONG_STATE, "all %u waves are open already", d->n_waves);
    if (to > d->n_waves || to <= d->opened)
        return report_set(rep, REEVE_E_INVALID_VALUE, "wave %u is not one of the waves %u to %u that are to come",
                          to, d->opened + 1u, d->n_waves);
    d->opened = to;
    d->promoted = true;
    d->fired_gate = 0;
    set(d, RS_PROMOTING, "promoted by an operator");
    return REEVE_OK;
}

enum reeve_err rollout_verb_apply(const struct rollout_doc *prev, enum rollout_verb v, uint8_t to_wave,
                                  struct rollout_doc *next, struct report *rep)
{
    static const char *const done[] = { [RV_PAUSE] = "paused", [RV_RESUME] = "resumed", [RV_CANCEL] = "canceled",
                                        [RV_PROMOTE] = "promoted", [RV_ROLLBACK] = "rolled back" };
    reeve_assert(v >= RV_PAUSE && v <= RV_ROLLBACK);
    if (next != prev)
        *next = *prev;
    next->promoted = false;
    if (rollout_state_terminal((enum rollout_state) prev->state) || prev->state == RS_ROLLING_BACK)
        return wrong(prev, done[v], rep);
    switch (v) {
    case RV_PAUSE:   return verb_pause(next, rep);
    case RV_RESUME:  return verb_resume(next, rep);
    case RV_PROMOTE: return verb_promote(next, to_wave, rep);
    case RV_CANCEL:  set(next, RS_CANCELED, "canceled by an operator"); return REEVE_OK;
    default:         break;
    }
    if (prev->state == RS_AWAITING_APPROVAL)
        return wrong(prev, "rolled back", rep);
    set(next, RS_ROLLING_BACK, "rolled back by an operator");
    return REEVE_OK;
}
