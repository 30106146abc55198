/*
 * complete.c - TAB completion from the server's own lists
 *
 * What can follow is read out of sys.statement_help: the next word of a
 * statement's name, then the words of its synopsis. Names of objects come from
 * the relation that lists them. Lists are fetched when first needed and again
 * after a while, so that new names show up; never inside a transaction, which
 * an error would end.
 */
#include "frontend/reeve/shell.h"

#include <ctype.h>
#include <readline/readline.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define WORDS_MAX 2048          /* in one list, and offered at one time */
#define FRESH_S   30

enum kind { KEYWORD, WORD, NAME };     /* WORD: as it stands */

struct list {
    const char *sql;
    char **word;
    int n;
    time_t fetched;
};

/* ---- lists ---- */

static struct list statements = { .sql = "SELECT statement FROM sys.statement_help" };
static struct list synopses = { .sql = "SELECT synopsis FROM sys.statement_help" };
static struct list relations = { .sql = "SELECT schema || '.' || name FROM sys.relations" };
static struct list columns = { .sql = "SELECT array_to_string(columns, ' ') FROM sys.relations" };
static struct list settings = { .sql = "SELECT name FROM sys.settings" };

/* Behind this word stands a name out of this list. */
static struct { const char *after; struct list list; } names[] = {
    { "CERT", { .sql = "SELECT name FROM sys.certs" } },
    { "AUTHORITY", { .sql = "SELECT name FROM sys.authorities" } },
    { "ROLLOUT", { .sql = "SELECT rollout_id FROM sys.rollouts ORDER BY rollout_id DESC LIMIT 20" } },
    { "CONFIG", { .sql = "SELECT key FROM sys.config" } },
    { "STRATEGY", { .sql = "SELECT name FROM sys.strategies" } },
    { "WINDOW", { .sql = "SELECT name FROM sys.windows" } },
    { "ROLE", { .sql = "SELECT name FROM sys.roles" } },
    { "TO", { .sql = "SELECT name FROM sys.roles" } },
    { "NODE", { .sql = "SELECT node_id FROM sys.nodes LIMIT 500" } },
    { "JOIN_TOKEN", { .sql = "SELECT token_id FROM sys.join_tokens" } },
    { "REGION", { .sql = "SELECT name FROM sys.regions" } },
};
#define N_NAMES (sizeof names / sizeof names[0])

static struct shell *owner;             /* readline's call-backs carry no argument */
static const char *const *gathered;     /* the statement's lines before this one */

static void list_clear(struct list *l)
{
    while (l->n > 0)
        free(l->word[--l->n]);
    free(l->word);
    l->word = NULL;
}

static void list_fetch(struct list *l)
{
    time_t now = time(NULL);
    if ((l->fetched != 0 && now - l->fetched < FRESH_S) || PQtransactionStatus(owner->conn) != PQTRANS_IDLE)
        return;
    PGresult *r = PQexec(owner->conn, l->sql);
    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        list_clear(l);
        l->word = calloc((size_t) PQntuples(r) + 1, sizeof *l->word);
        for (int i = 0; l->word != NULL && i < PQntuples(r) && i < WORDS_MAX; i++)
            if ((l->word[l->n] = strdup(PQgetvalue(r, i, 0))) != NULL)
                l->n++;
        l->fetched = now;
    }
    PQclear(r);
}

/* ---- what is offered for one TAB ---- */

static char *offered[WORDS_MAX];
static int n_offered;

static bool is_offered(const char *word)
{
    for (int i = 0; i < n_offered; i++)
        if (strcmp(offered[i], word) == 0)
            return true;
    return false;
}

/* Keywords follow the case that is typed, of this word or else of the one before. */
static bool typing_lower(const char *typed)
{
    char c = typed[0];
    for (int i = rl_point; !isalpha((unsigned char) c) && i > 0; i--)
        c = rl_line_buffer[i - 1];
    return islower((unsigned char) c);
}

/* A name that is no plain identifier is quoted. */
static void offer(const char *word, size_t n, enum kind kind, const char *typed)
{
    char out[300], *o = out;
    bool lower = kind == KEYWORD && typing_lower(typed), plain = n > 0 && !isdigit((unsigned char) word[0]), number = n > 0;
    if (n == 0 || n > 120 || n_offered == WORDS_MAX)
        return;
    for (size_t i = 0; i < n; i++) {
        plain = plain && (islower((unsigned char) word[i]) || isdigit((unsigned char) word[i]) || strchr("_.", word[i]));
        number = number && isdigit((unsigned char) word[i]);
    }
    bool quote = kind == NAME && ((!plain && !number) || typed[0] == '\'');
    if (quote)
        *o++ = '\'';
    for (size_t i = 0; i < n; i++) {
        if (quote && word[i] == '\'')
            *o++ = '\'';
        *o++ = lower ? (char) tolower((unsigned char) word[i]) : word[i];
    }
    if (quote)
        *o++ = '\'';
    *o = '\0';
    const char *match = quote && typed[0] != '\'' ? out + 1 : out;
    if (strncasecmp(match, typed, strlen(typed)) == 0 && !is_offered(out) && (offered[n_offered] = strdup(out)) != NULL)
        n_offered++;
}

static void offer_list(struct list *l, enum kind kind, const char *typed)
{
    list_fetch(l);
    for (int i = 0; i < l->n; i++)
        offer(l->word[i], strlen(l->word[i]), kind, typed);
}

/* Each word of the text that the test takes. */
static void offer_words(const char *text, bool (*is_part)(char c), size_t shortest, enum kind kind, const char *typed)
{
    for (size_t n; *text; text += n ? n : 1) {
        for (n = 0; text[n] && is_part(text[n]);)
            n++;
        bool alone = !isalpha((unsigned char) text[n]);
        if (n >= shortest && alone)
            offer(text, n, kind, typed);
        while (!alone && isalpha((unsigned char) text[n]))
            n++;
    }
}

static bool is_upper_part(char c)
{
    return isupper((unsigned char) c) || c == '_';
}

static bool is_name_part(char c)
{
    return isalnum((unsigned char) c) || c == '_';
}

/* ---- the statement so far ---- */

#define SO_FAR_MAX 2048

/* What stands before the word under the cursor, in capitals, words apart by one blank, with one at the end. */
static void statement_so_far(int start, char out[SO_FAR_MAX])
{
    const char *parts[2] = { *gathered ? *gathered : "", rl_line_buffer };
    size_t lengths[2] = { strlen(parts[0]), (size_t) start }, n = 0;
    for (int p = 0; p < 2; p++)
        for (size_t i = 0; i < lengths[p] && n + 2 < SO_FAR_MAX; i++) {
            char c = parts[p][i];
            if (c == ';')
                n = 0;
            else if (!isspace((unsigned char) c))
                out[n++] = (char) toupper((unsigned char) c);
            else if (n > 0 && out[n - 1] != ' ')
                out[n++] = ' ';
        }
    if (n > 0 && out[n - 1] != ' ')
        out[n++] = ' ';
    out[n] = '\0';
}

static const char *last_word(const char *so_far, char out[64])
{
    size_t n = strlen(so_far), end = n > 0 ? n - 1 : 0, at = end;
    while (at > 0 && so_far[at - 1] != ' ')
        at--;
    snprintf(out, 64, "%.*s", (int) (end - at), so_far + at);
    return out;
}

/* The next word of every statement whose name begins with what was typed: true if there is one. */
static bool offer_next_word(const char *so_far, const char *typed)
{
    size_t n = strlen(so_far);
    int before = n_offered;
    list_fetch(&statements);
    for (int i = 0; i < statements.n; i++)
        if (strncmp(statements.word[i], so_far, n) == 0)
            offer(statements.word[i] + n, strcspn(statements.word[i] + n, " "), KEYWORD, typed);
    return n_offered > before;
}

static const char *synopsis_of(const char *name)
{
    for (int i = 0; i < statements.n && i < synopses.n; i++)
        if (strcmp(statements.word[i], name) == 0)
            return synopses.word[i];
    return "";
}

/* The words of the synopsis of the statement with the longest name that fits. */
static void offer_clauses(const char *so_far, const char *typed)
{
    const char *best = NULL;
    list_fetch(&statements);
    list_fetch(&synopses);
    for (int i = 0; i < statements.n; i++) {
        size_t n = strlen(statements.word[i]);
        if (strncmp(so_far, statements.word[i], n) == 0 && so_far[n] == ' ' && (best == NULL || n > strlen(best)))
            best = statements.word[i];
    }
    if (best == NULL)
        return;
    const char *synopsis = synopsis_of(best);
    synopsis += strncmp(synopsis, best, strlen(best)) == 0 ? strlen(best) : 0;
    offer_words(synopsis, is_upper_part, 2, KEYWORD, typed);
    if (strstr(synopsis, "rollout]") != NULL || strstr(synopsis, "AS rollout") != NULL)
        offer_words(synopsis_of("ROLLOUT CLAUSES"), is_upper_part, 2, KEYWORD, typed);
}

/* The columns of relations that the statement mentions. */
static void offer_columns(const char *so_far, const char *typed)
{
    list_fetch(&relations);
    list_fetch(&columns);
    for (int i = 0; i < relations.n && i < columns.n; i++) {
        const char *name = strchr(relations.word[i], '.');
        const char *at = name ? strcasestr(so_far, name + 1) : NULL;
        if (at != NULL && at > so_far && strchr(". ", at[-1]) != NULL && strchr(" ,", at[strlen(name + 1)]) != NULL)
            offer_words(columns.word[i], is_name_part, 1, WORD, typed);
    }
}

static bool offer_names(const char *so_far, const char *after, const char *typed)
{
    if (strncmp(so_far, "CREATE ", 7) == 0 && strcmp(after, "AUTHORITY") != 0 && strcmp(after, "STRATEGY") != 0 &&
        strcmp(after, "ROLE") != 0)
        return false;
    if (strcmp(after, "FROM") == 0 || strcmp(after, "JOIN") == 0) {
        offer_list(&relations, WORD, typed);
        return strncmp(so_far, "CREATE ", 7) != 0;
    }
    for (size_t i = 0; i < N_NAMES; i++)
        if (strcmp(after, names[i].after) == 0) {
            offer_list(&names[i].list, NAME, typed);
            return n_offered > 0;
        }
    return false;
}

static void offer_statement(const char *so_far, const char *typed)
{
    char after[64];
    if (offer_names(so_far, last_word(so_far, after), typed))
        return;
    offer_next_word(so_far, typed);
    if (so_far[0] == '\0')
        return;
    offer_clauses(so_far, typed);
    if (strcmp(after, "SHOW") == 0 || strcmp(after, "SET") == 0 || strcmp(after, "RESET") == 0)
        offer_list(&settings, WORD, typed);
    else if (strncmp(so_far, "SELECT ", 7) == 0 || strncmp(so_far, "SHOW ", 5) == 0)
        offer_columns(so_far, typed);
}

static void offer_commands(const char *typed)
{
    const char *name;
    for (int i = 0; (name = shell_meta_name(i)) != NULL; i++) {
        char word[32];
        snprintf(word, sizeof word, "\\%s", name);
        if (strncmp(word, typed, strlen(typed)) == 0 && n_offered < WORDS_MAX && (offered[n_offered] = strdup(word)) != NULL)
            n_offered++;
    }
}

/* \h knows statements, \rollout numbers, \d relations. */
static void offer_arguments(const char *line, const char *typed)
{
    if (line[1] == 'h')
        offer_next_word("", typed);
    else if (strncmp(line, "\\rollout", 8) == 0)
        offer_list(&names[2].list, NAME, typed);
    else if (line[1] == 'd')
        offer_list(&relations, WORD, typed);
}

static char *next_offered(const char *text, int state)
{
    static int at;
    if (state == 0)
        at = 0;
    return at < n_offered ? strdup(offered[at++]) : NULL;
}

static char **complete(const char *text, int start, int end)
{
    char so_far[SO_FAR_MAX];
    const char *line = rl_line_buffer + strspn(rl_line_buffer, " \t");
    rl_attempted_completion_over = 1;
    while (n_offered > 0)
        free(offered[--n_offered]);
    statement_so_far(start, so_far);
    if (text[0] == '\\')
        offer_commands(text);
    else if (line[0] == '\\')
        offer_arguments(line, text);
    else
        offer_statement(so_far, text);
    return rl_completion_matches(text, next_offered);
}

void shell_complete_init(struct shell *sh, const char *const *buffer)
{
    owner = sh;
    gathered = buffer;
    rl_readline_name = "reeve";
    rl_completer_word_break_characters = " \t\n,;()=<>";
    rl_completer_quote_characters = "";
    rl_attempted_completion_function = complete;
}
