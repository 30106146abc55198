/* settings.c - the server's table: loading, sharing, reloading. */
#include "backend/utils/settings.h"

#include <stdio.h>
#include <stdlib.h>

#include "backend/utils/datadir.h"
#include "backend/utils/log.h"
#include "backend/utils/settings_int.h"

enum reeve_err settings_new(struct settings **out)
{
    struct settings *s = calloc(1, sizeof *s);
    if (s == NULL)
        return REEVE_E_NOMEM;
    enum reeve_err err = setting_table_boot(s->v);
    if (err != REEVE_OK) {
        settings_free(s);
        return err;
    }
    *out = s;
    return REEVE_OK;
}

void settings_free(struct settings *s)
{
    if (s == NULL)
        return;
    setting_table_free(s->v);
    free(s);
}

/* ---- loading ---- */

/* In the shared file only: names a setting whose new value waits for a restart. */
#define PENDING_LINE "pending_restart"

static bool take_pending(struct settings *s, const struct conf_line *l)
{
    enum setting_id id;
    if (!slice_eq(l->name, slice_str(PENDING_LINE)) || !setting_find(&id, slice_of(l->value, l->value_len)))
        return false;
    s->pending_restart[id] = true;
    return true;
}

/* One line into the table. Internal ones are accepted from the shared file only. */
static enum reeve_err take_line(struct settings *s, const struct conf_line *l, bool shared, struct report *rep)
{
    enum setting_id id;
    int n = (int) (l->name.len < 100 ? l->name.len : 100);
    if (shared && take_pending(s, l))
        return REEVE_OK;
    if (!setting_find(&id, l->name))
        return report_set(rep, REEVE_E_CONFIG, "unrecognized configuration parameter \"%.*s\"", n, (const char *) l->name.p);
    if (!shared && setting_def(id)->context == SETTING_INTERNAL)
        return report_set(rep, REEVE_E_CONFIG, "parameter \"%s\" cannot be set", setting_def(id)->name);
    return setting_parse(&s->v[id], id, slice_of(l->value, l->value_len), rep);
}

/* "file:line: what", with the code of configuration errors. */
static enum reeve_err at_line(const char *file, int line, const char *what, const struct report *inner, struct report *rep)
{
    report_set(rep, REEVE_E_CONFIG, "%s:%d: %.400s", file, line, what);
    if (rep != NULL && inner != NULL)
        memcpy(rep->hint, inner->hint, sizeof rep->hint);
    return REEVE_E_CONFIG;
}

static enum reeve_err take_text(struct settings *s, struct slice text, const char *file, bool shared, struct report *rep)
{
    struct conf_line l;
    struct slice line;
    const char *why;
    for (int n = 1; conf_next_line(&text, &line); n++) {
        if (!conf_line_parse(&l, line, &why))
            return at_line(file, n, why, NULL, rep);
        struct report inner = { 0 };
        if (l.name.len > 0 && take_line(s, &l, shared, &inner) != REEVE_OK)
            return at_line(file, n, inner.message, &inner, rep);
    }
    return REEVE_OK;
}

static enum reeve_err take_file(struct settings *s, const char *dir, const char *file, bool needed, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    size_t len = 0;
    uint8_t *text = malloc(SETTINGS_TEXT_MAX);
    enum reeve_err err = REEVE_E_NOMEM;
    if (text == NULL)
        return err;
    if (!datadir_path(path, sizeof path, dir, file))
        TRY(report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long"));
    err = file_read(path, text, SETTINGS_TEXT_MAX, &len);
    if (err == REEVE_E_NOT_FOUND && !needed) {
        err = REEVE_OK;
        goto out;
    }
    if (err != REEVE_OK)
        TRY(report_set(rep, REEVE_E_CONFIG, "could not read \"%s\": %s", path, reeve_err_text(err)));
    TRY(take_text(s, slice_of(text, len), file, strcmp(file, SETTINGS_SHARED) == 0, rep));
out:
    free(text);
    return err;
}

static enum reeve_err check_together(const struct settings *s, struct report *rep)
{
    if (settings_int(s, SET_superuser_reserved_connections) >= settings_int(s, SET_max_connections))
        return report_set(rep, REEVE_E_CONFIG,
                          "superuser_reserved_connections must be less than max_connections");
    return REEVE_OK;
}

enum reeve_err settings_load(struct settings **out, const char *dir, struct report *rep)
{
    struct settings *s = NULL;
    enum reeve_err err;
    TRY(settings_new(&s));
    TRY(take_file(s, dir, SETTINGS_FILE, true, rep));
    TRY(take_file(s, dir, SETTINGS_AUTO_FILE, false, rep));
    TRY(check_together(s, rep));
    TRY(setting_parse(&s->v[SET_data_directory], SET_data_directory, slice_str(dir), rep));
    *out = s;
    s = NULL;
out:
    settings_free(s);
    return err;
}

/* ---- sharing ---- */

enum reeve_err settings_share(const struct settings *s, const char *dir, struct report *rep)
{
    char path[DATADIR_PATH_MAX], buf[64];
    struct wr w = wr_heap(SETTINGS_TEXT_MAX);
    enum reeve_err err;
    if (!datadir_path(path, sizeof path, dir, SETTINGS_SHARED))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    for (int i = 0; i < SET__COUNT; i++)
        conf_line_write(&w, setting_def((enum setting_id) i)->name, setting_text((enum setting_id) i, &s->v[i], buf));
    for (int i = 0; i < SET__COUNT; i++)
        if (s->pending_restart[i])
            conf_line_write(&w, PENDING_LINE, setting_def((enum setting_id) i)->name);
    err = w.bad ? report_set(rep, REEVE_E_NOMEM, "out of memory") : file_replace(path, wr_slice(&w), 0600, rep);
    wr_free(&w);
    return err;
}

enum reeve_err settings_load_shared(struct settings **out, const char *dir, struct report *rep)
{
    struct settings *s = NULL;
    enum reeve_err err;
    TRY(settings_new(&s));
    TRY(take_file(s, dir, SETTINGS_SHARED, true, rep));
    *out = s;
    s = NULL;
out:
    settings_free(s);
    return err;
}

/* ---- reloading ---- */

enum reeve_err settings_apply(struct settings *cur, const struct settings *fresh, settings_changed_fn *changed, void *arg)
{
    enum reeve_err err = REEVE_OK;
    for (int i = 0; i < SET__COUNT && err == REEVE_OK; i++) {
        enum setting_id id = (enum setting_id) i;
        char from[64], to[64];
        bool restart = setting_def(id)->context == SETTING_POSTMASTER;
        bool differs = !setting_eq(id, &cur->v[i], &fresh->v[i]);
        if (differs && changed != NULL && !(restart && cur->pending_restart[i]))
            changed(arg, id, setting_text(id, &cur->v[i], from), setting_text(id, &fresh->v[i], to), restart);
        cur->pending_restart[i] = restart && (differs || fresh->pending_restart[i]);
        if (differs && !restart)
            err = setting_copy(&cur->v[i], &fresh->v[i]);
    }
    return err;
}

/* ---- ALTER SYSTEM ---- */

enum reeve_err settings_auto_replace(const char *dir, struct slice text, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    struct settings *trial = NULL;
    enum reeve_err err;
    if (text.len > SETTINGS_TEXT_MAX || !datadir_path(path, sizeof path, dir, SETTINGS_AUTO_FILE))
        return report_set(rep, REEVE_E_TOO_BIG, "%s is too long", SETTINGS_AUTO_FILE);
    TRY(settings_new(&trial));
    TRY(take_text(trial, text, SETTINGS_AUTO_FILE, false, rep));
    TRY(file_replace(path, text, 0600, rep));
out:
    settings_free(trial);
    return err;
}

/* ---- reading ---- */

int64_t settings_int(const struct settings *s, enum setting_id id) { return s->v[id].n; }
bool settings_bool(const struct settings *s, enum setting_id id) { return s->v[id].n != 0; }
const char *settings_text(const struct settings *s, enum setting_id id) { return s->v[id].text ? s->v[id].text : ""; }

bool settings_path(const struct settings *s, enum setting_id id, const char *dir, char *out, size_t cap)
{
    const char *text = settings_text(s, id);
    if (*text == '\0')
        return false;
    if (*text != '/')
        return datadir_path(out, cap, dir, text);
    return snprintf(out, cap, "%s", text) < (int) cap;
}

void settings_apply_log(const struct settings *s)
{
    log_configure((enum log_severity) settings_int(s, SET_log_level), (enum log_form) settings_int(s, SET_log_format));
}
