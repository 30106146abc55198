/*
 * pem.c - PEM framing (RFC 7468): one block out, the next block in
 *
 * Reading skips text outside blocks and blocks with other labels, takes lines
 * of any length, and bounds the decoded size by X509_DER_MAX.
 */
#include "crypto/x509_int.h"
#include "crypto/hash.h"
#include "common/text.h"

#include <stdio.h>

#define LINE_BYTES 48
#define LINE_CHARS 64

enum reeve_err pem_write(struct wr *out, const char *label, struct slice der)
{
    char line[LINE_CHARS + 1];
    size_t lines = (der.len + LINE_BYTES - 1) / LINE_BYTES;
    size_t total = strlen("-----BEGIN -----\n-----END -----\n") + 2 * strlen(label) + base64_len(der.len) + lines;
    uint8_t *p = wr_reserve(out, total);
    if (p == NULL)
        return REEVE_E_NOMEM;
    struct wr w = wr_fixed(p, total);
    wr_text(&w, "-----BEGIN ");
    wr_text(&w, label);
    wr_text(&w, "-----\n");
    for (size_t at = 0; at < der.len; at += LINE_BYTES) {
        size_t n = der.len - at < LINE_BYTES ? der.len - at : LINE_BYTES;
        wr_bytes(&w, line, base64_encode(line, der.p + at, n));
        wr_u8(&w, '\n');
    }
    wr_text(&w, "-----END ");
    wr_text(&w, label);
    wr_text(&w, "-----\n");
    secret_wipe(line, sizeof line);
    reeve_assert(!w.bad && w.len == total);
    return REEVE_OK;
}

/* Position after the first occurrence of "-----WHAT label-----", or NULL. */
static const uint8_t *find_line(struct slice text, const char *what, const char *label, const uint8_t **start)
{
    char line[64];
    int n = snprintf(line, sizeof line, "-----%s %s-----", what, label);
    reeve_assert(n > 0 && (size_t) n < sizeof line);
    const uint8_t *p = text.len ? memmem(text.p, text.len, line, (size_t) n) : NULL;
    if (p != NULL)
        *start = p;
    return p != NULL ? p + n : NULL;
}

/* Base64 without its line ends into buf[cap]; the length, or SIZE_MAX when it does not fit. */
static size_t compact(char *buf, size_t cap, const uint8_t *p, const uint8_t *end)
{
    size_t n = 0;
    for (; p < end; p++) {
        if (*p == '\n' || *p == '\r' || *p == ' ' || *p == '\t')
            continue;
        if (n == cap)
            return SIZE_MAX;
        buf[n++] = (char) *p;
    }
    return n;
}

enum reeve_err pem_read(struct slice *text, const char *label, struct wr *der_out)
{
    char b64[X509_DER_MAX / 3 * 4 + 4];
    uint8_t der[X509_DER_MAX];
    const uint8_t *begin, *body_end, *end = text->p + text->len;
    const uint8_t *body = find_line(*text, "BEGIN", label, &begin);
    if (body == NULL)
        return REEVE_E_NOT_FOUND;
    const uint8_t *after = find_line(slice_of(body, (size_t) (end - body)), "END", label, &body_end);
    if (after == NULL) {
        *text = slice_of(end, 0);       /* a caller that goes on must come to an end */
        return REEVE_E_MALFORMED;
    }
    size_t n = compact(b64, sizeof b64, body, body_end);
    long len = n == SIZE_MAX ? -1 : base64_decode(der, sizeof der, slice_of(b64, n));
    if (len > 0)
        wr_bytes(der_out, der, (size_t) len);
    secret_wipe(b64, sizeof b64);       /* private keys pass through here too */
    secret_wipe(der, sizeof der);
    *text = slice_of(after, (size_t) (end - after));
    return len <= 0 ? REEVE_E_MALFORMED : der_out->bad ? REEVE_E_NOMEM : REEVE_OK;
}

enum reeve_err x509_to_pem(struct slice der, struct wr *out)
{
    return pem_write(out, "CERTIFICATE", der);
}

enum reeve_err x509_pem_next(struct slice *pem, struct wr *der_out)
{
    return pem_read(pem, "CERTIFICATE", der_out);
}
