/*
 * test_storm.c - a ring under all faults at once, from a seed; then each rule broken in turn must be noticed
 *
 * Loss, repetition, delay, cuts (of one direction too), crashes that lose what
 * was not durable, stalled disks, changes of members, transfers, compaction.
 * The oracle is that of raft_ring.c, and a read must not be older than what was
 * committed when it was asked. At the end the faults are lifted and the ring
 * must heal. The big simulator (reeve-sim raft) drives engine/member; this one
 * is small enough to find in seconds what is wrong with engine/raft alone.
 */
#include "../unit.h"
#include "../../lib/raft_ring.h"
#include "engine/raft_broken.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rr *s;
static const char *wrong;
static uint64_t asked_at[100000];
static uint64_t reads;

static void check_reads(void)
{
    for (uint32_t i = 1; i <= s->n; i++) {
        struct rr_node *n = &s->node[i];
        for (unsigned k = 0; k < n->n_ok && k < 64; k++)
            if (n->read_index[k] < asked_at[n->reads_ok[k]])
                wrong = "a read is older than what was committed before it";
        n->n_ok = 0;
    }
}

static unsigned up(void)
{
    unsigned n = 0;
    for (uint32_t i = 1; i <= s->n; i++)
        n += s->node[i].up;
    return n;
}

static uint32_t anybody(void) { return (uint32_t) (rr_random(s) % s->n) + 1; }

static void read_somewhere(uint32_t id)
{
    if (reads + 1 >= 100000 || !s->node[id].up)
        return;
    asked_at[++reads] = s->committed_last;
    (void) rr_read(s, id, reads);
}

static void change_something(uint32_t l, uint32_t whom)
{
    const struct raft_member *m = raft_conf_find(raft_conf(s->node[l].r), whom);
    if (m == NULL)
        return;
    (void) rr_change(s, l, m->role & RAFT_VOTER ? RAFT_DEMOTE : RAFT_PROMOTE, whom);
}

static void act(void)
{
    uint32_t id = anybody(), l = rr_leader(s);
    switch (rr_random(s) % 40) {
    case 0:
        if (s->node[id].up)
            rr_crash(s, id);
        break;
    case 1:
        s->cut[id][anybody()] = true;
        break;
    case 2:
        rr_isolate(s, id, rr_random(s) % 2);
        break;
    case 3:
    case 4:
        memset(s->cut, 0, sizeof s->cut);
        break;
    case 5:
        s->node[id].disk_stalled = !s->node[id].disk_stalled;
        break;
    case 6:
        if (l)
            change_something(l, id);
        break;
    case 7:
        if (l)
            (void) rr_feed(s, l, (struct raft_event){ .type = RAFT_E_TRANSFER, .peer = id });
        break;
    case 8:
        if (s->node[id].up && s->node[id].applied > 3)
            rr_compact(s, id, s->node[id].applied - rr_random(s) % 3);
        break;
    case 9:
    case 10:
        if (!s->node[id].up)
            rr_boot(s, id, RAFT_START_CLEAN, 0, 0);
        break;
    case 11:
        s->loss = (unsigned) (rr_random(s) % 30);
        s->dup = (unsigned) (rr_random(s) % 20);
        s->delay_jitter_ms = (int64_t) (rr_random(s) % 60);
        s->disk_ms = 1 + (int64_t) (rr_random(s) % 40);
        break;
    case 12:
    case 13:
    case 14:
        read_somewhere(id);
        break;
    case 15:
        if (s->node[id].up)
            (void) rr_feed(s, id, (struct raft_event){ .type = RAFT_E_UNREACHABLE, .peer = anybody() });
        break;
    default:
        if (s->node[id].up)
            (void) rr_propose(s, id, rr_random(s));
        if (l)
            (void) rr_propose(s, l, rr_random(s));
    }
}

static bool healed(struct rr *r)
{
    uint32_t l = rr_leader(r);
    if (l == 0 || !rr_status(r, l).committed_in_term || raft_conf(r->node[l].r)->joint)
        return false;
    const struct raft_conf *c = raft_conf(r->node[l].r);
    for (unsigned i = 0; i < c->n; i++)
        if (rr_status(r, c->m[i].id).commit != rr_status(r, l).last)
            return false;
    return true;
}

/* NULL: nothing was wrong. */
static const char *storm(uint64_t seed, unsigned steps)
{
    wrong = NULL;
    reads = 0;
    s = rr_new(3 + 2 * (seed % 2), seed);
    s->config.disk_ms = 400;
    s->keeps = seed % 4 < 2;
    rr_start(s);
    for (unsigned i = 0; i < steps && s->broken == 0 && wrong == NULL; i++) {
        act();
        rr_run(s, (int64_t) (rr_random(s) % 20));
        check_reads();
        if (up() * 2 <= s->n && rr_random(s) % 4)
            for (uint32_t k = 1; k <= s->n; k++)
                if (!s->node[k].up)
                    rr_boot(s, k, RAFT_START_CLEAN, 0, 0);
        if (s->committed_last > RR_LOG - 500)
            break;
    }
    memset(s->cut, 0, sizeof s->cut);
    s->loss = s->dup = 0;
    s->delay_jitter_ms = 0;
    s->disk_ms = 1;
    for (uint32_t k = 1; k <= s->n; k++) {
        s->node[k].disk_stalled = false;
        if (!s->node[k].up)
            rr_boot(s, k, RAFT_START_CLEAN, 0, 0);
    }
    bool well = wrong || s->broken || rr_run_until(s, 20000, healed);
    static char text[300];
    snprintf(text, sizeof text, "%s", wrong ? wrong : s->broken ? s->text : "it does not heal");
    const char *result = wrong || s->broken || !well ? text : NULL;
    rr_free(s);
    return result;
}

static void a_ring_under_all_faults_keeps_its_rules_and_heals(void **state)
{
    struct rng r = rng_seeded("storm");
    unsigned n = getenv("REEVE_STORMS") ? (unsigned) atoi(getenv("REEVE_STORMS")) : 30;
    for (unsigned i = 0; i < n; i++) {
        uint64_t seed = getenv("REEVE_STORM") ? strtoull(getenv("REEVE_STORM"), NULL, 10) : rng_next(&r) >> 20;
        const char *what = storm(seed, 500);
        if (what)
            fail_msg("%s; again with REEVE_STORM=%llu", what, (unsigned long long) seed);
    }
}

/* In a process of its own: a broken rule may also end in an assertion. */
static bool noticed(unsigned rule, uint64_t seed)
{
    pid_t pid = fork();
    if (pid == 0) {
        fclose(stderr);
        raft_broken = rule;
        _exit(storm(seed, 500) != NULL);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* Those that a storm of this kind meets often; docs/design/raft-scenarios.md says where each rule is proven. */
static void each_broken_rule_is_noticed(void **state)
{
    static const unsigned rules[] = { BROKEN_COMMIT_NOT_CLAMPED, BROKEN_LEADER_NOT_DURABLE, BROKEN_ACK_NOT_DURABLE,
        BROKEN_TRUNCATE_ALWAYS, BROKEN_READ_EARLY, BROKEN_VOTE_TWICE };
    unsigned most = getenv("REEVE_MUTANT_SEEDS") ? (unsigned) atoi(getenv("REEVE_MUTANT_SEEDS")) : 200;
    bool all = getenv("REEVE_MUTANTS_ALL") != NULL, missed = false;
    for (unsigned i = 0; i < (all ? RAFT_BROKEN__END - 1u : sizeof rules / sizeof *rules); i++) {
        unsigned rule = all ? i + 1 : rules[i], seed = 1;
        while (seed <= most && !noticed(rule, seed))
            seed++;
        fprintf(stderr, "# rule %u: %s %u\n", rule, seed <= most ? "seed" : "NOT within", seed <= most ? seed : most);
        missed |= seed > most;
    }
    assert_false(missed && !all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_under_all_faults_keeps_its_rules_and_heals),
        cmocka_unit_test(each_broken_rule_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
