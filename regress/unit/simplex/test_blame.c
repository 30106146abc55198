/* test_blame.c - pairs of signed votes that nobody honest signs, and only those. */
#include "../unit.h"
#include "engine/simplex_blame.h"

static bool verify(void *arg, const struct simplex_vote *v, uint16_t signer, const struct sig64 *sig)
{
    return sig->b[0] == signer + 1;
}

static const struct simplex_config config = { .n = 7, .verify = verify };

static struct simplex_signed say(unsigned who, uint8_t type, uint64_t view, uint8_t tag)
{
    struct simplex_signed s = { .signer = (uint16_t) who, .vote = { type, { .view = view } }, .sig = { { (uint8_t) (who + 1) } } };
    if (type != SX_NULLIFY) {
        s.vote.b.height = view;
        s.vote.b.hash.b[0] = tag;
    }
    return s;
}

static bool blamed(struct simplex_signed a, struct simplex_signed b)
{
    struct simplex_signed v[2] = { a, b };
    struct simplex_proof out[SIMPLEX_VALIDATORS_MAX];
    size_t n = simplex_blame(&config, v, 2, out);
    assert_true(n <= 1);
    return n == 1;
}

static void contradictions_within_a_view_are_proofs(void **state)
{
    assert_true(blamed(say(1, SX_NOTARIZE, 5, 1), say(1, SX_NOTARIZE, 5, 2)));
    assert_true(blamed(say(1, SX_PROPOSE, 5, 1), say(1, SX_PROPOSE, 5, 2)));
    assert_true(blamed(say(1, SX_FINALIZE, 5, 1), say(1, SX_FINALIZE, 5, 2)));
    assert_true(blamed(say(1, SX_FINALIZE, 5, 1), say(1, SX_NULLIFY, 5, 0)));
    assert_true(blamed(say(1, SX_NULLIFY, 5, 0), say(1, SX_FINALIZE, 5, 1)));
    assert_true(blamed(say(1, SX_FINALIZE, 5, 1), say(1, SX_NOTARIZE, 5, 2)));
}

static void what_is_lawful_proves_nothing(void **state)
{
    assert_false(blamed(say(1, SX_NOTARIZE, 5, 1), say(1, SX_NOTARIZE, 5, 1)));
    assert_false(blamed(say(1, SX_NOTARIZE, 5, 1), say(1, SX_NULLIFY, 5, 0)));
    assert_false(blamed(say(1, SX_NOTARIZE, 5, 1), say(1, SX_FINALIZE, 5, 1)));
    assert_false(blamed(say(1, SX_PROPOSE, 5, 1), say(1, SX_NOTARIZE, 5, 2)));
    assert_false(blamed(say(1, SX_NOTARIZE, 5, 1), say(1, SX_NOTARIZE, 6, 2)));
    assert_false(blamed(say(1, SX_NOTARIZE, 5, 1), say(2, SX_NOTARIZE, 5, 2)));
}

static void forged_votes_and_strangers_are_ignored(void **state)
{
    struct simplex_signed forged = say(1, SX_NOTARIZE, 5, 2);
    forged.sig.b[0] = 9;
    assert_false(blamed(say(1, SX_NOTARIZE, 5, 1), forged));
    assert_false(blamed(say(7, SX_NOTARIZE, 5, 1), say(7, SX_NOTARIZE, 5, 2)));
}

/* The dumb twin: every pair of all votes. */
static void it_finds_whom_comparing_everything_finds(void **state)
{
    struct rng rng = rng_seeded("blame");
    for (int round = 0; round < 300; round++) {
        struct simplex_signed v[60], copy[60];
        struct simplex_proof out[SIMPLEX_VALIDATORS_MAX];
        bool guilty[7] = { false };
        size_t n = rng_below(&rng, 61), found;
        for (size_t i = 0; i < n; i++)
            v[i] = copy[i] = say(rng_below(&rng, 7), (uint8_t) (1 + rng_below(&rng, 4)), 1 + rng_below(&rng, 4), (uint8_t) rng_below(&rng, 2));
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < n; k++)
                if (v[i].signer == v[k].signer && simplex_contradict(&v[i].vote, &v[k].vote))
                    guilty[v[i].signer] = true;
        found = simplex_blame(&config, copy, n, out);
        for (size_t i = 0; i < found; i++) {
            assert_true(guilty[out[i].a.signer] && simplex_proof_ok(&config, &out[i]));
            guilty[out[i].a.signer] = false;
        }
        for (int i = 0; i < 7; i++)
            assert_false(guilty[i]);
    }
}

static void a_certificate_is_its_votes(void **state)
{
    struct simplex_cert c = { .type = SX_NULLIFY, .b = { .view = 3 }, .bitmap = { 0x29 }, .n_sigs = 3 };
    struct simplex_signed out[SIMPLEX_VALIDATORS_MAX];
    assert_int_equal(simplex_cert_votes(&c, out), 3);
    assert_int_equal(out[1].signer, 3);
    assert_int_equal(out[2].signer, 5);
    c.n_sigs = 2;
    assert_int_equal(simplex_cert_votes(&c, out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contradictions_within_a_view_are_proofs),
        cmocka_unit_test(what_is_lawful_proves_nothing),
        cmocka_unit_test(forged_votes_and_strangers_are_ignored),
        cmocka_unit_test(it_finds_whom_comparing_everything_finds),
        cmocka_unit_test(a_certificate_is_its_votes),
    };
    return cmocka_run_group_tests_name("simplex_blame", tests, NULL, NULL);
}
