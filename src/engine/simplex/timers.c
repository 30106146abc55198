/* timers.c - R4 and R8, ticks and heartbeats: what time does. */
#include "simplex_int.h"

#define BEATS_LOST 3
#define AGAIN_VIEWS 8       /* R8 repeats at most this many views: egress is bounded */

void timers_enter_view(struct simplex *s)
{
    s->entered = s->heard = s->moved = s->now;
    s->timing = false;
}

void timers_committed(struct simplex *s)
{
    s->commit_at = s->moved = s->now;
    s->failed /= 2;
    s->timing = false;
}

static struct mono_ms later(struct mono_ms t, uint64_t ms)
{
    return (struct mono_ms){ t.ms + (int64_t) ms };
}

static uint64_t timeout_ms(const struct simplex *s)
{
    uint64_t t = (uint64_t) s->c.timeout_ms << s->failed;
    return t < s->c.timeout_ms_max ? t : s->c.timeout_ms_max;
}

/* Half the timeout: the block must be there before the others give up on the view. */
bool stalled(const struct simplex *s)
{
    return s->c.n > 1 && s->now.ms >= later(s->entered, timeout_ms(s) / 2).ms;
}

static struct mono_ms build_again(const struct simplex *s)
{
    return later(s->unbuilt, timeout_ms(s) / 4 + 1);
}

bool may_build_on_notarized(const struct simplex *s)
{
    return stalled(s) && (s->unbuilt.ms == 0 || s->now.ms >= build_again(s).ms);
}

bool tick_due(const struct simplex *s)
{
    return s->c.tick_ms > 0 && s->now.ms >= later(s->commit_at, s->c.tick_ms).ms;
}

static bool leader_lost(const struct simplex *s)
{
    return s->c.n > 1 && s->c.heartbeat_ms > 0 && leader_now(s) != s->c.me &&
           s->now.ms >= later(s->heard, (uint64_t) BEATS_LOST * s->c.heartbeat_ms).ms;
}

/* A view with something under way must end, one way or the other. */
static bool under_way(const struct simplex *s)
{
    const struct slot *t = slot_of(s, s->view);
    if (t == NULL)
        return false;
    for (unsigned i = 0; i < s->c.n; i++)
        if (t->offer[i].have || t->notarize[i].have || t->nullify[i].have)
            return true;
    return best_parent(s).view != s->committed.view;
}

bool has_work(const struct simplex *s)
{
    return s->work || tick_due(s) || leader_lost(s) || under_way(s) || s->behind.view != 0;
}

/* One view, before its block has our vote: the next leader has his chance. */
static void give_up(struct simplex *s, struct simplex_effects *out)
{
    struct slot *t = slot_of(s, s->view);
    if (!s->overdue || s->c.n == 1 || t->asked_notarize || SIMPLEX_BROKEN(OVERDUE_STAYS))
        return;
    s->overdue = false;
    if (leader_now(s) == s->c.me)
        return;
    t->given_up = true;
    nullify_ask(s, t, out);
}

/* Alone there is nobody to give way to. */
static void view_timer(struct simplex *s, struct simplex_effects *out)
{
    give_up(s, out);
    if (s->c.n == 1 || !has_work(s)) {
        s->timing = false;
        return;
    }
    if (!s->timing) {
        s->timing = true;
        s->timer_from = s->now;
    }
    if (s->now.ms < later(s->timer_from, timeout_ms(s)).ms)
        return;
    nullify_ask(s, slot_of(s, s->view), out);
    struct slot *left = SIMPLEX_BROKEN(NULLIFY_FINALIZED) ? slot_of(s, s->view - 1) : NULL;
    if (left != NULL)
        nullify_ask(s, left, out);
}

static void heartbeat(struct simplex *s, struct simplex_effects *out)
{
    if (s->c.n == 1 || s->c.heartbeat_ms == 0 || leader_now(s) != s->c.me || s->now.ms < later(s->beat, s->c.heartbeat_ms).ms)
        return;
    struct simplex_vote v = vote_view(SX_HEARTBEAT, s->view);
    s->beat = s->now;
    emit(out, SXF_SIGN, &v);
}

static void own_again(const struct simplex *s, const struct cast *c, enum simplex_type type, struct simplex_effects *out)
{
    if (!c[s->c.me].have)
        return;
    struct simplex_vote v = vote_block(type, &c[s->c.me].b);
    emit_signed(out, type == SX_PROPOSE ? SXF_SEND_PROPOSAL : SXF_SEND_VOTE, &v, &c[s->c.me].sig);
}

static void view_again(struct simplex *s, const struct slot *t, struct simplex_effects *out)
{
    struct simplex_vote v;
    if (t->finalized || t->notarized) {
        v = vote_block(t->finalized ? SX_FINALIZE : SX_NOTARIZE, &t->notar);
        emit(out, SXF_SEND_CERT, &v);
    }
    if (t->nullified) {
        v = vote_view(SX_NULLIFY, t->view);
        emit(out, SXF_SEND_CERT, &v);
    }
    own_again(s, t->offer, SX_PROPOSE, out);
    own_again(s, t->notarize, SX_NOTARIZE, out);
    own_again(s, t->nullify, SX_NULLIFY, out);
    own_again(s, t->finalize, SX_FINALIZE, out);
}

/* Unverified votes may lead here: it costs one question now and then. */
void want(struct simplex *s, struct simplex_effects *out)
{
    struct simplex_vote v = vote_view(SX_NULLIFY, s->view);
    if (!s->started || SIMPLEX_BROKEN(WANT_SILENT) || s->c.standstill_ms == 0 || s->now.ms < later(s->wanted, s->c.standstill_ms).ms)
        return;
    s->wanted = s->now;
    emit(out, SXF_WANT, &v);
}

static void again(struct simplex *s, struct simplex_effects *out)
{
    if (s->final_slot.finalized) {
        struct simplex_vote v = vote_block(SX_FINALIZE, &s->committed);
        emit(out, SXF_SEND_CERT, &v);
    }
    uint64_t first = window_first(s);
    if (s->view >= AGAIN_VIEWS && first < s->view - AGAIN_VIEWS + 1)
        first = s->view - AGAIN_VIEWS + 1;
    for (uint64_t v = first; v <= s->view; v++)
        view_again(s, slot_of(s, v), out);
    if (s->behind.view != 0) {
        struct simplex_vote v = vote_block(SX_FINALIZE, &s->behind);
        emit(out, SXF_BEHIND, &v);
    }
}

static void standstill(struct simplex *s, struct simplex_effects *out)
{
    if (s->c.n == 1 || s->c.standstill_ms == 0 || !has_work(s) || s->now.ms < later(s->moved, s->c.standstill_ms).ms)
        return;
    s->moved = s->now;
    if (!SIMPLEX_BROKEN(STANDSTILL_SILENT))
        again(s, out);
    want(s, out);
}

void help(struct simplex *s, struct simplex_effects *out)
{
    if (!s->started || SIMPLEX_BROKEN(HELP_SILENT) || s->c.standstill_ms == 0 || s->now.ms < later(s->helped, s->c.standstill_ms).ms)
        return;
    s->helped = s->now;
    again(s, out);
}

void timers_run(struct simplex *s, struct simplex_effects *out)
{
    view_timer(s, out);
    heartbeat(s, out);
    standstill(s, out);
}

static void earliest(struct mono_ms *t, struct mono_ms other)
{
    if (other.ms < t->ms)
        *t = other;
}

struct mono_ms simplex_wake(const struct simplex *s)
{
    struct mono_ms t = { INT64_MAX };
    if (!s->started)
        return t;
    if (s->more)
        return s->now;
    const struct slot *slot = slot_of(s, s->view);
    if (s->c.tick_ms > 0 && !tick_due(s))
        earliest(&t, later(s->commit_at, s->c.tick_ms));
    if (s->c.n == 1)
        return t;
    if (s->timing && !slot->asked_nullify && !slot->asked_finalize && may_vote(s, s->view))
        earliest(&t, later(s->timer_from, timeout_ms(s)));
    if (!stalled(s) && best_parent(s).view != s->committed.view)
        earliest(&t, later(s->entered, timeout_ms(s) / 2));
    if (s->unbuilt.ms != 0 && s->now.ms < build_again(s).ms)
        earliest(&t, build_again(s));
    if (s->c.heartbeat_ms > 0 && leader_now(s) == s->c.me)
        earliest(&t, later(s->beat, s->c.heartbeat_ms));
    else if (s->c.heartbeat_ms > 0 && !leader_lost(s))
        earliest(&t, later(s->heard, (uint64_t) BEATS_LOST * s->c.heartbeat_ms));
    if (s->c.standstill_ms > 0 && has_work(s))
        earliest(&t, later(s->moved, s->c.standstill_ms));
    return t;
}
