/* p11_key.c - Ed25519 keys of a token: found, made, signed with */
#include "crypto/p11_int.h"

#include <string.h>

#include "crypto/hash.h"
#include "crypto/sign.h"

/* PKCS#11 3.0's name of the curve: PrintableString "edwards25519"; tokens take it as they take the OID 1.3.101.112. */
static const uint8_t curve_name[] = { 0x13, 0x0c, 'e', 'd', 'w', 'a', 'r', 'd', 's', '2', '5', '5', '1', '9' };
static const uint8_t curve_oid[] = { 0x06, 0x03, 0x2b, 0x65, 0x70 };

#define ATTRIBUTE(kind, at, size) { .type = (kind), .value = (void *) (uintptr_t) (at), .value_len = (size) }

/* ---- finding ---- */

/* How many of that class have the label and the id; *out is one of them. -1: the module failed, with a report. */
static int find(struct p11 *p, ck_object_class_t class, const struct p11_uri *u, struct slice id, ck_object_handle_t *out,
                struct report *rep)
{
    ck_object_handle_t found[2];
    unsigned long n = 0, n_attributes = 1;
    struct ck_attribute want[3] = { ATTRIBUTE(CKA_CLASS, &class, sizeof class) };
    if (*u->object != '\0')
        want[n_attributes++] = (struct ck_attribute) ATTRIBUTE(CKA_LABEL, u->object, strlen(u->object));
    if (id.len > 0)
        want[n_attributes++] = (struct ck_attribute) ATTRIBUTE(CKA_ID, id.p, id.len);
    ck_rv_t rv = p->f->C_FindObjectsInit(p->session, want, n_attributes);
    if (rv == CKR_OK) {
        rv = p->f->C_FindObjects(p->session, found, 2, &n);
        (void) p->f->C_FindObjectsFinal(p->session);
    }
    if (rv != CKR_OK) {
        p11_error(rv, "look for the key", rep);
        return -1;
    }
    if (n > 0)
        *out = found[0];
    return n > 2 ? 2 : (int) n;
}

/* Tokens say it raw, as an OCTET STRING, or as a BIT STRING. */
static bool point_parse(struct slice s, struct pubkey *pub)
{
    if (s.len == 34 && s.p[0] == 0x04 && s.p[1] == 32)
        s = slice_of(s.p + 2, 32);
    else if (s.len == 35 && s.p[0] == 0x03 && s.p[1] == 33 && s.p[2] == 0)
        s = slice_of(s.p + 3, 32);
    if (s.len != 32)
        return false;
    memcpy(pub->b, s.p, 32);
    return true;
}

/* False: the object has none of at most size bytes. */
static bool attribute(struct p11 *p, ck_object_handle_t object, ck_attribute_type_t type, void *out, size_t size, size_t *len)
{
    struct ck_attribute a = ATTRIBUTE(type, out, size);
    if (p->f->C_GetAttributeValue(p->session, object, &a, 1) != CKR_OK || a.value_len > size)
        return false;
    *len = a.value_len;
    return true;
}

static enum reeve_err is_ed25519(struct p11 *p, ck_object_handle_t key, struct report *rep)
{
    ck_key_type_t type = 0;
    size_t len = 0;
    if (!attribute(p, key, CKA_KEY_TYPE, &type, sizeof type, &len) || len != sizeof type || type != CKK_EC_EDWARDS)
        return report_set(rep, REEVE_E_UNSUPPORTED, "the token's key is no Ed25519 key");
    return REEVE_OK;
}

/* The public object beside the private one; of the same id, where it has one. */
static enum reeve_err public_of(struct p11 *p, const struct p11_uri *u, ck_object_handle_t private, struct pubkey *pub,
                                struct report *rep)
{
    uint8_t id[64], point[64];
    size_t id_len = 0, len = 0;
    ck_object_handle_t public = 0;
    if (!attribute(p, private, CKA_ID, id, sizeof id, &id_len))
        id_len = 0;
    int n = find(p, CKO_PUBLIC_KEY, u, slice_of(id, id_len), &public, rep);
    if (n < 0)
        return rep->code;
    if (n != 1)
        return report_set(rep, REEVE_E_NOT_FOUND, "the token has %s public part of that key", n == 0 ? "no" : "more than one");
    if (!attribute(p, public, CKA_EC_POINT, point, sizeof point, &len) || !point_parse(slice_of(point, len), pub) ||
        !sign_pubkey_ok(pub))
        return report_set(rep, REEVE_E_V_KEY, "the public part of the token's key is no Ed25519 point");
    return REEVE_OK;
}

enum reeve_err p11_key_look(struct p11 *p, const struct p11_uri *u, ck_object_handle_t *private, struct pubkey *pub,
                            struct report *rep)
{
    if (*u->object == '\0' && u->id_len == 0)
        return report_set(rep, REEVE_E_INVALID_VALUE, "the pkcs11: URI names no key: object= or id=");
    int n = find(p, CKO_PRIVATE_KEY, u, slice_of(u->id, u->id_len), private, rep);
    if (n < 0)
        return rep->code;
    if (n == 0)
        return report_set(rep, REEVE_E_NOT_FOUND, "the token has no private key \"%s\"", u->object);
    if (n > 1)
        return report_set(rep, REEVE_E_WRONG_STATE, "the token has several private keys \"%s\": id= is needed", u->object);
    enum reeve_err err = is_ed25519(p, *private, rep);
    return err == REEVE_OK ? public_of(p, u, *private, pub, rep) : err;
}

static enum reeve_err keep(struct p11 *p, const struct p11_uri *u, ck_object_handle_t private, const struct pubkey *pub, unsigned *key)
{
    if (p->n_keys == P11_KEYS_MAX)
        return REEVE_E_TOO_MANY;
    *key = p->n_keys++;
    p->key[*key] = (struct p11_key){ private, *u, *pub };
    return REEVE_OK;
}

enum reeve_err p11_key_find(struct p11 *p, const struct p11_uri *u, unsigned *key, struct pubkey *pub, struct report *rep)
{
    ck_object_handle_t private = 0;
    enum reeve_err err = p11_key_look(p, u, &private, pub, rep);
    return err == REEVE_OK ? keep(p, u, private, pub, key) : err;
}

/* ---- making ---- */

static ck_rv_t generate(struct p11 *p, const struct p11_uri *u, struct slice curve, const uint8_t id[8])
{
    unsigned char yes = 1, no = 0;
    struct ck_mechanism m = { .mechanism = CKM_EC_EDWARDS_KEY_PAIR_GEN };
    ck_object_handle_t public, private;
    struct ck_attribute pub[] = {
        ATTRIBUTE(CKA_EC_PARAMS, curve.p, curve.len), ATTRIBUTE(CKA_TOKEN, &yes, 1), ATTRIBUTE(CKA_VERIFY, &yes, 1),
        ATTRIBUTE(CKA_PRIVATE, &no, 1), ATTRIBUTE(CKA_LABEL, u->object, strlen(u->object)), ATTRIBUTE(CKA_ID, id, 8),
    };
    struct ck_attribute sec[] = {
        ATTRIBUTE(CKA_TOKEN, &yes, 1), ATTRIBUTE(CKA_PRIVATE, &yes, 1), ATTRIBUTE(CKA_SENSITIVE, &yes, 1),
        ATTRIBUTE(CKA_EXTRACTABLE, &no, 1), ATTRIBUTE(CKA_SIGN, &yes, 1),
        ATTRIBUTE(CKA_LABEL, u->object, strlen(u->object)), ATTRIBUTE(CKA_ID, id, 8),
    };
    return p->f->C_GenerateKeyPair(p->session, &m, pub, sizeof pub / sizeof *pub, sec, sizeof sec / sizeof *sec, &public, &private);
}

enum reeve_err p11_key_make(struct p11 *p, const struct p11_uri *u, unsigned *key, struct pubkey *pub, struct report *rep)
{
    uint8_t id[8];
    ck_object_handle_t had = 0;
    if (*u->object == '\0' || u->id_len > 0)
        return report_set(rep, REEVE_E_INVALID_VALUE, "a new key is named by object=, and gets an id of its own");
    int n = find(p, CKO_PRIVATE_KEY, u, slice_of(NULL, 0), &had, rep);
    if (n < 0)
        return rep->code;
    if (n > 0)
        return report_set(rep, REEVE_E_DUPLICATE_OBJECT, "the token has a key \"%s\" already", u->object);
    random_bytes(id, sizeof id);
    ck_rv_t rv = generate(p, u, slice_of(curve_name, sizeof curve_name), id);
    if (rv != CKR_OK && rv != CKR_MECHANISM_INVALID)
        rv = generate(p, u, slice_of(curve_oid, sizeof curve_oid), id);
    return rv == CKR_OK ? p11_key_find(p, u, key, pub, rep) : p11_error(rv, "make a key", rep);
}

/* ---- signing ---- */

static ck_rv_t sign_once(struct p11 *p, const struct p11_key *k, struct slice msg, struct sig64 *sig)
{
    struct ck_mechanism m = { .mechanism = CKM_EDDSA };
    unsigned long len = sizeof sig->b;
    ck_rv_t rv = p->in_session ? p->f->C_SignInit(p->session, &m, k->private) : CKR_SESSION_HANDLE_INVALID;
    if (rv == CKR_OK)
        rv = p->f->C_Sign(p->session, (unsigned char *) (uintptr_t) msg.p, msg.len, sig->b, &len);
    return rv == CKR_OK && len != sizeof sig->b ? CKR_SIGNATURE_LEN_RANGE : rv;
}

/* Worth a new session: the old one, or its login, is over. */
static bool session_ended(ck_rv_t rv)
{
    return rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_SESSION_CLOSED || rv == CKR_USER_NOT_LOGGED_IN || rv == CKR_DEVICE_REMOVED ||
           rv == CKR_DEVICE_ERROR || rv == CKR_TOKEN_NOT_PRESENT || rv == CKR_KEY_HANDLE_INVALID || rv == CKR_OPERATION_ACTIVE;
}

/* All keys under a new session's handles; a token that was exchanged for another has other keys, and is refused. */
static enum reeve_err reopen(struct p11 *p, struct report *rep)
{
    enum reeve_err err;
    p11_session_close(p);
    TRY(p11_session_open(p, rep));
    for (unsigned i = 0; i < p->n_keys; i++) {
        struct pubkey pub;
        TRY(p11_key_look(p, &p->key[i].uri, &p->key[i].private, &pub, rep));
        if (memcmp(pub.b, p->key[i].pub.b, sizeof pub.b) != 0)
            TRY(report_set(rep, REEVE_E_V_KEY, "the token's key \"%s\" is another one than before", p->key[i].uri.object));
    }
out:
    if (err != REEVE_OK)
        p11_session_close(p);
    return err;
}

enum reeve_err p11_sign(struct p11 *p, unsigned key, struct slice msg, struct sig64 *sig, struct report *rep)
{
    reeve_assert(key < p->n_keys);
    const struct p11_key *k = &p->key[key];
    ck_rv_t rv = sign_once(p, k, msg, sig);
    if (session_ended(rv)) {
        enum reeve_err err = reopen(p, rep);
        if (err != REEVE_OK)
            return err;
        rv = sign_once(p, k, msg, sig);
    }
    if (rv != CKR_OK)
        return p11_error(rv, "sign", rep);
    if (!sign_verify(sig, msg, &k->pub))
        return report_set(rep, REEVE_E_V_SIGNATURE, "what the token signed does not verify");
    return REEVE_OK;
}
