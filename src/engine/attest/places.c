/*
 * places.c - who suffices: people on places, each on one at most
 *
 * A term "3 OF GROUP security" is three places. Greedy filling fails where
 * somebody is in two groups, so places are matched (augmenting paths). The rule
 * about jurisdictions asks for a full matching whose people come from enough of
 * them. That exists exactly when a full one exists at all and, apart from
 * it, so many jurisdictions can be matched to places through a person each:
 * sets of people who can be placed are the independent sets of a (transversal)
 * matroid, so those persons can be completed to a full one.
 */
#include "approve_int.h"
#include "common/text.h"

struct places {
    unsigned n;                                 /* places, at most APPROVALS_MAX */
    uint8_t term[APPROVALS_MAX];                /* of each place */
    uint16_t may[APPROVERS_MAX];                /* candidate -> bits of the terms he may fill */
    int taken[APPROVALS_MAX];                   /* place -> candidate, -1: free */
};

static bool place(struct places *s, unsigned who, uint32_t *tried)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (*tried >> i & 1 || !(s->may[who] >> s->term[i] & 1))
            continue;
        *tried |= 1u << i;
        if (s->taken[i] < 0 || place(s, (unsigned) s->taken[i], tried)) {
            s->taken[i] = (int) who;
            return true;
        }
    }
    return false;
}

static unsigned most_placed(struct places *s, unsigned n)
{
    unsigned placed = 0;
    for (unsigned i = 0; i < s->n; i++)
        s->taken[i] = -1;
    for (unsigned who = 0; who < n; who++) {
        uint32_t tried = 0;
        placed += place(s, who, &tried);
    }
    return placed;
}

static uint16_t terms_of(const struct policy_doc *p, const struct approver_doc *d)
{
    uint16_t bits = 0;
    for (uint8_t i = 0; i < p->n_terms; i++)
        if (approver_in_group(d, &p->term[i].group))
            bits |= (uint16_t) (1u << i);
    return bits;
}

/* The candidate is a jurisdiction now: whatever place one of its people may fill. */
static unsigned jurisdictions(struct places *s, const uint16_t *terms, const struct approver_doc *who, unsigned n)
{
    unsigned count = 0;
    const struct name *seen[APPROVERS_MAX];
    for (unsigned i = 0; i < n; i++) {
        unsigned at = 0;
        if (who[i].jurisdiction.len == 0)
            continue;
        while (at < count && !name_eq(seen[at], &who[i].jurisdiction))
            at++;
        if (at == count) {
            seen[count] = &who[i].jurisdiction;
            s->may[count++] = 0;
        }
        s->may[at] |= terms[i];
    }
    return count;
}

bool policy_met(const struct policy_doc *p, const struct approver_doc *who, unsigned n)
{
    struct places s = { 0 };
    uint16_t terms[APPROVERS_MAX];
    reeve_assert(n <= APPROVERS_MAX);
    for (uint8_t t = 0; t < p->n_terms; t++)
        for (uint8_t i = 0; i < p->term[t].count && s.n < APPROVALS_MAX; i++)
            s.term[s.n++] = t;
    for (unsigned i = 0; i < n; i++)
        s.may[i] = terms[i] = terms_of(p, &who[i]);
    if (s.n == 0 || most_placed(&s, n) < s.n)
        return false;
    unsigned count = jurisdictions(&s, terms, who, n);
    return p->distinct <= 1 || most_placed(&s, count) >= p->distinct;
}
