/* letters.c - fuzz target of letters between regions: same bytes or refused. */
#include "backend/federation/letter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t mem[1 << 20];

#define SAME(kind_, type, decode, encode) \
    case kind_: { \
        static struct type l; \
        if (decode(&l, body) == REEVE_OK) { \
            encode(&l, &w); \
            reeve_assert(w.bad || slice_eq(wr_slice(&w), in)); \
        } \
        break; \
    }

static void cert_letter(const struct letter_cert *l, struct wr *out)
{
    letter_begin(LETTER_CERT, out);
    letter_cert_encode(l, out);
}

static void evidence_letter(const struct letter_evidence *l, struct wr *out)
{
    letter_begin(LETTER_EVIDENCE, out);
    letter_evidence_encode(l, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice in = slice_of(data, len), body;
    struct wr w = wr_fixed(mem, sizeof mem);
    switch (letter_open(in, &body)) {
    SAME(LETTER_PROPOSAL, letter_proposal, letter_proposal_decode, letter_proposal_encode)
    SAME(LETTER_VOTE, letter_vote, letter_vote_decode, letter_vote_encode)
    SAME(LETTER_CERT, letter_cert, letter_cert_decode, cert_letter)
    SAME(LETTER_EVIDENCE, letter_evidence, letter_evidence_decode, evidence_letter)
    SAME(LETTER_SUBMIT, letter_submit, letter_submit_decode, letter_submit_encode)
    SAME(LETTER_ANSWER, letter_answer, letter_answer_decode, letter_answer_encode)
    SAME(LETTER_SEAT, letter_seat, letter_seat_decode, letter_seat_encode)
    SAME(LETTER_COSIGN, letter_cosign, letter_cosign_decode, letter_cosign_encode)
    SAME(LETTER_COSIGNED, letter_cosigned, letter_cosigned_decode, letter_cosigned_encode)
    default: break;
    }
    return 0;
}
