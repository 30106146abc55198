/*
 * secret.h - memory for keys: guarded, locked against swapping, wiped when freed
 *
 * libsodium's sodium_malloc: guard pages around, canary before, mlock where
 * the limit allows it. A few pages each, so for long-lived keys, not messages.
 */
#ifndef REEVE_CRYPTO_SECRET_H
#define REEVE_CRYPTO_SECRET_H

#include <stddef.h>

/* Zeroed; NULL when memory is short. */
void *secret_alloc(size_t size);
/* Wipes and frees; NULL is fine. */
void secret_free(void *p);

#endif
