/* loop.c - epoll, a binary heap of timers, tasks posted from any thread. */
#include "backend/utils/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/utils/clock.h"

struct loop {
    int epfd, wake_fd;
    struct mono_ms now;
    bool stopped;
    /* The batch being dispatched; deleting a watcher blanks what is left of it here. */
    struct epoll_event batch[LOOP_BATCH];
    int batch_len, batch_at;
    struct loop_timer **heap;           /* heap[0] is due first */
    size_t timers, timers_cap;
    pthread_mutex_t lock;               /* guards the task list */
    struct loop_task *tasks, **tasks_end;
};

static void loop_destroy(struct loop *l)
{
    if (l->epfd >= 0)
        close(l->epfd);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    pthread_mutex_destroy(&l->lock);
    free(l->heap);
    free(l);
}

enum reeve_err loop_new(struct loop **out)
{
    struct loop *l = calloc(1, sizeof *l);
    if (l == NULL)
        return REEVE_E_NOMEM;
    pthread_mutex_init(&l->lock, NULL);
    l->tasks_end = &l->tasks;
    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
    if (l->epfd < 0 || l->wake_fd < 0 || epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->wake_fd, &ev) < 0) {
        loop_destroy(l);
        return REEVE_E_IO;
    }
    l->now = clock_mono();
    *out = l;
    return REEVE_OK;
}

void loop_free(struct loop *l)
{
    if (l != NULL)
        loop_destroy(l);
}

/* ---- descriptors ---- */

enum reeve_err loop_io_add(struct loop *l, struct loop_io *io, int fd, uint32_t events,
                           void (*fn)(void *arg, uint32_t revents), void *arg)
{
    reeve_assert(!io->active);
    *io = (struct loop_io){ fd, events, fn, arg, true };
    struct epoll_event ev = { .events = events, .data.ptr = io };
    if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        io->active = false;
        return errno == ENOMEM || errno == ENOSPC ? REEVE_E_NOMEM : REEVE_E_IO;
    }
    return REEVE_OK;
}

void loop_io_events(struct loop *l, struct loop_io *io, uint32_t events)
{
    if (!io->active || io->events == events)
        return;
    struct epoll_event ev = { .events = events, .data.ptr = io };
    io->events = events;
    reeve_assert(epoll_ctl(l->epfd, EPOLL_CTL_MOD, io->fd, &ev) == 0);
}

void loop_io_del(struct loop *l, struct loop_io *io)
{
    if (!io->active)
        return;
    io->active = false;
    epoll_ctl(l->epfd, EPOLL_CTL_DEL, io->fd, NULL);
    for (int i = l->batch_at; i < l->batch_len; i++)
        if (l->batch[i].data.ptr == io)
            l->batch[i].events = 0;
}

/* ---- timers: heap[i] is not due after heap[2i+1] and heap[2i+2] ---- */

static void heap_put(struct loop *l, size_t i, struct loop_timer *t)
{
    l->heap[i] = t;
    t->pos = i + 1;
}

static void heap_up(struct loop *l, size_t i, struct loop_timer *t)
{
    while (i > 0 && l->heap[(i - 1) / 2]->due.ms > t->due.ms) {
        heap_put(l, i, l->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(l, i, t);
}

static void heap_down(struct loop *l, size_t i, struct loop_timer *t)
{
    for (size_t kid; (kid = 2 * i + 1) < l->timers; i = kid) {
        if (kid + 1 < l->timers && l->heap[kid + 1]->due.ms < l->heap[kid]->due.ms)
            kid++;
        if (l->heap[kid]->due.ms >= t->due.ms)
            break;
        heap_put(l, i, l->heap[kid]);
    }
    heap_put(l, i, t);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
    if (t->pos == 0)
        return;
    size_t i = t->pos - 1;
    t->pos = 0;
    struct loop_timer *last = l->heap[--l->timers];
    if (last == t)
        return;
    if (i > 0 && l->heap[(i - 1) / 2]->due.ms > last->due.ms)
        heap_up(l, i, last);
    else
        heap_down(l, i, last);
}

static bool heap_room(struct loop *l)
{
    if (l->timers < l->timers_cap)
        return true;
    size_t cap = l->timers_cap ? l->timers_cap * 2 : 64;
    struct loop_timer **heap = realloc(l->heap, cap * sizeof *heap);
    if (heap == NULL)
        return false;
    l->heap = heap;
    l->timers_cap = cap;
    return true;
}

enum reeve_err loop_timer_at(struct loop *l, struct loop_timer *t, struct mono_ms due,
                             void (*fn)(void *arg), void *arg)
{
    loop_timer_cancel(l, t);
    if (!heap_room(l))
        return REEVE_E_NOMEM;
    t->due = due;
    t->fn = fn;
    t->arg = arg;
    heap_up(l, l->timers++, t);
    return REEVE_OK;
}

enum reeve_err loop_timer_in(struct loop *l, struct loop_timer *t, int64_t ms, void (*fn)(void *arg), void *arg)
{
    return loop_timer_at(l, t, (struct mono_ms){ clock_mono().ms + (ms > 0 ? ms : 0) }, fn, arg);
}

/* Only what was due when the round began: a timer that re-arms itself at once cannot starve the rest. */
static void run_timers(struct loop *l)
{
    for (size_t left = l->timers; left > 0 && l->timers > 0 && l->heap[0]->due.ms <= l->now.ms && !l->stopped; left--) {
        struct loop_timer *t = l->heap[0];
        loop_timer_cancel(l, t);
        t->fn(t->arg);
    }
}

/* ---- posted tasks ---- */

void loop_post(struct loop *l, struct loop_task *task)
{
    pthread_mutex_lock(&l->lock);
    bool fresh = !task->queued, first = l->tasks == NULL;
    if (fresh) {
        task->queued = true;
        task->next = NULL;
        *l->tasks_end = task;
        l->tasks_end = &task->next;
    }
    pthread_mutex_unlock(&l->lock);
    uint64_t one = 1;
    if (fresh && first && write(l->wake_fd, &one, sizeof one) < 0) {
        /* Only a full counter refuses, and then the loop is awake anyway. */
    }
}

void loop_unpost(struct loop *l, struct loop_task *task)
{
    pthread_mutex_lock(&l->lock);
    struct loop_task **at = &l->tasks;
    while (*at != NULL && *at != task)
        at = &(*at)->next;
    if (*at == task) {
        *at = task->next;
        if (*at == NULL)
            l->tasks_end = at;
        task->queued = false;
    }
    pthread_mutex_unlock(&l->lock);
}

static struct loop_task *next_task(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    struct loop_task *t = l->tasks;
    if (t != NULL) {
        l->tasks = t->next;
        if (l->tasks == NULL)
            l->tasks_end = &l->tasks;
        t->queued = false;
    }
    pthread_mutex_unlock(&l->lock);
    return t;
}

/* Bounded, so that tasks which post tasks leave room for events. */
static void run_tasks(struct loop *l)
{
    struct loop_task *t;
    for (int n = 0; n < LOOP_BATCH && !l->stopped && (t = next_task(l)) != NULL; n++)
        t->fn(t->arg);
}

static bool has_tasks(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    bool any = l->tasks != NULL;
    pthread_mutex_unlock(&l->lock);
    return any;
}

/* ---- rounds ---- */

static int wait_ms(struct loop *l, int max_wait_ms)
{
    if (has_tasks(l))
        return 0;
    if (l->timers == 0)
        return max_wait_ms;
    int64_t left = l->heap[0]->due.ms - clock_mono().ms;
    left = left < 0 ? 0 : left > 60000 ? 60000 : left;
    return max_wait_ms >= 0 && max_wait_ms < left ? max_wait_ms : (int) left;
}

static void drain_wake(struct loop *l)
{
    uint64_t n;
    while (read(l->wake_fd, &n, sizeof n) > 0)
        ;
}

static void dispatch(struct loop *l)
{
    for (l->batch_at = 0; l->batch_at < l->batch_len && !l->stopped;) {
        struct epoll_event *ev = &l->batch[l->batch_at++];
        struct loop_io *io = ev->data.ptr;
        if (ev->events == 0)
            continue;
        if (io == NULL)
            drain_wake(l);
        else
            io->fn(io->arg, ev->events);
    }
    l->batch_len = l->batch_at = 0;
}

void loop_run_once(struct loop *l, int max_wait_ms)
{
    l->now = clock_mono();
    run_tasks(l);
    run_timers(l);
    if (l->stopped)
        return;
    int n = epoll_wait(l->epfd, l->batch, LOOP_BATCH, wait_ms(l, max_wait_ms));
    l->now = clock_mono();
    l->batch_len = n > 0 ? n : 0;
    dispatch(l);
}

struct mono_ms loop_now(const struct loop *l) { return l->now; }
void loop_stop(struct loop *l) { l->stopped = true; }
bool loop_is_stopped(const struct loop *l) { return l->stopped; }

void loop_run(struct loop *l)
{
    while (!l->stopped)
        loop_run_once(l, -1);
}
