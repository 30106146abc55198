/* attest_node.c - one machine: it boots, feeds the engine, obeys its effects in order, dies. */
#include "attest_int.h"

#include <stdlib.h>

#define MESSAGES_PER_S 4000

/* ---- the engine's questions about the world ---- */

static bool verify(void *arg, const struct simplex_vote *v, uint16_t signer, const struct sig64 *sig)
{
    const struct arig *r = arg;
    struct vote vote;
    uint8_t bytes[ATTEST_VOTE_LEN];
    vote_fill(r, v, &vote);
    vote_bytes(&vote, bytes);
    return signer < r->p.n && keys_verify(&r->keys, signer, bytes, sig);
}

void machine_config(const struct machine *m, struct simplex_config *out)
{
    *out = m->rig->p.engine;
    out->n = (uint16_t) m->rig->p.n;
    out->me = m->me;
    out->verify = verify;
    out->arg = m->rig;
}

struct machine *machine_new(struct arig *r, int slot, uint16_t me)
{
    struct machine *m = calloc(1, sizeof *m);
    reeve_assert(m != NULL);
    m->rig = r;
    m->slot = slot;
    m->me = me;
    m->mem = malloc(simplex_size());
    reeve_assert(m->mem != NULL);
    return m;
}

void machine_free(struct machine *m)
{
    if (m == NULL)
        return;
    for (uint64_t h = 0; h < RIG_HEIGHTS; h++)
        free((void *) m->cert[h].p);
    for (size_t i = 0; i < m->n_kept; i++)
        free((void *) m->kept[i].bytes.p);
    free((void *) m->final_cert.p);
    free(m->mem);
    free(m);
}

/* ---- sending ---- */

static void encode(const struct message *msg, struct wr *w)
{
    static uint8_t mem[MESSAGE_MAX];
    *w = wr_fixed(mem, sizeof mem);
    message_encode(msg, w);
    reeve_assert(!w->bad);
}

void bytes_send(struct machine *m, int to, struct slice bytes)
{
    struct arig *r = m->rig;
    oracle_emitted(r->oracle, m->slot, bytes);
    sim_net_send(&r->net, m->slot, to, 0, bytes);
}

/* I10: what one machine says in a second is bounded, whatever the others do. */
static void count_sent(struct machine *m)
{
    if (m->rig->w.now_us - m->sent_from_us > 1000000) {
        m->sent_from_us = m->rig->w.now_us;
        m->sent_window = 0;
    }
    if (++m->sent_window > MESSAGES_PER_S && honest(m))
        aviolation(m->rig, "what is sent is bounded", "n%d sent %d messages within a second", m->slot, MESSAGES_PER_S);
}

static bool may_talk(const struct machine *m, int to)
{
    const struct arig *r = m->rig;
    return r->m[to] != NULL && r->m[to]->me != m->me && !r->wall[m->slot][to];
}

void machine_send(struct machine *m, int to, const struct message *msg)
{
    struct wr w;
    if (m->silent || !may_talk(m, to))
        return;
    if (m->evil == EVIL_MUTATOR) {
        evil_send(m, to, msg);
        return;
    }
    encode(msg, &w);
    bytes_send(m, to, wr_slice(&w));
}

void machine_broadcast(struct machine *m, const struct message *msg)
{
    count_sent(m);
    for (int to = 0; to < m->rig->n_machines; to++)
        machine_send(m, to, msg);
}

/* ---- effects ---- */

static void send_vote(struct machine *m, const struct simplex_effect *f)
{
    static uint8_t mem[MESSAGE_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct message msg = { .kind = f->type == SXF_SEND_PROPOSAL ? M_PROPOSAL : M_VOTE, .signer = m->me, .sig = f->sig };
    vote_fill(m->rig, &f->vote, &msg.vote);
    if (f->type == SXF_SEND_PROPOSAL) {
        uint32_t b = block_find(m->rig, &f->vote.b.hash);
        if (b == NO_BLOCK || !m->rig->block[b].held[m->slot])
            return;     /* signed before a crash that took the content */
        block_write(&m->rig->block[b], &w);
        msg.rest = wr_slice(&w);
    }
    machine_broadcast(m, &msg);
}

static void send_cert(struct machine *m, const struct simplex_effect *f)
{
    static struct simplex_cert cert;
    static struct message msg;
    if (simplex_cert_get(m->s, (enum simplex_type) f->vote.type, f->vote.b.view, &cert) != REEVE_OK)
        return;
    cert_fill(m->rig, &cert, &msg);
    kept_add(m, &msg);
    machine_broadcast(m, &msg);
}

static void evidence(struct machine *m, const struct simplex_effect *f)
{
    struct arig *r = m->rig;
    r->n_evidence++;
    if (!r->evil[f->signer] && honest(m))
        aviolation(r, "nobody honest is accused", "n%d accuses %u in view %llu", m->slot, f->signer,
                   (unsigned long long) f->vote.b.view);
}

static void obey(struct machine *m, const struct simplex_effect *f)
{
    uint64_t tag;
    memcpy(&tag, f->vote.b.hash.b, 8);
    sim_trace(&m->rig->w, m->slot, AK_EFFECT, f->type << 8 | f->vote.type, f->vote.b.view, tag);
    switch (f->type) {
    case SXF_BUILD: chain_build(m, &f->vote); break;
    case SXF_CHECK: chain_check(m, &f->vote); break;
    case SXF_SIGN: sign_ask(m, &f->vote); break;
    case SXF_SEND_PROPOSAL: case SXF_SEND_VOTE: send_vote(m, f); break;
    case SXF_SEND_CERT: send_cert(m, f); break;
    case SXF_COMMIT: chain_commit(m, f); break;
    case SXF_BEHIND: chain_behind(m, &f->vote.b); break;
    case SXF_EVIDENCE: evidence(m, f); break;
    case SXF_WANT: chain_want_certs(m, f->vote.b.view); break;
    default: aviolation(m->rig, "effects are known", "n%d: effect %u", m->slot, f->type);
    }
}

/* ---- events ---- */

static void wake(void *ctx, struct sim_event *e)
{
    struct machine *m = ctx;
    const struct simplex_event clock = { .type = SXE_CLOCK };
    if (e->a == m->wake_gen)
        machine_event(m, &clock);
}

static void arm_clock(struct machine *m)
{
    struct mono_ms at = simplex_wake(m->s);
    if (at.ms == m->wake_ms)
        return;
    m->wake_ms = at.ms;
    m->wake_gen++;
    if (at.ms == INT64_MAX)
        return;
    int64_t after = sim_clock_until_us(&m->rig->w, m->slot, at.ms * 1000);
    sim_after(&m->rig->w, after > 0 ? after : 1, m->slot, wake, m, NULL, 0)->a = m->wake_gen;
}

static void step(struct machine *m, struct simplex_event *e)
{
    struct arig *r = m->rig;
    struct simplex_effects fx;
    e->now.ms = sim_clock_mono_us(&r->w, m->slot) / 1000;
    if (e->type == SXE_CLOCK)
        m->wake_ms = 0;
    sim_trace(&r->w, m->slot, AK_EVENT, e->type << 8 | e->vote.type, e->vote.b.view, e->signer);
    simplex_step(m->s, e, &fx);
    if (fx.n > SIMPLEX_EFFECTS_MAX)
        aviolation(r, "effects are bounded", "n%d: %zu", m->slot, fx.n);
    for (size_t i = 0; i < fx.n && !m->dying && !r->violated; i++) {
        obey(m, &fx.e[i]);
        if (m->die_after > 0 && --m->die_after == 0)
            m->dying = true;
    }
}

void machine_event(struct machine *m, const struct simplex_event *e)
{
    if (m->s == NULL || m->dying)
        return;
    if (m->n_events == EVENTS_MAX) {
        aviolation(m->rig, "queues are bounded", "n%d: %d events wait", m->slot, EVENTS_MAX);
        return;
    }
    m->event[(m->event_head + m->n_events++) % EVENTS_MAX] = *e;
    if (m->stepping)
        return;
    m->stepping = true;
    while (m->n_events > 0 && !m->dying && !m->rig->violated) {
        struct simplex_event next = m->event[m->event_head];
        m->event_head = (m->event_head + 1) % EVENTS_MAX;
        m->n_events--;
        step(m, &next);
    }
    m->stepping = false;
    if (m->dying) {
        machine_die(m);
        machine_restart_after(m, sim_rng_between(&m->rig->w.rng, 1000, 3000000));
    } else {
        arm_clock(m);
    }
}

void machine_work(struct machine *m)
{
    struct simplex_event e = { .type = SXE_WORK, .flag = m->n_pending > 0 };
    machine_event(m, &e);
}

/* ---- receiving ---- */

static void take_vote(struct machine *m, const struct message *msg)
{
    struct simplex_event e = { .type = msg->kind == M_PROPOSAL ? SXE_PROPOSAL : SXE_VOTE, .signer = msg->signer, .sig = msg->sig };
    struct arig *r = m->rig;
    if (!vote_take(r, &msg->vote, &e.vote))
        return;
    if (msg->kind == M_PROPOSAL) {
        struct rd in = rd_of(msg->rest);
        uint32_t b = block_read(r, &in);
        if (b == NO_BLOCK || !rd_done(&in))
            return;
        const struct block *k = &r->block[b];
        /* D1: content, hash and consensus fields are one; the proposer is who signs. */
        if (!hash32_eq(&k->hash, &e.vote.b.hash) || k->h.view != e.vote.b.view || k->h.height != e.vote.b.height ||
            k->h.parent_view != e.vote.b.parent_view || !hash32_eq(&k->h.parent_hash, &e.vote.b.parent_hash) ||
            k->h.proposer != msg->signer || e.signer >= r->p.n || !verify(r, &e.vote, e.signer, &e.sig))
            return;
        chain_content(m, b);
        if (!machine_up(m))
            return;
    }
    machine_event(m, &e);
}

static void take_cert(struct machine *m, const struct message *msg)
{
    static struct simplex_cert cert;
    struct simplex_event e = { .type = SXE_CERT, .cert = &cert };
    if (!cert_take(m->rig, msg, &cert))
        return;
    e.vote = (struct simplex_vote){ cert.type, cert.b };
    if (cert.type == SX_FINALIZE)
        chain_final_cert(m, msg);
    machine_event(m, &e);
}

static void give_block(struct machine *m, int to, const struct hash32 *hash)
{
    static uint8_t mem[MESSAGE_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    uint32_t b = block_find(m->rig, hash);
    if (b == NO_BLOCK || !m->rig->block[b].held[m->slot])
        return;
    block_write(&m->rig->block[b], &w);
    struct message msg = { .kind = M_BLOCK, .rest = wr_slice(&w) };
    machine_send(m, to, &msg);
}

static void take_block(struct machine *m, const struct message *msg)
{
    struct rd in = rd_of(msg->rest);
    uint32_t b = block_read(m->rig, &in);
    if (b != NO_BLOCK && rd_done(&in))
        chain_content(m, b);
}

void machine_receive(void *host, int from, int to, int lane, struct slice bytes)
{
    static struct message msg;
    struct arig *r = host;
    struct machine *m = r->m[to];
    if (m->s == NULL || !message_decode(&msg, bytes))
        return;
    if (r->p.over && honest(m))
        blame_heard(r, &msg);
    switch (msg.kind) {
    case M_PROPOSAL: case M_VOTE: take_vote(m, &msg); break;
    case M_CERT: take_cert(m, &msg); break;
    case M_SUBMIT: update_heard(m, msg.a, msg.b); break;
    case M_WANT_BLOCK: give_block(m, from, &msg.hash); break;
    case M_BLOCK: take_block(m, &msg); break;
    case M_WANT_CHAIN: chain_serve(m, from, msg.a); break;
    case M_CHAIN: chain_take(m, &msg); break;
    case M_WANT_CERTS: kept_serve(m, from, msg.a); break;
    default: break;
    }
}

/* ---- lives ---- */

static void restore(struct machine *m, uint64_t above)
{
    for (size_t i = 0; i < m->store.n_own && machine_up(m); i++) {
        struct simplex_event e = { .type = SXE_RESTORE, .vote = m->store.own[i].vote, .sig = m->store.own[i].sig };
        if (e.vote.b.view > above)
            machine_event(m, &e);
    }
}

void machine_boot(struct machine *m)
{
    struct arig *r = m->rig;
    struct simplex_config c;
    struct simplex_block committed = { .hash = r->chain_id };
    uint16_t proposer = 0;
    m->want_up = false;
    sim_node_boot(&r->w, m->slot);
    r->n_restarts++;
    if (r->p.drift_ppm > 0 && r->chaos)
        sim_clock_drift(&r->w, m->slot, (int32_t) sim_rng_between(&r->w.rng, -(int64_t) r->p.drift_ppm, r->p.drift_ppm));
    m->height = m->store.height;
    if (m->height > 0) {
        committed = block_of(r, m->chain[m->height]);
        proposer = r->block[m->chain[m->height]].h.proposer;
    }
    machine_config(m, &c);
    reeve_assert(simplex_init(&m->s, m->mem, simplex_size(), &c, &committed, proposer) == REEVE_OK);
    m->n_events = m->n_signs = m->n_want = 0;
    m->signing = m->stepping = m->dying = m->fetching = false;
    m->die_after = 0;
    m->behind = m->draft_view = m->final.view = 0;
    m->checking.view = 0;
    m->wake_ms = 0;
    m->wake_gen++;
    kept_restore(m);
    if (machine_up(m))
        restore(m, committed.view);
    struct simplex_event start = { .type = SXE_START };
    machine_event(m, &start);
}

void machine_die(struct machine *m)
{
    sim_node_crash(&m->rig->w, m->slot);
    m->s = NULL;
    m->dying = m->stepping = false;
    m->wake_gen++;
    chain_crashed(m);
}

/* Within a step only when its effects are over. */
void machine_give_up(struct machine *m)
{
    if (m->dying || !machine_up(m))
        return;
    m->rig->n_gave_up++;
    if (m->stepping) {
        m->dying = true;
        return;
    }
    machine_die(m);
    machine_restart_after(m, sim_rng_between(&m->rig->w.rng, 1000, 3000000));
}

static void restart_due(void *ctx, struct sim_event *e)
{
    struct machine *m = ctx;
    if (m->want_up && !m->rig->w.node[m->slot].up)
        machine_boot(m);
}

void machine_restart_after(struct machine *m, int64_t us)
{
    m->want_up = true;
    sim_after(&m->rig->w, us, SIM_NOBODY, restart_due, m, NULL, 0);
}
