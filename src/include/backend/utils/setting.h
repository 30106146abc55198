/*
 * setting.h - what a setting is: its definition, its values, its text
 *
 * Pure functions over the list in settinglist.h. Who keeps values where is
 * not decided here: reeve.conf is read by backend/utils, a session's table is
 * backend/tcop/session.h; both hold an array of struct setting_value indexed
 * by enum setting_id.
 */
#ifndef REEVE_BACKEND_UTILS_SETTING_H
#define REEVE_BACKEND_UTILS_SETTING_H

#include "common/err.h"
#include "common/types.h"

enum setting_id {
#define SETTING(name, type, boot, min, max, unit, context, desc) SET_##name,
#include "backend/utils/settinglist.h"
#undef SETTING
    SET__COUNT
};

enum setting_type { SETTING_BOOL, SETTING_INT, SETTING_STRING, SETTING_ENUM };
enum setting_context { SETTING_INTERNAL, SETTING_POSTMASTER, SETTING_SIGHUP, SETTING_SUSET, SETTING_USER };

#define SETTING_TEXT_MAX 1024

struct setting_def {
    const char *name;
    enum setting_type type;
    const char *boot;
    int64_t min, max;
    const char *unit;
    enum setting_context context;
    const char *desc;
};

/* n: BOOL 0/1, INT the number in its unit, ENUM the index of the word. text: STRING only, owned (malloc). */
struct setting_value {
    int64_t n;
    char *text;
};

const struct setting_def *setting_def(enum setting_id id);
/* By name, letters of either case; false when there is none. */
bool setting_find(enum setting_id *out, struct slice name);
/* Context as pg_settings spells it. */
const char *setting_context_name(enum setting_context c);

/* Replaces *v; on refusal *v is unchanged. INVALID_VALUE with a report, NOMEM. */
enum reeve_err setting_parse(struct setting_value *v, enum setting_id id, struct slice text, struct report *rep)
    REEVE_MUST_CHECK;
enum reeve_err setting_copy(struct setting_value *to, const struct setting_value *from) REEVE_MUST_CHECK;
void setting_free(struct setting_value *v);
bool setting_eq(enum setting_id id, const struct setting_value *a, const struct setting_value *b);
/* What SHOW prints: an INT with the largest unit that divides it. Borrowed from v, the list or buf. */
const char *setting_text(enum setting_id id, const struct setting_value *v, char buf[64]);

/* A whole table at its defaults; table has SET__COUNT entries, zeroed. */
enum reeve_err setting_table_boot(struct setting_value *table) REEVE_MUST_CHECK;
enum reeve_err setting_table_copy(struct setting_value *to, const struct setting_value *from) REEVE_MUST_CHECK;
void setting_table_free(struct setting_value *table);

#endif
