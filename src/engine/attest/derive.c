/* derive.c - what the state keeps about an object beside its leaf. */
#include "codec_int.h"
#include "state_int.h"

static enum reeve_err last_gen(struct attest *a, const struct update *u, uint32_t *gen)
{
    enum reeve_err err = REEVE_OK;
    struct attest_scratch *s = attest_scratch(a);
    *gen = 0;
    if (u->op != 1)
        return REEVE_OK;
    if (u->type == AT_CERT) {
        TRY(cert_doc_decode(&s->cert[0], u->payload));
        *gen = s->cert[0].n > 0 ? s->cert[0].g[s->cert[0].n - 1].gen : 0;
    } else if (u->type == AT_CONFIG) {
        TRY(config_doc_decode(&s->config[0], u->payload));
        *gen = s->config[0].n > 0 ? s->config[0].g[s->config[0].n - 1].gen : 0;
    } else if (u->type == AT_AUTHORITY) {
        TRY(authority_doc_decode(&s->authority[0], u->payload));
        *gen = s->authority[0].n > 0 ? s->authority[0].g[s->authority[0].n - 1].gen : 0;
    }
out:
    return err;
}

/* Header time at which the newest wave was opened; before the first, that of the plan. */
static enum reeve_err wave_time(struct attest *a, const struct attest_object *prev, const struct update *u,
                                struct wall_ms time, struct wall_ms *out)
{
    enum reeve_err err = REEVE_OK;
    struct rollout_doc *d = &attest_scratch(a)->rollout[0];
    *out = time;
    if (prev == NULL || prev->update.op != 1)
        return REEVE_OK;
    TRY(rollout_doc_decode(d, prev->update.payload));
    uint8_t before = d->opened;
    TRY(rollout_doc_decode(d, u->payload));
    if (d->opened == before)
        *out = prev->aux_time;
out:
    return err;
}

enum reeve_err object_derive(struct attest *a, const struct attest_object *prev, const struct update *u,
                             struct slice leaf, struct wall_ms time, struct attest_object *out)
{
    enum reeve_err err;
    struct attest_object o = { .version = u->version, .time = time, .aux_time = time, .leaf = leaf, .update = *u };
    merkle_leaf_hash(a->c, &o.leaf_hash, leaf);
    TRY(last_gen(a, u, &o.gen_max));
    if (prev != NULL && prev->gen_max > o.gen_max)
        o.gen_max = prev->gen_max;
    if (u->type == AT_ROLLOUT)
        TRY(wave_time(a, prev, u, time, &o.aux_time));
    *out = o;
out:
    return err;
}
