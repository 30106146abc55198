/* test_kv.c - bounds and prefix iteration over the smallest store that can be. */
#include "../unit.h"
#include "common/kv.h"

/* A sorted list of one-letter-value keys; enough to iterate over. */
struct tiny { const char *keys[16]; size_t n; };

static enum reeve_err tiny_seek(void *h, struct slice key, int dir, bool inclusive, struct slice *key_out,
                                struct slice *val)
{
    struct tiny *t = h;
    for (size_t i = 0; i < t->n; i++) {
        size_t at = dir > 0 ? i : t->n - 1 - i;
        size_t len = strlen(t->keys[at]);
        size_t both = len < key.len ? len : key.len;
        int c = memcmp(t->keys[at], key.p, both);
        if (c == 0)
            c = len < key.len ? -1 : len > key.len;
        if (c * dir > 0 || (c == 0 && inclusive)) {
            *key_out = slice_of(t->keys[at], len);
            *val = slice_str("v");
            return REEVE_OK;
        }
    }
    return REEVE_E_NOT_FOUND;
}

static const struct kv_ops tiny_ops = { NULL, NULL, NULL, tiny_seek };

/* The keys met, joined by spaces. */
static void walk(char *out, struct tiny *t, const char *prefix)
{
    struct kv kv = { &tiny_ops, t };
    struct kv_iter it;
    struct slice k, v;
    enum reeve_err err;
    out[0] = 0;
    kv_iter_init(&it, &kv, slice_str(prefix));
    while ((err = kv_iter_next(&it, &k, &v)) == REEVE_OK)
        sprintf(out + strlen(out), "%.*s ", (int) k.len, (const char *) k.p);
    assert_err(err, REEVE_E_NOT_FOUND);
}

static void iteration_stays_inside_its_prefix(void **state)
{
    struct tiny t = { { "a", "b", "b/", "b/1", "b/10", "b/2", "b0", "c" }, 8 };
    char out[64];
    walk(out, &t, "b/");
    assert_string_equal(out, "b/ b/1 b/10 b/2 ");
    walk(out, &t, "b");
    assert_string_equal(out, "b b/ b/1 b/10 b/2 b0 ");
    walk(out, &t, "bb");
    assert_string_equal(out, "");
    walk(out, &t, "c");
    assert_string_equal(out, "c ");
    walk(out, &t, "d");
    assert_string_equal(out, "");
}

static void iteration_over_nothing_ends(void **state)
{
    struct tiny t = { { NULL }, 0 };
    char out[8];
    walk(out, &t, "x");
    assert_string_equal(out, "");
}

static void the_position_survives_a_removal_of_what_was_passed(void **state)
{
    struct tiny t = { { "k1", "k2", "k3" }, 3 };
    struct kv kv = { &tiny_ops, &t };
    struct kv_iter it;
    struct slice k, v;
    kv_iter_init(&it, &kv, slice_str("k"));
    assert_ok(kv_iter_next(&it, &k, &v));
    t.keys[0] = "k2";
    t.keys[1] = "k3";
    t.n = 2;
    assert_ok(kv_iter_next(&it, &k, &v));
    assert_true(slice_eq(k, slice_str("k2")));
    assert_ok(kv_iter_next(&it, &k, &v));
    assert_true(slice_eq(k, slice_str("k3")));
    assert_err(kv_iter_next(&it, &k, &v), REEVE_E_NOT_FOUND);
}

static void seeking_goes_both_ways(void **state)
{
    struct tiny t = { { "a", "c" }, 2 };
    struct kv kv = { &tiny_ops, &t };
    struct slice k, v;
    assert_ok(kv_seek(&kv, slice_str("b"), -1, true, &k, &v));
    assert_true(slice_eq(k, slice_str("a")));
    assert_ok(kv_seek(&kv, slice_str("c"), -1, false, &k, &v));
    assert_true(slice_eq(k, slice_str("a")));
    assert_err(kv_seek(&kv, slice_str("c"), 1, false, &k, &v), REEVE_E_NOT_FOUND);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(iteration_stays_inside_its_prefix),
    cmocka_unit_test(iteration_over_nothing_ends),
    cmocka_unit_test(the_position_survives_a_removal_of_what_was_passed),
    cmocka_unit_test(seeking_goes_both_ways),
};
UNIT_MAIN(tests)
