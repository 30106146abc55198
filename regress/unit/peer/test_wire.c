/* test_wire.c - frames, addresses and tokens as bytes and text */
#include "../unit.h"

#include "backend/peer/wire.h"
#include "crypto/hash.h"

static struct slice body_of(const struct wr *w, uint8_t kind)
{
    uint8_t got;
    struct slice body;
    size_t size;
    assert_ok(peer_frame_next(wr_slice(w), PEER_OPENING_MAX, &got, &body, &size));
    assert_int_equal(got, kind);
    assert_int_equal(size, w->len);
    return body;
}

/* Every shorter body is refused, and so is every longer one. */
#define assert_exact(decode, body) do { \
        uint8_t mem_[4096]; \
        memcpy(mem_, (body).p, (body).len); \
        for (size_t n_ = 0; n_ < (body).len; n_++) \
            assert_true((decode) (slice_of(mem_, n_)) != REEVE_OK); \
        mem_[(body).len] = 0; \
        assert_true((decode) (slice_of(mem_, (body).len + 1)) != REEVE_OK); \
    } while (0)

static enum reeve_err hello_only(struct slice b) { struct peer_hello h; return peer_hello_decode(&h, b); }
static enum reeve_err welcome_only(struct slice b) { struct peer_welcome h; return peer_welcome_decode(&h, b); }
static enum reeve_err join_only(struct slice b) { struct peer_join_request h; return peer_join_decode(&h, b); }
static enum reeve_err joined_only(struct slice b) { struct peer_joined h; return peer_joined_decode(&h, b); }

static void what_is_encoded_is_decoded(void **state)
{
    uint8_t mem[PEER_FRAME_HEAD + PEER_OPENING_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct peer_hello h = { 1, 1, PEER_BULK, 77, 3, 4, 33, 44, 9, slice_str("conf") }, h2;
    peer_hello_encode(&h, &w);
    assert_ok(peer_hello_decode(&h2, body_of(&w, PEER_F_HELLO)));
    assert_true(h2.least == 1 && h2.most == 1 && h2.purpose == PEER_BULK && h2.ring == 77 && h2.from == 3 && h2.to == 4);
    assert_true(h2.from_incarnation == 33 && h2.to_incarnation == 44 && h2.conf_index == 9);
    assert_true(slice_eq(h2.conf, slice_str("conf")));
    assert_exact(hello_only, body_of(&w, PEER_F_HELLO));

    struct peer_welcome v = { PEER_VERSION, 5, 55, 10, slice_str("other") }, v2;
    wr_reset(&w);
    peer_welcome_encode(&v, &w);
    assert_ok(peer_welcome_decode(&v2, body_of(&w, PEER_F_WELCOME)));
    assert_true(v2.id == 5 && v2.incarnation == 55 && v2.conf_index == 10 && slice_eq(v2.conf, v.conf));
    assert_exact(welcome_only, body_of(&w, PEER_F_WELCOME));

    struct peer_join_request j = { .least = 1, .most = 1, .ring = 77, .incarnation = 5, .addr = slice_str("a:1#k") }, j2;
    random_bytes(j.secret, sizeof j.secret);
    wr_reset(&w);
    peer_join_encode(&j, &w);
    assert_ok(peer_join_decode(&j2, body_of(&w, PEER_F_JOIN)));
    assert_true(j2.ring == 77 && j2.incarnation == 5 && slice_eq(j2.addr, j.addr));
    assert_memory_equal(j.secret, j2.secret, sizeof j.secret);
    assert_exact(join_only, body_of(&w, PEER_F_JOIN));

    struct peer_joined d = { 77, 6, 12, slice_str("conf") }, d2;
    wr_reset(&w);
    peer_joined_encode(&d, &w);
    assert_ok(peer_joined_decode(&d2, body_of(&w, PEER_F_JOINED)));
    assert_true(d2.ring == 77 && d2.id == 6 && d2.conf_index == 12 && slice_eq(d2.conf, d.conf));
    assert_exact(joined_only, body_of(&w, PEER_F_JOINED));
}

static void a_newer_speaker_may_say_more_and_a_foreign_one_is_told_apart(void **state)
{
    uint8_t mem[512];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct peer_hello h = { 1, 2, PEER_LOG, 77, 3, 4, 33, 44, 0, { NULL, 0 } }, got;
    peer_hello_encode(&h, &w);
    wr_text(&w, "more");
    assert_ok(peer_hello_decode(&got, slice_of(w.p + PEER_FRAME_HEAD, w.len - PEER_FRAME_HEAD)));
    w.p[PEER_FRAME_HEAD] = 2;
    assert_err(peer_hello_decode(&got, slice_of(w.p + PEER_FRAME_HEAD, w.len - PEER_FRAME_HEAD)), REEVE_E_UNSUPPORTED);
    w.p[PEER_FRAME_HEAD] = 3;
    assert_err(peer_hello_decode(&got, slice_of(w.p + PEER_FRAME_HEAD, w.len - PEER_FRAME_HEAD)), REEVE_E_MALFORMED);
}

static void a_frame_is_judged_before_its_body_is_waited_for(void **state)
{
    uint8_t kind, big[5] = { 0, 0, 1, 1, PEER_F_RAFT }, none[5] = { 0, 0, 0, 0, PEER_F_RAFT };
    uint8_t zero[5] = { 0, 0, 0, 1, 0 }, past[5] = { 0, 0, 0, 1, PEER_F__COUNT }, part[5] = { 0, 0, 0, 9, PEER_F_PING };
    struct slice body;
    size_t size;
    assert_err(peer_frame_next(slice_of(big, 5), 256, &kind, &body, &size), REEVE_E_TOO_BIG);
    assert_err(peer_frame_next(slice_of(big, 5), 257, &kind, &body, &size), REEVE_E_AGAIN);
    assert_int_equal(size, 4 + 257);
    assert_err(peer_frame_next(slice_of(big, 4), 256, &kind, &body, &size), REEVE_E_AGAIN);
    assert_int_equal(size, PEER_FRAME_HEAD);
    assert_err(peer_frame_next(slice_of(none, 5), 256, &kind, &body, &size), REEVE_E_MALFORMED);
    assert_err(peer_frame_next(slice_of(zero, 5), 256, &kind, &body, &size), REEVE_E_MALFORMED);
    assert_err(peer_frame_next(slice_of(past, 5), 256, &kind, &body, &size), REEVE_E_MALFORMED);
    assert_err(peer_frame_next(slice_of(part, 5), 256, &kind, &body, &size), REEVE_E_AGAIN);
}

static void addresses_have_one_spelling_and_hold_a_key(void **state)
{
    static const struct { const char *host; uint16_t port; const char *text; } good[] = {
        { "127.0.0.1", 7434, "127.0.0.1:7434#" }, { "fe80::1%eth0", 1, "[fe80::1%eth0]:1#" }, { "a-b.example", 65535, "a-b.example:65535#" },
    };
    static const char *const bad[] = { "", ":1", "a", "a:", "a:0", "a:01", "a:65536", "a:1 ", "a b:1", "::1:7434", "[::1]", "[::1:7434",
                                       "[]:1", "a\n:1", "a:1:2", "a'b:1" };
    struct hash32 key;
    char text[RAFT_ADDR_MAX + 1], host[PEER_HOST_MAX + 1], long_host[200];
    size_t len;
    uint16_t port;
    struct peer_addr a;
    random_bytes(key.b, 32);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(peer_addr_format(text, &len, good[i].host, good[i].port, &key));
        assert_int_equal(len, strlen(good[i].text) + 43);
        assert_memory_equal(text, good[i].text, strlen(good[i].text));
        assert_ok(peer_addr_parse(&a, slice_of(text, len)));
        assert_true(strcmp(a.host, good[i].host) == 0 && a.port == good[i].port && hash32_eq(&a.key, &key));
        assert_err(peer_addr_parse(&a, slice_of(text, len - 1)), REEVE_E_MALFORMED);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_err(peer_hostport_parse(host, &port, slice_str(bad[i])), REEVE_E_MALFORMED);
    memset(long_host, 'a', sizeof long_host);
    long_host[PEER_HOST_MAX] = '\0';
    assert_ok(peer_addr_format(text, &len, long_host, 65535, &key));
    assert_true(len <= RAFT_ADDR_MAX);
    long_host[PEER_HOST_MAX] = 'a';
    long_host[PEER_HOST_MAX + 1] = '\0';
    assert_err(peer_addr_format(text, &len, long_host, 65535, &key), REEVE_E_INVALID_VALUE);
    assert_err(peer_addr_format(text, &len, "no host", 1, &key), REEVE_E_INVALID_VALUE);
}

static void a_token_survives_being_pasted_and_nothing_else_is_one(void **state)
{
    struct peer_token t = { .ring = 9, .expires.ms = 1234567890123 }, got;
    char text[PEER_TOKEN_TEXT_MAX];
    random_bytes(t.key.b, 32);
    random_bytes(t.secret, sizeof t.secret);
    size_t len = peer_token_encode(text, &t);
    assert_ok(peer_token_decode(&got, slice_of(text, len)));
    assert_true(got.ring == 9 && got.expires.ms == t.expires.ms && hash32_eq(&got.key, &t.key));
    assert_memory_equal(got.secret, t.secret, sizeof t.secret);
    for (size_t n = 0; n < len; n++)
        assert_err(peer_token_decode(&got, slice_of(text, n)), REEVE_E_MALFORMED);
    text[0] = 'R';
    assert_err(peer_token_decode(&got, slice_of(text, len)), REEVE_E_MALFORMED);
    t.expires.ms = -1;
    len = peer_token_encode(text, &t);
    assert_err(peer_token_decode(&got, slice_of(text, len)), REEVE_E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(a_newer_speaker_may_say_more_and_a_foreign_one_is_told_apart),
        cmocka_unit_test(a_frame_is_judged_before_its_body_is_waited_for),
        cmocka_unit_test(addresses_have_one_spelling_and_hold_a_key),
        cmocka_unit_test(a_token_survives_being_pasted_and_nothing_else_is_one),
    };
    if (crypto_init() != REEVE_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
