/* test_broker.c - the postmaster introduces processes to each other, also to those that are just dying. */
#include "../unit.h"

#include <unistd.h>

#include "backend/postmaster/pm_int.h"

#define NOBODY INT32_MAX        /* no process has this pid: a signal to it reaches none */

/* One ring that the postmaster knows, one gateway that asks for it. */
static struct pm *pm;
static struct ipc_channel *ring, *asker, *pm_asker;
static unsigned answers, introduced;
static struct ipc_answer answer;

static void ring_hears(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    introduced += m->type == MSG_PEER && m->fd >= 0;
}

static void on_gone(void *arg, struct ipc_channel *ch, const char *why) {}

static void asker_hears(void *arg, struct ipc_channel *ch, struct ipc_msg *m) {}

static void on_answer(void *arg, struct ipc_answer *a)
{
    answers++;
    answer = *a;
    if (a->fd >= 0)
        close(a->fd);
}

static void turn(int n)
{
    while (n-- > 0)
        loop_run_once(pm->loop, 0);
}

static struct ipc_channel *child_of(enum proc_kind kind, struct ipc_channel **parents, struct ipc_handler h)
{
    struct ipc_channel *ch;
    int fd;
    assert_ok(pm_channel(pm, kind, parents, &fd));
    assert_ok(pm_channel_attach(pm, *parents));
    assert_ok(ipc_open(&ch, fd, kind, PROC_POSTMASTER, 0));
    assert_ok(ipc_attach(ch, pm->loop, &h));
    return ch;
}

static int setup(void **state)
{
    pm = calloc(1, sizeof *pm);
    answers = introduced = 0;
    assert_ok(loop_new(&pm->loop));
    pm->state = PM_RUNNING;
    pm->n_services = 1;
    pm->services[0] = (struct service){ .pm = pm, .kind = PROC_RING, .pid = NOBODY };
    ring = child_of(PROC_RING, &pm->services[0].ch, (struct ipc_handler){ NULL, ring_hears, on_gone });
    asker = child_of(PROC_GATEWAY, &pm_asker, (struct ipc_handler){ NULL, asker_hears, on_gone });
    assert_ok(ipc_send(ring, MSG_READY, slice_of(NULL, 0), -1));
    turn(3);
    return 0;
}

static int teardown(void **state)
{
    ipc_close(asker);
    ipc_close(ring);
    ipc_close(pm_asker);
    ipc_close(pm->services[0].ch);
    loop_free(pm->loop);
    free(pm);
    return 0;
}

static void ask_for_the_ring(void)
{
    uint8_t kind = PROC_RING;
    assert_ok(ipc_request(asker, MSG_CONNECT, slice_of(&kind, 1), 0, on_answer, NULL));
    turn(5);
    assert_int_equal(answers, 1);
}

static void who_asks_for_a_ready_service_is_introduced(void **state)
{
    ask_for_the_ring();
    assert_ok(answer.err);
    assert_int_equal(introduced, 1);
}

/* A killed process loses its sockets first and is reaped later: whoever asks in between must hear "not now". */
static void a_service_whose_channel_is_gone_is_not_ready_before_it_is_reaped(void **state)
{
    ipc_close(ring);
    ring = NULL;
    turn(3);
    assert_null(pm->services[0].ch);
    assert_null(pm_service_ready(pm, PROC_RING));
    ask_for_the_ring();
    assert_err(answer.err, REEVE_E_AGAIN);
    assert_false(pm_services_all_ready(pm));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_asks_for_a_ready_service_is_introduced, setup, teardown),
        cmocka_unit_test_setup_teardown(a_service_whose_channel_is_gone_is_not_ready_before_it_is_reaped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
