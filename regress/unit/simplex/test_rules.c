/* test_rules.c - one validator (number 3 of 4) and what it lets others do. */
#include "../unit.h"
#include "engine/simplex.h"

static struct simplex *s;
static void *mem;
static struct simplex_effects out;
static int64_t now = 1000;
static const struct simplex_block genesis = { .hash = { { 9 } } };

static unsigned verified;

static bool verify(void *arg, const struct simplex_vote *v, uint16_t signer, const struct sig64 *sig)
{
    verified++;
    return sig->b[0] == signer + 1 && sig->b[1] == v->type;
}

static const struct simplex_config config = { .n = 4, .me = 3, .timeout_ms = 400, .timeout_ms_max = 5000, .tick_ms = 60000,
                                              .heartbeat_ms = 500, .standstill_ms = 700, .verify = verify };

static void feed(struct simplex_event e)
{
    e.now.ms = now;
    simplex_step(s, &e, &out);
}

static int setup(void **state)
{
    mem = malloc(simplex_size());
    now = 1000;
    assert_ok(simplex_init(&s, mem, simplex_size(), &config, &genesis, 0));
    feed((struct simplex_event){ .type = SXE_START });
    return 0;
}

static int teardown(void **state)
{
    free(mem);
    return 0;
}

static struct simplex_block block_at(uint64_t view, uint64_t height, const struct simplex_block *parent, uint8_t tag)
{
    return (struct simplex_block){ view, height, parent->view, { { (uint8_t) view, tag } }, parent->hash };
}

static struct sig64 sig_of(unsigned who, uint8_t type)
{
    return (struct sig64){ { (uint8_t) (who + 1), type } };
}

static void vote(unsigned who, uint8_t type, const struct simplex_block *b)
{
    struct simplex_event e = { .type = type == SX_PROPOSE ? SXE_PROPOSAL : SXE_VOTE, .signer = (uint16_t) who,
                               .vote = { type, *b }, .sig = sig_of(who, type) };
    if (type == SX_NULLIFY || type == SX_HEARTBEAT)
        e.vote.b = (struct simplex_block){ .view = b->view };
    feed(e);
}

static bool has(uint8_t effect, uint8_t type)
{
    for (size_t i = 0; i < out.n; i++)
        if (out.e[i].type == effect && out.e[i].vote.type == type)
            return true;
    return false;
}

static void signed_ok(uint8_t type, const struct simplex_block *b)
{
    feed((struct simplex_event){ .type = SXE_SIGNED, .vote = { type, *b }, .sig = sig_of(3, type) });
}

static void checked(const struct simplex_block *b, bool ok)
{
    feed((struct simplex_event){ .type = SXE_CHECKED, .vote = { SX_PROPOSE, *b }, .flag = ok });
}

static uint64_t view(void)
{
    struct simplex_status st;
    simplex_status(s, &st);
    return st.view;
}

static uint64_t dropped(void)
{
    struct simplex_status st;
    simplex_status(s, &st);
    return st.dropped;
}

static void only_the_right_leader_is_listened_to(void **state)
{
    struct simplex_block b = block_at(1, 1, &genesis, 0);
    vote(1, SX_PROPOSE, &b);
    assert_false(has(SXF_CHECK, SX_PROPOSE));
    vote(0, SX_PROPOSE, &b);
    assert_true(has(SXF_CHECK, SX_PROPOSE));
    checked(&b, true);
    assert_true(has(SXF_SIGN, SX_NOTARIZE));
}

static void a_proposal_that_skips_a_view_needs_its_nullification(void **state)
{
    struct simplex_block one = block_at(1, 1, &genesis, 0), skip = block_at(2, 1, &genesis, 1);
    for (unsigned i = 0; i < 3; i++)
        vote(i, SX_NOTARIZE, &one);
    assert_int_equal(view(), 2);
    vote(1, SX_PROPOSE, &skip);
    assert_false(has(SXF_CHECK, SX_PROPOSE));
    for (unsigned i = 0; i < 3; i++)
        vote(i, SX_NULLIFY, &one);
    assert_true(has(SXF_CHECK, SX_PROPOSE));
}

static void a_proposal_on_an_unnotarized_parent_waits(void **state)
{
    struct simplex_block one = block_at(1, 1, &genesis, 0), two = block_at(2, 2, &one, 0);
    vote(0, SX_PROPOSE, &two);
    for (unsigned i = 0; i < 2; i++)
        vote(i, SX_NOTARIZE, &one);
    assert_int_equal(view(), 1);
    vote(2, SX_NOTARIZE, &one);
    assert_int_equal(view(), 2);
    assert_true(has(SXF_CHECK, SX_PROPOSE));
}

static void a_proposal_on_the_other_block_of_a_notarized_view_is_not_looked_at(void **state)
{
    struct simplex_block one = block_at(1, 1, &genesis, 0), other = block_at(1, 1, &genesis, 1), two = block_at(2, 2, &other, 0);
    for (unsigned i = 0; i < 3; i++)
        vote(i, SX_NOTARIZE, &one);
    assert_int_equal(view(), 2);
    vote(0, SX_PROPOSE, &two);
    assert_false(has(SXF_CHECK, SX_PROPOSE));
}

static void finalize_follows_only_an_own_notarization_of_the_same_block(void **state)
{
    struct simplex_block a = block_at(1, 1, &genesis, 0), b = block_at(1, 1, &genesis, 1);
    vote(0, SX_PROPOSE, &a);
    checked(&a, true);
    signed_ok(SX_NOTARIZE, &a);
    for (unsigned i = 0; i < 3; i++)
        vote(i, SX_NOTARIZE, &b);
    assert_int_equal(view(), 2);
    assert_false(has(SXF_SIGN, SX_FINALIZE));
}

static void after_nullifying_a_late_notarization_moves_on_but_finalizes_nothing(void **state)
{
    struct simplex_block a = block_at(1, 1, &genesis, 0);
    feed((struct simplex_event){ .type = SXE_WORK, .flag = true });
    now += 400;
    feed((struct simplex_event){ .type = SXE_CLOCK });
    assert_true(has(SXF_SIGN, SX_NULLIFY));
    signed_ok(SX_NULLIFY, &(struct simplex_block){ .view = 1 });
    vote(0, SX_PROPOSE, &a);
    checked(&a, true);
    assert_true(has(SXF_SIGN, SX_NOTARIZE));
    signed_ok(SX_NOTARIZE, &a);
    for (unsigned i = 0; i < 2; i++)
        vote(i, SX_NOTARIZE, &a);
    assert_int_equal(view(), 2);
    assert_false(has(SXF_SIGN, SX_FINALIZE));
}

static void who_asked_to_finalize_never_nullifies(void **state)
{
    struct simplex_block a = block_at(1, 1, &genesis, 0);
    vote(0, SX_PROPOSE, &a);
    checked(&a, true);
    signed_ok(SX_NOTARIZE, &a);
    vote(0, SX_NOTARIZE, &a);
    vote(1, SX_NOTARIZE, &a);
    assert_true(has(SXF_SIGN, SX_FINALIZE));
    feed((struct simplex_event){ .type = SXE_REFUSED, .vote = { SX_NOTARIZE, a } });
    assert_false(has(SXF_SIGN, SX_NULLIFY));
}

static void an_invalid_proposal_is_nullified_at_once(void **state)
{
    struct simplex_block a = block_at(1, 1, &genesis, 0);
    vote(0, SX_PROPOSE, &a);
    checked(&a, false);
    assert_true(has(SXF_SIGN, SX_NULLIFY));
    assert_false(has(SXF_SIGN, SX_NOTARIZE));
}

static void idle_views_have_no_timer(void **state)
{
    for (int i = 0; i < 40; i++) {
        now += 400;
        vote(0, SX_HEARTBEAT, &(struct simplex_block){ .view = 1 });
        assert_false(has(SXF_SIGN, SX_NULLIFY));
    }
    /* a leader not heard for three heartbeats, and then the timeout */
    now += 1500;
    feed((struct simplex_event){ .type = SXE_CLOCK });
    assert_false(has(SXF_SIGN, SX_NULLIFY));
    now += 400;
    feed((struct simplex_event){ .type = SXE_CLOCK });
    assert_true(has(SXF_SIGN, SX_NULLIFY));
}

static void the_timeout_grows_with_each_failed_view(void **state)
{
    feed((struct simplex_event){ .type = SXE_WORK, .flag = true });
    int64_t last = 0;
    for (uint64_t v = 1; v <= 3; v++) {
        int64_t begun = now;
        while (!has(SXF_SIGN, SX_NULLIFY)) {
            now += 50;
            feed((struct simplex_event){ .type = SXE_CLOCK });
        }
        assert_true(now - begun > last);
        last = now - begun;
        signed_ok(SX_NULLIFY, &(struct simplex_block){ .view = v });
        for (unsigned i = 0; i < 3; i++)
            vote(i, SX_NULLIFY, &(struct simplex_block){ .view = v });
        assert_int_equal(view(), v + 1);
    }
}

static void forged_foreign_and_malformed_votes_are_dropped(void **state)
{
    struct simplex_block a = block_at(1, 1, &genesis, 0), far = block_at(1 + SIMPLEX_VIEWS_AHEAD + 1, 9, &genesis, 0);
    struct simplex_event e = { .type = SXE_VOTE, .signer = 0, .vote = { SX_NOTARIZE, a }, .sig = sig_of(1, SX_NOTARIZE) };
    uint64_t before = dropped();
    feed(e);                                            /* another's signature */
    e.sig = sig_of(0, SX_NOTARIZE);
    e.signer = 4;
    feed(e);                                            /* no such validator */
    e.signer = 3;
    e.sig = sig_of(3, SX_NOTARIZE);
    feed(e);                                            /* ourselves, from outside */
    vote(0, SX_NOTARIZE, &far);                         /* too far ahead to keep */
    a.parent_view = 1;
    vote(0, SX_NOTARIZE, &a);                           /* its own parent */
    assert_int_equal(dropped(), before + 5);
    assert_int_equal(out.n, 0);
}

static void contradictory_votes_are_evidence(void **state)
{
    struct simplex_block a = block_at(1, 1, &genesis, 0), b = block_at(1, 1, &genesis, 1);
    vote(1, SX_NOTARIZE, &a);
    assert_int_equal(out.n, 0);
    vote(1, SX_NOTARIZE, &b);
    assert_true(has(SXF_EVIDENCE, SX_NOTARIZE));
    assert_int_equal(out.e[0].signer, 1);
    vote(2, SX_FINALIZE, &a);
    vote(2, SX_NULLIFY, &a);
    assert_true(has(SXF_EVIDENCE, SX_NULLIFY));
    vote(0, SX_NOTARIZE, &a);
    vote(0, SX_NULLIFY, &a);
    assert_false(has(SXF_EVIDENCE, SX_NULLIFY));        /* notarize and nullify is lawful */
}

static bool block_same(const struct simplex_block *x, const struct simplex_block *y)
{
    return x->view == y->view && x->height == y->height && hash32_eq(&x->hash, &y->hash);
}

static struct simplex_cert cert_by(uint8_t type, const struct simplex_block *b, uint8_t bits)
{
    struct simplex_cert c = { .type = type, .b = *b, .bitmap = { bits } };
    for (unsigned i = 0; i < 8; i++)
        if (bits >> i & 1)
            c.sig[c.n_sigs++] = sig_of(i, type);
    return c;
}

static void a_certificate_shows_who_had_told_us_something_else(void **state)
{
    struct simplex_block a = block_at(1, 1, &genesis, 0), b = block_at(1, 1, &genesis, 1);
    struct simplex_cert c = cert_by(SX_NOTARIZE, &a, 0xe);
    vote(1, SX_NOTARIZE, &b);
    vote(2, SX_NULLIFY, &b);                            /* lawful beside a notarize */
    feed((struct simplex_event){ .type = SXE_CERT, .cert = &c });
    assert_true(has(SXF_EVIDENCE, SX_NOTARIZE));
    assert_int_equal(out.e[0].signer, 1);
    assert_true(block_same(&out.e[0].vote.b, &a) && block_same(&out.e[0].other.b, &b));
    assert_int_equal(out.e[0].other.type, SX_NOTARIZE);
    struct sig64 his = sig_of(1, SX_NOTARIZE);
    assert_memory_equal(&out.e[0].sig, &his, sizeof his);
    assert_memory_equal(&out.e[0].other_sig, &his, sizeof his);
    c = cert_by(SX_FINALIZE, &a, 0xe);
    feed((struct simplex_event){ .type = SXE_CERT, .cert = &c });
    assert_true(has(SXF_EVIDENCE, SX_FINALIZE));        /* 2, who had nullified */
    assert_int_equal(out.e[0].signer, 2);
    assert_int_equal(out.e[0].other.type, SX_NULLIFY);
}

static void evidence_is_told_once_for_each(void **state)
{
    struct simplex_block a = block_at(1, 1, &genesis, 0), b = block_at(1, 1, &genesis, 1);
    vote(1, SX_NOTARIZE, &a);
    vote(1, SX_NOTARIZE, &b);
    assert_true(has(SXF_EVIDENCE, SX_NOTARIZE));
    vote(1, SX_NOTARIZE, &b);
    assert_false(has(SXF_EVIDENCE, SX_NOTARIZE));
    vote(2, SX_NOTARIZE, &a);
    vote(2, SX_NOTARIZE, &b);
    assert_true(has(SXF_EVIDENCE, SX_NOTARIZE));
}

static void certificates_need_a_quorum_of_known_signers(void **state)
{
    struct simplex_block a = block_at(1, 1, &genesis, 0);
    struct simplex_cert c = cert_by(SX_FINALIZE, &a, 0x3);
    assert_err(simplex_cert_verify(&config, &c), REEVE_E_V_QUORUM);
    c = cert_by(SX_FINALIZE, &a, 0x17);
    assert_err(simplex_cert_verify(&config, &c), REEVE_E_V_SIGNER);
    c = cert_by(SX_FINALIZE, &a, 0x7);
    c.n_sigs = 4;
    assert_err(simplex_cert_verify(&config, &c), REEVE_E_V_SIGNER);
    c.n_sigs = 3;
    c.sig[1] = c.sig[0];
    assert_err(simplex_cert_verify(&config, &c), REEVE_E_V_SIGNATURE);
    feed((struct simplex_event){ .type = SXE_CERT, .cert = &c });
    assert_false(has(SXF_COMMIT, SX_FINALIZE));
    c = cert_by(SX_FINALIZE, &a, 0x7);
    feed((struct simplex_event){ .type = SXE_CERT, .cert = &c });
    assert_true(has(SXF_COMMIT, SX_FINALIZE));
    assert_int_equal(view(), 2);
}

static unsigned verified_for(uint8_t type, const struct simplex_block *b)
{
    struct simplex_cert c = cert_by(type, b, 0x7);
    verified = 0;
    feed((struct simplex_event){ .type = SXE_CERT, .cert = &c });
    return verified;
}

/* n validators send the same certificate; q signatures are a costly look at nothing new. */
static void a_certificate_that_is_held_is_not_verified_again(void **state)
{
    struct simplex_block a = block_at(1, 1, &genesis, 0), other = block_at(1, 1, &genesis, 7), two = { .view = 2 };
    assert_int_equal(verified_for(SX_NOTARIZE, &a), 3);
    assert_int_equal(verified_for(SX_NOTARIZE, &a), 0);
    assert_int_equal(verified_for(SX_NOTARIZE, &other), 3);
    assert_int_equal(verified_for(SX_NULLIFY, &two), 3);
    assert_int_equal(verified_for(SX_NULLIFY, &two), 0);
    assert_int_equal(verified_for(SX_FINALIZE, &a), 3);
    assert_int_equal(verified_for(SX_FINALIZE, &a), 0);
}

static void an_ancestor_commits_with_its_descendant(void **state)
{
    struct simplex_block one = block_at(1, 1, &genesis, 0), two = block_at(2, 2, &one, 0);
    for (unsigned i = 0; i < 3; i++)
        vote(i, SX_NOTARIZE, &one);
    struct simplex_cert c = cert_by(SX_FINALIZE, &two, 0x7);
    feed((struct simplex_event){ .type = SXE_CERT, .cert = &c });
    assert_int_equal(out.e[0].type, SXF_COMMIT);
    assert_int_equal(out.e[0].vote.b.height, 1);
    assert_false(out.e[0].flag);
    assert_int_equal(out.e[1].type, SXF_COMMIT);
    assert_int_equal(out.e[1].vote.b.height, 2);
    assert_true(out.e[1].flag);
}

static void nullified(uint64_t view)
{
    struct simplex_cert c = cert_by(SX_NULLIFY, &(struct simplex_block){ .view = view }, 0x7);
    feed((struct simplex_event){ .type = SXE_CERT, .cert = &c });
}

static void views_without_end_may_be_nullified_and_then_a_block_follows(void **state)
{
    uint64_t last = 3 * SIMPLEX_VIEWS_AHEAD + 3;    /* led by us: views go round */
    for (uint64_t v = 1; v <= last; v++)
        nullified(v);
    assert_int_equal(view(), last + 1);
    struct simplex_block b = block_at(last + 1, 1, &genesis, 0);
    assert_int_equal(last % 4, 3);
    feed((struct simplex_event){ .type = SXE_WORK, .flag = true });
    assert_true(has(SXF_BUILD, SX_PROPOSE));
    nullified(last + 1);
    b = block_at(last + 2, 1, &genesis, 0);
    vote(0, SX_PROPOSE, &b);
    assert_true(has(SXF_CHECK, SX_PROPOSE));
}

static void also_on_a_block_that_is_merely_notarized(void **state)
{
    struct simplex_block one = block_at(1, 1, &genesis, 0);
    for (unsigned i = 0; i < 3; i++)
        vote(i, SX_NOTARIZE, &one);
    for (uint64_t v = 2; v <= 41; v++)
        nullified(v);
    struct simplex_block on = block_at(42, 2, &one, 0), past = block_at(42, 1, &genesis, 1);
    vote(0, SX_PROPOSE, &on);                           /* leads 42: forty views after his own */
    assert_true(has(SXF_CHECK, SX_PROPOSE));
    checked(&on, false);
    vote(1, SX_PROPOSE, &past);                         /* view 1 was not nullified */
    assert_false(has(SXF_CHECK, SX_PROPOSE));
}

static void who_was_left_behind_asks_for_the_certificates(void **state)
{
    struct simplex_block far = { .view = 5000 };
    vote(1, SX_NULLIFY, &far);
    assert_true(has(SXF_WANT, SX_NULLIFY));
    assert_int_equal(out.e[0].vote.b.view, 1);
    vote(2, SX_NULLIFY, &far);
    assert_false(has(SXF_WANT, SX_NULLIFY));            /* not again at once */
    now += 700;
    vote(2, SX_NULLIFY, &far);
    assert_true(has(SXF_WANT, SX_NULLIFY));
}

/* Its certificates are gone, its own votes are not: where it may have voted and no longer sees it, it keeps still. */
static void in_views_it_may_have_voted_in_it_does_not_vote_again(void **state)
{
    uint64_t far = 3 * SIMPLEX_VIEWS_AHEAD;
    assert_ok(simplex_init(&s, mem, simplex_size(), &config, &genesis, 0));
    for (uint64_t v = 1; v <= far; v++)
        feed((struct simplex_event){ .type = SXE_RESTORE, .vote = { SX_NULLIFY, { .view = v } }, .sig = sig_of(3, SX_NULLIFY) });
    feed((struct simplex_event){ .type = SXE_START });
    feed((struct simplex_event){ .type = SXE_WORK, .flag = true });
    for (uint64_t v = 1; v <= far; v++) {
        assert_int_equal(view(), v);
        now += 60000;
        feed((struct simplex_event){ .type = SXE_CLOCK });
        for (size_t i = 0; i < out.n; i++)
            assert_true(out.e[i].type != SXF_SIGN || out.e[i].vote.type == SX_HEARTBEAT);
        assert_false(has(SXF_BUILD, SX_PROPOSE));
        assert_true(simplex_wake(s).ms > now);
        nullified(v);
    }
    now += 60000;
    feed((struct simplex_event){ .type = SXE_CLOCK });
    assert_true(has(SXF_SIGN, SX_NULLIFY));
}

/* Half of a set that is slower than its timeout nullifies, the other half finalizes: only more time gets them together. */
static void it_grows_as_well_with_views_that_are_notarized_and_not_final(void **state)
{
    struct simplex_block parent = genesis;
    int64_t last = 0;
    for (uint64_t v = 1; v <= 4; v++) {
        int64_t begun = now;
        for (feed((struct simplex_event){ .type = SXE_WORK, .flag = true }); !has(SXF_SIGN, SX_NULLIFY);) {
            now += 50;
            feed((struct simplex_event){ .type = SXE_CLOCK });
        }
        assert_true(v <= 2 || now - begun > last);
        last = now - begun;
        struct simplex_block b = block_at(v, v, &parent, 0);
        struct simplex_cert c = cert_by(SX_NOTARIZE, &b, 0x7);
        feed((struct simplex_event){ .type = SXE_CERT, .cert = &c });
        assert_int_equal(view(), v + 1);
        parent = b;
    }
}

/* He makes blocks all right, but without somebody's update: only whoever waits can tell. */
static void a_leader_who_leaves_updates_out_is_given_up_once(void **state)
{
    struct simplex_block one = block_at(1, 1, &genesis, 0);
    struct simplex_cert c = cert_by(SX_FINALIZE, &one, 0x7);
    feed((struct simplex_event){ .type = SXE_CERT, .cert = &c });
    assert_int_equal(view(), 2);
    feed((struct simplex_event){ .type = SXE_OVERDUE, .flag = true });
    assert_true(has(SXF_SIGN, SX_NULLIFY));
    nullified(2);
    feed((struct simplex_event){ .type = SXE_CLOCK });
    assert_false(has(SXF_SIGN, SX_NULLIFY));            /* the next one has his chance */
}

/* A host whose copy of the parent is still on its way would otherwise be asked without end. */
static void who_could_not_build_is_asked_again_only_later(void **state)
{
    struct simplex_block one = block_at(1, 1, &genesis, 0);
    for (unsigned i = 0; i < 3; i++)
        vote(i, SX_NOTARIZE, &one);
    nullified(2);
    nullified(3);                                       /* view 4 is ours: 0 led view 1, then two nullified, then this one */
    nullified(4);
    now += 4 * 400;
    feed((struct simplex_event){ .type = SXE_CLOCK });
    assert_true(has(SXF_BUILD, SX_PROPOSE));
    struct simplex_vote asked = out.e[0].vote;
    for (size_t i = 0; i < out.n; i++)
        if (out.e[i].type == SXF_BUILD)
            asked = out.e[i].vote;
    feed((struct simplex_event){ .type = SXE_NOT_BUILT, .vote = asked });
    assert_false(has(SXF_BUILD, SX_PROPOSE));
    assert_true(simplex_wake(s).ms > now);
    now += 900;
    feed((struct simplex_event){ .type = SXE_CLOCK });
    assert_true(has(SXF_BUILD, SX_PROPOSE));
}

static void a_final_block_with_unknown_ancestors_asks_for_them(void **state)
{
    struct simplex_block one = block_at(1, 1, &genesis, 0), two = block_at(2, 2, &one, 0), far = block_at(500, 90, &two, 0);
    struct simplex_cert c = cert_by(SX_FINALIZE, &two, 0x7);
    feed((struct simplex_event){ .type = SXE_CERT, .cert = &c });
    assert_true(has(SXF_BEHIND, SX_FINALIZE));
    assert_false(has(SXF_COMMIT, SX_FINALIZE));
    c = cert_by(SX_FINALIZE, &far, 0x7);
    feed((struct simplex_event){ .type = SXE_CERT, .cert = &c });
    assert_true(has(SXF_BEHIND, SX_FINALIZE));
    feed((struct simplex_event){ .type = SXE_COMMITTED, .signer = 2, .vote = { SX_FINALIZE, far } });
    assert_int_equal(view(), 501);
    struct simplex_status st;
    simplex_status(s, &st);
    assert_int_equal(st.leader, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(only_the_right_leader_is_listened_to),
        T(a_proposal_that_skips_a_view_needs_its_nullification),
        T(a_proposal_on_an_unnotarized_parent_waits),
        T(a_proposal_on_the_other_block_of_a_notarized_view_is_not_looked_at),
        T(finalize_follows_only_an_own_notarization_of_the_same_block),
        T(after_nullifying_a_late_notarization_moves_on_but_finalizes_nothing),
        T(who_asked_to_finalize_never_nullifies),
        T(an_invalid_proposal_is_nullified_at_once),
        T(idle_views_have_no_timer),
        T(the_timeout_grows_with_each_failed_view),
        T(forged_foreign_and_malformed_votes_are_dropped),
        T(contradictory_votes_are_evidence),
        T(a_certificate_shows_who_had_told_us_something_else),
        T(evidence_is_told_once_for_each),
        T(certificates_need_a_quorum_of_known_signers),
        T(a_certificate_that_is_held_is_not_verified_again),
        T(an_ancestor_commits_with_its_descendant),
        T(views_without_end_may_be_nullified_and_then_a_block_follows),
        T(also_on_a_block_that_is_merely_notarized),
        T(who_was_left_behind_asks_for_the_certificates),
        T(in_views_it_may_have_voted_in_it_does_not_vote_again),
        T(it_grows_as_well_with_views_that_are_notarized_and_not_final),
        T(a_leader_who_leaves_updates_out_is_given_up_once),
        T(who_could_not_build_is_asked_again_only_later),
        T(a_final_block_with_unknown_ancestors_asks_for_them),
    };
    return cmocka_run_group_tests_name("simplex_rules", tests, NULL, NULL);
}
