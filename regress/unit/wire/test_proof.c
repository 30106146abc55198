/* test_proof.c - join tokens, delegations, signed texts and the plaintext RETRY against their vectors */
#include "vectors.h"
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "crypto/sign.h"

static void expect(const void *got, size_t len, const json_t *v, const char *key)
{
    assert_bytes(slice_of(got, len), hex_of(text_of(v, key)), key);
}

static void test_tokens(void **state)
{
    json_t *all = vectors_load("token.json"), *v;
    size_t i;
    json_array_foreach(all, i, v) {
        struct wire_token t;
        const char *text = text_of(v, "text");
        enum reeve_err err = wire_token_decode(&t, slice_str(text));
        if (text_of(v, "error") != NULL) {
            if (err != err_of(text_of(v, "error")))
                fail_msg("%s: %s", text_of(v, "note"), reeve_err_name(err));
            continue;
        }
        assert_int_equal(err, REEVE_OK);
        expect(t.chain_id.b, 32, v, "chain_id");
        expect(t.set_hash.b, 32, v, "set_hash");
        expect(t.id, 8, v, "id");
        expect(t.secret, 16, v, "secret");
        assert_string_equal(t.region.s, text_of(v, "region"));
        char out[WIRE_TOKEN_TEXT_MAX];
        assert_int_equal(wire_token_encode(out, &t), strlen(text));
        assert_string_equal(out, text);
    }
    json_decref(all);
}

static void test_the_longest_region_fits_a_token(void **state)
{
    struct wire_token t = { 0 }, u;
    t.region.len = NAME_MAX_LEN;
    memset(t.region.s, 'r', NAME_MAX_LEN);
    char out[WIRE_TOKEN_TEXT_MAX];
    size_t n = wire_token_encode(out, &t);
    assert_int_equal(wire_token_decode(&u, slice_of(out, n)), REEVE_OK);
    assert_memory_equal(&t, &u, sizeof t);
}

static void check_delegation(json_t *v)
{
    struct wire_delegation d;
    struct slice in = hex_of(text_of(v, "hex"));
    enum reeve_err err = wire_delegation_decode(&d, in);
    if (text_of(v, "error") != NULL) {
        assert_int_equal(err, err_of(text_of(v, "error")));
        return;
    }
    assert_int_equal(err, REEVE_OK);
    expect(d.chain_id.b, 32, v, "chain_id");
    expect(d.gateway_key.b, 32, v, "gateway_key");
    expect(d.signature.b, 64, v, "signature");
    assert_string_equal(d.region.s, text_of(v, "region"));
    assert_int_equal(d.not_before.ms, json_integer_value(json_object_get(v, "not_before")));
    assert_int_equal(d.not_after.ms, json_integer_value(json_object_get(v, "not_after")));
    struct wr w = wr_heap(1000), m = wr_heap(1000);
    wire_delegation_encode(&d, &w);
    assert_bytes(wr_slice(&w), in, "delegation");
    wire_delegation_message(&d, &m);
    assert_bytes(wr_slice(&m), hex_of(text_of(v, "message")), "delegation message");
    wr_free(&w);
    wr_free(&m);
}

static void check_message(const char *kind, json_t *v)
{
    uint8_t out[WIRE_MESSAGE_MAX];
    size_t n = 0;
    struct hash32 h = { 0 };
    struct pubkey k = { 0 };
    if (text_of(v, "seal_key"))
        memcpy(k.b, hex_of(text_of(v, "seal_key")).p, 32);
    if (strcmp(kind, "seal") == 0) {
        memcpy(h.b, hex_of(text_of(v, "chain_id")).p, 32);
        n = wire_seal_message(out, &h, &k);
    } else {
        memcpy(h.b, hex_of(text_of(v, "challenge")).p, 32);
        const uint8_t *e = hex_of(text_of(v, "exporter")).p;
        n = strcmp(kind, "agent") == 0 ? wire_agent_message(out, e, &h, &k) : wire_gateway_message(out, e, &h);
    }
    assert_bytes(slice_of(out, n), hex_of(text_of(v, "message")), kind);
}

static void test_signed_texts(void **state)
{
    json_t *all = vectors_load("proof.json"), *v;
    size_t i;
    json_array_foreach(all, i, v) {
        const char *kind = text_of(v, "kind");
        if (strcmp(kind, "delegation") == 0)
            check_delegation(v);
        else if (strcmp(kind, "node") == 0) {
            struct pubkey key;
            struct node_id id;
            memcpy(key.b, hex_of(text_of(v, "key")).p, 32);
            node_id_of_key(&id, &key);
            expect(id.b, 16, v, "node");
        } else
            check_message(kind, v);
    }
    json_decref(all);
}

struct fixture { struct sign_key region; struct pubkey region_pub, other_pub; struct wire_delegation d; };

static struct fixture make(void)
{
    struct fixture f = { 0 };
    uint8_t seed[32] = { 1 }, seed2[32] = { 2 };
    struct sign_key other;
    sign_key_from_seed(&f.region, &f.region_pub, seed);
    sign_key_from_seed(&other, &f.other_pub, seed2);
    f.d.chain_id.b[0] = 9;
    f.d.gateway_key = f.other_pub;
    f.d.not_before.ms = 1000;
    f.d.not_after.ms = 2000;
    assert_true(name_set_str(&f.d.region, "eu"));
    struct wr w = wr_heap(1000);
    wire_delegation_message(&f.d, &w);
    sign_detached(&f.d.signature, wr_slice(&w), &f.region);
    wr_free(&w);
    return f;
}

static enum reeve_err verify(const struct fixture *f, const struct wire_delegation *d, int64_t now)
{
    return wire_delegation_verify(&crypto_ops_real, d, &f->d.chain_id, &f->d.region, &f->region_pub,
                                  (struct wall_ms){ now }, 100);
}

static void test_a_delegation_is_believed_only_from_the_region(void **state)
{
    struct fixture f = make();
    struct wire_delegation d = f.d;
    assert_int_equal(verify(&f, &d, 1500), REEVE_OK);
    assert_int_equal(verify(&f, &d, 900), REEVE_OK);
    assert_int_equal(verify(&f, &d, 2100), REEVE_OK);
    assert_int_equal(verify(&f, &d, 899), REEVE_E_V_TIME);
    assert_int_equal(verify(&f, &d, 2101), REEVE_E_V_TIME);
    d.chain_id.b[5] ^= 1;
    assert_int_equal(verify(&f, &d, 1500), REEVE_E_V_CHAIN);
    d = f.d;
    d.region.s[0] = 'x';
    assert_int_equal(verify(&f, &d, 1500), REEVE_E_V_REGION);
    d = f.d;
    d.not_after.ms += 1;
    assert_int_equal(verify(&f, &d, 1500), REEVE_E_V_REGION);
    d = f.d;
    d.gateway_key.b[0] ^= 1;
    assert_int_equal(verify(&f, &d, 1500), REEVE_E_V_REGION);
    f.region_pub = f.other_pub;
    assert_int_equal(verify(&f, &f.d, 1500), REEVE_E_V_REGION);
}

static void test_a_plaintext_retry_is_clamped(void **state)
{
    uint8_t b[WIRE_RETRY_LEN];
    wire_retry_encode(b, 1500);
    assert_memory_equal(b, "RVRT\0\0\x05\xdc", 8);
    assert_int_equal(wire_retry_decode(slice_of(b, 8)), 1500);
    assert_int_equal(wire_retry_decode(slice_of(b, 7)), -1);
    wire_retry_encode(b, UINT32_MAX);
    assert_int_equal(wire_retry_decode(slice_of(b, 8)), WIRE_RETRY_MS_MAX);
    b[0] = 0x16;
    assert_int_equal(wire_retry_decode(slice_of(b, 8)), -1);
}

int main(void)
{
    if (crypto_init() != REEVE_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_the_longest_region_fits_a_token),
        cmocka_unit_test(test_signed_texts),
        cmocka_unit_test(test_a_delegation_is_believed_only_from_the_region),
        cmocka_unit_test(test_a_plaintext_retry_is_clamped),
    };
    return cmocka_run_group_tests_name("wire proof", tests, NULL, NULL);
}
