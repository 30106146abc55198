/* recovery.c - past a lost quorum: M of the N keys that genesis pins decide one block, which begins the next epoch. */
#include "codec_int.h"
#include "recovery_int.h"
#include "state_int.h"
#include "common/text.h"

void recovery_digest(const struct crypto_ops *c, struct hash32 *out, const struct block_header *h)
{
    uint8_t bytes[ATTEST_HEADER_LEN];
    header_encode(h, bytes);
    labelled_hash(c, out, "reeve-recovery-v1", slice_of(bytes, sizeof bytes), slice_of(NULL, 0));
}

static enum reeve_err signatures(const struct crypto_ops *c, const struct finalization *f, const struct genesis *g)
{
    struct hash32 digest;
    unsigned at = 0;
    recovery_digest(c, &digest, &f->header);
    for (unsigned i = 0; i < ATTEST_VALIDATORS_MAX; i++) {
        if (!(f->bitmap[i / 8] >> i % 8 & 1))
            continue;
        if (i >= g->recovery_n || at >= f->n_sigs)
            return REEVE_E_V_SIGNER;
        if (!c->verify(&f->sig[at++], slice_of(digest.b, 32), &g->recovery[i]))
            return REEVE_E_V_SIGNATURE;
    }
    if (at != f->n_sigs)
        return REEVE_E_V_SIGNER;
    return at >= g->recovery_m ? REEVE_OK : REEVE_E_V_QUORUM;
}

enum reeve_err recovery_verify(const struct crypto_ops *c, const struct finalization *f)
{
    struct genesis g;
    struct hash32 id;
    genesis_chain_id(c, &id, f->recovery);
    if (!hash32_eq(&id, &f->header.chain_id))
        return REEVE_E_V_CHAIN;
    if (genesis_decode(&g, f->recovery) != REEVE_OK)
        return REEVE_E_MALFORMED;
    if (g.recovery_n == 0 || f->n_bits != g.recovery_n || !header_ends_epoch(&f->header) || f->n_links > 0)
        return REEVE_E_V_SIGNER;
    return signatures(c, f, &g);
}

enum reeve_err attest_recovery_draft(struct attest *a, struct slice payload, const struct name *region, struct wall_ms time,
                                     struct block_header *h, struct wr *leaf, struct report *rep)
{
    enum reeve_err err;
    struct attest_head head;
    struct name object;
    struct update u = { .type = AT_VALSET };
    reeve_assert(name_set(&object, slice_str("validators")));
    TRY(attest_head(a, &head));
    TRY(update_prepare(a, AT_VALSET, &object, payload, &u));
    u.region = u.actor = *region;
    u.reason = slice_str("recovery");
    update_encode(&u, true, leaf);
    if (leaf->bad)
        return REEVE_E_TOO_BIG;
    struct slice bytes = wr_slice(leaf);
    TRY(attest_check_recovery(a, &bytes, 1, time, rep));
    *h = (struct block_header){ .view = head.header.view + 1, .time = time };
    err = attest_propose(a, &bytes, 1, h);
out:
    return err;
}
