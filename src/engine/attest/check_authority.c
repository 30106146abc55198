/* check_authority.c - authorities: generations move along their edges, and only the state moves. */
#include "check_int.h"
#include "edit_int.h"
#include "common/text.h"

enum reeve_err check_authority_gen(struct check *k, const struct name *authority, uint32_t gen, struct authority_gen **g)
{
    struct attest_object o;
    struct authority_doc *d = &k->s->authority[0];
    enum reeve_err err = check_lookup(k, AT_AUTHORITY, authority, &o);
    if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && o.update.op != 1))
        return refuse(k->rep, REEVE_E_UNDEFINED_OBJECT, "authority '%s' does not exist", authority->s);
    if (err != REEVE_OK)
        return err;
    if (authority_doc_decode(d, o.update.payload) != REEVE_OK)
        return REEVE_E_CORRUPT;
    *g = authority_gen_find(d, gen);
    return REEVE_OK;
}

static bool same_chain(const struct authority_gen *a, const struct authority_gen *b)
{
    return a->not_before.ms == b->not_before.ms && a->not_after.ms == b->not_after.ms &&
           a->chain_len == b->chain_len && memcmp(a->chain, b->chain, a->chain_len) == 0;
}

/* Key and birth never change; the chain comes once, with the step out of PENDING. */
static enum reeve_err gen_moves(struct check *k, const struct authority_gen *p, const struct authority_gen *n)
{
    bool arrives = p->state == AUTH_PENDING && n->state == AUTH_PREPARED;
    if (p->key_type != n->key_type || p->created.ms != n->created.ms)
        return refuse(k->rep, REEVE_E_V_UPDATE, "generation %u was rewritten", p->gen);
    if (!hash32_eq(&p->spki_hash, &n->spki_hash))
        return refuse(k->rep, REEVE_E_V_KEY, "the chain of generation %u is for another key than the request", p->gen);
    if (!arrives && !same_chain(p, n))
        return refuse(k->rep, REEVE_E_V_UPDATE, "generation %u has another chain", p->gen);
    if (p->state != n->state && !authority_edge((enum authority_state) p->state, (enum authority_state) n->state))
        return refuse(k->rep, REEVE_E_V_UPDATE, "generation %u cannot go from that state to this", p->gen);
    return REEVE_OK;
}

/* Every generation goes on, except a revoked one where room was needed; at most one is new. */
static enum reeve_err gens_move(struct check *k, const struct authority_doc *p, struct authority_doc *n)
{
    enum reeve_err err = REEVE_OK;
    uint8_t kept = 0;
    for (uint8_t i = 0; i < p->n; i++) {
        const struct authority_gen *g = authority_gen_find(n, p->g[i].gen);
        if (g != NULL) {
            TRY(gen_moves(k, &p->g[i], g));
            kept++;
        } else if (p->g[i].state != AUTH_REVOKED || p->n < AUTHORITY_GENS_MAX) {
            return refuse(k->rep, REEVE_E_V_UPDATE, "generation %u was left out", p->g[i].gen);
        }
    }
    if (n->n > kept + 1 || (kept < p->n && n->n != kept + 1) || kept + 1 < p->n)
        return refuse(k->rep, REEVE_E_V_UPDATE, "generations come one at a time");
    if (n->n == kept + 1) {
        const struct authority_gen *fresh = &n->g[n->n - 1];
        if (fresh->gen != k->prev.gen_max + 1 || (fresh->state != AUTH_PENDING && fresh->state != AUTH_PREPARED))
            return refuse(k->rep, REEVE_E_V_UPDATE, "a new generation has the next number and is pending or prepared");
    }
out:
    return err;
}

static bool less_trusted(uint8_t from, uint8_t to)
{
    return to == AUTH_TAINTED || to == AUTH_REVOKED || from == to;
}

/* Does everything that may be believed after the change stand already, in the same words? */
static bool only_stops(const struct authority_doc *p, const struct authority_doc *n)
{
    if (strcmp(p->subject, n->subject) != 0 || p->ttl_s != n->ttl_s || p->n != n->n)
        return false;
    for (uint8_t i = 0; i < n->n; i++)
        if (p->g[i].gen != n->g[i].gen || !less_trusted(p->g[i].state, n->g[i].state) || !same_chain(&p->g[i], &n->g[i]))
            return false;
    return true;
}

static bool same_states(const struct authority_doc *p, const struct authority_doc *n)
{
    for (uint8_t i = 0; i < n->n; i++)
        if (p->g[i].state != n->g[i].state)
            return false;
    return true;
}

static bool same_inters(const struct authority_doc *p, const struct authority_doc *n)
{
    return p->n_inter == n->n_inter && memcmp(p->inter, n->inter, sizeof p->inter[0] * p->n_inter) == 0;
}

/*
 * Certificates for other members of the ring are under a key that is trusted
 * already, which signed them: they add nobody. With them nothing else is stopped
 * or begun.
 */
static void sort_of_change(struct check *k, const struct authority_doc *p, const struct authority_doc *n)
{
    bool stops = only_stops(p, n);
    k->inner = stops && same_states(p, n);
    k->stops = stops && same_inters(p, n) && !k->inner;
}

static enum reeve_err gens_begin_ok(struct check *k, const struct authority_doc *n)
{
    uint32_t first = k->had ? k->prev.gen_max + 1 : 1;
    if (n->n > 1 || (n->n == 1 && (n->g[0].gen != first || n->g[0].state > AUTH_ACTIVE)))
        return refuse(k->rep, REEVE_E_V_UPDATE, "a new authority begins with at most one generation, the next number");
    return REEVE_OK;
}

enum reeve_err check_authority(struct check *k)
{
    struct authority_doc *p = &k->s->authority[0], *n = &k->s->authority[1];
    if (authority_doc_decode(n, k->now.payload) != REEVE_OK)
        return refuse(k->rep, REEVE_E_MALFORMED, "authority document");
    if (!name_eq(&n->region, &k->now.region))
        return refuse(k->rep, REEVE_E_V_UPDATE, "an authority's key lies with the region that creates it");
    if (!k->live)
        return gens_begin_ok(k, n);
    if (authority_doc_decode(p, k->prev.update.payload) != REEVE_OK)
        return REEVE_E_CORRUPT;
    if (p->external != n->external)
        return refuse(k->rep, REEVE_E_V_UPDATE, "an authority stays own or external");
    sort_of_change(k, p, n);
    return gens_move(k, p, n);
}
