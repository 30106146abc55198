/* system.c - ALTER SYSTEM, RELOAD, other sessions, and freezing the region. */
#include "cmd_int.h"

#include "backend/catalog/env.h"
#include "backend/ipc/ipc.h"
#include "backend/parser/parser.h"

static enum reeve_err setting_text_of(struct cmd *x, const struct ast_setting *a, enum setting_id id, struct slice *out)
{
    struct wr w = wr_heap(SETTING_TEXT_MAX);
    enum reeve_err err = REEVE_OK;
    for (int i = 0; i < a->values.n && err == REEVE_OK; i++) {
        struct slice s;
        err = slot_text(&x->slot, &a->values.v[i], a->name, &s);
        if (err == REEVE_OK) {
            wr_text(&w, i ? ", " : "");
            wr_bytes(&w, s.p, s.len);
        }
    }
    if (err == REEVE_OK && w.bad)
        err = report_set(x->rep, REEVE_E_INVALID_VALUE, "the value is too long");
    *out = arena_copy(x->arena, wr_slice(&w));
    wr_free(&w);
    struct setting_value probe = { 0 };
    if (err == REEVE_OK)
        err = setting_parse(&probe, id, *out, x->rep);
    setting_free(&probe);
    return err;
}

/* Texts that only a statement would read are read now, not when a rollout needs them. */
static enum reeve_err check_meaning(struct cmd *x, enum setting_id id, struct slice text)
{
    char *s = arena_strndup(x->arena, text.p, text.len);
    struct predicate where;
    struct ast_expr *e;
    if (s == NULL)
        return report_set(x->rep, REEVE_E_NOMEM, "out of memory");
    if (id == SET_rollout_default_canary)
        return cmd_check_canary(x, s);
    if (id != SET_target_predicate || text.len == 0)
        return REEVE_OK;
    enum reeve_err err = parse_expression(x->arena, text, &e, x->rep);
    return err == REEVE_OK ? cmd_predicate(x, e, &where) : err;
}

static enum reeve_err add_setting(struct cmd *x, enum setting_id id, bool set, struct slice text)
{
    struct name name;
    enum reeve_err err;
    if (!name_set_str(&name, setting_def(id)->name))
        return REEVE_E_BUG;
    struct wr *w = cmd_op(x, RO_SETTING, &err);
    if (w == NULL)
        return err;
    wr_name(w, &name);
    wr_u8(w, set);
    wr_str16(w, text);
    return cmd_op_end(x);
}

/* Only those that ALTER SYSTEM ever set have a row. */
static enum reeve_err reset_all(struct cmd *x)
{
    struct snap sn;
    struct kv_iter it;
    struct slice key, val;
    bool was[SET__COUNT] = { false };
    enum setting_id id;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    region_iter_init(&sn.region, &it, 'a', (struct slice){ NULL, 0 });
    while (region_iter_next(&it, &key, &val) == REEVE_OK)
        if (setting_find(&id, key))
            was[id] = true;
    snap_close(&sn);
    for (int i = 0; i < SET__COUNT && err == REEVE_OK; i++)
        if (was[i])
            err = add_setting(x, (enum setting_id) i, false, (struct slice){ NULL, 0 });
    return err;
}

static void say_when(struct cmd *x, enum setting_id id)
{
    session_notice(x->s, NOTICE_NOTICE, NULL, setting_def(id)->context == SETTING_POSTMASTER
                   ? "setting \"%s\" takes effect after a restart"
                   : "setting \"%s\" takes effect with RELOAD CONFIGURATION", setting_def(id)->name);
}

enum reeve_err cmd_alter_system(struct cmd *x)
{
    const struct ast_setting *a = &x->stmt->setting;
    bool set = x->stmt->kind == AST_ALTER_SYSTEM_SET && !a->to_default;
    bool all = x->stmt->kind == AST_ALTER_SYSTEM_RESET && strcmp(a->name, "all") == 0;
    enum setting_id id = 0;
    struct slice text = { NULL, 0 };
    struct cmd_outcome o;
    enum reeve_err err;
    TRY(cmd_need_superuser(x, "change the server's settings"));
    if (!all)
        TRY(session_setting_find(&id, slice_str(a->name), x->rep));
    if (!all && setting_def(id)->context == SETTING_INTERNAL)
        return report_set(x->rep, REEVE_E_WRONG_STATE, "setting \"%s\" cannot be changed", a->name);
    if (set) {
        TRY(setting_text_of(x, a, id, &text));
        TRY(check_meaning(x, id, text));
    }
    if (x->explain)
        return cmd_explain_note(x, "%s %s for the whole server", set ? "sets" : "resets", all ? "every setting" : setting_def(id)->name);
    TRY(all ? reset_all(x) : add_setting(x, id, set, text));
    TRY(cmd_finish(x, &o));
    if (!all)
        say_when(x, id);
out:
    return err;
}

enum reeve_err cmd_reload(struct cmd *x)
{
    enum reeve_err err = cmd_need_superuser(x, "reload the configuration");
    if (err == REEVE_OK && x->explain)
        return cmd_explain_note(x, "every process reads its settings again");
    return err == REEVE_OK ? postmaster_call(x->s, MSG_RELOAD_REQUEST, (struct slice){ NULL, 0 }, x->rep) : err;
}

/* Who logged in as that process; false when there is no such session. */
static bool session_user(struct cmd *x, int64_t pid, struct name *user)
{
    enum reeve_err err;
    const struct activity_map *m = x->s->env->activity;
    struct activity *a = cmd_alloc(x, sizeof *a, &err);
    for (unsigned i = 0; m != NULL && a != NULL && i < activity_slots(m); i++)
        if (activity_get(m, i, a) && a->pid == pid)
            return name_set_str(user, a->user);
    return false;
}

static enum reeve_err is_superuser(struct cmd *x, const struct name *user, bool *is)
{
    struct snap sn;
    struct role_row row;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    err = region_role_get(&sn.region, user, &row);
    snap_close(&sn);
    *is = err == REEVE_OK && row.attrs & ROLE_ATTR_SUPERUSER;
    secret_wipe(&row, sizeof row);
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

/*
 * As in PostgreSQL: one's own sessions always, those of superusers for
 * superusers, all others with ADMIN. Who may not is told nothing about whether
 * there is such a session.
 */
static enum reeve_err may_signal(struct cmd *x, int64_t pid)
{
    struct name user;
    bool super = false, found = session_user(x, pid, &user);
    enum reeve_err err;
    if (session_is_superuser(x->s) || (found && name_eq(&user, &x->s->role)))
        return REEVE_OK;
    TRY(cmd_need(x, PRIV_ADMIN, GK_SYSTEM, NULL));
    if (found)
        TRY(is_superuser(x, &user, &super));
    if (super)
        err = report_set(x->rep, REEVE_E_PRIVILEGE, "must be superuser to disturb a superuser's session");
out:
    return err;
}

/* CANCEL QUERY pid, TERMINATE SESSION pid */
enum reeve_err cmd_signal_session(struct cmd *x)
{
    uint8_t mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    int64_t pid;
    enum reeve_err err = slot_int(&x->slot, &x->stmt->object.name, "process id", 1, INT32_MAX, &pid);
    if (err == REEVE_OK)
        err = may_signal(x, pid);
    if (err != REEVE_OK)
        return err;
    if (x->explain)
        return cmd_explain_note(x, "%s session %d", x->stmt->kind == AST_CANCEL_QUERY ? "cancels the statement of" : "ends", (int) pid);
    wr_u32(&w, (uint32_t) pid);
    wr_u8(&w, x->stmt->kind == AST_CANCEL_QUERY ? 1 : 2);
    err = postmaster_call(x->s, MSG_SIGNAL_BACKEND, wr_slice(&w), x->rep);
    if (err == REEVE_E_NOT_FOUND) {
        report_clear(x->rep);
        return slot_error(&x->slot, &x->stmt->object.name, REEVE_E_UNDEFINED_OBJECT, "there is no session %d", (int) pid);
    }
    return err;
}

/* ALTER REGION own FREEZE | UNFREEZE: attested, so that nobody can thaw it quietly. */
enum reeve_err cmd_alter_region(struct cmd *x)
{
    const struct ast_region *a = &x->stmt->region;
    struct region_doc doc;
    struct cmd_outcome o;
    struct slice payload;
    struct snap sn = { 0 };
    struct name name;
    enum reeve_err err;
    TRY(slot_name(&x->slot, &a->name, "region", &name));
    TRY(cmd_need(x, PRIV_ADMIN, GK_REGION, &name));
    if (a->action == REGION_SET)
        return cmd_unsupported(x, "regions have no options yet", "FREEZE and UNFREEZE work.");
    TRY(cmd_reason(x, &a->reason, true));
    TRY(snap_open(x->s, &sn, x->rep));
    struct attest_object *old = cmd_alloc(x, sizeof *old, &err);
    if (old == NULL)
        goto out;
    err = attest_get(&sn.attest, AT_REGION, &name, old);
    if (err == REEVE_E_NOT_FOUND) {
        err = slot_error(&x->slot, &a->name, REEVE_E_UNDEFINED_OBJECT, "region \"%s\" does not exist", name.s);
        goto out;
    }
    if (err == REEVE_OK)
        err = region_doc_decode(&doc, old->update.payload);
    if (err != REEVE_OK)
        goto out;
    doc.state = a->action == REGION_FREEZE ? REGION_FROZEN : REGION_OK;
    if (x->explain) {
        err = cmd_explain_note(x, "%s region \"%s\"", a->action == REGION_FREEZE ? "freezes" : "unfreezes", name.s);
        goto out;
    }
    TRY(CMD_PAYLOAD(x, region_doc_encode, &doc, &payload));
    TRY(cmd_update(x, &sn, AT_REGION, &name, payload));
    snap_close(&sn);
    TRY(cmd_finish(x, &o));
out:
    snap_close(&sn);
    return err;
}
