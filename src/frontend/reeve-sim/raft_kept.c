/*
 * raft_kept.c - what comes behind a snapshot, kept as the server's driver keeps it; and the run that needs it (--climb)
 *
 * A ring without faults, a small window under constant load, and a state that
 * takes much longer than the window lasts: a member that was cut off must be
 * in step while the load goes on.
 */
#include "raft_int.h"

#include <stdlib.h>

#define AWAY_US   8000000          /* at most; it is behind the window before */
#define BOUND_US  10000000
#define IN_STEP   16
#define SNAPSHOTS 2                 /* one, and one more where the first was lost */

/* ---- the driver's part (raft.h D9) ---- */

void kept_drop(struct node *n)
{
    for (size_t i = 0; i < n->kept.n; i++)
        wr_free(&n->kept.e[i]);
    free(n->kept.e);
    free(n->kept.term);
    n->kept = (struct kept){ 0 };
}

static void put(struct node *n, uint64_t upto)
{
    const struct raft_log *log = member_log(n->m);
    struct kept *k = &n->kept;
    for (uint64_t i = k->begin + k->n; i <= upto; i++) {
        struct raft_entry e;
        if (k->n == k->cap) {
            k->cap = 2 * k->cap + 64;
            k->e = realloc(k->e, k->cap * sizeof *k->e);
            k->term = realloc(k->term, k->cap * sizeof *k->term);
            reeve_assert(k->e != NULL && k->term != NULL);
        }
        log->ops->entry(log->arg, i, &e);
        struct wr w = wr_heap(RAFT_ENTRY_MAX + 32);
        wr_varint(&w, e.term);
        wr_u8(&w, e.kind);
        wr_vbytes(&w, e.data);
        reeve_assert(!w.bad);
        k->term[k->n] = e.term;
        k->e[k->n++] = w;
    }
}

void kept_begin(struct node *n, uint64_t index, uint64_t term)
{
    const struct raft_log *log = member_log(n->m);
    if (!n->rig->climb || n->kept.begin != 0 || index + 1 < log->ops->first(log->arg))
        return;
    n->kept.begin = n->kept.first = index + 1;
    n->kept.prev_term = term;
    put(n, log->ops->last(log->arg));
}

void kept_append(struct node *n, const struct raft_append *a)
{
    if (n->kept.begin != 0 && a->first <= a->last)
        put(n, a->last);
}

static void back(void *ctx, struct sim_event *ev)
{
    struct node *n = ctx;
    struct kept *k = &n->kept;
    struct member_event e = { .type = MEMBER_E_LOG_BACK, .peer = (uint32_t) ev->a, .index = ev->b - 1 };
    struct wr w = wr_heap(RAFT_MSG_MAX);
    uint32_t most = n->rig->p.member.raft.append_bytes;
    if (k->begin != 0 && ev->b >= k->first && ev->b < k->begin + k->n) {
        size_t at = (size_t) (ev->b - k->begin);
        e.term = at == 0 ? k->prev_term : k->term[at - 1];
        for (; at < k->n && e.n < RAFT_MSG_ENTRIES_MAX && (e.n == 0 || w.len + k->e[at].len <= most); at++, e.n++)
            wr_bytes(&w, k->e[at].p, k->e[at].len);
    }
    reeve_assert(!w.bad);
    e.data = wr_slice(&w);
    node_step(n, &e);
    wr_free(&w);
}

void kept_read(struct node *n, const struct raft_effect *f)
{
    struct sim_event *e = sim_after(&n->rig->w, sim_rng_exponential(&n->rig->w.rng, 2000), n->slot, back, n, NULL, 0);
    e->a = f->peer;
    e->b = f->index;
}

/* At the end of a step: what nobody needs goes, and the member is told. */
void kept_settle(struct node *n)
{
    struct kept *k = &n->kept;
    uint64_t need = raft_needed(member_raft(n->m));
    for (unsigned i = 0; i < RIG_IDS_MAX; i++)
        if (n->out[i] != NULL && !n->out[i]->told && n->out[i]->index + 1 < need)
            need = n->out[i]->index + 1;
    uint64_t told = n->kept_told;
    if (k->begin != 0 && need == UINT64_MAX)
        kept_drop(n);
    else if (k->begin != 0 && need > k->first)
        k->first = need < k->begin + k->n ? need : k->begin + k->n;
    n->kept_told = k->first;
    if (n->kept_told != told)
        node_step(n, &(struct member_event){ .type = MEMBER_E_LOG_KEPT, .index = k->first });
}

/* ---- the run ---- */

void profile_climb(struct rig_profile *p)
{
    p->members = 3;
    p->clients = RIG_CLIENTS;
    p->think_us = 50000;
    p->chunk_us = 300000;
    p->flush_us = 5000;
    p->apply_us = 100;
    p->net = (struct sim_net_profile){ .delay_min_us = 50, .delay_mean_us = 1000, .delay_max_us = 20000, .ordered = true };
    p->disk.stall_ppm = 0;
    p->member.window_entries = 64;
    p->member.raft.chunk_bytes = 50;
    p->member.hash_every = 20;
    p->drift_ppm = 0;
}

static void run_for(struct rig *r, int64_t us)
{
    int64_t until = r->w.now_us + us;
    while (!r->violated && sim_world_step(&r->w, until))
        ;
}

static struct node *a_follower(struct rig *r, const struct node *leader)
{
    for (int i = 0; i < r->n_nodes; i++)
        if (r->node[i] != leader)
            return r->node[i];
    return NULL;
}

static bool behind(const struct node *l, const struct node *n)
{
    struct raft_peer_status p;
    return raft_peer_status(member_raft(l->m), n->id, &p) && p.state == 3;
}

static bool in_step(struct rig *r, const struct node *n)
{
    struct member_status s;
    member_status(n->m, &s);
    return s.applied + IN_STEP >= r->committed;
}

void rig_climb(struct rig *r)
{
    while (!r->violated && rig_leader(r) == NULL && r->w.now_us < 10000000)
        run_for(r, 100000);
    struct node *l = rig_leader(r), *late = l ? a_follower(r, l) : NULL;
    if (late == NULL) {
        violation(r, "elects", "nobody leads");
        return;
    }
    sim_net_mute(&r->net, late->slot, true, true);
    int64_t until = r->w.now_us + AWAY_US;
    while (!r->violated && !behind(l, late) && r->w.now_us < until)
        run_for(r, 10000);
    sim_net_heal(&r->net);
    until = r->w.now_us + BOUND_US;
    while (!r->violated && !in_step(r, late) && r->w.now_us < until)
        run_for(r, 10000);
    struct member_status s;
    if (!r->violated && r->n_snapshots > SNAPSHOTS)
        violation(r, "a transfer does not begin again and again", "n%d needed %llu snapshots", late->slot, (unsigned long long) r->n_snapshots);
    member_status(late->m, &s);
    if (!r->violated && !in_step(r, late))
        violation(r, "in step under load", "n%d has applied %llu of %llu after %d s and %llu snapshots", late->slot,
                  (unsigned long long) s.applied, (unsigned long long) r->committed, BOUND_US / 1000000, (unsigned long long) r->n_snapshots);
}
