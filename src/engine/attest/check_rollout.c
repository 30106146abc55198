/* check_rollout.c - rollouts move only along their attested plan; the rules of that are engine/rollout's. */
#include "check_int.h"
#include "common/text.h"

static bool counts_zero(const struct rollout_counts *c)
{
    static const struct rollout_counts zero;
    return memcmp(c, &zero, sizeof zero) == 0;
}

static bool has_evidence(const struct rollout_doc *d)
{
    for (unsigned g = 0; g < d->n_regions; g++)
        if (d->evidence[g].there)
            return true;
    return false;
}

/* May the end of this rollout give nodes of that region what no wave gave them? */
static enum reeve_err reaches(struct check *k, const struct rollout_doc *d, const struct name *region, bool *yes)
{
    struct cert_doc *c = &k->s->cert[0];
    struct attest_object o;
    *yes = false;
    for (uint8_t i = 0; i < d->n_targets && !*yes && predicate_may_hold(&d->where, region); i++) {
        enum reeve_err err = d->target[i].type == AT_CERT ? check_lookup(k, AT_CERT, &d->target[i].name, &o) : REEVE_E_NOT_FOUND;
        if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && o.update.op != 1))
            continue;
        if (err != REEVE_OK || cert_doc_decode(c, o.update.payload) != REEVE_OK)
            return err != REEVE_OK ? err : REEVE_E_CORRUPT;
        *yes = predicate_may_hold(&c->where, region);
    }
    return REEVE_OK;
}

/* A plan without a region that has agents would skip all its waves in one: in the end everybody who matches is given the new one. */
static enum reeve_err covers_regions(struct check *k, const struct rollout_doc *d)
{
    struct check_walk walk = { .listed = false };
    struct attest_object o;
    enum reeve_err err;
    bool yes;
    while ((err = check_next(k, AT_REGION, &walk, &o)) == REEVE_OK) {
        if (rollout_region_place(d, &o.update.object) >= 0)
            continue;
        TRY(reaches(k, d, &o.update.object, &yes));
        if (yes)
            return refuse(k->rep, REEVE_E_PLAN_STALE, "the plan leaves out region '%s', whose nodes it would reach in the end",
                          o.update.object.s);
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
out:
    return err;
}

static enum reeve_err begin(struct check *k, const struct rollout_doc *d)
{
    struct name name;
    enum reeve_err err;
    TRY(rollout_doc_check(d, k->rep));
    rollout_object_name(&name, d->id);
    if (!name_eq(&name, &k->now.object))
        return refuse(k->rep, REEVE_E_V_UPDATE, "rollout %llu stands under another id", (unsigned long long) d->id);
    for (uint8_t i = 0; i < d->n_targets; i++)
        if (d->target[i].type != AT_CERT && d->target[i].type != AT_CONFIG)
            return refuse(k->rep, REEVE_E_V_UPDATE, "only certificates and config keys are rolled out");
    if (d->approvals > 0)
        return refuse(k->rep, REEVE_E_UNSUPPORTED, "there are no approvers yet");
    if (d->state != RS_PLANNED || d->opened != 0 || d->promoted || d->fired_gate != 0 || !counts_zero(&d->counts) ||
        has_evidence(d))
        return refuse(k->rep, REEVE_E_V_UPDATE, "a rollout begins planned, with no wave open");
    TRY(covers_regions(k, d));
    k->group = (struct group){ .open = true, .begins = true };
out:
    return err;
}

static bool is_brake(uint8_t state)
{
    return state == RS_PAUSED || state == RS_CANCELED || state == RS_ROLLING_BACK || state == RS_ROLLED_BACK ||
           state == RS_ROLLBACK_FAILED;
}

/* ---- evidence of several regions ---- */

/* Which of the plan's regions are frozen, by place. */
static enum reeve_err held_back(struct check *k, const struct rollout_doc *d, uint16_t *held)
{
    struct region_doc region;
    *held = 0;
    for (unsigned g = 0; g < d->n_regions; g++) {
        enum reeve_err err = check_region_doc(k, &d->region[g].name, &region);
        if (err != REEVE_OK && err != REEVE_E_UNDEFINED_OBJECT)
            return err;
        *held |= err == REEVE_OK && region.state == REGION_FROZEN ? (uint16_t) (1u << g) : 0;
    }
    return REEVE_OK;
}

static bool signature_empty(const struct sig64 *s)
{
    static const struct sig64 zero;
    return memcmp(s, &zero, sizeof zero) == 0;
}

static enum reeve_err check_part(struct check *k, const struct rollout_doc *prev, const struct rollout_doc *d, unsigned g)
{
    uint8_t mem[EVIDENCE_BYTES_MAX];
    struct wr body = wr_fixed(mem, sizeof mem);
    const struct rollout_evidence *e = &d->evidence[g];
    const struct name *region = &d->region[g].name;
    struct region_doc doc;
    struct hash32 digest;
    if (name_eq(region, &k->now.region))
        return signature_empty(&e->sig) ? REEVE_OK : refuse(k->rep, REEVE_E_V_UPDATE, "the update's own region signs the update alone");
    enum reeve_err err = check_region_doc(k, region, &doc);
    if (err != REEVE_OK)
        return refuse(k->rep, err, "region '%s' is not attested", region->s);
    evidence_encode(region, d->id, prev->opened, e, &body);
    statement_digest(k->a->c, &digest, STATEMENT_EVIDENCE, &k->chain_id, wr_slice(&body));
    if (!body.bad && region_doc_signed(k->a->c, &doc, &digest, &e->sig))
        return REEVE_OK;
    return refuse(k->rep, REEVE_E_V_SIGNATURE, "the counts of region '%s' are not what it signed over these waves", region->s);
}

/* Evidence that stands as it stood was judged when it came. */
static enum reeve_err check_evidence(struct check *k, const struct rollout_doc *prev, const struct rollout_doc *d)
{
    enum reeve_err err;
    uint16_t held;
    TRY(held_back(k, d, &held));
    TRY(rollout_check_evidence(prev, d, &k->now.region, held, k->prev.aux_time, k->rep));
    bool same = rollout_evidence_same(prev, d);
    for (unsigned g = 0; g < d->n_regions && !same && k->need == NULL; g++)
        if (d->evidence[g].there)
            TRY(check_part(k, prev, d, g));
out:
    return err;
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
    TRY(check_evidence(k, p, d));
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
