/*
 * install.h - a generation as files, and the service that serves them
 *
 * DIR/
 *   gen-N-XXXXXXXX/   key.pem, cert.pem (leaf and chain), ca.pem (trusted authorities); XXXXXXXX: of the fingerprint
 *   current           symbolic link to one of them
 * Services name DIR/current/key.pem and so on; key and certificate change
 * together, by one rename of the link. One generation before stays as backup.
 *
 * install_run waits (for the reload command and the probe): a host that must
 * not wait runs it in a child process, which shares nothing but the answer.
 *
 * Invariants
 *  I1 At every moment `current` names a complete generation, or does not exist
 *     because there never was one.
 *  I2 After a failure `current` names what it named before (fallback_ok), and
 *     the service was told again; else the code is WE_ROLLBACK.
 */
#ifndef REEVE_LIBREEVE_INSTALL_H
#define REEVE_LIBREEVE_INSTALL_H

#include <sys/types.h>

#include "frontend/libreeve/agent.h"

#define INSTALL_TIMEOUT_MS 10000

struct install_target {
    struct name cert;
    char dir[1024];
    uid_t uid;                          /* (uid_t) -1: of the file before, else ours */
    gid_t gid;
    mode_t mode;                        /* of key.pem; 0: of the file before, else 0600 */
    char reload[1024];                  /* for sh -c; empty: none */
    int signal;                         /* to the pid in pidfile; 0: none */
    char pidfile[1024];
    uint32_t timeout_ms;                /* of the reload, and of the probe */
    char probe_host[256], probe_port[8], probe_sni[256];    /* empty host: no probe */
};

void install_run(const struct install_target *t, const struct agent_cert *c, struct agent_install_result *res);

#endif
