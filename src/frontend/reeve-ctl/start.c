/* start.c - runs reeved in the background and waits until it answers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl_int.h"

#define POLL_MS    50
#define REMAINS_MS 10000

static void start_log(const struct ctl *c, char out[CTL_PATH_MAX + 32])
{
    snprintf(out, CTL_PATH_MAX + 32, "%s/log/start.log", c->dir);
}

static _Noreturn void become_server(const struct ctl *c)
{
    char program[CTL_PATH_MAX], log[CTL_PATH_MAX + 32];
    server_program(program);
    start_log(c, log);
    int null = open("/dev/null", O_RDWR);
    int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    if (out < 0)
        out = dup(STDERR_FILENO);
    setsid();
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    close_range(3, ~0u, 0);
    execl(program, "reeved", "-D", c->dir, (char *) NULL);
    fprintf(stderr, "could not run \"%s\": %s\n", program, strerror(errno));
    _exit(127);
}

/* What the server said before it gave up; only what a person needs of it. */
static void show_log(const struct ctl *c)
{
    char path[CTL_PATH_MAX + 32], line[4200];
    start_log(c, path);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return;
    while (fgets(line, sizeof line, f) != NULL) {
        const char *text = strstr(line, "FATAL: ");
        if (text == NULL && (text = strstr(line, "hint: ")) == NULL && (text = strstr(line, "detail: ")) == NULL &&
            (text = strstr(line, "ERROR: ")) == NULL && strstr(line, "INFO: ") == NULL && strstr(line, "WARNING: ") == NULL)
            text = line;
        if (text != NULL)
            fprintf(stderr, "%s", text);
    }
    fclose(f);
}

/* Until it answers, ends, or the time is over. */
static int wait_until_up(const struct ctl *c, pid_t pid)
{
    struct server s;
    int status;
    for (int64_t end = now_ms() + (int64_t) c->timeout_s * 1000; now_ms() < end; pause_ms(POLL_MS)) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            show_log(c);
            fprintf(stderr, "reeve-ctl: the server did not start; its log is in %s/log\n", c->dir);
            return EXIT_FAILED;
        }
        server_look(c, &s);
        if (s.running && s.pid == (int) pid && strcmp(s.state, "ready") == 0 && server_answers(&s)) {
            printf("server started (pid %d, port %d)\n", s.pid, s.port);
            return EXIT_OK;
        }
    }
    fprintf(stderr, "reeve-ctl: the server does not answer after %d s; its log is in %s/log\n", c->timeout_s, c->dir);
    return EXIT_FAILED;
}

/* A server that was just killed looks alive for a moment, and answers nothing. */
static bool runs_and_stays(const struct ctl *c, struct server *s)
{
    for (int64_t end = now_ms() + REMAINS_MS;; pause_ms(POLL_MS)) {
        server_look(c, s);
        if (!s->running || now_ms() >= end || server_answers(s))
            return s->running;
    }
}

/* Without a folder for its log the server could not say what is wrong. */
static int check_directory(const struct ctl *c)
{
    char log[CTL_PATH_MAX + 32];
    struct stat st;
    if (stat(c->dir, &st) < 0) {
        fprintf(stderr, "reeve-ctl: could not use data directory \"%s\": %s\n", c->dir, strerror(errno));
        return EXIT_FAILED;
    }
    start_log(c, log);
    *strrchr(log, '/') = '\0';
    if (stat(log, &st) == 0)
        return EXIT_OK;
    fprintf(stderr, "reeve-ctl: \"%s\" is not a Reeve data directory\nHINT: Make one with reeve-ctl init -D DIR.\n", c->dir);
    return EXIT_FAILED;
}

int ctl_start(const struct ctl *c)
{
    struct server s;
    int rc = check_directory(c);
    if (rc != EXIT_OK)
        return rc;
    if (runs_and_stays(c, &s)) {
        fprintf(stderr, "reeve-ctl: a server is running already in \"%s\" (pid %d)\n", c->dir, s.pid);
        return EXIT_FAILED;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        fprintf(stderr, "reeve-ctl: could not fork: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    if (pid == 0)
        become_server(c);
    return wait_until_up(c, pid);
}
