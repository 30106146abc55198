/* ring_load.c - SET CONFIG and reads of sys.config by many clients, closed or open loop */
#include "ring_int.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TICK_NS 5000000ll

struct load_client { struct sql_conn c; int64_t due_ns; bool reads; };

struct load {
    const struct ring_options *o;
    struct ring_totals *t;
    struct sql_pool *pool;
    struct load_client *client;
    struct load_client **idle;          /* of an open loop: who waits for the next arrival */
    unsigned n_idle;
    uint64_t random, arrived;           /* arrived: operations that have begun, of an open loop */
    int64_t start_ns;
    uint64_t value;
    char padding[SQL_TEXT_MAX / 2];
};

uint64_t ring_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

void ring_note_write(struct ring_totals *t, int64_t since_ns, int64_t now_ns)
{
    if (t->last_ack_ns > 0 && now_ns - t->last_ack_ns >= RING_GAP_MIN_NS && t->n_gaps < RING_GAPS_MAX)
        t->gap[t->n_gaps++] = (struct ring_gap){ t->last_ack_ns, now_ns };
    t->last_ack_ns = now_ns;
    if (now_ns >= t->begin_ns)
        hist_add(&t->write, now_ns - since_ns);
}

static void begin_one(struct load *l, struct load_client *lc, int64_t due_ns, int64_t now_ns)
{
    char text[SQL_TEXT_MAX];
    uint64_t key = ring_random(&l->random) % l->o->keys;
    lc->due_ns = due_ns;
    lc->reads = ring_random(&l->random) % 100 < l->o->reads_percent;
    if (lc->reads)
        snprintf(text, sizeof text, "SELECT value FROM sys.config WHERE key = 'bench/%llu'", (unsigned long long) key);
    else
        snprintf(text, sizeof text, "SET CONFIG 'bench/%llu' = '%llu%s'", (unsigned long long) key,
                 (unsigned long long) ++l->value, l->padding);
    sql_conn_send(&lc->c, text, now_ns);
}

static int64_t due_at(const struct load *l, uint64_t nth)
{
    return l->start_ns + (int64_t) ((double) nth / l->o->rate * 1e9);
}

static void on_idle(void *arg, struct sql_conn *c, int64_t now_ns)
{
    struct load *l = arg;
    struct load_client *lc = c->user;
    if (l->o->rate <= 0)
        begin_one(l, lc, now_ns, now_ns);
    else
        l->idle[l->n_idle++] = lc;
}

/* Whoever idles takes what is due; what finds nobody waits, and its time counts. */
static void arrivals(struct load *l, int64_t now_ns)
{
    while (l->o->rate > 0 && l->n_idle > 0 && due_at(l, l->arrived) <= now_ns) {
        struct load_client *lc = l->idle[--l->n_idle];
        if (lc->c.phase == SQL_IDLE)
            begin_one(l, lc, due_at(l, l->arrived++), now_ns);
    }
}

static void on_done(void *arg, struct sql_conn *c, enum sql_outcome outcome, const PGresult *res, const char *state,
                    int64_t now_ns)
{
    struct load *l = arg;
    struct load_client *lc = c->user;
    (void) res;
    (void) state;
    if (outcome != SQL_DONE) {
        l->t->unknown += outcome == SQL_UNKNOWN;
        l->t->refused += outcome == SQL_REFUSED;
        l->t->conflicts += outcome == SQL_CONFLICT;
    } else if (!lc->reads) {
        ring_note_write(l->t, lc->due_ns, now_ns);
    } else if (now_ns >= l->t->begin_ns) {
        hist_add(&l->t->read, now_ns - lc->due_ns);
    }
}

/* Until the time is over. A refused client of a closed loop begins its next at once: the server's answer is its brake. */
static void drive(struct load *l, int64_t end_ns)
{
    struct epoll_event ev[512];
    int64_t next_tick = 0;
    for (;;) {
        int64_t now = sql_now_ns();
        if (*l->o->stop || now >= end_ns)
            return;
        if (now >= next_tick) {
            for (unsigned i = 0; i < l->o->clients; i++)
                sql_conn_tick(&l->client[i].c, now);
            next_tick = now + TICK_NS;
        }
        arrivals(l, now);
        int n = epoll_wait(l->pool->epoll_fd, ev, 512, 1);
        now = sql_now_ns();
        for (int i = 0; i < n; i++)
            sql_conn_event(ev[i].data.ptr, now);
    }
}

static bool all_there(const struct load *l)
{
    for (unsigned i = 0; i < l->o->clients; i++)
        if (l->client[i].c.phase < SQL_IDLE)
            return false;
    return true;
}

static void no_idle(void *arg, struct sql_conn *c, int64_t now_ns) { (void) arg; (void) c; (void) now_ns; }

/* Connections are made before anything is measured: thousands of logins are not what is asked about. */
static bool connect_all(struct load *l)
{
    int64_t give_up = sql_now_ns() + 120000000000ll;
    l->pool->idle = no_idle;
    while (!all_there(l)) {
        int64_t now = sql_now_ns();
        if (*l->o->stop || now > give_up)
            return false;
        drive(l, now + 20000000);
    }
    l->pool->idle = on_idle;
    return true;
}

int ring_load(const struct ring_options *o, struct ring_totals *t, struct sql_pool *pool)
{
    struct load l = { .o = o, .t = t, .pool = pool, .random = o->seed | 1 };
    l.client = calloc(o->clients, sizeof *l.client);
    l.idle = calloc(o->clients, sizeof *l.idle);
    if (l.client == NULL || l.idle == NULL) {
        fprintf(stderr, "reeve-bench: out of memory\n");
        return 2;
    }
    memset(l.padding, 'x', o->value_bytes);
    pool->arg = &l;
    pool->done = on_done;
    for (unsigned i = 0; i < o->clients; i++) {
        sql_conn_init(&l.client[i].c, pool, i % pool->n_targets);
        l.client[i].c.user = &l.client[i];
    }
    t->begin_ns = INT64_MAX;
    bool there = connect_all(&l);
    if (there) {
        l.start_ns = sql_now_ns();
        t->begin_cpu_ns = bench_cpu_ns();
        t->begin_ns = l.start_ns + (int64_t) (o->warmup_s * 1e9);
        for (unsigned i = 0; i < o->clients; i++)
            if (l.client[i].c.phase == SQL_IDLE)
                on_idle(&l, &l.client[i].c, l.start_ns);
        drive(&l, t->begin_ns + (int64_t) (o->duration_s * 1e9));
        t->end_ns = sql_now_ns();
        t->end_cpu_ns = bench_cpu_ns();
    } else {
        fprintf(stderr, "reeve-bench: not all clients could connect: %s\n", pool->last_error);
    }
    for (unsigned i = 0; i < o->clients; i++)
        sql_conn_close(&l.client[i].c);
    free(l.client);
    free(l.idle);
    return there ? 0 : 2;
}
