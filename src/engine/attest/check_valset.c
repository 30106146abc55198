/* check_valset.c - the next validator set. */
#include "check_int.h"
#include "common/text.h"

static bool same_validators(const struct valset *a, const struct valset *b)
{
    if (a->n != b->n)
        return false;
    for (uint16_t i = 0; i < a->n; i++)
        if (!name_eq(&a->v[i].name, &b->v[i].name) || memcmp(a->v[i].key.b, b->v[i].key.b, 32) != 0 ||
            memcmp(a->v[i].cosign_key.b, b->v[i].cosign_key.b, 32) != 0)
            return false;
    return true;
}

/* Votes and cosignatures are made with keys of their own, and nobody shares one. */
static bool keys_differ(const struct valset *s)
{
    for (uint16_t i = 0; i < s->n; i++)
        for (uint16_t j = 0; j < s->n; j++)
            if (memcmp(s->v[i].cosign_key.b, s->v[j].key.b, 32) == 0 ||
                (i != j && memcmp(s->v[i].cosign_key.b, s->v[j].cosign_key.b, 32) == 0))
                return false;
    return true;
}

static bool has_name(const struct valset *s, const struct name *name)
{
    for (uint16_t i = 0; i < s->n; i++)
        if (name_eq(&s->v[i].name, name))
            return true;
    return false;
}

/* Validators are found by the links of their regions. */
static enum reeve_err check_regions(struct check *k, const struct valset *s)
{
    struct region_doc region;
    for (uint16_t i = 0; i < s->n; i++) {
        if (has_name(&k->s->set, &s->v[i].name))
            continue;
        enum reeve_err err = check_region_doc(k, &s->v[i].name, &region);
        if (err == REEVE_E_UNDEFINED_OBJECT)
            return refuse(k->rep, err, "validator '%s' is not named as an attested region", s->v[i].name.s);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

static enum reeve_err check_seats(struct check *k, const struct valset_doc *d)
{
    enum reeve_err err = seats_verify(k->a->c, d, &k->chain_id, &k->s->set);
    if (err == REEVE_E_V_QUORUM)
        return refuse(k->rep, err, "the new validators have not signed the new set (%u of %u must, and each that is new)",
                      valset_quorum(d->set.n), d->set.n);
    return err == REEVE_OK ? err : refuse(k->rep, err, "a validator's signature under the new set does not verify");
}

enum reeve_err check_valset(struct check *k)
{
    enum reeve_err err;
    struct slice doc;
    struct valset_doc *d = &k->s->valset;
    if (valset_doc_decode(d, k->now.payload) != REEVE_OK)
        return refuse(k->rep, REEVE_E_MALFORMED, "validator set document");
    TRY(attest_valset(k->a, &k->s->set, &doc));
    if (d->set.epoch != k->s->set.epoch + 1)
        return refuse(k->rep, REEVE_E_CONFLICT, "epoch %llu follows, not %llu", (unsigned long long) k->s->set.epoch + 1,
                      (unsigned long long) d->set.epoch);
    for (size_t i = 0; i < k->at; i++)
        if (k->s->seen[i].update.type == AT_VALSET)
            return refuse(k->rep, REEVE_E_CONFLICT, "one block ends one epoch");
    if (same_validators(&d->set, &k->s->set) || !keys_differ(&d->set))
        return refuse(k->rep, REEVE_E_V_UPDATE, "the new set changes nothing, or uses a key twice");
    TRY(check_regions(k, &d->set));
    err = k->recovery ? REEVE_OK : check_seats(k, d);
out:
    return err;
}
