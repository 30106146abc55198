/* test_config_log.c - config changes as a log: its checkpoints in the chain, its bundles, what is refused. */
#include "shire.h"
#include "crypto/hash.h"
#include "engine/region_history.h"

static struct shire s;
static struct history_work work;
static struct config_facts facts;
static struct report rep;
static uint8_t mem[1 << 20], inner_mem[1 << 20], copy_mem[1 << 20];

static int setup(void **state)
{
    shire_new(&s);
    world_furnish(&s.w);
    return 0;
}

static int teardown(void **state)
{
    shire_free(&s);
    return 0;
}

static void set(const char *key, const char *value)
{
    txn(&s, "root");
    put_set(&s, key, value, 0);
    commit(&s);
    assert_item(&s, 0, REEVE_OK);
}

static void reset(const char *key)
{
    txn(&s, "root");
    put_name(op(&s, RO_CONFIG_RESET), key);
    commit(&s);
    assert_item(&s, 0, REEVE_OK);
}

static uint64_t size(void)
{
    uint64_t n;
    assert_ok(config_log_size(&s.r, &n));
    return n;
}

/* The dumb twin: the root over all leaves, each made from its row. */
static struct hash32 naive_root(uint64_t n)
{
    struct merkle_range r;
    struct hash32 h;
    struct wr leaf = wr_heap(1 << 20);
    merkle_range_init(&r);
    for (uint64_t i = 0; i < n; i++) {
        wr_reset(&leaf);
        assert_ok(config_log_leaf(&s.r, i, &leaf));
        merkle_leaf_hash(&crypto_ops_real, &h, wr_slice(&leaf));
        merkle_range_append(&crypto_ops_real, &r, &h);
    }
    wr_free(&leaf);
    merkle_range_root(&crypto_ops_real, &r, &h);
    return h;
}

static bool attested(struct checkpoint_doc *d)
{
    struct attest_object o;
    struct name home = name_of("home");
    enum reeve_err err = attest_get(&s.w.a, AT_CHECKPOINT, &home, &o);
    if (err == REEVE_E_NOT_FOUND)
        return false;
    assert_ok(err);
    assert_ok(checkpoint_doc_decode(d, o.update.payload));
    return true;
}

static enum reeve_err next_doc(struct checkpoint_doc *d)
{
    struct checkpoint_doc was;
    return config_log_checkpoint(&s.r, attested(&was) ? &was : NULL, d);
}

static struct slice leaf_doc(const struct checkpoint_doc *d)
{
    struct update u;
    struct name home = name_of("home");
    assert_ok(update_prepare(&s.w.a, AT_CHECKPOINT, &home, PAYLOAD(&s.w, checkpoint, d), &u));
    return leaf_of(&s.w, u);
}

static enum reeve_err check_doc(const struct checkpoint_doc *d)
{
    struct slice leaf = leaf_doc(d);
    return check(&s.w, &leaf, 1);
}

static void apply_attested(void)
{
    struct attest_head h;
    assert_ok(attest_head(&s.w.a, &h));
    struct wr *w = command(&s, RC_ATTESTED);
    wr_u64(w, h.height);
    wr_u64(w, (uint64_t) s.w.now.ms);
    run(&s);
    assert_item(&s, 0, REEVE_OK);
}

static void checkpoint(void)
{
    struct checkpoint_doc d;
    assert_ok(next_doc(&d));
    struct slice leaf = leaf_doc(&d);
    block(&s.w, &leaf, 1);
    apply_attested();
    s.w.now.ms += ATTEST_CHECKPOINT_MS;
}

/* ---- the log ---- */

static void each_change_of_config_is_a_leaf_and_nothing_else_is(void **state)
{
    assert_int_equal(size(), 0);
    set("a", "one");
    set("a", "two");
    assert_int_equal(size(), 2);
    reset("a");
    assert_int_equal(size(), 3);
    txn(&s, "root");
    put_set(&s, "x", "1", 0);
    put_set(&s, "y", "2", 0);
    put_role(&s, "ops", 0);
    commit(&s);
    assert_int_equal(size(), 5);
    txn(&s, "root");
    put_token(&s, 7, 3, 0);
    commit(&s);
    enroll_many(&s, 7, 2);
    assert_int_equal(size(), 5);
}

static void a_transaction_that_is_refused_leaves_none(void **state)
{
    set("a", "one");
    txn(&s, "root");
    put_set(&s, "b", "1", 0);
    put_set(&s, "a", "2", 99999);
    commit(&s);
    assert_item(&s, s.n_items - 1, REEVE_E_CONFLICT);
    assert_int_equal(size(), 1);
}

static void a_leaf_says_who_what_and_the_digest_of_the_whole_value(void **state)
{
    static char longer[20001];
    struct wr leaf = wr_heap(1 << 20);
    struct config_leaf l;
    struct hash32 want;
    memset(longer, 'v', sizeof longer - 1);
    set("a", longer);
    assert_ok(config_log_leaf(&s.r, 0, &leaf));
    assert_ok(config_leaf_decode(&l, wr_slice(&leaf)));
    sha256(&want, slice_str(longer));
    assert_true(hash32_eq(&l.value, &want));
    assert_int_equal(l.revision, s.index);
    assert_string_equal(l.row.actor.s, "root");
    assert_string_equal(l.row.object.s, "a");
    assert_true(slice_eq(l.row.reason, slice_str("CHG-1")));
    wr_free(&leaf);
}

static void its_root_is_that_of_its_leaves_at_every_size(void **state)
{
    struct checkpoint_doc d;
    char value[16];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(value, sizeof value, "%u", i);
        set(i % 3 ? "a" : "b", value);
        assert_ok(config_log_checkpoint(&s.r, NULL, &d));
        struct hash32 want = naive_root(i + 1);
        assert_int_equal(d.size, i + 1);
        assert_true(hash32_eq(&d.root, &want));
    }
    uint64_t at;
    assert_ok(config_log_find(&s.r, 0, &at));
    assert_int_equal(at, 0);
    assert_ok(config_log_find(&s.r, s.index, &at));
    assert_int_equal(at, 39);
    assert_ok(config_log_find(&s.r, s.index + 1, &at));
    assert_int_equal(at, 40);
}

/* A program that knew no such log: raised, what its history has is in it; afterwards the same as always. */
static void a_state_that_had_none_begins_with_its_history(void **state)
{
    sim_kv_begin(s.w.store);
    assert_ok(kv_put(s.r.kv, slice_str("Rmlevel"), slice_of("\0\0\0\0\0\0\0\1", 8)));
    sim_kv_commit(s.w.store);
    set("a", "1");
    set("b", "2");
    txn(&s, "root");
    put_role(&s, "ops", 0);
    commit(&s);
    assert_int_equal(size(), 0);
    wr_u32(command(&s, RC_LEVEL), 2);
    run(&s);
    assert_item(&s, 0, REEVE_OK);
    assert_int_equal(size(), 2);
    set("c", "3");
    assert_int_equal(size(), 3);
    struct checkpoint_doc d;
    assert_ok(config_log_checkpoint(&s.r, NULL, &d));
    struct hash32 want = naive_root(3);
    assert_true(hash32_eq(&d.root, &want));
}

/* ---- checkpoints in the chain ---- */

static void a_checkpoint_extends_the_one_before(void **state)
{
    struct checkpoint_doc d;
    assert_err(next_doc(&d), REEVE_E_NOT_FOUND);
    set("a", "1");
    checkpoint();
    assert_err(next_doc(&d), REEVE_E_NOT_FOUND);
    for (unsigned i = 0; i < 9; i++) {
        set("a", i % 2 ? "x" : "y");
        if (i % 3 == 0)
            checkpoint();
    }
    checkpoint();
    assert_true(attested(&d));
    assert_int_equal(d.size, size());
}

static void what_does_not_extend_it_is_refused(void **state)
{
    struct checkpoint_doc d, bad;
    set("a", "1");
    set("a", "2");
    checkpoint();
    set("a", "3");
    assert_ok(next_doc(&d));
    assert_ok(check_doc(&d));
    bad = d;
    bad.root.b[3] ^= 1;
    assert_err(check_doc(&bad), REEVE_E_V_CONSISTENCY);
    bad = d;
    bad.path[0].b[0] ^= 1;
    assert_err(check_doc(&bad), REEVE_E_V_CONSISTENCY);
    bad = d;
    bad.n--;
    assert_err(check_doc(&bad), REEVE_E_V_CONSISTENCY);
    assert_true(attested(&bad));
    bad.root.b[0] ^= 1;                 /* the same size with another root */
    bad.n = 0;
    assert_err(check_doc(&bad), REEVE_E_V_CONSISTENCY);
    assert_true(attested(&bad));
    bad.size = 1;                       /* shorter */
    bad.n = 0;
    assert_err(check_doc(&bad), REEVE_E_V_CONSISTENCY);
    bad.size = 0;
    assert_err(check_doc(&bad), REEVE_E_MALFORMED);
}

static void only_one_a_minute(void **state)
{
    struct checkpoint_doc d;
    set("a", "1");
    checkpoint();
    set("a", "2");
    assert_ok(next_doc(&d));
    s.w.now.ms -= ATTEST_CHECKPOINT_MS;             /* to just behind the last block */
    assert_err(check_doc(&d), REEVE_E_V_TIME);
    s.w.now.ms += ATTEST_CHECKPOINT_MS;
    assert_ok(check_doc(&d));
}

static void a_region_speaks_for_itself_and_cannot_take_it_back(void **state)
{
    struct checkpoint_doc d;
    struct update u;
    struct name home = name_of("home"), away = name_of("away");
    set("a", "1");
    assert_ok(next_doc(&d));
    assert_ok(update_prepare(&s.w.a, AT_CHECKPOINT, &away, PAYLOAD(&s.w, checkpoint, &d), &u));
    struct slice leaf = leaf_of(&s.w, u);
    assert_err(check(&s.w, &leaf, 1), REEVE_E_V_UPDATE);
    d.anew = true;
    assert_err(check_doc(&d), REEVE_E_V_UPDATE);    /* nothing was there that it could begin anew */
    checkpoint();
    assert_ok(update_prepare(&s.w.a, AT_CHECKPOINT, &home, (struct slice){ NULL, 0 }, &u));
    leaf = leaf_of(&s.w, u);
    assert_err(check(&s.w, &leaf, 1), REEVE_E_V_UPDATE);
}

static void a_frozen_region_still_shows_what_it_changes(void **state)
{
    struct region_doc r;
    struct checkpoint_doc d;
    struct name home = name_of("home");
    assert_ok(attest_region(&s.w.a, &home, &r));
    r.state = REGION_FROZEN;
    block_of(&s.w, AT_REGION, "home", PAYLOAD(&s.w, region, &r));
    set("a", "1");
    assert_ok(next_doc(&d));
    assert_ok(check_doc(&d));
}

/* ---- a state that was brought back ---- */

static void who_lost_changes_says_so_and_only_after_a_restore(void **state)
{
    struct checkpoint_doc d;
    set("a", "1");
    checkpoint();
    set("a", "2");
    checkpoint();
    /* as a copy from before the second change: its log is shorter by one */
    sim_kv_begin(s.w.store);
    assert_ok(kv_put(s.r.kv, slice_str("Rmconfig_log"), slice_of("\0\0\0\0\0\0\0\1", 8)));
    sim_kv_commit(s.w.store);
    set("a", "other");
    assert_err(next_doc(&d), REEVE_E_V_CONSISTENCY);
    /* the same, brought back */
    sim_kv_begin(s.w.store);
    assert_ok(kv_put(s.r.kv, slice_str("Rmconfig_log"), slice_of("\0\0\0\0\0\0\0\1", 8)));
    assert_ok(region_revision_skip(&s.r, 1000));
    sim_kv_commit(s.w.store);
    s.index += 1000;
    set("a", "other");
    assert_ok(next_doc(&d));
    assert_true(d.anew);
    assert_ok(check_doc(&d));
    checkpoint();
    set("a", "more");
    assert_ok(next_doc(&d));
    assert_false(d.anew);
    assert_ok(check_doc(&d));
    /* it is over: what is lost now is lost without leave */
    sim_kv_begin(s.w.store);
    assert_ok(kv_put(s.r.kv, slice_str("Rmconfig_log"), slice_of("\0\0\0\0\0\0\0\1", 8)));
    sim_kv_commit(s.w.store);
    assert_err(next_doc(&d), REEVE_E_V_CONSISTENCY);
}

/* ---- bundles ---- */

static void put_digest(struct wr *out)
{
    struct hash32 sum;
    sha256(&sum, wr_slice(out));
    wr_bytes(out, sum.b, 32);
}

static struct slice inner_bundle(uint64_t leaf)
{
    struct wr out = wr_fixed(inner_mem, sizeof inner_mem);
    struct history_plan p;
    struct attest_head h;
    assert_ok(attest_head(&s.w.a, &h));
    assert_ok(attest_history_start(&s.w.a, leaf, leaf, h.height, &p, &out));
    while (p.next < p.end)
        assert_ok(attest_history_blocks(&s.w.a, &p, out.len + 1, &out));
    assert_ok(attest_history_end(&s.w.a, &p, (struct slice){ NULL, 0 }, &out));
    put_digest(&out);
    return wr_slice(&out);
}

static struct slice export(uint64_t first, uint64_t end)
{
    struct wr out = wr_fixed(mem, sizeof mem);
    struct checkpoint_doc d;
    struct attest_object o;
    struct name home = name_of("home");
    uint64_t next = first;
    assert_true(attested(&d));
    assert_ok(attest_get(&s.w.a, AT_CHECKPOINT, &home, &o));
    assert_ok(config_history_start(&s.r, first, end, &out));
    while (next < end)
        assert_ok(config_history_leaves(&s.r, &next, end, out.len + 1, &out));
    assert_ok(config_history_end(&s.r, end, d.size, o.leaf_index, inner_bundle(o.leaf_index), &out));
    put_digest(&out);
    assert_false(out.bad);
    return wr_slice(&out);
}

static enum reeve_err verify(struct slice in)
{
    struct attest_head h;
    assert_ok(attest_head(&s.w.a, &h));
    report_clear(&rep);
    return config_history_verify(&crypto_ops_real, &h.chain_id, in, &work, &facts, &rep);
}

static void story(void)
{
    for (unsigned i = 0; i < 5; i++)
        set("a", i % 2 ? "x" : "y");
    checkpoint();
    for (unsigned i = 0; i < 6; i++)
        set("b", i % 2 ? "x" : "y");
    checkpoint();
    set("a", "not yet under a checkpoint");
}

static void every_range_verifies(void **state)
{
    story();
    for (uint64_t first = 0; first < 11; first++)
        for (uint64_t end = first + 1; end <= 11; end++) {
            assert_ok(verify(export(first, end)));
            assert_int_equal(facts.first, first);
            assert_int_equal(facts.end, end);
            assert_int_equal(facts.version, 2);
            assert_string_equal(facts.region.s, "home");
        }
}

static void with_any_byte_changed_it_is_refused_also_under_a_new_digest(void **state)
{
    story();
    struct slice b = export(2, 7);
    memcpy(copy_mem, b.p, b.len);
    for (size_t i = 0; i < b.len - 32; i++) {
        struct wr out = wr_fixed(copy_mem, sizeof copy_mem);
        out.len = b.len - 32;
        copy_mem[i] ^= 1 << (i % 8);
        assert_true(verify(slice_of(copy_mem, b.len)) != REEVE_OK);
        put_digest(&out);
        if (verify(wr_slice(&out)) == REEVE_OK)
            fail_msg("byte %zu of %zu", i, b.len);
        copy_mem[i] ^= 1 << (i % 8);
    }
    for (size_t len = 0; len < b.len; len += 7)
        assert_true(verify(slice_of(b.p, len)) != REEVE_OK);
}

static void of_a_rewritten_history_no_bundle_is_sound(void **state)
{
    struct kv_iter it;
    struct slice key, val;
    struct history_row row;
    struct wr w = wr_fixed(copy_mem, sizeof copy_mem);
    story();
    kv_iter_init(&it, s.r.kv, slice_str("Rh"));
    do
        assert_ok(kv_iter_next(&it, &key, &val));
    while (history_row_decode(&row, val) != REEVE_OK || strcmp(row.object_kind.s, "config") != 0);
    row.actor = name_of("nobody");
    history_row_encode(&row, &w);
    sim_kv_begin(s.w.store);
    assert_ok(kv_put(s.r.kv, slice_of(it.key, it.key_len), wr_slice(&w)));
    sim_kv_commit(s.w.store);
    assert_err(verify(export(0, 11)), REEVE_E_V_CONSISTENCY);
    assert_ok(verify(export(1, 11)));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    T(each_change_of_config_is_a_leaf_and_nothing_else_is),
    T(a_transaction_that_is_refused_leaves_none),
    T(a_leaf_says_who_what_and_the_digest_of_the_whole_value),
    T(its_root_is_that_of_its_leaves_at_every_size),
    T(a_state_that_had_none_begins_with_its_history),
    T(a_checkpoint_extends_the_one_before),
    T(what_does_not_extend_it_is_refused),
    T(only_one_a_minute),
    T(a_region_speaks_for_itself_and_cannot_take_it_back),
    T(a_frozen_region_still_shows_what_it_changes),
    T(who_lost_changes_says_so_and_only_after_a_restore),
    T(every_range_verifies),
    T(with_any_byte_changed_it_is_refused_also_under_a_new_digest),
    T(of_a_rewritten_history_no_bundle_is_sound),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
