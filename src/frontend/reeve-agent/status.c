/* status.c - the agent's state as JSON, over a Unix socket that only its user may open. */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/text.h"

#define SOCKET_NAME "agent.sock"

static json_t *labels_json(const struct labels *l)
{
    json_t *o = json_object();
    for (uint8_t i = 0; i < l->n; i++)
        json_object_set_new(o, l->l[i].key.s, json_string(l->l[i].value.s));
    return o;
}

static json_t *certs_json(const struct agent *a)
{
    static const char *const results[] = { "none", "told", "done", "failed", "rejected" };
    json_t *list = json_array();
    struct agent_cert_info c;
    for (size_t i = 0; agent_cert_at(a, i, &c); i++) {
        char serial[41], share[16];
        hex_encode(serial, c.serial, c.serial_len);
        snprintf(share, sizeof share, "%.4f", 100.0 * (double) c.cohort / (double) COHORT_END);
        json_array_append_new(list, json_pack("{s:s, s:b, s:i, s:i, s:i, s:s, s:s, s:s, s:I, s:i, s:I, s:s, s:s, s:I, s:s, s:b}",
            "name", c.object.s, "applies", c.applies, "serving", (int) c.serving, "wanted", (int) c.want, "tried", (int) c.tried,
            "result", results[c.result <= 4 ? c.result : 0], "error_code", c.code ? wire_error_name(c.code) : "",
            "error", c.error, "rollout", (json_int_t) c.rollout_id, "wave", (int) c.wave, "cohort", (json_int_t) c.cohort,
            "cohort_percent", share, "serial", serial, "not_after_ms", (json_int_t) c.not_after.ms,
            "freshness", agent_freshness_name(c.freshness), "installing", c.installing));
    }
    return list;
}

static json_t *refusals_json(const struct agent_stats *s)
{
    json_t *o = json_object();
    for (int e = 0; e < REEVE_E__COUNT; e++)
        if (s->refused[e] > 0)
            json_object_set_new(o, reeve_err_name((enum reeve_err) e), json_integer(s->refused[e]));
    return o;
}

json_t *status_json(const struct daemon *d)
{
    struct agent_info i;
    const struct agent_stats *s = agent_stats(d->agent);
    agent_info(d->agent, &i);
    return json_pack("{s:s, s:s, s:s, s:b, s:s, s:I, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:s, s:s, s:s, s:I, s:I, s:o, s:o}",
        "node", agent_identity(d->agent)->id_text, "state", agent_freshness_name(agent_freshness(d->agent)),
        "connection", agent_phase_name(agent_phase(d->agent)), "enrolled", agent_enrolled(d->agent), "region", i.region.s,
        "ordinal", (json_int_t) i.ordinal, "labels", labels_json(i.labels), "server", i.endpoint,
        "retry_in_ms", (json_int_t) i.retry_in_ms, "height", (json_int_t) i.height, "log_size", (json_int_t) i.log_size,
        "header_time_ms", (json_int_t) i.header_time.ms, "header_age_ms", (json_int_t) i.header_age_ms,
        "epoch", (json_int_t) i.epoch, "revision", (json_int_t) i.revision, "verified", (json_int_t) s->verified,
        "values", (int) i.values, "objects", (int) i.objects, "connects", (json_int_t) s->connects,
        "resumed", (json_int_t) s->resumed, "installs", (json_int_t) s->installs,
        "config_state", agent_freshness_name(i.config), "last_error", i.last_error, "halted", i.halted,
        "heads_heard", (json_int_t) s->heads_heard, "heads_ignored", (json_int_t) s->heads_ignored, "refused", refusals_json(s), "certificates", certs_json(d->agent));
}

static bool address(struct sockaddr_un *sa, const char *state)
{
    *sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
    return (size_t) snprintf(sa->sun_path, sizeof sa->sun_path, "%s/" SOCKET_NAME, state) < sizeof sa->sun_path;
}

int status_listen(struct daemon *d)
{
    struct sockaddr_un sa;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || !address(&sa, d->o.state)) {
        log_line(AGENT_LOG_WARNING, "no status socket: %s", fd < 0 ? strerror(errno) : "the path is too long");
        return fd;
    }
    unlink(sa.sun_path);
    mode_t before = umask(0177);
    bool ok = bind(fd, (struct sockaddr *) &sa, sizeof sa) == 0 && listen(fd, 8) == 0;
    umask(before);
    if (!ok)
        log_line(AGENT_LOG_WARNING, "no status socket: %s", strerror(errno));
    return fd;
}

/* A reader that does not read costs us a second at most. */
void status_serve(struct daemon *d)
{
    struct timeval tv = { 1, 0 };
    int fd = accept4(d->status_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    json_t *j = status_json(d);
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    size_t len = text ? strlen(text) : 0, done = 0;
    ssize_t n = 0;
    while (done < len && (n = send(fd, text + done, len - done, MSG_NOSIGNAL)) > 0)
        done += (size_t) n;
    free(text);
    json_decref(j);
    close(fd);
}

int status_command(const struct options *o)
{
    struct sockaddr_un sa;
    char buf[4096];
    ssize_t n;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !address(&sa, o->state) || connect(fd, (struct sockaddr *) &sa, sizeof sa) != 0) {
        fprintf(stderr, "reeve-agent: no agent answers at %s/" SOCKET_NAME ": %s\n", o->state, strerror(errno));
        if (fd >= 0)
            close(fd);
        return 2;
    }
    while ((n = read(fd, buf, sizeof buf)) > 0)
        fwrite(buf, 1, (size_t) n, stdout);
    putchar('\n');
    close(fd);
    return n == 0 ? 0 : 2;
}
