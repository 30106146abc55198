/* letter.c - letters between regions as bytes, both ways; see the header. */
#include "backend/federation/letter.h"

void letter_begin(enum letter_kind kind, struct wr *out)
{
    wr_u8(out, 1);
    wr_u8(out, (uint8_t) kind);
}

enum letter_kind letter_open(struct slice letter, struct slice *body)
{
    struct rd in = rd_of(letter);
    uint8_t version = rd_u8(&in), kind = rd_u8(&in);
    *body = rd_bytes(&in, rd_left(&in));
    return in.bad || version != 1 || kind >= LETTER__COUNT ? 0 : (enum letter_kind) kind;
}

static enum reeve_err ended(const struct rd *in)
{
    return rd_done(in) ? REEVE_OK : REEVE_E_MALFORMED;
}

/* ---- validators ---- */

void letter_vote_encode(const struct letter_vote *l, struct wr *out)
{
    letter_begin(LETTER_VOTE, out);
    wr_u16(out, l->signer);
    wr_bytes(out, l->sig.b, 64);
    signer_vote_encode(&l->vote, out);
}

enum reeve_err letter_vote_decode(struct letter_vote *l, struct slice body)
{
    struct rd in = rd_of(body);
    l->signer = rd_u16(&in);
    rd_copy(&in, l->sig.b, 64);
    signer_vote_decode(&l->vote, &in);
    return ended(&in);
}

void letter_proposal_encode(const struct letter_proposal *l, struct wr *out)
{
    letter_begin(LETTER_PROPOSAL, out);
    wr_u16(out, l->signer);
    wr_bytes(out, l->sig.b, 64);
    wr_bytes(out, l->content.p, l->content.len);
}

enum reeve_err letter_proposal_decode(struct letter_proposal *l, struct slice body)
{
    struct rd in = rd_of(body);
    l->signer = rd_u16(&in);
    rd_copy(&in, l->sig.b, 64);
    l->content = rd_bytes(&in, rd_left(&in));
    return ended(&in);
}

void letter_cert_encode(const struct letter_cert *l, struct wr *out)
{
    signer_vote_encode(&l->vote, out);
    wr_u16(out, l->n_bits);
    wr_bytes(out, l->bitmap, (l->n_bits + 7u) / 8);
    for (uint16_t i = 0; i < l->n_sigs; i++)
        wr_bytes(out, l->sig[i].b, 64);
}

/* Bits beyond n_bits are malformed: one certificate has one form. */
static uint16_t bits(const struct letter_cert *l, struct rd *in)
{
    uint16_t n = 0;
    for (unsigned i = 0; i < ATTEST_VALIDATORS_MAX; i++)
        if (l->bitmap[i / 8] >> i % 8 & 1) {
            n++;
            in->bad |= i >= l->n_bits;
        }
    return n;
}

enum reeve_err letter_cert_decode(struct letter_cert *l, struct slice body)
{
    struct rd in = rd_of(body);
    memset(l, 0, sizeof *l);
    signer_vote_decode(&l->vote, &in);
    l->n_bits = rd_u16(&in);
    if (in.bad || l->n_bits == 0 || l->n_bits > ATTEST_VALIDATORS_MAX)
        return REEVE_E_MALFORMED;
    rd_copy(&in, l->bitmap, (l->n_bits + 7u) / 8);
    uint16_t n = bits(l, &in);
    for (uint16_t i = 0; !in.bad && i < n; i++)
        rd_copy(&in, l->sig[i].b, 64);
    l->n_sigs = n;
    return ended(&in);
}

void letter_evidence_encode(const struct letter_evidence *l, struct wr *out)
{
    wr_u16(out, l->signer);
    for (unsigned i = 0; i < 2; i++) {
        signer_vote_encode(&l->vote[i], out);
        wr_bytes(out, l->sig[i].b, 64);
    }
}

enum reeve_err letter_evidence_decode(struct letter_evidence *l, struct slice body)
{
    struct rd in = rd_of(body);
    l->signer = rd_u16(&in);
    for (unsigned i = 0; i < 2; i++) {
        signer_vote_decode(&l->vote[i], &in);
        rd_copy(&in, l->sig[i].b, 64);
    }
    return ended(&in);
}

/* ---- submissions ---- */

void letter_submit_encode(const struct letter_submit *l, struct wr *out)
{
    letter_begin(LETTER_SUBMIT, out);
    wr_u64(out, l->height);
    wr_bytes(out, l->leaves.p, l->leaves.len);
}

enum reeve_err letter_submit_decode(struct letter_submit *l, struct slice body)
{
    struct rd in = rd_of(body);
    l->height = rd_u64(&in);
    l->leaves = rd_bytes(&in, rd_left(&in));
    return ended(&in);
}

void letter_answer_encode(const struct letter_answer *l, struct wr *out)
{
    letter_begin(LETTER_ANSWER, out);
    wr_bytes(out, l->digest.b, 32);
    wr_u16(out, (uint16_t) l->err);
    wr_str16(out, slice_of(l->message.p, l->message.len < LETTER_MESSAGE_MAX ? l->message.len : LETTER_MESSAGE_MAX));
}

enum reeve_err letter_answer_decode(struct letter_answer *l, struct slice body)
{
    struct rd in = rd_of(body);
    rd_copy(&in, l->digest.b, 32);
    uint16_t code = rd_u16(&in);
    in.bad |= code >= REEVE_E__COUNT;
    l->err = (enum reeve_err) code;
    l->message = rd_str16(&in, LETTER_MESSAGE_MAX);
    return ended(&in);
}

/* ---- checkpoints ---- */

static void head_put(const struct letter_cosign *l, struct wr *out)
{
    wr_u64(out, l->size);
    wr_bytes(out, l->root.b, 32);
}

static void head_get(struct letter_cosign *l, struct rd *in)
{
    l->size = rd_u64(in);
    rd_copy(in, l->root.b, 32);
}

void letter_cosign_encode(const struct letter_cosign *l, struct wr *out)
{
    letter_begin(LETTER_COSIGN, out);
    head_put(l, out);
}

enum reeve_err letter_cosign_decode(struct letter_cosign *l, struct slice body)
{
    struct rd in = rd_of(body);
    head_get(l, &in);
    return ended(&in);
}

void letter_cosigned_encode(const struct letter_cosigned *l, struct wr *out)
{
    letter_begin(LETTER_COSIGNED, out);
    head_put(&l->of, out);
    wr_str16(out, l->line);
}

enum reeve_err letter_cosigned_decode(struct letter_cosigned *l, struct slice body)
{
    struct rd in = rd_of(body);
    head_get(&l->of, &in);
    l->line = rd_str16(&in, LETTER_LINE_MAX);
    return ended(&in);
}

/* ---- the next set ---- */

void letter_seat_encode(const struct letter_seat *l, struct wr *out)
{
    letter_begin(LETTER_SEAT, out);
    wr_bytes(out, l->set_hash.b, 32);
    wr_bytes(out, l->key.b, 32);
    wr_bytes(out, l->seat.by_key.b, 64);
    wr_bytes(out, l->seat.by_cosign.b, 64);
}

enum reeve_err letter_seat_decode(struct letter_seat *l, struct slice body)
{
    struct rd in = rd_of(body);
    rd_copy(&in, l->set_hash.b, 32);
    rd_copy(&in, l->key.b, 32);
    rd_copy(&in, l->seat.by_key.b, 64);
    rd_copy(&in, l->seat.by_cosign.b, 64);
    return ended(&in);
}
