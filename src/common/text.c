/* text.c - names, hex, base64, UTF-8. */
#include "common/text.h"

static int utf8_len(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    int n = c < 0x80 ? 1 : c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (n == 0 || (size_t) n > left)
        return 0;
    for (int i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    /* overlong forms, surrogates, beyond U+10FFFF */
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ||
        (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

bool utf8_valid(struct slice s)
{
    for (size_t i = 0; i < s.len;) {
        int n = utf8_len(s.p + i, s.len - i);
        if (n == 0)
            return false;
        i += (size_t) n;
    }
    return true;
}

bool name_set(struct name *out, struct slice s)
{
    if (s.len == 0 || s.len > NAME_MAX_LEN || !utf8_valid(s))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    memset(out, 0, sizeof *out);
    memcpy(out->s, s.p, s.len);
    out->len = (uint8_t) s.len;
    return true;
}

void hex_encode(char *out, const void *p, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = p;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
           c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hex_decode(void *out, size_t len, struct slice text)
{
    uint8_t *b = out;
    if (text.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int hi = hex_digit(text.p[2 * i]), lo = hex_digit(text.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        b[i] = (uint8_t) (hi << 4 | lo);
    }
    return true;
}

static const char alphabet_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t encode64(char *out, const uint8_t *b, size_t len, const char *alphabet, bool pad)
{
    char *o = out;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t v = (uint32_t) b[i] << 16 | (left > 1 ? (uint32_t) b[i + 1] << 8 : 0) | (left > 2 ? b[i + 2] : 0);
        *o++ = alphabet[v >> 18];
        *o++ = alphabet[v >> 12 & 63];
        if (left > 1)
            *o++ = alphabet[v >> 6 & 63];
        else if (pad)
            *o++ = '=';
        if (left > 2)
            *o++ = alphabet[v & 63];
        else if (pad)
            *o++ = '=';
    }
    *o = '\0';
    return (size_t) (o - out);
}

static int digit64(uint8_t c, const char *alphabet)
{
    for (int i = 0; i < 64; i++)
        if ((uint8_t) alphabet[i] == c)
            return i;
    return -1;
}

static long decode64(uint8_t *out, size_t cap, struct slice t, const char *alphabet, bool pad)
{
    size_t n = t.len;
    if (pad) {
        if (n % 4 != 0)
            return -1;
        for (int i = 0; i < 2 && n > 0 && t.p[n - 1] == '='; i++)
            n--;
    }
    if (n % 4 == 1 || n / 4 * 3 + (n % 4 ? n % 4 - 1 : 0) > cap)
        return -1;
    uint32_t acc = 0;
    int bits = 0;
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        int d = digit64(t.p[i], alphabet);
        if (d < 0)
            return -1;
        acc = acc << 6 | (uint32_t) d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[len++] = (uint8_t) (acc >> bits);
            acc &= (1u << bits) - 1;
        }
    }
    return acc != 0 ? -1 : (long) len;
}

size_t base64_encode(char *out, const void *p, size_t len)    { return encode64(out, p, len, alphabet_std, true); }
size_t base64url_encode(char *out, const void *p, size_t len) { return encode64(out, p, len, alphabet_url, false); }
long base64_decode(void *out, size_t cap, struct slice t)     { return decode64(out, cap, t, alphabet_std, true); }
long base64url_decode(void *out, size_t cap, struct slice t)  { return decode64(out, cap, t, alphabet_url, false); }

void node_id_text(char *out, const struct node_id *id)
{
    out[0] = 'n';
    out[1] = '-';
    hex_encode(out + 2, id->b, sizeof id->b);
}

bool node_id_parse(struct node_id *out, struct slice t)
{
    if (t.len != NODE_ID_TEXT_LEN || t.p[0] != 'n' || t.p[1] != '-')
        return false;
    for (size_t i = 2; i < t.len; i++)      /* one text per id: upper case is refused */
        if (t.p[i] >= 'A' && t.p[i] <= 'F')
            return false;
    return hex_decode(out->b, sizeof out->b, slice_of(t.p + 2, 32));
}
