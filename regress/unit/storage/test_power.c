/*
 * test_power.c - the store's file as a power cut leaves it, at any moment of any commit
 *
 * This program's pwrite, writev and fdatasync stand before the C library's: what LMDB writes into data.mdb is noted on its way.
 * The notes are then played again onto a disk that keeps what was synced, and of everything later any sectors at all; each image
 * is opened in a process of its own and must be the last state committed, or the one that was being committed, whole, and go on
 * being written. The same with a disk that lies about syncs must show. Scenario 49 of docs/design/raft-scenarios.md.
 */
#include "../utils/tmpdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "backend/storage/storage.h"

#define MAP    (4u << 20)
#define ROWS   200u
#define TXNS   80u
#define SECTOR 512u
#define NOTES  20000u
#define IMAGES 120u

/* ---- notes ---- */

enum note_kind { WRITE, WRITE_THROUGH, SYNC, COMMITTED };
struct note { enum note_kind kind; uint64_t at; size_t len; uint8_t *p; };

static bool noting, hasty;                /* hasty: nobody will cut this power */
static struct note notes[NOTES];
static size_t n_notes;

static bool is_store(int fd)
{
    char link[64], path[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path);
    return n > 8 && memcmp(path + n - 8, "data.mdb", 8) == 0;
}

static void note(enum note_kind kind, uint64_t at, const void *p, size_t len)
{
    reeve_assert(n_notes < NOTES);
    struct note *o = &notes[n_notes++];
    *o = (struct note){ kind, at, len, len ? malloc(len) : NULL };
    if (len > 0)
        memcpy(o->p, p, len);
}

ssize_t pwrite(int fd, const void *p, size_t len, off_t at)
{
    if (noting && is_store(fd))
        note(fcntl(fd, F_GETFL) & O_DSYNC ? WRITE_THROUGH : WRITE, (uint64_t) at, p, len);
    return syscall(SYS_pwrite64, fd, p, len, at);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    if (noting && is_store(fd)) {
        uint64_t at = (uint64_t) lseek(fd, 0, SEEK_CUR);
        for (int i = 0; i < n; at += v[i++].iov_len)
            note(WRITE, at, v[i].iov_base, v[i].iov_len);
    }
    return syscall(SYS_writev, fd, v, n);
}

int fdatasync(int fd)
{
    if (noting && is_store(fd))
        note(SYNC, 0, NULL, 0);
    if (hasty)
        return 0;
    return (int) syscall(SYS_fdatasync, fd);
}

/* ---- a store that is written: what each state holds ---- */

static uint32_t expected[TXNS + 1][ROWS];

static struct slice row_key(uint32_t i)
{
    static char key[16];
    snprintf(key, sizeof key, "row%06u", i);
    return slice_str(key);
}

/* A row is its number over and over, of a length of its own. */
static struct slice row_value(uint32_t i, uint32_t number)
{
    static uint32_t value[400];
    size_t n = 1 + i * 7 % 120;
    for (size_t k = 0; k < n; k++)
        value[k] = number;
    return slice_of(value, n * sizeof *value);
}

static enum reeve_err put(struct storage_txn *t, uint32_t i, uint32_t number)
{
    expected[number][i] = number;
    return kv_put(storage_kv(t), row_key(i), row_value(i, number));
}

/* Every tenth is a whole state, as of a snapshot; the others change a few rows. The index goes with them. */
static enum reeve_err commit(struct storage *w, uint32_t number, struct rng *rng)
{
    struct storage_txn *t;
    enum reeve_err err = storage_begin(w, STORAGE_WRITE, &t);
    bool whole = number % 10 == 1;
    if (err != REEVE_OK)
        return err;
    if (number > 0)
        memcpy(expected[number], expected[number - 1], sizeof expected[number]);
    err = whole ? storage_clear(t) : REEVE_OK;
    for (uint32_t i = 0; err == REEVE_OK && i < (whole ? ROWS : 1 + rng_below(rng, 20)); i++)
        err = put(t, whole ? i : rng_below(rng, ROWS), number);
    if (err == REEVE_OK)
        err = kv_put(storage_kv(t), slice_str("index"), slice_of(&number, sizeof number));
    if (err == REEVE_OK)
        return storage_commit(t);
    storage_abort(t);
    return err;
}

static struct storage *open_in(const char *dir)
{
    struct report rep = { 0 };
    struct storage *w;
    return storage_open(&w, dir, STORAGE_WRITE, MAP, 16, &rep) == REEVE_OK ? w : NULL;
}

/* ---- the disk ---- */

static uint8_t durable[MAP], image[MAP];
static size_t durable_len, image_len;

static void apply(uint8_t *to, size_t *len, const struct note *o)
{
    reeve_assert(o->at + o->len <= MAP);
    memcpy(to + o->at, o->p, o->len);
    if (o->at + o->len > *len)
        *len = o->at + o->len;
}

/* Of a write any sectors arrived: those of the disk, not of the write. */
static void apply_some(const struct note *o, struct rng *rng)
{
    for (uint64_t at = o->at, end = o->at + o->len; at < end;) {
        uint64_t next = (at / SECTOR + 1) * SECTOR;
        struct note part = { WRITE, at, (size_t) ((next < end ? next : end) - at), o->p + (at - o->at) };
        if (rng_below(rng, 2))
            apply(image, &image_len, &part);
        at = next;
    }
}

/* As it is before note number `upto` is done: what was synced, and of what is under way something. */
static void make_image(size_t upto, bool lies, struct rng *rng, size_t *from)
{
    for (size_t i = *from; i < upto; i++)
        if (notes[i].kind == SYNC && !lies)
            for (; *from < i; (*from)++)
                if (notes[*from].kind <= WRITE_THROUGH)
                    apply(durable, &durable_len, &notes[*from]);
    memcpy(image, durable, durable_len);
    memset(image + durable_len, 0, MAP - durable_len);
    image_len = durable_len;
    for (size_t i = *from; i <= upto && i < n_notes; i++) {
        if (notes[i].kind == WRITE_THROUGH && i < upto && !lies)
            apply(image, &image_len, &notes[i]);
        else if (notes[i].kind == WRITE || notes[i].kind == WRITE_THROUGH)
            apply_some(&notes[i], rng);
    }
}

/* ---- what it is worth ---- */

static bool is_state(struct storage *w, uint32_t *number)
{
    struct storage_txn *t;
    struct slice v;
    bool well = storage_begin(w, STORAGE_READ, &t) == REEVE_OK;
    if (!well)
        return false;
    well = kv_get(storage_kv(t), slice_str("index"), &v) == REEVE_OK && v.len == sizeof *number;
    if (well)
        memcpy(number, v.p, sizeof *number);
    well = well && *number <= TXNS;
    for (uint32_t i = 0; well && i < ROWS; i++)
        well = kv_get(storage_kv(t), row_key(i), &v) == REEVE_OK && slice_eq(v, row_value(i, expected[*number][i]));
    storage_abort(t);
    return well;
}

/* In a process of its own: a store that is spoiled may end it. 0: the state after `committed`, or the next one, and goes on. */
static int judge(const char *dir, uint32_t committed)
{
    struct rng rng = { committed };
    uint32_t number = 0;
    hasty = true;
    struct storage *w = open_in(dir);
    if (w == NULL || !is_state(w, &number))
        return 1;
    if (number != committed && number != committed + 1)
        return 2;
    for (uint32_t n = number + 1, end = number + 4; n <= TXNS && n < end; n++)
        if (commit(w, n, &rng) != REEVE_OK || !is_state(w, &number) || number != n)
            return 3;
    storage_close(w);
    return 0;
}

static int judged(uint32_t committed)
{
    char dir[96], path[128];
    int status;
    snprintf(dir, sizeof dir, "%s/image", tmpdir);
    snprintf(path, sizeof path, "%s/data", dir);
    mkdir(dir, 0700);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/data/lock.mdb", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/data/data.mdb", dir);
    FILE *f = fopen(path, "w");
    assert_true(f != NULL && fwrite(image, 1, image_len, f) == image_len && fclose(f) == 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(judge(dir, committed));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void read_durable(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/data/data.mdb", tmpdir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    durable_len = fread(durable, 1, sizeof durable, f);
    fclose(f);
}

/* How many of the images were not what they should be. */
static unsigned bad_images(bool lies, unsigned images, struct rng *rng)
{
    unsigned bad = 0;
    size_t from = 0, upto = 0;
    uint32_t committed = 1;
    for (unsigned k = 0; k < images; k++) {
        size_t next = n_notes * (k + 1) / images;
        next -= rng_below(rng, (uint32_t) (n_notes / images) + 1);
        for (; upto < next; upto++)
            committed += notes[upto].kind == COMMITTED;
        make_image(upto, lies, rng, &from);
        int how = judged(committed);
        if (how != 0 && !lies)
            printf("# before note %zu of %zu, %u committed: %d\n", upto, n_notes, committed, how);
        bad += how != 0;
    }
    return bad;
}

static void write_all(struct rng *rng)
{
    struct storage *w = open_in(tmpdir);
    assert_non_null(w);
    assert_ok(commit(w, 0, rng));
    assert_ok(commit(w, 1, rng));
    sync();
    read_durable();
    noting = true;
    for (uint32_t n = 2; n <= TXNS; n++) {
        assert_ok(commit(w, n, rng));
        note(COMMITTED, 0, NULL, 0);
    }
    noting = false;
    storage_close(w);
}

static void forget(void)
{
    for (size_t i = 0; i < n_notes; i++)
        free(notes[i].p);
    n_notes = 0;
}

/* ---- claims ---- */

static void after_a_power_cut_it_is_the_last_state_committed_or_the_next(void **state)
{
    struct rng rng = rng_seeded("power");
    write_all(&rng);
    unsigned writes = 0, syncs = 0;
    for (size_t i = 0; i < n_notes; i++) {
        writes += notes[i].kind <= WRITE_THROUGH;
        syncs += notes[i].kind == SYNC;
    }
    printf("# %u writes, %u syncs\n", writes, syncs);
    assert_true(syncs >= TXNS - 1 && writes > 3 * TXNS);        /* they did come by here */
    assert_int_equal(bad_images(false, IMAGES, &rng), 0);
    forget();
}

static void a_disk_that_lies_about_syncs_shows(void **state)
{
    struct rng rng = rng_seeded("lies");
    write_all(&rng);
    assert_true(bad_images(true, 20, &rng) > 10);
    forget();
}

#define T(f) cmocka_unit_test_setup_teardown(f, tmpdir_make, tmpdir_remove)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(after_a_power_cut_it_is_the_last_state_committed_or_the_next),
        T(a_disk_that_lies_about_syncs_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
