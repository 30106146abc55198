/*
 * sandbox_files.c - which files each kind of process reaches (Landlock)
 *
 * Everything that is not in the table is refused, DIR/keys and the
 * configuration files among it. Rules name folders with all that is in them,
 * or single files as they are now.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/utils/datadir.h"
#include "backend/utils/sandbox_int.h"
#include "config.h"

/* Newer than the headers of Debian 12. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE   (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV  (1ULL << 15)
#endif
#define SCOPE_ABSTRACT_SOCKETS        (1ULL << 0)
#define SCOPE_SIGNALS                 (1ULL << 1)

#define FS_FILE  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define FS_READ  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define FS_OWN   (FS_READ | FS_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | \
                  LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER)

struct ruleset_attr { uint64_t fs, net, scoped; };

struct rule {
    unsigned kinds;
    const char *path;                   /* absolute, or inside DIR */
    uint64_t access;
};

static const struct rule rules[] = {
    { K_ANY, "/etc", FS_READ }, { K_ANY, "/usr", FS_READ }, { K_ANY, "/lib", FS_READ }, { K_ANY, "/lib64", FS_READ },
    { K_ANY, "/proc/self", FS_READ }, { K_ANY, "/sys/devices/system/cpu", FS_READ },
    { K_ANY, "/proc/sys/vm/overcommit_memory", FS_READ }, { K_ANY, "/proc/meminfo", FS_READ },
#ifdef REEVE_SANITIZE
    { K_ANY, "/proc/self/exe", FS_READ },       /* reports name their lines */
#endif
    { K_ANY, "/dev/null", FS_WRITE }, { K_ANY, "/dev/urandom", FS_READ },
    { K_ANY, "run", FS_READ },
    { K_ANY, "log", FS_WRITE },
    { K_SIGNER, "keys", FS_OWN },
    { K_RING, "data", FS_OWN },
    { K_RING, "peer", FS_READ },
    { K_RING, "wal", FS_OWN },
    { K_VALIDATOR, "validator", FS_OWN },
    { K_FEDERATION, "federation", FS_READ },
    { K_BACKEND | K_GATEWAY | K_FEDERATION | K_MIRROR, "data", FS_READ },
    { K_BACKEND | K_GATEWAY | K_FEDERATION | K_MIRROR, "data/lock.mdb", FS_FILE },    /* the table of readers */
    { K_BACKEND | K_GATEWAY, "tls", FS_READ },
    { K_BACKEND, "tmp", FS_OWN },
    { K_BACKEND, "run/sessions.shm", FS_WRITE },
    { K_GATEWAY | K_RING, "run/liveness.shm", FS_WRITE },
};

static int ruleset_new(int abi)
{
    struct ruleset_attr attr = { .fs = LANDLOCK_ACCESS_FS_EXECUTE | FS_OWN | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                       LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                       LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM };
    if (abi < 2)
        attr.fs &= ~LANDLOCK_ACCESS_FS_REFER;
    if (abi < 3)
        attr.fs &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
    if (abi >= 5)
        attr.fs |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
    if (abi >= 6)
        attr.scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
    size_t len = abi >= 6 ? sizeof attr : sizeof attr.fs;
    return (int) syscall(SYS_landlock_create_ruleset, &attr, len, 0);
}

/* What does not exist needs no rule. */
static bool allow(int ruleset, int abi, const char *path, uint64_t access)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == EACCES;
    bool is_dir = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    if (!is_dir)
        access &= FS_FILE;
    if (abi < 2)
        access &= ~LANDLOCK_ACCESS_FS_REFER;
    if (abi < 3)
        access &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
    struct landlock_path_beneath_attr attr = { .allowed_access = access, .parent_fd = fd };
    bool ok = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) == 0;
    close(fd);
    return ok;
}

static bool allow_table(int ruleset, int abi, enum proc_kind kind, const char *dir)
{
    char path[DATADIR_PATH_MAX];
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct rule *r = &rules[i];
        if ((r->kinds & 1u << kind) == 0)
            continue;
        if (*r->path != '/' && !datadir_path(path, sizeof path, dir, r->path))
            return false;
        if (!allow(ruleset, abi, *r->path == '/' ? r->path : path, r->access))
            return false;
    }
    return true;
}

/* Files that the settings put anywhere, for the kinds that serve TLS. */
static bool allow_named(int ruleset, int abi, enum proc_kind kind, const char *dir, const struct settings *s)
{
    static const enum setting_id ids[] = { SET_hba_file, SET_ssl_cert_file, SET_ssl_key_file, SET_ssl_ca_file };
    char path[DATADIR_PATH_MAX];
    if (s == NULL || (kind != PROC_BACKEND && kind != PROC_GATEWAY))
        return true;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (settings_path(s, ids[i], dir, path, sizeof path) && !allow(ruleset, abi, path, LANDLOCK_ACCESS_FS_READ_FILE))
            return false;
    return true;
}

/* Where the signer's keys are in a token, what its module needs. */
static bool allow_token(int ruleset, int abi, enum proc_kind kind, const struct settings *s)
{
    const char *folder = s != NULL && kind == PROC_SIGNER ? settings_text(s, SET_pkcs11_folder) : "";
    return *folder != '/' || allow(ruleset, abi, folder, FS_OWN);
}

enum reeve_err sandbox_files(enum proc_kind kind, const char *dir, const struct settings *s, struct report *rep)
{
    int abi = (int) syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return REEVE_E_UNSUPPORTED;
    int ruleset = ruleset_new(abi);
    bool ok = ruleset >= 0 && allow_table(ruleset, abi, kind, dir) && allow_named(ruleset, abi, kind, dir, s) &&
              allow_token(ruleset, abi, kind, s) &&
              syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    int saved = errno;
    if (ruleset >= 0)
        close(ruleset);
    return ok ? REEVE_OK : report_set(rep, REEVE_E_IO, "could not restrict file access: %s", strerror(saved));
}
