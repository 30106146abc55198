/* approval.c - what approvers sign: the content of a proposal, its digest, the text of the note. */
#include "codec_int.h"
#include "approve_int.h"
#include "common/text.h"

/* ---- sets ---- */

void approval_set_encode(const struct approval_set *s, struct wr *out)
{
    wr_u8(out, s->n);
    at_put_ref(out, &s->ref);
    wr_u8(out, s->n_parts);
    wr_u8(out, s->part);
    for (uint8_t i = 0; i < s->n_parts; i++)
        wr_bytes(out, s->content[i].b, 32);
    at_put_approvals(out, s->a, s->n);
}

static void set_read(struct rd *r, struct approval_set *s)
{
    memset(s, 0, sizeof *s);
    s->n = at_kind(r, APPROVALS_MAX);
    at_ref(r, &s->ref);
    s->n_parts = at_kind(r, PROPOSAL_PARTS_MAX);
    s->part = rd_u8(r);
    if (s->part >= s->n_parts)
        r->bad = true;
    for (uint8_t i = 0; i < s->n_parts && !r->bad; i++)
        rd_copy(r, s->content[i].b, 32);
    at_approvals(r, s->a, r->bad ? 0 : s->n);
}

enum reeve_err approval_set_decode(struct approval_set *s, struct slice in)
{
    struct rd r = rd_of(in);
    set_read(&r, s);
    return at_finish(&r);
}

struct slice approval_section(struct rd *r)
{
    const uint8_t *from = r->p;
    struct approval_set s;
    if (rd_left(r) > 0 && *r->p == 0) {
        (void) rd_u8(r);
        return slice_of(NULL, 0);
    }
    set_read(r, &s);
    return r->bad ? slice_of(NULL, 0) : slice_of(from, (size_t) (r->p - from));
}

/* ---- digests ---- */

/* Everything of an update that says what it does and who asked for it (format: engine/attest.h). */
enum reeve_err update_content_hash(const struct crypto_ops *c, struct hash32 *out, struct slice leaf)
{
    struct rd r = rd_of(leaf);
    rd_bytes(&r, 3);
    rd_bytes(&r, rd_u8(&r));
    rd_bytes(&r, 8 + 32);
    rd_str32(&r, ATTEST_PAYLOAD_MAX);
    rd_bytes(&r, rd_u8(&r));
    rd_bytes(&r, rd_u8(&r));
    for (int i = 0; i < 3; i++)
        rd_str16(&r, ATTEST_TEXT_MAX);
    if (r.bad)
        return REEVE_E_MALFORMED;
    labelled_hash(c, out, "reeve-content-v1", slice_of(leaf.p, (size_t) (r.p - leaf.p)), slice_of(NULL, 0));
    return REEVE_OK;
}

void proposal_digest(const struct crypto_ops *c, struct approval_ref *ref, const struct hash32 *chain_id,
                     const struct hash32 *content, uint8_t n_parts)
{
    uint8_t mem[2 * 256 + 17 + PROPOSAL_PARTS_MAX * 32];
    struct wr w = wr_fixed(mem, sizeof mem);
    at_put_ref(&w, ref);
    wr_u8(&w, n_parts);
    for (uint8_t i = 0; i < n_parts; i++)
        wr_bytes(&w, content[i].b, 32);
    reeve_assert(!w.bad);
    labelled_hash(c, &ref->digest, "reeve-proposal-v1", slice_of(chain_id->b, 32), wr_slice(&w));
}

/* ---- the text ---- */

static void put_number(struct wr *out, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char) ('0' + v % 10);
        v /= 10;
    } while (v > 0);
    wr_bytes(out, digits + at, sizeof digits - at);
}

static void put_line(struct wr *out, const char *s)
{
    wr_text(out, s);
    wr_u8(out, '\n');
}

void approval_text(struct wr *out, const struct hash32 *chain_id, bool approve, const struct approval_ref *ref)
{
    char text[65];
    put_line(out, "reeve approval v1");
    hex_encode(text, chain_id->b, 32);
    put_line(out, text);
    put_line(out, approve ? "approve" : "reject");
    put_line(out, ref->proposal.s);
    base64_encode(text, ref->digest.b, 32);
    put_line(out, text);
    wr_text(out, ref->policy.s);
    wr_u8(out, ' ');
    put_number(out, ref->policy_version);
    wr_u8(out, '\n');
    put_number(out, ref->not_after_s);
    wr_u8(out, '\n');
}

bool approval_verify(const struct crypto_ops *c, const struct approval *a, const struct pubkey *key, const struct hash32 *chain_id,
                     bool approve, const struct approval_ref *ref)
{
    uint8_t mem[APPROVAL_TEXT_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    approval_text(&w, chain_id, approve, ref);
    return !w.bad && c->verify(&a->sig, wr_slice(&w), key);
}
