/*
 * keydump.c - every private key of a data directory, for the test that looks for them elsewhere
 *
 *   keydump DIR        one line a key: NAME HEX-OF-32-BYTES HEX-OF-PKCS8 (or -)
 *
 * What lies sealed in DIR/keys is opened as the signer opens it; which keys
 * there are is read from the attested table, so one made and never attested
 * is not listed.
 */
#include "backend/signer/signer_int.h"
#include "backend/storage/storage.h"
#include "crypto/hash.h"
#include "crypto/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct signer s;
static struct report rep;

static int64_t now_ms(void) { return (int64_t) time(NULL) * 1000; }

static void die(const char *what, enum reeve_err err)
{
    fprintf(stderr, "keydump: %s: %s %s\n", what, reeve_err_name(err), rep.message);
    exit(1);
}

static void print_hex(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf("%02x", p[i]);
}

static void print_raw(const char *file)
{
    uint8_t raw[32];
    size_t len = 0;
    enum reeve_err err = keydir_read(s.dirfd, file, raw, sizeof raw, &len);
    if (err != REEVE_OK || len != sizeof raw)
        die(file, err);
    printf("%s ", file);
    print_hex(raw, sizeof raw);
    printf(" -\n");
}

/* The secret inside PKCS#8 is an octet string of 32 bytes for both of our kinds (RFC 5958, 5915, 8410). */
static const uint8_t *secret_of(const struct wr *der)
{
    for (size_t i = 0; i + 34 <= der->len; i++)
        if (der->p[i] == 0x04 && der->p[i + 1] == 0x20)
            return der->p + i + 2;
    return NULL;
}

static void print_sealed(const char *kind, const struct name *name, uint32_t gen, const struct hash32 *spki)
{
    struct xkey *key;
    struct wr der = wr_heap(512);
    enum reeve_err err = sealed_load(&s, kind, name, gen, spki, &key, &rep);
    if (err == REEVE_OK)
        err = xkey_to_der(key, &der);
    const uint8_t *secret = err == REEVE_OK ? secret_of(&der) : NULL;
    if (secret == NULL)
        die(name->s, err);
    printf("%s:%s:%u ", kind, name->s, gen);
    print_hex(secret, 32);
    printf(" ");
    print_hex(der.p, der.len);
    printf("\n");
    xkey_free(key);
    wr_free(&der);
}

static void authorities(struct attest *a)
{
    static struct authority_doc d;
    struct name after = { 0 };
    struct attest_object o;
    while (attest_next(a, AT_AUTHORITY, &after, &o) == REEVE_OK)
        if (o.update.op == 1 && authority_doc_decode(&d, o.update.payload) == REEVE_OK)
            for (size_t i = 0; i < d.n; i++)
                print_sealed("authority", &o.update.object, d.g[i].gen, &d.g[i].spki_hash);
}

static void certs(struct attest *a)
{
    static struct cert_doc d;
    struct name after = { 0 };
    struct attest_object o;
    while (attest_next(a, AT_CERT, &after, &o) == REEVE_OK)
        if (o.update.op == 1 && cert_doc_decode(&d, o.update.payload) == REEVE_OK && d.mode != CERT_PER_NODE)
            for (size_t i = 0; i < d.n; i++)
                print_sealed("shared", &o.update.object, d.g[i].gen, &d.g[i].spki_hash);
}

int main(int argc, char **argv)
{
    struct storage *st;
    struct storage_txn *t;
    enum reeve_err err;
    if (argc != 2)
        return 2;
    s.now_ms = now_ms;
    if ((err = crypto_init()) != REEVE_OK || (err = signer_open(&s, argv[1], &rep)) != REEVE_OK)
        die("keys", err);
    if ((err = storage_open(&st, argv[1], STORAGE_READ, 0, 0, &rep)) != REEVE_OK ||
        (err = storage_begin(st, STORAGE_READ, &t)) != REEVE_OK)
        die("store", err);
    struct attest a = { storage_kv(t), &crypto_ops_real, malloc(attest_scratch_size()), attest_scratch_size() };
    print_raw("region.key");
    print_raw("validator.key");
    print_raw("cosign.key");
    print_raw("log.key");
    print_raw("master.key");
    authorities(&a);
    certs(&a);
    free(a.scratch);
    storage_abort(t);
    storage_close(st);
    signer_close(&s);
    return 0;
}
