/* test_txn.c - operators' transactions: once, wholly or not at all, and what they leave behind. */
#include "shire.h"

static struct shire s;

static int setup(void **state)
{
    shire_new(&s);
    return 0;
}

static int teardown(void **state)
{
    shire_free(&s);
    return 0;
}

static void assert_value(const char *key, const char *want)
{
    struct name k = name_of(key);
    struct config_row row;
    struct slice v;
    if (want == NULL) {
        enum reeve_err err = region_config_get(&s.r, &k, &row);
        assert_true(err == REEVE_E_NOT_FOUND || row.absent);
        return;
    }
    assert_ok(region_config_get(&s.r, &k, &row));
    assert_ok(region_config_value(&s.r, &k, row.gen, &v));
    assert_true(slice_eq(v, slice_str(want)));
}

static void the_first_rows_are_there_once(void **state)
{
    struct name n;
    assert_ok(region_name(&s.r, &n));
    assert_string_equal(n.s, "home");
    assert_int_equal(rows_in(&s, 'r'), 5);
    struct name strategy = name_of("default");
    struct strategy_row row;
    struct rollout_spec spec;
    assert_ok(region_strategy_get(&s.r, &strategy, &row));
    assert_true(row.builtin);
    assert_ok(rollout_spec_decode(&spec, row.spec));
    struct wr *w = command(&s, RC_BUILTIN);
    wr_u64(w, 1);
    put_name(w, "other");
    put_name(w, "eve");
    wr_str16(w, slice_str(""));
    run(&s);
    assert_item(&s, 0, REEVE_E_DUPLICATE_OBJECT);
    assert_int_equal(rows_in(&s, 'r'), 5);
}

static void a_repeat_gets_the_stored_answer_and_changes_nothing(void **state)
{
    txn(&s, "root");
    put_set(&s, "a", "1", 0);
    commit(&s);
    uint64_t version = item_u64(&s, 0);
    assert_int_equal(version, s.index);
    size_t history = rows_in(&s, 'h');
    run_bytes(&s, wr_slice(&s.cmd));
    assert_int_equal(s.n_items, 1);
    assert_true(item_u64(&s, 0) == version);
    assert_int_equal(rows_in(&s, 'h'), history);
    uint64_t applied;
    assert_ok(region_applied_index(&s.r, &applied));
    assert_int_equal(applied, s.index);
}

static void a_refused_operation_leaves_nothing_of_the_others(void **state)
{
    txn(&s, "root");
    put_set(&s, "a", "1", 0);
    put_role(&s, "anna", ROLE_ATTR_LOGIN);
    put_role(&s, "anna", ROLE_ATTR_LOGIN);
    put_set(&s, "b", "1", 0);
    commit(&s);
    assert_int_equal(s.n_items, 3);
    assert_item(&s, 0, REEVE_OK);
    assert_item(&s, 2, REEVE_E_DUPLICATE_OBJECT);
    assert_value("a", NULL);
    assert_int_equal(rows_in(&s, 'r'), 5);
    assert_int_equal(rows_in(&s, 'h') + rows_in(&s, 'f') + rows_in(&s, 'c'), 0);
    assert_int_equal(rows_in(&s, 'z'), 1);
}

static void operations_see_those_before_them(void **state)
{
    struct name anna = name_of("anna"), cert = name_of("edge-tls");
    uint32_t mask;
    txn(&s, "root");
    put_role(&s, "anna", ROLE_ATTR_LOGIN | ROLE_ATTR_INHERIT);
    put_grant(&s, "anna", GK_CERT, "edge-tls", PRIV_ROTATE);
    put_set(&s, "a", "1", 0);
    put_set(&s, "a", "2", s.index + 1);
    commit(&s);
    assert_int_equal(s.n_items, 4);
    assert_value("a", "2");
    assert_ok(region_privileges(&s.r, &anna, GK_CERT, &cert, &mask));
    assert_int_equal(mask, PRIV_ROTATE);
}

static void one_feed_row_per_object_and_revision(void **state)
{
    txn(&s, "root");
    put_set(&s, "a", "1", 0);
    put_set(&s, "a", "2", 0);
    put_set(&s, "b", "1", 0);
    commit(&s);
    assert_int_equal(rows_in(&s, 'f'), 2);
    assert_int_equal(rows_in(&s, 'h'), 3);
}

static void history_tells_before_and_after(void **state)
{
    struct kv_iter it;
    struct slice key, val;
    struct history_row h;
    txn(&s, "root");
    put_set(&s, "a", "one \"1\"\n", 0);
    commit(&s);
    txn(&s, "root");
    put_set(&s, "a", "2", 0);
    commit(&s);
    region_iter_init(&s.r, &it, 'h', (struct slice){ NULL, 0 });
    assert_ok(region_iter_next(&it, &key, &val));
    assert_ok(history_row_decode(&h, val));
    assert_int_equal(h.before.len, 0);
    assert_ok(region_iter_next(&it, &key, &val));
    assert_ok(history_row_decode(&h, val));
    assert_true(slice_eq(h.before, slice_str("{\"value\":\"one \\\"1\\\"\\u000a\",\"type\":\"text\",\"version\":2}")));
    assert_true(slice_eq(h.after, slice_str("{\"value\":\"2\",\"type\":\"text\",\"version\":3}")));
    assert_string_equal(h.actor.s, "root");
    assert_string_equal(h.client, "127.0.0.1");
    assert_true(slice_eq(h.reason, slice_str("CHG-1")));
}

static void config_is_compared_reset_and_counted_on(void **state)
{
    struct name key = name_of("a");
    struct config_row row;
    txn(&s, "root");
    put_set(&s, "a", "1", 0);
    commit(&s);
    txn(&s, "root");
    put_set(&s, "a", "2", 77);
    commit(&s);
    assert_item(&s, 0, REEVE_E_CONFLICT);
    assert_value("a", "1");
    txn(&s, "root");
    put_name(op(&s, RO_CONFIG_RESET), "a");
    commit(&s);
    assert_item(&s, 0, REEVE_OK);
    assert_value("a", NULL);
    txn(&s, "root");
    put_name(op(&s, RO_CONFIG_RESET), "a");
    commit(&s);
    assert_item(&s, 0, REEVE_E_UNDEFINED_OBJECT);
    txn(&s, "root");
    put_set(&s, "a", "3", 0);
    commit(&s);
    assert_ok(region_config_get(&s.r, &key, &row));
    assert_int_equal(row.gen, 3);
    txn(&s, "root");
    put_set(&s, "security/x", "1", 0);
    commit(&s);
    assert_item(&s, 0, REEVE_E_WRONG_STATE);
}

static void staging_shows_nothing_yet(void **state)
{
    struct name key = name_of("a");
    struct config_row row;
    txn(&s, "root");
    put_set(&s, "a", "1", 0);
    struct wr *w = op(&s, RO_CONFIG_STAGE);
    put_name(w, "a");
    wr_u8(w, VT_INT);
    wr_u8(w, 0);
    wr_str32(w, slice_str("2"));
    commit(&s);
    assert_int_equal(item_u32(&s, 1), 2);
    assert_value("a", "1");
    assert_ok(region_config_get(&s.r, &key, &row));
    assert_int_equal(row.gen_new, 2);
}

static void add_member(const char *role, const char *member)
{
    struct wr *w = op(&s, RO_MEMBER_ADD);
    put_name(w, role);
    put_name(w, member);
}

static void privileges_come_from_roles_above(void **state)
{
    struct name anna = name_of("anna"), ops = name_of("ops"), cert = name_of("x"), root = name_of("root");
    uint32_t mask;
    txn(&s, "root");
    put_role(&s, "anna", ROLE_ATTR_LOGIN | ROLE_ATTR_INHERIT);
    put_role(&s, "ops", ROLE_ATTR_INHERIT);
    put_role(&s, "plain", 0);
    add_member("ops", "anna");
    add_member("sys_operator", "ops");
    add_member("plain", "anna");
    add_member("sys_auditor", "plain");
    put_grant(&s, "ops", GK_CERT | GK_ALL, "home", PRIV_APPROVE);
    put_grant(&s, "ops", GK_CERT | GK_ALL, "elsewhere", PRIV_ADMIN);
    commit(&s);
    assert_int_equal(s.n_items, 9);
    assert_ok(region_privileges(&s.r, &anna, GK_CERT, &cert, &mask));
    assert_int_equal(mask, PRIV_SELECT | PRIV_ROTATE | PRIV_CONFIGURE | PRIV_ROLLBACK | PRIV_OPERATE | PRIV_ENROLL | PRIV_APPROVE);
    assert_ok(region_privileges(&s.r, &root, GK_CERT, &cert, &mask));
    assert_int_equal(mask, PRIV_ALL);
    struct name op_role = name_of("sys_operator"), auditor = name_of("sys_auditor");
    assert_true(region_role_is_member(&s.r, &op_role, &anna));
    assert_true(region_role_is_member(&s.r, &auditor, &anna));
    assert_false(region_role_is_member(&s.r, &anna, &ops));
    txn(&s, "root");
    add_member("anna", "ops");
    commit(&s);
    assert_item(&s, 0, REEVE_E_INVALID_VALUE);
}

static void dropping_a_role_drops_its_memberships_and_grants(void **state)
{
    txn(&s, "root");
    put_role(&s, "anna", 0);
    put_role(&s, "ann", 0);
    add_member("sys_operator", "anna");
    add_member("sys_operator", "ann");
    add_member("anna", "ann");
    put_grant(&s, "anna", GK_SYSTEM, "", PRIV_SELECT);
    commit(&s);
    size_t grants = rows_in(&s, 'g');
    txn(&s, "root");
    put_name(op(&s, RO_ROLE_DROP), "anna");
    wr_u8(&s.cmd, 0);
    commit(&s);
    assert_item(&s, 0, REEVE_OK);
    assert_int_equal(rows_in(&s, 'b'), 1);
    assert_int_equal(rows_in(&s, 'g'), grants - 1);
    txn(&s, "anna");
    put_name(op(&s, RO_ROLE_DROP), "root");
    wr_u8(&s.cmd, 0);
    commit(&s);
    assert_item(&s, 0, REEVE_E_DEPENDENT);
    txn(&s, "root");
    put_name(op(&s, RO_ROLE_DROP), "sys_auditor");
    wr_u8(&s.cmd, 0);
    commit(&s);
    assert_item(&s, 0, REEVE_E_WRONG_STATE);
}

/* The n-th write fails: the transaction is aborted, nothing remains, and a second try succeeds. */
static void a_failed_write_leaves_the_state_as_it_was(void **state)
{
    txn(&s, "root");
    put_role(&s, "anna", 0);
    put_set(&s, "a", "1", 0);
    put_grant(&s, "anna", GK_SYSTEM, "", PRIV_SELECT);
    region_txn_end(&s.cmd, s.n_ops_at, s.n_ops);
    struct sim_kv *before = sim_kv_snapshot(s.w.store);
    unsigned n = 1;
    for (;; n++) {
        wr_reset(&s.out);
        sim_kv_begin(s.w.store);
        sim_kv_fail_after(s.w.store, n);
        enum reeve_err err = region_apply(&s.r, s.index + 1, wr_slice(&s.cmd), &s.out);
        sim_kv_fail_after(s.w.store, 0);
        if (err == REEVE_OK)
            break;
        assert_int_equal(err, REEVE_E_IO);
        sim_kv_abort(s.w.store);
        assert_true(sim_kv_equal(before, s.w.store));
    }
    assert_true(n > 8);
    sim_kv_commit(s.w.store);
    assert_value("a", "1");
    sim_kv_free(before);
}

static void indexes_have_no_gaps_and_no_repeats(void **state)
{
    command(&s, RC_NOOP);
    sim_kv_begin(s.w.store);
    assert_err(region_apply(&s.r, s.index, wr_slice(&s.cmd), &s.out), REEVE_E_CORRUPT);
    assert_err(region_apply(&s.r, s.index + 2, wr_slice(&s.cmd), &s.out), REEVE_E_CORRUPT);
    sim_kv_abort(s.w.store);
    run(&s);
}

static void rollout_ids_are_reserved_without_overlap(void **state)
{
    wr_u16(command(&s, RC_RESERVE), 3);
    run(&s);
    assert_int_equal(item_u64(&s, 0), 1);
    run(&s);
    assert_int_equal(item_u64(&s, 0), 4);
}

static void raise_issue(uint8_t which, const char *kind, const char *object, const char *message)
{
    struct issue_row row = { .severity = 2, .kind = name_of(kind), .object = name_of(object), .since.ms = GENESIS_MS };
    strcpy(row.message, message);
    wr_u8(command(&s, RC_ISSUE), which);
    issue_row_encode(&row, &s.cmd);
    run(&s);
}

static void an_issue_is_one_row_per_kind_and_object(void **state)
{
    uint64_t id = 0;
    struct issue_row row;
    raise_issue(1, "cert_expiring", "a", "soon");
    raise_issue(1, "cert_expiring", "b", "soon");
    raise_issue(1, "cert_expiring", "a", "very soon");
    assert_int_equal(rows_in(&s, 'u'), 2);
    assert_ok(region_issue_next(&s.r, &id, &row));
    assert_string_equal(row.message, "very soon");
    raise_issue(2, "cert_expiring", "a", "");
    raise_issue(2, "cert_expiring", "never", "");
    assert_int_equal(rows_in(&s, 'u'), 1);
}

static void pruning_forgets_the_old_and_says_from_where(void **state)
{
    for (int i = 0; i < 5; i++) {
        txn(&s, "root");
        put_set(&s, "a", "x", 0);
        commit(&s);
    }
    uint64_t middle = s.index - 1;
    wr_u64(command(&s, RC_PRUNE), middle);
    run(&s);
    assert_int_equal(rows_in(&s, 'f'), 2);
    assert_int_equal(rows_in(&s, 'z'), 1);
    wr_u64(command(&s, RC_PRUNE), s.index);
    run(&s);
    assert_int_equal(rows_in(&s, 'z'), 0);
}

static void malformed_commands_are_answered_and_change_nothing(void **state)
{
    struct rng rng = rng_seeded("commands");
    static uint8_t good[65536], bad[65536];
    txn(&s, "root");
    put_set(&s, "a", "1", 0);
    put_role(&s, "anna", 0);
    put_token(&s, 7, 3, 0);
    region_txn_end(&s.cmd, s.n_ops_at, s.n_ops);
    size_t len = s.cmd.len;
    memcpy(good, s.cmd.p, len);
    for (size_t cut = 0; cut < len; cut++) {
        struct report rep = { 0 };
        assert_int_not_equal(region_command_check(slice_of(good, cut), &rep), REEVE_OK);
        run_bytes(&s, slice_of(good, cut));
        assert_int_not_equal(s.item[s.n_items - 1].err, REEVE_OK);
    }
    assert_int_equal(rows_in(&s, 'c') + rows_in(&s, 't'), 0);
    for (int i = 0; i < 3000; i++) {        /* flipped bits: any answer, but an answer */
        memcpy(bad, good, len);
        for (int k = 0; k < 3; k++)
            bad[rng_below(&rng, (uint32_t) len)] ^= (uint8_t) (1u << rng_below(&rng, 8));
        run_bytes(&s, slice_of(bad, len));
        assert_true(s.n_items >= 1 || bad[1] == RC_TXN || bad[1] == RC_ENROLL);
    }
}

static void the_same_commands_give_the_same_bytes(void **state)
{
    static struct shire other;
    shire_new(&other);
    struct shire *both[2] = { &s, &other };
    for (int i = 0; i < 2; i++) {
        struct shire *h = both[i];
        txn(h, "root");
        put_role(h, "anna", ROLE_ATTR_LOGIN);
        put_token(h, 7, 100, 0);
        put_set(h, "a", "1", 0);
        commit(h);
        enroll_many(h, 7, 20);
    }
    assert_true(sim_kv_equal(s.w.store, other.w.store));
    txn(&s, "root");
    put_set(&s, "a", "2", 0);
    commit(&s);
    assert_false(sim_kv_equal(s.w.store, other.w.store));
    shire_free(&other);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    T(the_first_rows_are_there_once),
    T(a_repeat_gets_the_stored_answer_and_changes_nothing),
    T(a_refused_operation_leaves_nothing_of_the_others),
    T(operations_see_those_before_them),
    T(one_feed_row_per_object_and_revision),
    T(history_tells_before_and_after),
    T(config_is_compared_reset_and_counted_on),
    T(staging_shows_nothing_yet),
    T(privileges_come_from_roles_above),
    T(dropping_a_role_drops_its_memberships_and_grants),
    T(a_failed_write_leaves_the_state_as_it_was),
    T(indexes_have_no_gaps_and_no_repeats),
    T(rollout_ids_are_reserved_without_overlap),
    T(an_issue_is_one_row_per_kind_and_object),
    T(pruning_forgets_the_old_and_says_from_where),
    T(malformed_commands_are_answered_and_change_nothing),
    T(the_same_commands_give_the_same_bytes),
};
UNIT_MAIN(tests)
