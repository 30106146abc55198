/*
 * The ring's drivers with real processes: a certificate that is due is renewed
 * by itself, its rollout steps through its waves, or back when nodes fail; with
 * the ring killed now and then. This test plays gateway and agents.
 */
#include "world.h"

#include <unistd.h>

#include "backend/utils/clock.h"
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "crypto/sign.h"
#include "crypto/x509.h"

#define NODES 40
#define CONF "attest_tick_interval = 500ms\nattest_max_skew = 10ms\nrollout_report_timeout = 1s\n"

static struct name name_of(const char *text)
{
    struct name n;
    assert_true(name_set_str(&n, text));
    return n;
}

static void ok_result(const struct call *c)
{
    struct rd r = rd_of(slice_of(c->result, c->len));
    rd_u64(&r);
    unsigned n = rd_u16(&r), err = rd_u16(&r);
    struct slice text = rd_str16(&r, 1024);
    if (n == 0 || err != REEVE_OK)
        fail_msg("refused: %s %.*s", reeve_err_name(err), (int) text.len, text.p);
}

static void propose(struct world *w, bool gateway, struct wr *body)
{
    struct call c;
    assert_false(body->bad);
    w->as_gateway = gateway;
    assert_ok(world_call(w, MSG_PROPOSE, wr_slice(body), &c, 5000));
    w->as_gateway = false;
    ok_result(&c);
    wr_free(body);
}

static struct wr txn(uint64_t seq, size_t *at)
{
    static const uint8_t session[16] = { 5 };
    struct wr w = wr_heap(1 << 20);
    struct name actor = name_of("root");
    region_txn_begin(&w, session, seq, clock_wall(), &actor, slice_str("t"), slice_str("t"), slice_str(""), at);
    return w;
}

static const uint8_t token_id[8] = { 1 };
static struct hash32 token_hash = { { 7 } };

static void make_token(struct world *w)
{
    struct token_row t = { .secret_hash = token_hash, .uses_left = NODES, .created = clock_wall() };
    size_t at;
    struct wr b = txn(1, &at);
    t.region = name_of("home");
    t.created_by = name_of("root");
    wr_u8(&b, RO_TOKEN_CREATE);
    wr_bytes(&b, token_id, 8);
    token_row_encode(&t, &b);
    region_txn_end(&b, at, 1);
    propose(w, false, &b);
}

static void make_strategy(struct world *w)
{
    struct rollout_spec s = { .n_waves = 3, .n_gates = 1 };
    struct strategy_row row = { .created = clock_wall(), .definition = slice_str("quick") };
    struct wr spec = wr_heap(1 << 16);
    size_t at;
    struct wr b = txn(2, &at);
    struct name n = name_of("quick");
    s.wave[0] = (struct wave_spec){ SHARE_PPM, 100000, 300, true };
    s.wave[1] = (struct wave_spec){ SHARE_PPM, 500000, 300, true };
    s.wave[2] = (struct wave_spec){ SHARE_PPM, PPM, 300, true };
    s.gate[0] = (struct gate){ .action = GATE_ROLLBACK, .n_terms = 1, .sample = 1,
                               .term = { { GATE_FAILED, GATE_GT, GATE_COUNT, false, 0 } } };
    rollout_spec_encode(&s, &spec);
    row.spec = wr_slice(&spec);
    row.created_by = name_of("root");
    wr_u8(&b, RO_STRATEGY_CREATE);
    wr_name(&b, &n);
    strategy_row_encode(&row, &b);
    wr_u8(&b, 0);
    region_txn_end(&b, at, 1);
    propose(w, false, &b);
    wr_free(&spec);
}

static void enroll(struct world *w)
{
    struct wr b = wr_heap(1 << 20);
    wr_u8(&b, 1);
    wr_u8(&b, RC_ENROLL);
    wr_u16(&b, NODES);
    for (int i = 0; i < NODES; i++) {
        struct node_row n = { .state = NODE_LIVE, .enrolled = clock_wall(), .last_connect = clock_wall() };
        struct sign_key key;
        struct seal_key seal;
        sign_keygen(&key, &n.key);
        seal_keygen(&seal, &n.seal_key);
        node_id_of_key(&n.id, &n.key);
        n.region = name_of("home");
        strcpy(n.agent_version, "0.1");
        memcpy(n.token, token_id, 8);
        wr_bytes(&b, token_id, 8);
        wr_bytes(&b, token_hash.b, 32);
        node_row_encode(&n, &b);
    }
    propose(w, true, &b);
}

static void submit(struct world *w, enum attest_type type, const char *object, struct wr *payload)
{
    struct update u = { .type = type, .op = 1, .version = 1, .payload = wr_slice(payload), .object = name_of(object) };
    struct wr bare = wr_heap(1 << 17), b = wr_heap(1 << 17);
    struct call c;
    u.actor = name_of("root");
    u.region = name_of("anything");         /* the ring puts its own name there */
    update_encode(&u, false, &bare);
    wr_u16(&b, 1);
    wr_str32(&b, wr_slice(&bare));
    enum reeve_err err = world_call(w, MSG_SUBMIT, wr_slice(&b), &c, 15000);
    if (err != REEVE_OK)
        fail_msg("%s %s refused: %s", attest_type_name(type), object, c.rep.message);
    wr_free(&bare);
    wr_free(&b);
    wr_free(payload);
}

static void make_authority(struct world *w)
{
    static struct authority_doc d;
    struct authority_gen g = { .state = AUTH_PREPARED, .key_type = KEY_ED25519, .created = clock_wall() };
    struct wr b = wr_heap(4096), payload = wr_heap(1 << 17);
    struct call c;
    struct x509_info info;
    struct name ca = name_of("ca");
    wr_name(&b, &ca);
    wr_u32(&b, 1);
    wr_u8(&b, KEY_ED25519);
    wr_u8(&b, 0);
    wr_u32(&b, 365 * 86400);
    wr_str16(&b, slice_str("CN=ca"));
    assert_ok(world_call(w, MSG_CREATE_AUTHORITY_KEY, wr_slice(&b), &c, 5000));
    struct rd r = rd_of(slice_of(c.result, c.len));
    struct slice spki = rd_str16(&r, 32), der = rd_str32(&r, 4000);
    assert_ok(x509_parse(&info, der));
    memset(&d, 0, sizeof d);
    d.region = name_of("home");
    strcpy(d.subject, "CN=ca");
    d.ttl_s = 365 * 86400;
    memcpy(g.spki_hash.b, spki.p, 32);
    g.not_before = info.not_before;
    g.not_after = info.not_after;
    g.chain_len = (uint16_t) der.len;
    memcpy(g.chain, der.p, der.len);
    assert_ok(authority_gen_append(&d, 0, &g, NULL));
    assert_ok(authority_gen_set_state(&d, 1, AUTH_ACTIVE, NULL));
    authority_doc_encode(&d, &payload);
    submit(w, AT_AUTHORITY, "ca", &payload);
    wr_free(&b);
}

/* Due for renewal as soon as it is there. */
static void make_cert(struct world *w, uint8_t mode)
{
    static struct cert_doc d;
    struct cert_gen g = { .authority_gen = 1, .created = clock_wall() };
    struct wr payload = wr_heap(1 << 17);
    memset(&d, 0, sizeof d);
    d.mode = mode;
    d.authority = name_of("ca");
    strcpy(d.subject, "CN=web");
    d.key_type = KEY_ED25519;
    d.validity_s = 86400;
    d.renew_before_s = 86399;
    d.strategy = name_of("quick");
    g.not_before = clock_wall();
    g.not_after.ms = g.not_before.ms + 86400000;
    if (mode != CERT_PER_NODE)
        memset(g.spki_hash.b, 3, 32);
    assert_ok(cert_gen_append(&d, 0, &g, NULL));
    assert_ok(cert_gen_activate_first(&d, NULL));
    cert_doc_encode(&d, &payload);
    submit(w, AT_CERT, "web", &payload);
}

/* ---- the agents ---- */

struct agents { uint32_t serving[NODES]; bool failed[NODES]; uint8_t most_opened; bool fail; uint64_t rollout; };

static void report(struct world *w, uint32_t ordinal, uint32_t serving, uint32_t tried, uint8_t result, uint64_t rollout)
{
    struct deploy_row d = { .type = AT_CERT, .serving_gen = serving, .tried_gen = tried, .result = result,
                            .rollout_id = rollout, .at = clock_wall(), .latency_ms = 20 };
    struct name web = name_of("web");
    struct wr b = wr_heap(1 << 16);
    struct call c;
    if (result == DEPLOY_FAILED)
        d.error_code = 1;
    wr_u8(&b, 1);
    wr_u8(&b, RC_REPORT);
    wr_u16(&b, 1);
    wr_u32(&b, ordinal);
    wr_name(&b, &web);
    deploy_row_encode(&d, &b);
    w->as_gateway = true;
    if (w->gateway)
        (void) world_call(w, MSG_PROPOSE, wr_slice(&b), &c, 5000);
    w->as_gateway = false;
    wr_free(&b);
}

static uint32_t wanted_gen(struct look *l, const struct cert_doc *cert, const struct rollout_doc *r, uint32_t ordinal)
{
    static struct node_row row;
    struct name web = name_of("web");
    struct node_view nv = { .region = name_of("home") };
    assert_ok(region_node_get(&l->region, ordinal, &row));
    node_id_text(nv.id_text, &row.id);
    nv.labels = &row.labels;
    nv.cohort = rollout_cohort(&crypto_ops_real, name_slice(&web), slice_str(nv.id_text));
    return cert_gen_for(cert, cert->rollout_id ? r : NULL, &web, &nv);
}

/* One look at the store, one report of each node that should serve something else. */
static void agents_turn(struct world *w, struct agents *a, struct cert_doc *cert, struct rollout_doc *r)
{
    struct look l;
    struct name web = name_of("web");
    uint32_t want[NODES];
    look_open(w, &l, "");
    assert_ok(attest_get_cert(&l.attest, &web, cert, NULL));
    memset(r, 0, sizeof *r);
    if (cert->rollout_id)
        a->rollout = cert->rollout_id;
    if (a->rollout == 0 || attest_get_rollout(&l.attest, a->rollout, r, NULL) != REEVE_OK)
        r->id = 0;
    for (uint32_t i = 0; i < NODES; i++)
        want[i] = wanted_gen(&l, cert, r, i);
    look_close(&l);
    assert_true(r->opened <= a->most_opened + 1);      /* no wave is skipped */
    if (r->opened > a->most_opened)
        a->most_opened = r->opened;
    for (uint32_t i = 0; i < NODES; i++) {
        bool fail = a->fail && want[i] == 2;
        if (want[i] == a->serving[i] || (fail && a->failed[i]))
            continue;
        report(w, i, a->serving[i], want[i], DEPLOY_TOLD, r->id);
        report(w, i, fail ? a->serving[i] : want[i], want[i], fail ? DEPLOY_FAILED : DEPLOY_DONE, r->id);
        a->failed[i] = fail;
        if (!fail)
            a->serving[i] = want[i];
    }
}

static void run_renewal(bool fail, uint8_t mode, bool kill_ring, enum rollout_state want_state)
{
    static struct cert_doc cert;
    static struct rollout_doc r;
    struct world w;
    struct agents a = { .fail = fail };
    int turn = 0;
    world_new(&w, CONF);
    make_token(&w);
    make_strategy(&w);
    enroll(&w);
    make_authority(&w);
    make_cert(&w, mode);
    int64_t end = world_ms() + 40000;
    do {
        if (world_ms() > end)
            fail_msg("rollout stands at state %s, %u waves opened", r.id ? rollout_state_name(r.state) : "none", r.opened);
        agents_turn(&w, &a, &cert, &r);
        world_turn(&w, 50);
        if (kill_ring && ++turn % 20 == 0) {
            world_kill(&w, W_RING);
            world_start(&w, W_RING);
            world_ready(&w);
        }
    } while (r.id == 0 || !rollout_state_terminal(r.state));
    assert_int_equal(r.state, want_state);
    assert_int_equal(cert.active_gen, want_state == RS_SUCCEEDED ? 2 : 1);
    assert_int_equal(r.fired_gate, fail ? 1 : 0);
    if (!fail)
        assert_int_equal(a.most_opened, 3);
    world_free(&w);
}

static void a_due_certificate_is_renewed_wave_by_wave(void **state)
{
    run_renewal(false, CERT_PER_NODE, false, RS_SUCCEEDED);
}

static void with_the_ring_killed_again_and_again_as_well(void **state)
{
    run_renewal(false, CERT_SHARED_REGION, true, RS_SUCCEEDED);
}

static void failing_nodes_send_the_rollout_back(void **state)
{
    run_renewal(true, CERT_PER_NODE, false, RS_ROLLED_BACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_due_certificate_is_renewed_wave_by_wave),
        cmocka_unit_test(with_the_ring_killed_again_and_again_as_well),
        cmocka_unit_test(failing_nodes_send_the_rollout_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
