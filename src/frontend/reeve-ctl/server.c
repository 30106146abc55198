/* server.c - is there a server, and which? */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "ctl_int.h"

int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void pause_ms(int ms)
{
    struct timespec ts = { ms / 1000, (long) (ms % 1000) * 1000000 };
    nanosleep(&ts, NULL);
}

/* A zombie that nobody reaps counts as gone. */
bool pid_is_alive(int pid)
{
    char path[64], text[512];
    if (pid < 1 || (kill(pid, 0) < 0 && errno == ESRCH))
        return false;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return errno != ENOENT;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *after = strrchr(text, ')');
    return after == NULL || strlen(after) < 3 || after[2] != 'Z';
}

/* A pid alone may have been given to somebody else since; the lock cannot. */
static bool lock_is_held(const char *dir)
{
    char path[CTL_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/run/lock", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return held;
}

static void read_line(FILE *f, char *out, size_t cap)
{
    if (fgets(out, (int) cap, f) == NULL)
        out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

void server_look(const struct ctl *c, struct server *s)
{
    char path[CTL_PATH_MAX + 16], line[CTL_PATH_MAX];
    memset(s, 0, sizeof *s);
    snprintf(path, sizeof path, "%s/reeve.pid", c->dir);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return;
    read_line(f, line, sizeof line);
    s->pid = atoi(line);
    read_line(f, line, sizeof line);    /* directory */
    read_line(f, line, sizeof line);    /* since when */
    read_line(f, line, sizeof line);
    s->port = atoi(line);
    read_line(f, s->socket, sizeof s->socket);
    read_line(f, s->state, sizeof s->state);
    fclose(f);
    s->running = pid_is_alive(s->pid) && lock_is_held(c->dir);
}

void server_program(char out[CTL_PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, CTL_PATH_MAX - 16);
    char *slash = n > 0 ? (out[n] = '\0', strrchr(out, '/')) : NULL;
    if (slash != NULL) {
        memcpy(slash, "/reeved", sizeof "/reeved");
        if (access(out, X_OK) == 0)
            return;
    }
    snprintf(out, CTL_PATH_MAX, "%s/reeved", REEVE_BINDIR);
}
