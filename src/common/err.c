/* err.c - names and texts of errors, and the report a person reads. */
#include "common/err.h"

#include <stdio.h>
#include <string.h>

static const struct { const char *name, *sqlstate, *text; } errs[] = {
#define REEVE_ERR(sym, sqlstate, text) { #sym, sqlstate, text },
#include "common/errlist.h"
#undef REEVE_ERR
};

const char *reeve_err_sqlstate(enum reeve_err e)
{
    return (unsigned) e < REEVE_E__COUNT ? errs[e].sqlstate : "XX000";
}

const char *reeve_err_text(enum reeve_err e)
{
    return (unsigned) e < REEVE_E__COUNT ? errs[e].text : "unknown error";
}

const char *reeve_err_name(enum reeve_err e)
{
    return (unsigned) e < REEVE_E__COUNT ? errs[e].name : "UNKNOWN";
}

void report_clear(struct report *r)
{
    memset(r, 0, sizeof *r);
}

enum reeve_err report_set(struct report *r, enum reeve_err code, const char *fmt, ...)
{
    if (r == NULL || r->code != REEVE_OK)
        return code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->message, sizeof r->message, fmt, ap);
    va_end(ap);
    r->code = code;
    return code;
}

enum reeve_err report_detail(struct report *r, const char *fmt, ...)
{
    if (r == NULL)
        return REEVE_OK;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->detail, sizeof r->detail, fmt, ap);
    va_end(ap);
    return r->code;
}

enum reeve_err report_hint(struct report *r, const char *fmt, ...)
{
    if (r == NULL)
        return REEVE_OK;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->hint, sizeof r->hint, fmt, ap);
    va_end(ap);
    return r->code;
}

const char *report_sqlstate(const struct report *r)
{
    return r->sqlstate[0] ? r->sqlstate : reeve_err_sqlstate(r->code);
}
