/* The last-sign state on disk: two slots, torn writes, missing files. */
#include "../unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/signer/signer_int.h"
#include "crypto/hash.h"

static int dirfd;
static char dir[] = "/tmp/reeve-laststate-XXXXXX";
static struct hash32 chain = { { 1, 2, 3 } };

static int set_up(void **state)
{
    if (crypto_init() != REEVE_OK || mkdtemp(dir) == NULL)
        return -1;
    dirfd = open(dir, O_RDONLY | O_DIRECTORY);
    return dirfd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    unlinkat(dirfd, "lastsign", 0);
    close(dirfd);
    return rmdir(dir);
}

static void fresh_file(void)
{
    unlinkat(dirfd, "lastsign", 0);
    assert_ok(laststate_create(dirfd, &chain));
}

static struct lastsign state_at(uint64_t view)
{
    struct lastsign s = { 0 };
    s.cur.epoch = 1;
    s.cur.view = view;
    s.cur.have = 1u << LS_NOTARIZE;
    s.cur.signed_vote[LS_NOTARIZE].vote = (struct vote){ .type = VOTE_NOTARIZE, .chain_id = chain, .epoch = 1, .view = view,
                                                         .height = view };
    memset(s.cur.signed_vote[LS_NOTARIZE].sig.b, (int) view, 64);
    return s;
}

static void save(struct laststate *l, uint64_t view)
{
    struct lastsign s = state_at(view);
    assert_ok(laststate_save(l, &chain, &s));
}

static uint64_t reopened_view(void)
{
    struct laststate l;
    struct report rep = { .code = REEVE_OK };
    assert_ok(laststate_open(&l, dirfd, &chain, &rep));
    uint64_t view = l.state.cur.view;
    if (view > 0) {
        struct lastsign want = state_at(view);
        assert_memory_equal(&l.state.cur.signed_vote[LS_NOTARIZE].sig, &want.cur.signed_vote[LS_NOTARIZE].sig, 64);
        assert_int_equal(l.state.cur.signed_vote[LS_NOTARIZE].vote.height, view);
        assert_true(hash32_eq(&l.state.cur.signed_vote[LS_NOTARIZE].vote.chain_id, &chain));
    }
    laststate_close(&l);
    return view;
}

static void what_was_saved_is_read_again(void **state)
{
    struct laststate l;
    struct report rep = { .code = REEVE_OK };
    fresh_file();
    assert_int_equal(reopened_view(), 0);
    assert_ok(laststate_open(&l, dirfd, &chain, &rep));
    for (uint64_t view = 1; view < 6; view++) {
        save(&l, view);
        assert_int_equal(reopened_view(), view);
    }
    laststate_close(&l);
}

static void a_torn_write_leaves_the_state_before(void **state)
{
    struct laststate l;
    struct report rep = { .code = REEVE_OK };
    struct rng r = rng_seeded("laststate");
    uint8_t before[2 * LASTSTATE_SLOT], after[2 * LASTSTATE_SLOT], torn[2 * LASTSTATE_SLOT];
    fresh_file();
    assert_ok(laststate_open(&l, dirfd, &chain, &rep));
    for (uint64_t view = 1; view < 40; view++) {
        int fd = openat(dirfd, "lastsign", O_RDWR);
        assert_int_equal(pread(fd, before, sizeof before, 0), sizeof before);
        save(&l, view);
        assert_int_equal(pread(fd, after, sizeof after, 0), sizeof after);
        size_t at = (l.seq & 1) * LASTSTATE_SLOT, len = rng_below(&r, LASTSTATE_SLOT);
        memcpy(torn, before, sizeof torn);
        memcpy(torn + at, after + at, len);
        assert_int_equal(pwrite(fd, torn, sizeof torn, 0), sizeof torn);
        uint64_t got = reopened_view();
        assert_true(got == view - 1 || (got == view && memcmp(torn, after, sizeof torn) == 0));
        assert_int_equal(pwrite(fd, after, sizeof after, 0), sizeof after);
        close(fd);
    }
    laststate_close(&l);
}

static enum reeve_err open_err(const struct hash32 *chain_id)
{
    struct laststate l;
    struct report rep = { .code = REEVE_OK };
    enum reeve_err err = laststate_open(&l, dirfd, chain_id, &rep);
    if (err == REEVE_OK)
        laststate_close(&l);
    return err;
}

static void a_missing_short_or_foreign_file_is_no_fresh_one(void **state)
{
    struct hash32 other = { { 9 } };
    unlinkat(dirfd, "lastsign", 0);
    assert_err(open_err(&chain), REEVE_E_CORRUPT);
    fresh_file();
    assert_err(open_err(&other), REEVE_E_CORRUPT);
    int fd = openat(dirfd, "lastsign", O_RDWR);
    assert_int_equal(ftruncate(fd, LASTSTATE_SLOT - 1), 0);
    close(fd);
    assert_err(open_err(&chain), REEVE_E_CORRUPT);
}

static void both_slots_damaged_is_refused(void **state)
{
    fresh_file();
    int fd = openat(dirfd, "lastsign", O_RDWR);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pwrite(fd, "x", 1, i * LASTSTATE_SLOT + 100), 1);
        assert_err(open_err(&chain), i == 0 ? REEVE_OK : REEVE_E_CORRUPT);
    }
    close(fd);
}

static void it_is_never_made_twice(void **state)
{
    fresh_file();
    assert_err(laststate_create(dirfd, &chain), REEVE_E_DUPLICATE_OBJECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_is_read_again),
        cmocka_unit_test(a_torn_write_leaves_the_state_before),
        cmocka_unit_test(a_missing_short_or_foreign_file_is_no_fresh_one),
        cmocka_unit_test(both_slots_damaged_is_refused),
        cmocka_unit_test(it_is_never_made_twice),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
