/*
 * step.c - what should happen next?
 *
 *              planned --------------------+--> waiting_window --+
 *                 |   prepare_ms over       window shut           |
 *                 |                                               v  window open
 *                 +------------------------------------------> running  (wave 1 opens)
 *                                                                 |
 *      +--------------- next wave opens ---------------+          |  all of the newest wave answered,
 *      |            (or waiting_window first)          |          |  went silent, or were never there
 *      v                                               |          v
 *   running ----------------------------------------> (bake over) baking --> (MANUAL: stays for PROMOTE)
 *                                                      |
 *                                                      +--- last wave ---> succeeded
 *   any state with an open wave, paused too:
 *      ROLLBACK gate or verb -> rolling_back -> rolled_back | rollback_failed
 *      PAUSE gate or verb    -> paused -> (RESUME) running
 *      PROMOTE               -> promoting, which goes on as running does
 *      DEADLINE -> expired, CANCEL -> canceled
 *
 * Every end but `succeeded` takes the change back from everybody; rolling_back
 * differs from canceled and expired only in that it watches the nodes return.
 * The engine keeps nothing: doc and view decide, so a restart in any state
 * continues where the last finalized update stood.
 */
#include "engine/rollout/rollout_int.h"

#define NEVER   INT64_MAX
#define RETRY_MS 1000       /* look again where only the host knows when something will change */

static void wake_at(struct rollout_decision *out, int64_t ms)
{
    if (ms < out->wake.ms)
        out->wake.ms = ms;
}

static void become(struct rollout_decision *out, enum rollout_state s, const char *why)
{
    struct why y = why_begin(out->why);
    wr_text(&y.w, why);
    why_end(&y);
    out->act = RA_UPDATE;
    out->state = (uint8_t) s;
}

static uint64_t planned_nodes(const struct rollout_doc *d, unsigned wave)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < d->n_regions; i++)
        n += d->region[i].nodes[wave - 1];
    return n;
}

/* Going on without having heard of everybody is said aloud: a wave of absent nodes proves nothing. */
static void unheard(const struct rollout_doc *d, const struct rollout_view *v, const char *sep, struct wr *w)
{
    const struct rollout_counts *c = &v->newest;
    uint64_t heard = (uint64_t) c->done + c->failed + c->rejected + c->reverted, nodes = planned_nodes(d, d->opened);
    if (heard < nodes)
        wr_printf(w, "%s%llu of %llu nodes of wave %u answered, the others are silent or away", sep,
                  (unsigned long long) heard, (unsigned long long) nodes, d->opened);
}

static void open_next(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    out->opened = (uint8_t) (d->opened + 1);
    out->fired_gate = 0;
    out->act = RA_UPDATE;
    out->state = RS_RUNNING;
    struct why y = why_begin(out->why);
    wr_printf(&y.w, "wave %u of %u opened", out->opened, d->n_waves);
    if (d->opened > 0)
        unheard(d, v, "; ", &y.w);
    why_end(&y);
}

/* Past the deadline the rollout ends; before it, it is a reason to wake. */
static bool expired(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    if (d->deadline_s == 0)
        return false;
    int64_t deadline = v->created.ms + (int64_t) d->deadline_s * 1000;
    wake_at(out, deadline);
    if (v->now.ms < deadline)
        return false;
    become(out, RS_EXPIRED, "the deadline passed");
    return true;
}

static bool window_shut(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    if (d->window.len == 0 || v->window_open)
        return false;
    if (d->state != RS_WAITING_WINDOW)
        become(out, RS_WAITING_WINDOW, "waiting for the window");
    wake_at(out, v->now.ms + RETRY_MS);
    return true;
}

/* A region that holds its own shard stops the rest too, until it lets go: it saw something. */
static bool braked(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    if (!v->shared || d->state == RS_PAUSED)
        return false;
    for (unsigned g = 0; g < d->n_regions; g++) {
        if (!v->part[g].there || v->part[g].brake == BRAKE_NONE)
            continue;
        become(out, RS_PAUSED, "");
        struct why y = why_begin(out->why);
        wr_printf(&y.w, "region \"%.100s\" brakes%s", d->region[g].name.s,
                  v->part[g].brake == BRAKE_RETURN ? " and went back; it asks for a rollback" : "");
        why_end(&y);
        return true;
    }
    return false;
}

static void step_closed(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    if (expired(d, v, out) || braked(d, v, out) || d->state == RS_PAUSED || d->state == RS_AWAITING_APPROVAL)
        return;
    int64_t prepared = v->created.ms + d->prepare_ms;
    if (v->now.ms < prepared) {
        wake_at(out, prepared);
        return;
    }
    if (!window_shut(d, v, out))
        open_next(d, v, out);
}

/* ---- with at least one wave open ---- */

static bool gate_stops(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    uint8_t g = rollout_gate_first(d, GATE_ROLLBACK, &v->opened, out->why);
    out->state = RS_ROLLING_BACK;
    if (g == 0 && d->state != RS_PAUSED) {
        g = rollout_gate_first(d, GATE_PAUSE, &v->opened, out->why);
        out->state = RS_PAUSED;
    }
    if (g == 0) {
        out->state = d->state;
        return false;
    }
    out->act = RA_UPDATE;
    out->fired_gate = g;
    return true;
}

/* Regions whose counts are needed and were not taken at that time or later. */
static uint16_t unheard_of(const struct rollout_doc *d, const struct rollout_view *v, int64_t since_ms)
{
    uint16_t need = v->shared ? rollout_needs(d, v->held) : 0;
    for (unsigned g = 0; g < d->n_regions; g++)
        if (v->part[g].there && v->part[g].at.ms >= since_ms)
            need &= (uint16_t) ~(1u << g);
    return need;
}

/* Everybody of the newest wave who was told has answered or is silent; who was not told in time is not there. */
static bool settled(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    const struct rollout_counts *c = &v->newest;
    uint64_t heard = (uint64_t) c->done + c->failed + c->rejected + c->reverted + c->silent;
    int64_t patience = v->wave_since.ms + v->report_timeout_ms;
    bool all_told = (c->told >= c->nodes && unheard_of(d, v, INT64_MIN) == 0) || v->now.ms >= patience;
    if (heard >= c->told && all_told)
        return true;
    wake_at(out, v->now.ms < patience ? patience : v->now.ms + RETRY_MS);
    return false;
}

int64_t rollout_wave_end_ms(const struct rollout_doc *d, unsigned wave, struct wall_ms opened, uint32_t max_skew_ms)
{
    reeve_assert(wave >= 1 && wave <= d->n_waves);
    uint32_t bake = d->wave[wave - 1].bake_ms;
    return opened.ms + (bake > 0 ? (int64_t) bake + 2 * (int64_t) max_skew_ms : 0);
}

int64_t rollout_bake_until_ms(const struct rollout_doc *d, struct wall_ms wave_since, uint32_t max_skew_ms)
{
    if (d->opened == 0)
        return wave_since.ms + d->prepare_ms;
    return rollout_wave_end_ms(d, d->opened, wave_since, max_skew_ms);
}

static bool is_opening(const struct rollout_doc *d)
{
    return d->state == RS_RUNNING || d->state == RS_PROMOTING;
}

static void bake(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    if (!is_opening(d))
        return;
    become(out, RS_BAKING, "");
    struct why y = why_begin(out->why);
    unheard(d, v, "", &y.w);
    if (y.w.len == 0)
        wr_text(&y.w, "every node of the wave has answered");
    why_end(&y);
}

/* To go on it takes counts that were taken after the bake, from everybody (R8). */
static bool lacks_counts(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    out->missing = unheard_of(d, v, rollout_counts_due_ms(d, v->wave_since));
    if (out->missing == 0)
        return false;
    wake_at(out, v->now.ms + RETRY_MS);
    if (is_opening(d) && v->now.ms >= rollout_bake_until_ms(d, v->wave_since, v->max_skew_ms) + v->report_timeout_ms)
        become(out, RS_BAKING, "waiting for the counts of other regions");
    return true;
}

static void succeed(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    become(out, RS_SUCCEEDED, "");
    struct why y = why_begin(out->why);
    wr_text(&y.w, "every wave is done");
    unheard(d, v, "; ", &y.w);
    why_end(&y);
}

static void step_open(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    if (gate_stops(d, v, out) || braked(d, v, out) || expired(d, v, out) || d->state == RS_PAUSED || !settled(d, v, out))
        return;
    int64_t bake_until = rollout_bake_until_ms(d, v->wave_since, v->max_skew_ms);
    if (v->now.ms < bake_until) {
        wake_at(out, bake_until);
        bake(d, v, out);
    } else if (d->manual && d->opened < d->n_waves) {
        if (is_opening(d))
            become(out, RS_BAKING, "waiting for PROMOTE");
    } else if (lacks_counts(d, v, out)) {
        return;
    } else if (d->opened == d->n_waves) {
        succeed(d, v, out);
    } else if (!window_shut(d, v, out)) {
        open_next(d, v, out);
    }
}

/* What made it go back stays the reason and the evidence of its end: that is what people look for. */
static void step_back(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    int64_t patience = v->state_since.ms + v->report_timeout_ms;
    out->missing = unheard_of(d, v, v->state_since.ms);
    if (v->still_new == 0 && out->missing == 0) {
        become(out, RS_ROLLED_BACK, d->why[0] ? d->why : "no live node serves it any more");
    } else if (v->now.ms < patience) {
        wake_at(out, out->missing != 0 ? v->now.ms + RETRY_MS : patience);
    } else {
        struct why y = why_begin(out->why);
        wr_printf(&y.w, "live nodes that still serve it: %u", v->still_new);
        if (out->missing != 0)
            wr_text(&y.w, ", and there is no word of some regions");
        why_end(&y);
        out->act = RA_UPDATE;
        out->state = RS_ROLLBACK_FAILED;
    }
}

void rollout_step(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out)
{
    memset(out, 0, sizeof *out);
    out->state = d->state;
    out->opened = d->opened;
    out->fired_gate = d->fired_gate;
    out->wake.ms = NEVER;
    if (rollout_state_terminal((enum rollout_state) d->state))
        return;
    if (d->state == RS_ROLLING_BACK)
        step_back(d, v, out);
    else if (d->opened == 0)
        step_closed(d, v, out);
    else
        step_open(d, v, out);
}

static void put_evidence(const struct rollout_view *v, struct rollout_doc *next)
{
    next->counts = v->opened;
    memset(next->evidence, 0, sizeof next->evidence);
    for (unsigned g = 0; g < next->n_regions && v->shared; g++)
        if (v->part[g].there)
            next->evidence[g] = v->part[g];
}

void rollout_decision_apply(const struct rollout_doc *prev, const struct rollout_decision *dec,
                            const struct rollout_view *view, struct rollout_doc *next)
{
    if (next != prev)
        *next = *prev;
    next->state = dec->state;
    next->opened = dec->opened;
    next->fired_gate = dec->fired_gate;
    next->promoted = false;
    if (dec->state != RS_ROLLED_BACK)
        put_evidence(view, next);
    memcpy(next->why, dec->why, sizeof next->why);
}
