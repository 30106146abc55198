/*
 * walltest.c - `reeved --child=walltest KIND -D DIR`, for the tests alone
 *
 * Becomes a process of that kind as far as the sandbox goes, tries what must
 * be impossible, and prints one line of TAP each. VICTIM in the environment is
 * the signer's pid.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/main/main_int.h"
#include "backend/utils/datadir.h"
#include "backend/utils/sandbox.h"

static int number, failures;

static void claim(bool ok, const char *what)
{
    number++;
    failures += !ok;
    printf("%sok %d - %s\n", ok ? "" : "not ", number, what);
}

static bool can_open(const char *dir, const char *name, int flags)
{
    char path[DATADIR_PATH_MAX];
    int fd = datadir_path(path, sizeof path, dir, name) ? open(path, flags | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Any file in the folder that can be read or written, and the folder itself. */
static bool reaches_keys(const char *dir)
{
    char path[DATADIR_PATH_MAX];
    DIR *d = datadir_path(path, sizeof path, dir, "keys") ? opendir(path) : NULL;
    if (d != NULL)
        closedir(d);
    return d != NULL || can_open(dir, "keys/walltest", O_RDONLY) || can_open(dir, "keys/walltest", O_WRONLY) ||
           can_open(dir, "keys/planted", O_WRONLY | O_CREAT);
}

static bool reads_memory(pid_t victim)
{
    char byte, name[64];
    struct iovec mine = { &byte, 1 }, theirs = { (void *) &number, 1 };
    snprintf(name, sizeof name, "/proc/%d/mem", (int) victim);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    return fd >= 0 || process_vm_readv(victim, &mine, 1, &theirs, 1, 0) >= 0;
}

static bool traces(pid_t victim)
{
    return ptrace(PTRACE_ATTACH, victim, NULL, NULL) == 0 || ptrace(PTRACE_SEIZE, victim, NULL, NULL) == 0;
}

static bool executes(void)
{
    char *argv[] = { (char *) "true", NULL };
    execv("/bin/true", argv);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0;
}

static void try_all(enum proc_kind kind, const char *dir, pid_t victim)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (kind != PROC_SIGNER)
        claim(!reaches_keys(dir), "the keys are out of reach");
    else
        claim(can_open(dir, "keys/walltest", O_RDONLY), "the signer reaches its keys");
    claim(can_open(dir, "peer/peer.key", O_RDONLY) == (kind == PROC_RING), "only the ring reads the key of its links");
    claim(!can_open(dir, "peer/peer.key", O_WRONLY), "nobody changes it");
    claim(can_open(dir, "federation/walltest", O_RDONLY) == (kind == PROC_FEDERATION), "only the links between regions read theirs");
    claim(!can_open(dir, "reeve.conf", O_RDONLY), "the configuration is out of reach");
    claim(!can_open(dir, "log/other", O_WRONLY | O_CREAT), "no new file in the log's folder");
    claim(can_open(dir, "run/settings", O_RDONLY), "the settings can be read");
    claim(can_open(dir, "log/reeve.log", O_WRONLY | O_APPEND), "the log can be written");
    claim(kind == PROC_GATEWAY || kind == PROC_RING || kind == PROC_FEDERATION || kind == PROC_MIRROR ? s >= 0 : s < 0, "sockets only where they are the work");
    claim(kind == PROC_RING || !can_open(dir, "data/planted", O_WRONLY | O_CREAT), "only the ring writes the store");
    claim(!traces(victim), "another process cannot be traced");
    claim(!reads_memory(victim), "another process's memory cannot be read");
    claim(kill(victim, 0) < 0 && kill(victim, SIGKILL) < 0, "another process cannot be signalled");
    claim(!executes(), "no program can be started");
}

int walltest_main(const struct options *o)
{
    enum proc_kind kind;
    struct report rep = { 0 };
    struct settings *s = NULL;
    const char *victim = getenv("VICTIM");
    setvbuf(stdout, NULL, _IONBF, 0);
    if (o->walltest == NULL || victim == NULL || !proc_find(&kind, o->walltest) || kind == PROC_POSTMASTER)
        return 2;
    if (settings_load_shared(&s, o->dir, &rep) != REEVE_OK || sandbox_enter(kind, o->dir, s, &rep) != REEVE_OK) {
        printf("Bail out! %s\n", rep.message);
        return 1;
    }
    try_all(kind, o->dir, (pid_t) atoi(victim));
    printf("1..%d\n", number);
    settings_free(s);
    return failures > 0;
}
