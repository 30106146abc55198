/* text.c - what people and configurations carry: addresses with their key, tokens */
#include <stdio.h>

#include "backend/peer/wire.h"
#include "common/text.h"
#include "crypto/hash.h"

#define KEY_CHARS 43                    /* base64url of 32 bytes */
#define TOKEN_BYTES (8 + 32 + PEER_SECRET_LEN + 8)

/* What may stand in a host: enough for names and addresses, nothing that a log or a shell could take amiss. */
static bool host_char(uint8_t c, bool brackets)
{
    bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    return word || (brackets && (c == ':' || c == '%'));
}

static bool port_parse(uint16_t *out, struct slice s)
{
    unsigned v = 0;
    if (s.len == 0 || s.len > 5 || s.p[0] == '0')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (unsigned) (s.p[i] - '0');
    }
    *out = (uint16_t) v;
    return v <= UINT16_MAX;
}

/* Where "HOST" ends in "HOST:PORT"; 0: nowhere. */
static size_t host_end(struct slice s)
{
    const uint8_t *c = s.len > 0 && s.p[0] == '[' ? memchr(s.p, ']', s.len) : NULL;
    if (c != NULL)
        return (size_t) (c - s.p) + 1;
    c = s.len > 0 ? memchr(s.p, ':', s.len) : NULL;
    return c != NULL ? (size_t) (c - s.p) : 0;
}

enum reeve_err peer_hostport_parse(char host[PEER_HOST_MAX + 1], uint16_t *port, struct slice s)
{
    size_t end = host_end(s);
    if (end == 0 || end >= s.len || s.p[end] != ':' || !port_parse(port, slice_of(s.p + end + 1, s.len - end - 1)))
        return REEVE_E_MALFORMED;
    bool brackets = s.p[0] == '[';
    struct slice name = brackets ? slice_of(s.p + 1, end - 2) : slice_of(s.p, end);
    if (name.len == 0 || name.len > PEER_HOST_MAX)
        return REEVE_E_MALFORMED;
    for (size_t i = 0; i < name.len; i++)
        if (!host_char(name.p[i], brackets))
            return REEVE_E_MALFORMED;
    memcpy(host, name.p, name.len);
    host[name.len] = '\0';
    return REEVE_OK;
}

enum reeve_err peer_addr_parse(struct peer_addr *out, struct slice text)
{
    if (text.len < KEY_CHARS + 1 || text.len > RAFT_ADDR_MAX || text.p[text.len - KEY_CHARS - 1] != '#')
        return REEVE_E_MALFORMED;
    struct slice key = slice_of(text.p + text.len - KEY_CHARS, KEY_CHARS);
    if (base64url_decode(out->key.b, sizeof out->key.b, key) != (long) sizeof out->key.b)
        return REEVE_E_MALFORMED;
    return peer_hostport_parse(out->host, &out->port, slice_of(text.p, text.len - KEY_CHARS - 1));
}

enum reeve_err peer_addr_format(char *out, size_t *len, const char *host, uint16_t port, const struct hash32 *key)
{
    char key_text[KEY_CHARS + 1];
    struct peer_addr back;
    bool brackets = strchr(host, ':') != NULL;
    base64url_encode(key_text, key->b, sizeof key->b);
    int n = snprintf(out, RAFT_ADDR_MAX + 1, brackets ? "[%s]:%u#%s" : "%s:%u#%s", host, port, key_text);
    if (n < 0 || n > RAFT_ADDR_MAX || peer_addr_parse(&back, slice_of(out, (size_t) n)) != REEVE_OK)
        return REEVE_E_INVALID_VALUE;
    *len = (size_t) n;
    return REEVE_OK;
}

/* ---- tokens ---- */

size_t peer_token_encode(char out[PEER_TOKEN_TEXT_MAX], const struct peer_token *t)
{
    uint8_t mem[TOKEN_BYTES];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, t->ring);
    wr_bytes(&w, t->key.b, sizeof t->key.b);
    wr_bytes(&w, t->secret, sizeof t->secret);
    wr_u64(&w, (uint64_t) t->expires.ms);
    size_t prefix = strlen(PEER_TOKEN_PREFIX);
    memcpy(out, PEER_TOKEN_PREFIX, prefix);
    size_t len = prefix + base64url_encode(out + prefix, mem, sizeof mem);
    reeve_assert(!w.bad && len < PEER_TOKEN_TEXT_MAX);
    out[len] = '\0';
    secret_wipe(mem, sizeof mem);
    return len;
}

enum reeve_err peer_token_decode(struct peer_token *out, struct slice text)
{
    uint8_t mem[TOKEN_BYTES];
    size_t prefix = strlen(PEER_TOKEN_PREFIX);
    if (text.len < prefix || memcmp(text.p, PEER_TOKEN_PREFIX, prefix) != 0 ||
        base64url_decode(mem, sizeof mem, slice_of(text.p + prefix, text.len - prefix)) != (long) sizeof mem)
        return REEVE_E_MALFORMED;
    struct rd in = rd_of(slice_of(mem, sizeof mem));
    out->ring = rd_u64(&in);
    rd_copy(&in, out->key.b, sizeof out->key.b);
    rd_copy(&in, out->secret, sizeof out->secret);
    uint64_t expires = rd_u64(&in);
    out->expires.ms = (int64_t) expires;
    secret_wipe(mem, sizeof mem);
    return expires <= INT64_MAX ? REEVE_OK : REEVE_E_MALFORMED;
}
