/* key.c - names, key ids, vkeys and the private form. */
#include "note_int.h"
#include "common/text.h"

/* Unicode's White_Space beyond ASCII, as UTF-8. */
static bool is_wide_space(const uint8_t *p, size_t left)
{
    static const char *const spaces[] = {
        "\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
    };
    if (left >= 3 && p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0x80 && p[2] <= 0x8a)
        return true;
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
        size_t n = strlen(spaces[i]);
        if (left >= n && memcmp(p, spaces[i], n) == 0)
            return true;
    }
    return false;
}

bool note_name_ok(struct slice name)
{
    if (name.len == 0 || name.len > NOTE_NAME_MAX || !utf8_valid(name))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.p[i] <= 0x20 || name.p[i] == '+' || is_wide_space(name.p + i, name.len - i))
            return false;
    return true;
}

static uint32_t key_id(const struct crypto_ops *c, struct slice name, uint8_t alg, const struct pubkey *key)
{
    struct hash32 h;
    const uint8_t mid[2] = { '\n', alg };
    const struct slice parts[] = { name, slice_of(mid, 2), slice_of(key->b, sizeof key->b) };
    c->sha256(&h, parts, 3);
    return (uint32_t) h.b[0] << 24 | (uint32_t) h.b[1] << 16 | (uint32_t) h.b[2] << 8 | h.b[3];
}

void note_key_init(const struct crypto_ops *c, struct note_key *k, struct slice name, enum note_alg alg,
                   const struct pubkey *key)
{
    *k = (struct note_key){ .name = name, .alg = (uint8_t) alg, .key = *key, .id = key_id(c, name, (uint8_t) alg, key) };
}

static void put_head(struct wr *out, struct slice name, uint32_t id)
{
    const uint8_t be[4] = { (uint8_t) (id >> 24), (uint8_t) (id >> 16), (uint8_t) (id >> 8), (uint8_t) id };
    char hex[9];
    hex_encode(hex, be, 4);
    wr_bytes(out, name.p, name.len);
    wr_u8(out, '+');
    wr_bytes(out, hex, 8);
    wr_u8(out, '+');
}

static void put_typed(struct wr *out, uint8_t type, const uint8_t key[32])
{
    uint8_t bytes[33];
    bytes[0] = type;
    memcpy(bytes + 1, key, 32);
    wr_base64(out, bytes, sizeof bytes);
    memset(bytes, 0, sizeof bytes);
}

void note_key_format(const struct note_key *k, struct wr *out)
{
    put_head(out, k->name, k->id);
    put_typed(out, k->alg, k->key.b);
}

/* name "+" id "+" rest */
static bool take_head(struct slice *text, struct slice *name, uint32_t *id)
{
    struct slice hex;
    uint8_t be[4];
    if (!slice_until(text, '+', name) || !slice_until(text, '+', &hex) || !note_name_ok(*name) || !hex_decode(be, 4, hex))
        return false;
    for (size_t i = 0; i < hex.len; i++)
        if (hex.p[i] >= 'A' && hex.p[i] <= 'F')
            return false;               /* one form only */
    *id = (uint32_t) be[0] << 24 | (uint32_t) be[1] << 16 | (uint32_t) be[2] << 8 | be[3];
    return true;
}

enum reeve_err note_key_parse(const struct crypto_ops *c, struct note_key *k, struct slice text)
{
    uint8_t bytes[33];
    struct slice name;
    uint32_t id;
    struct pubkey key;
    if (!take_head(&text, &name, &id))
        return REEVE_E_MALFORMED;
    long n = base64_decode(bytes, sizeof bytes, text);
    if (n != sizeof bytes)
        return REEVE_E_MALFORMED;
    if (bytes[0] != NOTE_ED25519 && bytes[0] != NOTE_COSIGNATURE)
        return REEVE_E_UNSUPPORTED;
    memcpy(key.b, bytes + 1, sizeof key.b);
    note_key_init(c, k, name, (enum note_alg) bytes[0], &key);
    return k->id == id ? REEVE_OK : REEVE_E_V_KEY;
}

void note_secret_format(const struct note_key *k, const uint8_t seed[32], struct wr *out)
{
    wr_text(out, "PRIVATE+KEY+");
    put_head(out, k->name, k->id);
    put_typed(out, k->alg, seed);
}

enum reeve_err note_secret_parse(struct slice text, struct slice *name, uint32_t *id, uint8_t seed[32])
{
    uint8_t bytes[33];
    if (!slice_skip(&text, "PRIVATE+KEY+") || !take_head(&text, name, id))
        return REEVE_E_MALFORMED;
    bool ok = base64_decode(bytes, sizeof bytes, text) == (long) sizeof bytes && bytes[0] == NOTE_ED25519;
    if (ok)
        memcpy(seed, bytes + 1, 32);
    memset(bytes, 0, sizeof bytes);
    return ok ? REEVE_OK : REEVE_E_MALFORMED;
}
