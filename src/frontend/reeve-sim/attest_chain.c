/*
 * attest_chain.c - what is final: applying, fetching what is missing, building on it, checking proposals
 *
 * What the engine says is final is applied as soon as the contents are here.
 * Missing contents are asked for by hash, a missing stretch of the chain by
 * height, of one random machine after another.
 */
#include "attest_int.h"

#include <stdlib.h>

#define FETCH_US   300000
#define CHAIN_MAX  16
#define RETRY_US   100000

static void try_apply(struct machine *m);
static void try_check(struct machine *m);
static void try_final(struct machine *m);

uint32_t chain_head(const struct machine *m)
{
    return m->height == 0 ? NO_BLOCK : m->chain[m->height];
}

static const struct hash32 *head_hash(const struct machine *m)
{
    return m->height == 0 ? &m->rig->chain_id : &m->rig->block[m->chain[m->height]].hash;
}

static bool holds(const struct machine *m, const struct hash32 *hash, uint32_t *out)
{
    *out = block_find(m->rig, hash);
    return *out != NO_BLOCK && m->rig->block[*out].held[m->slot];
}

/* ---- fetching ---- */

static int random_peer(struct machine *m)
{
    int to;
    do
        to = (int) sim_rng_below(&m->rig->w.rng, (uint64_t) m->rig->n_machines);
    while (m->rig->m[to]->me == m->me);
    return to;
}

static void ask(struct machine *m, const struct message *msg)
{
    /* Two at once: one of them may be down, slow or lying. */
    machine_send(m, random_peer(m), msg);
    machine_send(m, random_peer(m), msg);
}

/* The oldest block between what is applied and b that is not here; false when all are. out: its hash. */
static bool missing_ancestor(const struct machine *m, const struct hash32 *from, struct hash32 *out)
{
    struct hash32 at = *from;
    uint32_t b;
    bool missing = false;
    for (unsigned i = 0; i < RIG_HEIGHTS; i++) {
        if (!holds(m, &at, &b)) {
            *out = at;
            return true;
        }
        if (m->rig->block[b].h.height <= m->height + 1)
            return missing;
        at = m->rig->block[b].h.parent_hash;
    }
    return missing;
}

static bool something_missing(struct machine *m)
{
    struct message msg = { .kind = M_WANT_BLOCK };
    bool any = false;
    if (m->n_want > 0 && missing_ancestor(m, &m->want[0].hash, &msg.hash)) {
        ask(m, &msg);
        any = true;
    }
    if (m->checking.view != 0 && missing_ancestor(m, &m->checking.hash, &msg.hash)) {
        ask(m, &msg);
        any = true;
    }
    if (m->final.view != 0 && missing_ancestor(m, &m->final.hash, &msg.hash)) {
        ask(m, &msg);
        any = true;
    }
    if (m->behind > m->height) {
        msg = (struct message){ .kind = M_WANT_CHAIN, .a = m->height + 1 };
        ask(m, &msg);
        any = true;
    }
    return any;
}

static void fetch_again(void *ctx, struct sim_event *e);

static void fetch(struct machine *m)
{
    if (m->fetching || !machine_up(m))
        return;
    m->fetching = something_missing(m);
    if (m->fetching)
        sim_after(&m->rig->w, FETCH_US, m->slot, fetch_again, m, NULL, 0);
}

static void fetch_again(void *ctx, struct sim_event *e)
{
    struct machine *m = ctx;
    m->fetching = false;
    fetch(m);
}

void chain_content(struct machine *m, uint32_t b)
{
    if (m->rig->block[b].held[m->slot])
        return;
    m->rig->block[b].held[m->slot] = true;
    try_apply(m);
    if (machine_up(m))
        try_final(m);
    if (machine_up(m))
        try_check(m);
}

/* ---- final ---- */

/* False: final, and against the rules of this machine's version. It must not go on, least of all without the block. */
static bool apply(struct machine *m, uint32_t b)
{
    struct arig *r = m->rig;
    static uint8_t mem[MESSAGE_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (r->block[b].h.height <= m->height)
        return true;        /* what applying the one before set off has brought it already */
    if (!rule_takes_block(m, &r->block[b])) {
        machine_give_up(m);
        return false;
    }
    reeve_assert(m->height + 1 < RIG_HEIGHTS);
    m->chain[++m->height] = b;
    (void) block_valid(r, b);
    block_write(&r->block[b], &w);
    sim_trace(&r->w, m->slot, AK_COMMIT, m->height, r->block[b].h.view, r->block[b].n);
    oracle_final(r->oracle, m->slot, wr_slice(&w));
    update_final(m, &r->block[b]);
    store_height(m, m->height);
    return true;
}

static void want_drop(struct machine *m)
{
    memmove(m->want, m->want + 1, --m->n_want * sizeof m->want[0]);
}

static void try_apply(struct machine *m)
{
    uint64_t before = m->height;
    uint32_t b;
    while (m->n_want > 0) {
        const struct simplex_block *f = &m->want[0];
        if (f->height <= m->height) {
            want_drop(m);
            continue;
        }
        if (f->height > m->height + 1) {        /* the stretch below is on its way */
            if (f->height - 1 > m->behind)
                m->behind = f->height - 1;
            break;
        }
        if (!holds(m, &f->hash, &b))
            break;
        want_drop(m);
        if (!apply(m, b))
            return;
    }
    fetch(m);
    if (m->height > before && machine_up(m))
        machine_work(m);
}

static void cert_keep(struct machine *m, uint64_t height, const struct message *msg)
{
    struct wr w = wr_heap(MESSAGE_MAX);
    reeve_assert(height < RIG_HEIGHTS);
    message_encode(msg, &w);
    free((void *) m->cert[height].p);
    m->cert[height] = wr_slice(&w);
}

void chain_commit(struct machine *m, const struct simplex_effect *f)
{
    static struct simplex_cert cert;
    static struct message msg;
    const struct simplex_block *b = &f->vote.b;
    if (f->flag && simplex_cert_get(m->s, SX_FINALIZE, b->view, &cert) == REEVE_OK) {
        cert_fill(m->rig, &cert, &msg);
        cert_keep(m, b->height, &msg);
    }
    if (b->height <= m->height) {
        if (!hash32_eq(&m->rig->block[m->chain[b->height]].hash, &b->hash) && !m->rig->p.over)
            aviolation(m->rig, "one block at a height", "n%d: its engine commits another block at %llu than it fetched",
                       m->slot, (unsigned long long) b->height);
        return;
    }
    if (m->n_want == sizeof m->want / sizeof m->want[0]) {
        m->behind = b->height;
        fetch(m);
        return;
    }
    m->want[m->n_want++] = *b;
    try_apply(m);
}

/* The engine is told what is applied here: it may be all it needs. */
static void tell_committed(struct machine *m)
{
    const struct block *head = &m->rig->block[m->chain[m->height]];
    struct simplex_event e = { .type = SXE_COMMITTED, .vote = { SX_FINALIZE, block_of(m->rig, m->chain[m->height]) },
                               .signer = head->h.proposer };
    machine_event(m, &e);
    if (machine_up(m))
        machine_work(m);
}

/* The engine hands on a certificate only while it remembers the view; a final one beyond that is remembered here. */
void chain_final_cert(struct machine *m, const struct message *msg)
{
    struct wr w = wr_heap(MESSAGE_MAX);
    message_encode(msg, &w);
    free((void *) m->final_cert.p);
    m->final_cert = wr_slice(&w);
}

static bool cert_of(struct machine *m, const struct simplex_block *b, struct message *out)
{
    static struct simplex_cert cert;
    if (simplex_cert_get(m->s, SX_FINALIZE, b->view, &cert) == REEVE_OK && hash32_eq(&cert.b.hash, &b->hash)) {
        cert_fill(m->rig, &cert, out);
        return true;
    }
    struct simplex_config c;
    machine_config(m, &c);
    return m->final_cert.len > 0 && message_decode(out, m->final_cert) && hash32_eq(&out->vote.block_hash, &b->hash) &&
           cert_take(m->rig, out, &cert) && simplex_cert_verify(&c, &cert) == REEVE_OK;
}

/* All that leads to a block known to be final is here: it is final as well. */
static void try_final(struct machine *m)
{
    static struct message msg;
    struct hash32 at = m->final.hash;
    uint32_t path[256];
    unsigned n = 0;
    if (m->final.view == 0 || missing_ancestor(m, &at, &at))
        return;
    if (m->final.height <= m->height) {
        m->final.view = 0;
        return;
    }
    for (at = m->final.hash; !hash32_eq(&at, head_hash(m)) && n < 256;) {
        path[n] = block_find(m->rig, &at);
        if (m->rig->block[path[n]].h.height <= m->height)
            return;
        at = m->rig->block[path[n++]].h.parent_hash;
    }
    if (n == 256)
        return;
    while (n > 0)
        if (!apply(m, path[--n]))
            return;
    if (m->final.height == m->height && cert_of(m, &m->final, &msg))
        cert_keep(m, m->height, &msg);
    m->final.view = 0;
    tell_committed(m);
}

void chain_behind(struct machine *m, const struct simplex_block *b)
{
    if (b->height > m->behind)
        m->behind = b->height;
    if (m->final.view == 0 || b->height > m->final.height)
        m->final = *b;
    if (m->behind <= m->height && m->height > 0)
        tell_committed(m);
    try_final(m);
    fetch(m);
}

void chain_want_certs(struct machine *m, uint64_t view)
{
    struct message msg = { .kind = M_WANT_CERTS, .a = view };
    ask(m, &msg);
}

/* ---- a stretch of the chain ---- */

void chain_serve(struct machine *m, int to, uint64_t from)
{
    static struct message msg;
    static uint8_t mem[MESSAGE_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    uint64_t last = 0;
    if (from == 0 || from > m->store.height)
        return;
    for (uint64_t h = from; h <= m->store.height && h < from + CHAIN_MAX; h++)
        if (m->cert[h].len > 0)
            last = h;
    if (last == 0 || !message_decode(&msg, m->cert[last]))
        return;
    for (uint64_t h = from; h <= last; h++)
        block_write(&m->rig->block[m->chain[h]], &w);
    msg.kind = M_CHAIN;
    msg.rest = wr_slice(&w);
    machine_send(m, to, &msg);
}

/* Blocks that follow each other from what is applied here to the one the certificate names. */
static size_t stretch_read(struct machine *m, const struct message *msg, uint32_t out[CHAIN_MAX])
{
    struct rd in = rd_of(msg->rest);
    struct hash32 at = *head_hash(m);
    uint64_t height = m->height;
    size_t n = 0;
    while (rd_left(&in) > 0 && n < CHAIN_MAX) {
        uint32_t b = block_read(m->rig, &in);
        if (b == NO_BLOCK)
            return 0;
        const struct block *k = &m->rig->block[b];
        if (k->h.height <= m->height)
            continue;
        if (k->h.height != height + 1 || !hash32_eq(&k->h.parent_hash, &at))
            return 0;
        at = k->hash;
        height++;
        out[n++] = b;
    }
    return n > 0 && hash32_eq(&at, &msg->vote.block_hash) && height == msg->vote.height ? n : 0;
}

void chain_take(struct machine *m, const struct message *msg)
{
    static struct simplex_cert cert;
    static struct message own;
    uint32_t b[CHAIN_MAX];
    struct simplex_config c;
    size_t n = stretch_read(m, msg, b);
    if (n == 0 || !cert_take(m->rig, msg, &cert) || cert.type != SX_FINALIZE)
        return;
    machine_config(m, &c);
    if (simplex_cert_verify(&c, &cert) != REEVE_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        if (!block_valid(m->rig, b[i]))
            return;
        m->rig->block[b[i]].held[m->slot] = true;
    }
    for (size_t i = 0; i < n; i++)
        if (!apply(m, b[i]))
            return;
    cert_fill(m->rig, &cert, &own);
    cert_keep(m, cert.b.height, &own);
    tell_committed(m);
    if (machine_up(m))
        try_apply(m);
    if (machine_up(m))
        try_final(m);
    if (machine_up(m))
        try_check(m);
}

void chain_crashed(struct machine *m)
{
    struct arig *r = m->rig;
    for (uint64_t h = m->store.height + 1; h <= m->height && h < RIG_HEIGHTS; h++) {
        free((void *) m->cert[h].p);
        m->cert[h] = slice_of(NULL, 0);
    }
    for (uint32_t i = 0; i < r->n_blocks; i++)
        r->block[i].held[m->slot] = r->block[i].durable[m->slot];
    memset(m->pending, 0, sizeof m->pending);
    m->n_pending = m->n_want = 0;
    m->fetching = false;
    kept_crashed(m);
}

/* ---- building ---- */

static void work_again(void *ctx, struct sim_event *e)
{
    struct machine *m = ctx;
    if (machine_up(m) && m->n_pending > 0)
        machine_work(m);
}

static void not_built(struct machine *m, const struct simplex_vote *v)
{
    struct simplex_event e = { .type = SXE_NOT_BUILT, .vote = *v };
    machine_event(m, &e);
    sim_after(&m->rig->w, RETRY_US, m->slot, work_again, m, NULL, 0);
}

static unsigned leaves_pick(const struct machine *m, const struct block *parent, struct leaf out[BLOCK_LEAVES])
{
    unsigned n = 0;
    for (uint64_t id = 0; id < RIG_UPDATES && n < BLOCK_LEAVES; id++)
        if (m->pending[id] && rule_takes(m, id) && (parent == NULL || !(parent->in_chain[id / 8] >> id % 8 & 1)))
            out[n++] = (struct leaf){ id, leaf_tag(id) };
    return n;
}

int64_t machine_wall_ms(const struct machine *m)
{
    return sim_clock_wall_us(&m->rig->w, m->slot) / 1000;
}

/* The parent, with all between it and what is applied here; false when something is missing or does not follow. */
static bool parent_ready(struct machine *m, const struct hash32 *hash, uint32_t *parent)
{
    struct hash32 missing;
    uint32_t path[64];
    unsigned n = 0;
    *parent = NO_BLOCK;
    if (hash32_eq(hash, head_hash(m))) {
        *parent = chain_head(m);
        return true;
    }
    if (missing_ancestor(m, hash, &missing))
        return false;
    for (struct hash32 at = *hash; !hash32_eq(&at, head_hash(m)) && n < 64;) {
        path[n] = block_find(m->rig, &at);
        if (m->rig->block[path[n]].h.height <= m->height)
            return false;
        at = m->rig->block[path[n++]].h.parent_hash;
    }
    if (n == 64)
        return false;
    *parent = path[0];
    while (n > 0)
        (void) block_valid(m->rig, path[--n]);
    return true;
}

void chain_build(struct machine *m, const struct simplex_vote *v)
{
    struct arig *r = m->rig;
    struct leaf leaf[BLOCK_LEAVES];
    uint32_t parent;
    if (!parent_ready(m, &v->b.parent_hash, &parent)) {
        not_built(m, v);
        return;
    }
    const struct block *p = parent == NO_BLOCK ? NULL : &r->block[parent];
    int64_t now = machine_wall_ms(m), after = p == NULL ? 0 : p->h.time.ms;
    unsigned n = m->evil == EVIL_MUTATOR && (r->p.mutations & 1) ? 0 : leaves_pick(m, p, leaf);
    bool due = now - after >= r->p.engine.tick_ms / 2 || !hash32_eq(&v->b.parent_hash, head_hash(m));
    struct block_header h = { .view = v->b.view, .height = v->b.height, .parent_view = v->b.parent_view,
                              .parent_hash = v->b.parent_hash, .proposer = m->me };
    h.time.ms = (now > after ? now : after + 1) + (m->slot != m->me);     /* twins never make the same block */
    if (h.time.ms - now > ATTEST_MAX_SKEW_MS || (n == 0 && !due && m->evil != EVIL_MUTATOR)) {
        not_built(m, v);
        return;
    }
    block_seal(r, &h, parent, leaf, n);
    uint32_t b = block_add(r, &h, leaf, n);
    if (b == NO_BLOCK) {
        not_built(m, v);
        return;
    }
    (void) block_valid(r, b);
    r->block[b].held[m->slot] = true;
    struct simplex_event e = { .type = SXE_BUILT, .vote = { SX_PROPOSE, block_of(r, b) } };
    machine_event(m, &e);
}

/* ---- checking ---- */

/* The voting rule on time is each validator's own; everything else is the block's. */
static bool block_good(struct machine *m, uint32_t b)
{
    const struct block *k = &m->rig->block[b];
    int64_t off = k->h.time.ms - machine_wall_ms(m);
    return block_valid(m->rig, b) && rule_takes_block(m, k) && off <= ATTEST_MAX_SKEW_MS && off >= -ATTEST_MAX_SKEW_MS;
}

static void try_check(struct machine *m)
{
    struct simplex_event e = { .type = SXE_CHECKED, .vote = { SX_PROPOSE, m->checking } };
    uint32_t b, parent;
    if (m->checking.view == 0 || !holds(m, &m->checking.hash, &b))
        return;
    if (!parent_ready(m, &m->checking.parent_hash, &parent)) {
        fetch(m);
        return;
    }
    e.flag = block_good(m, b);
    m->checking.view = 0;
    machine_event(m, &e);
}

static void check_due(void *ctx, struct sim_event *e)
{
    struct machine *m = ctx;
    if (e->a == m->checking.view)
        try_check(m);
}

void chain_check(struct machine *m, const struct simplex_vote *v)
{
    m->checking = v->b;
    sim_after(&m->rig->w, 1 + sim_rng_exponential(&m->rig->w.rng, m->rig->p.work_us), m->slot, check_due, m, NULL, 0)->a = v->b.view;
    fetch(m);
}
