/* ipc_int.h - a channel's inside, shared by the files of this folder */
#ifndef REEVE_BACKEND_IPC_IPC_INT_H
#define REEVE_BACKEND_IPC_IPC_INT_H

#include "backend/ipc/ipc.h"

#define IPC_FDS_MAX 8u                  /* descriptors received and not yet claimed by a frame */

struct out_frame;

/* A request under way; slot = id modulo IPC_PENDING_MAX. */
struct pending {
    uint64_t id;                        /* 0: free */
    ipc_answer_fn *fn;
    void *arg;
    struct ipc_channel *ch;
    struct loop_timer timer;
};

struct ipc_channel {
    int fd;                             /* -1 once dead */
    enum proc_kind self, peer;
    uint32_t peer_pid;
    unsigned refs;
    bool owned;                         /* the owner's reference is out */
    bool paused;
    char why[160];

    struct loop *loop;
    struct loop_io io;
    struct loop_task resume;            /* delivers what arrived before a pause */
    struct ipc_handler handler;
    void *user;

    uint8_t *in;
    size_t in_len, in_cap, in_at;       /* bytes held, capacity, bytes already handed out */
    int fds[IPC_FDS_MAX];
    unsigned n_fds;

    struct out_frame *out, **out_end;
    size_t out_bytes;

    uint64_t last_id;
    struct pending *pending;            /* IPC_PENDING_MAX slots, made when first needed */
    unsigned n_pending;

    ipc_wait_fn *wait;
    void *wait_arg;
};

/* ---- frame.c: bytes in and out of the socket ---- */

/* CLOSED or MALFORMED with ch->why; AGAIN when there is nothing to read now. */
enum reeve_err frame_read(struct ipc_channel *ch) REEVE_MUST_CHECK;
/* The next whole frame that passed all checks; AGAIN when there is none yet. body borrowed until frame_done(). */
enum reeve_err frame_next(struct ipc_channel *ch, struct ipc_msg *m) REEVE_MUST_CHECK;
/* Forgets what was handed out. */
void frame_done(struct ipc_channel *ch);
/* Sends or queues; BUSY, CLOSED, NOMEM. */
enum reeve_err frame_send(struct ipc_channel *ch, enum msg_type type, uint64_t id, struct slice body, int fd)
    REEVE_MUST_CHECK;
/* Sends what waits; CLOSED, or OK with perhaps something left. */
enum reeve_err frame_flush(struct ipc_channel *ch) REEVE_MUST_CHECK;
void frame_free(struct ipc_channel *ch);

/* ---- channel.c ---- */
uint32_t channel_wanted_events(const struct ipc_channel *ch);

/* ---- request.c ---- */
void request_answered(struct ipc_channel *ch, struct ipc_msg *m);
/* Every request under way ends with CLOSED. */
void request_fail_all(struct ipc_channel *ch);
/* Splits a REPLY's body; MALFORMED when it is none. *result borrows from body. */
enum reeve_err reply_split(struct slice body, enum reeve_err *err, struct report *rep, struct slice *result)
    REEVE_MUST_CHECK;

#endif
