/* check_small.c - regions, config classes, revoked nodes, deletions. */
#include "check_int.h"
#include "common/text.h"

static bool same_members(const struct region_doc *a, const struct region_doc *b)
{
    return a->n_members == b->n_members && memcmp(a->member, b->member, sizeof a->member[0] * a->n_members) == 0;
}

/* A member's keys are for its life; a new member has a new id. */
static bool members_keep_keys(struct region_doc *now, const struct region_doc *was)
{
    for (unsigned i = 0; i < was->n_members; i++) {
        const struct region_member *m = region_member_find(now, was->member[i].id);
        if (m != NULL && memcmp(m, &was->member[i], sizeof *m) != 0)
            return false;
    }
    return true;
}

/* Genesis lists regions; each speaks for itself and hands over to a new key under the old one. */
enum reeve_err check_region(struct check *k)
{
    enum reeve_err err;
    struct region_doc now, was;
    if (!name_eq(&k->now.object, &k->now.region))
        return refuse(k->rep, REEVE_E_V_UPDATE, "a region speaks for itself only");
    if (region_doc_decode(&now, k->now.payload) != REEVE_OK)
        return refuse(k->rep, REEVE_E_MALFORMED, "region document");
    TRY(check_region_doc(k, &k->now.region, &was));
    bool same_key = memcmp(now.key.b, was.key.b, 32) == 0;
    if (!k->had && (!same_key || now.state != REGION_OK || now.n_members > 0))
        return refuse(k->rep, REEVE_E_V_UPDATE, "region '%s' begins as genesis lists it", k->now.object.s);
    if (!members_keep_keys(&now, &was))
        return refuse(k->rep, REEVE_E_V_UPDATE, "the keys of a member of region '%s' were changed", k->now.object.s);
    k->brakes = same_key && now.state == REGION_OK && same_members(&now, &was);
    /* Who its ring's members are a region's key says anyway; another key, and an end of the freeze, is for approvers. */
    k->inner = same_key && now.state == was.state;
    k->stops = same_key && now.state == REGION_FROZEN && was.state == REGION_OK;
out:
    return err;
}

static bool builtin_attested(const struct name *prefix)
{
    return prefix->len >= 9 && memcmp(prefix->s, "security/", 9) == 0;
}

enum reeve_err check_class(struct check *k)
{
    struct class_doc d;
    if (class_doc_decode(&d, k->now.payload) != REEVE_OK)
        return refuse(k->rep, REEVE_E_MALFORMED, "class document");
    if (builtin_attested(&k->now.object) && !d.attested)
        return refuse(k->rep, REEVE_E_V_UPDATE, "keys under security/ are always attested");
    return REEVE_OK;
}

enum reeve_err check_node(struct check *k)
{
    struct node_doc d;
    if (node_doc_decode(&d, k->now.payload) != REEVE_OK)
        return refuse(k->rep, REEVE_E_MALFORMED, "node document");
    k->stops = true;
    return k->had ? refuse(k->rep, REEVE_E_V_UPDATE, "a node is revoked for good") : REEVE_OK;
}

/* The longest class prefix decides; lookup reads one CLASS object. */
typedef enum reeve_err class_lookup(void *arg, const struct name *prefix, struct attest_object *o);

static enum reeve_err key_class(class_lookup *lookup, void *arg, const struct name *key, bool *attested)
{
    struct name prefix;
    struct attest_object o;
    struct class_doc d;
    *attested = builtin_attested(key);
    for (uint8_t len = key->len; len > 0 && !*attested; len--) {
        if (!name_set(&prefix, slice_of(key->s, len)))
            continue;       /* the cut falls inside a character */
        enum reeve_err err = lookup(arg, &prefix, &o);
        if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && o.update.op != 1))
            continue;
        if (err != REEVE_OK)
            return err;
        if (class_doc_decode(&d, o.update.payload) != REEVE_OK)
            return REEVE_E_CORRUPT;
        *attested = d.attested;
        break;
    }
    return REEVE_OK;
}

static enum reeve_err lookup_in_list(void *arg, const struct name *prefix, struct attest_object *o)
{
    return check_lookup(arg, AT_CLASS, prefix, o);
}

static enum reeve_err lookup_in_kv(void *arg, const struct name *prefix, struct attest_object *o)
{
    return attest_get(arg, AT_CLASS, prefix, o);
}

enum reeve_err check_key_class(struct check *k, const struct name *key, bool *attested)
{
    return key_class(lookup_in_list, k, key, attested);
}

enum reeve_err attest_key_class(struct attest *a, const struct name *key, bool *attested)
{
    return key_class(lookup_in_kv, a, key, attested);
}

/* ---- deletions ---- */

static enum reeve_err cert_uses(struct check *k, const struct attest_object *o, const struct name *authority, bool *yes)
{
    struct cert_doc *d = &k->s->cert[0];
    *yes = false;
    if (o->update.op != 1)
        return REEVE_OK;
    if (cert_doc_decode(d, o->update.payload) != REEVE_OK)
        return REEVE_E_CORRUPT;
    *yes = name_eq(&d->authority, authority);
    return REEVE_OK;
}

static enum reeve_err authority_unused(struct check *k)
{
    struct check_walk w = { .listed = false };
    struct attest_object o;
    enum reeve_err err;
    bool uses = false;
    while (!uses && (err = check_next(k, AT_CERT, &w, &o)) == REEVE_OK)
        TRY(cert_uses(k, &o, &k->now.object, &uses));
    if (uses)
        return refuse(k->rep, REEVE_E_DEPENDENT, "certificates still name authority '%s'", k->now.object.s);
    if (err == REEVE_E_NOT_FOUND)
        err = REEVE_OK;
out:
    return err;
}

static enum reeve_err not_rolling(struct check *k)
{
    uint64_t id;
    if (k->now.type == AT_CERT) {
        if (cert_doc_decode(&k->s->cert[0], k->prev.update.payload) != REEVE_OK)
            return REEVE_E_CORRUPT;
        id = k->s->cert[0].rollout_id;
    } else {
        if (config_doc_decode(&k->s->config[0], k->prev.update.payload) != REEVE_OK)
            return REEVE_E_CORRUPT;
        id = k->s->config[0].rollout_id;
    }
    if (id != 0)
        return refuse(k->rep, REEVE_E_ROLLOUT_RUNNING, "rollout %llu is running on '%s'", (unsigned long long) id,
                      k->now.object.s);
    return REEVE_OK;
}

enum reeve_err check_delete(struct check *k)
{
    if (k->member)
        return refuse(k->rep, REEVE_E_V_UPDATE, "a rollout's target cannot be deleted with it");
    if (!k->live)
        return refuse(k->rep, REEVE_E_V_UPDATE, "'%s' is deleted already", k->now.object.s);
    switch (k->now.type) {
    case AT_CERT:
    case AT_CONFIG:    return not_rolling(k);
    case AT_AUTHORITY: return authority_unused(k);
    case AT_CLASS:     return REEVE_OK;
    case AT_APPROVER:  return check_approver_gone(k);
    case AT_POLICY:    return check_policy_gone(k);
    default:
        return refuse(k->rep, REEVE_E_V_UPDATE, "a %s cannot be deleted", attest_type_name((enum attest_type) k->now.type));
    }
}
