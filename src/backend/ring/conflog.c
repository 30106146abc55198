/*
 * conflog.c - the region's log of config changes is attested: one checkpoint at most a minute
 *
 * A change waits for others (config_checkpoint_delay, from the oldest one that no checkpoint covers), so that a busy region
 * makes no more of them than a quiet one. Nothing is remembered: what is due follows from the state, for whoever looks next.
 */
#include "backend/ring/driver_int.h"

#include <stdio.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "engine/region_history.h"

#define RETRY_MS 5000
#define SPARE_MS 500            /* a header's time may be a little ahead of this clock */

static void submitted(void *arg, enum reeve_err err, const struct report *rep, uint64_t height, uint64_t first_leaf)
{
    struct conflog *c = arg;
    c->asked = false;
    c->retry_ms = clock_wall().ms + RETRY_MS;
    if (err != REEVE_OK)
        log_limited(err == REEVE_E_CONFLICT || err == REEVE_E_V_TIME ? LOG_SEV_DEBUG : LOG_SEV_WARNING,
                    "the region's config history is not attested yet: %s", rep->message);
}

static void submit(struct ring *r, struct conflog *c, struct ring_view *v, const struct checkpoint_doc *d, uint64_t changes)
{
    uint8_t mem[64 + 32 * MERKLE_PATH_MAX];
    char why[64];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct update u = { 0 };
    struct report rep = { .code = REEVE_OK };
    checkpoint_doc_encode(d, &w);
    if (update_prepare(&v->attest, AT_CHECKPOINT, &r->region_name, wr_slice(&w), &u) != REEVE_OK)
        return;
    name_set_str(&u.actor, DRIVER_ACTOR);
    if (d->anew)
        snprintf(why, sizeof why, "the region was restored from a backup");
    else
        snprintf(why, sizeof why, "%llu changes of config", (unsigned long long) changes);
    u.reason = slice_str(why);
    c->asked = ring_submit_updates(r, &u, 1, submitted, c, &rep) == REEVE_OK;
}

/* Since when does the oldest change wait? */
static bool is_due(struct ring *r, struct ring_view *v, const struct attest_object *o, uint64_t oldest)
{
    int64_t now = clock_wall().ms, delay = settings_int(r->child->settings, SET_config_checkpoint_delay);
    uint64_t revision;
    struct wall_ms at;
    if (config_log_at(&v->region, oldest, &revision, &at) != REEVE_OK || now - at.ms < delay)
        return false;
    return o == NULL || now - o->time.ms >= ATTEST_CHECKPOINT_MS + SPARE_MS;
}

static void say_forked(struct ring *r, struct ring_view *v, bool forked)
{
    issue_set(r, v, "config_history", &r->region_name, forked ? 3 : 0,
              "the region's config history does not extend the one that is attested: somebody rewrote it, or put an older store in place",
              "Compare COPY HISTORY WITH (format = 'config') of before; restore with reeve-ctl restore, which says that changes are lost.");
}

void conflog_run(struct ring *r, struct conflog *c, struct ring_view *v)
{
    struct checkpoint_doc was, next;
    struct attest_object o;
    if (c->asked || clock_wall().ms < c->retry_ms)
        return;
    enum reeve_err err = attest_get(&v->attest, AT_CHECKPOINT, &r->region_name, &o);
    bool had = err == REEVE_OK && checkpoint_doc_decode(&was, o.update.payload) == REEVE_OK;
    if (!had && err != REEVE_E_NOT_FOUND)
        return;
    err = config_log_checkpoint(&v->region, had ? &was : NULL, &next);
    say_forked(r, v, err == REEVE_E_V_CONSISTENCY);
    if (err != REEVE_OK)
        return;
    uint64_t covered = had && !next.anew ? was.size : next.anew ? next.size - 1 : 0;
    if (is_due(r, v, had ? &o : NULL, covered))
        submit(r, c, v, &next, next.size - covered);
}
