/*
 * row_proposal.c - changes that wait for approvals
 *
 *   proposal: u8 state | name proposal | u64 not_after_s | name policy | u64 policy version | 32 digest | opt name proposer |
 *             u64 created | u64 closed | u64 leaf | str16 statement | str16 reason |
 *             u8 n (1..PROPOSAL_PARTS_MAX) { str32 part } |
 *             u8 n (0..VERDICTS_MAX) { name approver | u8 verdict | u64 at | 64 signature | str16 reason }
 */
#include "engine/region/region_int.h"

static const char *const names[] = { "?", "pending", "applied", "withdrawn", "vetoed" };

const char *proposal_state_name(enum proposal_state s)
{
    return (unsigned) s < sizeof names / sizeof *names ? names[s] : names[0];
}

static void put_verdict(const struct verdict_row *v, struct wr *out)
{
    wr_name(out, &v->approver);
    wr_u8(out, v->verdict);
    wr_time(out, v->at);
    wr_bytes(out, v->sig.b, 64);
    wr_str16(out, v->reason);
}

void proposal_row_encode(const struct proposal_row *p, struct wr *out)
{
    wr_u8(out, p->state);
    wr_name(out, &p->ref.proposal);
    wr_u64(out, p->ref.not_after_s);
    wr_name(out, &p->ref.policy);
    wr_u64(out, p->ref.policy_version);
    wr_bytes(out, p->ref.digest.b, 32);
    wr_u8(out, p->proposer.len);
    wr_bytes(out, p->proposer.s, p->proposer.len);
    wr_time(out, p->created);
    wr_time(out, p->closed);
    wr_u64(out, p->leaf);
    wr_str16(out, p->statement);
    wr_str16(out, p->reason);
    wr_u8(out, p->n_parts);
    for (uint8_t i = 0; i < p->n_parts; i++)
        wr_str32(out, p->part[i]);
    wr_u8(out, p->n_verdicts);
    for (uint8_t i = 0; i < p->n_verdicts; i++)
        put_verdict(&p->verdict[i], out);
}

static void parts_read(struct proposal_row *p, struct rd *r)
{
    size_t total = 0;
    p->n_parts = rd_u8(r);
    if (p->n_parts == 0 || p->n_parts > PROPOSAL_PARTS_MAX)
        r->bad = true;
    for (uint8_t i = 0; i < p->n_parts && !r->bad; i++) {
        p->part[i] = rd_str32(r, ATTEST_LEAF_MAX);
        total += p->part[i].len;
    }
    if (total > PROPOSAL_BYTES_MAX)
        r->bad = true;
}

static void verdicts_read(struct proposal_row *p, struct rd *r)
{
    p->n_verdicts = rd_u8(r);
    if (p->n_verdicts > VERDICTS_MAX)
        r->bad = true;
    for (uint8_t i = 0; i < p->n_verdicts && !r->bad; i++) {
        struct verdict_row *v = &p->verdict[i];
        rd_name(r, &v->approver);
        v->verdict = rd_u8(r);
        v->at = rd_time(r);
        rd_copy(r, v->sig.b, 64);
        v->reason = rd_text16(r, ATTEST_TEXT_MAX);
        if (v->verdict == 0 || v->verdict > VERDICT_REJECT)
            r->bad = true;
    }
}

void proposal_row_read(struct proposal_row *p, struct rd *r)
{
    memset(p, 0, sizeof *p);
    p->state = rd_u8(r);
    rd_name(r, &p->ref.proposal);
    p->ref.not_after_s = rd_u64(r);
    rd_name(r, &p->ref.policy);
    p->ref.policy_version = rd_u64(r);
    rd_copy(r, p->ref.digest.b, 32);
    rd_row_name(r, &p->proposer);
    p->created = rd_time(r);
    p->closed = rd_time(r);
    p->leaf = rd_u64(r);
    p->statement = rd_text16(r, ATTEST_TEXT_MAX);
    p->reason = rd_text16(r, ATTEST_TEXT_MAX);
    parts_read(p, r);
    verdicts_read(p, r);
    if (p->state == 0 || p->state > PROPOSAL_VETOED || p->ref.not_after_s > INT64_MAX / 1000)
        r->bad = true;
}

enum reeve_err proposal_row_decode(struct proposal_row *row, struct slice in)
{
    struct rd r = rd_of(in);
    proposal_row_read(row, &r);
    return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED;
}
