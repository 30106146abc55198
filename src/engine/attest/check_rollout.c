/* check_rollout.c - rollouts move only along their attested plan; the rules of that are engine/rollout's. */
#include "check_int.h"
#include "common/text.h"

static bool counts_zero(const struct rollout_counts *c)
{
    static const struct rollout_counts zero;
    return memcmp(c, &zero, sizeof zero) == 0;
}

static enum reeve_err begin(struct check *k, const struct rollout_doc *d)
{
    struct name name;
    enum reeve_err err = rollout_doc_check(d, k->rep);
    if (err != REEVE_OK)
        return err;
    rollout_object_name(&name, d->id);
    if (!name_eq(&name, &k->now.object))
        return refuse(k->rep, REEVE_E_V_UPDATE, "rollout %llu stands under another id", (unsigned long long) d->id);
    for (uint8_t i = 0; i < d->n_targets; i++)
        if (d->target[i].type != AT_CERT && d->target[i].type != AT_CONFIG)
            return refuse(k->rep, REEVE_E_V_UPDATE, "only certificates and config keys are rolled out");
    if (d->approvals > 0)
        return refuse(k->rep, REEVE_E_UNSUPPORTED, "there are no approvers yet");
    if (d->state != RS_PLANNED || d->opened != 0 || d->promoted || d->fired_gate != 0 || !counts_zero(&d->counts))
        return refuse(k->rep, REEVE_E_V_UPDATE, "a rollout begins planned, with no wave open");
    k->group = (struct group){ .open = true, .begins = true };
    return REEVE_OK;
}

static bool is_brake(uint8_t state)
{
    return state == RS_PAUSED || state == RS_CANCELED || state == RS_ROLLING_BACK || state == RS_ROLLED_BACK ||
           state == RS_ROLLBACK_FAILED;
}

static enum reeve_err step(struct check *k, const struct rollout_doc *d)
{
    enum reeve_err err;
    uint32_t skew_ms;
    struct rollout_doc *p = &k->s->rollout[0];
    if (rollout_doc_decode(p, k->prev.update.payload) != REEVE_OK)
        return REEVE_E_CORRUPT;
    TRY(rollout_doc_check(d, k->rep));
    TRY(attest_skew_ms(k->a, &skew_ms));
    TRY(rollout_check_step(p, d, k->prev.aux_time, k->time, skew_ms, k->rep));
    k->brakes = is_brake(d->state);
    if (rollout_state_terminal((enum rollout_state) d->state))
        k->group = (struct group){ .open = true };
out:
    return err;
}

enum reeve_err check_rollout(struct check *k)
{
    struct rollout_doc *d = &k->s->rollout[1];
    if (rollout_doc_decode(d, k->now.payload) != REEVE_OK)
        return refuse(k->rep, REEVE_E_MALFORMED, "rollout document");
    return k->had ? step(k, d) : begin(k, d);
}
