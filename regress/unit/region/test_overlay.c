/* test_overlay.c - a transaction's overlay against a twin that simply writes. */
#include "../unit.h"
#include "engine/region/region_int.h"
#include "sim/sim_kv.h"

static struct overlay over;
static struct sim_kv *base, *twin;
static struct rng rng;

static struct slice key_of(char *mem)
{
    int n = snprintf(mem, 8, "R%u", rng_below(&rng, 60));
    return slice_of(mem, (size_t) n);
}

static void write_both(struct kv *a, struct kv *b)
{
    char mem[8], val[16];
    struct slice k = key_of(mem);
    if (rng_below(&rng, 3) == 0) {
        assert_ok(kv_del(a, k));
        assert_ok(kv_del(b, k));
        return;
    }
    struct slice v = slice_of(val, (size_t) snprintf(val, sizeof val, "%u", rng_below(&rng, 1000)));
    assert_ok(kv_put(a, k, v));
    assert_ok(kv_put(b, k, v));
}

static void read_both(struct kv *a, struct kv *b)
{
    char mem[8];
    struct slice k = key_of(mem), va = { 0 }, vb = { 0 }, ka = { 0 }, kb = { 0 };
    enum reeve_err ea = kv_get(a, k, &va), eb = kv_get(b, k, &vb);
    assert_int_equal(ea, eb);
    assert_true(ea != REEVE_OK || slice_eq(va, vb));
    int dir = rng_below(&rng, 2) ? 1 : -1;
    bool inclusive = rng_below(&rng, 2);
    ea = kv_seek(a, k, dir, inclusive, &ka, &va);
    eb = kv_seek(b, k, dir, inclusive, &kb, &vb);
    assert_int_equal(ea, eb);
    assert_true(ea != REEVE_OK || (slice_eq(ka, kb) && slice_eq(va, vb)));
}

static void reads_and_the_flush_agree_with_plain_writes(void **state)
{
    rng = rng_seeded("overlay");
    for (int round = 0; round < 200; round++) {
        base = sim_kv_new();
        twin = sim_kv_new();
        sim_kv_strict(base, true);
        for (int i = 0; i < 30; i++)
            write_both(sim_kv_handle(base), sim_kv_handle(twin));
        struct sim_kv *before = sim_kv_snapshot(base);
        overlay_begin(&over, sim_kv_handle(base));
        for (int i = 0; i < 150; i++) {
            if (rng_below(&rng, 3) == 0)
                write_both(&over.kv, sim_kv_handle(twin));
            read_both(&over.kv, sim_kv_handle(twin));
        }
        assert_true(sim_kv_equal(base, before));
        assert_ok(overlay_flush(&over));
        assert_true(sim_kv_equal(base, twin));
        sim_kv_free(before);
        sim_kv_free(base);
        sim_kv_free(twin);
    }
}

static void a_full_overlay_refuses_and_says_so(void **state)
{
    base = sim_kv_new();
    overlay_begin(&over, sim_kv_handle(base));
    enum reeve_err err = REEVE_OK;
    uint32_t n = 0;
    for (; err == REEVE_OK; n++)
        err = kv_put(&over.kv, slice_of(&n, sizeof n), slice_str("x"));
    assert_int_equal(err, REEVE_E_TOO_COMPLEX);
    assert_true(over.full);
    assert_int_equal(n, OVERLAY_ENTRIES + 1);
    assert_int_equal(sim_kv_count(base), 0);
    sim_kv_free(base);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(reads_and_the_flush_agree_with_plain_writes),
    cmocka_unit_test(a_full_overlay_refuses_and_says_so),
};
UNIT_MAIN(tests)
