/*
 * attest_client.c - updates: submitted to one validator, passed on to all, again and again until they are final
 *
 * A client is no part of the system: it forgets nothing and goes to another
 * validator when its own is gone.
 */
#include "attest_int.h"

#define AGAIN_US  2000000
#define AGAIN_MAX 8

static bool in_chain(const struct machine *m, uint64_t id)
{
    uint32_t head = chain_head(m);
    return head != NO_BLOCK && (m->rig->block[head].in_chain[id / 8] >> id % 8 & 1);
}

void update_heard(struct machine *m, uint64_t id, uint64_t tag)
{
    if (id >= RIG_UPDATES || tag != leaf_tag(id) || m->pending[id] || in_chain(m, id))
        return;
    m->pending[id] = true;
    m->left_out[id] = 0;
    m->n_pending++;
    machine_work(m);
}

static void pass_on(struct machine *m, uint64_t id)
{
    struct message msg = { .kind = M_SUBMIT, .a = id, .b = leaf_tag(id) };
    machine_broadcast(m, &msg);
}

#define LEFT_OUT_MAX 6

/* A block with room that lacks what has waited for some blocks: his leader does not want it. */
static bool is_overdue(struct machine *m, const struct block *b)
{
    bool overdue = false;
    for (int id = 0; b->n < BLOCK_LEAVES && id < RIG_UPDATES; id++)
        if (m->pending[id] && ++m->left_out[id] >= LEFT_OUT_MAX) {
            overdue = true;
            m->left_out[id] = 0;
        }
    return overdue;
}

void update_final(struct machine *m, const struct block *b)
{
    for (unsigned i = 0; i < b->n; i++) {
        uint64_t id = b->leaf[i].id;
        if (id < RIG_UPDATES && m->pending[id]) {
            m->pending[id] = false;
            m->n_pending--;
        }
    }
    if (is_overdue(m, b)) {
        const struct simplex_event e = { .type = SXE_OVERDUE, .flag = true };
        machine_event(m, &e);
    }
}

void update_submit(struct arig *r, int id, struct machine *m)
{
    r->update[id].submitter = m->slot;
    sim_trace(&r->w, m->slot, AK_UPDATE, (uint64_t) id, 0, 0);
    pass_on(m, (uint64_t) id);
    update_heard(m, (uint64_t) id, leaf_tag((uint64_t) id));
}

static struct machine *some_machine(struct arig *r)
{
    for (int i = 0; i < 8; i++) {
        struct machine *m = r->m[sim_rng_below(&r->w.rng, (uint64_t) r->n_machines)];
        if (honest(m) && machine_up(m) && sim_node_runs(&r->w, m->slot))
            return m;
    }
    return NULL;
}

static void again(void *ctx, struct sim_event *e)
{
    struct arig *r = ctx;
    int told = 0;
    for (int id = 0; id < r->n_updates && told < AGAIN_MAX; id++) {
        struct machine *m = r->m[r->update[id].submitter];
        if (machine_up(m) && in_chain(m, (uint64_t) id))
            continue;
        if (!machine_up(m) || !honest(m))
            m = some_machine(r);
        if (m != NULL)
            update_submit(r, id, m);
        told++;
    }
    sim_after(&r->w, AGAIN_US, SIM_NOBODY, again, r, NULL, 0);
}

static void next(void *ctx, struct sim_event *e)
{
    struct arig *r = ctx;
    struct machine *m = some_machine(r);
    if (m != NULL && !r->healing && r->n_updates < r->p.updates) {
        r->update[r->n_updates].at_us = r->w.now_us;
        update_submit(r, r->n_updates++, m);
    }
    if (!r->healing)
        sim_after(&r->w, 1 + sim_rng_exponential(&r->w.rng, r->p.think_us), SIM_NOBODY, next, r, NULL, 0);
}

void aclients_start(struct arig *r)
{
    sim_after(&r->w, 1000, SIM_NOBODY, next, r, NULL, 0);
    sim_after(&r->w, AGAIN_US, SIM_NOBODY, again, r, NULL, 0);
}

bool updates_done(const struct arig *r, char *why, size_t len)
{
    for (int s = 0; s < r->n_machines; s++) {
        const struct machine *m = r->m[s];
        if (!honest(m))
            continue;
        for (int id = 0; id < r->n_updates; id++)
            if (!in_chain(m, (uint64_t) id)) {
                snprintf(why, len, "update %d is not final at n%d (height %llu)", id, s, (unsigned long long) m->height);
                return false;
            }
    }
    return true;
}
