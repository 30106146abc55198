/* backoff.c - see the header for the rules. */
#include "engine/backoff.h"

/* U(0, n), both ends included, from 32 uniform bits. */
static uint32_t uniform(uint32_t n, uint32_t random)
{
    return (uint32_t) (((uint64_t) n + 1) * random >> 32);
}

static uint32_t at_most(uint32_t v, uint32_t max)
{
    return v < max ? v : max;
}

void backoff_init(struct backoff *b)
{
    memset(b, 0, sizeof *b);
}

void backoff_connected(struct backoff *b, struct mono_ms now, uint32_t window_ms)
{
    b->connected = true;
    b->first_after_loss = false;
    b->since = now;
    b->window_ms = at_most(window_ms, BACKOFF_WINDOW_MAX_MS);
    b->retry_after_ms = 0;
}

void backoff_lost(struct backoff *b, struct mono_ms now)
{
    bool stable = b->connected && now.ms - b->since.ms >= BACKOFF_STABLE_MS;
    b->first_after_loss = b->connected;
    b->connected = false;
    if (stable)
        b->failures = 0;
    if (b->failures < UINT32_MAX)
        b->failures++;
}

void backoff_retry_after(struct backoff *b, uint32_t ms)
{
    b->retry_after_ms = at_most(ms, BACKOFF_RETRY_AFTER_MAX_MS);
}

static uint32_t ceiling(uint32_t failures)
{
    uint32_t doublings = failures - 1;
    return doublings > 8 ? BACKOFF_CAP_MS : at_most(BACKOFF_BASE_MS << doublings, BACKOFF_CAP_MS);
}

uint32_t backoff_delay(struct backoff *b, uint32_t random)
{
    uint32_t said = b->retry_after_ms, window = b->first_after_loss ? b->window_ms : 0;
    b->retry_after_ms = 0;
    b->first_after_loss = false;
    if (said > 0)
        return said + uniform(said / 4, random);
    if (window > 0)
        return uniform(window, random);
    if (b->failures == 0)
        return 0;
    uint32_t delay = uniform(ceiling(b->failures), random);
    return delay < BACKOFF_BASE_MS ? BACKOFF_BASE_MS : delay;
}
