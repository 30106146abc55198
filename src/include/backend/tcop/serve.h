/*
 * serve.h - one admin connection from accept to exit
 *
 * The child of the postmaster calls serve_client() with what it inherited and
 * exits with what that returns. Everything a connection needs from the rest of
 * the server comes through struct serve_hooks and struct tcop_ops, so that it
 * also runs over a socket pair in a test; backend_main() (backend_main.c)
 * fills both with the real thing.
 */
#ifndef REEVE_BACKEND_TCOP_SERVE_H
#define REEVE_BACKEND_TCOP_SERVE_H

#include <sys/socket.h>

#include "backend/libpq/hba.h"
#include "backend/tcop/session.h"
#include "crypto/tls.h"
#include "engine/region.h"

struct tcop_ops;

/* What the postmaster thinks of one more session; the client is told after its start-up packet. */
enum serve_admission { SERVE_ADMIT_OK, SERVE_ADMIT_TOO_MANY, SERVE_ADMIT_STARTING, SERVE_ADMIT_STOPPING };

enum serve_activity { SERVE_STARTING, SERVE_IDLE, SERVE_ACTIVE, SERVE_IDLE_IN_TXN, SERVE_FAILED_TXN };

enum serve_log { SERVE_LOG_DEBUG, SERVE_LOG_INFO, SERVE_LOG_WARNING, SERVE_LOG_ERROR, SERVE_LOG_FATAL };

struct serve_hooks {
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
    void (*activity)(void *arg, const struct session *s, enum serve_activity state, struct slice query);
    /* Sessions of the role that this one logged in as, itself counted. May be NULL: limits are not kept. */
    uint32_t (*sessions)(void *arg, const struct session *s);
    /* SIGHUP: reads the server's settings again. May be NULL. */
    void (*reload)(void *arg, struct session *s);
    /* One line for the server's log. s may be NULL before the start-up packet. */
    void (*log)(void *arg, const struct session *s, enum serve_log level, const char *sqlstate, const char *text);
};

struct serve_start {
    int fd;                             /* accepted; the backend closes it */
    struct sockaddr_storage peer;       /* ss_family AF_UNIX: the local socket */
    struct tls_ctx *tls;                /* NULL: no TLS; ALPN "postgresql", not required */
    const struct setting_value *settings;   /* SET__COUNT values of the server; NULL: defaults */
    const struct slice *client_roots;   /* DER: authorities of client certificates (method cert) */
    size_t n_client_roots;
    const struct hba *hba;              /* NULL: everybody is refused */
    const char *spool_dir;              /* for results a slow client has not taken: DIR/tmp */
    int32_t pid;                        /* shown to the client */
    uint32_t cancel_key;                /* drawn by the postmaster at random */
    enum serve_admission admission;
    bool only_superusers;               /* what is left is superuser_reserved_connections */
    uint8_t mock_secret[32];            /* constant per data directory: salts of roles that do not exist */
    bool catch_signals;                 /* install SIGINT, SIGTERM, SIGHUP handlers (tests: false) */
    const struct serve_hooks *hooks;
    void *arg;                          /* of the hooks */
    const struct tcop_ops *ops;         /* the language: backend/tcop/tcop.h */
};

/* Returns the exit code: 0 for every orderly end, 1 after a lost or misbehaving client. */
int serve_client(const struct serve_start *start);

#endif
