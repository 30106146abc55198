/* test_conf.c - quorums against a brute-force twin, changes, bytes (scenario 16) */
#include "../unit.h"
#include "engine/raft.h"

/* The twin: try every value from high to low and count who has reached it. */
static bool reached(const struct raft_conf *c, const uint64_t *value, uint64_t v, uint8_t role)
{
    unsigned n = 0, yes = 0;
    for (unsigned i = 0; i < c->n; i++)
        if (c->m[i].role & role) {
            n++;
            yes += value[i] >= v;
        }
    return n == 0 || yes > n / 2;
}

static uint64_t slow_quorum(const struct raft_conf *c, const uint64_t *value)
{
    if (reached(c, value, UINT64_MAX, RAFT_VOTER) && (!c->joint || reached(c, value, UINT64_MAX, RAFT_VOTER_OLD)))
        return UINT64_MAX;
    for (uint64_t v = 50; v > 0; v--)
        if (reached(c, value, v, RAFT_VOTER) && (!c->joint || reached(c, value, v, RAFT_VOTER_OLD)))
            return v;
    return 0;
}

static void a_quorum_is_what_counting_says(void **state)
{
    struct rng r = rng_seeded("quorum");
    for (int round = 0; round < 200000; round++) {
        struct raft_conf c = { .n = (uint16_t) rng_below(&r, 9), .joint = rng_below(&r, 2) };
        uint64_t value[RAFT_MEMBERS_MAX];
        for (unsigned i = 0; i < c.n; i++) {
            c.m[i].id = i + 1;
            c.m[i].role = (uint8_t) rng_below(&r, 8);
            value[i] = rng_below(&r, rng_below(&r, 2) ? 4 : 50);
        }
        assert_int_equal(raft_conf_quorum(&c, value), slow_quorum(&c, value));
    }
}

static void no_voters_hold_everything(void **state)
{
    struct raft_conf c = { .n = 0 };
    uint64_t value[RAFT_MEMBERS_MAX] = { 0 };
    assert_true(raft_conf_quorum(&c, value) == UINT64_MAX);
    c.n = 1;
    c.m[0] = (struct raft_member){ .id = 1, .role = RAFT_LEARNER };
    assert_true(raft_conf_quorum(&c, value) == UINT64_MAX);
}

static struct raft_conf three(void)
{
    struct raft_conf c = { .n = 3, .last_id = 3 };
    for (unsigned i = 0; i < 3; i++)
        c.m[i] = (struct raft_member){ .id = i + 1, .incarnation = i + 10, .role = RAFT_VOTER };
    return c;
}

static void learners_come_in_one_step_voters_in_two(void **state)
{
    struct raft_conf c = three(), d, e;
    struct raft_change add = { .kind = RAFT_ADD_LEARNER, .id = 4, .incarnation = 99 }, up = { .kind = RAFT_PROMOTE, .id = 4 };
    assert_ok(raft_conf_change(&d, &c, &add, 1));
    assert_false(d.joint);
    assert_ok(raft_conf_change(&e, &d, &up, 1));
    assert_true(e.joint);
    assert_err(raft_conf_change(&c, &e, &up, 1), REEVE_E_WRONG_STATE);
    raft_conf_leave(&d, &e);
    assert_false(d.joint);
    assert_int_equal(d.n, 4);
    assert_int_equal(d.m[3].role, RAFT_VOTER);
}

static void a_replacement_is_one_change(void **state)
{
    struct raft_conf c = three(), d, e;
    struct raft_change ch[] = { { .kind = RAFT_ADD_LEARNER, .id = 4, .incarnation = 9 }, { .kind = RAFT_PROMOTE, .id = 4 },
                                { .kind = RAFT_REMOVE, .id = 2 }, { .kind = RAFT_DEMOTE, .id = 3 } };
    assert_ok(raft_conf_change(&d, &c, ch, 4));
    assert_true(d.joint);
    assert_int_equal(raft_conf_find(&d, 2)->role, RAFT_VOTER_OLD);
    assert_int_equal(raft_conf_find(&d, 3)->role, RAFT_VOTER_OLD | RAFT_LEARNER);
    raft_conf_leave(&e, &d);
    assert_null(raft_conf_find(&e, 2));
    assert_int_equal(raft_conf_find(&e, 3)->role, RAFT_LEARNER);
    assert_int_equal(e.n, 3);
}

/* scenario 28 */
static void an_id_is_never_used_again(void **state)
{
    struct raft_conf c = three(), d, e;
    struct raft_change gone = { .kind = RAFT_REMOVE, .id = 3 }, back = { .kind = RAFT_ADD_LEARNER, .id = 3, .incarnation = 77 };
    assert_err(raft_conf_change(&d, &c, &back, 1), REEVE_E_DUPLICATE_OBJECT);
    assert_ok(raft_conf_change(&d, &c, &gone, 1));
    raft_conf_leave(&e, &d);
    assert_err(raft_conf_change(&d, &e, &back, 1), REEVE_E_INVALID_VALUE);
    back.id = 4;
    assert_ok(raft_conf_change(&d, &e, &back, 1));
}

static void a_change_that_cannot_be_is_refused(void **state)
{
    struct raft_conf c = three(), d;
    struct raft_change all[3], none = { .kind = RAFT_REMOVE, .id = 9 }, odd = { .kind = 99, .id = 1 };
    for (unsigned i = 0; i < 3; i++)
        all[i] = (struct raft_change){ .kind = RAFT_REMOVE, .id = i + 1 };
    assert_err(raft_conf_change(&d, &c, all, 3), REEVE_E_INVALID_VALUE);
    assert_err(raft_conf_change(&d, &c, &none, 1), REEVE_E_UNDEFINED_OBJECT);
    assert_err(raft_conf_change(&d, &c, &odd, 1), REEVE_E_INVALID_VALUE);
    assert_err(raft_conf_change(&d, &c, all, 0), REEVE_E_INVALID_VALUE);
    struct raft_change many[RAFT_CHANGES_MAX];
    for (unsigned i = 0; i < RAFT_CHANGES_MAX; i++)
        many[i] = (struct raft_change){ .kind = RAFT_ADD_LEARNER, .id = i + 4 };
    assert_err(raft_conf_change(&d, &c, many, RAFT_CHANGES_MAX), REEVE_E_TOO_MANY);
}

static void a_configuration_reads_back_and_no_byte_may_be_missing(void **state)
{
    struct raft_conf c = three(), d;
    uint8_t bytes[RAFT_CONF_BYTES_MAX];
    struct wr w = wr_fixed(bytes, sizeof bytes);
    c.m[1].addr_len = RAFT_ADDR_MAX;
    memset(c.m[1].addr, 'x', RAFT_ADDR_MAX);
    raft_conf_encode(&c, &w);
    assert_ok(raft_conf_decode(&d, wr_slice(&w)));
    assert_memory_equal(&c, &d, sizeof c);
    for (size_t n = 0; n < w.len; n++)
        assert_err(raft_conf_decode(&d, slice_of(bytes, n)), REEVE_E_MALFORMED);
    bytes[w.len] = 0;
    assert_err(raft_conf_decode(&d, slice_of(bytes, w.len + 1)), REEVE_E_MALFORMED);
    struct rng r = rng_seeded("conf bytes");
    for (int i = 0; i < 100000; i++) {
        uint8_t junk[RAFT_CONF_BYTES_MAX];
        memcpy(junk, bytes, w.len);
        junk[rng_below(&r, (uint32_t) w.len)] = (uint8_t) rng_next(&r);
        if (raft_conf_decode(&d, slice_of(junk, w.len)) == REEVE_OK) {
            uint64_t value[RAFT_MEMBERS_MAX] = { 0 };
            assert_int_equal(raft_conf_quorum(&d, value), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quorum_is_what_counting_says),
        cmocka_unit_test(no_voters_hold_everything),
        cmocka_unit_test(learners_come_in_one_step_voters_in_two),
        cmocka_unit_test(a_replacement_is_one_change),
        cmocka_unit_test(an_id_is_never_used_again),
        cmocka_unit_test(a_change_that_cannot_be_is_refused),
        cmocka_unit_test(a_configuration_reads_back_and_no_byte_may_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
