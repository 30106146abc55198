/* test_backlog.c - entries in a file, read back: against an array of what was put; trimmed; damaged; closed at any time. */
#include "../unit.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/ring/backlog.h"

#define FIRST 101u
#define ENTRIES 3000u

static struct loop *loop;
static struct backlog *b;
static int fd, seen_fd;
static struct { uint64_t term; size_t len; } put[ENTRIES];
static unsigned n_put;
static struct { bool came; uint32_t peer; uint64_t index, term; size_t n, len; uint8_t bytes[4 << 20]; } back;

static uint8_t byte_of(uint64_t index, size_t i) { return (uint8_t) (index * 31 + i * 7 + 3); }

static void on_back(void *arg, uint32_t peer, uint64_t index, uint64_t term, size_t n, struct slice data)
{
    back.came = true;
    back.peer = peer;
    back.index = index;
    back.term = term;
    back.n = n;
    back.len = data.len;
    assert_true(data.len <= sizeof back.bytes);
    if (data.len)
        memcpy(back.bytes, data.p, data.len);
}

static int begin(void **state)
{
    assert_ok(loop_new(&loop));
    fd = memfd_create("backlog", 0);
    seen_fd = dup(fd);
    n_put = 0;
    assert_ok(backlog_open(&b, loop, fd, FIRST, 7, on_back, NULL));
    return 0;
}

static int end(void **state)
{
    if (b)
        backlog_close(b);
    close(seen_fd);
    loop_free(loop);
    return 0;
}

static void put_one(uint64_t term, size_t len)
{
    static uint8_t data[1 << 20];
    uint64_t index = FIRST + n_put;
    for (size_t i = 0; i < len; i++)
        data[i] = byte_of(index, i);
    assert_ok(backlog_put(b, term, RAFT_HOST, slice_of(data, len)));
    put[n_put].term = term;
    put[n_put++].len = len;
}

static void put_many(struct rng *r)
{
    uint64_t term = 8;
    while (n_put < ENTRIES) {
        term += rng_below(r, 50) == 0;
        put_one(term, rng_below(r, 20) == 0 ? rng_below(r, 60000) : rng_below(r, 300));
        if (rng_below(r, 3) == 0)
            backlog_flush(b);
    }
    backlog_flush(b);
}

static void ask(uint64_t first, uint32_t bytes)
{
    back.came = false;
    backlog_read(b, 3, first, bytes);
    for (unsigned i = 0; i < 2000 && !back.came; i++)
        loop_run_once(loop, 10);
    assert_true(back.came);
    assert_int_equal(back.peer, 3);
    assert_int_equal(back.index, first - 1);
}

/* What came is what the array says. */
static void check(uint64_t first, uint32_t most)
{
    struct rd in = rd_of(slice_of(back.bytes, back.len));
    struct raft_entry e;
    uint64_t i = first;
    assert_true(back.n > 0 && (back.len <= most || back.n == 1));
    assert_int_equal(back.term, first == FIRST ? 7 : put[first - FIRST - 1].term);
    while (raft_msg_entry(&in, &e)) {
        assert_int_equal(e.term, put[i - FIRST].term);
        assert_int_equal(e.data.len, put[i - FIRST].len);
        for (size_t k = 0; k < e.data.len; k++)
            assert_int_equal(e.data.p[k], byte_of(i, k));
        i++;
    }
    assert_true(rd_done(&in));
    assert_int_equal(i - first, back.n);
}

static void what_was_put_is_read_back_from_anywhere(void **state)
{
    struct rng r = rng_seeded("backlog");
    put_many(&r);
    assert_int_equal(backlog_first(b), FIRST);
    assert_int_equal(backlog_next(b), FIRST + ENTRIES);
    for (unsigned i = 0; i < 300; i++) {
        uint64_t first = FIRST + rng_below(&r, ENTRIES);
        uint32_t most = (uint32_t) rng_below(&r, 200000) + 1;
        ask(first, most);
        check(first, most);
    }
    ask(FIRST + ENTRIES - 1, 1000);
    check(FIRST + ENTRIES - 1, 1000);
}

static void what_is_put_is_there_at_once(void **state)
{
    for (unsigned i = 0; i < 100; i++) {
        put_one(9, 1000);
        ask(FIRST + i, 1000);
        check(FIRST + i, 1000);
    }
}

/* Whole marks at a time, never what is needed; the disk has it back. */
static void what_is_trimmed_gives_its_room_back(void **state)
{
    struct rng r = rng_seeded("backlog trim");
    struct stat st;
    put_many(&r);
    uint64_t all = backlog_bytes(b), needed = FIRST + ENTRIES - 100;
    backlog_trim(b, needed);
    assert_true(backlog_first(b) > FIRST && backlog_first(b) <= needed);
    assert_true(backlog_bytes(b) < all / 4);
    ask(needed, 5000);
    check(needed, 5000);
    assert_int_equal(fstat(seen_fd, &st), 0);
    assert_true((uint64_t) st.st_blocks * 512 < all / 2);
    back.came = false;
    backlog_read(b, 3, FIRST, 1000);        /* gone: nobody answers */
    ask(needed, 5000);
}

static void a_damaged_record_is_not_read_back(void **state)
{
    for (unsigned i = 0; i < 20; i++)
        put_one(9, 1000);
    ask(FIRST, 1 << 20);
    assert_int_equal(back.n, 20);
    uint8_t x;
    off_t at = 10 * 1020 + 500;             /* in the tenth or so */
    assert_int_equal(pread(seen_fd, &x, 1, at), 1);
    x ^= 4;
    assert_int_equal(pwrite(seen_fd, &x, 1, at), 1);
    ask(FIRST, 1 << 20);
    assert_true(back.n > 5 && back.n < 12);
    uint64_t bad = FIRST + back.n;
    ask(bad, 1000);
    assert_int_equal(back.n, 0);
}

static void it_may_be_closed_with_work_under_way(void **state)
{
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 20; i++)
            put_one(9, 5000);
        backlog_read(b, 1, FIRST + n_put - 20, 100000);
        if (round % 2)
            loop_run_once(loop, 0);
        backlog_close(b);
        n_put = 0;
        assert_ok(backlog_open(&b, loop, memfd_create("backlog", 0), FIRST, 7, on_back, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_put_is_read_back_from_anywhere, begin, end),
        cmocka_unit_test_setup_teardown(what_is_put_is_there_at_once, begin, end),
        cmocka_unit_test_setup_teardown(what_is_trimmed_gives_its_room_back, begin, end),
        cmocka_unit_test_setup_teardown(a_damaged_record_is_not_read_back, begin, end),
        cmocka_unit_test_setup_teardown(it_may_be_closed_with_work_under_way, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
