/*
 * raft_client.c - the load: clients that read, write, compare and set, and try again
 *
 * A client has one operation at a time. With a session it repeats an operation
 * under the same (session, sequence) until it has an answer; without one it
 * repeats only what was certainly not taken. What ends without certainty stays
 * open in the history.
 */
#include "raft_int.h"

#define RPC_US     300
#define RESERVED   16           /* operations kept for the healing phase */

struct reply {
    uint32_t client, op, attempt;
    uint8_t what, outcome;
    enum reeve_err err;
    uint64_t session, index;
    struct linear_value value;
};
enum { REPLY_REFUSED = 100 };   /* an outcome: nothing was taken */

static void think(void *ctx, struct sim_event *e);
static void attempt_start(struct rig *r, struct client *c);

static struct client *client_of(void *ctx, const struct sim_event *e)
{
    struct rig *r = ctx;
    return &r->client[e->a];
}

static void think_after(struct rig *r, struct client *c, int64_t us)
{
    c->state = CLIENT_IDLE;
    sim_after(&r->w, us, SIM_NOBODY, think, r, NULL, 0)->a = (uint64_t) c->i;
}

static void finish(struct rig *r, struct client *c)
{
    c->attempt++;                       /* late answers find nobody */
    c->seq++;
    think_after(r, c, sim_rng_exponential(&r->w.rng, r->p.think_us));
}

static void op_ok(struct rig *r, struct client *c, const struct reply *p)
{
    struct op *o = &r->op[c->op];
    const struct result *res = &r->result[o->id];
    o->done = true;
    o->ret_us = r->w.now_us;
    o->result = p->value;
    if (o->kind == OP_READ) {
        r->n_reads++;
    } else if (!res->known) {
        violation(r, "acknowledged was applied", "operation %u is acknowledged and nobody applied it", o->id);
    } else if (p->index != 0 && p->index != res->index) {
        violation(r, "acknowledged was applied", "operation %u took effect at %llu, the answer says %llu", o->id,
                  (unsigned long long) res->index, (unsigned long long) p->index);
    }
    o->cas_hit = res->hit;
    o->index = res->index;
    r->n_acked++;
    sim_trace(&r->w, SIM_NOBODY, K_CLIENT, 2, o->id, o->index);
    if (o->kind != OP_READ || p->value.present)
        r->guess[o->key] = o->kind == OP_READ ? p->value.v : o->cas_hit ? o->new_ : r->guess[o->key];
    if (c->final)
        r->final_stage++;
    finish(r, c);
}

static void op_given_up(struct rig *r, struct client *c)
{
    struct op *o = &r->op[c->op];
    if (o->maybe) {
        o->unknown = true;
        r->n_unknown++;
    } else {
        o->failed = true;
    }
    sim_trace(&r->w, SIM_NOBODY, K_CLIENT, 3, o->id, o->maybe);
    finish(r, c);
}

/* ---- attempts ---- */

static void attempt_again(void *ctx, struct sim_event *e)
{
    struct client *c = client_of(ctx, e);
    if (c->state != CLIENT_IDLE && c->attempt == e->b)
        attempt_start(ctx, c);
}

static void retry(struct rig *r, struct client *c)
{
    c->attempt++;
    c->target = (int) sim_rng_below(&r->w.rng, (uint64_t) r->n_nodes);
    if (c->state == CLIENT_BUSY && r->w.now_us > c->deadline_us && !c->final) {
        op_given_up(r, c);
        return;
    }
    struct sim_event *e = sim_after(&r->w, sim_rng_between(&r->w.rng, 5000, 100000), SIM_NOBODY, attempt_again, r, NULL, 0);
    e->a = (uint64_t) c->i;
    e->b = c->attempt;
}

/* An attempt that may have worked. */
static void uncertain(struct rig *r, struct client *c)
{
    struct op *o = &r->op[c->op];
    if (c->state == CLIENT_BUSY && o->kind != OP_READ) {
        o->maybe = true;
        if (!c->uses_session) {
            op_given_up(r, c);
            return;
        }
    }
    retry(r, c);
}

static void attempt_timeout(void *ctx, struct sim_event *e)
{
    struct client *c = client_of(ctx, e);
    if (c->state != CLIENT_IDLE && c->attempt == e->b)
        uncertain(ctx, c);
}

static void session_gone(struct rig *r, struct client *c)
{
    c->session = 0;
    op_given_up(r, c);
}

static void opened(struct rig *r, struct client *c, const struct reply *p)
{
    if (p->outcome != MEMBER_APPLIED) {
        retry(r, c);
        return;
    }
    c->session = p->session;
    c->seq = 1;
    think_after(r, c, 1000);
}

static void reply_come(void *ctx, struct sim_event *e)
{
    struct rig *r = ctx;
    struct reply p;
    memcpy(&p, e->bytes, sizeof p);
    struct client *c = &r->client[p.client];
    if (c->state == CLIENT_IDLE || c->attempt != p.attempt)
        return;
    if (p.what == TICKET_OPEN)
        opened(r, c, &p);
    else if (p.what == TICKET_READ && p.err == REEVE_OK && p.outcome != REPLY_REFUSED)
        op_ok(r, c, &p);
    else if (p.what == TICKET_READ || p.outcome == REPLY_REFUSED)
        retry(r, c);
    else if (p.outcome == MEMBER_APPLIED || p.outcome == MEMBER_DUPLICATE)
        op_ok(r, c, &p);
    else if (p.outcome == MEMBER_UNKNOWN)
        uncertain(r, c);
    else if (p.err == REEVE_E_WRONG_STATE && c->uses_session)
        session_gone(r, c);
    else
        retry(r, c);
}

static void reply(struct rig *r, const struct reply *p)
{
    sim_after(&r->w, sim_rng_exponential(&r->w.rng, RPC_US), SIM_NOBODY, reply_come, r, p, sizeof *p);
}

void client_done(struct node *n, const struct member_effect *f)
{
    struct rig *r = n->rig;
    for (size_t i = 0; i < n->n_tickets; i++) {
        struct ticket t = n->ticket[i];
        if (t.ticket != f->ticket)
            continue;
        n->ticket[i] = n->ticket[--n->n_tickets];
        if (t.what == TICKET_CHANGE) {
            r->change_open = false;
            r->n_changes += f->outcome == MEMBER_APPLIED;
            return;
        }
        struct reply p = { .client = t.client, .op = t.op, .attempt = t.attempt, .what = t.what, .outcome = f->outcome, .err = f->err,
                           .session = f->id, .index = f->index };
        if (t.what == TICKET_READ && f->err == REEVE_OK) {
            uint8_t k = r->op[t.op].key;
            if (n->state.index < t.committed)
                violation(r, "a read sees what was committed when it came", "n%d answers a read from %llu, committed was %llu", n->slot,
                          (unsigned long long) n->state.index, (unsigned long long) t.committed);
            p.value = (struct linear_value){ n->state.present[k], n->state.present[k] ? n->state.value[k] : 0 };
        }
        reply(r, &p);
        return;
    }
    violation(r, "a ticket is answered once", "n%d answers ticket %llu, nobody waits for it", n->slot, (unsigned long long) f->ticket);
}

/* ---- what a member is asked ---- */

static enum reeve_err ask(struct node *n, struct client *c, struct ticket *t)
{
    struct rig *r = n->rig;
    uint8_t mem[600];
    struct member_event e = { .ticket = t->ticket };
    if (t->what == TICKET_OPEN) {
        e.type = MEMBER_E_OPEN;
    } else if (t->what == TICKET_READ) {
        e.type = MEMBER_E_READ;
    } else {
        const struct op *o = &r->op[t->op];
        e.type = MEMBER_E_PROPOSE;
        e.session = o->session;
        e.seq = o->seq;
        e.data = slice_of(mem, command_encode(mem, sizeof mem, o, (o->id * 37u) % 400u));
    }
    return node_step(n, &e);
}

static void ticket_drop(struct node *n, uint64_t ticket)
{
    for (size_t i = 0; i < n->n_tickets; i++)
        if (n->ticket[i].ticket == ticket)
            n->ticket[i] = n->ticket[--n->n_tickets];
}

static void request_come(void *ctx, struct sim_event *e)
{
    struct rig *r = ctx;
    struct node *n = r->node[e->node];
    struct client *c = &r->client[e->a];
    uint32_t attempt = (uint32_t) e->b, op = (uint32_t) (e->b >> 32);
    uint8_t what = e->bytes[0];
    struct reply p = { .client = (uint32_t) c->i, .op = op, .attempt = attempt, .what = what, .outcome = REPLY_REFUSED };
    struct ticket *t = n->m != NULL ? node_ticket(n, what, op, attempt, (uint32_t) c->i) : NULL;
    if (t == NULL) {
        reply(r, &p);
        return;
    }
    uint64_t number = t->ticket;
    if (ask(n, c, t) != REEVE_OK) {
        ticket_drop(n, number);
        reply(r, &p);
    }
}

static void attempt_start(struct rig *r, struct client *c)
{
    struct op *o = &r->op[c->op];
    uint8_t what = c->state == CLIENT_OPENING ? TICKET_OPEN : o->kind == OP_READ ? TICKET_READ : TICKET_OP;
    struct sim_event *e = sim_after_any_life(&r->w, sim_rng_exponential(&r->w.rng, RPC_US), c->target, request_come, r, &what, 1);
    e->a = (uint64_t) c->i;
    e->b = (uint64_t) c->op << 32 | c->attempt;
    e = sim_after(&r->w, sim_rng_between(&r->w.rng, 800000, 2500000), SIM_NOBODY, attempt_timeout, r, NULL, 0);
    e->a = (uint64_t) c->i;
    e->b = c->attempt;
}

/* ---- operations ---- */

static void op_begin(struct rig *r, struct client *c)
{
    struct op *o = &r->op[r->n_ops];
    uint64_t dice = sim_rng_below(&r->w.rng, 100);
    *o = (struct op){ .id = r->n_ops, .client = (uint32_t) c->i, .key = (uint8_t) sim_rng_below(&r->w.rng, RIG_KEYS),
                      .invoked = true, .call_us = r->w.now_us, .new_ = 1000 + r->n_ops, .old = -1 };
    o->kind = dice < 45 ? OP_READ : dice < 80 ? OP_WRITE : OP_CAS;
    if (c->final) {
        o->kind = r->final_stage == 0 ? OP_WRITE : OP_READ;
        o->key = 0;
    }
    if (o->kind == OP_CAS && sim_rng_below(&r->w.rng, 8) != 0)
        o->old = r->guess[o->key];
    if (c->uses_session) {
        o->session = c->session;
        o->seq = c->seq;
    }
    r->n_ops++;
    c->op = o->id;
    c->attempt++;
    c->state = CLIENT_BUSY;
    c->deadline_us = r->w.now_us + sim_rng_between(&r->w.rng, 2000000, 9000000);
    if (sim_rng_below(&r->w.rng, 4) == 0)
        c->target = (int) sim_rng_below(&r->w.rng, (uint64_t) r->n_nodes);
    sim_trace(&r->w, SIM_NOBODY, K_CLIENT, 1, o->id, o->kind);
    attempt_start(r, c);
}

static void think(void *ctx, struct sim_event *e)
{
    struct rig *r = ctx;
    struct client *c = client_of(ctx, e);
    bool mine = r->final_wanted && c->i == 0 && r->final_stage < 2;
    if (r->violated || (!mine && (r->quiet || r->n_ops + RESERVED >= RIG_OPS))) {
        think_after(r, c, 100000);
        return;
    }
    c->final = mine;
    if (c->uses_session && c->session == 0) {
        c->state = CLIENT_OPENING;
        c->attempt++;
        attempt_start(r, c);
        return;
    }
    if (r->n_ops < RIG_OPS)
        op_begin(r, c);
}

void clients_start(struct rig *r)
{
    for (int i = 0; i < RIG_KEYS; i++)
        r->guess[i] = -1;
    for (int i = 0; i < r->p.clients; i++) {
        struct client *c = &r->client[i];
        *c = (struct client){ .i = i, .uses_session = i % 3 != 2, .seq = 1 };
        think_after(r, c, sim_rng_between(&r->w.rng, 0, 500000));
    }
}
