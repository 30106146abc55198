/* assert.c - a broken invariant ends this process alone; the supervisor restarts it. */
#include "common/err.h"

#include <stdio.h>
#include <stdlib.h>

void reeve_assert_fail(const char *expr, const char *file, int line)
{
    fprintf(stderr, "assertion failed: %s at %s:%d\n", expr, file, line);
    abort();
}
