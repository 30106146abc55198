/*
 * reply.h - the messages a server sends (PostgreSQL protocol 3)
 *
 * Each queues one message; what they return are the queue's errors, which
 * callers may ignore only where the connection is ending anyway.
 */
#ifndef REEVE_BACKEND_LIBPQ_REPLY_H
#define REEVE_BACKEND_LIBPQ_REPLY_H

#include "backend/libpq/pqcomm.h"

/* ErrorResponse; severity "ERROR" or "FATAL". */
enum reeve_err reply_error(struct pq_conn *c, const char *severity, const struct report *rep) REEVE_MUST_CHECK;
/* NoticeResponse; severity "NOTICE", "WARNING", ... */
enum reeve_err reply_notice(struct pq_conn *c, const char *severity, const struct report *rep) REEVE_MUST_CHECK;
enum reeve_err reply_parameter(struct pq_conn *c, const char *name, const char *value) REEVE_MUST_CHECK;
enum reeve_err reply_key_data(struct pq_conn *c, uint32_t pid, uint32_t key) REEVE_MUST_CHECK;
enum reeve_err reply_ready(struct pq_conn *c, char state) REEVE_MUST_CHECK;
enum reeve_err reply_complete(struct pq_conn *c, const char *tag) REEVE_MUST_CHECK;
/* A message without a body: ParseComplete '1', BindComplete '2', CloseComplete '3', NoData 'n', ... */
enum reeve_err reply_bare(struct pq_conn *c, uint8_t type) REEVE_MUST_CHECK;
/* NegotiateProtocolVersion: the newest minor version and the options nobody here knows. */
enum reeve_err reply_negotiate(struct pq_conn *c, uint32_t version, const struct slice *unknown, int n)
    REEVE_MUST_CHECK;
/* Authentication messages: AuthenticationOk is code 0; SASL 10, SASLContinue 11, SASLFinal 12. */
enum reeve_err reply_auth(struct pq_conn *c, uint32_t code, struct slice data) REEVE_MUST_CHECK;

#endif
