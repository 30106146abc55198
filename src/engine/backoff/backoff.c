/* backoff.c - see the header for the rules. */
#include "engine/backoff.h"
#include "common/err.h"

/* U(0, n), both ends included, from 32 uniform bits. */
static uint32_t uniform(uint32_t n, uint32_t random)
{
    return (uint32_t) (((uint64_t) n + 1) * random >> 32);
}

static uint32_t at_most(uint32_t v, uint32_t max)
{
    return v < max ? v : max;
}

void backoff_init_between(struct backoff *b, uint32_t base_ms, uint32_t cap_ms, uint32_t stable_ms)
{
    reeve_assert(base_ms > 0 && base_ms <= cap_ms);
    memset(b, 0, sizeof *b);
    b->base_ms = base_ms;
    b->cap_ms = cap_ms;
    b->stable_ms = stable_ms;
}

void backoff_init(struct backoff *b)
{
    backoff_init_between(b, BACKOFF_BASE_MS, BACKOFF_CAP_MS, BACKOFF_STABLE_MS);
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
    bool stable = b->connected && now.ms - b->since.ms >= b->stable_ms;
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

static uint32_t ceiling(const struct backoff *b)
{
    uint64_t c = b->base_ms;
    for (uint32_t doublings = b->failures - 1; doublings > 0 && c < b->cap_ms; doublings--)
        c *= 2;
    return c < b->cap_ms ? (uint32_t) c : b->cap_ms;
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
    uint32_t delay = uniform(ceiling(b), random);
    return delay < b->base_ms ? b->base_ms : delay;
}
