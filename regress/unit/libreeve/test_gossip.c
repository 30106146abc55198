/* test_gossip.c - finalized heads told among agents: what makes an agent stop, and what does not. */
#include "gate.h"

#include <unistd.h>

#include "engine/attest_fork.h"

#define ALL   0xfu
#define THREE 0x7u

static struct stage g;
static char dir[64];
static struct fork evidence;

static int setup(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/reeve-gossip-XXXXXX");
    assert_non_null(mkdtemp(dir));
    gate_new(&g, 4);
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = { "cache.mdb", "cache.mdb-lock", "machine.key", "node.key" };
    char path[200];
    gate_free(&g);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static struct agent_store *open_store(void)
{
    struct agent_store *s;
    assert_ok(store_lmdb_open(&s, dir, false, NULL));
    return s;
}

static bool in_service(struct stage *x) { return x->installed_gen != 0 && x->report.result == 2; }
static bool forked(struct stage *x) { return agent_fork(x->a).len > 0; }
static bool shown(struct stage *x) { return x->heads[1] > 0; }
static bool told(struct stage *x) { return x->heads[3] > 0; }

static void start(void)
{
    gate_furnish(&g, CERT_PER_NODE);
    gate_agent(&g, open_store(), true);
    assert_true(gate_until(&g, in_service));
    gate_turns(&g, 20);
    assert_int_equal(agent_freshness(g.a), AGENT_FRESH);
}

/* The true head's header. */
static struct block_header true_header(void)
{
    struct attest_head h;
    assert_ok(attest_head(&g.w.a, &h));
    return h.header;
}

static uint8_t head_mem[HEAD_BYTES_MAX];

static struct slice made_final(const struct block_header *h, uint64_t signers)
{
    static struct finalization f;
    struct wr w = wr_fixed(head_mem, sizeof head_mem);
    finalize_by(&g.w, &f, h, signers);
    finalization_encode(&f, &w);
    assert_false(w.bad);
    return wr_slice(&w);
}

/* What that many validators made final at the height of the true head, and the log never had. */
static struct slice other_head(uint64_t signers)
{
    struct block_header h = true_header();
    h.log_root.b[0] ^= 1;
    return made_final(&h, signers);
}

static void assert_goes_on(void)
{
    assert_false(forked(&g));
    uint64_t ticks = agent_stats(g.a)->ticks;
    g.w.now.ms = g.now.wall.ms += 60000;
    gate_tick(&g);
    gate_turns(&g, 20);
    assert_int_equal(agent_stats(g.a)->ticks, ticks + 1);
    assert_int_equal(agent_freshness(g.a), AGENT_FRESH);
}

static void assert_stopped(void)
{
    uint64_t ticks = agent_stats(g.a)->ticks;
    assert_true(gate_until(&g, told));
    g.w.now.ms = g.now.wall.ms += 60000;
    gate_tick(&g);
    gate_turns(&g, 20);
    assert_int_equal(agent_stats(g.a)->ticks, ticks);
    assert_int_equal(agent_freshness(g.a), AGENT_STALE);
    assert_int_equal(agent_phase(g.a), AP_READY);       /* the region goes on hearing of the node */
}

static enum reeve_err judged(struct slice bytes, struct fork_facts *f)
{
    struct attest_head h;
    assert_ok(attest_head(&g.w.a, &h));
    assert_ok(fork_decode(&evidence, bytes));
    return fork_judge(&crypto_ops_real, &evidence, &h.chain_id, &g.w.genesis.set, &h.set_hash, f);
}

/* ---- what does not stop it ---- */

static void connected_it_shows_its_head(void **state)
{
    start();
    assert_true(g.heads[1] >= 1);
    gate_cut(&g);
    g.heads[1] = 0;
    assert_true(gate_until(&g, shown));                 /* on every connection */
}

static void what_peers_tell_of_the_same_history_changes_nothing(void **state)
{
    start();
    for (int i = 0; i < 100; i++)
        agent_heard(g.a, agent_head(g.a), g.now);
    struct block_header h = true_header();
    h.height += 5;
    h.view += 5;
    h.time.ms += 5000;
    h.log_size += 1;
    h.log_root.b[0] ^= 1;
    agent_heard(g.a, made_final(&h, ALL), g.now);       /* later than what it knows: not to be judged yet */
    assert_int_equal(agent_stats(g.a)->heads_ignored, 0);
    assert_goes_on();
}

static void no_junk_stops_it_and_no_flood_of_it_hides_the_truth(void **state)
{
    struct block_header h, forged;
    start();
    forged = true_header();
    forged.log_root.b[0] ^= 1;
    struct slice few = made_final(&forged, 0x3);        /* two of four are no quorum */
    agent_heard(g.a, few, g.now);
    h = true_header();
    h.chain_id.b[0] ^= 1;
    h.log_root.b[0] ^= 1;
    agent_heard(g.a, made_final(&h, ALL), g.now);
    h = true_header();
    h.epoch++;
    agent_heard(g.a, made_final(&h, ALL), g.now);
    struct slice broken = other_head(ALL);
    head_mem[broken.len - 1] ^= 1;
    agent_heard(g.a, broken, g.now);
    for (size_t len = 0; len < broken.len; len += 13)
        agent_heard(g.a, slice_of(head_mem, len), g.now);
    agent_heard(g.a, slice_of(head_mem, sizeof head_mem), g.now);
    for (int i = 0; i < 5000; i++) {
        h = true_header();
        h.log_root.b[1] ^= (uint8_t) (1 + i % 255);
        agent_heard(g.a, i % 100 ? broken : made_final(&h, 0x3), g.now);
    }
    assert_true(agent_stats(g.a)->heads_ignored > 5000);
    assert_goes_on();
    g.now.mono.ms += 120000;                            /* it looks again when the flood is over */
    agent_heard(g.a, made_final(&forged, ALL), g.now);  /* of the header that was junk under too few signatures */
    assert_true(forked(&g));
}

static void a_gateway_cannot_stop_it_with_junk(void **state)
{
    struct wire_frame f = wire_frame_of(WF_HEADS);
    uint8_t mem[200];
    start();
    memset(mem, 7, sizeof mem);
    for (uint8_t kind = 2; kind <= 3; kind++) {
        f.u.heads.kind = kind;
        f.u.heads.head = slice_of(mem, sizeof mem);
        gate_send(&g, &f);
    }
    f.u.heads.kind = 2;
    f.u.heads.head = other_head(0x3);
    gate_send(&g, &f);
    gate_turns(&g, 20);
    assert_goes_on();
}

/* ---- what does ---- */

static void two_final_heads_of_one_height_stop_it_and_name_the_culprits(void **state)
{
    struct fork_facts facts;
    char who[100];
    start();
    agent_heard(g.a, other_head(THREE), g.now);
    assert_true(forked(&g));
    assert_stopped();
    assert_true(slice_eq(wr_slice(&g.evidence), agent_fork(g.a)));
    assert_ok(judged(wr_slice(&g.evidence), &facts));
    assert_true(facts.proven);
    assert_int_equal(facts.signers, THREE);             /* the fourth signed one of them only */
    fork_describe(&facts, &g.w.genesis.set, who, sizeof who);
    assert_non_null(strstr(who, "culprits: "));
    assert_null(strstr(who, (const char *) g.w.genesis.set.v[3].name.s));
}

static void of_two_views_there_are_suspects_only(void **state)
{
    struct fork_facts facts;
    start();
    struct block_header h = true_header();
    h.view += 3;
    agent_heard(g.a, made_final(&h, ALL), g.now);
    assert_true(forked(&g));
    assert_ok(judged(agent_fork(g.a), &facts));
    assert_false(facts.proven);
}

static void it_stays_stopped_over_restarts_and_tells_every_gateway(void **state)
{
    start();
    agent_heard(g.a, other_head(ALL), g.now);
    assert_true(forked(&g));
    gate_turns(&g, 5);
    gate_agent_end(&g);
    g.heads[3] = 0;
    gate_agent(&g, open_store(), false);
    assert_true(forked(&g));
    assert_stopped();
}

/* At its height the agent's own gateway shows another block than the peer's. */
static void a_head_of_before_is_asked_about(void **state)
{
    struct wire_frame f = wire_frame_of(WF_HEADS);
    start();
    struct block_header was = true_header();
    g.w.now.ms = g.now.wall.ms += 1000;
    block(&g.w, NULL, 0);
    gate_tick(&g);
    gate_turns(&g, 20);
    struct block_header h = was;
    h.payload_root.b[0] ^= 1;                           /* agrees in all that order is judged by */
    unsigned asked = g.heads[1];
    agent_heard(g.a, made_final(&h, ALL), g.now);
    gate_turns(&g, 20);
    assert_false(forked(&g));
    assert_int_equal(g.heads[1], asked + 1);
    f.u.heads.kind = 2;
    f.u.heads.head = made_final(&was, ALL);
    gate_send(&g, &f);
    gate_turns(&g, 20);
    assert_true(forked(&g));
    assert_stopped();
}

/* A head that was told too early is judged by the agent's own chain when that has come there. */
static void a_head_from_ahead_is_judged_when_its_height_has_come(void **state)
{
    start();
    g.w.now.ms = g.now.wall.ms += 1000;
    block(&g.w, NULL, 0);                               /* the gateway keeps it to itself for now */
    struct block_header h = true_header();
    agent_heard(g.a, made_final(&h, ALL), g.now);
    h.payload_root.b[0] ^= 1;
    agent_heard(g.a, made_final(&h, THREE), g.now);
    assert_false(forked(&g));
    unsigned asked = g.heads[1];
    gate_push(&g);                                      /* the head of that height */
    gate_turns(&g, 20);
    assert_true(forked(&g));
    assert_int_equal(g.heads[1], asked);                /* nobody had to be asked */
}

/* Heads of long ago are true and tell nothing: they cost no verification. */
static void replayed_heads_cost_nothing(void **state)
{
    start();
    struct block_header h = true_header();
    h.time.ms -= 2 * 3600000;
    h.height = 1;
    h.view = 1;
    h.log_size = 1;
    for (int i = 0; i < 50; i++)
        agent_heard(g.a, made_final(&h, ALL), g.now);
    assert_int_equal(agent_stats(g.a)->heads_ignored, 50);
    agent_heard(g.a, other_head(ALL), g.now);
    assert_true(forked(&g));
}

static void evidence_from_the_gateway_is_judged(void **state)
{
    static struct fork k;
    struct block_header h;
    struct wire_frame f = wire_frame_of(WF_HEADS);
    struct wr w = wr_heap(FORK_BYTES_MAX);
    start();
    h = true_header();
    finalize_by(&g.w, &k.a, &h, ALL);
    h.log_root.b[0] ^= 1;
    finalize_by(&g.w, &k.b, &h, ALL);
    fork_encode(&k, &w);
    f.u.heads.kind = 3;
    f.u.heads.head = wr_slice(&w);
    w.p[w.len - 1] ^= 1;
    gate_send(&g, &f);
    gate_turns(&g, 20);
    assert_goes_on();
    w.p[w.len - 1] ^= 1;
    gate_send(&g, &f);
    gate_turns(&g, 20);
    assert_true(forked(&g));
    wr_free(&w);
}

/* The newest head is remembered: after a restart a gateway cannot show another block of its height. */
static void over_a_restart_it_remembers_the_newest_head(void **state)
{
    start();
    uint8_t mem[HEAD_BYTES_MAX];
    size_t len = agent_head(g.a).len;
    memcpy(mem, agent_head(g.a).p, len);
    gate_agent_end(&g);
    g.refuse_tcp = true;
    gate_agent(&g, open_store(), false);
    gate_turns(&g, 5);
    assert_true(slice_eq(agent_head(g.a), slice_of(mem, len)));
    assert_int_equal(agent_freshness(g.a), AGENT_STALE);
    struct block_header h = true_header();
    h.state_root.b[0] ^= 1;
    agent_heard(g.a, made_final(&h, ALL), g.now);
    assert_true(forked(&g));
}

static void spoil(struct stage *x, uint8_t *bundle, size_t len)
{
    static struct finalization f;
    struct rd r = rd_of(slice_of(bundle + 1, len - 1));
    struct wr w = wr_fixed(bundle + 1, len - 1);
    assert_ok(finalization_decode(&f, &r));
    struct block_header h = f.header;
    h.state_root.b[0] ^= 1;
    finalize_by(&x->w, &f, &h, ALL);
    finalization_encode(&f, &w);
}

static void a_tick_of_the_same_height_with_other_bytes_is_evidence(void **state)
{
    start();
    gate_turns(&g, 20);
    g.mutate = spoil;
    gate_push(&g);
    gate_turns(&g, 20);
    assert_true(forked(&g));
    g.mutate = NULL;
    assert_stopped();
}

/* ---- evidence as bytes ---- */

static void evidence_with_any_byte_changed_proves_nothing(void **state)
{
    static struct fork k;
    struct fork_facts facts;
    struct attest_head head;
    struct wr w = wr_heap(FORK_BYTES_MAX);
    gate_furnish(&g, CERT_PER_NODE);
    struct block_header h = true_header();
    assert_ok(attest_head(&g.w.a, &head));
    finalize_by(&g.w, &k.a, &h, THREE);
    h.log_root.b[0] ^= 1;
    finalize_by(&g.w, &k.b, &h, THREE);
    fork_encode(&k, &w);
    assert_ok(judged(wr_slice(&w), &facts));
    for (size_t i = 0; i < w.len; i++) {
        w.p[i] ^= (uint8_t) (1 << i % 8);
        if (fork_decode(&evidence, wr_slice(&w)) == REEVE_OK &&
            fork_judge(&crypto_ops_real, &evidence, &head.chain_id, &g.w.genesis.set, &head.set_hash, &facts) == REEVE_OK)
            fail_msg("byte %zu", i);
        w.p[i] ^= (uint8_t) (1 << i % 8);
    }
    k.b = k.a;
    wr_reset(&w);
    fork_encode(&k, &w);
    assert_err(judged(wr_slice(&w), &facts), REEVE_E_NOT_FOUND);
    wr_free(&w);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    T(connected_it_shows_its_head),
    T(what_peers_tell_of_the_same_history_changes_nothing),
    T(no_junk_stops_it_and_no_flood_of_it_hides_the_truth),
    T(a_gateway_cannot_stop_it_with_junk),
    T(two_final_heads_of_one_height_stop_it_and_name_the_culprits),
    T(of_two_views_there_are_suspects_only),
    T(it_stays_stopped_over_restarts_and_tells_every_gateway),
    T(a_head_of_before_is_asked_about),
    T(a_head_from_ahead_is_judged_when_its_height_has_come),
    T(replayed_heads_cost_nothing),
    T(evidence_from_the_gateway_is_judged),
    T(over_a_restart_it_remembers_the_newest_head),
    T(a_tick_of_the_same_height_with_other_bytes_is_evidence),
    T(evidence_with_any_byte_changed_proves_nothing),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
