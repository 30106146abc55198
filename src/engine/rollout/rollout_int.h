/*
 * rollout_int.h - what the files of this folder share
 *
 * Optional names are written as a single zero length byte; booleans as 0 or 1,
 * anything else is malformed (one byte string per value).
 */
#ifndef REEVE_ENGINE_ROLLOUT_INT_H
#define REEVE_ENGINE_ROLLOUT_INT_H

#include "engine/rollout.h"

#include "common/text.h"

/* codec.c */
void rd_opt_name(struct rd *r, struct name *out);
bool rollout_rd_flag(struct rd *r);
void predicate_encode(const struct predicate *p, struct wr *out);
void predicate_decode(struct predicate *p, struct rd *r);
void gates_encode(const struct gate *g, uint8_t n, struct wr *out);
uint8_t gates_decode(struct gate *g, struct rd *r);

/* evidence.c: the doc's list; nothing where no part is there */
void evidence_list_encode(const struct rollout_doc *d, struct wr *out);
void evidence_list_decode(struct rollout_doc *d, struct rd *r);

/* check_step.c */
bool counts_sane(const struct rollout_counts *c);

/* gate.c */
/* The term is one that this version can evaluate: UNSUPPORTED or INVALID_VALUE otherwise. */
enum reeve_err gate_check(const struct gate *g, struct report *rep) REEVE_MUST_CHECK;
const char *gate_var_name(uint8_t var);
void gate_term_describe(const struct gate_term *t, struct wr *out);
/* "5", "0.5", "12.3456": a share without its sign. */
void percent_describe(uint64_t ppm, struct wr *out);
/*
 * 1-based index of the first gate with that action which fires, 0 if none.
 * PAUSE gates are mute when a person resumed over them (doc.fired_gate in a
 * state that goes on), until the next wave opens.
 */
uint8_t rollout_gate_first(const struct rollout_doc *d, uint8_t action, const struct rollout_counts *c, char why[256]);

/* step.c */
/* Earliest header time at which what follows the newest wave, or the prepare phase, may begin. */
int64_t rollout_bake_until_ms(const struct rollout_doc *d, struct wall_ms wave_since, uint32_t max_skew_ms);

/* text into a fixed, always terminated buffer of 256 bytes */
struct why { struct wr w; char *at; };
struct why why_begin(char at[256]);
void why_end(struct why *y);

/* doc_check.c */
const struct rollout_region *rollout_region_find(const struct rollout_doc *d, const struct name *region);

/* sort.c */
void cohorts_sort(uint64_t *v, size_t n);

#endif
