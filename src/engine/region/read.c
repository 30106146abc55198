/* read.c - readers over any snapshot; they use no scratch, so backends call them with a read transaction. */
#include "engine/region/region_int.h"

enum reeve_err region_applied_index(struct region *r, uint64_t *out)
{
    return meta_get(r->kv, "applied", out);
}

enum reeve_err region_name(struct region *r, struct name *out)
{
    struct rkey k;
    struct slice v;
    rkey_bytes(&k, 'm', "region", 6);
    enum reeve_err err = kv_get(r->kv, rkey_slice(&k), &v);
    if (err != REEVE_OK)
        return err;
    return name_set(out, v) ? REEVE_OK : REEVE_E_CORRUPT;
}

enum reeve_err region_note_get(struct region *r, const struct name *name, struct slice *out)
{
    struct rkey k;
    rkey_name(&k, 'q', name);
    return kv_get(r->kv, rkey_slice(&k), out);
}

enum reeve_err region_node_count(struct region *r, uint32_t *next_ordinal)
{
    uint64_t n;
    enum reeve_err err = meta_get(r->kv, "next_ordinal", &n);
    *next_ordinal = (uint32_t) n;
    return err;
}

enum reeve_err region_node_get(struct region *r, uint32_t ordinal, struct node_row *out)
{
    struct rkey k;
    rkey_u32(&k, 'n', ordinal);
    return load_node(r->kv, &k, out);
}

enum reeve_err region_node_find(struct region *r, const struct node_id *id, uint32_t *ordinal)
{
    struct rkey k;
    struct slice v;
    rkey_bytes(&k, 'i', id->b, sizeof id->b);
    enum reeve_err err = kv_get(r->kv, rkey_slice(&k), &v);
    if (err != REEVE_OK)
        return err;
    struct rd rd = rd_of(v);
    *ordinal = rd_u32(&rd);
    return rd_done(&rd) ? REEVE_OK : REEVE_E_CORRUPT;
}

enum reeve_err region_config_get(struct region *r, const struct name *key, struct config_row *out)
{
    struct rkey k;
    rkey_name(&k, 'c', key);
    return load_config(r->kv, &k, out);
}

enum reeve_err region_config_value(struct region *r, const struct name *key, uint32_t gen, struct slice *out)
{
    struct rkey k;
    rkey_name_u32(&k, 'v', key, gen);
    return kv_get(r->kv, rkey_slice(&k), out);
}

enum reeve_err region_config_type(struct region *r, const struct name *key, uint32_t gen, uint8_t *type, bool *absent)
{
    return config_type_get(r->kv, key, gen, type, absent);
}

enum reeve_err region_role_get(struct region *r, const struct name *role, struct role_row *out)
{
    struct rkey k;
    rkey_name(&k, 'r', role);
    return load_role(r->kv, &k, out);
}

enum reeve_err region_token_get(struct region *r, const uint8_t id[8], struct token_row *out)
{
    struct rkey k;
    rkey_bytes(&k, 't', id, 8);
    return load_token(r->kv, &k, out);
}

enum reeve_err region_strategy_get(struct region *r, const struct name *name, struct strategy_row *out)
{
    struct rkey k;
    rkey_name(&k, 's', name);
    return load_strategy(r->kv, &k, out);
}

enum reeve_err region_proposal_get(struct region *r, const struct name *proposal, struct proposal_row *out)
{
    struct rkey k;
    rkey_name(&k, 'l', proposal);
    return load_proposal(r->kv, &k, out);
}

enum reeve_err region_window_get(struct region *r, const struct name *window, struct window_row *out)
{
    struct rkey k;
    struct slice v;
    rkey_name(&k, 'w', window);
    enum reeve_err err = kv_get(r->kv, rkey_slice(&k), &v);
    return err == REEVE_OK ? window_row_decode(out, v) : err;
}

enum reeve_err region_deploy_get(struct region *r, enum attest_type type, const struct name *object, uint32_t ordinal,
                                 struct deploy_row *out)
{
    struct rkey k;
    rkey_deploy(&k, (uint8_t) type, object, ordinal);
    return load_deploy(r->kv, &k, out);
}

enum reeve_err region_wave_get(struct region *r, uint64_t rollout, const struct name *region, uint8_t wave,
                               struct wave_row *out)
{
    struct rkey k;
    rkey_wave(&k, rollout, region, wave);
    return load_wave(r->kv, &k, out);
}

enum reeve_err region_issue_next(struct region *r, uint64_t *after_id, struct issue_row *out)
{
    struct rkey k;
    struct slice key, val;
    rkey_begin(&k, 'u');
    wr_u64(&k.w, *after_id);
    enum reeve_err err = kv_seek(r->kv, rkey_slice(&k), 1, false, &key, &val);
    if (err != REEVE_OK)
        return err;
    if (key.len != k.w.len || key.p[0] != REGION_KV_PREFIX || key.p[1] != 'u')
        return REEVE_E_NOT_FOUND;
    struct rd rd = rd_of(slice_of(key.p + 2, 8));
    *after_id = rd_u64(&rd);
    return issue_row_decode(out, val) == REEVE_OK ? REEVE_OK : REEVE_E_CORRUPT;
}

void region_iter_init(struct region *r, struct kv_iter *it, uint8_t table, struct slice sub_prefix)
{
    struct rkey k;
    rkey_bytes(&k, table, sub_prefix.p, sub_prefix.len);
    kv_iter_init(it, r->kv, rkey_slice(&k));
}

enum reeve_err region_iter_next(struct kv_iter *it, struct slice *key, struct slice *val)
{
    enum reeve_err err = kv_iter_next(it, key, val);
    if (err == REEVE_OK)
        *key = slice_of(key->p + 2, key->len - 2);
    return err;
}

/* ---- the fleet, for the planner ---- */

/* Revoked nodes are no part of any plan; drained and absent ones are: they catch up. */
enum reeve_err region_plan_each(void *region, void (*visit)(void *arg, const struct plan_node *n), void *arg)
{
    struct region *r = region;
    struct kv_iter it;
    struct slice key, val;
    struct node_row row;
    enum reeve_err err;
    region_iter_init(r, &it, 'n', (struct slice){ NULL, 0 });
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct plan_node n = { .labels = &row.labels };
        struct rd rd = rd_of(key);
        n.ordinal = rd_u32(&rd);
        if (!rd_done(&rd) || node_row_decode(&row, val) != REEVE_OK)
            return REEVE_E_CORRUPT;
        if (row.state == NODE_REVOKED)
            continue;
        n.region = row.region;
        node_id_text(n.id_text, &row.id);
        visit(arg, &n);
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}
