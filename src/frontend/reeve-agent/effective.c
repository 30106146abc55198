/* effective.c - config.json and trust.pem: whole files, replaced by rename. */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

json_t *value_json(const struct agent_value *v)
{
    char text[64];
    const char *p = (const char *) v->value.p;
    if (v->type == 5)
        return json_null();
    if (v->type == 4)
        return json_boolean(v->value.len == 4 && memcmp(p, "true", 4) == 0);
    if ((v->type == 2 || v->type == 3) && v->value.len < sizeof text) {
        snprintf(text, sizeof text, "%.*s", (int) v->value.len, p);
        json_error_t e;
        json_t *n = json_loads(text, JSON_DECODE_ANY, &e);
        if (json_is_number(n))
            return n;
        json_decref(n);
    }
    return json_stringn(p, v->value.len);
}

static void add_value(void *arg, const struct agent_value *v)
{
    json_object_set_new(arg, v->key.s, value_json(v));
}

static bool replace(const char *path, const char *text, size_t len, mode_t mode)
{
    char tmp[1200];
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return false;
    size_t done = 0;
    ssize_t n = 0;
    while (done < len && (n = write(fd, text + done, len - done)) > 0)
        done += (size_t) n;
    bool ok = done == len && fsync(fd) == 0;
    close(fd);
    return ok && rename(tmp, path) == 0;
}

void effective_write(struct daemon *d)
{
    char path[1100];
    json_t *all = json_object();
    snprintf(path, sizeof path, "%s", d->o.config_json);
    if (path[0] == '\0')
        snprintf(path, sizeof path, "%s/config.json", d->o.state);
    agent_config_each(d->agent, add_value, all);
    char *text = json_dumps(all, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (text == NULL || !replace(path, text, strlen(text), 0640))
        log_line(AGENT_LOG_ERROR, "could not write \"%s\": %s", path, strerror(errno));
    free(text);
    json_decref(all);
    d->json_due = false;
}

void trust_write(struct daemon *d)
{
    char path[1100];
    struct wr pem = wr_heap(1 << 20);
    snprintf(path, sizeof path, "%s/trust.pem", d->o.state);
    agent_trusted(d->agent, &pem);
    if (pem.bad || !replace(path, (const char *) pem.p, pem.len, 0644))
        log_line(AGENT_LOG_ERROR, "could not write \"%s\": %s", path, strerror(errno));
    wr_free(&pem);
    d->trust_due = false;
}
