/* sandbox_int.h - the three layers */
#ifndef REEVE_BACKEND_UTILS_SANDBOX_INT_H
#define REEVE_BACKEND_UTILS_SANDBOX_INT_H

#include "backend/utils/sandbox.h"

/* Landlock; UNSUPPORTED where the kernel has none. */
enum reeve_err sandbox_files(enum proc_kind kind, const char *dir, const struct settings *s, struct report *rep)
    REEVE_MUST_CHECK;
/* seccomp. */
enum reeve_err sandbox_calls(enum proc_kind kind, struct report *rep) REEVE_MUST_CHECK;

#endif
