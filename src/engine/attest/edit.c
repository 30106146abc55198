/* edit.c - edits of certificates, config keys and authorities: thin arms over gens_edit.c, and authorities' states. */
#include "gens_int.h"
#include "refuse_int.h"

enum reeve_err cert_gen_append(struct cert_doc *d, uint32_t gen_max, struct cert_gen *g, struct report *rep)
{
    struct gens v = cert_gens(d);
    uint8_t at;
    enum reeve_err err = gens_append(&v, gen_max, 0, &at, rep);
    if (err != REEVE_OK)
        return err;
    g->gen = d->g[at].gen;
    g->state = GEN_PREPARED;
    d->g[at] = *g;
    return REEVE_OK;
}

enum reeve_err cert_gen_activate_first(struct cert_doc *d, struct report *rep)
{
    struct gens v = cert_gens(d);
    if (d->n != 1 || d->active_gen != 0 || d->n_rules != 0 || d->rollout_id != 0)
        return refuse(rep, REEVE_E_WRONG_STATE, "only the first generation of a new certificate needs no rollout");
    gens_activate(&v, d->g[0].gen);
    return REEVE_OK;
}

enum reeve_err cert_gen_revoke(struct cert_doc *d, uint32_t gen, uint32_t to_active, struct report *rep)
{
    struct gens v = cert_gens(d);
    return gens_revoke(&v, gen, to_active, rep);
}

struct wall_ms cert_renew_at(const struct cert_doc *d, const struct cert_gen *g)
{
    int64_t before = (int64_t) d->renew_before_s * 1000, asked = (int64_t) d->validity_s * 1000;
    int64_t life = g->not_after.ms - g->created.ms;
    if (before == 0)
        return (struct wall_ms){ 0 };
    if (life < before + (asked - before) / 2 && life > 0 && asked > 0)
        before = before * life / asked;
    return (struct wall_ms){ g->not_after.ms - before };
}

uint32_t cert_gen_fallback(const struct cert_doc *d, uint32_t without, struct wall_ms now)
{
    for (uint8_t i = d->n; i > 0; i--) {
        const struct cert_gen *g = &d->g[i - 1];
        if (g->gen != without && (g->state == GEN_ACTIVE || g->state == GEN_RETIRED) && g->not_after.ms > now.ms)
            return g->gen;
    }
    return 0;
}

enum reeve_err config_gen_append(struct config_doc *d, uint32_t gen_max, uint32_t number, bool absent,
                                 const struct hash32 *digest, struct report *rep)
{
    struct gens v = config_gens(d);
    uint8_t at;
    enum reeve_err err = gens_append(&v, gen_max, number, &at, rep);
    if (err != REEVE_OK)
        return err;
    d->g[at].absent = absent;
    if (!absent)
        d->g[at].digest = *digest;
    return REEVE_OK;
}

enum reeve_err config_rebase(struct config_doc *d, uint32_t gen_max, uint32_t number, bool absent,
                             const struct hash32 *digest, struct report *rep)
{
    struct gens v = config_gens(d);
    enum reeve_err err = config_gen_append(d, gen_max, number, absent, digest, rep);
    if (err == REEVE_OK)
        gens_activate(&v, d->g[d->n - 1].gen);
    return err;
}

enum reeve_err cert_rollout_begin(struct cert_doc *d, const struct name *object, const struct rollout_doc *r,
                                  struct report *rep)
{
    struct gens v = cert_gens(d);
    return gens_begin(&v, object, r, rep);
}

enum reeve_err cert_rollout_end(struct cert_doc *d, const struct name *object, const struct rollout_doc *r,
                                struct report *rep)
{
    struct gens v = cert_gens(d);
    return gens_end(&v, object, r, rep);
}

enum reeve_err config_rollout_begin(struct config_doc *d, const struct name *object, const struct rollout_doc *r,
                                    struct report *rep)
{
    struct gens v = config_gens(d);
    return gens_begin(&v, object, r, rep);
}

enum reeve_err config_rollout_end(struct config_doc *d, const struct name *object, const struct rollout_doc *r,
                                  struct report *rep)
{
    struct gens v = config_gens(d);
    return gens_end(&v, object, r, rep);
}
