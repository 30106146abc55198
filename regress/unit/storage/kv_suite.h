/*
 * kv_suite.h - what every implementation of kv.h must do, run on each
 *
 * The including file provides the five calls below over a store that is empty
 * at the beginning of each test. The dumb twin is an array searched in full.
 */
#ifndef REEVE_UNIT_KV_SUITE_H
#define REEVE_UNIT_KV_SUITE_H

#include "../unit.h"

#include "common/kv.h"

static int suite_setup(void **state);
static int suite_teardown(void **state);
static struct kv *suite_begin(void);
static void suite_commit(void);
static void suite_abort(void);

#define TWIN_MAX 400
struct twin { uint8_t key[8], val[8]; size_t klen, vlen; };
static struct twin twin[TWIN_MAX];
static size_t n_twin;

static int key_cmp(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
    int c = memcmp(a, b, alen < blen ? alen : blen);
    return c ? c : alen < blen ? -1 : alen > blen;
}

static struct twin *twin_find(const uint8_t *k, size_t len)
{
    for (size_t i = 0; i < n_twin; i++)
        if (key_cmp(twin[i].key, twin[i].klen, k, len) == 0)
            return &twin[i];
    return NULL;
}

static struct twin *twin_seek(const uint8_t *k, size_t len, int dir, bool inclusive)
{
    struct twin *best = NULL;
    for (size_t i = 0; i < n_twin; i++) {
        int c = key_cmp(twin[i].key, twin[i].klen, k, len) * dir;
        if ((c > 0 || (c == 0 && inclusive)) &&
            (best == NULL || key_cmp(twin[i].key, twin[i].klen, best->key, best->klen) * dir < 0))
            best = &twin[i];
    }
    return best;
}

static size_t random_key(struct rng *r, uint8_t k[8])
{
    size_t len = 1 + rng_below(r, 3);
    for (size_t i = 0; i < len; i++)
        k[i] = (uint8_t) (rng_below(r, 4) * 85);        /* 0x00, 0x55, 0xaa, 0xff: the ends matter */
    return len;
}

static void twin_put(const uint8_t *k, size_t klen, const uint8_t *v, size_t vlen)
{
    struct twin *t = twin_find(k, klen);
    if (t == NULL)
        t = &twin[n_twin++];
    memcpy(t->key, k, klen);
    memcpy(t->val, v, vlen);
    t->klen = klen;
    t->vlen = vlen;
}

static void step_put(struct kv *kv, struct rng *r)
{
    uint8_t k[8], v[8] = { 0 };
    size_t klen = random_key(r, k), vlen = rng_below(r, 9);
    for (size_t i = 0; i < vlen; i++)
        v[i] = (uint8_t) rng_next(r);
    assert_ok(kv_put(kv, slice_of(k, klen), slice_of(v, vlen)));
    twin_put(k, klen, v, vlen);
}

static void step_del(struct kv *kv, struct rng *r)
{
    uint8_t k[8];
    size_t klen = random_key(r, k);
    assert_ok(kv_del(kv, slice_of(k, klen)));
    struct twin *t = twin_find(k, klen);
    if (t != NULL)
        *t = twin[--n_twin];
}

static void step_get(struct kv *kv, struct rng *r)
{
    uint8_t k[8];
    struct slice v;
    size_t klen = random_key(r, k);
    struct twin *t = twin_find(k, klen);
    assert_err(kv_get(kv, slice_of(k, klen), &v), t ? REEVE_OK : REEVE_E_NOT_FOUND);
    if (t != NULL)
        assert_true(slice_eq(v, slice_of(t->val, t->vlen)));
}

static void step_seek(struct kv *kv, struct rng *r)
{
    uint8_t k[8];
    struct slice key, v;
    size_t klen = random_key(r, k);
    int dir = rng_below(r, 2) ? 1 : -1;
    bool inclusive = rng_below(r, 2);
    /* A run of steps, so that the way from key to key is tried too. */
    for (int i = 0; i < 5; i++) {
        struct twin *t = twin_seek(k, klen, dir, inclusive);
        assert_err(kv_seek(kv, slice_of(k, klen), dir, inclusive, &key, &v), t ? REEVE_OK : REEVE_E_NOT_FOUND);
        if (t == NULL)
            return;
        assert_true(slice_eq(key, slice_of(t->key, t->klen)));
        assert_true(slice_eq(v, slice_of(t->val, t->vlen)));
        memcpy(k, key.p, key.len);
        klen = key.len;
        inclusive = false;
        if (rng_below(r, 4) == 0)
            dir = -dir;
    }
}

static void any_run_of_calls_agrees_with_the_dumb_twin(void **state)
{
    struct rng r = rng_seeded("kv");
    n_twin = 0;
    for (int txn = 0; txn < 60; txn++) {
        static struct twin before[TWIN_MAX];
        size_t n_before = n_twin;
        memcpy(before, twin, sizeof before);
        struct kv *kv = suite_begin();
        for (int i = 0; i < 100; i++)
            switch (rng_below(&r, 5)) {
            case 0: step_put(kv, &r); break;
            case 1: rng_below(&r, 2) ? step_del(kv, &r) : step_put(kv, &r); break;
            case 2: step_get(kv, &r); break;
            default: step_seek(kv, &r); break;
            }
        if (rng_below(&r, 3) > 0) {
            suite_commit();
        } else {
            suite_abort();
            memcpy(twin, before, sizeof before);
            n_twin = n_before;
        }
    }
}

static void iteration_gives_a_prefix_in_order_while_rows_passed_are_changed(void **state)
{
    struct kv *kv = suite_begin();
    struct kv_iter it;
    struct slice key, val;
    static const char *const keys[] = { "a", "b", "b1", "b2", "b3", "c" };
    for (size_t i = 0; i < 6; i++)
        assert_ok(kv_put(kv, slice_str(keys[i]), slice_str("v")));
    kv_iter_init(&it, kv, slice_str("b"));
    for (size_t i = 1; i < 5; i++) {
        assert_ok(kv_iter_next(&it, &key, &val));
        assert_true(slice_eq(key, slice_str(keys[i])));
        assert_ok(i % 2 ? kv_del(kv, slice_str(keys[i])) : kv_put(kv, slice_str(keys[i]), slice_str("w")));
    }
    assert_err(kv_iter_next(&it, &key, &val), REEVE_E_NOT_FOUND);
    suite_abort();
}

static void a_key_of_the_longest_length_is_kept(void **state)
{
    uint8_t k[KV_KEY_MAX];
    struct slice v;
    memset(k, 0xff, sizeof k);
    struct kv *kv = suite_begin();
    assert_ok(kv_put(kv, slice_of(k, sizeof k), slice_str("")));
    assert_ok(kv_put(kv, slice_of(k, sizeof k - 1), slice_str("shorter")));
    suite_commit();
    kv = suite_begin();
    assert_ok(kv_get(kv, slice_of(k, sizeof k), &v));
    assert_int_equal(v.len, 0);
    assert_ok(kv_get(kv, slice_of(k, sizeof k - 1), &v));
    assert_true(slice_eq(v, slice_str("shorter")));
    suite_abort();
}

#define S(f) cmocka_unit_test_setup_teardown(f, suite_setup, suite_teardown)
static const struct CMUnitTest tests[] = {
    S(any_run_of_calls_agrees_with_the_dumb_twin),
    S(iteration_gives_a_prefix_in_order_while_rows_passed_are_changed),
    S(a_key_of_the_longest_length_is_kept),
};
UNIT_MAIN(tests)

#endif
