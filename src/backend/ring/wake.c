/*
 * wake.c - gateways are told that there is something new to read
 *
 * At once when it was quiet, at most every WAKE_MS under load; the message
 * says only how far the store is, so one may stand for many.
 */
#include "backend/ring/ring_int.h"

#include "backend/utils/clock.h"

#define WAKE_MS 2
#define WAKE_RETRY_MS 50

static void wake_now(void *arg)
{
    struct ring *r = arg;
    r->wake_dirty = false;
    r->wake_last_ms = clock_mono().ms;
    clients_wake(r, r->prop.applied, r->follow.applied);
    if (r->wake_dirty && loop_timer_in(r->loop, &r->wake_timer, WAKE_RETRY_MS, wake_now, r) != REEVE_OK)
        r->wake_dirty = false;
}

void wake_later(struct ring *r)
{
    int64_t since = clock_mono().ms - r->wake_last_ms;
    r->wake_dirty = true;
    if (loop_timer_is_set(&r->wake_timer))
        return;
    if (loop_timer_in(r->loop, &r->wake_timer, since >= WAKE_MS ? 0 : WAKE_MS - since, wake_now, r) != REEVE_OK)
        wake_now(r);
}

void wake_close(struct ring *r)
{
    loop_timer_cancel(r->loop, &r->wake_timer);
}
