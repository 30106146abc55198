/* check_config.c - config keys under attestation: the same edit made again, as in check_cert.c. */
#include "check_int.h"
#include "common/text.h"

static enum reeve_err exactly(struct check *k, const struct config_doc *want, const char *what)
{
    struct wr w = wr_fixed(k->s->payload, sizeof k->s->payload);
    config_doc_encode(want, &w);
    if (w.bad || !slice_eq(wr_slice(&w), k->now.payload))
        return refuse(k->rep, REEVE_E_V_UPDATE, "config '%s': not what %s makes of it", k->now.object.s, what);
    return REEVE_OK;
}

/* What a region serves by its own word may become the base only where its word is enough. */
static enum reeve_err rebase(struct check *k, struct config_doc *want, const struct config_gen *g, uint32_t gen_max)
{
    bool attested;
    enum reeve_err err = check_key_class(k, &k->now.object, &attested);
    if (err != REEVE_OK)
        return err;
    if (attested)
        return refuse(k->rep, REEVE_E_V_UPDATE, "'%s' is attested: only a rollout changes it", k->now.object.s);
    return config_rebase(want, gen_max, g->gen, g->absent, &g->digest, k->rep);
}

/* Generations never seen before: the rollout's own is prepared, others are what the region serves. */
static enum reeve_err append(struct check *k, struct config_doc *want, const struct config_doc *n, uint32_t to_gen)
{
    enum reeve_err err = REEVE_OK;
    uint32_t max = k->had ? k->prev.gen_max : 0;
    for (uint8_t i = 0; i < n->n; i++) {
        const struct config_gen *g = &n->g[i];
        if (g->gen <= max)
            continue;
        if (g->gen == to_gen)
            TRY(config_gen_append(want, max, g->gen, g->absent, &g->digest, k->rep));
        else
            TRY(rebase(k, want, g, max));
        max = g->gen;
    }
out:
    return err;
}

static uint32_t target_gen(const struct rollout_doc *r, const struct name *object)
{
    for (uint8_t i = 0; i < r->n_targets; i++)
        if (r->target[i].type == AT_CONFIG && name_eq(&r->target[i].name, object))
            return r->target[i].to_gen;
    return 0;
}

static enum reeve_err begin(struct check *k, struct config_doc *want, const struct config_doc *n)
{
    enum reeve_err err;
    const struct rollout_doc *r = &k->s->rollout[1];
    TRY(append(k, want, n, target_gen(r, &k->now.object)));
    TRY(config_rollout_begin(want, &k->now.object, r, k->rep));
    TRY(exactly(k, want, "the beginning of the rollout"));
out:
    return err;
}

static enum reeve_err end(struct check *k, struct config_doc *want)
{
    enum reeve_err err;
    TRY(config_rollout_end(want, &k->now.object, &k->s->rollout[1], k->rep));
    TRY(exactly(k, want, "the end of the rollout"));
    k->brakes = k->s->rollout[1].state != RS_SUCCEEDED;
out:
    return err;
}

static enum reeve_err alter(struct check *k, struct config_doc *want, const struct config_doc *n)
{
    enum reeve_err err;
    if (want->rollout_id != 0)
        return refuse(k->rep, REEVE_E_ROLLOUT_RUNNING, "rollout %llu is running on '%s'",
                      (unsigned long long) want->rollout_id, k->now.object.s);
    TRY(append(k, want, n, 0));
    TRY(exactly(k, want, "the region's own change"));
out:
    return err;
}

enum reeve_err check_config(struct check *k)
{
    enum reeve_err err;
    struct config_doc *want = &k->s->config[0], *n = &k->s->config[1];
    if (config_doc_decode(n, k->now.payload) != REEVE_OK)
        return refuse(k->rep, REEVE_E_MALFORMED, "config document");
    memset(want, 0, sizeof *want);
    if (k->live && config_doc_decode(want, k->prev.update.payload) != REEVE_OK)
        return REEVE_E_CORRUPT;
    if (k->member)
        return k->group.begins ? begin(k, want, n) : end(k, want);
    TRY(alter(k, want, n));
out:
    return err;
}
