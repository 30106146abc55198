/*
 * test_broken.c - each rule of engine/wal_brokenlist.h, broken, is noticed
 *
 * The engine's sources are compiled once more with WAL_BREAKABLE. A rule that no
 * property notices within a bounded number of histories fails this test, and so
 * does rule 0 (nothing broken) if a property notices anything. The histories are
 * the same each time, unless REEVE_SEED is set; the one that noticed is printed.
 */
#include "walproperty.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "engine/wal_brokenlist.h"

unsigned wal_broken;

#define HISTORIES 3000

/* What random damage meets too rarely: each returns what was wrong. */

/* A write that recovery had given up appears after all, and the one that took its place cannot be read (rule 3). */
static const char *resurrected(struct rng *r)
{
    static struct bench b;
    struct wal_hard h = { 1, 0, 0 };
    const char *bad = NULL;
    int64_t ticket;
    bench_init(&b, &tiny);
    bench_append(&b, r, 1, 3, 1, h);
    disk_settle(&b.d, b.w);
    bench_append(&b, r, 4, 2, 1, h);
    disk_step(&b.d, b.w, WAL_LANE_LOG, false);
    struct wal_effect late = b.d.pending[WAL_LANE_LOG];
    uint8_t *kept = malloc(late.data.len);
    memcpy(kept, late.data.p, late.data.len);
    b.d.busy[WAL_LANE_LOG] = false;             /* lost for now */
    bad = check_crash(&b, 1, &ticket);
    if (bad == NULL) {
        bench_resume(&b, (uint64_t) ticket);
        bench_append(&b, r, 4, 1, 1, h);
        disk_settle(&b.d, b.w);
        bad = check_crash(&b, 1, &ticket);
    }
    if (bad == NULL && disk_seg(&b.d, 2) != NULL) {
        bench_resume(&b, (uint64_t) ticket);
        bench_append(&b, r, 5, 2, 1, h);
        disk_settle(&b.d, b.w);
        b.d.has_ident = false;                  /* the ring would know of it, too */
        memcpy(disk_seg(&b.d, late.file.epoch)->p + late.offset, kept, late.data.len);
        disk_seg(&b.d, 2)->p[5] ^= 8;           /* the header of the batch that took its place */
        bad = check_damaged(&b, D_FLIP_HEADER, true, wal_durable(b.w), &ticket);
    }
    free(kept);
    bench_free(&b);
    return bad;
}

/* A snapshot takes the place of another history; the disk gets what stands beside the log, but not the log (rule 13). */
static const char *replaced(struct rng *r)
{
    static struct bench b;
    int64_t ticket;
    bench_init(&b, &tiny);
    bench_append(&b, r, 1, 5, 1, (struct wal_hard){ 1, 0, 0 });
    bench_append(&b, r, 6, 4, 1, (struct wal_hard){ 1, 0, 5 });
    disk_settle(&b.d, b.w);
    bench_append(&b, r, 6, 0, 2, (struct wal_hard){ 2, 0, 5 });
    b.t.now.last = b.t.now.cut = b.t.snap = 8;
    b.t.now.last_term = b.t.now.cut_term = b.t.snap_term = 2;
    wal_cut(b.w, 8, 2);
    for (int i = 0; i < 10; i++) {
        disk_step(&b.d, b.w, WAL_LANE_SIDE, true);
        disk_step(&b.d, b.w, WAL_LANE_FILES, true);
    }
    const char *bad = check_crash(&b, 2, &ticket);
    bench_free(&b);
    return bad;
}

static const char *run_one(struct rng *r, unsigned i)
{
    const char *bad = NULL;
    if (i % 4 == 0)
        bad = run_damage(r, true, -1);
    else if (i % 4 == 1)
        bad = run_damage(r, false, -1);
    else if (i % 4 == 2)
        bad = run_crashes(r, 6);
    else
        bad = i % 8 == 3 ? resurrected(r) : replaced(r);
    return bad;
}

static const char *const rule_text[] = {
    "",
#define WAL_BROKEN_RULE(n, text) text,
#include "engine/wal_brokenlist.h"
#undef WAL_BROKEN_RULE
};
#define RULES (sizeof rule_text / sizeof *rule_text - 1)

static int histories_of(unsigned rule, uint64_t base)
{
    wal_broken = rule;
    for (unsigned i = 0; i < HISTORIES; i++) {
        struct rng one = { base + i * 0x9e3779b97f4a7c15ull + 1 };
        rng_next(&one);
        const char *bad = run_one(&one, i);
        if (bad == NULL)
            continue;
        fprintf(stderr, "# rule %2u (%s): history %u: %.150s\n", rule, rule_text[rule], i, bad);
        return 1;
    }
    fprintf(stderr, "# rule %2u (%s): NOT NOTICED in %u histories\n", rule, rule_text[rule], HISTORIES);
    return 0;
}

/* In a process of its own: an assertion that fails is notice enough. */
static bool is_noticed(unsigned rule, uint64_t base)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        _exit(histories_of(rule, base));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        fprintf(stderr, "# rule %2u (%s): ended by signal %d\n", rule, rule_text[rule], WTERMSIG(status));
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void every_broken_rule_is_noticed(void **state)
{
    struct rng r = rng_seeded("broken (fixed unless REEVE_SEED is set)");
    uint64_t base = getenv("REEVE_SEED") ? rng_next(&r) : 20261123;
    for (unsigned rule = 1; rule <= RULES; rule++)
        if (!is_noticed(rule, base))
            fail_msg("rule %u is broken and nobody noticed", rule);
}

static void nothing_broken_is_not_noticed(void **state)
{
    struct rng r = rng_seeded("whole");
    for (unsigned i = 0; i < 400; i++) {
        struct rng one = { rng_next(&r) };
        const char *bad = run_one(&one, i);
        if (bad != NULL)
            fail_msg("history %u: %s", i, bad);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_broken_rule_is_noticed),
    cmocka_unit_test(nothing_broken_is_not_noticed),
};

UNIT_MAIN(tests)
