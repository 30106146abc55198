/*
 * raft_admin.c - the operator: members come, are promoted, demoted, go, are replaced
 *
 * It knows what was committed last and asks the leader; it never plans ahead.
 * A machine whose member is no longer in the ring is switched off and free for
 * a new member, who has a new id.
 */
#include "raft_int.h"

#define GONE_US 1500000

static const struct raft_member *in_ring(const struct rig *r, const struct node *n)
{
    const struct raft_member *m = n->id ? raft_conf_find(&r->last_conf, n->id) : NULL;
    return m;
}

static unsigned count_role(const struct rig *r, uint8_t role)
{
    unsigned k = 0;
    for (unsigned i = 0; i < r->last_conf.n; i++)
        k += (r->last_conf.m[i].role & role) != 0;
    return k;
}

/* The n-th member with that role. */
static const struct raft_member *pick_role(struct rig *r, uint8_t role)
{
    unsigned k = count_role(r, role);
    if (k == 0)
        return NULL;
    k = (unsigned) sim_rng_below(&r->w.rng, k);
    for (unsigned i = 0; i < r->last_conf.n; i++)
        if ((r->last_conf.m[i].role & role) && k-- == 0)
            return &r->last_conf.m[i];
    return NULL;
}

static void ask_leader(struct rig *r, const struct raft_change *ch, size_t n)
{
    struct node *l = rig_leader(r);
    if (l == NULL || !sim_node_runs(&r->w, l->slot))
        return;
    struct ticket *t = node_ticket(l, TICKET_CHANGE, 0, 0, 0);
    if (t == NULL)
        return;
    uint64_t number = t->ticket;
    r->change_open = true;
    r->change_since_us = r->w.now_us;
    sim_trace(&r->w, l->slot, K_ADMIN, ch[0].kind, ch[0].id, n);
    struct member_status s;
    member_status(l->m, &s);
    if (node_step(l, &(struct member_event){ .type = MEMBER_E_CHANGE, .ticket = number, .change = ch, .n = n }) == REEVE_OK) {
        if (s.raft.role == RAFT_LEADER && (!s.raft.committed_in_term || s.raft.conf_index > s.raft.commit))
            violation(r, "a change waits for its turn", "n%d took a change: committed in its term %d, configuration at %llu, committed %llu",
                      l->slot, s.raft.committed_in_term, (unsigned long long) s.raft.conf_index, (unsigned long long) s.raft.commit);
        if (r->chaos && r->p.partition_us > 0 && sim_rng_below(&r->w.rng, 4) == 0)
            fault_isolate(r, l);        /* its configuration stands in its own log alone */
        return;
    }
    r->change_open = false;
    for (size_t i = 0; i < l->n_tickets; i++)
        if (l->ticket[i].ticket == number)
            l->ticket[i] = l->ticket[--l->n_tickets];
}

static void ask_one(struct rig *r, uint8_t kind, uint32_t id)
{
    struct raft_change ch = { .kind = kind, .id = id };
    ask_leader(r, &ch, 1);
}

/* ---- new members ---- */

static struct node *free_machine(struct rig *r)
{
    for (int i = 0; i < r->n_nodes; i++)
        if (r->node[i]->id == 0)
            return r->node[i];
    if (r->n_nodes == RIG_SLOTS || r->n_nodes == r->p.members + 3)
        return NULL;
    int slot = r->n_nodes;
    r->node[slot] = node_new(r, slot);
    r->net.n = ++r->n_nodes;
    return r->node[slot];
}

/* Somebody who runs, waits and is not in the ring. */
static struct node *waiting(struct rig *r)
{
    for (int i = 0; i < r->n_nodes; i++) {
        struct node *n = r->node[i];
        if (node_up(n) && n->id > r->last_conf.last_id)
            return n;
    }
    return NULL;
}

static void add_learner(struct rig *r)
{
    struct node *n = waiting(r);
    if (n == NULL) {
        n = r->next_id + 1 < RIG_IDS_MAX ? free_machine(r) : NULL;
        if (n == NULL)
            return;
        node_join(n, ++r->next_id, false);
        node_boot(n);
    }
    struct raft_change ch = { .kind = RAFT_ADD_LEARNER, .id = n->id, .incarnation = n->incarnation };
    ask_leader(r, &ch, 1);
}

/* ---- what to ask for ---- */

static uint32_t wiped_id(const struct rig *r)
{
    for (int i = 0; i < r->n_nodes; i++) {
        const struct raft_member *m = in_ring(r, r->node[i]);
        if (m != NULL && m->incarnation != r->node[i]->incarnation)
            return m->id;
    }
    return 0;
}

static bool any_damaged(const struct rig *r)
{
    for (int i = 0; i < r->n_nodes; i++)
        if (r->node[i]->damaged)
            return true;
    return false;
}

/* One learner up, one voter down, in one change. */
static void replace(struct rig *r, const struct raft_member *learner)
{
    const struct raft_member *v = pick_role(r, RAFT_VOTER);
    struct raft_change ch[2] = { { .kind = RAFT_PROMOTE, .id = learner->id }, { .kind = RAFT_REMOVE } };
    if (v == NULL || sim_rng_below(&r->w.rng, 2)) {
        ask_leader(r, ch, 1);
        return;
    }
    ch[1].id = v->id;
    ask_leader(r, ch, 2);
}

static void mix(struct rig *r, unsigned voters, unsigned want)
{
    const struct raft_member *l = pick_role(r, RAFT_LEARNER), *v = pick_role(r, RAFT_VOTER);
    if (voters > want && v != NULL)
        ask_one(r, RAFT_REMOVE, v->id);
    else if (l != NULL && sim_rng_below(&r->w.rng, 6) == 0)
        ask_one(r, RAFT_REMOVE, l->id);
    else if (l != NULL)
        replace(r, l);
    else if (voters >= want && voters > 1 && v != NULL && sim_rng_below(&r->w.rng, 5) == 0)
        ask_one(r, RAFT_DEMOTE, v->id);
    else
        add_learner(r);
}

static bool change_open(struct rig *r)
{
    if (r->change_open && r->w.now_us - r->change_since_us > 5000000)
        r->change_open = false;         /* nobody is going to tell */
    return r->change_open;
}

void admin_change(struct rig *r)
{
    unsigned voters = count_role(r, RAFT_VOTER);
    uint32_t gone = wiped_id(r);
    if (r->last_conf.n == 0 || r->last_conf.joint || change_open(r))
        return;
    if (gone != 0)
        ask_one(r, RAFT_REMOVE, gone);
    else if (!any_damaged(r))
        mix(r, voters, (unsigned) r->p.members);
}

/* ---- machines that are no longer needed ---- */

static void switch_off(struct node *n)
{
    struct rig *r = n->rig;
    sim_trace(&r->w, n->slot, K_ADMIN, 100, n->id, 0);
    if (r->w.node[n->slot].up)
        node_die(n, DEATH_POWER);
    r->slot_of[n->id] = -1;
    n->id = 0;
    n->want_up = n->damaged = n->wiped = false;
    n->gone_since_us = 0;
}

static void look_for_gone(struct rig *r)
{
    for (int i = 0; i < r->n_nodes; i++) {
        struct node *n = r->node[i];
        if (n->id == 0 || n->id > r->last_conf.last_id || in_ring(r, n) != NULL || r->last_conf.n == 0) {
            n->gone_since_us = 0;
            continue;
        }
        if (n->gone_since_us == 0)
            n->gone_since_us = r->w.now_us;
        if (r->w.now_us - n->gone_since_us > GONE_US)
            switch_off(n);
    }
}

/* A mute member waits for a term above the one it found: handing over makes one, so does a restart where nobody can take over. */
static void end_silence(struct rig *r)
{
    struct node *l = rig_leader(r);
    for (int i = 0; i < r->n_nodes && l != NULL && sim_node_runs(&r->w, l->slot); i++)
        if (node_up(r->node[i]) && r->node[i]->mute_mark && sim_rng_below(&r->w.rng, 20) == 0) {
            if (sim_rng_below(&r->w.rng, 3)) {
                node_step(l, &(struct member_event){ .type = MEMBER_E_TRANSFER });
            } else {
                node_die(l, DEATH_KILL);
                node_restart_after(l, 50000);
            }
            return;
        }
}

/* While all heals: what lies in the wrong state is put right, nothing else changes. */
static void put_right(struct rig *r)
{
    unsigned voters = count_role(r, RAFT_VOTER), want = (unsigned) r->p.members;
    const struct raft_member *l = pick_role(r, RAFT_LEARNER);
    uint32_t gone = wiped_id(r);
    if (r->last_conf.n == 0 || r->last_conf.joint || change_open(r))
        return;
    end_silence(r);
    if (gone != 0)
        ask_one(r, RAFT_REMOVE, gone);
    else if (voters < want && l != NULL)
        ask_one(r, RAFT_PROMOTE, l->id);
    else if (voters < want)
        add_learner(r);
}

void admin_tick(struct rig *r)
{
    look_for_gone(r);
    atlas_look(r);
    if (r->healing)
        put_right(r);
    else if (wiped_id(r) != 0 && sim_rng_below(&r->w.rng, 10) == 0)
        admin_change(r);
}

static void tick(void *ctx, struct sim_event *e)
{
    struct rig *r = ctx;
    if (r->violated)
        return;
    admin_tick(r);
    sim_after(&r->w, 100000, SIM_NOBODY, tick, r, NULL, 0);
}

void admin_start(struct rig *r)
{
    sim_after(&r->w, 100000, SIM_NOBODY, tick, r, NULL, 0);
}
