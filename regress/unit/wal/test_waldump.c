/* test_waldump.c - what people are shown of a log, sound and damaged. */
#include "../unit.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/storage/walfile.h"
#include "backend/utils/log.h"

static const struct wal_config small = { 256 << 10, 64 << 10 };
static char home[200], folder[220];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) { return remove(path); }

static void make_log(void)
{
    static struct wal_found found;
    const struct wal_owner owner = { 0xabc, 2, 3 };
    const char *tmp = getenv("TMPDIR");
    struct walfile *f = NULL;
    struct report rep = { 0 };
    uint64_t ticket;
    snprintf(home, sizeof home, "%s/reeve-waldump-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(home));
    snprintf(folder, sizeof folder, "%s/wal", home);
    assert_ok(walfile_open(&f, folder, &small, &owner, NULL, &found, NULL, &rep));
    assert_ok(walfile_format(f, &owner, 0x5ec2e7, &rep));
    for (uint64_t i = 1; i <= 5; i++) {
        struct wal_entry e = { 4, 7, slice_str("0123456789") };
        struct wal_append a = { i, i > 1 ? 4 : 0, &e, 1, { 4, 0xbeef, i - 1 }, 0 };
        assert_ok(walfile_append(f, &a, &ticket));
        while (walfile_durable(f) < ticket)
            usleep(100);
    }
    walfile_close(f, true);
}

static char *dump(int want)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_int_equal(waldump(home, out), want);
    fclose(out);
    return text;
}

static void flip(long at)
{
    char path[300];
    uint8_t b;
    snprintf(path, sizeof path, "%s/00000001.seg", folder);
    int fd = open(path, O_RDWR);
    assert_true(pread(fd, &b, 1, at) == 1);
    b ^= 1;
    assert_true(pwrite(fd, &b, 1, at) == 1);
    close(fd);
}

static void shows(const char *text, const char *what)
{
    if (strstr(text, what) == NULL)
        fail_msg("no \"%s\" in:\n%s", what, text);
}

static void a_sound_log_is_shown_whole(void **state)
{
    make_log();
    char *text = dump(0);
    shows(text, "segment 00000001.seg");
    shows(text, "1..1");
    shows(text, "5..5");
    shows(text, "beef");
    shows(text, "  entry               5          4      7         10");
    shows(text, "ring abc member 2 incarnation 3");
    shows(text, "record                5          1");
    shows(text, "verdict: clean: cut 0 last 4/5 term 4 vote beef commit 4, may vote, may lead");
    assert_null(strstr(text, "5ec2e7"));    /* the salt is nobody's business */
    free(text);
}

static void a_damaged_log_is_shown_as_far_as_it_goes_and_says_where_it_is_damaged(void **state)
{
    flip(2 * WAL_BLOCK + 40);
    char *text = dump(1);
    shows(text, "** segment 1 offset 8192: batch 3 was durable and cannot be read: a header whose sum is wrong");
    shows(text, "5..5");
    shows(text, "1 batches unreadable");
    shows(text, "verdict: corrupt (segment 1 offset 8192: batch 3: a header whose sum is wrong)");
    shows(text, "may vote, may not lead, unreadable 3..3");
    free(text);
}

static void where_there_is_no_log_that_is_said(void **state)
{
    nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(dump(2));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_sound_log_is_shown_whole),
    cmocka_unit_test(a_damaged_log_is_shown_as_far_as_it_goes_and_says_where_it_is_damaged),
    cmocka_unit_test(where_there_is_no_log_that_is_said),
};

int main(void)
{
    log_init("test");
    log_configure(LOG_SEV_FATAL, LOG_FORM_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
