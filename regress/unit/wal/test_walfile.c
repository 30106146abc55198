/*
 * test_walfile.c - the log on real files: kill -9 under load, full disk, failing and short writes
 *
 * The process under test is a child that writes down in shared memory what it
 * asks for and what it was told is durable; the parent kills it, reads the
 * files, and holds one against the other.
 */
#include "../unit.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/storage/walfile.h"
#include "backend/utils/log.h"

#define INDEX_MAX  400000
#define TICKET_MAX 100000

static const struct wal_config small = { 256 << 10, 64 << 10 };
static const struct wal_owner owner = { 1, 2, 3 };

/* ---- shared with the child ---- */

struct ask { uint64_t first, term, id; uint32_t n; struct wal_hard hard; };
struct shared { volatile uint64_t asked, acked; struct ask ask[TICKET_MAX]; };
static struct shared *sh;

/* ---- what is there ---- */

struct entry { uint64_t term, id; };
struct model { uint64_t last, last_term, cut, cut_term; struct wal_hard hard; struct entry *e; };

static void apply(struct model *m, const struct ask *a)
{
    for (uint32_t i = 0; i < a->n; i++)
        m->e[a->first + i] = (struct entry){ a->term, a->id + i };
    m->last = a->first + a->n - 1;
    m->last_term = a->n ? a->term : a->first > 1 ? m->e[a->first - 1].term : 0;
    m->hard = a->hard;
}

static void on_batch(void *arg, const struct wal_frame *f, struct slice payload)
{
    struct entry *out = arg;
    struct rd r = rd_of(payload);
    struct wal_entry e;
    for (uint64_t i = f->first; wal_entry_next(&r, &e); i++) {
        assert_true(i < INDEX_MAX && e.data.len >= 8);
        out[i].term = e.term;
        memcpy(&out[i].id, e.data.p, 8);
        for (size_t k = 8; k < e.data.len; k++)
            assert_true(e.data.p[k] == (uint8_t) (out[i].id + k));
    }
}

static bool same(const struct model *m, const struct wal_found *f, const struct entry *read)
{
    if (f->last != m->last || f->last_term != m->last_term || f->hard.term != m->hard.term || f->hard.commit != m->hard.commit)
        return false;
    for (uint64_t i = f->cut + 1; i <= f->last; i++)
        if (read[i].term != m->e[i].term || read[i].id != m->e[i].id)
            return false;
    return true;
}

static char folder[256];

static void folder_make(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/reeve-walfile-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
    strncat(folder, "/wal", sizeof folder - strlen(folder) - 1);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) { return remove(path); }

static void folder_remove(void)
{
    *strrchr(folder, '/') = '\0';
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct walfile *open_log(struct wal_found *found, struct entry *read, const struct walfile_sys *sys)
{
    struct walfile *f = NULL;
    struct report rep = { 0 };
    struct wal_visitor v = { .arg = read, .batch = read ? on_batch : NULL };
    if (walfile_open(&f, folder, &small, &owner, &v, found, sys, &rep) != REEVE_OK)
        fail_msg("%s", rep.message);
    return f;
}

static struct walfile *start_log(struct wal_found *found, struct entry *read, const struct walfile_sys *sys)
{
    struct report rep = { 0 };
    struct walfile *f = open_log(found, read, sys);
    enum reeve_err err = found->verdict == WAL_MISSING ? walfile_format(f, &owner, 77, &rep) : walfile_resume(f, found, &rep);
    if (err != REEVE_OK)
        fail_msg("%s", rep.message);
    return f;
}

/* ---- asking ---- */

static bool ask(struct walfile *f, const struct ask *a, uint64_t prev_term, uint64_t *ticket)
{
    static uint8_t mem[16][4096];
    struct wal_entry e[16];
    for (uint32_t i = 0; i < a->n; i++) {
        uint64_t id = a->id + i;
        size_t len = 8 + (size_t) (id * 2654435761u % (id % 16 == 0 ? 4000 : 120));
        memcpy(mem[i], &id, 8);
        for (size_t k = 8; k < len; k++)
            mem[i][k] = (uint8_t) (id + k);
        e[i] = (struct wal_entry){ a->term, 1, slice_of(mem[i], len) };
    }
    struct wal_append ap = { a->first, prev_term, e, a->n, a->hard, 0 };
    enum reeve_err err = walfile_append(f, &ap, ticket);
    assert_true(err == REEVE_OK || err == REEVE_E_AGAIN);
    return err == REEVE_OK;
}

static void wait_durable(struct walfile *f, uint64_t ticket)
{
    struct pollfd p = { walfile_fd(f), POLLIN, 0 };
    uint64_t n;
    while (walfile_durable(f) < ticket) {
        assert_true(poll(&p, 1, 20000) == 1);
        if (read(p.fd, &n, sizeof n) < 0)
            assert_int_equal(errno, EAGAIN);
    }
}

/* Appends, truncations, terms and cuts until killed. */
static void child_loop(struct model *m, uint64_t seed)
{
    static struct wal_found found;
    struct rng r = { seed };
    struct walfile *f = start_log(&found, NULL, NULL);
    uint64_t next_id = (seed >> 20) + 1;
    for (;;) {
        struct ask a = { m->last + 1, m->hard.term, next_id, 1 + rng_below(&r, 15), m->hard };
        unsigned dice = rng_below(&r, 100);
        uint64_t ticket;
        if (dice == 0) {
            a.hard.term = a.term = m->hard.term + 1;
            a.n = 0;
        } else if (dice < 4 && m->last > m->hard.commit) {
            a.first = m->hard.commit + 1 + rng_below(&r, (uint32_t) (m->last - m->hard.commit));
            a.hard.term = a.term = m->hard.term + 1;
        }
        a.hard.commit += rng_below(&r, (uint32_t) (a.first - 1 - m->hard.commit + 1));
        if (a.first + a.n + 1 >= INDEX_MAX || sh->asked + 2 >= TICKET_MAX)
            pause();
        sh->ask[sh->asked + 1] = a;
        __atomic_store_n(&sh->asked, sh->asked + 1, __ATOMIC_SEQ_CST);
        while (!ask(f, &a, a.first > 1 ? m->e[a.first - 1].term : 0, &ticket))
            usleep(50);
        apply(m, &a);
        next_id += 16;
        __atomic_store_n(&sh->acked, walfile_durable(f), __ATOMIC_SEQ_CST);
        if (dice == 50)
            wait_durable(f, ticket);
        if (dice > 95 && sh->acked > 0 && sh->ask[sh->acked].hard.commit > 0)
            walfile_cut(f, sh->ask[sh->acked].hard.commit, m->e[sh->ask[sh->acked].hard.commit].term);
        if (dice > 80)
            usleep(rng_below(&r, 300));
    }
}

/* As many acknowledgements (10 s at most, on a slow disk), and a little. */
static void live_until(uint64_t acks, unsigned more_us)
{
    for (int i = 0; i < 10000 && __atomic_load_n(&sh->acked, __ATOMIC_SEQ_CST) < acks; i++)
        usleep(1000);
    usleep(more_us);
}

static void kill_9_under_load_loses_nothing_acknowledged_and_invents_nothing(void **state)
{
    static struct wal_found found;
    struct rng r = rng_seeded("kill -9");
    struct model m = { .e = calloc(INDEX_MAX, sizeof *m.e) };
    struct entry *read = calloc(INDEX_MAX, sizeof *read);
    uint64_t acked = 0, asked = 0;
    folder_make();
    for (int life = 0; life < 25; life++) {
        uint64_t seed = rng_next(&r);
        memset((void *) sh, 0, sizeof *sh);
        fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            child_loop(&m, seed);
            _exit(0);
        }
        live_until(life % 5 == 4 ? 0 : 1 + rng_below(&r, 2000), 1000 * rng_below(&r, 50));
        int status;
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        struct walfile *f = open_log(&found, read, NULL);
        walfile_close(f, false);
        if (found.verdict == WAL_MISSING && sh->acked == 0 && acked == 0)
            continue;
        if (found.verdict != WAL_CLEAN && found.verdict != WAL_TORN)
            fail_msg("life %d: %s: %s", life, wal_verdict_name(found.verdict), found.reason);
        uint64_t t = 0;
        for (; t < sh->acked; t++)
            apply(&m, &sh->ask[t + 1]);
        while (!same(&m, &found, read) && t < sh->asked)
            apply(&m, &sh->ask[++t]);
        if (!same(&m, &found, read))
            fail_msg("life %d (seed %llu): nothing between %llu and %llu matches; last %llu, model %llu", life, (unsigned long long) seed,
                     (unsigned long long) sh->acked, (unsigned long long) sh->asked, (unsigned long long) found.last,
                     (unsigned long long) m.last);
        acked += sh->acked;
        asked += sh->asked;
    }
    fprintf(stderr, "# %llu appends asked for, %llu acknowledged, last index %llu, cut %llu\n", (unsigned long long) asked,
            (unsigned long long) acked, (unsigned long long) found.last, (unsigned long long) found.cut);
    assert_true(acked > 0 && found.cut > 0);
    folder_remove();
    free(m.e);
    free(read);
}

/* ---- faults of the system calls ---- */

static volatile int fault_errno, fault_short, fault_sync;

static ssize_t faulty_pwrite(int fd, const void *p, size_t len, off_t at)
{
    if (fault_errno == ENOSPC && len < (1 << 18))
        return pwrite(fd, p, len, at);              /* only new files find the disk full */
    if (fault_errno) {
        errno = fault_errno;
        return -1;
    }
    return fault_short ? pwrite(fd, p, len / 2, at) : pwrite(fd, p, len, at);
}

static int faulty_fdatasync(int fd)
{
    if (!fault_sync)
        return fdatasync(fd);
    errno = EIO;
    return -1;
}

static const struct walfile_sys faulty = { faulty_pwrite, faulty_fdatasync, false };
static const struct walfile_sys faulty_plain = { faulty_pwrite, faulty_fdatasync, true };

static struct ask plain_ask(uint64_t first, uint32_t n)
{
    return (struct ask){ first, 1, first, n, { 1, 0, 0 } };
}

/* Ten appends are good, then the fault; the child must die of it before it hears of an acknowledgement. */
static void faulty_child(const struct walfile_sys *sys, void (*fault)(void))
{
    static struct wal_found found;
    struct walfile *f = start_log(&found, NULL, sys);
    uint64_t ticket = 0;
    for (uint64_t i = 0; i < 10; i++) {
        struct ask a = plain_ask(1 + i, 1);
        assert_true(ask(f, &a, i > 0, &ticket));
        wait_durable(f, ticket);
    }
    sh->acked = 10;
    fault();
    struct ask a = plain_ask(11, 15);
    a.id = 16;
    assert_true(ask(f, &a, 1, &ticket));
    wait_durable(f, ticket);
    sh->acked = 25;
    _exit(0);
}

static void fault_dies(const struct walfile_sys *sys, void (*fault)(void))
{
    static struct wal_found found;
    struct entry *read = calloc(INDEX_MAX, sizeof *read);
    int status;
    folder_make();
    memset((void *) sh, 0, sizeof *sh);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        faulty_child(sys, fault);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_int_equal(sh->acked, 10);
    walfile_close(open_log(&found, read, NULL), false);
    assert_true(found.verdict <= WAL_TORN && found.last >= 10);
    for (uint64_t i = 1; i <= 10; i++)
        assert_int_equal(read[i].id, i);
    folder_remove();
    free(read);
}

static void set_eio(void) { fault_errno = EIO; }
static void set_short(void) { fault_short = 1; }
static void set_sync(void) { fault_sync = 1; }

static void s46_a_write_that_fails_ends_the_process_without_an_acknowledgement(void **state) { fault_dies(&faulty, set_eio); }
static void s46_a_short_write_ends_the_process(void **state) { fault_dies(&faulty_plain, set_short); }
static void s46_a_sync_that_fails_ends_the_process(void **state) { fault_dies(&faulty_plain, set_sync); }

static void s46_a_disk_full_of_new_files_is_borne_and_told(void **state)
{
    static struct wal_found found;
    static struct wal_status st;
    uint64_t ticket = 0, next = 1;
    bool full = false;
    unsigned stuck = 0;
    folder_make();
    struct walfile *f = start_log(&found, NULL, &faulty);
    fault_errno = ENOSPC;
    for (uint64_t before = 0; stuck < 100; before = walfile_durable(f)) {      /* the last segment is used up */
        struct ask a = plain_ask(next, 15);
        bool taken = ask(f, &a, next > 1, &ticket);
        next += taken ? 15 : 0;
        stuck = taken || walfile_durable(f) != before ? 0 : stuck + 1;
        usleep(taken ? 0 : 1000);
    }
    walfile_status(f, &st, &full);
    assert_true(full && st.durable < st.tickets);
    fault_errno = 0;
    wait_durable(f, ticket);            /* nothing of what was taken is lost, it only came late */
    for (int i = 0; i < 100 && full; i++, usleep(50000))
        walfile_status(f, &st, &full);
    assert_false(full);
    walfile_close(f, true);
    walfile_close(open_log(&found, NULL, NULL), false);
    assert_true(found.verdict == WAL_CLEAN && found.last == next - 1);
    folder_remove();
}

/* ---- the ordinary life ---- */

static void round_trip(const struct walfile_sys *sys)
{
    static struct wal_found found;
    struct entry *read = calloc(INDEX_MAX, sizeof *read);
    uint64_t ticket = 0, next = 1;
    folder_make();
    for (int life = 0; life < 3; life++) {
        struct walfile *f = start_log(&found, read, sys);
        assert_int_equal(found.verdict, life == 0 ? WAL_MISSING : WAL_CLEAN);
        assert_int_equal(found.last, next - 1);
        for (int i = 0; i < 200; i++) {
            struct ask a = plain_ask(next, 10);
            while (!ask(f, &a, next > 1, &ticket))
                usleep(100);
            next += 10;
        }
        if (life == 1)
            walfile_cut(f, 1500, 1);
        walfile_close(f, true);
    }
    memset(read, 0, INDEX_MAX * sizeof *read);
    walfile_close(open_log(&found, read, sys), false);
    assert_int_equal(found.cut, 1500);
    for (uint64_t i = found.cut + 1; i < next; i++)
        assert_int_equal(read[i].id, i);
    folder_remove();
    free(read);
}

static void what_is_appended_is_there_after_each_restart(void **state) { round_trip(NULL); }
static void so_it_is_on_a_file_system_without_o_direct(void **state)
{
    static const struct walfile_sys plain = { pwrite, fdatasync, true };
    round_trip(&plain);
}

static void on_durable(void *arg, uint64_t ticket)
{
    *(uint64_t *) arg = ticket;
}

static void the_loop_hears_of_what_became_durable(void **state)
{
    static struct wal_found found;
    struct loop *l = NULL;
    uint64_t heard = 0, ticket = 0;
    folder_make();
    assert_ok(loop_new(&l));
    struct walfile *f = start_log(&found, NULL, NULL);
    assert_ok(walfile_watch(f, l, on_durable, &heard));
    struct ask a = plain_ask(1, 3);
    assert_true(ask(f, &a, 0, &ticket));
    for (int i = 0; i < 1000 && heard < ticket; i++)
        loop_run_once(l, 100);
    assert_int_equal(heard, ticket);
    walfile_close(f, true);
    loop_free(l);
    folder_remove();
}

static void a_foreign_log_is_not_gone_on_with(void **state)
{
    static struct wal_found found;
    struct wal_owner other = { 1, 9, 0 };
    struct walfile *f = NULL;
    struct report rep = { 0 };
    folder_make();
    walfile_close(start_log(&found, NULL, NULL), true);
    assert_ok(walfile_open(&f, folder, &small, &other, NULL, &found, NULL, &rep));
    assert_int_equal(found.verdict, WAL_FOREIGN);
    assert_err(walfile_resume(f, &found, &rep), REEVE_E_WRONG_STATE);
    walfile_close(f, false);
    folder_remove();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_appended_is_there_after_each_restart),
    cmocka_unit_test(so_it_is_on_a_file_system_without_o_direct),
    cmocka_unit_test(the_loop_hears_of_what_became_durable),
    cmocka_unit_test(a_foreign_log_is_not_gone_on_with),
    cmocka_unit_test(kill_9_under_load_loses_nothing_acknowledged_and_invents_nothing),
    cmocka_unit_test(s46_a_write_that_fails_ends_the_process_without_an_acknowledgement),
    cmocka_unit_test(s46_a_short_write_ends_the_process),
    cmocka_unit_test(s46_a_sync_that_fails_ends_the_process),
    cmocka_unit_test(s46_a_disk_full_of_new_files_is_borne_and_told),
};

int main(void)
{
    log_init("test");
    log_configure(LOG_SEV_WARNING, LOG_FORM_TEXT);
    sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sh == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
