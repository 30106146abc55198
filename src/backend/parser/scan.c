/* scan.c - bytes to tokens, lexed as PostgreSQL does with standard_conforming_strings on */
#include <stdlib.h>

#include "backend/parser/grammar.h"
#include "backend/parser/parse_int.h"

#define R 0
#define U 1
static const struct keyword {
    const char *word;
    uint16_t token;
    uint8_t len;
} keywords[] = {
#define KEYWORD(w, tok, category) { w, TK_##tok, sizeof w - 1 },
#include "backend/parser/kwlist.h"
#undef KEYWORD
};

int scan_keyword(const char *word, size_t len)
{
    size_t lo = 0, hi = sizeof keywords / sizeof keywords[0];
    while (lo < hi) {
        size_t mid = (lo + hi) / 2, n = keywords[mid].len < len ? keywords[mid].len : len;
        int c = memcmp(word, keywords[mid].word, n);
        if (c == 0)
            c = len < keywords[mid].len ? -1 : len > keywords[mid].len;
        if (c == 0)
            return keywords[mid].token;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return 0;
}

static int peek(const struct parse *p, size_t ahead)
{
    return p->text.len - p->at > ahead ? p->text.p[p->at + ahead] : -1;
}

static bool is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(int c) { return c >= '0' && c <= '9'; }
static bool is_word_start(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80; }
static bool is_word(int c) { return is_word_start(c) || is_digit(c) || c == '$'; }

static bool skip_block_comment(struct parse *p)
{
    size_t start = p->at;
    int depth = 0;
    do {
        if (peek(p, 0) == '/' && peek(p, 1) == '*') {
            depth++;
            p->at += 2;
        } else if (peek(p, 0) == '*' && peek(p, 1) == '/') {
            depth--;
            p->at += 2;
        } else if (p->at++ >= p->text.len) {
            parse_fail(p, REEVE_E_SYNTAX, (int) start, "unterminated /* comment");
            return false;
        }
    } while (depth > 0);
    return true;
}

static bool skip_blank(struct parse *p)
{
    for (;;) {
        int c = peek(p, 0);
        if (is_space(c)) {
            p->at++;
        } else if (c == '-' && peek(p, 1) == '-') {
            while (peek(p, 0) != -1 && peek(p, 0) != '\n')
                p->at++;
        } else if (c == '/' && peek(p, 1) == '*') {
            if (!skip_block_comment(p))
                return false;
        } else {
            return true;
        }
    }
}

/* ---- strings ---- */

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char) c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char) (0xc0 | c >> 6);
        out[1] = (char) (0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char) (0xe0 | c >> 12);
        out[1] = (char) (0x80 | (c >> 6 & 0x3f));
        out[2] = (char) (0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char) (0xf0 | c >> 18);
    out[1] = (char) (0x80 | (c >> 12 & 0x3f));
    out[2] = (char) (0x80 | (c >> 6 & 0x3f));
    out[3] = (char) (0x80 | (c & 0x3f));
    return 4;
}

static int digit_value(int c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* Up to max digits of a base; returns how many were there. */
static int take_digits(struct parse *p, int base, int max, uint32_t *value)
{
    int n = 0;
    *value = 0;
    while (n < max && digit_value(peek(p, 0)) < base) {
        *value = *value * (uint32_t) base + (uint32_t) digit_value(peek(p, 0));
        p->at++;
        n++;
    }
    return n;
}

/* One escape of E'...' behind the backslash. Writes at most 4 bytes; 0 after an error. */
static size_t take_escape(struct parse *p, char *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    size_t at = p->at - 1;
    int c = peek(p, 0);
    uint32_t v = 0;
    if (c >= '0' && c <= '7') {
        take_digits(p, 8, 3, &v);
    } else if (c == 'x' || c == 'u' || c == 'U') {
        int want = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        p->at++;
        int got = take_digits(p, 16, want, &v);
        if (got == 0 || (c != 'x' && got != want)) {
            parse_fail(p, REEVE_E_SYNTAX, (int) at, "invalid escape in string");
            return 0;
        }
    } else {
        const char *m = c > 0 ? strchr(from, c) : NULL;
        if (c == -1)
            return 0;
        out[0] = m ? to[m - from] : (char) c;
        p->at++;
        return 1;
    }
    if (v == 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) || ((c == 'x' || is_digit(c)) && v > 0x7f)) {
        parse_fail(p, REEVE_E_ENCODING, (int) at, "escape in string is not a valid character");
        return 0;
    }
    return put_utf8(out, v);
}

/* Body of '...', "..." or E'...' from behind the opening quote. */
static bool take_quoted(struct parse *p, int quote, bool escapes, struct pvalue *tok)
{
    char *out = arena_alloc(p->arena, p->text.len - p->at + 4);
    size_t n = 0;
    if (out == NULL) {
        parse_fail(p, REEVE_E_NOMEM, tok->pos, "out of memory");
        return false;
    }
    for (int c = peek(p, 0);; c = peek(p, 0)) {
        if (c == -1) {
            parse_fail(p, REEVE_E_SYNTAX, tok->pos, quote == '"' ? "unterminated quoted identifier"
                                                                 : "unterminated quoted string");
            return false;
        }
        p->at++;
        if (c == quote) {
            if (peek(p, 0) != quote)
                break;
            p->at++;
        } else if (c == '\\' && escapes) {
            n += take_escape(p, out + n);
            if (p->err != REEVE_OK)
                return false;
            continue;
        }
        out[n++] = (char) c;
    }
    out[n] = '\0';
    tok->s = out;
    tok->len = (uint32_t) n;
    return true;
}

/* The allocation of take_quoted() is as long as the rest of the text: trim it to what was used. */
static bool take_quoted_trimmed(struct parse *p, int quote, bool escapes, struct pvalue *tok)
{
    size_t start = p->at, close = start;
    while (close < p->text.len) {
        int c = p->text.p[close++];
        if (c == '\\' && escapes)
            close++;
        else if (c == quote && (close >= p->text.len || p->text.p[close] != quote))
            break;
        else if (c == quote)
            close++;
    }
    if (close > p->text.len)
        close = p->text.len;
    struct slice whole = p->text;
    p->text.len = close;
    bool ok = take_quoted(p, quote, escapes, tok);
    p->text = whole;
    return ok;
}

static int string_token(struct parse *p, bool escapes, struct pvalue *tok)
{
    if (!take_quoted_trimmed(p, '\'', escapes, tok))
        return 0;
    tok->kind = PV_STRING;
    return TK_STRING;
}

static int quoted_identifier(struct parse *p, struct pvalue *tok)
{
    p->at++;
    if (!take_quoted_trimmed(p, '"', false, tok))
        return 0;
    if (tok->len == 0) {
        parse_fail(p, REEVE_E_SYNTAX, tok->pos, "zero-length delimited identifier");
        return 0;
    }
    tok->kind = PV_IDENT;
    return TK_ID;
}

/* $$...$$ and $tag$...$tag$: taken literally. */
static int dollar_string(struct parse *p, struct pvalue *tok)
{
    size_t tag = p->at, end = tag + 1;
    while (end < p->text.len && p->text.p[end] != '$' && is_word(p->text.p[end]))
        end++;
    if (end >= p->text.len || p->text.p[end] != '$') {
        parse_fail(p, REEVE_E_SYNTAX, tok->pos, "syntax error at or near \"$\"");
        return 0;
    }
    size_t tag_len = end + 1 - tag, body = end + 1;
    for (size_t i = body; i + tag_len <= p->text.len; i++) {
        if (p->text.p[i] == '$' && memcmp(p->text.p + i, p->text.p + tag, tag_len) == 0) {
            tok->kind = PV_STRING;
            tok->len = (uint32_t) (i - body);
            tok->s = arena_strndup(p->arena, p->text.p + body, i - body);
            p->at = i + tag_len;
            if (tok->s == NULL)
                parse_fail(p, REEVE_E_NOMEM, tok->pos, "out of memory");
            return TK_STRING;
        }
    }
    parse_fail(p, REEVE_E_SYNTAX, tok->pos, "unterminated dollar-quoted string");
    return 0;
}

/* ---- numbers, parameters, words ---- */

static bool keep_text(struct parse *p, size_t start, struct pvalue *tok)
{
    tok->len = (uint32_t) (p->at - start);
    tok->s = arena_strndup(p->arena, p->text.p + start, p->at - start);
    if (tok->s == NULL)
        parse_fail(p, REEVE_E_NOMEM, tok->pos, "out of memory");
    return tok->s != NULL;
}

static bool fits_int64(const char *digits, int64_t *out)
{
    uint64_t v = 0;
    for (; *digits != '\0'; digits++) {
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t) (*digits - '0'), &v))
            return false;
    }
    *out = (int64_t) v;
    return v <= INT64_MAX;
}

static int number_token(struct parse *p, struct pvalue *tok)
{
    size_t start = p->at;
    bool whole = true;
    while (is_digit(peek(p, 0)))
        p->at++;
    if (peek(p, 0) == '.' && peek(p, 1) != '.') {
        whole = false;
        p->at++;
        while (is_digit(peek(p, 0)))
            p->at++;
    }
    int sign = peek(p, 1) == '+' || peek(p, 1) == '-';
    if ((peek(p, 0) | 0x20) == 'e' && is_digit(peek(p, (size_t) (1 + sign)))) {
        whole = false;
        p->at += (size_t) (1 + sign);
        while (is_digit(peek(p, 0)))
            p->at++;
    }
    if (is_word_start(peek(p, 0))) {
        parse_fail(p, REEVE_E_SYNTAX, tok->pos, "trailing junk after numeric literal");
        return 0;
    }
    if (!keep_text(p, start, tok))
        return 0;
    if (whole && fits_int64(tok->s, &tok->i)) {
        tok->kind = PV_INT;
        return TK_INTEGER;
    }
    tok->kind = PV_FLOAT;
    tok->f = strtod(tok->s, NULL);
    return TK_FLOAT;
}

static int param_token(struct parse *p, struct pvalue *tok)
{
    int64_t n = 0;
    p->at++;
    while (is_digit(peek(p, 0))) {
        n = n * 10 + (peek(p, 0) - '0');
        p->at++;
        if (n > AST_PARAM_MAX)
            break;
    }
    if (n < 1 || n > AST_PARAM_MAX) {
        parse_fail(p, REEVE_E_UNDEFINED_PARAM, tok->pos, "there is no parameter $%lld", (long long) n);
        return 0;
    }
    if (is_word_start(peek(p, 0))) {
        parse_fail(p, REEVE_E_SYNTAX, tok->pos, "trailing junk after parameter");
        return 0;
    }
    tok->kind = PV_PARAM;
    tok->i = n;
    if (n > p->stmt_params)
        p->stmt_params = (int) n;
    return TK_PARAM;
}

static int word_token(struct parse *p, struct pvalue *tok)
{
    size_t start = p->at;
    while (is_word(peek(p, 0)))
        p->at++;
    if (!keep_text(p, start, tok))
        return 0;
    char *s = (char *) tok->s;
    for (uint32_t i = 0; i < tok->len; i++) {
        if (s[i] >= 'A' && s[i] <= 'Z')
            s[i] = (char) (s[i] | 0x20);
    }
    tok->kind = PV_IDENT;
    int kw = scan_keyword(tok->s, tok->len);
    return kw != 0 ? kw : TK_ID;
}

/* ---- operators ---- */

static const struct {
    char text[4];
    uint16_t token;
} operators[] = {       /* longer ones first */
    { "!~*", TK_NITILDE }, { "->>", TK_DARROW },
    { "!~", TK_NTILDE }, { "~*", TK_ITILDE }, { "->", TK_ARROW }, { "::", TK_TYPECAST }, { "<>", TK_NE },
    { "!=", TK_NE }, { "<=", TK_LE }, { ">=", TK_GE }, { "||", TK_CONCAT },
    { "~", TK_TILDE }, { "<", TK_LT }, { ">", TK_GT }, { "=", TK_EQ }, { "+", TK_PLUS }, { "-", TK_MINUS },
    { "*", TK_STAR }, { "/", TK_SLASH }, { "(", TK_LP }, { ")", TK_RP }, { "[", TK_LB }, { "]", TK_RB },
    { ",", TK_COMMA }, { ".", TK_DOT }, { ";", TK_SEMI }, { "%", TK_PCT },
};

/*
 * '%' behind a number or parameter is a share (5%) unless an operand follows
 * that no clause could begin with: then, and everywhere else, it is modulo.
 */
static int percent_token(struct parse *p)
{
    size_t save = p->at;
    if (!p->prev_number)
        return TK_MOD;
    if (!skip_blank(p))
        return 0;
    int c = peek(p, 0);
    p->at = save;
    return is_digit(c) || c == '$' || c == '\'' || c == '(' ? TK_MOD : TK_PCT;
}

static int nest(struct parse *p, int token)
{
    if (token == TK_LP || token == TK_LB) {
        if (++p->nesting > AST_DEPTH_MAX)
            parse_fail(p, REEVE_E_TOO_COMPLEX, (int) p->at - 1, "parentheses are nested deeper than %d", AST_DEPTH_MAX);
    } else if (token == TK_RP || token == TK_RB) {
        p->nesting--;
    }
    return p->err == REEVE_OK ? token : 0;
}

static int operator_token(struct parse *p, struct pvalue *tok)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        size_t n = strlen(operators[i].text);
        if (p->text.len - p->at >= n && memcmp(p->text.p + p->at, operators[i].text, n) == 0) {
            tok->s = operators[i].text;
            tok->len = (uint32_t) n;
            p->at += n;
            return operators[i].token == TK_PCT ? percent_token(p) : nest(p, operators[i].token);
        }
    }
    int c = peek(p, 0);
    parse_fail(p, REEVE_E_SYNTAX, tok->pos, "syntax error at or near \"%c\"", c);
    if (c == '?' || c == ':' || c == '{')
        report_hint(p->report, "Parameters are written $1, $2, ...");
    return 0;
}

static int token_of(struct parse *p, struct pvalue *tok)
{
    int c = peek(p, 0), next = peek(p, 1);
    if ((c == 'e' || c == 'E') && next == '\'') {
        p->at += 2;
        return string_token(p, true, tok);
    }
    if (is_word_start(c))
        return word_token(p, tok);
    if (is_digit(c) || (c == '.' && is_digit(next)))
        return number_token(p, tok);
    if (c == '\'') {
        p->at++;
        return string_token(p, false, tok);
    }
    if (c == '"')
        return quoted_identifier(p, tok);
    if (c == '$')
        return is_digit(next) ? param_token(p, tok) : dollar_string(p, tok);
    return operator_token(p, tok);
}

int scan_token(struct parse *p, struct pvalue *tok, int *end)
{
    *tok = (struct pvalue){ .kind = PV_ABSENT };
    if (!skip_blank(p) || p->at >= p->text.len) {
        *end = (int) p->text.len;
        tok->pos = (int) p->text.len;
        return 0;
    }
    tok->pos = (int) p->at;
    int token = token_of(p, tok);
    p->prev_number = token == TK_INTEGER || token == TK_FLOAT || token == TK_PARAM;
    *end = (int) p->at;
    return p->err == REEVE_OK ? token : 0;
}
