/* test_loop.c - timers in order, watchers that vanish in the middle, tasks from other threads. */
#include "../unit.h"

#include <pthread.h>
#include <unistd.h>

#include "backend/utils/loop.h"

#define TIMERS 500

static struct loop *l;
static int order[TIMERS], n_order;

static int setup(void **state)
{
    n_order = 0;
    return loop_new(&l) != REEVE_OK;
}

static int teardown(void **state)
{
    loop_free(l);
    return 0;
}

struct numbered { struct loop_timer t; int due; bool canceled; };

static void note(void *arg)
{
    order[n_order++] = ((struct numbered *) arg)->due;
}

static void timers_run_in_the_order_of_their_times_and_canceled_ones_never(void **state)
{
    struct rng r = rng_seeded("timers");
    static struct numbered t[TIMERS];
    int left = TIMERS;
    memset(t, 0, sizeof t);
    for (int i = 0; i < TIMERS; i++) {
        t[i].due = 1 + (int) rng_below(&r, 100);
        assert_ok(loop_timer_at(l, &t[i].t, (struct mono_ms){ t[i].due }, note, &t[i]));
    }
    for (int i = 0; i < TIMERS; i++)
        if (rng_below(&r, 3) == 0) {
            loop_timer_cancel(l, &t[i].t);
            loop_timer_cancel(l, &t[i].t);
            left--;
        } else if (rng_below(&r, 3) == 0) {
            t[i].due = 1 + (int) rng_below(&r, 100);
            assert_ok(loop_timer_at(l, &t[i].t, (struct mono_ms){ t[i].due }, note, &t[i]));
        }
    loop_run_once(l, 0);
    assert_int_equal(n_order, left);
    for (int i = 1; i < n_order; i++)
        assert_true(order[i - 1] <= order[i]);
}

static struct loop_timer again;
static int runs;

static void rearm(void *arg)
{
    runs++;
    assert_ok(loop_timer_at(l, &again, (struct mono_ms){ 1 }, rearm, NULL));
}

static void a_timer_that_rearms_itself_starves_nobody(void **state)
{
    runs = 0;
    memset(&again, 0, sizeof again);
    assert_ok(loop_timer_at(l, &again, (struct mono_ms){ 1 }, rearm, NULL));
    loop_run_once(l, 0);
    assert_int_equal(runs, 1);
}

struct pair { struct loop_io a, b; int fd[2][2]; int ran; };

static void kill_other(void *arg, uint32_t revents)
{
    struct pair *p = arg;
    p->ran++;
    loop_io_del(l, &p->a);
    loop_io_del(l, &p->b);
    loop_io_del(l, &p->b);
}

static void a_watcher_deleted_in_the_same_batch_does_not_run(void **state)
{
    struct pair p = { .ran = 0 };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(p.fd[i]), 0);
        assert_int_equal(write(p.fd[i][1], "x", 1), 1);
    }
    assert_ok(loop_io_add(l, &p.a, p.fd[0][0], EPOLLIN, kill_other, &p));
    assert_ok(loop_io_add(l, &p.b, p.fd[1][0], EPOLLIN, kill_other, &p));
    loop_run_once(l, 0);
    loop_run_once(l, 0);
    assert_int_equal(p.ran, 1);
    for (int i = 0; i < 4; i++)
        close(p.fd[i / 2][i % 2]);
}

static struct loop_task task;
static int tasks_run;

static void run_task(void *arg)
{
    if (++tasks_run == 3)
        loop_stop(l);
}

static void *poster(void *arg)
{
    while (!loop_is_stopped(l)) {
        loop_post(l, &task);
        usleep(1000);
    }
    return NULL;
}

static void tasks_posted_by_another_thread_wake_the_loop(void **state)
{
    pthread_t thread;
    tasks_run = 0;
    task = (struct loop_task){ .fn = run_task };
    assert_int_equal(pthread_create(&thread, NULL, poster, NULL), 0);
    loop_run(l);
    pthread_join(thread, NULL);
    assert_int_equal(tasks_run, 3);
}

static void a_task_posted_twice_runs_once(void **state)
{
    tasks_run = 0;
    task = (struct loop_task){ .fn = run_task };
    loop_post(l, &task);
    loop_post(l, &task);
    loop_run_once(l, 0);
    loop_run_once(l, 0);
    assert_int_equal(tasks_run, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    T(timers_run_in_the_order_of_their_times_and_canceled_ones_never),
    T(a_timer_that_rearms_itself_starves_nobody),
    T(a_watcher_deleted_in_the_same_batch_does_not_run),
    T(tasks_posted_by_another_thread_wake_the_loop),
    T(a_task_posted_twice_runs_once),
};
UNIT_MAIN(tests)
