/*
 * eval_text.c - LIKE and regular expressions
 *
 * LIKE is matched here, linear but for backtracking to the last '%'. Regular
 * expressions are libc's POSIX extended ones, with what can blow up taken
 * away: long patterns, large repetition counts, back references.
 */
#include <ctype.h>
#include <regex.h>
#include <stdlib.h>

#include "backend/executor/plan_int.h"

#define REGEX_PATTERN_MAX 256
#define REGEX_SUBJECT_MAX 65536

static size_t char_len(const struct slice *s, size_t i)
{
    size_t n = 1;
    while (i + n < s->len && (s->p[i + n] & 0xc0) == 0x80)
        n++;
    return n;
}

static bool same_byte(uint8_t a, uint8_t b, bool fold)
{
    return a == b || (fold && tolower(a) == tolower(b));
}

bool like_match(struct slice s, struct slice pattern, bool fold)
{
    size_t i = 0, k = 0, star_i = 0, star_k = SIZE_MAX;
    while (i < s.len) {
        if (k < pattern.len && pattern.p[k] == '%') {
            star_k = ++k;
            star_i = i;
            continue;
        }
        size_t at = k;
        bool escaped = k + 1 < pattern.len && pattern.p[k] == '\\';
        at += escaped;
        if (!escaped && k < pattern.len && pattern.p[k] == '_') {
            i += char_len(&s, i);
            k++;
        } else if (at < pattern.len && same_byte(s.p[i], pattern.p[at], fold)) {
            i++;
            k = at + 1;
        } else if (star_k != SIZE_MAX) {
            star_i += char_len(&s, star_i);
            i = star_i;
            k = star_k;
        } else {
            return false;
        }
    }
    while (k < pattern.len && pattern.p[k] == '%')
        k++;
    return k == pattern.len;
}

struct regex_cache {
    regex_t re;
};

static void free_regex(void *arg)
{
    struct regex_cache *c = arg;
    regfree(&c->re);
}

static bool harmless(struct slice p)
{
    int braces = 0;
    if (p.len > REGEX_PATTERN_MAX)
        return false;
    for (size_t i = 0; i < p.len; i++) {
        if (p.p[i] == '{' && ++braces > 2)
            return false;
        if (p.p[i] == '\\' && i + 1 < p.len && isdigit(p.p[i + 1]))
            return false;
        size_t digits = 0;
        while (braces > 0 && i + digits < p.len && isdigit(p.p[i + digits]))
            digits++;
        if (digits > 2)
            return false;
    }
    return true;
}

static enum reeve_err compile(struct exec *e, struct arena *a, const struct bx *x, struct slice pattern, bool fold,
                              struct regex_cache **out)
{
    struct regex_cache *c = arena_alloc(a, sizeof *c);
    const char *text = arena_strndup(a, pattern.p ? (const void *) pattern.p : "", pattern.len);
    if (c == NULL || text == NULL)
        return eval_fail(e, REEVE_E_NOMEM, x->pos, "out of memory");
    if (!harmless(pattern))
        return eval_fail(e, REEVE_E_TOO_COMPLEX, x->pos, "regular expression is too complex");
    if (regcomp(&c->re, text, REG_EXTENDED | REG_NOSUB | (fold ? REG_ICASE : 0)) != 0)
        return eval_fail(e, REEVE_E_INVALID_VALUE, x->pos, "invalid regular expression: \"%s\"", text);
    if (!arena_on_reset(a, free_regex, c))
        return eval_fail(e, REEVE_E_NOMEM, x->pos, "out of memory");
    *out = c;
    return REEVE_OK;
}

enum reeve_err regex_match(struct exec *e, struct arena *a, const struct bx *x, struct slice s, struct slice pattern,
                           bool fold, bool *out)
{
    bool constant = x->args[1]->kind == B_CONST;
    struct regex_cache *c = x->regex;
    if (s.len > REGEX_SUBJECT_MAX)
        return eval_fail(e, REEVE_E_TOO_COMPLEX, x->pos, "text is too long for a regular expression");
    if (c == NULL) {
        enum reeve_err err = compile(e, constant ? e->env->arena : a, x, pattern, fold, &c);
        if (err != REEVE_OK)
            return err;
        if (constant)
            ((struct bx *) x)->regex = c;
    }
    const char *subject = arena_strndup(a, s.p ? (const void *) s.p : "", s.len);
    if (subject == NULL)
        return eval_fail(e, REEVE_E_NOMEM, x->pos, "out of memory");
    *out = regexec(&c->re, subject, 0, NULL, 0) == 0;
    return REEVE_OK;
}
