/* sys_nodes.c - sys.nodes, sys.join_tokens, sys.workloads */
#include "cat_int.h"

#include "crypto/hash.h"

static const struct vcolumn nodes_columns[] = {
    { "node_id", T_TEXT, true }, { "region", T_TEXT, true }, { "state", T_TEXT, true }, { "labels", T_JSONB, true },
    { "agent_version", T_TEXT, false }, { "config_version", T_INT8, false }, { "cert_generations", T_JSONB, true },
    { "last_seen", T_TIMESTAMPTZ, true }, { "addr", T_TEXT, false }, { "enrolled_at", T_TIMESTAMPTZ, false },
    { "ordinal", T_INT4, false },
};

/* {"edge-tls": 3}: what the node says it serves of every certificate. */
static enum reeve_err generations(struct cat *c, uint32_t ordinal, const struct name *certs, unsigned n, struct datum *out)
{
    struct wr w = wr_heap(65536);
    bool any = false;
    wr_text(&w, "{");
    for (unsigned i = 0; i < n; i++) {
        struct deploy_row row;
        enum reeve_err err = region_deploy_get(&c->sn.region, AT_CERT, &certs[i], ordinal, &row);
        if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && row.serving_gen == 0))
            continue;
        if (err != REEVE_OK) {
            wr_free(&w);
            return err;
        }
        wr_text(&w, any ? ", " : "");
        json_quote(&w, name_slice(&certs[i]));
        wr_printf(&w, ": %u", row.serving_gen);
        any = true;
    }
    wr_text(&w, "}");
    *out = d_json(arena_copy(c->s->row, wr_slice(&w)));
    wr_free(&w);
    return REEVE_OK;
}

#define CERTS_SHOWN 64

static enum reeve_err cert_names(struct cat *c, struct name *certs, unsigned *n)
{
    struct name after = { 0 };
    enum reeve_err err = REEVE_OK;
    *n = 0;
    while (*n < CERTS_SHOWN && (err = cat_next_object(c, AT_CERT, &after)) == REEVE_OK)
        certs[(*n)++] = after;
    return cat_end(err);
}

static enum reeve_err node_row_out(struct cat *c, uint32_t ordinal, struct node_row *row, const struct name *certs, unsigned n)
{
    char id[NODE_ID_TEXT_LEN + 1];
    struct vscan *s = c->s;
    struct datum gens = d_null();
    uint32_t seen = snap_last_seen(s->session, ordinal);
    enum reeve_err err;
    node_id_text(id, &row->id);
    struct name name;
    if (!name_set_str(&name, id) || !cat_may_see(c, GK_NODE, &name))
        return REEVE_OK;
    if (vscan_needs(s, 6) && (err = generations(c, ordinal, certs, n, &gens)) != REEVE_OK)
        return err;
    struct datum v[] = {
        d_str(id), d_name(&row->region), d_str(node_state_name(row->state)),
        vscan_needs(s, 3) ? d_labels(s, &row->labels) : d_null(), d_str(row->agent_version), d_null(), gens,
        d_wall((struct wall_ms){ 1000ll * seen }), row->addr[0] ? d_str(row->addr) : d_null(), d_wall(row->enrolled), d_int(ordinal),
    };
    return vscan_row(s, v);
}

static enum reeve_err one_node(struct cat *c, struct node_row *row, const struct name *certs, unsigned n)
{
    struct node_id id;
    uint32_t ordinal;
    if (c->s->key.kind != D_TEXT || !node_id_parse(&id, c->s->key.s))
        return REEVE_OK;
    enum reeve_err err = region_node_find(&c->sn.region, &id, &ordinal);
    if (err == REEVE_OK)
        err = region_node_get(&c->sn.region, ordinal, row);
    return err == REEVE_OK ? node_row_out(c, ordinal, row, certs, n) : cat_end(err);
}

static enum reeve_err scan_nodes(struct vscan *s)
{
    struct cat c;
    struct kv_iter it;
    struct slice key, val;
    unsigned n = 0;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    struct node_row *row = cat_alloc(&c, sizeof *row, &err);
    struct name *certs = row ? cat_alloc(&c, CERTS_SHOWN * sizeof *certs, &err) : NULL;
    if (certs == NULL)
        goto out;
    if (vscan_needs(s, 6))
        TRY(cert_names(&c, certs, &n));
    if (s->has_key) {
        err = one_node(&c, row, certs, n);
        goto out;
    }
    region_iter_init(&c.sn.region, &it, 'n', (struct slice){ NULL, 0 });
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct rd k = rd_of(key);
        uint32_t ordinal = rd_u32(&k);
        TRY(node_row_decode(row, val));
        TRY(node_row_out(&c, ordinal, row, certs, n));
    }
out:
    cat_close(&c);
    return cat_end(err);
}
RELATION(sys_nodes, "sys", "nodes", nodes_columns, 0, scan_nodes, "node");

/* ---- join tokens: never the secret ---- */

static const struct vcolumn tokens_columns[] = {
    { "token_id", T_TEXT, true }, { "region", T_TEXT, true }, { "uses_left", T_INT4, true }, { "expires", T_TIMESTAMPTZ, true },
    { "created", T_TIMESTAMPTZ, false }, { "created_by", T_TEXT, true }, { "labels", T_JSONB, false },
};

static enum reeve_err scan_tokens(struct vscan *s)
{
    struct cat c;
    struct kv_iter it;
    struct slice key, val;
    struct token_row *row;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    if ((row = cat_alloc(&c, sizeof *row, &err)) == NULL)
        goto out;
    region_iter_init(&c.sn.region, &it, 't', (struct slice){ NULL, 0 });
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        TRY(token_row_decode(row, val));
        struct datum v[] = { d_hex(s, key.p, key.len), d_name(&row->region), d_int(row->uses_left), d_wall(row->expires),
                             d_wall(row->created), d_name(&row->created_by), d_labels(s, &row->labels) };
        TRY(vscan_row(s, v));
    }
out:
    cat_close(&c);
    return cat_end(err);
}
RELATION(sys_join_tokens, "sys", "join_tokens", tokens_columns, VKEY_NONE, scan_tokens, "node-part");

/* ---- workloads registered by agents ---- */

static const struct vcolumn workloads_columns[] = {
    { "workload_id", T_TEXT, true }, { "ordinal", T_INT4, false }, { "service", T_TEXT, true }, { "port", T_INT4, true },
    { "weight", T_INT4, false }, { "health", T_INT4, true }, { "since", T_TIMESTAMPTZ, true },
};

static enum reeve_err scan_workloads(struct vscan *s)
{
    struct cat c;
    struct region_workloads *it;
    struct workload_row *row;
    struct slice id, val;
    uint32_t ordinal;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    if ((row = cat_alloc(&c, sizeof *row, &err)) == NULL || (it = cat_alloc(&c, region_workloads_size(), &err)) == NULL)
        goto out;
    region_workloads_begin(it, &c.sn.region);
    while ((err = region_workloads_next(it, &ordinal, &id, &val)) == REEVE_OK) {
        TRY(workload_row_decode(row, val));
        struct datum v[] = { d_hex(s, id.p, id.len), d_int(ordinal), d_name(&row->service), d_int(row->port), d_int(row->weight),
                             d_int(row->health), d_wall(row->since) };
        TRY(vscan_row(s, v));
    }
out:
    cat_close(&c);
    return cat_end(err);
}
RELATION(sys_workloads, "sys", "workloads", workloads_columns, VKEY_NONE, scan_workloads, "node-part");
