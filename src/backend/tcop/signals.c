/* signals.c - the only state of the process that is not reached by a parameter */
#include "backend/tcop/signals.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct session_signals the_signals = { .wake_fd = -1 };

static void handle(int sig)
{
    int keep = errno;
    uint64_t one = 1;
    if (sig == SIGINT)
        the_signals.cancel = 1;
    else if (sig == SIGTERM)
        the_signals.die = 1;
    else if (sig == SIGUSR1)
        the_signals.snapshot_old = 1;
    else
        the_signals.reload = 1;
    (void) !write(the_signals.wake_fd, &one, sizeof one);
    errno = keep;
}

struct session_signals *signals_catch(void)
{
    static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1 };
    struct sigaction act = { .sa_handler = handle };
    sigset_t set;
    the_signals.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (the_signals.wake_fd < 0)
        return NULL;
    sigemptyset(&set);
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        sigaction(caught[i], &act, NULL);
        sigaddset(&set, caught[i]);
    }
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigaction(SIGPIPE, &ignore, NULL);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return &the_signals;
}
