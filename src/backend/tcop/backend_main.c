/*
 * backend_main.c - a backend in the real server: what it inherits from the
 * postmaster, and the hooks of serve.h over store, log and channels
 */
#include "backend/tcop/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/catalog/env.h"
#include "backend/catalog/snap.h"
#include "backend/tcop/serve.h"
#include "backend/tcop/tcop.h"
#include "backend/utils/clock.h"
#include "backend/utils/datadir.h"
#include "backend/utils/log.h"
#include "common/text.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

#define ROOTS_MAX     32
#define ROOTS_PEM_MAX (256u * 1024)

/* Loaded by the postmaster at start and at each reload; a backend has it from the fork. */
struct inherited {
    struct arena arena;
    struct tls_ctx *tls;
    struct hba hba;
    struct slice roots[ROOTS_MAX];
    size_t n_roots;
    uint8_t mock_secret[32];
};
static struct inherited *inherited;
/* Lines about what is no PostgreSQL protocol, counted over all backends: each is a process with one connection. */
static struct log_site *hostile;

static void inherited_free(struct inherited *x)
{
    if (x == NULL)
        return;
    tls_ctx_free(x->tls);
    arena_free(&x->arena);
    secret_wipe(x->mock_secret, sizeof x->mock_secret);
    free(x);
}

/* ---- in the postmaster: loading ---- */

/* A file named by a setting, whole, in the arena. */
static enum reeve_err load_file(struct inherited *x, const char *dir, const struct settings *s, enum setting_id id,
                                size_t max, struct slice *out, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    size_t len;
    uint8_t *mem = arena_alloc(&x->arena, max);
    if (mem == NULL || !settings_path(s, id, dir, path, sizeof path))
        return report_set(rep, REEVE_E_CONFIG, "the file that %s names cannot be read", setting_def(id)->name);
    enum reeve_err err = file_read(path, mem, max, &len);
    if (err != REEVE_OK)
        return report_set(rep, REEVE_E_CONFIG, "could not read \"%s\" (%s): %s", path, setting_def(id)->name,
                          reeve_err_text(err));
    *out = slice_of(mem, len);
    return REEVE_OK;
}

static enum reeve_err load_hba(struct inherited *x, const char *dir, const struct settings *s, struct report *rep)
{
    struct slice text;
    enum reeve_err err = load_file(x, dir, s, SET_hba_file, HBA_FILE_MAX, &text, rep);
    return err == REEVE_OK ? hba_parse(&x->hba, &x->arena, text, rep) : err;
}

static enum reeve_err load_roots(struct inherited *x, const char *dir, const struct settings *s, struct report *rep)
{
    struct slice pem;
    if (settings_text(s, SET_ssl_ca_file)[0] == '\0')
        return REEVE_OK;
    enum reeve_err err = load_file(x, dir, s, SET_ssl_ca_file, ROOTS_PEM_MAX, &pem, rep);
    while (err == REEVE_OK && x->n_roots < ROOTS_MAX) {
        struct wr der = wr_heap(X509_DER_MAX);
        err = x509_pem_next(&pem, &der);
        if (err == REEVE_OK) {
            x->roots[x->n_roots] = arena_copy(&x->arena, wr_slice(&der));
            err = x->roots[x->n_roots++].p ? REEVE_OK : REEVE_E_NOMEM;
        }
        wr_free(&der);
    }
    if (err == REEVE_E_NOT_FOUND && x->n_roots > 0)
        return REEVE_OK;
    return report_set(rep, REEVE_E_CONFIG, "ssl_ca_file holds no usable certificate, or more than %d", ROOTS_MAX);
}

static enum reeve_err load_tls(struct inherited *x, const char *dir, const struct settings *s, struct report *rep)
{
    char cert[DATADIR_PATH_MAX], key[DATADIR_PATH_MAX];
    if (!settings_bool(s, SET_ssl))
        return REEVE_OK;
    if (!settings_path(s, SET_ssl_cert_file, dir, cert, sizeof cert) ||
        !settings_path(s, SET_ssl_key_file, dir, key, sizeof key))
        return report_set(rep, REEVE_E_CONFIG, "the name of the certificate or key file is too long");
    struct tls_config c = { .cert_file = cert, .key_file = key, .alpn = "postgresql", .ask_cert = x->n_roots > 0 };
    return tls_ctx_server(&x->tls, &c, rep);
}

/* Lost, it is only drawn anew: roles that do not exist then show another salt than before. */
static void load_mock_secret(struct inherited *x, const char *dir)
{
    char path[DATADIR_PATH_MAX];
    size_t len;
    if (!datadir_path(path, sizeof path, dir, "tls/mock.secret") ||
        file_read(path, x->mock_secret, sizeof x->mock_secret, &len) != REEVE_OK || len != sizeof x->mock_secret)
        random_bytes(x->mock_secret, sizeof x->mock_secret);
}

bool backend_prepare(const char *dir, const struct settings *s, struct report *rep)
{
    struct inherited *x = calloc(1, sizeof *x);
    enum reeve_err err;
    if (x == NULL)
        return false;
    if (hostile == NULL)
        hostile = log_site_shared();
    arena_init(&x->arena, 8u << 20);
    TRY(load_hba(x, dir, s, rep));
    TRY(load_roots(x, dir, s, rep));
    TRY(load_tls(x, dir, s, rep));
    load_mock_secret(x, dir);
    inherited_free(inherited);
    inherited = x;
    x = NULL;
out:
    inherited_free(x);
    return err == REEVE_OK;
}

/* ---- in the backend: the hooks ---- */

static enum reeve_err hook_open(void *arg, struct session *s, struct report *rep)
{
    struct backend_fork *b = arg;
    return env_open(&s->env, b->dir, b->postmaster, b->settings, rep);
}

static void hook_close(void *arg, struct session *s)
{
    env_close(s->env);
    s->env = NULL;
}

static enum reeve_err hook_role(void *arg, struct session *s, const struct name *role, struct role_row *out,
                                struct report *rep)
{
    struct snap snap;
    /* Logging in does not wait for the ring: whatever the local snapshot says counts. */
    enum reeve_err err = snap_open_local(s, &snap, rep);
    if (err != REEVE_OK)
        return err;
    err = region_role_get(&snap.region, role, out);
    snap_close(&snap);
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        report_set(rep, err, "reading role \"%s\" failed", role->s);
    return err;
}

static bool hook_role_member(void *arg, struct session *s, const struct name *role, const struct name *member)
{
    struct snap snap;
    struct report rep = { 0 };
    if (snap_open_local(s, &snap, &rep) != REEVE_OK)
        return false;
    bool is = name_eq(role, member) || region_role_is_member(&snap.region, role, member);
    snap_close(&snap);
    return is;
}

static void hook_cancel(void *arg, uint32_t pid, uint32_t key)
{
    struct backend_fork *b = arg;
    uint8_t body[8];
    struct wr w = wr_fixed(body, sizeof body);
    struct report rep = { 0 };
    wr_u32(&w, pid);
    wr_u32(&w, key);
    (void) !ipc_call(b->postmaster, MSG_CANCEL, wr_slice(&w), clock_deadline(5000), NULL, NULL, &rep);
}

static unsigned state_of(enum serve_activity a)
{
    static const unsigned states[] = { [SERVE_STARTING] = ACT_STARTING, [SERVE_IDLE] = ACT_IDLE,
                                       [SERVE_ACTIVE] = ACT_ACTIVE, [SERVE_IDLE_IN_TXN] = ACT_IDLE_IN_TXN,
                                       [SERVE_FAILED_TXN] = ACT_FAILED_TXN };
    return states[a];
}

/* The last statement stays in view while the session is idle. */
static void hook_activity(void *arg, const struct session *s, enum serve_activity state, struct slice query)
{
    static struct activity a;
    struct backend_fork *b = arg;
    if (b->activity == NULL)
        return;
    a.pid = s->pid;
    a.state = state_of(state);
    snprintf(a.user, sizeof a.user, "%s", s->login_role.s);
    snprintf(a.app_name, sizeof a.app_name, "%s", session_text(s, SET_application_name));
    snprintf(a.client_addr, sizeof a.client_addr, "%s", s->client_addr);
    a.client_port = s->client_port;
    a.tls = s->tls;
    a.started = s->started;
    a.txn_started = session_in_block(s) || s->implicit ? s->txn_started : (struct wall_ms){ 0 };
    a.stmt_started = s->stmt_started;
    a.state_changed = session_wall_now();
    if (state == SERVE_ACTIVE)
        snprintf(a.query, sizeof a.query, "%.*s", (int) (query.len < sizeof a.query ? query.len : sizeof a.query - 1),
                 query.len ? (const char *) query.p : "");
    activity_put(b->activity, b->slot, &a);
}

static uint32_t hook_sessions(void *arg, const struct session *s)
{
    static struct activity a;
    struct backend_fork *b = arg;
    uint32_t n = 0;
    for (unsigned i = 0; b->activity != NULL && i < activity_slots(b->activity); i++)
        n += activity_get(b->activity, i, &a) && strcmp(a.user, s->login_role.s) == 0;
    return n;
}

static void hook_log(void *arg, const struct session *s, enum serve_log level, const char *sqlstate, const char *text)
{
    static const enum log_severity severities[] = {
        [SERVE_LOG_DEBUG] = LOG_SEV_DEBUG, [SERVE_LOG_INFO] = LOG_SEV_INFO, [SERVE_LOG_WARNING] = LOG_SEV_WARNING,
        [SERVE_LOG_ERROR] = LOG_SEV_ERROR, [SERVE_LOG_FATAL] = LOG_SEV_FATAL,
    };
    char port[8];
    if (level >= SERVE_LOG_WARNING && strncmp(sqlstate, "08", 2) == 0 && hostile != NULL &&
        !log_site_allows(hostile, severities[level]))
        return;
    snprintf(port, sizeof port, "%u", s->client_port);
    const struct log_field fields[] = {
        { "user", slice_str(s->login_role.s) }, { "client", slice_str(s->client_addr) },
        { "port", slice_str(port) }, { "sqlstate", slice_str(sqlstate) },
    };
    log_write_fields(severities[level], fields, sizeof fields / sizeof *fields, "%s", text);
}

static void hook_reload(void *arg, struct session *s)
{
    struct backend_fork *b = arg;
    struct settings *fresh = NULL;
    struct report rep = { 0 };
    if (settings_load_shared(&fresh, b->dir, &rep) != REEVE_OK)
        return;
    session_settings_reload(s, fresh->v);
    (void) !settings_apply(b->settings, fresh, NULL, NULL);
    settings_apply_log(b->settings);
    settings_free(fresh);
}

static const struct serve_hooks hooks = {
    .open = hook_open, .close = hook_close, .role = hook_role, .role_member = hook_role_member,
    .cancel = hook_cancel, .activity = hook_activity, .log = hook_log, .reload = hook_reload,
    .sessions = hook_sessions,
};

/* ---- the process ---- */

static enum serve_admission admission_of(enum fork_admission a)
{
    switch (a) {
    case FORK_TOO_MANY:
        return SERVE_ADMIT_TOO_MANY;
    case FORK_STARTING:
        return SERVE_ADMIT_STARTING;
    case FORK_STOPPING:
        return SERVE_ADMIT_STOPPING;
    default:
        return SERVE_ADMIT_OK;
    }
}

int backend_main(struct backend_fork *b)
{
    char spool[DATADIR_PATH_MAX];
    reeve_assert(inherited != NULL);
    if (!datadir_path(spool, sizeof spool, b->dir, "tmp"))
        return 1;
    struct serve_start start = {
        .fd = b->fd, .peer = b->peer, .tls = inherited->tls, .settings = b->settings->v,
        .client_roots = inherited->roots, .n_client_roots = inherited->n_roots, .hba = &inherited->hba,
        .spool_dir = spool, .pid = getpid(), .cancel_key = b->cancel_key, .admission = admission_of(b->admission),
        .only_superusers = b->admission == FORK_SUPERUSER, .catch_signals = true, .hooks = &hooks, .arg = b,
        .ops = &tcop_ops_real,
    };
    memcpy(start.mock_secret, inherited->mock_secret, sizeof start.mock_secret);
    (void) serve_client(&start);
    /* Whatever a client does is no fault of the server's. */
    return 0;
}
