/*
 * admission.h - how many handshakes a second this process takes, and what the
 * others are told
 *
 * A token bucket whose rate follows the handshakes' own latency, additive up
 * and multiplicative down (AIMD), but never below nine tenths of what is being
 * finished: a crowd that waits makes every handshake slow, and letting in a
 * little less than goes through is what drains it. Whoever is shed joins a virtual queue that
 * drains at the rate and is told when its turn is; agents add a random quarter
 * to that, so the queue need not be remembered and nobody comes together. No
 * clock and no socket here: times are parameters.
 */
#ifndef REEVE_GATEWAY_ADMISSION_H
#define REEVE_GATEWAY_ADMISSION_H

#include "common/types.h"

#define ADMISSION_RATE_MIN   50
#define ADMISSION_RATE_MAX   20000
#define ADMISSION_RATE_START 2000
#define ADMISSION_LATENCY_MS 1000       /* above it the machine is behind */

struct admission {
    double rate;                        /* handshakes a second */
    double tokens;                      /* at most a quarter second of rate, at least 64 */
    double debt;                        /* shed and expected back */
    int64_t last_ms, cut_ms;
    double goodput;                     /* handshakes finished a second, in the last whole window */
    int64_t window_ms;                  /* the present one's begin */
    unsigned finished;                  /* in it */
};

void admission_init(struct admission *a, struct mono_ms now);
/* True: go on with the handshake. */
bool admission_take(struct admission *a, struct mono_ms now);
/* A handshake has ended well after this long. */
void admission_done(struct admission *a, struct mono_ms now, int64_t latency_ms);
/* Counts one that is shed; what to tell it, 50 ms .. 60 s. random is uniform over 32 bits. */
uint32_t admission_shed(struct admission *a, struct mono_ms now, uint32_t random);

#endif
