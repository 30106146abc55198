/*
 * vtable.h - virtual relations: what sys.* and pg_catalog.* are made of
 *
 * A relation is a name, a fixed list of columns and one scan function that
 * pushes its rows. All of them stand in one list given to the executor
 * (struct query_env.tables); nothing registers itself at run time.
 *
 *     static enum reeve_err scan_certs(struct vscan *s)
 *     {
 *         ... open a read transaction; for each certificate:
 *             struct datum v[] = { d_str(name), d_int(generation), ... };
 *             TRY(vscan_row(s, v));
 *         ... close it; return err;
 *     }
 *     const struct vtable sys_certs = {
 *         "sys", "certs", certs_columns, VCOLUMNS(certs_columns), 0, scan_certs
 *     };
 *
 * Rules for a scan function
 *  V1 It pushes rows with exactly ncolumns datums of the columns' kinds, in
 *     any order, and may push rows that the hint would exclude.
 *  V2 Datums need to live only until vscan_row() returns; s->row is an arena
 *     for them that is reset after every row.
 *  V3 An error of vscan_row() is returned at once, after clean-up. STOP is
 *     not an error of the statement: vscan_row() answers REEVE_E_CLOSED when
 *     no more rows are wanted (LIMIT reached), and the executor turns it into
 *     success.
 *  V4 It holds no read transaction after it returned.
 *  V5 It calls nothing that runs another query.
 */
#ifndef REEVE_BACKEND_EXECUTOR_VTABLE_H
#define REEVE_BACKEND_EXECUTOR_VTABLE_H

#include "backend/executor/datum.h"

struct vcolumn {
    const char *name;
    uint32_t type_oid;
    bool brief;                 /* among the columns of SHOW */
};
#define VCOLUMNS(c) ((int) (sizeof (c) / sizeof (c)[0]))
#define VCOLUMN_MAX 64
#define VKEY_NONE (-1)

struct vtable;
struct vscan {
    const struct vtable *table;
    void *session;              /* struct query_env.session, the caller's */
    struct arena *row;          /* reset after each row */
    struct arena *arena;        /* lives as long as the scan */
    struct report *report;
    bool has_key;               /* WHERE holds key_column = key, or IN: one scan per value */
    struct datum key;           /* of the key column's kind, not NULL */
    uint64_t needed;            /* bit per column that anybody will look at; the others may be NULL */
    bool has_as_of;             /* AS OF VERSION n */
    int64_t as_of;
    void *impl;                 /* the executor's */
};

struct vtable {
    const char *schema, *name;
    const struct vcolumn *columns;
    int ncolumns;
    int key_column;             /* equality on it is handed down as vscan.key; VKEY_NONE: never */
    enum reeve_err (*scan)(struct vscan *s);
    bool has_as_of;             /* understands AS OF VERSION; otherwise 0A000 */
    const char *object;         /* noun for privileges ("cert", "node"); NULL: everybody may read */
};

enum reeve_err vscan_row(struct vscan *s, const struct datum *v) REEVE_MUST_CHECK;

static inline bool vscan_needs(const struct vscan *s, int column) { return s->needed >> column & 1; }

#endif
