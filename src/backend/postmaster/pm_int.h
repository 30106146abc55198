/* pm_int.h - the postmaster's state, shared by the files of this folder */
#ifndef REEVE_BACKEND_POSTMASTER_INT_H
#define REEVE_BACKEND_POSTMASTER_INT_H

#include "backend/postmaster/postmaster.h"
#include "backend/utils/datadir.h"

#define PM_LISTENERS_MAX  64
#define PM_SERVICES_MAX   (4 + 256)
#define PM_SPARE_SLOTS    16            /* connections beyond max_connections that are at least told why not */

struct pm;

/* One child of a kind that is always there. */
struct service {
    struct pm *pm;
    enum proc_kind kind;
    unsigned index;
    int32_t pid;                        /* 0: not running */
    struct ipc_channel *ch;
    bool ready, ever_ready;             /* ready: it said so, and ch is there to reach it */
    unsigned failures;                  /* ends in a row without a good while of life */
    struct mono_ms started;
    struct loop_timer restart;
};

struct backend {
    struct pm *pm;
    int32_t pid;                        /* 0: free */
    uint32_t cancel_key;
    struct ipc_channel *ch;
};

struct listener {
    struct pm *pm;
    struct loop_io io;
    int fd;
};

enum pm_state { PM_STARTING, PM_RUNNING, PM_STOPPING };

struct pm {
    char dir[DATADIR_PATH_MAX];
    const struct postmaster_hooks *hooks;
    struct settings *settings;
    struct loop *loop;
    enum pm_state state;
    enum shutdown_mode mode;
    unsigned phase;                     /* of the shutdown: see shutdown.c */
    bool failed;                        /* exit code 1 */
    int lock_fd, signal_fd;
    struct loop_io signal_io;
    struct loop_timer housekeeping, escalation;
    struct pidfile pidfile;
    struct activity_map *activity;

    struct listener listeners[PM_LISTENERS_MAX];
    unsigned n_listeners;
    struct loop_timer listen_again;

    struct service services[PM_SERVICES_MAX];
    unsigned n_services;

    struct backend *backends;           /* n_slots */
    unsigned n_slots, n_backends;
};

/* listen.c */
enum reeve_err pm_listen(struct pm *pm, struct report *rep) REEVE_MUST_CHECK;
void pm_listen_close(struct pm *pm);
void pm_listen_pause(struct pm *pm, int ms);

/* service.c */
void pm_services_init(struct pm *pm);
void pm_service_start(struct service *s);
struct service *pm_service_of_pid(struct pm *pm, int32_t pid);
/* A ready one of that kind, or NULL. */
struct service *pm_service_ready(struct pm *pm, enum proc_kind kind);
void pm_service_ended(struct service *s);
bool pm_services_all_ready(const struct pm *pm);
unsigned pm_services_alive(const struct pm *pm, unsigned kinds);

/* backend.c */
enum reeve_err pm_backends_init(struct pm *pm) REEVE_MUST_CHECK;
void pm_backend_start(struct pm *pm, int fd, const struct sockaddr_storage *peer, socklen_t len);
struct backend *pm_backend_of_pid(struct pm *pm, int32_t pid);
void pm_backend_ended(struct backend *b);
void pm_backends_signal(struct pm *pm, int sig);

/* message.c */
/* One channel to a child: the other end is *child_fd. */
enum reeve_err pm_channel(struct pm *pm, enum proc_kind kind, struct ipc_channel **out, int *child_fd) REEVE_MUST_CHECK;
enum reeve_err pm_channel_attach(struct pm *pm, struct ipc_channel *ch) REEVE_MUST_CHECK;

/* shutdown.c */
void pm_shutdown(struct pm *pm, enum shutdown_mode mode);
/* Somebody ended: goes on with the shutdown if it waited for that. */
void pm_shutdown_step(struct pm *pm);

/* postmaster.c */
enum reeve_err pm_reload(struct pm *pm, struct report *rep);
void pm_became_ready(struct pm *pm);

#endif
