/* p11_int.h - what the files of the PKCS#11 part share */
#ifndef REEVE_CRYPTO_P11_INT_H
#define REEVE_CRYPTO_P11_INT_H

#define CRYPTOKI_GNU 1
#include <p11-kit/pkcs11.h>

#include "crypto/p11.h"

struct p11_key { ck_object_handle_t private; struct p11_uri uri; struct pubkey pub; };

struct p11 {
    void *module;                           /* dlopen's */
    struct ck_function_list *f;
    bool initialized;                       /* by us: ended by us */
    struct p11_uri uri;
    char *pin;                              /* secret_alloc */
    size_t pin_len;
    ck_session_handle_t session;
    bool in_session;
    struct p11_key key[P11_KEYS_MAX];
    unsigned n_keys;
};

/* What a module answered, as ours. what: "open a session", ... */
enum reeve_err p11_error(ck_rv_t rv, const char *what, struct report *rep);
/* Which of the module's slots has the token; a session there, logged in. */
enum reeve_err p11_session_open(struct p11 *p, struct report *rep) REEVE_MUST_CHECK;
void p11_session_close(struct p11 *p);
/* Looks the private key up anew: handles end with their session. */
enum reeve_err p11_key_look(struct p11 *p, const struct p11_uri *u, ck_object_handle_t *private, struct pubkey *pub,
                            struct report *rep) REEVE_MUST_CHECK;

#endif
