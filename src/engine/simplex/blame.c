/* blame.c - contradictory pairs of signed votes; see the header. */
#include "engine/simplex_blame.h"

#include "simplex_int.h"

bool simplex_contradict(const struct simplex_vote *a, const struct simplex_vote *b)
{
    const struct simplex_vote *lo = a->type <= b->type ? a : b, *hi = a->type <= b->type ? b : a;
    if (a->b.view != b->b.view)
        return false;
    if (lo->type == hi->type)
        return (lo->type == SX_PROPOSE || lo->type == SX_NOTARIZE || lo->type == SX_FINALIZE) && !block_eq(&lo->b, &hi->b);
    if (hi->type != SX_FINALIZE)
        return false;
    return lo->type == SX_NULLIFY || (lo->type == SX_NOTARIZE && !block_eq(&lo->b, &hi->b));
}

/* ---- heap sort: in place, no memory, no bad case ---- */

static bool before(const struct simplex_signed *a, const struct simplex_signed *b)
{
    return a->signer != b->signer ? a->signer < b->signer : a->vote.b.view < b->vote.b.view;
}

static void swap(struct simplex_signed *a, struct simplex_signed *b)
{
    struct simplex_signed t = *a;
    *a = *b;
    *b = t;
}

static void sift(struct simplex_signed *v, size_t i, size_t n)
{
    for (size_t kid; (kid = 2 * i + 1) < n; i = kid) {
        if (kid + 1 < n && before(&v[kid], &v[kid + 1]))
            kid++;
        if (!before(&v[i], &v[kid]))
            return;
        swap(&v[i], &v[kid]);
    }
}

static void sort(struct simplex_signed *v, size_t n)
{
    for (size_t i = n / 2; i > 0; i--)
        sift(v, i - 1, n);
    for (size_t end = n; end > 1; end--) {
        swap(&v[0], &v[end - 1]);
        sift(v, 0, end - 1);
    }
}

/* ---- pairs ---- */

bool simplex_proof_ok(const struct simplex_config *c, const struct simplex_proof *p)
{
    return p->a.signer == p->b.signer && p->a.signer < c->n && simplex_contradict(&p->a.vote, &p->b.vote) &&
           c->verify(c->arg, &p->a.vote, p->a.signer, &p->a.sig) && c->verify(c->arg, &p->b.vote, p->b.signer, &p->b.sig);
}

/* Signatures are looked at only where there is something to prove. */
static bool pair_in(const struct simplex_config *c, const struct simplex_signed *v, size_t n, struct simplex_proof *out)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++) {
            if (!simplex_contradict(&v[i].vote, &v[k].vote))
                continue;
            *out = (struct simplex_proof){ v[i], v[k] };
            if (simplex_proof_ok(c, out))
                return true;
        }
    return false;
}

size_t simplex_blame(const struct simplex_config *c, struct simplex_signed *v, size_t n,
                     struct simplex_proof out[SIMPLEX_VALIDATORS_MAX])
{
    size_t found = 0;
    sort(v, n);
    for (size_t i = 0, end; i < n && found < SIMPLEX_VALIDATORS_MAX; i = end) {
        for (end = i + 1; end < n && !before(&v[i], &v[end]); end++)
            ;
        bool known = found > 0 && out[found - 1].a.signer == v[i].signer;
        if (!known && v[i].signer < c->n && pair_in(c, v + i, end - i, &out[found]))
            found++;
    }
    return found;
}

size_t simplex_cert_votes(const struct simplex_cert *cert, struct simplex_signed out[SIMPLEX_VALIDATORS_MAX])
{
    size_t n = 0;
    for (unsigned i = 0; i < SIMPLEX_VALIDATORS_MAX; i++) {
        if ((cert->bitmap[i / 8] >> i % 8 & 1) == 0)
            continue;
        if (n == cert->n_sigs)
            return 0;
        out[n] = (struct simplex_signed){ (uint16_t) i, { cert->type, cert->b }, cert->sig[n] };
        n++;
    }
    return n == cert->n_sigs ? n : 0;
}
