/* test_statefile.c - a store's rows as a file: whole and back, and every damage found. */
#include "../unit.h"

#include <sys/mman.h>
#include <unistd.h>

#include "backend/ring/statefile.h"
#include "common/crc32c.h"
#include "sim/sim_kv.h"

#define ROWS 60

static struct sim_kv *kv;
static int fd;
static uint64_t size;

static bool own(struct slice key) { return key.p[0] == 'L'; }

static void fill(struct sim_kv *s, struct rng *r)
{
    sim_kv_begin(s);
    for (unsigned i = 0; i < ROWS; i++) {
        char key[32];
        uint8_t value[64];
        size_t n = rng_below(r, sizeof value);
        snprintf(key, sizeof key, "%c%u", i % 10 == 9 ? 'L' : 'R', i);
        for (size_t b = 0; b < n; b++)
            value[b] = (uint8_t) rng_next(r);
        assert_ok(kv_put(sim_kv_handle(s), slice_str(key), slice_of(value, n)));
    }
    sim_kv_commit(s);
}

static int begin(void **state)
{
    struct rng r = rng_seeded("statefile");
    kv = sim_kv_new();
    fill(kv, &r);
    fd = memfd_create("state", 0);
    assert_ok(statefile_write(fd, sim_kv_handle(kv), own, NULL, &size));
    assert_int_equal(lseek(fd, 0, SEEK_END), size);
    return 0;
}

static int end(void **state)
{
    close(fd);
    sim_kv_free(kv);
    return 0;
}

static enum reeve_err check(int f, uint64_t end_at)
{
    uint64_t at;
    return statefile_read(f, 0, end_at, NULL, own, &at);
}

static void what_is_written_is_read_but_for_its_own_rows(void **state)
{
    struct sim_kv *back = sim_kv_new();
    struct slice key = slice_str("A"), val, have;
    char mem[64];
    unsigned n = 0;
    uint64_t at;
    sim_kv_begin(back);
    assert_ok(statefile_read(fd, 0, size, sim_kv_handle(back), own, &at));
    sim_kv_commit(back);
    assert_int_equal(at, size);
    while (kv_seek(sim_kv_handle(kv), key, 1, false, &key, &val) == REEVE_OK) {
        enum reeve_err err = kv_get(sim_kv_handle(back), key, &have);
        assert_int_equal(err, own(key) ? REEVE_E_NOT_FOUND : REEVE_OK);
        assert_true(own(key) || slice_eq(have, val));
        n++;
        memcpy(mem, key.p, key.len);
        key.p = (const uint8_t *) mem;
    }
    assert_int_equal(n, ROWS);
    sim_kv_free(back);
}

static void a_bit_flipped_anywhere_is_found(void **state)
{
    for (uint64_t at = 0; at < size; at++) {
        uint8_t byte, flipped;
        assert_int_equal(pread(fd, &byte, 1, (off_t) at), 1);
        for (unsigned bit = 0; bit < 8; bit++) {
            flipped = (uint8_t) (byte ^ 1u << bit);
            assert_int_equal(pwrite(fd, &flipped, 1, (off_t) at), 1);
            if (check(fd, size) != REEVE_E_MALFORMED)
                fail_msg("bit %u of byte %llu", bit, (unsigned long long) at);
        }
        assert_int_equal(pwrite(fd, &byte, 1, (off_t) at), 1);
    }
    assert_ok(check(fd, size));
}

static void cut_anywhere_it_is_refused(void **state)
{
    for (uint64_t len = 0; len < size; len++)
        assert_err(check(fd, len), REEVE_E_MALFORMED);
    assert_err(check(fd, size + 1), REEVE_E_MALFORMED);
}

/* One block with these rows, all sums right. */
static int forged(const char *const *keys, size_t n, uint64_t told)
{
    uint8_t mem[1024], all[2048];
    struct wr block = wr_fixed(mem, sizeof mem), f = wr_fixed(all, sizeof all);
    for (size_t i = 0; i < n; i++) {
        wr_u16(&block, (uint16_t) strlen(keys[i]));
        wr_u32(&block, 1);
        wr_bytes(&block, (const uint8_t *) keys[i], strlen(keys[i]));
        wr_u8(&block, 'v');
    }
    wr_bytes(&f, (const uint8_t *) "reeve-state-1\n\0", 16);
    wr_u32(&f, (uint32_t) block.len);
    wr_u32(&f, crc32c(0, block.p, block.len));
    wr_bytes(&f, block.p, block.len);
    uint8_t rows[8];
    struct wr r = wr_fixed(rows, sizeof rows);
    wr_u64(&r, told);
    wr_u32(&f, 0xffffffff);
    wr_u32(&f, crc32c(0, rows, sizeof rows));
    wr_bytes(&f, rows, sizeof rows);
    int out = memfd_create("forged", 0);
    assert_true(file_write_all(out, wr_slice(&f)));
    return out;
}

static enum reeve_err check_forged(const char *const *keys, size_t n, uint64_t told)
{
    int f = forged(keys, n, told);
    enum reeve_err err = check(f, (uint64_t) lseek(f, 0, SEEK_END));
    close(f);
    return err;
}

static void rows_have_an_order_a_number_and_an_owner(void **state)
{
    assert_ok(check_forged((const char *[]){ "a", "b", "ba" }, 3, 3));
    assert_err(check_forged((const char *[]){ "a", "b", "ba" }, 3, 2), REEVE_E_MALFORMED);
    assert_err(check_forged((const char *[]){ "b", "a" }, 2, 2), REEVE_E_MALFORMED);
    assert_err(check_forged((const char *[]){ "a", "a" }, 2, 2), REEVE_E_MALFORMED);
    assert_err(check_forged((const char *[]){ "a", "Li" }, 2, 2), REEVE_E_MALFORMED);
    assert_err(check_forged((const char *[]){ "L" }, 1, 1), REEVE_E_MALFORMED);
    assert_err(check_forged((const char *[]){ "" }, 1, 1), REEVE_E_MALFORMED);
}

static void nobody_waits_for_a_copy_that_is_not_wanted(void **state)
{
    bool abandon = true;
    uint64_t n;
    int f = memfd_create("abandoned", 0);
    assert_err(statefile_write(f, sim_kv_handle(kv), own, &abandon, &n), REEVE_E_CANCELED);
    close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read_but_for_its_own_rows, begin, end),
        cmocka_unit_test_setup_teardown(a_bit_flipped_anywhere_is_found, begin, end),
        cmocka_unit_test_setup_teardown(cut_anywhere_it_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(rows_have_an_order_a_number_and_an_owner, begin, end),
        cmocka_unit_test_setup_teardown(nobody_waits_for_a_copy_that_is_not_wanted, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
