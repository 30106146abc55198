/*
 * ipc.h - framed messages between processes over socket pairs
 *
 * Frame: u32 length of what follows (12 + body) | u16 type | u16 flags |
 * u64 request id | body. Big endian. flags: IPC_F_FD (a descriptor travels
 * with the frame), no other bit. Message types, their bodies and who may send
 * them stand in backend/msglist.h.
 *
 * A request has an id other than 0 and gets exactly one REPLY with that id,
 * whose body is
 *   u16 reeve_err | str16 message | str16 detail | str16 hint | result.
 * A message with id 0 is one-way.
 *
 * Invariants
 *  C1 The peer's kind comes from the postmaster, who made the channel, never
 *     from the peer; msg_allowed() is checked before any handler runs.
 *  C2 A frame that is oversized, too short, of unknown type or flags, from a
 *     sender who may not, or with a descriptor it should not have (or without
 *     one it should) closes the channel with a reason; nothing of it is seen.
 *  C3 Sending never blocks: what the socket does not take waits in a queue of
 *     bounded size; a full queue is BUSY and nothing of that message is sent.
 *  C4 A late reply (its call timed out or was given up) is dropped silently.
 *  C5 close() inside a handler is allowed; the memory lives until the last
 *     reference and the dispatch in progress are gone.
 */
#ifndef REEVE_BACKEND_IPC_IPC_H
#define REEVE_BACKEND_IPC_IPC_H

#include "backend/ipc/proc.h"
#include "backend/utils/loop.h"
#include "common/buf.h"

#define IPC_BODY_MAX     (4u << 20)
#define IPC_HEADER_LEN   16u
#define IPC_F_FD         1u
#define IPC_QUEUE_MAX    (16u << 20)    /* bytes waiting to be sent, per channel */
#define IPC_PENDING_MAX  1024u          /* requests under way, per channel */

struct ipc_channel;

struct ipc_msg {
    enum msg_type type;
    uint64_t id;                /* 0: one-way */
    struct slice body;          /* borrowed for the length of the handler */
    int fd;                     /* -1, or a descriptor; a handler that keeps it sets -1 here */
};

/* What a channel tells its owner. Both run in the loop, never inside a send. */
struct ipc_handler {
    void *arg;
    /* A request or one-way message that passed C1 and C2. Answer requests with ipc_reply*, now or later. */
    void (*message)(void *arg, struct ipc_channel *ch, struct ipc_msg *m);
    /* The channel is gone; why is for the log. Called once, not after ipc_close(). The owner's reference ends. */
    void (*closed)(void *arg, struct ipc_channel *ch, const char *why);
};

/* ---- life ---- */

/* Takes fd over (also on failure). The caller holds one reference, ended by ipc_close() or closed(). */
enum reeve_err ipc_open(struct ipc_channel **out, int fd, enum proc_kind self, enum proc_kind peer,
                        uint32_t peer_pid) REEVE_MUST_CHECK;
/* Reads and writes from now on in the loop. handler is copied. */
enum reeve_err ipc_attach(struct ipc_channel *ch, struct loop *loop, const struct ipc_handler *handler)
    REEVE_MUST_CHECK;
/* Pending requests of this channel end with CLOSED. NULL is allowed. */
void ipc_close(struct ipc_channel *ch);
/* For replies kept for later: a closed channel stays a valid, dead object. */
struct ipc_channel *ipc_ref(struct ipc_channel *ch);
void ipc_unref(struct ipc_channel *ch);

enum proc_kind ipc_peer(const struct ipc_channel *ch);
uint32_t ipc_peer_pid(const struct ipc_channel *ch);
bool ipc_is_open(const struct ipc_channel *ch);
int ipc_fd(const struct ipc_channel *ch);
/* Bytes waiting to be sent. */
size_t ipc_queued(const struct ipc_channel *ch);
/* Stops reading from this peer until told otherwise (its socket fills and it waits). */
void ipc_pause(struct ipc_channel *ch, bool paused);
/* The owner's own mark on the channel. */
void ipc_set_user(struct ipc_channel *ch, void *user);
void *ipc_user(const struct ipc_channel *ch);

/* ---- sending ---- */

/* One-way. fd -1: none; otherwise it is duplicated into the message, the caller keeps its own. BUSY, CLOSED, NOMEM. */
enum reeve_err ipc_send(struct ipc_channel *ch, enum msg_type type, struct slice body, int fd) REEVE_MUST_CHECK;
/* Answers. A dead channel or id 0 is fine: nobody is waiting. A reply that cannot be queued closes the channel. */
void ipc_reply(struct ipc_channel *ch, uint64_t id, struct slice result);
void ipc_reply_fd(struct ipc_channel *ch, uint64_t id, struct slice result, int fd);
void ipc_reply_err(struct ipc_channel *ch, uint64_t id, enum reeve_err err, const struct report *rep);

/* ---- asking, in a loop ---- */

struct ipc_answer {
    enum reeve_err err;         /* the service's, or TIMEOUT, CLOSED */
    struct report rep;          /* as the service filled it */
    struct slice result;        /* borrowed for the length of the call-back */
    int fd;                     /* -1; keeping it: set -1 */
};
typedef void ipc_answer_fn(void *arg, struct ipc_answer *a);
/*
 * fn runs exactly once, later, in the loop; but when this returns an error fn
 * never runs. timeout_ms <= 0: no limit. BUSY: too many under way.
 */
enum reeve_err ipc_request(struct ipc_channel *ch, enum msg_type type, struct slice body, int timeout_ms,
                           ipc_answer_fn *fn, void *arg) REEVE_MUST_CHECK;

/* ---- asking and waiting (backends: channel not attached to a loop) ---- */

/*
 * How to wait: until fd has one of poll's events (OK) or timeout_ms passed
 * (AGAIN), or anything else that must end the call (CANCELED, SHUTDOWN ...).
 * Default: poll(2).
 */
typedef enum reeve_err ipc_wait_fn(void *arg, int fd, short events, int timeout_ms, struct report *rep);
void ipc_set_wait(struct ipc_channel *ch, ipc_wait_fn *fn, void *arg);
/*
 * Sends a request and waits for its reply until deadline (ms 0: no limit).
 * *result is borrowed until the next call on this channel; result and fd_out
 * may be NULL. The service's own error comes back with its report. TIMEOUT,
 * CLOSED and what the waiter said mean that the outcome is unknown when the
 * request changes something. After CLOSED or MALFORMED the channel is dead.
 */
enum reeve_err ipc_call(struct ipc_channel *ch, enum msg_type type, struct slice body, struct mono_ms deadline,
                        struct slice *result, int *fd_out, struct report *rep) REEVE_MUST_CHECK;
/* Asks the postmaster for a channel to a service. AGAIN while it is not up; DENIED where no message may go. */
enum reeve_err ipc_connect(struct ipc_channel *postmaster, enum proc_kind self, enum proc_kind service,
                           struct mono_ms deadline, struct ipc_channel **out, struct report *rep) REEVE_MUST_CHECK;

#endif
