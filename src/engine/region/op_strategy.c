/* op_strategy.c - rollout strategies, windows and the values of ALTER SYSTEM. */
#include "engine/region/region_int.h"

static const struct slice nothing = { NULL, 0 };

/* A strategy that could not be planned is refused now, not when it is used. */
static enum reeve_err spec_ok(struct apply *a, struct slice bytes)
{
    struct rollout_spec *s = &a->s->doc.spec;
    if (rollout_spec_decode(s, bytes) != REEVE_OK)
        return refuse(a, REEVE_E_MALFORMED, "malformed strategy");
    return rollout_spec_check(s, &a->rep);
}

static enum reeve_err strategy_history(struct apply *a, const struct name *name, const char *action,
                                       struct slice before, struct slice after)
{
    struct slice text[2] = { before, after };
    struct wr w[2];
    for (unsigned i = 0; i < 2; i++) {
        w[i] = wr_fixed(a->s->json[i], sizeof a->s->json[i]);
        if (text[i].len == 0)
            continue;
        wr_text(&w[i], "{\"definition\":");
        json_text(&w[i], text[i]);
        wr_u8(&w[i], '}');
    }
    return history_add(a, "strategy", name, action, wr_slice(&w[0]), wr_slice(&w[1]));
}

enum reeve_err op_strategy_create(struct apply *a, struct rd *r, struct wr *out)
{
    struct name name;
    struct strategy_row row;
    struct rkey k;
    bool exists;
    enum reeve_err err;
    rd_name(r, &name);
    strategy_row_read(&row, r);
    bool lenient = rd_row_flag(r);
    if (r->bad || a->dry)
        return REEVE_OK;
    TRY(spec_ok(a, row.spec));
    rkey_name(&k, 's', &name);
    TRY(key_exists(a->kv, &k, &exists));
    if (exists && lenient)
        return REEVE_OK;
    if (exists)
        return refuse(a, REEVE_E_DUPLICATE_OBJECT, "strategy \"%s\" already exists", name.s);
    row.builtin = false;
    row.uses = 0;
    row.created = a->now;
    row.last_used.ms = 0;
    row.created_by = a->actor;
    TRY(store_strategy(a, &k, &row));
    TRY(strategy_history(a, &name, "create", nothing, row.definition));
out:
    return err;
}

enum reeve_err op_strategy_drop(struct apply *a, struct rd *r, struct wr *out)
{
    struct name name;
    struct strategy_row row;
    struct rkey k;
    rd_name(r, &name);
    bool lenient = rd_row_flag(r);
    if (r->bad || a->dry)
        return REEVE_OK;
    rkey_name(&k, 's', &name);
    enum reeve_err err = load_strategy(a->kv, &k, &row);
    if (err == REEVE_E_NOT_FOUND)
        return lenient ? REEVE_OK : refuse(a, REEVE_E_UNDEFINED_OBJECT, "strategy \"%s\" does not exist", name.s);
    TRY(err);
    if (row.builtin)
        return refuse(a, REEVE_E_WRONG_STATE, "strategy \"%s\" is built in", name.s);
    TRY(strategy_history(a, &name, "drop", row.definition, nothing));
    TRY(kv_del(a->kv, rkey_slice(&k)));
out:
    return err;
}

enum reeve_err op_strategy_used(struct apply *a, struct rd *r, struct wr *out)
{
    struct name name;
    struct strategy_row row;
    struct rkey k;
    rd_name(r, &name);
    if (r->bad || a->dry)
        return REEVE_OK;
    rkey_name(&k, 's', &name);
    enum reeve_err err = load_strategy(a->kv, &k, &row);
    if (err == REEVE_E_NOT_FOUND)
        return refuse(a, REEVE_E_UNDEFINED_OBJECT, "strategy \"%s\" does not exist", name.s);
    TRY(err);
    row.uses++;
    row.last_used = a->now;
    /* row.spec and row.definition borrow from kv: they are copied into the row buffer before the write */
    TRY(store_strategy(a, &k, &row));
out:
    return err;
}

enum reeve_err op_window_create(struct apply *a, struct rd *r, struct wr *out)
{
    struct name name;
    struct window_row row;
    struct rkey k;
    bool exists;
    enum reeve_err err;
    rd_name(r, &name);
    window_row_read(&row, r);
    if (r->bad || a->dry)
        return REEVE_OK;
    rkey_name(&k, 'w', &name);
    TRY(key_exists(a->kv, &k, &exists));
    if (exists)
        return refuse(a, REEVE_E_DUPLICATE_OBJECT, "window \"%s\" already exists", name.s);
    TRY(store_window(a, &k, &row));
    TRY(history_add(a, "window", &name, "create", nothing, nothing));
out:
    return err;
}

enum reeve_err op_window_drop(struct apply *a, struct rd *r, struct wr *out)
{
    struct name name;
    struct rkey k;
    bool exists;
    enum reeve_err err;
    rd_name(r, &name);
    if (r->bad || a->dry)
        return REEVE_OK;
    rkey_name(&k, 'w', &name);
    TRY(key_exists(a->kv, &k, &exists));
    if (!exists)
        return refuse(a, REEVE_E_UNDEFINED_OBJECT, "window \"%s\" does not exist", name.s);
    TRY(kv_del(a->kv, rkey_slice(&k)));
    TRY(history_add(a, "window", &name, "drop", nothing, nothing));
out:
    return err;
}

/* before and after are JSON strings, or empty where the setting is not overridden. */
enum reeve_err op_setting(struct apply *a, struct rd *r, struct wr *out)
{
    struct wr before = wr_fixed(a->dry ? NULL : a->s->json[0], a->dry ? 0 : sizeof a->s->json[0]);
    struct wr after = wr_fixed(a->dry ? NULL : a->s->json[1], a->dry ? 0 : sizeof a->s->json[1]);
    struct name name;
    struct slice old;
    struct rkey k;
    rd_name(r, &name);
    bool present = rd_row_flag(r);
    struct slice value = rd_text16(r, TEXT16_MAX);
    if (r->bad || a->dry)
        return REEVE_OK;
    rkey_name(&k, 'a', &name);
    enum reeve_err err = kv_get(a->kv, rkey_slice(&k), &old);
    if (err == REEVE_OK)
        json_text(&before, old);
    else if (err != REEVE_E_NOT_FOUND)
        goto out;
    if (present)
        json_text(&after, value);
    TRY(present ? put_bytes(a->kv, &k, value) : kv_del(a->kv, rkey_slice(&k)));
    TRY(history_add(a, "setting", &name, present ? "set" : "reset", wr_slice(&before), wr_slice(&after)));
    TRY(feed_add(a, FEED_SETTING, &name));
out:
    return err;
}
