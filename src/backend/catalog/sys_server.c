/* sys_server.c - sys.regions, validators, settings, sessions; what the server says of itself */
#include "cat_int.h"

#include "backend/utils/version.h"

/* ---- regions ---- */

static const struct vcolumn regions_columns[] = {
    { "region", T_TEXT, true }, { "state", T_TEXT, true }, { "nodes", T_INT4, true }, { "nodes_live", T_INT4, true },
    { "applied_index", T_INT8, true }, { "attested_height", T_INT8, true }, { "region_key", T_TEXT, false },
};

static uint32_t count_live(struct session *s, uint32_t nodes)
{
    int64_t beat = settings_int(s->env->settings, SET_agent_heartbeat_interval);
    int64_t now = session_wall_now().ms;
    uint32_t live = 0;
    for (uint32_t i = 0; i < nodes; i++) {
        uint32_t seen = snap_last_seen(s, i);
        live += seen != 0 && now - 1000ll * seen < 3 * beat + 2000;
    }
    return live;
}

static enum reeve_err scan_regions(struct vscan *s)
{
    struct cat c;
    struct name after = { 0 }, own;
    uint32_t nodes = 0;
    uint64_t applied = 0;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    struct attest_head *head = cat_alloc(&c, sizeof *head, &err);
    if (head == NULL)
        goto out;
    TRY(region_name(&c.sn.region, &own));
    TRY(region_node_count(&c.sn.region, &nodes));
    TRY(region_applied_index(&c.sn.region, &applied));
    TRY(attest_head(&c.sn.attest, head));
    while ((err = cat_next_object(&c, AT_REGION, &after)) == REEVE_OK) {
        struct region_doc d;
        bool mine = name_eq(&after, &own);
        TRY(region_doc_decode(&d, c.o->update.payload));
        struct datum v[] = {
            d_name(&after), d_str(d.state == REGION_FROZEN ? "frozen" : "ok"), mine ? d_int(nodes) : d_null(),
            mine && vscan_needs(s, 3) ? d_int(count_live(s->session, nodes)) : d_null(), mine ? d_int((int64_t) applied) : d_null(),
            d_int((int64_t) head->height), d_hex(s, d.key.b, 32),
        };
        TRY(vscan_row(s, v));
    }
out:
    cat_close(&c);
    return cat_end(err);
}
RELATION(sys_regions, "sys", "regions", regions_columns, VKEY_NONE, scan_regions, NULL);

static const struct vcolumn validators_columns[] = {
    { "validator", T_TEXT, true }, { "key", T_TEXT, true }, { "weight", T_INT4, true }, { "epoch", T_INT8, true }, { "height", T_INT8, true },
};

static enum reeve_err scan_validators(struct vscan *s)
{
    struct cat c;
    struct slice doc;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    struct valset *set = cat_alloc(&c, sizeof *set, &err);
    struct attest_head *head = set ? cat_alloc(&c, sizeof *head, &err) : NULL;
    if (head == NULL)
        goto out;
    TRY(attest_valset(&c.sn.attest, set, &doc));
    TRY(attest_head(&c.sn.attest, head));
    for (uint16_t i = 0; i < set->n; i++) {
        struct datum v[] = { d_name(&set->v[i].name), d_hex(s, set->v[i].key.b, 32), d_int(set->v[i].weight),
                             d_int((int64_t) set->epoch), d_int((int64_t) head->height) };
        TRY(vscan_row(s, v));
    }
out:
    cat_close(&c);
    return err;
}
RELATION(sys_validators, "sys", "validators", validators_columns, VKEY_NONE, scan_validators, NULL);

/* ---- settings ---- */

static const struct vcolumn settings_columns[] = {
    { "name", T_TEXT, true }, { "setting", T_TEXT, true }, { "unit", T_TEXT, false }, { "category", T_TEXT, false },
    { "short_desc", T_TEXT, true }, { "extra_desc", T_TEXT, false }, { "context", T_TEXT, false }, { "vartype", T_TEXT, false },
    { "source", T_TEXT, false }, { "min_val", T_TEXT, false }, { "max_val", T_TEXT, false }, { "enumvals", T_TEXT_ARRAY, false },
    { "boot_val", T_TEXT, false }, { "reset_val", T_TEXT, false }, { "pending_restart", T_BOOL, false },
};

static const char *vartype_name(enum setting_type t)
{
    return t == SETTING_BOOL ? "bool" : t == SETTING_INT ? "integer" : t == SETTING_ENUM ? "enum" : "string";
}

/* Where the value comes from, in PostgreSQL's words; ALTER SYSTEM writes a configuration file, too. */
static const char *source_of(const struct session *s, enum setting_id id, const char *now, const char *reset)
{
    const struct setting_def *d = setting_def(id);
    char boot_text[64];
    struct setting_value boot = { 0 };
    struct report rep = { 0 };
    if (d->context == SETTING_INTERNAL)
        return "override";
    if (strcmp(now, reset) != 0)
        return "session";
    if (s->settings[id].from_client)
        return "client";
    bool same = setting_parse(&boot, id, slice_str(d->boot), &rep) == REEVE_OK &&
                strcmp(setting_text(id, &boot, boot_text), reset) == 0;
    setting_free(&boot);
    return same ? "default" : "configuration file";
}

static enum reeve_err setting_row(struct vscan *s, enum setting_id id)
{
    const struct setting_def *d = setting_def(id);
    struct session *ses = s->session;
    char text[64], boot[64];
    bool is_int = d->type == SETTING_INT;
    const char *now = session_setting_text(ses, id, text);
    const char *reset = setting_text(id, &ses->settings[id].reset, boot);
    struct datum v[] = {
        d_str(d->name), d_str(arena_strdup(s->row, now)), d->unit[0] && is_int ? d_str(d->unit) : d_null(), d_str("Reeve"),
        d_str(d->desc), d_null(), d_str(setting_context_name(d->context)), d_str(vartype_name(d->type)),
        d_str(source_of(ses, id, now, reset)),
        is_int ? d_fmt(s, "%lld", (long long) d->min) : d_null(), is_int ? d_fmt(s, "%lld", (long long) d->max) : d_null(), d_null(),
        d_str(d->boot), d_str(arena_strdup(s->row, reset)), d_bool(ses->env->settings->pending_restart[id]),
    };
    return vscan_row(s, v);
}

static enum reeve_err scan_settings(struct vscan *s)
{
    for (int id = 0; id < SET__COUNT; id++) {
        enum reeve_err err = setting_row(s, id);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}
RELATION(pg_settings, "pg_catalog", "pg_settings", settings_columns, VKEY_NONE, scan_settings, NULL);
RELATION(sys_settings, "sys", "settings", settings_columns, VKEY_NONE, scan_settings, NULL);

/* ---- sessions ---- */

static const struct vcolumn activity_columns[] = {
    { "datid", T_OID, false }, { "datname", T_NAME, false }, { "pid", T_INT4, true }, { "usename", T_NAME, true },
    { "application_name", T_TEXT, true }, { "client_addr", T_TEXT, true }, { "client_port", T_INT4, false },
    { "backend_start", T_TIMESTAMPTZ, false }, { "xact_start", T_TIMESTAMPTZ, false }, { "query_start", T_TIMESTAMPTZ, false },
    { "state_change", T_TIMESTAMPTZ, false }, { "state", T_TEXT, true }, { "query", T_TEXT, true }, { "ssl", T_BOOL, false },
    { "backend_type", T_TEXT, false },
};

/* Other people's statements are for those who may administer. */
static bool sees_query(const struct session *s, const struct activity *a)
{
    return session_is_superuser(s) || strcmp(a->user, s->role.s) == 0;
}

static enum reeve_err scan_activity(struct vscan *s)
{
    struct session *ses = s->session;
    struct activity *a = arena_alloc(s->arena, sizeof *a);
    if (a == NULL)
        return report_set(s->report, REEVE_E_NOMEM, "out of memory");
    unsigned n = ses->env->activity ? activity_slots(ses->env->activity) : 0;
    for (unsigned i = 0; i < n; i++) {
        if (!activity_get(ses->env->activity, i, a))
            continue;
        struct datum v[] = {
            d_int(16384), d_str("reeve"), d_int(a->pid), d_str(a->user), d_str(a->app_name), d_str(a->client_addr),
            d_int(a->client_port), d_wall(a->started), d_wall(a->txn_started), d_wall(a->stmt_started), d_wall(a->state_changed),
            d_str(activity_state_name(a->state)), sees_query(ses, a) ? d_str(a->query) : d_str("<insufficient privilege>"),
            d_bool(a->tls), d_str("client backend"),
        };
        enum reeve_err err = vscan_row(s, v);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}
RELATION(sys_stat_activity, "sys", "stat_activity", activity_columns, VKEY_NONE, scan_activity, NULL);
RELATION(sys_sessions, "sys", "sessions", activity_columns, VKEY_NONE, scan_activity, NULL);
RELATION(pg_stat_activity, "pg_catalog", "pg_stat_activity", activity_columns, VKEY_NONE, scan_activity, NULL);

/* ---- constants that drivers ask for ---- */

static const struct vcolumn database_columns[] = {
    { "oid", T_OID, true }, { "datname", T_NAME, true }, { "datdba", T_OID, true }, { "encoding", T_INT4, true },
    { "datcollate", T_NAME, true }, { "datctype", T_NAME, true }, { "datallowconn", T_BOOL, true }, { "datistemplate", T_BOOL, true },
    { "datconnlimit", T_INT4, true }, { "datlastsysoid", T_OID, true }, { "dattablespace", T_OID, true },
};

static enum reeve_err scan_database(struct vscan *s)
{
    struct datum v[] = { d_int(16384), d_str("reeve"), d_int(10), d_int(6), d_str("C.UTF-8"), d_str("C.UTF-8"), d_bool(true),
                         d_bool(false), d_int(-1), d_int(0), d_int(1663) };
    return vscan_row(s, v);
}
RELATION(pg_database, "pg_catalog", "pg_database", database_columns, VKEY_NONE, scan_database, NULL);

static const struct vcolumn namespace_columns[] = { { "oid", T_OID, true }, { "nspname", T_NAME, true }, { "nspowner", T_OID, true } };

static enum reeve_err scan_namespace(struct vscan *s)
{
    static const struct { int oid; const char *name; } spaces[] = { { 11, "pg_catalog" }, { 2200, "public" }, { 13000, "information_schema" }, { 16000, "sys" } };
    enum reeve_err err = REEVE_OK;
    for (unsigned i = 0; i < 4 && err == REEVE_OK; i++) {
        struct datum v[] = { d_int(spaces[i].oid), d_str(spaces[i].name), d_int(10) };
        err = vscan_row(s, v);
    }
    return err;
}
RELATION(pg_namespace, "pg_catalog", "pg_namespace", namespace_columns, VKEY_NONE, scan_namespace, NULL);

static const struct vcolumn type_columns[] = {
    { "oid", T_OID, true }, { "typname", T_NAME, true }, { "typnamespace", T_OID, true }, { "typlen", T_INT2, true },
    { "typtype", T_TEXT, true }, { "typelem", T_OID, true }, { "typarray", T_OID, true }, { "typbasetype", T_OID, true },
    { "typrelid", T_OID, true }, { "typdelim", T_TEXT, true },
};

static enum reeve_err scan_type(struct vscan *s)
{
    const struct type_info *t;
    for (int i = 0; (t = type_at(i)) != NULL; i++) {
        bool array = t->oid == T_TEXT_ARRAY;
        struct datum v[] = { d_int(t->oid), d_str(t->name), d_int(11), d_int(t->len), d_str("b"), d_int(array ? T_TEXT : 0),
                             d_int(t->oid == T_TEXT ? T_TEXT_ARRAY : 0), d_int(0), d_int(0), d_str(",") };
        enum reeve_err err = vscan_row(s, v);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}
RELATION(pg_type, "pg_catalog", "pg_type", type_columns, VKEY_NONE, scan_type, NULL);
