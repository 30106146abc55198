/*
 * The signer's requests against a real chain of one, built with the signer's
 * own signatures: votes, updates, authorities, per-node and shared certificates.
 */
#include "../unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/signer/signer_int.h"
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "engine/attest_history.h"
#include "engine/note.h"
#include "engine/wire.h"
#include "sim/sim_kv.h"

#define DAY_MS INT64_C(86400000)

static char dir[] = "/tmp/reeve-signer-XXXXXX";
static struct signer s;
static struct sim_kv *store;
static struct attest a;
static int64_t now_ms = INT64_C(1800000000000);
static struct report rep;
static uint8_t reply_mem[256u << 10];
static struct wr reply;

static int64_t test_now(void) { return now_ms; }

/* One request; its result lies in reply. */
static enum reeve_err ask(signer_request *fn, const struct wr *body)
{
    struct rd in = rd_of(wr_slice(body));
    report_clear(&rep);
    reply = wr_fixed(reply_mem, sizeof reply_mem);
    return fn(&s, &in, &reply, &rep);
}

/* ---- a chain ---- */

static struct name name_of(const char *text)
{
    struct name n;
    assert_true(name_set_str(&n, text));
    return n;
}

static enum reeve_err vote_for(const struct block_header *h, enum vote_type type)
{
    struct vote v;
    struct wr body = wr_heap(4096);
    vote_of_header(&crypto_ops_real, &v, type, h);
    signer_vote_encode(&v, &body);
    enum reeve_err err = ask(signer_sign_vote, &body);
    wr_free(&body);
    return err;
}

static struct slice signed_leaf(struct update *u, struct wr *mem)
{
    struct wr body = wr_heap(1 << 20), bare = wr_heap(1 << 20);
    u->region = name_of("home");
    u->actor = name_of("anna");
    update_encode(u, false, &bare);
    wr_str32(&body, wr_slice(&bare));
    assert_ok(ask(signer_sign_update, &body));
    memcpy(u->region_sig.b, reply.p, 64);
    update_encode(u, true, mem);
    wr_free(&body);
    wr_free(&bare);
    return wr_slice(mem);
}

static void put(enum attest_type type, const char *object, struct slice payload)
{
    struct attest_head head;
    struct update u;
    struct name n = name_of(object);
    struct wr mem = wr_heap(ATTEST_LEAF_MAX);
    assert_ok(attest_head(&a, &head));
    assert_ok(update_prepare(&a, type, &n, payload, &u));
    struct slice leaf = signed_leaf(&u, &mem);
    now_ms += 1000;
    struct block_header h = { .view = head.header.view + 1, .time = { now_ms } };
    assert_ok(attest_check(&a, &leaf, 1, h.time, &rep));
    sim_kv_begin(store);
    assert_ok(attest_propose(&a, &leaf, 1, &h));
    assert_ok(vote_for(&h, VOTE_PROPOSE));
    assert_ok(vote_for(&h, VOTE_NOTARIZE));
    assert_ok(vote_for(&h, VOTE_FINALIZE));
    struct finalization f = { .header = h, .view = h.view, .n_bits = 1, .bitmap = { 1 }, .n_sigs = 1 };
    memcpy(f.sig[0].b, reply.p, 64);
    assert_ok(attest_finalize(&a, &f, &leaf, 1));
    sim_kv_commit(store);
    wr_free(&mem);
}

static void bundle_of(const char *cert, const char *authority, struct wr *out)
{
    struct object_key keys[2] = { { AT_CERT, name_of(cert) }, { AT_AUTHORITY, name_of(authority) } };
    assert_ok(attest_bundle(&a, 0, keys, 2, out));
}

static struct hash32 leaf_hash_of(const char *cert)
{
    struct attest_object o;
    struct name n = name_of(cert);
    assert_ok(attest_get(&a, AT_CERT, &n, &o));
    return o.leaf_hash;
}

/* ---- the world: authority "ca" and two certificates ---- */

static void make_authority(const char *name, uint8_t key_type)
{
    static struct authority_doc d;
    struct authority_gen g = { .state = AUTH_PREPARED, .key_type = key_type, .created = { now_ms } };
    struct wr body = wr_heap(4096), payload = wr_heap(1 << 20);
    struct name n = name_of(name);
    struct x509_info info;
    wr_name(&body, &n);
    wr_u32(&body, 1);
    wr_u8(&body, key_type);
    wr_u8(&body, 0);
    wr_u32(&body, 2 * 365 * 86400);
    wr_str16(&body, slice_str("CN=Edge CA"));
    assert_ok(ask(signer_authority_key, &body));
    struct rd r = rd_of(wr_slice(&reply));
    struct slice spki = rd_str16(&r, 32), der = rd_str32(&r, X509_DER_MAX);
    assert_true(rd_done(&r));
    assert_ok(x509_parse(&info, der));
    assert_true(info.is_ca);
    assert_memory_equal(info.spki_hash.b, spki.p, 32);
    memset(&d, 0, sizeof d);
    d.region = name_of("home");
    strcpy(d.subject, "CN=Edge CA");
    d.ttl_s = 2 * 365 * 86400;
    memcpy(g.spki_hash.b, spki.p, 32);
    g.not_before = info.not_before;
    g.not_after = info.not_after;
    g.chain_len = (uint16_t) der.len;
    memcpy(g.chain, der.p, der.len);
    assert_ok(authority_gen_append(&d, 0, &g, &rep));
    assert_ok(authority_gen_set_state(&d, 1, AUTH_ACTIVE, &rep));
    authority_doc_encode(&d, &payload);
    put(AT_AUTHORITY, name, wr_slice(&payload));
    wr_free(&body);
    wr_free(&payload);
}

static struct hash32 shared_key(const char *cert)
{
    struct wr body = wr_heap(4096);
    struct name n = name_of(cert);
    struct hash32 h;
    wr_name(&body, &n);
    wr_u32(&body, 1);
    wr_u8(&body, KEY_ECDSA_P256);
    assert_ok(ask(signer_shared_key, &body));
    assert_int_equal(reply.len, 32);
    memcpy(h.b, reply.p, 32);
    wr_free(&body);
    return h;
}

static void make_cert(const char *name, uint8_t mode)
{
    static struct cert_doc d;
    struct cert_gen g = { .authority_gen = 1, .created = { now_ms } };
    struct wr payload = wr_heap(1 << 20);
    memset(&d, 0, sizeof d);
    d.mode = mode;
    d.authority = name_of("ca");
    strcpy(d.subject, "CN=edge.example");
    d.n_sans = 1;
    d.san[0] = name_of("edge.example");
    d.key_type = KEY_ECDSA_P256;
    d.validity_s = 30 * 86400;
    d.renew_before_s = 86400;
    g.not_before.ms = now_ms;
    g.not_after.ms = now_ms + 30 * DAY_MS;
    if (mode != CERT_PER_NODE)
        g.spki_hash = shared_key(name);
    assert_ok(cert_gen_append(&d, 0, &g, &rep));
    assert_ok(cert_gen_activate_first(&d, &rep));
    cert_doc_encode(&d, &payload);
    put(AT_CERT, name, wr_slice(&payload));
    wr_free(&payload);
}

static void revoke_gen(const char *cert)
{
    static struct cert_doc d;
    struct wr payload = wr_heap(1 << 20);
    struct name n = name_of(cert);
    assert_ok(attest_get_cert(&a, &n, &d, NULL));
    assert_ok(cert_gen_revoke(&d, 1, 0, &rep));
    cert_doc_encode(&d, &payload);
    put(AT_CERT, cert, wr_slice(&payload));
    wr_free(&payload);
}

static int set_up(void **state)
{
    struct name home = name_of("home");
    struct wr genesis = wr_heap(1 << 16);
    struct region_doc region = { .state = REGION_OK };
    struct wr payload = wr_heap(4096);
    if (crypto_init() != REEVE_OK || mkdtemp(dir) == NULL)
        return -1;
    assert_ok(signer_init(dir, &home, (struct wall_ms){ now_ms }, NULL, &genesis, &rep));
    s.now_ms = test_now;
    assert_ok(signer_open(&s, dir, &rep));
    store = sim_kv_new();
    a = (struct attest){ sim_kv_handle(store), &crypto_ops_real, malloc(attest_scratch_size()), attest_scratch_size() };
    assert_ok(attest_init(&a, wr_slice(&genesis)));
    region.key = s.region_pub;
    region_doc_encode(&region, &payload);
    put(AT_REGION, "home", wr_slice(&payload));
    make_authority("ca", KEY_ECDSA_P256);
    make_cert("node-tls", CERT_PER_NODE);
    make_cert("shared-tls", CERT_SHARED_REGION);
    wr_free(&genesis);
    wr_free(&payload);
    return 0;
}

static void reopen(void)
{
    signer_close(&s);
    assert_ok(signer_open(&s, dir, &rep));
}

/* ---- requests for certificates ---- */

static void template_part(struct wr *body, bool proof, const char *cert)
{
    struct wr bundle = wr_heap(1 << 20);
    struct hash32 h = leaf_hash_of(cert);
    wr_u8(body, proof);
    if (proof) {
        bundle_of(cert, "ca", &bundle);
        wr_str32(body, wr_slice(&bundle));
    }
    wr_bytes(body, h.b, 32);
    wr_u32(body, 1);
    wr_free(&bundle);
}

static struct xkey *node_key(enum key_type type, struct wr *spki)
{
    struct xkey *k;
    assert_ok(xkey_generate(&k, type));
    assert_ok(xkey_spki(k, spki));
    return k;
}

static enum reeve_err issue(bool proof, const char *cert, struct slice spki)
{
    static const uint8_t node[16];
    struct wr body = wr_heap(1 << 20);
    template_part(&body, proof, cert);
    wr_bytes(&body, node, 16);
    wr_str16(&body, spki);
    enum reeve_err err = ask(signer_issue_leaf, &body);
    wr_free(&body);
    return err;
}

static void a_proof_is_needed_once_and_then_remembered(void **state)
{
    struct wr spki = wr_heap(512);
    struct xkey *k = node_key(KEY_ECDSA_P256, &spki);
    struct x509_info info;
    reopen();
    assert_err(issue(false, "node-tls", wr_slice(&spki)), REEVE_E_AGAIN);
    assert_ok(issue(true, "node-tls", wr_slice(&spki)));
    assert_ok(issue(false, "node-tls", wr_slice(&spki)));
    struct rd r = rd_of(wr_slice(&reply));
    struct slice leaf = rd_str32(&r, X509_DER_MAX), chain = rd_str32(&r, X509_DER_MAX);
    assert_true(rd_done(&r));
    assert_ok(x509_parse(&info, leaf));
    assert_int_equal(info.serial_len, 16);
    assert_false(info.is_ca);
    assert_ok(x509_verify_chain(leaf, NULL, 0, &chain, 1, (struct wall_ms){ now_ms + 1000 }));
    assert_ok(x509_key_matches(leaf, k));
    xkey_free(k);
    wr_free(&spki);
}

static void another_kind_of_key_is_refused(void **state)
{
    struct wr spki = wr_heap(512);
    struct xkey *k = node_key(KEY_ED25519, &spki);
    assert_err(issue(true, "node-tls", wr_slice(&spki)), REEVE_E_V_KEY);
    assert_err(issue(true, "node-tls", slice_str("no key at all")), REEVE_E_V_KEY);
    assert_err(issue(true, "shared-tls", wr_slice(&spki)), REEVE_E_WRONG_STATE);
    xkey_free(k);
    wr_free(&spki);
}

static void an_altered_bundle_is_refused(void **state)
{
    struct wr bundle = wr_heap(1 << 20), spki = wr_heap(512);
    struct hash32 h = leaf_hash_of("node-tls");
    struct xkey *k = node_key(KEY_ECDSA_P256, &spki);
    struct rng rng = rng_seeded("altered bundle");
    bundle_of("node-tls", "ca", &bundle);
    for (int i = 0; i < 300; i++) {
        struct wr body = wr_heap(1 << 20);
        size_t at = rng_below(&rng, (uint32_t) bundle.len);
        uint8_t bit = (uint8_t) (1u << rng_below(&rng, 8));
        bundle.p[at] ^= bit;
        reopen();
        wr_u8(&body, 1);
        wr_str32(&body, wr_slice(&bundle));
        wr_bytes(&body, h.b, 32);
        wr_u32(&body, 1);
        wr_bytes(&body, h.b, 16);
        wr_str16(&body, wr_slice(&spki));
        if (ask(signer_issue_leaf, &body) == REEVE_OK)
            fail_msg("a bundle with bit %u of byte %zu turned was believed", bit, at);
        bundle.p[at] ^= bit;
        wr_free(&body);
    }
    xkey_free(k);
    wr_free(&bundle);
    wr_free(&spki);
}

struct node { struct sign_key key; struct pubkey pub, seal_pub; struct seal_key seal; };

/* lie: 0 none, 1 in the signature, 2 the id of another node */
static enum reeve_err reseal(const struct node *n, int lie)
{
    struct node_id id;
    struct wr body = wr_heap(1 << 20);
    uint8_t msg[WIRE_MESSAGE_MAX];
    struct sig64 sig;
    template_part(&body, true, "shared-tls");
    size_t len = wire_seal_message(msg, &s.trust.chain_id, &n->seal_pub);
    sign_detached(&sig, slice_of(msg, len), &n->key);
    sig.b[5] ^= lie == 1;
    node_id_of_key(&id, &n->pub);
    id.b[3] ^= lie == 2;
    wr_bytes(&body, id.b, 16);
    wr_bytes(&body, n->pub.b, 32);
    wr_bytes(&body, n->seal_pub.b, 32);
    wr_bytes(&body, sig.b, 64);
    enum reeve_err err = ask(signer_reseal_key, &body);
    wr_free(&body);
    return err;
}

static void every_node_gets_the_same_shared_certificate_with_its_key(void **state)
{
    struct hash32 first = { { 0 } }, fp;
    for (int i = 0; i < 3; i++) {
        struct node n;
        uint8_t plain[512];
        struct xkey *k;
        sign_keygen(&n.key, &n.pub);
        seal_keygen(&n.seal, &n.seal_pub);
        assert_err(reseal(&n, 1), REEVE_E_V_SIGNATURE);
        assert_err(reseal(&n, 2), REEVE_E_V_KEY);
        assert_ok(reseal(&n, 0));
        struct rd r = rd_of(wr_slice(&reply));
        struct slice sealed = rd_str16(&r, 1024), leaf = rd_str32(&r, X509_DER_MAX), chain = rd_str32(&r, X509_DER_MAX);
        assert_true(rd_done(&r));
        assert_ok(seal_open(plain, sealed, &n.seal));
        assert_ok(xkey_from_der(&k, slice_of(plain, sealed.len - SEAL_OVERHEAD)));
        assert_ok(x509_key_matches(leaf, k));
        assert_ok(x509_verify_chain(leaf, NULL, 0, &chain, 1, (struct wall_ms){ now_ms + 1000 }));
        sha256(&fp, leaf);
        if (i > 0)
            assert_true(hash32_eq(&fp, &first));
        first = fp;
        xkey_free(k);
        reopen();       /* also over restarts */
    }
}

/* ---- votes and updates ---- */

static void a_vote_of_another_set_or_epoch_is_refused(void **state)
{
    struct attest_head head;
    assert_ok(attest_head(&a, &head));
    struct block_header h = head.header;
    h.view += 100;
    h.epoch++;
    assert_err(vote_for(&h, VOTE_NULLIFY), REEVE_E_V_SET);
    h = head.header;
    h.view += 100;
    h.valset_hash.b[0] ^= 1;
    assert_err(vote_for(&h, VOTE_NULLIFY), REEVE_E_V_SET);
}

static void votes_are_remembered_over_a_restart(void **state)
{
    struct attest_head head;
    uint8_t sig[64];
    assert_ok(attest_head(&a, &head));
    struct block_header h = head.header, other;
    assert_ok(vote_for(&h, VOTE_FINALIZE));
    memcpy(sig, reply.p, 64);
    reopen();
    assert_ok(vote_for(&h, VOTE_FINALIZE));
    assert_memory_equal(sig, reply.p, 64);
    other = h;
    other.time.ms++;
    assert_err(vote_for(&other, VOTE_NOTARIZE), REEVE_E_CONFLICT);
    assert_err(vote_for(&h, VOTE_NULLIFY), REEVE_E_CONFLICT);
    reopen();
    assert_err(vote_for(&other, VOTE_PROPOSE), REEVE_E_CONFLICT);
}

static void an_update_of_another_region_is_not_signed(void **state)
{
    struct update u = { .type = AT_NODE, .op = 1, .version = 1, .payload = slice_str("\1\1"), .region = name_of("away") };
    struct wr body = wr_heap(4096), bare = wr_heap(4096);
    u.actor = name_of("anna");
    u.object = name_of("n-00112233445566778899aabbccddeeff");
    update_encode(&u, false, &bare);
    wr_str32(&body, wr_slice(&bare));
    assert_err(ask(signer_sign_update, &body), REEVE_E_DENIED);
    wr_free(&body);
    wr_free(&bare);
}

/* Seven bytes that happen to say: a key for a certificate with a name of one letter. */
static bool asks_for_a_shared_key(struct slice body)
{
    struct rd in = rd_of(body);
    struct name cert;
    rd_name(&in, &cert);
    bool gen = rd_u32(&in) != 0;
    uint8_t type = rd_u8(&in);
    return rd_done(&in) && cert.len > 0 && gen && (type == KEY_ECDSA_P256 || type == KEY_ED25519);
}

static void no_truncated_request_is_answered(void **state)
{
    static signer_request *const all[] = { signer_sign_vote, signer_sign_update, signer_authority_key, signer_shared_key,
                                           signer_gateway_delegate, signer_issue_leaf, signer_reseal_key };
    struct rng r = rng_seeded("truncated");
    uint8_t junk[512];
    for (int i = 0; i < 20000; i++) {
        size_t len = rng_below(&r, sizeof junk);
        for (size_t k = 0; k < len; k++)
            junk[k] = (uint8_t) rng_next(&r) & (rng_below(&r, 2) ? 0xff : 3);
        struct wr body = { .p = junk, .len = len, .cap = len, .max = len };
        unsigned which = rng_below(&r, 7);
        if ((which == 4 && len == 32) || (which == 3 && asks_for_a_shared_key(wr_slice(&body))))
            continue;
        enum reeve_err err = ask(all[which], &body);
        if (err == REEVE_OK)
            fail_msg("junk of %zu bytes was answered by request %u", len, which);
    }
}

static void a_delegation_verifies_under_the_region_key(void **state)
{
    struct wr body = wr_heap(64);
    struct sign_key key;
    struct pubkey pub;
    struct wire_delegation d;
    sign_keygen(&key, &pub);
    wr_bytes(&body, pub.b, 32);
    assert_ok(ask(signer_gateway_delegate, &body));
    assert_ok(wire_delegation_decode(&d, wr_slice(&reply)));
    assert_ok(wire_delegation_verify(&crypto_ops_real, &d, &s.trust.chain_id, &s.region, &s.region_pub,
                                     (struct wall_ms){ now_ms }, 0));
    wr_free(&body);
}

/* ---- the signer of a member that joined ---- */

/* The same requests to another signer. */
static struct signer member;

static enum reeve_err ask_member(signer_request *fn, struct slice body)
{
    struct rd in = rd_of(body);
    report_clear(&rep);
    reply = wr_fixed(reply_mem, sizeof reply_mem);
    return fn(&member, &in, &reply, &rep);
}

static void member_open(const char *mdir)
{
    member.now_ms = test_now;
    assert_ok(signer_open(&member, mdir, &rep));
}

static enum reeve_err intermediate(uint32_t id, struct slice request, struct wr *der)
{
    struct wr body = wr_heap(1 << 20), bundle = wr_heap(1 << 20);
    struct object_key keys[2] = { { AT_AUTHORITY, name_of("ca") }, { AT_REGION, name_of("home") } };
    struct name ca = name_of("ca");
    assert_ok(attest_bundle(&a, 0, keys, 2, &bundle));
    wr_str32(&body, wr_slice(&bundle));
    wr_name(&body, &ca);
    wr_u32(&body, 1);
    wr_u32(&body, id);
    wr_bytes(&body, request.p, request.len);
    enum reeve_err err = ask(signer_intermediate_issue, &body);
    struct rd in = rd_of(wr_slice(&reply));
    struct slice got = rd_str16(&in, AUTHORITY_INTER_BYTES);
    if (err == REEVE_OK) {
        wr_reset(der);
        wr_bytes(der, got.p, got.len);
    }
    wr_free(&body);
    wr_free(&bundle);
    return err;
}

/* The region's object with the member's keys as 2, and the authority's with what it issued. */
static void attest_member(struct slice keys)
{
    struct region_doc d = { .key = s.region_pub, .state = REGION_OK, .n_members = 1, .member = { { .id = 2 } } };
    struct wr payload = wr_heap(4096);
    memcpy(d.member[0].key.b, keys.p, 32);
    memcpy(d.member[0].seal_key.b, keys.p + 32, 32);
    region_doc_encode(&d, &payload);
    put(AT_REGION, "home", wr_slice(&payload));
    wr_free(&payload);
}

static void attest_intermediate(struct slice der)
{
    static struct authority_doc d;
    struct attest_object o;
    struct name n = name_of("ca");
    struct wr payload = wr_heap(ATTEST_PAYLOAD_MAX);
    assert_ok(attest_get(&a, AT_AUTHORITY, &n, &o));
    assert_ok(authority_doc_decode(&d, o.update.payload));
    assert_ok(authority_inter_set(&d, 1, 2, der));
    authority_doc_encode(&d, &payload);
    put(AT_AUTHORITY, "ca", wr_slice(&payload));
    wr_free(&payload);
}

static enum reeve_err member_issues(struct slice spki)
{
    static const uint8_t node[16];
    struct wr body = wr_heap(1 << 20);
    template_part(&body, true, "node-tls");
    wr_bytes(&body, node, 16);
    wr_str16(&body, spki);
    enum reeve_err err = ask_member(signer_issue_leaf, wr_slice(&body));
    wr_free(&body);
    return err;
}

static void a_members_signer_issues_under_its_own_intermediate(void **state)
{
    static char mdir[] = "/tmp/reeve-member-XXXXXX";
    static uint8_t keys[64];
    char cmd[64];
    struct wr body = wr_heap(1 << 16), request = wr_heap(1024), der = wr_heap(4096), spki = wr_heap(512);
    struct name home = name_of("home"), ca = name_of("ca");
    struct slice genesis;
    struct xkey *k = node_key(KEY_ECDSA_P256, &spki);
    assert_non_null(mkdtemp(mdir));
    assert_ok(signer_join(mdir, &rep));
    member_open(mdir);
    assert_true(member.member);
    assert_false(member.pinned);
    assert_ok(ask_member(signer_member_keys, slice_of(NULL, 0)));
    memcpy(keys, reply.p + 1, 64);
    /* it believes the first chain it is told, and no other, also after a restart */
    assert_ok(attest_genesis(&a, &genesis));
    wr_name(&body, &home);
    wr_str32(&body, genesis);
    assert_ok(ask_member(signer_member_pin, wr_slice(&body)));
    signer_close(&member);
    member_open(mdir);
    assert_true(member.pinned);
    assert_ok(ask_member(signer_member_pin, wr_slice(&body)));
    body.p[body.len - 40] ^= 1;
    assert_true(ask_member(signer_member_pin, wr_slice(&body)) != REEVE_OK);
    /* a request: by the member that the region lists only */
    wr_reset(&body);
    wr_name(&body, &ca);
    wr_u32(&body, 1);
    wr_u8(&body, KEY_ECDSA_P256);
    assert_ok(ask_member(signer_intermediate_key, wr_slice(&body)));
    wr_bytes(&request, reply.p, reply.len);
    assert_err(intermediate(2, wr_slice(&request), &der), REEVE_E_V_REGION);
    attest_member(slice_of(keys, 64));
    assert_err(intermediate(3, wr_slice(&request), &der), REEVE_E_V_REGION);
    request.p[10] ^= 1;
    assert_err(intermediate(2, wr_slice(&request), &der), REEVE_E_V_SIGNATURE);
    request.p[10] ^= 1;
    assert_ok(intermediate(2, wr_slice(&request), &der));
    /* nothing is issued under it before it is attested */
    assert_err(member_issues(wr_slice(&spki)), REEVE_E_UNAVAILABLE);
    attest_intermediate(wr_slice(&der));
    assert_ok(member_issues(wr_slice(&spki)));
    struct rd r = rd_of(wr_slice(&reply));
    struct slice leaf = rd_str32(&r, X509_DER_MAX), chain = rd_str32(&r, X509_DER_MAX), inter = slice_of(chain.p, der.len);
    struct slice root = slice_of(chain.p + der.len, chain.len - der.len);
    assert_true(rd_done(&r) && slice_eq(inter, wr_slice(&der)));
    assert_ok(x509_verify_chain(leaf, &inter, 1, &root, 1, (struct wall_ms){ now_ms + 1000 }));
    assert_err(x509_verify_chain(leaf, NULL, 0, &root, 1, (struct wall_ms){ now_ms + 1000 }), REEVE_E_V_SIGNATURE);
    signer_close(&member);
    snprintf(cmd, sizeof cmd, "rm -rf %s", mdir);
    assert_int_equal(system(cmd), 0);
    xkey_free(k);
    wr_free(&body);
    wr_free(&request);
    wr_free(&der);
    wr_free(&spki);
}

/* ---- revocation comes last: it ends the certificate ---- */

static void an_older_proof_does_not_bring_a_revoked_generation_back(void **state)
{
    struct wr spki = wr_heap(512), old = wr_heap(1 << 20), body = wr_heap(1 << 20);
    struct xkey *k = node_key(KEY_ECDSA_P256, &spki);
    struct hash32 h = leaf_hash_of("node-tls");
    bundle_of("node-tls", "ca", &old);
    assert_ok(issue(true, "node-tls", wr_slice(&spki)));
    revoke_gen("node-tls");
    assert_err(issue(true, "node-tls", wr_slice(&spki)), REEVE_E_V_REVOKED);
    wr_u8(&body, 1);
    wr_str32(&body, wr_slice(&old));
    wr_bytes(&body, h.b, 32);
    wr_u32(&body, 1);
    wr_bytes(&body, h.b, 16);
    wr_str16(&body, wr_slice(&spki));
    for (int i = 0; i < 2; i++) {
        assert_err(ask(signer_issue_leaf, &body), REEVE_E_AGAIN);
        reopen();       /* the height seen is durable */
    }
    xkey_free(k);
    wr_free(&spki);
    wr_free(&old);
    wr_free(&body);
}

/* ---- checkpoints ---- */

static uint64_t cosigned_size(void)
{
    struct wr body = wr_heap(16);
    wr_u8(&body, 0);
    assert_ok(ask(signer_sign_checkpoint, &body));
    struct rd r = rd_of(wr_slice(&reply));
    wr_free(&body);
    return rd_u64(&r);
}

static void checkpoint_body(uint64_t from, uint64_t said, struct wr *body)
{
    struct wr bundle = wr_heap(1 << 16);
    assert_ok(attest_bundle(&a, from, NULL, 0, &bundle));
    wr_u8(body, 1);
    wr_u64(body, said);
    wr_str32(body, wr_slice(&bundle));
    wr_free(&bundle);
}

static enum reeve_err checkpoint(uint64_t from)
{
    struct wr body = wr_heap(1 << 16);
    checkpoint_body(from, from, &body);
    enum reeve_err err = ask(signer_sign_checkpoint, &body);
    wr_free(&body);
    return err;
}

/* The reply as a note that the set's cosigning key and the log's key have signed. */
static void note_is_of(const struct attest_head *h)
{
    static struct note n;
    struct rd r = rd_of(wr_slice(&reply));
    char origin[HISTORY_ORIGIN_LEN + 1], cosigner[HISTORY_COSIGNER_MAX];
    struct pubkey log;
    struct note_key keys[2];
    struct checkpoint cp;
    bool seen[2];
    uint64_t at[2];
    rd_copy(&r, log.b, 32);
    assert_ok(note_parse(&n, rd_str32(&r, 65536)));
    assert_true(rd_done(&r));
    history_origin(origin, &h->chain_id);
    history_cosigner(cosigner, &h->chain_id, &s.trust.set.v[0].name);
    note_key_init(&crypto_ops_real, &keys[0], slice_str(origin), NOTE_ED25519, &log);
    note_key_init(&crypto_ops_real, &keys[1], slice_str(cosigner), NOTE_COSIGNATURE, &s.trust.set.v[0].cosign_key);
    assert_ok(note_verify(&crypto_ops_real, &n, keys, 2, seen, at, NULL));
    assert_true(seen[0] && seen[1]);
    assert_int_equal(at[1], now_ms / 1000);
    assert_ok(checkpoint_parse(&cp, n.text));
    assert_true(slice_eq(cp.origin, slice_str(origin)));
    assert_int_equal(cp.size, h->log_size);
    assert_true(hash32_eq(&cp.root, &h->log_root));
    assert_memory_not_equal(log.b, s.trust.set.v[0].cosign_key.b, 32);      /* three keys for three purposes */
    assert_memory_not_equal(log.b, s.trust.set.v[0].key.b, 32);
}

static void the_head_is_cosigned_and_that_is_remembered(void **state)
{
    struct attest_head h;
    struct class_doc doc = { 1 };
    struct wr payload = wr_heap(64);
    assert_int_equal(cosigned_size(), 0);
    assert_ok(attest_head(&a, &h));
    assert_ok(checkpoint(0));
    note_is_of(&h);
    reopen();
    assert_int_equal(cosigned_size(), h.log_size);
    assert_ok(checkpoint(h.log_size));  /* the same once more */
    note_is_of(&h);
    class_doc_encode(&doc, &payload);
    put(AT_CLASS, "a/", wr_slice(&payload));
    uint64_t before = h.log_size;
    assert_ok(attest_head(&a, &h));
    assert_ok(checkpoint(before));
    note_is_of(&h);
    assert_int_equal(cosigned_size(), h.log_size);
    wr_free(&payload);
}

static void what_does_not_extend_the_cosigned_log_is_refused(void **state)
{
    uint64_t size = cosigned_size();
    struct wr body = wr_heap(1 << 16);
    assert_true(size > 1);
    assert_err(checkpoint(0), REEVE_E_AGAIN);           /* proved from another size than was cosigned */
    checkpoint_body(size - 1, size, &body);
    assert_err(ask(signer_sign_checkpoint, &body), REEVE_E_V_CONSISTENCY);
    wr_reset(&body);
    checkpoint_body(size, size, &body);
    for (size_t i = 13; i < body.len; i += 7) {         /* version, header, finalization, proof */
        body.p[i] ^= 1;
        assert_int_not_equal(ask(signer_sign_checkpoint, &body), REEVE_OK);
        body.p[i] ^= 1;
    }
    assert_int_equal(cosigned_size(), size);
    assert_ok(ask(signer_sign_checkpoint, &body));
    wr_free(&body);
}

static void a_damaged_record_of_cosigned_heads_stops_cosigning(void **state)
{
    uint8_t file[128];
    size_t len = 0;
    assert_ok(keydir_read(s.dirfd, "cosigned", file, sizeof file, &len));
    file[3] ^= 1;
    assert_ok(keydir_write(s.dirfd, "cosigned", slice_of(file, len), false));
    assert_err(checkpoint(0), REEVE_E_CORRUPT);
    file[3] ^= 1;
    assert_ok(keydir_write(s.dirfd, "cosigned", slice_of(file, len), false));
    assert_ok(checkpoint(cosigned_size()));
}

/* ---- secrets at rest ---- */

static void the_key_folder_is_closed_to_others_and_holds_no_plain_key(void **state)
{
    static const char *const sub[] = { "keys", "keys/auth", "keys/shared" };
    static const uint8_t pkcs8_p256[] = { 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01 };
    for (int i = 0; i < 3; i++) {
        char path[256];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", dir, sub[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        DIR *d = opendir(path);
        for (struct dirent *e; (e = readdir(d)) != NULL;) {
            uint8_t mem[65536];
            size_t len = 0;
            if (fstatat(dirfd(d), e->d_name, &st, 0) != 0 || !S_ISREG(st.st_mode))
                continue;
            assert_int_equal(st.st_mode & 07777, 0600);
            assert_ok(keydir_read(dirfd(d), e->d_name, mem, sizeof mem, &len));
            if (i > 0 && strstr(e->d_name, ".crt") == NULL)
                assert_null(memmem(mem, len, pkcs8_p256, sizeof pkcs8_p256));
        }
        closedir(d);
    }
}

static void init_refuses_a_folder_that_has_keys(void **state)
{
    struct name home = name_of("home");
    struct wr genesis = wr_heap(1 << 16);
    report_clear(&rep);
    assert_err(signer_init(dir, &home, (struct wall_ms){ now_ms }, NULL, &genesis, &rep), REEVE_E_LOCKED);
    wr_free(&genesis);
}

static int tear_down(void **state)
{
    char cmd[128];
    signer_close(&s);
    sim_kv_free(store);
    free(a.scratch);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proof_is_needed_once_and_then_remembered),
        cmocka_unit_test(another_kind_of_key_is_refused),
        cmocka_unit_test(an_altered_bundle_is_refused),
        cmocka_unit_test(every_node_gets_the_same_shared_certificate_with_its_key),
        cmocka_unit_test(a_vote_of_another_set_or_epoch_is_refused),
        cmocka_unit_test(votes_are_remembered_over_a_restart),
        cmocka_unit_test(an_update_of_another_region_is_not_signed),
        cmocka_unit_test(no_truncated_request_is_answered),
        cmocka_unit_test(a_delegation_verifies_under_the_region_key),
        cmocka_unit_test(a_members_signer_issues_under_its_own_intermediate),
        cmocka_unit_test(an_older_proof_does_not_bring_a_revoked_generation_back),
        cmocka_unit_test(the_head_is_cosigned_and_that_is_remembered),
        cmocka_unit_test(what_does_not_extend_the_cosigned_log_is_refused),
        cmocka_unit_test(a_damaged_record_of_cosigned_heads_stops_cosigning),
        cmocka_unit_test(the_key_folder_is_closed_to_others_and_holds_no_plain_key),
        cmocka_unit_test(init_refuses_a_folder_that_has_keys),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
