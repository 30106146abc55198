/* test_hba.c - rules of reeve_hba.conf: what parses, and which rule decides. */
#include "../unit.h"

#include <arpa/inet.h>

#include "backend/libpq/hba.h"

static struct arena arena;
static struct hba hba;
static struct report rep;

static enum reeve_err parse(const char *text)
{
    arena_reset(&arena);
    report_clear(&rep);
    return hba_parse(&hba, &arena, slice_str(text), &rep);
}

static bool member(void *arg, struct slice user, struct slice role)
{
    return slice_eq(role, slice_str("ops")) && slice_eq(user, slice_str("ann"));
}

/* The line number of the rule that fits, 0 for none. address NULL: the local socket. */
static int rule_for(const char *address, bool tls, const char *database, const char *user)
{
    struct hba_client c = { .local = address == NULL, .tls = tls, .database = slice_str(database),
                            .user = slice_str(user), .member = member };
    if (address != NULL && strchr(address, ':')) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) &c.peer;
        in6->sin6_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, address, &in6->sin6_addr), 1);
    } else if (address != NULL) {
        struct sockaddr_in *in = (struct sockaddr_in *) &c.peer;
        in->sin_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, address, &in->sin_addr), 1);
    }
    const struct hba_rule *r = hba_match(&hba, &c);
    return r ? r->line : 0;
}

static void the_default_file_asks_a_password_on_loopback_and_refuses_the_rest(void **state)
{
    assert_ok(parse(hba_default_text));
    assert_int_equal(hba.n, 3);
    for (int i = 0; i < hba.n; i++)
        assert_int_equal(hba.rules[i].method, HBA_SCRAM);
    assert_int_not_equal(rule_for(NULL, false, "reeve", "x"), 0);
    assert_int_not_equal(rule_for("127.0.0.1", false, "reeve", "x"), 0);
    assert_int_not_equal(rule_for("127.0.0.1", true, "reeve", "x"), 0);
    assert_int_not_equal(rule_for("::1", false, "reeve", "x"), 0);
    assert_int_equal(rule_for("127.0.0.2", false, "reeve", "x"), 0);
    assert_int_equal(rule_for("10.0.0.1", true, "reeve", "x"), 0);
}

static void the_first_rule_that_fits_decides(void **state)
{
    assert_ok(parse("host all bob 10.0.0.0/8 reject\n"
                    "host all all 10.1.0.0 255.255.0.0 scram-sha-256 # mask form\n"
                    "hostssl reeve,other \"ann\",+ops 0.0.0.0/0 cert\n"
                    "hostnossl all all ::/0 scram-sha-256\n"
                    "local all all peer\n"));
    assert_int_equal(rule_for("10.1.2.3", false, "reeve", "bob"), 1);
    assert_int_equal(rule_for("10.1.2.3", false, "reeve", "eve"), 2);
    assert_int_equal(rule_for("10.2.2.3", false, "reeve", "eve"), 0);
    assert_int_equal(rule_for("10.2.2.3", true, "reeve", "ann"), 3);
    assert_int_equal(rule_for("10.2.2.3", true, "third", "ann"), 0);
    assert_int_equal(rule_for("fe80::1", false, "x", "y"), 4);
    assert_int_equal(rule_for("fe80::1", true, "x", "y"), 0);
    assert_int_equal(rule_for(NULL, false, "x", "y"), 5);
    assert_int_equal(rule_for("::ffff:10.1.2.3", false, "reeve", "eve"), 2);
}

static void roles_quotes_and_samehost(void **state)
{
    assert_ok(parse("host all +ops samehost scram-sha-256\n"
                    "host \"all\" \"+ops\" all scram-sha-256\n"));
    assert_int_equal(rule_for("127.9.9.9", false, "reeve", "ann"), 1);
    assert_int_equal(rule_for("127.9.9.9", false, "reeve", "bob"), 0);
    assert_int_equal(rule_for("9.9.9.9", false, "all", "+ops"), 2);
    assert_int_equal(rule_for("9.9.9.9", false, "reeve", "ann"), 0);
}

static void spoiled_lines_are_refused_with_their_number(void **state)
{
    static const char *const bad[] = {
        "hots all all all trust", "host", "host all", "host all all", "host all all 1.2.3.4", "host all all 1.2.3.4/33 reject",
        "host all all 1.2.3.4/x reject", "host all all ::1/129 reject", "host all all example.org reject",
        "host all all 1.2.3.4 ::1 reject", "local all all md5", "host all all all trust", "host all all all cert",
        "host all all all peer", "local all all trust map=x", "local all \"x trust", "local all, all", "local all ,all trust",
        "host all all 1.2.3.4/ reject",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[200];
        snprintf(text, sizeof text, "# one\n\n%s\n", bad[i]);
        if (parse(text) != REEVE_E_CONFIG)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(rep.message, "line 3"));
    }
}

static void too_many_rules_are_refused(void **state)
{
    char *text = malloc(30 * (HBA_RULES_MAX + 1)), *p = text;
    for (int i = 0; i <= HBA_RULES_MAX; i++)
        p += sprintf(p, "local all all reject\n");
    assert_int_equal(parse(text), REEVE_E_CONFIG);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_file_asks_a_password_on_loopback_and_refuses_the_rest),
        cmocka_unit_test(the_first_rule_that_fits_decides),
        cmocka_unit_test(roles_quotes_and_samehost),
        cmocka_unit_test(spoiled_lines_are_refused_with_their_number),
        cmocka_unit_test(too_many_rules_are_refused),
    };
    arena_init(&arena, 64 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
