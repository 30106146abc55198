/* test_proposal.c - proposals in the region's keeping: each refusal beside what is taken. */
#include "shire.h"

static struct shire s;
static struct proposal_row row;

static int setup(void **state)
{
    shire_new(&s);
    return 0;
}

static int teardown(void **state)
{
    shire_free(&s);
    return 0;
}

/* A proposal whose digest begins with byte, good for ever. */
static void put_proposal(const char *name, uint8_t byte, uint64_t not_after_s)
{
    struct proposal_row p = { .state = PROPOSAL_PENDING, .ref = { .proposal = name_of(name), .policy = name_of("trust"),
                              .policy_version = 1, .not_after_s = not_after_s, .digest = { { byte } } },
                              .statement = slice_str("ALTER"), .n_parts = 1, .part = { slice_str("content") } };
    proposal_row_encode(&p, op(&s, RO_PROPOSAL_CREATE));
}

#define FOR_EVER 4000000000u

static void propose(const char *name)
{
    txn(&s, "anna");
    put_proposal(name, 7, FOR_EVER);
    commit(&s);
    assert_item(&s, 0, REEVE_OK);
}

static void verdict(const char *name, uint8_t byte, const char *approver, uint8_t v, uint8_t sig)
{
    uint8_t mem[64] = { sig }, digest[32] = { byte };
    txn(&s, "bert");
    struct wr *w = op(&s, RO_PROPOSAL_VERDICT);
    put_name(w, name);
    wr_bytes(w, digest, 32);
    put_name(w, approver);
    wr_u8(w, v);
    wr_bytes(w, mem, 64);
    wr_str16(w, slice_str("because"));
    commit(&s);
}

static void close_it(const char *name, uint8_t state)
{
    uint8_t digest[32] = { 7 };
    txn(&s, "anna");
    struct wr *w = op(&s, RO_PROPOSAL_CLOSE);
    put_name(w, name);
    wr_bytes(w, digest, 32);
    wr_u8(w, state);
    wr_u64(w, 41);
    commit(&s);
}

static void look(const char *name)
{
    struct name n = name_of(name);
    assert_ok(region_proposal_get(&s.r, &n, &row));
}

static void a_proposal_is_kept_as_it_was_made(void **state)
{
    propose("p1");
    look("p1");
    assert_string_equal(row.proposer.s, "anna");
    assert_int_equal(row.state, PROPOSAL_PENDING);
    assert_true(slice_eq(row.part[0], slice_str("content")));
    txn(&s, "anna");
    put_proposal("p1", 8, FOR_EVER);
    commit(&s);
    assert_item(&s, 0, REEVE_E_DUPLICATE_OBJECT);
    look("p1");
    assert_int_equal(row.ref.digest.b[0], 7);
}

static void an_approver_has_one_verdict_the_last(void **state)
{
    propose("p1");
    verdict("p1", 7, "ops/bert", VERDICT_REJECT, 1);
    assert_item(&s, 0, REEVE_OK);
    verdict("p1", 7, "ops/anna", VERDICT_APPROVE, 2);
    verdict("p1", 7, "ops/bert", VERDICT_APPROVE, 3);
    look("p1");
    assert_int_equal(row.n_verdicts, 2);
    assert_string_equal(row.verdict[0].approver.s, "ops/anna");
    assert_int_equal(row.verdict[1].verdict, VERDICT_APPROVE);
    assert_int_equal(row.verdict[1].sig.b[0], 3);
    verdict("p1", 8, "ops/bert", VERDICT_APPROVE, 3);
    assert_item(&s, 0, REEVE_E_UNDEFINED_OBJECT);           /* said of another content */
}

static void what_is_over_takes_no_verdict(void **state)
{
    propose("p1");
    close_it("p1", PROPOSAL_WITHDRAWN);
    assert_item(&s, 0, REEVE_OK);
    verdict("p1", 7, "ops/bert", VERDICT_APPROVE, 3);
    assert_item(&s, 0, REEVE_E_WRONG_STATE);
    close_it("p1", PROPOSAL_APPLIED);
    assert_item(&s, 0, REEVE_E_WRONG_STATE);
    txn(&s, "anna");
    put_proposal("old", 7, 1);
    commit(&s);
    verdict("old", 7, "ops/bert", VERDICT_APPROVE, 3);
    assert_item(&s, 0, REEVE_E_V_EXPIRED);
    close_it("none", PROPOSAL_WITHDRAWN);
    assert_item(&s, 0, REEVE_E_UNDEFINED_OBJECT);
}

static void the_oldest_that_is_over_gives_way(void **state)
{
    char name[16];
    for (int i = 0; i < PROPOSALS_MAX; i++) {
        snprintf(name, sizeof name, "p%d", i);
        propose(name);
    }
    txn(&s, "anna");
    put_proposal("more", 7, FOR_EVER);
    commit(&s);
    assert_item(&s, 0, REEVE_E_TOO_COMPLEX);
    close_it("p9", PROPOSAL_APPLIED);
    look("p9");
    assert_int_equal(row.leaf, 41);
    propose("more");
    assert_int_equal(rows_in(&s, 'l'), PROPOSALS_MAX);
    struct name gone = name_of("p9");
    assert_err(region_proposal_get(&s.r, &gone, &row), REEVE_E_NOT_FOUND);
}

static void each_step_stands_in_the_history(void **state)
{
    size_t before = rows_in(&s, 'h');
    propose("p1");
    verdict("p1", 7, "ops/bert", VERDICT_APPROVE, 3);
    close_it("p1", PROPOSAL_APPLIED);
    assert_int_equal(rows_in(&s, 'h'), before + 3);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_proposal_is_kept_as_it_was_made),
        T(an_approver_has_one_verdict_the_last),
        T(what_is_over_takes_no_verdict),
        T(the_oldest_that_is_over_gives_way),
        T(each_step_stands_in_the_history),
    };
    return cmocka_run_group_tests_name("region_proposal", tests, NULL, NULL);
}
