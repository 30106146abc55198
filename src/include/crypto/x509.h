/*
 * x509.h - certificates, requests and private keys of the two kinds used
 * (ECDSA P-256, Ed25519), as DER in and out
 *
 * Private keys are opaque handles; free them with xkey_free (wiped).
 * All parsers take hostile bytes, bound their size (X509_DER_MAX) and answer
 * MALFORMED.
 */
#ifndef REEVE_CRYPTO_X509_H
#define REEVE_CRYPTO_X509_H

#include "common/buf.h"

#define X509_DER_MAX   16384
#define X509_SANS_MAX  32
#define X509_SERIAL_LEN 16

/* KEY_OTHER appears only in what x509_parse says of other people's certificates. */
enum key_type { KEY_OTHER = 0, KEY_ECDSA_P256 = 1, KEY_ED25519 = 2 };
const char *key_type_name(enum key_type t);                 /* "ecdsa-p256", "ed25519", "other" */
bool key_type_parse(enum key_type *out, struct slice text); /* also "ecdsa", "p256" */

struct xkey;
enum reeve_err xkey_generate(struct xkey **out, enum key_type type) REEVE_MUST_CHECK;
/* The Ed25519 key of that seed (RFC 8032), as sign_key_from_seed makes it. */
enum reeve_err xkey_from_seed(struct xkey **out, const uint8_t seed[32]) REEVE_MUST_CHECK;
void xkey_free(struct xkey *k);
/*
 * PKCS#8 DER; PEM for files that nginx and friends read. The caller wipes the
 * writer's memory; it should be fixed or empty, because one that grows later
 * leaves a copy behind. Reading takes unencrypted PKCS#8, and SEC1 as PEM.
 */
enum reeve_err xkey_to_der(const struct xkey *k, struct wr *out) REEVE_MUST_CHECK;
enum reeve_err xkey_to_pem(const struct xkey *k, struct wr *out) REEVE_MUST_CHECK;
enum reeve_err xkey_from_der(struct xkey **out, struct slice der) REEVE_MUST_CHECK;
enum reeve_err xkey_from_pem(struct xkey **out, struct slice pem) REEVE_MUST_CHECK;
enum key_type xkey_type(const struct xkey *k);
/* SubjectPublicKeyInfo, DER. */
enum reeve_err xkey_spki(const struct xkey *k, struct wr *out) REEVE_MUST_CHECK;

/*
 * What a certificate says. subject is an RFC 4514-like text "CN=a,O=b" with
 * the attributes CN, O, OU, C, ST, L; sans are DNS names, or IP addresses
 * where the text parses as one. Times are wall-clock; X.509 keeps seconds.
 */
struct x509_spec {
    struct slice subject;
    struct slice sans[X509_SANS_MAX];
    size_t n_sans;
    struct wall_ms not_before, not_after;
    uint8_t serial[X509_SERIAL_LEN];    /* positive: the top bit is cleared */
    bool is_ca;
    int path_len;                       /* CA only; -1: unlimited */
};
/* INVALID_VALUE with a report when subject or a SAN cannot be used. */
enum reeve_err x509_spec_check(const struct x509_spec *s, struct report *rep) REEVE_MUST_CHECK;

/* Random, positive, and never shorter than 16 bytes in DER: so x509_info shows the same 16. */
void x509_serial_random(uint8_t serial[X509_SERIAL_LEN]);

/*
 * Signs a certificate for subject_spki with the issuer's key. issuer_cert is
 * the issuer's certificate (DER), or empty for self-signed. Leaves get
 * serverAuth and clientAuth, digitalSignature, AKI and SKI.
 * V_KEY: issuer_key is not issuer_cert's (self-signed: not the subject's);
 * INVALID_VALUE: the spec, or issuer_cert is no authority's.
 */
enum reeve_err x509_issue(struct wr *out_der, const struct x509_spec *spec, struct slice subject_spki,
                          const struct xkey *issuer_key, struct slice issuer_cert) REEVE_MUST_CHECK;
/*
 * The same for one who issues many: key and certificate are decoded and
 * compared once. Takes the key over, also when it answers an error.
 */
struct x509_issuer;
enum reeve_err x509_issuer_new(struct x509_issuer **out, struct xkey *key, struct slice cert) REEVE_MUST_CHECK;
void x509_issuer_free(struct x509_issuer *i);
enum reeve_err x509_issuer_issue(struct x509_issuer *i, struct wr *out_der, const struct x509_spec *spec,
                                 struct slice subject_spki) REEVE_MUST_CHECK;

/* PKCS#10 request: made by agents and for CA requests. */
enum reeve_err csr_create(struct wr *out_der, const struct xkey *key, struct slice subject) REEVE_MUST_CHECK;
/* Verifies the request's own signature (V_SIGNATURE) and the key's kind (V_KEY); spki_out gets the SPKI. */
enum reeve_err csr_check(struct slice der, enum key_type want, struct wr *spki_out) REEVE_MUST_CHECK;

/* What we need to know of a certificate somebody hands us. Slices borrow from der where they can. */
struct x509_info {
    struct wall_ms not_before, not_after;
    uint8_t serial[20];                 /* big endian, without leading zeros */
    size_t serial_len;
    char subject[256];                  /* RFC 4514 text; longer names are MALFORMED */
    char issuer[256];
    struct hash32 fingerprint;          /* SHA-256 of the DER */
    struct hash32 spki_hash;            /* SHA-256 of the SPKI */
    enum key_type key_type;
    bool is_ca;
};
enum reeve_err x509_parse(struct x509_info *out, struct slice der) REEVE_MUST_CHECK;
/* Does key belong to the certificate? V_KEY if not. */
enum reeve_err x509_key_matches(struct slice der, const struct xkey *key) REEVE_MUST_CHECK;
/*
 * Does leaf chain to one of the roots at that time, through intermediates? At
 * most 16 intermediates, 64 roots, 8 steps; a root need not be self-signed.
 * V_SIGNATURE, or V_EXPIRED when only the time is wrong. Names and uses of the
 * leaf are not judged here.
 */
enum reeve_err x509_verify_chain(struct slice leaf, const struct slice *inter, size_t n_inter,
                                 const struct slice *roots, size_t n_roots, struct wall_ms at) REEVE_MUST_CHECK;
/*
 * Does a leaf say exactly what spec says (subject, alternative names in order,
 * validity in seconds, no authority)? serial is not compared. INVALID_VALUE if
 * not, with a report that names the part.
 */
enum reeve_err x509_matches(struct slice der, const struct x509_spec *spec, struct report *rep) REEVE_MUST_CHECK;
/*
 * A certificate decoded once and asked several times: OpenSSL 3.0 takes longer
 * to decode one than to verify its signature. The calls are those above.
 */
struct x509_cert;
enum reeve_err x509_open(struct x509_cert **out, struct slice der) REEVE_MUST_CHECK;
void x509_close(struct x509_cert *c);
enum reeve_err x509_cert_info(const struct x509_cert *c, struct x509_info *out) REEVE_MUST_CHECK;
enum reeve_err x509_cert_key_matches(const struct x509_cert *c, const struct xkey *key) REEVE_MUST_CHECK;
enum reeve_err x509_cert_matches(const struct x509_cert *c, const struct x509_spec *spec, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err x509_cert_verify(const struct x509_cert *c, const struct slice *inter, size_t n_inter,
                                const struct slice *roots, size_t n_roots, struct wall_ms at) REEVE_MUST_CHECK;
/* With one root that is decoded as well. */
enum reeve_err x509_cert_verify_by(const struct x509_cert *c, const struct x509_cert *root, struct wall_ms at) REEVE_MUST_CHECK;
/*
 * May the first of these certificates (DER, one after another, each issued by the next) have an authority below it? None of their
 * path lengths may forbid it; and it must be known that none does: the first allows it in words, or the root is among them.
 */
bool x509_may_certify(struct slice chain);
/*
 * PEM of one certificate appended; and the DER certificates of a PEM text, one
 * call each (other blocks are skipped). Every answer but NOT_FOUND moves *pem on.
 */
enum reeve_err x509_to_pem(struct slice der, struct wr *out) REEVE_MUST_CHECK;
enum reeve_err x509_pem_next(struct slice *pem, struct wr *der_out) REEVE_MUST_CHECK;   /* NOT_FOUND at the end */

#endif
