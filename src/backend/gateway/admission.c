/* admission.c - see the header */
#include "backend/gateway/admission.h"

#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 60000
#define CUT_EVERY_MS 100
#define JITTER_MS    200
#define WINDOW_MS    500
#define DRAIN        0.9
#define EARLY        0.88               /* agents add up to a quarter */

void admission_init(struct admission *a, struct mono_ms now)
{
    *a = (struct admission){ .rate = ADMISSION_RATE_START, .tokens = ADMISSION_RATE_START / 4.0,
                             .last_ms = now.ms, .cut_ms = now.ms, .window_ms = now.ms };
}

static double burst(const struct admission *a)
{
    double b = a->rate / 4;
    return b < 64 ? 64 : b;
}

static void refill(struct admission *a, int64_t now)
{
    double gained = a->rate * (double) (now - a->last_ms) / 1000.0;
    if (now <= a->last_ms)
        return;
    a->last_ms = now;
    a->tokens += gained;
    if (a->tokens > burst(a))
        a->tokens = burst(a);
    a->debt = a->debt > gained ? a->debt - gained : 0;
}

bool admission_take(struct admission *a, struct mono_ms now)
{
    refill(a, now.ms);
    if (a->tokens < 1)
        return false;
    a->tokens -= 1;
    return true;
}

static void count_finished(struct admission *a, int64_t now)
{
    int64_t took = now - a->window_ms;
    if (took >= WINDOW_MS) {
        a->goodput = a->finished * 1000.0 / (double) took;
        a->finished = 0;
        a->window_ms = now;
    }
    a->finished++;
}

static void cut(struct admission *a, int64_t now)
{
    double to = a->rate * 0.9, drain = a->goodput * DRAIN;
    if (now - a->cut_ms < CUT_EVERY_MS)
        return;
    a->cut_ms = now;
    to = to > drain ? to : drain;
    a->rate = to < a->rate ? to : a->rate;
}

void admission_done(struct admission *a, struct mono_ms now, int64_t latency_ms)
{
    count_finished(a, now.ms);
    if (latency_ms > ADMISSION_LATENCY_MS) {
        cut(a, now.ms);
    } else if (a->tokens < burst(a) / 2) {
        /* Only a bucket in use says anything about what more the machine could do. */
        a->rate += 1;
    }
    if (a->rate < ADMISSION_RATE_MIN)
        a->rate = ADMISSION_RATE_MIN;
    if (a->rate > ADMISSION_RATE_MAX)
        a->rate = ADMISSION_RATE_MAX;
}

uint32_t admission_shed(struct admission *a, struct mono_ms now, uint32_t random)
{
    refill(a, now.ms);
    a->debt += 1;
    double turn = a->debt / a->rate * 1000.0 * EARLY;
    double ms = RETRY_MIN_MS + turn + JITTER_MS * ((double) random / 4294967296.0);
    return ms > RETRY_MAX_MS ? RETRY_MAX_MS : (uint32_t) ms;
}
