/* session_int.h - between the files that make up a session */
#ifndef REEVE_BACKEND_TCOP_SESSION_INT_H
#define REEVE_BACKEND_TCOP_SESSION_INT_H

#include "backend/tcop/session.h"

enum reeve_err session_settings_init(struct session *s, const struct setting_value *base) REEVE_MUST_CHECK;
void session_settings_free(struct session *s);
void session_settings_txn_end(struct session *s, bool committed);
/* Empties the eventfd the signal handlers write to. */
void session_wake_drain(const struct session_signals *sig);

#endif
