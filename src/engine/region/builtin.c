/*
 * builtin.c - the first rows of a region: its name, a superuser, predefined
 * roles as PostgreSQL 15 has them, and the strategies that come with it.
 */
#include "engine/region/region_int.h"

static const struct { const char *name; uint32_t system; } predefined[] = {
    { "sys_read_all", PRIV_SELECT },
    { "sys_operator", PRIV_SELECT | PRIV_ROTATE | PRIV_CONFIGURE | PRIV_ROLLBACK | PRIV_OPERATE | PRIV_ENROLL },
    { "sys_auditor", PRIV_SELECT | PRIV_AUDIT },
    { "sys_approver", PRIV_SELECT | PRIV_APPROVE },
};

static enum reeve_err put_role(struct apply *a, const char *name, const struct role_row *row)
{
    struct name n;
    struct rkey k;
    (void) name_set_str(&n, name);
    rkey_name(&k, 'r', &n);
    return store_role(a, &k, row);
}

static enum reeve_err put_predefined(struct apply *a, const char *name, uint32_t system)
{
    const struct role_row row = { .attrs = ROLE_ATTR_PREDEFINED | ROLE_ATTR_INHERIT, .created = a->now,
                                  .connection_limit = -1 };
    uint8_t b[4];
    struct wr w = wr_fixed(b, sizeof b);
    struct name n;
    struct rkey k;
    enum reeve_err err;
    wr_u32(&w, system);
    TRY(put_role(a, name, &row));
    (void) name_set_str(&n, name);
    rkey_grant(&k, &n, GK_SYSTEM, (struct slice){ NULL, 0 });
    TRY(put_bytes(a->kv, &k, wr_slice(&w)));
out:
    return err;
}

static enum reeve_err put_strategy(struct apply *a, const char *name, const struct rollout_spec *s)
{
    struct strategy_row row = { .created = a->now, .builtin = true };
    struct wr spec = wr_fixed(a->s->json[0], sizeof a->s->json[0]), text = wr_fixed(a->s->json[1], sizeof a->s->json[1]);
    struct name n;
    struct rkey k;
    rollout_spec_encode(s, &spec);
    rollout_spec_describe(s, &text);
    row.spec = wr_slice(&spec);
    row.definition = wr_slice(&text);
    (void) name_set_str(&n, name);
    rkey_name(&k, 's', &n);
    return store_strategy(a, &k, &row);
}

static enum reeve_err put_strategies(struct apply *a)
{
    struct rollout_spec *s = &a->s->doc.spec;
    enum reeve_err err;
    memset(s, 0, sizeof *s);
    rollout_spec_default(s, NULL);
    s->strategy.len = 0;
    TRY(put_strategy(a, "default", s));
    memset(s, 0, sizeof *s);
    s->n_waves = 3;
    s->wave[0] = (struct wave_spec){ SHARE_PPM, 50000, 60000, true };
    s->wave[1] = (struct wave_spec){ SHARE_PPM, 250000, 60000, true };
    s->wave[2] = (struct wave_spec){ SHARE_PPM, PPM, 0, false };
    rollout_spec_default(s, NULL);
    TRY(put_strategy(a, "fast", s));
out:
    return err;
}

static enum reeve_err put_all(struct apply *a, const struct name *region, const struct name *superuser,
                              struct slice verifier)
{
    struct role_row row = { .attrs = ROLE_ATTR_LOGIN | ROLE_ATTR_SUPERUSER | ROLE_ATTR_CREATEROLE | ROLE_ATTR_INHERIT,
                            .created = a->now, .connection_limit = -1 };
    struct rkey k;
    enum reeve_err err;
    if (verifier.len > 0)
        memcpy(row.verifier, verifier.p, verifier.len);
    rkey_bytes(&k, 'm', "region", 6);
    TRY(put_bytes(a->kv, &k, name_slice(region)));
    TRY(put_role(a, superuser->s, &row));
    for (size_t i = 0; i < sizeof predefined / sizeof *predefined; i++)
        TRY(put_predefined(a, predefined[i].name, predefined[i].system));
    TRY(put_strategies(a));
out:
    return err;
}

enum reeve_err apply_builtin(struct apply *a, struct rd *r)
{
    struct name region, superuser;
    struct rkey k;
    bool exists;
    enum reeve_err err;
    a->now = rd_time(r);
    rd_name(r, &region);
    rd_name(r, &superuser);
    struct slice verifier = rd_text16(r, sizeof ((struct role_row *) NULL)->verifier - 1);
    if (!rd_done(r) || superuser.len > ROLE_NAME_MAX)
        return refuse(a, REEVE_E_MALFORMED, "malformed command");
    if (a->dry)
        return REEVE_OK;
    rkey_bytes(&k, 'm', "region", 6);
    TRY(key_exists(a->kv, &k, &exists));
    if (exists)
        return refuse(a, REEVE_E_DUPLICATE_OBJECT, "the region has its first rows already");
    TRY(put_all(a, &region, &superuser, verifier));
    if (region_level_max > 0)
        TRY(meta_put(a->kv, "level", region_level_max));
    result_item(a, REEVE_OK, "", (struct slice){ NULL, 0 });
out:
    return err;
}
