/*
 * drive.c - events into engine/simplex, effects out of it, one after the other
 *
 * Effects may lead to new events (a block that was built, a vote that was
 * signed); these wait in a queue until the effects before them are obeyed.
 */
#include "backend/validator/validator_int.h"

#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/ops.h"
#include "crypto/sign.h"

#define TIMEOUT_MS_MAX 60000
/* What is sent again is a whole window of views: often, and it stands in the way of what is new. */
#define STANDSTILL_MS_MIN 500
#define QUEUE_AGAIN_MS 1000

void drive_die(struct voter *v, enum reeve_err err, const char *what)
{
    log_fatal("%s (%s); ending", what, reeve_err_text(err));
    child_stop(v->child, 1);
}

/* ---- the engine's clock ---- */

static void on_clock(void *arg)
{
    struct simplex_event e = { .type = SXE_CLOCK };
    drive_event(arg, &e);
}

static void arm_clock(struct voter *v)
{
    struct mono_ms wake = { INT64_MAX };
    if (v->engine != NULL)
        wake = simplex_wake(v->engine);
    if (wake.ms == INT64_MAX)
        loop_timer_cancel(v->loop, &v->clock);
    else if (loop_timer_at(v->loop, &v->clock, wake, on_clock, v) != REEVE_OK)
        log_error("no timer for the engine");
}

/* ---- stepping ---- */

static void trace_effect(const struct simplex_effect *e)
{
    char text[512];
    struct wr w = wr_fixed(text, sizeof text);
    if (!log_wants(LOG_SEV_DEBUG))
        return;
    simplex_effect_describe(e, &w);
    log_debug("effect: %.*s", (int) w.len, text);
}

static void step(struct voter *v, struct simplex_event *e)
{
    e->now = clock_mono();
    simplex_step(v->engine, e, &v->effects);
    /* Once the epoch has ended the rest is the old set's, whose word counts no more. */
    for (size_t i = 0; i < v->effects.n && !loop_is_stopped(v->loop) && v->epoch == v->chain.set.epoch; i++) {
        trace_effect(&v->effects.e[i]);
        effect_obey(v, &v->effects.e[i]);
    }
}

void drive_event(struct voter *v, const struct simplex_event *e)
{
    if (v->engine == NULL)
        return;
    if (v->n_events == EVENTS_MAX) {
        drive_die(v, REEVE_E_BUG, "too many events at once");
        return;
    }
    v->event[(v->event_head + v->n_events++) % EVENTS_MAX] = *e;
    if (v->stepping)
        return;
    v->stepping = true;
    while (v->n_events > 0 && !loop_is_stopped(v->loop)) {
        struct simplex_event next = v->event[v->event_head];
        v->event_head = (v->event_head + 1) % EVENTS_MAX;
        v->n_events--;
        step(v, &next);
        if (v->epoch != v->chain.set.epoch) {
            v->stepping = false;
            epoch_turn(v);
            return;
        }
    }
    v->stepping = false;
    arm_clock(v);
}

void drive_turn(struct voter *v)
{
    if (!v->stepping)
        epoch_turn(v);
}

void drive_work(struct voter *v)
{
    struct simplex_event e = { .type = SXE_WORK, .flag = queue_has_work(v) };
    drive_event(v, &e);
}

/* ---- beginning ---- */

static bool verify(void *arg, const struct simplex_vote *v, uint16_t signer, const struct sig64 *sig)
{
    struct voter *voter = arg;
    struct vote vote;
    uint8_t bytes[ATTEST_VOTE_LEN];
    if (signer >= voter->chain.set.n)
        return false;
    chain_vote_of(&voter->chain, v, &vote);
    vote_bytes(&vote, bytes);
    return sign_verify(sig, slice_of(bytes, sizeof bytes), &voter->chain.set.v[signer].key);
}

static enum reeve_err engine_new(struct voter *v)
{
    struct simplex_block committed = chain_committed(&v->chain);
    uint32_t timeout_ms = (uint32_t) settings_int(v->child->settings, SET_attest_view_timeout);
    v->config = (struct simplex_config){
        .n = v->chain.set.n, .me = v->chain.me, .timeout_ms = timeout_ms, .timeout_ms_max = TIMEOUT_MS_MAX,
        .tick_ms = (uint32_t) settings_int(v->child->settings, SET_attest_tick_interval),
        .heartbeat_ms = timeout_ms / 3,
        .standstill_ms = timeout_ms < STANDSTILL_MS_MIN ? STANDSTILL_MS_MIN : timeout_ms + timeout_ms / 2,
        .verify = verify, .arg = v };
    if (v->engine_mem == NULL)
        v->engine_mem = malloc(simplex_size());
    if (v->engine_mem == NULL)
        return REEVE_E_NOMEM;
    v->engine = NULL;
    v->epoch = v->chain.set.epoch;
    if (!chain_votes_here(&v->chain))
        return REEVE_OK;
    return simplex_init(&v->engine, v->engine_mem, simplex_size(), &v->config, &committed, chain_leader(&v->chain));
}

static enum reeve_err restore_vote(void *arg, const struct simplex_vote *vote, const struct sig64 *sig)
{
    struct voter *v = arg;
    struct simplex_event e = { .type = SXE_RESTORE, .vote = *vote, .sig = *sig };
    if (v->n_events == EVENTS_MAX)
        return REEVE_E_TOO_COMPLEX;
    v->event[v->n_events++] = e;        /* stepped after the store's snapshot is closed */
    return REEVE_OK;
}

struct restored { struct simplex_cert *cert; size_t n, cap; };

static enum reeve_err restore_cert(void *arg, const struct simplex_cert *cert)
{
    struct restored *r = arg;
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 16;
        struct simplex_cert *more = realloc(r->cert, cap * sizeof *more);
        if (more == NULL)
            return REEVE_E_NOMEM;
        r->cert = more;
        r->cap = cap;
    }
    r->cert[r->n++] = *cert;
    return REEVE_OK;
}

/* Before the votes: they show how far the views had come. */
static enum reeve_err restore_certs(struct voter *v)
{
    struct restored r = { NULL, 0, 0 };
    enum reeve_err err = chain_certs(&v->chain, 0, SIZE_MAX, restore_cert, &r);
    for (size_t i = 0; err == REEVE_OK && i < r.n; i++) {
        struct simplex_event e = { .type = SXE_CERT, .cert = &r.cert[i] };
        drive_event(v, &e);
    }
    free(r.cert);
    return err;
}

static void on_again(void *arg)
{
    struct voter *v = arg;
    queue_send_again(v, 0);
    if (loop_timer_in(v->loop, &v->queue_again, QUEUE_AGAIN_MS, on_again, v) != REEVE_OK)
        log_error("no timer for submissions");
}

enum reeve_err drive_begin(struct voter *v, struct report *rep)
{
    struct simplex_event start = { .type = SXE_START };
    enum reeve_err err;
    if (content_newest(&v->chain) > v->chain.head.header.view)
        log_info("going on with the block at height %llu", (unsigned long long) v->chain.head.height + 1);
    TRY(engine_new(v));
    TRY(restore_certs(v));
    TRY(chain_votes(&v->chain, restore_vote, v));
    drive_event(v, &start);
    drive_work(v);
out:
    return err == REEVE_OK ? err : report_set(rep, err, "the validator's state cannot be restored (%s)", reeve_err_text(err));
}

enum reeve_err drive_start(struct voter *v, struct report *rep)
{
    enum reeve_err err = drive_begin(v, rep);
    if (err == REEVE_OK)
        on_again(v);
    return err;
}

void drive_stop(struct voter *v)
{
    struct loop_timer *timers[] = { &v->clock, &v->retry, &v->work_retry, &v->fetch_retry, &v->again, &v->queue_again };
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
        loop_timer_cancel(v->loop, timers[i]);
    queue_close(v);
    seats_close(v);
    net_close(v);
}
