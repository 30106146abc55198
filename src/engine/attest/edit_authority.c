/* edit_authority.c - generations of an authority: pending, prepared, active, tainted, revoked. */
#include "edit_int.h"
#include "refuse_int.h"

struct authority_gen *authority_gen_find(struct authority_doc *d, uint32_t gen)
{
    for (uint8_t i = 0; i < d->n; i++)
        if (d->g[i].gen == gen)
            return &d->g[i];
    return NULL;
}

bool authority_edge(enum authority_state from, enum authority_state to)
{
    switch (from) {
    case AUTH_PENDING:  return to == AUTH_PREPARED || to == AUTH_REVOKED;
    case AUTH_PREPARED: return to == AUTH_ACTIVE || to == AUTH_REVOKED;
    case AUTH_ACTIVE:   return to == AUTH_TAINTED;
    case AUTH_TAINTED:  return to == AUTH_REVOKED;
    default:            return false;
    }
}

/* ---- intermediates ---- */

struct authority_inter *authority_inter_find(struct authority_doc *d, uint32_t gen, uint32_t member)
{
    for (uint8_t i = 0; i < d->n_inter; i++)
        if (d->inter[i].gen == gen && d->inter[i].member == member)
            return &d->inter[i];
    return NULL;
}

static void inter_drop(struct authority_doc *d, const struct authority_inter *x)
{
    size_t i = (size_t) (x - d->inter);
    memmove(&d->inter[i], &d->inter[i + 1], (d->n_inter - i - 1) * sizeof *d->inter);
    memset(&d->inter[--d->n_inter], 0, sizeof *d->inter);
}

static struct authority_inter *inter_insert(struct authority_doc *d, uint32_t gen, uint32_t member)
{
    size_t i = d->n_inter;
    while (i > 0 && (d->inter[i - 1].gen > gen || (d->inter[i - 1].gen == gen && d->inter[i - 1].member > member)))
        i--;
    memmove(&d->inter[i + 1], &d->inter[i], (d->n_inter - i) * sizeof *d->inter);
    d->n_inter++;
    memset(&d->inter[i], 0, sizeof *d->inter);
    d->inter[i].gen = gen;
    d->inter[i].member = member;
    return &d->inter[i];
}

enum reeve_err authority_inter_set(struct authority_doc *d, uint32_t gen, uint32_t member, struct slice der)
{
    struct authority_inter *x = authority_inter_find(d, gen, member);
    if (der.len == 0) {
        if (x)
            inter_drop(d, x);
        return REEVE_OK;
    }
    if (der.len > AUTHORITY_INTER_BYTES)
        return REEVE_E_TOO_BIG;
    if (member == 0 || authority_gen_find(d, gen) == NULL)
        return REEVE_E_UNDEFINED_OBJECT;
    if (x == NULL && d->n_inter == AUTHORITY_INTERS_MAX)
        return REEVE_E_TOO_MANY;
    if (x == NULL)
        x = inter_insert(d, gen, member);
    x->len = (uint16_t) der.len;
    memset(x->der, 0, sizeof x->der);
    memcpy(x->der, der.p, der.len);
    return REEVE_OK;
}

static void inters_forget(struct authority_doc *d, uint32_t gen)
{
    for (uint8_t i = d->n_inter; i > 0; i--)
        if (d->inter[i - 1].gen == gen)
            inter_drop(d, &d->inter[i - 1]);
}

/* Only what is revoked for good may be forgotten. */
static bool make_room(struct authority_doc *d)
{
    for (uint8_t i = 0; i < d->n; i++)
        if (d->g[i].state == AUTH_REVOKED) {
            inters_forget(d, d->g[i].gen);
            memmove(&d->g[i], &d->g[i + 1], (d->n - i - 1u) * sizeof *d->g);
            memset(&d->g[--d->n], 0, sizeof *d->g);
            return true;
        }
    return false;
}

enum reeve_err authority_gen_append(struct authority_doc *d, uint32_t gen_max, struct authority_gen *g,
                                    struct report *rep)
{
    uint32_t last = d->n > 0 ? d->g[d->n - 1].gen : 0;
    if (last < gen_max)
        last = gen_max;
    if (g->state != AUTH_PENDING && g->state != AUTH_PREPARED)
        return refuse(rep, REEVE_E_WRONG_STATE, "a new generation is pending or prepared");
    if (d->n == AUTHORITY_GENS_MAX && !make_room(d))
        return refuse(rep, REEVE_E_TOO_COMPLEX, "the authority has %u generations; revoke one first", AUTHORITY_GENS_MAX);
    g->gen = last + 1;
    d->g[d->n++] = *g;
    return REEVE_OK;
}

enum reeve_err authority_gen_set_state(struct authority_doc *d, uint32_t gen, enum authority_state to, struct report *rep)
{
    struct authority_gen *g = authority_gen_find(d, gen);
    if (g == NULL)
        return refuse(rep, REEVE_E_UNDEFINED_OBJECT, "there is no generation %u", gen);
    if (!authority_edge((enum authority_state) g->state, to) || (g->state == AUTH_PENDING && to == AUTH_PREPARED))
        return refuse(rep, REEVE_E_WRONG_STATE, "generation %u cannot go from that state to this", gen);
    for (uint8_t i = 0; to == AUTH_ACTIVE && i < d->n; i++)
        if (d->g[i].state == AUTH_ACTIVE)
            d->g[i].state = AUTH_TAINTED;
    g->state = (uint8_t) to;
    return REEVE_OK;
}

enum reeve_err authority_chain_set(struct authority_doc *d, uint32_t gen, struct wall_ms not_before,
                                   struct wall_ms not_after,
                                   struct slice chain, struct report *rep)
{
    struct authority_gen *g = authority_gen_find(d, gen);
    if (g == NULL || g->state != AUTH_PENDING)
        return refuse(rep, REEVE_E_WRONG_STATE, "generation %u waits for no chain", gen);
    if (chain.len == 0 || chain.len > AUTHORITY_CHAIN_MAX || not_before.ms >= not_after.ms)
        return refuse(rep, REEVE_E_INVALID_VALUE, "the chain is empty, too long or never valid");
    g->state = AUTH_PREPARED;
    g->not_before = not_before;
    g->not_after = not_after;
    g->chain_len = (uint16_t) chain.len;
    memcpy(g->chain, chain.p, chain.len);
    return REEVE_OK;
}
