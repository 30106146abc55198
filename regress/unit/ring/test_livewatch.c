/*
 * test_livewatch.c - a million nodes that fall silent at one moment: what the watch proposes, how much at a time
 *
 * Scenario 57 of docs/design/raft-scenarios.md. The watch is the real one; the region is an array of a million states, and the
 * clock, the heartbeats, the settings and whoever takes proposals are this test's (--wrap in local.am).
 */
#include "../unit.h"

#include "backend/ring/driver_int.h"
#include "backend/utils/clock.h"

#define N       1000000u
#define LATE_MS 30000
#define LOST_MS 90000
#define MINUTE  60000

static struct ring ring;
static struct child child;
static struct ring_view view;
static struct livewatch *watch;
static uint8_t state[N];                /* as the region has them */
static uint32_t heard_s[N];
static int64_t now_ms;
static uint8_t issue;                   /* severity of mass_silence */
static uint32_t of[8];                  /* how many nodes in each state */
static size_t largest;                  /* transitions in one proposal */
static unsigned proposals;

/* ---- what the watch calls ---- */

typeof(clock_wall) __wrap_clock_wall;
typeof(liveness_get) __wrap_liveness_get;
typeof(settings_int) __wrap_settings_int;
typeof(region_node_count) __wrap_region_node_count;
typeof(region_node_get) __wrap_region_node_get;
typeof(issue_set) __wrap_issue_set;
typeof(ring_propose) __wrap_ring_propose;

struct wall_ms __wrap_clock_wall(void) { return (struct wall_ms){ now_ms }; }
uint32_t __wrap_liveness_get(const struct liveness *l, uint32_t ordinal) { return heard_s[ordinal]; }

int64_t __wrap_settings_int(const struct settings *s, enum setting_id id)
{
    return id == SET_node_late_after ? LATE_MS : LOST_MS;
}

enum reeve_err __wrap_region_node_count(struct region *r, uint32_t *n)
{
    *n = N;
    return REEVE_OK;
}

enum reeve_err __wrap_region_node_get(struct region *r, uint32_t ordinal, struct node_row *out)
{
    out->state = state[ordinal];
    return REEVE_OK;
}

void __wrap_issue_set(struct ring *r, struct ring_view *v, const char *kind, const struct name *object, uint8_t severity,
                      const char *message, const char *hint)
{
    issue = severity;
}

/* Applied at once. */
enum reeve_err __wrap_ring_propose(struct proposer *p, struct slice command, propose_done *done, void *arg)
{
    struct rd r = rd_of(command);
    assert_int_equal(rd_u8(&r), 1);
    assert_int_equal(rd_u8(&r), RC_LIVENESS);
    assert_int_equal(rd_u64(&r), now_ms);
    uint16_t n = rd_u16(&r);
    for (unsigned i = 0; i < n; i++) {
        uint32_t ordinal = rd_u32(&r);
        uint8_t to = rd_u8(&r);
        assert_true(ordinal < N && to != state[ordinal]);
        of[state[ordinal]]--;
        of[to]++;
        state[ordinal] = to;
    }
    assert_true(!r.bad && rd_left(&r) == 0);
    proposals++;
    largest = n > largest ? n : largest;
    return REEVE_OK;
}

/* ---- time ---- */

static void hear_all(void)
{
    for (uint32_t i = 0; i < N; i++)
        heard_s[i] = (uint32_t) (now_ms / 1000);
}

/* As the driver does; step: until the next one, a second in a server. False: nothing was to be changed. */
static bool one_round(int64_t step_ms)
{
    unsigned before = proposals;
    livewatch_run(&ring, watch, &view);
    now_ms += step_ms;
    assert_true(proposals - before <= 1);
    return proposals > before;
}

static int setup(void **s)
{
    now_ms = 1000000000;
    ring.child = &child;
    ring.liveness = (struct liveness *) &ring;          /* never looked into */
    watch = livewatch_new();
    memset(state, NODE_LIVE, sizeof state);
    memset(of, 0, sizeof of);
    of[NODE_LIVE] = N;
    hear_all();
    proposals = 0;
    largest = 0;
    return watch == NULL;
}

static int teardown(void **s)
{
    livewatch_free(watch);
    return 0;
}

static void while_they_are_heard_nothing_is_proposed(void **s)
{
    for (int i = 0; i < 20; i++) {
        hear_all();
        assert_false(one_round(1000));
    }
    assert_int_equal(issue, 0);
}

/* All timers end in the same second; the log gets a thousand transitions a round, whoever else writes is between them. */
static void a_million_at_once_are_late_by_the_thousand(void **s)
{
    clock_t most = 0;
    now_ms += LATE_MS + 1000;
    for (unsigned i = 1; i <= 100; i++) {
        clock_t begin = clock();
        assert_true(one_round(0));
        most = clock() - begin > most ? clock() - begin : most;
        assert_int_equal(of[NODE_LATE], i * REGION_BATCH_MAX);
    }
    assert_int_equal(largest, REGION_BATCH_MAX);
    printf("# the longest of 100 rounds took %.1f ms of CPU\n", (double) most * 1000 / CLOCKS_PER_SEC);
}

/* ... and of them a tenth at most is lost in a minute. What is written down takes longer than that: it is an issue at once. */
static void a_million_at_once_are_a_mass_from_the_first_round(void **s)
{
    now_ms += LOST_MS + 1000;
    int64_t began = now_ms;
    while (now_ms < began + 2 * MINUTE) {
        uint32_t minutes = (uint32_t) ((now_ms - began) / MINUTE + 1);
        assert_true(one_round(1000));
        assert_int_equal(issue, 3);
        assert_true(of[NODE_LOST] <= minutes * (N / 10));
    }
    assert_int_equal(largest, REGION_BATCH_MAX);
    assert_true(of[NODE_LOST] >= N / 10);
    hear_all();
    unsigned rounds = of[NODE_LOST] / REGION_BATCH_MAX;
    for (unsigned i = 0; i < rounds; i++) {
        assert_true(one_round(0));
        assert_int_equal(issue, 0);
    }
    assert_int_equal(of[NODE_LIVE], N);
}

/* A twentieth is no mass, though it takes more than one round. */
static void fifty_thousand_of_a_million_are_no_mass(void **s)
{
    now_ms += 2 * MINUTE;
    hear_all();
    for (uint32_t i = 0; i < N / 20; i++)
        heard_s[i * 20] = (uint32_t) ((now_ms - LOST_MS) / 1000 - 1);
    while (one_round(0))
        assert_int_equal(issue, 0);
    assert_int_equal(of[NODE_LOST], N / 20);
    assert_int_equal(proposals, N / 20 / REGION_BATCH_MAX);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(while_they_are_heard_nothing_is_proposed),
        T(a_million_at_once_are_late_by_the_thousand),
        T(a_million_at_once_are_a_mass_from_the_first_round),
        T(fifty_thousand_of_a_million_are_no_mass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
