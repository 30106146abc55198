/*
 * sanitize.h - what a build with sanitizers does otherwise than a release
 *
 * 1. Reports go to the file named by REEVE_SANITIZER_LOG, where that is set:
 *    a suite that finds it not empty has failed. Without it they go where
 *    stderr goes, which is the log.
 * 2. The leak check at an orderly exit clones a tracer that looks at its own
 *    maker: the system call filter lets exactly that through (sandbox_calls.c).
 * 3. Backends leave by _exit() and are checked before it.
 * In other builds all of this is empty.
 */
#ifndef REEVE_BACKEND_UTILS_SANITIZE_H
#define REEVE_BACKEND_UTILS_SANITIZE_H

#include <stdbool.h>

/* True when stderr is the file of reports, by inheritance perhaps: nobody else writes there. */
bool sanitize_has_stderr(void);
/* Makes it so; false where no such file is wanted. */
bool sanitize_take_stderr(void);
/* Reports leaks and ends the process if there are any. */
void sanitize_leaks(void);

#endif
