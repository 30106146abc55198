/* votes.c - votes by validator, and certificates as sets of them. */
#include "engine/simplex_blame.h"
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

/* His vote of that kind, if he has given one that nobody honest gives beside v (engine/simplex_blame.h). */
static const struct cast *against(struct slot *t, const struct simplex_vote *v, uint16_t signer, enum simplex_type type)
{
    const struct cast *c = &casts(t, type)[signer];
    const struct simplex_vote had = { (uint8_t) type, c->b };
    return c->have && simplex_contradict(&had, v) ? c : NULL;
}

static void blame(struct simplex *s, struct slot *t, const struct simplex_vote *v, uint16_t signer, const struct sig64 *sig,
                  struct simplex_effects *out)
{
    static const enum simplex_type kinds[] = { SX_PROPOSE, SX_NOTARIZE, SX_NULLIFY, SX_FINALIZE };
    const struct cast *c = NULL;
    size_t k = 0, at = out->n;
    if (s->blamed[signer / 8] >> signer % 8 & 1 || at >= EFFECTS_SOFT_MAX)
        return;
    while (k < 4 && (c = against(t, v, signer, kinds[k])) == NULL)
        k++;
    if (c == NULL)
        return;
    emit_signed(out, SXF_EVIDENCE, v, sig);
    out->e[at].signer = signer;
    out->e[at].other = (struct simplex_vote){ (uint8_t) kinds[k], c->b };
    out->e[at].other_sig = c->sig;
    s->blamed[signer / 8] |= (uint8_t) (1u << signer % 8);
}

bool vote_store(struct simplex *s, const struct simplex_vote *v, uint16_t signer, const struct sig64 *sig,
                struct simplex_effects *out)
{
    struct slot *t = slot_of(s, v->b.view);
    if (t == NULL || casts(t, (enum simplex_type) v->type) == NULL)
        return false;
    struct cast *c = &casts(t, (enum simplex_type) v->type)[signer];
    blame(s, t, v, signer, sig, out);
    if (c->have && !(SIMPLEX_BROKEN(NOTARIZE_TWICE) && v->type == SX_PROPOSE))
        return false;
    t->n_cast[v->type] += !c->have;
    *c = (struct cast){ true, v->b, *sig };
    return true;
}

void cert_store(struct simplex *s, const struct simplex_cert *c, struct simplex_effects *out)
{
    const struct simplex_vote v = { c->type, c->b };
    struct slot *t = slot_of(s, c->b.view);
    unsigned at = 0;
    if (t == NULL)
        return;
    /* Whoever voted otherwise before has contradicted himself: what the certificate shows counts. */
    for (uint16_t i = 0; i < s->c.n; i++) {
        if ((c->bitmap[i / 8] >> i % 8 & 1) == 0)
            continue;
        blame(s, t, &v, i, &c->sig[at], out);
        struct cast *to = &casts(t, (enum simplex_type) c->type)[i];
        t->n_cast[c->type] += !to->have;
        *to = (struct cast){ true, c->b, c->sig[at++] };
    }
}

static unsigned count_for(const struct simplex *s, const struct cast *c, const struct simplex_block *b)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->c.n; i++)
        n += c[i].have && block_eq(&c[i].b, b);
    return n;
}

/* Somebody before i voted for the same: its votes are counted. */
static bool counted(const struct cast *c, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (c[k].have && block_eq(&c[k].b, &c[i].b))
            return true;
    return false;
}

/* Asked for every view of the window after every event: most of them are done with a number. */
bool quorum_for(const struct simplex *s, const struct slot *t, enum simplex_type type, struct simplex_block *b)
{
    const struct cast *c = casts((struct slot *) t, type);
    if (t->n_cast[type] < s->q)
        return false;
    for (unsigned i = 0; i < s->c.n; i++)
        if (c[i].have && !counted(c, i) && count_for(s, c, &c[i].b) >= s->q) {
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
