/*
 * check.c - what every update must satisfy: its signature, its region, its
 * place in the object's chain of versions. The kinds' own rules are arms.
 */
#include "codec_int.h"
#include "check_int.h"
#include "recovery_int.h"
#include "common/text.h"

#define SIG_LEN 64

enum reeve_err check_lookup(struct check *k, enum attest_type type, const struct name *name, struct attest_object *o)
{
    for (size_t i = k->at; i > 0; i--) {
        const struct attest_object *seen = &k->s->seen[i - 1];
        if (seen->update.type == type && name_eq(&seen->update.object, name)) {
            *o = *seen;
            return REEVE_OK;
        }
    }
    return attest_get(k->a, type, name, o);
}

/* An object the list brought: here at its last update, unless the parent state has it (then it came before). */
static enum reeve_err listed_next(struct check *k, enum attest_type type, struct check_walk *w, struct attest_object *o)
{
    while (w->i < k->at) {
        const struct attest_object *seen = &k->s->seen[w->i++];
        if (seen->update.type != type || seen->update.op != 1)
            continue;
        enum reeve_err err = attest_get(k->a, type, &seen->update.object, o);
        if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
            return err;
        if (err == REEVE_OK)
            continue;
        err = check_lookup(k, type, &seen->update.object, o);
        if (err != REEVE_OK || o->version == seen->version)
            return err;
    }
    return REEVE_E_NOT_FOUND;
}

enum reeve_err check_next(struct check *k, enum attest_type type, struct check_walk *w, struct attest_object *o)
{
    while (!w->listed) {
        enum reeve_err err = attest_next(k->a, type, &w->after, o);
        w->listed = err == REEVE_E_NOT_FOUND;
        if (err == REEVE_OK)
            err = check_lookup(k, type, &w->after, o);
        if (!w->listed && (err != REEVE_OK || o->update.op == 1))
            return err;
    }
    return listed_next(k, type, w, o);
}

/* ---- regions ---- */

static enum reeve_err genesis_region(struct attest *a, const struct name *region, struct region_doc *d)
{
    struct slice doc;
    struct genesis *g = &attest_scratch(a)->genesis;
    enum reeve_err err = attest_genesis(a, &doc);
    if (err != REEVE_OK)
        return err;
    if (genesis_decode(g, doc) != REEVE_OK)
        return REEVE_E_CORRUPT;
    for (uint16_t i = 0; i < g->n_regions; i++)
        if (name_eq(&g->region[i].name, region)) {
            *d = (struct region_doc){ .key = g->region[i].key, .state = REGION_OK };
            return REEVE_OK;
        }
    return REEVE_E_UNDEFINED_OBJECT;
}

static enum reeve_err region_of(struct attest *a, enum reeve_err found, const struct attest_object *o,
                                const struct name *region, struct region_doc *d)
{
    if (found == REEVE_E_NOT_FOUND)
        return genesis_region(a, region, d);
    if (found != REEVE_OK)
        return found;
    return region_doc_decode(d, o->update.payload) == REEVE_OK ? REEVE_OK : REEVE_E_CORRUPT;
}

enum reeve_err check_region_doc(struct check *k, const struct name *region, struct region_doc *d)
{
    struct attest_object o;
    return region_of(k->a, check_lookup(k, AT_REGION, region, &o), &o, region, d);
}

enum reeve_err attest_region(struct attest *a, const struct name *region, struct region_doc *out)
{
    struct attest_object o;
    return region_of(a, attest_get(a, AT_REGION, region, &o), &o, region, out);
}

/* ---- what every update must satisfy ---- */

/* Who speaks for a region is said by the region's own key alone: a member that was taken over names no accomplices. */
static enum reeve_err check_signature(struct check *k, const struct region_doc *region)
{
    struct hash32 digest;
    struct slice leaf = k->leaves[k->at];
    unsigned n = k->now.type == AT_REGION ? 1 : 1u + region->n_members, i = 0;
    update_sign_digest(k->a->c, &digest, &k->chain_id, slice_of(leaf.p, leaf.len - SIG_LEN));
    while (i < n && !k->a->c->verify(&k->now.region_sig, slice_of(digest.b, 32), region_doc_key(region, i)))
        i++;
    if (i == n)
        return refuse(k->rep, REEVE_E_V_SIGNATURE, "the update is not signed by region '%s'", k->now.region.s);
    return REEVE_OK;
}

static enum reeve_err check_place(struct check *k)
{
    const struct update *u = &k->now;
    enum reeve_err err = check_lookup(k, (enum attest_type) u->type, &u->object, &k->prev);
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        return err;
    k->had = err == REEVE_OK;
    k->live = k->had && k->prev.update.op == 1;
    uint64_t want = k->had ? k->prev.version + 1 : 1;
    if (u->version != want || (k->had && !hash32_eq(&u->prev, &k->prev.leaf_hash)))
        return refuse(k->rep, REEVE_E_CONFLICT, "%s '%s' has changed meanwhile (version %llu follows, not %llu)",
                      attest_type_name((enum attest_type) u->type), u->object.s, (unsigned long long) want,
                      (unsigned long long) u->version);
    if (k->had && u->type != AT_NODE && u->type != AT_VALSET && !name_eq(&k->prev.update.region, &u->region))
        return refuse(k->rep, REEVE_E_V_UPDATE, "%s '%s' belongs to region '%s'",
                      attest_type_name((enum attest_type) u->type), u->object.s, k->prev.update.region.s);
    if (k->live && u->op == 1 && slice_eq(k->prev.update.payload, u->payload))
        return refuse(k->rep, REEVE_E_V_UPDATE, "the update changes nothing");
    return REEVE_OK;
}

/* While a group is open the next update must be that of its next target. */
static enum reeve_err check_group(struct check *k)
{
    const struct rollout_doc *r = &k->s->rollout[1];
    k->member = k->group.open;
    if (!k->group.open)
        return REEVE_OK;
    const struct rollout_target *t = &r->target[k->group.next];
    if (t->type != k->now.type || !name_eq(&t->name, &k->now.object))
        return refuse(k->rep, REEVE_E_V_UPDATE, "rollout %llu must be followed by the update of its target '%s'",
                      (unsigned long long) r->id, t->name.s);
    k->group.open = ++k->group.next < r->n_targets;
    return REEVE_OK;
}

static enum reeve_err check_kind(struct check *k)
{
    if (k->now.op == 2)
        return check_delete(k);
    switch (k->now.type) {
    case AT_VALSET:    return check_valset(k);
    case AT_REGION:    return check_region(k);
    case AT_AUTHORITY: return check_authority(k);
    case AT_CERT:      return check_cert(k);
    case AT_ROLLOUT:   return check_rollout(k);
    case AT_CONFIG:    return check_config(k);
    case AT_CLASS:     return check_class(k);
    case AT_NODE:      return check_node(k);
    case AT_APPROVER:  return check_approver(k);
    case AT_POLICY:    return check_policy(k);
    case AT_VETO:      return check_veto(k);
    case AT_CHECKPOINT: return check_checkpoint(k);
    default:
        return refuse(k->rep, REEVE_E_UNSUPPORTED, "a %s cannot be changed yet", attest_type_name((enum attest_type) k->now.type));
    }
}

static enum reeve_err check_one(struct check *k)
{
    enum reeve_err err;
    struct region_doc region;
    const struct attest_object *prev;
    if (update_decode(&k->now, k->leaves[k->at]) != REEVE_OK)
        return refuse(k->rep, REEVE_E_MALFORMED, "update %zu of the list cannot be read", k->at + 1);
    err = check_region_doc(k, &k->now.region, &region);
    if (err == REEVE_E_UNDEFINED_OBJECT)
        return refuse(k->rep, err, "region '%s' is not attested", k->now.region.s);
    if (err != REEVE_OK)
        return err;
    if (k->need == NULL && !k->recovery)
        TRY(check_signature(k, &region));
    TRY(check_place(k));
    TRY(check_group(k));
    k->brakes = k->stops = k->inner = false;
    TRY(check_kind(k));
    if (k->recovery)
        k->brakes = true;
    else
        TRY(check_approvals(k));
    if (region.state == REGION_FROZEN && !k->brakes)
        return refuse(k->rep, REEVE_E_REGION_FROZEN, "region '%s' is frozen", k->now.region.s);
    prev = k->had ? &k->prev : NULL;
    TRY(object_derive(k->a, prev, &k->now, k->leaves[k->at], k->time, &k->s->seen[k->at]));
out:
    return err;
}

static enum reeve_err check_size(struct check *k)
{
    size_t total = 0;
    for (size_t i = 0; i < k->n && i < ATTEST_BLOCK_LEAVES_MAX; i++)
        total += k->leaves[i].len + 4;
    /* 8 KiB is more than any finalization needs. */
    if (k->n > ATTEST_BLOCK_LEAVES_MAX || total > ATTEST_BLOCK_MAX - 8192)
        return refuse(k->rep, REEVE_E_TOO_BIG, "more updates than one block can hold");
    return REEVE_OK;
}

static enum reeve_err check_list(struct check *k)
{
    enum reeve_err err;
    struct attest_head head;
    TRY(attest_head(k->a, &head));
    k->chain_id = head.chain_id;
    if (k->time.ms <= head.header.time.ms)
        return refuse(k->rep, REEVE_E_V_TIME, "the time does not exceed the parent's");
    TRY(check_size(k));
    for (k->at = 0; k->at < k->n; k->at++)
        TRY(check_one(k));
    if (k->group.open)
        return refuse(k->rep, REEVE_E_V_UPDATE, "rollout %llu comes without the update of its target '%s'",
                      (unsigned long long) k->s->rollout[1].id, k->s->rollout[1].target[k->group.next].name.s);
    if (k->bundle.open)
        return refuse(k->rep, REEVE_E_V_UPDATE, "proposal '%s' comes without its part %u", k->bundle.proposal.s, k->bundle.next + 1);
out:
    return err;
}

enum reeve_err attest_check(struct attest *a, const struct slice *leaves, size_t n, struct wall_ms time,
                            struct report *rep)
{
    struct check k = { .a = a, .s = attest_scratch(a), .leaves = leaves, .n = n, .time = time, .rep = rep };
    return check_list(&k);
}

enum reeve_err attest_check_recovery(struct attest *a, const struct slice *leaves, size_t n, struct wall_ms time,
                                     struct report *rep)
{
    struct check k = { .a = a, .s = attest_scratch(a), .leaves = leaves, .n = n, .time = time, .rep = rep, .recovery = true };
    if (n != 1 || valset_payload_find(leaves, n).len == 0)
        return refuse(rep, REEVE_E_V_UPDATE, "a recovery names the next validator set and nothing else");
    return check_list(&k);
}

enum reeve_err attest_check_proposal(struct attest *a, const struct slice *leaves, size_t n, struct wall_ms time,
                                     struct proposal_need *need, struct report *rep)
{
    struct check k = { .a = a, .s = attest_scratch(a), .leaves = leaves, .n = n, .time = time, .rep = rep, .need = need };
    memset(need, 0, sizeof *need);
    return check_list(&k);
}
