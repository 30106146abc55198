/* ring_main.c - options of reeve-bench ring, and what it prints */
#include "ring_int.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/text.h"
#include "fleet_int.h"

static volatile int stop;
static void on_stop(int sig) { (void) sig; stop = 1; }

static void usage(FILE *out)
{
    fputs("Usage: reeve-bench ring --connect CONNINFO [--connect CONNINFO ...] [OPTIONS]\n"
          "       reeve-bench ring --connect CONNINFO ... --history FILE [OPTIONS]\n"
          "       reeve-bench ring --agents HOST:PORT[,...] --token-file FILE [OPTIONS]\n\n"
          "Changes of configuration and linearizable reads through the SQL port, or registrations through gateways.\n\n"
          "  --connect CONNINFO     a member, as libpq writes it; clients are spread over all that are given\n"
          "  --clients N            each has one operation under way (10; agents: 1000)\n"
          "  --connections N        clients share so many; without it each has its own. Changes and reads: a pipeline on each.\n"
          "                         Registrations: agents, with a workload of each of their clients under way\n"
          "  --reads PERCENT        share of reads (0)\n"
          "  --keys N               keys written and read (1000; a history: 100)\n"
          "  --value-size BYTES     padding of each value (0)\n"
          "  --rate N               open loop: so many operations a second fall due (registrations: batches, with --connections\n"
          "                         single workloads); without it a closed loop\n"
          "  --duration SECONDS     of what is measured (10)\n"
          "  --warmup SECONDS       before that (1)\n"
          "  --timeout SECONDS      of one operation; after it its outcome is unknown (10; a history: 5)\n"
          "  --history FILE         record reads, writes and compare-and-set, concurrent, as JSON lines\n"
          "  --operations N         of each key in a history, at most (300)\n"
          "  --agents, --token-file registrations by agents, each with a TLS connection of its own\n"
          "  --batch N              workloads in one registration (100)\n"
          "  --rows N               workloads of one agent, then it changes them; 0: always new ones (0)\n"
          "  --seed N               what is chosen by chance (1)\n"
          "  --json                 only the JSON object at the end\n\n"
          "Exit: 0 when it ran to its end, whatever the servers answered; 2 where it could not.\n", out);
}

static const struct option longs[] = {
    { "connect", 1, NULL, 'c' }, { "clients", 1, NULL, 'n' }, { "reads", 1, NULL, 'r' }, { "keys", 1, NULL, 'k' },
    { "value-size", 1, NULL, 'v' }, { "rate", 1, NULL, 'R' }, { "duration", 1, NULL, 'd' }, { "warmup", 1, NULL, 'w' },
    { "timeout", 1, NULL, 't' }, { "history", 1, NULL, 'H' }, { "operations", 1, NULL, 'o' }, { "agents", 1, NULL, 'a' },
    { "token-file", 1, NULL, 'T' }, { "batch", 1, NULL, 'b' }, { "rows", 1, NULL, 'W' }, { "seed", 1, NULL, 's' },
    { "connections", 1, NULL, 'C' }, { "json", 0, NULL, 'j' }, { "help", 0, NULL, 'h' }, { 0, 0, 0, 0 },
};

struct given { long clients, keys, rows; double timeout_s; };

static bool number(double *out, double min, double max)
{
    char *end;
    *out = strtod(optarg, &end);
    return *end == '\0' && end != optarg && *out >= min && *out <= max;
}

static bool one_option(struct ring_options *o, struct given *g, int c)
{
    double x = 0;
    bool ok = true;
    switch (c) {
    case 'c': ok = o->n_targets < SQL_TARGETS_MAX; if (ok) o->target[o->n_targets++] = optarg; break;
    case 'n': ok = number(&x, 1, RING_CLIENTS_MAX); g->clients = (long) x; break;
    case 'C': ok = number(&x, 1, RING_CLIENTS_MAX); o->connections = (unsigned) x; break;
    case 'r': ok = number(&x, 0, 100); o->reads_percent = (unsigned) x; break;
    case 'k': ok = number(&x, 1, 1e9); g->keys = (long) x; break;
    case 'v': ok = number(&x, 0, SQL_TEXT_MAX / 2 - 1); o->value_bytes = (unsigned) x; break;
    case 'R': ok = number(&o->rate, 0.01, 1e9); break;
    case 'd': ok = number(&o->duration_s, 0.1, 1e6); break;
    case 'w': ok = number(&o->warmup_s, 0, 1e6); break;
    case 't': ok = number(&g->timeout_s, 0.01, 1e6); break;
    case 'H': o->history = optarg; break;
    case 'o': ok = number(&x, 1, 300); o->history_ops = (unsigned) x; break;
    case 'a': o->agents = optarg; break;
    case 'T': o->token_file = optarg; break;
    case 'b': ok = number(&x, 1, 1000); o->batch = (unsigned) x; break;
    case 'W': ok = number(&x, 0, 1e9); g->rows = (long) x; break;
    case 's': ok = number(&x, 0, 1e9); o->seed = (uint64_t) x; break;
    case 'j': o->json = true; break;
    default: return false;
    }
    return ok;
}

static bool sound(struct ring_options *o, const struct given *g)
{
    bool history = o->history != NULL, agents = o->agents != NULL;
    o->clients = (unsigned) (g->clients > 0 ? g->clients : agents ? 1000 : history ? 24 : 10);
    o->keys = (unsigned) (agents ? g->rows : g->keys > 0 ? g->keys : history ? 100 : 1000);
    o->timeout_s = g->timeout_s > 0 ? g->timeout_s : history ? 5 : 10;
    if (agents && (o->connections ? o->connections : o->clients) > FLEET_MAX)
        return false;
    if (o->connections > o->clients || (o->connections > 0 && history))
        return false;
    return agents ? o->token_file != NULL && !history && o->n_targets == 0 : o->n_targets > 0;
}

/* ---- what came of it ---- */

static void one_kind(const struct ring_totals *t, struct wr *w, const char *name, const struct hist *h)
{
    if (h->n == 0)
        return;
    wr_printf(w, ", \"%s\": ", name);
    hist_json(h, ring_seconds(t), w);
}

static void gaps_json(const struct ring_totals *t, struct wr *w)
{
    wr_printf(w, ", \"last_ack_ns\": %lld, \"gaps\": [", (long long) t->last_ack_ns);
    for (unsigned i = 0; i < t->n_gaps; i++)
        wr_printf(w, "%s[%lld,%lld]", i ? "," : "", (long long) t->gap[i].begin_ns, (long long) t->gap[i].end_ns);
    wr_text(w, "]");
}

static void print_json(const struct ring_options *o, const struct ring_totals *t, const struct sql_pool *p)
{
    struct wr w = wr_heap(2u << 20);
    wr_printf(&w, "{\"subcommand\": \"ring\", \"clients\": %u, \"loop\": \"%s\", \"seconds\": %.3f", o->clients,
              o->rate > 0 ? "open" : "closed", ring_seconds(t));
    wr_printf(&w, ", \"connections\": %u", o->connections ? o->connections : o->clients);
    wr_printf(&w, ", \"load_cores\": %.2f", (double) (t->end_cpu_ns - t->begin_cpu_ns) / 1e9 / (ring_seconds(t) + o->warmup_s));
    one_kind(t, &w, "writes", &t->write);
    one_kind(t, &w, "reads", &t->read);
    one_kind(t, &w, "batches", &t->row);
    if (o->agents != NULL)
        wr_printf(&w, ", \"batch\": %u, \"rows\": %llu, \"rows_per_second\": %.1f", o->batch, (unsigned long long) t->rows,
                  ring_seconds(t) > 0 ? (double) t->rows / ring_seconds(t) : 0.0);
    wr_printf(&w, ", \"refused\": %llu, \"conflicts\": %llu, \"unknown\": %llu, \"connects\": %llu, \"losses\": %llu",
              (unsigned long long) t->refused, (unsigned long long) t->conflicts, (unsigned long long) t->unknown,
              (unsigned long long) p->connects, (unsigned long long) p->losses);
    gaps_json(t, &w);
    wr_text(&w, "}\n");
    fwrite(w.p, 1, w.len, stdout);
    wr_free(&w);
}

static void print_kind(const struct ring_totals *t, const char *name, const struct hist *h)
{
    if (h->n > 0)
        printf("%-9s %9llu, %10.1f a second; p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, longest %.2f ms\n", name,
               (unsigned long long) h->n, (double) h->n / ring_seconds(t), (double) hist_at_ns(h, 0.5) / 1e6,
               (double) hist_at_ns(h, 0.99) / 1e6, (double) hist_at_ns(h, 0.999) / 1e6, (double) h->max_ns / 1e6);
}

static void print_text(const struct ring_options *o, const struct ring_totals *t, const struct sql_pool *p)
{
    printf("%u clients, %s loop, %.1f s\n", o->clients, o->rate > 0 ? "open" : "closed", ring_seconds(t));
    print_kind(t, "writes", &t->write);
    print_kind(t, "reads", &t->read);
    print_kind(t, "batches", &t->row);
    if (o->agents != NULL)
        printf("rows      %9llu, %10.1f a second\n", (unsigned long long) t->rows, (double) t->rows / ring_seconds(t));
    printf("refused %llu, conflicts %llu, unknown %llu, connections lost %llu\n", (unsigned long long) t->refused,
           (unsigned long long) t->conflicts, (unsigned long long) t->unknown, (unsigned long long) p->losses);
    if (p->last_error[0])
        printf("last error: %s\n", p->last_error);
}

static void raise_limits(void)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
}

static int run(const struct ring_options *o)
{
    static struct ring_totals t;
    struct sql_pool pool = { .n_targets = o->n_targets, .timeout_ns = (int64_t) (o->timeout_s * 1e9) };
    memcpy(pool.target, o->target, sizeof pool.target);
    raise_limits();
    if ((pool.epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        perror("reeve-bench: epoll");
        return 2;
    }
    int code = o->agents ? ring_agents(o, &t) : o->history ? ring_history(o, &t, &pool)
             : o->connections ? ring_pipe(o, &t, &pool) : ring_load(o, &t, &pool);
    if (code == 0 && !o->json)
        print_text(o, &t, &pool);
    if (code == 0)
        print_json(o, &t, &pool);
    close(pool.epoll_fd);
    return code;
}

int ring_main(int argc, char **argv)
{
    struct ring_options o = { .duration_s = 10, .warmup_s = 1, .batch = 100, .history_ops = 300, .seed = 1, .stop = &stop };
    struct given g = { 0 };
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'h') {
            usage(stdout);
            return 0;
        }
        if (!one_option(&o, &g, c)) {
            usage(stderr);
            return 2;
        }
    }
    if (optind != argc || !sound(&o, &g)) {
        usage(stderr);
        return 2;
    }
    struct sigaction sa = { .sa_handler = on_stop };
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    return run(&o);
}
