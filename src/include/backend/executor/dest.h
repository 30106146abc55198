/*
 * dest.h - where result rows go
 *
 * The producer calls columns once (also for an empty result), row for each
 * row, and then returns; the caller sends CommandComplete with dest.rows.
 * A callback's error stops the producer, which returns that error unchanged.
 * Datums are valid only during the call.
 */
#ifndef REEVE_BACKEND_EXECUTOR_DEST_H
#define REEVE_BACKEND_EXECUTOR_DEST_H

#include "backend/executor/datum.h"

struct dest_column {
    const char *name;
    uint32_t type_oid;
};

struct dest {
    enum reeve_err (*columns)(struct dest *d, int n, const struct dest_column *cols);
    enum reeve_err (*row)(struct dest *d, int n, const struct datum *v);
    void *arg;
    int ncolumns;               /* kept by dest_columns() */
    uint64_t rows;              /* counted by dest_row() */
};

#define DEST_COLUMNS_MAX 1664   /* PostgreSQL's bound */

/* Producers use these two; both tolerate NULL callbacks (the result is counted and dropped). */
enum reeve_err dest_columns(struct dest *d, int n, const struct dest_column *cols) REEVE_MUST_CHECK;
enum reeve_err dest_row(struct dest *d, int n, const struct datum *v) REEVE_MUST_CHECK;

/*
 * A dest that keeps rows in an arena, for portals: run once, hand out many
 * times. rowset_init() before; over max_bytes the producer gets TOO_COMPLEX.
 */
struct rowset {
    struct dest dest;           /* give &rs->dest to the producer */
    struct arena *arena;
    size_t max_bytes, used;
    int ncols;
    struct dest_column *cols;
    size_t nrows, cap, next;    /* next: read position */
    struct datum **rows;
};
void rowset_init(struct rowset *rs, struct arena *a, size_t max_bytes);
/* The next row, or NULL at the end. */
const struct datum *rowset_next(struct rowset *rs);

#endif
