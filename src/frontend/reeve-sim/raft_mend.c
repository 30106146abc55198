/*
 * raft_mend.c - damaged logs ask each other for what they have lost, as the server's do (backend/ring/core_mend.c)
 */
#include "raft_int.h"

#include "engine/mend.h"

#define TICK_US 200000

static bool entry(void *arg, uint64_t index, struct raft_entry *out)
{
    struct node *n = arg;
    const struct raft_log *log = member_log(n->m);
    uint64_t first = log->ops->first(log->arg), last = log->ops->last(log->arg);
    if (index >= first && index <= last) {
        log->ops->entry(log->arg, index, out);
        return true;
    }
    return (index < first || (n->wal.tail && index <= n->wal.tail_last)) && wal_kept_entry(n, index, out);
}

static struct mend_log view(struct node *n)
{
    const struct raft_log *log = member_log(n->m);
    uint64_t last = log->ops->last(log->arg);
    struct raft_entry e;
    if (n->wal.tail && n->wal.tail_last >= last)
        return (struct mend_log){ n, entry, n->wal.tail_last, n->wal.tail_term };
    return (struct mend_log){ n, entry, entry(n, last, &e) ? last : 0, 0 };
}

static bool may_mend(const struct node *n, struct raft_status *st)
{
    if (n->m == NULL)
        return false;
    raft_status(member_raft(n->m), st);
    return n->wal.tail && st->mode == RAFT_START_REPAIR && !st->led && st->last < n->wal.tail_last;
}

static void go_on(struct node *n)
{
    static uint8_t mem[MEND_HAVE_MAX];
    struct mend_log log = view(n);
    struct raft_status st;
    enum reeve_err err = REEVE_OK;
    while (err == REEVE_OK && may_mend(n, &st)) {
        struct wr w = wr_fixed(mem, sizeof mem);
        if (mend_run_encode(&log, st.last + 1, n->wal.tail_last, &w) == 0)
            return;
        err = node_step(n, &(struct member_event){ .type = MEMBER_E_FILL, .index = st.last + 1, .data = wr_slice(&w) });
    }
}

static bool want_of(struct node *n, struct mend_want *w)
{
    struct mend_log log = view(n);
    struct raft_status st;
    if (!may_mend(n, &st))
        return false;
    mend_want(&log, st.last + 1, st.last_term, w);
    return true;
}

static void send(struct node *n, uint32_t to, struct slice bytes)
{
    static uint8_t mem[RAFT_MSG_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    const struct raft_member *m = raft_conf_find(raft_conf(member_raft(n->m)), to);
    struct node *peer = node_of(n->rig, to);
    struct raft_msg msg = { .type = RAFT_M_HOST, .from = n->id, .to = to, .from_incarnation = n->incarnation, .ring = RIG_RING,
                            .data = bytes };
    if (m == NULL || peer == NULL || peer == n)
        return;
    msg.to_incarnation = m->incarnation;
    raft_msg_encode(&msg, NULL, &w);
    reeve_assert(!w.bad);
    sim_net_send(&n->rig->net, n->slot, peer->slot, 0, wr_slice(&w));
}

static void ask(struct node *n, uint32_t whom)
{
    uint8_t mem[MEND_ASK_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct mend_want want;
    if (!want_of(n, &want))
        return;
    const struct raft_conf *conf = raft_conf(member_raft(n->m));
    mend_ask_encode(&want, &w);
    for (unsigned i = 0; i < conf->n; i++)
        if (whom == 0 || conf->m[i].id == whom)
            send(n, conf->m[i].id, wr_slice(&w));
}

static void asked(struct node *n, uint32_t from, struct slice bytes)
{
    static uint8_t mem[MEND_HAVE_MAX];
    struct mend_log log = view(n);
    struct wr w = wr_fixed(mem, sizeof mem);
    struct raft_status st;
    raft_status(member_raft(n->m), &st);
    if (!st.led && mend_answer(&log, bytes, &w))
        send(n, from, wr_slice(&w));
}

static void answered(struct node *n, uint32_t from, struct slice bytes)
{
    struct mend_want want;
    struct mend_have have;
    if (!want_of(n, &want) || mend_take(&want, bytes, &have) != REEVE_OK)
        return;
    if (node_step(n, &(struct member_event){ .type = MEMBER_E_FILL, .index = have.first, .data = have.entries }) != REEVE_OK)
        return;
    n->rig->n_mended += have.n;
    go_on(n);
    ask(n, from);
}

bool mend_message(struct node *n, const struct raft_msg *m)
{
    uint8_t kind = m->type == RAFT_M_HOST && m->to == n->id && m->to_incarnation == n->incarnation ? mend_kind(m->data) : 0;
    if (kind == MEND_ASK)
        asked(n, m->from, m->data);
    else if (kind == MEND_HAVE)
        answered(n, m->from, m->data);
    return kind != 0;
}

static void tick(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    struct raft_status st;
    if (n->m == NULL || n->rig->w.node[n->slot].life != (uint32_t) e->a || n->rig->violated)
        return;
    go_on(n);
    ask(n, 0);
    if (n->m == NULL)
        return;
    raft_status(member_raft(n->m), &st);
    if (st.mode == RAFT_START_CLEAN && st.led && st.commit > n->wal.kept_last) {
        wal_kept_drop(n);
        return;
    }
    sim_after(&n->rig->w, TICK_US, n->slot, tick, n, NULL, 0)->a = e->a;
}

void mend_start(struct node *n)
{
    if (n->m != NULL && n->wal.kept != NULL)
        sim_after(&n->rig->w, 0, n->slot, tick, n, NULL, 0)->a = n->rig->w.node[n->slot].life;
}
