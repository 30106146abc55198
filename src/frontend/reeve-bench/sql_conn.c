/* sql_conn.c - see the header */
#include "sql_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define RETRY_NS 50000000ll     /* between two tries to connect */

/* The rows and notices of a change are nobody's here; read_consistency stays what the server has: linearizable. */
static const char setup[] = "SET client_min_messages = error; SET rollout_returning = off";

int64_t sql_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

/*
 * States that promise that nothing was done. An unknown one is no promise: 08007 says so itself, 57014 may come
 * after the request left, 57P01 and 57P02 end a session in the middle of anything.
 */
static bool says_not_done(const char *state)
{
    static const char *const sure[] = { "53400", "53100", "53200", "53300", "57P03", "RL008", "40001", "25P02", "42" };
    for (size_t i = 0; i < sizeof sure / sizeof sure[0]; i++)
        if (strncmp(state, sure[i], strlen(sure[i])) == 0)
            return true;
    return false;
}

/* ---- the descriptor ---- */

static void watch(struct sql_conn *c, uint32_t events)
{
    int fd = c->pg ? PQsocket(c->pg) : -1;
    struct epoll_event ev = { .events = events, .data.ptr = c };
    if (fd < 0 || (fd == c->fd && events == c->events))
        return;
    if (fd != c->fd || epoll_ctl(c->pool->epoll_fd, EPOLL_CTL_MOD, fd, &ev) != 0) {
        if (epoll_ctl(c->pool->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0 && errno == EEXIST)
            epoll_ctl(c->pool->epoll_fd, EPOLL_CTL_MOD, fd, &ev);
    }
    c->fd = fd;
    c->events = events;
}

static void phase(struct sql_conn *c, enum sql_phase p, int64_t now_ns)
{
    c->phase = p;
    c->since_ns = now_ns;
}

void sql_note_error(struct sql_pool *p, const char *text)
{
    snprintf(p->last_error, sizeof p->last_error, "%.*s", (int) strcspn(text, "\n"), text);
}

/* ---- losing and making ---- */

static void lose(struct sql_conn *c, int64_t now_ns)
{
    bool busy = c->phase == SQL_BUSY;
    if (c->pg != NULL && PQerrorMessage(c->pg)[0])
        sql_note_error(c->pool, PQerrorMessage(c->pg));
    if (c->phase >= SQL_IDLE) {
        c->pool->losses++;
        c->target = c->home;            /* first where it belongs: a backend's death is not a server's */
        c->tries = 0;
    } else {
        c->target = (c->target + 1) % c->pool->n_targets;
        c->tries++;
    }
    PQfinish(c->pg);
    c->pg = NULL;
    c->fd = -1;
    phase(c, SQL_DOWN, now_ns);
    if (busy)
        c->pool->done(c->pool->arg, c, SQL_UNKNOWN, NULL, "", now_ns);
}

static void begin(struct sql_conn *c, int64_t now_ns)
{
    phase(c, SQL_CONNECTING, now_ns);
    c->pg = PQconnectStart(c->pool->target[c->target]);
    if (c->pg == NULL || PQstatus(c->pg) == CONNECTION_BAD || PQsetnonblocking(c->pg, 0) != 0) {
        lose(c, now_ns);
        return;
    }
    watch(c, EPOLLOUT);
}

static void idle(struct sql_conn *c, int64_t now_ns)
{
    phase(c, SQL_IDLE, now_ns);
    watch(c, EPOLLIN);
    if (!c->pool->stopping)
        c->pool->idle(c->pool->arg, c, now_ns);
}

static void connecting(struct sql_conn *c, int64_t now_ns)
{
    c->fd = -1;                         /* libpq may use another one for each address */
    switch (PQconnectPoll(c->pg)) {
    case PGRES_POLLING_READING: watch(c, EPOLLIN); break;
    case PGRES_POLLING_WRITING: watch(c, EPOLLOUT); break;
    case PGRES_POLLING_OK:
        PQsetnonblocking(c->pg, 1);
        c->pool->connects++;
        phase(c, SQL_PREPARING, now_ns);
        watch(c, EPOLLIN);
        if (!PQsendQuery(c->pg, setup))
            lose(c, now_ns);
        break;
    default: lose(c, now_ns); break;
    }
}

/* ---- statements ---- */

void sql_conn_send(struct sql_conn *c, const char *text, int64_t now_ns)
{
    phase(c, SQL_BUSY, now_ns);
    if (!PQsendQuery(c->pg, text)) {
        lose(c, now_ns);
        return;
    }
    watch(c, PQflush(c->pg) == 1 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static enum sql_outcome outcome_of(const PGresult *r, const char **state)
{
    ExecStatusType st = PQresultStatus(r);
    const char *s = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    *state = s ? s : "";
    if (st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK)
        return SQL_DONE;
    if (strcmp(*state, "40001") == 0)
        return SQL_CONFLICT;
    return says_not_done(*state) ? SQL_REFUSED : SQL_UNKNOWN;
}

/* The first error of an answer, or else its last result. */
static PGresult *answer(PGconn *pg)
{
    PGresult *keep = NULL, *r;
    while ((r = PQgetResult(pg)) != NULL) {
        const char *ignored;
        if (keep == NULL || outcome_of(keep, &ignored) == SQL_DONE) {
            PQclear(keep);
            keep = r;
        } else {
            PQclear(r);
        }
    }
    return keep;
}

/* All of an answer is there. */
static void answered(struct sql_conn *c, int64_t now_ns)
{
    PGresult *r = answer(c->pg);
    const char *state = "";
    bool dead = PQstatus(c->pg) == CONNECTION_BAD || r == NULL;
    enum sql_outcome o = r != NULL ? outcome_of(r, &state) : SQL_UNKNOWN;
    if (o != SQL_DONE && r != NULL)
        sql_note_error(c->pool, PQresultErrorMessage(r));
    if (c->phase == SQL_PREPARING || (dead && state[0] == '\0')) {
        PQclear(r);
        if (dead || o != SQL_DONE)
            lose(c, now_ns);
        else
            idle(c, now_ns);
        return;
    }
    phase(c, SQL_IDLE, now_ns);
    c->pool->done(c->pool->arg, c, o, r, state, now_ns);
    PQclear(r);
    if (dead)
        lose(c, now_ns);
    else
        idle(c, now_ns);
}

void sql_conn_event(struct sql_conn *c, int64_t now_ns)
{
    if (c->pg == NULL)
        return;
    if (c->phase == SQL_CONNECTING) {
        connecting(c, now_ns);
        return;
    }
    if ((c->events & EPOLLOUT) && PQflush(c->pg) == 0)
        watch(c, EPOLLIN);
    if (!PQconsumeInput(c->pg) || (c->phase == SQL_IDLE && PQstatus(c->pg) == CONNECTION_BAD))
        lose(c, now_ns);
    else if (c->phase != SQL_IDLE && !PQisBusy(c->pg))
        answered(c, now_ns);
}

void sql_conn_tick(struct sql_conn *c, int64_t now_ns)
{
    if (c->phase == SQL_DOWN) {
        if (!c->pool->stopping && (c->tries == 0 || now_ns - c->since_ns >= RETRY_NS))
            begin(c, now_ns);
    } else if (c->phase != SQL_IDLE && now_ns - c->since_ns > c->pool->timeout_ns) {
        c->pool->timeouts++;
        lose(c, now_ns);
    }
}

void sql_conn_init(struct sql_conn *c, struct sql_pool *pool, unsigned home)
{
    *c = (struct sql_conn){ .pool = pool, .home = home, .target = home, .fd = -1, .phase = SQL_DOWN };
}

void sql_conn_close(struct sql_conn *c)
{
    PQfinish(c->pg);
    c->pg = NULL;
    c->fd = -1;
    c->phase = SQL_DOWN;
}
