/* simplex.c - the engine's door: one event in, effects out. */
#include "simplex_int.h"

#ifdef REEVE_BROKEN
unsigned simplex_broken;
#endif

size_t simplex_size(void)
{
    return sizeof(struct simplex);
}

enum reeve_err simplex_init(struct simplex **out, void *mem, size_t len, const struct simplex_config *c,
                            const struct simplex_block *committed, uint16_t proposer)
{
    struct simplex *s = mem;
    if (len < sizeof *s || c->n == 0 || c->n > SIMPLEX_VALIDATORS_MAX || c->me >= c->n || proposer >= c->n ||
        c->verify == NULL || (c->n > 1 && c->timeout_ms == 0) || c->timeout_ms_max < c->timeout_ms)
        return REEVE_E_INVALID_VALUE;
    memset(s, 0, sizeof *s);
    s->c = *c;
    s->q = quorum_of(c->n);
    s->committed = *committed;
    s->committed_leader = proposer;
    s->view = committed->view + 1;
    s->gap_nullified = true;
    *out = s;
    return REEVE_OK;
}

/* An own vote counts the same whether it was just signed or restored; what was done is done. */
static void own_vote(struct simplex *s, const struct simplex_event *e, struct simplex_effects *out)
{
    const struct simplex_vote *v = &e->vote;
    struct slot *t = slot_of(s, v->b.view);
    if (t == NULL)
        return;
    switch (v->type) {
    case SX_PROPOSE:
        t->asked_build = t->asked_propose = true;
        break;
    case SX_NOTARIZE:
        t->asked_notarize = true;
        t->mine = v->b;
        break;
    case SX_NULLIFY:
        t->asked_nullify = true;
        break;
    case SX_FINALIZE:
        t->asked_finalize = true;
        break;
    default:
        return;
    }
    if (!SIMPLEX_BROKEN(OWN_VOTE_UNCOUNTED))
        (void) vote_store(s, v, s->c.me, &e->sig, out);
}

static void on_restore(struct simplex *s, const struct simplex_event *e, struct simplex_effects *out)
{
    uint64_t view = e->vote.b.view, end = s->view + SIMPLEX_VIEWS_AHEAD;
    if (s->started || SIMPLEX_BROKEN(VOTES_FORGOTTEN))
        return;
    if (view > end) {
        s->sworn_from = s->sworn_to == 0 || end + 1 < s->sworn_from ? end + 1 : s->sworn_from;
        s->sworn_to = view > s->sworn_to ? view : s->sworn_to;
        return;
    }
    /* Our own votes show how far we had come, though the certificates are lost. */
    own_vote(s, e, out);
}

static void on_start(struct simplex *s)
{
    s->started = true;
    s->commit_at = s->beat = s->now;
    timers_enter_view(s);
}

static void on_built(struct simplex *s, const struct simplex_event *e, struct simplex_effects *out)
{
    struct slot *t = slot_of(s, e->vote.b.view);
    if (t == NULL || e->vote.b.view != s->view || !t->asked_build || t->asked_propose || t->asked_nullify)
        return;
    struct simplex_vote v = vote_block(SX_PROPOSE, &e->vote.b);
    t->asked_propose = t->built = true;
    emit(out, SXF_SIGN, &v);
}

static void on_not_built(struct simplex *s, const struct simplex_event *e)
{
    struct slot *t = slot_of(s, e->vote.b.view);
    if (t == NULL || t->asked_propose)
        return;
    t->asked_build = false;
    s->work = false;            /* asked again when there is some */
    s->commit_at = s->now;      /* and not at once for the same tick */
    s->unbuilt = s->now;
}

static void on_signed(struct simplex *s, const struct simplex_event *e, struct simplex_effects *out)
{
    own_vote(s, e, out);
    emit_signed(out, e->vote.type == SX_PROPOSE ? SXF_SEND_PROPOSAL : SXF_SEND_VOTE, &e->vote, &e->sig);
}

/* The signer knows of something we forgot: this view is not ours to decide any more. */
static void on_refused(struct simplex *s, const struct simplex_event *e, struct simplex_effects *out)
{
    struct slot *t = slot_of(s, e->vote.b.view);
    if (t == NULL || e->vote.type == SX_HEARTBEAT || e->vote.type == SX_NULLIFY || e->vote.type == SX_FINALIZE)
        return;
    nullify_ask(s, t, out);
}

static void on_checked(struct simplex *s, const struct simplex_event *e)
{
    struct slot *t = slot_of(s, e->vote.b.view);
    if (t != NULL && t->check == CHECK_ASKED && block_eq(&t->checking, &e->vote.b))
        t->check = e->flag ? CHECK_OK : CHECK_BAD;
}

static bool vote_wellformed(const struct simplex_vote *v)
{
    static const struct hash32 zero;
    const struct simplex_block *b = &v->b;
    if (v->type == SX_NULLIFY || v->type == SX_HEARTBEAT)
        return b->view > 0 && b->height == 0 && b->parent_view == 0 && hash32_eq(&b->hash, &zero) &&
               hash32_eq(&b->parent_hash, &zero);
    return v->type >= SX_PROPOSE && v->type <= SX_FINALIZE && b->height > 0 && b->parent_view < b->view;
}

static void heard_from(struct simplex *s, uint16_t signer)
{
    if (leader_now(s) == (int) signer)
        s->heard = s->now;
}

static void on_vote(struct simplex *s, const struct simplex_event *e, struct simplex_effects *out)
{
    const struct simplex_vote *v = &e->vote;
    bool proposal = e->type == SXE_PROPOSAL;
    if (v->b.view < s->view && v->type != SX_FINALIZE)
        help(s, out);
    if (v->b.view > s->view + SIMPLEX_VIEWS_AHEAD)
        want(s, out);
    if (e->signer >= s->c.n || e->signer == s->c.me || proposal != (v->type == SX_PROPOSE) || !vote_wellformed(v) ||
        slot_of(s, v->b.view) == NULL ||
        !(SIMPLEX_BROKEN(SIGNATURE_UNCHECKED) || s->c.verify(s->c.arg, v, e->signer, &e->sig))) {
        s->dropped++;
        return;
    }
    if (v->b.view >= s->view)
        heard_from(s, e->signer);
    if (v->type != SX_HEARTBEAT)
        (void) vote_store(s, v, e->signer, &e->sig, out);
}

/* Everybody hands on what he holds: of n times the same, one is verified. */
static bool cert_known(const struct simplex *s, const struct simplex_cert *c)
{
    const struct slot *t = slot_of(s, c->b.view);
    if (t == NULL)
        return false;
    switch (c->type) {
    case SX_NOTARIZE: return t->notarized && block_eq(&t->notar, &c->b);
    case SX_FINALIZE: return t->finalized && block_eq(&t->notar, &c->b);
    case SX_NULLIFY:  return t->nullified;
    default:          return false;
    }
}

/* A Final beyond the window is still news: we are behind. */
static void on_cert(struct simplex *s, const struct simplex_event *e, struct simplex_effects *out)
{
    const struct simplex_cert *c = e->cert;
    const struct simplex_vote v = { c->type, c->b };
    if (c->b.view > s->view + SIMPLEX_VIEWS_AHEAD && c->type != SX_FINALIZE)
        want(s, out);
    bool ahead = c->type == SX_FINALIZE && c->b.view > s->view + SIMPLEX_VIEWS_AHEAD && c->b.view > s->behind.view;
    if (cert_known(s, c))
        return;
    if (!vote_wellformed(&v) || (!ahead && slot_of(s, c->b.view) == NULL) ||
        (simplex_cert_verify(&s->c, c) != REEVE_OK && !SIMPLEX_BROKEN(CERT_UNCHECKED))) {
        s->dropped++;
        return;
    }
    if (ahead) {
        s->behind = c->b;
        if (!SIMPLEX_BROKEN(BEHIND_SILENT))
            emit(out, SXF_BEHIND, &v);
        return;
    }
    cert_store(s, c, out);
}

static void on_committed(struct simplex *s, const struct simplex_event *e)
{
    if (e->vote.b.view <= s->committed.view || e->signer >= s->c.n)
        return;
    window_move(s, e->vote.b.view + 1);
    window_committed(s, &e->vote.b);
    s->committed_leader = e->signer;
    s->final_slot.finalized = false;
    if (s->behind.view <= s->committed.view)
        s->behind.view = 0;
    timers_enter_view(s);
    timers_committed(s);
}

static void dispatch(struct simplex *s, const struct simplex_event *e, struct simplex_effects *out)
{
    switch (e->type) {
    case SXE_RESTORE:   on_restore(s, e, out); break;
    case SXE_START:     on_start(s); break;
    case SXE_WORK:      s->work = e->flag; break;
    case SXE_BUILT:     on_built(s, e, out); break;
    case SXE_NOT_BUILT: on_not_built(s, e); break;
    case SXE_SIGNED:    on_signed(s, e, out); break;
    case SXE_REFUSED:   on_refused(s, e, out); break;
    case SXE_CHECKED:   on_checked(s, e); break;
    case SXE_PROPOSAL:
    case SXE_VOTE:      on_vote(s, e, out); break;
    case SXE_CERT:      on_cert(s, e, out); break;
    case SXE_COMMITTED: on_committed(s, e); break;
    case SXE_OVERDUE:   s->overdue = e->flag; break;
    default:            break;
    }
}

void simplex_step(struct simplex *s, const struct simplex_event *e, struct simplex_effects *out)
{
    out->n = 0;
    if (e->now.ms > s->now.ms)
        s->now = e->now;        /* a clock that goes back stands still */
    dispatch(s, e, out);
    rules_run(s, out);
    if (s->started)
        timers_run(s, out);
}

void simplex_status(const struct simplex *s, struct simplex_status *out)
{
    int leader = leader_now(s);
    *out = (struct simplex_status){ .view = s->view, .committed = s->committed, .leader = (uint16_t) (leader < 0 ? 0 : leader),
                                    .leader_known = leader >= 0, .working = has_work(s), .failed = s->failed,
                                    .dropped = s->dropped };
}
