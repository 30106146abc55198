/* options.c - the command line and the file, one table of names for both. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

#define DEFAULT_STATE "/var/lib/reeve-agent"

static int saved_argc;
static char **saved_argv;

/* ---- values ---- */

static bool copy(char *out, size_t cap, const char *v)
{
    return (size_t) snprintf(out, cap, "%s", v) < cap;
}

/* "5", "5 s", "250 ms", "2 min", "1 h": seconds unless said otherwise. */
static bool duration(uint32_t *ms, const char *v)
{
    char *end;
    double n = strtod(v, &end);
    while (*end == ' ')
        end++;
    double unit = strcmp(end, "ms") == 0 ? 1 : *end == '\0' || strcmp(end, "s") == 0 ? 1000 :
                  strcmp(end, "min") == 0 ? 60000 : strcmp(end, "h") == 0 ? 3600000 : 0;
    if (end == v || unit == 0 || n < 0 || n * unit > 4e9)
        return false;
    *ms = (uint32_t) (n * unit);
    return true;
}

static bool boolean(bool *out, const char *v)
{
    *out = strcmp(v, "on") == 0 || strcmp(v, "true") == 0 || strcmp(v, "yes") == 0 || strcmp(v, "1") == 0;
    return *out || strcmp(v, "off") == 0 || strcmp(v, "false") == 0 || strcmp(v, "no") == 0 || strcmp(v, "0") == 0;
}

static bool owner(struct install_target *t, const char *v)
{
    char user[128];
    const char *colon = strchr(v, ':');
    size_t len = colon ? (size_t) (colon - v) : strlen(v);
    if (len >= sizeof user)
        return false;
    snprintf(user, sizeof user, "%.*s", (int) len, v);
    if (user[0] != '\0') {
        const struct passwd *pw = getpwnam(user);
        char *end;
        unsigned long n = strtoul(user, &end, 10);
        if (pw == NULL && *end != '\0')
            return false;
        t->uid = pw ? pw->pw_uid : (uid_t) n;
    }
    if (colon != NULL) {
        const struct group *gr = getgrnam(colon + 1);
        char *end;
        unsigned long n = strtoul(colon + 1, &end, 10);
        if (gr == NULL && (*end != '\0' || end == colon + 1))
            return false;
        t->gid = gr ? gr->gr_gid : (gid_t) n;
    }
    return true;
}

static bool signal_number(int *out, const char *v)
{
    static const struct { const char *name; int n; } names[] = {
        { "HUP", SIGHUP }, { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "TERM", SIGTERM }, { "INT", SIGINT }, { "WINCH", SIGWINCH },
    };
    if (strncmp(v, "SIG", 3) == 0)
        v += 3;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(v, names[i].name) == 0) {
            *out = names[i].n;
            return true;
        }
    *out = atoi(v);
    return *out > 0 && *out < 65;
}

/* "host:port" or "host:port/servername". */
static bool probe(struct install_target *t, const char *v)
{
    const char *slash = strchr(v, '/');
    size_t len = slash ? (size_t) (slash - v) : strlen(v);
    const char *colon = memrchr(v, ':', len);
    if (colon == NULL || colon == v || (size_t) (v + len - colon) < 2 || (size_t) (v + len - colon - 1) >= sizeof t->probe_port)
        return false;
    snprintf(t->probe_host, sizeof t->probe_host, "%.*s", (int) (colon - v), v);
    snprintf(t->probe_port, sizeof t->probe_port, "%.*s", (int) (v + len - colon - 1), colon + 1);
    return copy(t->probe_sni, sizeof t->probe_sni, slash ? slash + 1 : "");
}

static bool label(struct options *o, const char *key, size_t key_len, const char *value)
{
    struct label *l;
    struct name k;
    if (!name_set(&k, slice_of(key, key_len)))
        return false;
    for (uint8_t i = 0; i < o->labels.n; i++)
        if (name_eq(&o->labels.l[i].key, &k))
            return name_set_str(&o->labels.l[i].value, value);
    if (o->labels.n == ROLLOUT_LABELS_MAX)
        return false;
    l = &o->labels.l[o->labels.n];
    l->key = k;
    if (!name_set_str(&l->value, value))
        return false;
    o->labels.n++;
    return true;
}

static bool label_pair(struct options *o, const char *v)
{
    const char *eq = strchr(v, '=');
    return eq != NULL && eq != v && label(o, v, (size_t) (eq - v), eq + 1);
}

static struct install_target *cert_named(struct options *o, const char *name, size_t len)
{
    struct name n;
    if (!name_set(&n, slice_of(name, len)))
        return NULL;
    for (unsigned i = 0; i < o->n_certs; i++)
        if (name_eq(&o->cert[i].cert, &n))
            return &o->cert[i];
    if (o->n_certs == OPT_CERTS_MAX)
        return NULL;
    struct install_target *t = &o->cert[o->n_certs++];
    *t = (struct install_target){ .cert = n, .uid = (uid_t) -1, .gid = (gid_t) -1, .timeout_ms = INSTALL_TIMEOUT_MS };
    return t;
}

/* ---- one name = value ---- */

static bool set_cert(struct install_target *t, const char *name, const char *v, bool *known)
{
    char *end;
    *known = true;
    if (strcmp(name, "directory") == 0)
        return copy(t->dir, sizeof t->dir, v);
    if (strcmp(name, "owner") == 0)
        return owner(t, v);
    if (strcmp(name, "mode") == 0) {
        t->mode = (mode_t) strtoul(v, &end, 8);
        return *end == '\0' && t->mode != 0 && t->mode <= 0777;
    }
    if (strcmp(name, "reload") == 0)
        return copy(t->reload, sizeof t->reload, v);
    if (strcmp(name, "signal") == 0)
        return signal_number(&t->signal, v);
    if (strcmp(name, "pidfile") == 0)
        return copy(t->pidfile, sizeof t->pidfile, v);
    if (strcmp(name, "timeout") == 0)
        return duration(&t->timeout_ms, v) && t->timeout_ms > 0;
    if (strcmp(name, "probe") == 0)
        return probe(t, v);
    *known = false;
    return false;
}

static bool set_global(struct options *o, const char *name, const char *v, bool *known)
{
    *known = true;
    if (strcmp(name, "state") == 0)
        return copy(o->state, sizeof o->state, v);
    if (strcmp(name, "server") == 0)
        return copy(o->servers, sizeof o->servers, v);
    if (strcmp(name, "token") == 0)
        return copy(o->token, sizeof o->token, v);
    if (strcmp(name, "token-file") == 0)
        return copy(o->token_file, sizeof o->token_file, v);
    if (strcmp(name, "config-json") == 0)
        return copy(o->config_json, sizeof o->config_json, v);
    if (strcmp(name, "addr") == 0)
        return copy(o->addr_hint, sizeof o->addr_hint, v);
    if (strcmp(name, "peer-listen") == 0)
        return copy(o->peer_listen, sizeof o->peer_listen, v);
    if (strcmp(name, "peers") == 0)
        return copy(o->peers, sizeof o->peers, v);
    if (strcmp(name, "label") == 0)
        return label_pair(o, v);
    if (strcmp(name, "identity") == 0) {
        o->mtls = strcmp(v, "mtls") == 0;
        return o->mtls || strcmp(v, "auth") == 0;
    }
    if (strcmp(name, "log-format") == 0) {
        o->log_json = strcmp(v, "json") == 0;
        return o->log_json || strcmp(v, "text") == 0;
    }
    if (strcmp(name, "tick-interval") == 0)
        return duration(&o->tick_ms, v);
    if (strcmp(name, "config-ttl") == 0)
        return duration(&o->config_ttl_ms, v);
    if (strcmp(name, "wait") == 0)
        return duration(&o->timeout_ms, v);
    if (strcmp(name, "debug") == 0)
        return boolean(&o->debug, v);
    *known = false;
    return false;
}

static enum reeve_err set(struct options *o, struct install_target *t, const char *name, const char *v, const char *where,
                          struct report *rep)
{
    char n[64];
    bool known, ok;
    copy(n, sizeof n, name);
    for (char *p = n; *p != '\0'; p++)
        if (*p == '_')
            *p = '-';
    ok = set_global(o, n, v, &known);
    if (!known && t != NULL)
        ok = set_cert(t, n, v, &known);
    if (!known)
        return report_set(rep, REEVE_E_INVALID_VALUE, "%s: there is no option \"%s\"%s", where, name,
                          t == NULL ? " (options of a certificate follow --cert)" : "");
    return ok ? REEVE_OK : report_set(rep, REEVE_E_INVALID_VALUE, "%s: \"%s\" is no value for %s", where, v, name);
}

/* ---- the file ---- */

static char *trim(char *s)
{
    while (isspace((unsigned char) *s))
        s++;
    char *end = s + strlen(s);
    while (end > s && isspace((unsigned char) end[-1]))
        *--end = '\0';
    return s;
}

struct section { bool labels; struct install_target *cert; };

static enum reeve_err begin_section(struct options *o, char *text, struct section *sec, const char *where, struct report *rep)
{
    char *end = strchr(text, ']');
    *sec = (struct section){ false, NULL };
    if (end == NULL || end[1] != '\0')
        return report_set(rep, REEVE_E_INVALID_VALUE, "%s: a section is [cert NAME] or [labels]", where);
    *end = '\0';
    text = trim(text + 1);
    if (strcmp(text, "labels") == 0) {
        sec->labels = true;
        return REEVE_OK;
    }
    char *name = strncmp(text, "cert ", 5) == 0 ? trim(text + 5) : NULL;
    sec->cert = name ? cert_named(o, name, strlen(name)) : NULL;
    return sec->cert ? REEVE_OK
                     : report_set(rep, REEVE_E_INVALID_VALUE, "%s: a section is [cert NAME] or [labels]", where);
}

static enum reeve_err take_line(struct options *o, char *line, struct section *sec, const char *where, struct report *rep)
{
    line = trim(line);
    if (*line == '\0' || *line == '#')
        return REEVE_OK;
    if (*line == '[')
        return begin_section(o, line, sec, where, rep);
    char *eq = strchr(line, '=');
    if (eq == NULL)
        return report_set(rep, REEVE_E_INVALID_VALUE, "%s: a line is name = value", where);
    *eq = '\0';
    char *name = trim(line), *value = trim(eq + 1);
    size_t len = strlen(value);
    if (len >= 2 && (value[0] == '\'' || value[0] == '"') && value[len - 1] == value[0]) {
        value[len - 1] = '\0';
        value++;
    }
    if (sec->labels)
        return label(o, name, strlen(name), value) ? REEVE_OK
                                                   : report_set(rep, REEVE_E_INVALID_VALUE, "%s: no label", where);
    return set(o, sec->cert, name, value, where, rep);
}

static enum reeve_err read_file(struct options *o, const char *path, struct report *rep)
{
    char *line = NULL, where[1200];
    size_t cap = 0;
    struct section sec = { false, NULL };
    enum reeve_err err = REEVE_OK;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return report_set(rep, REEVE_E_IO, "could not open \"%s\"", path);
    for (int n = 1; err == REEVE_OK && getline(&line, &cap, f) >= 0; n++) {
        snprintf(where, sizeof where, "%s line %d", path, n);
        err = take_line(o, line, &sec, where, rep);
    }
    free(line);
    fclose(f);
    return err;
}

/* ---- the command line ---- */

static bool take_flag(struct options *o, const char *name)
{
    bool *flag = strcmp(name, "once") == 0 ? &o->once : strcmp(name, "dry-run") == 0 ? &o->dry_run :
                 strcmp(name, "help") == 0 ? &o->help : strcmp(name, "version") == 0 ? &o->version :
                 strcmp(name, "debug") == 0 ? &o->debug : NULL;
    if (flag != NULL)
        *flag = true;
    return flag != NULL;
}

static enum reeve_err take_cert(struct options *o, const char *v, struct install_target **t, struct report *rep)
{
    const char *eq = strchr(v, '=');
    *t = eq ? cert_named(o, v, (size_t) (eq - v)) : NULL;
    if (*t == NULL || !copy((*t)->dir, sizeof (*t)->dir, eq + 1))
        return report_set(rep, REEVE_E_INVALID_VALUE, "--cert is NAME=DIRECTORY");
    return REEVE_OK;
}

static enum reeve_err take_option(struct options *o, int *i, int argc, char **argv, struct install_target **t, bool file_only,
                                  struct report *rep)
{
    char name[64];
    const char *arg = argv[*i] + 2, *eq = strchr(arg, '=');
    size_t len = eq ? (size_t) (eq - arg) : strlen(arg);
    if (len >= sizeof name)
        return report_set(rep, REEVE_E_INVALID_VALUE, "there is no option \"%s\"", argv[*i]);
    snprintf(name, sizeof name, "%.*s", (int) len, arg);
    if (eq == NULL && take_flag(o, name))
        return REEVE_OK;
    if (eq == NULL && *i + 1 >= argc)
        return report_set(rep, REEVE_E_INVALID_VALUE, "--%s needs a value, or is no option (see --help)", name);
    const char *v = eq ? eq + 1 : argv[++*i];
    if (strcmp(name, "config") == 0) {
        o->program_file = v;
        return REEVE_OK;
    }
    if (file_only)
        return REEVE_OK;
    if (strcmp(name, "cert") == 0)
        return take_cert(o, v, t, rep);
    return set(o, *t, name, v, "command line", rep);
}

static enum reeve_err take_word(struct options *o, const char *word, struct report *rep)
{
    static const char *const commands[] = { "run", "get", "status", "key", "cohort" };
    for (size_t i = 0; o->command == NULL && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(word, commands[i]) == 0) {
            o->command = commands[i];
            return REEVE_OK;
        }
    if (o->command == NULL || o->argument != NULL)
        return report_set(rep, REEVE_E_INVALID_VALUE, "what is \"%s\"?", word);
    o->argument = word;
    return REEVE_OK;
}

static enum reeve_err walk(struct options *o, int argc, char **argv, bool file_only, struct report *rep)
{
    struct install_target *t = NULL;
    enum reeve_err err = REEVE_OK;
    o->command = o->argument = NULL;
    for (int i = 1; i < argc && err == REEVE_OK; i++)
        err = strncmp(argv[i], "--", 2) == 0 ? take_option(o, &i, argc, argv, &t, file_only, rep) : take_word(o, argv[i], rep);
    return err;
}

static enum reeve_err check(const struct options *o, struct report *rep)
{
    for (unsigned i = 0; i < o->n_certs; i++) {
        const struct install_target *t = &o->cert[i];
        if (t->dir[0] == '\0')
            return report_set(rep, REEVE_E_INVALID_VALUE, "certificate \"%s\" has no directory", t->cert.s);
        if (t->signal != 0 && t->pidfile[0] == '\0')
            return report_set(rep, REEVE_E_INVALID_VALUE, "certificate \"%s\": signal needs pidfile", t->cert.s);
    }
    return REEVE_OK;
}

enum reeve_err options_parse(struct options *o, int argc, char **argv, struct report *rep)
{
    enum reeve_err err;
    memset(o, 0, sizeof *o);
    saved_argc = argc;
    saved_argv = argv;
    snprintf(o->state, sizeof o->state, "%s", DEFAULT_STATE);
    o->timeout_ms = 60000;
    TRY(walk(o, argc, argv, true, rep));
    if (o->program_file != NULL)
        TRY(read_file(o, o->program_file, rep));
    TRY(walk(o, argc, argv, false, rep));
    TRY(check(o, rep));
    if (o->command == NULL)
        o->command = "run";
out:
    return err;
}

enum reeve_err options_again(struct options *o, struct report *rep)
{
    return options_parse(o, saved_argc, saved_argv, rep);
}

enum reeve_err options_token(struct options *o, struct report *rep)
{
    if (o->token[0] == '\0' && o->token_file[0] != '\0') {
        FILE *f = fopen(o->token_file, "re");
        if (f == NULL && errno == ENOENT)
            return REEVE_OK;            /* used and removed, as the manual advises; who needs it will say so */
        if (f == NULL)
            return report_set(rep, REEVE_E_IO, "could not open \"%s\"", o->token_file);
        if (fgets(o->token, sizeof o->token, f) == NULL)
            o->token[0] = '\0';
        fclose(f);
    }
    char *t = trim(o->token);
    memmove(o->token, t, strlen(t) + 1);
    return REEVE_OK;
}

void options_usage(void)
{
    fputs("reeve-agent [run] --state DIR --server HOST:PORT[,...] [--token TEXT|--token-file FILE] [--cert NAME=DIR ...]\n"
          "reeve-agent get KEY | status | key | cohort NAME   [--state DIR]\n"
          "\n"
          "  --config FILE            options from a file: name = value, sections [cert NAME] and [labels]\n"
          "  --state DIR              keys and cache (default " DEFAULT_STATE ")\n"
          "  --server LIST            gateways, in order\n"
          "  --token, --token-file    join token, needed once\n"
          "  --identity auth|mtls     how the node proves itself (default auth)\n"
          "  --label KEY=VALUE        asked for at enrolment; the token's labels win\n"
          "  --addr ADDRESS           address others reach the host at\n"
          "  --peer-listen ADDR:PORT  hear finalized heads from other agents (UDP)\n"
          "  --peers ADDR:PORT,...    tell some of them ours, once a minute\n"
          "  --config-json FILE       effective configuration as one JSON file\n"
          "  --config-ttl TIME        unconfirmed values EXPIRE after this\n"
          "  --tick-interval TIME     of the region's validators (default 60 s)\n"
          "  --cert NAME=DIR          install certificate NAME below DIR; then, for that certificate:\n"
          "      --reload COMMAND  or --signal NAME --pidfile FILE\n"
          "      --timeout TIME (default 10 s)  --probe HOST:PORT[/SERVERNAME]  --owner USER[:GROUP]  --mode OCTAL\n"
          "  --once                   until everything is settled, then exit (0, or 1 when something failed)\n"
          "  --dry-run                look only, print what would be done, and exit\n"
          "  --wait TIME              bound of --once and --dry-run (default 60 s)\n"
          "  --log-format text|json   --debug   --version   --help\n", stdout);
}
