/* setting.c - definitions, parsing and printing of settings; see the header. */
#include "backend/utils/setting.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const struct setting_def defs[SET__COUNT] = {
#define SETTING(name, type, boot, min, max, unit, context, desc) \
    [SET_##name] = { #name, SETTING_##type, boot, min, max, unit, SETTING_##context, desc },
#include "backend/utils/settinglist.h"
#undef SETTING
};

const struct setting_def *setting_def(enum setting_id id)
{
    reeve_assert(id < SET__COUNT);
    return &defs[id];
}

static bool same_word(struct slice a, const char *b, size_t blen)
{
    return a.len == blen && strncasecmp((const char *) a.p, b, blen) == 0;
}

bool setting_find(enum setting_id *out, struct slice name)
{
    for (int i = 0; i < SET__COUNT; i++)
        if (same_word(name, defs[i].name, strlen(defs[i].name))) {
            *out = (enum setting_id) i;
            return true;
        }
    return false;
}

const char *setting_context_name(enum setting_context c)
{
    static const char *const names[] = { "internal", "postmaster", "sighup", "superuser", "user" };
    return names[c];
}

/* ---- parsing ---- */

static enum reeve_err refuse(const struct setting_def *d, struct slice text, struct report *rep)
{
    return report_set(rep, REEVE_E_INVALID_VALUE, "invalid value for parameter \"%s\": \"%.*s\"", d->name,
                      (int) (text.len < 200 ? text.len : 200), (const char *) text.p);
}

static bool parse_bool(int64_t *out, struct slice t)
{
    static const struct { const char *word; size_t min; bool v; } words[] = {
        { "true", 1, true }, { "yes", 1, true }, { "on", 2, true }, { "1", 1, true },
        { "false", 1, false }, { "no", 1, false }, { "off", 2, false }, { "0", 1, false },
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (t.len >= words[i].min && t.len <= strlen(words[i].word) && same_word(t, words[i].word, t.len)) {
            *out = words[i].v;
            return true;
        }
    return false;
}

/* Factor of a written unit relative to us (times) or B (sizes); 0 for none such. */
static int64_t unit_scale(const char *unit, size_t len, bool time)
{
    static const struct { const char *name; int64_t scale; bool time; } units[] = {
        { "us", 1, true }, { "ms", 1000, true }, { "s", 1000000, true }, { "min", 60000000, true },
        { "h", 3600000000, true }, { "d", 86400000000, true },
        { "B", 1, false }, { "kB", 1024, false }, { "MB", 1048576, false }, { "GB", 1073741824, false },
        { "TB", 1099511627776, false },
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].time == time && strlen(units[i].name) == len && memcmp(units[i].name, unit, len) == 0)
            return units[i].scale;
    return 0;
}

static bool is_time(const struct setting_def *d) { return strcmp(d->unit, "B") != 0; }

/* Applies the unit written after a number; rounds to the nearest. */
static bool apply_unit(const struct setting_def *d, double *v, const char *unit, size_t len)
{
    if (len == 0)
        return true;
    if (*d->unit == '\0')
        return false;
    int64_t from = unit_scale(unit, len, is_time(d)), to = unit_scale(d->unit, strlen(d->unit), is_time(d));
    *v = *v * (double) from / (double) to;
    return from != 0;
}

static bool to_number(const struct setting_def *d, const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long whole = strtoll(text, &end, 10);
    if (end != text && *end == '\0' && errno == 0) {
        *out = whole;
        return true;
    }
    double v = strtod(text, &end);
    if (end == text)
        return false;
    while (*end == ' ')
        end++;
    if (!apply_unit(d, &v, end, strlen(end)) || !(v > -9e18 && v < 9e18))
        return false;
    *out = (int64_t) (v < 0 ? v - 0.5 : v + 0.5);
    return true;
}

static enum reeve_err parse_int(int64_t *out, const struct setting_def *d, struct slice t, struct report *rep)
{
    char text[64];
    if (t.len == 0 || t.len >= sizeof text || memchr(t.p, 0, t.len) != NULL)
        return refuse(d, t, rep);
    memcpy(text, t.p, t.len);
    text[t.len] = '\0';
    if (!to_number(d, text, out)) {
        refuse(d, t, rep);
        if (*d->unit)
            report_hint(rep, is_time(d) ? "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."
                                        : "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".");
        return REEVE_E_INVALID_VALUE;
    }
    if (*out < d->min || *out > d->max)
        return report_set(rep, REEVE_E_INVALID_VALUE,
                          "%" PRId64 "%s%s is outside the valid range for parameter \"%s\" (%" PRId64 " .. %" PRId64 ")",
                          *out, *d->unit ? " " : "", d->unit, d->name, d->min, d->max);
    return REEVE_OK;
}

/* The word at index n of an ENUM's list. */
static struct slice enum_word(const struct setting_def *d, int64_t n)
{
    const char *p = d->unit;
    while (n-- > 0)
        p = strchr(p, '|') + 1;
    return slice_of(p, strcspn(p, "|"));
}

static int64_t enum_count(const struct setting_def *d)
{
    int64_t n = 1;
    for (const char *p = d->unit; *p; p++)
        n += *p == '|';
    return n;
}

/* Clients spell encodings in many ways; all of these are UTF8. */
static bool is_utf8_alias(struct slice t)
{
    while (t.len >= 2 && (*t.p == '\'' || *t.p == '"') && t.p[t.len - 1] == *t.p)
        t = slice_of(t.p + 1, t.len - 2);
    return same_word(t, "utf8", 4) || same_word(t, "utf-8", 5) || same_word(t, "unicode", 7) ||
           same_word(t, "utf_8", 5);
}

/* standard_conforming_strings and the like: a switch that has one position. */
static bool is_same_switch(const struct setting_def *d, struct slice t)
{
    int64_t v;
    return strcmp(d->unit, "on") == 0 && parse_bool(&v, t) && v == 1;
}

static enum reeve_err parse_enum(int64_t *out, enum setting_id id, struct slice t, struct report *rep)
{
    const struct setting_def *d = setting_def(id);
    *out = 0;
    if ((id == SET_client_encoding && is_utf8_alias(t)) || is_same_switch(d, t))
        return REEVE_OK;
    for (int64_t i = 0; i < enum_count(d); i++) {
        struct slice w = enum_word(d, i);
        if (same_word(t, (const char *) w.p, w.len)) {
            *out = i;
            return REEVE_OK;
        }
    }
    refuse(d, t, rep);
    char list[256];
    snprintf(list, sizeof list, "%s", d->unit);
    for (char *p = list; *p; p++)
        if (*p == '|')
            *p = ',';
    report_hint(rep, "Available values: %s.", list);
    return REEVE_E_INVALID_VALUE;
}

static enum reeve_err parse_string(char **out, const struct setting_def *d, struct slice t, struct report *rep)
{
    if (t.len > (size_t) d->max || (int64_t) t.len < d->min || (t.len && memchr(t.p, 0, t.len) != NULL))
        return refuse(d, t, rep);
    char *copy = malloc(t.len + 1);
    if (copy == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    if (t.len)
        memcpy(copy, t.p, t.len);
    copy[t.len] = '\0';
    *out = copy;
    return REEVE_OK;
}

enum reeve_err setting_parse(struct setting_value *v, enum setting_id id, struct slice text, struct report *rep)
{
    const struct setting_def *d = setting_def(id);
    struct setting_value fresh = { 0 };
    enum reeve_err err = REEVE_OK;
    switch (d->type) {
    case SETTING_BOOL:
        if (!parse_bool(&fresh.n, text)) {
            err = report_set(rep, REEVE_E_INVALID_VALUE, "parameter \"%s\" requires a Boolean value", d->name);
        }
        break;
    case SETTING_INT:
        err = parse_int(&fresh.n, d, text, rep);
        break;
    case SETTING_ENUM:
        err = parse_enum(&fresh.n, id, text, rep);
        break;
    case SETTING_STRING:
        err = parse_string(&fresh.text, d, text, rep);
        break;
    }
    if (err == REEVE_OK) {
        setting_free(v);
        *v = fresh;
    }
    return err;
}

/* ---- values ---- */

enum reeve_err setting_copy(struct setting_value *to, const struct setting_value *from)
{
    char *text = NULL;
    if (from->text != NULL && (text = strdup(from->text)) == NULL)
        return REEVE_E_NOMEM;
    int64_t n = from->n;
    setting_free(to);
    *to = (struct setting_value){ n, text };
    return REEVE_OK;
}

void setting_free(struct setting_value *v)
{
    free(v->text);
    *v = (struct setting_value){ 0 };
}

bool setting_eq(enum setting_id id, const struct setting_value *a, const struct setting_value *b)
{
    if (setting_def(id)->type == SETTING_STRING)
        return strcmp(a->text ? a->text : "", b->text ? b->text : "") == 0;
    return a->n == b->n;
}

/* ---- printing ---- */

static const char *print_with_unit(const struct setting_def *d, int64_t n, char buf[64])
{
    static const char *const times[] = { "d", "h", "min", "s", "ms" };
    static const char *const sizes[] = { "TB", "GB", "MB", "kB" };
    const char *const *units = is_time(d) ? times : sizes;
    size_t count = is_time(d) ? sizeof times / sizeof *times : sizeof sizes / sizeof *sizes;
    int64_t base = unit_scale(d->unit, strlen(d->unit), is_time(d));
    for (size_t i = 0; i < count; i++) {
        int64_t per = unit_scale(units[i], strlen(units[i]), is_time(d)) / base;
        if (per > 0 && n != 0 && n % per == 0) {
            snprintf(buf, 64, "%" PRId64 "%s", n / per, units[i]);
            return buf;
        }
    }
    snprintf(buf, 64, "%" PRId64 "%s", n, n == 0 ? "" : d->unit);
    return buf;
}

static const char *print_word(const struct setting_def *d, int64_t n, char buf[64])
{
    struct slice w = enum_word(d, n);
    snprintf(buf, 64, "%.*s", (int) w.len, (const char *) w.p);
    return buf;
}

const char *setting_text(enum setting_id id, const struct setting_value *v, char buf[64])
{
    const struct setting_def *d = setting_def(id);
    switch (d->type) {
    case SETTING_BOOL:
        return v->n ? "on" : "off";
    case SETTING_ENUM:
        return print_word(d, v->n, buf);
    case SETTING_STRING:
        return v->text ? v->text : "";
    case SETTING_INT:
        break;
    }
    if (*d->unit)
        return print_with_unit(d, v->n, buf);
    snprintf(buf, 64, "%" PRId64, v->n);
    return buf;
}

/* ---- tables ---- */

enum reeve_err setting_table_boot(struct setting_value *table)
{
    for (int i = 0; i < SET__COUNT; i++) {
        struct report rep = { 0 };
        enum reeve_err err = setting_parse(&table[i], (enum setting_id) i, slice_str(defs[i].boot), &rep);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

enum reeve_err setting_table_copy(struct setting_value *to, const struct setting_value *from)
{
    enum reeve_err err = REEVE_OK;
    for (int i = 0; i < SET__COUNT && err == REEVE_OK; i++)
        err = setting_copy(&to[i], &from[i]);
    return err;
}

void setting_table_free(struct setting_value *table)
{
    for (int i = 0; i < SET__COUNT; i++)
        setting_free(&table[i]);
}
