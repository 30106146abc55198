/* state.c - the queue before the state writer, its thread, and the way back into the loop. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "backend/ring/state_int.h"
#include "backend/utils/clock.h"

struct state {
    struct loop *loop;
    struct state_host host;
    bool keep;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, rest;          /* for the thread; for whoever drains */

    /* Under the lock. Runs are counted from the start on. */
    struct state_run *queue, **queue_tail;
    uint64_t n_put, n_applied, n_synced;
    bool flush, stop;
    enum reeve_err stalled, fatal;

    /* The loop's. */
    struct loop_task task;
    struct state_run *under_way, **under_way_tail, *untold;     /* by later; the first whose answers were not reported */
    uint64_t told_applied, told_synced;

    /* The thread's. */
    struct state_txn txn;
    uint64_t taken;
    bool wanted;                        /* somebody waits for this transaction's sync */
    int64_t opened_ms;
    unsigned last_n;                    /* commands in the last one */
};

/* ---- the thread: what it says ---- */

static void publish(struct state *s, uint64_t applied, uint64_t synced)
{
    pthread_mutex_lock(&s->lock);
    s->n_applied = applied;
    if (synced > s->n_synced)
        s->n_synced = synced;
    pthread_cond_broadcast(&s->rest);
    pthread_mutex_unlock(&s->lock);
    loop_post(s->loop, &s->task);
}

static bool end_broken(struct state *s, enum reeve_err err)
{
    pthread_mutex_lock(&s->lock);
    s->fatal = err;
    pthread_cond_broadcast(&s->rest);
    pthread_mutex_unlock(&s->lock);
    loop_post(s->loop, &s->task);
    return false;
}

static bool all_synced(struct state *s)
{
    s->last_n = s->txn.n;
    state_txn_take(&s->txn);
    s->wanted = false;
    publish(s, s->taken, s->taken);
    return true;
}

/* ---- the thread: when the store takes nothing (S4) ---- */

/* No room now is no end; anything else at the store is. */
static bool passes(enum reeve_err err)
{
    return err == REEVE_E_DISK_FULL || err == REEVE_E_NOMEM || err == REEVE_E_BUSY;
}

static void sleep_until(struct state *s, int64_t mono_ms)
{
    struct timespec at = { mono_ms / 1000, mono_ms % 1000 * 1000000 };
    pthread_cond_timedwait(&s->work, &s->lock, &at);
}

/* False: the end is wanted. */
static bool rest_stalled(struct state *s, enum reeve_err err)
{
    int64_t until = clock_mono().ms + STATE_RETRY_MS;
    pthread_mutex_lock(&s->lock);
    s->stalled = err;
    pthread_cond_broadcast(&s->rest);
    while (!s->stop && clock_mono().ms < until)
        sleep_until(s, until);
    bool go_on = !s->stop;
    pthread_mutex_unlock(&s->lock);
    return go_on;
}

static bool try_again(struct state *s, enum reeve_err err)
{
    while (err != REEVE_OK) {
        if (!passes(err))
            return end_broken(s, err);
        if (!rest_stalled(s, err))
            return false;
        err = state_txn_again(&s->txn);
        if (err == REEVE_OK)
            err = state_txn_commit(&s->txn);
    }
    pthread_mutex_lock(&s->lock);
    s->stalled = REEVE_OK;
    pthread_mutex_unlock(&s->lock);
    return all_synced(s);
}

static void answer_all(struct state_run *run, enum reeve_err err)
{
    for (struct state_command *c = run->first; c; c = c->next) {
        state_command_clear(c);
        c->err = err;
    }
}

static enum reeve_err try_one(struct state *s, struct state_run *run)
{
    answer_all(run, REEVE_OK);
    enum reeve_err err = state_txn_add(&s->txn, run);
    if (err == REEVE_OK)
        err = state_txn_commit(&s->txn);
    state_txn_take(&s->txn);
    return err;
}

/* Alone it failed alone; of several each has its own try. */
static bool try_singly(struct state *s, enum reeve_err err)
{
    struct state_run *run = state_txn_take(&s->txn), *next;
    bool several = run->next != NULL;
    for (; run; run = next) {
        next = run->next;
        if (several)
            err = try_one(s, run);
        if (err != REEVE_OK && !passes(err))
            return end_broken(s, err);
        if (err != REEVE_OK)
            answer_all(run, err);
    }
    return all_synced(s);
}

/* The transaction is over and nothing of it happened. */
static bool recover(struct state *s, enum reeve_err err)
{
    if (!passes(err))
        return end_broken(s, err);
    return s->keep ? try_again(s, err) : try_singly(s, err);
}

/* ---- the thread: its round ---- */

static bool add(struct state *s, struct state_run *run)
{
    if (s->txn.first == NULL)
        s->opened_ms = clock_mono().ms;
    s->taken++;
    s->wanted |= !run->early;
    enum reeve_err err = state_txn_add(&s->txn, run);
    if (err != REEVE_OK)
        return recover(s, err);
    if (s->keep)
        publish(s, s->taken, 0);
    return true;
}

static bool sync_now(struct state *s)
{
    enum reeve_err err = state_txn_commit(&s->txn);
    return err == REEVE_OK ? all_synced(s) : recover(s, err);
}

enum step { STEP_APPLY, STEP_SYNC, STEP_END, STEP_WAIT };

static bool has_room(const struct state_txn *t)
{
    return t->n < STATE_TXN_COMMANDS && t->bytes < STATE_TXN_BYTES;
}

/* When the open transaction is to be synced, at the latest. */
static int64_t sync_at(const struct state *s)
{
    if (s->flush || s->stop || !has_room(&s->txn))
        return 0;
    if (!s->wanted)
        return s->opened_ms + STATE_HOLD_MS;
    return s->last_n >= STATE_GATHER_FROM ? s->opened_ms + STATE_GATHER_MS : 0;
}

static enum step decide(struct state *s)
{
    if (s->queue && has_room(&s->txn))
        return STEP_APPLY;
    if (s->txn.first)
        return clock_mono().ms >= sync_at(s) ? STEP_SYNC : STEP_WAIT;
    s->flush = false;
    return s->stop ? STEP_END : STEP_WAIT;
}

static enum step next_step(struct state *s, struct state_run **run)
{
    enum step step;
    pthread_mutex_lock(&s->lock);
    while ((step = decide(s)) == STEP_WAIT) {
        if (s->txn.first)
            sleep_until(s, sync_at(s));
        else
            pthread_cond_wait(&s->work, &s->lock);
    }
    if (step == STEP_APPLY) {
        *run = s->queue;
        s->queue = s->queue->next;
        if (s->queue == NULL)
            s->queue_tail = &s->queue;
    }
    pthread_mutex_unlock(&s->lock);
    return step;
}

static void *thread_main(void *arg)
{
    struct state *s = arg;
    struct state_run *run = NULL;
    enum step step;
    bool ok = true;
    while (ok && (step = next_step(s, &run)) != STEP_END)
        ok = step == STEP_APPLY ? add(s, run) : sync_now(s);
    if (s->txn.txn)
        state_txn_abort(&s->txn);
    return NULL;
}

/* ---- the loop's side ---- */

static struct state_run *cut_synced(struct state *s, uint64_t n_synced)
{
    struct state_run *first = s->under_way, *last = NULL;
    for (; s->told_synced < n_synced; s->told_synced++) {
        last = s->under_way;
        s->under_way = last->later;
    }
    if (last == NULL)
        return NULL;
    if (s->under_way == NULL)
        s->under_way_tail = &s->under_way;
    last->later = NULL;
    return first;
}

static void report_applied(struct state *s, uint64_t n_applied)
{
    while (s->told_applied < n_applied) {
        struct state_run *run = s->untold;
        s->untold = run->later;
        s->told_applied++;
        if (s->host.applied)
            s->host.applied(s->host.arg, run);
    }
}

static void deliver(void *arg)
{
    struct state *s = arg;
    pthread_mutex_lock(&s->lock);
    uint64_t applied = s->n_applied, synced = s->n_synced;
    enum reeve_err fatal = s->fatal;
    pthread_mutex_unlock(&s->lock);
    report_applied(s, applied);
    struct state_run *runs = cut_synced(s, synced);
    if (runs)
        s->host.synced(s->host.arg, runs);
    if (fatal != REEVE_OK)
        s->host.fatal(s->host.arg, fatal);
}

void state_put(struct state *s, struct state_run *run)
{
    run->next = run->later = NULL;
    *s->under_way_tail = run;
    s->under_way_tail = &run->later;
    if (s->untold == NULL)
        s->untold = run;
    pthread_mutex_lock(&s->lock);
    *s->queue_tail = run;
    s->queue_tail = &run->next;
    s->n_put++;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}

void state_flush(struct state *s)
{
    pthread_mutex_lock(&s->lock);
    s->flush = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}

enum reeve_err state_stalled(struct state *s)
{
    pthread_mutex_lock(&s->lock);
    enum reeve_err err = s->stalled;
    pthread_mutex_unlock(&s->lock);
    return err;
}

/* What is given back may bring more. */
void state_drain(struct state *s)
{
    bool end = false;
    while (!end) {
        state_flush(s);
        pthread_mutex_lock(&s->lock);
        while (s->n_synced < s->n_put && s->stalled == REEVE_OK && s->fatal == REEVE_OK)
            pthread_cond_wait(&s->rest, &s->lock);
        pthread_mutex_unlock(&s->lock);
        deliver(s);
        end = s->under_way == NULL || state_stalled(s) != REEVE_OK;
    }
}

/* ---- life ---- */

/* Signals are the loop's. */
static int start_thread(struct state *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&s->thread, NULL, thread_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static void init_lock(struct state *s)
{
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, &mono);
    pthread_cond_init(&s->rest, &mono);
    pthread_condattr_destroy(&mono);
}

static void destroy(struct state *s)
{
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->rest);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

enum reeve_err state_start(struct state **out, struct loop *loop, struct storage *store, uint64_t index, bool keep,
                           const struct state_host *host)
{
    struct state *s = calloc(1, sizeof *s);
    if (s == NULL)
        return REEVE_E_NOMEM;
    s->loop = loop;
    s->host = *host;
    s->keep = keep;
    s->queue_tail = &s->queue;
    s->under_way_tail = &s->under_way;
    s->task = (struct loop_task){ .fn = deliver, .arg = s };
    state_txn_init(&s->txn, store, index, &s->host);
    init_lock(s);
    if (start_thread(s) != 0) {
        destroy(s);
        return REEVE_E_NOMEM;
    }
    *out = s;
    return REEVE_OK;
}

void state_stop(struct state *s, struct state_run **left)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    deliver(s);
    loop_unpost(s->loop, &s->task);
    *left = s->under_way;
    destroy(s);
}

void state_command_clear(struct state_command *c)
{
    wr_free(&c->result);
    free(c->rep);
    c->rep = NULL;
    c->err = REEVE_OK;
    c->index = 0;
}
