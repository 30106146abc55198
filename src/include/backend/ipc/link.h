/*
 * link.h - a standing channel from an event-loop process to a service
 *
 * Asks the postmaster for the channel, asks again (20 ms doubling to 1 s,
 * with jitter) when the service is not up or the channel broke. One link per
 * service; while it is down requests are refused with UNAVAILABLE at once.
 */
#ifndef REEVE_BACKEND_IPC_LINK_H
#define REEVE_BACKEND_IPC_LINK_H

#include "backend/ipc/ipc.h"

struct ipc_link;

struct ipc_link_handler {
    void *arg;
    /* The link is usable; also after each repair. NULL allowed, as all three. */
    void (*up)(void *arg);
    /* The link broke; requests under way have already ended with CLOSED. */
    void (*down)(void *arg, const char *why);
    /* One-way messages and requests that the service sends by itself. */
    void (*message)(void *arg, struct ipc_channel *ch, struct ipc_msg *m);
};

/* The postmaster's channel and the loop outlive the link. */
enum reeve_err ipc_link_open(struct ipc_link **out, struct ipc_channel *postmaster, struct loop *loop,
                             enum proc_kind self, enum proc_kind service,
                             const struct ipc_link_handler *handler) REEVE_MUST_CHECK;
void ipc_link_close(struct ipc_link *l);
bool ipc_link_is_up(const struct ipc_link *l);
/* NULL while down. */
struct ipc_channel *ipc_link_channel(struct ipc_link *l);
/* As ipc_request; UNAVAILABLE while down. */
enum reeve_err ipc_link_request(struct ipc_link *l, enum msg_type type, struct slice body, int timeout_ms,
                                ipc_answer_fn *fn, void *arg) REEVE_MUST_CHECK;
enum reeve_err ipc_link_send(struct ipc_link *l, enum msg_type type, struct slice body) REEVE_MUST_CHECK;

#endif
