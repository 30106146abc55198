/*
 * backend_start.h - what a freshly forked backend is told
 *
 * The postmaster accepts a connection, forks, and the child calls the main
 * function that main.c named, with this. By then the child has its title,
 * its signals at default and blocked (SIGINT, SIGTERM, SIGHUP, SIGUSR1: set
 * your handlers, then unblock), closed descriptors, and dies with the
 * postmaster. It is in its sandbox: it reads run/, tls/, the files that the
 * settings name (hba, certificates) and the store, and nothing else of DIR.
 * Signals it gets: SIGINT cancel, SIGTERM terminate, SIGHUP run/settings
 * changed, SIGQUIT end at once.
 */
#ifndef REEVE_BACKEND_POSTMASTER_BACKEND_START_H
#define REEVE_BACKEND_POSTMASTER_BACKEND_START_H

#include <sys/socket.h>

#include "backend/ipc/ipc.h"
#include "backend/utils/activity.h"
#include "backend/utils/settings.h"

/* Whether this session may go on; the backend says so after it knows who asks. */
enum backend_admission {
    ADMIT_OK,
    ADMIT_SUPERUSER,        /* only the reserved places are left: others get 53300 */
    ADMIT_TOO_MANY,         /* 53300 at once (a CancelRequest is still served) */
    ADMIT_STARTING,         /* 57P03, the server is starting up */
    ADMIT_STOPPING          /* 57P03, the server is shutting down */
};

struct backend_start {
    const char *dir;
    int fd;                             /* the client; non-blocking */
    bool local;                         /* came over the local socket */
    struct sockaddr_storage peer;
    socklen_t peer_len;
    uint32_t cancel_key;                /* for BackendKeyData, with this process's pid */
    enum backend_admission admission;
    struct ipc_channel *postmaster;     /* for ipc_call and ipc_connect; not attached to a loop */
    struct settings *settings;          /* this process's own copy */
    struct activity_map *activity;
    unsigned slot;                      /* its place in activity */
};

/* Ends in exit code 0 for anything a client may cause. */
typedef int backend_main_fn(struct backend_start *b);
/*
 * Runs in the postmaster at start and after each reload, before the next
 * fork: what backends inherit (a TLS context). False refuses the start; at a
 * reload the former state stays.
 */
typedef bool backend_prepare_fn(const char *dir, const struct settings *s, struct report *rep);

#endif
