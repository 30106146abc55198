/*
 * ring_agents.c - registrations as hosts make them: each agent has its own TLS connection, and a batch under way
 *
 * A batch names workloads that nobody registered before: ids are drawn like a
 * container's. --rows makes an agent come back to its earlier ids once it has
 * so many, which are then changed and no longer new. A batch counts when its
 * acknowledgement is here, which the gateway sends after the ring's.
 */
#include "ring_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "fleet_int.h"

struct registrant { uint64_t next, acked; int64_t since_ns; };

struct registering {
    const struct ring_options *o;
    struct ring_totals *t;
    struct fleet *fleet;
    struct registrant *r;
    uint64_t epoch;
    bool on;
};

/* splitmix64, twice: an id that looks like chance and comes back with its number. */
static void id_of(uint8_t id[16], uint64_t seed)
{
    for (int half = 0; half < 2; half++) {
        uint64_t z = seed * 2 + (uint64_t) half + 0x9e3779b97f4a7c15ull;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        z ^= z >> 31;
        memcpy(id + 8 * half, &z, 8);
    }
}

static bool put_batch(struct registering *g, struct member *m, struct registrant *r)
{
    uint64_t me = (uint64_t) (m - g->fleet->m), rows = g->o->keys;
    agent_workloads_forget(m->agent);
    for (unsigned i = 0; i < g->o->batch; i++, r->next++) {
        struct agent_workload w = { .port = 8080, .ttl_s = 60, .weight = 1, .health = 1, .epoch = ++g->epoch };
        id_of(w.id, (g->o->seed << 52) ^ me << 32 ^ (rows > 0 ? r->next % rows : r->next));
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
    r->since_ns = now;
    return put_batch(g, m, r);
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
    int64_t start = sql_now_ns();
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
    f.o = (struct fleet_options){ .server = o->agents, .count = o->clients, .until_connected = true, .json = true,
                                  .duration_s = 120, .ramp_ms = o->clients * 2 };
    f.stop = o->stop;
    f.stepped = stepped;
    f.stepped_arg = &g;
    g.r = calloc(o->clients, sizeof *g.r);
    if (!read_token(o->token_file, f.o.token) || g.r == NULL) {
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
    free(g.r);
    return ok ? 0 : 2;
}
