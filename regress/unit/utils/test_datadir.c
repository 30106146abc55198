/* test_datadir.c - version, lock and pid file. */
#include "tmpdir.h"

#include <signal.h>
#include <sys/wait.h>

#include "backend/utils/clock.h"
#include "backend/utils/datadir.h"
#include "engine/engine.h"

static void refused(enum reeve_err want, const char *message)
{
    struct report rep = { 0 };
    assert_err(datadir_check(tmpdir, &rep), want);
    if (strstr(rep.message, message) == NULL)
        fail_msg("\"%s\", not \"%s\"", rep.message, message);
}

static void what_was_written_is_accepted(void **state)
{
    struct report rep = { 0 };
    assert_ok(datadir_write_version(tmpdir, &rep));
    assert_ok(datadir_check(tmpdir, &rep));
}

static void a_foreign_directory_is_refused(void **state)
{
    refused(REEVE_E_WRONG_STATE, "is not a Reeve data directory");
    tmpdir_put("reeve.version", "15\n");
    refused(REEVE_E_WRONG_STATE, "is not understood");
    tmpdir_put("reeve.version", "reeve-data 1 and more\n");
    refused(REEVE_E_WRONG_STATE, "is not understood");
    tmpdir_put("reeve.version", "");
    refused(REEVE_E_WRONG_STATE, "is not understood");
}

static void a_newer_directory_is_refused(void **state)
{
    char text[64];
    snprintf(text, sizeof text, "reeve-data %u\n", (unsigned) REEVE_FORMAT_VERSION + 1);
    tmpdir_put("reeve.version", text);
    refused(REEVE_E_WRONG_STATE, "newer than this program's");
}

static void a_directory_open_to_others_is_refused(void **state)
{
    struct report rep = { 0 };
    assert_ok(datadir_write_version(tmpdir, &rep));
    assert_int_equal(chmod(tmpdir, 0750), 0);
    refused(REEVE_E_WRONG_STATE, "can be used by others");
}

static void a_directory_that_is_none_is_refused(void **state)
{
    char out[DATADIR_PATH_MAX];
    struct report rep = { 0 };
    assert_err(datadir_resolve(out, "/nonexistent/x", &rep), REEVE_E_UNDEFINED_OBJECT);
    report_clear(&rep);
    assert_err(datadir_resolve(out, "/etc/passwd", &rep), REEVE_E_WRONG_STATE);
}

static void the_pid_file_reads_as_written(void **state)
{
    struct report rep = { 0 };
    struct pidfile in = { .pid = 4711, .started_s = 1700000000, .port = 7432, .socket = "/x/.s", .state = "ready" }, out;
    assert_err(pidfile_read(&out, tmpdir), REEVE_E_NOT_FOUND);
    assert_ok(pidfile_write(tmpdir, &in, &rep));
    assert_ok(pidfile_read(&out, tmpdir));
    assert_int_equal(out.pid, 4711);
    assert_int_equal(out.started_s, 1700000000);
    assert_int_equal(out.port, 7432);
    assert_string_equal(out.socket, "/x/.s");
    assert_string_equal(out.state, "ready");
    pidfile_remove(tmpdir);
    assert_err(pidfile_read(&out, tmpdir), REEVE_E_NOT_FOUND);
}

static void a_pid_file_without_a_pid_is_malformed(void **state)
{
    static const char *const bad[] = { "", "abc\n", "-5\n", "0\n", "12x\n", "99999999999\n" };
    struct pidfile out;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tmpdir_put("reeve.pid", bad[i]);
        assert_err(pidfile_read(&out, tmpdir), REEVE_E_MALFORMED);
    }
}

/* A process that holds the lock and says so through a pipe; ends after ms, or when killed. */
static pid_t holder_start(int ms)
{
    int said[2];
    char c;
    assert_int_equal(pipe(said), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct report rep = { 0 };
        int fd;
        if (datadir_lock(&fd, tmpdir, 0, &rep) != REEVE_OK || write(said[1], "x", 1) != 1)
            _exit(1);
        usleep((useconds_t) ms * 1000);
        _exit(0);
    }
    close(said[1]);
    assert_int_equal(read(said[0], &c, 1), 1);
    close(said[0]);
    return pid;
}

static void a_running_server_is_refused_soon_and_by_name(void **state)
{
    struct report rep = { 0 };
    int fd;
    tmpdir_mkdir("run");
    pid_t pid = holder_start(10000);
    assert_ok(pidfile_write(tmpdir, &(struct pidfile){ .pid = (int32_t) pid }, &rep));
    int64_t from = clock_mono().ms;
    assert_err(datadir_lock(&fd, tmpdir, 5000, &rep), REEVE_E_LOCKED);
    assert_in_range(clock_mono().ms - from, 0, 2000);
    assert_non_null(strstr(rep.message, "in use by a server"));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void the_remains_of_a_killed_server_are_waited_for(void **state)
{
    struct report rep = { 0 };
    int fd;
    tmpdir_mkdir("run");
    pid_t pid = holder_start(300);      /* no pid file: its postmaster is gone */
    assert_ok(datadir_lock(&fd, tmpdir, 10000, &rep));
    close(fd);
    waitpid(pid, NULL, 0);
}

static void remains_that_stay_are_refused_in_the_end(void **state)
{
    struct report rep = { 0 };
    int fd;
    tmpdir_mkdir("run");
    pid_t pid = holder_start(10000);
    assert_err(datadir_lock(&fd, tmpdir, 200, &rep), REEVE_E_LOCKED);
    assert_non_null(strstr(rep.message, "processes of a server that ended"));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void a_stale_pid_file_is_no_hindrance(void **state)
{
    struct report rep = { 0 };
    int fd;
    tmpdir_mkdir("run");
    assert_ok(pidfile_write(tmpdir, &(struct pidfile){ .pid = 1 }, &rep));     /* somebody else's, alive */
    assert_ok(datadir_lock(&fd, tmpdir, 0, &rep));
    close(fd);
}

static void a_zombie_is_not_alive(void **state)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    for (int i = 0; i < 200 && pid_alive((int32_t) pid); i++)
        usleep(10000);
    assert_int_equal(kill(pid, 0), 0);
    assert_false(pid_alive((int32_t) pid));
    waitpid(pid, NULL, 0);
    assert_true(pid_alive((int32_t) getpid()));
}

static void a_replaced_file_is_whole_and_as_private_as_asked(void **state)
{
    char path[128], mem[32];
    struct report rep = { 0 };
    struct stat st;
    size_t len;
    snprintf(path, sizeof path, "%s/f", tmpdir);
    assert_ok(file_replace(path, slice_str("one"), 0600, &rep));
    assert_ok(file_replace(path, slice_str("second"), 0600, &rep));
    assert_ok(file_read(path, mem, sizeof mem, &len));
    assert_int_equal(len, 6);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_err(file_read(path, mem, 5, &len), REEVE_E_TOO_BIG);
    assert_err(file_read("/nonexistent", mem, 5, &len), REEVE_E_NOT_FOUND);
    assert_err(file_replace("/nonexistent/x", slice_str("a"), 0600, &rep), REEVE_E_NOT_FOUND);
}

#define T(f) cmocka_unit_test_setup_teardown(f, tmpdir_make, tmpdir_remove)
static const struct CMUnitTest tests[] = {
    T(what_was_written_is_accepted),
    T(a_foreign_directory_is_refused),
    T(a_newer_directory_is_refused),
    T(a_directory_open_to_others_is_refused),
    T(a_directory_that_is_none_is_refused),
    T(the_pid_file_reads_as_written),
    T(a_pid_file_without_a_pid_is_malformed),
    T(a_running_server_is_refused_soon_and_by_name),
    T(the_remains_of_a_killed_server_are_waited_for),
    T(remains_that_stay_are_refused_in_the_end),
    T(a_stale_pid_file_is_no_hindrance),
    T(a_zombie_is_not_alive),
    T(a_replaced_file_is_whole_and_as_private_as_asked),
};
UNIT_MAIN(tests)
