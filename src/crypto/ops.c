/* ops.c - the engines' function table over this library. */
#include "crypto/ops.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

const struct crypto_ops crypto_ops_real = { .sha256 = sha256_parts, .verify = sign_verify };
