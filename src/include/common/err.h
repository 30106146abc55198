/*
 * err.h - the one list of errors
 *
 * Every fallible function returns enum reeve_err and must be checked.
 * A code exists only where a caller could act on it; detail goes into a
 * struct report, filled once by whoever detects the problem.
 *
 * errno dies at the system call: turn it into a code there.
 */
#ifndef REEVE_COMMON_ERR_H
#define REEVE_COMMON_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REEVE_MUST_CHECK __attribute__((warn_unused_result))

enum reeve_err {
#define REEVE_ERR(sym, sqlstate, text) REEVE_E_##sym,
#include "common/errlist.h"
#undef REEVE_ERR
    REEVE_E__COUNT
};
#define REEVE_OK REEVE_E_OK

/* SQLSTATE (5 characters) and the default primary message of a code. */
const char *reeve_err_sqlstate(enum reeve_err e);
const char *reeve_err_text(enum reeve_err e);
/* Symbol without prefix, e.g. "NOT_FOUND"; for logs and traces. */
const char *reeve_err_name(enum reeve_err e);

/*
 * What a person is told. Fixed size, no ownership. position is a 1-based
 * character offset into the statement, 0 where there is none.
 */
struct report {
    enum reeve_err code;
    char sqlstate[6];           /* empty: that of code */
    char message[512];
    char detail[512];
    char hint[512];
    int position;
};

void report_clear(struct report *r);
/* Fills code and message (printf style) unless already filled; returns code. */
enum reeve_err report_set(struct report *r, enum reeve_err code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum reeve_err report_detail(struct report *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
enum reeve_err report_hint(struct report *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* SQLSTATE to send: the explicit one or the code's. */
const char *report_sqlstate(const struct report *r);

/* The tree's only control-flow macro: leave for the clean-up at out. */
#define TRY(expr) do { if ((err = (expr)) != REEVE_OK) goto out; } while (0)

/* Assertions stay on in release and end this process alone. */
_Noreturn void reeve_assert_fail(const char *expr, const char *file, int line);
#define reeve_assert(expr) \
    ((expr) ? (void) 0 : reeve_assert_fail(#expr, __FILE__, __LINE__))

#endif
