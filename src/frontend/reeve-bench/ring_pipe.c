/*
 * ring_pipe.c - changes of configuration and linearizable reads by many clients that share connections
 *
 * Each client has one operation under way, as in ring_load.c; those of a
 * connection travel in one pipeline, each with its own outcome. Reads that fall
 * due in the same turn of the loop end in one Sync, so that neither side pays a
 * system call for each; a change is followed by a Sync, which is its COMMIT.
 */
#include "ring_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define READ     "read"
#define WRITE    "write"
#define FLUSH_NS 5000000ll

struct operation { int64_t due_ns; bool reads; };

struct pipe {
    PGconn *pg;
    unsigned n_clients;
    struct operation *op;               /* under way, a ring buffer: answers come in order */
    unsigned head, n;
    unsigned idle;                      /* clients without one */
    bool lost;
};

struct pipes {
    const struct ring_options *o;
    struct ring_totals *t;
    struct sql_pool *pool;
    struct pipe *p;
    uint64_t random, value;
    uint64_t arrived;                   /* of an open loop: operations that have begun */
    unsigned turn;                      /* and who takes the next */
    int64_t start_ns;
    char padding[SQL_TEXT_MAX / 2];
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

static bool prepare(PGconn *pg, const char *name, const char *text, int n)
{
    PGresult *r = PQprepare(pg, name, text, n, NULL);
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;
    PQclear(r);
    return ok;
}

static bool connect_one(struct pipes *all, struct pipe *p, const char *target)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = p };
    p->op = calloc(p->n_clients, sizeof *p->op);
    p->idle = p->n_clients;
    p->pg = PQconnectdb(target);
    if (p->op == NULL || PQstatus(p->pg) != CONNECTION_OK) {
        sql_note_error(all->pool, PQerrorMessage(p->pg));
        return false;
    }
    all->pool->connects++;
    bool ok = prepare(p->pg, READ, "SELECT value FROM sys.config WHERE key = $1", 1) && prepare(p->pg, WRITE, "SET CONFIG $1 = $2", 2);
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

/* ---- operations ---- */

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

static int64_t due_at(const struct pipes *all, uint64_t nth)
{
    return all->start_ns + (int64_t) ((double) nth / all->o->rate * 1e9);
}

/* False: the connection took no more. A change is not left to a later Sync, which would make one transaction of several. */
static bool begin_one(struct pipes *all, struct pipe *p, int64_t due_ns)
{
    char key[32], value[SQL_TEXT_MAX];
    const char *const values[] = { key, value };
    bool reads = ring_random(&all->random) % 100 < all->o->reads_percent;
    snprintf(key, sizeof key, "bench/%llu", (unsigned long long) (ring_random(&all->random) % all->o->keys));
    if (!reads)
        snprintf(value, sizeof value, "%llu%s", (unsigned long long) ++all->value, all->padding);
    bool ok = PQsendQueryPrepared(p->pg, reads ? READ : WRITE, reads ? 1 : 2, values, NULL, NULL, 0) == 1;
    p->op[(p->head + p->n++) % p->n_clients] = (struct operation){ due_ns, reads };
    p->idle--;
    return ok && (reads || PQpipelineSync(p->pg) == 1);
}

/* What is begun leaves. synced: nothing after the last Sync. */
static void send_begun(struct pipes *all, struct pipe *p, bool ok, bool synced)
{
    if (!ok || (!synced && PQpipelineSync(p->pg) != 1) || PQflush(p->pg) < 0)
        lose(all, p);
}

/* A closed loop: everybody who idles. */
static void begin_all(struct pipes *all, struct pipe *p, int64_t now_ns)
{
    bool ok = true, some = p->idle > 0;
    while (ok && p->idle > 0)
        ok = begin_one(all, p, now_ns);
    send_begun(all, p, ok, !some);
}

/* An open loop: whoever idles takes what is due; what finds nobody waits, and its time counts. */
static void arrivals(struct pipes *all, int64_t now_ns)
{
    unsigned full = 0;
    while (full < all->o->connections && due_at(all, all->arrived) <= now_ns) {
        struct pipe *p = &all->p[all->turn++ % all->o->connections];
        if (p->lost || p->idle == 0) {
            full++;
            continue;
        }
        full = 0;
        send_begun(all, p, begin_one(all, p, due_at(all, all->arrived++)), false);
    }
}

static void answered(struct pipes *all, struct pipe *p, const PGresult *r, int64_t now_ns)
{
    struct operation op = p->op[p->head];
    ExecStatusType status = PQresultStatus(r);
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    p->head = (p->head + 1) % p->n_clients;
    p->n--;
    p->idle++;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        all->t->unknown += state == NULL || strncmp(state, "08", 2) == 0;
        all->t->refused += state != NULL && strncmp(state, "08", 2) != 0;
    } else if (!op.reads) {
        ring_note_write(all->t, op.due_ns, now_ns);
    } else if (now_ns >= all->t->begin_ns) {
        hist_add(&all->t->read, now_ns - op.due_ns);
    }
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
    if (all->o->rate <= 0)
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
        if (all->o->rate > 0)
            arrivals(all, now);
        int n = epoll_wait(all->pool->epoll_fd, ev, 256, all->o->rate > 0 ? 1 : 5);
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
    memset(all.padding, 'x', o->value_bytes);
    bool there = all.p != NULL && connect_all(&all);
    if (there) {
        t->begin_cpu_ns = bench_cpu_ns();
        all.start_ns = sql_now_ns();
        t->begin_ns = all.start_ns + (int64_t) (o->warmup_s * 1e9);
        for (unsigned i = 0; i < o->connections && o->rate <= 0; i++)
            begin_all(&all, &all.p[i], all.start_ns);
        drive(&all, t->begin_ns + (int64_t) (o->duration_s * 1e9));
        t->end_ns = sql_now_ns();
        t->end_cpu_ns = bench_cpu_ns();
    } else {
        fprintf(stderr, "reeve-bench: not all connections could be made: %s\n", pool->last_error);
    }
    for (unsigned i = 0; all.p && i < o->connections; i++) {
        PQfinish(all.p[i].pg);
        free(all.p[i].op);
    }
    free(all.p);
    return there ? 0 : 2;
}
