/* wire.c - frames between members, both ways; see the header for the bytes. */
#include "backend/peer/wire.h"

const char *peer_refusal_text(uint8_t reason)
{
    static const char *const text[PEER_R__COUNT] = {
        [PEER_R_VERSION] = "no version of the protocol in common",
        [PEER_R_MALFORMED] = "it did not understand us",
        [PEER_R_RING] = "it belongs to another ring",
        [PEER_R_STRANGER] = "its configuration does not name us",
        [PEER_R_KEY] = "its configuration names another key for us",
        [PEER_R_INCARNATION] = "another incarnation is expected",
        [PEER_R_NOT_ME] = "it is another member than the one called",
        [PEER_R_TOKEN] = "the token is unknown, used up or expired",
        [PEER_R_BUSY] = "it is busy",
        [PEER_R_NO_LEADER] = "the ring has no leader at the moment",
        [PEER_R_FULL] = "the ring has as many members as it can have",
    };
    return reason < PEER_R__COUNT && text[reason] != NULL ? text[reason] : "it gave no known reason";
}

/* ---- encoding ---- */

static size_t frame_begin(struct wr *w, uint8_t kind)
{
    size_t at = w->len;
    wr_u32(w, 0);
    wr_u8(w, kind);
    return at;
}

static void frame_end(struct wr *w, size_t at)
{
    if (!w->bad)
        wr_patch_u32(w, at, (uint32_t) (w->len - at - 4));
}

void peer_hello_encode(const struct peer_hello *h, struct wr *out)
{
    size_t at = frame_begin(out, PEER_F_HELLO);
    wr_u8(out, h->least);
    wr_u8(out, h->most);
    wr_u8(out, h->purpose);
    wr_u64(out, h->ring);
    wr_u32(out, h->from);
    wr_u64(out, h->from_incarnation);
    wr_u32(out, h->to);
    wr_u64(out, h->to_incarnation);
    wr_u64(out, h->conf_index);
    wr_str16(out, h->conf);
    frame_end(out, at);
}

void peer_welcome_encode(const struct peer_welcome *w, struct wr *out)
{
    size_t at = frame_begin(out, PEER_F_WELCOME);
    wr_u8(out, w->version);
    wr_u32(out, w->id);
    wr_u64(out, w->incarnation);
    wr_u64(out, w->conf_index);
    wr_str16(out, w->conf);
    frame_end(out, at);
}

void peer_refused_encode(uint8_t reason, struct wr *out)
{
    size_t at = frame_begin(out, PEER_F_REFUSED);
    wr_u8(out, reason);
    frame_end(out, at);
}

void peer_number_encode(uint8_t kind, uint64_t n, struct wr *out)
{
    size_t at = frame_begin(out, kind);
    wr_u64(out, n);
    frame_end(out, at);
}

void peer_join_encode(const struct peer_join_request *j, struct wr *out)
{
    size_t at = frame_begin(out, PEER_F_JOIN);
    wr_u8(out, j->least);
    wr_u8(out, j->most);
    wr_u64(out, j->ring);
    wr_bytes(out, j->secret, sizeof j->secret);
    wr_u64(out, j->incarnation);
    wr_str16(out, j->addr);
    frame_end(out, at);
}

void peer_joined_encode(const struct peer_joined *j, struct wr *out)
{
    size_t at = frame_begin(out, PEER_F_JOINED);
    wr_u64(out, j->ring);
    wr_u32(out, j->id);
    wr_u64(out, j->conf_index);
    wr_str16(out, j->conf);
    frame_end(out, at);
}

void peer_elsewhere_encode(struct slice addr, struct wr *out)
{
    size_t at = frame_begin(out, PEER_F_ELSEWHERE);
    wr_str16(out, addr);
    frame_end(out, at);
}

/* ---- decoding ---- */

enum reeve_err peer_frame_next(struct slice bytes, size_t max, uint8_t *kind, struct slice *body, size_t *size)
{
    struct rd in = rd_of(bytes);
    *size = PEER_FRAME_HEAD;
    if (bytes.len < PEER_FRAME_HEAD)
        return REEVE_E_AGAIN;
    uint32_t len = rd_u32(&in);
    *kind = rd_u8(&in);
    if (len == 0 || *kind == 0 || *kind >= PEER_F__COUNT)
        return REEVE_E_MALFORMED;
    if (len > max)
        return REEVE_E_TOO_BIG;
    *size = 4 + (size_t) len;
    if (bytes.len < *size)
        return REEVE_E_AGAIN;
    *body = rd_bytes(&in, len - 1);
    return REEVE_OK;
}

static enum reeve_err versions(struct rd *in, uint8_t *least, uint8_t *most)
{
    *least = rd_u8(in);
    *most = rd_u8(in);
    if (in->bad || *least == 0 || *least > *most)
        return REEVE_E_MALFORMED;
    return *least <= PEER_VERSION && *most >= PEER_VERSION ? REEVE_OK : REEVE_E_UNSUPPORTED;
}

/* A newer speaker may say more. */
static bool ended(const struct rd *in, uint8_t most)
{
    return !in->bad && (most > PEER_VERSION || rd_done(in));
}

enum reeve_err peer_hello_decode(struct peer_hello *out, struct slice body)
{
    struct rd in = rd_of(body);
    *out = (struct peer_hello){ 0 };
    enum reeve_err err = versions(&in, &out->least, &out->most);
    if (err != REEVE_OK)
        return err;
    out->purpose = rd_u8(&in);
    out->ring = rd_u64(&in);
    out->from = rd_u32(&in);
    out->from_incarnation = rd_u64(&in);
    out->to = rd_u32(&in);
    out->to_incarnation = rd_u64(&in);
    out->conf_index = rd_u64(&in);
    out->conf = rd_str16(&in, RAFT_CONF_BYTES_MAX);
    return ended(&in, out->most) && out->purpose < PEER_PURPOSES && out->from != 0 && out->to != 0 ? REEVE_OK
                                                                                              : REEVE_E_MALFORMED;
}

enum reeve_err peer_welcome_decode(struct peer_welcome *out, struct slice body)
{
    struct rd in = rd_of(body);
    out->version = rd_u8(&in);
    out->id = rd_u32(&in);
    out->incarnation = rd_u64(&in);
    out->conf_index = rd_u64(&in);
    out->conf = rd_str16(&in, RAFT_CONF_BYTES_MAX);
    return rd_done(&in) && out->version == PEER_VERSION && out->id != 0 ? REEVE_OK : REEVE_E_MALFORMED;
}

enum reeve_err peer_refused_decode(uint8_t *reason, struct slice body)
{
    struct rd in = rd_of(body);
    *reason = rd_u8(&in);
    return rd_done(&in) ? REEVE_OK : REEVE_E_MALFORMED;
}

enum reeve_err peer_number_decode(uint64_t *n, struct slice body)
{
    struct rd in = rd_of(body);
    *n = rd_u64(&in);
    return rd_done(&in) ? REEVE_OK : REEVE_E_MALFORMED;
}

enum reeve_err peer_join_decode(struct peer_join_request *out, struct slice body)
{
    struct rd in = rd_of(body);
    *out = (struct peer_join_request){ 0 };
    enum reeve_err err = versions(&in, &out->least, &out->most);
    if (err != REEVE_OK)
        return err;
    out->ring = rd_u64(&in);
    rd_copy(&in, out->secret, sizeof out->secret);
    out->incarnation = rd_u64(&in);
    out->addr = rd_str16(&in, RAFT_ADDR_MAX);
    return ended(&in, out->most) ? REEVE_OK : REEVE_E_MALFORMED;
}

enum reeve_err peer_joined_decode(struct peer_joined *out, struct slice body)
{
    struct rd in = rd_of(body);
    out->ring = rd_u64(&in);
    out->id = rd_u32(&in);
    out->conf_index = rd_u64(&in);
    out->conf = rd_str16(&in, RAFT_CONF_BYTES_MAX);
    return rd_done(&in) && out->id != 0 && out->conf.len > 0 ? REEVE_OK : REEVE_E_MALFORMED;
}

enum reeve_err peer_elsewhere_decode(struct slice *addr, struct slice body)
{
    struct rd in = rd_of(body);
    *addr = rd_str16(&in, RAFT_ADDR_MAX);
    return rd_done(&in) && addr->len > 0 ? REEVE_OK : REEVE_E_MALFORMED;
}
