/*
 * test_core.c - a ring of one on real files: what was acknowledged survives kill -9, damage is told from torn tails, a
 * state made before there was a log goes on with one.
 */
#include "../utils/tmpdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "backend/ring/core.h"
#include "backend/utils/log.h"
#include "common/buf.h"

#define MAP     (64u << 20)
#define SEGMENT (256u << 10)
#define LIVES   15
#define LIFE_IDS 2000
#define IDS_MAX (LIVES * LIFE_IDS)

/* ---- the state: 'n' u32 id -> u64 revision, times; "rev" -> u64. Command: u8 early, u32 id, padding ---- */

static atomic_bool no_room, held_up;

static enum reeve_err put_u64s(struct kv *kv, struct slice key, uint64_t a, uint64_t b)
{
    uint8_t mem[16];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, a);
    wr_u64(&w, b);
    return kv_put(kv, key, wr_slice(&w));
}

static struct slice id_key(uint8_t mem[5], uint32_t id)
{
    struct wr w = wr_fixed(mem, 5);
    wr_u8(&w, 'n');
    wr_u32(&w, id);
    return slice_of(mem, 5);
}

static enum reeve_err toy_apply(void *arg, struct kv *kv, uint64_t index, struct slice command, struct wr *out, struct report *rep)
{
    static uint8_t huge[2 * MAP];
    uint8_t mem[5];
    struct slice have;
    uint64_t times = 1;
    struct rd r = rd_of(command);
    rd_u8(&r);
    uint32_t id = rd_u32(&r);
    if (r.bad)
        return report_set(rep, REEVE_E_MALFORMED, "no command");
    while (atomic_load(&held_up))
        usleep(1000);
    if (atomic_load(&no_room))
        return kv_put(kv, slice_str("huge"), slice_of(huge, sizeof huge));
    if (kv_get(kv, id_key(mem, id), &have) == REEVE_OK) {
        struct rd old = rd_of(have);
        rd_u64(&old);
        times = rd_u64(&old) + 1;
    }
    wr_u32(out, id);
    enum reeve_err err = put_u64s(kv, id_key(mem, id), index, times);
    return err == REEVE_OK ? put_u64s(kv, slice_str("rev"), index, 0) : err;
}

static bool toy_early(struct slice command) { return command.len > 0 && command.p[0] == 1; }

/* ---- a life ---- */

static struct {
    struct storage *st;
    struct loop *loop;
    struct core *core;
    struct report rep;
    unsigned open;                      /* proposals without an end */
    uint64_t applied;
    enum reeve_err last;
    int acks;                           /* pipe; -1: none */
} w;

static void on_done(void *arg, uint64_t ticket, enum reeve_err err, struct state_command *c)
{
    uint32_t id = (uint32_t) ticket;
    w.open--;
    w.last = err != REEVE_OK ? err : c->err;
    if (w.last == REEVE_OK) {
        struct rd r = rd_of(wr_slice(&c->result));
        bool early = toy_early(c->command) && c->index == 0;
        if (early)
            assert_int_equal(c->result.len, 0);
        else
            assert_int_equal(rd_u32(&r), id);
        if (w.acks >= 0)
            assert_int_equal(write(w.acks, &id, sizeof id), sizeof id);
    }
}

static void on_applied(void *arg, uint64_t revision, struct slice command)
{
    assert_int_equal(revision, w.applied + 1);
    w.applied = revision;
}

static void on_committed(void *arg, uint64_t revision) { assert_int_equal(revision, w.applied); }
static void on_fatal(void *arg, enum reeve_err err) { abort(); }

static uint64_t stored_u64(const void *key, size_t len, int nth)
{
    struct storage_txn *t;
    struct slice v;
    uint64_t a = 0;
    assert_ok(storage_begin(w.st, STORAGE_READ, &t));
    if (kv_get(storage_kv(t), slice_of(key, len), &v) == REEVE_OK) {
        struct rd r = rd_of(v);
        a = rd_u64(&r);
        if (nth == 1)
            a = rd_u64(&r);
    }
    storage_abort(t);
    return a;
}

static uint64_t of_id(uint32_t id, int nth)
{
    uint8_t mem[5];
    struct slice k = id_key(mem, id);
    return stored_u64(k.p, k.len, nth);
}

static enum reeve_err life_begin(uint32_t segment)
{
    struct core_host h = { .apply = toy_apply, .early = toy_early, .done = on_done, .applied = on_applied, .committed = on_committed,
                           .fatal = on_fatal };
    struct core_status st;
    memset(&w, 0, sizeof w);
    w.acks = -1;
    assert_ok(storage_open(&w.st, tmpdir, STORAGE_WRITE, MAP, 8, &w.rep));
    assert_ok(loop_new(&w.loop));
    enum reeve_err err = core_open(&w.core, w.loop, w.st, tmpdir, segment, stored_u64("rev", 3, 0), &h, NULL, &w.rep);
    if (err == REEVE_OK) {
        core_status(w.core, &st);
        w.applied = st.revision;
    }
    return err;
}

static void life_end(void)
{
    core_close(w.core);
    storage_close(w.st);
    loop_free(w.loop);
}

static enum reeve_err propose(uint32_t id, bool early, size_t len)
{
    uint8_t *mem = calloc(1, len > 5 ? len : 5);
    struct wr c = wr_fixed(mem, 5);
    wr_u8(&c, early);
    wr_u32(&c, id);
    w.open++;
    enum reeve_err err = core_propose(w.core, id, slice_of(mem, len > 5 ? len : 5));
    if (err != REEVE_OK)
        w.open--;
    free(mem);
    return err;
}

static void settle(void)
{
    for (int i = 0; w.open > 0 && i < 2000; i++)
        loop_run_once(w.loop, 10);
    assert_int_equal(w.open, 0);
}

/* In a process that dies by SIGKILL, as the last thing fn does or before. */
static void in_a_life_cut_short(void (*fn)(void))
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        fn();
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- kill -9 ---- */

static int acks[2];
static uint32_t next_id;
static struct rng chance;

static void propose_until_killed(void)
{
    assert_ok(life_begin(SEGMENT));
    w.acks = acks[1];
    for (uint32_t id = next_id; id < next_id + LIFE_IDS; id++) {
        enum reeve_err err = propose(id, rng_below(&chance, 3) == 0, 5 + rng_below(&chance, 300));
        if (err != REEVE_OK && err != REEVE_E_BUSY)
            _exit(1);
        while (w.open > 20 || rng_below(&chance, 4) == 0)
            loop_run_once(w.loop, 1);
    }
    for (;;)
        loop_run_once(w.loop, 100);
}

static void one_life(bool acked[IDS_MAX])
{
    uint32_t id;
    struct timespec t = { 0, (long) rng_below(&chance, 5000) * 1000 };
    unsigned wanted = rng_below(&chance, 400);
    int status;
    fflush(NULL);
    assert_int_equal(pipe(acks), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(acks[0]);
        propose_until_killed();
    }
    close(acks[1]);
    for (unsigned n = 0; read(acks[0], &id, sizeof id) == (ssize_t) sizeof id; n++) {
        assert_true(id < IDS_MAX);
        acked[id] = true;
        if (n == wanted) {
            nanosleep(&t, NULL);
            kill(pid, SIGKILL);         /* what it said until then is in the pipe yet */
        }
    }
    close(acks[0]);
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    next_id += LIFE_IDS;
}

static void what_was_acknowledged_survives_kill_9_once_and_in_order(void **state)
{
    static bool acked[IDS_MAX];
    unsigned n_acked = 0, stand = 0;
    chance = rng_seeded("core");
    memset(acked, 0, sizeof acked);
    next_id = 0;
    for (int i = 0; i < LIVES; i++)
        one_life(acked);
    assert_ok(life_begin(SEGMENT));
    uint64_t before = 0;
    for (uint32_t id = 0; id < IDS_MAX; id++) {
        uint64_t revision = of_id(id, 0), times = of_id(id, 1);
        n_acked += acked[id];
        stand += times > 0;
        if (acked[id] && times == 0)
            fail_msg("%u was acknowledged and is gone", id);
        assert_true(times <= 1);
        assert_true(times == 0 || revision > before);
        before = times ? revision : before;
    }
    assert_int_equal(stored_u64("rev", 3, 0), stand);
    print_message("# %u acknowledged, %u stand\n", n_acked, stand);
    assert_true(n_acked > 50);
    life_end();
}

/* ---- what only the log has ---- */

static void acknowledge_early_and_die(void)
{
    assert_ok(life_begin(SEGMENT));
    assert_ok(propose(1, false, 0));
    settle();
    assert_ok(propose(2, true, 0));
    settle();                           /* a batch of its own: what is damaged at the very end is torn, not lost */
    assert_ok(propose(3, true, 0));
    settle();
    if (of_id(2, 1) != 0 || of_id(3, 1) != 0)
        _exit(1);                       /* synced already: the test proves nothing */
}

static void what_was_answered_early_comes_back_from_the_log(void **state)
{
    in_a_life_cut_short(acknowledge_early_and_die);
    assert_ok(life_begin(SEGMENT));
    assert_int_equal(of_id(1, 0), 1);
    assert_int_equal(of_id(2, 0), 2);
    assert_int_equal(of_id(3, 0), 3);
    assert_ok(propose(4, false, 0));
    settle();
    assert_int_equal(of_id(4, 0), 4);
    life_end();
}

/* Flips a byte in the newest batch whose bytes hold the command of that id. */
static bool flip_command(uint32_t id)
{
    char path[512];
    char folder[128];
    uint8_t *bytes = malloc(SEGMENT), want[5];
    struct wr k = wr_fixed(want, 5);
    bool done = false;
    wr_u8(&k, 1);
    wr_u32(&k, id);
    snprintf(folder, sizeof folder, "%s/wal", tmpdir);
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strstr(e->d_name, ".seg") == NULL)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        int fd = open(path, O_RDWR);
        ssize_t n = pread(fd, bytes, SEGMENT, 0);
        for (ssize_t i = 0; i + 5 <= n && !done; i++)
            if (i % WAL_BLOCK >= WAL_HEADER_LEN && memcmp(bytes + i, want, 5) == 0) {   /* a header may look like it */
                uint8_t other = bytes[i + 4] ^ 0x40;
                done = pwrite(fd, &other, 1, i + 4) == 1;
            }
        close(fd);
    }
    closedir(d);
    free(bytes);
    return done;
}

static void damage_of_what_only_the_log_has_is_refused_and_said(void **state)
{
    in_a_life_cut_short(acknowledge_early_and_die);
    assert_true(flip_command(2));
    assert_err(life_begin(SEGMENT), REEVE_E_CORRUPT);
    assert_non_null(strstr(w.rep.message, "corrupt"));
    assert_non_null(strstr(w.rep.detail, "DIR/wal, segment"));
    assert_true(w.rep.hint[0] != '\0');
    assert_int_equal(of_id(1, 1), 1);
    assert_int_equal(of_id(3, 1), 0);   /* nothing behind the damage is taken for granted */
    life_end();
}

static void sync_and_die(void)
{
    assert_ok(life_begin(SEGMENT));
    for (uint32_t id = 1; id <= 5; id++) {
        assert_ok(propose(id, true, 0));
        settle();
    }
    core_drain(w.core);
    if (of_id(5, 1) != 1)
        _exit(1);
}

static void damage_of_what_the_store_has_as_well_loses_nothing(void **state)
{
    in_a_life_cut_short(sync_and_die);
    assert_true(flip_command(2));
    assert_ok(life_begin(SEGMENT));
    assert_int_equal(of_id(5, 0), 5);
    assert_ok(propose(6, false, 0));
    settle();
    assert_int_equal(of_id(6, 0), 6);
    life_end();
    assert_ok(life_begin(SEGMENT));
    assert_int_equal(of_id(6, 0), 6);
    life_end();
}

static void remove_wal(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/wal", tmpdir);
    assert_int_equal(nftw(path, tmpdir_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void a_state_without_its_log_does_not_start(void **state)
{
    assert_ok(life_begin(SEGMENT));
    assert_ok(propose(1, false, 0));
    settle();
    life_end();
    remove_wal();
    assert_err(life_begin(SEGMENT), REEVE_E_CORRUPT);
    assert_non_null(strstr(w.rep.message, "missing"));
    life_end();
}

static void a_log_without_its_state_does_not_start(void **state)
{
    char path[128];
    in_a_life_cut_short(acknowledge_early_and_die);
    snprintf(path, sizeof path, "%s/data", tmpdir);
    assert_int_equal(nftw(path, tmpdir_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    assert_err(life_begin(SEGMENT), REEVE_E_CORRUPT);
    life_end();
}

static void a_state_older_than_logs_goes_on_with_one(void **state)
{
    struct storage_txn *t;
    assert_ok(storage_open(&w.st, tmpdir, STORAGE_WRITE, MAP, 8, &w.rep));
    assert_ok(storage_begin(w.st, STORAGE_WRITE, &t));
    assert_ok(put_u64s(storage_kv(t), slice_str("rev"), 41, 0));
    assert_ok(storage_commit(t));
    storage_close(w.st);
    assert_ok(life_begin(SEGMENT));
    assert_ok(propose(1, false, 0));
    settle();
    assert_int_equal(of_id(1, 0), 42);
    life_end();
    assert_ok(life_begin(SEGMENT));
    assert_int_equal(w.applied, 42);
    life_end();
}

/* ---- bounds ---- */

static void an_attested_block_fits_and_a_larger_one_does_not(void **state)
{
    assert_ok(life_begin(16u << 20));
    assert_ok(propose(1, false, 18 + (4u << 20)));
    settle();
    assert_int_equal(of_id(1, 0), 1);
    assert_err(propose(2, false, (5u << 20) + 1), REEVE_E_TOO_BIG);
    life_end();
    assert_ok(life_begin(1u << 20));    /* a log keeps its size of segments */
    assert_ok(propose(3, false, 18 + (4u << 20)));
    settle();
    life_end();
}

static void without_room_the_log_keeps_what_it_has_and_nothing_more_is_taken(void **state)
{
    struct core_status st;
    assert_ok(life_begin(SEGMENT));
    atomic_store(&no_room, true);
    assert_ok(propose(1, false, 0));
    do {
        loop_run_once(w.loop, 10);
        core_status(w.core, &st);
    } while (st.stalled == REEVE_OK);
    assert_err(propose(2, false, 0), REEVE_E_DISK_FULL);
    assert_int_equal(w.open, 1);
    atomic_store(&no_room, false);
    settle();
    assert_ok(w.last);
    assert_int_equal(of_id(1, 0), 1);
    assert_ok(propose(2, false, 0));
    settle();
    life_end();
}

/* ---- reads ---- */

static void seen(void *arg, enum reeve_err err)
{
    assert_ok(err);
    *(uint64_t *) arg = of_id(7, 1) + 100;
}

static void who_reads_sees_what_was_acknowledged_early(void **state)
{
    uint64_t got = 0;
    assert_ok(life_begin(SEGMENT));
    assert_ok(core_read(w.core, seen, &got));
    assert_int_equal(got, 100);
    got = 0;
    assert_ok(propose(7, true, 0));
    settle();
    assert_ok(core_read(w.core, seen, &got));
    for (int i = 0; got == 0 && i < 100; i++)
        loop_run_once(w.loop, 10);
    assert_int_equal(got, 101);
    life_end();
}

/* What the store is doing meanwhile is nobody's concern but a reader's. */
static void an_early_command_is_answered_before_it_is_applied(void **state)
{
    uint64_t got = 0;
    assert_ok(life_begin(SEGMENT));
    atomic_store(&held_up, true);
    assert_ok(propose(1, true, 0));
    assert_ok(propose(7, true, 0));
    settle();
    assert_int_equal(of_id(7, 1), 0);
    assert_ok(core_read(w.core, seen, &got));
    for (int i = 0; i < 10; i++)
        loop_run_once(w.loop, 1);
    assert_int_equal(got, 0);
    atomic_store(&held_up, false);
    for (int i = 0; got == 0 && i < 200; i++)
        loop_run_once(w.loop, 10);
    assert_int_equal(got, 101);
    life_end();
}

static void with_much_before_the_store_early_commands_wait_for_it(void **state)
{
    assert_ok(life_begin(16u << 20));
    atomic_store(&held_up, true);
    for (uint32_t id = 1; id <= 80; id++)
        assert_ok(propose(id, true, 500000));
    for (int i = 0; w.open > 25 && i < 3000; i++)
        loop_run_once(w.loop, 10);
    print_message("# %u of 80 wait\n", w.open);
    assert_in_range(w.open, 1, 30);      /* 8 MiB of 40, and what the log has not taken yet */
    atomic_store(&held_up, false);
    settle();
    life_end();
}

static void a_drained_ring_has_answered_everything(void **state)
{
    assert_ok(life_begin(SEGMENT));
    for (uint32_t id = 1; id <= 500; id++)
        assert_ok(propose(id, id % 2, 50));
    core_drain(w.core);
    assert_int_equal(w.open, 0);
    assert_int_equal(stored_u64("rev", 3, 0), 500);
    assert_err(propose(501, false, 0), REEVE_E_SHUTDOWN);
    life_end();
}

/* Also after a failure: what was held up or full is nobody else's. */
static int end_of_test(void **state)
{
    atomic_store(&held_up, false);
    atomic_store(&no_room, false);
    return tmpdir_remove(state);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, tmpdir_make, end_of_test)
    const struct CMUnitTest tests[] = {
        T(what_was_acknowledged_survives_kill_9_once_and_in_order),
        T(what_was_answered_early_comes_back_from_the_log),
        T(damage_of_what_only_the_log_has_is_refused_and_said),
        T(damage_of_what_the_store_has_as_well_loses_nothing),
        T(a_state_without_its_log_does_not_start),
        T(a_log_without_its_state_does_not_start),
        T(a_state_older_than_logs_goes_on_with_one),
        T(an_attested_block_fits_and_a_larger_one_does_not),
        T(without_room_the_log_keeps_what_it_has_and_nothing_more_is_taken),
        T(who_reads_sees_what_was_acknowledged_early),
        T(an_early_command_is_answered_before_it_is_applied),
        T(with_much_before_the_store_early_commands_wait_for_it),
        T(a_drained_ring_has_answered_everything),
    };
    log_configure(LOG_SEV_FATAL, LOG_FORM_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
