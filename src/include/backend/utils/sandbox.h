/*
 * sandbox.h - what each kind of process gives up before it reads a byte from
 * outside (Landlock and seccomp)
 *
 * Files: only the signer reaches DIR/keys (and pkcs11_folder), only the ring DIR/peer, only the links between regions
 * DIR/federation. Everybody
 * else has DIR/run, DIR/log, DIR/data and DIR/tls as its kind needs, and of the system only what the
 * libraries read (/etc, /usr, time zones, /dev/null, /dev/urandom).
 * System calls: nobody traces, reads another process's memory, executes,
 * mounts, loads, or changes identity; the signer opens no socket; nobody but
 * the postmaster signals others. A refused call fails with EPERM.
 * Where the kernel lacks Landlock the rest still holds and the log says so.
 */
#ifndef REEVE_BACKEND_UTILS_SANDBOX_H
#define REEVE_BACKEND_UTILS_SANDBOX_H

#include "backend/ipc/proc.h"
#include "backend/utils/settings.h"

/* Not for the postmaster. s names extra files (hba, certificates) and may be NULL. IO with a report. */
enum reeve_err sandbox_enter(enum proc_kind kind, const char *dir, const struct settings *s, struct report *rep)
    REEVE_MUST_CHECK;

#endif
