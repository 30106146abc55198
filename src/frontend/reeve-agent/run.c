/*
 * run.c - the daemon: one agent, one poll loop, installations in children
 */
#include "daemon.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

struct agent_now now_read(void)
{
    struct timespec m, w;
    clock_gettime(CLOCK_MONOTONIC, &m);
    clock_gettime(CLOCK_REALTIME, &w);
    return (struct agent_now){ { (int64_t) m.tv_sec * 1000 + m.tv_nsec / 1000000 },
                               { (int64_t) w.tv_sec * 1000 + w.tv_nsec / 1000000 } };
}

const struct install_target *target_find(const struct daemon *d, const struct name *object)
{
    for (unsigned i = 0; i < d->o.n_certs; i++)
        if (d->o.cert[i].cert.len == object->len && memcmp(d->o.cert[i].cert.s, object->s, object->len) == 0)
            return &d->o.cert[i];
    return NULL;
}

/* ---- what the agent asks of us ---- */

static void on_log(void *arg, struct agent *a, enum agent_level level, const char *text)
{
    log_line(level, "%s", text);
}

static bool on_wants(void *arg, struct agent *a, const struct name *object)
{
    return target_find(arg, object) != NULL;
}

static bool on_install(void *arg, struct agent *a, const struct agent_cert *c, struct agent_install_result *res)
{
    return install_start(arg, c, res);
}

static void on_config(void *arg, struct agent *a)
{
    ((struct daemon *) arg)->json_due = true;
}

static void on_trust(void *arg, struct agent *a)
{
    ((struct daemon *) arg)->trust_due = true;
}

/* ---- signals ---- */

static struct agent_options agent_options_of(const struct options *o)
{
    return (struct agent_options){
        .endpoints = o->servers, .token = o->token, .mtls = o->mtls, .labels = &o->labels, .addr_hint = o->addr_hint,
        .tick_ms = o->tick_ms, .config_ttl_ms = o->config_ttl_ms, .observe = o->dry_run,
    };
}

/* A running agent's keys and cache cannot move; everything else is taken or refused whole. */
static bool take_options(struct daemon *d, struct options *fresh, struct report *rep)
{
    bool dropped;
    if (options_again(fresh, rep) != REEVE_OK || options_token(fresh, rep) != REEVE_OK)
        return false;
    struct agent_options ao = agent_options_of(fresh);
    if (agent_change(d->agent, &ao, now_read(), &dropped, rep) != REEVE_OK)
        return false;
    if (strcmp(d->o.state, fresh->state) != 0)
        log_line(AGENT_LOG_WARNING, "state \"%s\" needs a restart: it stays \"%s\"", fresh->state, d->o.state);
    memcpy(fresh->state, d->o.state, sizeof fresh->state);
    if (dropped)
        log_line(AGENT_LOG_INFO, "servers or identity changed: connecting anew within the reconnect window");
    else
        agent_kick(d->agent, now_read());
    return true;
}

static void reload_options(struct daemon *d)
{
    static struct options fresh;
    struct report rep;
    report_clear(&rep);
    bool ok = take_options(d, &fresh, &rep);
    memset(fresh.token, 0, sizeof fresh.token);
    if (!ok) {
        log_line(AGENT_LOG_ERROR, "the configuration was not taken: %s", rep.message);
        return;
    }
    d->o = fresh;
    log_set(fresh.log_json, fresh.debug);
    d->json_due = d->trust_due = true;
    log_line(AGENT_LOG_INFO, "configuration read again");
}

static void on_signal(struct daemon *d)
{
    struct signalfd_siginfo si;
    while (read(d->signal_fd, &si, sizeof si) == (ssize_t) sizeof si) {
        if (si.ssi_signo == SIGHUP)
            reload_options(d);
        else
            d->stop = true;
    }
}

static int signals_open(void)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGTERM);
    sigaddset(&s, SIGINT);
    sigaddset(&s, SIGHUP);
    sigprocmask(SIG_BLOCK, &s, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &s, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* ---- the loop ---- */

static int timeout_of(struct daemon *d, int64_t end_ms)
{
    int64_t now = now_read().mono.ms, at = agent_deadline(d->agent).ms, tell = peers_run(d);
    at = end_ms < at ? end_ms : at;
    at = tell < at ? tell : at;
    if (at <= now)
        return 0;
    return at - now > 3600000 ? 3600000 : (int) (at - now);
}

static void turn(struct daemon *d, int64_t end_ms)
{
    struct pollfd p[4 + INSTALLS_MAX];
    struct installing *of[4 + INSTALLS_MAX];
    nfds_t n = 4;
    unsigned ev = agent_events(d->agent);
    p[0] = (struct pollfd){ d->signal_fd, POLLIN, 0 };
    p[1] = (struct pollfd){ d->status_fd, POLLIN, 0 };
    p[2] = (struct pollfd){ agent_fd(d->agent, NULL),
                            (short) ((ev & AGENT_READ ? POLLIN : 0) | (ev & AGENT_WRITE ? POLLOUT : 0)), 0 };
    p[3] = (struct pollfd){ d->peer_fd, POLLIN, 0 };
    for (size_t i = 0; i < INSTALLS_MAX; i++)
        if (d->inst[i].pid != 0) {
            of[n] = &d->inst[i];
            p[n++] = (struct pollfd){ d->inst[i].fd, POLLIN, 0 };
        }
    if (poll(p, n, timeout_of(d, end_ms)) < 0 && errno != EINTR)
        log_line(AGENT_LOG_ERROR, "poll: %s", strerror(errno));
    if (p[0].revents)
        on_signal(d);
    if (p[1].revents & POLLIN)
        status_serve(d);
    if (p[3].revents & POLLIN)
        peers_read(d);
    for (nfds_t i = 4; i < n; i++)
        if (p[i].revents)
            install_finish(d, of[i]);
    agent_step(d->agent, now_read());
    if (d->json_due)
        effective_write(d);
    if (d->trust_due)
        trust_write(d);
    fork_write(d);
}

static bool something_failed(const struct daemon *d)
{
    struct agent_cert_info c;
    for (size_t i = 0; agent_cert_at(d->agent, i, &c); i++)
        if (c.applies && target_find(d, &c.object) != NULL && c.want != 0 && c.serving != c.want)
            return true;
    return false;
}

static int loop(struct daemon *d)
{
    int64_t end = d->o.once || d->o.dry_run ? now_read().mono.ms + d->o.timeout_ms : INT64_MAX;
    while (!d->stop) {
        turn(d, end);
        if (end == INT64_MAX)
            continue;
        if (agent_settled(d->agent))
            return d->o.dry_run ? 0 : something_failed(d);
        if (agent_phase(d->agent) == AP_HALTED || now_read().mono.ms >= end) {
            log_line(AGENT_LOG_ERROR, "not settled in time");
            return 1;
        }
    }
    return 0;
}

/* ---- start and end ---- */

static enum reeve_err open_agent(struct daemon *d, struct report *rep)
{
    enum reeve_err err;
    struct agent_store *store;
    const struct agent_host host = { d, on_log, on_wants, on_install, on_config, on_trust, NULL };
    TRY(options_token(&d->o, rep));
    TRY(identity_open(&d->id, d->o.state, true, rep));
    TRY(store_lmdb_open(&store, d->o.state, false, rep));
    struct agent_options ao = agent_options_of(&d->o);
    ao.identity = &d->id;
    ao.store = store;
    err = agent_new(&d->agent, &ao, &host, now_read(), rep);
    if (err == REEVE_E_NOT_FOUND && d->o.token_file[0] != '\0' && d->o.token[0] == '\0')
        report_set(rep, err, "this node is not enrolled and there is no join token in \"%s\"", d->o.token_file);
out:
    memset(d->o.token, 0, sizeof d->o.token);
    return err;
}

static void print_plan(struct daemon *d)
{
    json_t *j = status_json(d);
    json_dumpf(j, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(j);
}

/* Enrolling uses the token up: not something that a look may do. */
static int print_would_enrol(struct daemon *d)
{
    printf("would enrol as %s at %s; what it would serve is known after that\n", agent_identity(d->agent)->id_text, d->o.servers);
    agent_free(d->agent);
    identity_wipe(&d->id);
    return 0;
}

int run_command(struct options *o)
{
    static struct daemon d;
    struct report rep;
    report_clear(&rep);
    d.o = *o;
    d.status_fd = d.peer_fd = -1;
    log_set(o->log_json, o->debug);
    if (open_agent(&d, &rep) != REEVE_OK) {
        log_line(AGENT_LOG_ERROR, "%s", rep.message[0] ? rep.message : reeve_err_text(rep.code));
        return 2;
    }
    if (o->dry_run && !agent_enrolled(d.agent))
        return print_would_enrol(&d);
    d.signal_fd = signals_open();
    if (!o->dry_run)
        d.status_fd = status_listen(&d);
    if (!o->dry_run)
        d.peer_fd = peers_open(o);
    d.json_due = d.trust_due = !o->dry_run;
    log_line(AGENT_LOG_INFO, "agent %s started", agent_identity(d.agent)->id_text);
    int rc = loop(&d);
    install_abandon(&d);
    if (o->dry_run)
        print_plan(&d);
    agent_stop(d.agent, now_read());
    agent_free(d.agent);
    identity_wipe(&d.id);
    if (d.status_fd >= 0) {
        char path[1100];
        snprintf(path, sizeof path, "%s/agent.sock", o->state);
        unlink(path);
        close(d.status_fd);
    }
    if (d.peer_fd >= 0)
        close(d.peer_fd);
    close(d.signal_fd);
    log_line(AGENT_LOG_INFO, "agent stopped");
    return rc;
}
