/* test_codec.c - every format: what encodes decodes, and nothing else decodes to it. */
#include "world.h"
#include "engine/approval.h"

static struct world w;
static struct rng rng;

static int setup(void **state)
{
    world_new(&w, 4);
    return 0;
}

static int teardown(void **state)
{
    world_free(&w);
    return 0;
}

/* Decodes in into memory of its own and encodes the result again. */
typedef enum reeve_err again(struct slice in, struct wr *out);

static union {
    struct valset set; struct genesis genesis; struct update update; struct region_doc region; struct authority_doc authority;
    struct cert_doc cert; struct config_doc config; struct class_doc class; struct node_doc node; struct trust trust;
    struct finalization fin; struct block_header header; struct approver_doc approver; struct policy_doc policy;
    struct veto_doc veto; struct approval_set approvals;
} u;

#define AGAIN(name, decode, encode) \
    static enum reeve_err name(struct slice in, struct wr *out) \
    { \
        enum reeve_err err = decode; \
        if (err == REEVE_OK) \
            encode; \
        return err; \
    }
AGAIN(again_set, valset_decode(&u.set, in), valset_encode(&u.set, out))
AGAIN(again_genesis, genesis_decode(&u.genesis, in), genesis_encode(&u.genesis, out))
AGAIN(again_update, update_decode(&u.update, in), update_encode(&u.update, true, out))
AGAIN(again_region, region_doc_decode(&u.region, in), region_doc_encode(&u.region, out))
AGAIN(again_authority, authority_doc_decode(&u.authority, in), authority_doc_encode(&u.authority, out))
AGAIN(again_cert, cert_doc_decode(&u.cert, in), cert_doc_encode(&u.cert, out))
AGAIN(again_config, config_doc_decode(&u.config, in), config_doc_encode(&u.config, out))
AGAIN(again_class, class_doc_decode(&u.class, in), class_doc_encode(&u.class, out))
AGAIN(again_node, node_doc_decode(&u.node, in), node_doc_encode(&u.node, out))
AGAIN(again_approver, approver_doc_decode(&u.approver, in), approver_doc_encode(&u.approver, out))
AGAIN(again_policy, policy_doc_decode(&u.policy, in), policy_doc_encode(&u.policy, out))
AGAIN(again_veto, veto_doc_decode(&u.veto, in), veto_doc_encode(&u.veto, out))
AGAIN(again_approvals, approval_set_decode(&u.approvals, in), approval_set_encode(&u.approvals, out))
AGAIN(again_trust, trust_decode(&u.trust, in), trust_encode(&u.trust, out))

static enum reeve_err again_fin(struct slice in, struct wr *out)
{
    struct rd r = rd_of(in);
    enum reeve_err err = finalization_decode(&u.fin, &r);
    if (err == REEVE_OK && !rd_done(&r))
        err = REEVE_E_MALFORMED;
    if (err == REEVE_OK)
        finalization_encode(&u.fin, out);
    return err;
}

static enum reeve_err again_header(struct slice in, struct wr *out)
{
    uint8_t bytes[ATTEST_HEADER_LEN];
    enum reeve_err err = header_decode(&u.header, in);
    if (err == REEVE_OK) {
        header_encode(&u.header, bytes);
        wr_bytes(out, bytes, sizeof bytes);
    }
    return err;
}

static void same_or_refused(again *f, struct slice in)
{
    struct wr out = wr_heap(1 << 20);
    if (f(in, &out) == REEVE_OK)
        assert_true(slice_eq(in, wr_slice(&out)));
    wr_free(&out);
}

/* The form itself, all its prefixes, one byte more, and thousands of damaged copies. */
static void canonical(again *f, struct slice good)
{
    struct wr out = wr_heap(1 << 20);
    uint8_t *copy = malloc(good.len + 1);
    assert_ok(f(good, &out));
    assert_true(slice_eq(good, wr_slice(&out)));
    memcpy(copy, good.p, good.len);
    copy[good.len] = 0;
    assert_int_not_equal(f(slice_of(copy, good.len + 1), &out), REEVE_OK);
    for (size_t n = 0; n < good.len; n += 1 + n / 200)
        assert_int_not_equal(f(slice_of(copy, n), &out), REEVE_OK);
    for (int i = 0; i < 4000; i++) {
        size_t at = rng_below(&rng, (uint32_t) good.len);
        uint8_t was = copy[at];
        copy[at] = (uint8_t) rng_next(&rng);
        same_or_refused(f, slice_of(copy, good.len));
        if (rng_below(&rng, 4) != 0)
            copy[at] = was;
    }
    free(copy);
    wr_free(&out);
}

static struct slice bytes_of(struct wr *mem)
{
    assert_false(mem->bad);
    return wr_slice(mem);
}

static void genesis_sets_and_trust_are_canonical(void **state)
{
    struct wr m = wr_heap(1 << 20);
    struct trust t = { .view = 1, .height = 2, .log_size = 3, .time = { 4 }, .verified = 5 };
    valset_encode(&w.genesis.set, &m);
    canonical(again_set, bytes_of(&m));
    w.genesis.recovery_m = 1, w.genesis.recovery_n = 2, w.genesis.recovery[1].b[0] = 1;
    wr_reset(&m);
    genesis_encode(&w.genesis, &m);
    canonical(again_genesis, bytes_of(&m));
    w.genesis.region[1].address = name_of("localhost:1#key");
    wr_reset(&m);
    genesis_encode(&w.genesis, &m);
    assert_int_equal(m.p[0], 2);
    canonical(again_genesis, bytes_of(&m));
    t.set = w.genesis.set;
    wr_reset(&m);
    trust_encode(&t, &m);
    canonical(again_trust, bytes_of(&m));
    wr_free(&m);
}

static void updates_headers_and_finalizations_are_canonical(void **state)
{
    struct region_doc d = { .key = w.genesis.region[0].key, .state = REGION_OK };
    struct wr m = wr_heap(1 << 20);
    struct slice block;
    canonical(again_update, leaf_for(&w, AT_REGION, "home", PAYLOAD(&w, region, &d)));
    world_furnish(&w);
    assert_ok(attest_block(&w.a, 3, &block));
    canonical(again_header, slice_of(block.p, ATTEST_HEADER_LEN));
    canonical(again_fin, slice_of(block.p, ATTEST_HEADER_LEN + 11 + 4 * 64));
    wr_free(&m);
}

static void documents_are_canonical(void **state)
{
    static struct authority_doc authority;
    static struct cert_doc cert;
    struct region_doc region = { .state = REGION_FROZEN };
    struct config_doc config = { .n = 2, .active_gen = 3, .g = { { 3, GEN_ACTIVE, true, { { 0 } } }, { 9, GEN_PREPARED, false, { { 7 } } } } };
    canonical(again_region, PAYLOAD(&w, region, &region));
    region.n_members = 2;
    region.member[0] = (struct region_member){ 2, { { 5 } }, { { 6 } } };
    region.member[1] = (struct region_member){ 9, { { 7 } }, { { 8 } } };
    canonical(again_region, PAYLOAD(&w, region, &region));
    canonical(again_class, PAYLOAD(&w, class, (&(struct class_doc){ 1 })));
    canonical(again_node, PAYLOAD(&w, node, (&(struct node_doc){ 1 })));
    canonical(again_config, PAYLOAD(&w, config, &config));
    authority_doc_sample(&authority, w.now);
    canonical(again_authority, PAYLOAD(&w, authority, &authority));
    assert_ok(authority_inter_set(&authority, authority.g[0].gen, 3, slice_str("three")));
    assert_ok(authority_inter_set(&authority, authority.g[0].gen, 2, slice_str("two")));
    assert_int_equal(authority.inter[0].member, 2);
    assert_err(authority_inter_set(&authority, 77, 2, slice_str("of no generation")), REEVE_E_UNDEFINED_OBJECT);
    canonical(again_authority, PAYLOAD(&w, authority, &authority));
    cert_doc_sample(&cert, "ca");
    struct cert_gen g = cert_gen_sample(w.now);
    assert_ok(cert_gen_append(&cert, 0, &g, NULL));
    assert_ok(cert_gen_append(&cert, 0, &g, NULL));
    cert.rule[cert.n_rules++].gen = 2;
    cert.g[1].state = GEN_ACTIVE;
    canonical(again_cert, PAYLOAD(&w, cert, &cert));
}

static struct approval_ref ref_sample(void)
{
    return (struct approval_ref){ .proposal = name_of("p1"), .policy = name_of("trust root"), .policy_version = 3, .not_after_s = 77 };
}

static struct approval_set approvals_sample(void)
{
    struct approval_set s = { .ref = ref_sample(), .n_parts = 2, .part = 1, .content = { { { 1 } }, { { 2 } } }, .n = 2,
                              .a = { { name_of("ops/anna"), { { 3 } } }, { name_of("ops/anna2"), { { 4 } } } } };
    return s;
}

static struct policy_doc policy_sample(void)
{
    return (struct policy_doc){ .subjects = SUBJECT_BIT(AT_POLICY) | SUBJECT_REVOCATION, .n_terms = 2,
                                .term = { { 1, name_of("legal") }, { 3, name_of("security") } }, .distinct = 2,
                                .exclude_proposer = 1, .expires_s = 900, .veto_count = 1, .veto_group = name_of("security") };
}

static void approvers_policies_and_approvals_are_canonical(void **state)
{
    struct approver_doc approver = { .key = { { 9 } }, .jurisdiction = name_of("DE"), .n_groups = 2,
                                     .group = { name_of("legal"), name_of("security") } };
    struct policy_doc policy = policy_sample();
    struct veto_doc veto = { .ref = ref_sample(), .n = 1, .a = { { name_of("ops/anna"), { { 3 } } } } };
    struct approval_set set = approvals_sample();
    struct wr m = wr_heap(1 << 16);
    canonical(again_approver, PAYLOAD(&w, approver, &approver));
    canonical(again_policy, PAYLOAD(&w, policy, &policy));
    policy.veto_count = 0;
    canonical(again_policy, PAYLOAD(&w, policy, &policy));
    canonical(again_veto, PAYLOAD(&w, veto, &veto));
    approval_set_encode(&set, &m);
    canonical(again_approvals, bytes_of(&m));
    struct update up = { .type = AT_CLASS, .op = 1, .object = name_of("x/"), .version = 1, .payload = slice_str("p"),
                         .approvals = bytes_of(&m) };
    canonical(again_update, leaf_of(&w, up));
    wr_free(&m);
}

/* Keys from counted seeds; signed by all that it names. */
static void card_make(struct region_card *k, struct wr *out, const char *region, uint8_t seed, bool validates)
{
    struct sign_key key[3];
    struct hash32 digest;
    uint8_t mem[REGION_CARD_MAX], s[32] = { 9, seed };
    struct wr body = wr_fixed(mem, sizeof mem);
    memset(k, 0, sizeof *k);
    k->region = name_of(region);
    k->address = name_of("localhost:1#key");
    k->validates = validates;
    sign_key_from_seed(&key[0], &k->key, s);
    s[2] = 1;
    sign_key_from_seed(&key[1], &k->validator_key, s);
    s[2] = 2;
    sign_key_from_seed(&key[2], &k->cosign_key, s);
    card_encode(k, false, &body);
    card_digest(&crypto_ops_real, &digest, wr_slice(&body));
    for (int i = 0; i < 3; i++)
        sign_detached(&k->sig[i], slice_of(digest.b, 32), &key[i]);
    wr_reset(out);
    card_encode(k, true, out);
}

static void a_card_counts_as_every_key_in_it_has_signed_it(void **state)
{
    struct region_card k, r;
    struct wr m = wr_heap(REGION_CARD_MAX);
    for (int validates = 0; validates < 2; validates++) {
        card_make(&k, &m, "eu", 1, validates);
        assert_ok(card_decode(&crypto_ops_real, &r, wr_slice(&m)));
        assert_true(name_eq(&r.region, &k.region) && r.validates == validates);
        for (size_t i = 0; i < m.len; i++) {
            m.p[i] ^= 1;
            assert_int_not_equal(card_decode(&crypto_ops_real, &r, wr_slice(&m)), REEVE_OK);
            m.p[i] ^= 1;
            assert_int_not_equal(card_decode(&crypto_ops_real, &r, slice_of(m.p, i)), REEVE_OK);
        }
    }
    k.sig[1] = k.sig[0];
    wr_reset(&m);
    card_encode(&k, true, &m);
    assert_err(card_decode(&crypto_ops_real, &r, wr_slice(&m)), REEVE_E_V_SIGNATURE);
    wr_free(&m);
}

static void cards_in_any_order_make_the_same_genesis(void **state)
{
    static struct genesis a, b, again;
    struct region_card card[4], turned[4];
    struct wr m = wr_heap(1 << 16), n = wr_heap(1 << 16);
    static const char *const names[] = { "us", "eu", "asia", "africa" };
    for (uint8_t i = 0; i < 4; i++)
        card_make(&card[i], &m, names[i], i, i != 3);
    for (int i = 0; i < 4; i++)
        turned[i] = card[3 - i];
    assert_ok(genesis_of_cards(&a, card, 4));
    assert_ok(genesis_of_cards(&b, turned, 4));
    a.chain = b.chain = name_of("test");
    wr_reset(&m);
    genesis_encode(&a, &m);
    genesis_encode(&b, &n);
    assert_true(slice_eq(wr_slice(&m), wr_slice(&n)));
    assert_ok(genesis_decode(&again, wr_slice(&m)));
    assert_int_equal(again.set.n, 3);
    assert_int_equal(again.n_regions, 4);
    turned[1] = turned[0];
    assert_err(genesis_of_cards(&a, turned, 4), REEVE_E_DUPLICATE_OBJECT);
    turned[1].region = name_of("other");
    assert_err(genesis_of_cards(&a, turned, 4), REEVE_E_DUPLICATE_OBJECT);
    assert_err(genesis_of_cards(&a, &card[3], 1), REEVE_E_INVALID_VALUE);
    wr_free(&m);
    wr_free(&n);
}

static void refused(again *f, struct slice in)
{
    struct wr out = wr_heap(1 << 20);
    assert_err(f(in, &out), REEVE_E_MALFORMED);
    wr_free(&out);
}

static void sets_must_be_sorted_and_each_key_and_name_once(void **state)
{
    struct valset s = w.genesis.set;
    struct validator t = s.v[0];
    struct wr m = wr_heap(1 << 20);
#define SET_REFUSED() wr_reset(&m); valset_encode(&s, &m); refused(again_set, wr_slice(&m)); s = w.genesis.set
    s.v[0] = s.v[1], s.v[1] = t;
    SET_REFUSED();
    s.v[1].key = s.v[0].key;
    SET_REFUSED();
    s.v[1].name = s.v[0].name;
    SET_REFUSED();
    s.v[2].weight = 2;
    SET_REFUSED();
    s.v[2].weight = 0;
    SET_REFUSED();
    s.n = 0;
    SET_REFUSED();
    wr_free(&m);
}

static void documents_that_contradict_themselves_are_refused(void **state)
{
    static struct cert_doc good, d;
    cert_doc_sample(&good, "ca");
    struct cert_gen g = cert_gen_sample(w.now);
    assert_ok(cert_gen_append(&good, 0, &g, NULL));
    assert_ok(cert_gen_append(&good, 0, &g, NULL));
    good.active_gen = 1;
    good.g[0].state = GEN_ACTIVE;
#define CERT_REFUSED(change) d = good; change; refused(again_cert, PAYLOAD(&w, cert, &d))
    CERT_REFUSED(d.active_gen = 2);                         /* not ACTIVE */
    CERT_REFUSED(d.active_gen = 7);                         /* not there */
    CERT_REFUSED(d.g[1].state = GEN_ACTIVE);                /* active without being in use */
    CERT_REFUSED(d.g[1].state = 9);
    CERT_REFUSED(d.g[1].gen = 1);                           /* not ascending */
    CERT_REFUSED(d.g[0].gen = 0; d.active_gen = 0);
    CERT_REFUSED(d.san[1] = d.san[0]);
    CERT_REFUSED(d.mode = 0);
    CERT_REFUSED(d.mode = CERT_SHARED_REGION);              /* a shared key without its hash */
    CERT_REFUSED(d.g[0].spki_hash.b[0] = 1);                /* a hash without a shared key */
    CERT_REFUSED(d.g[0].not_after = d.g[0].not_before);
    CERT_REFUSED(d.where.code[0] = 0x22; d.where.len = 1);  /* NOT of nothing */
    CERT_REFUSED(d.n_rules = 1; d.rule[0].gen = 5);
    d = good;
    canonical(again_cert, PAYLOAD(&w, cert, &d));
}

static void authorities_that_contradict_themselves_are_refused(void **state)
{
    static struct authority_doc good, d;
    authority_doc_sample(&good, w.now);
#define AUTH_REFUSED(change) d = good; change; refused(again_authority, PAYLOAD(&w, authority, &d))
    AUTH_REFUSED(d.g[1] = d.g[0]; d.g[1].gen = 2; d.n = 2);     /* two active */
    AUTH_REFUSED(d.g[0].chain_len = 0);                         /* active without a chain */
    AUTH_REFUSED(d.g[0].state = AUTH_PENDING);                  /* pending with one */
    AUTH_REFUSED(memset(&d.g[0].spki_hash, 0, 32));
    AUTH_REFUSED(d.g[0].key_type = 0);
    d = good;
    canonical(again_authority, PAYLOAD(&w, authority, &d));
}

static void policies_and_approvals_that_contradict_themselves_are_refused(void **state)
{
    struct policy_doc d;
    struct approval_set s;
    struct wr m = wr_heap(1 << 16);
#define POLICY_REFUSED(change) d = policy_sample(); change; refused(again_policy, PAYLOAD(&w, policy, &d))
    POLICY_REFUSED(d.term[0].count = 0);                    /* a threshold of nobody */
    POLICY_REFUSED(d.n_terms = 0);
    POLICY_REFUSED(d.term[0].count = APPROVALS_MAX);        /* more places than approvals have room */
    POLICY_REFUSED(d.term[1].group = d.term[0].group);      /* one group, two terms */
    POLICY_REFUSED(d.term[1].group = name_of("a"));         /* not ascending */
    POLICY_REFUSED(d.subjects = 0);
    POLICY_REFUSED(d.subjects |= SUBJECT_BIT(AT_VETO));
    POLICY_REFUSED(d.distinct = 5);                         /* four places cannot come from five jurisdictions */
    POLICY_REFUSED(d.expires_s = 0);
#define SET_OF_APPROVALS_REFUSED(change) s = approvals_sample(); change; wr_reset(&m); approval_set_encode(&s, &m); \
    refused(again_approvals, wr_slice(&m))
    SET_OF_APPROVALS_REFUSED(s.a[1].approver = s.a[0].approver);    /* nobody twice */
    SET_OF_APPROVALS_REFUSED(s.a[1].approver = name_of("a"));
    SET_OF_APPROVALS_REFUSED(s.a[0].approver = name_of("a b"));
    SET_OF_APPROVALS_REFUSED(s.part = 2);
    SET_OF_APPROVALS_REFUSED(s.n_parts = 0);
    SET_OF_APPROVALS_REFUSED(s.n = 0);
    SET_OF_APPROVALS_REFUSED(s.ref.not_after_s = 0);
    SET_OF_APPROVALS_REFUSED(s.ref.policy_version = 0);
    SET_OF_APPROVALS_REFUSED(s.ref.not_after_s = UINT64_MAX);
    wr_free(&m);
}

static void object_names_have_one_form(void **state)
{
    static const struct { uint8_t type; const char *name; bool ok; } t[] = {
        { AT_ROLLOUT, "1", true }, { AT_ROLLOUT, "18446744073709551615", true }, { AT_ROLLOUT, "18446744073709551616", false },
        { AT_ROLLOUT, "01", false }, { AT_ROLLOUT, "0", false }, { AT_ROLLOUT, "x", false },
        { AT_NODE, "n-0123456789abcdef0123456789abcdef", true }, { AT_NODE, "n-0123456789ABCDEF0123456789abcdef", false },
        { AT_NODE, "web", false }, { AT_VALSET, "validators", true }, { AT_VALSET, "others", false }, { AT_CERT, "web", true },
        { AT_APPROVER, "ops/anna", true }, { AT_APPROVER, "ops anna", false },
        { AT_APPROVER, "ops+anna", false }, { AT_APPROVER, "\303\244", false }, { AT_VETO, "00", false },
        { AT_VETO, "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", true },
        { AT_VETO, "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff", false },
        { AT__MAX + 1, "later", false }, { 0, "none", false },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct update up = { .type = t[i].type, .op = 1, .object = name_of(t[i].name), .version = 1,
                             .payload = slice_str("p"), .region = name_of("home"), .actor = name_of("a") };
        struct wr m = wr_heap(1000);
        update_encode(&up, true, &m);
        if (update_decode(&u.update, wr_slice(&m)) != (t[i].ok ? REEVE_OK : REEVE_E_MALFORMED))
            fail_msg("%s", t[i].name);
        wr_free(&m);
    }
}

static void signed_bytes_have_their_fixed_length_and_begin_with_zero(void **state)
{
    struct block_header h = { .view = 5, .height = 4, .parent_view = 3 };
    struct vote v;
    uint8_t bytes[ATTEST_VOTE_LEN];
    static const uint8_t head[] = "\0reeve-bft-v1\0\4";
    vote_of_header(w.a.c, &v, VOTE_FINALIZE, &h);
    vote_bytes(&v, bytes);
    assert_memory_equal(bytes, head, sizeof head - 1);
    vote_of_header(w.a.c, &v, VOTE_NULLIFY, &h);
    assert_int_equal(v.height + v.parent_view, 0);
    assert_true(hash32_is_zero(&v.block_hash));
    assert_int_equal(v.view, 5);
}

int main(void)
{
    rng = rng_seeded("attest_codec");
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(genesis_sets_and_trust_are_canonical),
        T(updates_headers_and_finalizations_are_canonical),
        T(documents_are_canonical),
        T(a_card_counts_as_every_key_in_it_has_signed_it),
        T(cards_in_any_order_make_the_same_genesis),
        T(sets_must_be_sorted_and_each_key_and_name_once),
        T(documents_that_contradict_themselves_are_refused),
        T(authorities_that_contradict_themselves_are_refused),
        T(approvers_policies_and_approvals_are_canonical),
        T(policies_and_approvals_that_contradict_themselves_are_refused),
        T(object_names_have_one_form),
        T(signed_bytes_have_their_fixed_length_and_begin_with_zero),
    };
    return cmocka_run_group_tests_name("attest_codec", tests, NULL, NULL);
}
