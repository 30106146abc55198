/* session_settings.c - a session's settings, and how they follow its transactions */
#include "backend/tcop/session_int.h"

#include <strings.h>

enum reeve_err session_settings_init(struct session *s, const struct setting_value *base)
{
    struct setting_value boot[SET__COUNT] = { 0 };
    enum reeve_err err = base ? REEVE_OK : setting_table_boot(boot);
    for (int i = 0; i < SET__COUNT && err == REEVE_OK; i++) {
        err = setting_copy(&s->settings[i].cur, base ? &base[i] : &boot[i]);
        if (err == REEVE_OK)
            err = setting_copy(&s->settings[i].reset, &s->settings[i].cur);
    }
    setting_table_free(boot);
    return err;
}

void session_settings_free(struct session *s)
{
    for (int i = 0; i < SET__COUNT; i++) {
        setting_free(&s->settings[i].cur);
        setting_free(&s->settings[i].reset);
        setting_free(&s->settings[i].prior);
        setting_free(&s->settings[i].masked);
    }
}

/* ---- reading ---- */

bool session_bool(const struct session *s, enum setting_id id) { return s->settings[id].cur.n != 0; }
int64_t session_int(const struct session *s, enum setting_id id) { return s->settings[id].cur.n; }

const char *session_text(const struct session *s, enum setting_id id)
{
    return s->settings[id].cur.text ? s->settings[id].cur.text : "";
}

const char *session_setting_text(const struct session *s, enum setting_id id, char buf[64])
{
    return setting_text(id, &s->settings[id].cur, buf);
}

enum reeve_err session_setting_find(enum setting_id *out, struct slice name, struct report *rep)
{
    if (setting_find(out, name))
        return REEVE_OK;
    return report_set(rep, REEVE_E_UNDEFINED_OBJECT, "unrecognized configuration parameter \"%.*s\"",
                      (int) (name.len < 255 ? name.len : 255), (const char *) name.p);
}

/* ---- writing ---- */

/* Moves *from into *to. */
static void value_move(struct setting_value *to, struct setting_value *from)
{
    setting_free(to);
    *to = *from;
    *from = (struct setting_value){ 0 };
}

/* Remembers what this transaction's end may need to return to. */
static enum reeve_err remember(struct session_setting *e, bool local)
{
    enum reeve_err err = REEVE_OK;
    if (!e->touched)
        err = setting_copy(&e->prior, &e->cur);
    if (err == REEVE_OK && local && !e->local)
        err = setting_copy(&e->masked, &e->cur);
    if (err != REEVE_OK)
        return err;
    e->touched = true;
    e->local = local;
    return REEVE_OK;
}

static enum reeve_err assign(struct session *s, enum setting_id id, struct setting_value *fresh, bool local)
{
    struct session_setting *e = &s->settings[id];
    enum reeve_err err = remember(e, local);
    if (err == REEVE_OK) {
        value_move(&e->cur, fresh);
        s->settings_changed = true;
    } else {
        setting_free(fresh);
    }
    return err;
}

static enum reeve_err may_set(const struct session *s, enum setting_id id, struct report *rep)
{
    const struct setting_def *d = setting_def(id);
    switch (d->context) {
    case SETTING_USER:
        return REEVE_OK;
    case SETTING_SUSET:
        if (session_is_superuser(s))
            return REEVE_OK;
        return report_set(rep, REEVE_E_PRIVILEGE, "permission denied to set parameter \"%s\"", d->name);
    case SETTING_SIGHUP:
    case SETTING_POSTMASTER:
        report_set(rep, REEVE_E_WRONG_STATE, d->context == SETTING_SIGHUP
                   ? "parameter \"%s\" cannot be changed now" : "parameter \"%s\" cannot be changed without restarting the server",
                   d->name);
        memcpy(rep->sqlstate, "55P02", 6);
        return report_hint(rep, "Use ALTER SYSTEM SET, or change reeve.conf and %s.",
                           d->context == SETTING_SIGHUP ? "reload" : "restart");
    case SETTING_INTERNAL:
        break;
    }
    report_set(rep, REEVE_E_WRONG_STATE, "parameter \"%s\" cannot be changed", d->name);
    memcpy(rep->sqlstate, "55P02", 6);
    return REEVE_E_WRONG_STATE;
}

/* The setting word DEFAULT and a few values need more than their type. */
static enum reeve_err parse_checked(struct setting_value *v, enum setting_id id, struct slice text, struct report *rep)
{
    if (id == SET_DateStyle && (text.len < 3 || strncasecmp((const char *) text.p, "ISO", 3) != 0)) {
        report_set(rep, REEVE_E_INVALID_VALUE, "only DateStyle ISO is supported");
        return REEVE_E_INVALID_VALUE;
    }
    if (id == SET_DateStyle && text.len == 3)
        text = slice_str("ISO, MDY");
    return setting_parse(v, id, text, rep);
}

enum reeve_err session_set(struct session *s, struct slice name, struct slice text, bool local, struct report *rep)
{
    enum setting_id id;
    struct setting_value fresh = { 0 };
    enum reeve_err err;
    TRY(session_setting_find(&id, name, rep));
    TRY(may_set(s, id, rep));
    TRY(parse_checked(&fresh, id, text, rep));
    TRY(assign(s, id, &fresh, local));
out:
    return err;
}

static enum reeve_err reset_one(struct session *s, enum setting_id id, bool local)
{
    struct setting_value fresh = { 0 };
    enum reeve_err err = setting_copy(&fresh, &s->settings[id].reset);
    return err == REEVE_OK ? assign(s, id, &fresh, local) : err;
}

enum reeve_err session_reset(struct session *s, struct slice name, bool local, struct report *rep)
{
    enum setting_id id;
    enum reeve_err err;
    TRY(session_setting_find(&id, name, rep));
    TRY(may_set(s, id, rep));
    TRY(reset_one(s, id, local));
out:
    return err;
}

enum reeve_err session_reset_all(struct session *s)
{
    enum reeve_err err = REEVE_OK;
    for (int i = 0; i < SET__COUNT && err == REEVE_OK; i++) {
        enum setting_context c = setting_def((enum setting_id) i)->context;
        bool own = c == SETTING_USER || (c == SETTING_SUSET && session_is_superuser(s));
        if (own && i != SET_transaction_isolation && i != SET_transaction_read_only)
            err = reset_one(s, (enum setting_id) i, false);
    }
    return err;
}

enum reeve_err session_set_startup(struct session *s, struct slice name, struct slice text, struct report *rep)
{
    enum setting_id id;
    enum reeve_err err;
    TRY(session_setting_find(&id, name, rep));
    TRY(may_set(s, id, rep));
    TRY(parse_checked(&s->settings[id].cur, id, text, rep));
    TRY(setting_copy(&s->settings[id].reset, &s->settings[id].cur));
    s->settings[id].from_client = true;
out:
    return err;
}

void session_settings_reload(struct session *s, const struct setting_value *base)
{
    for (int i = 0; i < SET__COUNT; i++) {
        struct session_setting *e = &s->settings[i];
        if (e->from_client || setting_def((enum setting_id) i)->context == SETTING_INTERNAL)
            continue;
        bool own = e->touched || !setting_eq((enum setting_id) i, &e->cur, &e->reset);
        /* Out of memory here leaves the former value, which is as good. */
        (void) !setting_copy(&e->reset, &base[i]);
        if (!own)
            (void) !setting_copy(&e->cur, &base[i]);
    }
    s->settings_changed = true;
}

enum reeve_err session_set_internal(struct session *s, enum setting_id id, const char *text)
{
    struct report rep = { 0 };
    enum reeve_err err = setting_parse(&s->settings[id].cur, id, slice_str(text), &rep);
    return err == REEVE_OK ? setting_copy(&s->settings[id].reset, &s->settings[id].cur) : err;
}

/* ---- the end of a transaction ---- */

static void settle(struct session_setting *e, bool committed)
{
    if (!committed)
        value_move(&e->cur, &e->prior);
    else if (e->local)
        value_move(&e->cur, &e->masked);
    setting_free(&e->prior);
    setting_free(&e->masked);
    e->touched = e->local = false;
}

void session_settings_txn_end(struct session *s, bool committed)
{
    for (int i = 0; i < SET__COUNT; i++)
        if (s->settings[i].touched) {
            settle(&s->settings[i], committed);
            s->settings_changed = true;
        }
}
