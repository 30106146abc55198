/*
 * scram.h - SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side
 *
 * RFC 5802, RFC 7677; channel binding tls-server-end-point (RFC 5929). Pure
 * but for random nonces and salts. What is stored of a password is
 *     SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
 * (base64), PostgreSQL's form; it cannot be used to log in.
 *
 * Passwords are taken as the bytes they come in: for ASCII that is what
 * SASLprep gives; others are not normalised.
 *
 * Invariants
 *  Z1 Somebody who does not exist is told the same salt each time and is
 *     refused at the same point as a wrong password.
 *  Z2 The exchange has two steps and no way back; any failure ends it.
 */
#ifndef REEVE_BACKEND_LIBPQ_SCRAM_H
#define REEVE_BACKEND_LIBPQ_SCRAM_H

#include "common/buf.h"
#include "common/types.h"

#define SCRAM_NAME      "SCRAM-SHA-256"
#define SCRAM_NAME_PLUS "SCRAM-SHA-256-PLUS"
#define SCRAM_SALT_LEN  16
#define SCRAM_SALT_MAX  48
#define SCRAM_ITERATIONS_MIN 4096
#define SCRAM_ITERATIONS_MAX 10000000
#define SCRAM_VERIFIER_MAX   256        /* text with NUL; role rows hold that much */

struct scram_verifier {
    uint32_t iterations;
    uint8_t salt[SCRAM_SALT_MAX];
    size_t salt_len;
    struct hash32 stored_key, server_key;
};

/* For CREATE ROLE ... PASSWORD and init. iterations 0: the least. */
enum reeve_err scram_verifier_make(char out[SCRAM_VERIFIER_MAX], struct slice password, uint32_t iterations)
    REEVE_MUST_CHECK;
bool scram_verifier_parse(struct scram_verifier *out, struct slice text);
void scram_verifier_text(char out[SCRAM_VERIFIER_MAX], const struct scram_verifier *v);
/* Constant per user and secret; nothing verifies against it. */
void scram_verifier_mock(struct scram_verifier *out, struct slice user, const uint8_t secret[32]);
/* The keys of a password under a salt (RFC 5802 section 3). */
enum reeve_err scram_keys(struct scram_verifier *v, struct slice password) REEVE_MUST_CHECK;
/* Does this password make that verifier? For clear-text checks. */
bool scram_verifier_check(const struct scram_verifier *v, struct slice password);

#define SCRAM_CLIENT_FIRST_MAX 1024

struct scram {
    struct scram_verifier verifier;
    bool doomed;                        /* the role cannot log in: fail at the end */
    bool plus_offered, plus;            /* offered; chosen by the client */
    uint8_t binding[64];                /* tls-server-end-point */
    size_t binding_len;
    char server_nonce[40];              /* tests may set it before the first step */
    char client_first[SCRAM_CLIENT_FIRST_MAX];  /* gs2 header and bare message */
    size_t gs2_len, client_first_len;
    char server_first[768];
    char nonce[512];                    /* client's and server's together */
};

/* binding empty: -PLUS is not offered. */
void scram_init(struct scram *s, const struct scram_verifier *v, bool doomed, struct slice binding);
/* The client's first message; writes the server's. PROTOCOL, AUTH with a report. */
enum reeve_err scram_first(struct scram *s, struct slice mechanism, struct slice msg, struct wr *out,
                           struct report *rep) REEVE_MUST_CHECK;
/* The client's last; writes "v=...". PASSWORD where the proof does not verify. */
enum reeve_err scram_final(struct scram *s, struct slice msg, struct wr *out, struct report *rep) REEVE_MUST_CHECK;
void scram_wipe(struct scram *s);

#endif
