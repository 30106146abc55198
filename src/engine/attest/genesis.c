/* genesis.c - validator-set and genesis documents: who decides, and where a chain begins. */
#include "codec_int.h"
#include "common/text.h"

#define SET_DOC_MAX (11 + ATTEST_VALIDATORS_MAX * (256 + 68))

void valset_encode(const struct valset *s, struct wr *out)
{
    wr_u8(out, 1);
    wr_u64(out, s->epoch);
    wr_u16(out, s->n);
    for (uint16_t i = 0; i < s->n; i++) {
        wr_name(out, &s->v[i].name);
        wr_bytes(out, s->v[i].key.b, 32);
        wr_bytes(out, s->v[i].cosign_key.b, 32);
        wr_u32(out, s->v[i].weight);
    }
}

/* Ordered by key, so no key twice; a name stands for one validator only; weights come later. */
static bool valset_ok(const struct valset *s)
{
    for (uint16_t i = 0; i < s->n; i++) {
        if (s->v[i].weight != 1)
            return false;
        if (i > 0 && memcmp(s->v[i - 1].key.b, s->v[i].key.b, 32) >= 0)
            return false;
        for (uint16_t j = 0; j < i; j++)
            if (name_eq(&s->v[i].name, &s->v[j].name))
                return false;
    }
    return true;
}

enum reeve_err valset_decode(struct valset *s, struct slice in)
{
    struct rd r = rd_of(in);
    memset(s, 0, sizeof *s);
    at_version(&r);
    s->epoch = rd_u64(&r);
    s->n = rd_u16(&r);
    if (r.bad || s->n == 0 || s->n > ATTEST_VALIDATORS_MAX) {
        s->n = 0;
        return REEVE_E_MALFORMED;
    }
    for (uint16_t i = 0; i < s->n; i++) {
        rd_name(&r, &s->v[i].name);
        rd_copy(&r, s->v[i].key.b, 32);
        rd_copy(&r, s->v[i].cosign_key.b, 32);
        s->v[i].weight = rd_u32(&r);
    }
    return rd_done(&r) && valset_ok(s) ? REEVE_OK : REEVE_E_MALFORMED;
}

void valset_hash(const struct crypto_ops *c, struct hash32 *out, struct slice doc)
{
    labelled_hash(c, out, "reeve-valset-v1", doc, slice_of(NULL, 0));
}

static bool has_addresses(const struct genesis *g)
{
    for (uint16_t i = 0; i < g->n_regions; i++)
        if (g->region[i].address.len > 0)
            return true;
    return false;
}

void genesis_encode(const struct genesis *g, struct wr *out)
{
    bool addresses = has_addresses(g);
    wr_u8(out, addresses ? 2 : 1);
    wr_name(out, &g->chain);
    at_put_time(out, g->time);
    wr_bytes(out, g->nonce, sizeof g->nonce);
    size_t at = out->len;
    wr_u32(out, 0);
    valset_encode(&g->set, out);
    if (!out->bad)
        wr_patch_u32(out, at, (uint32_t) (out->len - at - 4));
    wr_u16(out, g->n_regions);
    for (uint16_t i = 0; i < g->n_regions; i++) {
        wr_name(out, &g->region[i].name);
        wr_bytes(out, g->region[i].key.b, 32);
    }
    wr_u8(out, g->recovery_m);
    wr_u8(out, g->recovery_n);
    for (uint8_t i = 0; i < g->recovery_n; i++)
        wr_bytes(out, g->recovery[i].b, 32);
    for (uint16_t i = 0; addresses && i < g->n_regions; i++)
        wr_name(out, &g->region[i].address);
}

static bool regions_distinct(const struct genesis *g)
{
    for (uint16_t i = 0; i < g->n_regions; i++)
        for (uint16_t j = 0; j < i; j++)
            if (name_eq(&g->region[i].name, &g->region[j].name) ||
                memcmp(g->region[i].key.b, g->region[j].key.b, 32) == 0)
                return false;
    return true;
}

/* M of N with M at least 1 where there are keys at all, each key once. */
static bool recovery_ok(const struct genesis *g)
{
    for (uint8_t i = 0; i < g->recovery_n; i++)
        for (uint8_t j = 0; j < i; j++)
            if (memcmp(g->recovery[i].b, g->recovery[j].b, 32) == 0)
                return false;
    return g->recovery_m <= g->recovery_n && (g->recovery_m > 0 || g->recovery_n == 0);
}

static void regions_read(struct rd *r, struct genesis *g)
{
    g->n_regions = rd_u16(r);
    if (g->n_regions == 0 || g->n_regions > ROLLOUT_REGIONS_MAX) {
        g->n_regions = 0;
        r->bad = true;
    }
    for (uint16_t i = 0; i < g->n_regions; i++) {
        rd_name(r, &g->region[i].name);
        rd_copy(r, g->region[i].key.b, 32);
    }
}

enum reeve_err genesis_decode(struct genesis *g, struct slice in)
{
    struct rd r = rd_of(in);
    memset(g, 0, sizeof *g);
    uint8_t version = rd_u8(&r);
    rd_name(&r, &g->chain);
    g->time = at_time(&r);
    rd_copy(&r, g->nonce, sizeof g->nonce);
    struct slice set = rd_str32(&r, SET_DOC_MAX);
    if (r.bad || valset_decode(&g->set, set) != REEVE_OK)
        return REEVE_E_MALFORMED;
    regions_read(&r, g);
    g->recovery_m = rd_u8(&r);
    g->recovery_n = at_count(&r, sizeof g->recovery / sizeof *g->recovery);
    for (uint8_t i = 0; i < g->recovery_n; i++)
        rd_copy(&r, g->recovery[i].b, 32);
    for (uint16_t i = 0; version == 2 && i < g->n_regions; i++)
        at_optname(&r, &g->region[i].address);
    if (version != (has_addresses(g) ? 2 : 1))
        return REEVE_E_MALFORMED;
    return rd_done(&r) && regions_distinct(g) && recovery_ok(g) ? REEVE_OK : REEVE_E_MALFORMED;
}

void genesis_chain_id(const struct crypto_ops *c, struct hash32 *out, struct slice doc)
{
    labelled_hash(c, out, "reeve-genesis-v1", doc, slice_of(NULL, 0));
}
