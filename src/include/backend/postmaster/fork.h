/*
 * fork.h - what a freshly forked backend is told by the postmaster
 *
 * The postmaster accepts a connection, forks, and the child calls the
 * function that main.c named, with this. By then the child has its title, its
 * signals at default, closed descriptors, dies with the postmaster, and is in
 * its sandbox: it reads run/, tls/, the files that the settings name (hba,
 * certificates) and the store, and nothing else of DIR.
 * Signals it gets: SIGINT cancel, SIGTERM terminate, SIGHUP run/settings has
 * changed, SIGQUIT end at once. SIGINT, SIGTERM and SIGHUP are blocked until
 * it has its handlers and unblocks them (fork_unblock_signals()).
 */
#ifndef REEVE_BACKEND_POSTMASTER_FORK_H
#define REEVE_BACKEND_POSTMASTER_FORK_H

#include <sys/socket.h>

#include "backend/ipc/ipc.h"
#include "backend/utils/activity.h"
#include "backend/utils/settings.h"

/* Whether this session may go on; the backend says so after it knows who asks. */
enum fork_admission {
    FORK_OK,
    FORK_SUPERUSER,         /* only the reserved places are left: others get 53300 */
    FORK_TOO_MANY,          /* 53300 at once (a CancelRequest is still served) */
    FORK_STARTING,          /* 57P03, the server is starting up */
    FORK_STOPPING           /* 57P03, the server is shutting down */
};

struct backend_fork {
    const char *dir;
    int fd;                             /* the client; non-blocking */
    struct sockaddr_storage peer;       /* ss_family AF_UNIX: the local socket */
    socklen_t peer_len;
    uint32_t cancel_key;                /* for BackendKeyData, with this process's pid */
    enum fork_admission admission;
    struct ipc_channel *postmaster;     /* for ipc_call and ipc_connect; not attached to a loop */
    struct settings *settings;          /* this process's own copy */
    struct activity_map *activity;
    unsigned slot;                      /* its place in activity */
};

void fork_unblock_signals(void);

/* Ends in exit code 0 for anything a client may cause. */
typedef int backend_fork_fn(struct backend_fork *b);
/*
 * Runs in the postmaster at start and after each reload: what backends
 * inherit (a TLS context, the hba rules). False refuses the start; at a
 * reload the former state stays.
 */
typedef bool backend_prepare_fn(const char *dir, const struct settings *s, struct report *rep);

#endif
