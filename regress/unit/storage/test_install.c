/*
 * test_install.c - a state that replaces the whole store in one transaction: under kill -9, under readers that come and go,
 * beside a reader that stands still
 *
 * As a snapshot of the ring is installed (backend/ring/state.c): everything out, everything in, one commit. Every row of a state
 * carries its number, so a mix of two shows; an older one than was seen before, too. Writer and readers are processes, as in a
 * server. Scenarios 39, 49 and 51 to 53 of docs/design/raft-scenarios.md.
 */
#include "../utils/tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "backend/storage/storage.h"

#define MAP   (4u << 20)
#define ROWS  300u
#define BYTES 200u          /* a state is about 80 KB */

static struct storage *w;
static uint32_t newest;     /* as the writer knows */

static void open_writer(void)
{
    struct report rep = { 0 };
    assert_ok(storage_open(&w, tmpdir, STORAGE_WRITE, MAP, 256, &rep));
}

static void close_writer(void)
{
    storage_close(w);
    w = NULL;
}

static int setup(void **state)
{
    newest = 0;
    return tmpdir_make(state);
}

static int teardown(void **state)
{
    close_writer();
    return tmpdir_remove(state);
}

/* ---- a state ---- */

static struct slice row_key(uint32_t i)
{
    static char key[16];
    snprintf(key, sizeof key, "row%06u", i);
    return slice_str(key);
}

static enum reeve_err put_all(struct storage_txn *t, uint32_t number)
{
    uint32_t value[BYTES / sizeof(uint32_t)];
    enum reeve_err err = storage_clear(t);
    for (size_t i = 0; i < sizeof value / sizeof *value; i++)
        value[i] = number;
    for (uint32_t i = 0; i < ROWS && err == REEVE_OK; i++)
        err = kv_put(storage_kv(t), row_key(i), slice_of(value, sizeof value));
    return err;
}

static enum reeve_err install(uint32_t number)
{
    struct storage_txn *t;
    enum reeve_err err = storage_begin(w, STORAGE_WRITE, &t);
    if (err != REEVE_OK)
        return err;
    err = put_all(t, number);
    if (err == REEVE_OK)
        return storage_commit(t);
    storage_abort(t);
    return err;
}

/* The number that all rows have; 0: a mix, or rows are missing. */
static uint32_t number_of(struct storage_txn *t)
{
    struct slice v;
    uint32_t first = 0, n[BYTES / sizeof(uint32_t)];
    for (uint32_t i = 0; i < ROWS; i++) {
        if (kv_get(storage_kv(t), row_key(i), &v) != REEVE_OK || v.len != sizeof n)
            return 0;
        memcpy(n, v.p, sizeof n);
        if (i == 0)
            first = n[0];
        for (size_t k = 0; k < sizeof n / sizeof *n; k++)
            if (n[k] != first)
                return 0;
    }
    return first;
}

static uint32_t number_now(struct storage *s)
{
    struct storage_txn *t;
    if (storage_begin(s, STORAGE_READ, &t) != REEVE_OK)
        return 0;
    uint32_t n = number_of(t);
    storage_abort(t);
    return n;
}

static uint64_t used(void)
{
    struct storage_stat st;
    assert_ok(storage_stat(w, &st));
    return st.used_bytes;
}

/* ---- processes ---- */

/* fn in a process of its own, which writes into out. */
static pid_t process(int (*fn)(int out), int *out)
{
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fd[0]);
        _exit(fn(fd[1]));
    }
    close(fd[1]);
    *out = fd[0];
    return pid;
}

static int end_of(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool hears(int fd, uint32_t *n) { return read(fd, n, sizeof *n) == sizeof *n; }

/* ---- kill -9 ---- */

static int install_for_ever(int out)
{
    open_writer();
    for (uint32_t n = newest + 1;; n++)
        if (install(n) != REEVE_OK || write(out, &n, sizeof n) != sizeof n)
            return 1;
}

static void killed_at_any_moment_it_leaves_the_old_state_or_the_new_one(void **state)
{
    struct rng rng = rng_seeded("install");
    uint32_t n = 0, lost = 0;
    for (int i = 0; i < 60; i++) {
        int out;
        pid_t pid = process(install_for_ever, &out);
        assert_true(hears(out, &newest));
        usleep(rng_below(&rng, 8000));
        kill(pid, SIGKILL);
        assert_int_equal(end_of(pid), 128 + SIGKILL);
        while (hears(out, &n))
            newest = n;
        close(out);
        open_writer();
        n = number_now(w);
        close_writer();
        if (n != newest && n != newest + 1)
            fail_msg("%u was the last one installed for certain, the store has %u", newest, n);
        lost += n == newest;
        newest = n;
    }
    printf("# killed before the commit: %u, behind it: %u\n", lost, 60 - lost);
}

/* ---- readers that come and go ---- */

enum { TOGETHER = 50, OPENINGS = 10, SNAPSHOTS = 20 };

/* A backend opens the store once; here each does so ten times, and on until it saw a later state than at first. */
static int read_and_go(int out)
{
    struct report rep = { 0 };
    uint32_t before = 0, first = 0;
    for (int i = 0; i < OPENINGS || before == first; i++) {
        struct storage *s;
        if (storage_open(&s, tmpdir, STORAGE_READ, 0, 0, &rep) != REEVE_OK)
            return 2;
        for (int k = 0; k < SNAPSHOTS; k++) {
            uint32_t n = number_now(s);
            if (n < before || n == 0)
                return n == 0 ? 3 : 4;
            before = n;
            first = first ? first : n;
        }
        storage_close(s);
    }
    return write(out, &before, sizeof before) == sizeof before ? 0 : 5;
}

static void five_hundred_openings_meet_no_failure_and_no_mix_of_states(void **state)
{
    pid_t pid[TOGETHER];
    int out[TOGETHER], left = TOGETHER;
    uint32_t n, at_begin;
    open_writer();
    assert_ok(install(++newest));
    at_begin = newest;
    for (int i = 0; i < TOGETHER; i++)
        pid[i] = process(read_and_go, &out[i]);
    while (left > 0) {
        enum reeve_err err = install(newest + 1);
        newest += err == REEVE_OK;
        if (err == REEVE_E_DISK_FULL)   /* somebody waits for a core in the middle of a snapshot */
            usleep(2000);
        else
            assert_ok(err);
        for (int i = 0; i < TOGETHER; i++) {
            int status;
            if (pid[i] == 0 || waitpid(pid[i], &status, WNOHANG) == 0)
                continue;
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 0);
            assert_true(hears(out[i], &n) && n > at_begin && n <= newest);
            close(out[i]);
            pid[i] = 0;
            left--;
        }
    }
    printf("# %u states installed meanwhile\n", newest - at_begin);
}

/* ---- a reader that stands still ---- */

static int stand_still(int out)
{
    struct report rep = { 0 };
    struct storage *s;
    struct storage_txn *t;
    if (storage_open(&s, tmpdir, STORAGE_READ, 0, 0, &rep) != REEVE_OK || storage_begin(s, STORAGE_READ, &t) != REEVE_OK)
        return 2;
    uint32_t n = number_of(t);
    if (write(out, &n, sizeof n) != sizeof n)
        return 3;
    raise(SIGSTOP);
    int well = number_of(t) == n;
    storage_abort(t);
    well = well && number_now(s) > n;
    storage_close(s);
    return well ? 0 : 1;
}

/* As long as it stands, no page that its snapshot has is used again: the store grows to the map's end and no further. */
static pid_t fill_beside(int *out)
{
    int status;
    uint32_t n, begin = newest;
    enum reeve_err err;
    pid_t pid = process(stand_still, out);
    assert_true(hears(*out, &n) && n == newest);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    while ((err = install(newest + 1)) == REEVE_OK) {
        newest++;
        assert_true(newest - begin < 1000);
    }
    assert_err(err, REEVE_E_DISK_FULL);
    assert_true(newest > begin && used() <= MAP);
    struct storage_reader behind[4];
    assert_int_equal(storage_readers_behind(w, behind, 4), 1);      /* so the ring knows whom to end */
    assert_int_equal(behind[0].pid, pid);
    assert_int_equal(number_now(w), newest);
    return pid;
}

static void goes_on_well(void)
{
    struct storage_reader behind;
    assert_int_equal(storage_readers_behind(w, &behind, 1), 0);
    uint64_t before = used();
    for (int i = 0; i < 100; i++)
        assert_ok(install(++newest));
    assert_true(used() <= before);
    assert_int_equal(number_now(w), newest);
}

static void one_that_stands_still_costs_room_up_to_the_map_until_it_goes_on_or_dies(void **state)
{
    int out;
    open_writer();
    for (int i = 0; i < 100; i++)
        assert_ok(install(++newest));
    assert_true(used() < MAP / 4);      /* without one nothing grows */
    pid_t pid = fill_beside(&out);
    kill(pid, SIGCONT);
    assert_int_equal(end_of(pid), 0);   /* its snapshot is what it was, its next one is new */
    close(out);
    goes_on_well();
    pid = fill_beside(&out);
    kill(pid, SIGKILL);
    assert_int_equal(end_of(pid), 128 + SIGKILL);
    close(out);
    assert_int_equal(storage_reader_check(w), 1);
    goes_on_well();
}

static int die_reading(int out)
{
    struct report rep = { 0 };
    struct storage *s;
    struct storage_txn *t;
    if (storage_open(&s, tmpdir, STORAGE_READ, 0, 0, &rep) == REEVE_OK && storage_begin(s, STORAGE_READ, &t) == REEVE_OK)
        kill(getpid(), SIGKILL);
    return 1;
}

/* 256 places: without anybody clearing them they would not do. */
static void five_hundred_that_die_reading_cost_no_place_and_no_room(void **state)
{
    int out;
    open_writer();
    for (int i = 0; i < 500; i++) {
        assert_ok(install(++newest));
        pid_t pid = process(die_reading, &out);
        assert_int_equal(end_of(pid), 128 + SIGKILL);
        close(out);
        if (i % 20 == 19)
            (void) storage_reader_check(w);     /* the ring does so on a timer */
    }
    assert_true(used() < MAP);
    struct storage_stat st;
    assert_ok(storage_stat(w, &st));
    assert_true(st.readers <= 64);
    goes_on_well();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(killed_at_any_moment_it_leaves_the_old_state_or_the_new_one),
        T(five_hundred_openings_meet_no_failure_and_no_mix_of_states),
        T(one_that_stands_still_costs_room_up_to_the_map_until_it_goes_on_or_dies),
        T(five_hundred_that_die_reading_cost_no_place_and_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
