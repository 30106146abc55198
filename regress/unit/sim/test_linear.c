/* test_linear.c - the checker of histories says yes to what is linearizable and no to the rest. */
#include "../unit.h"

#include "sim/linear.h"

static struct linear_op hist[LINEAR_OPS_MAX];
static size_t n_hist;

static struct linear_value val(int64_t v) { return (struct linear_value){ v >= 0, v }; }

static void add(enum linear_kind kind, enum linear_outcome outcome, int64_t call, int64_t ret, int64_t old, int64_t v)
{
    hist[n_hist] = (struct linear_op){ kind, outcome, call, outcome == LINEAR_UNKNOWN ? LINEAR_NEVER : ret,
                                       val(old), val(v), (uint32_t) n_hist };
    n_hist++;
}
static void rd_(int64_t call, int64_t ret, int64_t v) { add(LINEAR_READ, LINEAR_OK, call, ret, -1, v); }
static void wr_(int64_t call, int64_t ret, int64_t v) { add(LINEAR_WRITE, LINEAR_OK, call, ret, -1, v); }
static void wr_unknown(int64_t call, int64_t v) { add(LINEAR_WRITE, LINEAR_UNKNOWN, call, 0, -1, v); }
static void cas(int64_t call, int64_t ret, int64_t old, int64_t v) { add(LINEAR_CAS, LINEAR_OK, call, ret, old, v); }
static void cas_failed(int64_t call, int64_t ret, int64_t old, int64_t v) { add(LINEAR_CAS, LINEAR_FAILED, call, ret, old, v); }

static enum linear_verdict verdict(void)
{
    enum linear_verdict v = LINEAR_UNDECIDED;
    assert_ok(linear_check(hist, n_hist, 0, &v, NULL));
    n_hist = 0;
    return v;
}

static void an_empty_history_is_linearizable(void **state)
{
    assert_int_equal(verdict(), LINEAR_YES);
}

static void a_read_after_a_write_returned_sees_it(void **state)
{
    wr_(0, 10, 1), rd_(11, 12, 1);
    assert_int_equal(verdict(), LINEAR_YES);
    wr_(0, 10, 1), rd_(11, 12, -1);
    assert_int_equal(verdict(), LINEAR_NO);
    wr_(0, 10, 1), rd_(9, 12, -1);
    assert_int_equal(verdict(), LINEAR_YES);
}

static void two_reads_do_not_go_back_in_time(void **state)
{
    wr_(0, 100, 1), rd_(1, 10, 1), rd_(20, 30, 1);
    assert_int_equal(verdict(), LINEAR_YES);
    wr_(0, 100, 1), rd_(1, 10, 1), rd_(20, 30, -1);
    assert_int_equal(verdict(), LINEAR_NO);
}

static void a_value_nobody_wrote_is_a_phantom(void **state)
{
    wr_(0, 5, 1), rd_(6, 7, 2);
    assert_int_equal(verdict(), LINEAR_NO);
    rd_(6, 7, 2), wr_(8, 9, 2);
    assert_int_equal(verdict(), LINEAR_NO);
}

static void an_unknown_write_happened_late_or_never(void **state)
{
    wr_(0, 5, 1), wr_unknown(6, 2), rd_(10, 11, 1), rd_(20, 21, 2), rd_(30, 31, 2);
    assert_int_equal(verdict(), LINEAR_YES);
    wr_(0, 5, 1), wr_unknown(6, 2), rd_(10, 11, 1);
    assert_int_equal(verdict(), LINEAR_YES);
    wr_(0, 5, 1), wr_unknown(6, 2), rd_(10, 11, 2), rd_(20, 21, 1);
    assert_int_equal(verdict(), LINEAR_NO);
    wr_(0, 5, 1), rd_(10, 11, 2), wr_unknown(12, 2);
    assert_int_equal(verdict(), LINEAR_NO);
}

static void an_unknown_write_happens_once(void **state)
{
    wr_unknown(0, 1), rd_(5, 6, 1), wr_(7, 8, 2), rd_(9, 10, 2), rd_(11, 12, 1);
    assert_int_equal(verdict(), LINEAR_NO);
}

static void of_two_cas_from_one_value_one_succeeds(void **state)
{
    wr_(0, 1, 1), cas(2, 10, 1, 2), cas(3, 11, 1, 3);
    assert_int_equal(verdict(), LINEAR_NO);
    wr_(0, 1, 1), cas(2, 10, 1, 2), cas_failed(3, 11, 1, 3), rd_(12, 13, 2);
    assert_int_equal(verdict(), LINEAR_YES);
}

static void a_failed_cas_saw_another_value(void **state)
{
    wr_(0, 1, 1), cas_failed(2, 3, 1, 2);
    assert_int_equal(verdict(), LINEAR_NO);
    wr_(0, 1, 1), wr_unknown(2, 7), cas_failed(3, 4, 1, 2);        /* the unknown write explains it */
    assert_int_equal(verdict(), LINEAR_YES);
    wr_(0, 1, 1), wr_unknown(2, 7), cas_failed(3, 4, 1, 2), rd_(5, 6, 1);
    assert_int_equal(verdict(), LINEAR_NO);
}

static void a_cas_may_expect_absence(void **state)
{
    cas(0, 1, -1, 5), rd_(2, 3, 5);
    assert_int_equal(verdict(), LINEAR_YES);
    wr_(0, 1, 1), cas(2, 3, -1, 5);
    assert_int_equal(verdict(), LINEAR_NO);
}

static void evidence_names_what_could_not_be_placed(void **state)
{
    struct linear_evidence ev;
    enum linear_verdict v;
    wr_(0, 1, 1), wr_(2, 3, 2), rd_(4, 5, 1);
    assert_ok(linear_check(hist, n_hist, 0, &v, &ev));
    n_hist = 0;
    assert_int_equal(v, LINEAR_NO);
    assert_int_equal(ev.placed, 2);
    assert_int_equal(ev.state.v, 2);
    assert_int_equal(ev.n_blocked, 1);
    assert_int_equal(ev.blocked[0], 2);
}

static void what_is_no_operation_is_refused(void **state)
{
    enum linear_verdict v;
    struct linear_op o = { LINEAR_WRITE, LINEAR_FAILED, 0, 1, { 0 }, { true, 1 }, 0 };
    assert_err(linear_check(&o, 1, 0, &v, NULL), REEVE_E_INVALID_VALUE);
    o = (struct linear_op){ LINEAR_READ, LINEAR_OK, 5, 1, { 0 }, { true, 1 }, 0 };
    assert_err(linear_check(&o, 1, 0, &v, NULL), REEVE_E_INVALID_VALUE);
    assert_err(linear_check(hist, LINEAR_OPS_MAX, 0, &v, NULL), REEVE_E_TOO_COMPLEX);
}

/* ---- the twin: every order of every subset, judged by the definition ---- */

static bool twin_order(const struct linear_op *ops, size_t n, uint32_t used, struct linear_value s)
{
    bool all = true;
    for (size_t i = 0; i < n; i++)
        all = all && (used >> i & 1 || ops[i].outcome == LINEAR_UNKNOWN);
    if (all)
        return true;
    for (size_t i = 0; i < n; i++) {
        if (used >> i & 1)
            continue;
        bool first = true;          /* nobody left returned before i was called */
        for (size_t j = 0; j < n; j++)
            first = first && (used >> j & 1 || j == i || ops[j].ret >= ops[i].call);
        if (!first)
            continue;
        bool hit = s.present == ops[i].expected.present && (!s.present || s.v == ops[i].expected.v);
        struct linear_value t = s;
        bool can;
        if (ops[i].kind == LINEAR_READ)
            can = s.present == ops[i].value.present && (!s.present || s.v == ops[i].value.v);
        else if (ops[i].kind == LINEAR_WRITE)
            can = true, t = ops[i].value;
        else if (ops[i].outcome == LINEAR_FAILED)
            can = !hit;
        else
            can = hit, t = ops[i].value;
        if (can && twin_order(ops, n, used | 1u << i, t))
            return true;
    }
    return false;
}

/* Few values and short times, so that yes and no are about as frequent. */
static void random_history(struct rng *r, size_t n, unsigned values)
{
    for (size_t i = 0; i < n; i++) {
        int64_t call = rng_below(r, 40), ret = call + rng_below(r, 15), v = (int64_t) rng_below(r, values) - 1;
        int64_t old = (int64_t) rng_below(r, values) - 1;
        bool unknown = rng_below(r, 4) == 0;
        switch (rng_below(r, 5)) {
        case 0: case 1: add(LINEAR_READ, unknown ? LINEAR_UNKNOWN : LINEAR_OK, call, ret, -1, v); break;
        case 2: case 3: add(LINEAR_WRITE, unknown ? LINEAR_UNKNOWN : LINEAR_OK, call, ret, -1, v < 0 ? 0 : v); break;
        default: add(LINEAR_CAS, unknown ? LINEAR_UNKNOWN : rng_below(r, 2) ? LINEAR_OK : LINEAR_FAILED, call, ret, old,
                     v < 0 ? 1 : v);
        }
    }
}

static void random_histories_agree_with_trying_every_order(void **state)
{
    struct rng r = rng_seeded("linear");
    int yes = 0, no = 0;
    for (int round = 0; round < 20000; round++) {
        random_history(&r, 1 + rng_below(&r, 8), 2 + rng_below(&r, 5));
        bool want = twin_order(hist, n_hist, 0, val(-1));
        if (want)
            yes++;
        else
            no++;
        size_t n = n_hist;
        enum linear_verdict got = verdict();
        if (got == (want ? LINEAR_YES : LINEAR_NO))
            continue;
        for (size_t i = 0; i < n; i++)
            print_message("# %s %s [%d, %d] old %d new %d\n", hist[i].kind == LINEAR_READ ? "read" : hist[i].kind == LINEAR_WRITE ? "write" : "cas",
                          hist[i].outcome == LINEAR_OK ? "ok" : hist[i].outcome == LINEAR_FAILED ? "failed" : "unknown", (int) hist[i].call,
                          hist[i].outcome == LINEAR_UNKNOWN ? -1 : (int) hist[i].ret, hist[i].expected.present ? (int) hist[i].expected.v : -1,
                          hist[i].value.present ? (int) hist[i].value.v : -1);
        fail_msg("round %d: the checker says %s, every order says %s", round, got == LINEAR_YES ? "yes" : "no", want ? "yes" : "no");
    }
    assert_true(yes > 1000 && no > 1000);
}

/* ---- large histories, made from a register that is one ---- */

/* Ten processes; each operation takes effect at a random moment between call and return. */
static void real_history(struct rng *r, size_t n, unsigned unknown_percent)
{
    struct linear_value reg = val(-1);
    int64_t t = 0, next_value = 1, busy[10] = { 0 };
    for (size_t i = 0; i < n; i++) {
        t += 1 + rng_below(r, 10);                  /* when it takes effect */
        unsigned p = rng_below(r, 10);
        int64_t call = t - 1 - rng_below(r, 60);
        if (call <= busy[p])
            call = busy[p] + 1;
        if (call > t)
            continue;
        int64_t ret = t + 1 + rng_below(r, 60);
        busy[p] = ret;
        bool unknown = rng_below(r, 100) < unknown_percent, done = !unknown || rng_below(r, 2);
        enum linear_outcome o = unknown ? LINEAR_UNKNOWN : LINEAR_OK;
        unsigned kind = rng_below(r, 3);
        if (kind == 0) {
            hist[n_hist] = (struct linear_op){ LINEAR_READ, LINEAR_OK, call, ret, val(-1), reg, (uint32_t) n_hist };
            n_hist++;
        } else if (kind == 1) {
            add(LINEAR_WRITE, o, call, ret, -1, next_value);
            if (done)
                reg = val(next_value);
            next_value++;
        } else {
            bool hit = rng_below(r, 2);
            int64_t old = hit && reg.present ? reg.v : next_value > 9 ? next_value - 9 + rng_below(r, 4) : next_value;
            hit = reg.present && reg.v == old;
            add(LINEAR_CAS, unknown ? o : hit ? LINEAR_OK : LINEAR_FAILED, call, ret, old, next_value);
            if (done && hit)
                reg = val(next_value);
            next_value++;
        }
    }
}

static void histories_of_a_real_register_pass(void **state)
{
    struct rng r = rng_seeded("linear real");
    for (int round = 0; round < 100; round++) {
        real_history(&r, 400, round % 4 * 10);
        assert_int_equal(verdict(), LINEAR_YES);
    }
}

/* A read moved to a value that was overwritten long ago. */
static void one_stale_read_among_hundreds_is_found(void **state)
{
    struct rng r = rng_seeded("linear stale");
    int found = 0, tried = 0;
    for (int round = 0; round < 100; round++) {
        real_history(&r, 400, 10);
        int64_t first = -1;
        for (size_t i = 0; i < 40 && first < 0; i++)
            if (hist[i].kind == LINEAR_READ && hist[i].value.present)
                first = hist[i].value.v;
        size_t k = n_hist - 1;
        while (k > 100 && hist[k].kind != LINEAR_READ)
            k--;
        if (first < 0 || k <= 100 || hist[k].value.v == first) {
            n_hist = 0;
            continue;
        }
        hist[k].value = val(first);
        tried++;
        found += verdict() == LINEAR_NO;
    }
    assert_true(tried > 50);
    assert_int_equal(found, tried);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_history_is_linearizable),
        cmocka_unit_test(a_read_after_a_write_returned_sees_it),
        cmocka_unit_test(two_reads_do_not_go_back_in_time),
        cmocka_unit_test(a_value_nobody_wrote_is_a_phantom),
        cmocka_unit_test(an_unknown_write_happened_late_or_never),
        cmocka_unit_test(an_unknown_write_happens_once),
        cmocka_unit_test(of_two_cas_from_one_value_one_succeeds),
        cmocka_unit_test(a_failed_cas_saw_another_value),
        cmocka_unit_test(a_cas_may_expect_absence),
        cmocka_unit_test(evidence_names_what_could_not_be_placed),
        cmocka_unit_test(what_is_no_operation_is_refused),
        cmocka_unit_test(random_histories_agree_with_trying_every_order),
        cmocka_unit_test(histories_of_a_real_register_pass),
        cmocka_unit_test(one_stale_read_among_hundreds_is_found),
    };
    return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
