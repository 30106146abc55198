/*
 * ring_agents.c - registrations as hosts make them: each agent has its own TLS connection, and a batch under way
 *
 * A batch names workloads that nobody registered before: ids are drawn like a
 * container's. --rows makes an agent come back to its earlier ids once it has
 * so many, which are then changed and no longer new. A batch counts when its
 * acknowledgement is here, which the gateway sends after the ring's.
 *
 * With --connections clients share agents, as containers share a host: each
 * client has one workload under way and registers the next when that one is
 * acknowledged; what the clients of an agent say at the same time its library
 * sends together.
 *
 * Open loop: batches, or single workloads where agents are shared, fall due by
 * the clock at one agent after the other, whatever became of those before.
 */
#include "ring_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "fleet_int.h"
#include "row_id.h"

struct registrant {
    uint64_t next, acked, done;         /* workloads: put; acknowledged; acknowledged or refused */
    uint64_t begun;                     /* operations: batches, or single workloads */
    int64_t since_ns;                   /* of the batch under way; 0: none */
    unsigned clients;                   /* shared: that many, and when each one's workload was put, in order */
    int64_t *put_ns;
};

struct registering {
    const struct ring_options *o;
    struct ring_totals *t;
    struct fleet *fleet;
    struct registrant *r;
    uint64_t epoch;
    bool on;
    int64_t start_ns;
    uint64_t arrived;                   /* of an open loop: operations that fell due */
};

/* ---- an open loop: the n-th operation falls due at the agent whose turn it is ---- */

static int64_t nth_due_ns(const struct registering *g, uint64_t n)
{
    return g->start_ns + (int64_t) ((double) n / g->o->rate * 1e9);
}

/* When this agent's next operation is due; in a closed loop: now. */
static int64_t next_due_ns(const struct registering *g, const struct registrant *r, int64_t now)
{
    return g->o->rate > 0 ? nth_due_ns(g, r->begun * g->fleet->o.count + (uint64_t) (r - g->r)) : now;
}

static void arrivals(void *arg)
{
    struct registering *g = arg;
    while (g->on && nth_due_ns(g, g->arrived) <= sql_now_ns())
        fleet_step_one(g->fleet, (unsigned) (g->arrived++ % g->fleet->o.count));
}

/* ---- rows ---- */

static bool put_rows(struct registering *g, struct member *m, struct registrant *r, unsigned n)
{
    uint64_t me = (uint64_t) (m - g->fleet->m), rows = g->o->keys;
    agent_workloads_forget(m->agent);
    for (unsigned i = 0; i < n; i++, r->next++) {
        struct agent_workload w = { .port = 8080, .ttl_s = 60, .weight = 1, .health = 1, .epoch = ++g->epoch };
        row_id(w.id, g->o->seed, me, rows > 0 ? r->next % rows : r->next);
        (void) name_set_str(&w.service, "bench");
        w.addr.family = 4;
        memcpy(w.addr.b, (uint8_t[]){ 10, (uint8_t) (me >> 8), (uint8_t) me, (uint8_t) r->next }, 4);
        if (agent_workload_put(m->agent, &w) != REEVE_OK)
            return false;
    }
    return true;
}

static bool stepped(void *arg, struct member *m)
{
    struct registering *g = arg;
    struct registrant *r = &g->r[m - g->fleet->m];
    const struct agent_stats *st = agent_stats(m->agent);
    int64_t now = sql_now_ns();
    if (!g->on || agent_phase(m->agent) != AP_READY || st->workloads_acked + st->workloads_refused < r->next)
        return false;
    if (r->since_ns > 0 && st->workloads_acked > r->acked && now >= g->t->begin_ns) {
        hist_add(&g->t->row, now - r->since_ns);
        g->t->rows += st->workloads_acked - r->acked;
    }
    r->acked = st->workloads_acked;
    int64_t due = next_due_ns(g, r, now);
    r->since_ns = due <= now ? due : 0;
    if (due > now)
        return false;
    r->begun++;
    return put_rows(g, m, r, g->o->batch);
}

static bool stepped_shared(void *arg, struct member *m)
{
    struct registering *g = arg;
    struct registrant *r = &g->r[m - g->fleet->m];
    const struct agent_stats *st = agent_stats(m->agent);
    uint64_t done = st->workloads_acked + st->workloads_refused;
    int64_t now = sql_now_ns();
    if (!g->on || agent_phase(m->agent) != AP_READY)
        return false;
    for (; r->done < done; r->done++)
        if (now >= g->t->begin_ns)
            hist_add(&g->t->row, now - r->put_ns[r->done % r->clients]);
    if (now >= g->t->begin_ns)
        g->t->rows += st->workloads_acked - r->acked;
    r->acked = st->workloads_acked;
    unsigned n = 0, idle = r->clients - (unsigned) (r->next - r->done);
    for (int64_t due; n < idle && (due = next_due_ns(g, r, now)) <= now; n++, r->begun++)
        r->put_ns[(r->next + n) % r->clients] = due;
    return n > 0 && put_rows(g, m, r, n);
}

static bool share(const struct ring_options *o, struct registrant *r)
{
    for (unsigned i = 0; i < o->connections; i++) {
        r[i].clients = o->clients / o->connections + (i < o->clients % o->connections);
        if ((r[i].put_ns = calloc(r[i].clients, sizeof *r[i].put_ns)) == NULL)
            return false;
    }
    return true;
}

static bool read_token(const char *file, char out[WIRE_TOKEN_TEXT_MAX])
{
    FILE *f = file ? fopen(file, "r") : NULL;
    bool ok = f != NULL && fgets(out, WIRE_TOKEN_TEXT_MAX, f) != NULL;
    if (f != NULL)
        fclose(f);
    out[ok ? strcspn(out, " \r\n") : 0] = '\0';
    return ok;
}

static bool measure(struct registering *g)
{
    struct fleet *f = g->fleet;
    struct ring_totals *t = g->t;
    f->o.until_connected = false;
    f->o.duration_s = (unsigned) (g->o->warmup_s + g->o->duration_s + 0.5);
    f->started = fleet_now();
    g->on = true;
    int64_t start = g->start_ns = sql_now_ns();
    t->begin_cpu_ns = bench_cpu_ns();
    t->begin_ns = start + (int64_t) (g->o->warmup_s * 1e9);
    fleet_step_all(f);
    bool ran = fleet_run(f);
    t->end_ns = sql_now_ns();
    t->end_cpu_ns = bench_cpu_ns();
    for (unsigned i = 0; i < f->o.count; i++)
        t->refused += agent_stats(f->m[i].agent)->workloads_refused;
    return ran;
}

int ring_agents(const struct ring_options *o, struct ring_totals *t)
{
    static struct fleet f = { .epoll_fd = -1 };
    struct report rep = { 0 };
    struct registering g = { .o = o, .t = t, .fleet = &f };
    unsigned agents = o->connections ? o->connections : o->clients;
    f.o = (struct fleet_options){ .server = o->agents, .count = agents, .until_connected = true, .json = true,
                                  .duration_s = 120, .ramp_ms = agents * 2 };
    f.stop = o->stop;
    f.stepped = o->connections ? stepped_shared : stepped;
    f.stepped_arg = &g;
    f.tick = o->rate > 0 ? arrivals : NULL;
    g.r = calloc(agents, sizeof *g.r);
    if (!read_token(o->token_file, f.o.token) || g.r == NULL || !share(o, g.r)) {
        fprintf(stderr, "reeve-bench: --token-file: a join token for the agents is needed\n");
        return 2;
    }
    bool ok = fleet_start(&f, &rep) == REEVE_OK;
    if (!ok)
        fprintf(stderr, "reeve-bench: %s\n", rep.message[0] ? rep.message : "could not start the agents");
    if (ok && !(ok = fleet_run(&f)))
        fprintf(stderr, "reeve-bench: not all agents could connect\n");
    if (ok)
        ok = measure(&g);
    fleet_end(&f);
    for (unsigned i = 0; i < agents; i++)
        free(g.r[i].put_ns);
    free(g.r);
    return ok ? 0 : 2;
}
