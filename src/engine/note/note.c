/* note.c - signed notes: text, a blank line, signature lines. */
#include "note_int.h"
#include "common/text.h"

#define DASH "\xe2\x80\x94 "

/* ---- reading ---- */

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static bool sig_parse(struct note_sig *s, struct slice line)
{
    uint8_t bytes[NOTE_SIG_BYTES_MAX];
    if (!slice_skip(&line, DASH) || !slice_until(&line, ' ', &s->name) || !note_name_ok(s->name))
        return false;
    long n = base64_decode(bytes, sizeof bytes, line);
    if (n < 5)
        return false;
    s->payload = line;
    s->id = be32(bytes);
    return true;
}

/* The last 0A 0A: what is before it, with one 0A, is the text. */
static bool split(struct slice in, struct slice *text, struct slice *sigs)
{
    for (size_t i = in.len; i >= 2; i--) {
        if (in.p[i - 1] != '\n' || in.p[i - 2] != '\n')
            continue;
        *text = slice_of(in.p, i - 1);
        *sigs = slice_of(in.p + i, in.len - i);
        return text->len > 0 && sigs->len > 0;
    }
    return false;
}

enum reeve_err note_parse(struct note *n, struct slice in)
{
    struct slice sigs, line;
    n->n = 0;
    if (in.len > NOTE_BYTES_MAX)
        return REEVE_E_TOO_BIG;
    if (!note_text_ok(in) || !split(in, &n->text, &sigs))
        return REEVE_E_MALFORMED;
    while (sigs.len > 0) {
        if (n->n == NOTE_SIGS_MAX)
            return REEVE_E_TOO_BIG;
        if (!line_take(&sigs, &line) || !sig_parse(&n->sig[n->n], line))
            return REEVE_E_MALFORMED;
        n->n++;
    }
    return REEVE_OK;
}

/* ---- writing ---- */

void note_put_text(struct wr *out, struct slice text)
{
    wr_bytes(out, text.p, text.len);
    wr_u8(out, '\n');
}

static void put_line(struct wr *out, const struct note_key *k, const void *sig, size_t len)
{
    uint8_t bytes[4 + 72];
    struct wr w = wr_fixed(bytes, sizeof bytes);
    wr_u32(&w, k->id);
    wr_bytes(&w, sig, len);
    wr_text(out, DASH);
    wr_bytes(out, k->name.p, k->name.len);
    wr_u8(out, ' ');
    wr_base64(out, bytes, w.len);
    wr_u8(out, '\n');
}

void note_put_sig(struct wr *out, const struct note_key *k, const struct sig64 *sig)
{
    put_line(out, k, sig->b, sizeof sig->b);
}

void note_put_cosig(struct wr *out, const struct note_key *k, uint64_t time_s, const struct sig64 *sig)
{
    uint8_t bytes[72];
    struct wr w = wr_fixed(bytes, sizeof bytes);
    wr_u64(&w, time_s);
    wr_bytes(&w, sig->b, sizeof sig->b);
    put_line(out, k, bytes, sizeof bytes);
}

void note_cosig_message(struct slice text, uint64_t time_s, struct wr *out)
{
    wr_text(out, "cosignature/v1\ntime ");
    wr_decimal(out, time_s);
    wr_u8(out, '\n');
    wr_bytes(out, text.p, text.len);
}

/* ---- judging ---- */

static bool cosig_ok(const struct crypto_ops *c, struct slice text, const uint8_t *sig, const struct pubkey *key, uint64_t *time_s)
{
    uint8_t mem[NOTE_COSIGNED_MAX + 64];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct rd r = rd_of(slice_of(sig, 72));
    struct sig64 s;
    uint64_t t = rd_u64(&r);
    rd_copy(&r, s.b, sizeof s.b);
    note_cosig_message(text, t, &w);
    if (t > INT64_MAX || text.len > NOTE_COSIGNED_MAX || w.bad || !c->verify(&s, wr_slice(&w), key))
        return false;
    *time_s = t;
    return true;
}

static bool sig_ok(const struct crypto_ops *c, const struct note *n, const struct note_sig *line, const struct note_key *k,
                   uint64_t *time_s)
{
    uint8_t bytes[4 + 72];
    struct sig64 s;
    long len = base64_decode(bytes, sizeof bytes, line->payload);
    *time_s = 0;
    if (k->alg == NOTE_COSIGNATURE)
        return len == 4 + 72 && cosig_ok(c, n->text, bytes + 4, &k->key, time_s);
    if (len != 4 + 64)
        return false;
    memcpy(s.b, bytes + 4, sizeof s.b);
    return c->verify(&s, n->text, &k->key);
}

static size_t key_of(const struct note_sig *line, const struct note_key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (keys[i].id == line->id && slice_eq(keys[i].name, line->name))
            return i;
    return n;
}

enum reeve_err note_verify(const struct crypto_ops *c, const struct note *n, const struct note_key *keys, size_t n_keys,
                           bool *seen, uint64_t *time_s, unsigned *n_unknown)
{
    unsigned unknown = 0;
    uint64_t t;
    memset(seen, 0, n_keys * sizeof *seen);
    for (unsigned i = 0; i < n->n; i++) {
        size_t k = key_of(&n->sig[i], keys, n_keys);
        if (k == n_keys) {
            unknown++;
            continue;
        }
        if (seen[k])
            continue;                   /* N2: a second line of one verifier is dropped */
        if (!sig_ok(c, n, &n->sig[i], &keys[k], &t))
            return REEVE_E_V_SIGNATURE;
        seen[k] = true;
        if (time_s != NULL)
            time_s[k] = t;
    }
    if (n_unknown != NULL)
        *n_unknown = unknown;
    return REEVE_OK;
}
