/* test_conf.c - reeve.conf, reeve.auto.conf and what the other processes see. */
#include "tmpdir.h"

#include "backend/utils/settings.h"

static struct settings *load(const char *conf)
{
    struct settings *s = NULL;
    struct report rep = { 0 };
    tmpdir_put("reeve.conf", conf);
    if (settings_load(&s, tmpdir, &rep) != REEVE_OK)
        fail_msg("%s", rep.message);
    return s;
}

static void refused(const char *conf, const char *message)
{
    struct settings *s = NULL;
    struct report rep = { 0 };
    tmpdir_put("reeve.conf", conf);
    assert_err(settings_load(&s, tmpdir, &rep), REEVE_E_CONFIG);
    if (strstr(rep.message, message) == NULL)
        fail_msg("\"%s\", not \"%s\"", rep.message, message);
}

static void an_empty_file_is_the_defaults(void **state)
{
    struct settings *s = load("");
    assert_int_equal(settings_int(s, SET_port), 7432);
    assert_string_equal(settings_text(s, SET_listen_addresses), "localhost");
    assert_string_equal(settings_text(s, SET_data_directory), tmpdir);
    settings_free(s);
}

static void every_form_of_a_line_is_understood(void **state)
{
    struct settings *s = load("# a comment\n"
                              "port = 5000   # and another\r\n"
                              "  agent_port 5001\n"
                              "\n"
                              "listen_addresses='a b, #c'\n"
                              "application_name = 'it''s'\n"
                              "statement_timeout = 2 min\n"
                              "lock_timeout = 1.5s\n"
                              "PEER_PORT=5002\n"
                              "log_rotation_size = 10MB");
    assert_int_equal(settings_int(s, SET_port), 5000);
    assert_int_equal(settings_int(s, SET_agent_port), 5001);
    assert_int_equal(settings_int(s, SET_peer_port), 5002);
    assert_string_equal(settings_text(s, SET_listen_addresses), "a b, #c");
    assert_string_equal(settings_text(s, SET_application_name), "it's");
    assert_int_equal(settings_int(s, SET_statement_timeout), 120000);
    assert_int_equal(settings_int(s, SET_lock_timeout), 1500);
    assert_int_equal(settings_int(s, SET_log_rotation_size), 10485760);
    settings_free(s);
}

static void the_last_line_of_a_name_wins(void **state)
{
    struct settings *s = load("port = 1\nport = 2\nport = 3\n");
    assert_int_equal(settings_int(s, SET_port), 3);
    settings_free(s);
}

static void alter_system_wins_over_the_file(void **state)
{
    struct report rep = { 0 };
    assert_ok(settings_auto_replace(tmpdir, slice_str("# made\nmax_connections = '7'\n"), &rep));
    struct settings *s = load("max_connections = 50\nport = 9\n");
    assert_int_equal(settings_int(s, SET_max_connections), 7);
    assert_int_equal(settings_int(s, SET_port), 9);
    settings_free(s);
    assert_err(settings_auto_replace(tmpdir, slice_str("max_connections = 'many'\n"), &rep), REEVE_E_CONFIG);
    s = load("");
    assert_int_equal(settings_int(s, SET_max_connections), 7);
    settings_free(s);
}

static void errors_name_file_and_line(void **state)
{
    refused("port = 1\n\nprot = 2\n", "reeve.conf:3: unrecognized configuration parameter \"prot\"");
    refused("port = 70000\n", "reeve.conf:1: 70000 is outside the valid range");
    refused("#\nport =\n", "reeve.conf:2: there is no value");
    refused("listen_addresses = 'a\n", "reeve.conf:1: the quote is not closed");
    refused("listen_addresses = 'a' b\n", "reeve.conf:1: something follows the value");
    refused("= 5\n", "reeve.conf:1: a line is: name = value");
    refused("statement_timeout = 5 lightyears\n", "reeve.conf:1: invalid value");
    refused("ssl = perhaps\n", "reeve.conf:1: parameter \"ssl\" requires a Boolean value");
    refused("server_version = 99\n", "reeve.conf:1: parameter \"server_version\" cannot be set");
    refused("max_connections = 3\n", "superuser_reserved_connections must be less");
}

static void no_text_of_any_kind_breaks_the_parser(void **state)
{
    struct rng r = rng_seeded("no_text_of_any_kind_breaks_the_parser");
    static const char alphabet[] = "port=''#\n\t 12\\\"x\r\xff\x01";
    for (int i = 0; i < 2000; i++) {
        char text[64];
        struct settings *s = NULL;
        struct report rep = { 0 };
        size_t n = rng_below(&r, sizeof text - 1);
        for (size_t k = 0; k < n; k++)
            text[k] = alphabet[rng_below(&r, sizeof alphabet - 1)];
        text[n] = '\0';
        tmpdir_put("reeve.conf", text);
        if (settings_load(&s, tmpdir, &rep) != REEVE_OK)
            assert_true(rep.message[0] != '\0');
        settings_free(s);
    }
}

static void everybody_else_reads_what_the_postmaster_shares(void **state)
{
    struct report rep = { 0 };
    struct settings *there = NULL, *s = load("port = 5000\napplication_name = 'a''b # c'\nlog_level = debug\n");
    tmpdir_mkdir("run");
    assert_ok(settings_share(s, tmpdir, &rep));
    assert_ok(settings_load_shared(&there, tmpdir, &rep));
    for (int i = 0; i < SET__COUNT; i++)
        if (!setting_eq((enum setting_id) i, &s->v[i], &there->v[i]))
            fail_msg("%s differs", setting_def((enum setting_id) i)->name);
    settings_free(there);
    settings_free(s);
}

static char told[512];

static void tell(void *arg, enum setting_id id, const char *from, const char *to, bool restart)
{
    size_t n = strlen(told);
    snprintf(told + n, sizeof told - n, "%s:%s>%s%s ", setting_def(id)->name, from, to, restart ? "!" : "");
}

static void a_reload_takes_over_what_it_may(void **state)
{
    struct settings *cur = load("port = 5000\nlog_level = info\n");
    struct settings *fresh = load("port = 5001\nlog_level = debug\n");
    told[0] = '\0';
    assert_ok(settings_apply(cur, fresh, tell, NULL));
    assert_string_equal(told, "port:5000>5001! log_level:info>debug ");
    assert_int_equal(settings_int(cur, SET_port), 5000);
    assert_true(cur->pending_restart[SET_port]);
    assert_int_equal(settings_int(cur, SET_log_level), 0);
    told[0] = '\0';
    assert_ok(settings_apply(cur, fresh, tell, NULL));  /* the same again: nothing to say */
    assert_string_equal(told, "");
    settings_free(fresh);
    fresh = load("port = 5000\nlog_level = debug\n");
    assert_ok(settings_apply(cur, fresh, tell, NULL));
    assert_false(cur->pending_restart[SET_port]);
    settings_free(fresh);
    settings_free(cur);
}

static void paths_lie_in_the_data_directory_unless_absolute(void **state)
{
    char path[256], want[256];
    struct settings *s = load("hba_file = my_hba\nssl_cert_file = /etc/ssl/x\n");
    snprintf(want, sizeof want, "%s/my_hba", tmpdir);
    assert_true(settings_path(s, SET_hba_file, tmpdir, path, sizeof path));
    assert_string_equal(path, want);
    assert_true(settings_path(s, SET_ssl_cert_file, tmpdir, path, sizeof path));
    assert_string_equal(path, "/etc/ssl/x");
    assert_false(settings_path(s, SET_ssl_ca_file, tmpdir, path, sizeof path));
    settings_free(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, tmpdir_make, tmpdir_remove)
static const struct CMUnitTest tests[] = {
    T(an_empty_file_is_the_defaults),
    T(every_form_of_a_line_is_understood),
    T(the_last_line_of_a_name_wins),
    T(alter_system_wins_over_the_file),
    T(errors_name_file_and_line),
    T(no_text_of_any_kind_breaks_the_parser),
    T(everybody_else_reads_what_the_postmaster_shares),
    T(a_reload_takes_over_what_it_may),
    T(paths_lie_in_the_data_directory_unless_absolute),
};
UNIT_MAIN(tests)
