/* input.c - reading statements: readline on a terminal, lines from a file or pipe otherwise. */
#include "frontend/reeve/shell.h"

#include <readline/history.h>
#include <readline/readline.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *append(char *buffer, const char *line)
{
    size_t a = buffer ? strlen(buffer) : 0, b = strlen(line);
    char *out = realloc(buffer, a + b + 2);
    if (out == NULL)
        abort();
    memcpy(out + a, line, b);
    memcpy(out + a + b, "\n", 2);
    return out;
}

static bool is_blank(const char *s)
{
    return s == NULL || s[strspn(s, " \t\r\n")] == '\0';
}

static void remember(struct shell *sh, const char *sql)
{
    free(sh->last_query);
    sh->last_query = strdup(sql);
}

/* Runs every complete statement at the front of the buffer; gives back what is left. */
static char *run_complete(struct shell *sh, char *buffer)
{
    size_t end;
    while (buffer != NULL && (end = shell_statement_end(buffer)) > 0) {
        char *one = strndup(buffer, end);
        if (one == NULL)
            abort();
        memmove(buffer, buffer + end, strlen(buffer + end) + 1);
        remember(sh, one);
        bool ok = shell_run(sh, one);
        free(one);
        if (!ok && sh->stop_on_error) {
            free(buffer);
            return NULL;
        }
    }
    if (is_blank(buffer)) {
        free(buffer);
        return NULL;
    }
    return buffer;
}

/* One line of input; true when the shell should end. */
static bool take_line(struct shell *sh, const char *line, char **buffer)
{
    const char *p = line + strspn(line, " \t");
    if (*buffer == NULL && *p == '\0')
        return false;
    if (*buffer == NULL && (strcmp(p, "exit") == 0 || strcmp(p, "quit") == 0))
        return true;
    const char *slash = strchr(p, '\\');
    if (*p == '\\' || (slash != NULL && strchr(p, '\'') == NULL)) {
        char *sql = strndup(p, (size_t) (slash - p));
        if (!is_blank(sql))
            *buffer = append(*buffer, sql);
        free(sql);
        return shell_meta(sh, slash, buffer);
    }
    *buffer = run_complete(sh, append(*buffer, line));
    return false;
}

static void history_path(char *out, size_t cap)
{
    const char *file = getenv("REEVE_HISTORY"), *home = getenv("HOME");
    snprintf(out, cap, "%s%s", file ? file : home ? home : ".", file ? "" : "/.reeve_history");
}

static int no_redisplay_on_interrupt(void)
{
    if (!shell_interrupted)
        return 0;
    shell_interrupted = 0;
    rl_replace_line("", 0);
    rl_done = 1;
    return 0;
}

int shell_interactive(struct shell *sh)
{
    char path[1024], prompt[128];
    char *buffer = NULL, *line;
    bool end = false;
    history_path(path, sizeof path);
    using_history();
    stifle_history(5000);
    read_history(path);
    rl_event_hook = no_redisplay_on_interrupt;
    shell_complete_init(sh);
    while (!end) {
        char state = PQtransactionStatus(sh->conn) == PQTRANS_INERROR ? '!' : PQtransactionStatus(sh->conn) == PQTRANS_INTRANS ? '*' : '=';
        snprintf(prompt, sizeof prompt, "reeve%c%c ", buffer ? '-' : state, '>');
        line = readline(prompt);
        if (line == NULL)
            break;
        if (!is_blank(line))
            add_history(line);
        end = take_line(sh, line, &buffer);
        free(line);
        sh->exit_code = sh->exit_code == EXIT_CONNECTION ? EXIT_CONNECTION : EXIT_ALL_WELL;
        end = end || sh->exit_code == EXIT_CONNECTION;
    }
    if (!end)
        printf("\n");
    write_history(path);
    chmod(path, 0600);
    free(buffer);
    return sh->exit_code;
}

int shell_file(struct shell *sh, FILE *in)
{
    char *line = NULL, *buffer = NULL;
    size_t cap = 0;
    ssize_t n;
    bool end = false;
    while (!end && (n = getline(&line, &cap, in)) >= 0) {
        if (n > 0 && line[n - 1] == '\n')
            line[n - 1] = '\0';
        end = take_line(sh, line, &buffer);
        end = end || sh->exit_code == EXIT_CONNECTION || (sh->stop_on_error && sh->exit_code != EXIT_ALL_WELL);
    }
    if (!end && !is_blank(buffer))
        shell_run(sh, buffer);          /* the last statement needs no semicolon */
    free(line);
    free(buffer);
    return sh->exit_code;
}
