/*
 * backoff.h - when may an agent try again?
 *
 * Full jitter (delay = U(0, min(cap, base * 2^failures))) as in the AWS SDKs,
 * base 100 ms, cap 30 s. On its own that does not survive a mass reconnect;
 * so two things a server says take precedence:
 *   RETRY_AFTER n      at least n, plus 0 to 25% of n;
 *   reconnect window W the first attempt after a lost connection waits U(0, W).
 *
 * Invariants
 *  B1 A delay is never below BACKOFF_BASE_MS unless nothing has failed yet, and
 *     never above BACKOFF_CAP_MS except by RETRY_AFTER or the window.
 *  B2 The count of failures is forgotten only after a connection lived
 *     BACKOFF_STABLE_MS: a flapping link keeps its place.
 *  B3 A RETRY_AFTER is used once.
 *
 * No clock and no random numbers here: random is uniform over 32 bits, given by
 * the host; times are monotonic milliseconds.
 */
#ifndef REEVE_ENGINE_BACKOFF_H
#define REEVE_ENGINE_BACKOFF_H

#include "common/types.h"

#define BACKOFF_BASE_MS    100u
#define BACKOFF_CAP_MS     30000u
#define BACKOFF_STABLE_MS  60000u
#define BACKOFF_WINDOW_MAX_MS      3600000u     /* a server cannot send an agent away for longer */
#define BACKOFF_RETRY_AFTER_MAX_MS 3600000u

struct backoff {
    uint32_t failures;              /* attempts since the last stable connection */
    uint32_t retry_after_ms;        /* 0: none said */
    uint32_t window_ms;             /* as the last WELCOME announced; 0: none */
    bool connected, first_after_loss;
    struct mono_ms since;           /* of the connection */
    uint32_t base_ms, cap_ms, stable_ms;
};

void backoff_init(struct backoff *b);
/* With other limits than an agent's; 0 < base <= cap. */
void backoff_init_between(struct backoff *b, uint32_t base_ms, uint32_t cap_ms, uint32_t stable_ms);
/* A connection stands (WELCOME received), with the window it announced (0: none). */
void backoff_connected(struct backoff *b, struct mono_ms now, uint32_t window_ms);
/* The connection ended, or an attempt failed. */
void backoff_lost(struct backoff *b, struct mono_ms now);
/* The server said RETRY_AFTER; call it before backoff_lost or after, until the next delay is taken. */
void backoff_retry_after(struct backoff *b, uint32_t ms);
/* Milliseconds to wait before the next attempt. Call once per attempt. */
uint32_t backoff_delay(struct backoff *b, uint32_t random);

#endif
