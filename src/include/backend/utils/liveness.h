/*
 * liveness.h - DIR/run/liveness.shm: when each node was last heard of
 *
 * u32 wall-clock seconds by node ordinal, little endian as the machine has
 * it, 0: never; a sparse file, so that only pages in use cost anything.
 * Gateways write, and the ring what other members' gateways heard; backends
 * read; no lock, each entry stands alone. Soft state: readers bear any value.
 */
#ifndef REEVE_BACKEND_UTILS_LIVENESS_H
#define REEVE_BACKEND_UTILS_LIVENESS_H

#include "common/err.h"
#include "common/types.h"

#define LIVENESS_NODES_MAX (1u << 26)

struct liveness;
/* Postmaster: makes the file if there is none; it survives restarts. */
enum reeve_err liveness_create(const char *dir) REEVE_MUST_CHECK;
enum reeve_err liveness_open(struct liveness **out, const char *dir, bool write) REEVE_MUST_CHECK;
void liveness_close(struct liveness *l);
/* Ordinals beyond the maximum are ignored; a time never goes back. */
void liveness_touch(struct liveness *l, uint32_t ordinal, uint32_t wall_s);
uint32_t liveness_get(const struct liveness *l, uint32_t ordinal);

#endif
