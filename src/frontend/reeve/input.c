/*
 * input.c - reading statements: readline on a terminal, lines from a file or pipe otherwise
 *
 * Lines gather in a buffer until a semicolon outside quotes ends a statement
 * or a backslash command takes over what is there. History keeps a statement
 * as one entry however many lines it had, so that it is edited as one; what
 * names a password is not kept at all.
 */
#include "frontend/reeve/shell.h"

#include <errno.h>
#include <poll.h>
#include <readline/history.h>
#include <readline/readline.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY_ENTRIES 5000
#define NEWLINE_KEPT    '\x01'          /* a line break inside an entry of the history file */

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

static char *front(const char *text, size_t n)
{
    char *out = strndup(text, n);
    if (out == NULL)
        abort();
    return out;
}

/* Blanks after it go too, so that errors count lines from where the next statement begins. */
static void cut_front(char *text, size_t n)
{
    n += strspn(text + n, " \t\r\n");
    memmove(text, text + n, strlen(text + n) + 1);
}

static void cut_end(char *text)
{
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
        text[--n] = '\0';
}

static char *drop(char *buffer)
{
    free(buffer);
    return NULL;
}

static void remember(struct shell *sh, const char *sql)
{
    free(sh->last_query);
    sh->last_query = strdup(sql);
}

/* A backslash command takes what is gathered before it, and the rest of its line. True: the shell ends. */
static bool take_command(struct shell *sh, char **buffer, size_t at)
{
    char *rest = *buffer + at, *line = front(rest, strcspn(rest, "\n")), *before = front(*buffer, at);
    cut_front(rest, strlen(line) + (rest[strlen(line)] == '\n'));
    char *after = shell_is_blank(rest) ? NULL : front(rest, strlen(rest));
    free(*buffer);
    *buffer = NULL;
    if (shell_is_blank(before))
        before = drop(before);
    bool end = shell_meta(sh, line, &before);
    free(line);
    *buffer = before;
    if (after != NULL)
        *buffer = append(*buffer, after);
    free(after);
    return end;
}

/* Runs everything complete at the front of the buffer and leaves the rest. True: the shell ends. */
static bool run_complete(struct shell *sh, char **buffer)
{
    bool end = false, go_on = true;
    while (*buffer != NULL && !end && go_on) {
        struct shell_stop stop = shell_scan(*buffer);
        if (stop.what == 0)
            break;
        if (stop.what == '\\') {
            end = take_command(sh, buffer, stop.at);
            go_on = sh->interactive || sh->exit_code == EXIT_ALL_WELL || !sh->stop_on_error;
            continue;
        }
        char *one = front(*buffer, stop.at + 1);
        cut_front(*buffer, stop.at + 1);
        remember(sh, one);
        go_on = shell_run(sh, one) || !sh->stop_on_error;
        free(one);
    }
    if (!go_on || shell_is_blank(*buffer))
        *buffer = drop(*buffer);
    return end;
}

static bool is_farewell(const char *line)
{
    static const char *const words[] = { "exit", "quit" };
    line += strspn(line, " \t");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if (strncmp(line, words[i], n) == 0 && line[n + strspn(line + n, " \t;")] == '\0')
            return true;
    }
    return false;
}

/* One line of input; true when the shell should end. */
static bool take_line(struct shell *sh, const char *line, char **buffer)
{
    if (*buffer == NULL && is_farewell(line))
        return true;
    if (*buffer == NULL && shell_is_blank(line))
        return false;
    *buffer = append(*buffer, *buffer ? line : line + strspn(line, " \t"));
    return run_complete(sh, buffer);
}

/* ---- history ---- */

static void history_path(char *out, size_t cap)
{
    const char *file = getenv("REEVE_HISTORY"), *home = getenv("HOME");
    snprintf(out, cap, "%s%s", file ? file : home ? home : ".", file ? "" : "/.reeve_history");
}

static void swap_breaks(char from, char to)
{
    HIST_ENTRY **all = history_list();
    for (int i = 0; all != NULL && all[i] != NULL; i++)
        for (char *p = all[i]->line; *p; p++)
            *p = *p == from ? to : *p;
}

static void history_open(const char *path)
{
    using_history();
    stifle_history(HISTORY_ENTRIES);
    read_history(path);
    swap_breaks(NEWLINE_KEPT, '\n');
}

static void history_save(const char *path)
{
    mode_t before = umask(077);
    swap_breaks('\n', NEWLINE_KEPT);
    write_history(path);
    umask(before);
    chmod(path, 0600);
}

/* Gathers the lines of one statement; kept when it is whole. */
static char *keep(char *entry, const char *line, bool whole)
{
    if (entry == NULL && shell_is_blank(line))
        return NULL;
    entry = append(entry, line);
    if (!whole)
        return entry;
    entry[strlen(entry) - 1] = '\0';
    HIST_ENTRY *last = history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
    if (strcasestr(entry, "password") == NULL && (last == NULL || strcmp(last->line, entry) != 0))
        add_history(entry);
    return drop(entry);
}

/* ---- the terminal ---- */

static bool interrupted;                /* Ctrl-C ended the line; readline's call-backs carry no argument */

static bool take_interrupt(void)
{
    if (!shell_interrupted)
        return false;
    shell_interrupted = 0;
    interrupted = true;
    rl_replace_line("", 0);
    return true;
}

/* Waits for a byte or a signal; SIGINT is held back between looking and waiting, so that none is overlooked. */
static bool byte_waits(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    sigset_t hold, before;
    sigemptyset(&hold);
    sigaddset(&hold, SIGINT);
    sigprocmask(SIG_BLOCK, &hold, &before);
    int n = rl_pending_signal() == 0 && !shell_interrupted ? ppoll(&p, 1, NULL, &before) : 0;
    bool again = n == 0 || (n < 0 && errno == EINTR);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return !again;
}

/* As readline's own reader, but Ctrl-C gives up the line as if RETURN were pressed on an empty one. */
static int next_byte(FILE *in)
{
    unsigned char c;
    for (;;) {
        rl_check_signals();
        if (take_interrupt())
            return '\n';
        if (!byte_waits(fileno(in)))
            continue;
        ssize_t n = read(fileno(in), &c, 1);
        if (n == 1)
            return c;
        if (n == 0 || errno != EINTR)
            return EOF;
    }
}

static char prompt_sign(const struct shell *sh, bool more)
{
    PGTransactionStatusType t = PQtransactionStatus(sh->conn);
    return more ? '-' : t == PQTRANS_INERROR ? '!' : t == PQTRANS_INTRANS ? '*' : '=';
}

int shell_interactive(struct shell *sh)
{
    char path[1024], prompt[32];
    char *buffer = NULL, *entry = NULL, *line;
    bool end = false;
    history_path(path, sizeof path);
    history_open(path);
    rl_getc_function = next_byte;
    shell_complete_init(sh, (const char *const *) &buffer);
    while (!end) {
        snprintf(prompt, sizeof prompt, "reeve%c> ", prompt_sign(sh, buffer != NULL));
        interrupted = false;
        if ((line = readline(prompt)) == NULL)
            break;
        if (interrupted) {
            buffer = drop(buffer);
            entry = drop(entry);
        }
        end = take_line(sh, line, &buffer);
        entry = keep(entry, line, buffer == NULL);
        free(line);
        end = end || sh->exit_code == EXIT_CONNECTION;
        sh->exit_code = sh->exit_code == EXIT_CONNECTION ? EXIT_CONNECTION : EXIT_ALL_WELL;
    }
    if (!end)
        printf("\n");
    history_save(path);
    free(buffer);
    free(entry);
    return sh->exit_code;
}

/* The last statement needs no semicolon. */
static void run_last(struct shell *sh, char *buffer)
{
    if (shell_is_blank(buffer))
        return;
    cut_end(buffer);
    shell_run(sh, buffer);
}

int shell_file(struct shell *sh, FILE *in)
{
    char *line = NULL, *buffer = NULL;
    size_t cap = 0;
    ssize_t n;
    bool end = false, stop = false;
    while (!end && !stop && (n = getline(&line, &cap, in)) >= 0) {
        if (n > 0 && line[n - 1] == '\n')
            line[n - 1] = '\0';
        end = take_line(sh, line, &buffer);
        stop = sh->exit_code == EXIT_CONNECTION || (sh->stop_on_error && sh->exit_code != EXIT_ALL_WELL);
    }
    if (!end && !stop)
        run_last(sh, buffer);
    free(line);
    free(buffer);
    return sh->exit_code;
}

int shell_text(struct shell *sh, const char *text)
{
    char *buffer = append(NULL, text);
    bool end = run_complete(sh, &buffer);
    if (!end && (sh->exit_code == EXIT_ALL_WELL || !sh->stop_on_error))
        run_last(sh, buffer);
    free(buffer);
    return sh->exit_code;
}
