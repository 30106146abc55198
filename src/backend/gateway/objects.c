/*
 * objects.c - which attested objects a profile follows
 *
 * The table is walked in groups: what everybody follows, and each CERT with
 * its authority and rollout under its predicate. One walk feeds two callers:
 * gather() lists the keys of one profile, refresh() chains the leaf hashes of
 * all of them into each profile's signature, so that a change is noticed by a
 * comparison of 32 bytes.
 */
#include "backend/gateway/gateway_int.h"

#define GROUP_MAX (2 + 1)

struct group {
    struct object_key key[GROUP_MAX];
    size_t n;
    struct hash32 hash;                 /* over the leaf hashes */
    const struct predicate *where;      /* NULL: everybody */
};
typedef void group_fn(void *arg, const struct group *g);

static void group_add(struct view *v, struct group *g, uint8_t type, const struct name *name)
{
    struct attest_object o;
    reeve_assert(g->n < GROUP_MAX);
    g->key[g->n].type = type;
    g->key[g->n].name = *name;
    g->n++;
    if (attest_get(&v->attest, (enum attest_type) type, name, &o) != REEVE_OK)
        memset(&o.leaf_hash, 0, sizeof o.leaf_hash);
    const struct slice parts[4] = { slice_of(g->hash.b, 32), slice_of(&type, 1), slice_of(name->s, name->len + 1u),
                                    slice_of(o.leaf_hash.b, 32) };
    struct hash32 h;
    sha256_parts(&h, parts, 4);
    g->hash = h;
}

static void add_rollout(struct view *v, struct group *g, uint64_t id)
{
    struct name name;
    struct wr w = wr_fixed(name.s, sizeof name.s);
    if (id == 0)
        return;
    wr_printf(&w, "%llu", (unsigned long long) id);
    name.s[w.len] = 0;
    name.len = (uint8_t) w.len;
    group_add(v, g, AT_ROLLOUT, &name);
}

/* Everything of one type as groups of one; rollouts of CONFIG objects go with them. */
static enum reeve_err walk_common(struct gateway *gw, struct view *v, enum attest_type type, group_fn *fn, void *arg)
{
    struct name after = { 0 };
    struct attest_object o;
    enum reeve_err err;
    while ((err = attest_next(&v->attest, type, &after, &o)) == REEVE_OK) {
        struct group g = { .n = 0 };
        uint64_t rollout = 0;
        struct name name = o.update.object;
        if (type == AT_CONFIG && o.update.op == 1 && config_doc_decode(&gw->config, o.update.payload) == REEVE_OK)
            rollout = gw->config.rollout_id;
        group_add(v, &g, (uint8_t) type, &name);
        add_rollout(v, &g, rollout);
        fn(arg, &g);
        after = name;
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

static enum reeve_err walk_certs(struct gateway *gw, struct view *v, group_fn *fn, void *arg)
{
    struct name after = { 0 };
    struct attest_object o;
    enum reeve_err err;
    while ((err = attest_next(&v->attest, AT_CERT, &after, &o)) == REEVE_OK) {
        struct group g = { .n = 0 };
        after = o.update.object;
        if (o.update.op != 1 || cert_doc_decode(&gw->cert, o.update.payload) != REEVE_OK)
            continue;
        group_add(v, &g, AT_CERT, &after);
        group_add(v, &g, AT_AUTHORITY, &gw->cert.authority);
        add_rollout(v, &g, gw->cert.rollout_id);
        g.where = &gw->cert.where;
        fn(arg, &g);
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

static enum reeve_err walk(struct gateway *g, struct view *v, group_fn *fn, void *arg)
{
    enum reeve_err err;
    struct group region = { .n = 0 };
    group_add(v, &region, AT_REGION, &g->facts.region);
    fn(arg, &region);
    TRY(walk_common(g, v, AT_CLASS, fn, arg));
    TRY(walk_common(g, v, AT_CONFIG, fn, arg));
    TRY(walk_certs(g, v, fn, arg));
out:
    return err;
}

/* Does the byte code read the node id? Then it is nobody's business here: the agent judges it itself. */
static bool reads_node_id(const struct predicate *p)
{
    for (size_t i = 0; i < p->len; i++) {
        uint8_t op = p->code[i];
        if (op == 0x05)
            return true;
        if ((op == 0x01 || op == 0x03) && i + 1 < p->len)
            i += 1u + p->code[i + 1];
        else if (op == 0x19)
            i++;
    }
    return false;
}

static bool applies(const struct group *g, const struct name *region, const struct labels *labels)
{
    return g->where == NULL || g->where->len == 0 || reads_node_id(g->where) ||
           predicate_holds(g->where, region, labels, slice_of(NULL, 0));
}

/* ---- profiles' signatures: what changed? ---- */

static void chain_one(struct profile *p, const struct group *grp)
{
    static struct labels labels;
    struct hash32 h;
    if (!profile_labels(p, &labels) || !applies(grp, &p->region, &labels))
        return;
    const struct slice parts[2] = { slice_of(p->sig.b, 32), slice_of(grp->hash.b, 32) };
    sha256_parts(&h, parts, 2);
    p->sig = h;
}

static void chain_all(void *arg, const struct group *grp)
{
    struct gateway *g = arg;
    for (struct profile *p = g->profiles; p != NULL; p = p->next)
        chain_one(p, grp);
}

static void chain_this(void *arg, const struct group *grp)
{
    chain_one(arg, grp);
}

static void begin(struct profile *p)
{
    p->was = p->sig;
    memset(&p->sig, 0, sizeof p->sig);
}

static void end(struct profile *p)
{
    if (p->version == 0 || !hash32_eq(&p->was, &p->sig))
        p->version++;
}

enum reeve_err objects_refresh(struct gateway *g, struct view *v)
{
    for (struct profile *p = g->profiles; p != NULL; p = p->next)
        begin(p);
    enum reeve_err err = walk(g, v, chain_all, g);
    for (struct profile *p = g->profiles; p != NULL; p = p->next)
        end(p);
    return err;
}

enum reeve_err objects_refresh_one(struct gateway *g, struct view *v, struct profile *p)
{
    begin(p);
    enum reeve_err err = walk(g, v, chain_this, p);
    end(p);
    return err;
}

/* ---- one profile: the list ---- */

struct gathering {
    struct gateway *g;
    const struct profile *p;
    struct labels labels;
    size_t n;
};

static void add_key(struct gathering *a, uint8_t type, const struct name *name)
{
    struct gateway *g = a->g;
    for (size_t i = 0; i < a->n; i++)
        if (g->keys[i].type == type && name_eq(&g->keys[i].name, name))
            return;
    if (a->n == GW_OBJECTS_MAX) {
        log_limited(LOG_SEV_WARNING, "an agent would follow more than %d objects; the rest is left out", GW_OBJECTS_MAX);
        return;
    }
    g->keys[a->n].type = type;
    g->keys[a->n].name = *name;
    a->n++;
}

static void gather_group(void *arg, const struct group *grp)
{
    struct gathering *a = arg;
    if (applies(grp, &a->p->region, &a->labels))
        for (size_t i = 0; i < grp->n; i++)
            add_key(a, grp->key[i].type, &grp->key[i].name);
}

static bool has_prefix(const struct name *n, const struct name *prefix)
{
    return n->len >= prefix->len && memcmp(n->s, prefix->s, prefix->len) == 0;
}

/* Others' NODE objects are not for everybody's eyes, and who approves is no business of nodes. */
static bool may_follow(uint8_t type)
{
    return type >= AT_VALSET && type < AT_NODE;
}

static void gather_subject(struct gathering *a, struct view *v, const struct subject *s)
{
    struct attest_object o;
    if (!may_follow(s->type))
        return;
    if (!s->prefix) {
        add_key(a, s->type, &s->name);
        return;
    }
    struct name after = { 0 };
    while (a->n < GW_OBJECTS_MAX &&
           attest_next(&v->attest, (enum attest_type) s->type, &after, &o) == REEVE_OK) {
        after = o.update.object;
        if (has_prefix(&after, &s->name))
            add_key(a, s->type, &after);
    }
}

enum reeve_err objects_gather(struct gateway *g, struct view *v, const struct profile *p,
                              const struct subjects *extra, bool own, size_t *n)
{
    static struct gathering a;
    enum reeve_err err = REEVE_OK;
    a.g = g;
    a.p = p;
    a.n = 0;
    if (!profile_labels(p, &a.labels))
        return REEVE_E_BUG;
    if (own)
        err = walk(g, v, gather_group, &a);
    for (uint32_t i = 0; extra != NULL && i < extra->n && err == REEVE_OK; i++)
        gather_subject(&a, v, &extra->s[i]);
    *n = a.n;
    return err;
}
