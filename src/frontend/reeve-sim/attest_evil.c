/*
 * attest_evil.c - what Byzantine machines do to what they send
 *
 * A mutator runs the real engine with a signer that signs anything; what it
 * sends is altered for each receiver by itself, signed again with its own key
 * where that is possible. Kinds of mutation are drawn for a run, so that some
 * runs see one kind only. Twins are two unaltered machines with one key that
 * show themselves to different others.
 */
#include "attest_int.h"

#include <stdlib.h>

static void resign(struct machine *m, struct message *msg)
{
    uint8_t bytes[ATTEST_VOTE_LEN];
    vote_bytes(&msg->vote, bytes);
    keys_sign(&m->rig->keys, m->me, bytes, &msg->sig);
}

static void out(struct machine *m, int to, const struct message *msg)
{
    static uint8_t mem[MESSAGE_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    message_encode(msg, &w);
    if (!w.bad)
        bytes_send(m, to, wr_slice(&w));
}

static bool is_vote(const struct message *msg)
{
    return msg->kind == M_VOTE || msg->kind == M_PROPOSAL;
}

/* ---- the kinds ---- */

typedef void mutation(struct machine *m, int to, struct message *msg);

static void drop(struct machine *m, int to, struct message *msg)
{
}

static void late_due(void *ctx, struct sim_event *e)
{
    struct machine *m = ctx;
    bytes_send(m, (int) e->a, slice_of(e->bytes, e->len));
}

static void late(struct machine *m, int to, struct message *msg)
{
    static uint8_t mem[MESSAGE_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    message_encode(msg, &w);
    sim_after(&m->rig->w, sim_rng_between(&m->rig->w.rng, 100000, 4000000), m->slot, late_due, m, w.p, w.len)->a = (uint64_t) to;
}

/* The content of a proposal with something changed, and the proposal to match. */
static void propose_other(struct machine *m, int to, struct message *msg, void (*change)(struct machine *, struct block *))
{
    static uint8_t mem[MESSAGE_MAX];
    struct arig *r = m->rig;
    struct wr w = wr_fixed(mem, sizeof mem);
    uint32_t b = block_find(r, &msg->vote.block_hash);
    if (b == NO_BLOCK || msg->kind != M_PROPOSAL) {
        out(m, to, msg);
        return;
    }
    struct block k = r->block[b];
    struct hash32 log = k.h.log_root;
    uint64_t size = k.h.log_size;
    change(m, &k);
    struct block_header sealed = k.h;
    block_seal(r, &sealed, k.parent, k.leaf, k.n);
    k.h.payload_root = sealed.payload_root;
    if (size == k.h.log_size && hash32_eq(&log, &k.h.log_root)) {
        k.h.log_size = sealed.log_size;
        k.h.log_root = sealed.log_root;
        k.h.state_root = sealed.state_root;
    }
    b = block_add(r, &k.h, k.leaf, k.n);
    if (b == NO_BLOCK)
        return;
    r->block[b].held[m->slot] = true;
    vote_fill(r, &(struct simplex_vote){ SX_PROPOSE, block_of(r, b) }, &msg->vote);
    resign(m, msg);
    block_write(&r->block[b], &w);
    msg->rest = wr_slice(&w);
    out(m, to, msg);
}

static void change_time(struct machine *m, struct block *b) { b->h.time.ms += 1 + (int64_t) sim_rng_below(&m->rig->w.rng, 5); }
static void change_time_far(struct machine *m, struct block *b) { b->h.time.ms += sim_rng_between(&m->rig->w.rng, -7200000, 7200000); }
static void change_root(struct machine *m, struct block *b) { b->h.log_root.b[sim_rng_below(&m->rig->w.rng, 32)] ^= 1; }
static void change_size(struct machine *m, struct block *b) { b->h.log_size += sim_rng_below(&m->rig->w.rng, 2) ? 1 : UINT64_MAX; }
static void change_parent(struct machine *m, struct block *b)
{
    uint64_t back = 1 + sim_rng_below(&m->rig->w.rng, 3);
    b->h.parent_view = b->h.parent_view > back ? b->h.parent_view - back : 0;
    if (sim_rng_below(&m->rig->w.rng, 2))
        b->h.parent_hash.b[0] ^= 1;
}
static void change_leaf(struct machine *m, struct block *b)
{
    uint64_t id = sim_rng_below(&m->rig->w.rng, RIG_UPDATES);
    if (b->n == BLOCK_LEAVES)
        b->n--;
    /* Not approved, or twice in one block. */
    struct leaf first = b->leaf[0];
    b->leaf[b->n] = b->n > 0 && sim_rng_below(&m->rig->w.rng, 2) ? first : (struct leaf){ id, leaf_tag(id) ^ 1 };
    b->n++;
}

/* Another block than the one it should be: a second proposal, or a vote for something made up or merely proposed. */
static void other(struct machine *m, int to, struct message *msg)
{
    struct arig *r = m->rig;
    if (msg->kind == M_PROPOSAL) {
        propose_other(m, to, msg, change_time);
        return;
    }
    if (msg->kind == M_VOTE && msg->vote.type != VOTE_NULLIFY && msg->vote.type != VOTE_HEARTBEAT) {
        msg->vote.block_hash.b[sim_rng_below(&r->w.rng, 32)] ^= (uint8_t) (1 + sim_rng_below(&r->w.rng, 3));
        for (uint32_t i = r->n_blocks; i > 0 && i + 20 > r->n_blocks; i--)
            if (r->block[i - 1].h.view == msg->vote.view && !hash32_eq(&r->block[i - 1].hash, &msg->vote.block_hash)) {
                uint8_t type = msg->vote.type;
                vote_fill(r, &(struct simplex_vote){ type, block_of(r, i - 1) }, &msg->vote);
                break;
            }
        resign(m, msg);
    }
    out(m, to, msg);
}

/* Two votes of which an honest key gives only one. */
static void contrary(struct machine *m, int to, struct message *msg)
{
    out(m, to, msg);
    if (msg->kind != M_VOTE || msg->vote.type == VOTE_HEARTBEAT)
        return;
    struct message more = *msg;
    if (msg->vote.type == VOTE_NOTARIZE) {
        more.vote.type = sim_rng_below(&m->rig->w.rng, 2) ? VOTE_FINALIZE : VOTE_NULLIFY;
    } else {
        more.vote.type = VOTE_NULLIFY;
    }
    if (more.vote.type == VOTE_NULLIFY) {
        more.vote.height = more.vote.parent_view = 0;
        memset(&more.vote.block_hash, 0, 32);
        memset(&more.vote.parent_hash, 0, 32);
    }
    resign(m, &more);
    out(m, to, &more);
}

static void far(struct machine *m, int to, struct message *msg)
{
    if (is_vote(msg)) {
        msg->vote.view += sim_rng_below(&m->rig->w.rng, 3) ? sim_rng_below(&m->rig->w.rng, 40) : sim_rng_next(&m->rig->w.rng) >> 1;
        resign(m, msg);
    }
    out(m, to, msg);
}

/* A block with nothing wrong in it, on whatever parent. */
static void propose_on(struct machine *m, int to, uint64_t view, uint32_t parent)
{
    static uint8_t mem[MESSAGE_MAX];
    struct arig *r = m->rig;
    const struct block *p = &r->block[parent];
    int64_t now = machine_wall_ms(m);
    struct block_header h = { .view = view > p->h.view ? view : p->h.view + 1, .height = p->h.height + 1, .parent_view = p->h.view,
                              .parent_hash = p->hash, .time = { now > p->h.time.ms ? now : p->h.time.ms + 1 }, .proposer = m->me };
    block_seal(r, &h, parent, NULL, 0);
    uint32_t b = block_add(r, &h, (const struct leaf[1]){ { 0, 0 } }, 0);
    if (b == NO_BLOCK)
        return;
    struct wr w = wr_fixed(mem, sizeof mem);
    struct message more = { .kind = M_PROPOSAL, .signer = m->me };
    r->block[b].held[m->slot] = true;
    vote_fill(r, &(struct simplex_vote){ SX_PROPOSE, block_of(r, b) }, &more.vote);
    resign(m, &more);
    block_write(&r->block[b], &w);
    more.rest = wr_slice(&w);
    out(m, to, &more);
}

/* Fields that do not fit together, or a good block on one that is not notarized, is not the newest, or is past. */
static void parent(struct machine *m, int to, struct message *msg)
{
    struct arig *r = m->rig;
    if (msg->kind != M_PROPOSAL || sim_rng_below(&r->w.rng, 3) == 0) {
        propose_other(m, to, msg, change_parent);
        return;
    }
    uint32_t b = r->n_blocks - 1 - (uint32_t) sim_rng_below(&r->w.rng, r->n_blocks < 12 ? r->n_blocks : 12);
    if (r->block[b].valid && r->block[b].h.view < msg->vote.view)
        propose_on(m, to, msg->vote.view, b);
    else
        out(m, to, msg);
}

static void root(struct machine *m, int to, struct message *msg)
{
    propose_other(m, to, msg, sim_rng_below(&m->rig->w.rng, 2) ? change_root : change_size);
}
static void wrong_time(struct machine *m, int to, struct message *msg) { propose_other(m, to, msg, change_time_far); }
static void bad_leaf(struct machine *m, int to, struct message *msg) { propose_other(m, to, msg, change_leaf); }

static void other_signer(struct machine *m, int to, struct message *msg)
{
    if (is_vote(msg))
        msg->signer = (uint16_t) sim_rng_below(&m->rig->w.rng, 70);
    out(m, to, msg);
}

static void bad_signature(struct machine *m, int to, struct message *msg)
{
    if (is_vote(msg))
        msg->sig.b[sim_rng_below(&m->rig->w.rng, 64)] ^= (uint8_t) (1u << sim_rng_below(&m->rig->w.rng, 8));
    else if (msg->kind == M_CERT && msg->n_sigs > 0)
        msg->sigs[sim_rng_below(&m->rig->w.rng, msg->n_sigs)].b[3] ^= 1;
    out(m, to, msg);
}

static void foreign(struct machine *m, int to, struct message *msg)
{
    if (is_vote(msg)) {
        switch (sim_rng_below(&m->rig->w.rng, 3)) {
        case 0: msg->vote.epoch += 1; break;
        case 1: msg->vote.chain_id.b[0] ^= 1; break;
        default: msg->vote.valset_hash.b[0] ^= 1; break;
        }
        resign(m, msg);
    }
    out(m, to, msg);
}

static void replay(struct machine *m, int to, struct message *msg)
{
    struct arig *r = m->rig;
    out(m, to, msg);
    if (r->n_heard > 0)
        bytes_send(m, to, r->heard[sim_rng_below(&r->w.rng, r->n_heard)]);
}

/* One signature short, one twice under another index, for another block, by members that are none. */
static void bad_cert(struct machine *m, int to, struct message *msg)
{
    struct arig *r = m->rig;
    if (msg->kind != M_CERT || msg->n_sigs == 0) {
        out(m, to, msg);
        return;
    }
    switch (sim_rng_below(&r->w.rng, 5)) {
    case 0:
        for (int i = RIG_VALIDATORS - 1; i >= 0; i--)
            if (msg->bitmap[i / 8] >> i % 8 & 1) {
                msg->bitmap[i / 8] &= (uint8_t) ~(1u << i % 8);
                break;
            }
        msg->n_sigs--;
        break;
    case 1: {
        unsigned i = (unsigned) sim_rng_below(&r->w.rng, (uint64_t) r->p.n);
        if (!(msg->bitmap[i / 8] >> i % 8 & 1) && msg->n_sigs < SIMPLEX_VALIDATORS_MAX) {
            msg->bitmap[i / 8] |= (uint8_t) (1u << i % 8);
            msg->sigs[msg->n_sigs] = msg->sigs[0];
            msg->n_sigs++;
        }
        break;
    }
    case 2: msg->vote.block_hash.b[0] ^= 1; break;
    case 3: msg->vote.view++; break;
    default: msg->bitmap[7] |= 0x80; break;
    }
    out(m, to, msg);
}

static void garbage(struct machine *m, int to, struct message *msg)
{
    uint8_t mem[1024];
    struct wr w = wr_fixed(mem, sizeof mem);
    message_encode(msg, &w);
    size_t len = w.bad ? sizeof mem : w.len;
    if (sim_rng_below(&m->rig->w.rng, 2))
        len = sim_rng_below(&m->rig->w.rng, len) + 1;
    mem[sim_rng_below(&m->rig->w.rng, len)] ^= (uint8_t) (1 + sim_rng_below(&m->rig->w.rng, 255));
    bytes_send(m, to, slice_of(mem, len));
}

/* In the view that has just begun, to everybody: a leader who waits for work is easily forestalled. */
static void out_of_turn(struct machine *m, int to, struct message *msg)
{
    struct arig *r = m->rig;
    struct simplex_status st;
    out(m, to, msg);
    simplex_status(m->s, &st);
    if (chain_head(m) == NO_BLOCK || !hash32_eq(&r->block[chain_head(m)].hash, &st.committed.hash))
        return;
    for (int i = 0; i < r->n_machines; i++)
        if (r->m[i]->me != m->me)
            propose_on(m, i, st.view, chain_head(m));
}

static void odd_only(struct machine *m, int to, struct message *msg)
{
    if (to % 2)
        out(m, to, msg);
}

/* Bit 0 of the run's mutations is the leader that makes empty blocks, see chain_build. */
static mutation *const kinds[] = { replay, drop, late, other, contrary, far, parent, root, wrong_time, bad_leaf, other_signer,
                                   bad_signature, foreign, replay, bad_cert, garbage, out_of_turn, odd_only };

static void hear(struct arig *r, const struct message *msg)
{
    struct wr w = wr_heap(MESSAGE_MAX);
    message_encode(msg, &w);
    unsigned at = r->n_heard < 64 ? r->n_heard++ : (unsigned) sim_rng_below(&r->w.rng, 64);
    free((void *) r->heard[at].p);
    r->heard[at] = wr_slice(&w);
}

/* Two thirds of the timeout: with what proposing and voting take besides, just before it ends, view after view. */
static void tardily(struct machine *m, int to, const struct message *msg)
{
    static uint8_t mem[MESSAGE_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    message_encode(msg, &w);
    sim_after(&m->rig->w, (int64_t) m->rig->p.engine.timeout_ms * 667, m->slot, late_due, m, w.p, w.len)->a = (uint64_t) to;
}

void evil_send(struct machine *m, int to, const struct message *msg)
{
    static struct message copy;
    struct arig *r = m->rig;
    if (r->p.tardy && msg->kind == M_PROPOSAL) {
        tardily(m, to, msg);
        return;
    }
    unsigned k = (unsigned) sim_rng_below(&r->w.rng, sizeof kinds / sizeof kinds[0]);
    if (sim_rng_below(&r->w.rng, 64) == 0)
        hear(r, msg);
    copy = *msg;
    if (!(r->p.mutations >> k & 1) || !sim_rng_chance(&r->w.rng, r->p.mutate_ppm)) {
        out(m, to, msg);
        return;
    }
    r->n_mutated++;
    sim_trace(&r->w, m->slot, AK_EVIL, k, (uint64_t) to, msg->kind);
    kinds[k](m, to, &copy);
}

/* ---- twins ---- */

/* Who sees which of two twins: one, the other or both; drawn anew now and then. */
void evil_walls(struct arig *r)
{
    memset(r->wall, 0, sizeof r->wall);
    for (int v = 0; v < r->p.n; v++) {
        int twin = r->twin_of[v];
        if (twin < 0)
            continue;
        bool all = sim_rng_below(&r->w.rng, 4) == 0;
        for (int i = 0; i < r->n_machines; i++) {
            uint64_t see = all ? 2 : sim_rng_below(&r->w.rng, 3);
            r->wall[v][i] = r->wall[i][v] = see == 1;
            r->wall[twin][i] = r->wall[i][twin] = see == 0;
        }
    }
}

void evil_split(struct arig *r)
{
    uint8_t side[RIG_MACHINES];
    uint8_t next = (uint8_t) sim_rng_below(&r->w.rng, 2);
    for (int i = 0; i < r->n_machines; i++)
        side[i] = honest(r->m[i]) ? (next ^= 1) : 0;
    for (int v = 0; v < r->p.n; v++)
        if (r->twin_of[v] >= 0) {
            side[v] = 0;
            side[r->twin_of[v]] = 1;
        }
    for (int i = 0; i < r->n_machines; i++)
        for (int k = 0; k < r->n_machines; k++) {
            bool twin = r->m[i]->evil == EVIL_TWIN || r->m[k]->evil == EVIL_TWIN;
            bool both = r->m[i]->evil == EVIL_NONE && r->m[k]->evil == EVIL_NONE;
            r->wall[i][k] = (twin || both) && side[i] != side[k];
        }
}

static void walls_again(void *ctx, struct sim_event *e)
{
    struct arig *r = ctx;
    if (r->healing)
        return;
    if (r->p.over && sim_rng_below(&r->w.rng, 4))
        evil_split(r);
    else
        evil_walls(r);
    sim_after(&r->w, sim_rng_between(&r->w.rng, r->p.over ? 5000000 : 500000, r->p.over ? 20000000 : 8000000), SIM_NOBODY, walls_again, r, NULL, 0);
}

/* A silent leader is there until there is something to do. */
static void silence(void *ctx, struct sim_event *e)
{
    struct arig *r = ctx;
    for (int s = 0; s < r->n_machines; s++)
        if (r->m[s]->evil == EVIL_SILENT)
            r->m[s]->silent = sim_rng_below(&r->w.rng, 3) > 0;
    if (!r->healing)
        sim_after(&r->w, sim_rng_between(&r->w.rng, 300000, 6000000), SIM_NOBODY, silence, r, NULL, 0);
}

void evil_start(struct arig *r)
{
    sim_after(&r->w, 1000000, SIM_NOBODY, walls_again, r, NULL, 0);
    sim_after(&r->w, 500000, SIM_NOBODY, silence, r, NULL, 0);
}
