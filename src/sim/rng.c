/* rng.c - xoshiro256** and what is drawn from it; see the header. */
#include "sim/rng.h"

#include "common/err.h"

static uint64_t splitmix64(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void sim_rng_seed(struct sim_rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix64(&seed);
}

static uint64_t rotl(uint64_t x, int k) { return x << k | x >> (64 - k); }

uint64_t sim_rng_next(struct sim_rng *r)
{
    uint64_t *s = r->s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

uint64_t sim_rng_below(struct sim_rng *r, uint64_t n)
{
    reeve_assert(n > 0);
    return (uint64_t) (((unsigned __int128) sim_rng_next(r) * n) >> 64);
}

int64_t sim_rng_between(struct sim_rng *r, int64_t lo, int64_t hi)
{
    reeve_assert(lo <= hi);
    return lo + (int64_t) sim_rng_below(r, (uint64_t) (hi - lo) + 1);
}

bool sim_rng_chance(struct sim_rng *r, uint32_t per_million)
{
    return per_million > 0 && sim_rng_below(r, 1000000) < per_million;
}

/*
 * von Neumann's comparison method: the length of the first falling run of
 * uniforms decides; the first uniform of the accepted run is the fraction.
 */
int64_t sim_rng_exponential(struct sim_rng *r, int64_t mean)
{
    for (int64_t whole = 0; whole < 20; whole++) {
        uint64_t first = sim_rng_next(r), last = first;
        for (int n = 1;; n++) {
            uint64_t u = sim_rng_next(r);
            if (u < last) {
                last = u;
                continue;
            }
            if (n % 2 == 0)
                break;
            return whole * mean + (int64_t) (((unsigned __int128) first * (uint64_t) mean) >> 64);
        }
    }
    return 20 * mean;
}

void sim_rng_bytes(struct sim_rng *r, void *out, size_t len)
{
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t) (sim_rng_next(r) >> 56);
}
