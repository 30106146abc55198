/*
 * loop.h - one small epoll loop: descriptors, timers, posted tasks
 *
 * Single-threaded but for loop_post(). Watchers, timers and tasks are
 * embedded in their owner's structures, zeroed before first use; the loop
 * allocates only its heap of timer pointers. Handlers may delete any watcher,
 * cancel any timer and stop the loop, their own included.
 *
 * One round: posted tasks, due timers, then epoll (at most LOOP_BATCH events).
 * Time is read once a round.
 */
#ifndef REEVE_BACKEND_UTILS_LOOP_H
#define REEVE_BACKEND_UTILS_LOOP_H

#include <sys/epoll.h>

#include "common/err.h"
#include "common/types.h"

#define LOOP_BATCH 256

struct loop;

/* A watched descriptor; the loop never closes it. events and revents: EPOLLIN, EPOLLOUT, EPOLLHUP ... */
struct loop_io {
    int fd;
    uint32_t events;
    void (*fn)(void *arg, uint32_t revents);
    void *arg;
    bool active;
};
struct loop_timer {
    struct mono_ms due;
    void (*fn)(void *arg);
    void *arg;
    size_t pos;                 /* place in the heap + 1; 0: not set */
};
struct loop_task {
    void (*fn)(void *arg);
    void *arg;
    struct loop_task *next;
    bool queued;
};

enum reeve_err loop_new(struct loop **out) REEVE_MUST_CHECK;
void loop_free(struct loop *l);

enum reeve_err loop_io_add(struct loop *l, struct loop_io *io, int fd, uint32_t events,
                           void (*fn)(void *arg, uint32_t revents), void *arg) REEVE_MUST_CHECK;
/* Changes what is watched for; 0 watches for errors and hang-ups only. */
void loop_io_events(struct loop *l, struct loop_io *io, uint32_t events);
/* Before the descriptor is closed. Deleting twice is fine. */
void loop_io_del(struct loop *l, struct loop_io *io);

/* (Re)arms for an absolute or relative time; runs once. NOMEM only when more timers are set than ever before. */
enum reeve_err loop_timer_at(struct loop *l, struct loop_timer *t, struct mono_ms due,
                             void (*fn)(void *arg), void *arg) REEVE_MUST_CHECK;
enum reeve_err loop_timer_in(struct loop *l, struct loop_timer *t, int64_t ms,
                             void (*fn)(void *arg), void *arg) REEVE_MUST_CHECK;
void loop_timer_cancel(struct loop *l, struct loop_timer *t);
static inline bool loop_timer_is_set(const struct loop_timer *t) { return t->pos != 0; }

/* From any thread: task->fn runs once in the loop's thread. Posting a queued task again does nothing. */
void loop_post(struct loop *l, struct loop_task *task);
/* In the loop's thread: a task that is queued will not run. Before its owner's memory goes. */
void loop_unpost(struct loop *l, struct loop_task *task);

/* The time of this round. */
struct mono_ms loop_now(const struct loop *l);
/* Until loop_stop(). */
void loop_run(struct loop *l);
/* One round; waits at most max_wait_ms (-1: as long as it takes). */
void loop_run_once(struct loop *l, int max_wait_ms);
void loop_stop(struct loop *l);
bool loop_is_stopped(const struct loop *l);

#endif
