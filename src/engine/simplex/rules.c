/* rules.c - R1 to R6: what follows from the votes and answers that are there. */
#include "simplex_int.h"

void emit(struct simplex_effects *out, enum simplex_effect_type type, const struct simplex_vote *v)
{
    if (out->n == SIMPLEX_EFFECTS_MAX)      /* R8 repeats what did not fit */
        return;
    out->e[out->n++] = (struct simplex_effect){ .type = (uint8_t) type, .vote = *v };
}

void emit_signed(struct simplex_effects *out, enum simplex_effect_type type, const struct simplex_vote *v,
                 const struct sig64 *sig)
{
    if (out->n == SIMPLEX_EFFECTS_MAX)
        return;
    out->e[out->n++] = (struct simplex_effect){ .type = (uint8_t) type, .vote = *v, .sig = *sig };
}

struct simplex_vote vote_view(enum simplex_type type, uint64_t view)
{
    return (struct simplex_vote){ .type = (uint8_t) type, .b = { .view = view } };
}

struct simplex_vote vote_block(enum simplex_type type, const struct simplex_block *b)
{
    return (struct simplex_vote){ .type = (uint8_t) type, .b = *b };
}

static void sign_ask(struct simplex_effects *out, enum simplex_type type, const struct simplex_block *b)
{
    struct simplex_vote v = vote_block(type, b);
    emit(out, SXF_SIGN, &v);
}

bool may_vote(const struct simplex *s, uint64_t view)
{
    return view < s->sworn_from || view > s->sworn_to || SIMPLEX_BROKEN(SWORN_AGAIN);
}

/* S1: who asked to finalize never nullifies. */
void nullify_ask(struct simplex *s, struct slot *t, struct simplex_effects *out)
{
    if (t->asked_nullify || (t->asked_finalize && !SIMPLEX_BROKEN(NULLIFY_FINALIZED)) || !may_vote(s, t->view))
        return;
    struct simplex_vote v = vote_view(SX_NULLIFY, t->view);
    t->asked_nullify = true;
    emit(out, SXF_SIGN, &v);
}

/* ---- R6 ---- */

/* Commits from the oldest ancestor down to b; false when the chain to the committed block has a gap. */
static bool commit_chain(struct simplex *s, const struct simplex_block *b, struct simplex_effects *out)
{
    struct simplex_block chain[WINDOW];
    size_t n = 0;
    for (struct simplex_block at = *b; at.view != s->committed.view;) {
        if (n == WINDOW || at.view < s->committed.view || at.height != b->height - n)
            return false;
        chain[n++] = at;
        if (at.parent_view == s->committed.view) {
            if (!hash32_eq(&at.parent_hash, &s->committed.hash) || at.height != s->committed.height + 1)
                return false;
            break;
        }
        const struct slot *t = slot_of(s, at.parent_view);
        if (t == NULL || !t->notarized || !hash32_eq(&t->notar.hash, &at.parent_hash))
            return false;
        at = t->notar;
    }
    for (size_t i = n; i > 0; i--) {
        const struct slot *t = slot_of(s, chain[i - 1].view);
        struct simplex_vote v = vote_block(SX_FINALIZE, &chain[i - 1]);
        emit(out, SXF_COMMIT, &v);
        out->e[out->n - 1].flag = t != NULL && t->finalized;
    }
    return true;
}

static void committed_is(struct simplex *s, const struct simplex_block *b, uint16_t leader)
{
    uint64_t view = b->view + 1 > s->view ? b->view + 1 : s->view;
    bool entered = view != s->view;
    window_move(s, view);
    window_committed(s, b);
    s->committed_leader = leader;
    if (s->behind.view <= b->view)
        s->behind.view = 0;
    if (entered)
        timers_enter_view(s);
    timers_committed(s);
}

static bool finalize_formed(struct simplex *s, struct slot *t, struct simplex_effects *out)
{
    struct simplex_block b;
    if (t->finalized || !quorum_for(s, t, SIMPLEX_BROKEN(NOTARIZED_IS_FINAL) ? SX_NOTARIZE : SX_FINALIZE, &b))
        return false;
    struct simplex_vote v = vote_block(SX_FINALIZE, &b);
    t->finalized = t->notarized = true;
    t->notar = b;
    int leader = leader_on(s, b.parent_view, b.view);
    if (leader < 0 || !commit_chain(s, &b, out)) {
        if (!SIMPLEX_BROKEN(BEHIND_SILENT))
            emit(out, SXF_BEHIND, &v);
        s->behind = b;
        return true;
    }
    s->final_slot = *t;
    committed_is(s, &b, (uint16_t) leader);
    emit(out, SXF_SEND_CERT, &v);
    return true;
}

/* ---- R3, R5 ---- */

static bool notarize_formed(struct simplex *s, struct slot *t, struct simplex_effects *out)
{
    struct simplex_block b;
    if (t->notarized || !quorum_for(s, t, SX_NOTARIZE, &b))
        return false;
    t->notarized = true;
    t->notar = b;
    struct simplex_vote v = vote_block(SX_NOTARIZE, &b);
    emit(out, SXF_SEND_CERT, &v);
    return true;
}

/* S2: only what we notarized ourselves; S1: never after asking to nullify. */
static bool finalize_ask(struct simplex *s, struct slot *t, struct simplex_effects *out)
{
    if (!t->notarized || t->asked_finalize || (t->asked_nullify && !SIMPLEX_BROKEN(FINALIZE_NULLIFIED)))
        return false;
    if (!SIMPLEX_BROKEN(FINALIZE_ANY) && (!t->asked_notarize || !block_eq(&t->mine, &t->notar)))
        return false;
    if (!t->notarize[s->c.me].have && !SIMPLEX_BROKEN(FINALIZE_ANY))    /* not yet signed */
        return false;
    t->asked_finalize = true;
    sign_ask(out, SX_FINALIZE, &t->notar);
    return true;
}

static bool nullify_formed(struct simplex *s, struct slot *t, struct simplex_effects *out)
{
    struct simplex_block b;
    if (t->nullified || !quorum_for(s, t, SX_NULLIFY, &b))
        return false;
    t->nullified = true;
    struct simplex_vote v = vote_view(SX_NULLIFY, t->view);
    emit(out, SXF_SEND_CERT, &v);
    return true;
}

/* R1. A block on a parent that is not final yet: its parent's view came to nothing in time, as one that was nullified. */
static bool view_advance(struct simplex *s)
{
    const struct slot *t = slot_of(s, s->view);
    if (t == NULL || !((t->notarized && !(SIMPLEX_BROKEN(LATE_NOTAR_STAYS) && t->asked_nullify)) || t->nullified))
        return false;
    bool failed = t->notarized ? t->notar.parent_view != s->committed.view && !SIMPLEX_BROKEN(SLOW_VIEWS_FINE) : t->nullified;
    if (failed && s->failed < 16 && !SIMPLEX_BROKEN(TIMEOUT_FIXED))
        s->failed++;
    window_move(s, s->view + 1);
    timers_enter_view(s);
    return true;
}

/* ---- R2 ---- */

static bool justified(const struct simplex *s, const struct simplex_block *b)
{
    if (b->parent_view >= b->view || (!is_notarized(s, b->parent_view, &b->parent_hash) && !SIMPLEX_BROKEN(PARENT_UNNOTARIZED)))
        return false;
    if (b->view - b->parent_view > 1000000)     /* bounded; nobody gets there honestly */
        return false;
    for (uint64_t u = b->parent_view + 1; u < b->view; u++)
        if (!is_nullified(s, u) && !SIMPLEX_BROKEN(VIEWS_SKIPPED))
            return false;
    return true;
}

static bool proposal_check(struct simplex *s, struct slot *t, struct simplex_effects *out)
{
    if ((t->check != CHECK_NONE || t->asked_notarize) && !SIMPLEX_BROKEN(NOTARIZE_TWICE))
        return false;
    for (unsigned i = 0; i < s->c.n; i++) {
        const struct cast *o = &t->offer[i];
        if (!o->have || (leader_on(s, o->b.parent_view, t->view) != (int) i && !SIMPLEX_BROKEN(LEADER_UNCHECKED)) ||
            !justified(s, &o->b) || (t->check != CHECK_NONE && block_eq(&t->checking, &o->b)))
            continue;
        struct simplex_vote v = vote_block(SX_PROPOSE, &o->b);
        t->checking = o->b;
        t->check = (i == s->c.me && t->built) || SIMPLEX_BROKEN(CONTENT_UNCHECKED) ? CHECK_OK : CHECK_ASKED;
        if (t->check == CHECK_ASKED)
            emit(out, SXF_CHECK, &v);
        return true;
    }
    return false;
}

static bool notarize_ask(struct simplex *s, struct slot *t, struct simplex_effects *out)
{
    if (!may_vote(s, t->view) || t->given_up)
        return false;
    if (t->check == CHECK_BAD && !t->asked_nullify && !t->asked_finalize) {
        nullify_ask(s, t, out);
        return true;
    }
    bool other = SIMPLEX_BROKEN(NOTARIZE_TWICE) && !block_eq(&t->mine, &t->checking);
    if (t->check != CHECK_OK || (t->asked_notarize && !other))
        return false;
    t->asked_notarize = true;
    t->mine = t->checking;
    sign_ask(out, SX_NOTARIZE, &t->checking);
    return true;
}

/*
 * A block for work or a tick, on top of a final one; or one that makes a
 * notarized ancestor final which did not get there by itself. At a low rate
 * waiting for the parent's finality costs one delay and spares every validator
 * a state it might have to undo.
 */
static bool build_ask(struct simplex *s, struct slot *t, struct simplex_effects *out)
{
    struct simplex_block p = best_parent(s);
    if (!may_vote(s, t->view) || t->asked_build || t->asked_propose || t->asked_nullify || s->behind.view != 0 || leader_now(s) != s->c.me)
        return false;
    if (p.view != s->committed.view ? !may_build_on_notarized(s) : !s->work && !tick_due(s))
        return false;
    struct simplex_vote v = vote_view(SX_PROPOSE, t->view);
    v.b.height = p.height + 1;
    v.b.parent_view = p.view;
    v.b.parent_hash = p.hash;
    if (!justified(s, &v.b))
        return false;
    t->asked_build = true;
    emit(out, SXF_BUILD, &v);
    return true;
}

static bool rules_view(struct simplex *s, struct slot *t, struct simplex_effects *out)
{
    return finalize_formed(s, t, out) || notarize_formed(s, t, out) || nullify_formed(s, t, out) ||
           (s->started && finalize_ask(s, t, out));
}

static bool rules_current(struct simplex *s, struct simplex_effects *out)
{
    struct slot *t = slot_of(s, s->view);
    if (view_advance(s))
        return true;
    return s->started && (proposal_check(s, t, out) || notarize_ask(s, t, out) || build_ask(s, t, out));
}

void rules_run(struct simplex *s, struct simplex_effects *out)
{
    bool moved = true;
    /* Each turn sets a flag that is never cleared or moves the view, so turns are bounded by the window. */
    for (unsigned turn = 0; moved && turn < 16 * WINDOW && out->n < EFFECTS_SOFT_MAX; turn++) {
        moved = false;
        for (uint64_t v = s->view + SIMPLEX_VIEWS_AHEAD; v >= window_first(s) && !moved; v--) {
            struct slot *t = slot_of(s, v);
            moved = t != NULL && rules_view(s, t, out);
        }
        moved = moved || rules_current(s, out);
        if (moved)
            s->moved = s->now;
    }
    s->more = moved;
}
