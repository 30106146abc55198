/*
 * attest_store.c - a machine's signer and its store
 *
 * A vote takes this way, each step an event of its own, so that a crash may
 * fall between any two: asked; content durable; the signer looks at what it
 * last signed, makes the vote durable and signs; the vote with its signature
 * is durable in the store; the engine hears of it and it is sent.
 *
 * The signer's rules are those of research on last-sign state: votes climb by
 * view; within one view one block each to propose, notarize and finalize, no
 * finalize and nullify both. A machine whose signer is naive signs anything.
 */
#include "attest_int.h"

#include <stdlib.h>

static int kind_of(uint8_t type)
{
    return type >= SX_PROPOSE && type <= SX_FINALIZE ? type - SX_PROPOSE : -1;
}

enum { K_PROPOSE, K_NOTARIZE, K_NULLIFY, K_FINALIZE };

static bool same(const struct simplex_block *a, const struct simplex_block *b)
{
    return a->view == b->view && a->height == b->height && a->parent_view == b->parent_view &&
           hash32_eq(&a->hash, &b->hash) && hash32_eq(&a->parent_hash, &b->parent_hash);
}

static bool repeats(const struct last_view *w, const struct simplex_vote *v, int kind)
{
    return w->view == v->b.view && (w->have >> kind & 1) && same(&w->vote[kind].b, &v->b);
}

static bool allowed_in(const struct last_view *w, const struct simplex_vote *v, int kind)
{
    bool have[LS_KINDS];
    for (int k = 0; k < LS_KINDS; k++)
        have[k] = w->have >> k & 1;
    if (have[kind])
        return false;
    switch (kind) {
    case K_PROPOSE:  return w->have == 0;
    case K_NOTARIZE: return !have[K_NULLIFY] && !have[K_FINALIZE] && (!have[K_PROPOSE] || same(&w->vote[K_PROPOSE].b, &v->b));
    case K_NULLIFY:  return !have[K_FINALIZE];
    default:         return !have[K_NULLIFY] && have[K_NOTARIZE] && same(&w->vote[K_NOTARIZE].b, &v->b);
    }
}

static bool signer_allows(struct signer *s, const struct simplex_vote *v)
{
    int kind = kind_of(v->type);
    if (kind < 0 || repeats(&s->cur, v, kind) || repeats(&s->prev, v, kind))
        return true;
    if (v->b.view < s->cur.view || (v->b.view == s->cur.view && !allowed_in(&s->cur, v, kind)))
        return false;
    if (v->b.view > s->cur.view) {
        if (kind == K_FINALIZE)
            return false;
        s->prev = s->cur;
        s->cur = (struct last_view){ .view = v->b.view };
    }
    s->cur.have |= (uint8_t) (1u << kind);
    s->cur.vote[kind] = *v;
    return true;
}

/* ---- the way of a vote ---- */

static int64_t some(struct machine *m, int64_t mean)
{
    return 10 + sim_rng_exponential(&m->rig->w.rng, mean);
}

static void settle(struct machine *m, uint8_t type, const struct simplex_vote *v, const struct sig64 *sig)
{
    struct simplex_event e = { .type = type, .vote = *v };
    if (sig != NULL)
        e.sig = *sig;
    m->signing = false;
    if (m->n_signs > 0)
        memmove(m->sign, m->sign + 1, --m->n_signs * sizeof m->sign[0]);
    machine_event(m, &e);
    sign_next(m);
}

static void own_keep(struct machine *m, const struct simplex_vote *v, const struct sig64 *sig)
{
    struct store *s = &m->store;
    if (v->type == SX_HEARTBEAT)
        return;
    if (s->n_own == OWN_MAX) {
        memmove(s->own, s->own + 1, --s->n_own * sizeof s->own[0]);
        if (honest(m))
            aviolation(m->rig, "queues are bounded", "n%d keeps %d own votes above its last final block", m->slot, OWN_MAX);
    }
    s->own[s->n_own++] = (struct own){ *v, *sig };
}

static void vote_durable(void *ctx, struct sim_event *e)
{
    struct machine *m = ctx;
    struct own o;
    memcpy(&o, e->bytes, sizeof o);
    own_keep(m, &o.vote, &o.sig);
    settle(m, SXE_SIGNED, &o.vote, &o.sig);
}

/*
 * What was lost in a crash may meet the signer's memory; in its first life the engine keeps S1 by itself. It may ask to
 * notarize after it asked to nullify, which the protocol allows and the signer does not.
 */
static void refused(struct machine *m, const struct simplex_vote *v)
{
    if (honest(m) && m->rig->w.node[m->slot].life == 1 && v->b.view == m->signer.cur.view && v->type > SX_NOTARIZE)
        aviolation(m->rig, "the engine asks for nothing that contradicts", "n%d asked its signer for type %u in view %llu",
                   m->slot, v->type, (unsigned long long) v->b.view);
    settle(m, SXE_REFUSED, v, NULL);
}

static void signer_answers(void *ctx, struct sim_event *e)
{
    struct machine *m = ctx;
    struct arig *r = m->rig;
    struct own o = { .vote = m->sign[0] };
    struct vote vote;
    uint8_t bytes[ATTEST_VOTE_LEN];
    uint32_t b = block_find(r, &o.vote.b.hash);
    bool naive = !honest(m) || r->p.naive_signers;
    m->signing = false;
    if (m->signer_down) {
        sign_next(m);
        return;
    }
    if (!naive && !signer_allows(&m->signer, &o.vote)) {
        refused(m, &o.vote);
        return;
    }
    m->signing = true;
    if (b != NO_BLOCK && r->block[b].held[m->slot])
        r->block[b].durable[m->slot] = true;
    vote_fill(r, &o.vote, &vote);
    vote_bytes(&vote, bytes);
    keys_sign(&r->keys, m->me, bytes, &o.sig);
    if (o.vote.type == SX_HEARTBEAT)
        settle(m, SXE_SIGNED, &o.vote, &o.sig);
    else
        sim_after(&r->w, some(m, r->p.persist_us) + m->disk_slow_us, m->slot, vote_durable, m, &o, sizeof o);
}

void sign_next(struct machine *m)
{
    if (m->signing || m->n_signs == 0 || !machine_up(m))
        return;
    m->signing = true;
    int64_t retry = m->signer_down ? 100000 : 0;
    sim_after(&m->rig->w, some(m, m->rig->p.sign_us) + m->signer_slow_us + retry, m->slot, signer_answers, m, NULL, 0);
}

void sign_ask(struct machine *m, const struct simplex_vote *v)
{
    if (m->n_signs == SIGNS_MAX) {
        if (honest(m))
            aviolation(m->rig, "queues are bounded", "n%d: %d votes wait for the signer", m->slot, SIGNS_MAX);
        return;
    }
    m->sign[m->n_signs++] = *v;
    sign_next(m);
}

/* ---- the store ---- */

static void height_durable(void *ctx, struct sim_event *e)
{
    struct machine *m = ctx;
    struct store *s = &m->store;
    if (e->a <= s->height)
        return;
    size_t n = 0;
    uint64_t view = m->rig->block[m->chain[e->a]].h.view;
    while (s->height < e->a)
        m->rig->block[m->chain[++s->height]].durable[m->slot] = true;
    for (size_t i = 0; i < s->n_own; i++)
        if (s->own[i].vote.b.view > view)
            s->own[n++] = s->own[i];
    s->n_own = n;
    certs_drop(m, view);
}

void store_height(struct machine *m, uint64_t height)
{
    sim_after(&m->rig->w, some(m, m->rig->p.persist_us) + m->disk_slow_us, m->slot, height_durable, m, NULL, 0)->a = height;
}

void store_back_up(struct machine *m)
{
    m->old_signer = m->signer;
    m->old_store = m->store;
}

/* ---- certificates that are kept ---- */

static void kept_durable(void *ctx, struct sim_event *e)
{
    struct machine *m = ctx;
    for (size_t i = 0; i < m->n_kept; i++)
        if (m->kept[i].view == e->a && m->kept[i].type == e->b)
            m->kept[i].durable = true;
}

static struct slice encoded(const struct message *msg)
{
    struct wr w = wr_heap(MESSAGE_MAX);
    message_encode(msg, &w);
    reeve_assert(!w.bad);
    return wr_slice(&w);
}

void kept_add(struct machine *m, const struct message *cert)
{
    size_t at = m->n_kept;
    for (size_t i = 0; i < m->n_kept; i++)
        if (m->kept[i].view == cert->vote.view && m->kept[i].type == cert->vote.type)
            return;
    if (m->n_kept == KEPT_MAX || (m->height > 0 && cert->vote.view <= m->rig->block[m->chain[m->height]].h.view))
        return;
    while (at > 0 && m->kept[at - 1].view > cert->vote.view)
        at--;
    memmove(m->kept + at + 1, m->kept + at, (m->n_kept++ - at) * sizeof m->kept[0]);
    m->kept[at] = (struct kept){ .type = cert->vote.type, .view = cert->vote.view, .bytes = encoded(cert) };
    struct sim_event *e = sim_after(&m->rig->w, some(m, m->rig->p.persist_us) + m->disk_slow_us, m->slot, kept_durable, m, NULL, 0);
    e->a = cert->vote.view;
    e->b = cert->vote.type;
}

static void kept_filter(struct machine *m, bool (*keep)(const struct kept *k, uint64_t view), uint64_t view)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_kept; i++) {
        if (keep(&m->kept[i], view))
            m->kept[n++] = m->kept[i];
        else
            free((void *) m->kept[i].bytes.p);
    }
    m->n_kept = n;
}

static bool is_above(const struct kept *k, uint64_t view) { return k->view > view; }
static bool is_durable(const struct kept *k, uint64_t view) { return k->durable; }
void certs_drop(struct machine *m, uint64_t upto_view) { kept_filter(m, is_above, upto_view); }
void kept_crashed(struct machine *m) { kept_filter(m, is_durable, 0); }

#define SERVE_MAX 24

void kept_serve(struct machine *m, int to, uint64_t from_view)
{
    static struct message msg;
    unsigned n = 0;
    /* Whoever asks below what is final here needs that first. */
    for (uint64_t h = m->store.height; h > 0 && m->rig->block[m->chain[h]].h.view >= from_view; h--)
        if (m->cert[h].len > 0 && message_decode(&msg, m->cert[h])) {
            machine_send(m, to, &msg);
            break;
        }
    for (size_t i = 0; i < m->n_kept && n < SERVE_MAX; i++)
        if (m->kept[i].view >= from_view && message_decode(&msg, m->kept[i].bytes)) {
            machine_send(m, to, &msg);
            n++;
        }
}

void kept_restore(struct machine *m)
{
    static struct message msg;
    static struct simplex_cert cert;
    for (size_t i = 0; i < m->n_kept && machine_up(m); i++) {
        struct simplex_event e = { .type = SXE_CERT, .cert = &cert };
        if (!message_decode(&msg, m->kept[i].bytes) || !cert_take(m->rig, &msg, &cert))
            continue;
        e.vote = (struct simplex_vote){ cert.type, cert.b };
        machine_event(m, &e);
    }
}
