/* test_shared.c - the two shared tables, and the log. */
#include "tmpdir.h"

#include "backend/utils/activity.h"
#include "backend/utils/liveness.h"
#include "backend/utils/log.h"

static int setup(void **state)
{
    if (tmpdir_make(state) != 0)
        return -1;
    tmpdir_mkdir("run");
    tmpdir_mkdir("log");
    return 0;
}

static void a_session_is_seen_by_others_as_it_was_put(void **state)
{
    struct activity_map *mine, *theirs;
    struct activity a = { .pid = 42, .state = ACT_ACTIVE, .user = "u", .query = "SELECT 1" }, got;
    assert_ok(activity_create(&mine, tmpdir, 8));
    assert_ok(activity_open(&theirs, tmpdir));
    assert_int_equal(activity_slots(theirs), 8);
    assert_false(activity_get(theirs, 3, &got));
    activity_put(mine, 3, &a);
    assert_true(activity_get(theirs, 3, &got));
    assert_int_equal(got.pid, 42);
    assert_string_equal(got.query, "SELECT 1");
    activity_clear(mine, 3);
    assert_false(activity_get(theirs, 3, &got));
    activity_put(mine, 8, &a);
    assert_false(activity_get(theirs, 8, &got));
    activity_close(mine);
    activity_close(theirs);
}

static void a_slot_without_terminators_is_still_text(void **state)
{
    struct activity_map *m;
    struct activity a, got;
    memset(&a, 'x', sizeof a);
    assert_ok(activity_create(&m, tmpdir, 1));
    activity_put(m, 0, &a);
    assert_true(activity_get(m, 0, &got));
    assert_int_equal(strlen(got.query), sizeof got.query - 1);
    assert_int_equal(strlen(got.user), sizeof got.user - 1);
    activity_close(m);
}

static void a_file_of_another_form_is_refused(void **state)
{
    struct activity_map *m;
    assert_err(activity_open(&m, tmpdir), REEVE_E_NOT_FOUND);
    tmpdir_put("run/sessions.shm", "nonsense that is long enough for a header, but not one");
    assert_err(activity_open(&m, tmpdir), REEVE_E_MALFORMED);
}

static void a_node_is_as_alive_as_its_last_touch_and_survives_reopening(void **state)
{
    struct liveness *w, *r;
    assert_ok(liveness_create(tmpdir));
    assert_ok(liveness_open(&w, tmpdir, true));
    assert_ok(liveness_open(&r, tmpdir, false));
    assert_int_equal(liveness_get(r, 5), 0);
    liveness_touch(w, 5, 1000);
    liveness_touch(w, 5, 900);
    liveness_touch(w, LIVENESS_NODES_MAX - 1, 7);
    liveness_touch(w, LIVENESS_NODES_MAX, 7);
    assert_int_equal(liveness_get(r, 5), 1000);
    assert_int_equal(liveness_get(r, LIVENESS_NODES_MAX - 1), 7);
    assert_int_equal(liveness_get(r, LIVENESS_NODES_MAX), 0);
    liveness_touch(r, 5, 2000);         /* a reader does not write */
    assert_int_equal(liveness_get(r, 5), 1000);
    liveness_close(w);
    liveness_close(r);
    assert_ok(liveness_create(tmpdir));
    assert_ok(liveness_open(&r, tmpdir, false));
    assert_int_equal(liveness_get(r, 5), 1000);
    liveness_close(r);
}

static void read_log(char *out, size_t cap)
{
    char path[128];
    snprintf(path, sizeof path, "%s/log/reeve.log", tmpdir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    out[fread(out, 1, cap - 1, f)] = '\0';
    fclose(f);
}

static void a_log_line_cannot_be_forged_by_what_it_tells(void **state)
{
    char text[16384], longest[8000];
    struct report rep = { 0 };
    struct log_field f = { "name", slice_str("a\"b\nFATAL: c\xff") };
    log_init("test");
    assert_ok(log_open(tmpdir, &rep));
    log_configure(LOG_SEV_INFO, LOG_FORM_TEXT);
    log_write(LOG_SEV_INFO, "hello\nFATAL: forged");
    log_write(LOG_SEV_DEBUG, "not wanted");
    log_configure(LOG_SEV_INFO, LOG_FORM_JSON);
    log_write_fields(LOG_SEV_ERROR, &f, 1, "said \"%s\"", "x\\");
    memset(longest, '\x01', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    log_write(LOG_SEV_INFO, "%s", longest);
    read_log(text, sizeof text);
    assert_non_null(strstr(text, " test INFO: hello\\x0aFATAL: forged\n"));
    assert_null(strstr(text, "not wanted"));
    assert_non_null(strstr(text, "\"level\":\"ERROR\",\"message\":\"said \\\"x\\\\\\\"\",\"name\":\"a\\\"b\\u000aFATAL: c\\u00ff\"}\n"));
    int lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    assert_int_equal(lines, 3);
    assert_int_equal(text[strlen(text) - 2], '}');
}

static void a_site_that_a_peer_can_trigger_goes_quiet(void **state)
{
    char text[16384];
    struct report rep = { 0 };
    log_init("test");
    assert_ok(log_open(tmpdir, &rep));
    log_configure(LOG_SEV_INFO, LOG_FORM_TEXT);
    for (int i = 0; i < 1000; i++)
        log_limited(LOG_SEV_WARNING, "bad frame");
    read_log(text, sizeof text);
    int lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    assert_int_equal(lines, 5);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, tmpdir_remove)
static const struct CMUnitTest tests[] = {
    T(a_session_is_seen_by_others_as_it_was_put),
    T(a_slot_without_terminators_is_still_text),
    T(a_file_of_another_form_is_refused),
    T(a_node_is_as_alive_as_its_last_touch_and_survives_reopening),
    T(a_log_line_cannot_be_forged_by_what_it_tells),
    T(a_site_that_a_peer_can_trigger_goes_quiet),
};
UNIT_MAIN(tests)
