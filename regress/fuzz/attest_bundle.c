/*
 * attest_bundle.c - fuzz target of what agents are sent
 *
 * Signatures are waved through and the trust follows the header in the input,
 * so that proofs and objects behind them are reached. A refused bundle must
 * leave nothing behind.
 */
#include "crypto/ops.h"
#include "engine/attest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool verify_any(const struct sig64 *sig, struct slice msg, const struct pubkey *pub)
{
    return true;
}

static void trust_like(struct trust *t, const struct finalization *f)
{
    memset(t, 0, sizeof *t);
    t->chain_id = f->header.chain_id;
    t->set.epoch = f->header.epoch;
    t->set.n = f->n_bits;
    t->set_hash = f->header.valset_hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct trust t, before;
    static struct finalization f;
    static struct bundle_object o[8];
    const struct crypto_ops c = { crypto_ops_real.sha256, verify_any };
    size_t n = 99;
    if (len == 0)
        return 0;
    struct rd r = rd_of(slice_of(data + 1, len - 1));
    if (finalization_decode(&f, &r) != REEVE_OK)
        return 0;
    trust_like(&t, &f);
    before = t;
    if (bundle_open(&c, &t, slice_of(data, len), false, o, 8, &n) == REEVE_OK) {
        reeve_assert(n <= 8 && t.height == f.header.height && t.verified == 1);
        return 0;
    }
    reeve_assert(n == 0 && memcmp(&t, &before, sizeof t) == 0 && o[0].leaf.p == NULL);
    return 0;
}
