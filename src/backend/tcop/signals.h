/* signals.h - SIGINT, SIGTERM, SIGHUP and SIGUSR1 as flags and a wake-up (session.h) */
#ifndef REEVE_BACKEND_TCOP_SIGNALS_H
#define REEVE_BACKEND_TCOP_SIGNALS_H

#include "backend/tcop/session.h"

/* Installs the handlers and unblocks the signals; the one struct of this process. NULL: no descriptor left. */
struct session_signals *signals_catch(void);

#endif
