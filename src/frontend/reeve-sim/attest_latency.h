/*
 * attest_latency.h - how long an update takes from its submission until it is final at every validator
 *
 * The same machines as in attest_int.h, without faults: real engine, simulated
 * signer and store, delays of real places, and each machine's processor, which
 * verifies one signature after the other. Beside it two models that know
 * delays and nothing else (attest_model.c): of this protocol, to show that the
 * simulation measures what it should; and of one with five delays.
 *
 * Validators are numbered by place here; who leads is a place, too.
 */
#ifndef REEVE_SIM_ATTEST_LATENCY_H
#define REEVE_SIM_ATTEST_LATENCY_H

#include "attest_int.h"

struct lat_places {
    int n;
    bool cloud;
    int place[RIG_VALIDATORS];
};

/* What things cost, in microseconds; means where they are drawn. */
struct lat_costs { int64_t verify, sign, persist, check, jitter; };

#define LAT_NEVER INT64_MAX
struct lat_times { int64_t us[RIG_VALIDATORS]; };       /* by submitter: final at all who live; LAT_NEVER */

/* ---- attest_latency.c ---- */
/* Each living validator submits one update, one after the other. False: something never became final, or a violation. */
bool lat_run(const struct lat_places *p, const struct lat_costs *c, uint64_t seed, int leader, const bool *dead, struct lat_times *out);
/*
 * The leader dies: while nothing is to do, us[0] is how long until all others follow the next one, us[1] an update's time
 * after that, from the slowest submitter; and in the moment of a submission: us[2] that update's time.
 */
bool lat_leader_dies(const struct lat_places *p, const struct lat_costs *c, uint64_t seed, int leader, int64_t us[3]);

/* ---- attest_model.c ---- */
/* Propose, votes of all to all, votes of all to all. */
void model_three(const struct lat_places *p, const struct lat_costs *c, int leader, const bool *dead, struct lat_times *out);
/* Propose, votes to the leader, their certificate to all, votes to the leader, their certificate to all: HotStuff-2, Jolteon. */
void model_five(const struct lat_places *p, const struct lat_costs *c, int leader, const bool *dead, struct lat_times *out);

#endif
