/*
 * raft_profile.c - what a run is made of, drawn from its seed
 *
 * Swarm testing (Groce and others, ISSTA 2012): every run leaves out a random
 * half of the faults, so that rare combinations of the rest get room. Rates
 * are drawn as well, from seldom to so often that little else happens.
 */
#include "raft_int.h"

static int64_t maybe(struct sim_rng *r, int64_t often_us, int64_t seldom_us)
{
    int64_t t = sim_rng_between(r, often_us, seldom_us);
    return sim_rng_below(r, 2) ? t : 0;
}

static void draw_net(struct sim_net_profile *p, struct sim_rng *r)
{
    *p = (struct sim_net_profile){ .delay_min_us = 50, .delay_mean_us = sim_rng_between(r, 50, 5000), .delay_max_us = 200000,
                                   .us_per_kib = sim_rng_between(r, 0, 100) };
    p->loss_ppm = (uint32_t) maybe(r, 1000, 150000);
    p->dup_ppm = (uint32_t) maybe(r, 1000, 150000);
    p->slow_ppm = (uint32_t) maybe(r, 1000, 100000);
    p->slow_max_us = sim_rng_between(r, 10000, 3000000);
    p->ordered = sim_rng_below(r, 3) == 0;
    if (p->ordered)
        p->loss_ppm /= 20;      /* a loss breaks a connection */
}

static void draw_disk(struct sim_disk_profile *p, struct sim_rng *r)
{
    int64_t mean = sim_rng_between(r, 50, 6000);
    *p = (struct sim_disk_profile){ .write_min_us = 40, .write_mean_us = mean, .sync_min_us = 50, .sync_mean_us = mean,
                                    .us_per_kib = sim_rng_between(r, 0, 20) };
    p->stall_ppm = (uint32_t) maybe(r, 500, 20000);
    p->stall_max_us = sim_rng_between(r, 20000, 400000);
}

/* Small windows, batches and segments, so that every limit is met. */
static void draw_member(struct member_config *c, struct sim_rng *r)
{
    member_config_default(c);
    c->window_entries = 64u << sim_rng_below(r, 4);
    c->window_bytes = 256 << 10;
    c->pipeline = (uint32_t) sim_rng_between(r, 1, 4);
    c->batch_bytes = (uint32_t) sim_rng_between(r, 200, 4000);
    c->queue_bytes = 64 << 10;
    c->tickets = 128;
    c->unknown_ms = (uint32_t) sim_rng_between(r, 500, 4000);
    c->read_ms = (uint32_t) sim_rng_between(r, 300, 2000);
    c->hash_every = sim_rng_below(r, 2) ? (uint32_t) sim_rng_between(r, 5, 60) : 0;
    c->raft.append_bytes = (uint32_t) sim_rng_between(r, 500, 8000);
    c->raft.window_msgs = (uint32_t) sim_rng_between(r, 1, 32);
    c->raft.window_bytes = (uint32_t) sim_rng_between(r, 8 << 10, 64 << 10);
    c->raft.uncommitted_bytes = (uint32_t) sim_rng_between(r, 8 << 10, 64 << 10);
    c->raft.chunk_bytes = (uint32_t) sim_rng_between(r, 200, 4000);
    c->raft.promote_lag = (uint32_t) sim_rng_between(r, 1, 20);
    c->raft.disk_ms = 500;
}

static void draw_faults(struct rig_profile *p, struct sim_rng *r)
{
    p->partition_us = maybe(r, 500000, 8000000);
    p->oneway_us = maybe(r, 500000, 8000000);
    p->badlink_us = maybe(r, 500000, 5000000);
    p->kill_us = maybe(r, 400000, 8000000);
    p->power_us = maybe(r, 400000, 8000000);
    p->blackout_us = sim_rng_below(r, 3) ? 0 : sim_rng_between(r, 3000000, 15000000);
    p->pause_us = maybe(r, 500000, 8000000);
    p->leap_us = maybe(r, 500000, 8000000);
    p->restart_us = maybe(r, 1000000, 10000000);
    p->hang_us = maybe(r, 1000000, 10000000);
    p->slow_us = maybe(r, 1000000, 10000000);
    p->eio_us = maybe(r, 1000000, 10000000);
    p->full_us = maybe(r, 2000000, 10000000);
    p->decay_us = maybe(r, 500000, 6000000);
    p->wipe_us = sim_rng_below(r, 3) ? 0 : sim_rng_between(r, 3000000, 12000000);
    p->amnesia_us = sim_rng_below(r, 3) ? 0 : sim_rng_between(r, 2000000, 12000000);
    p->change_us = maybe(r, 300000, 4000000);
    p->transfer_us = maybe(r, 300000, 5000000);
    p->astray_us = maybe(r, 500000, 6000000);
    p->drift_ppm = sim_rng_below(r, 2) ? (uint32_t) sim_rng_between(r, 100, 50000) : 0;
    p->flips_us = sim_rng_below(r, 3) ? 0 : sim_rng_between(r, 500000, 6000000);
}

void profile_draw(struct rig_profile *p, struct sim_rng *r, int members)
{
    static const int sizes[] = { 3, 3, 3, 5, 5, 1 };
    *p = (struct rig_profile){ .members = members };
    int drawn = sizes[sim_rng_below(r, sizeof sizes / sizeof sizes[0])];
    if (members == 0)
        p->members = drawn;
    p->clients = (int) sim_rng_between(r, 3, RIG_CLIENTS);
    p->chaos_us = sim_rng_between(r, 8000000, 25000000);
    p->think_us = sim_rng_between(r, 5000, 150000);
    p->flush_us = sim_rng_between(r, 1000, 300000);
    p->apply_us = sim_rng_between(r, 10, 3000);
    p->chunk_us = 1000;
    draw_net(&p->net, r);
    draw_disk(&p->disk, r);
    draw_member(&p->member, r);
    p->wal = (struct wal_config){ .segment_bytes = 64u << 10 << sim_rng_below(r, 3), .batch_bytes_max = 32u << 10 };
    draw_faults(p, r);
}
