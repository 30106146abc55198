/*
 * rng.h - the one stream of chance of a simulated world
 *
 * xoshiro256** (Blackman, Vigna: "Scrambled linear pseudorandom number
 * generators", 2018), its state filled by splitmix64 from the seed. Whoever
 * draws from the stream is part of the run: the same seed and the same code
 * give the same run. Not for secrets.
 */
#ifndef REEVE_SIM_RNG_H
#define REEVE_SIM_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_rng { uint64_t s[4]; };

void sim_rng_seed(struct sim_rng *r, uint64_t seed);
uint64_t sim_rng_next(struct sim_rng *r);
/* Uniform in 0..n-1; n > 0. */
uint64_t sim_rng_below(struct sim_rng *r, uint64_t n);
/* Uniform in lo..hi, both included. */
int64_t sim_rng_between(struct sim_rng *r, int64_t lo, int64_t hi);
/* True per_million times out of a million. Draws nothing for 0, so that a fault that is off costs no chance. */
bool sim_rng_chance(struct sim_rng *r, uint32_t per_million);
/* Exponential with that mean, cut at 20 times the mean; integer arithmetic only, so that every machine agrees. */
int64_t sim_rng_exponential(struct sim_rng *r, int64_t mean);
void sim_rng_bytes(struct sim_rng *r, void *out, size_t len);

#endif
