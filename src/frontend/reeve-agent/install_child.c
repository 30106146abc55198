/*
 * install_child.c - installations in child processes
 *
 * Reload and probe wait; the agent must not. A child shares nothing with us
 * but the pipe it answers through, and a child that dies is a failure.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct installing *free_place(struct daemon *d)
{
    for (size_t i = 0; i < INSTALLS_MAX; i++)
        if (d->inst[i].pid == 0)
            return &d->inst[i];
    return NULL;
}

_Noreturn static void child(const struct install_target *t, const struct agent_cert *c, int fd)
{
    struct agent_install_result res;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    install_run(t, c, &res);
    ssize_t n = write(fd, &res, sizeof res);
    _exit(n == (ssize_t) sizeof res ? 0 : 1);
}

static bool failed(struct agent_install_result *res, const char *what)
{
    res->code = WE_LOCAL;
    snprintf(res->text, sizeof res->text, "%s: %s", what, strerror(errno));
    return true;
}

bool install_start(struct daemon *d, const struct agent_cert *c, struct agent_install_result *res)
{
    const struct install_target *t = target_find(d, &c->object);
    struct installing *i = free_place(d);
    int fds[2];
    errno = EAGAIN;
    if (t == NULL || i == NULL || pipe2(fds, O_CLOEXEC) != 0)
        return failed(res, "no installation can start");
    pid_t pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return failed(res, "fork");
    }
    if (pid == 0) {
        close(fds[0]);
        child(t, c, fds[1]);
    }
    close(fds[1]);
    *i = (struct installing){ pid, fds[0], c->object, c->gen };
    log_line(AGENT_LOG_INFO, "certificate \"%s\": installing generation %u in %s", c->object.s, c->gen, t->dir);
    return false;
}

void install_finish(struct daemon *d, struct installing *i)
{
    struct agent_install_result res = { 0 };
    ssize_t n = read(i->fd, &res, sizeof res);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n != (ssize_t) sizeof res) {
        res.code = WE_LOCAL;
        snprintf(res.text, sizeof res.text, "the installing process died");
    }
    res.text[sizeof res.text - 1] = '\0';
    close(i->fd);
    while (waitpid(i->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    struct installing was = *i;
    memset(i, 0, sizeof *i);
    d->failed |= res.code != 0;
    agent_install_done(d->agent, &was.object, was.gen, &res, now_read());
}

/* At the end: what is under way finishes by itself, as the link is swapped in one go; we only stop listening. */
void install_abandon(struct daemon *d)
{
    for (size_t k = 0; k < INSTALLS_MAX; k++)
        if (d->inst[k].pid != 0)
            install_finish(d, &d->inst[k]);
}
