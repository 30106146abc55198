/*
 * unit.h - what every unit test includes: cmocka, a printed seed, hex
 *
 * One group per program (Debian's cmocka 1.1.5 prints one TAP plan only).
 */
#ifndef REEVE_UNIT_H
#define REEVE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/err.h"
#include "common/text.h"

#define UNIT_MAIN(tests) int main(void) { return cmocka_run_group_tests(tests, NULL, NULL); }

/* Names the error when it is not the one claimed. */
#define assert_err(expr, want) do { \
        enum reeve_err got_ = (expr); \
        if (got_ != (want)) \
            fail_msg("%s: %s, not %s", #expr, reeve_err_name(got_), reeve_err_name(want)); \
    } while (0)
#define assert_ok(expr) assert_err(expr, REEVE_OK)

/* xorshift64*: tests only. */
struct rng { uint64_t s; };

/* From REEVE_SEED where set, so that a failure can be repeated; in a check from its commit's. Prints it. */
static inline struct rng rng_seeded(const char *test)
{
    const char *env = getenv("REEVE_SEED") ? getenv("REEVE_SEED") : getenv("REEVE_CHECK_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = env ? strtoull(env, NULL, 10) : (uint64_t) now.tv_sec * 1000000007u ^ (uint64_t) now.tv_nsec;
    fprintf(stderr, "# %s: REEVE_SEED=%llu\n", test, (unsigned long long) seed);
    return (struct rng){ seed ? seed : 1 };
}

static inline uint64_t rng_next(struct rng *r)
{
    r->s ^= r->s >> 12;
    r->s ^= r->s << 25;
    r->s ^= r->s >> 27;
    return r->s * 0x2545f4914f6cdd1dULL;
}

static inline uint32_t rng_below(struct rng *r, uint32_t n) { return (uint32_t) (rng_next(r) >> 33) % n; }

/* Exactly len bytes of hex text. */
static inline void unhex(void *out, size_t len, const char *text)
{
    assert_true(hex_decode(out, len, slice_str(text)));
}

#endif
