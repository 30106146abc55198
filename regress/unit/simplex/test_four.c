/*
 * test_four.c - four validators in one process, from a seed
 *
 * Messages are delayed, lost, duplicated and reordered; one validator may crash
 * and come back with what it had made durable, one may be silent for good, one
 * may equivocate. An oracle that knows nothing of the engine looks at every
 * vote that left a signer and at every commit:
 *   I1 one block per height  I2 never Final and Null in one view
 *   I3 one notarized hash per view  I4 one notarize per view and validator, never finalize and nullify
 *   I5 a committed block's parent is the block committed before it
 * and at the end, with the faults removed, everybody must commit again (I8).
 */
#include "../unit.h"
#include "engine/simplex.h"

#define N 4
#define Q 3
#define VIEWS 4096
#define QUEUE 20000
#define HEIGHTS 2048

struct msg { int64_t at; uint8_t to, from; uint8_t kind; struct simplex_vote vote; struct simplex_cert cert; };
enum { M_PROPOSAL = 1, M_VOTE, M_CERT, M_ANSWER };

struct node {
    struct simplex *s;
    void *mem;
    bool up, mute;
    /* durable: own votes in signing order, the committed block */
    struct simplex_vote signed_votes[VIEWS * 2];
    size_t n_signed;
    struct simplex_block committed;
    uint16_t committed_by;
    uint64_t height;
    bool work;
};

static struct node node[N];
static struct msg *queue;
static size_t n_queue;
static struct rng rng;
static int64_t now;
static unsigned loss_percent;
static bool twin_leader;            /* validator 0 proposes two blocks when he leads */
static uint8_t salt;

/* ---- the oracle ---- */

static struct { struct hash32 hash[N]; bool notarized[N], nullified[N], finalized[N]; struct hash32 fin[N]; } seen[VIEWS];
static struct simplex_block final_at[HEIGHTS];
static bool equivocator[N];

static void oracle_vote(unsigned who, const struct simplex_vote *v)
{
    if (v->type == SX_HEARTBEAT || v->type == SX_PROPOSE)
        return;
    uint64_t view = v->b.view;
    assert_true(view < VIEWS);
    if (v->type == SX_NOTARIZE) {
        assert_true(!seen[view].notarized[who] || hash32_eq(&seen[view].hash[who], &v->b.hash));    /* I4 */
        seen[view].notarized[who] = true;
        seen[view].hash[who] = v->b.hash;
    } else if (v->type == SX_NULLIFY) {
        assert_false(seen[view].finalized[who]);                                                    /* I4 */
        seen[view].nullified[who] = true;
    } else {
        assert_false(seen[view].nullified[who]);
        assert_true(seen[view].notarized[who] && hash32_eq(&seen[view].hash[who], &v->b.hash));     /* S2 */
        seen[view].finalized[who] = true;
        seen[view].fin[who] = v->b.hash;
    }
}

static void oracle_views(void)
{
    for (uint64_t v = 0; v < VIEWS; v++) {
        unsigned null = 0;
        const struct hash32 *notar = NULL;
        bool final = false;
        for (unsigned i = 0; i < N; i++) {
            unsigned same = 0, fin = 0;
            null += seen[v].nullified[i];
            for (unsigned k = 0; k < N; k++) {
                same += seen[v].notarized[i] && seen[v].notarized[k] && hash32_eq(&seen[v].hash[i], &seen[v].hash[k]);
                fin += seen[v].finalized[i] && seen[v].finalized[k] && hash32_eq(&seen[v].fin[i], &seen[v].fin[k]);
            }
            if (same >= Q) {
                assert_true(notar == NULL || hash32_eq(notar, &seen[v].hash[i]));                   /* I3 */
                notar = &seen[v].hash[i];
            }
            final |= fin >= Q;
        }
        assert_false(final && null >= Q);                                                           /* I2 */
    }
}

static void oracle_commit(struct node *n, const struct simplex_block *b)
{
    assert_int_equal(b->height, n->committed.height + 1);
    assert_true(b->height < HEIGHTS);
    assert_true(hash32_eq(&b->parent_hash, &n->committed.hash));                                    /* I5 */
    struct simplex_block *f = &final_at[b->height];
    assert_true(f->height == 0 || hash32_eq(&f->hash, &b->hash));                                   /* I1 */
    *f = *b;
}

/* ---- the network ---- */

static struct sig64 fake_sig(uint16_t who, const struct simplex_vote *v)
{
    struct sig64 s = { { (uint8_t) (who + 1), v->type, (uint8_t) v->b.view, (uint8_t) (v->b.view >> 8), v->b.hash.b[0], v->b.hash.b[1] } };
    return s;
}

static bool verify(void *arg, const struct simplex_vote *v, uint16_t signer, const struct sig64 *sig)
{
    struct sig64 want = fake_sig(signer, v);
    return memcmp(&want, sig, sizeof want) == 0;
}

static void post(uint8_t kind, unsigned from, unsigned to, const struct simplex_vote *v, const struct simplex_cert *c)
{
    if (kind != M_ANSWER && rng_below(&rng, 100) < loss_percent)
        return;
    unsigned copies = kind != M_ANSWER && rng_below(&rng, 20) == 0 ? 2 : 1;
    for (unsigned i = 0; i < copies && n_queue < QUEUE; i++) {
        struct msg *m = &queue[n_queue++];
        m->at = now + 5 + rng_below(&rng, kind == M_ANSWER ? 5 : 60);
        m->kind = kind;
        m->to = (uint8_t) to;
        m->from = (uint8_t) from;
        if (v != NULL)
            m->vote = *v;
        if (c != NULL)
            m->cert = *c;
    }
}

static void broadcast(uint8_t kind, unsigned from, const struct simplex_vote *v, const struct simplex_cert *c)
{
    for (unsigned to = 0; to < N && !node[from].mute; to++)
        if (to != from)
            post(kind, from, to, v, c);
}

/* ---- drivers ---- */

static void feed(unsigned who, const struct simplex_event *e);

static struct simplex_event ev(uint8_t type)
{
    return (struct simplex_event){ .type = type, .now = { now } };
}

static struct hash32 content_of(const struct simplex_block *b, unsigned who)
{
    struct hash32 h = { { (uint8_t) b->view, (uint8_t) (b->view >> 8), (uint8_t) (who + 1), salt } };
    return h;
}

/* A signer with its own durable state: never two notarizes in a view, never finalize and nullify. */
static bool signer_allows(struct node *n, const struct simplex_vote *v)
{
    for (size_t i = n->n_signed; i > 0; i--) {
        const struct simplex_vote *o = &n->signed_votes[i - 1];
        if (o->b.view != v->b.view)
            continue;
        if (o->type == v->type && !hash32_eq(&o->b.hash, &v->b.hash))
            return false;
        if ((o->type == SX_FINALIZE && v->type == SX_NULLIFY) || (o->type == SX_NULLIFY && v->type == SX_FINALIZE))
            return false;
    }
    return true;
}

static void sign(unsigned who, const struct simplex_vote *v)
{
    struct node *n = &node[who];
    bool allowed = signer_allows(n, v);
    struct simplex_event e = ev(allowed ? SXE_SIGNED : SXE_REFUSED);
    /* The engine keeps S1 by itself; only a block whose content changed with a crash may meet the signer's memory. */
    assert_true(allowed || v->type == SX_PROPOSE || v->type == SX_NOTARIZE);
    e.vote = *v;
    e.sig = fake_sig((uint16_t) who, v);
    if (e.type == SXE_SIGNED && v->type != SX_HEARTBEAT) {
        assert_true(n->n_signed < VIEWS * 2);
        n->signed_votes[n->n_signed++] = *v;
        oracle_vote(who, v);
    }
    feed(who, &e);
}

static void equivocate(unsigned who, const struct simplex_vote *v)
{
    struct simplex_vote other = *v;
    salt = 1;
    other.b.hash = content_of(&v->b, who);
    salt = 0;
    for (unsigned to = 0; to < N; to++)
        if (to != who)
            post(M_PROPOSAL, who, to, to % 2 ? v : &other, NULL);
}

static void commit(unsigned who, const struct simplex_effect *f)
{
    struct node *n = &node[who];
    oracle_commit(n, &f->vote.b);
    n->committed = f->vote.b;
    n->height = f->vote.b.height;
    n->committed_by = (uint16_t) (f->vote.b.hash.b[2] - 1);
}

static void behind(unsigned who, const struct simplex_vote *v)
{
    struct simplex_event e = ev(SXE_COMMITTED);
    struct node *n = &node[who];
    for (uint64_t h = n->height + 1; h <= v->b.height; h++) {
        struct simplex_block *b = h == v->b.height ? (struct simplex_block *) &v->b : &final_at[h];
        if (b->height == 0)     /* nobody has committed it yet: ask again later */
            return;
        oracle_commit(n, b);
        n->committed = *b;
        n->height = b->height;
        n->committed_by = (uint16_t) (b->hash.b[2] - 1);
        e.vote.b = *b;
        e.signer = n->committed_by;
    }
    feed(who, &e);
}

static void obey(unsigned who, const struct simplex_effect *f)
{
    struct simplex_event e;
    struct simplex_cert c;
    switch (f->type) {
    case SXF_BUILD:
        e = ev(node[who].work ? SXE_BUILT : SXE_NOT_BUILT);
        e.vote = f->vote;
        e.vote.b.hash = content_of(&f->vote.b, who);
        if (f->vote.b.parent_view != node[who].committed.view)
            e.type = SXE_BUILT;
        feed(who, &e);
        break;
    case SXF_CHECK:
        e = ev(SXE_CHECKED);
        e.vote = f->vote;
        e.flag = true;
        feed(who, &e);
        break;
    case SXF_SIGN:
        sign(who, &f->vote);
        break;
    case SXF_SEND_PROPOSAL:
        if (twin_leader && who == 0)
            equivocate(who, &f->vote);
        else
            broadcast(M_PROPOSAL, who, &f->vote, NULL);
        break;
    case SXF_SEND_VOTE:
        broadcast(M_VOTE, who, &f->vote, NULL);
        break;
    case SXF_SEND_CERT:
        if (simplex_cert_get(node[who].s, (enum simplex_type) f->vote.type, f->vote.b.view, &c) == REEVE_OK)
            broadcast(M_CERT, who, NULL, &c);
        break;
    case SXF_COMMIT:
        commit(who, f);
        break;
    case SXF_BEHIND:
        behind(who, &f->vote);
        break;
    case SXF_EVIDENCE:
        assert_true(equivocator[f->signer]);        /* never against an honest one */
        break;
    }
}

static void feed(unsigned who, const struct simplex_event *e)
{
    struct simplex_effects *out = malloc(sizeof *out);
    simplex_step(node[who].s, e, out);
    assert_true(out->n <= SIMPLEX_EFFECTS_MAX);
    for (size_t i = 0; i < out->n && node[who].up; i++)
        obey(who, &out->e[i]);
    free(out);
}

static void boot(unsigned who)
{
    const struct simplex_config c = { .n = N, .me = (uint16_t) who, .timeout_ms = 400, .timeout_ms_max = 5000, .tick_ms = 20000,
                                      .heartbeat_ms = 500, .standstill_ms = 700, .verify = verify };
    struct node *n = &node[who];
    assert_ok(simplex_init(&n->s, n->mem, simplex_size(), &c, &n->committed, n->committed_by));
    n->up = true;
    for (size_t i = 0; i < n->n_signed; i++) {
        struct simplex_event e = ev(SXE_RESTORE);
        e.vote = n->signed_votes[i];
        e.sig = fake_sig((uint16_t) who, &e.vote);
        if (e.vote.b.view > n->committed.view)
            feed(who, &e);
    }
    struct simplex_event e = ev(SXE_START);
    feed(who, &e);
    e = ev(SXE_WORK);
    e.flag = n->work;
    feed(who, &e);
}

static void deliver(const struct msg *m)
{
    struct simplex_event e = ev(m->kind == M_PROPOSAL ? SXE_PROPOSAL : m->kind == M_VOTE ? SXE_VOTE : SXE_CERT);
    if (!node[m->to].up)
        return;
    e.vote = m->vote;
    e.signer = m->from;
    e.sig = fake_sig(m->from, &m->vote);
    e.cert = &m->cert;
    feed(m->to, &e);
}

/* One millisecond-exact step: the next message or timer, whichever is first. */
static bool turn(int64_t until)
{
    size_t first = n_queue;
    int64_t at = until;
    int timer = -1;
    for (size_t i = 0; i < n_queue; i++)
        if (queue[i].at < at)
            at = queue[first = i].at;
    for (unsigned i = 0; i < N; i++)
        if (node[i].up && simplex_wake(node[i].s).ms < at) {
            at = simplex_wake(node[i].s).ms;
            timer = (int) i;
        }
    if (at >= until)
        return false;
    if (at > now)
        now = at;
    if (timer >= 0) {
        struct simplex_event e = ev(SXE_CLOCK);
        feed((unsigned) timer, &e);
        return true;
    }
    struct msg *m = malloc(sizeof *m);
    *m = queue[first];
    queue[first] = queue[--n_queue];
    deliver(m);
    free(m);
    return true;
}

static void run(int64_t ms)
{
    int64_t until = now + ms;
    size_t turns = 0;
    while (turn(until))
        assert_true(++turns < 2000000);     /* nobody spins */
    now = until;
}

static void set_work(bool on)
{
    for (unsigned i = 0; i < N; i++) {
        struct simplex_event e = ev(SXE_WORK);
        node[i].work = e.flag = on;
        if (node[i].up)
            feed(i, &e);
    }
}

static void world(uint64_t seed)
{
    rng.s = seed;
    now = 1000;
    n_queue = 0;
    loss_percent = 0;
    twin_leader = false;
    memset(seen, 0, sizeof seen);
    memset(final_at, 0, sizeof final_at);
    memset(equivocator, 0, sizeof equivocator);
    for (unsigned i = 0; i < N; i++) {
        void *mem = node[i].mem;
        memset(&node[i], 0, sizeof node[i]);
        node[i].mem = mem ? mem : malloc(simplex_size());
        node[i].committed.hash.b[0] = 9;
        boot(i);
    }
}

static uint64_t lowest(uint64_t except)
{
    uint64_t h = UINT64_MAX;
    for (unsigned i = 0; i < N; i++)
        if (!(except >> i & 1) && node[i].height < h)
            h = node[i].height;
    return h;
}

/* With all faults removed everybody goes on. */
static void must_heal(void)
{
    loss_percent = 0;
    twin_leader = false;
    for (unsigned i = 0; i < N; i++) {
        node[i].mute = false;
        if (!node[i].up)
            boot(i);
    }
    set_work(true);
    run(20000);
    uint64_t h = lowest(0);
    run(20000);
    assert_true(lowest(0) > h + 5);
    oracle_views();
}

/* ---- claims; each over some of the 50 seeds ---- */

static void a_healthy_set_commits_in_step(void **state)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        world(seed);
        set_work(true);
        run(5000);
        assert_true(lowest(0) >= 20);
        for (unsigned i = 0; i < N; i++) {
            struct simplex_status st;
            simplex_status(node[i].s, &st);
            assert_int_equal(st.leader, 0);         /* the leader is stable */
            assert_int_equal(st.failed, 0);
        }
        oracle_views();
    }
}

static void an_idle_set_ticks_and_does_nothing_else(void **state)
{
    world(3);
    for (unsigned i = 0; i < N; i++)
        node[i].work = true;        /* a tick can always be built */
    run(61000);
    assert_true(lowest(0) >= 2 && lowest(0) <= 4);
}

static void a_crashed_leader_is_replaced(void **state)
{
    for (uint64_t seed = 11; seed <= 20; seed++) {
        world(seed);
        set_work(true);
        run(2000);
        node[0].up = false;
        uint64_t h = lowest(1);
        run(5000);
        assert_true(lowest(1) > h + 5);
        must_heal();
    }
}

static void a_dead_leader_is_replaced_while_idle(void **state)
{
    world(5);
    node[0].up = false;
    run(8000);
    struct simplex_status st;
    simplex_status(node[1].s, &st);
    assert_int_equal(st.leader, 1);
    /* so that work then finds a living one */
    set_work(true);
    run(600);
    assert_true(lowest(1) >= 1);
}

static void loss_and_reordering_delay_but_do_not_break(void **state)
{
    for (uint64_t seed = 21; seed <= 30; seed++) {
        world(seed);
        loss_percent = 25;
        set_work(true);
        run(30000);
        oracle_views();
        must_heal();
    }
}

static void crashes_at_any_moment_forget_nothing_that_was_signed(void **state)
{
    for (uint64_t seed = 31; seed <= 40; seed++) {
        world(seed);
        loss_percent = 10;
        set_work(true);
        for (int i = 0; i < 40; i++) {
            unsigned who = rng_below(&rng, N);
            run(50 + rng_below(&rng, 400));
            node[who].up = false;
            run(rng_below(&rng, 300));
            boot(who);
        }
        oracle_views();
        must_heal();
    }
}

static void all_may_crash_at_once(void **state)
{
    for (uint64_t seed = 41; seed <= 45; seed++) {
        world(seed);
        set_work(true);
        for (int i = 0; i < 15; i++) {
            run(20 + rng_below(&rng, 200));
            for (unsigned k = 0; k < N; k++)
                node[k].up = false;
            n_queue = 0;
            for (unsigned k = 0; k < N; k++)
                boot(k);
        }
        must_heal();
    }
}

static void an_equivocating_leader_forks_nothing(void **state)
{
    for (uint64_t seed = 46; seed <= 50; seed++) {
        world(seed);
        twin_leader = equivocator[0] = true;
        set_work(true);
        run(20000);
        oracle_views();
        must_heal();
    }
}

static void two_silent_of_four_stop_everything_and_nothing_is_lost(void **state)
{
    world(7);
    set_work(true);
    run(2000);
    node[2].mute = node[3].mute = true;
    run(1000);
    uint64_t h = node[0].height;
    run(10000);
    assert_true(node[0].height <= h + 1);
    must_heal();
}

static void a_sleeper_finds_back(void **state)
{
    world(8);
    set_work(true);
    node[3].up = false;
    run(30000);
    assert_true(lowest(8) > 100);
    boot(3);
    run(10000);
    assert_true(node[3].height + 10 > lowest(8));
}

static int release(void **state)
{
    for (unsigned i = 0; i < N; i++)
        free(node[i].mem);
    free(queue);
    return 0;
}

int main(void)
{
    queue = malloc(QUEUE * sizeof *queue);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_set_commits_in_step),
        cmocka_unit_test(an_idle_set_ticks_and_does_nothing_else),
        cmocka_unit_test(a_crashed_leader_is_replaced),
        cmocka_unit_test(a_dead_leader_is_replaced_while_idle),
        cmocka_unit_test(loss_and_reordering_delay_but_do_not_break),
        cmocka_unit_test(crashes_at_any_moment_forget_nothing_that_was_signed),
        cmocka_unit_test(all_may_crash_at_once),
        cmocka_unit_test(an_equivocating_leader_forks_nothing),
        cmocka_unit_test(two_silent_of_four_stop_everything_and_nothing_is_lost),
        cmocka_unit_test(a_sleeper_finds_back),
    };
    return cmocka_run_group_tests_name("simplex_four", tests, NULL, release);
}
