/* backend.h - the two calls that the postmaster makes for admin connections, by way of main.c */
#ifndef REEVE_BACKEND_TCOP_BACKEND_H
#define REEVE_BACKEND_TCOP_BACKEND_H

#include "backend/postmaster/fork.h"

/* In the forked child, inside its sandbox: the whole connection; its exit code. */
int backend_main(struct backend_fork *b);
/* In the postmaster, at start and at each reload: loads what backends inherit (TLS context, hba rules). */
bool backend_prepare(const char *dir, const struct settings *s, struct report *rep);

#endif
