/*
 * sandbox_calls.c - which system calls each kind of process loses (seccomp)
 *
 * A list of what is taken away rather than of what is left: libraries change
 * what they call, the dangers stay the same. A refused call answers EPERM.
 */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <unistd.h>

#include "backend/utils/sandbox_int.h"
#include "config.h"

#ifdef REEVE_SANITIZE
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* Nobody: other processes' memory, new programs, the machine, identity, ways around the filter. */
static const int refused_all[] = {
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise),
    SCMP_SYS(pidfd_getfd), SCMP_SYS(pidfd_send_signal), SCMP_SYS(kcmp), SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open), SCMP_SYS(bpf), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork),
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(setns), SCMP_SYS(unshare),
    SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount),
    SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at), SCMP_SYS(mknod), SCMP_SYS(mknodat),
    SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct),
    SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex),
    SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(personality),
    SCMP_SYS(quotactl), SCMP_SYS(fanotify_init), SCMP_SYS(syslog), SCMP_SYS(vhangup),
    SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl),
    SCMP_SYS(setuid), SCMP_SYS(setgid), SCMP_SYS(setreuid), SCMP_SYS(setregid), SCMP_SYS(setresuid),
    SCMP_SYS(setresgid), SCMP_SYS(setfsuid), SCMP_SYS(setfsgid), SCMP_SYS(setgroups), SCMP_SYS(capset),
    SCMP_SYS(tkill), SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(move_pages),
    SCMP_SYS(migrate_pages),
};

/* All but the gateways and the ring, whose links go to other members: the others get their sockets ready made. */
static const int refused_sockets[] = {
    SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen),
    SCMP_SYS(accept), SCMP_SYS(accept4),
};

/* Those that talk to strangers change nobody's rights. */
static const int refused_rights[] = {
    SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(fchown), SCMP_SYS(lchown),
    SCMP_SYS(fchownat), SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(fsetxattr), SCMP_SYS(removexattr),
    SCMP_SYS(lremovexattr), SCMP_SYS(fremovexattr), SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(link),
    SCMP_SYS(linkat),
};

/* A call that this machine does not have is refused by the machine. */
static int refuse(scmp_filter_ctx f, const int *calls, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        if (calls[i] >= 0)
            rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
    return rc;
}
#define REFUSE(f, list) refuse(f, list, sizeof list / sizeof *list)

/*
 * Nobody traces. With sanitizers a process may trace itself (its leak check
 * does, from a clone that shares its memory) and nobody else.
 */
static int refuse_tracing(scmp_filter_ctx f)
{
    if (!SANITIZED)
        return seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ptrace), 0);
    return seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ptrace), 1,
                            SCMP_A1(SCMP_CMP_NE, (scmp_datum_t) getpid(), 0));
}

/* Threads but no processes; with sanitizers also the tracer, which is known by CLONE_UNTRACED. */
static int refuse_processes(scmp_filter_ctx f)
{
    scmp_datum_t mask = SANITIZED ? CLONE_THREAD | CLONE_UNTRACED : CLONE_THREAD;
    return seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, mask, 0));
}

/* Signals to itself only (abort); clone3 hides its flags from a filter. */
static int refuse_by_argument(scmp_filter_ctx f)
{
    scmp_datum_t self = (scmp_datum_t) getpid();
    int rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(kill), 1, SCMP_A0(SCMP_CMP_NE, self, 0));
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_NE, self, 0));
    if (rc == 0)
        rc = refuse_processes(f);
    if (rc == 0)
        rc = refuse_tracing(f);
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return rc;
}

enum reeve_err sandbox_calls(enum proc_kind kind, struct report *rep)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    if (f == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    int rc = REFUSE(f, refused_all);
    if (rc == 0)
        rc = refuse_by_argument(f);
    if (rc == 0 && kind != PROC_GATEWAY && kind != PROC_RING && kind != PROC_FEDERATION && kind != PROC_MIRROR)
        rc = REFUSE(f, refused_sockets);
    if (rc == 0 && kind != PROC_SIGNER && kind != PROC_VALIDATOR)
        rc = REFUSE(f, refused_rights);
    if (rc == 0)
        rc = seccomp_load(f);
    seccomp_release(f);
    return rc == 0 ? REEVE_OK : report_set(rep, REEVE_E_IO, "could not restrict system calls: %s", strerror(-rc));
}
