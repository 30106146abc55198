/* secret.c - guarded memory for keys. */
#include "crypto/secret.h"

#include <sodium.h>

void *secret_alloc(size_t size)
{
    void *p = sodium_malloc(size);
    if (p != NULL)
        sodium_memzero(p, size);
    return p;
}

void secret_free(void *p)
{
    sodium_free(p);
}
