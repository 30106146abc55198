/* fleet_report.c - what the fleet says of itself: a line now and then, a status file, one JSON object at the end. */
#include "fleet_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"

unsigned fleet_count_ready(const struct fleet *f)
{
    unsigned n = 0;
    for (unsigned i = 0; i < f->o.count; i++)
        n += agent_phase(f->m[i].agent) == AP_READY;
    return n;
}

unsigned fleet_count_serving(const struct fleet *f, const struct name *object, uint32_t gen, bool at_least)
{
    unsigned n = 0;
    for (unsigned i = 0; i < f->o.count; i++) {
        struct agent_cert_info c;
        for (size_t k = 0; agent_cert_at(f->m[i].agent, k, &c); k++)
            n += name_eq(&c.object, object) && (at_least ? c.serving >= gen : c.serving == gen);
    }
    return n;
}

static int by_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

static int by_i32(const void *a, const void *b)
{
    int32_t x = *(const int32_t *) a, y = *(const int32_t *) b;
    return (x > y) - (x < y);
}

struct sums { uint64_t verified, verified_min, connects, losses, installs, failures, workloads; unsigned enrolled, ready, fresh, stale, expired; };

static void sum_up(const struct fleet *f, struct sums *s)
{
    memset(s, 0, sizeof *s);
    s->verified_min = UINT64_MAX;
    for (unsigned i = 0; i < f->o.count; i++) {
        const struct agent *a = f->m[i].agent;
        const struct agent_stats *st = agent_stats(a);
        enum agent_freshness fr = agent_freshness(a);
        s->verified += st->verified;
        s->verified_min = st->verified < s->verified_min ? st->verified : s->verified_min;
        s->connects += st->connects;
        s->losses += st->losses;
        s->installs += st->installs;
        s->failures += st->install_failures;
        s->workloads += st->workloads_acked;
        s->enrolled += agent_enrolled(a);
        s->ready += agent_phase(a) == AP_READY;
        s->fresh += fr == AGENT_FRESH;
        s->stale += fr == AGENT_STALE;
        s->expired += fr == AGENT_EXPIRED;
    }
}

/* ---- which generation how many serve ---- */

struct tally { struct name object; uint32_t gen; unsigned n; };
#define TALLIES 64

static unsigned tally(const struct fleet *f, struct tally *t)
{
    unsigned n = 0;
    for (unsigned i = 0; i < f->o.count; i++) {
        struct agent_cert_info c;
        for (size_t k = 0; agent_cert_at(f->m[i].agent, k, &c); k++) {
            unsigned j = 0;
            while (j < n && (t[j].gen != c.serving || !name_eq(&t[j].object, &c.object)))
                j++;
            if (j == n && n < TALLIES)
                t[n++] = (struct tally){ c.object, c.serving, 0 };
            if (j < n)
                t[j].n++;
        }
    }
    return n;
}

static void generations_json(struct fleet *f, struct wr *w)
{
    static struct tally t[TALLIES];
    unsigned n = tally(f, t);
    wr_text(w, "\"generations\": [");
    for (unsigned i = 0; i < n; i++)
        wr_printf(w, "%s{\"cert\": \"%s\", \"generation\": %u, \"agents\": %u}", i ? ", " : "", t[i].object.s, t[i].gen, t[i].n);
    wr_text(w, "]");
}

static void times_json(struct fleet *f, struct wr *w)
{
    wr_text(w, "\"installs\": [");
    for (unsigned i = 0; i < f->n_times; i++) {
        struct fleet_times *t = &f->times[i];
        qsort(t->wall_ms, t->n, sizeof *t->wall_ms, by_i64);
        qsort(t->latency_ms, t->n, sizeof *t->latency_ms, by_i32);
        uint32_t last = t->n ? t->n - 1 : 0, p99 = t->n ? (uint32_t) ((uint64_t) last * 99 / 100) : 0;
        wr_printf(w, "%s{\"cert\": \"%s\", \"generation\": %u, \"done\": %u, \"failed\": %u", i ? ", " : "", t->object.s, t->gen, t->n, t->failed);
        if (t->n > 0)
            wr_printf(w, ", \"latency_p50_ms\": %d, \"latency_p99_ms\": %d, \"first_wall_ms\": %lld, \"p50_wall_ms\": %lld, "
                      "\"p99_wall_ms\": %lld, \"last_wall_ms\": %lld", t->latency_ms[t->n / 2], t->latency_ms[p99],
                      (long long) t->wall_ms[0], (long long) t->wall_ms[t->n / 2], (long long) t->wall_ms[p99], (long long) t->wall_ms[last]);
        wr_text(w, "}");
    }
    wr_text(w, "]");
}

static void refusals_json(struct fleet *f, struct wr *w)
{
    bool any = false;
    wr_text(w, "\"refusals\": {");
    for (int e = 1; e < REEVE_E__COUNT; e++) {
        uint64_t n = 0;
        for (unsigned i = 0; i < f->o.count; i++)
            n += agent_stats(f->m[i].agent)->refused[e];
        if (n > 0)
            wr_printf(w, "%s\"%s\": %llu", any ? ", " : "", reeve_err_name(e), (unsigned long long) n);
        any = any || n > 0;
    }
    wr_text(w, "}");
}

void fleet_json(struct fleet *f, struct wr *w)
{
    struct sums s;
    sum_up(f, &s);
    double secs = f->all_ready_ms > 0 ? (double) f->all_ready_ms / 1000 : 0;
    wr_printf(w, "{\"subcommand\": \"fleet\", \"agents\": %u, \"enrolled\": %u, \"connected\": %u, \"fresh\": %u, \"stale\": %u, "
              "\"expired\": %u, \"all_connected_s\": %.3f, \"agents_per_s\": %.1f, \"verified\": %llu, \"verified_min\": %llu, "
              "\"connects\": %llu, \"losses\": %llu, \"workloads\": %llu, ", f->o.count, s.enrolled, s.ready, s.fresh, s.stale, s.expired, secs,
              secs > 0 ? f->o.count / secs : 0.0, (unsigned long long) s.verified, (unsigned long long) s.verified_min,
              (unsigned long long) s.connects, (unsigned long long) s.losses, (unsigned long long) s.workloads);
    generations_json(f, w);
    wr_text(w, ", ");
    times_json(f, w);
    wr_text(w, ", ");
    fleet_heights_json(f, w);
    wr_text(w, ", ");
    refusals_json(f, w);
    wr_text(w, "}\n");
}

void fleet_print_line(struct fleet *f)
{
    static struct tally t[TALLIES];
    struct sums s;
    if (f->o.json)
        return;
    sum_up(f, &s);
    printf("%6.1f s  %u of %u connected, %llu finalizations verified", (double) (fleet_now().mono.ms - f->started.mono.ms) / 1000,
           s.ready, f->o.count, (unsigned long long) s.verified);
    unsigned n = tally(f, t);
    for (unsigned i = 0; i < n; i++)
        printf(", %s gen %u: %u", t[i].object.s, t[i].gen, t[i].n);
    printf("\n");
    fflush(stdout);
}

void fleet_write_status(struct fleet *f)
{
    char tmp[1024];
    if (f->o.status_file == NULL)
        return;
    snprintf(tmp, sizeof tmp, "%s.new", f->o.status_file);
    struct wr w = wr_heap(1u << 20);
    fleet_json(f, &w);
    FILE *out = fopen(tmp, "w");
    if (out != NULL) {
        bool ok = fwrite(w.p, 1, w.len, out) == w.len;
        if (fclose(out) == 0 && ok)
            rename(tmp, f->o.status_file);
    }
    wr_free(&w);
}
