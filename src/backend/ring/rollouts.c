/*
 * rollouts.c - steps the rollouts that this region owns
 *
 * One step under way per rollout; what the engine decides becomes a security
 * update that the validators judge again. A step that lost a race (CONFLICT,
 * PLAN_STALE) is simply decided anew from what is there then.
 */
#include "backend/ring/regions.h"

#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"

#define RETRY_MS 500
#define SET_MEM ((1 + ROLLOUT_TARGETS_MAX) * (ATTEST_PAYLOAD_MAX + 64))

static struct rollout_run *find_run(struct rollouts *s, uint64_t id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->run[i].id == id)
            return &s->run[i];
    return NULL;
}

static void add_run(struct rollouts *s, uint64_t id)
{
    if (find_run(s, id))
        return;
    if (s->n == ROLLOUTS_RUNNING_MAX) {
        log_limited(LOG_SEV_ERROR, "more than %d rollouts run at once; rollout %llu waits", ROLLOUTS_RUNNING_MAX,
                    (unsigned long long) id);
        s->scanned = false;
        return;
    }
    s->run[s->n++] = (struct rollout_run){ .id = id };
}

static void consider(struct ring *r, struct rollouts *s, const struct update *u)
{
    static struct rollout_doc d;
    if (u->type != AT_ROLLOUT || u->op != 1 || rollout_doc_decode(&d, u->payload) != REEVE_OK)
        return;
    if (!name_eq(&u->region, &r->region_name)) {
        shared_consider(r, &d);
        return;
    }
    struct rollout_run *run = find_run(s, d.id);
    if (run)
        run->wake_ms = 0;
    else if (!rollout_state_terminal(d.state))
        add_run(s, d.id);
}

void rollouts_block(struct ring *r, struct rollouts *s, const struct slice *leaves, size_t n)
{
    struct update u;
    for (size_t i = 0; i < n; i++)
        if (update_decode(&u, leaves[i]) == REEVE_OK)
            consider(r, s, &u);
}

static void scan(struct ring *r, struct rollouts *s, struct ring_view *v)
{
    struct name after = { 0 };
    struct attest_object o;
    s->scanned = true;
    while (attest_next(&v->attest, AT_ROLLOUT, &after, &o) == REEVE_OK)
        consider(r, s, &o.update);
}

/* ---- one step ---- */

struct step_call { struct rollouts *s; uint64_t id; };

static bool lost_race(enum reeve_err err)
{
    return err == REEVE_E_CONFLICT || err == REEVE_E_PLAN_STALE;
}

static void stepped(void *arg, enum reeve_err err, const struct report *rep, uint64_t height, uint64_t first_leaf)
{
    struct step_call *call = arg;
    struct rollout_run *run = find_run(call->s, call->id);
    if (run) {
        run->asked = false;
        run->wake_ms = 0;
        run->retry_ms = err == REEVE_OK || lost_race(err) ? 0 : clock_wall().ms + RETRY_MS;
    }
    if (err != REEVE_OK)
        log_limited(lost_race(err) ? LOG_SEV_DEBUG : LOG_SEV_WARNING, "rollout %llu could not be stepped: %s",
                    (unsigned long long) call->id, rep->message);
    free(call);
}

static void sign_off(struct update_set *set, const char *why)
{
    for (size_t i = 0; i < set->n; i++) {
        name_set_str(&set->u[i].actor, DRIVER_ACTOR);
        set->u[i].reason = slice_str(why);
    }
}

static enum reeve_err submit_step(struct ring *r, struct rollouts *s, struct rollout_run *run, struct ring_view *v,
                                  const struct rollout_doc *next, const char *why, struct report *rep)
{
    static struct update_set set;
    struct wr mem = wr_heap(SET_MEM);
    struct step_call *call = malloc(sizeof *call);
    enum reeve_err err = call ? attest_rollout_step(&v->attest, next, &mem, &set, rep) : REEVE_E_NOMEM;
    if (err == REEVE_OK) {
        *call = (struct step_call){ s, run->id };
        sign_off(&set, why);
        err = ring_submit_updates(r, set.u, set.n, stepped, call, rep);
    }
    if (err == REEVE_OK)
        run->asked = true;
    else
        free(call);
    wr_free(&mem);
    return err;
}

/* When it was planned: the header time while no wave is open, then the first event of its history. */
static struct wall_ms created_at(struct ring_view *v, const struct rollout_doc *d, const struct attest_object *o)
{
    uint8_t mem[8];
    struct wr id = wr_fixed(mem, sizeof mem);
    struct kv_iter it;
    struct slice key, val;
    static struct event_row row;
    if (d->opened == 0)
        return o->aux_time;
    wr_u64(&id, d->id);
    region_iter_init(&v->region, &it, 'e', wr_slice(&id));
    if (region_iter_next(&it, &key, &val) == REEVE_OK && event_row_decode(&row, val) == REEVE_OK)
        return row.at;
    return o->aux_time;
}

/* A window that was dropped stays shut: nobody says any more when it would open. */
static bool window_open(struct ring_view *v, const struct rollout_doc *d, struct wall_ms now)
{
    struct window_row w;
    if (d->window.len == 0)
        return true;
    return region_window_get(&v->region, &d->window, &w) == REEVE_OK && window_is_open(&w, now);
}

/* What each region counted, as far as it is known here. */
static enum reeve_err join_regions(struct ring *r, struct ring_view *v, const struct rollout_doc *d, const struct attest_object *o,
                                   struct rollout_view *view)
{
    enum reeve_err err;
    view->shared = rollout_is_shared(d, &r->region_name);
    if (!view->shared)
        return REEVE_OK;
    TRY(regions_held(v, d, &view->held));
    for (unsigned g = 0; g < d->n_regions; g++) {
        err = name_eq(&d->region[g].name, &r->region_name) ? shared_count(r, v, d, o, &view->part[g])
                                                           : region_evidence_get(&v->region, d, g, &view->part[g]);
        if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
            return err;
    }
    rollout_view_join(d, view);
    err = REEVE_OK;
out:
    return err;
}

static enum reeve_err make_view(struct ring *r, struct ring_view *v, const struct rollout_doc *d,
                                const struct attest_object *o, struct rollout_view *view)
{
    struct liveness_view live = { livewatch_is_live, r };
    memset(view, 0, sizeof *view);
    view->now = clock_wall();
    view->created = created_at(v, d, o);
    view->state_since = o->time;
    view->wave_since = o->aux_time;
    view->report_timeout_ms = (uint32_t) settings_int(r->child->settings, SET_rollout_report_timeout);
    view->window_open = window_open(v, d, view->now);
    enum reeve_err err = attest_skew_ms(&v->attest, &view->max_skew_ms);
    if (err == REEVE_OK)
        err = region_rollout_view(&v->region, d, &live, view);
    return err == REEVE_OK ? join_regions(r, v, d, o, view) : err;
}

/* ---- who is waited for ---- */

#define MISSING_MS 10000

static void name_missing(const struct rollout_doc *d, uint16_t missing, struct wr *w)
{
    const char *sep = "";
    for (unsigned g = 0; g < d->n_regions; g++)
        if (missing >> g & 1) {
            wr_printf(w, "%s\"%.60s\"", sep, d->region[g].name.s);
            sep = ", ";
        }
}

/* A rollout stands still because a region is not heard of: that is an operator's to know, and to decide about. */
static void tell_missing(struct ring *r, struct ring_view *v, const struct rollout_doc *d, struct rollout_run *run, uint16_t missing)
{
    char message[256] = { 0 }, hint[256] = { 0 };
    struct wr m = wr_fixed(message, sizeof message - 1), h = wr_fixed(hint, sizeof hint - 1);
    int64_t now = clock_wall().ms;
    if (missing == 0) {
        if (run->missing_ms != 0)
            issue_set(r, v, "rollout_regions", &d->target[0].name, 0, "", "");
        run->missing_ms = 0;
        return;
    }
    if (run->missing_ms == 0)
        run->missing_ms = now;
    if (now < run->missing_ms + MISSING_MS)
        return;
    wr_printf(&m, "rollout %llu waits for the counts of region ", (unsigned long long) d->id);
    name_missing(d, missing, &m);
    wr_printf(&h, "PROMOTE ROLLOUT %llu goes on without them, ROLLBACK ROLLOUT %llu goes back.", (unsigned long long) d->id,
              (unsigned long long) d->id);
    issue_set(r, v, "rollout_regions", &d->target[0].name, 2, message, hint);
}

/* False when the rollout is over. */
static bool step(struct ring *r, struct rollouts *s, struct rollout_run *run, struct ring_view *v)
{
    static struct rollout_doc d, next;
    struct attest_object o;
    struct rollout_view view;
    struct rollout_decision dec;
    struct report rep = { .code = REEVE_OK };
    enum reeve_err err = attest_get_rollout(&v->attest, run->id, &d, &o);
    if (err == REEVE_E_UNDEFINED_OBJECT)
        return false;
    if (err == REEVE_OK && rollout_state_terminal(d.state)) {
        tell_missing(r, v, &d, run, 0);
        return false;
    }
    if (err == REEVE_OK)
        err = make_view(r, v, &d, &o, &view);
    if (err == REEVE_OK) {
        rollout_step(&d, &view, &dec);
        run->wake_ms = dec.wake.ms;
        tell_missing(r, v, &d, run, dec.missing);
        if (dec.act != RA_UPDATE)
            return true;
        rollout_decision_apply(&d, &dec, &view, &next);
        err = submit_step(r, s, run, v, &next, dec.why, &rep);
    }
    if (err != REEVE_OK) {
        run->retry_ms = clock_wall().ms + RETRY_MS;
        log_limited(LOG_SEV_WARNING, "rollout %llu could not be stepped: %s", (unsigned long long) run->id,
                    rep.code != REEVE_OK ? rep.message : reeve_err_text(err));
    }
    return true;
}

void rollouts_run(struct ring *r, struct rollouts *s, struct ring_view *v)
{
    int64_t now = clock_wall().ms;
    if (!s->scanned)
        scan(r, s, v);
    for (size_t i = 0; i < s->n;) {
        struct rollout_run *run = &s->run[i];
        if (!run->asked && now >= run->retry_ms && !step(r, s, run, v))
            s->run[i] = s->run[--s->n];
        else
            i++;
    }
}
