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

static const struct { const char *noun; enum grant_kind kind; uint32_t privilege; } nouns[] = {
    { "cert", GK_CERT, PRIV_SELECT }, { "authority", GK_AUTHORITY, PRIV_SELECT }, { "rollout", GK_ROLLOUT, PRIV_SELECT },
    { "node", GK_NODE, PRIV_SELECT }, { "config", GK_CONFIG, PRIV_SELECT }, { "history", GK_SYSTEM, PRIV_AUDIT },
};

/* A relation as a whole: SELECT on all objects of its kind, or AUDIT for history. */
static enum reeve_err may_read(void *session, const struct vtable *t, struct report *rep)
{
    struct session *s = session;
    for (size_t i = 0; t->object != NULL && i < sizeof nouns / sizeof nouns[0]; i++)
        if (strcmp(nouns[i].noun, t->object) == 0)
            return access_check(s, nouns[i].privilege, nouns[i].kind, NULL, rep);
    return REEVE_OK;
}

static enum reeve_err interrupted(void *session)
{
    return session_check_interrupts(session, NULL);
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
