/* test_rules.c - what attest_check refuses, each beside the nearest list that is accepted. */
#include "world.h"

static struct world w;
static struct cert_doc cert;
static struct authority_doc authority;
static struct config_doc config;
static struct rollout_doc roll;
static struct update_set set;

static int setup(void **state)
{
    world_new(&w, 1);
    world_furnish(&w);
    return 0;
}

static int setup_four(void **state)
{
    world_new(&w, 4);
    world_furnish(&w);
    return 0;
}

static int teardown(void **state)
{
    world_free(&w);
    return 0;
}

static struct update prepared(enum attest_type type, const char *object, struct slice payload)
{
    struct update u;
    struct name n = name_of(object);
    assert_ok(update_prepare(&w.a, type, &n, payload, &u));
    return u;
}

static enum reeve_err check_update(struct update u)
{
    struct slice leaf = leaf_of(&w, u);
    return check(&w, &leaf, 1);
}

static enum reeve_err check_of(enum attest_type type, const char *object, struct slice payload)
{
    return check_update(prepared(type, object, payload));
}

static void get_web(void)
{
    struct name web = name_of("web");
    assert_ok(attest_get_cert(&w.a, &web, &cert, NULL));
}

static void get_ca(void)
{
    struct name ca = name_of("ca");
    assert_ok(attest_get_authority(&w.a, &ca, &authority, NULL));
}

#define CERT() check_of(AT_CERT, "web", PAYLOAD(&w, cert, &cert))
#define CA()   check_of(AT_AUTHORITY, "ca", PAYLOAD(&w, authority, &authority))

static void begin_set(uint64_t id, uint32_t to)
{
    struct rollout_change change = { .fresh = true, .cert = cert_gen_sample(w.now) };
    rollout_doc_sample(&roll, id, AT_CERT, "web", 1, to);
    assert_ok(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep));
}

static void begin(uint64_t id, uint32_t to)
{
    begin_set(id, to);
    block_of_set(&w, &set);
}

static void step_set(uint64_t id, uint8_t to, uint8_t opened)
{
    assert_ok(attest_get_rollout(&w.a, id, &roll, NULL));
    roll.state = to;
    roll.opened = opened;
    w.now.ms += 20000;
    assert_ok(attest_rollout_step(&w.a, &roll, &w.mem, &set, &w.rep));
}

static void freeze(void)
{
    struct region_doc d = { .key = w.genesis.region[0].key, .state = REGION_FROZEN };
    block_of(&w, AT_REGION, "home", PAYLOAD(&w, region, &d));
}

/* ---- every update ---- */

static void an_update_needs_its_regions_signature(void **state)
{
    struct wr m;
    get_web();
    cert.renew_before_s++;
    struct update u = prepared(AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    u.region = name_of("home"), u.actor = name_of("anna");
    struct slice leaf = leaf_signed(&w, &u, 1, &m);
    assert_err(check(&w, &leaf, 1), REEVE_E_V_SIGNATURE);
    wr_free(&m);
    leaf = leaf_signed(&w, &u, 0, &m);
    assert_ok(check(&w, &leaf, 1));
    m.p[m.len - 1] ^= 1;
    assert_err(check(&w, &leaf, 1), REEVE_E_V_SIGNATURE);
    m.p[m.len - 1] ^= 1;
    m.p[m.len - 70] ^= 1;
    assert_int_not_equal(check(&w, &leaf, 1), REEVE_OK);
    wr_free(&m);
    u.region = name_of("nowhere");
    leaf = leaf_signed(&w, &u, 0, &m);
    assert_err(check(&w, &leaf, 1), REEVE_E_UNDEFINED_OBJECT);
    wr_free(&m);
}

static void a_signature_for_another_chain_is_worth_nothing(void **state)
{
    struct world other;
    struct slice leaf;
    world_new(&other, 1);
    get_web();
    cert.renew_before_s++;
    struct update u = prepared(AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    u.region = name_of("home"), u.actor = name_of("anna");
    other.genesis.nonce[0] = 1;
    world_free(&other);
    /* the same keys, another genesis */
    world_new(&other, 2);
    struct wr m;
    leaf = leaf_signed(&other, &u, 0, &m);
    assert_err(check(&w, &leaf, 1), REEVE_E_V_SIGNATURE);
    wr_free(&m);
    sim_kv_free(other.store);
    free(other.a.scratch);
    wr_free(&other.genesis_doc);
    wr_free(&other.mem);
}

static void a_stale_version_is_a_conflict(void **state)
{
    get_web();
    cert.renew_before_s++;
    struct update u = prepared(AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    struct slice two[2] = { leaf_of(&w, u), leaf_of(&w, u) };
    assert_err(check(&w, two, 2), REEVE_E_CONFLICT);
    assert_ok(check(&w, two, 1));
    u.version++;
    assert_err(check_update(u), REEVE_E_CONFLICT);
    u.version--;
    u.prev.b[0] ^= 1;
    assert_err(check_update(u), REEVE_E_CONFLICT);
}

static void an_object_belongs_to_the_region_that_made_it(void **state)
{
    get_web();
    cert.renew_before_s++;
    struct update u = prepared(AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    u.region = name_of("away");
    assert_err(check_update(u), REEVE_E_V_UPDATE);
    u.region = name_of("home");
    assert_ok(check_update(u));
}

static void an_update_that_changes_nothing_is_refused(void **state)
{
    get_web();
    assert_err(CERT(), REEVE_E_V_UPDATE);
}

static void time_must_go_on(void **state)
{
    assert_err(attest_check(&w.a, NULL, 0, w.now, NULL), REEVE_E_V_TIME);
    assert_ok(attest_check(&w.a, NULL, 0, (struct wall_ms){ w.now.ms + 1 }, NULL));
}

static void a_set_of_validators_that_cannot_be_read_is_refused(void **state)
{
    assert_err(check_of(AT_VALSET, "validators", slice_str("x")), REEVE_E_MALFORMED);
}

/* ---- regions, classes, nodes ---- */

static void a_region_begins_as_genesis_lists_it_and_rotates_under_its_old_key(void **state)
{
    struct region_doc d = { .key = w.genesis.region[0].key, .state = REGION_OK };
    struct update u = prepared(AT_REGION, "away", PAYLOAD(&w, region, &d));
    u.region = name_of("away");
    assert_err(check_update(u), REEVE_E_V_UPDATE);      /* another key */
    d.key = w.genesis.region[1].key;
    u.payload = PAYLOAD(&w, region, &d);
    assert_ok(check_update(u));
    u.region = name_of("home");
    assert_err(check_update(u), REEVE_E_V_UPDATE);      /* by somebody else */
    /* rotation, and after it the new key alone signs */
    d.key = w.genesis.region[1].key;
    block_of(&w, AT_REGION, "home", PAYLOAD(&w, region, &d));
    get_web();
    cert.renew_before_s++;
    assert_err(CERT(), REEVE_E_V_SIGNATURE);
    w.region[0] = w.region[1];
    assert_ok(CERT());
}

static void a_members_key_signs_for_its_region_but_not_who_else_does(void **state)
{
    struct region_doc d = { .key = w.genesis.region[0].key, .state = REGION_OK, .n_members = 1 };
    struct wr m, m2;
    d.member[0] = (struct region_member){ 2, w.genesis.region[1].key, { { 1 } } };
    block_of(&w, AT_REGION, "home", PAYLOAD(&w, region, &d));
    get_web();
    cert.renew_before_s++;
    struct update u = prepared(AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    u.region = name_of("home"), u.actor = name_of("anna");
    struct slice leaf = leaf_signed(&w, &u, 1, &m);
    assert_ok(check(&w, &leaf, 1));
    d.member[0].seal_key.b[0]++;
    assert_err(check_of(AT_REGION, "home", PAYLOAD(&w, region, &d)), REEVE_E_V_UPDATE);     /* its keys are for its life */
    d.member[0].id = 3;
    u = prepared(AT_REGION, "home", PAYLOAD(&w, region, &d));
    u.region = name_of("home"), u.actor = name_of("anna");
    leaf = leaf_signed(&w, &u, 1, &m2);
    assert_err(check(&w, &leaf, 1), REEVE_E_V_SIGNATURE);
    assert_ok(check_of(AT_REGION, "home", PAYLOAD(&w, region, &d)));
    wr_free(&m);
    wr_free(&m2);
}

static void a_frozen_region_may_only_brake_and_thaw(void **state)
{
    begin(41, 2);
    freeze();
    struct region_doc thaw = { .key = w.genesis.region[0].key, .state = REGION_OK }, other = { .key = w.genesis.region[1].key, .state = REGION_OK };
    get_web();
    assert_err(check_of(AT_CLASS, "app/", PAYLOAD(&w, class, (&(struct class_doc){ 1 }))), REEVE_E_REGION_FROZEN);
    step_set(41, RS_RUNNING, 1);
    assert_err(check_set(&w, &set), REEVE_E_REGION_FROZEN);
    step_set(41, RS_PAUSED, 0);
    assert_ok(check_set(&w, &set));
    step_set(41, RS_CANCELED, 0);
    assert_ok(check_set(&w, &set));
    step_set(41, RS_ROLLING_BACK, 0);
    assert_ok(check_set(&w, &set));
    assert_err(check_of(AT_REGION, "home", PAYLOAD(&w, region, &other)), REEVE_E_REGION_FROZEN);
    assert_ok(check_of(AT_REGION, "home", PAYLOAD(&w, region, &thaw)));
}

static void security_keys_stay_attested(void **state)
{
    bool yes;
    struct name key = name_of("security/tls"), app = name_of("app/x/y");
    assert_err(check_of(AT_CLASS, "security/", PAYLOAD(&w, class, (&(struct class_doc){ 0 }))), REEVE_E_V_UPDATE);
    assert_err(check_of(AT_CLASS, "security/tls", PAYLOAD(&w, class, (&(struct class_doc){ 0 }))), REEVE_E_V_UPDATE);
    block_of(&w, AT_CLASS, "app/", PAYLOAD(&w, class, (&(struct class_doc){ 1 })));
    assert_ok(attest_key_class(&w.a, &key, &yes));
    assert_true(yes);
    assert_ok(attest_key_class(&w.a, &app, &yes));
    assert_true(yes);
    block_of(&w, AT_CLASS, "app/x/", PAYLOAD(&w, class, (&(struct class_doc){ 0 })));     /* the longer prefix decides */
    assert_ok(attest_key_class(&w.a, &app, &yes));
    assert_false(yes);
    block_of(&w, AT_CLASS, "app/x/", slice_of(NULL, 0));
    assert_ok(attest_key_class(&w.a, &app, &yes));
    assert_true(yes);
}

static void a_node_is_revoked_once_and_by_anybody(void **state)
{
    const char *id = "n-00000000000000000000000000000001";
    struct update u = prepared(AT_NODE, id, slice_of("\1\1", 2));
    u.region = name_of("away");
    assert_ok(check_update(u));
    assert_err(check_of(AT_NODE, id, slice_of("\1\0", 2)), REEVE_E_MALFORMED);
    block_of(&w, AT_NODE, id, slice_of("\1\1", 2));
    assert_err(check_of(AT_NODE, id, slice_of("\1\1", 2)), REEVE_E_V_UPDATE);
    assert_err(check_of(AT_NODE, id, slice_of(NULL, 0)), REEVE_E_V_UPDATE);
}

/* ---- authorities ---- */

static void a_generation_of_an_authority_moves_along_its_edges(void **state)
{
    get_ca();
    authority.g[0].state = AUTH_PREPARED;
    assert_err(CA(), REEVE_E_V_UPDATE);
    authority.g[0].state = AUTH_REVOKED;
    assert_err(CA(), REEVE_E_V_UPDATE);
    authority.g[0].state = AUTH_TAINTED;
    assert_ok(CA());
    block_of(&w, AT_AUTHORITY, "ca", PAYLOAD(&w, authority, &authority));
    authority.g[0].state = AUTH_ACTIVE;
    assert_err(CA(), REEVE_E_V_UPDATE);
    authority.g[0].state = AUTH_REVOKED;
    assert_ok(CA());
}

static void a_generation_of_an_authority_keeps_key_and_chain(void **state)
{
    get_ca();
    authority.g[0].spki_hash.b[0] ^= 1;
    assert_err(CA(), REEVE_E_V_KEY);
    authority.g[0].spki_hash.b[0] ^= 1;
    authority.g[0].chain[0] ^= 1;
    assert_err(CA(), REEVE_E_V_UPDATE);
    authority.g[0].chain[0] ^= 1;
    authority.n = 0;
    assert_err(CA(), REEVE_E_V_UPDATE);
    authority.n = 1;
    authority.external = 1;
    assert_err(CA(), REEVE_E_V_UPDATE);
    authority.external = 0;
    authority.ttl_s++;
    assert_ok(CA());
}

static void a_pending_request_waits_for_a_chain_for_its_own_key(void **state)
{
    get_ca();
    struct authority_gen g = { .state = AUTH_PENDING, .key_type = 1, .created = w.now };
    memset(g.spki_hash.b, 8, 32);
    assert_ok(authority_gen_append(&authority, 1, &g, NULL));
    assert_int_equal(g.gen, 2);
    block_of(&w, AT_AUTHORITY, "ca", PAYLOAD(&w, authority, &authority));
    assert_err(authority_gen_set_state(&authority, 2, AUTH_PREPARED, NULL), REEVE_E_WRONG_STATE);
    assert_ok(authority_chain_set(&authority, 2, w.now, (struct wall_ms){ w.now.ms + DAY_MS }, slice_str("der"), NULL));
    assert_ok(CA());
    authority.g[1].spki_hash.b[0] ^= 1;
    assert_err(CA(), REEVE_E_V_KEY);
    authority.g[1].spki_hash.b[0] ^= 1;
    block_of(&w, AT_AUTHORITY, "ca", PAYLOAD(&w, authority, &authority));
    assert_ok(authority_gen_set_state(&authority, 2, AUTH_ACTIVE, NULL));
    assert_int_equal(authority.g[0].state, AUTH_TAINTED);
    assert_ok(CA());
}

static void generations_of_an_authority_come_one_at_a_time_with_the_next_number(void **state)
{
    get_ca();
    authority.g[1] = authority.g[0];
    authority.g[1].state = AUTH_PREPARED;
    authority.g[1].gen = 3;
    authority.n = 2;
    assert_err(CA(), REEVE_E_V_UPDATE);
    authority.g[1].gen = 2;
    assert_ok(CA());
    authority.g[2] = authority.g[1];
    authority.g[2].gen = 3;
    authority.n = 3;
    assert_err(CA(), REEVE_E_V_UPDATE);
}

static void an_authority_that_is_named_cannot_be_deleted(void **state)
{
    struct slice gone = slice_of(NULL, 0), two[2];
    assert_err(check_of(AT_AUTHORITY, "ca", gone), REEVE_E_DEPENDENT);
    two[0] = leaf_for(&w, AT_CERT, "web", gone);
    two[1] = leaf_for(&w, AT_AUTHORITY, "ca", gone);
    assert_ok(check(&w, two, 2));
    /* and not under a certificate that comes in the same list */
    block(&w, two, 1);
    assert_ok(check_of(AT_AUTHORITY, "ca", gone));
    cert_doc_sample(&cert, "ca");
    two[0] = leaf_for(&w, AT_CERT, "api", PAYLOAD(&w, cert, &cert));
    two[1] = leaf_for(&w, AT_AUTHORITY, "ca", gone);
    assert_err(check(&w, two, 2), REEVE_E_DEPENDENT);
}

/* ---- certificates ---- */

static void a_certificate_needs_an_authority(void **state)
{
    cert_doc_sample(&cert, "none");
    assert_err(check_of(AT_CERT, "api", PAYLOAD(&w, cert, &cert)), REEVE_E_UNDEFINED_OBJECT);
    cert_doc_sample(&cert, "ca");
    assert_ok(check_of(AT_CERT, "api", PAYLOAD(&w, cert, &cert)));
    cert.rollout_id = 4;
    assert_err(check_of(AT_CERT, "api", PAYLOAD(&w, cert, &cert)), REEVE_E_V_UPDATE);
}

static void a_generation_must_be_issuable(void **state)
{
    struct cert_gen g = cert_gen_sample(w.now);
    get_web();
    g.authority_gen = 2;
    assert_ok(cert_gen_append(&cert, 1, &g, NULL));
    assert_err(CERT(), REEVE_E_V_UPDATE);
    cert.g[1].authority_gen = 1;
    assert_ok(CERT());
    cert.g[1].not_after.ms = w.now.ms + 800 * DAY_MS;
    assert_err(CERT(), REEVE_E_V_UPDATE);           /* outlives its authority */
    cert.g[1].not_after.ms = w.now.ms + 1000;
    cert.g[1].not_before.ms = w.now.ms - 1000;
    assert_err(CERT(), REEVE_E_V_EXPIRED);
    cert.g[1].not_after.ms = w.now.ms + 1001;
    assert_ok(CERT());
    cert.g[1].gen = 3;
    assert_err(CERT(), REEVE_E_V_UPDATE);           /* a number left out */
    get_ca();
    assert_ok(authority_gen_set_state(&authority, 1, AUTH_TAINTED, NULL));
    block_of(&w, AT_AUTHORITY, "ca", PAYLOAD(&w, authority, &authority));
    cert.g[1].gen = 2;
    assert_err(CERT(), REEVE_E_V_UPDATE);           /* issuer no longer active */
}

static void only_a_rollout_moves_what_nodes_serve(void **state)
{
    struct cert_gen g = cert_gen_sample(w.now);
    get_web();
    assert_ok(cert_gen_append(&cert, 1, &g, NULL));
    block_of(&w, AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    cert.active_gen = 2;
    cert.g[0].state = GEN_RETIRED;
    cert.g[1].state = GEN_ACTIVE;
    assert_err(CERT(), REEVE_E_V_UPDATE);
    get_web();
    cert.n_rules = 1;
    cert.rule[0].gen = 2;
    cert.g[1].state = GEN_ACTIVE;
    assert_err(CERT(), REEVE_E_V_UPDATE);
    get_web();
    cert.rollout_id = 9;
    assert_err(CERT(), REEVE_E_V_UPDATE);
    get_web();
    cert.mode = CERT_SHARED_REGION;
    cert.g[0].spki_hash.b[0] = cert.g[1].spki_hash.b[0] = 1;
    assert_err(CERT(), REEVE_E_V_UPDATE);
}

static void nothing_but_a_revocation_happens_during_a_rollout(void **state)
{
    begin(41, 2);
    get_web();
    cert.renew_before_s++;
    assert_err(CERT(), REEVE_E_ROLLOUT_RUNNING);
    assert_err(check_of(AT_CERT, "web", slice_of(NULL, 0)), REEVE_E_ROLLOUT_RUNNING);
    get_web();
    assert_ok(cert_gen_revoke(&cert, 2, 0, NULL));
    assert_ok(CERT());
}

static void a_revoked_active_generation_gives_way_to_a_good_one_or_none(void **state)
{
    begin(41, 2);
    step_set(41, RS_RUNNING, 1), block_of_set(&w, &set);
    step_set(41, RS_RUNNING, 2), block_of_set(&w, &set);
    step_set(41, RS_SUCCEEDED, 2), block_of_set(&w, &set);
    get_web();
    assert_int_equal(cert_gen_fallback(&cert, 2, w.now), 1);
    assert_err(cert_gen_revoke(&cert, 2, 2, NULL), REEVE_E_INVALID_VALUE);
    assert_ok(cert_gen_revoke(&cert, 2, 1, NULL));
    assert_ok(CERT());
    block_of(&w, AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    /* never un-revoked */
    cert.g[1].state = GEN_RETIRED;
    assert_err(CERT(), REEVE_E_V_UPDATE);
    get_web();
    assert_ok(cert_gen_revoke(&cert, 1, 0, NULL));
    assert_ok(CERT());
    assert_int_equal(cert.active_gen, 0);
    /* an expired one may not take its place */
    get_web();
    w.now.ms += 91 * DAY_MS;
    assert_int_equal(cert_gen_fallback(&cert, 2, w.now), 0);
}

static void a_deleted_certificate_never_reuses_its_numbers(void **state)
{
    struct cert_gen g = cert_gen_sample(w.now);
    block_of(&w, AT_CERT, "web", slice_of(NULL, 0));
    assert_err(check_of(AT_CERT, "nothing", slice_str("x")), REEVE_E_MALFORMED);
    cert_doc_sample(&cert, "ca");
    assert_ok(cert_gen_append(&cert, 0, &g, NULL));
    assert_err(CERT(), REEVE_E_V_UPDATE);
    cert_doc_sample(&cert, "ca");
    assert_ok(cert_gen_append(&cert, 1, &g, NULL));
    assert_ok(CERT());
}

static void a_full_list_forgets_the_oldest_spent_generation(void **state)
{
    struct cert_gen g = cert_gen_sample(w.now);
    get_web();
    for (uint32_t i = 2; i <= CERT_GENS_MAX; i++) {
        assert_ok(cert_gen_append(&cert, i - 1, &g, NULL));
        block_of(&w, AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    }
    assert_err(cert_gen_append(&cert, CERT_GENS_MAX, &g, NULL), REEVE_E_TOO_COMPLEX);
    assert_ok(cert_gen_revoke(&cert, 5, 0, NULL));
    block_of(&w, AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    assert_ok(cert_gen_append(&cert, CERT_GENS_MAX, &g, NULL));
    assert_null(cert_gen_find(&cert, 5));
    assert_ok(CERT());
    block_of(&w, AT_CERT, "web", PAYLOAD(&w, cert, &cert));
}

/* ---- rollouts ---- */

static void a_rollout_and_its_target_come_together(void **state)
{
    struct slice leaf[2];
    begin_set(41, 2);
    leaf[0] = leaf_of(&w, set.u[0]);
    leaf[1] = leaf_of(&w, set.u[1]);
    assert_err(check(&w, leaf, 1), REEVE_E_V_UPDATE);
    assert_err(check(&w, leaf + 1, 1), REEVE_E_V_UPDATE);
    struct slice swapped[2] = { leaf[1], leaf[0] };
    assert_err(check(&w, swapped, 2), REEVE_E_V_UPDATE);
    assert_ok(check(&w, leaf, 2));
    /* something else between them */
    struct slice three[3] = { leaf[0], leaf_for(&w, AT_CLASS, "app/", PAYLOAD(&w, class, (&(struct class_doc){ 1 }))), leaf[1] };
    assert_err(check(&w, three, 3), REEVE_E_V_UPDATE);
    struct slice after[3] = { leaf[0], leaf[1], three[1] };
    assert_ok(check(&w, after, 3));
}

static void an_object_has_one_rollout_at_a_time(void **state)
{
    struct rollout_change change = { .fresh = false };
    begin(41, 2);
    rollout_doc_sample(&roll, 42, AT_CERT, "web", 1, 2);
    assert_err(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep), REEVE_E_ROLLOUT_RUNNING);
}

static void a_plan_from_another_generation_is_stale(void **state)
{
    struct rollout_change change = { .fresh = true, .cert = cert_gen_sample(w.now) };
    w.rep.code = 0;
    rollout_doc_sample(&roll, 42, AT_CERT, "web", 7, 2);
    assert_err(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep), REEVE_E_PLAN_STALE);
}

static void waves_last(int64_t bake_ms)
{
    begin(41, 2);
    step_set(41, RS_RUNNING, 2);
    assert_err(check_set(&w, &set), REEVE_E_V_UPDATE);
    step_set(41, RS_RUNNING, 1);
    block_of_set(&w, &set);
    step_set(41, RS_RUNNING, 2);
    w.now.ms -= 20000;                                  /* a second after the wave was opened */
    w.now.ms += bake_ms - 1001;
    assert_err(check_set(&w, &set), REEVE_E_V_UPDATE);
    w.now.ms += 1;
    assert_ok(check_set(&w, &set));
}

static void waves_cannot_be_skipped_or_rushed(void **state)
{
    waves_last(3000);                                   /* one clock: the bake as it was asked for */
}

static void among_several_clocks_a_bake_is_longer_by_twice_their_skew(void **state)
{
    waves_last(3000 + 2 * ATTEST_MAX_SKEW_MS);
}

static void a_pause_does_not_reset_the_wave_clock(void **state)
{
    struct attest_object o;
    struct name id = name_of("41");
    begin(41, 2);
    step_set(41, RS_RUNNING, 1), block_of_set(&w, &set);
    struct wall_ms opened = w.now;
    step_set(41, RS_PAUSED, 1), block_of_set(&w, &set);
    assert_ok(attest_get(&w.a, AT_ROLLOUT, &id, &o));
    assert_int_equal(o.aux_time.ms, opened.ms);
    assert_true(o.time.ms > opened.ms);
}

static void the_end_must_be_exactly_what_the_plan_makes_of_it(void **state)
{
    struct slice leaf[2];
    begin(41, 2);
    step_set(41, RS_RUNNING, 1), block_of_set(&w, &set);
    step_set(41, RS_CANCELED, 1);
    leaf[0] = leaf_of(&w, set.u[0]);
    leaf[1] = leaf_of(&w, set.u[1]);
    assert_ok(check(&w, leaf, 2));
    get_web();
    cert.rollout_id = 0;                                /* forgets to withdraw */
    leaf[1] = leaf_for(&w, AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    assert_err(check(&w, leaf, 2), REEVE_E_V_UPDATE);
    cert.active_gen = 2;                                /* or keeps what was canceled */
    cert.g[0].state = GEN_RETIRED;
    cert.g[1].state = GEN_ACTIVE;
    leaf[1] = leaf_for(&w, AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    assert_err(check(&w, leaf, 2), REEVE_E_V_UPDATE);
    assert_err(check(&w, leaf, 1), REEVE_E_V_UPDATE);
}

static void a_generation_revoked_meanwhile_cannot_succeed(void **state)
{
    begin(41, 2);
    step_set(41, RS_RUNNING, 1), block_of_set(&w, &set);
    step_set(41, RS_RUNNING, 2), block_of_set(&w, &set);
    get_web();
    assert_ok(cert_gen_revoke(&cert, 2, 0, NULL));
    block_of(&w, AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    assert_ok(attest_get_rollout(&w.a, 41, &roll, NULL));
    roll.state = RS_SUCCEEDED;
    report_clear(&w.rep);
    assert_err(attest_rollout_step(&w.a, &roll, &w.mem, &set, &w.rep), REEVE_E_V_REVOKED);
    step_set(41, RS_ROLLING_BACK, 2), block_of_set(&w, &set);
    step_set(41, RS_ROLLED_BACK, 2), block_of_set(&w, &set);
    get_web();
    assert_int_equal(cert.g[1].state, GEN_REVOKED);
    assert_int_equal(cert.active_gen, 1);
}

static void a_rollout_back_names_an_earlier_good_generation(void **state)
{
    struct rollout_change change = { .fresh = false };
    begin(41, 2);
    step_set(41, RS_RUNNING, 1), block_of_set(&w, &set);
    step_set(41, RS_RUNNING, 2), block_of_set(&w, &set);
    step_set(41, RS_SUCCEEDED, 2), block_of_set(&w, &set);
    rollout_doc_sample(&roll, 42, AT_CERT, "web", 2, 1);
    roll.kind = ROLLOUT_ROLLBACK;
    assert_ok(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep));
    assert_ok(check_set(&w, &set));
    w.now.ms += 90 * DAY_MS;
    assert_err(check_set(&w, &set), REEVE_E_V_EXPIRED);
    w.now.ms -= 90 * DAY_MS;
    get_web();
    assert_ok(cert_gen_revoke(&cert, 1, 0, NULL));
    block_of(&w, AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    report_clear(&w.rep);
    assert_err(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep), REEVE_E_V_REVOKED);
}

static void a_rollout_begins_planned(void **state)
{
    begin_set(41, 2);
    roll.state = RS_RUNNING;
    roll.opened = 1;
    struct slice leaf[2] = { leaf_for(&w, AT_ROLLOUT, "41", PAYLOAD(&w, rollout, &roll)), leaf_of(&w, set.u[1]) };
    assert_err(check(&w, leaf, 2), REEVE_E_V_UPDATE);
    begin_set(41, 2);
    struct update u = set.u[0];
    u.object = name_of("42");
    leaf[0] = leaf_of(&w, u);
    assert_err(check(&w, leaf, 2), REEVE_E_V_UPDATE);
}

static void only_certificates_and_config_are_rolled_out(void **state)
{
    struct region_doc d = { .key = w.genesis.region[1].key, .state = REGION_OK };
    begin_set(41, 2);
    roll.target[0] = (struct rollout_target){ AT_REGION, name_of("home"), 1, 2 };
    struct slice leaf[2] = { leaf_for(&w, AT_ROLLOUT, "41", PAYLOAD(&w, rollout, &roll)) };
    leaf[1] = leaf_for(&w, AT_REGION, "home", PAYLOAD(&w, region, &d));
    assert_err(check(&w, leaf, 2), REEVE_E_V_UPDATE);
}

static void an_attested_key_changes_by_rollout_only(void **state)
{
    struct hash32 digest = { { 1 } };
    memset(&config, 0, sizeof config);
    assert_ok(config_rebase(&config, 0, 5, false, &digest, NULL));
    assert_ok(check_of(AT_CONFIG, "app/x", PAYLOAD(&w, config, &config)));
    assert_err(check_of(AT_CONFIG, "security/x", PAYLOAD(&w, config, &config)), REEVE_E_V_UPDATE);
    struct rollout_change change = { .fresh = true, .config = { .gen = 1, .digest = digest } };
    rollout_doc_sample(&roll, 70, AT_CONFIG, "security/x", 0, 1);
    assert_ok(attest_rollout_begin(&w.a, &roll, &change, &w.mem, &set, &w.rep));
    assert_ok(check_set(&w, &set));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_update_needs_its_regions_signature),
        T(a_signature_for_another_chain_is_worth_nothing),
        T(a_stale_version_is_a_conflict),
        T(an_object_belongs_to_the_region_that_made_it),
        T(an_update_that_changes_nothing_is_refused),
        T(time_must_go_on),
        T(a_set_of_validators_that_cannot_be_read_is_refused),
        T(a_region_begins_as_genesis_lists_it_and_rotates_under_its_old_key),
        T(a_members_key_signs_for_its_region_but_not_who_else_does),
        T(a_frozen_region_may_only_brake_and_thaw),
        T(security_keys_stay_attested),
        T(a_node_is_revoked_once_and_by_anybody),
        T(a_generation_of_an_authority_moves_along_its_edges),
        T(a_generation_of_an_authority_keeps_key_and_chain),
        T(a_pending_request_waits_for_a_chain_for_its_own_key),
        T(generations_of_an_authority_come_one_at_a_time_with_the_next_number),
        T(an_authority_that_is_named_cannot_be_deleted),
        T(a_certificate_needs_an_authority),
        T(a_generation_must_be_issuable),
        T(only_a_rollout_moves_what_nodes_serve),
        T(nothing_but_a_revocation_happens_during_a_rollout),
        T(a_revoked_active_generation_gives_way_to_a_good_one_or_none),
        T(a_deleted_certificate_never_reuses_its_numbers),
        T(a_full_list_forgets_the_oldest_spent_generation),
        T(a_rollout_and_its_target_come_together),
        T(an_object_has_one_rollout_at_a_time),
        T(a_plan_from_another_generation_is_stale),
        T(waves_cannot_be_skipped_or_rushed),
        cmocka_unit_test_setup_teardown(among_several_clocks_a_bake_is_longer_by_twice_their_skew, setup_four, teardown),
        T(a_pause_does_not_reset_the_wave_clock),
        T(the_end_must_be_exactly_what_the_plan_makes_of_it),
        T(a_generation_revoked_meanwhile_cannot_succeed),
        T(a_rollout_back_names_an_earlier_good_generation),
        T(a_rollout_begins_planned),
        T(only_certificates_and_config_are_rolled_out),
        T(an_attested_key_changes_by_rollout_only),
    };
    return cmocka_run_group_tests_name("attest_rules", tests, NULL, NULL);
}
