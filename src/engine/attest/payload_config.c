/* payload_config.c - config keys under attestation: digests of their versions. */
#include "codec_int.h"
#include "gens_int.h"

void config_doc_encode(const struct config_doc *d, struct wr *out)
{
    wr_u8(out, 1);
    wr_u32(out, d->active_gen);
    wr_u64(out, d->rollout_id);
    at_put_rules(out, d->rule, d->n_rules);
    wr_u8(out, d->n);
    for (uint8_t i = 0; i < d->n; i++) {
        wr_u32(out, d->g[i].gen);
        wr_u8(out, d->g[i].state);
        wr_u8(out, d->g[i].absent);
        wr_bytes(out, d->g[i].digest.b, 32);
    }
}

static bool gens_ok(const struct config_doc *d)
{
    for (uint8_t i = 0; i < d->n; i++)
        if (d->g[i].gen <= (i > 0 ? d->g[i - 1].gen : 0) || d->g[i].absent != hash32_is_zero(&d->g[i].digest))
            return false;
    struct gens v = config_gens((struct config_doc *) d);
    return gens_consistent(&v);
}

enum reeve_err config_doc_decode(struct config_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    memset(d, 0, sizeof *d);
    at_version(&r);
    d->active_gen = rd_u32(&r);
    d->rollout_id = rd_u64(&r);
    at_rules(&r, d->rule, &d->n_rules);
    d->n = at_count(&r, CONFIG_GENS_MAX);
    for (uint8_t i = 0; i < d->n; i++) {
        d->g[i].gen = rd_u32(&r);
        d->g[i].state = at_kind(&r, GEN_REVOKED);
        d->g[i].absent = at_flag(&r);
        rd_copy(&r, d->g[i].digest.b, 32);
    }
    return rd_done(&r) && gens_ok(d) ? REEVE_OK : REEVE_E_MALFORMED;
}
