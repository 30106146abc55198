/* log.h - lines on standard error, as text or JSON. */
#ifndef REEVE_AGENT_LOG_H
#define REEVE_AGENT_LOG_H

#include "frontend/libreeve/agent.h"

void log_set(bool json, bool debug);
void log_line(enum agent_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
