/* ops.h - the engines' function table over this library. */
#ifndef REEVE_CRYPTO_OPS_H
#define REEVE_CRYPTO_OPS_H

#include "common/crypto_ops.h"

extern const struct crypto_ops crypto_ops_real;

#endif
