/*
 * map.c - the sparse map in kv.
 *
 * A slot is one place in the trie: empty, a leaf (key, value), or the hash of
 * an inner node. The top slot lies under prefix 'M'; an inner node of depth d
 * is a record of two slots under prefix 'M' d path. Leaves live in their
 * parent's slot, so the deepest record has depth 254 and a proof at most 255
 * siblings: two keys that share their first 255 bits are refused.
 */
#include "engine/merkle.h"

#define NODE_KEY_LEN  35
#define SLOT_LEN      65            /* kind, key or hash, value */
#define DEPTH_MAX     255

enum slot_kind { SLOT_EMPTY = 0, SLOT_LEAF = 1, SLOT_INNER = 2 };
struct slot { uint8_t kind; struct hash32 key, value; /* SLOT_INNER: its hash stands in key */ };
struct node { struct slot child[2]; };

static unsigned bit_of(const struct hash32 *key, unsigned i)
{
    return key->b[i / 8] >> (7 - i % 8) & 1;
}

/* First bit in which two different keys differ. */
static unsigned first_difference(const struct hash32 *a, const struct hash32 *b)
{
    unsigned i = 0;
    while (a->b[i] == b->b[i])
        i++;
    return 8 * i + (unsigned) __builtin_clz((unsigned) (a->b[i] ^ b->b[i])) - 24;
}

static void leaf_hash(const struct crypto_ops *c, struct hash32 *out, const struct hash32 *key, const struct hash32 *value)
{
    const struct slice parts[] = { slice_of("\x02", 1), slice_of(key->b, 32), slice_of(value->b, 32) };
    c->sha256(out, parts, 3);
}

static void inner_hash(const struct crypto_ops *c, struct hash32 *out, const struct hash32 *l, const struct hash32 *r)
{
    const struct slice parts[] = { slice_of("\x03", 1), slice_of(l->b, 32), slice_of(r->b, 32) };
    c->sha256(out, parts, 3);
}

static void slot_hash(const struct crypto_ops *c, struct hash32 *out, const struct slot *s)
{
    if (s->kind == SLOT_LEAF)
        leaf_hash(c, out, &s->key, &s->value);
    else if (s->kind == SLOT_INNER)
        *out = s->key;
    else
        memset(out, 0, sizeof *out);
}

static void node_slot(const struct crypto_ops *c, struct slot *out, const struct node *n)
{
    struct hash32 l, r;
    slot_hash(c, &l, &n->child[0]);
    slot_hash(c, &r, &n->child[1]);
    memset(out, 0, sizeof *out);
    out->kind = SLOT_INNER;
    inner_hash(c, &out->key, &l, &r);
}

/* ---- records ---- */

static void slot_put(struct wr *w, const struct slot *s)
{
    wr_u8(w, s->kind);
    if (s->kind != SLOT_EMPTY)
        wr_bytes(w, s->key.b, 32);
    if (s->kind == SLOT_LEAF)
        wr_bytes(w, s->value.b, 32);
}

static void slot_get(struct rd *r, struct slot *s)
{
    memset(s, 0, sizeof *s);
    s->kind = rd_u8(r);
    if (s->kind > SLOT_INNER)
        r->bad = true;
    if (s->kind != SLOT_EMPTY)
        rd_copy(r, s->key.b, 32);
    if (s->kind == SLOT_LEAF)
        rd_copy(r, s->value.b, 32);
}

static struct slice node_key(const struct merkle_map *m, uint8_t mem[NODE_KEY_LEN], unsigned depth, const struct hash32 *key)
{
    memset(mem, 0, NODE_KEY_LEN);
    mem[0] = m->prefix;
    mem[1] = 'M';
    mem[2] = (uint8_t) depth;
    memcpy(mem + 3, key->b, depth / 8);
    if (depth % 8 != 0)
        mem[3 + depth / 8] = key->b[depth / 8] & (uint8_t) (0xff00u >> depth % 8);
    return slice_of(mem, NODE_KEY_LEN);
}

static enum reeve_err top_get(struct merkle_map *m, struct slot *s)
{
    const uint8_t key[2] = { m->prefix, 'M' };
    struct slice v;
    enum reeve_err err = kv_get(m->kv, slice_of(key, 2), &v);
    if (err == REEVE_E_NOT_FOUND) {
        memset(s, 0, sizeof *s);
        return REEVE_OK;
    }
    if (err != REEVE_OK)
        return err;
    struct rd r = rd_of(v);
    slot_get(&r, s);
    return rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err top_put(struct merkle_map *m, const struct slot *s)
{
    const uint8_t key[2] = { m->prefix, 'M' };
    uint8_t mem[SLOT_LEN];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (s->kind == SLOT_EMPTY)
        return kv_del(m->kv, slice_of(key, 2));
    slot_put(&w, s);
    return kv_put(m->kv, slice_of(key, 2), wr_slice(&w));
}

static enum reeve_err node_get(struct merkle_map *m, unsigned depth, const struct hash32 *key, struct node *n)
{
    uint8_t mem[NODE_KEY_LEN];
    struct slice v;
    enum reeve_err err = kv_get(m->kv, node_key(m, mem, depth, key), &v);
    if (err == REEVE_E_NOT_FOUND)
        return REEVE_E_CORRUPT;
    if (err != REEVE_OK)
        return err;
    struct rd r = rd_of(v);
    slot_get(&r, &n->child[0]);
    slot_get(&r, &n->child[1]);
    return rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err node_put(struct merkle_map *m, unsigned depth, const struct hash32 *key, const struct node *n)
{
    uint8_t mem[NODE_KEY_LEN], val[2 * SLOT_LEN];
    struct wr w = wr_fixed(val, sizeof val);
    slot_put(&w, &n->child[0]);
    slot_put(&w, &n->child[1]);
    return kv_put(m->kv, node_key(m, mem, depth, key), wr_slice(&w));
}

static enum reeve_err node_del(struct merkle_map *m, unsigned depth, const struct hash32 *key)
{
    uint8_t mem[NODE_KEY_LEN];
    return kv_del(m->kv, node_key(m, mem, depth, key));
}

/* ---- changes ---- */

/* Follows key to the slot that ends its path; *depth inner nodes lie above it. */
static enum reeve_err descend(struct merkle_map *m, const struct hash32 *key, struct slot *s, unsigned *depth)
{
    enum reeve_err err;
    struct node n;
    *depth = 0;
    TRY(top_get(m, s));
    while (s->kind == SLOT_INNER) {
        if (*depth >= DEPTH_MAX)
            return REEVE_E_CORRUPT;
        TRY(node_get(m, *depth, key, &n));
        *s = n.child[bit_of(key, (*depth)++)];
    }
out:
    return err;
}

/* Two leaves under one slot of that depth: inner nodes down to where they part. s becomes the topmost. */
static enum reeve_err split(struct merkle_map *m, struct slot *s, const struct slot *leaf, unsigned depth)
{
    enum reeve_err err;
    unsigned at = first_difference(&s->key, &leaf->key);
    if (at >= DEPTH_MAX)
        return REEVE_E_TOO_COMPLEX;
    struct node n = { 0 };
    n.child[bit_of(&s->key, at)] = *s;
    n.child[bit_of(&leaf->key, at)] = *leaf;
    for (;;) {
        TRY(node_put(m, at, &leaf->key, &n));
        node_slot(m->c, s, &n);
        if (at-- == depth)
            break;
        memset(&n, 0, sizeof n);
        n.child[bit_of(&leaf->key, at)] = *s;
    }
out:
    return err;
}

/*
 * Puts slot s, which now ends the path of key at that depth, into the records
 * above it. A record left with nothing but one leaf goes away and the leaf
 * moves up: the shape depends on the content alone, never on its history.
 */
static enum reeve_err ascend(struct merkle_map *m, const struct hash32 *key, struct slot s, unsigned depth,
                             struct hash32 *root)
{
    enum reeve_err err;
    struct node n;
    while (depth-- > 0) {
        TRY(node_get(m, depth, key, &n));
        unsigned b = bit_of(key, depth);
        n.child[b] = s;
        const struct slot *other = &n.child[!b];
        bool alone = s.kind == SLOT_EMPTY ? other->kind == SLOT_LEAF : s.kind == SLOT_LEAF && other->kind == SLOT_EMPTY;
        if (alone) {
            if (s.kind == SLOT_EMPTY)
                s = *other;
            TRY(node_del(m, depth, key));
        } else {
            TRY(node_put(m, depth, key, &n));
            node_slot(m->c, &s, &n);
        }
    }
    TRY(top_put(m, &s));
    slot_hash(m->c, root, &s);
out:
    return err;
}

enum reeve_err merkle_map_set(struct merkle_map *m, const struct hash32 *key, const struct hash32 *value,
                              struct hash32 *root)
{
    enum reeve_err err;
    struct slot s, leaf = { SLOT_LEAF, *key, *value };
    unsigned depth;
    TRY(descend(m, key, &s, &depth));
    bool same = s.kind == SLOT_LEAF && hash32_eq(&s.key, key);
    if (hash32_is_zero(value)) {
        if (!same)
            return merkle_map_root(m, root);
        memset(&s, 0, sizeof s);
    } else if (s.kind == SLOT_EMPTY || same) {
        s = leaf;
    } else {
        TRY(split(m, &s, &leaf, depth));
    }
    TRY(ascend(m, key, s, depth, root));
out:
    return err;
}

enum reeve_err merkle_map_root(struct merkle_map *m, struct hash32 *root)
{
    struct slot s;
    enum reeve_err err = top_get(m, &s);
    if (err == REEVE_OK)
        slot_hash(m->c, root, &s);
    return err;
}

/* ---- proofs ---- */

enum reeve_err merkle_map_prove(struct merkle_map *m, const struct hash32 *key, struct wr *out)
{
    enum reeve_err err;
    struct slot s;
    struct node n;
    struct hash32 h;
    unsigned depth;
    TRY(descend(m, key, &s, &depth));
    wr_u8(out, (uint8_t) depth);
    for (unsigned d = 0; d < depth; d++) {
        TRY(node_get(m, d, key, &n));
        slot_hash(m->c, &h, &n.child[!bit_of(key, d)]);
        wr_bytes(out, h.b, 32);
    }
    bool other = s.kind == SLOT_LEAF && !hash32_eq(&s.key, key);
    wr_u8(out, s.kind == SLOT_EMPTY ? 0 : other ? 2 : 1);
    if (other) {
        wr_bytes(out, s.key.b, 32);
        wr_bytes(out, s.value.b, 32);
    }
    if (out->bad)
        return REEVE_E_TOO_BIG;
out:
    return err;
}

/* Hash of what ends the path according to the proof; false where it cannot end this path. */
static bool proof_end(const struct crypto_ops *c, const struct hash32 *key, const struct hash32 *value, unsigned depth,
                      struct rd *in, struct hash32 *h)
{
    struct hash32 k, v;
    switch (rd_u8(in)) {
    case 0:
        memset(h, 0, sizeof *h);
        return value == NULL;
    case 1:
        if (value == NULL || hash32_is_zero(value))
            return false;
        leaf_hash(c, h, key, value);
        return true;
    case 2:
        rd_copy(in, k.b, 32);
        rd_copy(in, v.b, 32);
        leaf_hash(c, h, &k, &v);
        return value == NULL && !hash32_is_zero(&v) && !hash32_eq(&k, key) && first_difference(&k, key) >= depth;
    default:
        return false;
    }
}

enum reeve_err merkle_map_verify(const struct crypto_ops *c, const struct hash32 *root, const struct hash32 *key,
                                 const struct hash32 *value, struct rd *in)
{
    unsigned depth = rd_u8(in);
    struct slice sib = rd_bytes(in, 32u * depth);
    struct hash32 h, s;
    if (!proof_end(c, key, value, depth, in, &h) || in->bad)
        return REEVE_E_V_MAP;
    for (unsigned d = depth; d-- > 0;) {
        memcpy(s.b, sib.p + 32u * d, 32);
        /* The lowest inner node holds two entries, so next to a leaf or nothing stands something. */
        if (d == depth - 1 && hash32_is_zero(&s))
            return REEVE_E_V_MAP;
        if (bit_of(key, d))
            inner_hash(c, &h, &s, &h);
        else
            inner_hash(c, &h, &h, &s);
    }
    return hash32_eq(&h, root) ? REEVE_OK : REEVE_E_V_MAP;
}
