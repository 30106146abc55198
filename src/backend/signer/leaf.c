/* leaf.c - ISSUE_LEAF and RESEAL_KEY: certificates for nodes, and shared keys sealed to them. */
#include "backend/signer/signer_int.h"

#include <stdio.h>

#include "crypto/hash.h"
#include "engine/wire.h"

/* Exactly the two forms of SubjectPublicKeyInfo there are for our key types (RFC 5480, RFC 8410). */
static bool spki_is(struct slice spki, uint8_t key_type)
{
    static const uint8_t p256[27] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
                                      0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04 };
    static const uint8_t ed25519[12] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
    if (key_type == KEY_ECDSA_P256)
        return spki.len == 91 && memcmp(spki.p, p256, sizeof p256) == 0;
    return key_type == KEY_ED25519 && spki.len == 44 && memcmp(spki.p, ed25519, sizeof ed25519) == 0;
}

static void put_chain(const struct template_ref *t, struct wr *out)
{
    wr_u32(out, (uint32_t) (t->inter.len + t->chain.len));
    wr_bytes(out, t->inter.p, t->inter.len);
    wr_bytes(out, t->chain.p, t->chain.len);
}

enum reeve_err signer_issue_leaf(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct template_ref t = { .gen = NULL };
    struct node_id node;
    struct wr der = wr_fixed(s->scratch, X509_DER_MAX);
    enum reeve_err err = template_read(s, in, &t, rep);
    if (err != REEVE_OK)
        return err;
    rd_copy(in, node.b, sizeof node.b);
    struct slice spki = rd_str16(in, 512);
    if (!rd_done(in))
        return report_set(rep, REEVE_E_MALFORMED, "malformed request for a certificate");
    if (s->cert.mode != CERT_PER_NODE)
        return report_set(rep, REEVE_E_WRONG_STATE, "certificate \"%s\" has a shared key", t.cert.s);
    if (!spki_is(spki, s->cert.key_type))
        return report_set(rep, REEVE_E_V_KEY, "the node's key is not of the certificate's kind");
    err = template_issue(s, &t, spki, &der, rep);
    if (err == REEVE_OK) {
        wr_str32(out, wr_slice(&der));
        put_chain(&t, out);
    }
    return err;
}

/* The shared certificate: issued once, then the same bytes for every node. */
static enum reeve_err shared_cert(struct signer *s, struct template_ref *t, const struct xkey *key, struct wr *der,
                                  struct report *rep)
{
    char file[KEY_FILE_NAME_MAX + 8], base[KEY_FILE_NAME_MAX];
    uint8_t mem[256];
    struct wr spki = wr_fixed(mem, sizeof mem);
    key_file_name(base, &t->cert, t->gen->gen, &t->gen->spki_hash);
    snprintf(file, sizeof file, "%s.crt", base);
    enum reeve_err err = keydir_read(s->sharedfd, file, der->p, der->cap, &der->len);
    if (err != REEVE_E_NOT_FOUND)
        return err;
    TRY(xkey_spki(key, &spki));
    TRY(template_issue(s, t, wr_slice(&spki), der, rep));
    err = keydir_write(s->sharedfd, file, wr_slice(der), true);
out:
    return err;
}

struct reseal_request { struct node_id id; struct pubkey node, seal; struct sig64 sig; };

/* The node that enrolled, not only somebody who can sign. */
static bool is_that_node(const struct reseal_request *r)
{
    struct node_id id;
    node_id_of_key(&id, &r->node);
    return memcmp(id.b, r->id.b, sizeof id.b) == 0;
}

static bool node_vouches(struct signer *s, const struct reseal_request *r)
{
    uint8_t msg[WIRE_MESSAGE_MAX];
    size_t len = wire_seal_message(msg, &s->trust.chain_id, &r->seal);
    return sign_verify(&r->sig, slice_of(msg, len), &r->node);
}

enum reeve_err seal_key_to(const struct xkey *key, const struct pubkey *to, struct wr *out)
{
    uint8_t plain[512];
    struct wr w = wr_fixed(plain, sizeof plain);
    enum reeve_err err = xkey_to_der(key, &w);
    if (err == REEVE_OK) {
        wr_u16(out, (uint16_t) (w.len + SEAL_OVERHEAD));
        uint8_t *box = wr_reserve(out, w.len + SEAL_OVERHEAD);
        err = box ? seal_box(box, wr_slice(&w), to) : REEVE_E_NOMEM;
    }
    secret_wipe(plain, sizeof plain);
    return err;
}

enum reeve_err signer_reseal_key(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct template_ref t = { .gen = NULL };
    struct reseal_request r;
    const struct xkey *key;
    struct wr der = wr_fixed(s->scratch, X509_DER_MAX);
    enum reeve_err err = template_read(s, in, &t, rep);
    if (err != REEVE_OK)
        return err;
    rd_copy(in, r.id.b, sizeof r.id.b);
    rd_copy(in, r.node.b, 32);
    rd_copy(in, r.seal.b, 32);
    rd_copy(in, r.sig.b, 64);
    if (!rd_done(in))
        return report_set(rep, REEVE_E_MALFORMED, "malformed request for a shared key");
    if (s->cert.mode == CERT_PER_NODE)
        return report_set(rep, REEVE_E_WRONG_STATE, "certificate \"%s\" has a key of its own on every node", t.cert.s);
    if (!is_that_node(&r))
        return report_set(rep, REEVE_E_V_KEY, "the key is not the one that the node's id was made from");
    if (!node_vouches(s, &r))
        return report_set(rep, REEVE_E_V_SIGNATURE, "the node's sealing key is not signed by its identity");
    TRY(opened_shared(s, &t, &key, rep));
    TRY(shared_cert(s, &t, key, &der, rep));
    TRY(seal_key_to(key, &r.seal, out));
    wr_str32(out, wr_slice(&der));
    put_chain(&t, out);
out:
    return err;
}
