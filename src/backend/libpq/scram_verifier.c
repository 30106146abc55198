/* scram_verifier.c - what is kept of a password; see scram.h. */
#include "backend/libpq/scram.h"

#include <stdio.h>

#include "common/text.h"
#include "crypto/hash.h"

enum reeve_err scram_keys(struct scram_verifier *v, struct slice password)
{
    struct hash32 salted, client;
    enum reeve_err err = pbkdf2_sha256(&salted, password, slice_of(v->salt, v->salt_len), v->iterations);
    if (err != REEVE_OK)
        return err;
    hmac_sha256(&client, slice_of(salted.b, 32), slice_str("Client Key"));
    sha256(&v->stored_key, slice_of(client.b, 32));
    hmac_sha256(&v->server_key, slice_of(salted.b, 32), slice_str("Server Key"));
    secret_wipe(&salted, sizeof salted);
    secret_wipe(&client, sizeof client);
    return REEVE_OK;
}

void scram_verifier_text(char out[SCRAM_VERIFIER_MAX], const struct scram_verifier *v)
{
    char salt[72], stored[48], server[48];
    base64_encode(salt, v->salt, v->salt_len);
    base64_encode(stored, v->stored_key.b, 32);
    base64_encode(server, v->server_key.b, 32);
    int n = snprintf(out, SCRAM_VERIFIER_MAX, SCRAM_NAME "$%u:%s$%s:%s", v->iterations, salt, stored, server);
    reeve_assert(n > 0 && n < SCRAM_VERIFIER_MAX);
}

enum reeve_err scram_verifier_make(char out[SCRAM_VERIFIER_MAX], struct slice password, uint32_t iterations)
{
    struct scram_verifier v = { .iterations = iterations ? iterations : SCRAM_ITERATIONS_MIN,
                                .salt_len = SCRAM_SALT_LEN };
    random_bytes(v.salt, v.salt_len);
    enum reeve_err err = scram_keys(&v, password);
    if (err == REEVE_OK)
        scram_verifier_text(out, &v);
    return err;
}

/* The text up to the separator; false where that does not come. */
static bool field(struct slice *rest, char sep, struct slice *out)
{
    const uint8_t *at = rest->len ? memchr(rest->p, sep, rest->len) : NULL;
    if (at == NULL)
        return false;
    *out = slice_of(rest->p, (size_t) (at - rest->p));
    *rest = slice_of(at + 1, rest->len - out->len - 1);
    return true;
}

static bool number(struct slice s, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || *out > SCRAM_ITERATIONS_MAX)
            return false;
        *out = *out * 10 + (s.p[i] - '0');
    }
    return s.len > 0 && *out >= 1 && *out <= SCRAM_ITERATIONS_MAX;
}

bool scram_verifier_parse(struct scram_verifier *v, struct slice text)
{
    struct slice scheme, iterations, salt, stored;
    memset(v, 0, sizeof *v);
    if (!field(&text, '$', &scheme) || !slice_eq(scheme, slice_str(SCRAM_NAME)) || !field(&text, ':', &iterations) ||
        !number(iterations, &v->iterations) || !field(&text, '$', &salt) || !field(&text, ':', &stored))
        return false;
    long n = base64_decode(v->salt, sizeof v->salt, salt);
    v->salt_len = n > 0 ? (size_t) n : 0;
    return n > 0 && base64_decode(v->stored_key.b, 32, stored) == 32 &&
           base64_decode(v->server_key.b, 32, text) == 32;
}

void scram_verifier_mock(struct scram_verifier *v, struct slice user, const uint8_t secret[32])
{
    struct hash32 h;
    hmac_sha256(&h, slice_of(secret, 32), user);
    memset(v, 0, sizeof *v);
    v->iterations = SCRAM_ITERATIONS_MIN;
    v->salt_len = SCRAM_SALT_LEN;
    memcpy(v->salt, h.b, SCRAM_SALT_LEN);
    random_bytes(v->stored_key.b, 32);
    random_bytes(v->server_key.b, 32);
}

bool scram_verifier_check(const struct scram_verifier *v, struct slice password)
{
    struct scram_verifier w = *v;
    bool same = scram_keys(&w, password) == REEVE_OK && secret_eq(w.stored_key.b, v->stored_key.b, 32);
    secret_wipe(&w, sizeof w);
    return same;
}
