/* sys_certs.c - sys.certs, sys.cert_generations, sys.authorities */
#include "cat_int.h"

#include "crypto/x509.h"

const char *cat_gen_state(uint8_t s)
{
    static const char *const names[] = { "?", "prepared", "active", "retired", "withdrawn", "revoked" };
    return s < 6 ? names[s] : "?";
}

const char *cat_auth_state(uint8_t s)
{
    static const char *const names[] = { "?", "pending", "prepared", "active", "tainted", "revoked" };
    return s < 6 ? names[s] : "?";
}

/* ---- what nodes serve, counted from their reports ---- */

/* The generation a node should serve when no rollout says otherwise: by rules, which look at the node. */
static enum reeve_err base_gen(struct cat *c, const struct name *object, const struct cert_doc *d, struct slice key,
                               size_t prefix, struct node_row *node, uint32_t *gen)
{
    struct node_view v;
    struct rd r = rd_of(slice_of(key.p + prefix, key.len > prefix ? key.len - prefix : 0));
    uint32_t ordinal = rd_u32(&r);
    *gen = d->active_gen;
    if (d->n_rules == 0)
        return REEVE_OK;
    enum reeve_err err = region_node_get(&c->sn.region, ordinal, node);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    memset(&v, 0, sizeof v);
    v.region = node->region;
    v.labels = &node->labels;
    node_id_text(v.id_text, &node->id);
    *gen = cert_gen_for(d, NULL, object, &v);
    return REEVE_OK;
}

static uint32_t gen_before(const struct cert_doc *d, uint32_t gen)
{
    uint32_t before = 0;
    for (uint8_t i = 0; i < d->n; i++)
        if (d->g[i].gen < gen && d->g[i].state != GEN_WITHDRAWN)
            before = d->g[i].gen;
    return before;
}

/* What precedes the ordinal in the keys of a certificate's deployment rows. */
static size_t deploy_prefix(uint8_t out[NAME_MAX_LEN + 2], const struct name *cert)
{
    out[0] = AT_CERT;
    memcpy(out + 1, cert->s, cert->len);
    out[1 + cert->len] = 0;
    return cert->len + 2u;
}

static enum reeve_err count_deploys(struct cat *c, const struct name *object, const struct cert_doc *d, struct deploy_counts *n)
{
    uint8_t prefix[NAME_MAX_LEN + 2];
    struct kv_iter it;
    struct slice key, val;
    struct deploy_row row;
    uint32_t should;
    enum reeve_err err;
    struct node_row *node = cat_alloc(c, sizeof *node, &err);
    memset(n, 0, sizeof *n);
    if (node == NULL)
        return err;
    size_t len = deploy_prefix(prefix, object);
    region_iter_init(&c->sn.region, &it, 'd', slice_of(prefix, len));
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        if (deploy_row_decode(&row, val) != REEVE_OK)
            return REEVE_E_CORRUPT;
        if ((err = base_gen(c, object, d, key, len, node, &should)) != REEVE_OK)
            return err;
        n->targets++;
        if (row.serving_gen == 0)
            n->unknown++;
        else if (row.serving_gen == should)
            n->current++;
        else if (row.serving_gen == gen_before(d, should))
            n->previous++;
        else
            n->older++;
    }
    return cat_end(err);
}

static const struct vcolumn certs_columns[] = {
    { "name", T_TEXT, true }, { "authority", T_TEXT, true }, { "generation", T_INT4, true }, { "state", T_TEXT, true },
    { "subject", T_TEXT, false }, { "sans", T_TEXT_ARRAY, false }, { "key_type", T_TEXT, false },
    { "mode", T_TEXT, true }, { "not_before", T_TIMESTAMPTZ, false }, { "not_after", T_TIMESTAMPTZ, true },
    { "renew_at", T_TIMESTAMPTZ, true }, { "strategy", T_TEXT, false }, { "targets", T_INT4, true },
    { "on_current", T_INT4, true }, { "on_previous", T_INT4, true }, { "on_older", T_INT4, false },
    { "unknown", T_INT4, false }, { "rollout_id", T_INT8, true }, { "target", T_TEXT, false },
};

static struct datum predicate_text(struct vscan *s, const struct predicate *p)
{
    if (p->len == 0)
        return d_null();
    struct wr w = wr_heap(16384);
    predicate_describe(p, &w);
    struct datum d = d_text(arena_copy(s->row, wr_slice(&w)));
    wr_free(&w);
    return d;
}

static enum reeve_err cert_row(struct cat *c, const struct name *name, struct cert_doc *d)
{
    static const char *const modes[] = { "?", "per-node", "shared per region", "shared" };
    struct vscan *s = c->s;
    struct deploy_counts n = { 0 };
    enum reeve_err err = REEVE_OK;
    for (int col = 12; col <= 16; col++)
        if (vscan_needs(s, col)) {
            TRY(count_deploys(c, name, d, &n));
            break;
        }
    const struct cert_gen *g = cert_gen_find(d, d->active_gen);
    struct datum v[] = {
        d_name(name), d_name(&d->authority), g ? d_int(g->gen) : d_null(),
        d_str(d->rollout_id ? "rotating" : g == NULL ? "none" : cat_gen_state(g->state)),
        d_str(d->subject), d_names(s, d->san, d->n_sans), d_str(key_type_name(d->key_type)),
        d_str(d->mode < 4 ? modes[d->mode] : "?"), g ? d_wall(g->not_before) : d_null(), g ? d_wall(g->not_after) : d_null(),
        g ? d_wall(cert_renew_at(d, g)) : d_null(), d_name(&d->strategy),
        d_int(n.targets), d_int(n.current), d_int(n.previous), d_int(n.older), d_int(n.unknown),
        d->rollout_id ? d_int((int64_t) d->rollout_id) : d_null(), predicate_text(s, &d->where),
    };
    TRY(vscan_row(s, v));
out:
    return err;
}

typedef enum reeve_err (*cert_fn)(struct cat *c, const struct name *name, struct cert_doc *d);

static enum reeve_err each_cert(struct vscan *s, cert_fn fn)
{
    struct cat c;
    struct name after = { 0 };
    struct cert_doc *d;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    if ((d = cat_alloc(&c, sizeof *d, &err)) != NULL)
        while ((err = cat_next_object(&c, AT_CERT, &after)) == REEVE_OK) {
            TRY(cert_doc_decode(d, c.o->update.payload));
            if (cat_may_see(&c, GK_CERT, &after))
                TRY(fn(&c, &after, d));
        }
out:
    cat_close(&c);
    return cat_end(err);
}

static enum reeve_err scan_certs(struct vscan *s)
{
    return each_cert(s, cert_row);
}
RELATION(sys_certs, "sys", "certs", certs_columns, VKEY_NONE, scan_certs, "cert");

static const struct vcolumn gens_columns[] = {
    { "cert", T_TEXT, true }, { "generation", T_INT4, true }, { "state", T_TEXT, true }, { "issued_at", T_TIMESTAMPTZ, true },
    { "not_before", T_TIMESTAMPTZ, false }, { "not_after", T_TIMESTAMPTZ, true }, { "authority_generation", T_INT4, false },
    { "spki_hash", T_TEXT, false }, { "nodes", T_INT4, true }, { "version", T_INT8, true },
};

static enum reeve_err count_serving(struct cat *c, const struct name *object, uint32_t gen, uint32_t *n)
{
    uint8_t prefix[NAME_MAX_LEN + 2];
    struct kv_iter it;
    struct slice key, val;
    struct deploy_row row;
    enum reeve_err err;
    size_t len = deploy_prefix(prefix, object);
    *n = 0;
    region_iter_init(&c->sn.region, &it, 'd', slice_of(prefix, len));
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK)
        if (deploy_row_decode(&row, val) == REEVE_OK && row.serving_gen == gen)
            (*n)++;
    return cat_end(err);
}

static enum reeve_err gen_rows(struct cat *c, const struct name *name, struct cert_doc *d)
{
    enum reeve_err err = REEVE_OK;
    for (uint8_t i = 0; i < d->n; i++) {
        const struct cert_gen *g = &d->g[i];
        uint32_t n = 0;
        if (vscan_needs(c->s, 8))
            TRY(count_serving(c, name, g->gen, &n));
        struct datum v[] = {
            d_name(name), d_int(g->gen), d_str(cat_gen_state(g->state)), d_wall(g->created), d_wall(g->not_before),
            d_wall(g->not_after), d_int(g->authority_gen),
            hash32_is_zero(&g->spki_hash) ? d_null() : d_hex(c->s, g->spki_hash.b, 32), d_int(n),
            d_int((int64_t) c->o->leaf_index),
        };
        TRY(vscan_row(c->s, v));
    }
out:
    return err;
}

static enum reeve_err scan_gens(struct vscan *s)
{
    return each_cert(s, gen_rows);
}
RELATION(sys_cert_generations, "sys", "cert_generations", gens_columns, VKEY_NONE, scan_gens, "cert");

static const struct vcolumn auth_columns[] = {
    { "name", T_TEXT, true }, { "state", T_TEXT, true }, { "generation", T_INT4, true }, { "key_type", T_TEXT, true },
    { "subject", T_TEXT, false }, { "not_before", T_TIMESTAMPTZ, false }, { "not_after", T_TIMESTAMPTZ, true },
    { "external", T_BOOL, false }, { "spki_hash", T_TEXT, false }, { "leaves", T_INT4, true }, { "chain", T_TEXT, false },
    { "request", T_TEXT, false },
};

static enum reeve_err count_leaves(struct cat *c, const struct name *authority, uint32_t *n)
{
    enum reeve_err err;
    struct name after = { 0 };
    struct cert_doc *d = cat_alloc(c, sizeof *d, &err);
    struct attest_object *o = d ? cat_alloc(c, sizeof *o, &err) : NULL;
    *n = 0;
    if (o == NULL)
        return err;
    while ((err = attest_next(&c->sn.attest, AT_CERT, &after, o)) == REEVE_OK)
        if (o->update.op == 1 && cert_doc_decode(d, o->update.payload) == REEVE_OK && name_eq(&d->authority, authority))
            (*n)++;
    return cat_end(err);
}

static struct datum chain_pem(struct vscan *s, const struct authority_gen *g)
{
    if (g->chain_len == 0 || g->not_after.ms == 0 || !vscan_needs(s, 10))
        return d_null();
    struct wr w = wr_heap(65536);
    struct datum d = d_null();
    if (x509_to_pem(slice_of(g->chain, g->chain_len), &w) == REEVE_OK)
        d = d_text(arena_copy(s->row, wr_slice(&w)));
    wr_free(&w);
    return d;
}

/* What an outside signer is asked for, as openssl reads it. */
static struct datum request_pem(struct vscan *s, const struct authority_gen *g)
{
    if (g->chain_len == 0 || g->not_after.ms != 0 || !vscan_needs(s, 11))
        return d_null();
    char *b64 = arena_alloc(s->row, base64_len(g->chain_len) + 1);
    if (b64 == NULL)
        return d_null();
    size_t n = base64_encode(b64, g->chain, g->chain_len);
    struct wr w = wr_heap(65536);
    wr_text(&w, "-----BEGIN CERTIFICATE REQUEST-----\n");
    for (size_t i = 0; i < n; i += 64)
        wr_printf(&w, "%.64s\n", b64 + i);
    wr_text(&w, "-----END CERTIFICATE REQUEST-----\n");
    struct datum d = d_text(arena_copy(s->row, wr_slice(&w)));
    wr_free(&w);
    return d;
}

static enum reeve_err auth_rows(struct cat *c, const struct name *name, const struct authority_doc *d)
{
    enum reeve_err err = REEVE_OK;
    uint32_t leaves = 0;
    if (vscan_needs(c->s, 9))
        TRY(count_leaves(c, name, &leaves));
    for (uint8_t i = 0; i < d->n; i++) {
        const struct authority_gen *g = &d->g[i];
        struct datum v[] = {
            d_name(name), d_str(cat_auth_state(g->state)), d_int(g->gen), d_str(key_type_name(g->key_type)),
            d_str(d->subject), d_wall(g->not_before), d_wall(g->not_after), d_bool(d->external),
            d_hex(c->s, g->spki_hash.b, 32), d_int(leaves), chain_pem(c->s, g), request_pem(c->s, g),
        };
        TRY(vscan_row(c->s, v));
    }
out:
    return err;
}

static enum reeve_err scan_authorities(struct vscan *s)
{
    struct cat c;
    struct name after = { 0 };
    struct authority_doc *d;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    if ((d = cat_alloc(&c, sizeof *d, &err)) != NULL)
        while ((err = cat_next_object(&c, AT_AUTHORITY, &after)) == REEVE_OK) {
            TRY(authority_doc_decode(d, c.o->update.payload));
            if (cat_may_see(&c, GK_AUTHORITY, &after))
                TRY(auth_rows(&c, &after, d));
        }
out:
    cat_close(&c);
    return cat_end(err);
}
RELATION(sys_authorities, "sys", "authorities", auth_columns, VKEY_NONE, scan_authorities, "authority");
