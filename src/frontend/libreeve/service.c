/*
 * service.c - the local service: told to reload, then asked what it serves
 *
 * A reload that "succeeded" proves little (nginx answers before its workers
 * have changed), so the probe repeats until the new leaf is presented or the
 * time is over.
 */
#include "install_int.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "files_int.h"

#define PROBE_PAUSE_MS 50

extern char **environ;

static int64_t mono_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool say(struct agent_install_result *res, unsigned code, const char *text)
{
    snprintf(res->text, sizeof res->text, "%s", text);
    res->code = code;
    return false;
}

/* ---- the reload command ---- */

/* A group of its own, so that a timeout ends whatever the command started; no input, default signals. */
static int spawn_shell(pid_t *pid, const char *command)
{
    posix_spawnattr_t at;
    posix_spawn_file_actions_t fa;
    sigset_t none, all;
    char *argv[] = { "sh", "-c", (char *) command, NULL };
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&at);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&at, 0);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &all);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    int rc = posix_spawn(pid, "/bin/sh", &fa, &at, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    return rc;
}

/* Exit status, or -1 after killing the group because the time was over. */
static int wait_for(pid_t pid, int64_t timeout_ms)
{
    int status = 0, fd = (int) syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int64_t end = mono_ms() + timeout_ms;
    int ready = 0;
    while (fd >= 0 && ready <= 0) {
        int64_t left = end - mono_ms();
        if (left <= 0)
            break;
        ready = poll(&p, 1, (int) left);
    }
    bool over = fd >= 0 && ready <= 0;
    if (over)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (fd >= 0)
        close(fd);
    return over ? -1 : status;
}

static bool run_command(const struct install_target *t, struct agent_install_result *res)
{
    char text[120];
    pid_t pid;
    int rc = spawn_shell(&pid, t->reload);
    if (rc != 0)
        return say(res, WE_RELOAD, strerror(rc));
    int status = wait_for(pid, t->timeout_ms);
    if (status == 0)
        return true;
    if (status == -1) {
        snprintf(text, sizeof text, "the reload command took longer than %u ms", t->timeout_ms);
        return say(res, WE_RELOAD_TIMEOUT, text);
    }
    if (WIFEXITED(status))
        snprintf(text, sizeof text, "the reload command ended with status %d", WEXITSTATUS(status));
    else
        snprintf(text, sizeof text, "the reload command was ended by signal %d", WTERMSIG(status));
    return say(res, WE_RELOAD, text);
}

static bool send_signal(const struct install_target *t, struct agent_install_result *res)
{
    char buf[32] = "", text[120];
    size_t len;
    if (file_read(t->pidfile, buf, sizeof buf - 1, &len, NULL) != REEVE_OK)
        return say(res, WE_RELOAD, "the pid file cannot be read");
    buf[len] = '\0';
    long pid = strtol(buf, NULL, 10);
    if (pid <= 1)
        return say(res, WE_RELOAD, "the pid file names no process");
    if (kill((pid_t) pid, t->signal) == 0)
        return true;
    snprintf(text, sizeof text, "signal %d to process %ld: %s", t->signal, pid, strerror(errno));
    return say(res, WE_RELOAD, text);
}

static void name_it(const struct install_target *t, const struct agent_cert *c)
{
    char gen[16];
    snprintf(gen, sizeof gen, "%u", c->gen);
    setenv("REEVE_CERT", c->object.s, 1);
    setenv("REEVE_GENERATION", gen, 1);
    setenv("REEVE_DIR", t->dir, 1);
}

bool service_reload(const struct install_target *t, const struct agent_cert *c, struct agent_install_result *res)
{
    if (t->reload[0] != '\0') {
        name_it(t, c);
        return run_command(t, res);
    }
    return t->signal == 0 || send_signal(t, res);
}

/* ---- the probe ---- */

static int dial(const struct install_target *t, int64_t left_ms)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
    if (getaddrinfo(t->probe_host, t->probe_port, &hints, &ai) != 0)
        return -1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), e = 0;
    socklen_t len = sizeof e;
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    bool ok = fd >= 0 && (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 || errno == EINPROGRESS) &&
              poll(&p, 1, (int) left_ms) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) == 0 && e == 0;
    freeaddrinfo(ai);
    if (!ok && fd >= 0)
        close(fd);
    return ok ? fd : -1;
}

static bool shake(struct tls *tls, int fd, int64_t end)
{
    enum tls_result r;
    while ((r = tls_handshake(tls)) != TLS_OK) {
        struct pollfd p = { .fd = fd, .events = r == TLS_WANT_WRITE ? POLLOUT : POLLIN };
        int64_t left = end - mono_ms();
        if ((r != TLS_WANT_READ && r != TLS_WANT_WRITE) || left <= 0 || poll(&p, 1, (int) left) != 1)
            return false;
    }
    return true;
}

enum seen { SEEN_NOTHING, SEEN_OTHER, SEEN_IT };

static enum seen look(const struct install_target *t, const struct agent_cert *c, struct tls_ctx *ctx, int64_t end)
{
    struct tls *tls = NULL;
    struct x509_info info;
    struct wr der = wr_heap(X509_DER_MAX);
    enum seen seen = SEEN_NOTHING;
    int fd = dial(t, end - mono_ms());
    const char *sni = t->probe_sni[0] ? t->probe_sni : NULL;
    if (fd >= 0 && tls_connect_new(&tls, ctx, fd, sni) == REEVE_OK && shake(tls, fd, end) &&
        tls_peer_cert(tls, &der) == REEVE_OK && x509_parse(&info, wr_slice(&der)) == REEVE_OK)
        seen = hash32_eq(&info.fingerprint, &c->info->fingerprint) ? SEEN_IT : SEEN_OTHER;
    if (tls != NULL)
        tls_shutdown(tls);
    tls_free(tls);
    if (fd >= 0)
        close(fd);
    wr_free(&der);
    return seen;
}

bool service_probe(const struct install_target *t, const struct agent_cert *c, struct agent_install_result *res)
{
    struct tls_ctx *ctx;
    enum seen seen = SEEN_NOTHING;
    int64_t end = mono_ms() + t->timeout_ms;
    if (t->probe_host[0] == '\0')
        return true;
    if (tls_ctx_client(&ctx, NULL, NULL) != REEVE_OK)
        return say(res, WE_PROBE, "no TLS context");
    while (seen != SEEN_IT && mono_ms() < end) {
        seen = look(t, c, ctx, end);
        if (seen != SEEN_IT)
            poll(NULL, 0, PROBE_PAUSE_MS);
    }
    tls_ctx_free(ctx);
    if (seen == SEEN_IT)
        return true;
    return seen == SEEN_OTHER ? say(res, WE_PROBE_OTHER, "the service still presents another certificate")
                              : say(res, WE_PROBE, "the service does not answer by TLS");
}
