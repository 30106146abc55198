/* meta.c - backslash commands: one function each, found in one table. What is wrong with one counts as a failed statement. */
#include "frontend/reeve/shell.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INCLUDE_DEPTH_MAX 16

struct meta {
    const char *name, *args, *help;
    bool (*fn)(struct shell *sh, char *arg, char **buffer);     /* true: end the shell */
};
static const struct meta metas[];

static bool wrong(struct shell *sh, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    sh->exit_code = sh->exit_code == EXIT_ALL_WELL ? EXIT_STATEMENT : sh->exit_code;
    return false;
}

static bool quit(struct shell *sh, char *arg, char **buffer)
{
    return true;
}

static bool help(struct shell *sh, char *arg, char **buffer)
{
    for (const struct meta *m = metas; m->name; m++)
        printf("  \\%-9s %-14s %s\n", m->name, m->args, m->help);
    return false;
}

/* Words of the text in lines that fit, each line behind this indent. */
static void wrapped(const char *text, int indent, int at)
{
    int width = shell_columns() - 1;
    bool first = true;
    for (size_t n; *text; text += n) {
        text += strspn(text, " ");
        n = strcspn(text, " ");
        if (!first && at > indent && at + 1 + (int) n > width) {
            printf("\n%*s", indent, "");
            at = indent;
        }
        printf("%s%.*s", at > indent && !first ? " " : "", (int) n, text);
        at += (int) n + (at > indent && !first);
        first = false;
    }
    printf("\n");
}

#define HELP_INDENT 27

static void help_list(const PGresult *r)
{
    for (int i = 0; i < PQntuples(r); i++) {
        printf("  %-*s", HELP_INDENT - 2, PQgetvalue(r, i, 0));
        wrapped(PQgetvalue(r, i, 1), HELP_INDENT, HELP_INDENT);
    }
    printf("\n\\h STATEMENT shows how one is written.\n");
}

static void help_entry(const char *name, const char *summary, const char *synopsis)
{
    printf("%s - ", name);
    wrapped(summary, 4, (int) strlen(name) + 3);
    printf("\n    ");
    wrapped(synopsis, 8, 4);
    printf("\n");
}

static void help_entries(const PGresult *r, const char *wanted)
{
    bool rollout = false, exact = false;
    for (int i = 0; i < PQntuples(r); i++)
        exact = exact || strcmp(PQgetvalue(r, i, 0), wanted) == 0;
    for (int i = 0; i < PQntuples(r); i++) {
        if (exact && strcmp(PQgetvalue(r, i, 0), wanted) != 0)
            continue;
        help_entry(PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2));
        rollout = rollout || (strstr(PQgetvalue(r, i, 2), "rollout") != NULL && strstr(PQgetvalue(r, i, 0), "CLAUSES") == NULL);
    }
    if (rollout)
        printf("rollout: any clauses of \\h ROLLOUT CLAUSES, in any order.\n");
}

static bool statement_help(struct shell *sh, char *arg, char **buffer)
{
    PGresult *r;
    if (arg[0] == '\0') {
        r = shell_query(sh, "SELECT statement, summary FROM sys.statement_help", 0, NULL);
        if (r != NULL)
            help_list(r);
        PQclear(r);
        return false;
    }
    for (char *p = arg; *p; p++)
        *p = (char) (*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
    const char *p = arg;
    r = shell_query(sh, "SELECT statement, summary, synopsis FROM sys.statement_help WHERE starts_with(statement, $1)", 1, &p);
    if (r != NULL && PQntuples(r) == 0)
        wrong(sh, "No help available for \"%s\". \\h alone lists the statements.\n", arg);
    else if (r != NULL)
        help_entries(r, arg);
    PQclear(r);
    return false;
}

static bool describe(struct shell *sh, char *arg, char **buffer)
{
    PGresult *r;
    if (arg[0] == '\0') {
        r = shell_query(sh, "SELECT schema, name, array_length(columns, 1) AS columns FROM sys.relations WHERE schema = 'sys' ORDER BY name", 0, NULL);
    } else {
        char *dot = strrchr(arg, '.');
        const char *p = dot ? dot + 1 : arg;
        r = shell_query(sh, "SELECT a.attname AS column, t.typname AS type FROM pg_catalog.pg_class c "
                            "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
                            "WHERE c.relname = $1 ORDER BY a.attnum", 1, &p);
    }
    if (r != NULL && PQntuples(r) == 0)
        wrong(sh, "There is no relation \"%s\". \\d alone lists them.\n", arg);
    else if (r != NULL)
        shell_print(sh, r, stdout);
    PQclear(r);
    return false;
}

static bool toggle(struct shell *sh, bool *v, const char *name, const char *arg)
{
    if (arg[0] && strcmp(arg, "on") != 0 && strcmp(arg, "off") != 0)
        return wrong(sh, "%s is on or off.\n", name);
    *v = arg[0] ? strcmp(arg, "on") == 0 : !*v;
    if (!sh->quiet)
        printf("%s is %s.\n", name, *v ? "on" : "off");
    return false;
}

static bool expanded(struct shell *sh, char *arg, char **buffer)
{
    static const char *const words[] = { "off", "on", "auto" };
    enum out_expanded v = sh->expanded == EXPANDED_OFF ? EXPANDED_ON : EXPANDED_OFF;
    for (int i = 0; arg[0] && i < 3; i++)
        if (strcmp(arg, words[i]) == 0)
            v = (enum out_expanded) i;
    if (arg[0] && strcmp(arg, words[v]) != 0)
        return wrong(sh, "Expanded display is on, off or auto.\n");
    sh->expanded = v;
    if (!sh->quiet)
        printf("Expanded display is %s.\n", words[v]);
    return false;
}

static bool timing(struct shell *sh, char *arg, char **buffer)
{
    return toggle(sh, &sh->timing, "Timing", arg);
}

static bool tuples(struct shell *sh, char *arg, char **buffer)
{
    return toggle(sh, &sh->tuples_only, "Tuples only", arg);
}

static bool follow(struct shell *sh, char *arg, char **buffer)
{
    return toggle(sh, &sh->follow, "Following rollouts", arg);
}

static bool format(struct shell *sh, char *arg, char **buffer)
{
    static const struct { const char *name; enum out_format f; } formats[] = {
        { "table", OUT_TABLE }, { "csv", OUT_CSV }, { "json", OUT_JSON }, { "text", OUT_TEXT } };
    for (int i = 0; i < 4; i++)
        if (strcmp(arg, formats[i].name) == 0) {
            sh->format = formats[i].f;
            return false;
        }
    return wrong(sh, "\\format takes table, csv, json or text.\n");
}

/* The statement a command is about: what is gathered, else the last one. The caller frees it; NULL: there is none. */
static char *take_statement(struct shell *sh, char **buffer)
{
    const char *sql = *buffer ? *buffer : sh->last_query;
    char *copy = sql ? strdup(sql) : NULL;
    free(*buffer);
    *buffer = NULL;
    if (copy != NULL) {
        free(sh->last_query);
        sh->last_query = strdup(copy);
    }
    return copy;
}

static bool watch(struct shell *sh, char *arg, char **buffer)
{
    char *end;
    double s = arg[0] ? strtod(arg, &end) : 2;
    if (*buffer == NULL && sh->last_query == NULL)
        return wrong(sh, "\\watch repeats the statement before it, and there is none.\n");
    if ((arg[0] && (*end || end == arg)) || !(s >= 0.1 && s <= 86400))
        return wrong(sh, "\\watch takes 0.1 to 86400 seconds, not \"%s\".\n", arg);
    char *copy = take_statement(sh, buffer);
    bool ok = copy != NULL;
    shell_interrupted = 0;
    while (ok && !shell_interrupted) {
        char when[64];
        time_t now = time(NULL);
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime(&now));
        if (sh->format == OUT_TABLE)
            printf("%s%s (every %gs)\n", sh->tty_out ? "\033[H\033[2J" : "", when, s);
        ok = shell_run(sh, copy);
        struct timespec t = { (time_t) s, (long) ((s - (double) (time_t) s) * 1e9) };
        if (ok && !shell_interrupted)
            nanosleep(&t, NULL);
    }
    free(copy);
    return false;
}

static bool rollout(struct shell *sh, char *arg, char **buffer)
{
    if (arg[0] == '\0' || strspn(arg, "0123456789") != strlen(arg))
        return wrong(sh, "\\rollout takes the number of a rollout; SHOW ROLLOUTS lists them.\n");
    shell_rollout_follow(sh, arg);
    return false;
}

static bool include(struct shell *sh, char *arg, char **buffer)
{
    static int depth;
    FILE *f = arg[0] && depth < INCLUDE_DEPTH_MAX ? fopen(arg, "r") : NULL;
    if (f == NULL)
        return wrong(sh, arg[0] == '\0' ? "\\i takes a file.\n" : depth < INCLUDE_DEPTH_MAX ? "%s: %s\n"
                         : "%s: files include each other too deeply\n", arg, strerror(errno));
    depth++;
    shell_file(sh, f);
    depth--;
    fclose(f);
    return false;
}

static bool again(struct shell *sh, char *arg, char **buffer)
{
    char *sql = take_statement(sh, buffer);
    if (sql != NULL)
        shell_run(sh, sql);
    free(sql);
    return false;
}

static bool reset_buffer(struct shell *sh, char *arg, char **buffer)
{
    free(*buffer);
    *buffer = NULL;
    return false;
}

static bool conninfo(struct shell *sh, char *arg, char **buffer)
{
    printf("You are connected to region server %s, port %s, as \"%s\"%s.\n", PQhost(sh->conn), PQport(sh->conn), PQuser(sh->conn),
           PQsslInUse(sh->conn) ? " over TLS" : "");
    return false;
}

static const struct meta metas[] = {
    { "?", "", "this list", help },
    { "h", "[STATEMENT]", "help on a statement", statement_help },
    { "help", "[STATEMENT]", "the same", statement_help },
    { "d", "[RELATION]", "relations, or the columns of one", describe },
    { "rollout", "ID", "follow a rollout live", rollout },
    { "follow", "[on|off]", "follow each rollout that a statement begins", follow },
    { "watch", "[SECONDS]", "repeat the statement before it", watch },
    { "g", "", "run the statement again", again },
    { "r", "", "forget the unfinished statement", reset_buffer },
    { "i", "FILE", "run a file", include },
    { "x", "[on|off|auto]", "one column a line; auto: where a row is too wide", expanded },
    { "t", "[on|off]", "rows only", tuples },
    { "format", "NAME", "table, csv, json or text", format },
    { "timing", "[on|off]", "show how long statements take", timing },
    { "conninfo", "", "where you are connected", conninfo },
    { "q", "", "quit", quit },
    { NULL, NULL, NULL, NULL },
};

const char *shell_meta_name(int i)
{
    return metas[i].name;
}

bool shell_meta(struct shell *sh, const char *line, char **buffer)
{
    char name[32];
    size_t n = strcspn(line + 1, " \t");
    snprintf(name, sizeof name, "%.*s", (int) n, line + 1);
    const char *rest = line + 1 + n;
    rest += strspn(rest, " \t");
    char *arg = strdup(rest);
    bool end = false;
    if (arg == NULL)
        return false;
    size_t len = strlen(arg);
    while (len > 0 && strchr(" \t\r;", arg[len - 1]) != NULL)
        arg[--len] = '\0';
    const struct meta *m = metas;
    while (m->name && strcmp(m->name, name) != 0)
        m++;
    if (m->name)
        end = m->fn(sh, arg, buffer);
    else
        wrong(sh, "invalid command \\%s. Try \\? for help.\n", name);
    free(arg);
    return end;
}
