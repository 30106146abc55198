/*
 * func.h - scalar functions: the built-in list and how a catalog adds its own
 */
#ifndef REEVE_BACKEND_EXECUTOR_FUNC_H
#define REEVE_BACKEND_EXECUTOR_FUNC_H

#include "backend/executor/query.h"

#define FUNC_ARGS_MAX 8

struct func_call {
    const struct query_env *env;
    struct arena *arena;        /* results go here */
    struct report *report;
    int nargs;
    const struct datum *args;
    const uint32_t *types;
};

/*
 * args: one letter an argument: t text, i integer, f number, b boolean, m
 * timestamptz, v interval, j json, a text[], * any; '?' before a letter makes
 * it and what follows optional, a final '+' repeats the last letter. ret 0: the type of the first argument. With
 * nulls false a NULL argument gives NULL without a call. An array of these
 * ends with name == NULL.
 */
struct func {
    const char *name;
    const char *args;
    uint32_t ret;
    bool nulls;
    enum reeve_err (*call)(struct func_call *c, struct datum *out);
};

extern const struct func func_builtins[];

#endif
