/*
 * x509.c - fuzz target: certificates, requests, keys and PEM from strangers
 *
 * The first byte chooses the parser, so that inputs stay of one kind.
 */
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "common/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    if (crypto_init() != REEVE_OK)
        abort();
    return 0;
}

static void certificate(struct slice in)
{
    struct x509_info i;
    if (x509_parse(&i, in) != REEVE_OK)
        return;
    reeve_assert(utf8_valid(slice_str(i.subject)) && utf8_valid(slice_str(i.issuer)));
    reeve_assert(i.serial_len >= 1 && i.serial_len <= sizeof i.serial);
    /* its own root, if it is one: whatever the answer, it is an answer */
    enum reeve_err err = x509_verify_chain(in, NULL, 0, &in, 1, i.not_before);
    reeve_assert(err == REEVE_OK || err == REEVE_E_V_SIGNATURE || err == REEVE_E_V_EXPIRED);
}

static void request(struct slice in)
{
    uint8_t mem[200];
    struct wr spki = wr_fixed(mem, sizeof mem);
    if (csr_check(in, KEY_ED25519, &spki) == REEVE_OK)
        reeve_assert(spki.len == 44);
    wr_reset(&spki);
    if (csr_check(in, KEY_ECDSA_P256, &spki) == REEVE_OK)
        reeve_assert(spki.len == 91);
}

static void private_key(struct slice in, bool pem)
{
    struct xkey *key;
    if ((pem ? xkey_from_pem(&key, in) : xkey_from_der(&key, in)) != REEVE_OK)
        return;
    reeve_assert(xkey_type(key) == KEY_ED25519 || xkey_type(key) == KEY_ECDSA_P256);
    xkey_free(key);
}

static void pem(struct slice in)
{
    struct wr der = wr_heap(X509_DER_MAX);
    size_t left = in.len + 1;
    enum reeve_err err;
    do {
        wr_reset(&der);
        err = x509_pem_next(&in, &der);
        reeve_assert(err == REEVE_E_NOT_FOUND || in.len < left);
        left = in.len;
    } while (err == REEVE_OK);
    wr_free(&der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice in = slice_of(data + 1, size - 1);
    switch (data[0] % 5) {
    case 0: certificate(in); break;
    case 1: request(in); break;
    case 2: private_key(in, false); break;
    case 3: private_key(in, true); break;
    case 4: pem(in); break;
    }
    return 0;
}
