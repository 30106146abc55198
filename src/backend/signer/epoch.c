/*
 * epoch.c - the next validator set: this validator's seat in it, and following the chain there
 *
 * A seat binds to nothing but readiness: what makes a set the next one is the quorum of the old. So it is signed for
 * whatever set has exactly these keys, in an epoch that this signer has not seen begin.
 */
#include "backend/signer/signer_int.h"

#include "crypto/ops.h"

static bool is_ours(const struct signer *s, const struct valset *set)
{
    int at = valset_find(set, &s->validator_pub);
    return at >= 0 && memcmp(set->v[at].cosign_key.b, s->cosign_pub.b, 32) == 0;
}

enum reeve_err signer_sign_seat(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    static struct valset_doc d;
    struct hash32 set_hash, digest;
    struct seat seat;
    if (valset_doc_decode(&d, rd_bytes(in, rd_left(in))) != REEVE_OK || valset_doc_hash(&crypto_ops_real, &set_hash, &d) != REEVE_OK)
        return report_set(rep, REEVE_E_MALFORMED, "malformed validator set");
    if (d.set.epoch <= s->trust.set.epoch || !is_ours(s, &d.set))
        return report_set(rep, REEVE_E_V_SET, "that set does not name these keys, or is of an epoch that has begun");
    seat_digest(&crypto_ops_real, &digest, &s->trust.chain_id, &set_hash);
    struct slice bytes = slice_of(digest.b, 32);
    enum reeve_err err = own_key_sign(s->token, &s->sec->validator, bytes, &seat.by_key, rep);
    if (err == REEVE_OK)
        err = own_key_sign(s->token, &s->sec->cosign, bytes, &seat.by_cosign, rep);
    if (err != REEVE_OK)
        return err;
    wr_bytes(out, seat.by_key.b, 64);
    wr_bytes(out, seat.by_cosign.b, 64);
    return REEVE_OK;
}

/* Synced before it counts: votes of the old epoch are refused from here on, also after a crash. */
enum reeve_err signer_epoch(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    static struct trust t;
    (void) out;
    t = s->trust;
    enum reeve_err err = trust_follow(&crypto_ops_real, &t, in);
    if (err == REEVE_OK && !rd_done(in))
        err = REEVE_E_MALFORMED;
    if (err != REEVE_OK)
        return report_set(rep, err, "the next validator set is not proved (%s)", reeve_err_name(err));
    if (t.set.epoch == s->trust.set.epoch)
        return REEVE_OK;
    err = trust_pin(s->dirfd, &s->region, &t);
    if (err != REEVE_OK)
        return report_set(rep, err, "could not sync the signer's trust");
    s->trust = t;
    return REEVE_OK;
}
