/*
 * complete.c - TAB completion from the server's own lists
 *
 * Words come from sys.keywords, sys.relations, the settings, and the names of
 * certificates and the like; fetched when first needed and again after a
 * while, so that new names show up.
 */
#include "frontend/reeve/shell.h"

#include <readline/readline.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define WORDS_MAX 4096
#define FRESH_S   30

static struct shell *owner;             /* readline's call-backs carry no argument */
static char *words[WORDS_MAX];
static int n_words;
static time_t fetched;

static const char *const sources[] = {
    "SELECT upper(word) FROM sys.keywords",
    "SELECT schema || '.' || name FROM sys.relations",
    "SELECT name FROM sys.settings",
    "SELECT '''' || name || '''' FROM sys.certs",
    "SELECT '''' || name || '''' FROM sys.authorities",
    "SELECT '''' || key || '''' FROM sys.config",
    "SELECT name FROM sys.strategies",
    "SELECT name FROM sys.roles",
};

static void add_words(const char *sql)
{
    PGresult *r = PQexec(owner->conn, sql);
    if (PQresultStatus(r) == PGRES_TUPLES_OK)
        for (int i = 0; i < PQntuples(r) && n_words < WORDS_MAX; i++)
            if ((words[n_words] = strdup(PQgetvalue(r, i, 0))) != NULL)
                n_words++;
    PQclear(r);
}

static void fetch_words(void)
{
    time_t now = time(NULL);
    if (fetched != 0 && now - fetched < FRESH_S)
        return;
    if (PQtransactionStatus(owner->conn) != PQTRANS_IDLE)
        return;                         /* never disturb a transaction */
    while (n_words > 0)
        free(words[--n_words]);
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
        add_words(sources[i]);
    fetched = now;
}

static char *next_word(const char *text, int state)
{
    static int at;
    size_t n = strlen(text);
    if (state == 0)
        at = 0;
    for (; at < n_words; at++)
        if (strncasecmp(words[at], text, n) == 0)
            return strdup(words[at++]);
    return NULL;
}

static char **complete(const char *text, int start, int end)
{
    rl_attempted_completion_over = 1;
    fetch_words();
    return rl_completion_matches(text, next_word);
}

void shell_complete_init(struct shell *sh)
{
    owner = sh;
    rl_readline_name = "reeve";
    rl_completer_word_break_characters = " \t\n,;()=<>";
    rl_completer_quote_characters = "";
    rl_attempted_completion_function = complete;
}
