/*
 * op_config.c - SET and RESET CONFIG, at once or staged for an attested rollout
 *
 * Generations of a key only grow. 'v' key 00 gen holds the value, 'y' key 00
 * gen its type and whether it means absent, so that a rollback knows both.
 * Kept are what is served, what the attested mirror names, and the newest
 * CONFIG_GENS_MAX numbers.
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

/*
 * A number that nothing of this name ever had: a generation that was attested
 * and went back counts, and so does one that was staged and never used.
 */
static enum reeve_err next_gen(struct apply *a, const struct name *key, const struct config_row *row, uint32_t *gen)
{
    struct attest at = { .kv = a->kv, .c = a->r->c };
    struct attest_object o;
    uint32_t max = row->gen > row->gen_new ? row->gen : row->gen_new;
    struct kv_iter it;
    struct slice k, v;
    uint8_t prefix[NAME_MAX_LEN + 3] = { REGION_KV_PREFIX, 'y' };
    enum reeve_err err = attest_get(&at, AT_CONFIG, key, &o);
    if (err == REEVE_OK && o.gen_max > max)
        max = o.gen_max;
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        return err;
    memcpy(prefix + 2, key->s, key->len);
    kv_iter_init(&it, a->kv, slice_of(prefix, key->len + 3u));
    while ((err = kv_iter_next(&it, &k, &v)) == REEVE_OK) {
        struct rd r = rd_of(slice_of(k.p + k.len - 4, 4));
        uint32_t g = rd_u32(&r);
        max = g > max ? g : max;
    }
    *gen = max + 1;
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

/* ---- which values are kept ---- */

/* Those of the attested mirror, that being served, and the newest CONFIG_GENS_MAX numbers. */
static bool is_kept(const struct config_doc *d, const struct config_row *row, uint32_t newest, uint32_t gen)
{
    for (uint8_t i = 0; d != NULL && i < d->n; i++)
        if (d->g[i].gen == gen)
            return true;
    return gen == row->gen || (uint64_t) gen + CONFIG_GENS_MAX > newest;
}

static enum reeve_err mirror_of(struct apply *a, const struct name *key, struct config_doc **d)
{
    struct attest at = { .kv = a->kv, .c = a->r->c };
    struct attest_object o;
    *d = NULL;
    enum reeve_err err = attest_get(&at, AT_CONFIG, key, &o);
    if (err != REEVE_OK || o.update.op != 1)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    *d = &a->s->doc.config;
    return config_doc_decode(*d, o.update.payload) == REEVE_OK ? REEVE_OK : REEVE_E_CORRUPT;
}

#define VICTIMS_MAX 16      /* a put leaves at most one more than before; a few for good measure */

static enum reeve_err prune_values(struct apply *a, const struct name *key, const struct config_row *row, uint32_t newest)
{
    uint32_t victim[VICTIMS_MAX];
    unsigned n = 0;
    struct config_doc *d;
    struct kv_iter it;
    struct slice k, v;
    struct rkey rk;
    uint8_t prefix[NAME_MAX_LEN + 3] = { REGION_KV_PREFIX, 'y' };
    enum reeve_err err;
    TRY(mirror_of(a, key, &d));
    memcpy(prefix + 2, key->s, key->len);
    kv_iter_init(&it, a->kv, slice_of(prefix, key->len + 3u));
    while (n < VICTIMS_MAX && (err = kv_iter_next(&it, &k, &v)) == REEVE_OK) {
        struct rd r = rd_of(slice_of(k.p + k.len - 4, 4));
        uint32_t g = rd_u32(&r);
        if (!is_kept(d, row, newest, g))
            victim[n++] = g;
    }
    err = REEVE_OK;
    for (unsigned i = 0; i < n; i++) {
        rkey_name_u32(&rk, 'v', key, victim[i]);
        TRY(kv_del(a->kv, rkey_slice(&rk)));
        rkey_name_u32(&rk, 'y', key, victim[i]);
        TRY(kv_del(a->kv, rkey_slice(&rk)));
    }
out:
    return err;
}

static enum reeve_err value_put(struct apply *a, const struct name *key, const struct config_row *row, uint32_t gen,
                                uint8_t type, bool absent, struct slice value)
{
    const uint8_t meta[2] = { type, absent };
    struct rkey k;
    enum reeve_err err;
    rkey_name_u32(&k, 'v', key, gen);
    TRY(put_bytes(a->kv, &k, value));
    rkey_name_u32(&k, 'y', key, gen);
    TRY(put_bytes(a->kv, &k, slice_of(meta, sizeof meta)));
    TRY(prune_values(a, key, row, gen));
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
    TRY(next_gen(a, &key, &row, &row.gen));
    row.gen_new = 0;
    row.value_type = type;
    row.value_type_new = 0;
    row.absent = false;
    TRY(value_put(a, &key, &row, row.gen, type, false, value));
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
    TRY(next_gen(a, &key, &row, &row.gen));
    row.gen_new = 0;
    row.value_type_new = 0;
    row.absent = true;
    TRY(value_put(a, &key, &row, row.gen, row.value_type, true, (struct slice){ NULL, 0 }));
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
    TRY(next_gen(a, &key, &row, &row.gen_new));
    row.value_type_new = type;
    if (!was)
        row.updated = a->now;
    TRY(value_put(a, &key, &row, row.gen_new, type, absent, value));
    rkey_name(&k, 'c', &key);
    TRY(store_config(a, &k, &row));
    wr_u32(out, row.gen_new);
out:
    return err;
}
