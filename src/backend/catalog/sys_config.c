/* sys_config.c - sys.config, sys.history, sys.config_versions, sys.checkpoints */
#include "cat_int.h"

#include "backend/catalog/config_past.h"

static const struct vcolumn config_columns[] = {
    { "key", T_TEXT, true }, { "value", T_TEXT, true }, { "value_type", T_TEXT, true }, { "class", T_TEXT, false },
    { "version", T_INT8, true }, { "generation", T_INT4, false }, { "updated_by", T_TEXT, true },
    { "updated_at", T_TIMESTAMPTZ, true }, { "rollout_id", T_INT8, true }, { "next_value", T_TEXT, false },
};

static const char *value_type_name(uint8_t t)
{
    static const char *const names[] = { "?", "text", "int", "float", "bool", "null" };
    return t < 6 ? names[t] : "?";
}

/* Nobody has served a value yet: its first rollout runs. */
static struct datum type_now(const struct config_row *row)
{
    return row->gen == 0 ? d_null() : d_str(value_type_name(row->value_type));
}

static struct datum value_of(struct cat *c, const struct name *key, uint32_t gen, uint8_t type)
{
    struct slice v;
    if (gen == 0 || type == VT_NULL || region_config_value(&c->sn.region, key, gen, &v) != REEVE_OK)
        return d_null();
    return d_text(arena_copy(c->s->row, v));
}

static enum reeve_err config_row_out(struct cat *c, const struct name *key, const struct config_row *row)
{
    bool attested = false;
    bool coming = row->rollout_id != 0 && row->gen_new != 0;
    if (((row->absent || row->gen == 0) && !coming) || !cat_may_see(c, GK_CONFIG, key))
        return REEVE_OK;
    enum reeve_err err = vscan_needs(c->s, 3) ? attest_key_class(&c->sn.attest, key, &attested) : REEVE_OK;
    if (err != REEVE_OK)
        return err;
    struct datum v[] = {
        d_name(key), row->absent ? d_null() : value_of(c, key, row->gen, row->value_type),
        type_now(row), d_str(attested ? "attested" : "regional"), d_int((int64_t) row->version),
        d_int(row->gen), d_name(&row->updated_by), d_wall(row->updated),
        coming ? d_int((int64_t) row->rollout_id) : d_null(),
        coming ? value_of(c, key, row->gen_new, row->value_type_new) : d_null(),
    };
    return vscan_row(c->s, v);
}

static enum reeve_err one_key(struct cat *c)
{
    struct name key;
    struct config_row row;
    if (c->s->key.kind != D_TEXT || !name_set(&key, c->s->key.s))
        return REEVE_OK;
    enum reeve_err err = region_config_get(&c->sn.region, &key, &row);
    return err == REEVE_OK ? config_row_out(c, &key, &row) : cat_end(err);
}

/* ---- AS OF VERSION: out of the region's history; what that does not keep is NULL ---- */

static enum reeve_err past_row_out(struct cat *c, const struct past_key *k)
{
    struct slice value, type;
    if (!cat_may_see(c, GK_CONFIG, &k->key) || !config_past_value(c->s->row, k->after, &value, &type))
        return REEVE_OK;
    struct datum v[] = {
        d_name(&k->key), slice_eq(type, slice_str("null")) ? d_null() : d_text(value), d_text(type), d_null(),
        d_int((int64_t) k->version), d_null(), d_name(&k->actor), d_wall(k->at), d_null(), d_null(),
    };
    return vscan_row(c->s, v);
}

static enum reeve_err scan_config_past(struct cat *c)
{
    struct config_past past;
    uint64_t newest;
    struct vscan *s = c->s;
    enum reeve_err err;
    TRY(region_applied_index(&c->sn.region, &newest));
    if (s->as_of < 0 || (uint64_t) s->as_of > newest)
        return report_set(s->report, REEVE_E_INVALID_VALUE, "revision %lld has not come yet", (long long) s->as_of);
    TRY(config_past_read(&c->sn, s->arena, 0, (uint64_t) s->as_of, &past, s->report));
    for (size_t i = 0; i < past.n; i++)
        TRY(past_row_out(c, past.v[i]));
out:
    return err;
}

static enum reeve_err scan_config(struct vscan *s)
{
    struct cat c;
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    if (s->has_as_of || s->has_key) {
        err = s->has_as_of ? scan_config_past(&c) : one_key(&c);
        goto out;
    }
    region_iter_init(&c.sn.region, &it, 'c', (struct slice){ NULL, 0 });
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct name name;
        struct config_row row;
        TRY(config_row_decode(&row, val));
        if (name_set(&name, key))
            TRY(config_row_out(&c, &name, &row));
    }
out:
    cat_close(&c);
    return cat_end(err);
}
const struct vtable sys_config = { "sys", "config", config_columns, VCOLUMNS(config_columns), 0, scan_config, true, "config" };

/* ---- history: the region's own log and the attested one ---- */

static const struct vcolumn history_columns[] = {
    { "version", T_INT8, true }, { "log", T_TEXT, true }, { "at", T_TIMESTAMPTZ, true }, { "actor", T_TEXT, true },
    { "client_addr", T_TEXT, false }, { "action", T_TEXT, true }, { "object_kind", T_TEXT, true }, { "object", T_TEXT, true },
    { "object_version", T_INT8, false }, { "before", T_JSONB, false }, { "after", T_JSONB, false },
    { "statement", T_TEXT, true }, { "reason", T_TEXT, true }, { "leaf_hash", T_TEXT, false }, { "height", T_INT8, false },
};

static struct datum d_slice(struct vscan *s, struct slice v)
{
    return v.len ? d_text(arena_copy(s->row, v)) : d_null();
}

static struct datum d_json_slice(struct vscan *s, struct slice v)
{
    return v.len ? d_json(arena_copy(s->row, v)) : d_null();
}

static enum reeve_err region_history(struct cat *c)
{
    struct kv_iter it;
    struct slice key, val;
    struct history_row h;
    struct vscan *s = c->s;
    enum reeve_err err;
    region_iter_init(&c->sn.region, &it, 'h', (struct slice){ NULL, 0 });
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        TRY(history_row_decode(&h, val));
        struct datum v[] = {
            d_int((int64_t) h.version), d_str("region"), d_wall(h.at), d_name(&h.actor), h.client[0] ? d_str(h.client) : d_null(),
            d_name(&h.action), d_name(&h.object_kind), d_name(&h.object), d_null(), d_json_slice(s, h.before),
            d_json_slice(s, h.after), d_slice(s, h.statement), d_slice(s, h.reason), d_null(), d_null(),
        };
        TRY(vscan_row(s, v));
    }
out:
    return cat_end(err);
}

static enum reeve_err block_time(struct cat *c, uint64_t height, struct finalization *f, struct wall_ms *t)
{
    struct slice block;
    enum reeve_err err = attest_block(&c->sn.attest, height, &block);
    if (err != REEVE_OK)
        return err;
    struct rd r = rd_of(block);
    err = finalization_decode(f, &r);
    *t = f->header.time;
    return err;
}

/* The newest leaf of each object while the log is read: what it was before the next one. Leaves are the snapshot's. */
#define LAST_BUCKETS 1024
enum { HISTORY_BEFORE = 9, HISTORY_AFTER = 10 };
struct last_leaf { struct last_leaf *next; uint8_t type; struct name name; struct slice leaf; };
struct attested_reading {
    struct last_leaf *bucket[LAST_BUCKETS];
    struct update u, before;
    struct finalization f;
    struct attest_head head;
    struct attested_docs *docs;
};

static struct last_leaf *last_of(struct cat *c, struct attested_reading *r, const struct update *u)
{
    unsigned h = u->type;
    for (size_t i = 0; i < u->object.len; i++)
        h = h * 33 + (uint8_t) u->object.s[i];
    struct last_leaf **at = &r->bucket[h % LAST_BUCKETS];
    while (*at != NULL && !((*at)->type == u->type && name_eq(&(*at)->name, &u->object)))
        at = &(*at)->next;
    if (*at == NULL && (*at = arena_alloc(c->s->arena, sizeof **at)) != NULL)
        **at = (struct last_leaf){ .type = u->type, .name = u->object };
    return *at;
}

/* Fills in before and after, for whoever looks at them. */
static enum reeve_err both_sides(struct cat *c, struct attested_reading *r, struct slice leaf, struct datum *before,
                                 struct datum *after)
{
    *before = *after = d_null();
    if (!vscan_needs(c->s, HISTORY_BEFORE) && !vscan_needs(c->s, HISTORY_AFTER))
        return REEVE_OK;
    struct last_leaf *last = last_of(c, r, &r->u);
    if (last == NULL)
        return REEVE_E_NOMEM;
    if (last->leaf.len > 0 && update_decode(&r->before, last->leaf) == REEVE_OK)
        *before = attested_json(c->s, r->docs, &r->before);
    *after = attested_json(c->s, r->docs, &r->u);
    last->leaf = leaf;
    return REEVE_OK;
}

static enum reeve_err leaf_row(struct cat *c, struct attested_reading *r, uint64_t index, uint64_t height, struct slice leaf,
                               struct wall_ms at)
{
    struct hash32 hash;
    struct datum before, after;
    struct vscan *s = c->s;
    struct update *u = &r->u;
    if (update_decode(u, leaf) != REEVE_OK)
        return report_set(s->report, REEVE_E_CORRUPT, "leaf %llu does not decode", (unsigned long long) index);
    enum reeve_err err = both_sides(c, r, leaf, &before, &after);
    if (err != REEVE_OK)
        return err;
    merkle_leaf_hash(c->sn.attest.c, &hash, leaf);
    struct datum v[] = {
        d_int((int64_t) index), d_str("global"), d_wall(at), d_name(&u->actor), d_slice(s, u->address),
        d_str(u->op == 2 ? "drop" : u->version == 1 ? "create" : "change"), d_str(attest_type_name(u->type)), d_name(&u->object),
        d_int((int64_t) u->version), before, after, d_slice(s, u->statement), d_slice(s, u->reason),
        d_hex(s, hash.b, 32), d_int((int64_t) height),
    };
    return vscan_row(s, v);
}

static enum reeve_err attested_history(struct cat *c)
{
    enum reeve_err err;
    struct attested_reading *r = cat_alloc(c, sizeof *r, &err);
    uint64_t last = UINT64_MAX;
    struct wall_ms at = { 0 };
    if (r == NULL || (r->docs = cat_alloc(c, attested_docs_size(), &err)) == NULL)
        return err;
    memset(r->bucket, 0, sizeof r->bucket);
    TRY(attest_head(&c->sn.attest, &r->head));
    for (uint64_t i = 0; i < r->head.log_size; i++) {
        struct slice leaf;
        uint64_t height;
        TRY(attest_leaf(&c->sn.attest, i, &leaf, &height));
        if (height != last)
            TRY(block_time(c, height, &r->f, &at));
        last = height;
        TRY(leaf_row(c, r, i, height, leaf, at));
    }
out:
    return err;
}

static enum reeve_err scan_history(struct vscan *s)
{
    struct cat c;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    TRY(region_history(&c));
    TRY(attested_history(&c));
out:
    cat_close(&c);
    return err;
}
RELATION(sys_history, "sys", "history", history_columns, VKEY_NONE, scan_history, "history");

/* ---- where the attested log stands ---- */

static const struct vcolumn chain_columns[] = {
    { "chain_id", T_TEXT, true }, { "height", T_INT8, true }, { "view", T_INT8, false }, { "epoch", T_INT8, true },
    { "at", T_TIMESTAMPTZ, true }, { "tree_size", T_INT8, true }, { "root_hash", T_TEXT, true }, { "state_root", T_TEXT, false },
    { "set_hash", T_TEXT, false }, { "applied_index", T_INT8, false },
};

static enum reeve_err scan_chain(struct vscan *s)
{
    struct cat c;
    uint64_t applied = 0;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    struct attest_head *h = cat_alloc(&c, sizeof *h, &err);
    if (h == NULL)
        goto out;
    TRY(attest_head(&c.sn.attest, h));
    TRY(region_applied_index(&c.sn.region, &applied));
    struct datum v[] = {
        d_hex(s, h->chain_id.b, 32), d_int((int64_t) h->height), d_int((int64_t) h->header.view), d_int((int64_t) h->header.epoch),
        h->height ? d_wall(h->header.time) : d_null(), d_int((int64_t) h->log_size), d_hex(s, h->log_root.b, 32),
        d_hex(s, h->state_root.b, 32), d_hex(s, h->set_hash.b, 32), d_int((int64_t) applied),
    };
    TRY(vscan_row(s, v));
out:
    cat_close(&c);
    return err;
}
RELATION(sys_chain, "sys", "chain", chain_columns, VKEY_NONE, scan_chain, "history");
