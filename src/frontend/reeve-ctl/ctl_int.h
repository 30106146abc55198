/* ctl_int.h - one data directory and what is asked of its server */
#ifndef REEVE_FRONTEND_CTL_INT_H
#define REEVE_FRONTEND_CTL_INT_H

#include "common/types.h"

#define CTL_PATH_MAX 1200
#define CTL_FILES_MAX 16

/* Exit codes: those that init scripts know. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_RUNNING = 3, EXIT_NO_DIRECTORY = 4 };

struct ctl {
    const char *command;
    char dir[CTL_PATH_MAX];             /* as given */
    int stop_signal;                    /* -m */
    int timeout_s;                      /* -t */
    const char *region, *superuser, *password_file;
    const char *ring, *token, *address; /* join */
    const char *to, *from;              /* backup, restore; genesis */
    const char *card, *genesis;         /* init of a region that begins with others */
    const char *recovery, *drop;
    bool follower, standby;
    const char *pkcs11;             /* init: the token in which keys are made */
    char **files;                       /* genesis */
    int n_files;
};

/* What DIR/reeve.pid and the lock say. */
struct server {
    bool running;                       /* the pid is alive and its lock is held */
    int pid, port;
    char socket[CTL_PATH_MAX], state[32];
};

/* server.c */
void server_look(const struct ctl *c, struct server *s);
bool pid_is_alive(int pid);
/* Full path of reeved: beside this program, else where it was to be installed. */
void server_program(char out[CTL_PATH_MAX]);
int64_t now_ms(void);
void pause_ms(int ms);

/* ping.c: does it answer a start-up packet as a server that is up? */
bool server_answers(const struct server *s);

/* start.c */
int ctl_start(const struct ctl *c);

#endif
