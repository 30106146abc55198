/*
 * test_mend.c - logs with holes give each other back what they held, and nothing else
 *
 * The dumb twin is the log as it was before it was damaged.
 */
#include "../unit.h"
#include "engine/mend.h"

#define LOG 40
#define LOGS 3

struct ent { uint64_t term; bool readable; uint8_t data[8]; };
struct log { uint64_t last, last_term; struct ent e[LOG + 1], was[LOG + 1]; };

static uint8_t bytes[MEND_HAVE_MAX];
static uint8_t ask_bytes[MEND_ASK_MAX];

static bool entry(void *arg, uint64_t index, struct raft_entry *out)
{
    struct log *l = arg;
    if (index == 0 || index > l->last || !l->e[index].readable)
        return false;
    *out = (struct raft_entry){ index, l->e[index].term, RAFT_HOST, slice_of(l->e[index].data, 8) };
    return true;
}

static struct mend_log view(struct log *l) { return (struct mend_log){ l, entry, l->last, l->last_term }; }

/* The entry that the leader of that term wrote there: another one for each term. */
static void put(struct log *l, uint64_t index, uint64_t term)
{
    l->e[index] = (struct ent){ .term = term, .readable = true };
    memcpy(l->e[index].data, (uint32_t[]){ (uint32_t) index, (uint32_t) term }, 8);
    l->last = index;
    l->last_term = term;
}

static void damage(struct log *l, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++)
        l->e[i].readable = false;
}

static uint64_t first_missing(const struct log *l)
{
    uint64_t i = 1;
    while (i <= l->last && l->e[i].readable)
        i++;
    return i;
}

static struct mend_want want_of(struct log *l)
{
    struct mend_log v = view(l);
    struct mend_want w = { .n = 0 };
    uint64_t first = first_missing(l);
    if (first <= l->last)
        mend_want(&v, first, first > 1 ? l->e[first - 1].term : 0, &w);
    else
        w.first = first;
    return w;
}

/* Asks one log for another; how many entries came. */
static size_t mend_from(struct log *to, struct log *from)
{
    struct wr ask = wr_fixed(ask_bytes, sizeof ask_bytes), out = wr_fixed(bytes, sizeof bytes);
    struct mend_want w = want_of(to);
    struct mend_log v = view(from);
    struct mend_have have;
    struct raft_entry e;
    if (w.first > to->last)
        return 0;
    mend_ask_encode(&w, &ask);
    assert_int_equal(mend_kind(wr_slice(&ask)), MEND_ASK);
    if (!mend_answer(&v, wr_slice(&ask), &out))
        return 0;
    assert_int_equal(mend_kind(wr_slice(&out)), MEND_HAVE);
    assert_ok(mend_take(&w, wr_slice(&out), &have));
    struct rd in = rd_of(have.entries);
    for (size_t i = 0; raft_msg_entry(&in, &e); i++) {
        struct ent *at = &to->e[have.first + i];
        assert_int_equal(e.data.len, 8);
        *at = (struct ent){ .term = e.term, .readable = true };
        memcpy(at->data, e.data.p, 8);
    }
    return have.n;
}

static void as_it_was(const struct log *l)
{
    for (uint64_t i = 1; i <= l->last; i++)
        if (l->e[i].readable) {
            assert_int_equal(l->e[i].term, l->was[i].term);
            assert_memory_equal(l->e[i].data, l->was[i].data, 8);
        }
}

static void keep(struct log *l) { memcpy(l->was, l->e, sizeof l->was); }

static bool whole(const struct log *l) { return first_missing(l) > l->last; }

/* All ask all, until nothing comes any more. */
static void mend_all(struct log *l, size_t n)
{
    size_t came;
    do {
        came = 0;
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b < n; b++)
                if (a != b)
                    came += mend_from(&l[a], &l[b]);
    } while (came > 0);
}

/* ---- claims ---- */

static void three_logs_damaged_at_different_places_are_whole_again(void **state)
{
    static struct log l[LOGS];
    for (int m = 0; m < LOGS; m++) {
        l[m] = (struct log){ 0 };
        for (uint64_t i = 1; i <= 30; i++)
            put(&l[m], i, 1 + i / 10);
        keep(&l[m]);
    }
    damage(&l[0], 5, 7);
    damage(&l[1], 8, 12);
    damage(&l[1], 20, 20);
    damage(&l[2], 30, 30);
    mend_all(l, LOGS);
    for (int m = 0; m < LOGS; m++) {
        assert_true(whole(&l[m]));
        as_it_was(&l[m]);
    }
}

static void what_nobody_can_read_stays_missing(void **state)
{
    static struct log l[LOGS];
    for (int m = 0; m < LOGS; m++) {
        l[m] = (struct log){ 0 };
        for (uint64_t i = 1; i <= 30; i++)
            put(&l[m], i, 2);
        keep(&l[m]);
        damage(&l[m], 9, 10);
    }
    mend_all(l, LOGS);
    for (int m = 0; m < LOGS; m++)
        assert_int_equal(first_missing(&l[m]), 9);
}

static void an_end_that_is_lost_is_known_by_its_term(void **state)
{
    static struct log a, b;
    a = b = (struct log){ 0 };
    for (uint64_t i = 1; i <= 10; i++) {
        put(&a, i, 3);
        put(&b, i, i == 10 ? 4 : 3);    /* another leader wrote this one */
    }
    keep(&a);
    damage(&a, 10, 10);
    assert_int_equal(mend_from(&a, &b), 0);
    put(&b, 10, 3);
    assert_int_equal(mend_from(&a, &b), 1);
    as_it_was(&a);
}

static void another_history_without_a_common_mark_gives_nothing(void **state)
{
    static struct log a, b;
    a = b = (struct log){ 0 };
    for (uint64_t i = 1; i <= 10; i++) {
        put(&a, i, i < 4 ? 1 : 3);
        put(&b, i, i < 4 ? 1 : 2);
    }
    damage(&a, 4, 6);
    assert_int_equal(mend_from(&a, &b), 0);
    put(&b, 7, 3);                      /* not a log that could be, but shows what the mark decides */
    assert_int_equal(mend_from(&a, &b), 3);
}

/*
 * Random histories as raft makes them: each log is a beginning of one leader's log or another's. Whatever comes is what was
 * there; and when all logs are of one leader and one length, each entry that somebody can read comes to everybody: their ends are
 * the same and known, also where nobody can read them.
 */
static void random_damage_is_never_mended_wrongly(void **state)
{
    struct rng rng = rng_seeded("mend");
    static struct log l[LOGS];
    unsigned healed = 0, stuck = 0;
    for (int round = 0; round < 20000; round++) {
        bool one = rng_below(&rng, 2);
        uint64_t end = 10 + rng_below(&rng, LOG - 10), fork = 1 + rng_below(&rng, (uint32_t) end);
        for (int m = 0; m < LOGS; m++) {
            uint64_t last = one ? end : fork - 1 + rng_below(&rng, (uint32_t) (end - fork + 2));
            uint64_t branch = one ? 0 : rng_below(&rng, 2);
            l[m] = (struct log){ 0 };
            for (uint64_t i = 1; i <= last; i++)
                put(&l[m], i, i < fork ? 1 + i / 8 : 10 + branch);
            keep(&l[m]);
        }
        bool lost = false;
        for (int m = 0; m < LOGS; m++)
            for (unsigned k = rng_below(&rng, 4); k > 0 && l[m].last > 0; k--) {
                uint64_t at = 1 + rng_below(&rng, (uint32_t) l[m].last), to = at + rng_below(&rng, 3);
                damage(&l[m], at, to < l[m].last ? to : l[m].last);
            }
        for (uint64_t i = 1; i <= end; i++)
            lost |= !l[0].e[i].readable && !l[1].e[i].readable && !l[2].e[i].readable;
        mend_all(l, LOGS);
        for (int m = 0; m < LOGS; m++) {
            as_it_was(&l[m]);
            healed += one && !lost && whole(&l[m]);
            stuck += one && !lost && !whole(&l[m]);
        }
    }
    assert_true(healed > 1000);
    assert_int_equal(stuck, 0);
}

static void an_answer_that_is_not_one_is_dropped(void **state)
{
    static struct log a, b;
    struct mend_log v = view(&b);
    struct mend_have have;
    a = b = (struct log){ 0 };
    for (uint64_t i = 1; i <= 10; i++) {
        put(&a, i, 3);
        put(&b, i, 3);
    }
    damage(&a, 4, 6);
    struct mend_want w = want_of(&a), other = w;
    struct wr ask = wr_fixed(ask_bytes, sizeof ask_bytes), out = wr_fixed(bytes, sizeof bytes);
    mend_ask_encode(&w, &ask);
    assert_true(mend_answer(&v, wr_slice(&ask), &out));
    assert_ok(mend_take(&w, wr_slice(&out), &have));
    assert_int_equal(have.n, 3);
    other.first = 5;                    /* late: the first is here already */
    assert_err(mend_take(&other, wr_slice(&out), &have), REEVE_E_MALFORMED);
    other = w;
    other.last = 5;                     /* beyond the hole */
    assert_err(mend_take(&other, wr_slice(&out), &have), REEVE_E_MALFORMED);
    other = w;
    for (unsigned i = 0; i < other.n; i++)
        other.mark[i].term = 9;         /* a mark that is not ours */
    assert_err(mend_take(&other, wr_slice(&out), &have), REEVE_E_MALFORMED);
    for (size_t cut = 0; cut < out.len; cut++)
        assert_err(mend_take(&w, slice_of(bytes, cut), &have), REEVE_E_MALFORMED);
}

/* Each can read what the other has lost, but the one ends earlier, and lost the very entry behind the other's hole. */
static void any_common_entry_behind_the_hole_is_a_mark(void **state)
{
    static struct log a, b;
    a = b = (struct log){ 0 };
    for (uint64_t i = 1; i <= 35; i++)
        put(&a, i, i < 20 ? 2 : 3);
    for (uint64_t i = 1; i <= 34; i++)
        put(&b, i, i < 20 ? 2 : 3);
    keep(&a);
    damage(&a, 31, 31);
    damage(&b, 32, 32);
    assert_int_equal(mend_from(&a, &b), 1);
    assert_true(whole(&a));
    as_it_was(&a);
    damage(&a, 25, 35);                 /* all of one term to the end: also an entry in the hole is one */
    assert_true(mend_from(&a, &b) > 0);
    as_it_was(&a);
}

/* Behind the hole neither can read what the other can, nor the end: but both know what it is. */
static void an_end_that_nobody_can_read_is_a_mark(void **state)
{
    static struct log a, b;
    a = b = (struct log){ 0 };
    for (uint64_t i = 1; i <= 20; i++) {
        put(&a, i, 1 + i / 4);
        put(&b, i, 1 + i / 4);
    }
    keep(&a);
    keep(&b);
    damage(&a, 5, 12);
    damage(&a, 20, 20);
    damage(&b, 13, 20);
    assert_int_equal(mend_from(&a, &b), 8);
    as_it_was(&a);
    assert_int_equal(mend_from(&b, &a), 7);
    as_it_was(&b);
    assert_int_equal(first_missing(&a), 20);
    assert_int_equal(first_missing(&b), 20);
}

/* The giver has lost all that the asker knows of, but it stands between two entries of one term. */
static void what_the_giver_has_lost_between_two_of_one_term_is_a_mark(void **state)
{
    static struct log a, b;
    a = b = (struct log){ 0 };
    for (uint64_t i = 1; i <= 10; i++)
        put(&a, i, i < 5 ? 1 : 2);
    for (uint64_t i = 1; i <= 12; i++)
        put(&b, i, i < 5 ? 1 : 2);
    keep(&a);
    damage(&a, 3, 6);
    damage(&b, 7, 10);
    assert_int_equal(mend_from(&a, &b), 4);
    assert_true(whole(&a));
    as_it_was(&a);
}

static void hostile_bytes_do_no_harm(void **state)
{
    struct rng rng = rng_seeded("hostile");
    static struct log a, b;
    struct mend_log v = view(&b);
    struct mend_have have;
    struct raft_entry e;
    static uint8_t answer[MEND_HAVE_MAX];
    a = b = (struct log){ 0 };
    for (uint64_t i = 1; i <= 30; i++) {
        put(&a, i, 3);
        put(&b, i, 3);
    }
    damage(&a, 4, 6);
    struct mend_want w = want_of(&a);
    for (int round = 0; round < 50000; round++) {
        struct wr ask = wr_fixed(ask_bytes, sizeof ask_bytes), out = wr_fixed(bytes, sizeof bytes), again = wr_fixed(answer, sizeof answer);
        mend_ask_encode(&w, &ask);
        assert_true(mend_answer(&v, wr_slice(&ask), &out));
        for (unsigned k = rng_below(&rng, 4); k > 0; k--)
            ask_bytes[rng_below(&rng, (uint32_t) ask.len)] = (uint8_t) rng_next(&rng);
        (void) mend_answer(&v, slice_of(ask_bytes, rng_below(&rng, 4) ? ask.len : rng_below(&rng, (uint32_t) ask.len)), &again);
        for (unsigned k = 1 + rng_below(&rng, 4); k > 0; k--)
            bytes[rng_below(&rng, (uint32_t) out.len)] = (uint8_t) rng_next(&rng);
        if (mend_take(&w, wr_slice(&out), &have) != REEVE_OK)
            continue;
        struct rd in = rd_of(have.entries);
        size_t n = 0;
        while (raft_msg_entry(&in, &e))
            n++;
        assert_true(n == have.n && have.first == 4 && have.first + n - 1 <= 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_logs_damaged_at_different_places_are_whole_again),
        cmocka_unit_test(what_nobody_can_read_stays_missing),
        cmocka_unit_test(an_end_that_is_lost_is_known_by_its_term),
        cmocka_unit_test(another_history_without_a_common_mark_gives_nothing),
        cmocka_unit_test(random_damage_is_never_mended_wrongly),
        cmocka_unit_test(any_common_entry_behind_the_hole_is_a_mark),
        cmocka_unit_test(an_end_that_nobody_can_read_is_a_mark),
        cmocka_unit_test(what_the_giver_has_lost_between_two_of_one_term_is_a_mark),
        cmocka_unit_test(an_answer_that_is_not_one_is_dropped),
        cmocka_unit_test(hostile_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
