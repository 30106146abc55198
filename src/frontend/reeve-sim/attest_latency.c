/* attest_latency.c - one leader, one set of places: updates one after the other, and how long each takes. */
#include "attest_latency.h"

#include <stdlib.h>

#define SETTLE_US   20000000
#define BETWEEN_US  2000000
#define LONGEST_US  120000000

/* ---- a machine's processor: messages wait in line while signatures are verified ---- */

struct mail { struct mail *next; int from; size_t len; uint8_t bytes[]; };
struct inbox { struct mail *first, **last; bool busy; };
struct bench {
    struct arig r;
    struct lat_costs c;
    struct inbox in[RIG_MACHINES];
    struct aprofile profile;
    uint64_t n_verified;
};

/* As the engine: what is held already is not verified again. */
static int64_t signatures_in(struct machine *m, struct slice bytes)
{
    static struct message msg;
    static struct simplex_cert held;
    if (!message_decode(&msg, bytes))
        return 0;
    if (msg.kind == M_VOTE)
        return 1;
    if (msg.kind == M_PROPOSAL)
        return 2;       /* by who takes it in and by the engine */
    if (msg.kind != M_CERT)
        return 0;
    bool known = simplex_cert_get(m->s, (enum simplex_type) msg.vote.type, msg.vote.view, &held) == REEVE_OK &&
                 hash32_eq(&held.b.hash, &msg.vote.block_hash);
    return known ? 0 : msg.n_sigs;
}

static void next_mail(struct bench *b, int to);

static void verified(void *ctx, struct sim_event *e)
{
    struct bench *b = ctx;
    struct inbox *in = &b->in[e->node];
    struct mail *mail = in->first;
    in->first = mail->next;
    if (in->first == NULL)
        in->last = &in->first;
    in->busy = false;
    machine_receive(&b->r, mail->from, e->node, 0, slice_of(mail->bytes, mail->len));
    free(mail);
    next_mail(b, e->node);
}

static void next_mail(struct bench *b, int to)
{
    struct inbox *in = &b->in[to];
    if (in->busy || in->first == NULL || !machine_up(b->r.m[to]))
        return;
    int64_t n = signatures_in(b->r.m[to], slice_of(in->first->bytes, in->first->len));
    in->busy = true;
    b->n_verified += (uint64_t) n;
    sim_after(&b->r.w, n * b->c.verify, to, verified, b, NULL, 0);
}

static void receive(void *host, int from, int to, int lane, struct slice bytes)
{
    struct bench *b = host;
    struct mail *mail = malloc(sizeof *mail + bytes.len);
    reeve_assert(mail != NULL);
    *mail = (struct mail){ .from = from, .len = bytes.len };
    memcpy(mail->bytes, bytes.p, bytes.len);
    if (b->in[to].last == NULL)
        b->in[to].last = &b->in[to].first;
    *b->in[to].last = mail;
    b->in[to].last = &mail->next;
    next_mail(b, to);
}

/* ---- a world without faults ---- */

/* The engine as backend/validator configures it by default. */
static struct aprofile calm(const struct lat_places *p, const struct lat_costs *c)
{
    return (struct aprofile){
        .fixed = true, .n = p->n, .cloud = p->cloud,
        .net = { .delay_mean_us = c->jitter, .delay_max_us = 20 * c->jitter },
        .engine = { .timeout_ms = 3000, .timeout_ms_max = 60000, .tick_ms = 60000, .heartbeat_ms = 1000, .standstill_ms = 4500 },
        .sign_us = c->sign, .persist_us = c->persist, .work_us = c->check,
    };
}

/* Genesis counts as led by validator 0, so the leader sits there. */
static int slot_of_place(int i, int leader)
{
    return i == leader ? 0 : i == 0 ? leader : i;
}

static struct bench *bench_new(const struct lat_places *p, const struct lat_costs *c, uint64_t seed, int leader)
{
    struct bench *b = calloc(1, sizeof *b);
    reeve_assert(b != NULL);
    b->c = *c;
    b->profile = calm(p, c);
    arig_init(&b->r, seed, &b->profile, NULL);
    for (int i = 0; i < p->n; i++)
        b->r.place[slot_of_place(i, leader)] = p->place[i];
    places_apply(&b->r);
    b->r.net.recv = receive;
    b->r.net.host = b;
    return b;
}

static void bench_free(struct bench *b)
{
    for (int i = 0; i < b->r.p.n; i++)
        for (struct mail *m = b->in[i].first, *next; m != NULL; m = next) {
            next = m->next;
            free(m);
        }
    arig_free(&b->r);
    free(b);
}

static void run_for(struct bench *b, int64_t us)
{
    int64_t until = b->r.w.now_us + us;
    while (!b->r.violated && sim_world_step(&b->r.w, until))
        ;
}

/* ---- one update ---- */

static bool final_at(const struct machine *m, int id)
{
    uint32_t head = chain_head(m);
    return head != NO_BLOCK && (m->rig->block[head].in_chain[id / 8] >> id % 8 & 1);
}

/* Until it is final at all who live, to the microsecond. */
static int64_t one_update(struct bench *b, int slot)
{
    struct arig *r = &b->r;
    int id = r->n_updates++, next = 0;
    int64_t began = r->w.now_us;
    r->update[id].at_us = began;
    update_submit(r, id, r->m[slot]);
    while (!r->violated && r->w.now_us - began < LONGEST_US) {
        while (next < r->n_machines && (!machine_up(r->m[next]) || final_at(r->m[next], id)))
            next++;
        if (next == r->n_machines)
            return r->w.now_us - began;
        if (!sim_world_step(&r->w, began + LONGEST_US))
            break;
    }
    return LAT_NEVER;
}

static bool told(const struct bench *b)
{
    if (b->r.violated)
        fprintf(stderr, "violated: %s\n  %s\n", b->r.invariant, b->r.evidence);
    return !b->r.violated;
}

bool lat_run(const struct lat_places *p, const struct lat_costs *c, uint64_t seed, int leader, const bool *dead, struct lat_times *out)
{
    struct bench *b = bench_new(p, c, seed, leader);
    bool good = true;
    for (int i = 0; i < p->n; i++)
        if (!dead[i])
            machine_boot(b->r.m[slot_of_place(i, leader)]);
    run_for(b, SETTLE_US);
    for (int i = 0; i < p->n && good; i++) {
        out->us[i] = dead[i] ? LAT_NEVER : one_update(b, slot_of_place(i, leader));
        good = dead[i] || out->us[i] != LAT_NEVER;
        run_for(b, BETWEEN_US);
    }
    if (good)
        oracle_end(b->r.oracle);
    good = told(b) && good;
    bench_free(b);
    return good;
}

/* ---- the leader dies ---- */

static bool all_left(const struct bench *b, int slot)
{
    for (int i = 0; i < b->r.n_machines; i++) {
        struct simplex_status st;
        if (!machine_up(b->r.m[i]))
            continue;
        simplex_status(b->r.m[i]->s, &st);
        if (!st.leader_known || st.leader == slot)
            return false;
    }
    return true;
}

static int64_t until_left(struct bench *b, int slot)
{
    int64_t began = b->r.w.now_us;
    while (!all_left(b, slot))
        if (b->r.violated || !sim_world_step(&b->r.w, began + LONGEST_US))
            return LAT_NEVER;
    return b->r.w.now_us - began;
}

bool lat_leader_dies(const struct lat_places *p, const struct lat_costs *c, uint64_t seed, int leader, int64_t us[3])
{
    bool good = true;
    us[1] = 0;
    for (int busy = 0; busy < 2 && good; busy++) {
        struct bench *b = bench_new(p, c, seed, leader);
        for (int i = 0; i < p->n; i++)
            machine_boot(b->r.m[i]);
        run_for(b, SETTLE_US);
        machine_die(b->r.m[0]);
        if (busy)
            us[2] = one_update(b, 1);
        else
            us[0] = until_left(b, 0);
        for (int i = 1; i < p->n && !busy; i++) {
            run_for(b, BETWEEN_US);
            int64_t t = one_update(b, i);
            us[1] = t > us[1] ? t : us[1];
        }
        good = told(b) && us[0] != LAT_NEVER && us[1] != LAT_NEVER && (!busy || us[2] != LAT_NEVER);
        bench_free(b);
    }
    return good;
}
