/*
 * datum.h - values, their types, and how they look on the wire
 *
 * Few physical kinds (enum dkind); the type OID decides the format. int2,
 * int4, int8 and oid are all D_INT, so arithmetic has one integer. Text and
 * binary, in and out, of every type in the table below.
 *
 * Invariants
 *  D1 A datum borrows its bytes; copy with datum_copy() before the owner dies.
 *  D2 Times are microseconds since 2000-01-01 00:00 UTC, as on the wire.
 *     INT64_MAX and INT64_MIN are infinity and -infinity.
 *  D3 D_JSON holds the text as it came; it was checked to be well-formed
 *     where it came from outside.
 */
#ifndef REEVE_BACKEND_EXECUTOR_DATUM_H
#define REEVE_BACKEND_EXECUTOR_DATUM_H

#include "common/arena.h"
#include "common/buf.h"
#include "common/err.h"

enum type_oid {
    T_BOOL = 16, T_BYTEA = 17, T_NAME = 19, T_INT8 = 20, T_INT2 = 21, T_INT4 = 23, T_TEXT = 25, T_OID = 26,
    T_JSON = 114, T_FLOAT4 = 700, T_FLOAT8 = 701, T_UNKNOWN = 705, T_INET = 869, T_TEXT_ARRAY = 1009,
    T_VARCHAR = 1043, T_DATE = 1082, T_TIMESTAMP = 1114, T_TIMESTAMPTZ = 1184, T_INTERVAL = 1186,
    T_NUMERIC = 1700, T_REGCLASS = 2205, T_VOID = 2278, T_UUID = 2950, T_JSONB = 3802
};

enum dkind { D_NULL, D_BOOL, D_INT, D_FLOAT, D_TEXT, D_BYTEA, D_TIME, D_INTERVAL, D_JSON, D_TEXTS };

struct interval {
    int64_t us;
    int32_t days, months;
};

struct datum {
    enum dkind kind;
    union {
        bool b;
        int64_t i;
        double f;
        int64_t us;             /* D_TIME */
        struct slice s;         /* D_TEXT, D_BYTEA, D_JSON */
        struct interval iv;
        struct {
            int n;
            const struct slice *v;  /* p == NULL: a null element */
        } texts;
    };
};

static inline struct datum d_null(void) { return (struct datum){ .kind = D_NULL }; }
static inline struct datum d_bool(bool b) { return (struct datum){ .kind = D_BOOL, .b = b }; }
static inline struct datum d_int(int64_t i) { return (struct datum){ .kind = D_INT, .i = i }; }
static inline struct datum d_float(double f) { return (struct datum){ .kind = D_FLOAT, .f = f }; }
static inline struct datum d_text(struct slice s) { return (struct datum){ .kind = D_TEXT, .s = s }; }
static inline struct datum d_str(const char *s)
{
    return s ? (struct datum){ .kind = D_TEXT, .s = slice_str(s) } : d_null();
}
static inline struct datum d_bytes(struct slice s) { return (struct datum){ .kind = D_BYTEA, .s = s }; }
static inline struct datum d_json(struct slice s) { return (struct datum){ .kind = D_JSON, .s = s }; }
static inline struct datum d_time_us(int64_t us) { return (struct datum){ .kind = D_TIME, .us = us }; }
/* From the wall clock of common/types.h; ms == 0 gives NULL ("never"). */
struct datum d_wall(struct wall_ms t);
struct wall_ms datum_wall(const struct datum *d);

/* One line of the type table. */
struct type_info {
    uint32_t oid;
    const char *name;           /* pg_type.typname */
    int16_t len;                /* wire typlen: -1 variable */
    enum dkind kind;
};
/* NULL for an OID outside the table. */
const struct type_info *type_by_oid(uint32_t oid);
/* By SQL spelling ("int", "integer", "timestamp with time zone", "pg_catalog.text" without schema); array: name[]. */
const struct type_info *type_by_name(const char *name, bool array);
const struct type_info *type_at(int i);     /* i from 0; NULL at the end */

/* Deep copy; false when memory is short. */
bool datum_copy(struct arena *a, struct datum *dst, const struct datum *src);

/* Output of a non-null datum as oid. False when the writer is full or the kind does not fit the type. */
bool datum_out_text(struct wr *w, uint32_t oid, const struct datum *d);
bool datum_out_binary(struct wr *w, uint32_t oid, const struct datum *d);
/* INVALID_TEXT / OUT_OF_RANGE / INVALID_BINARY with report filled; bytes are copied into the arena. */
enum reeve_err datum_in_text(struct arena *a, uint32_t oid, struct slice in, struct datum *out, struct report *rep)
    REEVE_MUST_CHECK;
enum reeve_err datum_in_binary(struct arena *a, uint32_t oid, struct slice in, struct datum *out, struct report *rep)
    REEVE_MUST_CHECK;
/* Conversion of a value between types, as a cast does it. */
enum reeve_err datum_cast(struct arena *a, uint32_t from, const struct datum *in, uint32_t to, struct datum *out,
                          struct report *rep) REEVE_MUST_CHECK;

/*
 * Total order within comparable kinds (numbers with numbers, text with text,
 * json and names as text, times, intervals, booleans, bytes, text arrays);
 * NaN sorts above numbers. Neither may be NULL. False: not comparable.
 */
bool datum_cmp(const struct datum *a, const struct datum *b, int *order);
uint64_t datum_hash(const struct datum *d, uint64_t seed);

/* "10 min", "1 day 02:00:00", "90 days", "PT10M", "1 week"; plain number = seconds. */
bool interval_parse(struct slice text, struct interval *out);
/* Months count 30 days. False on overflow. */
bool interval_to_us(const struct interval *iv, int64_t *us);
/* ISO 8601 with zone, "now", "today", "infinity"; no zone means UTC. now_us stands for now. */
bool time_parse(struct slice text, int64_t now_us, int64_t *us);

/* Value of a top-level key of a JSON object: a string unquoted, anything else as its text. False: no such key. */
bool json_get(struct arena *a, struct slice json, struct slice key, struct slice *out, bool *is_string, bool *is_null);
/* One well-formed JSON value and nothing else, nested at most 64 deep. */
bool json_valid(struct slice json);
/* Appends a JSON string literal. */
void json_quote(struct wr *w, struct slice s);

#endif
