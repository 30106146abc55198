/* sandbox.c - capabilities, then files, then system calls; no way back from any of them. */
#include "backend/utils/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/utils/log.h"
#include "backend/utils/sandbox_int.h"

/* A gateway may have to bind a low port; nobody else needs any capability. */
static bool drop_capabilities(enum proc_kind kind)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2] = { { 0 }, { 0 } };
    if (geteuid() != 0)
        return true;
    if (kind == PROC_GATEWAY)
        data[0].effective = data[0].permitted = 1u << CAP_NET_BIND_SERVICE;
    for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (kind != PROC_GATEWAY || cap != CAP_NET_BIND_SERVICE)
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    return syscall(SYS_capset, &head, data) == 0;
}

/* No core file and no tracer for processes that hold keys. */
static bool hide_memory(enum proc_kind kind)
{
    struct rlimit none = { 0, 0 };
    if (kind != PROC_SIGNER && kind != PROC_GATEWAY && kind != PROC_FEDERATION)
        return true;
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0;
}

enum reeve_err sandbox_enter(enum proc_kind kind, const char *dir, const struct settings *s, struct report *rep)
{
    reeve_assert(kind != PROC_POSTMASTER && kind < PROC__COUNT);
    enum reeve_err err;
    if (!drop_capabilities(kind) || !hide_memory(kind) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return report_set(rep, REEVE_E_IO, "could not give up privileges: %s", strerror(errno));
    err = sandbox_files(kind, dir, s, rep);
    if (err == REEVE_E_UNSUPPORTED) {
        log_limited(LOG_SEV_WARNING, "the kernel has no Landlock: %s is kept out of the keys by nothing but "
                    "its system call filter", proc_title(kind));
        report_clear(rep);
    } else if (err != REEVE_OK) {
        return err;
    }
    return sandbox_calls(kind, rep);
}
