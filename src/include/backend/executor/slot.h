/*
 * slot.h - what stands in a statement's slot, parameters resolved
 *
 * Commands read every struct pvalue through these, so that '$1' works
 * everywhere and wrong types get one wording with a position. Strings live in
 * the arena or the tree. A missing slot (PV_ABSENT) or NULL is an error
 * unless the caller asked slot_is_null() first.
 *
 * Errors: UNDEFINED_PARAM, INVALID_VALUE (22023), INVALID_TEXT, NOMEM; report
 * filled, position included. what names the slot in messages ("sample").
 */
#ifndef REEVE_BACKEND_EXECUTOR_SLOT_H
#define REEVE_BACKEND_EXECUTOR_SLOT_H

#include "backend/executor/query.h"

struct slot_ctx {
    struct arena *arena;
    struct slice text;          /* the whole query string, for positions */
    const struct query_params *params;
    struct report *report;
};

/* Absent, NULL, or a parameter bound to NULL. */
bool slot_is_null(const struct slot_ctx *c, const struct pvalue *v);
/* Any kind as text: numbers as spelled, booleans true/false. */
enum reeve_err slot_text(const struct slot_ctx *c, const struct pvalue *v, const char *what, struct slice *out)
    REEVE_MUST_CHECK;
/* slot_text(), then 1..NAME_MAX_LEN bytes without control characters. */
enum reeve_err slot_name(const struct slot_ctx *c, const struct pvalue *v, const char *what, struct name *out)
    REEVE_MUST_CHECK;
/* A whole number within [min, max], also from text. */
enum reeve_err slot_int(const struct slot_ctx *c, const struct pvalue *v, const char *what, int64_t min, int64_t max,
                        int64_t *out) REEVE_MUST_CHECK;
enum reeve_err slot_float(const struct slot_ctx *c, const struct pvalue *v, const char *what, double min, double max,
                          double *out) REEVE_MUST_CHECK;
/* true/false/on/off/yes/no/1/0 */
enum reeve_err slot_bool(const struct slot_ctx *c, const struct pvalue *v, const char *what, bool *out)
    REEVE_MUST_CHECK;
/* Milliseconds >= 0; months count 30 days; a bare number is seconds. */
enum reeve_err slot_duration_ms(const struct slot_ctx *c, const struct pvalue *v, const char *what, int64_t *out)
    REEVE_MUST_CHECK;
/* A point in time. */
enum reeve_err slot_time(const struct slot_ctx *c, const struct pvalue *v, const char *what, struct wall_ms *out)
    REEVE_MUST_CHECK;
/* The share in millionths (5% = 50000) or, with is_nodes, nodes: share->is_nodes tells which. Bounds 1..1000000 / 1..2^32-2. */
enum reeve_err slot_share(const struct slot_ctx *c, const struct ast_share *s, const char *what, int64_t *out)
    REEVE_MUST_CHECK;

/* The option's value slot, NULL where absent. Names compare as they are (folded). */
const struct pvalue *slot_option(const struct ast_options *o, const char *name);
/* Refuses (22023, with the nearest name as hint) an option not in allowed (NULL-terminated), and duplicates. */
enum reeve_err slot_options_check(const struct slot_ctx *c, const struct ast_options *o, const char *const *allowed)
    REEVE_MUST_CHECK;

/* report with message and the slot's position. */
enum reeve_err slot_error(const struct slot_ctx *c, const struct pvalue *v, enum reeve_err code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
