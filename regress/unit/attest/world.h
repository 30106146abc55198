/*
 * world.h - a small chain for the tests of engine/attest
 *
 * n validators, two regions ("home" and "away") with known keys, a store in
 * strict mode. Helpers assert, so that tests read as stories.
 */
#ifndef REEVE_UNIT_ATTEST_WORLD_H
#define REEVE_UNIT_ATTEST_WORLD_H

#include "../unit.h"
#include "crypto/ops.h"
#include "crypto/sign.h"
#include "engine/attest.h"
#include "sim/sim_kv.h"

#define DAY_MS (86400LL * 1000)
#define GENESIS_MS 1800000000000LL

struct world {
    struct sim_kv *store;
    struct attest a;
    struct sign_key validator[ATTEST_VALIDATORS_MAX], cosign[ATTEST_VALIDATORS_MAX], region[2];
    struct genesis genesis;
    struct wr genesis_doc;
    struct wall_ms now;
    uint64_t view;
    struct report rep;
    struct wr mem;                      /* payloads of the last update set */
};

void world_new(struct world *w, unsigned n_validators);
void world_free(struct world *w);

struct name name_of(const char *s);
/* Encodes u as signed by region key r into mem; returns the leaf. */
struct slice leaf_signed(struct world *w, const struct update *u, unsigned r, struct wr *mem);
/* Fills region and actor and signs; a heap leaf freed by world_free. */
struct slice leaf_of(struct world *w, struct update u);
struct slice leaf_for(struct world *w, enum attest_type type, const char *object, struct slice payload);

/* attest_check at w->now, one tick later than the last block. */
enum reeve_err check(struct world *w, const struct slice *leaves, size_t n);
/* Checks, proposes, signs by all validators, finalizes, commits. */
void block(struct world *w, const struct slice *leaves, size_t n);
void block_of(struct world *w, enum attest_type type, const char *object, struct slice payload);
/* The same from an update set. */
void block_of_set(struct world *w, const struct update_set *set);
enum reeve_err check_set(struct world *w, const struct update_set *set);

/* A finalization of h by the validators whose bits are set. */
void finalize_by(struct world *w, struct finalization *f, const struct block_header *h, uint64_t signers);

/* Ready-made documents. */
void authority_doc_sample(struct authority_doc *d, struct wall_ms now);
void cert_doc_sample(struct cert_doc *d, const char *authority);
struct cert_gen cert_gen_sample(struct wall_ms now);
void rollout_doc_sample(struct rollout_doc *d, uint64_t id, uint8_t type, const char *object, uint32_t from, uint32_t to);
/* region, authority 'ca' (generation 1 active) and certificate 'web' (generation 1 active): three blocks */
void world_furnish(struct world *w);

#define PAYLOAD(w, kind, doc) ({ wr_reset(&(w)->mem); kind##_doc_encode((doc), &(w)->mem); wr_slice(&(w)->mem); })

#endif
