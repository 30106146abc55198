/*
 * child.h - what every re-executed child kind does before its own work
 *
 * `reeved --child=TITLE -D DIR --index=N`, the postmaster's channel on fd 3,
 * the server's lock on fd 4. child_start(): dies with its parent, title,
 * signals, clean descriptors, settings from DIR/run/settings, log, event
 * loop, sandbox of its kind, channel. Then the kind's own set-up, then
 * child_ready() once it serves, then child_run().
 *
 * Lifetime: a child ends when the postmaster's channel closes (exit 1), on
 * SIGTERM and on SHUTDOWN. ops.shutdown may finish what is under way and must
 * end in child_stop(); without it the loop stops at once. An immediate
 * shutdown exits without asking.
 */
#ifndef REEVE_BACKEND_IPC_CHILD_H
#define REEVE_BACKEND_IPC_CHILD_H

#include "backend/ipc/ipc.h"
#include "backend/utils/settings.h"

#define CHILD_CHANNEL_FD 3
#define CHILD_LOCK_FD    4

enum shutdown_mode { SHUTDOWN_NONE, SHUTDOWN_SMART = 1, SHUTDOWN_FAST = 2, SHUTDOWN_IMMEDIATE = 3 };

struct child;
struct child_ops {
    /*
     * Somebody was connected to this service. Attach the channel to c->loop
     * with your handler, or close it. NULL: the kind serves nobody.
     */
    void (*peer)(struct child *c, struct ipc_channel *ch);
    /* c->settings has been read again; NULL: nothing to do. */
    void (*reload)(struct child *c);
    /* smart or fast; NULL: stop at once. */
    void (*shutdown)(struct child *c, enum shutdown_mode mode);
};

struct child {
    enum proc_kind kind;
    unsigned index;                     /* which of many, from 0 */
    char dir[1024];                     /* the data directory, absolute */
    struct loop *loop;
    struct ipc_channel *postmaster;
    struct settings *settings;
    struct child_ops ops;
    void *user;
    int exit_code;
};

/* A kind's main function, called by main.c; its result is the exit code. */
typedef int child_main_fn(struct child *c);

/* c->kind, index and dir are filled by main.c. Any failure is logged and fatal to this process only. */
enum reeve_err child_start(struct child *c, const struct child_ops *ops) REEVE_MUST_CHECK;
/* Tells the postmaster that this child serves now. */
void child_ready(struct child *c);
/* Until stopped; answers the exit code. */
int child_run(struct child *c);
void child_stop(struct child *c, int exit_code);

#endif
