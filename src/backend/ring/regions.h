/*
 * regions.h - what rings of different regions say to each other, and what follows from it
 *
 * A letter: u8 kind | body. The link says which region's server sent it, and no more.
 *   1 CENSUS    u32: the ordinals that the region has given; for plans, believed of the region it came from
 *   2 EVIDENCE  a statement (engine/rollout.h): what the region counted of a rollout that the receiver owns
 * A kind that is not known is passed over. What came becomes a note of the ring (engine/region/elsewhere.c), so that whichever
 * member goes on has it; whatever is lost is sent again.
 */
#ifndef REEVE_BACKEND_RING_REGIONS_H
#define REEVE_BACKEND_RING_REGIONS_H

#include "backend/ring/driver_int.h"

enum region_letter { REGION_CENSUS = 1, REGION_EVIDENCE };

/* To one region, NULL: to all. */
void regions_send(struct ring *r, const struct name *to, enum region_letter kind, struct slice body);
/* Signs bytes (which begin with this region's name) and answers with the signature. UNAVAILABLE, BUSY, NOMEM. */
typedef void statement_done(void *arg, enum reeve_err err, const struct sig64 *sig);
enum reeve_err statement_sign(struct ring *r, enum statement_kind kind, struct slice bytes, statement_done *done, void *arg) REEVE_MUST_CHECK;

/* Which of the plan's regions are frozen, by place. */
enum reeve_err regions_held(struct ring_view *v, const struct rollout_doc *d, uint16_t *held) REEVE_MUST_CHECK;

/* ---- shared.c ---- */
/* Of the waves opened so far, as this region counts them; nodes: of each wave, exact. */
enum reeve_err shared_count(struct ring *r, struct ring_view *v, const struct rollout_doc *d, const struct attest_object *o,
                            struct rollout_evidence *e) REEVE_MUST_CHECK;

#endif
