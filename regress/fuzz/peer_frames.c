/*
 * peer_frames.c - fuzz target of what members say to each other: frames, greetings, requests to join, addresses, tokens
 *
 * What decodes is encoded again and must be the same bytes, but for what a newer speaker may add.
 */
#include "backend/peer/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t mem[PEER_FRAME_HEAD + PEER_OPENING_MAX];

static void same(const struct wr *w, struct slice body)
{
    reeve_assert(!w->bad && w->len == PEER_FRAME_HEAD + body.len && memcmp(w->p + PEER_FRAME_HEAD, body.p, body.len) == 0);
}

static void conf(struct slice bytes)
{
    static struct raft_conf c;
    struct wr w = wr_fixed(mem, sizeof mem);
    if (raft_conf_decode(&c, bytes) != REEVE_OK)
        return;
    raft_conf_encode(&c, &w);
    reeve_assert(!w.bad && slice_eq(wr_slice(&w), bytes));
}

static void hello(struct slice body)
{
    struct peer_hello h;
    struct wr w = wr_fixed(mem, sizeof mem);
    if (peer_hello_decode(&h, body) != REEVE_OK)
        return;
    peer_hello_encode(&h, &w);
    if (h.most == PEER_VERSION)
        same(&w, body);
    conf(h.conf);
}

static void welcome(struct slice body)
{
    struct peer_welcome v;
    struct wr w = wr_fixed(mem, sizeof mem);
    if (peer_welcome_decode(&v, body) != REEVE_OK)
        return;
    peer_welcome_encode(&v, &w);
    same(&w, body);
    conf(v.conf);
}

static void join(struct slice body)
{
    struct peer_join_request j;
    struct peer_addr a;
    struct wr w = wr_fixed(mem, sizeof mem);
    if (peer_join_decode(&j, body) != REEVE_OK)
        return;
    peer_join_encode(&j, &w);
    if (j.most == PEER_VERSION)
        same(&w, body);
    if (peer_addr_parse(&a, j.addr) == REEVE_OK) {
        char text[RAFT_ADDR_MAX + 1];
        size_t len;
        enum reeve_err err = peer_addr_format(text, &len, a.host, a.port, &a.key);
        reeve_assert(err == REEVE_OK || j.addr.p[0] == '[');    /* brackets around a name are dropped, or were needed */
    }
}

static void joined(struct slice body)
{
    struct peer_joined j;
    struct wr w = wr_fixed(mem, sizeof mem);
    if (peer_joined_decode(&j, body) != REEVE_OK)
        return;
    peer_joined_encode(&j, &w);
    same(&w, body);
    conf(j.conf);
}

static void message(struct slice body)
{
    struct raft_msg m;
    static uint8_t big[1 << 20];
    struct wr w = wr_fixed(big, sizeof big);
    if (body.len > sizeof big || raft_msg_decode(&m, body) != REEVE_OK)
        return;
    raft_msg_encode(&m, NULL, &w);
    reeve_assert(!w.bad && w.len > 0);
}

static void token(struct slice text)
{
    struct peer_token t;
    char out[PEER_TOKEN_TEXT_MAX];
    if (peer_token_decode(&t, text) == REEVE_OK)
        reeve_assert(peer_token_encode(out, &t) == text.len && memcmp(out, text.p, text.len) == 0);
}

static void frame(uint8_t kind, struct slice body)
{
    uint64_t n;
    uint8_t reason;
    struct slice addr;
    switch (kind) {
    case PEER_F_HELLO:     hello(body); break;
    case PEER_F_WELCOME:   welcome(body); break;
    case PEER_F_REFUSED:   if (peer_refused_decode(&reason, body) == REEVE_OK) (void) peer_refusal_text(reason); break;
    case PEER_F_RAFT:      message(body); break;
    case PEER_F_JOIN:      join(body); break;
    case PEER_F_JOINED:    joined(body); break;
    case PEER_F_ELSEWHERE: (void) !peer_elsewhere_decode(&addr, body); break;
    default:               (void) !peer_number_decode(&n, body); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice left = slice_of(data, len), body;
    uint8_t kind;
    size_t size;
    token(left);
    while (peer_frame_next(left, PEER_OPENING_MAX, &kind, &body, &size) == REEVE_OK) {
        reeve_assert(size >= PEER_FRAME_HEAD && size <= left.len);
        frame(kind, body);
        left = slice_of(left.p + size, left.len - size);
    }
    return 0;
}
