/* raft_rig.c - one run: machines up, chaos, all faults lifted, healing within a bound, the clients' judgement. */
#include "raft_int.h"

#include <stdarg.h>
#include <stdlib.h>

#define HEAL_US    60000000
#define SETTLE_US  2000000

const char *rig_kind_name(uint32_t kind)
{
    static const char *const names[] = { "event", "effect", "role", "commit", "apply", "wal", "client", "fault", "admin", "snap", "note" };
    return kind - SIM_KIND_HOST < sizeof names / sizeof names[0] ? names[kind - SIM_KIND_HOST] : "?";
}

void violation(struct rig *r, const char *invariant, const char *fmt, ...)
{
    if (r->violated)
        return;
    r->violated = true;
    snprintf(r->invariant, sizeof r->invariant, "%s", invariant);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->evidence, sizeof r->evidence, fmt, ap);
    va_end(ap);
}

void rig_init(struct rig *r, uint64_t seed, int members, bool climb, FILE *trace)
{
    memset(r, 0, sizeof *r);
    sim_world_init(&r->w, seed);
    r->w.trace = trace;
    r->w.kind_name = rig_kind_name;
    profile_draw(&r->p, &r->w.rng, members);
    r->climb = climb;
    if (climb)
        profile_climb(&r->p);
    r->op = calloc(RIG_OPS, sizeof *r->op);
    r->seen = calloc(1u << 16, sizeof *r->seen);
    reeve_assert(r->op != NULL && r->seen != NULL);
    for (int i = 0; i < RIG_IDS_MAX; i++)
        r->slot_of[i] = -1;
    r->n_nodes = r->p.members;
    sim_net_init(&r->net, &r->w, r->n_nodes, &r->p.net, node_receive, r);
    for (int i = 0; i < r->n_nodes; i++) {
        r->node[i] = node_new(r, i);
        node_join(r->node[i], (uint32_t) i + 1, true);
        r->first_incarnation[i] = r->node[i]->incarnation;
    }
    r->next_id = (uint32_t) r->n_nodes;
}

void rig_free(struct rig *r)
{
    for (int i = 0; i < RIG_SLOTS; i++)
        node_free(r->node[i]);
    for (int i = 0; i < RIG_IDS_MAX; i++)
        free(r->promise[i]);
    free(r->op);
    free(r->seen);
    free(r->votes);
    sim_world_free(&r->w);
}

static void run_until(struct rig *r, int64_t until)
{
    while (!r->violated && sim_world_step(&r->w, until))
        ;
}

static void heal(struct rig *r)
{
    char why[256] = "";
    int64_t began = r->w.now_us;
    r->healing = true;
    while (!r->violated && r->w.now_us - began < HEAL_US) {
        run_until(r, r->w.now_us + 100000);
        /* Clients finish what they have, then nothing new but the fresh write and read. */
        r->quiet = r->w.now_us - began > SETTLE_US;
        if (r->quiet && rig_healed(r, why, sizeof why)) {
            r->healed_us = r->w.now_us - began;
            return;
        }
    }
    violation(r, "heals", "%d s after the last fault: %s", HEAL_US / 1000000, why);
}

static void chaos(struct rig *r)
{
    admin_start(r);
    run_until(r, 1000000);
    faults_start(r);
    run_until(r, r->w.now_us + r->p.chaos_us);
}

bool rig_run(struct rig *r)
{
    r->chaos = true;
    for (int i = 0; i < r->n_nodes; i++)
        node_boot(r->node[i]);
    clients_start(r);
    if (r->climb)
        rig_climb(r);
    else
        chaos(r);
    if (!r->violated)
        faults_lift(r);
    heal(r);
    if (!r->violated)
        oracle_check(r);
    return !r->violated;
}
