/*
 * settings.h - the server's settings: reeve.conf and reeve.auto.conf
 *
 * Only the postmaster reads the two files. It checks them, and writes what
 * holds to DIR/run/settings (by rename), where every other process reads it,
 * at start and at each reload, with the names of those settings whose new
 * value waits for a restart: so all of them see the same, whole, correct
 * state, and no child needs access to anything but DIR/run.
 *
 * File: one `name = value` (or `name value`) a line; # begins a comment;
 * values with blanks stand in '...', where '' is a quote. The last line of a
 * name wins; reeve.auto.conf (ALTER SYSTEM) wins over reeve.conf.
 */
#ifndef REEVE_BACKEND_UTILS_SETTINGS_H
#define REEVE_BACKEND_UTILS_SETTINGS_H

#include "backend/utils/setting.h"

#define SETTINGS_FILE       "reeve.conf"
#define SETTINGS_AUTO_FILE  "reeve.auto.conf"
#define SETTINGS_SHARED     "run/settings"

struct settings {
    struct setting_value v[SET__COUNT];
    bool pending_restart[SET__COUNT];   /* the file has another value that needs a restart */
};

/* A fresh table at the defaults; settings_free() ends it. NOMEM. */
enum reeve_err settings_new(struct settings **out) REEVE_MUST_CHECK;
void settings_free(struct settings *s);

/* Postmaster: both files into a fresh table. CONFIG with "file:line: ..."; missing reeve.auto.conf is fine. */
enum reeve_err settings_load(struct settings **out, const char *dir, struct report *rep) REEVE_MUST_CHECK;
/* Postmaster: what holds now, for everybody else. */
enum reeve_err settings_share(const struct settings *s, const char *dir, struct report *rep) REEVE_MUST_CHECK;
/* Everybody else. */
enum reeve_err settings_load_shared(struct settings **out, const char *dir, struct report *rep) REEVE_MUST_CHECK;

/*
 * Takes over from fresh what may change while running; changed() is told each
 * one. What needs a restart stays and is marked in pending_restart.
 */
typedef void settings_changed_fn(void *arg, enum setting_id id, const char *from, const char *to, bool restart);
enum reeve_err settings_apply(struct settings *cur, const struct settings *fresh,
                              settings_changed_fn *changed, void *arg) REEVE_MUST_CHECK;

/* Postmaster: reeve.auto.conf as the ring made it from ALTER SYSTEM, checked like a file, written durably. */
enum reeve_err settings_auto_replace(const char *dir, struct slice text, struct report *rep) REEVE_MUST_CHECK;

int64_t settings_int(const struct settings *s, enum setting_id id);     /* also the index of an ENUM's word */
bool settings_bool(const struct settings *s, enum setting_id id);
const char *settings_text(const struct settings *s, enum setting_id id);    /* STRING only; never NULL */
/* A file setting as a path: relative ones lie in dir. False when it does not fit. */
bool settings_path(const struct settings *s, enum setting_id id, const char *dir, char *out, size_t cap);

/* The log's level, form from the table. */
void settings_apply_log(const struct settings *s);

#endif
