/* xkey.c - private keys of the two kinds, and the only SPKI encodings we take. */
#include "crypto/x509_int.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "common/text.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <stdlib.h>
#include <strings.h>

/*
 * Both SubjectPublicKeyInfo forms have a fixed length, so everything before
 * the key bytes is a constant. Comparing it refuses explicit curve
 * parameters, compressed points and long-form lengths without parsing.
 */
static const uint8_t p256_prefix[27] = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04
};
static const uint8_t ed25519_prefix[12] = {
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00
};

const char *key_type_name(enum key_type t)
{
    return t == KEY_ECDSA_P256 ? "ecdsa-p256" : t == KEY_ED25519 ? "ed25519" : "other";
}

bool key_type_parse(enum key_type *out, struct slice text)
{
    static const struct { const char *name; enum key_type type; } names[] = {
        { "ecdsa-p256", KEY_ECDSA_P256 }, { "ecdsa", KEY_ECDSA_P256 }, { "p256", KEY_ECDSA_P256 },
        { "ed25519", KEY_ED25519 },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i].name) == text.len && strncasecmp(names[i].name, (const char *) text.p, text.len) == 0) {
            *out = names[i].type;
            return true;
        }
    }
    return false;
}

enum key_type spki_type(struct slice s)
{
    if (s.len == sizeof p256_prefix + 64 && memcmp(s.p, p256_prefix, sizeof p256_prefix) == 0)
        return KEY_ECDSA_P256;
    if (s.len == sizeof ed25519_prefix + 32 && memcmp(s.p, ed25519_prefix, sizeof ed25519_prefix) == 0)
        return KEY_ED25519;
    return KEY_OTHER;
}

/* The point, uncompressed, with its leading 4. OpenSSL checks that it is on the curve; the cofactor is one. */
static EVP_PKEY *p256_public(const uint8_t point[65])
{
    EVP_PKEY *pkey = NULL;
    uint8_t copy[65];
    char group[] = "prime256v1";
    memcpy(copy, point, sizeof copy);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, sizeof copy),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

enum reeve_err spki_decode(EVP_PKEY **out, enum key_type *type, struct slice spki)
{
    *out = NULL;
    *type = spki_type(spki);
    if (*type == KEY_OTHER)
        return REEVE_E_MALFORMED;
    if (*type == KEY_ED25519) {
        struct pubkey pub;
        memcpy(pub.b, spki.p + sizeof ed25519_prefix, sizeof pub.b);
        if (!sign_pubkey_ok(&pub))
            return REEVE_E_MALFORMED;
    }
    if (*type == KEY_ED25519)
        *out = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, spki.p + sizeof ed25519_prefix, 32);
    else
        *out = p256_public(spki.p + sizeof p256_prefix - 1);
    return *out != NULL ? REEVE_OK : REEVE_E_MALFORMED;
}

enum reeve_err spki_put(X509_PUBKEY *to, struct slice spki)
{
    bool ec = spki_type(spki) == KEY_ECDSA_P256;
    size_t at = ec ? sizeof p256_prefix - 1 : sizeof ed25519_prefix;
    unsigned char *bits = OPENSSL_memdup(spki.p + at, spki.len - at);
    if (bits != NULL && X509_PUBKEY_set0_param(to, OBJ_nid2obj(ec ? NID_X9_62_id_ecPublicKey : NID_ED25519),
                                               ec ? V_ASN1_OBJECT : V_ASN1_UNDEF,
                                               ec ? OBJ_nid2obj(NID_X9_62_prime256v1) : NULL, bits,
                                               (int) (spki.len - at)) == 1)
        return REEVE_OK;
    OPENSSL_free(bits);
    return REEVE_E_NOMEM;
}

const EVP_MD *xkey_digest(enum key_type t)
{
    return t == KEY_ECDSA_P256 ? EVP_sha256() : NULL;
}

bool sig_nid_ok(int nid, enum key_type t)
{
    if (t == KEY_ED25519)
        return nid == NID_ED25519;
    return nid == NID_ecdsa_with_SHA256 || nid == NID_ecdsa_with_SHA384 || nid == NID_ecdsa_with_SHA512;
}

/* SPKI of a key that OpenSSL made here: the form is known, only the bytes are wanted. */
static bool spki_made(struct xkey *k)
{
    bool ec = k->type == KEY_ECDSA_P256;
    size_t at = ec ? sizeof p256_prefix - 1 : sizeof ed25519_prefix, len = ec ? 65 : 32, got = len;
    memcpy(k->spki, ec ? p256_prefix : ed25519_prefix, at);
    int ok = ec ? EVP_PKEY_get_octet_string_param(k->pkey, OSSL_PKEY_PARAM_PUB_KEY, k->spki + at, len, &got)
                : EVP_PKEY_get_raw_public_key(k->pkey, k->spki + at, &got);
    k->spki_len = (uint8_t) (at + len);
    return ok == 1 && got == len && spki_type(slice_of(k->spki, k->spki_len)) == k->type;
}

/* SPKI of a key that came from elsewhere: as OpenSSL would write it, which must be one of our forms. */
static bool spki_foreign(struct xkey *k)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(k->pkey, &der);
    k->type = len > 0 && len <= SPKI_MAX ? spki_type(slice_of(der, (size_t) len)) : KEY_OTHER;
    if (k->type != KEY_OTHER) {
        memcpy(k->spki, der, (size_t) len);
        k->spki_len = (uint8_t) len;
    }
    OPENSSL_free(der);
    return k->type != KEY_OTHER;
}

/* Takes ownership of pkey in every case. KEY_OTHER: find out what it is. */
static enum reeve_err xkey_wrap(struct xkey **out, EVP_PKEY *pkey, enum key_type type)
{
    struct xkey k = { .pkey = pkey, .type = type };
    if (type == KEY_OTHER ? spki_foreign(&k) : spki_made(&k)) {
        *out = malloc(sizeof **out);
        if (*out != NULL) {
            **out = k;
            return REEVE_OK;
        }
    }
    EVP_PKEY_free(pkey);
    return k.spki_len > 0 ? REEVE_E_NOMEM : REEVE_E_MALFORMED;
}

enum reeve_err xkey_generate(struct xkey **out, enum key_type type)
{
    EVP_PKEY *pkey = NULL;
    *out = NULL;
    if (type == KEY_ECDSA_P256)
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    else if (type == KEY_ED25519)
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    else
        return REEVE_E_INVALID_VALUE;
    return pkey != NULL ? xkey_wrap(out, pkey, type) : REEVE_E_NOMEM;
}

enum reeve_err xkey_from_seed(struct xkey **out, const uint8_t seed[32])
{
    *out = NULL;
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    return pkey != NULL ? xkey_wrap(out, pkey, KEY_ED25519) : REEVE_E_NOMEM;
}

void xkey_free(struct xkey *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->pkey);     /* OpenSSL clears private key memory */
    secret_wipe(k, sizeof *k);
    free(k);
}

enum key_type xkey_type(const struct xkey *k)
{
    return k->type;
}

/*
 * PKCS#8 of a P-256 key as OpenSSL and most others write it: every length is
 * fixed, only the private scalar and the public point vary. Written and read
 * here in a tenth of the time; anything else goes through OpenSSL.
 */
#define P256_PKCS8_LEN 138
#define P256_SCALAR_AT 36
#define P256_POINT_AT  73
static const uint8_t p256_pkcs8_head[P256_SCALAR_AT] = {
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20
};
static const uint8_t p256_pkcs8_mid[P256_POINT_AT - P256_SCALAR_AT - 32] = { 0xa1, 0x44, 0x03, 0x42, 0x00 };

static size_t pkcs8_p256(const struct xkey *k, unsigned char **der)
{
    BIGNUM *scalar = NULL;
    uint8_t *d = k->type == KEY_ECDSA_P256 ? OPENSSL_malloc(P256_PKCS8_LEN) : NULL;
    bool ok = d != NULL && EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) == 1 &&
              BN_bn2binpad(scalar, d + P256_SCALAR_AT, 32) == 32;
    BN_clear_free(scalar);
    if (!ok) {
        OPENSSL_clear_free(d, P256_PKCS8_LEN);
        return 0;
    }
    memcpy(d, p256_pkcs8_head, sizeof p256_pkcs8_head);
    memcpy(d + P256_SCALAR_AT + 32, p256_pkcs8_mid, sizeof p256_pkcs8_mid);
    memcpy(d + P256_POINT_AT, k->spki + sizeof p256_prefix - 1, 65);
    *der = d;
    return P256_PKCS8_LEN;
}

/* PKCS#8 DER in *der, to be freed with OPENSSL_clear_free(*der, returned length); 0 on failure. */
static size_t pkcs8(const struct xkey *k, unsigned char **der)
{
    *der = NULL;
    size_t fixed = pkcs8_p256(k, der);
    if (fixed > 0)
        return fixed;
    PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(k->pkey);
    if (p8 == NULL)
        return 0;
    int len = i2d_PKCS8_PRIV_KEY_INFO(p8, der);
    PKCS8_PRIV_KEY_INFO_free(p8);
    return len > 0 ? (size_t) len : 0;
}

enum reeve_err xkey_to_der(const struct xkey *k, struct wr *out)
{
    unsigned char *der;
    size_t len = pkcs8(k, &der);
    if (len == 0)
        return REEVE_E_NOMEM;
    wr_bytes(out, der, len);
    OPENSSL_clear_free(der, len);
    return out->bad ? REEVE_E_NOMEM : REEVE_OK;
}

enum reeve_err xkey_to_pem(const struct xkey *k, struct wr *out)
{
    unsigned char *der;
    size_t len = pkcs8(k, &der);
    if (len == 0)
        return REEVE_E_NOMEM;
    enum reeve_err err = pem_write(out, "PRIVATE KEY", slice_of(der, len));
    OPENSSL_clear_free(der, len);
    return err;
}

static bool is_p256_pkcs8(struct slice der)
{
    return der.len == P256_PKCS8_LEN && memcmp(der.p, p256_pkcs8_head, sizeof p256_pkcs8_head) == 0 &&
           memcmp(der.p + P256_SCALAR_AT + 32, p256_pkcs8_mid, sizeof p256_pkcs8_mid) == 0 && der.p[P256_POINT_AT] == 4;
}

/* scalar is big endian; OSSL_PARAM wants the machine's order. */
static EVP_PKEY *p256_pair(const uint8_t scalar[32], const uint8_t point[65])
{
    EVP_PKEY *pkey = NULL;
    uint8_t copy[65], native[32];
    char group[] = "prime256v1";
    BIGNUM *n = BN_secure_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    memcpy(copy, point, sizeof copy);
    bool ok = n != NULL && ctx != NULL && BN_bin2bn(scalar, 32, n) != NULL && BN_bn2nativepad(n, native, 32) == 32;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, sizeof copy),
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, sizeof native),
        OSSL_PARAM_construct_end(),
    };
    if (!ok || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
        pkey = NULL;
    secret_wipe(native, sizeof native);
    BN_clear_free(n);
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

static enum reeve_err from_pkcs8(struct xkey **out, struct slice der)
{
    const unsigned char *p = der.p;
    if (is_p256_pkcs8(der)) {
        EVP_PKEY *pair = p256_pair(der.p + P256_SCALAR_AT, der.p + P256_POINT_AT);
        return pair != NULL ? xkey_wrap(out, pair, KEY_ECDSA_P256) : REEVE_E_MALFORMED;
    }
    PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long) der.len);
    if (p8 == NULL)
        return REEVE_E_MALFORMED;
    EVP_PKEY *pkey = p == der.p + der.len ? EVP_PKCS82PKEY(p8) : NULL;
    PKCS8_PRIV_KEY_INFO_free(p8);
    return pkey != NULL ? xkey_wrap(out, pkey, KEY_OTHER) : REEVE_E_MALFORMED;
}

/* RFC 5915, what older tools write as EC PRIVATE KEY. */
static enum reeve_err from_sec1(struct xkey **out, struct slice der)
{
    const unsigned char *p = der.p;
    EVP_PKEY *pkey = d2i_PrivateKey(EVP_PKEY_EC, NULL, &p, (long) der.len);
    if (pkey != NULL && p != der.p + der.len) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    return pkey != NULL ? xkey_wrap(out, pkey, KEY_OTHER) : REEVE_E_MALFORMED;
}

/*
 * A file may claim a public half that is not the private key's: then it is not
 * a key. The scalar in range and the point its multiple is all there is to
 * check: the curve is P-256 by name (xkey_wrap), its cofactor one.
 */
static enum reeve_err checked(struct xkey **out, enum reeve_err err)
{
    if (err != REEVE_OK)
        return err;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new((*out)->pkey, NULL);
    int ok = c == NULL ? 0 : (*out)->type == KEY_ED25519 ? 1
           : EVP_PKEY_private_check(c) == 1 && EVP_PKEY_pairwise_check(c) == 1;
    EVP_PKEY_CTX_free(c);
    if (ok == 1)
        return REEVE_OK;
    xkey_free(*out);
    *out = NULL;
    return REEVE_E_MALFORMED;
}

enum reeve_err xkey_from_der(struct xkey **out, struct slice der)
{
    *out = NULL;
    if (der.len == 0 || der.len > X509_DER_MAX)
        return REEVE_E_MALFORMED;
    return checked(out, from_pkcs8(out, der));
}

enum reeve_err xkey_from_pem(struct xkey **out, struct slice pem)
{
    uint8_t mem[X509_DER_MAX];
    struct wr der = wr_fixed(mem, sizeof mem);
    struct slice rest = pem;
    *out = NULL;
    enum reeve_err err = pem_read(&rest, "PRIVATE KEY", &der);
    if (err == REEVE_OK) {
        err = checked(out, from_pkcs8(out, wr_slice(&der)));
    } else if (err == REEVE_E_NOT_FOUND) {
        rest = pem;
        wr_reset(&der);
        if (pem_read(&rest, "EC PRIVATE KEY", &der) == REEVE_OK)
            err = checked(out, from_sec1(out, wr_slice(&der)));
    }
    secret_wipe(mem, sizeof mem);
    return err == REEVE_E_NOT_FOUND ? REEVE_E_MALFORMED : err;
}

enum reeve_err xkey_spki(const struct xkey *k, struct wr *out)
{
    wr_bytes(out, k->spki, k->spki_len);
    return out->bad ? REEVE_E_NOMEM : REEVE_OK;
}
