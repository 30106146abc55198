/* token.c - join tokens and the plaintext RETRY */
#include "wire_int.h"
#include "common/text.h"

#define TOKEN_BYTES_MAX (1 + 32 + 32 + 1 + NAME_MAX_LEN + 8 + 16)

/* A volatile walk: the compiler may not drop it, and engines have no libc for it. */
static void wipe(void *p, size_t len)
{
    volatile uint8_t *v = p;
    while (len-- > 0)
        *v++ = 0;
}

size_t wire_token_encode(char out[WIRE_TOKEN_TEXT_MAX], const struct wire_token *t)
{
    uint8_t mem[TOKEN_BYTES_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u8(&w, 1);
    wr_bytes(&w, t->chain_id.b, 32);
    wr_bytes(&w, t->set_hash.b, 32);
    wr_name(&w, &t->region);
    wr_bytes(&w, t->id, 8);
    wr_bytes(&w, t->secret, 16);
    reeve_assert(!w.bad);
    size_t n = sizeof WIRE_TOKEN_PREFIX - 1;
    memcpy(out, WIRE_TOKEN_PREFIX, n);
    n += base64url_encode(out + n, mem, w.len);
    reeve_assert(n < WIRE_TOKEN_TEXT_MAX);
    out[n] = 0;
    wipe(mem, sizeof mem);
    return n;
}

enum reeve_err wire_token_decode(struct wire_token *t, struct slice text)
{
    uint8_t mem[TOKEN_BYTES_MAX];
    size_t n = sizeof WIRE_TOKEN_PREFIX - 1;
    memset(t, 0, sizeof *t);
    if (text.len < n || text.len >= WIRE_TOKEN_TEXT_MAX || memcmp(text.p, WIRE_TOKEN_PREFIX, n) != 0)
        return REEVE_E_MALFORMED;
    long len = base64url_decode(mem, sizeof mem, slice_of(text.p + n, text.len - n));
    if (len < 0)
        return REEVE_E_MALFORMED;
    struct rd r = rd_of(slice_of(mem, (size_t) len));
    uint8_t version = rd_u8(&r);
    rd_copy(&r, t->chain_id.b, 32);
    rd_copy(&r, t->set_hash.b, 32);
    rd_name(&r, &t->region);
    rd_copy(&r, t->id, 8);
    rd_copy(&r, t->secret, 16);
    bool ok = rd_done(&r) && version == 1;
    wipe(mem, sizeof mem);
    if (!ok)
        wipe(t, sizeof *t);
    return ok ? REEVE_OK : REEVE_E_MALFORMED;
}

void wire_retry_encode(uint8_t out[WIRE_RETRY_LEN], uint32_t ms)
{
    struct wr w = wr_fixed(out, WIRE_RETRY_LEN);
    wr_text(&w, "RVRT");
    wr_u32(&w, ms);
}

int64_t wire_retry_decode(struct slice in)
{
    struct rd r = rd_of(in);
    struct slice magic = rd_bytes(&r, 4);
    uint32_t ms = rd_u32(&r);
    if (!rd_done(&r) || memcmp(magic.p, "RVRT", 4) != 0)
        return -1;
    return ms < WIRE_RETRY_MS_MAX ? ms : WIRE_RETRY_MS_MAX;
}
