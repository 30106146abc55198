/*
 * mirror.h - the attested log over HTTP, for mirrors and monitors (C2SP tlog-tiles; docs/design/audit.md)
 *
 * A process that exists where mirror_port is set. It reads the store and answers GET and HEAD for what engine/note_tile.h names,
 * to anybody: all of it is what every agent may see. Nothing but the request line and its headers is taken from outside.
 */
#ifndef REEVE_BACKEND_MIRROR_H
#define REEVE_BACKEND_MIRROR_H

struct child;

/* Runs until the postmaster says stop; the exit status. */
int mirror_main(struct child *c);

#endif
