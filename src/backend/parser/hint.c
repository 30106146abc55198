/*
 * hint.c - what a syntax error says beside its position
 *
 * The parser is asked, for every keyword, whether it would have taken it in
 * the state before the wrong token. The nearest by edit distance is offered;
 * where none is near and only few are possible, those are listed; else the
 * hint says where the help stands.
 */
#include <stdio.h>
#include <strings.h>

#include "backend/parser/grammar.h"
#include "backend/parser/parse_int.h"

#define R 0
#define U 1
static const struct {
    const char *word;
    int token;
} keywords[] = {
#define KEYWORD(w, tok, category) { w, TK_##tok },
#include "backend/parser/kwlist.h"
#undef KEYWORD
};
#define NKEYWORDS (sizeof keywords / sizeof keywords[0])

static const struct {
    const char *verb;
} helps[] = {
#define HELP(verb, synopsis, summary) { verb },
#include "backend/parser/helplist.h"
#undef HELP
};

#define WORD_MAX 64
static int min3(int a, int b, int c) { return a < b ? (a < c ? a : c) : (b < c ? b : c); }

static int lower(int c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; }

/* Edit distance with transpositions; words longer than WORD_MAX are far from everything. */
static int distance(const char *a, size_t n, const char *b, size_t m)
{
    int d[WORD_MAX + 1][WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX)
        return 1000;
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (int) i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (int) j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            int same = lower(a[i - 1]) == lower(b[j - 1]);
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + !same);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]) &&
                d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    }
    return d[n][m];
}

static bool near(int dist, size_t len) { return dist <= (len <= 3 ? 1 : len <= 6 ? 2 : 3); }

static void upper(char *out, size_t cap, const char *s)
{
    size_t i = 0;
    for (; s[i] != '\0' && i + 1 < cap; i++)
        out[i] = s[i] >= 'a' && s[i] <= 'z' ? (char) (s[i] & ~0x20) : s[i];
    out[i] = '\0';
}

/* The first two words of the statement against every verb phrase of the help list. */
static bool hint_verb(struct parse *p, int pos)
{
    const char *s = (const char *) p->text.p + pos;
    size_t left = p->text.len - (size_t) pos, one = 0, two;
    while (one < left && one < WORD_MAX && s[one] > ' ' && s[one] != ';' && s[one] != '\'')
        one++;
    two = one;
    while (two < left && two < WORD_MAX && s[two] == ' ')
        two++;
    while (two < left && two < WORD_MAX && s[two] > ' ' && s[two] != ';' && s[two] != '\'')
        two++;
    int best = 1000;
    const char *verb = NULL;
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++) {
        const char *v = helps[i].verb;
        size_t len = strlen(v);
        int d = distance(s, strchr(v, ' ') ? two : one, v, len);
        if (d < best && near(d, len)) {
            best = d;
            verb = v;
        }
    }
    if (verb != NULL)
        report_hint(p->report, "Perhaps you meant %s.", verb);
    return verb != NULL;
}

/* People who come from SQL try these. */
static bool hint_read_only(struct parse *p, const struct pvalue *tok)
{
    static const char *const verbs[] = { "insert", "update", "delete", "merge", "truncate" };
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (tok->len == strlen(verbs[i]) && memcmp(tok->s, verbs[i], tok->len) == 0) {
            report_hint(p->report, "Relations are for reading; SET CONFIG, CREATE CERT and their like change what they show.");
            return true;
        }
    return false;
}

/* Where nothing better is known: where to look, for the statement whose words stand first. */
static void hint_help(struct parse *p)
{
    const char *s = (const char *) p->text.p + p->stmt_pos, *verb = NULL;
    size_t left = p->text.len - (size_t) p->stmt_pos, best = 0;
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++) {
        size_t len = strlen(helps[i].verb);
        if (len > best && len < left && strncasecmp(s, helps[i].verb, len) == 0 && (s[len] == ' ' || s[len] == '\n')) {
            best = len;
            verb = helps[i].verb;
        }
    }
    if (verb != NULL)
        report_hint(p->report, "SELECT synopsis FROM sys.statement_help WHERE statement = '%s' shows how it is written.", verb);
    else
        report_hint(p->report, "SELECT statement FROM sys.statement_help lists the statements.");
}

/* Second token of the statement: the verb is offered with the keyword. */
static void offer(struct parse *p, const char *word)
{
    char up[WORD_MAX], verb[WORD_MAX];
    upper(up, sizeof up, word);
    upper(verb, sizeof verb, p->first.s ? p->first.s : "");
    if (p->stmt_tokens == 2)
        report_hint(p->report, "Perhaps you meant %s %s.", verb, up);
    else
        report_hint(p->report, "Perhaps you meant %s.", up);
}

static bool hint_keyword(struct parse *p, const char *near_to, size_t len, const struct grammar_snapshot *s)
{
    int best = 1000;
    const char *word = NULL;
    bool id = grammar_accepts(s, TK_ID);
    for (size_t i = 0; i < NKEYWORDS; i++) {
        int d = distance(near_to, len, keywords[i].word, strlen(keywords[i].word));
        if (id && grammar_falls_back(keywords[i].token))
            continue;
        if (d < best && near(d, len) && grammar_accepts(s, keywords[i].token)) {
            best = d;
            word = keywords[i].word;
        }
    }
    if (word != NULL)
        offer(p, word);
    return word != NULL;
}

static const struct {
    int token;
    const char *name;
} classes[] = {
    { TK_ID, "a name" }, { TK_STRING, "a string" }, { TK_INTEGER, "a number" }, { TK_LP, "\"(\"" }, { TK_RP, "\")\"" },
    { TK_COMMA, "\",\"" }, { TK_EQ, "\"=\"" }, { TK_PCT, "\"%\"" }, { TK_SEMI, "the end" },
};

#define LIST_FEW 8
/* Lists what could stand there if that is little; identifiers taken through fallback do not count. */
static void hint_expected(struct parse *p, const struct grammar_snapshot *s)
{
    const char *few[LIST_FEW];
    char buf[256], up[WORD_MAX];
    int n = 0;
    size_t len = 0;
    bool id = grammar_accepts(s, TK_ID);
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (grammar_accepts(s, classes[i].token)) {
            if (n == LIST_FEW)
                return;
            few[n++] = classes[i].name;
        }
    }
    for (size_t i = 0; i < NKEYWORDS; i++) {
        bool repeats = i > 0 && n > 0 && keywords[i].token == keywords[i - 1].token;
        if (repeats || (id && grammar_falls_back(keywords[i].token)) || !grammar_accepts(s, keywords[i].token))
            continue;
        if (n == LIST_FEW)
            return;
        few[n++] = keywords[i].word;
    }
    for (int i = 0; i < n; i++) {
        upper(up, sizeof up, few[i]);
        bool word = few[i][0] >= 'a' && few[i][0] <= 'z' && strchr(few[i], ' ') == NULL;
        len += (size_t) snprintf(buf + len, sizeof buf - len, "%s%s", i == 0 ? "" : i == n - 1 ? " or " : ", ",
                                 word ? up : few[i]);
        if (len >= sizeof buf)
            return;
    }
    if (n > 0)
        report_hint(p->report, "Expected %s.", buf);
}

static void hint_token(struct parse *p, int token, const struct pvalue *tok, const struct grammar_snapshot *s)
{
    bool word = tok->kind == PV_IDENT && token != 0 && p->text.p[tok->pos] != '"';
    if (p->stmt_tokens == 2 && token == TK_INTEGER && p->first.s != NULL && strcmp(p->first.s, "rollback") == 0)
        report_hint(p->report, "To undo a rollout use ROLLBACK ROLLOUT %s.", tok->s);
    else if (word && p->stmt_tokens == 1)
        (void) (hint_read_only(p, tok) || hint_verb(p, tok->pos));
    else if (!word || !hint_keyword(p, tok->s, tok->len, s))
        hint_expected(p, s);
}

void hint_syntax_error(struct parse *p, int token, const struct pvalue *tok, int end, const struct grammar_snapshot *s)
{
    int len = end - tok->pos < 64 ? end - tok->pos : 64;
    while (len > 0 && tok->pos + len < end && (p->text.p[tok->pos + len] & 0xc0) == 0x80)
        len--;
    if (token == 0)
        parse_fail(p, REEVE_E_SYNTAX, tok->pos, "syntax error at end of input");
    else
        parse_fail(p, REEVE_E_SYNTAX, tok->pos, "syntax error at or near \"%.*s\"", len, p->text.p + tok->pos);
    hint_token(p, token, tok, s);
    if (p->report->hint[0] == '\0' && p->stmt_pos >= 0 && (size_t) p->stmt_pos < p->text.len)
        hint_help(p);
}

/* What SHOW lists; the words of grammar.lemon's kind(). */
static const char *const shown[] = {
    "approvals", "approvers", "authorities", "certs", "config", "extensions", "history", "issues", "join_tokens", "leases", "members",
    "nodes", "proposals", "regions", "rings", "roles", "rollouts", "services", "sessions", "strategies", "validators", "windows",
};

bool parse_nearest_show(struct slice word, char out[32])
{
    int best = 1000;
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        int d = distance((const char *) word.p, word.len, shown[i], strlen(shown[i]));
        if (d < best && near(d, strlen(shown[i]))) {
            best = d;
            upper(out, 32, shown[i]);
        }
    }
    return best < 1000;
}
