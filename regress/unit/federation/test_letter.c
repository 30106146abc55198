/* test_letter.c - letters between regions: what encodes decodes, and nothing else decodes to it. */
#include "../unit.h"

#include "backend/federation/letter.h"
#include "sim/rng.h"

static struct rng rng;

typedef enum reeve_err again(struct slice body, struct wr *out);

static union {
    struct letter_vote vote; struct letter_proposal proposal; struct letter_cert cert; struct letter_submit submit;
    struct letter_answer answer; struct letter_evidence evidence; struct letter_cosign cosign; struct letter_cosigned cosigned;
} u;

#define AGAIN(name, kind) \
    static enum reeve_err again_##name(struct slice body, struct wr *out) \
    { \
        enum reeve_err err = letter_##name##_decode(&u.name, body); \
        if (err == REEVE_OK) \
            letter_##name##_encode(&u.name, out); \
        return err; \
    }
AGAIN(vote, LETTER_VOTE)
AGAIN(proposal, LETTER_PROPOSAL)
AGAIN(submit, LETTER_SUBMIT)
AGAIN(answer, LETTER_ANSWER)
AGAIN(cosign, LETTER_COSIGN)
AGAIN(cosigned, LETTER_COSIGNED)

static enum reeve_err again_cert(struct slice body, struct wr *out)
{
    enum reeve_err err = letter_cert_decode(&u.cert, body);
    if (err == REEVE_OK) {
        letter_begin(LETTER_CERT, out);
        letter_cert_encode(&u.cert, out);
    }
    return err;
}

static enum reeve_err again_evidence(struct slice body, struct wr *out)
{
    enum reeve_err err = letter_evidence_decode(&u.evidence, body);
    if (err == REEVE_OK) {
        letter_begin(LETTER_EVIDENCE, out);
        letter_evidence_encode(&u.evidence, out);
    }
    return err;
}

static struct vote vote_sample(void)
{
    struct vote v = { .type = VOTE_NOTARIZE, .epoch = 1, .view = 7, .height = 3, .parent_view = 5 };
    v.block_hash.b[0] = 1;
    v.parent_hash.b[31] = 2;
    return v;
}

/* The letter itself, every prefix where the rest is not free text, one byte more, thousands of damaged copies. */
static void canonical(again *f, enum letter_kind kind, struct slice letter, bool open_end)
{
    struct wr out = wr_heap(1 << 16);
    struct slice body;
    uint8_t *copy = malloc(letter.len + 1);
    assert_int_equal(letter_open(letter, &body), kind);
    assert_ok(f(body, &out));
    assert_true(slice_eq(wr_slice(&out), letter));
    memcpy(copy, body.p, body.len);
    copy[body.len] = 0;
    if (!open_end) {
        assert_err(f(slice_of(copy, body.len + 1), &out), REEVE_E_MALFORMED);
        for (size_t n = 0; n < body.len; n++)
            assert_err(f(slice_of(copy, n), &out), REEVE_E_MALFORMED);
    }
    for (int i = 0; i < 4000; i++) {
        size_t at = rng_below(&rng, (uint32_t) body.len);
        uint8_t was = copy[at];
        copy[at] = (uint8_t) rng_next(&rng);
        wr_reset(&out);
        if (f(slice_of(copy, body.len), &out) == REEVE_OK)
            assert_true(out.len == letter.len && memcmp(out.p + 2, copy, body.len) == 0);
        if (rng_below(&rng, 4) != 0)
            copy[at] = was;
    }
    free(copy);
    wr_free(&out);
}

static void votes_and_proposals_have_one_form(void **state)
{
    struct letter_vote v = { .signer = 3, .vote = vote_sample() };
    struct letter_proposal p = { .signer = 2, .content = slice_str("a header and leaves") };
    struct wr m = wr_heap(4096);
    letter_vote_encode(&v, &m);
    canonical(again_vote, LETTER_VOTE, wr_slice(&m), false);
    wr_reset(&m);
    letter_proposal_encode(&p, &m);
    canonical(again_proposal, LETTER_PROPOSAL, wr_slice(&m), true);
    wr_free(&m);
}

static void a_certificate_has_a_signature_for_each_bit_and_none_beyond(void **state)
{
    static struct letter_cert c;
    struct wr m = wr_heap(1 << 14);
    c.vote = vote_sample();
    c.n_bits = 7;
    c.bitmap[0] = 0x5b;
    c.n_sigs = 5;
    for (int i = 0; i < 5; i++)
        c.sig[i].b[0] = (uint8_t) i;
    letter_begin(LETTER_CERT, &m);
    letter_cert_encode(&c, &m);
    canonical(again_cert, LETTER_CERT, wr_slice(&m), false);
    m.p[2 + SIGNER_VOTE_LEN + 2] |= 0x80;       /* a bit beyond the set */
    assert_err(letter_cert_decode(&u.cert, slice_of(m.p + 2, m.len - 2)), REEVE_E_MALFORMED);
    wr_free(&m);
}

static void evidence_has_one_form(void **state)
{
    struct letter_evidence e = { .signer = 2, .vote = { vote_sample(), vote_sample() } };
    struct wr m = wr_heap(4096);
    e.vote[1].block_hash.b[0] = 2;
    e.sig[0].b[0] = e.sig[1].b[63] = 1;
    letter_begin(LETTER_EVIDENCE, &m);
    letter_evidence_encode(&e, &m);
    assert_int_equal(m.len, 2 + LETTER_EVIDENCE_LEN);
    canonical(again_evidence, LETTER_EVIDENCE, wr_slice(&m), false);
    wr_free(&m);
}

static void submissions_and_their_answers_have_one_form(void **state)
{
    struct letter_submit s = { 9, slice_str("leaves") };
    struct letter_answer a = { .err = REEVE_E_CONFLICT, .message = slice_str("somebody was faster") };
    struct wr m = wr_heap(4096);
    letter_submit_encode(&s, &m);
    canonical(again_submit, LETTER_SUBMIT, wr_slice(&m), true);
    wr_reset(&m);
    letter_answer_encode(&a, &m);
    canonical(again_answer, LETTER_ANSWER, wr_slice(&m), false);
    a.err = REEVE_E__COUNT;
    wr_reset(&m);
    letter_answer_encode(&a, &m);
    assert_err(letter_answer_decode(&u.answer, slice_of(m.p + 2, m.len - 2)), REEVE_E_MALFORMED);
    wr_free(&m);
}

static void cosigning_has_one_form(void **state)
{
    struct letter_cosign c = { .size = 12, .root = { { 7 } } };
    struct letter_cosigned l = { c, slice_str("a line") };
    struct wr m = wr_heap(8192);
    letter_cosign_encode(&c, &m);
    canonical(again_cosign, LETTER_COSIGN, wr_slice(&m), false);
    wr_reset(&m);
    letter_cosigned_encode(&l, &m);
    canonical(again_cosigned, LETTER_COSIGNED, wr_slice(&m), false);
    static const uint8_t much[LETTER_LINE_MAX + 1];
    l.line = slice_of(much, sizeof much);
    wr_reset(&m);
    letter_cosigned_encode(&l, &m);
    assert_err(letter_cosigned_decode(&u.cosigned, slice_of(m.p + 2, m.len - 2)), REEVE_E_MALFORMED);
    wr_free(&m);
}

static void other_versions_and_kinds_are_passed_over(void **state)
{
    struct slice body;
    assert_int_equal(letter_open(slice_str(""), &body), 0);
    assert_int_equal(letter_open(slice_str("\1"), &body), 0);
    assert_int_equal(letter_open(slice_str("\2\2"), &body), 0);
    assert_int_equal(letter_open(slice_str("\1\x7f"), &body), 0);
    assert_int_equal(letter_open(slice_str("\1\x16"), &body), 0);
    assert_int_equal(letter_open(slice_str("\1\2"), &body), LETTER_VOTE);
    assert_int_equal(body.len, 0);
}

int main(void)
{
    rng = rng_seeded("federation_letter");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(votes_and_proposals_have_one_form),
        cmocka_unit_test(a_certificate_has_a_signature_for_each_bit_and_none_beyond),
        cmocka_unit_test(evidence_has_one_form),
        cmocka_unit_test(submissions_and_their_answers_have_one_form),
        cmocka_unit_test(cosigning_has_one_form),
        cmocka_unit_test(other_versions_and_kinds_are_passed_over),
    };
    return cmocka_run_group_tests_name("federation_letter", tests, NULL, NULL);
}
