/*
 * shell.h - `reeve`, the shell for operators: what its files share
 *
 * One struct shell, passed. libpq speaks to the server; readline only when
 * standard input is a terminal. Exit codes: 0 all well, 1 a statement failed,
 * 2 no connection, 3 a rollout that was followed did not succeed.
 */
#ifndef REEVE_FRONTEND_SHELL_H
#define REEVE_FRONTEND_SHELL_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum out_format { OUT_TABLE, OUT_CSV, OUT_JSON, OUT_TEXT };

struct shell {
    PGconn *conn;
    enum out_format format;
    bool expanded, tuples_only, timing, quiet;
    bool tty_in, tty_out, color;
    bool follow;                        /* show the progress of a rollout that a statement began */
    bool stop_on_error;
    int exit_code;
    char *last_query;                   /* for \watch and \g */
};

enum { EXIT_ALL_WELL = 0, EXIT_STATEMENT = 1, EXIT_CONNECTION = 2, EXIT_ROLLOUT = 3 };

/* ---- exec.c ---- */
/* Runs a string of statements and prints every result. False when one failed (exit_code is set). */
bool shell_run(struct shell *sh, const char *sql);
/* A query of the shell's own: the result, or NULL with the error printed. Clear it with PQclear. */
PGresult *shell_query(struct shell *sh, const char *sql, int n, const char *const *params);
/* Set by SIGINT; the running statement is canceled and loops end. */
extern volatile int shell_interrupted;
void shell_catch_interrupts(struct shell *sh);
/* The first statement complete in text (its length, the semicolon included), 0 when more is needed. */
size_t shell_statement_end(const char *text);

/* ---- print.c ---- */
void shell_print(struct shell *sh, const PGresult *res, FILE *out);
/* Width on a terminal of UTF-8 text. */
int shell_width(const char *s);

/* ---- meta.c ---- */
/* A backslash command; true when the shell should end. */
bool shell_meta(struct shell *sh, const char *line, char **buffer);

/* ---- complete.c ---- */
void shell_complete_init(struct shell *sh);

/* ---- rollout.c ---- */
/* Shows a rollout until it ended or the user interrupts; its final state decides the exit code. */
void shell_rollout_follow(struct shell *sh, const char *rollout_id);
/* If a result is the row of a statement that began a rollout: its id, else NULL. */
const char *shell_rollout_of(const PGresult *res);

/* ---- input.c ---- */
int shell_interactive(struct shell *sh);
int shell_file(struct shell *sh, FILE *in);

#endif
