/* payload_authority.c - authorities: generations of an issuing key and their chains. */
#include "codec_int.h"

#define KEY_TYPE_MAX 2      /* crypto/x509.h: 1 ECDSA P-256, 2 Ed25519 */

static void gen_encode(const struct authority_gen *g, struct wr *out)
{
    wr_u32(out, g->gen);
    wr_u8(out, g->state);
    wr_u8(out, g->key_type);
    wr_bytes(out, g->spki_hash.b, 32);
    at_put_time(out, g->not_before);
    at_put_time(out, g->not_after);
    at_put_time(out, g->created);
    wr_str16(out, slice_of(g->chain, g->chain_len));
}

static void inters_encode(const struct authority_doc *d, struct wr *out)
{
    wr_u8(out, d->n_inter);
    for (uint8_t i = 0; i < d->n_inter; i++) {
        wr_u32(out, d->inter[i].gen);
        wr_u32(out, d->inter[i].member);
        wr_str16(out, slice_of(d->inter[i].der, d->inter[i].len));
    }
}

void authority_doc_encode(const struct authority_doc *d, struct wr *out)
{
    wr_u8(out, d->n_inter > 0 ? 2 : 1);
    wr_name(out, &d->region);
    at_put_text8(out, d->subject);
    wr_u32(out, d->ttl_s);
    wr_u8(out, d->external);
    wr_u8(out, d->n);
    for (uint8_t i = 0; i < d->n; i++)
        gen_encode(&d->g[i], out);
    if (d->n_inter > 0)
        inters_encode(d, out);
}

static void gen_read(struct rd *r, struct authority_gen *g)
{
    g->gen = rd_u32(r);
    g->state = at_kind(r, AUTH_REVOKED);
    g->key_type = at_kind(r, KEY_TYPE_MAX);
    rd_copy(r, g->spki_hash.b, 32);
    g->not_before = at_time(r);
    g->not_after = at_time(r);
    g->created = at_time(r);
    struct slice chain = rd_str16(r, AUTHORITY_CHAIN_MAX);
    g->chain_len = (uint16_t) chain.len;
    if (chain.len > 0)
        memcpy(g->chain, chain.p, chain.len);
}

static void inters_read(struct rd *r, struct authority_doc *d)
{
    d->n_inter = at_kind(r, AUTHORITY_INTERS_MAX);
    for (uint8_t i = 0; i < d->n_inter && !r->bad; i++) {
        struct authority_inter *x = &d->inter[i];
        x->gen = rd_u32(r);
        x->member = rd_u32(r);
        struct slice der = rd_str16(r, AUTHORITY_INTER_BYTES);
        x->len = (uint16_t) der.len;
        if (der.len > 0)
            memcpy(x->der, der.p, der.len);
        else
            r->bad = true;
    }
}

/* Ascending, of generations that are there. */
static bool inters_ok(const struct authority_doc *d)
{
    for (uint8_t i = 0; i < d->n_inter; i++) {
        const struct authority_inter *x = &d->inter[i], *before = i > 0 ? x - 1 : NULL;
        if (x->member == 0 || authority_gen_find((struct authority_doc *) d, x->gen) == NULL)
            return false;
        if (before && (x->gen < before->gen || (x->gen == before->gen && x->member <= before->member)))
            return false;
    }
    return true;
}

/* Without a time of validity the chain has not come: its place may hold the request. */
static bool gen_ok(const struct authority_gen *g)
{
    bool waits = g->not_before.ms == 0 && g->not_after.ms == 0;
    if (hash32_is_zero(&g->spki_hash))
        return false;
    if (waits)
        return g->state == AUTH_PENDING || g->state == AUTH_REVOKED;
    return g->state != AUTH_PENDING && g->chain_len > 0 && g->not_before.ms < g->not_after.ms;
}

static bool gens_ok(const struct authority_doc *d)
{
    unsigned active = 0;
    for (uint8_t i = 0; i < d->n; i++) {
        if (!gen_ok(&d->g[i]) || d->g[i].gen <= (i > 0 ? d->g[i - 1].gen : 0))
            return false;
        active += d->g[i].state == AUTH_ACTIVE;
    }
    return active <= 1;
}

enum reeve_err authority_doc_decode(struct authority_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    memset(d, 0, sizeof *d);
    uint8_t version = at_kind(&r, 2);
    rd_name(&r, &d->region);
    at_text8(&r, d->subject, sizeof d->subject);
    d->ttl_s = rd_u32(&r);
    d->external = at_flag(&r);
    d->n = at_count(&r, AUTHORITY_GENS_MAX);
    for (uint8_t i = 0; i < d->n; i++)
        gen_read(&r, &d->g[i]);
    if (version == 2)
        inters_read(&r, d);
    return rd_done(&r) && gens_ok(d) && inters_ok(d) ? REEVE_OK : REEVE_E_MALFORMED;
}
