/*
 * sealed.c - authorities' and shared keys at rest
 *
 * File: XChaCha20-Poly1305 under master.key (crypto/sign.h) of the PKCS#8
 * bytes; associated data "reeve-key-v1" 00 || kind 00 || chain id || name ||
 * u32 generation || SPKI hash, so that a file put in another's place does not open.
 */
#include "backend/signer/signer_int.h"

#include "crypto/hash.h"

#define PKCS8_MAX 512
#define SEALED_CANDIDATES_MAX 256   /* keys made for one generation and never attested */

static int folder(const struct signer *s, const char *kind)
{
    return strcmp(kind, "authority") == 0 ? s->authfd : s->sharedfd;
}

static struct slice sealed_ad(struct signer *s, struct wr *w, const char *kind, const struct name *name, uint32_t gen,
                              const struct hash32 *spki_hash)
{
    wr_bytes(w, "reeve-key-v1", 13);
    wr_bytes(w, kind, strlen(kind) + 1);
    wr_bytes(w, s->trust.chain_id.b, 32);
    wr_name(w, name);
    wr_u32(w, gen);
    wr_bytes(w, spki_hash->b, 32);
    reeve_assert(!w->bad);
    return wr_slice(w);
}

enum reeve_err sealed_spki(const struct xkey *key, struct hash32 *out)
{
    uint8_t mem[256];
    struct wr w = wr_fixed(mem, sizeof mem);
    enum reeve_err err = xkey_spki(key, &w);
    if (err == REEVE_OK)
        sha256(out, wr_slice(&w));
    return err;
}

static bool too_many(const struct signer *s, const char *kind, const struct name *name, uint32_t gen)
{
    char prefix[KEY_FILE_NAME_MAX];
    key_file_name(prefix, name, gen, NULL);
    return keydir_count(folder(s, kind), prefix) >= SEALED_CANDIDATES_MAX;
}

enum reeve_err sealed_store(struct signer *s, const char *kind, const struct name *name, uint32_t gen,
                            const struct xkey *key, struct hash32 *spki_hash, struct report *rep)
{
    uint8_t plain[PKCS8_MAX], box[PKCS8_MAX + AEAD_OVERHEAD], ad[512];
    struct wr w = wr_fixed(plain, sizeof plain), adw = wr_fixed(ad, sizeof ad);
    char file[KEY_FILE_NAME_MAX];
    enum reeve_err err;
    if (too_many(s, kind, name, gen))
        return report_set(rep, REEVE_E_TOO_COMPLEX, "too many unused keys for generation %u of %s \"%s\"", gen, kind, name->s);
    TRY(sealed_spki(key, spki_hash));
    TRY(xkey_to_der(key, &w));
    aead_seal(box, wr_slice(&w), sealed_ad(s, &adw, kind, name, gen, spki_hash), &s->sec->master);
    key_file_name(file, name, gen, spki_hash);
    err = keydir_write(folder(s, kind), file, slice_of(box, w.len + AEAD_OVERHEAD), true);
out:
    secret_wipe(plain, sizeof plain);
    if (err != REEVE_OK)
        report_set(rep, err, "could not keep the new key of %s \"%s\"", kind, name->s);
    return err;
}

static enum reeve_err sealed_open(struct signer *s, const char *kind, const struct name *name, uint32_t gen,
                                  const struct hash32 *spki_hash, struct slice box, struct xkey **out)
{
    uint8_t plain[PKCS8_MAX], ad[512];
    struct wr adw = wr_fixed(ad, sizeof ad);
    struct hash32 have;
    enum reeve_err err;
    if (box.len < AEAD_OVERHEAD || box.len > PKCS8_MAX + AEAD_OVERHEAD)
        return REEVE_E_CORRUPT;
    TRY(aead_open(plain, box, sealed_ad(s, &adw, kind, name, gen, spki_hash), &s->sec->master));
    TRY(xkey_from_der(out, slice_of(plain, box.len - AEAD_OVERHEAD)));
    TRY(sealed_spki(*out, &have));
    if (!hash32_eq(&have, spki_hash)) {
        xkey_free(*out);
        *out = NULL;
        err = REEVE_E_V_KEY;
    }
out:
    secret_wipe(plain, sizeof plain);
    return err;
}

enum reeve_err sealed_load(struct signer *s, const char *kind, const struct name *name, uint32_t gen,
                           const struct hash32 *spki_hash, struct xkey **out, struct report *rep)
{
    uint8_t box[PKCS8_MAX + AEAD_OVERHEAD];
    char file[KEY_FILE_NAME_MAX];
    size_t len;
    *out = NULL;
    key_file_name(file, name, gen, spki_hash);
    enum reeve_err err = keydir_read(folder(s, kind), file, box, sizeof box, &len);
    if (err == REEVE_E_NOT_FOUND)
        return report_set(rep, err, "this region's signer does not have the key of generation %u of %s \"%s\"", gen, kind, name->s);
    if (err == REEVE_OK)
        err = sealed_open(s, kind, name, gen, spki_hash, slice_of(box, len), out);
    if (err != REEVE_OK)
        report_set(rep, REEVE_E_CORRUPT, "the key file of %s \"%s\" generation %u does not open", kind, name->s, gen);
    return err == REEVE_OK ? err : REEVE_E_CORRUPT;
}
