/* material.c - key, leaf and chain of a generation, and whether they are what was attested. */
#include "agent_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"

struct material *material_find(struct slot *s, uint32_t gen)
{
    for (size_t i = 0; i < MATERIALS_MAX; i++)
        if (s->m[i].gen == gen && s->m[i].state != MAT_NONE)
            return &s->m[i];
    return NULL;
}

void material_clear(struct material *m)
{
    xkey_free(m->key);
    free((void *) m->leaf.p);
    free(m->info);
    memset(m, 0, sizeof *m);
}

static bool needed(const struct slot *s, uint32_t gen)
{
    return gen == s->want || gen == s->serving || gen == s->prepare || gen == s->installing_gen;
}

/* A free place, else that of the oldest generation nobody needs: a slot needs at most four. */
struct material *material_make(struct agent *a, struct slot *s, uint32_t gen)
{
    struct material *best = NULL;
    for (size_t i = 0; i < MATERIALS_MAX; i++) {
        struct material *m = &s->m[i];
        if (m->state == MAT_NONE) {
            best = m;
            break;
        }
        if (!needed(s, m->gen) && (best == NULL || m->gen < best->gen))
            best = m;
    }
    if (best == NULL)
        best = &s->m[0];
    if (a != NULL && best->state == MAT_READY)
        cache_del_material(a, s, best->gen);
    material_clear(best);
    best->gen = gen;
    best->state = MAT_DUE;
    return best;
}

/* ---- DER certificates one after another ---- */

struct slice der_first(struct slice d)
{
    size_t n;
    if (d.len < 4 || d.p[0] != 0x30)
        return slice_of(NULL, 0);
    if (d.p[1] < 0x80)
        n = 2u + d.p[1];
    else if (d.p[1] == 0x81)
        n = 3u + d.p[2];
    else if (d.p[1] == 0x82)
        n = 4u + ((size_t) d.p[2] << 8 | d.p[3]);
    else
        n = SIZE_MAX;
    return n <= d.len ? slice_of(d.p, n) : slice_of(NULL, 0);
}

static bool authority_get(const struct agent *a, const struct name *name, struct authority_doc *d)
{
    struct slice payload;
    return held_payload(a, AT_AUTHORITY, name, &payload) && authority_doc_decode(d, payload) == REEVE_OK;
}

static bool trusted(const struct authority_gen *g, struct wall_ms now)
{
    bool state = g->state == AUTH_PREPARED || g->state == AUTH_ACTIVE || g->state == AUTH_TAINTED;
    return state && g->chain_len > 0 && now.ms < g->not_after.ms;
}

void authority_chain_of(const struct agent *a, const struct cert_doc *d, uint32_t gen, struct wr *out)
{
    struct authority_doc auth;
    const struct cert_gen *g = cert_gen_find((struct cert_doc *) d, gen);
    if (g == NULL || !authority_get(a, &d->authority, &auth))
        return;
    const struct authority_gen *ag = authority_gen_find(&auth, g->authority_gen);
    if (ag != NULL && trusted(ag, a->now.wall))
        wr_bytes(out, ag->chain, ag->chain_len);
}

void authority_ca_of(const struct agent *a, const struct name *authority, struct wr *out)
{
    struct authority_doc auth;
    if (!authority_get(a, authority, &auth))
        return;
    for (uint8_t i = 0; i < auth.n; i++)
        if (trusted(&auth.g[i], a->now.wall))
            wr_bytes(out, auth.g[i].chain, auth.g[i].chain_len);
}

/* ---- the check ---- */

static void spec_of(const struct slot *s, const struct cert_doc *d, const struct cert_gen *g, struct x509_spec *spec,
                    char subject[300])
{
    *spec = (struct x509_spec){ .not_before = g->not_before, .not_after = g->not_after, .n_sans = d->n_sans };
    snprintf(subject, 300, "CN=%s", s->object.s);
    spec->subject = slice_str(d->subject[0] ? d->subject : subject);
    for (size_t i = 0; i < d->n_sans; i++)
        spec->sans[i] = name_slice(&d->san[i]);
}

/* Our clock may be a little behind the region's: a certificate that begins in a moment begins now. */
static struct wall_ms check_time(const struct agent *a, const struct x509_info *info)
{
    int64_t now = a->now.wall.ms;
    if (now < info->not_before.ms && info->not_before.ms - now <= SKEW_MS)
        now = info->not_before.ms;
    return (struct wall_ms){ now };
}

/* The authority's certificate that was used last stays decoded: that takes longer than a verification. */
static enum reeve_err root_open(struct agent *a, struct slice der)
{
    struct hash32 h;
    sha256(&h, der);
    if (a->root != NULL && hash32_eq(&h, &a->root_hash))
        return REEVE_OK;
    x509_close(a->root);
    a->root_hash = h;
    return x509_open(&a->root, der);
}

/* Under the authority itself, or under one of its attested intermediates; inter (may be NULL) receives that one's DER. */
static enum reeve_err check_chain(struct agent *a, const struct cert_doc *d, uint32_t gen,
                                  const struct x509_cert *leaf, const struct x509_info *info, struct wr *inter)
{
    struct authority_doc auth;
    const struct cert_gen *g = cert_gen_find((struct cert_doc *) d, gen);
    if (g == NULL || !authority_get(a, &d->authority, &auth))
        return REEVE_E_V_SIGNATURE;
    const struct authority_gen *ag = authority_gen_find(&auth, g->authority_gen);
    struct slice root = ag && trusted(ag, a->now.wall) ? der_first(slice_of(ag->chain, ag->chain_len)) : slice_of(NULL, 0);
    if (root.len == 0)
        return REEVE_E_V_SIGNATURE;
    enum reeve_err err = root_open(a, root);
    if (err == REEVE_OK)
        err = x509_cert_verify_by(leaf, a->root, check_time(a, info));
    for (uint8_t i = 0; err == REEVE_E_V_SIGNATURE && i < auth.n_inter; i++) {
        struct slice der = slice_of(auth.inter[i].der, auth.inter[i].len);
        if (auth.inter[i].gen != ag->gen)
            continue;
        err = x509_cert_verify(leaf, &der, 1, &root, 1, check_time(a, info));
        if (err == REEVE_OK && inter)
            wr_bytes(inter, der.p, der.len);
    }
    return err;
}

void authority_path_of(struct agent *a, const struct cert_doc *d, uint32_t gen, struct slice leaf, const struct x509_info *info,
                       struct wr *out)
{
    struct x509_cert *c = NULL;
    if (x509_open(&c, leaf) == REEVE_OK && check_chain(a, d, gen, c, info, out) == REEVE_OK)
        authority_chain_of(a, d, gen, out);
    x509_close(c);
}

static bool key_is_attested(const struct cert_doc *d, const struct cert_gen *g, const struct x509_info *info)
{
    return d->mode == CERT_PER_NODE || hash32_eq(&g->spki_hash, &info->spki_hash);
}

enum reeve_err material_check(struct agent *a, const struct slot *s, const struct material *m, struct slice leaf,
                              const struct xkey *key, struct x509_info *info, unsigned *code, struct report *rep)
{
    enum reeve_err err;
    struct cert_doc d;
    struct slice payload;
    struct x509_spec spec;
    struct x509_cert *c = NULL;
    char subject[300];
    *code = WE_UNKNOWN_OBJECT;
    if (!held_payload(a, AT_CERT, &s->object, &payload) || cert_doc_decode(&d, payload) != REEVE_OK)
        return REEVE_E_NOT_FOUND;
    const struct cert_gen *g = cert_gen_find(&d, m->gen);
    if (g == NULL)
        return REEVE_E_NOT_FOUND;
    *code = WE_TEMPLATE;
    TRY(x509_open(&c, leaf));
    TRY(x509_cert_info(c, info));
    *code = WE_KEY_MISMATCH;
    if (info->key_type != (enum key_type) d.key_type || !key_is_attested(&d, g, info))
        TRY(REEVE_E_V_KEY);
    TRY(x509_cert_key_matches(c, key));
    *code = WE_EXPIRED;
    if (a->now.wall.ms >= info->not_after.ms)
        TRY(REEVE_E_V_EXPIRED);
    *code = WE_TEMPLATE;
    spec_of(s, &d, g, &spec, subject);
    TRY(x509_cert_matches(c, &spec, rep));
    *code = WE_CHAIN;
    TRY(check_chain(a, &d, m->gen, c, info, NULL));
    *code = WE_NONE;
out:
    x509_close(c);
    return err;
}
