/*
 * ownkey.c - this process's own signing keys: a seed in a file, or a key in a PKCS#11 token that the file names
 *
 * A file of 32 bytes is an Ed25519 seed; one that begins with "pkcs11:" is the URI of a key (crypto/p11.h), which must have a
 * pin-source: nobody is there to be asked. All keys of a folder that are in a token are in the same one.
 */
#include "backend/signer/signer_int.h"

#include <stdio.h>

#include "crypto/hash.h"

#define URI_MAX 2048

/* ---- tokens ---- */

static enum reeve_err token_open(struct p11 **token, const struct p11_uri *u, struct report *rep)
{
    char pin[P11_PIN_MAX];
    size_t len = 0;
    if (*token != NULL)
        return p11_is_of(*token, u) ? REEVE_OK : report_set(rep, REEVE_E_CONFIG, "the keys of one folder lie in one token");
    if (*u->pin_source == '\0')
        return report_set(rep, REEVE_E_CONFIG, "the pkcs11: URI of a server's key needs a pin-source");
    enum reeve_err err = p11_pin_read(u->pin_source, pin, &len, rep);
    if (err == REEVE_OK)
        err = p11_open(token, u, slice_of(pin, len), rep);
    secret_wipe(pin, sizeof pin);
    return err;
}

static enum reeve_err read_token(struct p11 **token, struct slice uri, struct own_key *k, struct report *rep)
{
    struct p11_uri u;
    enum reeve_err err;
    while (uri.len > 0 && uri.p[uri.len - 1] == '\n')
        uri.len--;
    TRY(p11_uri_parse(&u, uri, rep));
    TRY(token_open(token, &u, rep));
    err = p11_key_find(*token, &u, &k->number, &k->pub, rep);
    k->on_token = err == REEVE_OK;
out:
    return err;
}

/* ---- reading ---- */

enum reeve_err own_key_read(struct p11 **token, int dirfd, const char *file, struct own_key *k, struct report *rep)
{
    uint8_t bytes[URI_MAX];
    size_t len = 0;
    memset(k, 0, sizeof *k);
    enum reeve_err err = keydir_read(dirfd, file, bytes, sizeof bytes, &len);
    if (err == REEVE_OK && len > 7 && memcmp(bytes, "pkcs11:", 7) == 0)
        err = read_token(token, slice_of(bytes, len), k, rep);
    else if (err == REEVE_OK && len == 32)
        sign_key_from_seed(&k->key, &k->pub, bytes);
    else if (err == REEVE_OK)
        err = REEVE_E_CORRUPT;
    secret_wipe(bytes, sizeof bytes);
    return err == REEVE_OK ? err : report_set(rep, err, "could not read %s", file);
}

/* ---- making ---- */

static enum reeve_err make_file(int dirfd, const char *file, struct pubkey *pub)
{
    uint8_t seed[32];
    struct sign_key key;
    random_bytes(seed, sizeof seed);
    sign_key_from_seed(&key, pub, seed);
    enum reeve_err err = keydir_write(dirfd, file, slice_of(seed, sizeof seed), true);
    secret_wipe(&key, sizeof key);
    secret_wipe(seed, sizeof seed);
    return err;
}

/* Its label: reeve-, the file's name without its end, and something nobody else's key has. */
static enum reeve_err make_token(struct p11 **token, const char *uri, int dirfd, const char *file, struct pubkey *pub, struct report *rep)
{
    char text[URI_MAX], label[64], tail[9];
    uint8_t some[4];
    struct p11_uri u;
    unsigned number;
    enum reeve_err err;
    random_bytes(some, sizeof some);
    hex_encode(tail, some, sizeof some);
    snprintf(label, sizeof label, "reeve-%.*s-%s", (int) strcspn(file, "."), file, tail);
    const char *query = strchr(uri, '?');
    int len = snprintf(text, sizeof text, "%.*s;object=%s%s\n", query ? (int) (query - uri) : (int) strlen(uri), uri, label,
                       query ? query : "");
    if (len < 0 || len >= (int) sizeof text)
        return report_set(rep, REEVE_E_TOO_BIG, "the pkcs11: URI is too long");
    TRY(p11_uri_parse(&u, slice_of(text, (size_t) len - 1), rep));
    TRY(token_open(token, &u, rep));
    TRY(p11_key_make(*token, &u, &number, pub, rep));
    err = keydir_write(dirfd, file, slice_of(text, (size_t) len), true);
out:
    return err;
}

enum reeve_err own_key_make(struct p11 **token, const char *uri, int dirfd, const char *file, struct pubkey *pub, struct report *rep)
{
    return uri != NULL ? make_token(token, uri, dirfd, file, pub, rep) : make_file(dirfd, file, pub);
}

/* ---- signing ---- */

enum reeve_err own_key_sign(struct p11 *token, const struct own_key *k, struct slice msg, struct sig64 *sig, struct report *rep)
{
    enum reeve_err err = REEVE_OK;
    if (k->on_token)
        err = p11_sign(token, k->number, msg, sig, rep);
    else
        sign_detached(sig, msg, &k->key);
    if (err == REEVE_OK && !sign_verify(sig, msg, &k->pub))
        err = report_set(rep, REEVE_E_BUG, "the signer's own signature does not verify");
    return err;
}
