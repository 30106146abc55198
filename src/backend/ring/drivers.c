/*
 * drivers.c - the timers behind what the region does by itself
 *
 * Every 100 ms, or at once after a block, the rollouts; every second the rest.
 * Of a ring's members each part runs in one: what ends in security updates,
 * and what looks at the agents, where the signer, the validator and the
 * gateways are; what only changes the region's own rows, at the leader.
 */
#include "backend/ring/driver_int.h"

#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"

#define FAST_MS 100
#define SLOW_MS 1000
#define PRUNE_EVERY 60              /* slow rounds */
#define FEED_KEEP 100000            /* revisions a late reader may be behind */

struct driver {
    struct first first;
    struct rollouts rollouts;
    struct renew *renew;
    struct conflog conflog;
    unsigned slow_rounds;
};

static void prune(struct ring *r)
{
    uint8_t mem[16];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (r->prop.applied <= FEED_KEEP || !r->prop.leads)
        return;
    wr_u8(&w, 1);
    wr_u8(&w, RC_PRUNE);
    wr_u64(&w, r->prop.applied - FEED_KEEP);
    if (ring_propose(&r->prop, wr_slice(&w), NULL, NULL) != REEVE_OK)
        log_debug("pruning waits: the queue is full");
}

static void fast(struct ring *r)
{
    struct ring_view v;
    if (ring_view_open(r, &v) != REEVE_OK)
        return;
    if (r->attests) {
        first_run(r, &r->driver->first, &v);
        rollouts_run(r, &r->driver->rollouts, &v);
        shared_run(r, &v);
    }
    ring_view_close(&v);
}

static void slow(struct ring *r)
{
    struct ring_view v;
    if (ring_view_open(r, &v) != REEVE_OK)
        return;
    if (r->attests) {
        livewatch_run(r, r->livewatch, &v);
        renew_run(r, r->driver->renew, &v);
        conflog_run(r, &r->driver->conflog, &v);
        shared_slow(r, &v);
    }
    kin_run(r, &v);
    inter_run(r, &v);
    share_run(r, &v);
    liveshare_run(r, &v);
    forward_announce(r);
    level_run(r, &v);
    if (r->prop.leads) {
        expiry_run(r, &v);
        members_run(r, &v);
        progress_tell(r);
    }
    health_run(r, &v);
    culprits_run(r, &v);
    autoconf_run(r, &v);
    ring_view_close(&v);
    if (++r->driver->slow_rounds % PRUNE_EVERY == 0)
        prune(r);
}

static void on_fast(void *arg)
{
    struct ring *r = arg;
    fast(r);
    if (loop_timer_in(r->loop, &r->driver_timer, FAST_MS, on_fast, r) != REEVE_OK)
        log_error("no timer for rollouts");
}

static void on_slow(void *arg)
{
    struct ring *r = arg;
    slow(r);
    if (loop_timer_in(r->loop, &r->slow_timer, SLOW_MS, on_slow, r) != REEVE_OK)
        log_error("no timer for maintenance");
}

void ring_news(void *arg, uint32_t from, struct slice bytes)
{
    struct rd in = rd_of(bytes);
    switch (rd_u8(&in)) {
    case NEWS_LIVE:       liveshare_heard(arg, from, &in); break;
    case NEWS_QUARANTINE: quarantine_heard(arg, from); break;
    case NEWS_FORWARD:    forward_heard(arg, from, &in); break;
    case NEWS_PROGRESS:   progress_heard(arg, from, &in); break;
    case NEWS_LEVEL:      level_heard(arg, from, &in); break;
    default:              break;
    }
}

void drivers_replaced(struct ring *r)
{
    r->driver->rollouts.scanned = false;
}

void drivers_block(struct ring *r, const struct slice *leaves, size_t n)
{
    rollouts_block(r, &r->driver->rollouts, leaves, n);
    if (loop_timer_in(r->loop, &r->driver_timer, 0, on_fast, r) != REEVE_OK)
        log_error("no timer for rollouts");
}

enum reeve_err drivers_start(struct ring *r)
{
    enum reeve_err err;
    r->driver = calloc(1, sizeof *r->driver);
    r->livewatch = livewatch_new();
    r->kin = kin_new();
    r->liveshare = liveshare_new();
    r->inter = inter_new();
    r->share = share_new();
    r->shared = shared_new();
    r->forwards = forwards_new();
    if (r->driver == NULL || r->livewatch == NULL || r->kin == NULL || r->liveshare == NULL || r->inter == NULL || r->share == NULL ||
        r->forwards == NULL || r->shared == NULL || (r->driver->renew = renew_new()) == NULL)
        return REEVE_E_NOMEM;
    /* Soft state: without it every node counts as live. */
    if (liveness_open(&r->liveness, r->child->dir, true) != REEVE_OK)
        log_warning("the liveness array cannot be read; nodes are not watched");
    TRY(loop_timer_in(r->loop, &r->driver_timer, FAST_MS, on_fast, r));
    TRY(loop_timer_in(r->loop, &r->slow_timer, 2 * FAST_MS, on_slow, r));
out:
    return err;
}

void drivers_stop(struct ring *r)
{
    loop_timer_cancel(r->loop, &r->driver_timer);
    loop_timer_cancel(r->loop, &r->slow_timer);
}

void drivers_free(struct ring *r)
{
    if (r->driver)
        renew_free(r->driver->renew);
    free(r->driver);
    livewatch_free(r->livewatch);
    kin_free(r->kin);
    r->kin = NULL;
    shared_free(r->shared);
    r->shared = NULL;
    share_free(r->share);
    r->share = NULL;
    inter_free(r->inter);
    r->inter = NULL;
    liveshare_free(r->liveshare);
    r->liveshare = NULL;
    if (r->liveness)
        liveness_close(r->liveness);
}
