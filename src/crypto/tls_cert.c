/* tls_cert.c - the listener certificate a new data directory starts with. */
#include "crypto/tls_int.h"
#include "crypto/x509.h"

#include <stdio.h>
#include <time.h>

#define DAY_MS (24 * 3600 * 1000LL)
#define LIFE_DAYS 3650

static void fill_spec(struct x509_spec *spec, const char *common_name, char *subject, size_t cap)
{
    /* Clients of the SQL port look at the name; agents do not look at this certificate at all. */
    const char *sans[] = { common_name, "localhost", "127.0.0.1", "::1" };
    int64_t now = (int64_t) time(NULL) * 1000;
    snprintf(subject, cap, "CN=%s", common_name);
    spec->subject = slice_str(subject);
    for (size_t i = 0; i < sizeof sans / sizeof sans[0]; i++)
        if (i == 0 || strcmp(sans[i], common_name) != 0)
            spec->sans[spec->n_sans++] = slice_str(sans[i]);
    spec->not_before.ms = now - DAY_MS;         /* clocks that are behind */
    spec->not_after.ms = now + LIFE_DAYS * DAY_MS;
    x509_serial_random(spec->serial);
}

enum reeve_err tls_self_signed_der(const char *common_name, struct wr *der, struct xkey **key)
{
    enum reeve_err err;
    char subject[300];
    struct x509_spec spec = { 0 };
    struct wr spki = wr_heap(X509_DER_MAX);

    fill_spec(&spec, common_name, subject, sizeof subject);
    TRY(xkey_generate(key, KEY_ECDSA_P256));
    TRY(xkey_spki(*key, &spki));
    TRY(x509_issue(der, &spec, wr_slice(&spki), *key, slice_of(NULL, 0)));
out:
    wr_free(&spki);
    return err;
}

enum reeve_err tls_self_signed(const char *common_name, struct wr *cert_pem, struct wr *key_pem)
{
    enum reeve_err err;
    struct xkey *key = NULL;
    struct wr der = wr_heap(X509_DER_MAX);

    TRY(tls_self_signed_der(common_name, &der, &key));
    TRY(x509_to_pem(wr_slice(&der), cert_pem));
    TRY(xkey_to_pem(key, key_pem));
out:
    wr_free(&der);
    xkey_free(key);
    return err;
}
