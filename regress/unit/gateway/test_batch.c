/* test_batch.c - lanes to a ring that answers when it is told to. */
#include "../unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "backend/gateway/gateway_int.h"

#define ASKED_MAX 80

/* What the ring was asked and has not answered. */
struct asked { uint64_t id; unsigned n; uint8_t first, type; bool answered; };

static struct gateway *g;
static struct child child;
static struct ipc_channel *gw_pm, *pm_gw, *ring;
static struct asked asked[ASKED_MAX];
static unsigned n_asked;

static void on_gone(void *arg, struct ipc_channel *ch, const char *why) {}
static void hears_nothing(void *arg, struct ipc_channel *ch, struct ipc_msg *m) {}

static void ring_hears(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    assert_int_equal(m->type, MSG_PROPOSE);
    assert_true(n_asked < ASKED_MAX);
    struct rd r = rd_of(m->body);
    (void) rd_u8(&r);
    uint8_t type = rd_u8(&r);
    unsigned n = rd_u16(&r);
    asked[n_asked++] = (struct asked){ .id = m->id, .type = type, .n = n, .first = rd_u8(&r) };
}

static void pm_hears(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    uint8_t pid[4] = { 0, 0, 0, 7 };
    int pair[2];
    assert_int_equal(m->type, MSG_CONNECT);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_ok(ipc_open(&ring, pair[0], PROC_RING, PROC_GATEWAY, 1));
    assert_ok(ipc_attach(ring, g->loop, &(struct ipc_handler){ NULL, ring_hears, on_gone }));
    ipc_reply_fd(ch, m->id, slice_of(pid, sizeof pid), pair[1]);
    close(pair[1]);
}

static void turn(int n)
{
    while (n-- > 0)
        loop_run_once(g->loop, 0);
}

static int setup(void **state)
{
    int pair[2];
    g = calloc(1, sizeof *g);
    n_asked = 0;
    memset(asked, 0, sizeof asked);
    assert_ok(loop_new(&g->loop));
    g->child = &child;
    for (int i = 0; i < LANE__COUNT; i++)
        lane_init(g, (enum lane_kind) i);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_ok(ipc_open(&gw_pm, pair[0], PROC_GATEWAY, PROC_POSTMASTER, 0));
    assert_ok(ipc_open(&pm_gw, pair[1], PROC_POSTMASTER, PROC_GATEWAY, 0));
    assert_ok(ipc_attach(gw_pm, g->loop, &(struct ipc_handler){ NULL, hears_nothing, on_gone }));
    assert_ok(ipc_attach(pm_gw, g->loop, &(struct ipc_handler){ NULL, pm_hears, on_gone }));
    assert_ok(ipc_link_open(&g->ring, gw_pm, g->loop, PROC_GATEWAY, PROC_RING, &(struct ipc_link_handler){ 0 }));
    for (int i = 0; i < 20 && !ipc_link_is_up(g->ring); i++)
        turn(1);
    assert_true(ipc_link_is_up(g->ring));
    return 0;
}

/* word: the region's on the whole batch; err: instead of an answer */
static void answer_with(struct asked *a, enum reeve_err err, enum reeve_err word)
{
    uint8_t mem[32];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, 1);
    wr_u16(&w, 1);
    wr_u16(&w, (uint16_t) word);
    wr_str16(&w, slice_str(""));
    wr_str16(&w, slice_str(""));
    a->answered = true;
    if (err == REEVE_OK)
        ipc_reply(ring, a->id, wr_slice(&w));
    else
        ipc_reply_err(ring, a->id, err, NULL);
    turn(4);
}

static void answer(struct asked *a, enum reeve_err err) { answer_with(a, err, REEVE_OK); }

/* Until nothing waits. */
static int teardown(void **state)
{
    for (unsigned i = 0; i < n_asked; i++)
        if (!asked[i].answered)
            answer(&asked[i], REEVE_OK);
    for (int i = 0; i < LANE__COUNT; i++)
        assert_int_equal(g->lane[i].n, 0);
    ipc_link_close(g->ring);
    ipc_close(ring);
    ipc_close(pm_gw);
    ipc_close(gw_pm);
    loop_free(g->loop);
    free(g);
    return 0;
}

static unsigned under_way(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < n_asked; i++)
        n += !asked[i].answered;
    return n;
}

/* n rows of a node; the first byte says whose they are. */
static enum reeve_err say(enum lane_kind lane, uint8_t node, uint16_t n)
{
    uint8_t rows[1000] = { node };
    struct batch_item item = { .ref = { UINT32_MAX, 0 }, .ordinal = node, .n = n };
    enum reeve_err err = lane_add(&g->lane[lane], slice_of(rows, n), &item);
    turn(2);
    return err;
}

static void a_word_that_finds_the_lane_empty_goes_at_once(void **state)
{
    assert_ok(say(LANE_REGISTER, 1, 1));
    assert_int_equal(under_way(), 1);
    assert_int_equal(asked[0].type, RC_REGISTER);
}

static void while_one_is_under_way_single_words_gather(void **state)
{
    for (uint8_t node = 1; node <= 10; node++)
        assert_ok(say(LANE_REGISTER, node, 1));
    assert_int_equal(n_asked, 1);
    answer(&asked[0], REEVE_OK);
    assert_int_equal(n_asked, 2);
    assert_int_equal(asked[1].n, 9);
}

static void full_batches_of_different_nodes_go_side_by_side(void **state)
{
    for (uint8_t node = 1; node <= 8; node++)
        assert_ok(say(LANE_REGISTER, node, 600));
    assert_int_equal(under_way(), 8);
    assert_ok(say(LANE_REGISTER, 9, 600));
    assert_int_equal(under_way(), 8);           /* so many and not more */
    answer(&asked[3], REEVE_OK);
    assert_int_equal(n_asked, 9);
    assert_int_equal(asked[8].first, 9);
}

static void of_one_node_one_batch_at_most_is_under_way(void **state)
{
    assert_ok(say(LANE_REGISTER, 1, 600));
    assert_ok(say(LANE_REGISTER, 2, 600));
    assert_ok(say(LANE_REGISTER, 1, 700));      /* follows the first two */
    assert_ok(say(LANE_REGISTER, 3, 800));      /* follows nobody */
    assert_int_equal(n_asked, 3);
    assert_int_equal(asked[2].first, 3);
    answer(&asked[0], REEVE_OK);
    assert_int_equal(n_asked, 3);               /* what is before it has to be over, all of it */
    answer(&asked[1], REEVE_OK);
    assert_int_equal(n_asked, 4);
    assert_int_equal(asked[3].n, 700);
}

static void a_batch_that_is_repeated_goes_before_what_follows_it(void **state)
{
    assert_ok(say(LANE_REGISTER, 1, 600));
    assert_ok(say(LANE_REGISTER, 2, 600));
    assert_ok(say(LANE_REGISTER, 1, 700));
    answer(&asked[0], REEVE_E_NOT_LEADER);
    answer(&asked[1], REEVE_OK);
    assert_int_equal(n_asked, 2);
    while (n_asked < 3)
        loop_run_once(g->loop, 50);             /* the pause before it is tried again */
    assert_int_equal(asked[2].n, 600);
    assert_int_equal(asked[2].first, 1);
    assert_int_equal(n_asked, 3);
    answer(&asked[2], REEVE_OK);
    assert_int_equal(n_asked, 4);
    assert_int_equal(asked[3].n, 700);
}

static void a_refused_batch_goes_item_by_item_before_all_that_came_later(void **state)
{
    assert_ok(say(LANE_REGISTER, 9, 1));        /* so that the next two share a batch */
    assert_ok(say(LANE_REGISTER, 1, 60));
    assert_ok(say(LANE_REGISTER, 2, 61));
    assert_int_equal(asked[1].n, 121);
    assert_ok(say(LANE_REGISTER, 1, 700));      /* follows */
    answer(&asked[0], REEVE_OK);
    answer_with(&asked[1], REEVE_OK, REEVE_E_MALFORMED);
    static const unsigned want[] = { 60, 61, 700 };
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(n_asked, 3 + i);
        assert_int_equal(asked[2 + i].n, want[i]);
        answer(&asked[2 + i], REEVE_OK);
    }
}

static void reports_follow_each_other_however_many(void **state)
{
    for (uint8_t node = 1; node <= 8; node++)
        assert_ok(say(LANE_REPORT, node, 600));
    assert_int_equal(under_way(), 1);
}

static void a_lane_that_is_full_says_so_and_takes_again_later(void **state)
{
    enum reeve_err err = REEVE_OK;
    unsigned n = 0;
    while (n < 100 && (err = say(LANE_REGISTER, (uint8_t) (n + 1), 600)) == REEVE_OK)
        n++;
    assert_int_equal(n, 64);
    assert_err(err, REEVE_E_BUSY);
    answer(&asked[0], REEVE_OK);
    assert_ok(say(LANE_REGISTER, 200, 600));
    for (unsigned i = 1; i < n_asked; i++)
        answer(&asked[i], REEVE_OK);
    assert_int_equal(n_asked, 65);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_word_that_finds_the_lane_empty_goes_at_once),
        T(while_one_is_under_way_single_words_gather),
        T(full_batches_of_different_nodes_go_side_by_side),
        T(of_one_node_one_batch_at_most_is_under_way),
        T(a_batch_that_is_repeated_goes_before_what_follows_it),
        T(a_refused_batch_goes_item_by_item_before_all_that_came_later),
        T(reports_follow_each_other_however_many),
        T(a_lane_that_is_full_says_so_and_takes_again_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
