/*
 * gateway.h - the process that agents connect to
 *
 * One of many: each opens its own SO_REUSEPORT listener on agent_port, runs
 * one epoll loop, reads the region's store, and asks ring and signer by
 * message. It never waits for either on the agents' path.
 */
#ifndef REEVE_BACKEND_GATEWAY_GATEWAY_H
#define REEVE_BACKEND_GATEWAY_GATEWAY_H

struct child;

/* Runs until the postmaster says stop; the exit status. */
int gateway_main(struct child *c);

#endif
