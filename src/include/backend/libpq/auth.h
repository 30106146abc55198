/*
 * auth.h - the start of a connection: encryption, start-up packet, proof of who it is
 */
#ifndef REEVE_BACKEND_LIBPQ_AUTH_H
#define REEVE_BACKEND_LIBPQ_AUTH_H

#include "backend/libpq/pqcomm.h"
#include "backend/tcop/serve.h"

/*
 * Encryption requests, direct TLS, CancelRequest, protocol version. OK: *out
 * is the start-up packet, copied into the arena. CLOSED: nothing more to do
 * (a cancel request, a client that left, a refusal already logged). Anything
 * else is to be sent as FATAL.
 */
enum reeve_err auth_startup(struct pq_conn *c, const struct serve_start *b, struct mono_ms deadline, struct arena *a,
                            struct pq_startup *out, struct report *rep) REEVE_MUST_CHECK;

/*
 * Finds the hba rule and runs its method. OK: the client is su->user; *row is
 * its role, s->auth_method is set, AuthenticationOk is queued. Anything else
 * is FATAL; CLOSED where the client left.
 */
enum reeve_err auth_check(struct pq_conn *c, const struct serve_start *b, struct mono_ms deadline,
                          const struct pq_startup *su, struct session *s, struct role_row *row,
                          struct report *rep) REEVE_MUST_CHECK;

/* ROLE_... of session.h from a role's row. */
uint32_t auth_attributes(const struct role_row *row);

/* "127.0.0.1" or "[local]", and the port. */
void auth_peer_text(const struct sockaddr_storage *peer, char text[64], uint16_t *port);

#endif
