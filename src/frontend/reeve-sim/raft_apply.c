/* raft_apply.c - applying what was committed, the store that commits as a whole, snapshots out and in. */
#include "raft_int.h"

#include <stdlib.h>

/* ---- commands: u32 operation | u8 kind | u8 key | u64 old | u64 new | padding ---- */

uint64_t command_encode(uint8_t *out, size_t cap, const struct op *o, uint32_t pad)
{
    struct wr w = wr_fixed(out, cap);
    wr_u32(&w, o->id);
    wr_u8(&w, o->kind);
    wr_u8(&w, o->key);
    wr_u64(&w, (uint64_t) o->old);
    wr_u64(&w, (uint64_t) o->new_);
    for (uint32_t i = 0; i < pad; i++)
        wr_u8(&w, (uint8_t) i);
    reeve_assert(!w.bad);
    return w.len;
}

static bool take_effect(struct kv_state *s, uint8_t kind, uint8_t key, int64_t old, int64_t new_)
{
    bool hit = kind == OP_WRITE || (old < 0 ? !s->present[key] : s->present[key] && s->value[key] == old);
    if (hit) {
        s->present[key] = true;
        s->value[key] = new_;
    }
    return hit;
}

static void apply_one(struct node *n, const struct member_command *c)
{
    struct rig *r = n->rig;
    struct rd in = rd_of(c->command);
    uint32_t id = rd_u32(&in);
    uint8_t kind = rd_u8(&in), key = rd_u8(&in);
    int64_t old = (int64_t) rd_u64(&in), new_ = (int64_t) rd_u64(&in);
    if (in.bad || id >= r->n_ops || !r->op[id].invoked || r->op[id].kind != kind || r->op[id].key != key ||
        r->op[id].old != old || r->op[id].new_ != new_) {
        violation(r, "phantom", "n%d applied at %llu a command nobody gave", n->slot, (unsigned long long) c->index);
        return;
    }
    check_applied(n, c);
    if (n->state.applied[id / 8] >> id % 8 & 1) {
        violation(r, "exactly once", "n%d applied operation %u again at index %llu (session %llu seq %llu)", n->slot, id,
                  (unsigned long long) c->index, (unsigned long long) c->session, (unsigned long long) c->seq);
        return;
    }
    n->state.applied[id / 8] |= (uint8_t) (1u << id % 8);
    bool hit = take_effect(&n->state, kind, key, old, new_);
    struct result *res = &r->result[id];
    if (!res->known)
        *res = (struct result){ true, hit, c->index };
    else if (res->hit != hit || res->index != c->index)
        violation(r, "state-machine safety", "operation %u: %s at %llu on n%d, %s at %llu elsewhere", id, hit ? "hit" : "miss",
                  (unsigned long long) c->index, n->slot, res->hit ? "hit" : "miss", (unsigned long long) res->index);
}

static void rows_take(struct node *n)
{
    static uint8_t mem[MEMBER_ROW_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    uint32_t row;
    while (member_row_next(n->m, &row, &w)) {
        reeve_assert(!w.bad);
        state_row_set(&n->state, row, wr_slice(&w));
        wr_reset(&w);
    }
}

static void applied(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    n->applying = false;
    node_step(n, &(struct member_event){ .type = MEMBER_E_APPLIED, .index = e->a });
    store_flush_soon(n);
}

void apply_upto(struct node *n, uint64_t index)
{
    struct member_command c;
    if (n->applying)
        violation(n->rig, "driver contract", "n%d: APPLY before APPLIED", n->slot);
    while (member_apply_next(n->m, &c) && !n->rig->violated)
        apply_one(n, &c);
    n->state.index = index;
    rows_take(n);
    check_state(n);
    sim_trace(&n->rig->w, n->slot, K_APPLY, index, state_hash(&n->state), 0);
    n->applying = true;
    sim_after(&n->rig->w, sim_rng_exponential(&n->rig->w.rng, n->rig->p.apply_us), n->slot, applied, n, NULL, 0)->a = index;
}

/* ---- the store ---- */

static void state_durable(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    node_step(n, &(struct member_event){ .type = MEMBER_E_STATE_DURABLE, .index = e->a });
    if (n->m != NULL)
        wal_keep(n, member_wal_keep(n->m));
}

/* A commit of the store is atomic: its moment is this call. */
static void flush_now(struct node *n)
{
    if (n->stored.index >= n->state.index)
        return;
    state_copy(&n->stored, &n->state);
    sim_after(&n->rig->w, 0, n->slot, state_durable, n, NULL, 0)->a = n->stored.index;
}

static void flush_due(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    n->flushing = false;
    flush_now(n);
}

void store_flush_soon(struct node *n)
{
    if (n->flushing || n->stored.index >= n->state.index || n->m == NULL)
        return;
    n->flushing = true;
    sim_after(&n->rig->w, sim_rng_exponential(&n->rig->w.rng, n->rig->p.flush_us), n->slot, flush_due, n, NULL, 0);
}

static void flush_asked(void *ctx, struct sim_event *e)
{
    flush_now(ctx);
}

/* The window fills with what the store lacks. */
void store_flush_asked(struct node *n)
{
    sim_after(&n->rig->w, sim_rng_exponential(&n->rig->w.rng, 2000), n->slot, flush_asked, n, NULL, 0);
}

/* Row 0 first, as the member wants it. */
void state_rows_restore(struct node *n, const struct kv_state *s)
{
    for (int first = 1; first >= 0; first--)
        for (size_t i = 0; i < s->n_rows; i++) {
            const struct row *row = &s->row[i];
            if ((row->id == 0) == first && member_row_restore(n->m, row->id, slice_of(row->p, row->len)) != REEVE_OK)
                violation(n->rig, "rows", "n%d refuses row %u", n->slot, row->id);
        }
}

/* ---- snapshots out ---- */

static void out_drop(struct node *n, uint32_t peer)
{
    if (n->out[peer] == NULL)
        return;
    wr_free(&n->out[peer]->bytes);
    free(n->out[peer]);
    n->out[peer] = NULL;
}

static void snap_ready(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    struct snap_out *s = n->out[e->a];
    if (s == NULL || s->id != e->b)
        return;
    s->told = true;
    node_step(n, &(struct member_event){ .type = MEMBER_E_SNAP_READY, .peer = (uint32_t) e->a,
                                         .snap = { s->id, s->index, s->term, s->bytes.len, s->conf } });
}

static void snap_need(struct node *n, uint32_t peer, uint64_t index)
{
    struct slice row0, conf;
    reeve_assert(peer < RIG_IDS_MAX);
    if (n->state.index < index || !state_row(&n->state, 0, &row0))
        return;
    out_drop(n, peer);
    struct snap_out *s = calloc(1, sizeof *s);
    reeve_assert(s != NULL);
    n->out[peer] = s;
    s->id = sim_rng_next(&n->rig->w.rng) | 1;
    s->bytes = wr_heap(4 << 20);
    state_encode(&n->state, &s->bytes);
    if (member_row_position(row0, &s->index, &s->term, &conf) != REEVE_OK || s->index != n->state.index) {
        violation(n->rig, "rows", "n%d: row 0 stands at %llu, the state at %llu", n->slot, (unsigned long long) s->index,
                  (unsigned long long) n->state.index);
        return;
    }
    memcpy(s->conf_bytes, conf.p, conf.len);
    s->conf = slice_of(s->conf_bytes, conf.len);
    n->rig->n_snapshots++;
    kept_begin(n, s->index, s->term);
    sim_trace(&n->rig->w, n->slot, K_SNAP, 1, peer, s->index);
    struct sim_event *e = sim_after(&n->rig->w, sim_rng_exponential(&n->rig->w.rng, 3000), n->slot, snap_ready, n, NULL, 0);
    e->a = peer;
    e->b = s->id;
}

static void snap_gone(void *ctx, struct sim_event *e)
{
    node_step(ctx, &(struct member_event){ .type = MEMBER_E_SNAP_GONE, .peer = (uint32_t) e->a });
}

static void snap_read(struct node *n, const struct raft_msg *asked)
{
    struct raft_msg m = *asked;
    struct node *to = node_of(n->rig, m.to);
    struct snap_out *s = m.to < RIG_IDS_MAX ? n->out[m.to] : NULL;
    if (s == NULL || s->id != m.snap || m.offset > s->bytes.len) {
        sim_after(&n->rig->w, 0, n->slot, snap_gone, n, NULL, 0)->a = m.to;
        return;
    }
    size_t len = s->bytes.len - m.offset, max = n->rig->p.member.raft.chunk_bytes;
    m.data = slice_of(s->bytes.p + m.offset, len < max ? len : max);
    struct wr w = wr_heap(RAFT_MSG_MAX);
    raft_msg_encode(&m, NULL, &w);
    reeve_assert(!w.bad);
    check_sent(n, &m);
    if (to != NULL)
        sim_net_send(&n->rig->net, n->slot, to->slot, 1, wr_slice(&w));
    wr_free(&w);
}

/* ---- snapshots in ---- */

static void snap_stored(void *ctx, struct sim_event *e)
{
    node_step(ctx, &(struct member_event){ .type = MEMBER_E_SNAP_STORED, .snap = { .id = e->a }, .offset = e->b });
}

static void snap_chunk(struct node *n, const struct raft_msg *m)
{
    struct snap_in *in = &n->in;
    if (in->id != m->snap || in->index != m->index) {
        wr_free(&in->bytes);
        *in = (struct snap_in){ .id = m->snap, .index = m->index, .bytes = wr_heap(4 << 20) };
    }
    if (m->offset == in->bytes.len)
        wr_bytes(&in->bytes, m->data.p, m->data.len);
    struct sim_event *e = sim_after(&n->rig->w, sim_rng_exponential(&n->rig->w.rng, n->rig->p.chunk_us), n->slot, snap_stored, n, NULL, 0);
    e->a = m->snap;
    e->b = in->bytes.len;
}

/* The new state is durable from here on; the old log may still stand beside it when power goes. */
static void snap_installed(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    struct raft_snap snap = { .id = e->a, .size = e->b };
    struct slice row0;
    bool good = n->have_installing && n->installing.index > n->state.index && state_row(&n->installing, 0, &row0) &&
                member_row_position(row0, &snap.index, &snap.term, &snap.conf) == REEVE_OK;
    if (!good) {
        node_step(n, &(struct member_event){ .type = MEMBER_E_SNAP_FAILED, .snap = snap });
        return;
    }
    state_copy(&n->state, &n->installing);
    state_copy(&n->stored, &n->installing);
    state_row(&n->state, 0, &row0);
    reeve_assert(member_row_position(row0, &snap.index, &snap.term, &snap.conf) == REEVE_OK);
    state_rows_restore(n, &n->state);
    n->have_installing = false;
    sim_trace(&n->rig->w, n->slot, K_SNAP, 3, snap.index, snap.term);
    check_installed(n);
    node_step(n, &(struct member_event){ .type = MEMBER_E_SNAP_INSTALLED, .snap = snap });
    check_state(n);
}

static void snap_install(struct node *n, const struct raft_snap *snap)
{
    n->have_installing = n->in.id == snap->id && state_decode(&n->installing, wr_slice(&n->in.bytes)) &&
                         n->installing.index == snap->index;
    if (!n->have_installing)
        violation(n->rig, "snapshot", "n%d: what came in chunks is no state at %llu", n->slot, (unsigned long long) snap->index);
    sim_trace(&n->rig->w, n->slot, K_SNAP, 2, snap->index, snap->size);
    struct sim_event *e = sim_after(&n->rig->w, sim_rng_exponential(&n->rig->w.rng, 5000), n->slot, snap_installed, n, NULL, 0);
    e->a = snap->id;
    e->b = snap->size;
}

void snap_effect(struct node *n, const struct raft_effect *f)
{
    switch (f->type) {
    case RAFT_F_SNAP_NEED:    snap_need(n, f->peer, f->index); break;
    case RAFT_F_SNAP_READ:    snap_read(n, &f->msg); break;
    case RAFT_F_SNAP_CHUNK:   snap_chunk(n, &f->msg); break;
    case RAFT_F_SNAP_INSTALL: snap_install(n, &f->snap); break;
    case RAFT_F_SNAP_DONE:    out_drop(n, f->peer); break;
    }
}

/* The process ended: what it held in memory is gone. A snapshot that came in parts begins anew. */
void snaps_drop(struct node *n)
{
    for (uint32_t i = 0; i < RIG_IDS_MAX; i++)
        out_drop(n, i);
    wr_free(&n->in.bytes);
    n->in = (struct snap_in){ 0 };
    state_free(&n->installing);
    n->have_installing = false;
}
