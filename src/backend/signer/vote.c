/* vote.c - SIGN_VOTE: the last-sign check, the signature, the sync, in that order. */
#include "backend/signer/signer_int.h"

void signer_vote_encode(const struct vote *v, struct wr *out)
{
    wr_u8(out, v->type);
    wr_u64(out, v->epoch);
    wr_bytes(out, v->valset_hash.b, 32);
    wr_u64(out, v->view);
    wr_u64(out, v->height);
    wr_bytes(out, v->block_hash.b, 32);
    wr_u64(out, v->parent_view);
    wr_bytes(out, v->parent_hash.b, 32);
}

void signer_vote_decode(struct vote *v, struct rd *in)
{
    v->type = rd_u8(in);
    v->epoch = rd_u64(in);
    rd_copy(in, v->valset_hash.b, 32);
    v->view = rd_u64(in);
    v->height = rd_u64(in);
    rd_copy(in, v->block_hash.b, 32);
    v->parent_view = rd_u64(in);
    rd_copy(in, v->parent_hash.b, 32);
}

/* What is signed is looked at (own_key_sign): a faulty processor, memory or token must not speak for us. */
static enum reeve_err sign_bytes(struct signer *s, const struct vote *v, struct sig64 *sig, struct report *rep)
{
    uint8_t bytes[ATTEST_VOTE_LEN];
    vote_bytes(v, bytes);
    return own_key_sign(s->token, &s->sec->validator, slice_of(bytes, sizeof bytes), sig, rep);
}

static enum reeve_err sign_new(struct signer *s, const struct vote *v, struct sig64 *sig, struct report *rep)
{
    enum reeve_err err = sign_bytes(s, v, sig, rep);
    if (err != REEVE_OK || v->type == VOTE_HEARTBEAT)
        return err;
    struct lastsign next = s->last.state;
    lastsign_record(&next, v, sig);
    err = laststate_save(&s->last, &s->trust.chain_id, &next);
    if (err != REEVE_OK) {
        s->broken = true;
        report_set(rep, err, "could not sync the last-sign state");
    }
    return err;
}

enum reeve_err signer_sign_vote(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct vote v = { .chain_id = s->trust.chain_id };
    struct sig64 sig;
    enum reeve_err err = REEVE_OK;
    signer_vote_decode(&v, in);
    if (!rd_done(in))
        return report_set(rep, REEVE_E_MALFORMED, "malformed vote");
    if (v.epoch != s->trust.set.epoch || !hash32_eq(&v.valset_hash, &s->trust.set_hash))
        return report_set(rep, REEVE_E_V_SET, "vote refused: another epoch or validator set than the pinned one");
    switch (lastsign_check(&s->last.state, &v, &sig, rep)) {
    case LASTSIGN_REFUSE:
        return rep->code;
    case LASTSIGN_SIGN:
        err = sign_new(s, &v, &sig, rep);
        break;
    case LASTSIGN_REPEAT:
        break;
    }
    if (err == REEVE_OK)
        wr_bytes(out, sig.b, sizeof sig.b);
    return err;
}
