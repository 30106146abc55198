/* refuse_int.h - a refusal with its reason; the report may be missing. */
#ifndef ENGINE_ATTEST_REFUSE_INT_H
#define ENGINE_ATTEST_REFUSE_INT_H

#include "common/err.h"

#define refuse(rep, code, ...) ((rep) != NULL ? report_set((rep), (code), __VA_ARGS__) : (code))

#endif
