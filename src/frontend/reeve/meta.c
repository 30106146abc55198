/* meta.c - backslash commands: one function each, found in one table. */
#include "frontend/reeve/shell.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct meta {
    const char *name, *args, *help;
    bool (*fn)(struct shell *sh, char *arg, char **buffer);     /* true: end the shell */
};
static const struct meta metas[];

static bool quit(struct shell *sh, char *arg, char **buffer)
{
    return true;
}

static bool help(struct shell *sh, char *arg, char **buffer)
{
    for (const struct meta *m = metas; m->name; m++)
        printf("  \\%-10s %-14s %s\n", m->name, m->args, m->help);
    return false;
}

static bool statement_help(struct shell *sh, char *arg, char **buffer)
{
    PGresult *r;
    if (arg[0] == '\0') {
        r = shell_query(sh, "SELECT statement, summary FROM sys.statement_help", 0, NULL);
    } else {
        for (char *p = arg; *p; p++)
            *p = (char) (*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
        size_t n = strlen(arg);
        char *like = malloc(n + 2);
        if (like == NULL)
            return false;
        memcpy(like, arg, n);
        memcpy(like + n, "%", 2);
        const char *p = like;
        r = shell_query(sh, "SELECT statement, summary, synopsis FROM sys.statement_help WHERE statement LIKE $1", 1, &p);
        free(like);
    }
    if (r != NULL && PQntuples(r) == 0)
        printf("No help available for \"%s\". \\h alone lists the statements.\n", arg);
    for (int i = 0; r != NULL && i < PQntuples(r); i++) {
        if (PQnfields(r) == 2)
            printf("  %-24s %s\n", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
        else
            printf("%s - %s\n\n  %s\n\n", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2));
    }
    PQclear(r);
    return false;
}

static bool describe(struct shell *sh, char *arg, char **buffer)
{
    const char *p = arg;
    char *dot = strrchr(arg, '.');
    PGresult *r;
    if (arg[0] == '\0') {
        r = shell_query(sh, "SELECT schema, name FROM sys.relations WHERE schema = 'sys' ORDER BY name", 0, NULL);
    } else {
        p = dot ? dot + 1 : arg;
        r = shell_query(sh, "SELECT schema, name, columns FROM sys.relations WHERE name = $1", 1, &p);
    }
    if (r != NULL)
        shell_print(sh, r, stdout);
    PQclear(r);
    return false;
}

static bool toggle(bool *v, const char *name, const char *arg)
{
    *v = strcmp(arg, "on") == 0 ? true : strcmp(arg, "off") == 0 ? false : !*v;
    printf("%s is %s.\n", name, *v ? "on" : "off");
    return false;
}

static bool expanded(struct shell *sh, char *arg, char **buffer)
{
    return toggle(&sh->expanded, "Expanded display", arg);
}

static bool timing(struct shell *sh, char *arg, char **buffer)
{
    return toggle(&sh->timing, "Timing", arg);
}

static bool tuples(struct shell *sh, char *arg, char **buffer)
{
    return toggle(&sh->tuples_only, "Tuples only", arg);
}

static bool follow(struct shell *sh, char *arg, char **buffer)
{
    return toggle(&sh->follow, "Following rollouts", arg);
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
    printf("\\format takes table, csv, json or text.\n");
    return false;
}

static bool watch(struct shell *sh, char *arg, char **buffer)
{
    double s = arg[0] ? atof(arg) : 2;
    const char *sql = *buffer ? *buffer : sh->last_query;
    if (sql == NULL || s < 0.1 || s > 86400) {
        printf("\\watch repeats the statement before it, every 0.1 to 86400 seconds.\n");
        return false;
    }
    char *copy = strdup(sql);
    bool ok = copy != NULL;
    free(*buffer);
    *buffer = NULL;
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
        printf("\\rollout takes the number of a rollout; SHOW ROLLOUTS lists them.\n");
    else
        shell_rollout_follow(sh, arg);
    return false;
}

static bool include(struct shell *sh, char *arg, char **buffer)
{
    FILE *f = fopen(arg, "r");
    if (f == NULL) {
        fprintf(stderr, "%s: cannot be read\n", arg);
        sh->exit_code = EXIT_STATEMENT;
        return false;
    }
    shell_file(sh, f);
    fclose(f);
    return false;
}

static bool again(struct shell *sh, char *arg, char **buffer)
{
    const char *sql = *buffer ? *buffer : sh->last_query;
    char *copy = sql ? strdup(sql) : NULL;
    free(*buffer);
    *buffer = NULL;
    if (copy != NULL)
        shell_run(sh, copy);
    free(copy);
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
    { "x", "[on|off]", "one column a line", expanded },
    { "t", "[on|off]", "rows only", tuples },
    { "format", "NAME", "table, csv, json or text", format },
    { "timing", "[on|off]", "show how long statements take", timing },
    { "conninfo", "", "where you are connected", conninfo },
    { "q", "", "quit", quit },
    { NULL, NULL, NULL, NULL },
};

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
        fprintf(stderr, "invalid command \\%s. Try \\? for help.\n", name);
    free(arg);
    return end;
}
