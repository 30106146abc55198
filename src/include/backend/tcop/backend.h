/*
 * backend.h - the process behind one admin connection, from accept to exit
 *
 * The postmaster forks, the child calls backend_main() with what it inherited
 * and exits with what that returns. Everything the backend needs from the rest
 * of the server comes through struct backend_hooks, so that it also runs over
 * a socket pair in a test.
 */
#ifndef REEVE_BACKEND_TCOP_BACKEND_H
#define REEVE_BACKEND_TCOP_BACKEND_H

#include <sys/socket.h>

#include "backend/libpq/hba.h"
#include "backend/tcop/session.h"
#include "crypto/tls.h"
#include "engine/region.h"

/* What the postmaster thinks of one more session; the client is told after its start-up packet. */
enum backend_admission { ADMIT_OK, ADMIT_TOO_MANY, ADMIT_STARTING, ADMIT_STOPPING, ADMIT_RECOVERING };

enum backend_activity { ACTIVITY_STARTING, ACTIVITY_IDLE, ACTIVITY_ACTIVE, ACTIVITY_IDLE_IN_TXN, ACTIVITY_FAILED_TXN };

enum backend_log { BACKEND_LOG_DEBUG, BACKEND_LOG_INFO, BACKEND_LOG_WARNING, BACKEND_LOG_ERROR, BACKEND_LOG_FATAL };

struct backend_hooks {
    /*
     * Opens what a session reads and writes (s->env). Called once, after the
     * start-up packet and before authentication, so that roles can be read; no
     * CancelRequest and no refused connection gets here.
     */
    enum reeve_err (*open)(void *arg, struct session *s, struct report *rep);
    void (*close)(void *arg, struct session *s);
    /* NOT_FOUND where there is no such role; other errors are reported as they are. */
    enum reeve_err (*role)(void *arg, struct session *s, const struct name *role, struct role_row *out,
                           struct report *rep);
    /* Is member in role, over any number of steps? For +role in the hba file. */
    bool (*role_member)(void *arg, struct session *s, const struct name *role, const struct name *member);
    /* A CancelRequest: hands it to the postmaster, which knows the keys. */
    void (*cancel)(void *arg, uint32_t pid, uint32_t key);
    /* What sys.stat_activity shows; query never holds a password. May be NULL. */
    void (*activity)(void *arg, const struct session *s, enum backend_activity state, struct slice query);
    /* One line for the server's log. s may be NULL before the start-up packet. */
    void (*log)(void *arg, const struct session *s, enum backend_log level, const char *sqlstate, const char *text);
};

struct backend_start {
    int fd;                             /* accepted; the backend closes it */
    struct sockaddr_storage peer;       /* ss_family AF_UNIX: the local socket */
    struct tls_ctx *tls;                /* NULL: no TLS; ALPN "postgresql", not required */
    const struct setting_value *settings;   /* SET__COUNT values of the server; NULL: defaults */
    const struct hba *hba;              /* NULL: everybody is refused */
    const char *spool_dir;              /* for results a slow client has not taken: DIR/tmp */
    int32_t pid;                        /* shown to the client */
    uint32_t cancel_key;                /* drawn by the postmaster at random */
    enum backend_admission admission;
    bool only_superusers;               /* what is left is superuser_reserved_connections */
    uint8_t mock_secret[32];            /* constant per data directory: salts of roles that do not exist */
    bool catch_signals;                 /* install SIGINT, SIGTERM, SIGHUP handlers (tests: false) */
    const struct backend_hooks *hooks;
    void *arg;
};

/* Returns the exit code: 0 for every orderly end, 1 after a lost or misbehaving client. */
int backend_main(const struct backend_start *start);

#endif
