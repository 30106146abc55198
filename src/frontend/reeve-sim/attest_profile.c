/*
 * attest_profile.c - what a run is made of, drawn from its seed
 *
 * As with rings, every run leaves out a random half of the faults (swarm
 * testing), and rates are drawn from seldom to so often that little else
 * happens. Small sets are drawn most: they meet every rule, and cost little.
 */
#include "attest_int.h"

static int64_t maybe(struct sim_rng *r, int64_t often_us, int64_t seldom_us)
{
    int64_t t = sim_rng_between(r, often_us, seldom_us);
    return sim_rng_below(r, 2) ? t : 0;
}

static int draw_n(struct sim_rng *r, bool over)
{
    uint64_t dice = sim_rng_below(r, 100);
    int n = (int) sim_rng_between(r, 4, 7);
    if (dice >= 60)
        n = (int) sim_rng_between(r, 8, 13);
    if (dice >= 88 && !over)
        n = (int) sim_rng_between(r, 14, 25);
    if (dice >= 96 && !over)
        n = (int) sim_rng_between(r, 26, RIG_VALIDATORS);
    return n;
}

static void draw_net(struct sim_net_profile *p, struct sim_rng *r)
{
    *p = (struct sim_net_profile){ .delay_min_us = 100, .delay_mean_us = sim_rng_between(r, 100, 20000), .delay_max_us = 400000 };
    p->loss_ppm = (uint32_t) maybe(r, 1000, 300000);
    p->dup_ppm = (uint32_t) maybe(r, 1000, 150000);
    p->slow_ppm = (uint32_t) maybe(r, 1000, 100000);
    p->slow_max_us = sim_rng_between(r, 100000, 5000000);
    p->ordered = sim_rng_below(r, 3) == 0;
    if (p->ordered)
        p->loss_ppm /= 20;      /* a loss breaks a connection */
}

static void draw_engine(struct simplex_config *c, struct sim_rng *r)
{
    *c = (struct simplex_config){ .timeout_ms = (uint32_t) sim_rng_between(r, 900, 3000) };
    c->timeout_ms_max = c->timeout_ms << sim_rng_below(r, 4);
    c->tick_ms = (uint32_t) sim_rng_between(r, 4000, 30000);
    c->heartbeat_ms = (uint32_t) sim_rng_between(r, 300, 1500);
    c->standstill_ms = (uint32_t) sim_rng_between(r, 500, 3000);
}

static void draw_faults(struct aprofile *p, struct sim_rng *r)
{
    p->partition_us = maybe(r, 1000000, 12000000);
    p->oneway_us = maybe(r, 1000000, 10000000);
    p->isolate_us = maybe(r, 500000, 8000000);
    p->badlink_us = maybe(r, 1000000, 8000000);
    p->kill_us = maybe(r, 400000, 8000000);
    p->midstep_us = maybe(r, 300000, 5000000);
    p->blackout_us = sim_rng_below(r, 3) ? 0 : sim_rng_between(r, 3000000, 15000000);
    p->pause_us = maybe(r, 1000000, 8000000);
    p->leap_us = maybe(r, 1000000, 10000000);
    p->wall_us = maybe(r, 1000000, 10000000);
    p->signer_slow_us = maybe(r, 1000000, 8000000);
    p->signer_down_us = maybe(r, 1000000, 8000000);
    p->disk_us = maybe(r, 1000000, 8000000);
    p->old_signer_us = maybe(r, 1000000, 12000000);
    p->old_store_us = maybe(r, 1000000, 12000000);
    p->drift_ppm = sim_rng_below(r, 2) ? (uint32_t) sim_rng_between(r, 100, 30000) : 0;
}

/* Forks want two sides that live in peace for a while. */
static void faults_few(struct aprofile *p)
{
    p->partition_us = p->oneway_us = p->isolate_us = p->blackout_us = p->wall_us = 0;
    p->kill_us *= 4;
    p->midstep_us *= 4;
    p->net.loss_ppm /= 10;
}

/* Large sets say the same with more messages: they get less time. */
static void draw_load(struct aprofile *p, struct sim_rng *r)
{
    int64_t most = p->n <= 7 ? 60000000 : p->n <= 13 ? 40000000 : p->n <= 25 ? 20000000 : 12000000;
    p->chaos_us = sim_rng_between(r, most / 3, most);
    p->think_us = sim_rng_between(r, 100000, 2000000);
    p->updates = p->n <= 13 ? 60 : p->n <= 25 ? 20 : 8;
    p->sign_us = sim_rng_between(r, 100, 20000);
    p->persist_us = sim_rng_between(r, 100, 20000);
    p->work_us = sim_rng_between(r, 100, 5000);
}

/* From a stream beside the run's: seeds that found something go on meaning the same run where none of this is drawn. */
static void draw_more(struct aprofile *p, const struct sim_rng *r)
{
    struct sim_rng peek = *r, own;
    sim_rng_seed(&own, sim_rng_next(&peek) ^ 0x6d6f7265);
    int spare = (p->n - 1) / 3 - p->faulty;
    p->tardy = sim_rng_below(&own, 5) == 0;
    if (!p->over && spare > 0 && sim_rng_below(&own, 2) == 0)
        p->other_rule = (int) sim_rng_between(&own, 1, spare);
}

void aprofile_draw(struct aprofile *p, struct sim_rng *r, const struct aprofile *asked)
{
    if (asked->fixed) {
        *p = *asked;
        return;
    }
    *p = (struct aprofile){ .over = asked->over, .real_keys = asked->real_keys };
    p->n = draw_n(r, p->over);
    if (asked->n > 0)
        p->n = asked->n;
    int f = (p->n - 1) / 3, q = 2 * p->n / 3 + 1;
    /* As many as a fork takes, but short of a quorum: q faulty ones could do without everybody else, and without a trace. */
    p->faulty = p->over ? (int) sim_rng_between(r, 2 * q - p->n, q - 1) : (int) sim_rng_below(r, (uint64_t) f + 1);
    if (!p->over && sim_rng_below(r, 2))
        p->faulty = f;
    p->cloud = sim_rng_below(r, 2);
    p->naive_signers = sim_rng_below(r, 3) == 0;
    p->mutate_ppm = (uint32_t) sim_rng_between(r, 5000, 600000);
    p->mutations = sim_rng_next(r) & sim_rng_next(r);
    if (sim_rng_below(r, 4) == 0)
        p->mutations = UINT64_MAX;
    draw_load(p, r);
    draw_net(&p->net, r);
    draw_engine(&p->engine, r);
    draw_faults(p, r);
    if (p->over)
        faults_few(p);
    draw_more(p, r);
}
