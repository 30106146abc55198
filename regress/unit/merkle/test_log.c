/* test_log.c - the RFC 6962 log against the recursive definition, published vectors and hostile proofs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/text.h"
#include "crypto/ops.h"
#include "engine/merkle.h"
#include "sim/sim_kv.h"

#include <stdlib.h>

#define SIZE_MAX_TESTED 70
static const struct crypto_ops *const c = &crypto_ops_real;
static struct sim_kv *store;
static struct merkle_log tree;
static struct hash32 leaf[SIZE_MAX_TESTED];

/* ---- the dumb twin: RFC 6962 2.1, word for word ---- */

static uint64_t split(uint64_t n)
{
    uint64_t k = 1;
    while (k * 2 < n)
        k *= 2;
    return k;
}

static struct hash32 mth(uint64_t lo, uint64_t n)
{
    struct hash32 h;
    if (n == 0) {
        c->sha256(&h, NULL, 0);
    } else if (n == 1) {
        h = leaf[lo];
    } else {
        uint64_t k = split(n);
        struct hash32 l = mth(lo, k), r = mth(lo + k, n - k);
        merkle_node_hash(c, &h, &l, &r);
    }
    return h;
}

static size_t twin_path(uint64_t m, uint64_t lo, uint64_t n, struct hash32 *out)
{
    if (n == 1)
        return 0;
    uint64_t k = split(n);
    size_t len = m < k ? twin_path(m, lo, k, out) : twin_path(m - k, lo + k, n - k, out);
    out[len] = m < k ? mth(lo + k, n - k) : mth(lo, k);
    return len + 1;
}

static size_t twin_subproof(uint64_t m, uint64_t lo, uint64_t n, bool b, struct hash32 *out)
{
    if (m == n) {
        if (!b)
            out[0] = mth(lo, n);
        return b ? 0 : 1;
    }
    uint64_t k = split(n);
    size_t len = m <= k ? twin_subproof(m, lo, k, b, out) : twin_subproof(m - k, lo + k, n - k, false, out);
    out[len] = m <= k ? mth(lo + k, n - k) : mth(lo, k);
    return len + 1;
}

/* ---- fixtures ---- */

static int fill(void **state)
{
    store = sim_kv_new();
    sim_kv_strict(store, true);
    tree = (struct merkle_log){ sim_kv_handle(store), c, 'T' };
    for (uint64_t i = 0; i < SIZE_MAX_TESTED; i++) {
        uint8_t b = (uint8_t) i;
        merkle_leaf_hash(c, &leaf[i], slice_of(&b, 1));
        if (merkle_log_append(&tree, i, &leaf[i]) != REEVE_OK)
            return 1;
    }
    return 0;
}

static int drop(void **state)
{
    sim_kv_free(store);
    return 0;
}

static void hex_is(const struct hash32 *h, const char *hex)
{
    char text[65];
    hex_encode(text, h->b, 32);
    assert_string_equal(text, hex);
}

/* ---- claims ---- */

static const char *const ct_leaves[8] = { "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                                          "606162636465666768696a6b6c6d6e6f" };
static const char *const ct_roots[8] = {
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static void published_vectors_of_certificate_transparency_hold(void **state)
{
    struct merkle_log l = { sim_kv_handle(store), c, 'V' };
    struct merkle_range r;
    struct hash32 h, root, path[MERKLE_PATH_MAX];
    size_t n;
    merkle_range_init(&r);
    for (uint64_t i = 0; i < 8; i++) {
        uint8_t data[16];
        size_t len = strlen(ct_leaves[i]) / 2;
        assert_true(hex_decode(data, len, slice_str(ct_leaves[i])));
        merkle_leaf_hash(c, &h, slice_of(data, len));
        assert_int_equal(merkle_log_append(&l, i, &h), REEVE_OK);
        merkle_range_append(c, &r, &h);
        assert_int_equal(merkle_log_root(&l, i + 1, &root), REEVE_OK);
        hex_is(&root, ct_roots[i]);
        merkle_range_root(c, &r, &root);
        hex_is(&root, ct_roots[i]);
    }
    assert_int_equal(merkle_log_inclusion(&l, 5, 8, path, &n), REEVE_OK);
    assert_int_equal(n, 3);
    hex_is(&path[0], "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b");
    hex_is(&path[1], "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0");
    hex_is(&path[2], ct_roots[3]);
    assert_int_equal(merkle_log_consistency(&l, 6, 8, path, &n), REEVE_OK);
    assert_int_equal(n, 3);
    hex_is(&path[0], "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a");
    hex_is(&path[1], "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0");
    hex_is(&path[2], ct_roots[3]);
}

static void the_empty_log_has_the_hash_of_nothing_as_root(void **state)
{
    struct hash32 root;
    struct merkle_range r;
    assert_int_equal(merkle_log_root(&tree, 0, &root), REEVE_OK);
    hex_is(&root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    merkle_range_init(&r);
    merkle_range_root(c, &r, &root);
    hex_is(&root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void roots_and_proofs_of_every_size_equal_the_definition(void **state)
{
    for (uint64_t n = 1; n <= SIZE_MAX_TESTED; n++) {
        struct hash32 root, want = mth(0, n), path[MERKLE_PATH_MAX], twin[MERKLE_PATH_MAX];
        size_t len;
        assert_int_equal(merkle_log_root(&tree, n, &root), REEVE_OK);
        assert_true(hash32_eq(&root, &want));
        for (uint64_t i = 0; i < n; i++) {
            assert_int_equal(merkle_log_inclusion(&tree, i, n, path, &len), REEVE_OK);
            assert_int_equal(len, twin_path(i, 0, n, twin));
            assert_memory_equal(path, twin, len * sizeof *path);
            assert_int_equal(merkle_inclusion_verify(c, i, n, &leaf[i], path, len, &root), REEVE_OK);
        }
        for (uint64_t m = 1; m <= n; m++) {
            struct hash32 old = mth(0, m);
            assert_int_equal(merkle_log_consistency(&tree, m, n, path, &len), REEVE_OK);
            assert_int_equal(len, twin_subproof(m, 0, n, true, twin));
            assert_memory_equal(path, twin, len * sizeof *path);
            assert_int_equal(merkle_consistency_verify(c, m, n, &old, &root, path, len), REEVE_OK);
        }
    }
}

static void an_inclusion_proof_fits_one_leaf_at_one_place_only(void **state)
{
    for (uint64_t n = 1; n <= 20; n++)
        for (uint64_t i = 0; i < n; i++) {
            struct hash32 root = mth(0, n), path[MERKLE_PATH_MAX + 1];
            size_t len;
            assert_int_equal(merkle_log_inclusion(&tree, i, n, path, &len), REEVE_OK);
            for (uint64_t j = 0; j <= n; j++)
                if (j != i)
                    assert_int_equal(merkle_inclusion_verify(c, j, n, &leaf[i], path, len, &root), REEVE_E_V_LEAF);
            assert_int_equal(merkle_inclusion_verify(c, i, n, &leaf[i + 1], path, len, &root), REEVE_E_V_LEAF);
            if (len > 0)
                assert_int_equal(merkle_inclusion_verify(c, i, n, &leaf[i], path, len - 1, &root), REEVE_E_V_LEAF);
            path[len] = root;
            assert_int_equal(merkle_inclusion_verify(c, i, n, &leaf[i], path, len + 1, &root), REEVE_E_V_LEAF);
            for (size_t k = 0; k < len; k++) {
                path[k].b[k] ^= 1;
                assert_int_equal(merkle_inclusion_verify(c, i, n, &leaf[i], path, len, &root), REEVE_E_V_LEAF);
                path[k].b[k] ^= 1;
            }
        }
}

static void a_leaf_made_of_two_hashes_is_no_inner_node(void **state)
{
    uint8_t fake[65] = { 1 };
    struct hash32 h, node, root = mth(0, 2);
    memcpy(fake + 1, leaf[0].b, 32);
    memcpy(fake + 33, leaf[1].b, 32);
    merkle_leaf_hash(c, &h, slice_of(fake, 65));
    merkle_node_hash(c, &node, &leaf[0], &leaf[1]);
    assert_false(hash32_eq(&h, &node));
    merkle_leaf_hash(c, &h, slice_of(fake + 1, 64));
    assert_false(hash32_eq(&h, &node));
    assert_int_equal(merkle_inclusion_verify(c, 0, 1, &h, NULL, 0, &root), REEVE_E_V_LEAF);
}

static void consistency_at_its_edges(void **state)
{
    struct hash32 empty = mth(0, 0), r4 = mth(0, 4), r7 = mth(0, 7), path[MERKLE_PATH_MAX + 1];
    size_t n;
    /* m = n: nothing to prove, and nothing may be sent */
    assert_int_equal(merkle_consistency_verify(c, 7, 7, &r7, &r7, NULL, 0), REEVE_OK);
    assert_int_equal(merkle_consistency_verify(c, 7, 7, &r7, &r4, NULL, 0), REEVE_E_V_CONSISTENCY);
    assert_int_equal(merkle_consistency_verify(c, 7, 7, &r7, &r7, &r4, 1), REEVE_E_V_CONSISTENCY);
    /* m = 0 */
    assert_int_equal(merkle_consistency_verify(c, 0, 7, &empty, &r7, NULL, 0), REEVE_OK);
    assert_int_equal(merkle_consistency_verify(c, 0, 7, &empty, &r7, &r4, 1), REEVE_E_V_CONSISTENCY);
    assert_int_equal(merkle_consistency_verify(c, 0, 7, &r4, &r7, NULL, 0), REEVE_E_V_CONSISTENCY);
    assert_int_equal(merkle_consistency_verify(c, 0, 0, &empty, &empty, NULL, 0), REEVE_OK);
    assert_int_equal(merkle_consistency_verify(c, 0, 0, &empty, &r4, NULL, 0), REEVE_E_V_CONSISTENCY);
    /* m a power of two: its root is not in the proof */
    assert_int_equal(merkle_log_consistency(&tree, 4, 7, path, &n), REEVE_OK);
    assert_int_equal(merkle_consistency_verify(c, 4, 7, &r4, &r7, path, n), REEVE_OK);
    assert_int_equal(merkle_consistency_verify(c, 4, 7, &r7, &r4, path, n), REEVE_E_V_CONSISTENCY);
    assert_int_equal(merkle_consistency_verify(c, 7, 4, &r7, &r4, path, n), REEVE_E_V_CONSISTENCY);
    assert_int_equal(merkle_consistency_verify(c, 4, 7, &r4, &r7, path, 0), REEVE_E_V_CONSISTENCY);
    path[n] = r4;
    assert_int_equal(merkle_consistency_verify(c, 4, 7, &r4, &r7, path, n + 1), REEVE_E_V_CONSISTENCY);
    /* a truncated log is no extension */
    assert_int_equal(merkle_log_consistency(&tree, 7, 4, path, &n), REEVE_E_OUT_OF_RANGE);
    assert_int_equal(merkle_log_inclusion(&tree, 7, 7, path, &n), REEVE_E_OUT_OF_RANGE);
}

static void altered_consistency_proofs_are_refused(void **state)
{
    for (uint64_t n = 2; n <= 20; n++)
        for (uint64_t m = 1; m < n; m++) {
            struct hash32 rm = mth(0, m), rn = mth(0, n), path[MERKLE_PATH_MAX];
            size_t len;
            assert_int_equal(merkle_log_consistency(&tree, m, n, path, &len), REEVE_OK);
            for (size_t k = 0; k < len; k++) {
                path[k].b[31] ^= 0x80;
                assert_int_equal(merkle_consistency_verify(c, m, n, &rm, &rn, path, len), REEVE_E_V_CONSISTENCY);
                path[k].b[31] ^= 0x80;
            }
            rm.b[0] ^= 1;
            assert_int_equal(merkle_consistency_verify(c, m, n, &rm, &rn, path, len), REEVE_E_V_CONSISTENCY);
        }
}

static void a_missing_subtree_is_corruption_not_an_answer(void **state)
{
    struct merkle_log l = { sim_kv_handle(store), c, 'W' };
    struct hash32 root;
    assert_int_equal(merkle_log_root(&l, 5, &root), REEVE_E_CORRUPT);
    assert_int_equal(merkle_log_append(&l, 5, &leaf[0]), REEVE_E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_of_certificate_transparency_hold),
        cmocka_unit_test(the_empty_log_has_the_hash_of_nothing_as_root),
        cmocka_unit_test(roots_and_proofs_of_every_size_equal_the_definition),
        cmocka_unit_test(an_inclusion_proof_fits_one_leaf_at_one_place_only),
        cmocka_unit_test(a_leaf_made_of_two_hashes_is_no_inner_node),
        cmocka_unit_test(consistency_at_its_edges),
        cmocka_unit_test(altered_consistency_proofs_are_refused),
        cmocka_unit_test(a_missing_subtree_is_corruption_not_an_answer),
    };
    return cmocka_run_group_tests_name("merkle_log", tests, fill, drop);
}
