/*
 * ring_pipe.c - linearizable reads by many clients that share connections
 *
 * Each client has one read under way, as in ring_load.c; those of a connection
 * travel in one pipeline. All reads that fall due in the same turn of the loop
 * end in one Sync, so that neither side pays a system call for each.
 */
#include "ring_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define STATEMENT "read"
#define FLUSH_NS  5000000ll

struct pipe {
    PGconn *pg;
    unsigned n_clients;
    int64_t *due_ns;                    /* when each read under way began, a ring buffer: answers come in order */
    unsigned head, n;
    unsigned idle;                      /* clients without a read */
    bool lost;
};

struct pipes {
    const struct ring_options *o;
    struct ring_totals *t;
    struct sql_pool *pool;
    struct pipe *p;
    uint64_t random;
};

/* ---- before anything is measured ---- */

static bool command(struct pipes *all, PGconn *pg, const char *text)
{
    PGresult *r = PQexec(pg, text);
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;
    if (!ok)
        sql_note_error(all->pool, PQerrorMessage(pg));
    PQclear(r);
    return ok;
}

/* So that each read finds something. */
static bool fill(struct pipes *all, PGconn *pg)
{
    char text[SQL_TEXT_MAX];
    int padding = (int) all->o->value_bytes;
    for (unsigned key = 0; key < all->o->keys && !*all->o->stop; key++) {
        snprintf(text, sizeof text, "SET CONFIG 'bench/%u' = '%u%0*d'", key, key, padding, 0);
        if (!command(all, pg, text))
            return false;
    }
    return true;
}

static bool connect_one(struct pipes *all, struct pipe *p, const char *target)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = p };
    p->due_ns = calloc(p->n_clients, sizeof *p->due_ns);
    p->idle = p->n_clients;
    p->pg = PQconnectdb(target);
    if (p->due_ns == NULL || PQstatus(p->pg) != CONNECTION_OK) {
        sql_note_error(all->pool, PQerrorMessage(p->pg));
        return false;
    }
    all->pool->connects++;
    PGresult *r = PQprepare(p->pg, STATEMENT, "SELECT value FROM sys.config WHERE key = $1", 1, NULL);
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;
    PQclear(r);
    return ok && (p != all->p || fill(all, p->pg)) && PQsetnonblocking(p->pg, 1) == 0 && PQenterPipelineMode(p->pg) == 1 &&
           epoll_ctl(all->pool->epoll_fd, EPOLL_CTL_ADD, PQsocket(p->pg), &ev) == 0;
}

static bool connect_all(struct pipes *all)
{
    unsigned n = all->o->connections;
    for (unsigned i = 0; i < n; i++) {
        struct pipe *p = &all->p[i];
        p->n_clients = all->o->clients / n + (i < all->o->clients % n);
        if (!connect_one(all, p, all->o->target[i % all->o->n_targets]))
            return false;
    }
    return true;
}

/* ---- reads ---- */

static void lose(struct pipes *all, struct pipe *p)
{
    if (p->lost)
        return;
    sql_note_error(all->pool, PQerrorMessage(p->pg));
    (void) epoll_ctl(all->pool->epoll_fd, EPOLL_CTL_DEL, PQsocket(p->pg), NULL);
    p->lost = true;
    all->pool->losses++;
    all->t->unknown += p->n;
}

static void begin_all(struct pipes *all, struct pipe *p, int64_t now_ns)
{
    char key[32];
    const char *const values[] = { key };
    bool ok = true, some = p->idle > 0;
    for (; ok && p->idle > 0; p->idle--) {
        snprintf(key, sizeof key, "bench/%llu", (unsigned long long) (ring_random(&all->random) % all->o->keys));
        ok = PQsendQueryPrepared(p->pg, STATEMENT, 1, values, NULL, NULL, 0) == 1;
        p->due_ns[(p->head + p->n++) % p->n_clients] = now_ns;
    }
    if (!ok || (some && PQpipelineSync(p->pg) != 1) || PQflush(p->pg) < 0)
        lose(all, p);
}

static void answered(struct pipes *all, struct pipe *p, const PGresult *r, int64_t now_ns)
{
    int64_t due_ns = p->due_ns[p->head];
    p->head = (p->head + 1) % p->n_clients;
    p->n--;
    p->idle++;
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        all->t->refused++;
    else if (now_ns >= all->t->begin_ns)
        hist_add(&all->t->read, now_ns - due_ns);
}

static void on_readable(struct pipes *all, struct pipe *p, int64_t now_ns)
{
    bool between = false;               /* a NULL ends each statement's results; two in a row: nothing more is here */
    if (PQconsumeInput(p->pg) != 1) {
        lose(all, p);
        return;
    }
    while (!PQisBusy(p->pg)) {
        PGresult *r = PQgetResult(p->pg);
        if (r == NULL && between)
            break;
        between = r == NULL;
        if (r != NULL && PQresultStatus(r) != PGRES_PIPELINE_SYNC && p->n > 0)
            answered(all, p, r, now_ns);
        PQclear(r);
    }
    begin_all(all, p, now_ns);
}

/* PQflush() that could not send all is repeated here; loopback sockets take these few kilobytes at once nearly always. */
static void flush_all(struct pipes *all)
{
    for (unsigned i = 0; i < all->o->connections; i++)
        if (!all->p[i].lost && PQflush(all->p[i].pg) < 0)
            lose(all, &all->p[i]);
}

static void drive(struct pipes *all, int64_t end_ns)
{
    struct epoll_event ev[256];
    int64_t flush_ns = 0;
    for (int64_t now = sql_now_ns(); !*all->o->stop && now < end_ns; now = sql_now_ns()) {
        int n = epoll_wait(all->pool->epoll_fd, ev, 256, 5);
        if (n < 0 && errno != EINTR)
            return;
        now = sql_now_ns();
        for (int i = 0; i < n; i++)
            on_readable(all, ev[i].data.ptr, now);
        if (now < flush_ns)
            continue;
        flush_all(all);
        flush_ns = now + FLUSH_NS;
    }
}

int ring_pipe(const struct ring_options *o, struct ring_totals *t, struct sql_pool *pool)
{
    struct pipes all = { .o = o, .t = t, .pool = pool, .random = o->seed | 1, .p = calloc(o->connections, sizeof *all.p) };
    bool there = all.p != NULL && connect_all(&all);
    if (there) {
        t->begin_cpu_ns = bench_cpu_ns();
        t->begin_ns = sql_now_ns() + (int64_t) (o->warmup_s * 1e9);
        for (unsigned i = 0; i < o->connections; i++)
            begin_all(&all, &all.p[i], sql_now_ns());
        drive(&all, t->begin_ns + (int64_t) (o->duration_s * 1e9));
        t->end_ns = sql_now_ns();
        t->end_cpu_ns = bench_cpu_ns();
    } else {
        fprintf(stderr, "reeve-bench: not all connections could be made: %s\n", pool->last_error);
    }
    for (unsigned i = 0; all.p && i < o->connections; i++) {
        PQfinish(all.p[i].pg);
        free(all.p[i].due_ns);
    }
    free(all.p);
    return there ? 0 : 2;
}
