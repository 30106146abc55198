/* daemon.h - what the files of reeve-agent share. */
#ifndef REEVE_AGENT_DAEMON_H
#define REEVE_AGENT_DAEMON_H

#include <jansson.h>

#include "log.h"
#include "options.h"

#define INSTALLS_MAX OPT_CERTS_MAX

/* An installation under way in a child process; its result comes through a pipe. */
struct installing { pid_t pid; int fd; struct name object; uint32_t gen; };

struct daemon {
    struct options o;
    struct agent *agent;
    struct agent_identity id;
    int status_fd, signal_fd, peer_fd;
    bool stop, failed, json_due, trust_due, fork_written;
    int64_t tell_ms;                    /* peers.c */
    struct installing inst[INSTALLS_MAX];
};

struct agent_now now_read(void);
const struct install_target *target_find(const struct daemon *d, const struct name *object);

/* install_child.c */
bool install_start(struct daemon *d, const struct agent_cert *c, struct agent_install_result *res);
/* The pipe of one became readable. */
void install_finish(struct daemon *d, struct installing *i);
void install_abandon(struct daemon *d);

/* effective.c: config.json and trust.pem */
void effective_write(struct daemon *d);
void trust_write(struct daemon *d);
json_t *value_json(const struct agent_value *v);

/* peers.c */
int peers_open(const struct options *o);
/* Tells a few when it is time; returns when that is next. */
int64_t peers_run(struct daemon *d);
void peers_read(struct daemon *d);
void fork_write(struct daemon *d);

/* status.c */
json_t *status_json(const struct daemon *d);
int status_listen(struct daemon *d);
void status_serve(struct daemon *d);
int status_command(const struct options *o);

/* run.c, commands.c */
int run_command(struct options *o);
int get_command(const struct options *o);
int key_command(const struct options *o);
int cohort_command(const struct options *o);
bool name_of_argument(struct name *out, const char *text);

#endif
