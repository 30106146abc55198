/*
 * postmaster.h - the parent of everything
 *
 * Owns the listening sockets and the children. Parses no client byte, opens
 * no store, has one thread, and survives whatever its children do.
 */
#ifndef REEVE_BACKEND_POSTMASTER_POSTMASTER_H
#define REEVE_BACKEND_POSTMASTER_POSTMASTER_H

#include "backend/ipc/child.h"
#include "backend/postmaster/fork.h"

struct postmaster_hooks {
    backend_fork_fn *backend;
    backend_prepare_fn *prepare;                /* may be NULL */
};

/* dir as the user wrote it. The exit code of the server. */
int postmaster_main(const char *dir, const struct postmaster_hooks *hooks);

#endif
