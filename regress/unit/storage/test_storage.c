/* test_storage.c - what only the real store has: processes, snapshots, durability, a full map. */
#include "../utils/tmpdir.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "backend/storage/storage.h"

#define MAP (4u << 20)

static struct storage *w;

static int setup(void **state)
{
    struct report rep = { 0 };
    return tmpdir_make(state) != 0 || storage_open(&w, tmpdir, STORAGE_WRITE, MAP, 4, &rep) != REEVE_OK;
}

static int teardown(void **state)
{
    storage_close(w);
    w = NULL;
    return tmpdir_remove(state);
}

static void put(const char *k, const char *v)
{
    struct storage_txn *t;
    assert_ok(storage_begin(w, STORAGE_WRITE, &t));
    assert_ok(kv_put(storage_kv(t), slice_str(k), slice_str(v)));
    assert_ok(storage_commit(t));
}

static void holds(struct storage_txn *t, const char *k, const char *v)
{
    struct slice got;
    assert_err(kv_get(storage_kv(t), slice_str(k), &got), v ? REEVE_OK : REEVE_E_NOT_FOUND);
    if (v != NULL)
        assert_true(slice_eq(got, slice_str(v)));
}

static void a_snapshot_does_not_change_and_the_next_one_is_fresh(void **state)
{
    struct storage_txn *a, *b;
    put("k", "1");
    assert_ok(storage_begin(w, STORAGE_READ, &a));
    put("k", "2");
    assert_ok(storage_begin(w, STORAGE_READ, &b));
    holds(a, "k", "1");
    holds(b, "k", "2");
    assert_ok(storage_commit(a));
    storage_abort(b);
    put("k", "3");
    assert_ok(storage_begin(w, STORAGE_READ, &a));      /* a renewed one */
    holds(a, "k", "3");
    struct slice key, val;
    assert_ok(kv_seek(storage_kv(a), slice_str("a"), 1, true, &key, &val));
    assert_true(slice_eq(val, slice_str("3")));
    storage_abort(a);
    put("k", "4");
    assert_ok(storage_begin(w, STORAGE_READ, &a));      /* its cursor with it */
    assert_ok(kv_seek(storage_kv(a), slice_str("a"), 1, true, &key, &val));
    assert_true(slice_eq(val, slice_str("4")));
    storage_abort(a);
}

static void a_snapshot_refuses_writes(void **state)
{
    struct storage_txn *t;
    put("k", "1");
    assert_ok(storage_begin(w, STORAGE_READ, &t));
    assert_err(kv_put(storage_kv(t), slice_str("k"), slice_str("2")), REEVE_E_BUG);
    assert_err(kv_del(storage_kv(t), slice_str("k")), REEVE_E_BUG);
    holds(t, "k", "1");
    storage_abort(t);
}

static void a_full_map_refuses_the_write_and_keeps_reading_and_small_writes(void **state)
{
    static uint8_t big[512 << 10];
    struct storage_txn *t;
    enum reeve_err err = REEVE_OK;
    put("k", "1");
    assert_ok(storage_begin(w, STORAGE_WRITE, &t));
    for (int i = 0; i < 32 && err == REEVE_OK; i++) {
        char key[16];
        snprintf(key, sizeof key, "b%d", i);
        err = kv_put(storage_kv(t), slice_str(key), slice_of(big, sizeof big));
    }
    assert_err(err, REEVE_E_DISK_FULL);
    assert_err(kv_put(storage_kv(t), slice_str("x"), slice_str("y")), REEVE_E_BUG);
    assert_true(storage_commit(t) != REEVE_OK);
    assert_ok(storage_begin(w, STORAGE_READ, &t));
    holds(t, "k", "1");
    holds(t, "b0", NULL);
    storage_abort(t);
    put("k", "2");
}

/* Runs in a process of its own, as backends do. */
static int in_child(int (*fn)(void))
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(fn());
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int read_k(void)
{
    struct report rep = { 0 };
    struct storage *r;
    struct storage_txn *t;
    struct slice v;
    if (storage_open(&r, tmpdir, STORAGE_READ, 0, 4, &rep) != REEVE_OK || storage_begin(r, STORAGE_READ, &t) != REEVE_OK)
        return 100;
    int got = kv_get(storage_kv(t), slice_str("k"), &v) == REEVE_OK ? v.p[0] - '0' : 101;
    storage_abort(t);
    storage_close(r);
    return got;
}

static void another_process_reads_what_was_committed(void **state)
{
    put("k", "7");
    assert_int_equal(in_child(read_k), 7);
}

static int use_inherited(void)
{
    struct storage_txn *t;
    signal(SIGABRT, SIG_DFL);
    (void) !freopen("/dev/null", "w", stderr);
    return storage_begin(w, STORAGE_READ, &t) == REEVE_OK ? 0 : 1;
}

static void an_environment_inherited_across_fork_is_not_used(void **state)
{
    assert_int_equal(in_child(use_inherited), 128 + SIGABRT);
}

static int die_reading(void)
{
    struct report rep = { 0 };
    struct storage *r;
    struct storage_txn *t;
    if (storage_open(&r, tmpdir, STORAGE_READ, 0, 4, &rep) == REEVE_OK && storage_begin(r, STORAGE_READ, &t) == REEVE_OK)
        kill(getpid(), SIGKILL);
    return 1;
}

static void a_dead_readers_place_is_freed(void **state)
{
    put("k", "1");
    assert_int_equal(in_child(die_reading), 128 + SIGKILL);
    assert_int_equal(storage_reader_check(w), 1);
    assert_int_equal(storage_reader_check(w), 0);
    for (int i = 0; i < 6; i++)         /* more than there are places: the dead are cleared on demand */
        assert_int_equal(in_child(die_reading), 128 + SIGKILL);
}

static int stay_reading(int in, int out)
{
    struct report rep = { 0 };
    struct storage *r;
    struct storage_txn *t;
    char c = 0;
    if (storage_open(&r, tmpdir, STORAGE_READ, 0, 4, &rep) != REEVE_OK)
        return 1;
    do {
        if (storage_begin(r, STORAGE_READ, &t) != REEVE_OK || write(out, &c, 1) != 1 || read(in, &c, 1) != 1)
            return 2;
        storage_abort(t);
    } while (c == 'm');
    storage_close(r);
    return 0;
}

static void the_writer_knows_who_reads_a_state_that_is_not_the_newest(void **state)
{
    struct storage_reader behind[2];
    struct storage_txn *own;
    int in[2], out[2], status;
    char c = 'm';
    put("k", "1");
    assert_true(pipe(in) == 0 && pipe(out) == 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(stay_reading(in[0], out[1]));
    assert_int_equal(read(out[0], &c, 1), 1);
    assert_int_equal(storage_readers_behind(w, behind, 2), 0);      /* the newest, however long */
    assert_ok(storage_begin(w, STORAGE_READ, &own));
    put("k", "2");
    assert_int_equal(storage_readers_behind(w, behind, 2), 1);      /* its own snapshots are its own concern */
    assert_int_equal(behind[0].pid, pid);
    uint64_t txn = behind[0].txn;
    put("k", "3");
    assert_int_equal(storage_readers_behind(w, behind, 0), 0);
    assert_int_equal(storage_readers_behind(w, behind, 2), 1);
    assert_int_equal(behind[0].txn, txn);
    storage_abort(own);
    c = 'm';
    assert_int_equal(write(in[1], &c, 1), 1);
    assert_int_equal(read(out[0], &c, 1), 1);
    assert_int_equal(storage_readers_behind(w, behind, 2), 0);      /* a new one */
    put("k", "4");
    assert_int_equal(storage_readers_behind(w, behind, 2), 1);
    assert_true(behind[0].txn > txn);
    c = 'e';
    assert_int_equal(write(in[1], &c, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(storage_readers_behind(w, behind, 2), 0);
    for (int i = 0; i < 2; i++)
        close(in[i]), close(out[i]);
}

static int commit_then_die(void)
{
    struct report rep = { 0 };
    struct storage_txn *t;
    if (storage_open(&w, tmpdir, STORAGE_WRITE, MAP, 4, &rep) != REEVE_OK)
        return 100;
    put("k", "8");
    if (storage_begin(w, STORAGE_WRITE, &t) != REEVE_OK || kv_put(storage_kv(t), slice_str("k"), slice_str("9")) != REEVE_OK)
        return 101;
    kill(getpid(), SIGKILL);
    return 1;
}

static void what_was_committed_survives_the_writers_death_and_nothing_else(void **state)
{
    storage_close(w);
    w = NULL;
    assert_int_equal(in_child(commit_then_die), 128 + SIGKILL);
    assert_int_equal(in_child(read_k), 8);
}

static void a_store_that_is_not_there_or_none_is_refused(void **state)
{
    struct report rep = { 0 };
    struct storage *r;
    char path[128];
    assert_err(storage_open(&r, "/nonexistent", STORAGE_READ, 0, 4, &rep), REEVE_E_NOT_FOUND);
    storage_close(w);
    w = NULL;
    snprintf(path, sizeof path, "%s/data/data.mdb", tmpdir);
    assert_int_equal(truncate(path, 0), 0);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 16384; i++)
        fputc("not a store"[i % 11], f);
    fclose(f);
    report_clear(&rep);
    assert_err(storage_open(&r, tmpdir, STORAGE_READ, 0, 4, &rep), REEVE_E_CORRUPT);
    assert_non_null(strstr(rep.message, "could not open the store"));
}

/* Whoever could lock lock.mdb for itself alone would take itself for the first and clear the table of readers. */
static void the_writer_keeps_its_lock_on_the_reader_table(void **state)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        char path[256];
        snprintf(path, sizeof path, "%s/data/lock.mdb", tmpdir);
        struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
        int fd = open(path, O_RDWR);
        _exit(fd < 0 || fcntl(fd, F_GETLK, &l) < 0 ? 2 : l.l_type == F_UNLCK ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    T(a_snapshot_does_not_change_and_the_next_one_is_fresh),
    T(a_snapshot_refuses_writes),
    T(a_full_map_refuses_the_write_and_keeps_reading_and_small_writes),
    T(another_process_reads_what_was_committed),
    T(an_environment_inherited_across_fork_is_not_used),
    T(a_dead_readers_place_is_freed),
    T(the_writer_knows_who_reads_a_state_that_is_not_the_newest),
    T(the_writer_keeps_its_lock_on_the_reader_table),
    T(what_was_committed_survives_the_writers_death_and_nothing_else),
    T(a_store_that_is_not_there_or_none_is_refused),
};
UNIT_MAIN(tests)
