/*
 * frame.h - cutting the client's bytes into messages, and the messages into
 * fields (PostgreSQL protocol 3; "Message Formats" in its documentation)
 *
 * Pure: no I/O. Every decoder takes hostile bytes and answers MALFORMED; what
 * it hands out borrows from the bytes given.
 *
 * A start-up packet is u32 length (itself included) | body; any later message
 * is u8 type | u32 length (itself included, the type not) | body. Strings end
 * with a NUL.
 */
#ifndef REEVE_BACKEND_LIBPQ_FRAME_H
#define REEVE_BACKEND_LIBPQ_FRAME_H

#include "common/arena.h"
#include "common/buf.h"

#define PQ_STARTUP_MAX   10000u         /* PostgreSQL's MAX_STARTUP_PACKET_LENGTH */
#define PQ_FRAME_AUTH_MAX 10000u        /* before the client proved who it is */
#define PQ_FRAME_MAX     (1u << 20)
#define PQ_PARAM_MAX     65535

enum pq_code {
    PQ_CODE_CANCEL = 80877102, PQ_CODE_SSL = 80877103, PQ_CODE_GSS = 80877104
};

/*
 * One whole packet at the front of have? OK: *body is set and *used tells how
 * much to drop. AGAIN: more bytes are needed. MALFORMED, TOO_BIG: close.
 */
enum reeve_err frame_startup(struct slice have, struct slice *body, size_t *used) REEVE_MUST_CHECK;
enum reeve_err frame_message(struct slice have, size_t max, uint8_t *type, struct slice *body, size_t *used)
    REEVE_MUST_CHECK;

/* ---- start-up ---- */

#define PQ_UNKNOWN_OPTIONS_MAX 16
struct pq_startup {
    uint32_t code;                      /* protocol version, or an enum pq_code */
    uint32_t cancel_pid, cancel_key;
    struct slice user, database, options;
    struct slice replication;
    struct slice params;                /* the pairs again, to walk with pq_startup_param() */
    struct slice unknown[PQ_UNKNOWN_OPTIONS_MAX];   /* _pq_. names nobody knows */
    int nunknown;
};
enum reeve_err pq_startup_parse(struct pq_startup *out, struct slice body) REEVE_MUST_CHECK;
/* The next name and value; false at the end. *at starts 0. */
bool pq_startup_param(const struct pq_startup *s, size_t *at, struct slice *name, struct slice *value);
/*
 * Splits "options" as PostgreSQL does: words at blanks, backslash escapes,
 * "-c name=value" and "--name=value" (dashes in names become underscores).
 * Returns OK with *more false at the end; name and value lie in the arena.
 */
enum reeve_err pq_option_next(struct arena *a, struct slice *rest, struct slice *name, struct slice *value,
                              bool *more) REEVE_MUST_CHECK;

/* ---- messages ---- */

struct pq_parse {                       /* 'P' */
    struct slice name, query;
    int ntypes;
    uint32_t *types;                    /* in the arena */
};
struct pq_bind {                        /* 'B' */
    struct slice portal, stmt;
    int nformats, nparams, nresult;
    uint16_t *formats, *result;         /* 0 text, 1 binary; others are the caller's to refuse */
    struct slice *params;               /* p == NULL: NULL */
};
struct pq_execute {                     /* 'E' */
    struct slice portal;
    uint32_t max_rows;                  /* 0: all */
};
struct pq_target {                      /* 'D', 'C' */
    uint8_t kind;                       /* 'S' or 'P' */
    struct slice name;
};
struct pq_sasl_initial {                /* 'p', first */
    struct slice mechanism, data;
    bool has_data;
};
enum reeve_err pq_query_parse(struct slice *out, struct slice body) REEVE_MUST_CHECK;          /* 'Q' */
enum reeve_err pq_parse_parse(struct arena *a, struct pq_parse *out, struct slice body) REEVE_MUST_CHECK;
enum reeve_err pq_bind_parse(struct arena *a, struct pq_bind *out, struct slice body) REEVE_MUST_CHECK;
enum reeve_err pq_execute_parse(struct pq_execute *out, struct slice body) REEVE_MUST_CHECK;
enum reeve_err pq_target_parse(struct pq_target *out, struct slice body) REEVE_MUST_CHECK;
enum reeve_err pq_sasl_initial_parse(struct pq_sasl_initial *out, struct slice body) REEVE_MUST_CHECK;

#endif
