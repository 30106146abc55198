/* settings_int.h - the two files as lines */
#ifndef REEVE_BACKEND_UTILS_SETTINGS_INT_H
#define REEVE_BACKEND_UTILS_SETTINGS_INT_H

#include "backend/utils/settings.h"
#include "common/buf.h"

#define SETTINGS_TEXT_MAX (1u << 20)

/* One line taken apart; name empty: nothing on it. value is unquoted. */
struct conf_line {
    struct slice name;
    char value[SETTING_TEXT_MAX + 1];
    size_t value_len;
};
/* False with *why when the line has no such form. */
bool conf_line_parse(struct conf_line *out, struct slice line, const char **why);
/* Appends "name = 'value'\n". */
void conf_line_write(struct wr *w, const char *name, const char *value);
/* Cuts the next line off *text; false at the end. */
bool conf_next_line(struct slice *text, struct slice *line);

#endif
