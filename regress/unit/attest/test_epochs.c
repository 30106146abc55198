/*
 * test_epochs.c - one validator set after another, and past a lost one
 *
 * Four validators decide epoch 1; "home" takes the place of the last in epoch 2. A follower applies the stored blocks, an
 * agent opens bundles.
 */
#include "world.h"
#include "engine/attest_history.h"

static struct world w;
static struct valset_doc next;                              /* of epoch 2 */
static struct sign_key next_key[4], next_cosign[4];         /* in its order */
static struct sign_key recovery[3];
static struct hash32 chain_id, first_hash;
static struct wr bundle;
static struct sim_kv *follower_store;
static struct attest follower;
static struct trust agent;

static int setup(void **state)
{
    struct attest_head head;
    world_new(&w, 4);
    bundle = wr_heap(1 << 20);
    assert_ok(attest_head(&w.a, &head));
    chain_id = head.chain_id;
    first_hash = head.set_hash;
    follower_store = sim_kv_new();
    follower = (struct attest){ sim_kv_handle(follower_store), &crypto_ops_real, malloc(attest_scratch_size()), attest_scratch_size() };
    assert_ok(attest_init(&follower, wr_slice(&w.genesis_doc)));
    memset(&agent, 0, sizeof agent);
    agent.chain_id = chain_id;
    agent.set = w.genesis.set;
    agent.set_hash = first_hash;
    return 0;
}

static int teardown(void **state)
{
    sim_kv_free(follower_store);
    free(follower.scratch);
    wr_free(&bundle);
    world_free(&w);
    return 0;
}

/* ---- the next set ---- */

/* All but the last of the set in force, and "home" with keys of its own. */
static void next_fill(void)
{
    uint8_t seed[32] = { 7, 150 };
    struct validator v = { .name = name_of("home"), .weight = 1 };
    struct sign_key key, cosign;
    memset(&next, 0, sizeof next);
    sign_key_from_seed(&key, &v.key, seed);
    seed[1] = 151;
    sign_key_from_seed(&cosign, &v.cosign_key, seed);
    unsigned at = 0;
    bool placed = false;
    for (unsigned i = 0; i < 4; i++) {
        if (!placed && (i == 3 || memcmp(v.key.b, w.genesis.set.v[i].key.b, 32) < 0)) {
            next.set.v[at] = v;
            next_key[at] = key;
            next_cosign[at++] = cosign;
            placed = true;
        }
        if (i < 3) {
            next.set.v[at] = w.genesis.set.v[i];
            next_key[at] = w.validator[i];
            next_cosign[at++] = w.cosign[i];
        }
    }
    next.set.epoch = w.genesis.set.epoch + 1;
    next.set.n = 4;
}

static int place_of_home(void)
{
    for (int i = 0; i < 4; i++)
        if (next.set.v[i].name.s[0] == 'h')
            return i;
    fail();
    return -1;
}

static void seats_take(unsigned bits)
{
    struct hash32 hash, digest;
    assert_ok(valset_doc_hash(w.a.c, &hash, &next));
    seat_digest(w.a.c, &digest, &chain_id, &hash);
    memset(next.bitmap, 0, sizeof next.bitmap);
    next.bitmap[0] = (uint8_t) bits;
    for (unsigned i = 0; i < 4; i++) {
        sign_detached(&next.seat[i].by_key, slice_of(digest.b, 32), &next_key[i]);
        sign_detached(&next.seat[i].by_cosign, slice_of(digest.b, 32), &next_cosign[i]);
    }
}

static struct slice change(void)
{
    return leaf_for(&w, AT_VALSET, "validators", PAYLOAD(&w, valset, &next));
}

static enum reeve_err check_change(void)
{
    struct slice leaf = change();
    return check(&w, &leaf, 1);
}

/* From here on blocks are signed by the new set. */
static void become_next(void)
{
    w.genesis.set = next.set;
    memcpy(w.validator, next_key, sizeof next_key);
    memcpy(w.cosign, next_cosign, sizeof next_cosign);
}

static void change_epoch(void)
{
    next_fill();
    seats_take(15);
    block_of(&w, AT_VALSET, "validators", PAYLOAD(&w, valset, &next));
    become_next();
}

static void class_block(const char *prefix)
{
    struct class_doc d = { 1 };
    block_of(&w, AT_CLASS, prefix, PAYLOAD(&w, class, &d));
}

/* ---- the follower and the agent ---- */

static enum reeve_err follow(uint64_t height)
{
    struct slice stored;
    uint8_t copy[1 << 16];
    assert_ok(attest_block(&w.a, height, &stored));
    assert_true(stored.len <= sizeof copy);
    memcpy(copy, stored.p, stored.len);
    return attest_apply(&follower, slice_of(copy, stored.len), NULL);
}

static enum reeve_err agent_opens(void)
{
    struct bundle_object objects[2];
    const struct object_key key = { AT_CLASS, name_of("a/") };
    size_t n;
    wr_reset(&bundle);
    assert_ok(attest_bundle(&w.a, agent.log_size, &key, 1, &bundle));
    return bundle_open(w.a.c, &agent, wr_slice(&bundle), false, objects, 2, &n);
}

/* ---- changes ---- */

static void a_change_ends_the_epoch_and_the_new_set_decides_what_follows(void **state)
{
    struct attest_head head;
    uint64_t height;
    class_block("a/");
    change_epoch();
    assert_ok(attest_head(&w.a, &head));
    assert_int_equal(head.header.epoch + 1, head.epoch);
    assert_true(header_ends_epoch(&head.header));
    class_block("b/");
    assert_ok(attest_head(&w.a, &head));
    assert_int_equal(head.header.epoch, next.set.epoch);
    assert_false(header_ends_epoch(&head.header));
    assert_ok(attest_epoch_height(&w.a, next.set.epoch, &height));
    assert_int_equal(height, 2);
    assert_err(attest_epoch_height(&w.a, next.set.epoch - 1, &height), REEVE_E_NOT_FOUND);
    for (uint64_t h = 1; h <= 3; h++)
        assert_ok(follow(h));
}

static void the_old_set_decides_nothing_behind_the_change(void **state)
{
    struct valset old = w.genesis.set;
    struct sign_key key[4];
    memcpy(key, w.validator, sizeof key);
    change_epoch();
    w.genesis.set = old;
    memcpy(w.validator, key, sizeof key);
    class_block("a/");
    assert_ok(follow(1));
    assert_err(follow(2), REEVE_E_V_SIGNATURE);
}

static void the_new_set_does_not_decide_its_own_beginning(void **state)
{
    next_fill();
    seats_take(15);
    struct slice leaf = change();
    become_next();
    block(&w, &leaf, 1);
    assert_err(follow(1), REEVE_E_V_SIGNATURE);
}

static void seats_of_a_quorum_and_of_everybody_new_are_needed(void **state)
{
    next_fill();
    unsigned home = 1u << place_of_home();
    seats_take(15);
    assert_ok(check_change());
    seats_take(15 & ~home);
    assert_err(check_change(), REEVE_E_V_QUORUM);
    unsigned one = home == 1 ? 2 : 1;
    seats_take(15 & ~one);
    assert_ok(check_change());
    seats_take(home | one);
    assert_err(check_change(), REEVE_E_V_QUORUM);
    seats_take(15);
    next.seat[2].by_cosign.b[5] ^= 1;
    assert_err(check_change(), REEVE_E_V_SIGNATURE);
}

static void a_seat_is_for_one_set_of_one_chain(void **state)
{
    next_fill();
    chain_id.b[0] ^= 1;
    seats_take(15);
    assert_err(check_change(), REEVE_E_V_SIGNATURE);
    chain_id.b[0] ^= 1;
    seats_take(15);
    next.set.v[3].name = name_of("away");
    assert_err(check_change(), REEVE_E_V_SIGNATURE);
}

static void epochs_are_not_skipped_nor_begun_again(void **state)
{
    next_fill();
    next.set.epoch++;
    seats_take(15);
    assert_err(check_change(), REEVE_E_CONFLICT);
    next.set.epoch -= 2;
    seats_take(15);
    assert_err(check_change(), REEVE_E_CONFLICT);
}

static void a_set_that_changes_nothing_or_shares_a_key_is_refused(void **state)
{
    next_fill();
    struct valset same = w.genesis.set;
    same.epoch++;
    struct valset good = next.set;
    next.set = same;
    memcpy(next_key, w.validator, sizeof next_key);
    memcpy(next_cosign, w.cosign, sizeof next_cosign);
    seats_take(15);
    assert_err(check_change(), REEVE_E_V_UPDATE);
    next.set = good;
    next.set.v[1].cosign_key = next.set.v[0].key;
    assert_err(check_change(), REEVE_E_V_UPDATE);
    next_fill();
    next.set.v[place_of_home()].name = name_of("nobody");
    assert_err(check_change(), REEVE_E_UNDEFINED_OBJECT);
}

/* ---- the edge ---- */

/* The change as the head of a state that is given up again; a closer on top of it. */
static void with_closer(struct block_header *end, struct block_header *closer)
{
    next_fill();
    seats_take(15);
    struct slice leaf = change();
    *end = (struct block_header){ .view = 5, .time = { w.now.ms + 1000 } };
    assert_ok(attest_propose(&w.a, &leaf, 1, end));
    *closer = (struct block_header){ .view = 6, .time = { w.now.ms + 2000 }, .epoch = end->epoch };
    assert_ok(attest_propose(&w.a, NULL, 0, closer));
}

static void a_closer_makes_the_end_of_its_epoch_final_and_nothing_else(void **state)
{
    struct block_header end, closer;
    struct finalization f;
    sim_kv_begin(w.store);
    with_closer(&end, &closer);
    sim_kv_abort(w.store);
    assert_true(header_is_closer(w.a.c, &closer));
    assert_false(header_is_closer(w.a.c, &end));
    finalize_by(&w, &f, &closer, 7);
    assert_err(finalization_verify(w.a.c, &f, &chain_id, &w.genesis.set, &first_hash), REEVE_E_V_CONSISTENCY);
    f.link[f.n_links++] = closer;
    f.header = end;
    f.view = end.view;
    assert_ok(finalization_verify(w.a.c, &f, &chain_id, &w.genesis.set, &first_hash));
}

static void a_closer_is_valid_on_the_end_of_its_epoch_only(void **state)
{
    struct block_header end, closer, bad;
    sim_kv_begin(w.store);
    with_closer(&end, &closer);
    sim_kv_abort(w.store);
    assert_err(attest_extend(&w.a, &closer, NULL, 0, NULL), REEVE_E_V_HEIGHT);
    struct slice leaf = change();
    sim_kv_begin(w.store);
    assert_ok(attest_extend(&w.a, &end, &leaf, 1, NULL));
    assert_err(attest_extend(&w.a, &closer, &leaf, 1, NULL), REEVE_E_V_EPOCH);
    bad = closer;
    bad.next_valset_hash.b[0] ^= 1;
    assert_err(attest_extend(&w.a, &bad, NULL, 0, NULL), REEVE_E_V_SET);
    sim_kv_abort(w.store);
    sim_kv_begin(w.store);
    assert_ok(attest_extend(&w.a, &end, &leaf, 1, NULL));
    assert_ok(attest_extend(&w.a, &closer, NULL, 0, NULL));
    sim_kv_abort(w.store);
}

static void a_header_names_the_set_that_its_leaf_names(void **state)
{
    struct block_header end, closer;
    sim_kv_begin(w.store);
    with_closer(&end, &closer);
    sim_kv_abort(w.store);
    struct slice leaf = change();
    end.next_valset_hash.b[0] ^= 1;
    sim_kv_begin(w.store);
    assert_err(attest_extend(&w.a, &end, &leaf, 1, NULL), REEVE_E_V_SET);
    sim_kv_abort(w.store);
}

/* ---- agents ---- */

static void an_agent_follows_the_sets_one_after_another(void **state)
{
    class_block("a/");
    assert_ok(agent_opens());
    assert_false(bundle_changes_set(&agent, wr_slice(&bundle)));
    change_epoch();
    assert_ok(agent_opens());                       /* the end of the epoch itself: the old set's word */
    assert_int_equal(agent.set.epoch + 1, next.set.epoch);
    class_block("b/");
    wr_reset(&bundle);
    assert_ok(attest_bundle(&w.a, agent.log_size, NULL, 0, &bundle));
    assert_true(bundle_changes_set(&agent, wr_slice(&bundle)));
    assert_ok(agent_opens());
    assert_int_equal(agent.set.epoch, next.set.epoch);
    assert_int_equal(agent.height, 3);
    assert_false(bundle_changes_set(&agent, wr_slice(&bundle)));
    class_block("c/");
    assert_ok(agent_opens());
    assert_int_equal(bundle.p[0], 1);
}

static void an_agent_that_slept_over_the_change_catches_up(void **state)
{
    change_epoch();
    class_block("a/");
    assert_ok(agent_opens());
    assert_int_equal(agent.set.epoch, next.set.epoch);
}

static void no_set_without_its_link(void **state)
{
    struct bundle_object objects[2];
    size_t n;
    change_epoch();
    class_block("a/");
    wr_reset(&bundle);
    assert_ok(attest_bundle(&w.a, 2, NULL, 0, &bundle));
    assert_int_equal(bundle.p[0], 1);
    struct trust before = agent;
    assert_err(bundle_open(w.a.c, &agent, wr_slice(&bundle), false, objects, 2, &n), REEVE_E_V_EPOCH);
    assert_memory_equal(&agent, &before, sizeof agent);
}

static void a_link_that_was_altered_changes_nothing(void **state)
{
    struct bundle_object objects[2];
    size_t n;
    change_epoch();
    class_block("a/");
    assert_ok(agent_opens());
    struct genesis g;                               /* as it was pinned */
    assert_ok(genesis_decode(&g, wr_slice(&w.genesis_doc)));
    memset(&agent, 0, sizeof agent);
    agent.chain_id = chain_id;
    agent.set = g.set;
    agent.set_hash = first_hash;
    for (size_t at = 0; at < 3 + ATTEST_HEADER_LEN + 600; at += 13) {
        struct trust before = agent;
        bundle.p[at] ^= 1;
        assert_true(bundle_open(w.a.c, &agent, wr_slice(&bundle), false, objects, 2, &n) != REEVE_OK);
        assert_memory_equal(&agent, &before, sizeof agent);
        bundle.p[at] ^= 1;
    }
    assert_ok(bundle_open(w.a.c, &agent, wr_slice(&bundle), false, objects, 2, &n));
}

/* ---- auditors ---- */

static enum reeve_err audit(uint64_t from, uint64_t to)
{
    static struct history_work work;
    struct history_plan p;
    struct attest_head head;
    struct wr out = wr_heap(1 << 20);
    struct hash32 digest;
    assert_ok(attest_head(&w.a, &head));
    assert_ok(attest_history_start(&w.a, from, to, head.height, &p, &out));
    while (p.next < p.end)
        assert_ok(attest_history_blocks(&w.a, &p, 1 << 20, &out));
    assert_ok(attest_history_end(&w.a, &p, slice_of(NULL, 0), &out));
    struct slice body = wr_slice(&out);
    w.a.c->sha256(&digest, &body, 1);
    wr_bytes(&out, digest.b, 32);
    enum reeve_err err = history_verify(w.a.c, &chain_id, wr_slice(&out), &work, &w.rep);
    wr_free(&out);
    return err;
}

static void a_bundle_proves_its_leaves_across_epochs(void **state)
{
    class_block("a/");
    change_epoch();
    assert_ok(audit(0, 1));
    assert_ok(audit(0, 0));
    class_block("b/");
    class_block("c/");
    for (uint64_t from = 0; from < 4; from++)
        for (uint64_t to = from; to < 4; to++)
            assert_ok(audit(from, to));
}

/* ---- recovery ---- */

static int setup_recovery(void **state)
{
    uint8_t seed[32] = { 9 };
    struct attest_head head;
    setup(state);
    w.genesis.recovery_m = 2;
    w.genesis.recovery_n = 3;
    for (unsigned i = 0; i < 3; i++) {
        seed[1] = (uint8_t) i;
        sign_key_from_seed(&recovery[i], &w.genesis.recovery[i], seed);
    }
    wr_reset(&w.genesis_doc);
    genesis_encode(&w.genesis, &w.genesis_doc);
    sim_kv_free(w.store);
    sim_kv_free(follower_store);
    w.store = sim_kv_new();
    follower_store = sim_kv_new();
    w.a.kv = sim_kv_handle(w.store);
    follower.kv = sim_kv_handle(follower_store);
    assert_ok(attest_init(&w.a, wr_slice(&w.genesis_doc)));
    assert_ok(attest_init(&follower, wr_slice(&w.genesis_doc)));
    assert_ok(attest_head(&w.a, &head));
    agent.chain_id = chain_id = head.chain_id;
    agent.set_hash = first_hash = head.set_hash;
    return 0;
}

/* The block of a recovery to next, signed by those recovery keys. */
static void recovery_block(unsigned keys, struct wr *out)
{
    struct block_header h;
    struct finalization f;
    struct hash32 digest;
    struct wr leaf = wr_heap(ATTEST_LEAF_MAX);
    struct name region = name_of("home");
    next_fill();
    sim_kv_begin(w.store);
    assert_ok(attest_recovery_draft(&w.a, PAYLOAD(&w, valset, &next), &region, (struct wall_ms){ w.now.ms + 5000 }, &h, &leaf, NULL));
    sim_kv_abort(w.store);
    memset(&f, 0, sizeof f);
    f.header = h;
    f.view = h.view;
    f.recovery = wr_slice(&w.genesis_doc);
    f.n_bits = 3;
    recovery_digest(w.a.c, &digest, &h);
    for (unsigned i = 0; i < 3; i++)
        if (keys >> i & 1) {
            f.bitmap[0] |= (uint8_t) (1 << i);
            sign_detached(&f.sig[f.n_sigs++], slice_of(digest.b, 32), &recovery[i]);
        }
    struct slice bytes = wr_slice(&leaf);
    wr_reset(out);
    block_encode(&f, &bytes, 1, out);
    assert_false(out->bad);
    wr_free(&leaf);
}

static enum reeve_err apply(struct attest *a, struct sim_kv *store, const struct wr *block)
{
    sim_kv_begin(store);
    enum reeve_err err = attest_apply(a, slice_of(block->p, block->len), NULL);
    if (err == REEVE_OK)
        sim_kv_commit(store);
    else
        sim_kv_abort(store);
    return err;
}

static void enough_recovery_keys_begin_an_epoch(void **state)
{
    struct wr b = wr_heap(1 << 20);
    class_block("a/");
    assert_ok(follow(1));
    recovery_block(5, &b);
    assert_ok(apply(&w.a, w.store, &b));
    assert_ok(apply(&follower, follower_store, &b));
    become_next();
    w.view = 100;
    w.now.ms += 10000;
    class_block("b/");
    assert_ok(follow(3));
    assert_ok(agent_opens());
    assert_int_equal(agent.set.epoch, next.set.epoch);
    wr_free(&b);
}

static void too_few_recovery_keys_do_not(void **state)
{
    struct wr b = wr_heap(1 << 20);
    recovery_block(2, &b);
    assert_err(apply(&follower, follower_store, &b), REEVE_E_V_QUORUM);
    recovery_block(3, &b);
    b.p[b.len - 700] ^= 1;
    assert_true(apply(&follower, follower_store, &b) != REEVE_OK);
    b.p[b.len - 700] ^= 1;
    assert_ok(apply(&follower, follower_store, &b));
    wr_free(&b);
}

static void recovery_stands_on_one_height(void **state)
{
    struct wr b = wr_heap(1 << 20);
    recovery_block(3, &b);
    class_block("a/");
    assert_ok(follow(1));
    assert_err(apply(&follower, follower_store, &b), REEVE_E_V_HEIGHT);
    wr_free(&b);
}

static void recovery_keys_say_nothing_but_the_next_set(void **state)
{
    struct wr b = wr_heap(1 << 20);
    struct class_doc d = { 1 };
    struct finalization f;
    struct hash32 digest;
    struct slice leaf = leaf_for(&w, AT_CLASS, "a/", PAYLOAD(&w, class, &d));
    struct block_header h = { .view = 1, .time = { w.now.ms + 1000 } };
    sim_kv_begin(w.store);
    assert_ok(attest_propose(&w.a, &leaf, 1, &h));
    sim_kv_abort(w.store);
    h.next_valset_hash.b[0] ^= 1;
    memset(&f, 0, sizeof f);
    f.header = h;
    f.view = h.view;
    f.recovery = wr_slice(&w.genesis_doc);
    f.n_bits = 3;
    f.bitmap[0] = 3;
    recovery_digest(w.a.c, &digest, &h);
    for (unsigned i = 0; i < 2; i++)
        sign_detached(&f.sig[f.n_sigs++], slice_of(digest.b, 32), &recovery[i]);
    block_encode(&f, &leaf, 1, &b);
    assert_err(apply(&follower, follower_store, &b), REEVE_E_V_UPDATE);
    wr_free(&b);
}

static void without_recovery_keys_in_genesis_there_is_no_recovery(void **state)
{
    struct wr b = wr_heap(1 << 20);
    recovery_block(0, &b);
    assert_err(apply(&follower, follower_store, &b), REEVE_E_V_SIGNER);
    wr_free(&b);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
#define TEST_RECOVERY(t) cmocka_unit_test_setup_teardown(t, setup_recovery, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_ends_the_epoch_and_the_new_set_decides_what_follows),
        TEST(the_old_set_decides_nothing_behind_the_change),
        TEST(the_new_set_does_not_decide_its_own_beginning),
        TEST(seats_of_a_quorum_and_of_everybody_new_are_needed),
        TEST(a_seat_is_for_one_set_of_one_chain),
        TEST(epochs_are_not_skipped_nor_begun_again),
        TEST(a_set_that_changes_nothing_or_shares_a_key_is_refused),
        TEST(a_closer_makes_the_end_of_its_epoch_final_and_nothing_else),
        TEST(a_closer_is_valid_on_the_end_of_its_epoch_only),
        TEST(a_header_names_the_set_that_its_leaf_names),
        TEST(an_agent_follows_the_sets_one_after_another),
        TEST(an_agent_that_slept_over_the_change_catches_up),
        TEST(no_set_without_its_link),
        TEST(a_link_that_was_altered_changes_nothing),
        TEST(a_bundle_proves_its_leaves_across_epochs),
        TEST_RECOVERY(enough_recovery_keys_begin_an_epoch),
        TEST_RECOVERY(too_few_recovery_keys_do_not),
        TEST_RECOVERY(recovery_stands_on_one_height),
        TEST_RECOVERY(recovery_keys_say_nothing_but_the_next_set),
        TEST(without_recovery_keys_in_genesis_there_is_no_recovery),
    };
    return cmocka_run_group_tests_name("attest/epochs", tests, NULL, NULL);
}
