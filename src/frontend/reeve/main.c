/* main.c - options, connecting, and what to read. */
#include "frontend/reeve/shell.h"

#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACTIONS_MAX 64

struct action { char kind; const char *arg; };
struct options {
    const char *host, *port, *user, *dbname;
    struct action action[ACTIONS_MAX];
    int n_actions;
    bool no_follow, follow;
};

static void usage(FILE *out)
{
    fputs("reeve - the shell for operators of a Reeve region\n\n"
          "Usage: reeve [OPTION]... [CONNECTION]\n\n"
          "  -c STATEMENTS     run and end (may be repeated)\n"
          "  -f FILE           run a file and end; - is standard input\n"
          "  -h HOST  -p PORT  -U USER  -d DBNAME   where and who (or PGHOST, PGPORT, PGUSER, a connection string)\n"
          "      --csv --json --text                form of results\n"
          "  -x  -t  -q        one column a line; rows only; less talk\n"
          "      --follow      stay with a rollout that a statement begins (default when typed)\n"
          "      --no-follow   never do\n"
          "      --keep-going  go on after an error in -c and -f\n"
          "  -V  --version     --help\n\n"
          "Exit: 0 all well, 1 a statement failed, 2 no connection, 3 a rollout did not succeed.\n", out);
}

static bool add_action(struct options *o, char kind, const char *arg)
{
    if (o->n_actions == ACTIONS_MAX)
        return false;
    o->action[o->n_actions++] = (struct action){ kind, arg };
    return true;
}

static const struct option longs[] = {
    { "csv", no_argument, NULL, 1 }, { "json", no_argument, NULL, 2 }, { "text", no_argument, NULL, 3 },
    { "follow", no_argument, NULL, 4 }, { "no-follow", no_argument, NULL, 5 }, { "keep-going", no_argument, NULL, 6 },
    { "help", no_argument, NULL, 7 }, { "version", no_argument, NULL, 'V' }, { "command", required_argument, NULL, 'c' },
    { "file", required_argument, NULL, 'f' }, { "host", required_argument, NULL, 'h' }, { "port", required_argument, NULL, 'p' },
    { "username", required_argument, NULL, 'U' }, { "dbname", required_argument, NULL, 'd' }, { NULL, 0, NULL, 0 },
};

/* -1: go on; otherwise the exit code. */
static int one_option(struct shell *sh, struct options *o, int c)
{
    switch (c) {
    case 1: sh->format = OUT_CSV; break;
    case 2: sh->format = OUT_JSON; break;
    case 3: sh->format = OUT_TEXT; break;
    case 4: o->follow = true; break;
    case 5: o->no_follow = true; break;
    case 6: sh->stop_on_error = false; break;
    case 'h': o->host = optarg; break;
    case 'p': o->port = optarg; break;
    case 'U': o->user = optarg; break;
    case 'd': o->dbname = optarg; break;
    case 'x': sh->expanded = EXPANDED_ON; break;
    case 't': sh->tuples_only = true; break;
    case 'q': sh->quiet = true; break;
    case 'V': printf("reeve %s\n", PACKAGE_VERSION); return EXIT_ALL_WELL;
    case 7: usage(stdout); return EXIT_ALL_WELL;
    case 'c':
    case 'f':
        if (add_action(o, (char) c, optarg))
            break;
        fprintf(stderr, "reeve: at most %d times -c and -f\n", ACTIONS_MAX);
        return EXIT_STATEMENT;
    default:
        fprintf(stderr, "Try \"reeve --help\".\n");
        return EXIT_STATEMENT;
    }
    return -1;
}

static PGconn *connect_server(const struct options *o)
{
    const char *keys[16], *values[16];
    int n = 0;
#define PUT(k, v) (keys[n] = (k), values[n] = (v), n++)
    PUT("dbname", o->dbname ? o->dbname : getenv("PGDATABASE") ? getenv("PGDATABASE") : "reeve");
    if (o->host)
        PUT("host", o->host);
    else if (!getenv("PGHOST") && !getenv("PGSERVICE") && !(o->dbname && strchr(o->dbname, '=')))
        PUT("host", "127.0.0.1");
    if (o->port)
        PUT("port", o->port);
    else if (!getenv("PGPORT") && !(o->dbname && strchr(o->dbname, '=')))
        PUT("port", "7432");
    if (o->user)
        PUT("user", o->user);
    PUT("fallback_application_name", "reeve");
    PUT("client_encoding", "UTF8");
    keys[n] = values[n] = NULL;
#undef PUT
    return PQconnectdbParams(keys, values, 1);
}

static char *ask_password(void)
{
    const char *p = isatty(STDIN_FILENO) ? getpass("Password: ") : NULL;
    return p ? strdup(p) : NULL;
}

static bool open_connection(struct shell *sh, const struct options *o)
{
    sh->conn = connect_server(o);
    if (PQstatus(sh->conn) != CONNECTION_OK && PQconnectionNeedsPassword(sh->conn)) {
        char *pw = ask_password();
        if (pw != NULL) {
            setenv("PGPASSWORD", pw, 1);
            PQfinish(sh->conn);
            sh->conn = connect_server(o);
            explicit_bzero(pw, strlen(pw));
            free(pw);
        }
    }
    if (PQstatus(sh->conn) == CONNECTION_OK)
        return true;
    fprintf(stderr, "reeve: %s", PQerrorMessage(sh->conn));
    return false;
}

static void run_file(struct shell *sh, const char *name)
{
    FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
    if (f == NULL) {
        fprintf(stderr, "reeve: %s: %s\n", name, strerror(errno));
        sh->exit_code = EXIT_STATEMENT;
        return;
    }
    shell_file(sh, f);
    if (f != stdin)
        fclose(f);
}

static int run_actions(struct shell *sh, const struct options *o)
{
    for (int i = 0; i < o->n_actions; i++) {
        if (o->action[i].kind == 'f')
            run_file(sh, o->action[i].arg);
        else
            shell_text(sh, o->action[i].arg);
        if (sh->exit_code == EXIT_CONNECTION || (sh->exit_code != EXIT_ALL_WELL && sh->stop_on_error))
            break;
    }
    return sh->exit_code;
}

static void welcome(struct shell *sh)
{
    printf("reeve " PACKAGE_VERSION " at %s:%s as %s%s\n\\h lists the statements, \\? the commands of this shell.\n", PQhost(sh->conn),
           PQport(sh->conn), PQuser(sh->conn), PQsslInUse(sh->conn) ? ", over TLS" : "");
    PGresult *r = PQexec(sh->conn, "SELECT severity, kind, message FROM sys.issues");
    if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) > 0)
        printf("%s%d issue%s: SHOW ISSUES.%s\n", sh->color ? "\033[33m" : "", PQntuples(r), PQntuples(r) == 1 ? "" : "s",
               sh->color ? "\033[0m" : "");
    PQclear(r);
}

int main(int argc, char **argv)
{
    struct shell sh = { .stop_on_error = true };
    struct options o = { 0 };
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    setlocale(LC_ALL, "");
    if (strcmp(setlocale(LC_CTYPE, NULL), "C") == 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    sh.tty_in = isatty(STDIN_FILENO);
    sh.tty_out = isatty(STDOUT_FILENO);
    sh.color = sh.tty_out && (no_color == NULL || no_color[0] == '\0') && !(term && strcmp(term, "dumb") == 0);
    for (int c; (c = getopt_long(argc, argv, "c:f:h:p:U:d:xtqV", longs, NULL)) != -1;) {
        int code = one_option(&sh, &o, c);
        if (code >= 0)
            return code;
    }
    if (optind < argc && o.dbname == NULL)
        o.dbname = argv[optind++];
    if (optind < argc) {
        fprintf(stderr, "reeve: what is \"%s\"? Try \"reeve --help\".\n", argv[optind]);
        return EXIT_STATEMENT;
    }
    if (!open_connection(&sh, &o)) {
        PQfinish(sh.conn);
        return EXIT_CONNECTION;
    }
    shell_catch_interrupts(&sh);
    bool typed = o.n_actions == 0 && sh.tty_in;
    sh.interactive = typed;
    if (typed && sh.tty_out && sh.expanded == EXPANDED_OFF)
        sh.expanded = EXPANDED_AUTO;
    sh.follow = !o.no_follow && (o.follow || (typed && sh.tty_out));
    if (typed)
        welcome(&sh);
    int code = o.n_actions > 0 ? run_actions(&sh, &o) : typed ? shell_interactive(&sh) : shell_file(&sh, stdin);
    free(sh.last_query);
    PQfinish(sh.conn);
    return code;
}
