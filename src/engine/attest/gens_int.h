/*
 * gens_int.h - what certificates and config keys have in common: generations,
 * rules, an active generation and a rollout. One view over both documents, so
 * that each rule is written once.
 */
#ifndef ENGINE_ATTEST_GENS_INT_H
#define ENGINE_ATTEST_GENS_INT_H

#include "engine/attest.h"

struct gens {
    uint8_t type;                   /* AT_CERT or AT_CONFIG */
    uint32_t *active_gen;
    uint64_t *rollout_id;
    uint8_t *n_rules, *n;
    struct gen_rule *rule;
    uint8_t max;
    uint8_t *first;                 /* the array of generations, seen through stride and offsets */
    size_t stride, gen_at, state_at;
};
struct gens cert_gens(struct cert_doc *d);
struct gens config_gens(struct config_doc *d);

uint32_t gens_number(const struct gens *v, uint8_t i);
uint8_t gens_state(const struct gens *v, uint8_t i);
void gens_set_state(struct gens *v, uint8_t i, uint8_t state);
/* Index of a generation; -1 where there is none. */
int gens_find(const struct gens *v, uint32_t gen);

/* ACTIVE exactly where active_gen or a rule names it; both name only what is there. */
bool gens_consistent(const struct gens *v);
/* Which generation a node serves. */
uint32_t gens_for(const struct gens *v, const struct rollout_doc *r, const struct name *object,
                  const struct node_view *n);

/* ---- edits; each refuses before it changes anything ---- */

/* Room for one more with that number (0: the next); *at its place, its number and state set, the rest zero. */
enum reeve_err gens_append(struct gens *v, uint32_t gen_max, uint32_t number, uint8_t *at,
                           struct report *rep) REEVE_MUST_CHECK;
/* Makes a generation active for everybody: rules go, what was in use retires. */
void gens_activate(struct gens *v, uint32_t gen);
enum reeve_err gens_revoke(struct gens *v, uint32_t gen, uint32_t to_active, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err gens_begin(struct gens *v, const struct name *object, const struct rollout_doc *r,
                          struct report *rep) REEVE_MUST_CHECK;
enum reeve_err gens_end(struct gens *v, const struct name *object, const struct rollout_doc *r,
                        struct report *rep) REEVE_MUST_CHECK;
/* The target of this object in a rollout; NULL where it names another (r may be NULL). */
const struct rollout_target *gens_target(const struct gens *v, const struct rollout_doc *r, const struct name *object);

#endif
