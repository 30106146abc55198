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

enum out_expanded { EXPANDED_OFF, EXPANDED_ON, EXPANDED_AUTO };    /* auto: where a row is wider than the terminal */
enum out_format { OUT_TABLE, OUT_CSV, OUT_JSON, OUT_TEXT };

struct shell {
    PGconn *conn;
    enum out_format format;
    enum out_expanded expanded;
    bool tuples_only, timing, quiet;
    bool tty_in, tty_out, color;
    bool interactive;                   /* statements are typed: errors do not end the shell */
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

/* ---- scan.c ---- */
/* The first semicolon (outside parentheses) or backslash outside quotes and comments; what is 0 where there is none. */
struct shell_stop { char what; size_t at; };
struct shell_stop shell_scan(const char *text);
/* Nothing but blanks and line comments (or NULL)? */
bool shell_is_blank(const char *text);

/* ---- print.c ---- */
void shell_print(struct shell *sh, const PGresult *res, FILE *out);
/* Width on a terminal of UTF-8 text. */
int shell_width(const char *s);
/* Columns of the terminal; 80 where it does not say. */
int shell_columns(void);

/* ---- meta.c ---- */
/* A backslash command; true when the shell should end. */
bool shell_meta(struct shell *sh, const char *line, char **buffer);
/* Their names one by one, then NULL. */
const char *shell_meta_name(int i);

/* ---- complete.c ---- */
/* *buffer is the statement so far, before the line that is being typed (may be NULL). */
void shell_complete_init(struct shell *sh, const char *const *buffer);

/* ---- rollout.c ---- */
/* Shows a rollout until it ended or the user interrupts; its final state decides the exit code. */
void shell_rollout_follow(struct shell *sh, const char *rollout_id);
/* If a result is the row of a statement that began a rollout: its id, else NULL. */
const char *shell_rollout_of(const PGresult *res);

/* ---- input.c ---- */
int shell_interactive(struct shell *sh);
int shell_file(struct shell *sh, FILE *in);
/* Statements and backslash commands of one string. */
int shell_text(struct shell *sh, const char *text);

#endif
