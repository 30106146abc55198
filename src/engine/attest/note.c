/* note.c - C2SP signed notes with plain Ed25519 keys (type 01): verifier keys, and one signature of a note. */
#include "codec_int.h"
#include "approve_int.h"
#include "common/text.h"

#define ED25519_KEY 1
#define SIGNATURE_LEN (4 + 64)

/* The first four bytes of SHA-256(name LF type key). */
static void key_id(const struct crypto_ops *c, uint8_t out[4], const struct name *name, const struct pubkey *key)
{
    static const uint8_t between[2] = { '\n', ED25519_KEY };
    const struct slice parts[] = { name_slice(name), slice_of(between, 2), slice_of(key->b, 32) };
    struct hash32 h;
    c->sha256(&h, parts, 3);
    memcpy(out, h.b, 4);
}

/* Cuts s at the first occurrence of ch: what stands before it; s begins behind it. False without one. */
static bool cut(struct slice *s, char ch, struct slice *before)
{
    const uint8_t *at = s->len > 0 ? memchr(s->p, ch, s->len) : NULL;
    if (at == NULL)
        return false;
    *before = slice_of(s->p, (size_t) (at - s->p));
    *s = slice_of(at + 1, s->len - before->len - 1);
    return true;
}

enum reeve_err vkey_read(const struct crypto_ops *c, struct name *name, struct pubkey *key, struct slice vkey)
{
    struct slice name_part, hash_part;
    uint8_t hash[4], id[4], typed[33];
    if (!cut(&vkey, '+', &name_part) || !cut(&vkey, '+', &hash_part) || !name_set(name, name_part) || !approver_name_ok(name) ||
        !hex_decode(hash, 4, hash_part) || base64_decode(typed, sizeof typed, vkey) != 33 || typed[0] != ED25519_KEY)
        return REEVE_E_MALFORMED;
    memcpy(key->b, typed + 1, 32);
    key_id(c, id, name, key);
    return memcmp(id, hash, 4) == 0 ? REEVE_OK : REEVE_E_V_KEY;
}

void vkey_write(const struct crypto_ops *c, struct wr *out, const struct name *name, const struct pubkey *key)
{
    uint8_t id[4], typed[33] = { ED25519_KEY };
    char text[48];
    key_id(c, id, name, key);
    memcpy(typed + 1, key->b, 32);
    wr_bytes(out, name->s, name->len);
    wr_u8(out, '+');
    hex_encode(text, id, 4);
    wr_text(out, text);
    wr_u8(out, '+');
    base64_encode(text, typed, sizeof typed);
    wr_text(out, text);
}

/* "— name base64(key id, signature)"; other keys' lines are passed over. */
static enum reeve_err line_read(struct slice line, const struct name *name, const uint8_t id[4], struct sig64 *out)
{
    static const char dash[] = "\xe2\x80\x94 ";
    uint8_t bytes[SIGNATURE_LEN];
    struct slice who;
    if (line.len < 4 || memcmp(line.p, dash, 4) != 0)
        return REEVE_E_MALFORMED;
    line = slice_of(line.p + 4, line.len - 4);
    if (!cut(&line, ' ', &who))
        return REEVE_E_MALFORMED;
    if (!slice_eq(who, name_slice(name)))
        return REEVE_E_NOT_FOUND;
    if (base64_decode(bytes, sizeof bytes, line) != SIGNATURE_LEN)
        return REEVE_E_MALFORMED;
    if (memcmp(bytes, id, 4) != 0)
        return REEVE_E_NOT_FOUND;
    memcpy(out->b, bytes + 4, 64);
    return REEVE_OK;
}

/* A note's text ends at the last empty line; without one there are signature lines only. */
static struct slice text_of(struct slice note, struct slice *lines)
{
    for (size_t i = note.len; i >= 2; i--)
        if (note.p[i - 1] == '\n' && note.p[i - 2] == '\n') {
            *lines = slice_of(note.p + i, note.len - i);
            return slice_of(note.p, i - 1);
        }
    *lines = note;
    return slice_of(NULL, 0);
}

enum reeve_err approval_note_read(const struct crypto_ops *c, struct sig64 *out, struct slice note, struct slice text,
                                  const struct name *approver, const struct pubkey *key)
{
    struct slice lines, line, signed_text = text_of(note, &lines);
    uint8_t id[4];
    key_id(c, id, approver, key);
    if (signed_text.len > 0 && !slice_eq(signed_text, text))
        return REEVE_E_V_UPDATE;
    while (lines.len > 0) {
        if (!cut(&lines, '\n', &line)) {
            line = lines;
            lines.len = 0;
        }
        enum reeve_err err = line_read(line, approver, id, out);
        if (err != REEVE_E_NOT_FOUND)
            return err;
    }
    return REEVE_E_NOT_FOUND;
}
