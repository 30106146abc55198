/*
 * crypto_ops.h - hashing and verifying as a table of functions
 *
 * Engines include no crypto header: their host passes this table
 * (crypto/ops.h has the real one; tests may pass counting ones). Signing is
 * never here: it is an effect that the signer carries out.
 */
#ifndef REEVE_COMMON_CRYPTO_OPS_H
#define REEVE_COMMON_CRYPTO_OPS_H

#include "common/types.h"

struct crypto_ops {
    /* SHA-256 over n parts concatenated. */
    void (*sha256)(struct hash32 *out, const struct slice *parts, size_t n);
    /* Ed25519 under the strict rule, see crypto/sign.h. */
    bool (*verify)(const struct sig64 *sig, struct slice msg, const struct pubkey *pub);
};

#endif
