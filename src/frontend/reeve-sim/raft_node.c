/* raft_node.c - one machine: it boots, starts a member, feeds it events, obeys its effects, dies. */
#include "raft_int.h"

#include <stdlib.h>

struct node *node_new(struct rig *r, int slot)
{
    struct node *n = calloc(1, sizeof *n);
    reeve_assert(n != NULL);
    n->rig = r;
    n->slot = slot;
    n->held_last = &n->held;
    sim_disk_init(&n->disk, &r->w, slot, &r->p.disk, wal_done, n);
    return n;
}

static void life_free(struct node *n)
{
    while (n->held != NULL) {
        struct held *h = n->held;
        n->held = h->next;
        free(h);
    }
    n->held_last = &n->held;
    snaps_drop(n);
    kept_drop(n);
    n->kept_told = 0;
    wal_run_free(&n->wal);
    free(n->mem);
    n->mem = NULL;
    n->m = NULL;
    n->n_tickets = 0;
    n->repaired_last = 0;
    n->applying = n->flushing = n->stopping = n->waking = false;
}

void node_free(struct node *n)
{
    if (n == NULL)
        return;
    life_free(n);
    state_free(&n->state);
    state_free(&n->stored);
    sim_disk_free(&n->disk);
    astray_free(n);
    free(n);
}

struct node *node_of(struct rig *r, uint32_t id)
{
    return id < RIG_IDS_MAX && r->slot_of[id] >= 0 ? r->node[r->slot_of[id]] : NULL;
}

void node_join(struct node *n, uint32_t id, bool bootstrap)
{
    reeve_assert(id > 0 && id < RIG_IDS_MAX);
    n->rig->slot_of[id] = n->slot;
    n->id = id;
    n->incarnation = sim_rng_next(&n->rig->w.rng) | 1;
    n->bootstrap = bootstrap;
    n->fresh = true;
    n->mute_mark = false;
    n->damaged = n->was_damaged = n->wiped = false;
    n->bad_block_file[0] = '\0';
    n->mute_term = n->max_term = 0;
    n->lost_index = n->lost_term = 0;
    state_free(&n->stored);
    sim_disk_wipe(&n->disk);
    check_wiped(n);
}

/* ---- a life begins ---- */

void node_boot(struct node *n)
{
    struct rig *r = n->rig;
    reeve_assert(n->id != 0 && n->m == NULL);
    n->want_up = false;
    sim_node_boot(&r->w, n->slot);
    if (r->p.drift_ppm > 0 && r->chaos)
        sim_clock_drift(&r->w, n->slot, (int32_t) sim_rng_between(&r->w.rng, -(int64_t) r->p.drift_ppm, r->p.drift_ppm));
    if (n->fresh) {
        sim_disk_wipe(&n->disk);
        wal_begin_format(n);
        wal_pump(n);
        return;
    }
    node_start(n);
}

static void restart_due(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    if (n->want_up && !n->rig->w.node[n->slot].up)
        node_boot(n);
}

void node_restart_after(struct node *n, int64_t us)
{
    n->want_up = true;
    sim_after(&n->rig->w, us, SIM_NOBODY, restart_due, n, NULL, 0);
}

static void first_conf(const struct rig *r, struct raft_conf *c)
{
    *c = (struct raft_conf){ .last_id = (uint32_t) r->p.members, .n = (uint16_t) r->p.members };
    for (int i = 0; i < r->p.members; i++)
        c->m[i] = (struct raft_member){ .id = (uint32_t) i + 1, .incarnation = r->first_incarnation[i], .role = RAFT_VOTER };
}

/* The rows of the store, as a restart gives them back. */
static void rows_restore(struct node *n, uint64_t *base, uint64_t *base_term)
{
    struct slice row0, conf;
    state_rows_restore(n, &n->stored);
    if (state_row(&n->stored, 0, &row0))
        reeve_assert(member_row_position(row0, base, base_term, &conf) == REEVE_OK);
}

/* What was promised is not known: a log of its own, and the mark that outlives restarts. */
static void begin_mute(struct node *n, uint64_t term)
{
    check_will_be_wiped(n);
    n->mute_mark = true;
    if (term > n->mute_term)
        n->mute_term = term;
    n->max_term = 0;                    /* it may begin below what it promised: that is why it is mute */
    n->fresh = true;
    life_free(n);
    sim_disk_wipe(&n->disk);
    n->bad_block_file[0] = '\0';
    n->was_damaged = false;
    n->lost_index = n->lost_term = 0;
    wal_begin_format(n);
    wal_pump(n);
}

static void member_alloc(struct node *n)
{
    struct member_config c = n->rig->p.member;
    c.raft.id = n->id;
    c.raft.incarnation = n->incarnation;
    c.raft.ring = RIG_RING;
    c.raft.seed = sim_rng_next(&n->rig->w.rng);
    c.origin = sim_rng_next(&n->rig->w.rng) | 1;
    size_t size = member_size(&c);
    reeve_assert(size > 0);
    n->mem = calloc(1, size);
    reeve_assert(n->mem != NULL && member_init(&n->m, n->mem, size, &c) == REEVE_OK);
}

void node_start(struct node *n)
{
    struct rig *r = n->rig;
    struct raft_conf conf;
    struct raft_start s = { .mode = RAFT_START_CLEAN, .conf = &conf };
    uint64_t base = 0, base_term = 0;
    conf = (struct raft_conf){ 0 };
    if (n->bootstrap)
        first_conf(r, &conf);
    member_alloc(n);
    state_copy(&n->state, &n->stored);
    rows_restore(n, &base, &base_term);
    s.base_index = base;
    s.base_term = base_term;
    if (n->fresh) {
        if (base > 0)
            wal_base(n, base, base_term);
        n->fresh = false;
        check_boot(n);
    } else {
        enum wal_verdict v = wal_begin_recover(n, &s, base, base_term);
        if (v > WAL_CORRUPT && !r->violated) {
            begin_mute(n, s.term);
            return;
        }
    }
    if (n->mute_mark) {
        s.mode = RAFT_START_MUTE;
        s.term = s.term > n->mute_term ? s.term : n->mute_term;
    }
    if (r->violated)
        return;
    enum reeve_err err = member_begin(n->m, &s);
    if (err != REEVE_OK) {
        violation(r, "restart", "n%d cannot start: %s (base %llu, mode %u)", n->slot, reeve_err_name(err),
                  (unsigned long long) base, s.mode);
        return;
    }
    r->n_restarts++;
    n->seen_life = 0;
    wal_pump(n);
    node_step(n, &(struct member_event){ .type = MEMBER_E_START });
    mend_start(n);
}

/* ---- and ends ---- */

static void link_broke(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    if (n->m != NULL)
        node_step(n, &(struct member_event){ .type = MEMBER_E_UNREACHABLE, .peer = (uint32_t) e->a });
}

/* A process that is killed leaves a kernel behind that says so; a machine without power says nothing. */
static void links_break(struct node *dead)
{
    struct rig *r = dead->rig;
    for (int i = 0; i < r->n_nodes; i++)
        if (r->node[i] != NULL && r->node[i] != dead && r->node[i]->m != NULL)
            sim_after(&r->w, sim_rng_between(&r->w.rng, 50, 3000), r->node[i]->slot, link_broke, r->node[i], NULL, 0)->a = dead->id;
}

void node_die(struct node *n, enum death d)
{
    struct rig *r = n->rig;
    bool back = astray_ends(n);
    life_free(n);
    state_free(&n->state);
    sim_node_crash(&r->w, n->slot);
    sim_disk_crash(&n->disk, d == DEATH_POWER);
    astray_settle(n, back);
    sim_net_reset(&r->net, n->slot);
    n->down_since_us = r->w.now_us;
    if (d == DEATH_KILL && n->id != 0)
        links_break(n);
}

static void stopped(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    if (n->m == NULL)
        return;
    node_die(n, DEATH_KILL);
    node_restart_after(n, sim_rng_between(&n->rig->w.rng, 50000, 500000));
}

/* ---- messages ---- */

static void send_now(struct node *n, const struct raft_msg *m, struct slice bytes, int to, int lane)
{
    struct sim_net *net = &n->rig->net;
    uint32_t dup = net->p.dup_ppm;
    check_sent(n, m);
    /* A link repeats nothing by itself; engine/raft bears it all the same, commands without a session do not. */
    if (m->type == RAFT_M_HOST)
        net->p.dup_ppm = 0;
    sim_net_send(net, n->slot, to, lane, bytes);
    net->p.dup_ppm = dup;
}

static void hold(struct node *n, const struct raft_effect *f, struct slice bytes, int to, int lane)
{
    struct held *h = malloc(sizeof *h + bytes.len);
    reeve_assert(h != NULL);
    *h = (struct held){ .after = f->after, .to = to, .lane = lane, .m = f->msg, .len = bytes.len };
    memcpy(h->bytes, bytes.p, bytes.len);
    *n->held_last = h;
    n->held_last = &h->next;
}

static void send_effect(struct node *n, const struct raft_effect *f)
{
    static uint8_t mem[RAFT_MSG_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct node *to = node_of(n->rig, f->msg.to);
    raft_msg_encode(&f->msg, member_log(n->m), &w);
    reeve_assert(!w.bad);
    if (to == NULL || to == n)
        return;
    int lane = f->msg.type == RAFT_M_SNAPSHOT;
    if (f->after > n->wal.seq_done)
        hold(n, f, wr_slice(&w), to->slot, lane);
    else
        send_now(n, &f->msg, wr_slice(&w), to->slot, lane);
}

void nodes_messages_durable(struct node *n)
{
    struct held **l = &n->held;
    while (*l != NULL) {
        struct held *h = *l;
        if (h->after > n->wal.seq_done) {
            l = &h->next;
            continue;
        }
        *l = h->next;
        send_now(n, &h->m, slice_of(h->bytes, h->len), h->to, h->lane);
        free(h);
    }
    n->held_last = l;
}

void node_receive(void *host, int from, int to, int lane, struct slice msg)
{
    struct rig *r = host;
    struct node *n = r->node[to];
    struct raft_msg m;
    if (n == NULL || n->m == NULL || r->violated)
        return;
    if (raft_msg_decode(&m, msg) != REEVE_OK) {
        violation(r, "messages decode", "n%d sent n%d what does not decode", from, to);
        return;
    }
    if (!mend_message(n, &m))
        node_step(n, &(struct member_event){ .type = MEMBER_E_MESSAGE, .msg = &m });
}

/* ---- effects ---- */

static void hash_later(void *ctx, struct sim_event *e)
{
    struct member_event ev = { .type = MEMBER_E_HASHED, .index = e->a };
    memcpy(ev.hash.b, &e->b, sizeof e->b);
    node_step(ctx, &ev);
}

/* The note goes when what it says is durable again. */
static void repaired(struct node *n)
{
    struct raft_status st;
    raft_status(member_raft(n->m), &st);
    n->repaired_last = n->lost_index != 0 ? st.last : 0;
}

static void repaired_check(struct node *n)
{
    struct raft_status st;
    if (n->repaired_last == 0 || n->m == NULL)
        return;
    raft_status(member_raft(n->m), &st);
    if (st.durable >= n->repaired_last)
        n->repaired_last = n->lost_index = n->lost_term = 0;
}

static void raft_effect(struct node *n, const struct raft_effect *f)
{
    struct rig *r = n->rig;
    switch (f->type) {
    case RAFT_F_APPEND:
        kept_append(n, &f->append);
        wal_take(n, &f->append);
        break;
    case RAFT_F_SEND:   send_effect(n, f); break;
    case RAFT_F_ROLE:
        kept_drop(n);
        n->kept_told = 0;
        sim_trace_text(&r->w, n->slot, K_ROLE, f->role, f->term, f->leader, "%s", raft_role_name(f->role));
        break;
    case RAFT_F_LOG_READ: kept_read(n, f); break;
    case RAFT_F_CONF:   sim_trace(&r->w, n->slot, K_NOTE, 3, f->index, 0); break;
    case RAFT_F_REPAIRED:
        n->mute_mark = false;
        repaired(n);
        sim_trace(&r->w, n->slot, K_NOTE, 4, 0, 0);
        break;
    case RAFT_F_SNAP_NEED: case RAFT_F_SNAP_READ: case RAFT_F_SNAP_CHUNK: case RAFT_F_SNAP_INSTALL: case RAFT_F_SNAP_DONE:
        snap_effect(n, f);
        break;
    default: break;
    }
}

static void member_effect(struct node *n, const struct member_effect *f)
{
    struct rig *r = n->rig;
    struct sim_event *e;
    switch (f->type) {
    case MEMBER_F_RAFT:  raft_effect(n, f->raft); break;
    case MEMBER_F_APPLY: apply_upto(n, f->index); break;
    case MEMBER_F_DONE: case MEMBER_F_READ_DONE: client_done(n, f); break;
    case MEMBER_F_HASH:
        if (f->index != n->state.index)
            violation(r, "driver contract", "n%d: hash wanted at %llu, the state stands at %llu", n->slot,
                      (unsigned long long) f->index, (unsigned long long) n->state.index);
        e = sim_after(&r->w, 0, n->slot, hash_later, n, NULL, 0);
        e->a = f->index;
        e->b = state_hash(&n->state);
        break;
    case MEMBER_F_FLUSH: store_flush_asked(n); break;
    case MEMBER_F_QUARANTINE:
        violation(r, "state hashes agree", "n%d puts itself into quarantine at %llu", n->slot, (unsigned long long) f->index);
        break;
    case MEMBER_F_STOPPED:
        sim_after(&r->w, 0, n->slot, stopped, n, NULL, 0);
        break;
    }
}

static void trace_event(struct node *n, const struct member_event *e)
{
    struct sim_world *w = &n->rig->w;
    if (w->trace == NULL) {
        sim_trace(w, n->slot, K_EVENT, e->type, e->index, e->seq);
        return;
    }
    static uint8_t mem[4096];
    struct wr t = wr_fixed(mem, sizeof mem);
    member_event_describe(e, &t);
    sim_trace_text(w, n->slot, K_EVENT, e->type, e->index, e->seq, "%.*s", (int) t.len, (const char *) t.p);
}

static void trace_effect(struct node *n, const struct member_effect *f)
{
    struct sim_world *w = &n->rig->w;
    if (w->trace == NULL) {
        sim_trace(w, n->slot, K_EFFECT, f->type, f->index, f->raft ? f->raft->type : 0u);
        return;
    }
    static uint8_t mem[4096];
    struct wr t = wr_fixed(mem, sizeof mem);
    member_effect_describe(f, &t);
    sim_trace_text(w, n->slot, K_EFFECT, f->type, f->index, f->raft ? f->raft->type : 0u, "%.*s", (int) t.len, (const char *) t.p);
}

static void wake_due(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    if (n->wake_gen != e->a || n->m == NULL)
        return;
    n->waking = false;
    node_step(n, &(struct member_event){ .type = MEMBER_E_CLOCK });
}

/* An event that stands at or before the wake serves: coming early does no harm. */
void node_wake(struct node *n)
{
    int64_t at = member_wake(n->m).ms;
    if (at == INT64_MAX || (n->waking && n->wake_ms <= at))
        return;
    n->waking = true;
    n->wake_ms = at;
    struct sim_event *e = sim_after(&n->rig->w, sim_clock_until_us(&n->rig->w, n->slot, at * 1000), n->slot, wake_due, n, NULL, 0);
    e->a = ++n->wake_gen;
}

enum reeve_err node_step(struct node *n, struct member_event *e)
{
    struct rig *r = n->rig;
    if (n->m == NULL || r->violated)
        return REEVE_E_UNAVAILABLE;
    e->now.ms = sim_clock_mono_us(&r->w, n->slot) / 1000;
    trace_event(n, e);
    member_step(n->m, e, &r->fx);
    enum reeve_err verdict = r->fx.verdict;
    for (size_t i = 0; i < r->fx.n && !r->violated; i++) {
        trace_effect(n, &r->fx.e[i]);
        member_effect(n, &r->fx.e[i]);
    }
    if (r->violated)
        return verdict;
    check_node(n);
    kept_settle(n);
    if (r->violated || n->m == NULL)
        return verdict;
    repaired_check(n);
    wal_report_soon(n);
    node_wake(n);
    return verdict;
}

struct ticket *node_ticket(struct node *n, uint8_t what, uint32_t op, uint32_t attempt, uint32_t client)
{
    if (n->n_tickets == sizeof n->ticket / sizeof n->ticket[0])
        return NULL;
    struct ticket *t = &n->ticket[n->n_tickets++];
    *t = (struct ticket){ ++n->next_ticket, n->rig->committed, op, attempt, client, what };
    return t;
}

struct node *rig_leader(struct rig *r)
{
    struct node *best = NULL;
    uint64_t term = 0;
    for (int i = 0; i < r->n_nodes; i++) {
        struct member_status s;
        if (!node_up(r->node[i]))
            continue;
        member_status(r->node[i]->m, &s);
        if (s.raft.role == RAFT_LEADER && s.raft.term > term) {
            term = s.raft.term;
            best = r->node[i];
        }
    }
    return best;
}
