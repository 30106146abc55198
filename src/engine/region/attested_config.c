/*
 * attested_config.c - the row of a config key follows its attested mirror
 *
 * gen becomes the attested active generation; gen_new is what a running
 * rollout brings. A key whose value the region never staged (attested by
 * another region) is left alone.
 */
#include "engine/region/region_int.h"

static enum reeve_err target_gen(struct apply *a, const struct name *key, uint64_t rollout, uint32_t *gen)
{
    struct rollout_doc *d = &a->s->rollout2;
    struct region here = *a->r;
    here.kv = a->kv;
    *gen = 0;
    if (rollout == 0)
        return REEVE_OK;
    enum reeve_err err = rollout_load(&here, rollout, d);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    for (unsigned i = 0; i < d->n_targets; i++)
        if (d->target[i].type == AT_CONFIG && name_eq(&d->target[i].name, key))
            *gen = d->target[i].to_gen;
    return REEVE_OK;
}

/* The type of a generation; a value that is not here (gen 0, or pruned) counts as absent. */
static enum reeve_err type_of(struct apply *a, const struct name *key, uint32_t gen, uint8_t *type, bool *absent)
{
    *type = 0;
    *absent = true;
    enum reeve_err err = config_type_get(a->kv, key, gen, type, absent);
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

static enum reeve_err follow(struct apply *a, const struct update *u, const struct config_doc *d, struct config_row *row,
                             bool *changed)
{
    bool absent_new;
    enum reeve_err err;
    *changed = row->gen != d->active_gen && d->active_gen != 0;
    if (*changed) {
        row->gen = d->active_gen;
        row->version = a->index;
        row->updated = a->now;
        row->updated_by = u->actor;
        TRY(type_of(a, &u->object, row->gen, &row->value_type, &row->absent));
    }
    row->rollout_id = d->rollout_id;
    TRY(target_gen(a, &u->object, d->rollout_id, &row->gen_new));
    row->value_type_new = 0;
    if (row->gen_new != 0)
        TRY(type_of(a, &u->object, row->gen_new, &row->value_type_new, &absent_new));
    err = REEVE_OK;
out:
    return err;
}

enum reeve_err attested_config(struct apply *a, const struct update *u)
{
    struct config_doc *d = &a->s->doc.config;
    struct wr before = wr_fixed(a->s->json[0], sizeof a->s->json[0]);
    struct wr after = wr_fixed(a->s->json[1], sizeof a->s->json[1]);
    struct config_row row;
    struct rkey k;
    bool changed;
    enum reeve_err err;
    if (u->op != 1)
        return REEVE_OK;
    if (config_doc_decode(d, u->payload) != REEVE_OK)
        return REEVE_E_CORRUPT;
    rkey_name(&k, 'c', &u->object);
    err = load_config(a->kv, &k, &row);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    TRY(config_json(a, &u->object, &row, &before));
    uint64_t rollout = row.rollout_id;
    TRY(follow(a, u, d, &row, &changed));
    TRY(store_config(a, &k, &row));
    if (!changed && rollout == row.rollout_id)
        return REEVE_OK;
    /* A value that is only staged is on its way to agents too: the waves' nodes need it. */
    if (!changed)
        return feed_add(a, FEED_CONFIG, &u->object);
    TRY(config_json(a, &u->object, &row, &after));
    a->actor = u->actor;
    a->client = u->address;
    a->statement = u->statement;
    a->reason = u->reason;
    TRY(history_add(a, "config", &u->object, "rollout", wr_slice(&before), wr_slice(&after)));
    TRY(feed_add(a, FEED_CONFIG, &u->object));
out:
    return err;
}
