/* test_agent.c - one agent and a gateway: what it does, what it refuses, what it remembers. */
#include "gate.h"

static struct stage g;

static int setup(void **state)
{
    gate_new(&g, 1);
    return 0;
}

static int setup_four(void **state)
{
    gate_new(&g, 4);
    return 0;
}

static int teardown(void **state)
{
    gate_free(&g);
    return 0;
}

static void start(uint8_t mode)
{
    gate_furnish(&g, mode);
    gate_agent(&g, NULL, true);
}

static bool in_service(struct stage *x)
{
    return x->installed_gen != 0 && x->report.result == 2;
}

static struct agent_cert_info web(void)
{
    struct agent_cert_info c;
    assert_true(agent_cert_at(g.a, 0, &c));
    return c;
}

/* ---- what it does ---- */

static void it_enrols_verifies_installs_and_reports(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    assert_true(agent_enrolled(g.a));
    assert_int_equal(g.installed_gen, 1);
    assert_string_equal(g.report_object, "web");
    assert_int_equal(g.report.serving_gen, 1);
    assert_int_equal(g.report.tried_gen, 1);
    assert_true(agent_stats(g.a)->verified >= 3);
    assert_int_equal(agent_freshness(g.a), AGENT_FRESH);
    assert_int_equal(web().freshness, AGENT_FRESH);
    gate_turns(&g, 20);
    assert_true(agent_settled(g.a));
}

static void a_shared_key_is_opened_and_compared(void **state)
{
    start(CERT_SHARED_REGION);
    assert_true(gate_until(&g, in_service));
    assert_int_equal(g.key_requests, 1);
    assert_int_equal(g.cert_requests, 0);
}

static void a_wave_that_does_not_contain_it_changes_nothing(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    gate_rollout(&g, 0);
    gate_rollout_step(&g, RS_RUNNING, 1);
    gate_push(&g);
    gate_turns(&g, 6000);
    assert_int_equal(g.installed_gen, 1);
    assert_int_equal(web().want, 1);
    assert_int_equal(web().wave, 2);
    gate_rollout_step(&g, RS_RUNNING, 2);
    g.report.result = 0;
    gate_push(&g);
    assert_true(gate_until(&g, in_service));
    assert_int_equal(g.installed_gen, 2);
    assert_int_equal(g.report.rollout_id, 50);
}

static void it_prepares_before_its_wave_and_installs_when_it_opens(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    gate_rollout(&g, COHORT_END);
    gate_push(&g);
    gate_turns(&g, 5000);
    assert_int_equal(g.cert_requests, 2);
    assert_int_equal(g.installed_gen, 1);
    gate_rollout_step(&g, RS_RUNNING, 1);
    gate_push(&g);
    gate_turns(&g, 20);
    assert_int_equal(g.installed_gen, 2);
    assert_int_equal(g.cert_requests, 2);
}

static void in_a_frozen_region_nothing_new_is_installed(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    gate_rollout(&g, COHORT_END);
    gate_rollout_step(&g, RS_RUNNING, 1);
    gate_region(&g, REGION_FROZEN);
    gate_push(&g);
    gate_turns(&g, 6000);
    assert_int_equal(g.installed_gen, 1);
    assert_int_equal(web().want, 1);
    gate_region(&g, REGION_OK);
    gate_push(&g);
    gate_turns(&g, 6000);
    assert_int_equal(g.installed_gen, 2);
}

static void a_frozen_region_still_goes_back(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    gate_rollout(&g, COHORT_END);
    gate_rollout_step(&g, RS_RUNNING, 1);
    gate_push(&g);
    gate_turns(&g, 6000);
    assert_int_equal(g.installed_gen, 2);
    gate_region(&g, REGION_FROZEN);
    gate_rollout_step(&g, RS_ROLLING_BACK, 1);
    gate_push(&g);
    gate_turns(&g, 6000);
    assert_int_equal(g.installed_gen, 1);
}

static void a_rollback_returns_to_what_was_served(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    struct hash32 first = g.installed_fp;
    gate_rollout(&g, COHORT_END);
    gate_rollout_step(&g, RS_RUNNING, 1);
    gate_push(&g);
    gate_turns(&g, 3000);
    assert_int_equal(g.installed_gen, 2);
    gate_rollout_step(&g, RS_ROLLING_BACK, 1);
    gate_push(&g);
    gate_turns(&g, 30);
    assert_int_equal(g.installed_gen, 1);
    assert_memory_equal(&g.installed_fp, &first, 32);
    assert_int_equal(g.report.result, 2);
    assert_int_equal(g.report.serving_gen, 1);
}

static void a_failed_installation_is_reported_and_tried_again(void **state)
{
    g.install_code = WE_RELOAD;
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, reported));
    assert_int_equal(g.report.result, 3);
    assert_int_equal(g.report.error_code, WE_RELOAD);
    assert_int_equal(g.report.serving_gen, 0);
    assert_int_equal(g.installs, 1);
    g.install_code = 0;
    assert_true(gate_until(&g, ready));
    gate_turns(&g, 10000);
    assert_int_equal(g.installs, 1);
    gate_jump(&g, 1000);
    for (int i = 0; i < 30 && g.installed_gen == 0; i++)
        gate_jump(&g, 800);
    assert_int_equal(g.installed_gen, 1);
}

static void an_installation_may_take_its_time(void **state)
{
    struct agent_install_result res = { 0 };
    struct name n = name_of("web");
    g.install_later = true;
    start(CERT_PER_NODE);
    gate_turns(&g, 3000);
    assert_int_equal(g.installs, 1);
    assert_int_equal(g.report.result, 1);
    agent_install_done(g.a, &n, 1, &res, g.now);
    gate_turns(&g, 20);
    assert_int_equal(g.report.result, 2);
    assert_true(g.report.latency_ms >= 1000);
}

/* ---- what it refuses ---- */

static void refuses(enum lie lie, enum reeve_err want)
{
    g.lie = lie;
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, refused));
    if (g.refused[want] == 0)
        for (int e = 0; e < REEVE_E__COUNT; e++)
            if (g.refused[e])
                fail_msg("refused with %s, not %s", reeve_err_name(e), reeve_err_name(want));
    gate_turns(&g, 5);
    assert_false(agent_enrolled(g.a));
    assert_int_equal(g.installs, 0);
    assert_int_equal(agent_phase(g.a), AP_WAITING);
    /* nothing that names the node has left */
    static const struct pubkey none;
    assert_memory_equal(&g.auth_frame.key, &none, 32);
    /* and with an honest gateway all is well again */
    g.lie = LIE_NOT;
    g.mutate = NULL;
    assert_true(gate_until(&g, in_service));
}

static void another_chain_is_refused(void **state) { refuses(LIE_GENESIS, REEVE_E_V_CHAIN); }
static void another_set_is_refused(void **state) { refuses(LIE_SET, REEVE_E_V_SET); }
static void a_gateway_without_the_regions_key_is_refused(void **state) { refuses(LIE_REGION_KEY, REEVE_E_V_REGION); }
static void a_proof_of_another_connection_is_refused(void **state) { refuses(LIE_EXPORTER, REEVE_E_V_REGION); }
static void an_expired_delegation_is_refused(void **state) { refuses(LIE_DELEGATION_OLD, REEVE_E_V_TIME); }
static void a_delegation_of_another_region_is_refused(void **state) { refuses(LIE_DELEGATION_REGION, REEVE_E_V_REGION); }
static void too_few_signatures_are_refused(void **state) { refuses(LIE_FEW, REEVE_E_V_QUORUM); }

static void flip_header(struct stage *x, uint8_t *b, size_t len) { b[1 + 1 + 200] ^= 1; }
static void flip_chain(struct stage *x, uint8_t *b, size_t len) { b[1 + 1] ^= 1; }
static void flip_signature(struct stage *x, uint8_t *b, size_t len) { b[1 + ATTEST_HEADER_LEN + 8 + 2 + 1 + 20] ^= 1; }
static void flip_proof(struct stage *x, uint8_t *b, size_t len) { b[len - 1] ^= 1; }

/* The leaf of the last object before its proof: found by the region's name in it. */
static void flip_leaf(struct stage *x, uint8_t *b, size_t len)
{
    uint8_t *at = memmem(b + 400, len - 400, "anna", 4);
    if (at != NULL)
        at[0] ^= 1;
}

static void an_altered_header_is_refused(void **state) { g.mutate = flip_header; refuses(LIE_NOT, REEVE_E_V_SIGNATURE); }
static void an_altered_chain_id_is_refused(void **state) { g.mutate = flip_chain; refuses(LIE_NOT, REEVE_E_V_CHAIN); }
static void an_altered_signature_is_refused(void **state) { g.mutate = flip_signature; refuses(LIE_NOT, REEVE_E_V_SIGNATURE); }
static void an_altered_leaf_is_refused(void **state) { g.mutate = flip_leaf; refuses(LIE_NOT, REEVE_E_V_MAP); }
static void an_altered_map_proof_is_refused(void **state) { g.mutate = flip_proof; refuses(LIE_NOT, REEVE_E_V_MAP); }

static void refused_after(void (*provoke)(void), enum reeve_err want)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    memset(g.refused, 0, sizeof g.refused);
    unsigned before = g.accepted;
    provoke();
    gate_turns(&g, 50);
    assert_true(g.refused[want] > 0);
    assert_int_equal(g.last_error, WE_VERIFY);
    assert_int_equal(g.installed_gen, 1);
    assert_int_equal(agent_stats(g.a)->losses, 1);
    assert_true(gate_until(&g, ready));
    assert_int_equal(g.accepted, before + 1);
}

static void push_reply_of_generation_two(void)
{
    struct wire_frame f = wire_frame_of(WF_CERT_REPLY);
    gate_rollout(&g, 0);
    gate_rollout_step(&g, RS_RUNNING, 1);
    gate_push(&g);
    gate_turns(&g, 5000);
    f.head.flags = WIRE_REQID;
    f.head.reqid = 999;
    f.u.cert_reply.object = slice_str("web");
    f.u.cert_reply.gen = 2;
    gate_send(&g, &f);
}

static void a_generation_no_wave_grants_is_refused(void **state) { refused_after(push_reply_of_generation_two, REEVE_E_V_COHORT); }

static void old_bundle(void)
{
    struct wire_frame f = wire_frame_of(WF_BUNDLE);
    struct wr b = wr_heap(1 << 20);
    assert_ok(attest_bundle(&g.w.a, 0, g.keys, g.n_keys, &b));
    gate_tick(&g);
    gate_turns(&g, 10);
    f.u.bundle.scope = 1;
    f.u.bundle.bundle = wr_slice(&b);
    gate_send(&g, &f);
    wr_free(&b);
}

static void an_older_header_is_refused(void **state) { refused_after(old_bundle, REEVE_E_V_HEIGHT); }

static void another_log(void)
{
    struct region_doc home = { .key = g.w.genesis.region[0].key, .state = REGION_FROZEN };
    block_of(&g.w, AT_REGION, "home", PAYLOAD(&g.w, region, &home));
    g.log_size = 1;
    gate_push(&g);
}

static void a_log_that_does_not_extend_the_known_one_is_refused(void **state) { refused_after(another_log, REEVE_E_V_CONSISTENCY); }

/* A cache that knows a later version than the gateway shows. */
static void a_version_that_is_not_newer_is_refused(void **state)
{
    struct agent_store *s = store_memory_new();
    uint8_t mem[70000];
    struct wr v = wr_fixed(mem, sizeof mem);
    struct attest_object o;
    struct name n = name_of("web");
    gate_furnish(&g, CERT_PER_NODE);
    assert_ok(attest_get(&g.w.a, AT_CERT, &n, &o));
    wr_u64(&v, 99);
    wr_bytes(&v, o.leaf.p, o.leaf.len);
    assert_ok(s->ops->put(s, slice_of("O\004web", 5), wr_slice(&v)));
    struct trust t = { .set = g.w.genesis.set };
    struct wr tw = wr_heap(1 << 18), set_doc = wr_heap(1 << 18);
    valset_encode(&g.w.genesis.set, &set_doc);
    valset_hash(&crypto_ops_real, &t.set_hash, wr_slice(&set_doc));
    genesis_chain_id(&crypto_ops_real, &t.chain_id, wr_slice(&g.w.genesis_doc));
    trust_encode(&t, &tw);
    assert_ok(s->ops->put(s, slice_of("T", 1), wr_slice(&tw)));
    uint8_t meta_mem[64];
    struct wr meta = wr_fixed(meta_mem, sizeof meta_mem);
    struct name home = name_of("home");
    wr_u8(&meta, 1);
    wr_u8(&meta, 1);
    wr_u32(&meta, 7);
    wr_name(&meta, &home);
    wr_u64(&meta, 0);
    wr_u64(&meta, 0);
    wr_str16(&meta, slice_of(NULL, 0));
    wr_u8(&meta, 0);
    assert_ok(s->ops->put(s, slice_of("M", 1), wr_slice(&meta)));
    g.known = true;
    gate_agent(&g, s, false);
    assert_true(gate_until(&g, refused));
    assert_int_equal(g.refused[REEVE_E_V_VERSION], 1);
    assert_int_equal(g.installs, 0);
    wr_free(&tw);
    wr_free(&set_doc);
}

static void rejects(uint8_t mode, enum lie lie, enum reeve_err want, unsigned code)
{
    g.lie = lie;
    start(mode);
    assert_true(gate_until(&g, reported));
    assert_int_equal(g.report.result, 4);
    assert_int_equal(g.report.error_code, code);
    assert_true(agent_stats(g.a)->refused[want] > 0);
    assert_int_equal(g.installs, 0);
}

static void a_certificate_of_another_key_is_rejected(void **state) { rejects(CERT_PER_NODE, LIE_OTHER_KEY, REEVE_E_V_KEY, WE_KEY_MISMATCH); }
static void a_certificate_beside_its_template_is_rejected(void **state) { rejects(CERT_PER_NODE, LIE_TEMPLATE, REEVE_E_INVALID_VALUE, WE_TEMPLATE); }
static void a_certificate_of_another_authority_is_rejected(void **state) { rejects(CERT_PER_NODE, LIE_CA, REEVE_E_V_SIGNATURE, WE_CHAIN); }
static void a_shared_key_that_is_not_the_attested_one_is_rejected(void **state) { rejects(CERT_SHARED_REGION, LIE_OTHER_KEY, REEVE_E_V_KEY, WE_KEY_MISMATCH); }
static void a_key_sealed_to_somebody_else_is_rejected(void **state) { rejects(CERT_SHARED_REGION, LIE_NO_SEAL, REEVE_E_V_KEY, WE_OPEN_KEY); }

static void garbage_ends_the_connection_and_nothing_else(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    wr_bytes(&g.out, "\x82\x00\x08\x00\x00", 5);
    gate_turns(&g, 20);
    assert_int_equal(agent_stats(g.a)->losses, 1);
    assert_int_equal(g.last_error, WE_MALFORMED);
    assert_true(gate_until(&g, ready));
    assert_int_equal(web().serving, 1);
}

static void a_revoked_node_stops_for_good(void **state)
{
    struct wire_frame f = wire_frame_of(WF_ERROR);
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    f.u.error.code = WE_REVOKED;
    gate_send(&g, &f);
    gate_turns(&g, 20);
    assert_int_equal(agent_phase(g.a), AP_HALTED);
    gate_jump(&g, 86400000);
    assert_int_equal(agent_phase(g.a), AP_HALTED);
    assert_int_equal(web().serving, 1);
}

static void its_own_revocation_is_believed_from_the_chain(void **state)
{
    struct node_doc d = { 1 };
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    char text[NODE_ID_TEXT_LEN + 1];
    node_id_text(text, &g.id.id);
    block_of(&g.w, AT_NODE, text, PAYLOAD(&g.w, node, &d));
    gate_follow(&g, AT_NODE, text);
    struct wr b = wr_heap(1 << 18);
    struct wire_frame f = wire_frame_of(WF_BUNDLE);
    assert_ok(attest_bundle(&g.w.a, g.log_size, &g.keys[g.n_keys - 1], 1, &b));
    f.u.bundle.scope = 3;
    f.u.bundle.bundle = wr_slice(&b);
    gate_send(&g, &f);
    wr_free(&b);
    gate_turns(&g, 20);
    assert_int_equal(agent_phase(g.a), AP_HALTED);
}

/* ---- when it comes back ---- */

static int64_t wait_ms(void)
{
    struct agent_info i;
    agent_info(g.a, &i);
    assert_int_equal(agent_phase(g.a), AP_WAITING);
    return i.retry_in_ms;
}

static void a_loss_is_followed_by_the_announced_window(void **state)
{
    int64_t most = 0;
    start(CERT_PER_NODE);
    for (int i = 0; i < 6; i++) {
        assert_true(gate_until(&g, ready));
        gate_turns(&g, 20);
        gate_cut(&g);
        gate_turns(&g, 3);
        int64_t w = agent_phase(g.a) == AP_WAITING ? wait_ms() : 0;     /* or on its way already */
        assert_true(w >= 0 && w <= 5000);
        most = w > most ? w : most;
    }
    assert_true(most > 200);
    assert_int_equal(agent_stats(g.a)->losses, 6);
}

static void attempts_spread_with_full_jitter_up_to_thirty_seconds(void **state)
{
    int64_t most = 0;
    start(CERT_PER_NODE);
    g.refuse_tcp = true;
    for (int i = 0; i < 14; i++) {
        for (int k = 0; k < 200 && agent_phase(g.a) != AP_WAITING; k++)
            gate_turns(&g, 1);
        int64_t w = wait_ms();
        int64_t top = i < 9 ? 100LL << i : 30000;
        assert_true(w <= (top > 30000 ? 30000 : top < 100 ? 100 : top));
        most = w > most ? w : most;
        gate_jump(&g, w);
    }
    assert_true(most > 2000);
    assert_true(g.accepted >= 13);
}

static void a_plaintext_retry_is_a_lower_bound(void **state)
{
    start(CERT_PER_NODE);
    g.plain_retry = true;
    for (int k = 0; k < 200 && g.accepted == 0; k++)
        gate_turns(&g, 1);
    gate_turns(&g, 3);
    assert_true(wait_ms() > 3900);
    assert_true(wait_ms() <= 5000);
}

static void retry_after_and_goaway_are_obeyed(void **state)
{
    struct wire_frame f = wire_frame_of(WF_RETRY_AFTER);
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    f.u.retry_after.after_ms = 50000;
    f.u.retry_after.spread_ms = 1000;
    gate_send(&g, &f);
    gate_turns(&g, 5);
    assert_true(wait_ms() > 49000);
    gate_jump(&g, 70000);
    assert_true(gate_until(&g, ready));
    f = wire_frame_of(WF_GOAWAY);
    f.u.goaway.reason = 1;
    f.u.goaway.not_before_ms = 20000;
    f.u.goaway.spread_ms = 10000;
    gate_send(&g, &f);
    gate_turns(&g, 10);
    assert_true(wait_ms() > 19000 && wait_ms() <= 30000);
}

static void a_session_is_resumed(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    gate_turns(&g, 1300);
    gate_cut(&g);
    gate_turns(&g, 3);
    assert_true(gate_until(&g, ready));
    assert_int_equal(g.resumed, 1);
    assert_int_equal(agent_stats(g.a)->resumed, 1);
}

static void a_silent_gateway_is_left(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    g.mute = true;
    gate_turns(&g, 3100);
    assert_int_equal(agent_stats(g.a)->losses, 1);
}

static void no_newer_header_for_three_intervals_is_stale(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    for (int i = 0; i < 190; i++) {
        assert_int_equal(agent_freshness(g.a), i < 179 ? AGENT_FRESH : agent_freshness(g.a));
        gate_jump(&g, 996);
        gate_turns(&g, 4);
    }
    assert_int_equal(agent_freshness(g.a), AGENT_STALE);
    g.w.now.ms = g.now.wall.ms;
    gate_tick(&g);
    gate_turns(&g, 20);
    assert_int_equal(agent_freshness(g.a), AGENT_FRESH);
}

static void a_certificate_past_its_end_is_expired(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    g.now.wall.ms += 91 * DAY_MS;
    gate_turns(&g, 1);
    assert_int_equal(agent_freshness(g.a), AGENT_EXPIRED);
}

/* ---- config ---- */

static void send_value(const char *key, uint32_t gen, uint8_t state, const char *text)
{
    uint8_t mem[1024];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct wire_frame f = wire_frame_of(WF_CONFIG);
    struct wire_value v = { .key = slice_str(key), .gen = gen, .state = state, .type = state == 3 ? 5 : 1, .value = slice_str(text) };
    assert_ok(wire_list_add(&w, &f.u.config.values, WG_VALUE, &v));
    wire_list_end(&w, &f.u.config.values);
    f.u.config.kind = 1;
    f.u.config.epoch = 1;
    f.u.config.revision = 2;
    gate_send(&g, &f);
    gate_turns(&g, 10);
}

static enum reeve_err get(const char *key, struct agent_value *v)
{
    struct name n = name_of(key);
    return agent_config_get(g.a, &n, v);
}

static void regional_values_come_and_go(void **state)
{
    struct agent_value v;
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    send_value("http/max", 1, 1, "100");
    assert_ok(get("http/max", &v));
    assert_true(slice_eq(v.value, slice_str("100")));
    send_value("http/max", 0, 3, "");
    assert_err(get("http/max", &v), REEVE_E_NOT_FOUND);
}

static void an_attested_value_needs_its_digest(void **state)
{
    struct agent_value v;
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    send_value("security/tls", 1, 1, "1.3");
    assert_err(get("security/tls", &v), REEVE_E_V_LEAF);    /* no object stands for it */
    gate_config(&g, "security/tls", "1.3");
    gate_push(&g);
    gate_turns(&g, 10);
    assert_ok(get("security/tls", &v));
    assert_string_equal(g.report_object, "security/tls");
    assert_int_equal(g.report.result, 2);
    send_value("security/tls", 1, 1, "1.0");
    assert_err(get("security/tls", &v), REEVE_E_V_LEAF);
}

/* ---- what may change while it runs ---- */

static bool change(struct agent_options o)
{
    struct report rep;
    bool dropped;
    report_clear(&rep);
    if (o.endpoints == NULL)
        o.endpoints = g.endpoint;
    assert_ok(agent_change(g.a, &o, g.now, &dropped, &rep));
    return dropped;
}

static void values_unconfirmed_past_their_ttl_are_expired(void **state)
{
    struct agent_value v;
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    send_value("http/max", 1, 1, "100");
    assert_false(change((struct agent_options){ .config_ttl_ms = 60000 }));
    gate_jump(&g, 25000);
    assert_ok(get("http/max", &v));
    assert_int_equal(v.freshness, AGENT_FRESH);
    g.refuse_tcp = true;
    gate_cut(&g);
    gate_turns(&g, 5);
    gate_jump(&g, 20000);
    assert_ok(get("http/max", &v));
    assert_int_not_equal(v.freshness, AGENT_EXPIRED);
    assert_int_not_equal(agent_freshness(g.a), AGENT_EXPIRED);
    gate_jump(&g, 50000);
    assert_ok(get("http/max", &v));
    assert_int_equal(v.freshness, AGENT_EXPIRED);
    assert_int_equal(agent_freshness(g.a), AGENT_EXPIRED);
    assert_true(slice_eq(v.value, slice_str("100")));       /* and is still what there is */
}

static void a_connection_to_a_server_still_listed_stays(void **state)
{
    char more[64];
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    snprintf(more, sizeof more, "127.0.0.1:9,%s", g.endpoint);
    assert_false(change((struct agent_options){ .endpoints = more }));
    gate_turns(&g, 50);
    assert_true(ready(&g));
    assert_int_equal(agent_stats(g.a)->connects, 1);
}

static void a_server_no_longer_listed_is_left_within_the_window(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    assert_true(change((struct agent_options){ .endpoints = "127.0.0.1:9" }));
    assert_int_equal(agent_phase(g.a), AP_WAITING);
    assert_true(wait_ms() <= 30000);
    assert_false(change((struct agent_options){ 0 }));
    assert_true(gate_until(&g, ready));
    assert_int_equal(agent_stats(g.a)->losses, 0);
}

static void another_identity_means_another_connection(void **state)
{
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    assert_int_equal(g.auth_frame.mode, 1);
    assert_true(change((struct agent_options){ .mtls = true }));
    gate_turns(&g, 5);
    assert_true(gate_until(&g, ready));
    assert_int_equal(g.auth_frame.mode, 2);
}

static void one_wrong_value_changes_nothing(void **state)
{
    struct report rep;
    bool dropped;
    start(CERT_PER_NODE);
    assert_true(gate_until(&g, in_service));
    report_clear(&rep);
    const struct agent_options o = { .endpoints = "127.0.0.1:9,nonsense", .mtls = true };
    assert_err(agent_change(g.a, &o, g.now, &dropped, &rep), REEVE_E_INVALID_TEXT);
    gate_turns(&g, 50);
    assert_true(ready(&g));
    assert_int_equal(agent_stats(g.a)->connects, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define T4(f) cmocka_unit_test_setup_teardown(f, setup_four, teardown)
    const struct CMUnitTest tests[] = {
        T(it_enrols_verifies_installs_and_reports), T4(it_enrols_verifies_installs_and_reports),
        T(a_shared_key_is_opened_and_compared),
        T(a_wave_that_does_not_contain_it_changes_nothing),
        T(it_prepares_before_its_wave_and_installs_when_it_opens),
        T(in_a_frozen_region_nothing_new_is_installed),
        T(a_frozen_region_still_goes_back),
        T(a_rollback_returns_to_what_was_served),
        T(a_failed_installation_is_reported_and_tried_again),
        T(an_installation_may_take_its_time),
        T(another_chain_is_refused), T(another_set_is_refused),
        T(a_gateway_without_the_regions_key_is_refused), T(a_proof_of_another_connection_is_refused),
        T(an_expired_delegation_is_refused), T(a_delegation_of_another_region_is_refused),
        T4(too_few_signatures_are_refused),
        T(an_altered_header_is_refused), T(an_altered_chain_id_is_refused), T(an_altered_signature_is_refused),
        T(an_altered_leaf_is_refused), T(an_altered_map_proof_is_refused),
        T(a_generation_no_wave_grants_is_refused), T(an_older_header_is_refused),
        T(a_log_that_does_not_extend_the_known_one_is_refused), T(a_version_that_is_not_newer_is_refused),
        T(a_certificate_of_another_key_is_rejected), T(a_certificate_beside_its_template_is_rejected),
        T(a_certificate_of_another_authority_is_rejected),
        T(a_shared_key_that_is_not_the_attested_one_is_rejected), T(a_key_sealed_to_somebody_else_is_rejected),
        T(garbage_ends_the_connection_and_nothing_else),
        T(a_revoked_node_stops_for_good), T(its_own_revocation_is_believed_from_the_chain),
        T(a_loss_is_followed_by_the_announced_window), T(attempts_spread_with_full_jitter_up_to_thirty_seconds),
        T(a_plaintext_retry_is_a_lower_bound), T(retry_after_and_goaway_are_obeyed),
        T(a_session_is_resumed), T(a_silent_gateway_is_left),
        T(no_newer_header_for_three_intervals_is_stale), T(a_certificate_past_its_end_is_expired),
        T(values_unconfirmed_past_their_ttl_are_expired), T(a_connection_to_a_server_still_listed_stays),
        T(a_server_no_longer_listed_is_left_within_the_window), T(another_identity_means_another_connection),
        T(one_wrong_value_changes_nothing),
        T(regional_values_come_and_go), T(an_attested_value_needs_its_digest),
    };
    return cmocka_run_group_tests_name("libreeve_agent", tests, NULL, NULL);
}
