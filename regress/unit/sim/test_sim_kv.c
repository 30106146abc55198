/* test_sim_kv.c - the store of tests and simulation keeps kv.h's promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim/sim_kv.h"

#include <stdio.h>
#include <stdlib.h>

static struct sim_kv *store;
static struct kv *kv;

static int setup(void **state)
{
    store = sim_kv_new();
    kv = sim_kv_handle(store);
    sim_kv_strict(store, true);
    return store == NULL;
}

static int teardown(void **state)
{
    sim_kv_free(store);
    return 0;
}

static void put(const char *k, const char *v)
{
    assert_int_equal(kv_put(kv, slice_str(k), slice_str(v)), REEVE_OK);
}

static void del(const char *k)
{
    assert_int_equal(kv_del(kv, slice_str(k)), REEVE_OK);
}

static void has(struct kv *in, const char *k, const char *v)
{
    struct slice got;
    enum reeve_err err = kv_get(in, slice_str(k), &got);
    assert_int_equal(err, v ? REEVE_OK : REEVE_E_NOT_FOUND);
    if (v != NULL)
        assert_true(slice_eq(got, slice_str(v)));
}

static const char *seek(const char *k, int dir, bool inclusive)
{
    static char text[64];
    struct slice key, val;
    if (kv_seek(kv, slice_str(k), dir, inclusive, &key, &val) != REEVE_OK)
        return "-";
    snprintf(text, sizeof text, "%.*s", (int) key.len, (const char *) key.p);
    return text;
}

static void keys_are_ordered_bytewise_with_the_shorter_first(void **state)
{
    put("b", "1"), put("a", "2"), put("ab", "3");
    assert_string_equal(seek("a", 1, true), "a");
    assert_string_equal(seek("a", 1, false), "ab");
    assert_string_equal(seek("aa", 1, true), "ab");
    assert_string_equal(seek("ac", -1, true), "ab");
    assert_string_equal(seek("ab", -1, false), "a");
    assert_string_equal(seek("a", -1, false), "-");
    assert_string_equal(seek("b", 1, false), "-");
    assert_string_equal(seek("z", -1, true), "b");
}

static void abort_restores_what_stood_at_begin(void **state)
{
    put("a", "1"), put("b", "2");
    sim_kv_begin(store);
    put("a", "x"), del("b"), put("c", "3"), put("b", "y"), del("a"), del("c"), del("never");
    has(kv, "b", "y"), has(kv, "a", NULL);
    sim_kv_abort(store);
    has(kv, "a", "1"), has(kv, "b", "2"), has(kv, "c", NULL);
    assert_int_equal(sim_kv_count(store), 2);
}

static void a_snapshot_sees_only_what_was_committed(void **state)
{
    put("a", "1"), put("d", "4");
    sim_kv_begin(store);
    put("a", "2"), put("b", "3"), del("d"), put("a", "5");
    struct sim_kv *s = sim_kv_snapshot(store);
    has(sim_kv_handle(s), "a", "1"), has(sim_kv_handle(s), "b", NULL), has(sim_kv_handle(s), "d", "4");
    sim_kv_commit(store);
    has(sim_kv_handle(s), "a", "1"), has(kv, "a", "5"), has(kv, "d", NULL);
    assert_int_equal(kv_put(sim_kv_handle(s), slice_str("q"), slice_str("")), REEVE_E_BUG);
    sim_kv_free(s);
}

static void a_failing_write_fails_once(void **state)
{
    sim_kv_fail_after(store, 2);
    put("a", "1");
    assert_int_equal(kv_put(kv, slice_str("b"), slice_str("2")), REEVE_E_IO);
    has(kv, "b", NULL);
    put("b", "2");
}

static void strict_mode_spoils_slices_at_the_next_write(void **state)
{
    struct slice v;
    put("a", "1");
    assert_int_equal(kv_get(kv, slice_str("a"), &v), REEVE_OK);
    assert_int_equal(kv_put(kv, slice_str("b"), v), REEVE_OK);      /* copied before it is recalled */
    has(kv, "b", "1");
}

static void random_transactions_agree_with_a_table(void **state)
{
    char twin[32] = { 0 }, saved[32];
    srand(7);
    print_message("# seed 7\n");
    for (int round = 0; round < 300; round++) {
        memcpy(saved, twin, sizeof saved);
        sim_kv_begin(store);
        for (int i = 0; i < 20; i++) {
            unsigned k = (unsigned) rand() % 32;
            uint8_t key = (uint8_t) k, val = (uint8_t) (1 + rand() % 200);
            if (rand() % 3 == 0) {
                assert_int_equal(kv_del(kv, slice_of(&key, 1)), REEVE_OK);
                twin[k] = 0;
            } else {
                assert_int_equal(kv_put(kv, slice_of(&key, 1), slice_of(&val, 1)), REEVE_OK);
                twin[k] = (char) val;
            }
        }
        if (rand() % 2 == 0) {
            sim_kv_abort(store);
            memcpy(twin, saved, sizeof twin);
        } else {
            sim_kv_commit(store);
        }
        for (uint8_t k = 0; k < 32; k++) {
            struct slice v;
            enum reeve_err err = kv_get(kv, slice_of(&k, 1), &v);
            assert_int_equal(err, twin[k] ? REEVE_OK : REEVE_E_NOT_FOUND);
            if (err == REEVE_OK)
                assert_int_equal((char) v.p[0], twin[k]);
        }
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(keys_are_ordered_bytewise_with_the_shorter_first),
        T(abort_restores_what_stood_at_begin),
        T(a_snapshot_sees_only_what_was_committed),
        T(a_failing_write_fails_once),
        T(strict_mode_spoils_slices_at_the_next_write),
        T(random_transactions_agree_with_a_table),
    };
    return cmocka_run_group_tests_name("sim_kv", tests, NULL, NULL);
}
