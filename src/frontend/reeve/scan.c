/*
 * scan.c - where a statement ends, and where a backslash command begins
 *
 * Quotes, dollar quotes, comments and parentheses as the server's scanner sees
 * them; nothing else of the language is known here.
 */
#include "frontend/reeve/shell.h"

#include <ctype.h>
#include <string.h>

/* Behind the closing quote, or NULL. Doubled quotes need no care: they end one string and begin the next. */
static const char *quoted(const char *p, bool escapes)
{
    char quote = *p++;
    for (; *p; p++) {
        if (escapes && *p == '\\' && p[1])
            p++;
        else if (*p == quote)
            return p + 1;
    }
    return NULL;
}

/* Comments nest, as in SQL. */
static const char *comment(const char *p)
{
    int depth = 0;
    for (; *p; p++) {
        if (p[0] == '/' && p[1] == '*') {
            depth++;
            p++;
        } else if (p[0] == '*' && p[1] == '/') {
            p++;
            if (--depth == 0)
                return p + 1;
        }
    }
    return NULL;
}

/* $tag$ ... $tag$; a lone dollar or a parameter is one character. */
static const char *dollar(const char *p)
{
    size_t n = 1;
    if (isdigit((unsigned char) p[1]))
        return p + 1;
    while (isalnum((unsigned char) p[n]) || p[n] == '_')
        n++;
    if (p[n] != '$')
        return p + 1;
    n++;
    for (const char *q = p + n; (q = strchr(q, '$')) != NULL; q++)
        if (strncmp(q, p, n) == 0)
            return q + n;
    return NULL;
}

static bool is_word(char c)
{
    return isalnum((unsigned char) c) || c == '_' || (c & 0x80);
}

static const char *line_comment(const char *p)
{
    const char *e = strchr(p, '\n');
    return e ? e + 1 : p + strlen(p);
}

/* Behind whatever begins at p; NULL where it does not end in this text. */
static const char *element(const char *text, const char *p)
{
    if (*p == '\'' || *p == '"') {
        bool e = *p == '\'' && p > text && (p[-1] == 'e' || p[-1] == 'E') && (p - 1 == text || !is_word(p[-2]));
        return quoted(p, e);
    }
    if (p[0] == '-' && p[1] == '-')
        return line_comment(p);
    if (p[0] == '/' && p[1] == '*')
        return comment(p);
    if (*p == '$' && (p == text || !is_word(p[-1])))
        return dollar(p);
    return p + 1;
}

struct shell_stop shell_scan(const char *text)
{
    int depth = 0;
    for (const char *p = text; p != NULL && *p; p = element(text, p)) {
        depth += *p == '(' ? 1 : *p == ')' && depth > 0 ? -1 : 0;
        if (*p == '\\' || (*p == ';' && depth == 0))
            return (struct shell_stop) { *p, (size_t) (p - text) };
    }
    return (struct shell_stop) { 0, strlen(text) };
}

bool shell_is_blank(const char *s)
{
    while (s != NULL && *s) {
        if (isspace((unsigned char) *s))
            s++;
        else if (s[0] == '-' && s[1] == '-')
            s = line_comment(s);
        else
            return false;
    }
    return true;
}
