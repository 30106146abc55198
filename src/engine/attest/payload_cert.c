/* payload_cert.c - certificates: the template, its generations, and who serves which. */
#include "codec_int.h"
#include "common/text.h"
#include "gens_int.h"

#define KEY_TYPE_MAX 2      /* crypto/x509.h: 1 ECDSA P-256, 2 Ed25519 */
#define SANS_MAX     (sizeof ((struct cert_doc *) 0)->san / sizeof (struct name))

static void gen_encode(const struct cert_gen *g, struct wr *out)
{
    wr_u32(out, g->gen);
    wr_u8(out, g->state);
    wr_u32(out, g->authority_gen);
    at_put_time(out, g->not_before);
    at_put_time(out, g->not_after);
    at_put_time(out, g->created);
    wr_bytes(out, g->spki_hash.b, 32);
}

void cert_doc_encode(const struct cert_doc *d, struct wr *out)
{
    wr_u8(out, 1);
    wr_u8(out, d->mode);
    wr_name(out, &d->authority);
    at_put_text8(out, d->subject);
    wr_u8(out, d->n_sans);
    for (uint8_t i = 0; i < d->n_sans; i++)
        wr_name(out, &d->san[i]);
    wr_u8(out, d->key_type);
    wr_u32(out, d->validity_s);
    wr_u32(out, d->renew_before_s);
    wr_u32(out, d->overlap_s);
    wr_name(out, &d->strategy);
    at_put_predicate(out, &d->where);
    wr_u32(out, d->active_gen);
    wr_u64(out, d->rollout_id);
    at_put_rules(out, d->rule, d->n_rules);
    wr_u8(out, d->n);
    for (uint8_t i = 0; i < d->n; i++)
        gen_encode(&d->g[i], out);
}

static void template_read(struct rd *r, struct cert_doc *d)
{
    d->mode = at_kind(r, CERT_SHARED_GLOBAL);
    rd_name(r, &d->authority);
    at_text8(r, d->subject, sizeof d->subject);
    d->n_sans = at_count(r, SANS_MAX);
    for (uint8_t i = 0; i < d->n_sans; i++)
        rd_name(r, &d->san[i]);
    d->key_type = at_kind(r, KEY_TYPE_MAX);
    d->validity_s = rd_u32(r);
    d->renew_before_s = rd_u32(r);
    d->overlap_s = rd_u32(r);
    at_optname(r, &d->strategy);
    at_predicate(r, &d->where);
}

static void gen_read(struct rd *r, struct cert_gen *g)
{
    g->gen = rd_u32(r);
    g->state = at_kind(r, GEN_REVOKED);
    g->authority_gen = rd_u32(r);
    g->not_before = at_time(r);
    g->not_after = at_time(r);
    g->created = at_time(r);
    rd_copy(r, g->spki_hash.b, 32);
}

static bool sans_distinct(const struct cert_doc *d)
{
    for (uint8_t i = 0; i < d->n_sans; i++)
        for (uint8_t j = 0; j < i; j++)
            if (name_eq(&d->san[i], &d->san[j]))
                return false;
    return true;
}

static bool gens_ok(const struct cert_doc *d)
{
    for (uint8_t i = 0; i < d->n; i++) {
        const struct cert_gen *g = &d->g[i];
        if (g->gen <= (i > 0 ? d->g[i - 1].gen : 0) || g->not_before.ms >= g->not_after.ms)
            return false;
        if ((d->mode == CERT_PER_NODE) != hash32_is_zero(&g->spki_hash))
            return false;
    }
    struct gens v = cert_gens((struct cert_doc *) d);
    return gens_consistent(&v);
}

enum reeve_err cert_doc_decode(struct cert_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    memset(d, 0, sizeof *d);
    at_version(&r);
    template_read(&r, d);
    d->active_gen = rd_u32(&r);
    d->rollout_id = rd_u64(&r);
    at_rules(&r, d->rule, &d->n_rules);
    d->n = at_count(&r, CERT_GENS_MAX);
    for (uint8_t i = 0; i < d->n; i++)
        gen_read(&r, &d->g[i]);
    if (!rd_done(&r) || d->validity_s == 0 || !sans_distinct(d) || !gens_ok(d))
        return REEVE_E_MALFORMED;
    return REEVE_OK;
}

struct cert_gen *cert_gen_find(struct cert_doc *d, uint32_t gen)
{
    for (uint8_t i = 0; i < d->n; i++)
        if (d->g[i].gen == gen)
            return &d->g[i];
    return NULL;
}
