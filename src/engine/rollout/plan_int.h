/* plan_int.h - the planner's working state. */
#ifndef REEVE_ENGINE_PLAN_INT_H
#define REEVE_ENGINE_PLAN_INT_H

#include "engine/rollout/rollout_int.h"

struct planner {
    const struct crypto_ops *c;
    struct rollout_doc *d;
    const struct rollout_spec *s;
    struct slice object;
    const struct plan_region_info *infos;
    size_t n_infos;
    struct plan_source *src;
    struct report *rep;
    enum reeve_err err;             /* of a visit */
    unsigned first, end;            /* the group: d->region[first .. end) */
    size_t n_cohorts;               /* sorted cohorts of the group's nodes in src->scratch */
    size_t total;                   /* nodes of all groups so far */
};

/* Appends the waves of the current group. */
enum reeve_err plan_stages(struct planner *p) REEVE_MUST_CHECK;

#endif
