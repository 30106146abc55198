/* datum_int.h - shared by the value files */
#ifndef REEVE_EXECUTOR_DATUM_INT_H
#define REEVE_EXECUTOR_DATUM_INT_H

#include "backend/executor/datum.h"

#define EPOCH_MS 946684800000LL         /* 2000-01-01 after 1970-01-01 */
#define DAY_US 86400000000LL

static inline bool datum_int_fits(uint32_t oid, int64_t v)
{
    switch (oid) {
    case T_INT2: return v >= INT16_MIN && v <= INT16_MAX;
    case T_INT4: return v >= INT32_MIN && v <= INT32_MAX;
    case T_OID: return v >= 0 && v <= UINT32_MAX;
    default: return true;
    }
}

/* Nearest integer, ties to even; f lies within int64. (No libm in this tree.) */
static inline int64_t float_nearest(double f)
{
    int64_t v = (int64_t) f;
    double rest = f - (double) v;
    if (rest > 0.5 || (rest == 0.5 && (v & 1) != 0))
        return v + 1;
    return rest < -0.5 || (rest == -0.5 && (v & 1) != 0) ? v - 1 : v;
}

/* time.c: texts of times and intervals as PostgreSQL prints them with ISO style and UTC */
void time_print(struct wr *w, uint32_t oid, int64_t us);
void interval_print(struct wr *w, const struct interval *iv);

/* datum_text.c: a finite number without exponent; cap NUMERIC_TEXT_MAX is enough. */
#define NUMERIC_TEXT_MAX 400
void numeric_text(char *buf, size_t cap, double f);

/* Text arrays: {a,"b c",NULL} */
bool texts_print(struct wr *w, const struct datum *d);
enum reeve_err texts_parse(struct arena *a, struct slice in, struct datum *out, struct report *rep) REEVE_MUST_CHECK;

#endif
