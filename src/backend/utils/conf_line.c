/* conf_line.c - one line of reeve.conf: name = value, comments, quotes. */
#include <ctype.h>

#include "backend/utils/settings_int.h"

static void skip_blanks(struct slice *s)
{
    while (s->len > 0 && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r')) {
        s->p++;
        s->len--;
    }
}

static void advance(struct slice *s, size_t n)
{
    s->p += n;
    s->len -= n;
}

static bool add(struct conf_line *out, uint8_t c)
{
    if (out->value_len >= SETTING_TEXT_MAX)
        return false;
    out->value[out->value_len++] = (char) c;
    return true;
}

static const char *take_quoted(struct conf_line *out, struct slice *s)
{
    advance(s, 1);
    for (; s->len > 0; advance(s, 1)) {
        if (*s->p == '\'') {
            if (s->len < 2 || s->p[1] != '\'') {
                advance(s, 1);
                return NULL;
            }
            advance(s, 1);
        }
        if (!add(out, *s->p))
            return "the value is too long";
    }
    return "the quote is not closed";
}

static const char *take_bare(struct conf_line *out, struct slice *s)
{
    size_t n = 0;
    while (n < s->len && s->p[n] != '#' && s->p[n] != '\'')
        n++;
    size_t len = n;
    while (len > 0 && isspace(s->p[len - 1]))
        len--;
    if (len == 0)
        return "there is no value";
    for (size_t i = 0; i < len; i++)
        if (!add(out, s->p[i]))
            return "the value is too long";
    advance(s, n);
    return NULL;
}

static struct slice take_name(struct slice *s)
{
    size_t n = 0;
    while (n < s->len && (isalnum(s->p[n]) || s->p[n] == '_' || s->p[n] == '.'))
        n++;
    struct slice name = slice_of(s->p, n);
    advance(s, n);
    return name;
}

bool conf_line_parse(struct conf_line *out, struct slice line, const char **why)
{
    out->value_len = 0;
    skip_blanks(&line);
    out->name = slice_of(line.p, 0);
    *why = NULL;
    if (line.len == 0 || *line.p == '#')
        return true;
    out->name = take_name(&line);
    skip_blanks(&line);
    if (line.len > 0 && *line.p == '=')
        advance(&line, 1);
    skip_blanks(&line);
    if (out->name.len == 0)
        *why = "a line is: name = value";
    else if (line.len == 0)
        *why = "there is no value";
    else
        *why = *line.p == '\'' ? take_quoted(out, &line) : take_bare(out, &line);
    skip_blanks(&line);
    if (*why == NULL && line.len > 0 && *line.p != '#')
        *why = "something follows the value";
    out->value[out->value_len] = '\0';
    return *why == NULL;
}

void conf_line_write(struct wr *w, const char *name, const char *value)
{
    wr_printf(w, "%s = '", name);
    for (; *value; value++) {
        if (*value == '\'')
            wr_u8(w, '\'');
        wr_u8(w, (uint8_t) *value);
    }
    wr_text(w, "'\n");
}

bool conf_next_line(struct slice *text, struct slice *line)
{
    if (text->len == 0)
        return false;
    const uint8_t *nl = memchr(text->p, '\n', text->len);
    size_t n = nl ? (size_t) (nl - text->p) : text->len;
    *line = slice_of(text->p, n);
    advance(text, nl ? n + 1 : n);
    return true;
}
