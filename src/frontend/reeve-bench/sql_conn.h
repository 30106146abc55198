/*
 * sql_conn.h - one client of the SQL port among many in one thread
 *
 * A connection that waits for nothing: it connects, sends one statement at a
 * time, and tells what became of it. Lost connections are made anew, at the
 * next server of the list, until told to stop.
 *
 * Invariants
 *  S1 done runs exactly once for each statement sent.
 *  S2 SQL_REFUSED and SQL_CONFLICT only where the server said so with a state that means "nothing was done"; whatever
 *     else happens after a statement left (another state, no answer in time, a lost connection) is SQL_UNKNOWN.
 */
#ifndef REEVE_BENCH_SQL_CONN_H
#define REEVE_BENCH_SQL_CONN_H

#include <libpq-fe.h>

#include "common/types.h"

#define SQL_TARGETS_MAX 16
#define SQL_TEXT_MAX    4096

enum sql_outcome { SQL_DONE = 1, SQL_REFUSED, SQL_CONFLICT, SQL_UNKNOWN };

struct sql_conn;
struct sql_pool {
    const char *target[SQL_TARGETS_MAX];        /* libpq connection strings */
    unsigned n_targets;
    int epoll_fd;
    int64_t timeout_ns;                         /* of a statement, and of a connection being made */
    void *arg;
    /* It can take a statement now. */
    void (*idle)(void *arg, struct sql_conn *c, int64_t now_ns);
    /* res: NULL unless the server answered; state: SQLSTATE, or "" */
    void (*done)(void *arg, struct sql_conn *c, enum sql_outcome o, const PGresult *res, const char *state, int64_t now_ns);
    uint64_t connects, losses, timeouts;
    char last_error[256];
    bool stopping;
};

enum sql_phase { SQL_DOWN, SQL_CONNECTING, SQL_PREPARING, SQL_IDLE, SQL_BUSY };
struct sql_conn {
    struct sql_pool *pool;
    PGconn *pg;
    enum sql_phase phase;
    unsigned target, home, tries;
    int fd;
    uint32_t events;
    int64_t since_ns;                           /* of this phase */
    void *user;
};

int64_t sql_now_ns(void);
/* The first line of libpq's text is what is shown at the end. */
void sql_note_error(struct sql_pool *p, const char *text);
void sql_conn_init(struct sql_conn *c, struct sql_pool *pool, unsigned home);
/* Only in idle, or later while it is idle. */
void sql_conn_send(struct sql_conn *c, const char *text, int64_t now_ns);
/* Something happened on its descriptor. */
void sql_conn_event(struct sql_conn *c, int64_t now_ns);
/* Every few milliseconds: time limits, connections to be made. */
void sql_conn_tick(struct sql_conn *c, int64_t now_ns);
void sql_conn_close(struct sql_conn *c);

#endif
