/* query_env.c - what a query may ask of its session. */
#include "cat_int.h"

#include "backend/access/access.h"
#include "backend/executor/func.h"
#include "backend/utils/version.h"

static const char *setting_of(void *session, const char *name)
{
    struct session *s = session;
    enum setting_id id;
    char buf[64];
    if (!setting_find(&id, slice_str(name)))
        return NULL;
    return arena_strdup(s->stmt_arena, session_setting_text(s, id, buf));
}

/*
 * single: SELECT on one object opens the relation, whose scan then shows only
 * what may be seen (cat_may_see); a rollout also by what it changes.
 */
static const struct { const char *noun; enum grant_kind kind; uint32_t privilege; bool single; } nouns[] = {
    { "cert", GK_CERT, PRIV_SELECT, true }, { "authority", GK_AUTHORITY, PRIV_SELECT, true },
    { "rollout", GK_ROLLOUT, PRIV_SELECT, true }, { "node", GK_NODE, PRIV_SELECT, true },
    { "node-part", GK_NODE, PRIV_SELECT, false }, { "config", GK_CONFIG, PRIV_SELECT, true },
    { "history", GK_SYSTEM, PRIV_AUDIT, false }, { "proposal", GK_SYSTEM, PRIV_SELECT, false },
};

static bool concerns(enum grant_kind kind, uint8_t granted)
{
    uint8_t on = granted & (uint8_t) ~GK_ALL;
    return on == kind || (kind == GK_ROLLOUT && (on == GK_CERT || on == GK_CONFIG));
}

/* Does the role hold SELECT on anything of the kind, itself or through membership? */
static bool holds_any(struct session *s, struct region *r, enum grant_kind kind)
{
    struct kv_iter it;
    struct slice key, val;
    struct name grantee;
    region_iter_init(r, &it, 'g', (struct slice){ NULL, 0 });
    while (region_iter_next(&it, &key, &val) == REEVE_OK) {
        const uint8_t *nul = memchr(key.p, 0, key.len);
        struct rd rd = rd_of(val);
        bool select = rd_u32(&rd) & (PRIV_SELECT | PRIV_ADMIN);
        if (nul != NULL && (size_t) (nul - key.p) + 1 < key.len && select && concerns(kind, nul[1]) &&
            name_set(&grantee, slice_of(key.p, (size_t) (nul - key.p))) && region_role_is_member(r, &grantee, &s->role))
            return true;
    }
    return false;
}

static enum reeve_err may_read_kind(struct session *s, size_t i, struct report *rep)
{
    struct snap sn;
    enum reeve_err err = snap_open(s, &sn, rep);
    if (err != REEVE_OK)
        return err;
    err = access_check_region(&sn.region, s, nouns[i].privilege, nouns[i].kind, NULL, rep);
    if (err == REEVE_E_PRIVILEGE && nouns[i].single && holds_any(s, &sn.region, nouns[i].kind)) {
        report_clear(rep);
        err = REEVE_OK;
    }
    snap_close(&sn);
    return err;
}

static enum reeve_err may_read(void *session, const struct vtable *t, struct report *rep)
{
    for (size_t i = 0; t->object != NULL && i < sizeof nouns / sizeof nouns[0]; i++)
        if (strcmp(nouns[i].noun, t->object) == 0)
            return may_read_kind(session, i, rep);
    return REEVE_OK;
}

static enum reeve_err interrupted(void *session, struct report *rep)
{
    return session_check_interrupts(session, rep);
}

void catalog_query_env(struct session *s, struct arena *arena, const struct query_params *params, struct query_env *env)
{
    memset(env, 0, sizeof *env);
    env->arena = arena;
    env->tables = catalog_tables;
    env->ntables = catalog_ntables;
    env->session = s;
    if (params != NULL)
        env->params = *params;
    env->now_us = d_wall(s->txn_started.ms ? s->txn_started : session_wall_now()).us;
    env->clock_us = d_wall(session_wall_now()).us;
    env->pid = s->pid;
    env->user = s->role.s;
    env->database = "reeve";
    env->version = "PostgreSQL 15.0 (reeve 0.1)";
    env->setting = setting_of;
    env->may_read = may_read;
    env->interrupted = interrupted;
}
