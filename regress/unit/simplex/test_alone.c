/* test_alone.c - a set of one: three signatures, no network, every restart. */
#include "../unit.h"
#include "engine/simplex.h"

static struct simplex *s;
static void *mem;
static struct simplex_effects out;
static int64_t now;
static uint64_t final_height;

static bool verify_any(void *arg, const struct simplex_vote *v, uint16_t signer, const struct sig64 *sig)
{
    return sig->b[0] == 0x51 && signer == 0;
}

static const struct simplex_config config = { .n = 1, .me = 0, .tick_ms = 60000, .standstill_ms = 1000, .verify = verify_any };
static const struct simplex_block genesis = { .hash = { { 9 } } };

static void start_at(const struct simplex_block *b)
{
    assert_ok(simplex_init(&s, mem, simplex_size(), &config, b, 0));
}

static int setup(void **state)
{
    mem = malloc(simplex_size());
    now = 1000;
    final_height = 0;
    start_at(&genesis);
    return 0;
}

static int teardown(void **state)
{
    free(mem);
    return 0;
}

static struct simplex_event ev(uint8_t type)
{
    return (struct simplex_event){ .type = type, .now = { now } };
}

static void step(const struct simplex_event *e)
{
    simplex_step(s, e, &out);
}

static void start(void)
{
    struct simplex_event e = ev(SXE_START);
    step(&e);
}

static void work(void)
{
    struct simplex_event e = ev(SXE_WORK);
    e.flag = true;
    step(&e);
}

static void expect(size_t i, uint8_t effect, uint8_t type, uint64_t view)
{
    assert_true(i < out.n);
    assert_int_equal(out.e[i].type, effect);
    assert_int_equal(out.e[i].vote.type, type);
    assert_int_equal(out.e[i].vote.b.view, view);
}

static struct simplex_vote built(uint64_t view)
{
    expect(0, SXF_BUILD, SX_PROPOSE, view);
    struct simplex_event e = ev(SXE_BUILT);
    e.vote = out.e[0].vote;
    memset(e.vote.b.hash.b, (int) view, 32);
    step(&e);
    return e.vote;
}

static struct simplex_event signed_answer(const struct simplex_vote *v)
{
    struct simplex_event e = ev(SXE_SIGNED);
    e.vote = *v;
    memset(e.sig.b, 0x51, 64);
    return e;
}

static void sign_asked(uint8_t type, uint64_t view)
{
    size_t i = 0;
    while (i < out.n && out.e[i].type != SXF_SIGN)
        i++;
    expect(i, SXF_SIGN, type, view);
    struct simplex_vote v = out.e[i].vote;
    struct simplex_event e = signed_answer(&v);
    step(&e);
}

static void one_block(uint64_t view)
{
    built(view);
    sign_asked(SX_PROPOSE, view);
    sign_asked(SX_NOTARIZE, view);
    sign_asked(SX_FINALIZE, view);
    size_t i = 0;
    while (i < out.n && out.e[i].type != SXF_COMMIT)
        i++;
    expect(i, SXF_COMMIT, SX_FINALIZE, view);
    assert_int_equal(out.e[i].vote.b.height, ++final_height);
    assert_true(out.e[i].flag);
    struct simplex_cert c;
    assert_ok(simplex_cert_get(s, SX_FINALIZE, view, &c));
    assert_int_equal(c.n_sigs, 1);
    assert_ok(simplex_cert_verify(&config, &c));
}

static void nothing_is_built_without_work(void **state)
{
    start();
    assert_int_equal(out.n, 0);
    assert_int_equal(simplex_wake(s).ms, now + 60000);
}

static void three_signatures_make_a_block_final(void **state)
{
    start();
    work();
    one_block(1);
    /* there is still work: the next block is asked for at once */
    expect(out.n - 1, SXF_BUILD, SX_PROPOSE, 2);
}

static void many_blocks_follow_in_consecutive_views(void **state)
{
    start();
    work();
    for (uint64_t v = 1; v <= 200; v++) {
        out.e[0] = out.e[out.n - 1];
        one_block(v);
    }
}

static void an_idle_set_ticks(void **state)
{
    start();
    now += 60000;
    struct simplex_event e = ev(SXE_CLOCK);
    step(&e);
    one_block(1);
    assert_int_equal(simplex_wake(s).ms, now + 60000);
}

static void nothing_to_build_is_an_answer(void **state)
{
    start();
    work();
    struct simplex_event e = ev(SXE_NOT_BUILT);
    e.vote = out.e[0].vote;
    step(&e);
    assert_int_equal(out.n, 0);
    work();
    expect(0, SXF_BUILD, SX_PROPOSE, 1);
}

static void a_silent_signer_is_waited_for(void **state)
{
    start();
    work();
    built(1);
    for (int i = 0; i < 100; i++) {
        struct simplex_event e = ev(SXE_CLOCK);
        now += 1000;
        step(&e);
        assert_int_equal(out.n, 0);
    }
}

/* After a restart with its own votes, wherever the crash was. */
static void restart_with(const struct simplex_vote *votes, size_t n)
{
    start_at(&genesis);
    for (size_t i = 0; i < n; i++) {
        struct simplex_event e = signed_answer(&votes[i]);
        e.type = SXE_RESTORE;
        step(&e);
    }
}

static struct simplex_vote first_block(uint8_t type)
{
    struct simplex_vote v = { type, { .view = 1, .height = 1, .parent_hash = genesis.hash } };
    memset(v.b.hash.b, 1, 32);
    return v;
}

static void a_restored_finalize_vote_commits_at_once(void **state)
{
    struct simplex_vote v[3] = { first_block(SX_PROPOSE), first_block(SX_NOTARIZE), first_block(SX_FINALIZE) };
    restart_with(v, 3);
    expect(0, SXF_COMMIT, SX_FINALIZE, 1);
    start();
    work();
    final_height = 1;
    one_block(2);
}

static void a_restored_notarization_goes_on_to_finalize(void **state)
{
    struct simplex_vote v[2] = { first_block(SX_PROPOSE), first_block(SX_NOTARIZE) };
    restart_with(v, 2);
    start();
    sign_asked(SX_FINALIZE, 1);
    expect(0, SXF_SEND_VOTE, SX_FINALIZE, 1);
    expect(1, SXF_COMMIT, SX_FINALIZE, 1);
}

static void a_restored_proposal_is_checked_before_it_is_notarized(void **state)
{
    struct simplex_vote v = first_block(SX_PROPOSE);
    restart_with(&v, 1);
    start();
    expect(0, SXF_CHECK, SX_PROPOSE, 1);
    struct simplex_event e = ev(SXE_CHECKED);
    e.vote = out.e[0].vote;
    e.flag = true;
    step(&e);
    expect(0, SXF_SIGN, SX_NOTARIZE, 1);
}

static void a_proposal_whose_content_is_lost_is_given_up(void **state)
{
    struct simplex_vote v = first_block(SX_PROPOSE);
    restart_with(&v, 1);
    start();
    work();
    struct simplex_event e = ev(SXE_CHECKED);
    e.vote = v;
    e.flag = false;
    step(&e);
    sign_asked(SX_NULLIFY, 1);
    out.e[0] = out.e[out.n - 1];
    one_block(2);
}

static void a_refused_proposal_is_given_up(void **state)
{
    start();
    work();
    struct simplex_vote v = built(1);
    struct simplex_event e = ev(SXE_REFUSED);
    e.vote = v;
    step(&e);
    sign_asked(SX_NULLIFY, 1);
    out.e[0] = out.e[out.n - 1];
    one_block(2);
}

static void bad_configurations_are_refused(void **state)
{
    struct simplex_config c = config;
    c.n = 0;
    assert_err(simplex_init(&s, mem, simplex_size(), &c, &genesis, 0), REEVE_E_INVALID_VALUE);
    c.n = 65;
    assert_err(simplex_init(&s, mem, simplex_size(), &c, &genesis, 0), REEVE_E_INVALID_VALUE);
    c.n = 4;
    assert_err(simplex_init(&s, mem, simplex_size(), &c, &genesis, 0), REEVE_E_INVALID_VALUE);
    assert_err(simplex_init(&s, mem, 10, &config, &genesis, 0), REEVE_E_INVALID_VALUE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(nothing_is_built_without_work),
        T(three_signatures_make_a_block_final),
        T(many_blocks_follow_in_consecutive_views),
        T(an_idle_set_ticks),
        T(nothing_to_build_is_an_answer),
        T(a_silent_signer_is_waited_for),
        T(a_restored_finalize_vote_commits_at_once),
        T(a_restored_notarization_goes_on_to_finalize),
        T(a_restored_proposal_is_checked_before_it_is_notarized),
        T(a_proposal_whose_content_is_lost_is_given_up),
        T(a_refused_proposal_is_given_up),
        T(bad_configurations_are_refused),
    };
    return cmocka_run_group_tests_name("simplex_alone", tests, NULL, NULL);
}
