/*
 * op_config.c - SET and RESET CONFIG, at once or staged for an attested rollout
 *
 * Generations of a key only grow. 'v' key 00 gen holds the value, 'y' key 00
 * gen its type and whether it means absent, so that a rollback knows both. The
 * last CONFIG_GENS_MAX generations are kept.
 */
#include "engine/region/region_int.h"

static enum reeve_err config_load(struct apply *a, const struct name *key, struct config_row *row, bool *was)
{
    struct rkey k;
    rkey_name(&k, 'c', key);
    enum reeve_err err = load_config(a->kv, &k, row);
    *was = err == REEVE_OK;
    if (err == REEVE_E_NOT_FOUND) {
        memset(row, 0, sizeof *row);
        row->absent = true;
        err = REEVE_OK;
    }
    return err;
}

static uint32_t next_gen(const struct config_row *row)
{
    return (row->gen > row->gen_new ? row->gen : row->gen_new) + 1;
}

enum reeve_err config_value_put(struct apply *a, const struct name *key, uint32_t gen, uint8_t type, bool absent,
                                struct slice value)
{
    const uint8_t meta[2] = { type, absent };
    struct rkey k;
    enum reeve_err err;
    rkey_name_u32(&k, 'v', key, gen);
    TRY(put_bytes(a->kv, &k, value));
    rkey_name_u32(&k, 'y', key, gen);
    TRY(put_bytes(a->kv, &k, slice_of(meta, sizeof meta)));
    if (gen > CONFIG_GENS_MAX) {
        rkey_name_u32(&k, 'v', key, gen - CONFIG_GENS_MAX);
        TRY(kv_del(a->kv, rkey_slice(&k)));
        rkey_name_u32(&k, 'y', key, gen - CONFIG_GENS_MAX);
        TRY(kv_del(a->kv, rkey_slice(&k)));
    }
out:
    return err;
}

enum reeve_err config_type_get(struct kv *kv, const struct name *key, uint32_t gen, uint8_t *type, bool *absent)
{
    struct rkey k;
    struct slice v;
    rkey_name_u32(&k, 'y', key, gen);
    enum reeve_err err = kv_get(kv, rkey_slice(&k), &v);
    if (err != REEVE_OK)
        return err;
    struct rd r = rd_of(v);
    *type = rd_u8(&r);
    *absent = rd_row_flag(&r);
    return rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

static const char *type_name(uint8_t type)
{
    static const char *const names[] = { "", "text", "int", "float", "bool", "null" };
    return type <= VT_NULL ? names[type] : "";
}

enum reeve_err config_json(struct apply *a, const struct name *key, const struct config_row *row, struct wr *out)
{
    struct rkey k;
    struct slice v;
    if (row->absent)
        return REEVE_OK;
    rkey_name_u32(&k, 'v', key, row->gen);
    enum reeve_err err = kv_get(a->kv, rkey_slice(&k), &v);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_E_CORRUPT : err;
    wr_text(out, "{\"value\":");
    json_text(out, v);
    wr_printf(out, ",\"type\":\"%s\",\"version\":%llu}", type_name(row->value_type), (unsigned long long) row->version);
    return REEVE_OK;
}

static bool value_ok(uint8_t type, struct slice v)
{
    return type >= VT_TEXT && type <= VT_NULL && utf8_valid(v) && (v.len == 0 || memchr(v.p, 0, v.len) == NULL);
}

/* What SET and RESET ask before they do anything. */
static enum reeve_err may_change(struct apply *a, const struct name *key, const struct config_row *row)
{
    struct attest at = apply_attest(a);
    bool attested;
    enum reeve_err err = attest_key_class(&at, key, &attested);
    if (err != REEVE_OK)
        return err;
    if (attested)
        return refuse(a, REEVE_E_WRONG_STATE, "config key \"%s\" is attested: its value takes a rollout", key->s);
    if (row->rollout_id != 0)
        return refuse(a, REEVE_E_ROLLOUT_RUNNING, "rollout %llu is running on config key \"%s\"",
                      (unsigned long long) row->rollout_id, key->s);
    return REEVE_OK;
}

/* Stores row as the new state, with history and feed. before was written by the caller into json[0]. */
static enum reeve_err config_commit(struct apply *a, const struct name *key, struct config_row *row,
                                    const struct wr *before, const char *action)
{
    struct wr after = wr_fixed(a->s->json[1], sizeof a->s->json[1]);
    struct rkey k;
    enum reeve_err err;
    row->version = a->index;
    row->updated_by = a->actor;
    row->updated = a->now;
    rkey_name(&k, 'c', key);
    TRY(store_config(a, &k, row));
    TRY(config_json(a, key, row, &after));
    TRY(history_add(a, "config", key, action, wr_slice(before), wr_slice(&after)));
    TRY(feed_add(a, FEED_CONFIG, key));
out:
    return err;
}

enum reeve_err op_config_set(struct apply *a, struct rd *r, struct wr *out)
{
    struct wr before = wr_fixed(a->dry ? NULL : a->s->json[0], a->dry ? 0 : sizeof a->s->json[0]);
    struct config_row row;
    struct name key;
    bool was;
    enum reeve_err err;
    rd_name(r, &key);
    uint8_t type = rd_u8(r);
    struct slice value = rd_str32(r, REGION_VALUE_MAX);
    uint64_t expected = rd_u64(r);
    if (r->bad || !value_ok(type, value))
        return refuse(a, REEVE_E_MALFORMED, "malformed value of a config key");
    if (a->dry)
        return REEVE_OK;
    TRY(config_load(a, &key, &row, &was));
    TRY(may_change(a, &key, &row));
    if (expected != 0 && row.version != expected)
        return refuse(a, REEVE_E_CONFLICT, "config key \"%s\" changed meanwhile", key.s);
    TRY(config_json(a, &key, &row, &before));
    row.gen = next_gen(&row);
    row.gen_new = 0;
    row.value_type = type;
    row.value_type_new = 0;
    row.absent = false;
    TRY(config_value_put(a, &key, row.gen, type, false, value));
    TRY(config_commit(a, &key, &row, &before, "set"));
    wr_u64(out, row.version);
out:
    return err;
}

enum reeve_err op_config_reset(struct apply *a, struct rd *r, struct wr *out)
{
    struct wr before = wr_fixed(a->dry ? NULL : a->s->json[0], a->dry ? 0 : sizeof a->s->json[0]);
    struct config_row row;
    struct name key;
    bool was;
    enum reeve_err err;
    rd_name(r, &key);
    if (r->bad || a->dry)
        return REEVE_OK;
    TRY(config_load(a, &key, &row, &was));
    if (!was || row.absent)
        return refuse(a, REEVE_E_UNDEFINED_OBJECT, "config key \"%s\" does not exist", key.s);
    TRY(may_change(a, &key, &row));
    TRY(config_json(a, &key, &row, &before));
    row.gen = next_gen(&row);
    row.gen_new = 0;
    row.value_type_new = 0;
    row.absent = true;
    TRY(config_value_put(a, &key, row.gen, row.value_type, true, (struct slice){ NULL, 0 }));
    TRY(config_commit(a, &key, &row, &before, "reset"));
    wr_u64(out, row.version);
out:
    return err;
}

/* Only keeps the value: what nodes see changes when the attested rollout says so. */
enum reeve_err op_config_stage(struct apply *a, struct rd *r, struct wr *out)
{
    struct config_row row;
    struct name key;
    struct rkey k;
    bool was;
    enum reeve_err err;
    rd_name(r, &key);
    uint8_t type = rd_u8(r);
    bool absent = rd_row_flag(r);
    struct slice value = rd_str32(r, REGION_VALUE_MAX);
    if (r->bad || !value_ok(type, value))
        return refuse(a, REEVE_E_MALFORMED, "malformed value of a config key");
    if (a->dry)
        return REEVE_OK;
    TRY(config_load(a, &key, &row, &was));
    if (row.rollout_id != 0)
        return refuse(a, REEVE_E_ROLLOUT_RUNNING, "rollout %llu is running on config key \"%s\"",
                      (unsigned long long) row.rollout_id, key.s);
    row.gen_new = next_gen(&row);
    row.value_type_new = type;
    if (!was)
        row.updated = a->now;
    TRY(config_value_put(a, &key, row.gen_new, type, absent, value));
    rkey_name(&k, 'c', &key);
    TRY(store_config(a, &k, &row));
    wr_u32(out, row.gen_new);
out:
    return err;
}
