/* attest_fault.c - chaos: what happens to links, machines, clocks, signers and stores, and its end. */
#include "attest_int.h"

typedef void fault_fn(struct arig *r);
struct fault { int64_t mean_us; fault_fn *fn; };

static struct machine *pick(struct arig *r)
{
    return r->m[sim_rng_below(&r->w.rng, (uint64_t) r->n_machines)];
}

static int64_t lasts(struct arig *r)
{
    return sim_rng_between(&r->w.rng, 50000, 6000000);
}

static void note(struct arig *r, const struct machine *m, int kind)
{
    r->n_faults++;
    sim_trace(&r->w, m == NULL ? SIM_NOBODY : m->slot, AK_FAULT, (uint64_t) kind, 0, 0);
}

/* ---- links ---- */

static void mend(void *ctx, struct sim_event *e)
{
    struct arig *r = ctx;
    for (int i = 0; i < r->n_machines; i++)
        for (int k = 0; k < r->n_machines; k++)
            if (i != k)
                sim_net_cut(&r->net, i, k, false);
}

/* Two or three sides, each link between them cut. */
static void partition(struct arig *r)
{
    uint8_t side[RIG_MACHINES];
    uint64_t sides = sim_rng_below(&r->w.rng, 4) == 0 ? 3 : 2;
    note(r, NULL, 1);
    for (int i = 0; i < r->n_machines; i++)
        side[i] = (uint8_t) sim_rng_below(&r->w.rng, sides);
    for (int i = 0; i < r->n_machines; i++)
        for (int k = 0; k < r->n_machines; k++)
            if (i != k)
                sim_net_cut(&r->net, i, k, side[i] != side[k]);
    sim_after(&r->w, lasts(r), SIM_NOBODY, mend, r, NULL, 0);
}

static void oneway(struct arig *r)
{
    note(r, NULL, 2);
    for (int n = 1 + (int) sim_rng_below(&r->w.rng, (uint64_t) r->n_machines); n > 0; n--) {
        int a = pick(r)->slot, b = pick(r)->slot;
        if (a != b)
            sim_net_cut(&r->net, a, b, true);
    }
    sim_after(&r->w, lasts(r), SIM_NOBODY, mend, r, NULL, 0);
}

static struct machine *leader(struct arig *r)
{
    struct simplex_status st;
    for (int i = 0; i < r->n_machines; i++)
        if (honest(r->m[i]) && machine_up(r->m[i])) {
            simplex_status(r->m[i]->s, &st);
            return r->m[st.leader];
        }
    return pick(r);
}

/* Right after a proposal it hurts most; the leader is busy half of the time anyway. */
static void isolate(struct arig *r)
{
    struct machine *m = sim_rng_below(&r->w.rng, 3) ? leader(r) : pick(r);
    uint64_t way = sim_rng_below(&r->w.rng, 3);
    note(r, m, 3);
    sim_net_mute(&r->net, m->slot, way != 1, way != 0);
    sim_after(&r->w, lasts(r), SIM_NOBODY, mend, r, NULL, 0);
}

static void badlink(struct arig *r)
{
    struct machine *m = pick(r);
    note(r, m, 4);
    for (int i = 0; i < r->n_machines; i++) {
        r->net.loss_ppm[m->slot][i] = (uint32_t) sim_rng_below(&r->w.rng, 600000);
        r->net.extra_us[m->slot][i] += sim_rng_between(&r->w.rng, 0, 500000);
    }
}

/* ---- machines ---- */

static void kill_one(struct arig *r)
{
    struct machine *m = pick(r);
    if (!machine_up(m))
        return;
    note(r, m, 5);
    machine_die(m);
    machine_restart_after(m, sim_rng_between(&r->w.rng, 1000, 5000000));
}

/* Dies between two effects of one step: between store and send, between one message and the next. */
static void midstep(struct arig *r)
{
    struct machine *m = pick(r);
    if (!machine_up(m))
        return;
    note(r, m, 6);
    m->die_after = (int) sim_rng_between(&r->w.rng, 1, 12);
}

static void blackout(struct arig *r)
{
    note(r, NULL, 7);
    for (int i = 0; i < r->n_machines; i++)
        if (machine_up(r->m[i])) {
            machine_die(r->m[i]);
            machine_restart_after(r->m[i], sim_rng_between(&r->w.rng, 1000, 2000000));
        }
}

static void pause_one(struct arig *r)
{
    struct machine *m = pick(r);
    if (!machine_up(m))
        return;
    note(r, m, 8);
    sim_node_pause(&r->w, m->slot, lasts(r));
}

/* ---- clocks: of fewer than could hold up a quorum together with the faulty ones ---- */

static void leap(struct arig *r)
{
    struct machine *m = pick(r);
    if (!machine_up(m))
        return;
    note(r, m, 9);
    sim_clock_leap(&r->w, m->slot, sim_rng_between(&r->w.rng, 1000, 3600000000));
}

static void wall_jump(struct arig *r)
{
    struct machine *m = r->m[r->p.n - 1 - (int) sim_rng_below(&r->w.rng, (uint64_t) (r->p.n - 1) / 3 + 1)];
    int64_t by = sim_rng_below(&r->w.rng, 2) ? sim_rng_between(&r->w.rng, -3600000000, 3600000000)
                                             : sim_rng_between(&r->w.rng, -3000000, 3000000);
    note(r, m, 10);
    sim_clock_wall_jump(&r->w, m->slot, by);
    m->wall_off_us += by;
}

/* ---- signers and stores ---- */

static void signer_well(void *ctx, struct sim_event *e)
{
    struct machine *m = ctx;
    m->signer_slow_us = m->disk_slow_us = 0;
    m->signer_down = false;
}

static void signer_slow(struct arig *r)
{
    struct machine *m = sim_rng_below(&r->w.rng, 2) ? leader(r) : pick(r);
    note(r, m, 11);
    m->signer_slow_us = sim_rng_between(&r->w.rng, 50000, 800000);
    sim_after(&r->w, lasts(r), SIM_NOBODY, signer_well, m, NULL, 0);
}

static void signer_down(struct arig *r)
{
    struct machine *m = pick(r);
    note(r, m, 12);
    m->signer_down = true;
    sim_after(&r->w, lasts(r), SIM_NOBODY, signer_well, m, NULL, 0);
}

static void disk_slow(struct arig *r)
{
    struct machine *m = pick(r);
    note(r, m, 13);
    m->disk_slow_us = sim_rng_between(&r->w.rng, 20000, 1000000);
    sim_after(&r->w, lasts(r), SIM_NOBODY, signer_well, m, NULL, 0);
}

/*
 * A backup comes back. Either the signer's memory or the store's, for one
 * machine always the same of the two: whoever loses both has lost what an
 * honest machine must know, and counts among the faulty (EVIL_AMNESIAC).
 */
static void old_memory(struct arig *r, bool store)
{
    struct machine *m = r->m[(sim_rng_below(&r->w.rng, (uint64_t) r->n_machines) & ~(uint64_t) 1) + (store ? 1 : 0)];
    if (m == NULL || m->slot >= r->n_machines || !machine_up(m))
        return;
    note(r, m, store ? 15 : 14);
    machine_die(m);
    if (!store)
        m->signer = m->old_signer;
    else if (m->old_store.height <= m->store.height)
        m->store = m->old_store;
    machine_restart_after(m, sim_rng_between(&r->w.rng, 1000, 2000000));
}

static void old_signer(struct arig *r) { old_memory(r, false); }

/* Without a signer that remembers, the store is all the memory there is. */
static void old_store(struct arig *r)
{
    if (!r->p.naive_signers)
        old_memory(r, true);
}

static void back_up(void *ctx, struct sim_event *e)
{
    struct arig *r = ctx;
    for (int i = 0; i < r->n_machines; i++)
        if (sim_rng_below(&r->w.rng, 4) == 0)
            store_back_up(r->m[i]);
    if (!r->healing)
        sim_after(&r->w, 3000000, SIM_NOBODY, back_up, r, NULL, 0);
}

static void amnesia(void *ctx, struct sim_event *e)
{
    struct arig *r = ctx;
    for (int i = 0; i < r->n_machines; i++) {
        struct machine *m = r->m[i];
        if (m->evil != EVIL_AMNESIAC || !machine_up(m) || sim_rng_below(&r->w.rng, 2))
            continue;
        note(r, m, 16);
        machine_die(m);
        if (m->old_store.height <= m->store.height)
            m->store = m->old_store;
        machine_restart_after(m, sim_rng_between(&r->w.rng, 1000, 500000));
    }
    if (!r->healing)
        sim_after(&r->w, sim_rng_between(&r->w.rng, 500000, 5000000), SIM_NOBODY, amnesia, r, NULL, 0);
}

/* ---- when ---- */

enum { FAULT_KINDS = 15 };

static void faults_of(const struct aprofile *p, struct fault f[FAULT_KINDS])
{
    const struct fault all[FAULT_KINDS] = {
        { p->partition_us, partition }, { p->oneway_us, oneway }, { p->isolate_us, isolate }, { p->badlink_us, badlink },
        { p->kill_us, kill_one }, { p->midstep_us, midstep }, { p->blackout_us, blackout }, { p->pause_us, pause_one },
        { p->leap_us, leap }, { p->wall_us, wall_jump }, { p->signer_slow_us, signer_slow }, { p->signer_down_us, signer_down },
        { p->disk_us, disk_slow }, { p->old_signer_us, old_signer }, { p->old_store_us, old_store },
    };
    memcpy(f, all, sizeof all);
}

static void fault_next(struct arig *r, uint64_t k);

static void fault_due(void *ctx, struct sim_event *e)
{
    struct arig *r = ctx;
    struct fault f[FAULT_KINDS];
    if (!r->chaos)
        return;
    faults_of(&r->p, f);
    f[e->a].fn(r);
    fault_next(r, e->a);
}

static void fault_next(struct arig *r, uint64_t k)
{
    struct fault f[FAULT_KINDS];
    faults_of(&r->p, f);
    sim_after(&r->w, 1 + sim_rng_exponential(&r->w.rng, f[k].mean_us), SIM_NOBODY, fault_due, r, NULL, 0)->a = k;
}

void afaults_start(struct arig *r)
{
    struct fault f[FAULT_KINDS];
    faults_of(&r->p, f);
    for (uint64_t k = 0; k < FAULT_KINDS; k++)
        if (f[k].mean_us > 0)
            fault_next(r, k);
    sim_after(&r->w, 1000000, SIM_NOBODY, back_up, r, NULL, 0);
    sim_after(&r->w, 2000000, SIM_NOBODY, amnesia, r, NULL, 0);
}

/* Links, clocks, signers and disks are well; who was down comes up. Byzantine machines stay what they are. */
void afaults_lift(struct arig *r)
{
    r->chaos = false;
    r->healing = true;
    sim_net_heal(&r->net);
    places_apply(r);
    note(r, NULL, 99);
    for (int i = 0; i < r->n_machines; i++) {
        struct machine *m = r->m[i];
        m->die_after = 0;
        m->other_rule = false;
        signer_well(m, NULL);
        sim_node_resume(&r->w, i);
        if (m->wall_off_us != 0)
            sim_clock_wall_jump(&r->w, i, -m->wall_off_us);
        m->wall_off_us = 0;
        sim_clock_drift(&r->w, i, 0);
        sim_clock_wall_jump(&r->w, i, r->w.now_us + 1700000000000000 - sim_clock_wall_us(&r->w, i));
        if (!r->w.node[i].up)
            machine_restart_after(m, 1000);
    }
}
