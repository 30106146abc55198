/* serve.c - a connection from accept to exit: set-up, start-up, the loop, clean-up */
#include "backend/tcop/tcop_int.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/libpq/auth.h"
#include "backend/tcop/signals.h"
#include "common/text.h"

#define DATABASE "reeve"

/* ---- log, activity ---- */

static bool log_wanted(const struct tcop *t, enum serve_log level)
{
    /* Places of the levels in the words of log_min_messages. */
    static const int rank[] = { [SERVE_LOG_DEBUG] = 0, [SERVE_LOG_INFO] = 1, [SERVE_LOG_WARNING] = 3,
                                [SERVE_LOG_ERROR] = 4, [SERVE_LOG_FATAL] = 5 };
    return rank[level] >= session_int(&t->s, SET_log_min_messages);
}

void tcop_log(struct tcop *t, enum serve_log level, const char *sqlstate, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    if (t->start->hooks->log == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    t->start->hooks->log(t->start->arg, &t->s, level, sqlstate, text);
}

void tcop_activity(struct tcop *t, enum serve_activity state, struct slice query)
{
    if (t->start->hooks->activity != NULL)
        t->start->hooks->activity(t->start->arg, &t->s, state, query);
}

/* ---- errors ---- */

static void fill_report(struct report *rep, enum reeve_err err)
{
    if (rep->message[0] == '\0')
        report_set(rep, err, "%s", reeve_err_text(err));
}

void tcop_fatal(struct tcop *t, const struct report *rep)
{
    tcop_log(t, SERVE_LOG_FATAL, report_sqlstate(rep), "%s", rep->message);
    if (reply_error(&t->c, "FATAL", rep) == REEVE_OK)
        (void) !pq_flush(&t->c);
    t->ended = true;
}

static bool ends_session(const struct tcop *t, enum reeve_err err)
{
    return err == REEVE_E_SHUTDOWN || err == REEVE_E_MALFORMED || t->c.dead;
}

void tcop_error(struct tcop *t, struct report *rep, enum reeve_err err)
{
    fill_report(rep, err);
    if (ends_session(t, err)) {
        tcop_fatal(t, rep);
        t->exit_code = err == REEVE_E_SHUTDOWN ? 0 : 1;
    } else {
        if (log_wanted(t, SERVE_LOG_ERROR))
            tcop_log(t, SERVE_LOG_ERROR, report_sqlstate(rep), "%s", rep->message);
        if (reply_error(&t->c, "ERROR", rep) != REEVE_OK)
            t->ended = true;
    }
    txn_error(t);
}

/* ---- statements begin and end ---- */

void tcop_read_begin(struct tcop *t)
{
    t->s.received = t->c.received;
    t->s.read_confirmed = pq_taken(&t->c) <= t->s.confirmed_upto;
}

void tcop_statement_begin(struct tcop *t)
{
    int64_t limit = session_int(&t->s, SET_statement_timeout);
    t->s.stmt_started = session_wall_now();
    t->s.stmt_deadline.ms = limit ? session_mono_now().ms + limit : 0;
    tcop_read_begin(t);
}

void tcop_statement_end(struct tcop *t)
{
    t->s.stmt_deadline.ms = 0;
}

static bool may_hold_secret(const struct ast_list *list)
{
    for (int i = 0; i < list->n; i++)
        if (list->v[i]->kind == AST_CREATE_ROLE || list->v[i]->kind == AST_ALTER_ROLE)
            return true;
    return false;
}

/* Does log_statement (none, ddl, mod, all) ask for this list? */
static bool logged(const struct tcop *t, const struct ast_list *list)
{
    int64_t which = session_int(&t->s, SET_log_statement);
    if (which == 0 || which == 3)
        return which == 3;
    for (int i = 0; i < list->n; i++)
        if (ast_flags(list->v[i]->kind) & STMT_CHANGES)
            return true;
    return false;
}

void tcop_query_shown(struct tcop *t, const struct ast_list *list, struct slice text)
{
    /* A string that does not parse may hold anything. */
    if (list->n == 0)
        text = slice_str("");
    else if (may_hold_secret(list))
        text = slice_str(ast_tag(list->v[0]->kind));
    tcop_activity(t, SERVE_ACTIVE, text);
    if (logged(t, list) && text.len > 0)
        tcop_log(t, SERVE_LOG_INFO, "00000", "statement: %.*s", (int) (text.len < 1000 ? text.len : 1000),
                 (const char *) text.p);
}

/* ---- what the session says to its client ---- */

static void client_notice(void *arg, enum notice_level level, const struct report *rep)
{
    static const char *const words[] = { "DEBUG", "LOG", "INFO", "NOTICE", "WARNING" };
    struct tcop *t = arg;
    if (reply_notice(&t->c, words[level], rep) != REEVE_OK)
        t->c.dead = true;
    pq_flush_some(&t->c);
}

static bool client_gone(void *arg)
{
    struct tcop *t = arg;
    return pq_gone(&t->c);
}

static void client_waiting(void *arg) { tcop_send_held(arg); }

static const enum setting_id reported[] = {
    SET_server_version, SET_server_encoding, SET_client_encoding, SET_application_name, SET_DateStyle,
    SET_IntervalStyle, SET_TimeZone, SET_integer_datetimes, SET_standard_conforming_strings, SET_is_superuser,
    SET_session_authorization, SET_default_transaction_read_only, SET_in_hot_standby, SET_scram_iterations,
};

void tcop_report_settings(struct tcop *t)
{
    if (!t->s.settings_changed)
        return;
    t->s.settings_changed = false;
    for (size_t i = 0; i < sizeof reported / sizeof *reported; i++) {
        char buf[64];
        enum setting_id id = reported[i];
        const char *now = session_setting_text(&t->s, id, buf);
        if (t->reported[id] != NULL && strcmp(t->reported[id], now) == 0)
            continue;
        if (reply_parameter(&t->c, setting_def(id)->name, now) != REEVE_OK)
            t->ended = true;
        free(t->reported[id]);
        t->reported[id] = strdup(now);
    }
}

/* ---- start-up ---- */

static bool known_pair(struct slice name)
{
    return slice_is(name, "user") || slice_is(name, "database") || slice_is(name, "options") ||
           slice_is(name, "replication") || (name.len >= 5 && memcmp(name.p, "_pq_.", 5) == 0);
}

static enum reeve_err apply_options(struct tcop *t, const struct pq_startup *su, struct report *rep)
{
    struct slice rest = su->options, name, value;
    bool more;
    for (;;) {
        enum reeve_err err = pq_option_next(&t->session_arena, &rest, &name, &value, &more);
        if (err == REEVE_E_MALFORMED)
            return report_set(rep, REEVE_E_SYNTAX, "invalid command-line argument for server process");
        if (err != REEVE_OK || !more)
            return err;
        err = session_set_startup(&t->s, name, value, rep);
        if (err != REEVE_OK)
            return err;
    }
}

static enum reeve_err apply_pairs(struct tcop *t, const struct pq_startup *su, struct report *rep)
{
    struct slice name, value;
    size_t at = 0;
    while (pq_startup_param(su, &at, &name, &value)) {
        if (known_pair(name))
            continue;
        enum reeve_err err = session_set_startup(&t->s, name, value, rep);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

static enum reeve_err check_database(const struct pq_startup *su, struct report *rep)
{
    if (slice_is(su->database, DATABASE))
        return REEVE_OK;
    report_set(rep, REEVE_E_NO_DATABASE, "database \"%.*s\" does not exist",
               (int) (su->database.len < 255 ? su->database.len : 255), (const char *) su->database.p);
    report_hint(rep, "The one database is called \"" DATABASE "\".");
    return REEVE_E_NO_DATABASE;
}

static enum reeve_err check_reserved(struct tcop *t, struct report *rep)
{
    if (!t->start->only_superusers || session_is_superuser(&t->s))
        return REEVE_OK;
    return report_set(rep, REEVE_E_TOO_MANY, "remaining connection slots are reserved for superusers");
}

/*
 * CONNECTION LIMIT of the role. The session is entered into the table before
 * the table is counted: of two that come at the same time both may be refused,
 * but there is never one too many. Superusers are never shut out, as in
 * PostgreSQL.
 */
static enum reeve_err check_role_limit(struct tcop *t, const struct role_row *row, struct report *rep)
{
    if (row->connection_limit < 0 || session_is_superuser(&t->s) || t->start->hooks->sessions == NULL)
        return REEVE_OK;
    tcop_activity(t, SERVE_STARTING, slice_of(NULL, 0));
    if (t->start->hooks->sessions(t->start->arg, &t->s) <= (uint32_t) row->connection_limit)
        return REEVE_OK;
    return report_set(rep, REEVE_E_TOO_MANY, "too many connections for role \"%s\"", t->s.login_role.s);
}

static enum reeve_err set_facts(struct tcop *t)
{
    enum reeve_err err = session_set_internal(&t->s, SET_is_superuser, session_is_superuser(&t->s) ? "on" : "off");
    return err == REEVE_OK ? session_set_internal(&t->s, SET_session_authorization, t->s.login_role.s) : err;
}

static enum reeve_err let_in(struct tcop *t, const struct pq_startup *su, const struct role_row *row, struct report *rep)
{
    enum reeve_err err;
    TRY(check_database(su, rep));
    TRY(check_reserved(t, rep));
    TRY(check_role_limit(t, row, rep));
    TRY(apply_options(t, su, rep));
    TRY(apply_pairs(t, su, rep));
    TRY(set_facts(t));
    t->s.settings_changed = true;
    tcop_report_settings(t);
    TRY(reply_key_data(&t->c, (uint32_t) t->start->pid, t->start->cancel_key));
out:
    return err;
}

/* Guessing passwords costs time; another connection is not held up by it. */
static void slow_down(const struct tcop *t, enum reeve_err err)
{
    if (err == REEVE_E_PASSWORD && t->start->catch_signals)
        poll(NULL, 0, 200);
}

static enum reeve_err start_up(struct tcop *t, struct pq_startup *su, struct report *rep)
{
    struct role_row row;
    struct mono_ms deadline = { session_mono_now().ms + session_int(&t->s, SET_authentication_timeout) * 1000 };
    enum reeve_err err;
    TRY(auth_startup(&t->c, t->start, deadline, &t->session_arena, su, rep));
    t->s.tls = t->c.tls != NULL;
    TRY(t->start->hooks->open(t->start->arg, &t->s, rep));
    TRY(auth_check(&t->c, t->start, deadline, su, &t->s, &row, rep));
    TRY(let_in(t, su, &row, rep));
out:
    return err;
}

static void refuse(struct tcop *t, enum reeve_err err, struct report *rep)
{
    t->exit_code = 1;
    if (err == REEVE_E_CLOSED || t->c.dead) {
        if (t->c.why[0] != '\0')
            tcop_log(t, SERVE_LOG_WARNING, "08P01", "connection closed: %s", t->c.why);
        else
            t->exit_code = 0;
        return;
    }
    if (err == REEVE_E_AGAIN) {
        tcop_log(t, SERVE_LOG_WARNING, "08006", "client did not authenticate in time");
        return;
    }
    if ((err == REEVE_E_MALFORMED || err == REEVE_E_TOO_BIG) && rep->message[0] == '\0')
        report_set(rep, REEVE_E_PROTOCOL, "invalid message from the client: %s", t->c.why);
    fill_report(rep, err);
    slow_down(t, err);
    tcop_fatal(t, rep);
}

/* ---- life ---- */

static void tune_socket(const struct tcop *t)
{
    int on = 1, idle = (int) session_int(&t->s, SET_tcp_keepalives_idle);
    if (t->start->peer.ss_family == AF_UNIX)
        return;
    (void) !setsockopt(t->c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void) !setsockopt(t->c.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (idle > 0)
        (void) !setsockopt(t->c.fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
}

static enum reeve_err set_up(struct tcop *t, const struct serve_start *start)
{
    enum reeve_err err;
    t->start = start;
    t->ops = start->ops;
    arena_init(&t->session_arena, NAMED_ARENA_MAX);
    arena_init(&t->query_arena, NAMED_ARENA_MAX);
    arena_init(&t->stmt_arena, STMT_ARENA_MAX);
    TRY(pq_init(&t->c, start->fd, start->spool_dir));
    TRY(session_init(&t->s, &t->session_arena, &t->stmt_arena, start->settings));
    t->s.client = (struct session_client){ .arg = t, .notice = client_notice, .gone = client_gone, .waiting = client_waiting,
                                              .fd = start->fd };
    t->s.pid = start->pid;
    auth_peer_text(&start->peer, t->s.client_addr, &t->s.client_port);
    if (start->catch_signals)
        t->signals = signals_catch();
    t->s.signals = t->signals;
    t->c.signals = t->signals;
    tune_socket(t);
out:
    return err;
}

static void tear_down(struct tcop *t)
{
    portals_drop(t, true);
    prepared_drop_all(t);
    session_free(&t->s);
    if (t->s.env != NULL)
        t->start->hooks->close(t->start->arg, &t->s);
    pq_free(&t->c);
    for (int i = 0; i < SET__COUNT; i++)
        free(t->reported[i]);
    arena_free(&t->stmt_arena);
    arena_free(&t->query_arena);
    arena_free(&t->session_arena);
}

static void serve(struct tcop *t)
{
    struct pq_startup su;
    struct report rep = { 0 };
    enum reeve_err err = start_up(t, &su, &rep);
    if (err != REEVE_OK) {
        refuse(t, err, &rep);
        return;
    }
    if (session_bool(&t->s, SET_log_connections))
        tcop_log(t, SERVE_LOG_INFO, "00000", "connection authorized: user=%s method=%s tls=%s application_name=%s",
                 t->s.role.s, t->s.auth_method, t->s.tls ? tls_version(t->c.tls) : "no",
                 session_text(&t->s, SET_application_name));
    tcop_loop(t);
}

int serve_client(const struct serve_start *start)
{
    struct tcop *t = calloc(1, sizeof *t);
    if (t == NULL)
        return 1;
    if (set_up(t, start) == REEVE_OK)
        serve(t);
    else
        t->exit_code = 1;
    tear_down(t);
    int code = t->exit_code;
    free(t);
    return code;
}
