/* exec.c - running statements, errors and notices as people read them, Ctrl-C. */
#include "frontend/reeve/shell.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

volatile int shell_interrupted;
static PGcancel *volatile running;      /* what SIGINT cancels; set only while a statement runs */

static void on_interrupt(int sig)
{
    char err[256];
    (void) sig;
    shell_interrupted = 1;
    if (running != NULL)
        (void) PQcancel(running, err, sizeof err);      /* documented as safe in a signal handler */
}

static void print_notice(void *arg, const PGresult *res)
{
    struct shell *sh = arg;
    const char *sev = PQresultErrorField(res, PG_DIAG_SEVERITY), *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    if (sh->quiet && sev && strcmp(sev, "NOTICE") == 0)
        return;
    fprintf(stderr, "%s%s:%s  %s\n", sh->color ? "\033[33m" : "", sev ? sev : "NOTICE", sh->color ? "\033[0m" : "", text ? text : "");
    if (hint)
        fprintf(stderr, "HINT:  %s\n", hint);
}

void shell_catch_interrupts(struct shell *sh)
{
    struct sigaction sa = { .sa_handler = on_interrupt };
    sigaction(SIGINT, &sa, NULL);
    signal(SIGPIPE, SIG_DFL);
    PQsetNoticeReceiver(sh->conn, print_notice, sh);
}

/* The caret under the place, on the line it is on. */
static void print_position(const char *sql, int pos)
{
    const char *at = sql;
    for (int i = 1; i < pos && *at; at++)
        i += ((at[1] & 0xc0) != 0x80);
    const char *start = at;
    while (start > sql && start[-1] != '\n')
        start--;
    int line = 1;
    for (const char *p = sql; p < start; p++)
        line += *p == '\n';
    char *before = strndup(start, (size_t) (at - start));
    int n = fprintf(stderr, "LINE %d: ", line);
    fprintf(stderr, "%.*s\n", (int) strcspn(start, "\n"), start);
    fprintf(stderr, "%*s^\n", n + (before ? shell_width(before) : 0), "");
    free(before);
}

static void print_error(struct shell *sh, const PGresult *res, const char *sql)
{
    const char *sev = PQresultErrorField(res, PG_DIAG_SEVERITY), *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE), *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT), *pos = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
    if (text == NULL) {
        fprintf(stderr, "%s", PQresultErrorMessage(res));
        return;
    }
    fprintf(stderr, "%s%s:%s  %s  [%s]\n", sh->color ? "\033[31m" : "", sev ? sev : "ERROR", sh->color ? "\033[0m" : "", text,
            state ? state : "?????");
    if (pos && sql)
        print_position(sql, atoi(pos));
    if (detail)
        fprintf(stderr, "DETAIL:  %s\n", detail);
    if (hint)
        fprintf(stderr, "HINT:  %s\n", hint);
}

static bool begins(PGresult *res, struct shell *sh, char *id, size_t cap)
{
    const char *v = shell_rollout_of(res);
    if (v == NULL || !sh->follow)
        return false;
    snprintf(id, cap, "%s", v);
    return true;
}

static void tag(const struct shell *sh, PGresult *res)
{
    if (!sh->quiet && sh->format == OUT_TABLE && PQcmdStatus(res)[0])
        printf("%s\n", PQcmdStatus(res));
}

/* A plain SET CONFIG answers with a row of which the server's notice has said everything. */
static bool changed_at_once(const PGresult *res)
{
    return PQntuples(res) == 1 && PQfnumber(res, "first_wave") == 5 && PQgetisnull(res, 0, 0) && PQgetisnull(res, 0, 3);
}

static bool one_result(struct shell *sh, PGresult *res, const char *sql, char *rollout, size_t cap)
{
    switch (PQresultStatus(res)) {
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
        if (changed_at_once(res) && sh->format == OUT_TABLE)
            tag(sh, res);
        else if (!begins(res, sh, rollout, cap) || sh->format == OUT_TABLE)
            shell_print(sh, res, stdout);       /* who reads CSV or JSON gets the rollout's last row alone */
        return true;
    case PGRES_COMMAND_OK:
        tag(sh, res);
        return true;
    case PGRES_EMPTY_QUERY:
        return true;
    case PGRES_COPY_OUT: {
        char *row;
        int n;
        while ((n = PQgetCopyData(sh->conn, &row, 0)) > 0) {
            fwrite(row, 1, (size_t) n, stdout);
            PQfreemem(row);
        }
        return n == -1;
    }
    default:
        print_error(sh, res, sql);
        if (sh->exit_code == EXIT_ALL_WELL) {
            const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
            sh->exit_code = state && strcmp(state, "RL009") == 0 ? EXIT_ROLLOUT : EXIT_STATEMENT;
        }
        return false;
    }
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

static void check_connection(struct shell *sh)
{
    if (PQstatus(sh->conn) == CONNECTION_OK)
        return;
    fprintf(stderr, "The connection to the server was lost. Attempting to connect again: ");
    PQreset(sh->conn);
    PQsetNoticeReceiver(sh->conn, print_notice, sh);
    fprintf(stderr, "%s\n", PQstatus(sh->conn) == CONNECTION_OK ? "succeeded." : "failed.");
    if (PQstatus(sh->conn) != CONNECTION_OK)
        sh->exit_code = EXIT_CONNECTION;
}

bool shell_run(struct shell *sh, const char *sql)
{
    char rollout[32] = "";
    double start = now_ms();
    bool ok = PQsendQuery(sh->conn, sql) == 1;
    PGresult *res;
    shell_interrupted = 0;
    if (!ok)
        fprintf(stderr, "%s", PQerrorMessage(sh->conn));
    PGcancel *cancel = PQgetCancel(sh->conn);
    running = cancel;
    while ((res = PQgetResult(sh->conn)) != NULL) {
        ok = one_result(sh, res, sql, rollout, sizeof rollout) && ok;
        PQclear(res);
    }
    running = NULL;
    PQfreeCancel(cancel);
    if (!ok && sh->exit_code == EXIT_ALL_WELL)
        sh->exit_code = EXIT_STATEMENT;
    if (sh->timing)
        printf("Time: %.3f ms\n", now_ms() - start);
    check_connection(sh);
    if (ok && rollout[0])
        shell_rollout_follow(sh, rollout);
    return ok;
}

PGresult *shell_query(struct shell *sh, const char *sql, int n, const char *const *params)
{
    PGresult *res = PQexecParams(sh->conn, sql, n, NULL, params, NULL, NULL, 0);
    if (PQresultStatus(res) == PGRES_TUPLES_OK)
        return res;
    print_error(sh, res, NULL);
    PQclear(res);
    check_connection(sh);
    return NULL;
}
