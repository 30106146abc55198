/*
 * op_proposal.c - proposals and what approvers said of them
 *
 * The region only keeps them: whether a signature is one, and whether those
 * there are suffice, is judged by who proposes (backend/commands) and again by
 * every validator (engine/attest).
 */
#include "engine/region/region_int.h"

static const struct slice nothing = { NULL, 0 };

static bool is_over(const struct apply *a, const struct proposal_row *p)
{
    return p->state != PROPOSAL_PENDING || a->now.ms > (int64_t) p->ref.not_after_s * 1000;
}

/* Room for one more: the oldest that is over goes. TOO_COMPLEX when all are pending. */
static enum reeve_err make_room(struct apply *a)
{
    struct region snap = { .kv = a->kv };
    struct proposal_row *row = &a->s->proposal[1];
    struct kv_iter it;
    struct slice key, val;
    struct wall_ms oldest = { INT64_MAX };
    struct name victim = { 0 };
    unsigned n = 0;
    enum reeve_err err;
    region_iter_init(&snap, &it, 'l', nothing);
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        if (proposal_row_decode(row, val) != REEVE_OK)
            return REEVE_E_CORRUPT;
        n++;
        if (is_over(a, row) && row->created.ms < oldest.ms) {
            oldest = row->created;
            victim = row->ref.proposal;
        }
    }
    if (err != REEVE_E_NOT_FOUND)
        return err;
    if (n < PROPOSALS_MAX)
        return REEVE_OK;
    if (victim.len == 0)
        return refuse(a, REEVE_E_TOO_COMPLEX, "%d proposals are pending already", PROPOSALS_MAX);
    struct rkey k;
    rkey_name(&k, 'l', &victim);
    return kv_del(a->kv, rkey_slice(&k));
}

enum reeve_err op_proposal_create(struct apply *a, struct rd *r, struct wr *out)
{
    struct proposal_row dry, *row = a->dry ? &dry : &a->s->proposal[0];
    struct rkey k;
    bool exists;
    enum reeve_err err;
    proposal_row_read(row, r);
    if (r->bad || row->state != PROPOSAL_PENDING || row->n_verdicts > 0)
        return refuse(a, REEVE_E_MALFORMED, "malformed proposal");
    if (a->dry)
        return REEVE_OK;
    rkey_name(&k, 'l', &row->ref.proposal);
    TRY(key_exists(a->kv, &k, &exists));
    if (exists)
        return refuse(a, REEVE_E_DUPLICATE_OBJECT, "proposal \"%s\" already exists", row->ref.proposal.s);
    TRY(make_room(a));
    row->created = a->now;
    row->proposer = a->actor;
    TRY(store_proposal(a, &k, row));
    TRY(history_add(a, "proposal", &row->ref.proposal, "propose", nothing, nothing));
out:
    return err;
}

/* The pending proposal of that name and digest. */
static enum reeve_err pending(struct apply *a, const struct name *name, const struct hash32 *digest, struct rkey *k,
                              struct proposal_row *row)
{
    rkey_name(k, 'l', name);
    enum reeve_err err = load_proposal(a->kv, k, row);
    if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && !hash32_eq(&row->ref.digest, digest)))
        return refuse(a, REEVE_E_UNDEFINED_OBJECT, "proposal \"%s\" does not exist", name->s);
    if (err != REEVE_OK)
        return err;
    if (row->state != PROPOSAL_PENDING)
        return refuse(a, REEVE_E_WRONG_STATE, "proposal \"%s\" is %s", name->s, proposal_state_name((enum proposal_state) row->state));
    return REEVE_OK;
}

static bool before(const struct name *a, const struct name *b)
{
    size_t n = a->len < b->len ? a->len : b->len;
    int c = memcmp(a->s, b->s, n);
    return c != 0 ? c < 0 : a->len < b->len;
}

/* In the place of his earlier verdict, else where his name stands. */
static bool verdict_set(struct proposal_row *p, const struct verdict_row *v)
{
    uint8_t at = 0;
    while (at < p->n_verdicts && before(&p->verdict[at].approver, &v->approver))
        at++;
    if (at == p->n_verdicts || !name_eq(&p->verdict[at].approver, &v->approver)) {
        if (p->n_verdicts == VERDICTS_MAX)
            return false;
        memmove(&p->verdict[at + 1], &p->verdict[at], sizeof *v * (size_t) (p->n_verdicts - at));
        p->n_verdicts++;
    }
    p->verdict[at] = *v;
    return true;
}

enum reeve_err op_proposal_verdict(struct apply *a, struct rd *r, struct wr *out)
{
    struct name name;
    struct hash32 digest;
    struct verdict_row v = { .at = a->now };
    struct rkey k;
    enum reeve_err err;
    rd_name(r, &name);
    rd_copy(r, digest.b, 32);
    rd_name(r, &v.approver);
    v.verdict = rd_u8(r);
    rd_copy(r, v.sig.b, 64);
    v.reason = rd_text16(r, ATTEST_TEXT_MAX);
    if (r->bad || v.verdict == 0 || v.verdict > VERDICT_REJECT)
        return refuse(a, REEVE_E_MALFORMED, "malformed verdict");
    if (a->dry)
        return REEVE_OK;
    struct proposal_row *row = &a->s->proposal[0];
    TRY(pending(a, &name, &digest, &k, row));
    if (is_over(a, row))
        return refuse(a, REEVE_E_V_EXPIRED, "proposal \"%s\" has expired", name.s);
    if (!verdict_set(row, &v))
        return refuse(a, REEVE_E_TOO_COMPLEX, "proposal \"%s\" has %d verdicts already", name.s, VERDICTS_MAX);
    TRY(store_proposal(a, &k, row));
    TRY(history_add(a, "proposal", &name, v.verdict == VERDICT_APPROVE ? "approve" : "reject", nothing, nothing));
out:
    return err;
}

static const char *ending(uint8_t state)
{
    return state == PROPOSAL_APPLIED ? "apply" : state == PROPOSAL_WITHDRAWN ? "withdraw" : "veto";
}

enum reeve_err op_proposal_close(struct apply *a, struct rd *r, struct wr *out)
{
    struct name name;
    struct hash32 digest;
    struct rkey k;
    enum reeve_err err;
    rd_name(r, &name);
    rd_copy(r, digest.b, 32);
    uint8_t state = rd_u8(r);
    uint64_t leaf = rd_u64(r);
    if (r->bad || state <= PROPOSAL_PENDING || state > PROPOSAL_VETOED)
        return refuse(a, REEVE_E_MALFORMED, "malformed end of a proposal");
    if (a->dry)
        return REEVE_OK;
    struct proposal_row *row = &a->s->proposal[0];
    TRY(pending(a, &name, &digest, &k, row));
    row->state = state;
    row->leaf = leaf;
    row->closed = a->now;
    TRY(store_proposal(a, &k, row));
    TRY(history_add(a, "proposal", &name, ending(state), nothing, nothing));
out:
    return err;
}
