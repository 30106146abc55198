/* votes.c - votes by validator, and certificates as sets of them. */
#include "simplex_int.h"

static struct cast *casts(struct slot *t, enum simplex_type type)
{
    switch (type) {
    case SX_PROPOSE:  return t->offer;
    case SX_NOTARIZE: return t->notarize;
    case SX_FINALIZE: return t->finalize;
    case SX_NULLIFY:  return t->nullify;
    default:          return NULL;
    }
}

/* (a) two notarizes, (b) finalize and nullify, (c) finalize one and notarize another: nobody honest does that. */
static bool contradicts(struct slot *t, const struct simplex_vote *v, uint16_t signer)
{
    const struct cast *same = &casts(t, (enum simplex_type) v->type)[signer];
    if (same->have && !block_eq(&same->b, &v->b))
        return true;
    if (v->type == SX_FINALIZE)
        return t->nullify[signer].have || (t->notarize[signer].have && !block_eq(&t->notarize[signer].b, &v->b));
    if (v->type == SX_NULLIFY)
        return t->finalize[signer].have;
    return v->type == SX_NOTARIZE && t->finalize[signer].have && !block_eq(&t->finalize[signer].b, &v->b);
}

bool vote_store(struct simplex *s, const struct simplex_vote *v, uint16_t signer, const struct sig64 *sig,
                struct simplex_effects *out)
{
    struct slot *t = slot_of(s, v->b.view);
    if (t == NULL || casts(t, (enum simplex_type) v->type) == NULL)
        return false;
    struct cast *c = &casts(t, (enum simplex_type) v->type)[signer];
    if (contradicts(t, v, signer)) {
        size_t at = out->n;
        emit(out, SXF_EVIDENCE, v);
        if (out->n > at)
            out->e[at].signer = signer;
    }
    if (c->have && !(SIMPLEX_BROKEN(NOTARIZE_TWICE) && v->type == SX_PROPOSE))
        return false;
    *c = (struct cast){ true, v->b, *sig };
    return true;
}

void cert_store(struct simplex *s, const struct simplex_cert *c)
{
    struct slot *t = slot_of(s, c->b.view);
    unsigned at = 0;
    if (t == NULL)
        return;
    /* Whoever voted otherwise before has contradicted himself: what the certificate shows counts. */
    for (unsigned i = 0; i < s->c.n; i++)
        if (c->bitmap[i / 8] >> i % 8 & 1)
            casts(t, (enum simplex_type) c->type)[i] = (struct cast){ true, c->b, c->sig[at++] };
}

static unsigned count_for(const struct simplex *s, const struct cast *c, const struct simplex_block *b)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->c.n; i++)
        n += c[i].have && block_eq(&c[i].b, b);
    return n;
}

bool quorum_for(const struct simplex *s, const struct slot *t, enum simplex_type type, struct simplex_block *b)
{
    const struct cast *c = casts((struct slot *) t, type);
    for (unsigned i = 0; i < s->c.n; i++)
        if (c[i].have && count_for(s, c, &c[i].b) >= s->q) {
            *b = c[i].b;
            return true;
        }
    return false;
}

void cert_build(const struct simplex *s, const struct slot *t, enum simplex_type type, const struct simplex_block *b,
                struct simplex_cert *out)
{
    const struct cast *c = casts((struct slot *) t, type);
    memset(out, 0, sizeof *out);
    out->type = (uint8_t) type;
    out->b = *b;
    for (unsigned i = 0; i < s->c.n; i++)
        if (c[i].have && block_eq(&c[i].b, b)) {
            out->bitmap[i / 8] |= (uint8_t) (1u << i % 8);
            out->sig[out->n_sigs++] = c[i].sig;
        }
}

enum reeve_err simplex_cert_get(const struct simplex *s, enum simplex_type type, uint64_t view, struct simplex_cert *out)
{
    struct simplex_block b;
    const struct slot *t = view == s->committed.view && view > 0 ? &s->final_slot : slot_of(s, view);
    if (t == NULL || t->view != view || casts((struct slot *) t, type) == NULL || !quorum_for(s, t, type, &b))
        return REEVE_E_NOT_FOUND;
    cert_build(s, t, type, &b, out);
    return REEVE_OK;
}

unsigned quorum_of(unsigned n)
{
    return SIMPLEX_BROKEN(QUORUM_2F1) ? 2 * ((n - 1) / 3) + 1 : 2 * n / 3 + 1;
}

enum reeve_err simplex_cert_verify(const struct simplex_config *c, const struct simplex_cert *cert)
{
    const struct simplex_vote v = { cert->type, cert->b };
    unsigned n = 0;
    if (cert->type != SX_NOTARIZE && cert->type != SX_NULLIFY && cert->type != SX_FINALIZE)
        return REEVE_E_V_SIGNER;
    for (unsigned i = 0; i < SIMPLEX_VALIDATORS_MAX; i++) {
        if ((cert->bitmap[i / 8] >> i % 8 & 1) == 0)
            continue;
        if (i >= c->n)
            return REEVE_E_V_SIGNER;
        n++;
    }
    if (n != cert->n_sigs)
        return REEVE_E_V_SIGNER;
    if (n < quorum_of(c->n))
        return REEVE_E_V_QUORUM;
    n = 0;
    for (uint16_t i = 0; i < c->n; i++)
        if ((cert->bitmap[i / 8] >> i % 8 & 1) && !c->verify(c->arg, &v, i, &cert->sig[n++]))
            return REEVE_E_V_SIGNATURE;
    return REEVE_OK;
}
