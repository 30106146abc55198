/* test_access.c - decisions over a real region's rows. */
#include "../unit.h"
#include "backend/access/access.h"
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "sim/sim_kv.h"

static struct sim_kv *store;
static struct kv *kv;
static struct region region;
static uint64_t next_index = 1, seq = 1;
static struct report rep;

static struct name nm(const char *s)
{
    struct name n = { 0 };
    if (*s)
        assert_true(name_set_str(&n, s));
    return n;
}

static void apply(struct wr *w)
{
    struct wr out = wr_heap(1 << 16);
    sim_kv_begin(store);
    assert_false(w->bad);
    assert_ok(region_apply(&region, next_index++, wr_slice(w), &out));
    sim_kv_commit(store);
    struct rd r = rd_of(wr_slice(&out));
    if (rd_left(&r) >= 4) {
        rd_u16(&r);
        assert_int_equal(rd_u16(&r), REEVE_OK);
    }
    wr_free(&out);
}

/* One operation as a transaction. */
static struct wr op_begin(enum region_op op, size_t *at)
{
    static const uint8_t session[16] = { 1 };
    struct wr w = wr_heap(1 << 16);
    struct name ann = nm("ann");
    region_txn_begin(&w, session, seq++, (struct wall_ms){ 1000 }, &ann, slice_str("[local]"), slice_str("test"),
                     slice_str(""), at);
    wr_u8(&w, op);
    return w;
}

static void op_end(struct wr *w, size_t at)
{
    region_txn_end(w, at, 1);
    apply(w);
    wr_free(w);
}

static void create_role(const char *name)
{
    size_t at;
    struct wr w = op_begin(RO_ROLE_CREATE, &at);
    struct name n = nm(name);
    struct role_row row = { .attrs = ROLE_ATTR_LOGIN | ROLE_ATTR_INHERIT, .connection_limit = -1 };
    wr_name(&w, &n);
    role_row_encode(&row, &w);
    wr_u8(&w, 0);
    op_end(&w, at);
}

static void grant(enum region_op op, const char *who, unsigned kind, const char *object, uint32_t mask)
{
    size_t at;
    struct wr w = op_begin(op, &at);
    struct name n = nm(who);
    wr_name(&w, &n);
    wr_u8(&w, (uint8_t) kind);
    wr_u8(&w, (uint8_t) strlen(object));
    wr_text(&w, object);
    wr_u32(&w, mask);
    op_end(&w, at);
}

static void member(const char *role, const char *who)
{
    size_t at;
    struct wr w = op_begin(RO_MEMBER_ADD, &at);
    struct name r = nm(role), m = nm(who);
    wr_name(&w, &r);
    wr_name(&w, &m);
    op_end(&w, at);
}

static int set_up(void **state)
{
    struct wr w = wr_heap(4096);
    struct name here = nm("local"), ann = nm("ann");
    store = sim_kv_new();
    kv = sim_kv_handle(store);
    region = (struct region){ .kv = kv, .c = &crypto_ops_real, .scratch = malloc(region_scratch_size()),
                              .scratch_len = region_scratch_size() };
    wr_u8(&w, 1);
    wr_u8(&w, RC_BUILTIN);
    wr_u64(&w, 1000);
    wr_name(&w, &here);
    wr_name(&w, &ann);
    wr_str16(&w, slice_str(""));
    apply(&w);
    wr_free(&w);
    create_role("bob");
    create_role("ops");
    return 0;
}

static int tear_down(void **state)
{
    free(region.scratch);
    sim_kv_free(store);
    next_index = seq = 1;
    return 0;
}

static bool may(const char *who, uint32_t priv, enum grant_kind kind, const char *object)
{
    struct session s = { .role = nm(who) };
    struct name o = nm(object);
    struct role_row row;
    report_clear(&rep);
    if (region_role_get(&region, &s.role, &row) == REEVE_OK && (row.attrs & ROLE_ATTR_SUPERUSER))
        s.role_attributes = ROLE_SUPERUSER;
    enum reeve_err err = access_check_region(&region, &s, priv, kind, &o, &rep);
    assert_true(err == REEVE_OK || err == REEVE_E_PRIVILEGE);
    return err == REEVE_OK;
}

static void nobody_may_anything_without_a_grant_but_a_superuser(void **state)
{
    for (uint32_t p = 1; p <= PRIV_ADMIN; p <<= 1) {
        assert_false(may("bob", p, GK_CERT, "edge"));
        assert_true(may("ann", p, GK_CERT, "edge"));
        assert_false(may("nosuchrole", p, GK_CERT, "edge"));
    }
    assert_false(may("bob", PRIV_ROTATE, GK_CERT, "edge"));
    assert_string_equal(rep.message, "permission denied for cert \"edge\"");
    assert_string_equal(rep.detail, "Role \"bob\" lacks the privilege ROTATE on it.");
}

static void a_grant_holds_for_its_object_only(void **state)
{
    grant(RO_GRANT, "bob", GK_CERT, "edge", PRIV_ROTATE);
    assert_true(may("bob", PRIV_ROTATE, GK_CERT, "edge"));
    assert_false(may("bob", PRIV_ROTATE, GK_CERT, "edge2"));
    assert_false(may("bob", PRIV_ROTATE, GK_CERT, ""));
    assert_false(may("bob", PRIV_ROTATE, GK_CONFIG, "edge"));
    assert_false(may("bob", PRIV_ROLLBACK, GK_CERT, "edge"));
    grant(RO_REVOKE, "bob", GK_CERT, "edge", PRIV_ROTATE);
    assert_false(may("bob", PRIV_ROTATE, GK_CERT, "edge"));
}

static void grants_on_the_kind_and_the_system_reach_every_object(void **state)
{
    grant(RO_GRANT, "bob", GK_CERT | GK_ALL, "", PRIV_ROTATE);
    assert_true(may("bob", PRIV_ROTATE, GK_CERT, "any"));
    assert_false(may("bob", PRIV_ROTATE, GK_CONFIG, "any"));
    grant(RO_GRANT, "bob", GK_SYSTEM, "", PRIV_OPERATE);
    assert_true(may("bob", PRIV_OPERATE, GK_ROLLOUT, "7"));
    assert_true(may("bob", PRIV_OPERATE, GK_SYSTEM, ""));
}

static void admin_includes_the_others(void **state)
{
    grant(RO_GRANT, "bob", GK_CERT, "edge", PRIV_ADMIN);
    for (uint32_t p = 1; p <= PRIV_ADMIN; p <<= 1)
        assert_true(may("bob", p, GK_CERT, "edge"));
    assert_false(may("bob", PRIV_SELECT, GK_CERT, "other"));
}

static void memberships_carry_grants_over_any_number_of_steps(void **state)
{
    create_role("team");
    member("ops", "team");
    member("team", "bob");
    grant(RO_GRANT, "ops", GK_CERT, "edge", PRIV_ROTATE);
    assert_true(may("bob", PRIV_ROTATE, GK_CERT, "edge"));
    assert_true(may("team", PRIV_ROTATE, GK_CERT, "edge"));
}

static void predefined_roles_bring_what_their_name_says(void **state)
{
    member("sys_auditor", "bob");
    assert_true(may("bob", PRIV_SELECT, GK_CERT, "edge"));
    assert_true(may("bob", PRIV_AUDIT, GK_SYSTEM, ""));
    assert_false(may("bob", PRIV_ROTATE, GK_CERT, "edge"));
    member("sys_operator", "ops");
    assert_true(may("ops", PRIV_ROTATE, GK_CERT, "edge"));
    assert_true(may("ops", PRIV_CONFIGURE, GK_CONFIG, "a/b"));
    assert_false(may("ops", PRIV_AUDIT, GK_SYSTEM, ""));
    assert_false(may("ops", PRIV_ADMIN, GK_CERT, "edge"));
}

static void only_those_who_may_change_roles_do(void **state)
{
    struct session s = { .role = nm("bob"), .role_attributes = ROLE_LOGIN };
    report_clear(&rep);
    assert_int_equal(access_check_createrole(&s, false, &rep), REEVE_E_PRIVILEGE);
    s.role_attributes |= ROLE_CREATEROLE;
    assert_ok(access_check_createrole(&s, false, &rep));
    report_clear(&rep);
    assert_int_equal(access_check_createrole(&s, true, &rep), REEVE_E_PRIVILEGE);
    s.role_attributes |= ROLE_SUPERUSER;
    assert_ok(access_check_createrole(&s, true, &rep));
}

static void names_of_privileges_parse_back(void **state)
{
    for (uint32_t p = 1; p <= PRIV_ADMIN; p <<= 1) {
        uint32_t back;
        assert_true(access_privilege_parse(slice_str(access_privilege_name(p)), &back));
        assert_int_equal(back, p);
    }
    uint32_t none;
    assert_false(access_privilege_parse(slice_str("drop"), &none));
}

int main(void)
{
#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(nobody_may_anything_without_a_grant_but_a_superuser),
        EACH(a_grant_holds_for_its_object_only),
        EACH(grants_on_the_kind_and_the_system_reach_every_object),
        EACH(admin_includes_the_others),
        EACH(memberships_carry_grants_over_any_number_of_steps),
        EACH(predefined_roles_bring_what_their_name_says),
        EACH(only_those_who_may_change_roles_do),
        EACH(names_of_privileges_parse_back),
    };
    assert_ok(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
