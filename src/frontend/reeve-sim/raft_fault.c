/*
 * raft_fault.c - chaos, and the atlas of what may be damaged
 *
 * Every kind of fault has its own clock. Network, process and clock faults may
 * hit anybody at any time. What destroys durable bytes obeys the atlas: a
 * member may be damaged only while a majority of the voters is whole and holds
 * everything committed, so that a good copy of every committed entry stays;
 * and not in the newest frames, whose loss nobody could tell from a torn write
 * (engine/wal.h says so). Or all voters at once, in entries that are others in
 * each: every one can be read somewhere. Damaged members are whole again once they restarted,
 * repaired themselves and hold what was committed then.
 */
#include "raft_int.h"

static const char *const fault_names[] = {
    "partition", "oneway", "badlink", "kill", "power", "blackout", "pause", "leap", "restart", "hang", "slow", "eio", "full",
    "decay", "wipe", "change", "transfer", "amnesia", "astray", "flips",
};
enum fault { F_PARTITION, F_ONEWAY, F_BADLINK, F_KILL, F_POWER, F_BLACKOUT, F_PAUSE, F_LEAP, F_RESTART, F_HANG, F_SLOW, F_EIO, F_FULL,
             F_DECAY, F_WIPE, F_CHANGE, F_TRANSFER, F_AMNESIA, F_ASTRAY, F_FLIPS, F_COUNT };

static int64_t mean_of(const struct rig_profile *p, enum fault f)
{
    const int64_t mean[F_COUNT] = {
        p->partition_us, p->oneway_us, p->badlink_us, p->kill_us, p->power_us, p->blackout_us, p->pause_us, p->leap_us,
        p->restart_us, p->hang_us, p->slow_us, p->eio_us, p->full_us, p->decay_us, p->wipe_us, p->change_us, p->transfer_us,
        p->amnesia_us, p->astray_us, p->flips_us,
    };
    return mean[f];
}

static int64_t between(struct rig *r, int64_t lo, int64_t hi) { return sim_rng_between(&r->w.rng, lo, hi); }

/* Some machine that runs a member, the leader every third time; NULL. */
static struct node *victim(struct rig *r)
{
    struct node *leader = sim_rng_below(&r->w.rng, 3) == 0 ? rig_leader(r) : NULL;
    struct node *n = r->node[sim_rng_below(&r->w.rng, (uint64_t) r->n_nodes)];
    if (leader != NULL)
        return leader;
    return node_up(n) ? n : NULL;
}

static void note(struct rig *r, enum fault f, int node, int64_t for_us)
{
    sim_trace_text(&r->w, node, K_FAULT, f, (uint64_t) for_us, 0, "%s", fault_names[f]);
}

/* ---- network ---- */

static void mend(void *ctx, struct sim_event *e)
{
    struct rig *r = ctx;
    sim_net_partition(&r->net, 0);
}

static void mend_after(struct rig *r, int64_t us)
{
    sim_after(&r->w, us, SIM_NOBODY, mend, r, NULL, 0);
}

static void do_partition(struct rig *r)
{
    int64_t us = between(r, 200000, 5000000);
    uint32_t side = (uint32_t) sim_rng_below(&r->w.rng, 1u << r->n_nodes);
    if (r->n_nodes >= 5 && sim_rng_below(&r->w.rng, 4) == 0) {
        /* One bridge between two halves: everybody hears somebody, nobody hears all. */
        int bridge = (int) sim_rng_below(&r->w.rng, (uint64_t) r->n_nodes);
        sim_net_partition(&r->net, side);
        for (int i = 0; i < r->n_nodes; i++)
            if (i != bridge) {
                sim_net_cut(&r->net, i, bridge, false);
                sim_net_cut(&r->net, bridge, i, false);
            }
    } else {
        sim_net_partition(&r->net, side);
    }
    note(r, F_PARTITION, SIM_NOBODY, us);
    mend_after(r, us);
}

static void do_oneway(struct rig *r)
{
    struct node *n = victim(r);
    int64_t us = between(r, 200000, 5000000);
    if (n == NULL)
        return;
    bool sends = sim_rng_below(&r->w.rng, 2);
    sim_net_mute(&r->net, n->slot, sends, !sends);
    note(r, F_ONEWAY, n->slot, us);
    mend_after(r, us);
}

static void do_badlink(struct rig *r)
{
    int a = (int) sim_rng_below(&r->w.rng, (uint64_t) r->n_nodes), b = (int) sim_rng_below(&r->w.rng, (uint64_t) r->n_nodes);
    if (a == b)
        return;
    bool worse = sim_rng_below(&r->w.rng, 2);
    r->net.extra_us[a][b] = worse ? between(r, 1000, 400000) : 0;
    r->net.loss_ppm[a][b] = worse ? (uint32_t) between(r, 0, 600000) : 0;
    note(r, F_BADLINK, a, b);
}

/* ---- processes and clocks ---- */

static void do_death(struct rig *r, struct node *n, enum death d)
{
    if (n == NULL)
        return;
    int64_t us = between(r, 50000, 4000000);
    note(r, d == DEATH_KILL ? F_KILL : F_POWER, n->slot, us);
    node_die(n, d);
    node_restart_after(n, us);
}

static void do_blackout(struct rig *r)
{
    note(r, F_BLACKOUT, SIM_NOBODY, 0);
    for (int i = 0; i < r->n_nodes; i++)
        if (node_up(r->node[i]))
            do_death(r, r->node[i], DEATH_POWER);
}

static void do_pause(struct rig *r)
{
    struct node *n = victim(r);
    int64_t us = sim_rng_below(&r->w.rng, 3) ? between(r, 10000, 1000000) : between(r, 1000000, 10000000);
    if (n == NULL)
        return;
    note(r, F_PAUSE, n->slot, us);
    if (n->ran_since_us < r->w.now_us + us)
        n->ran_since_us = r->w.now_us + us;     /* of two pauses the longer one counts */
    sim_node_pause(&r->w, n->slot, us);
}

static void do_leap(struct rig *r)
{
    struct node *n = victim(r);
    if (n == NULL)
        return;
    int64_t us = between(r, 1000, 10000000);
    note(r, F_LEAP, n->slot, us);
    if (sim_rng_below(&r->w.rng, 2)) {
        sim_clock_leap(&r->w, n->slot, us);
        if (sim_node_runs(&r->w, n->slot))
            node_step(n, &(struct member_event){ .type = MEMBER_E_CLOCK });
    } else {
        sim_clock_wall_jump(&r->w, n->slot, between(r, -us, us));
    }
}

static void stop_late(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    if (!node_up(n))
        return;
    node_die(n, DEATH_KILL);
    node_restart_after(n, 100000);
}

static void do_restart(struct rig *r)
{
    struct node *n = victim(r);
    if (n == NULL || !sim_node_runs(&r->w, n->slot))
        return;
    note(r, F_RESTART, n->slot, 0);
    sim_after(&r->w, 5000000, n->slot, stop_late, n, NULL, 0);
    node_step(n, &(struct member_event){ .type = MEMBER_E_STOP });
}

/* ---- disks ---- */

static void disk_mend(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    if (n->disk.hung)
        sim_disk_hang(&n->disk, false);
    n->disk.slow_us = 0;
    n->disk.p.capacity = 0;
    n->disk.p.eio_write_ppm = n->disk.p.eio_sync_ppm = 0;
}

static void do_disk(struct rig *r, enum fault f)
{
    struct node *n = victim(r);
    int64_t us = f == F_HANG ? between(r, 100000, 8000000) : between(r, 200000, 4000000);
    if (n == NULL)
        return;
    note(r, f, n->slot, us);
    switch (f) {
    case F_HANG: sim_disk_hang(&n->disk, true); break;
    case F_SLOW: n->disk.slow_us = between(r, 1000, 150000); break;
    case F_EIO:
        *(sim_rng_below(&r->w.rng, 2) ? &n->disk.p.eio_write_ppm : &n->disk.p.eio_sync_ppm) = 300000;
        us = between(r, 10000, 300000);
        break;
    case F_FULL: n->disk.p.capacity = sim_disk_used(&n->disk); break;
    default: break;
    }
    sim_after(&r->w, us, SIM_NOBODY, disk_mend, n, NULL, 0);
}

/* ---- the atlas ---- */

static bool whole(const struct rig *r, const struct node *n, uint64_t incarnation)
{
    return n != NULL && node_up(n) && n->incarnation == incarnation && !n->damaged && !n->wiped && !n->mute_mark &&
           n->sh.durable >= r->committed;
}

/* A configuration on its way, in anybody's log: whom it needs is not settled. */
static bool change_under_way(const struct rig *r)
{
    for (int i = 0; i < r->n_nodes; i++) {
        const struct shadow *sh = &r->node[i]->sh;
        for (uint64_t k = r->committed + 1; k <= sh->last; k++)
            if (sh->conf[k] && sh->term[k] != 0)
                return true;
    }
    return r->change_open;
}

bool atlas_may_damage(const struct rig *r, const struct node *n)
{
    const struct raft_conf *c = &r->last_conf;
    unsigned voters = 0, good = 0;
    if (!node_up(n) || n->damaged || n->wiped || c->n == 0 || c->joint || change_under_way(r))
        return false;
    for (unsigned i = 0; i < c->n; i++) {
        if (!(c->m[i].role & RAFT_VOTER))
            continue;
        const struct node *m = node_of((struct rig *) (uintptr_t) r, c->m[i].id);
        voters++;
        good += m != n && whole(r, m, c->m[i].incarnation);
    }
    return good * 2 > voters;
}

/* Who was damaged in an earlier life, runs as a full member and holds what was committed then is whole. */
void atlas_look(struct rig *r)
{
    for (int i = 0; i < r->n_nodes; i++) {
        struct node *n = r->node[i];
        struct member_status s;
        if (!n->damaged || !node_up(n) || r->w.node[i].life <= n->damage_life || n->wal.w == NULL)
            continue;
        struct wal_status ws;
        wal_status(n->wal.w, &ws);
        member_status(n->m, &s);
        if (s.raft.mode != RAFT_START_CLEAN || ws.holes.n > 0 || n->mute_mark || s.raft.commit < n->damage_commit ||
            n->sh.durable < n->damage_commit)
            continue;
        n->damaged = false;
        sim_trace(&r->w, i, K_NOTE, 5, n->damage_commit, 0);
    }
}

/* ---- decay ---- */

/* The frames of the newest two writes are spared unless all has its record; so is what no frame reached. */
static bool pick_segment(struct node *n, char *name, uint64_t *off)
{
    struct rig *r = n->rig;
    const char *all[SIM_FILES_MAX], *f;
    size_t count = 0;
    for (size_t i = 0; (f = sim_disk_name(&n->disk, i)) != NULL; i++)
        if (strncmp(f, "seg-", 4) == 0)
            all[count++] = f;
    if (count == 0)
        return false;
    f = all[sim_rng_below(&r->w.rng, count)];
    unsigned epoch = 0;
    if (sscanf(f, "seg-%u", &epoch) != 1)
        return false;
    uint64_t end = r->p.wal.segment_bytes;
    struct wal_status ws;
    wal_status(n->wal.w, &ws);
    bool recorded = wal_idle(n->wal.w);
    if (recorded && epoch == ws.epoch)
        end = (uint64_t) ws.block * WAL_BLOCK;
    for (int i = 0; i < 2 && !recorded; i++) {
        const struct wal_mark *m = &n->wal.recent[i];
        if (m->epoch != 0 && epoch > m->epoch)
            return false;
        if (epoch == m->epoch && m->off < end)
            end = m->off;
    }
    if (n->wal.recent[1].epoch == 0 || end == 0)
        return false;
    if (recorded && epoch == ws.epoch && sim_rng_below(&r->w.rng, 2) == 0) {
        snprintf(name, SIM_NAME_MAX + 1, "%s", f);
        *off = n->wal.recent[0].off + sim_rng_below(&r->w.rng, 300);     /* the newest frame */
        return true;
    }
    snprintf(name, SIM_NAME_MAX + 1, "%s", f);
    *off = sim_rng_below(&r->w.rng, end);
    return true;
}

static void decay_at(struct node *n, const char *name, uint64_t off)
{
    struct rig *r = n->rig;
    uint64_t block = off / WAL_BLOCK * WAL_BLOCK;
    uint8_t bytes[SIM_SECTOR] = { 0 };
    switch (sim_rng_below(&r->w.rng, 4)) {
    case 0:
        sim_disk_flip(&n->disk, name, off, (unsigned) sim_rng_below(&r->w.rng, 8));
        break;
    case 1:                             /* a block that cannot be read until it is written again */
        snprintf(n->bad_block_file, sizeof n->bad_block_file, "%s", name);
        n->bad_block_off = block;
        break;
    case 2:                             /* a lost write: the sector is as it was before */
        sim_disk_overwrite(&n->disk, name, off / SIM_SECTOR * SIM_SECTOR, slice_of(bytes, sizeof bytes));
        break;
    case 3: {                           /* a misdirected one: another frame's bytes stand here */
        struct slice s;
        uint8_t other[WAL_BLOCK];
        if (!sim_disk_read(&n->disk, name, &s) || s.len < WAL_BLOCK)
            return;
        memcpy(other, s.p + sim_rng_below(&r->w.rng, s.len / WAL_BLOCK) * WAL_BLOCK, sizeof other);
        sim_disk_overwrite(&n->disk, name, block, slice_of(other, sizeof other));
        break;
    }
    }
    sim_trace_text(&r->w, n->slot, K_FAULT, F_DECAY, off, 0, "decay %s", name);
}

void atlas_mark_damaged(struct node *n)
{
    n->damaged = n->was_damaged = true;
    n->damage_commit = n->rig->committed;
    n->damage_life = n->rig->w.node[n->slot].life;
}

void atlas_unmark(struct node *n, bool was_damaged)
{
    n->damaged = false;
    n->was_damaged = was_damaged;
}

/* Nobody knows any more what was durable: the newest frame cannot be read, and no record tells of it. */
static void do_amnesia(struct rig *r)
{
    struct node *n = victim(r);
    struct slice s;
    char name[SIM_NAME_MAX + 1];
    if (n == NULL || !atlas_may_damage(r, n) || n->wal.formatting || n->wal.recent[0].epoch == 0 || !sim_disk_read(&n->disk, "ident", &s))
        return;
    note(r, F_AMNESIA, n->slot, 0);
    atlas_mark_damaged(n);
    snprintf(name, sizeof name, "seg-%06u", n->wal.recent[0].epoch);
    snprintf(n->bad_block_file, sizeof n->bad_block_file, "%s", name);
    n->bad_block_off = n->wal.recent[0].off;
    node_die(n, DEATH_KILL);
    sim_disk_remove(&n->disk, "ident");
    node_restart_after(n, between(r, 50000, 1000000));
}

static void do_decay(struct rig *r)
{
    struct node *n = victim(r);
    static const char *const small[] = { "ident", "meta-a", "meta-b" };
    char name[SIM_NAME_MAX + 1];
    uint64_t off;
    struct slice s;
    if (n == NULL || !atlas_may_damage(r, n) || n->wal.formatting)
        return;
    if (sim_rng_below(&r->w.rng, 4) == 0) {
        snprintf(name, sizeof name, "%s", small[sim_rng_below(&r->w.rng, 3)]);
        if (!sim_disk_read(&n->disk, name, &s) || s.len == 0)
            return;
        off = sim_rng_below(&r->w.rng, s.len);
    } else if (!pick_segment(n, name, &off)) {
        return;
    }
    atlas_mark_damaged(n);
    decay_at(n, name, off);
    uint64_t how = sim_rng_below(&r->w.rng, 6);
    if (how >= 4)                       /* it shows when all begin anew, and nobody leads yet */
        do_blackout(r);
    else if (how >= 2)
        do_death(r, n, how == 2 ? DEATH_KILL : DEATH_POWER);
}

static void astray_shows(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    struct rig *r = n->rig;
    if (!r->chaos || r->violated || !node_up(n))
        return;
    uint64_t how = sim_rng_below(&r->w.rng, 3);
    if (how == 2)
        do_blackout(r);
    else
        do_death(r, n, how == 0 ? DEATH_KILL : DEATH_POWER);
}

/* The next write is reported as done and goes nowhere, or elsewhere. It shows soon, or whenever else this machine restarts. */
static void do_astray(struct rig *r)
{
    struct node *n = victim(r);
    if (n == NULL || !atlas_may_damage(r, n) || n->wal.formatting || n->wal.w == NULL)
        return;
    note(r, F_ASTRAY, n->slot, 0);
    astray_arm(n, sim_rng_below(&r->w.rng, 2));
    if (sim_rng_below(&r->w.rng, 2))
        sim_after(&r->w, between(r, 1000, 400000), SIM_NOBODY, astray_shows, n, NULL, 0);
}

/* ---- all logs at once ---- */

/* Every voter runs, is whole and holds what is committed; above all cuts, so that each can read it after a restart. */
static bool all_whole(const struct rig *r, struct node **voter, unsigned *n, uint64_t *cut)
{
    const struct raft_conf *c = &r->last_conf;
    *n = 0;
    *cut = 0;
    if (c->n == 0 || c->joint || change_under_way(r) || r->committed == 0)
        return false;
    for (unsigned i = 0; i < c->n; i++) {
        struct wal_status ws;
        struct node *m = node_of((struct rig *) (uintptr_t) r, c->m[i].id);
        if (!(c->m[i].role & RAFT_VOTER))
            continue;
        if (!whole(r, m, c->m[i].incarnation) || m->wal.formatting || m->sh.term[r->committed] != r->c_term[r->committed])
            return false;
        wal_status(m->wal.w, &ws);
        *cut = ws.cut > *cut ? ws.cut : *cut;
        voter[(*n)++] = m;
    }
    return *n > 1;
}

/* The newest frame with nothing at or above below; not of the newest two, which could pass for torn. */
static const struct wal_written *frame_below(const struct node *n, uint64_t below, uint64_t cut)
{
    const struct wal_run *w = &n->wal;
    for (uint64_t k = w->n_written; k > 0 && k + WAL_WRITTEN_MAX > w->n_written; k--) {
        const struct wal_written *f = &w->written[(k - 1) % WAL_WRITTEN_MAX];
        bool newest = (f->at.epoch == w->recent[0].epoch && f->at.off == w->recent[0].off) ||
                      (f->at.epoch == w->recent[1].epoch && f->at.off == w->recent[1].off);
        if (!newest && f->last < below && f->first > cut)
            return f;
    }
    return NULL;
}

/* Scenario 43: a bit flips in every voter's log, in other entries in each, and all lose power: what one has lost the others can read. */
static void do_flips(struct rig *r)
{
    struct node *voter[RAFT_MEMBERS_MAX];
    const struct wal_written *f[RAFT_MEMBERS_MAX];
    unsigned n, first;
    uint64_t cut, below = r->committed;
    char name[SIM_NAME_MAX + 1];
    if (!all_whole(r, voter, &n, &cut))
        return;
    first = (unsigned) sim_rng_below(&r->w.rng, n);
    for (unsigned i = 0; i < n; i++) {
        unsigned k = (first + i) % n;
        f[k] = frame_below(voter[k], below, cut);
        if (f[k] == NULL)
            return;
        below = f[k]->first;
    }
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof name, "seg-%06u", f[i]->at.epoch);
        sim_trace_text(&r->w, voter[i]->slot, K_FAULT, F_FLIPS, f[i]->first, f[i]->last, "flips in %llu..%llu, stored %llu, committed %llu",
                       (unsigned long long) f[i]->first, (unsigned long long) f[i]->last, (unsigned long long) voter[i]->stored.index,
                       (unsigned long long) r->committed);
        atlas_mark_damaged(voter[i]);
        sim_disk_flip(&voter[i]->disk, name, f[i]->at.off + sim_rng_below(&r->w.rng, f[i]->bytes), (unsigned) sim_rng_below(&r->w.rng, 8));
    }
    r->n_flips++;
    do_blackout(r);
}

/* A new disk under the old name: another incarnation, which nobody may count. */
static void do_wipe(struct rig *r)
{
    struct node *n = victim(r);
    if (n == NULL || !atlas_may_damage(r, n))
        return;
    note(r, F_WIPE, n->slot, 0);
    uint32_t id = n->id;
    node_die(n, DEATH_POWER);
    check_will_be_wiped(n);
    node_join(n, id, false);
    n->wiped = true;
    node_restart_after(n, between(r, 50000, 1000000));
}

static void do_transfer(struct rig *r)
{
    struct node *n = rig_leader(r);
    if (n == NULL || !sim_node_runs(&r->w, n->slot))
        return;
    uint32_t peer = (uint32_t) sim_rng_below(&r->w.rng, r->next_id + 1);
    note(r, F_TRANSFER, n->slot, peer);
    node_step(n, &(struct member_event){ .type = MEMBER_E_TRANSFER, .peer = peer });
}

/* Cut off in the very step: nothing that it just sent arrives, and it goes on believing for a while. */
void fault_isolate(struct rig *r, struct node *n)
{
    int64_t us = between(r, 500000, 8000000);
    note(r, F_ONEWAY, n->slot, us);
    sim_net_mute(&r->net, n->slot, true, true);
    mend_after(r, us);
}

/* ---- clocks of faults ---- */

static void fault_due(void *ctx, struct sim_event *e);

static void arm(struct rig *r, enum fault f)
{
    if (mean_of(&r->p, f) > 0)
        sim_after(&r->w, sim_rng_exponential(&r->w.rng, mean_of(&r->p, f)), SIM_NOBODY, fault_due, r, NULL, 0)->a = f;
}

static void fault_do(struct rig *r, enum fault f)
{
    switch (f) {
    case F_PARTITION: do_partition(r); break;
    case F_ONEWAY:    do_oneway(r); break;
    case F_BADLINK:   do_badlink(r); break;
    case F_KILL:      do_death(r, victim(r), DEATH_KILL); break;
    case F_POWER:     do_death(r, victim(r), DEATH_POWER); break;
    case F_BLACKOUT:  do_blackout(r); break;
    case F_PAUSE:     do_pause(r); break;
    case F_LEAP:      do_leap(r); break;
    case F_RESTART:   do_restart(r); break;
    case F_HANG: case F_SLOW: case F_EIO: case F_FULL: do_disk(r, f); break;
    case F_DECAY:     do_decay(r); break;
    case F_WIPE:      do_wipe(r); break;
    case F_CHANGE:    admin_change(r); break;
    case F_TRANSFER:  do_transfer(r); break;
    case F_AMNESIA:   do_amnesia(r); break;
    case F_ASTRAY:    do_astray(r); break;
    case F_FLIPS:     do_flips(r); break;
    case F_COUNT:     break;
    }
}

static void fault_due(void *ctx, struct sim_event *e)
{
    struct rig *r = ctx;
    if (!r->chaos || r->violated)
        return;
    fault_do(r, (enum fault) e->a);
    arm(r, (enum fault) e->a);
}

void faults_start(struct rig *r)
{
    for (int f = 0; f < F_COUNT; f++)
        arm(r, (enum fault) f);
}

/* What lies damaged and unnoticed is met now: such machines restart. */
void faults_lift(struct rig *r)
{
    r->chaos = false;
    sim_net_heal(&r->net);
    for (int i = 0; i < r->n_nodes; i++) {
        struct node *n = r->node[i];
        sim_disk_heal(&n->disk);
        if (!r->w.node[i].up) {
            if (n->id != 0 && !n->want_up)
                node_restart_after(n, 100000);
            continue;
        }
        sim_node_resume(&r->w, i);
        if (n->ran_since_us > r->w.now_us)
            n->ran_since_us = r->w.now_us;
        sim_clock_drift(&r->w, i, 0);
        if (n->damaged && n->m != NULL && n->damage_life == r->w.node[i].life) {
            node_die(n, DEATH_KILL);
            node_restart_after(n, 100000);
        }
    }
}
