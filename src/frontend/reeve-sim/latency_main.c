/*
 * latency_main.c - reeve-sim latency: choices of places, every leader, statistics, one JSON object
 *
 * For each choice every place leads once, and from every place one update is
 * submitted; then again with f others crashed, drawn and once the f nearest to
 * the leader, who would answer first. "best" is the leader whose slowest
 * submitter waits least.
 */
#include "attest_latency.h"
#include "crypto/hash.h"
#include "sim_int.h"

#include <errno.h>
#include <stdlib.h>

#define CHOICES_MAX 100
#define POOL_MAX    (CHOICES_MAX * RIG_VALIDATORS * RIG_VALIDATORS)

struct options { uint64_t from, choices, draws; bool cities, cloud; struct lat_costs costs; };

/* Values in a pool, by what they are of. */
struct values { int64_t *us; size_t n; };
enum what { BEST, EVERY, BEST_DEAD, EVERY_DEAD, NEAREST_DEAD, KINDS };
static const char *const what_name[KINDS] = { "best_leader", "every_leader", "best_leader_f_crashed", "every_leader_f_crashed",
                                              "best_leader_f_nearest_crashed" };
enum who { OURS, THREE, FIVE, WHOS };
static const char *const who_name[WHOS] = { "reeve", "model_3_delays", "model_5_delays" };

struct result {
    const char *name;
    int n, choices;
    struct values v[KINDS][WHOS];
    struct values idle, after, busy;        /* the leader dies */
    int64_t gap_us;                         /* the largest difference of simulation and model, for an update */
};

static const char usage[] =
    "Usage: reeve-sim latency [--choices N] [--from SEED] [--draws N] [--set cities|cloud] [--verify-us N] [--sign-us N]\n"
    "                         [--persist-us N] [--check-us N] [--jitter-us N]\n"
    "  --choices   choices of 33 of the 50 cities (3)        --draws    of f crashed validators, for the best leader (10)\n";

/* ---- values ---- */

static void add(struct values *v, int64_t us)
{
    if (us == LAT_NEVER)
        return;
    if (v->us == NULL)
        v->us = malloc(POOL_MAX * sizeof *v->us);
    reeve_assert(v->us != NULL && v->n < POOL_MAX);
    v->us[v->n++] = us;
}

static void add_all(struct values *v, const struct lat_times *t, int n)
{
    for (int i = 0; i < n; i++)
        add(v, t->us[i]);
}

static int64_t worst(const struct lat_times *t, int n)
{
    int64_t w = 0;
    for (int i = 0; i < n; i++)
        if (t->us[i] != LAT_NEVER && t->us[i] > w)
            w = t->us[i];
    return w;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

static void print_values(const char *name, struct values *v, const char *end)
{
    qsort(v->us, v->n, sizeof v->us[0], by_value);
    if (v->n == 0)
        printf("\"%s\":null%s", name, end);
    else
        printf("\"%s\":{\"median_ms\":%.1f,\"p99_ms\":%.1f,\"worst_ms\":%.1f,\"updates\":%zu}%s", name,
               (double) v->us[v->n / 2] / 1e3, (double) v->us[v->n * 99 / 100] / 1e3, (double) v->us[v->n - 1] / 1e3, v->n, end);
}

/* ---- who crashes ---- */

static void dead_drawn(struct sim_rng *r, const struct lat_places *p, int leader, int also, bool *dead)
{
    memset(dead, 0, RIG_VALIDATORS * sizeof *dead);
    for (int f = (p->n - 1) / 3; f > 0;) {
        int i = (int) sim_rng_below(r, (uint64_t) p->n);
        if (i == leader || i == also || dead[i])
            continue;
        dead[i] = true;
        f--;
    }
}

static void dead_nearest(const struct lat_places *p, int leader, bool *dead)
{
    memset(dead, 0, RIG_VALIDATORS * sizeof *dead);
    for (int f = (p->n - 1) / 3; f > 0; f--) {
        int best = -1;
        for (int i = 0; i < p->n; i++)
            if (i != leader && !dead[i] &&
                (best < 0 || place_delay_us(p->cloud, p->place[leader], p->place[i]) <
                                 place_delay_us(p->cloud, p->place[leader], p->place[best])))
                best = i;
        dead[best] = true;
    }
}

/* ---- one choice ---- */

struct study { const struct options *o; struct lat_places p; struct sim_rng rng; struct result *res; uint64_t seed; int best[WHOS]; };

static void gap_note(struct result *res, const struct lat_times *a, const struct lat_times *b, int n)
{
    for (int i = 0; i < n; i++)
        if (a->us[i] != LAT_NEVER && llabs(a->us[i] - b->us[i]) > res->gap_us)
            res->gap_us = llabs(a->us[i] - b->us[i]);
}

static bool times_of(struct study *s, int leader, const bool *dead, struct lat_times t[WHOS])
{
    model_three(&s->p, &s->o->costs, leader, dead, &t[THREE]);
    model_five(&s->p, &s->o->costs, leader, dead, &t[FIVE]);
    if (!lat_run(&s->p, &s->o->costs, s->seed, leader, dead, &t[OURS])) {
        fprintf(stderr, "seed %llu, leader %s: an update did not become final\n", (unsigned long long) s->seed,
                place_name(s->p.cloud, s->p.place[leader]));
        return false;
    }
    gap_note(s->res, &t[OURS], &t[THREE], s->p.n);
    return true;
}

static bool every_leader(struct study *s)
{
    static struct lat_times t[RIG_VALIDATORS][WHOS];
    static const bool nobody[RIG_VALIDATORS];
    memset(s->best, 0, sizeof s->best);
    for (int l = 0; l < s->p.n; l++) {
        if (!times_of(s, l, nobody, t[l]))
            return false;
        for (int w = 0; w < WHOS; w++) {
            add_all(&s->res->v[EVERY][w], &t[l][w], s->p.n);
            if (worst(&t[l][w], s->p.n) < worst(&t[s->best[w]][w], s->p.n))
                s->best[w] = l;
        }
    }
    for (int w = 0; w < WHOS; w++) {
        add_all(&s->res->v[BEST][w], &t[s->best[w]][w], s->p.n);
        fprintf(stderr, "# %s, choice %llu, %s: best leader %s, worst submitter %.1f ms\n", s->res->name,
                (unsigned long long) s->seed, who_name[w], place_name(s->p.cloud, s->p.place[s->best[w]]),
                (double) worst(&t[s->best[w]][w], s->p.n) / 1e3);
    }
    return true;
}

/* Each protocol with the leader that is best for it when all live. */
static bool dead_once(struct study *s, enum what what, const int leader[WHOS], const bool *dead)
{
    struct lat_times t[WHOS], five[WHOS];
    if (!times_of(s, leader[OURS], dead, t))
        return false;
    model_five(&s->p, &s->o->costs, leader[FIVE], dead, &five[FIVE]);
    t[FIVE] = five[FIVE];
    for (int w = 0; w < WHOS; w++)
        add_all(&s->res->v[what][w], &t[w], s->p.n);
    return true;
}

static bool some_crashed(struct study *s)
{
    bool dead[RIG_VALIDATORS];
    for (uint64_t d = 0; d < s->o->draws; d++) {
        dead_drawn(&s->rng, &s->p, s->best[OURS], s->best[FIVE], dead);
        if (!dead_once(s, BEST_DEAD, s->best, dead))
            return false;
    }
    for (int l = 0; l < s->p.n; l++) {
        int leader[WHOS] = { l, l, l };
        dead_drawn(&s->rng, &s->p, l, l, dead);
        if (!dead_once(s, EVERY_DEAD, leader, dead))
            return false;
    }
    dead_nearest(&s->p, s->best[OURS], dead);
    int leader[WHOS] = { s->best[OURS], s->best[OURS], s->best[OURS] };
    return dead_once(s, NEAREST_DEAD, leader, dead);
}

static bool leader_dies(struct study *s)
{
    int64_t us[3];
    if (!lat_leader_dies(&s->p, &s->o->costs, s->seed, s->best[OURS], us))
        return false;
    add(&s->res->idle, us[0]);
    add(&s->res->after, us[1]);
    add(&s->res->busy, us[2]);
    return true;
}

static void choose(struct study *s, int n, bool cloud)
{
    int deck[CHOICES_MAX], total = place_count(cloud);
    reeve_assert(total <= CHOICES_MAX && n <= total);
    s->p.n = n;
    s->p.cloud = cloud;
    for (int i = 0; i < total; i++)
        deck[i] = i;
    for (int i = 0; i < n; i++) {
        int k = i + (int) sim_rng_below(&s->rng, (uint64_t) (total - i)), t = deck[i];
        deck[i] = deck[k];
        deck[k] = t;
        s->p.place[i] = deck[i];
    }
}

static bool study(const struct options *o, struct result *res, int n, bool cloud, uint64_t seed)
{
    struct study s = { .o = o, .res = res, .seed = seed };
    sim_rng_seed(&s.rng, seed);
    choose(&s, n, cloud);
    res->n = n;
    res->choices++;
    return every_leader(&s) && some_crashed(&s) && leader_dies(&s);
}

/* ---- what is printed ---- */

static void print_result(struct result *res)
{
    printf("\"%s\":{\"validators\":%d,\"crashed\":%d,\"choices\":%d", res->name, res->n, (res->n - 1) / 3, res->choices);
    for (int k = 0; k < KINDS; k++) {
        printf(",\"%s\":{", what_name[k]);
        for (int w = 0; w < WHOS; w++)
            print_values(who_name[w], &res->v[k][w], w + 1 < WHOS ? "," : "}");
    }
    printf(",\"leader_dies\":{");
    print_values("idle_until_another_leads", &res->idle, ",");
    print_values("updates_after_that", &res->after, ",");
    print_values("in_the_moment_of_a_submission", &res->busy, "}");
    printf(",\"simulation_beside_its_model_ms\":%.1f}", (double) res->gap_us / 1e3);
}

static void result_free(struct result *res)
{
    for (int k = 0; k < KINDS; k++)
        for (int w = 0; w < WHOS; w++)
            free(res->v[k][w].us);
    free(res->idle.us);
    free(res->after.us);
    free(res->busy.us);
}

static bool run(const struct options *o)
{
    struct result cities = { .name = "cities_33_of_50" }, cloud = { .name = "cloud_20" };
    bool good = true;
    for (uint64_t c = 0; c < o->choices && o->cities && good; c++)
        good = study(o, &cities, 33, false, o->from + c);
    if (o->cloud && good)
        good = study(o, &cloud, 20, true, o->from);
    if (good) {
        printf("{\"costs_us\":{\"verify\":%lld,\"sign\":%lld,\"persist\":%lld,\"check\":%lld,\"jitter\":%lld},\"from_seed\":%llu,",
               (long long) o->costs.verify, (long long) o->costs.sign, (long long) o->costs.persist, (long long) o->costs.check,
               (long long) o->costs.jitter, (unsigned long long) o->from);
        if (o->cities)
            print_result(&cities);
        printf("%s", o->cities && o->cloud ? "," : "");
        if (o->cloud)
            print_result(&cloud);
        printf("}\n");
    }
    result_free(&cities);
    result_free(&cloud);
    return good;
}

/* ---- options ---- */

static bool number(const char *s, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(s, &end, 10);
    return errno == 0 && *end == '\0' && end != s;
}

static bool set_named(struct options *o, const char *value)
{
    o->cities = strcmp(value, "cities") == 0;
    o->cloud = strcmp(value, "cloud") == 0;
    return o->cities || o->cloud;
}

static bool option(struct options *o, const char *name, const char *value)
{
    const struct { const char *name; int64_t *at; } costs[] = {
        { "--verify-us", &o->costs.verify }, { "--sign-us", &o->costs.sign }, { "--persist-us", &o->costs.persist },
        { "--check-us", &o->costs.check }, { "--jitter-us", &o->costs.jitter },
    };
    uint64_t v;
    if (strcmp(name, "--set") == 0)
        return set_named(o, value);
    if (!number(value, &v))
        return false;
    for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++)
        if (strcmp(name, costs[i].name) == 0) {
            *costs[i].at = (int64_t) v;
            return v <= 1000000;
        }
    uint64_t *at = strcmp(name, "--choices") == 0 ? &o->choices : strcmp(name, "--from") == 0 ? &o->from
                 : strcmp(name, "--draws") == 0 ? &o->draws : NULL;
    if (at != NULL)
        *at = v;
    return at != NULL && o->choices <= CHOICES_MAX && o->draws <= RIG_VALIDATORS;
}

int latency_main(int argc, char **argv)
{
    /* Verifying: measured (docs/figures.md). A vote is signed and synced by the signer, synced again by the validator. */
    struct options o = { .from = 1, .choices = 3, .draws = 10, .cities = true, .cloud = true,
                         .costs = { .verify = 100, .sign = 1000, .persist = 1000, .check = 1000, .jitter = 1000 } };
    for (int i = 1; i < argc; i += 2)
        if (i + 1 >= argc || !option(&o, argv[i], argv[i + 1])) {
            fputs(usage, stderr);
            return 2;
        }
    if (crypto_init() != REEVE_OK) {
        fputs("reeve-sim: no usable libsodium\n", stderr);
        return 2;
    }
    return run(&o) ? 0 : 1;
}
