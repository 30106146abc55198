/*
 * config_past.h - the config as it was, out of the region's own history
 *
 * Every change of a key (SET, RESET, the end of a rollout) stands there with
 * the value before and after; VERSION is the region's revision, the one that
 * sys.config.version and sys.history (log = 'region') show.
 */
#ifndef REEVE_BACKEND_CATALOG_CONFIG_PAST_H
#define REEVE_BACKEND_CATALOG_CONFIG_PAST_H

#include "backend/catalog/snap.h"

/* What changed one key within a range of revisions. Texts are JSON as in sys.history; empty: absent. */
struct past_key {
    struct past_key *next;
    struct name key;
    struct slice before, after;         /* of the first change, of the last one; borrowed from the snapshot */
    uint64_t version;                   /* of the last change, as are: */
    struct wall_ms at;
    struct name actor;
    struct slice reason;                /* borrowed likewise */
};
struct config_past { size_t n; struct past_key **v; };      /* by name of the key */

/* Changes of revisions (from, to], into the arena. */
enum reeve_err config_past_read(struct snap *sn, struct arena *a, uint64_t from, uint64_t to, struct config_past *out,
                                struct report *rep) REEVE_MUST_CHECK;
/* The value and its type in such a JSON text, into the arena; false: absent. */
bool config_past_value(struct arena *a, struct slice json, struct slice *value, struct slice *type);

#endif
