/* authority.c - AUTHORITY_KEY and SHARED_KEY: new keys, kept sealed, shown only as public halves. */
#include "backend/signer/signer_int.h"

#include "crypto/hash.h"

/* A root is valid a little before now, for machines whose clocks are behind. */
#define BACKDATE_MS 300000

struct authority_request {
    struct name name;
    uint32_t gen;
    uint8_t key_type, external;
    uint32_t ttl_s;
    struct slice subject;
};

static bool authority_read(struct rd *in, struct authority_request *r)
{
    rd_name(in, &r->name);
    r->gen = rd_u32(in);
    r->key_type = rd_u8(in);
    r->external = rd_u8(in);
    r->ttl_s = rd_u32(in);
    r->subject = rd_str16(in, 255);
    return rd_done(in) && r->gen > 0 && r->external <= 1 && r->name.len > 0 &&
           (r->key_type == KEY_ECDSA_P256 || r->key_type == KEY_ED25519);
}

static enum reeve_err self_signed(struct signer *s, const struct authority_request *r, const struct xkey *key,
                                  struct wr *der, struct report *rep)
{
    uint8_t mem[256];
    struct wr spki = wr_fixed(mem, sizeof mem);
    struct x509_spec spec = { .subject = r->subject, .is_ca = true, .path_len = -1 };
    int64_t now = s->now_ms();
    if (r->ttl_s == 0)
        return report_set(rep, REEVE_E_INVALID_VALUE, "an authority needs a time to live");
    spec.not_before.ms = now - BACKDATE_MS;
    spec.not_after.ms = now + (int64_t) r->ttl_s * 1000;
    x509_serial_random(spec.serial);
    enum reeve_err err = x509_spec_check(&spec, rep);
    if (err == REEVE_OK)
        err = xkey_spki(key, &spki);
    return err == REEVE_OK ? x509_issue(der, &spec, wr_slice(&spki), key, slice_of(NULL, 0)) : err;
}

enum reeve_err signer_authority_key(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct authority_request r;
    struct xkey *key = NULL;
    struct hash32 spki_hash;
    struct wr der = wr_fixed(s->scratch, sizeof s->scratch);
    enum reeve_err err;
    if (!authority_read(in, &r))
        return report_set(rep, REEVE_E_MALFORMED, "malformed request for an authority's key");
    TRY(xkey_generate(&key, r.key_type));
    TRY(r.external ? csr_create(&der, key, r.subject) : self_signed(s, &r, key, &der, rep));
    TRY(sealed_store(s, "authority", &r.name, r.gen, key, &spki_hash, rep));
    wr_str16(out, slice_of(spki_hash.b, 32));
    wr_str32(out, wr_slice(&der));
out:
    xkey_free(key);
    if (err != REEVE_OK)
        report_set(rep, err, "could not make the authority's key (%s)", reeve_err_name(err));
    return err;
}

enum reeve_err signer_shared_key(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct name cert;
    struct xkey *key = NULL;
    struct hash32 spki_hash;
    enum reeve_err err;
    rd_name(in, &cert);
    uint32_t gen = rd_u32(in);
    uint8_t key_type = rd_u8(in);
    if (!rd_done(in) || cert.len == 0 || gen == 0 || (key_type != KEY_ECDSA_P256 && key_type != KEY_ED25519))
        return report_set(rep, REEVE_E_MALFORMED, "malformed request for a shared key");
    TRY(xkey_generate(&key, key_type));
    TRY(sealed_store(s, "shared", &cert, gen, key, &spki_hash, rep));
    wr_bytes(out, spki_hash.b, 32);
out:
    xkey_free(key);
    if (err != REEVE_OK)
        report_set(rep, err, "could not make the shared key (%s)", reeve_err_name(err));
    return err;
}
