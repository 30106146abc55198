/* test_node.c - enrolment, liveness, workloads, and what operators do to nodes. */
#include "shire.h"

static struct shire s;

static int setup(void **state)
{
    shire_new(&s);
    txn(&s, "root");
    put_token(&s, 7, 3, 0);
    put_token(&s, 8, 100, GENESIS_MS + 5);
    commit(&s);
    assert_item(&s, 1, REEVE_OK);
    return 0;
}

static int teardown(void **state)
{
    shire_free(&s);
    return 0;
}

static void enroll_one(uint8_t token, const struct node_row *n)
{
    wr_u16(command(&s, RC_ENROLL), 1);
    add_enroll(&s, token, n);
    run(&s);
}

static void a_node_gets_an_ordinal_a_region_and_the_token_s_labels(void **state)
{
    struct node_row n = node_sample(&s, 1), got;
    uint32_t ordinal;
    enroll_one(7, &n);
    assert_item(&s, 0, REEVE_OK);
    assert_int_equal(item_u32(&s, 0), 0);
    assert_ok(region_node_find(&s.r, &n.id, &ordinal));
    assert_ok(region_node_get(&s.r, ordinal, &got));
    assert_string_equal(got.region.s, "home");
    assert_int_equal(got.labels.n, 2);
    assert_string_equal(got.labels.l[0].value.s, "edge");       /* the token's word, not the node's */
    assert_string_equal(got.labels.l[1].value.s, "debian");
    assert_int_equal(rows_in(&s, 'f'), 1);
}

static void a_lost_answer_can_be_asked_for_again(void **state)
{
    struct node_row n = node_sample(&s, 1);
    struct token_row t;
    uint8_t id[8];
    enroll_one(7, &n);
    enroll_one(7, &n);
    assert_item(&s, 0, REEVE_OK);
    assert_int_equal(item_u32(&s, 0), 0);
    memset(id, 7, sizeof id);
    assert_ok(region_token_get(&s.r, id, &t));
    assert_int_equal(t.uses_left, 2);
}

static void tokens_run_out_expire_and_must_be_known(void **state)
{
    for (uint32_t i = 0; i < 4; i++) {
        struct node_row n = node_sample(&s, i);
        enroll_one(7, &n);
        assert_item(&s, 0, i < 3 ? REEVE_OK : REEVE_E_AUTH);
    }
    struct node_row n = node_sample(&s, 9);
    enroll_one(8, &n);
    assert_item(&s, 0, REEVE_E_AUTH);
    assert_string_equal(s.item[0].message, "the join token has expired");
    n.enrolled.ms = GENESIS_MS + 4;
    enroll_one(8, &n);
    assert_item(&s, 0, REEVE_OK);
    enroll_one(9, &n);
    assert_item(&s, 0, REEVE_OK);       /* it is there already */
    n = node_sample(&s, 10);
    enroll_one(9, &n);
    assert_item(&s, 0, REEVE_E_AUTH);
}

static void a_wrong_secret_is_no_token(void **state)
{
    struct node_row n = node_sample(&s, 1);
    wr_u16(command(&s, RC_ENROLL), 1);
    size_t at = s.cmd.len;
    add_enroll(&s, 7, &n);
    s.cmd.p[at + 8] ^= 1;
    run(&s);
    assert_item(&s, 0, REEVE_E_AUTH);
    assert_int_equal(rows_in(&s, 'n'), 0);
}

static void an_id_must_belong_to_its_key(void **state)
{
    struct node_row n = node_sample(&s, 1);
    n.id.b[0] ^= 1;
    enroll_one(7, &n);
    assert_item(&s, 0, REEVE_E_V_KEY);
}

static void items_of_a_batch_are_refused_one_by_one(void **state)
{
    wr_u16(command(&s, RC_ENROLL), 3);
    for (uint32_t i = 0; i < 3; i++) {
        struct node_row n = node_sample(&s, i);
        add_enroll(&s, i == 1 ? 99 : 7, &n);
    }
    run(&s);
    assert_item(&s, 0, REEVE_OK);
    assert_item(&s, 1, REEVE_E_AUTH);
    assert_item(&s, 2, REEVE_OK);
    assert_int_equal(item_u32(&s, 2), 1);       /* dense */
}

static void revoke(const struct node_row *n)
{
    struct node_doc d = { .revoked = 1 };
    char text[NODE_ID_TEXT_LEN + 1];
    node_id_text(text, &n->id);
    block_of(&s.w, AT_NODE, text, PAYLOAD(&s.w, node, &d));
    struct attest_head head;
    assert_ok(attest_head(&s.w.a, &head));
    struct wr *w = command(&s, RC_ATTESTED);
    wr_u64(w, head.height);
    wr_u64(w, (uint64_t) s.w.now.ms);
    run(&s);
    assert_item(&s, 0, REEVE_OK);
}

static void a_revoked_id_never_enrols_again(void **state)
{
    struct node_row n = node_sample(&s, 1), m = node_sample(&s, 2), got;
    enroll_one(7, &n);
    revoke(&n);
    assert_ok(region_node_get(&s.r, 0, &got));
    assert_int_equal(got.state, NODE_REVOKED);
    enroll_one(7, &n);
    assert_item(&s, 0, REEVE_E_V_REVOKED);
    revoke(&m);
    enroll_one(7, &m);
    assert_item(&s, 0, REEVE_E_V_REVOKED);
    txn(&s, "root");
    wr_u32(op(&s, RO_NODE_DROP), 0);
    commit(&s);
    enroll_one(7, &n);
    assert_item(&s, 0, REEVE_E_V_REVOKED);
}

static void ordinals_are_never_given_twice(void **state)
{
    struct node_row n = node_sample(&s, 1);
    enroll_one(7, &n);
    txn(&s, "root");
    wr_u32(op(&s, RO_NODE_DROP), 0);
    commit(&s);
    assert_item(&s, 0, REEVE_OK);
    assert_int_equal(rows_in(&s, 'n') + rows_in(&s, 'i'), 0);
    enroll_one(7, &n);
    assert_int_equal(item_u32(&s, 0), 1);
}

static void liveness(uint32_t ordinal, uint8_t to, uint32_t applied)
{
    struct wr *w = command(&s, RC_LIVENESS);
    wr_u64(w, GENESIS_MS + 100);
    wr_u16(w, 1);
    wr_u32(w, ordinal);
    wr_u8(w, to);
    run(&s);
    assert_int_equal(item_u32(&s, 0), applied);
}

static void heartbeats_do_not_undo_what_operators_decided(void **state)
{
    struct node_row n = node_sample(&s, 1), got;
    enroll_one(7, &n);
    liveness(0, NODE_LOST, 1);
    liveness(0, NODE_LOST, 0);
    liveness(0, NODE_LIVE, 1);
    liveness(77, NODE_LOST, 0);
    txn(&s, "root");
    wr_u32(op(&s, RO_NODE_STATE), 0);
    wr_u8(&s.cmd, NODE_DRAINED);
    commit(&s);
    liveness(0, NODE_LOST, 0);
    assert_ok(region_node_get(&s.r, 0, &got));
    assert_int_equal(got.state, NODE_DRAINED);
}

static void label(const char *key, const char *value)
{
    txn(&s, "root");
    struct wr *w = op(&s, RO_NODE_LABEL);
    wr_u32(w, 0);
    put_name(w, key);
    put_name(w, value);
    commit(&s);
}

static void labels_are_set_changed_and_removed(void **state)
{
    struct node_row n = node_sample(&s, 1), got;
    enroll_one(7, &n);
    label("site", "fra1");
    label("os", "");
    label("tier", "core");
    assert_ok(region_node_get(&s.r, 0, &got));
    assert_int_equal(got.labels.n, 2);
    assert_string_equal(got.labels.l[0].value.s, "core");
    assert_string_equal(got.labels.l[1].key.s, "site");
    for (int i = 0; i < ROLLOUT_LABELS_MAX - 2; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        label(key, "x");
        assert_item(&s, 0, REEVE_OK);
    }
    label("one-more", "x");
    assert_item(&s, 0, REEVE_E_TOO_COMPLEX);
}

static void workload(uint8_t op_code, uint64_t epoch, uint32_t applied)
{
    struct workload_row row = { .service = name_of("web"), .family = 4, .port = 443, .epoch = epoch };
    struct wr *w = command(&s, RC_REGISTER);
    wr_u16(w, 1);
    wr_u32(w, 0);
    for (int i = 0; i < 16; i++)
        wr_u8(w, 1);
    wr_u8(w, op_code);
    if (op_code == 1)
        workload_row_encode(&row, w);
    run(&s);
    assert_int_equal(item_u32(&s, 0), applied);
}

static void workloads_keep_the_newest_epoch(void **state)
{
    struct node_row n = node_sample(&s, 1);
    struct region_workloads *it = malloc(region_workloads_size());
    struct slice id, val;
    uint32_t ordinal;
    struct workload_row row;
    workload(1, 1, 0);          /* nobody has that ordinal yet */
    assert_int_equal(rows_in(&s, 'j'), 0);
    enroll_one(7, &n);
    workload(1, 5, 1);
    workload(1, 4, 1);
    region_workloads_begin(it, &s.r);
    assert_ok(region_workloads_next(it, &ordinal, &id, &val));
    assert_ok(workload_row_decode(&row, val));
    assert_int_equal(row.epoch, 5);
    workload(2, 0, 1);
    region_workloads_begin(it, &s.r);
    assert_err(region_workloads_next(it, &ordinal, &id, &val), REEVE_E_NOT_FOUND);
    free(it);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    T(a_node_gets_an_ordinal_a_region_and_the_token_s_labels),
    T(a_lost_answer_can_be_asked_for_again),
    T(tokens_run_out_expire_and_must_be_known),
    T(a_wrong_secret_is_no_token),
    T(an_id_must_belong_to_its_key),
    T(items_of_a_batch_are_refused_one_by_one),
    T(a_revoked_id_never_enrols_again),
    T(ordinals_are_never_given_twice),
    T(heartbeats_do_not_undo_what_operators_decided),
    T(labels_are_set_changed_and_removed),
    T(workloads_keep_the_newest_epoch),
};
UNIT_MAIN(tests)
