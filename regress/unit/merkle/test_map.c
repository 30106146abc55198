/* test_map.c - the sparse map against a root recomputed from a sorted list, and hostile proofs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/ops.h"
#include "engine/merkle.h"
#include "sim/sim_kv.h"

#include <stdlib.h>

#define ENTRIES 60
static const struct crypto_ops *const c = &crypto_ops_real;
static struct sim_kv *store;
static struct merkle_map map;

/* ---- the dumb twin ---- */

struct entry { struct hash32 key, value; bool in; };
static struct entry table[ENTRIES];

static unsigned bit(const struct hash32 *k, unsigned i) { return k->b[i / 8] >> (7 - i % 8) & 1; }

static struct hash32 tagged(uint8_t tag, const struct hash32 *a, const struct hash32 *b)
{
    struct hash32 h;
    const struct slice parts[] = { slice_of(&tag, 1), slice_of(a->b, 32), slice_of(b->b, 32) };
    c->sha256(&h, parts, 3);
    return h;
}

static struct hash32 twin_root(const struct entry **e, size_t n, unsigned depth)
{
    struct hash32 zero = { { 0 } };
    if (n == 0)
        return zero;
    if (n == 1)
        return tagged(2, &e[0]->key, &e[0]->value);
    size_t left = 0;
    while (left < n && bit(&e[left]->key, depth) == 0)
        left++;
    struct hash32 l = twin_root(e, left, depth + 1), r = twin_root(e + left, n - left, depth + 1);
    return tagged(3, &l, &r);
}

static int by_key(const void *a, const void *b)
{
    return memcmp((*(const struct entry *const *) a)->key.b, (*(const struct entry *const *) b)->key.b, 32);
}

static size_t present(const struct entry **e)
{
    size_t n = 0;
    for (size_t i = 0; i < ENTRIES; i++)
        if (table[i].in)
            e[n++] = &table[i];
    qsort(e, n, sizeof *e, by_key);
    return n;
}

/* ---- fixtures ---- */

static int setup(void **state)
{
    store = sim_kv_new();
    sim_kv_strict(store, true);
    map = (struct merkle_map){ sim_kv_handle(store), c, 'T' };
    memset(table, 0, sizeof table);
    for (size_t i = 0; i < ENTRIES; i++) {
        uint8_t b[2] = { (uint8_t) i, 9 };
        const struct slice s = slice_of(b, 2);
        c->sha256(&table[i].key, &s, 1);
        if (i % 3 == 1) {           /* long common prefixes */
            table[i].key = table[i - 1].key;
            table[i].key.b[i % 32] ^= (uint8_t) (1 << i % 8);
        }
        table[i].value = table[i].key;
        table[i].value.b[0] ^= 0x55;
    }
    return 0;
}

static int teardown(void **state)
{
    sim_kv_free(store);
    return 0;
}

static struct hash32 set(const struct hash32 *key, const struct hash32 *value)
{
    struct hash32 root;
    assert_int_equal(merkle_map_set(&map, key, value, &root), REEVE_OK);
    return root;
}

static const struct hash32 zero;

static size_t prove(const struct hash32 *key, uint8_t mem[9000])
{
    struct wr w = wr_fixed(mem, 9000);
    assert_int_equal(merkle_map_prove(&map, key, &w), REEVE_OK);
    return w.len;
}

static enum reeve_err verify(const struct hash32 *root, const struct hash32 *key, const struct hash32 *value,
                             const uint8_t *mem, size_t len)
{
    struct rd in = rd_of(slice_of(mem, len));
    enum reeve_err err = merkle_map_verify(c, root, key, value, &in);
    if (err == REEVE_OK)
        assert_true(rd_done(&in));
    return err;
}

/* ---- claims ---- */

static void the_root_depends_on_the_content_alone(void **state)
{
    const struct entry *e[ENTRIES];
    srand(11);
    print_message("# seed 11\n");
    for (int round = 0; round < 2000; round++) {
        struct entry *t = &table[rand() % ENTRIES];
        t->in = rand() % 5 < 2 ? false : true;
        if (rand() % 4 == 0)
            t->value.b[5]++;
        struct hash32 root = set(&t->key, t->in ? &t->value : &zero);
        size_t n = present(e);
        struct hash32 want = twin_root(e, n, 0), again;
        assert_true(hash32_eq(&root, &want));
        assert_int_equal(merkle_map_root(&map, &again), REEVE_OK);
        assert_true(hash32_eq(&root, &again));
    }
}

static void removing_everything_leaves_no_stored_node(void **state)
{
    srand(12);
    for (size_t i = 0; i < ENTRIES; i++)
        set(&table[i].key, &table[i].value);
    for (size_t left = ENTRIES; left > 0;) {
        size_t i = (size_t) rand() % ENTRIES;
        if (hash32_is_zero(&table[i].value))
            continue;
        set(&table[i].key, &zero);
        table[i].value = zero;
        left--;
    }
    struct hash32 root;
    assert_int_equal(merkle_map_root(&map, &root), REEVE_OK);
    assert_true(hash32_is_zero(&root));
    assert_int_equal(sim_kv_count(store), 0);
}

static void two_histories_store_the_same_bytes(void **state)
{
    struct sim_kv *other = sim_kv_new();
    for (size_t i = 0; i < ENTRIES; i++)
        set(&table[i].key, &table[i].value);
    for (size_t i = 0; i < ENTRIES; i += 2)
        set(&table[i].key, &zero);
    struct merkle_map second = { sim_kv_handle(other), c, 'T' };
    struct hash32 root;
    for (size_t i = ENTRIES; i-- > 0;)
        if (i % 2 == 1)
            assert_int_equal(merkle_map_set(&second, &table[i].key, &table[i].value, &root), REEVE_OK);
    assert_true(sim_kv_equal(store, other));
    sim_kv_free(other);
}

static void presence_and_absence_are_proved(void **state)
{
    uint8_t mem[9000];
    struct hash32 root = zero;
    assert_int_equal(verify(&root, &table[0].key, NULL, mem, prove(&table[0].key, mem)), REEVE_OK);
    for (size_t i = 0; i < ENTRIES; i += 2)
        root = set(&table[i].key, &table[i].value);
    for (size_t i = 0; i < ENTRIES; i++) {
        size_t n = prove(&table[i].key, mem);
        bool in = i % 2 == 0;
        assert_int_equal(verify(&root, &table[i].key, in ? &table[i].value : NULL, mem, n), REEVE_OK);
        assert_int_equal(verify(&root, &table[i].key, in ? NULL : &table[i].value, mem, n), REEVE_E_V_MAP);
        assert_int_equal(verify(&root, &table[i].key, &table[(i + 2) % ENTRIES].value, mem, n), REEVE_E_V_MAP);
        assert_int_equal(verify(&table[0].key, &table[i].key, in ? &table[i].value : NULL, mem, n), REEVE_E_V_MAP);
    }
}

static void any_altered_byte_of_a_proof_is_noticed(void **state)
{
    uint8_t mem[9000];
    struct hash32 root = zero;
    for (size_t i = 0; i < ENTRIES; i += 2)
        root = set(&table[i].key, &table[i].value);
    for (size_t i = 0; i < 12; i++) {
        size_t n = prove(&table[i].key, mem);
        const struct hash32 *value = i % 2 == 0 ? &table[i].value : NULL;
        for (size_t at = 0; at < n; at++)
            for (int b = 0; b < 8; b++) {
                mem[at] ^= (uint8_t) (1 << b);
                assert_int_equal(verify(&root, &table[i].key, value, mem, n), REEVE_E_V_MAP);
                mem[at] ^= (uint8_t) (1 << b);
            }
        for (size_t len = 0; len < n; len++)
            assert_int_equal(verify(&root, &table[i].key, value, mem, len), REEVE_E_V_MAP);
    }
}

static void another_leaf_proves_absence_only_on_its_own_path(void **state)
{
    /* One entry: its leaf is the root, and shows the absence of everything else, but not of itself. */
    struct hash32 root = set(&table[0].key, &table[0].value);
    uint8_t mem[66] = { 0, 2 };
    memcpy(mem + 2, table[0].key.b, 32);
    memcpy(mem + 34, table[0].value.b, 32);
    assert_int_equal(verify(&root, &table[2].key, NULL, mem, 66), REEVE_OK);
    assert_int_equal(verify(&root, &table[0].key, NULL, mem, 66), REEVE_E_V_MAP);
    /* Two entries that part in the first bit: the left leaf says nothing about the right side. */
    struct hash32 right = table[0].key;
    right.b[0] ^= 0x80;
    root = set(&right, &table[0].value);
    struct hash32 asked = right;
    asked.b[31] ^= 1;
    uint8_t honest[9000];
    size_t n = prove(&asked, honest);
    assert_int_equal(verify(&root, &asked, NULL, honest, n), REEVE_OK);
    struct hash32 sib = tagged(2, &right, &table[0].value);
    uint8_t forged[98] = { 1 };
    memcpy(forged + 1, sib.b, 32);
    forged[33] = 2;
    memcpy(forged + 34, table[0].key.b, 32);
    memcpy(forged + 66, table[0].value.b, 32);
    assert_int_equal(verify(&root, &asked, NULL, forged, 98), REEVE_E_V_MAP);
}

static void a_leaf_on_a_foreign_path_proves_nothing(void **state)
{
    /* A tree nobody honest builds: an entry whose key begins with 1 on the side of 0. */
    struct hash32 zero_key = { { 0x01 } }, one_key = { { 0x81 } }, asked = { { 0x02 } }, value = { { 7 } };
    struct hash32 wrong = tagged(2, &one_key, &value), right = tagged(2, &one_key, &zero_key);
    struct hash32 root = tagged(3, &wrong, &right);
    uint8_t mem[98] = { 1 };
    memcpy(mem + 1, right.b, 32);
    mem[33] = 2;
    memcpy(mem + 34, one_key.b, 32);
    memcpy(mem + 66, value.b, 32);
    assert_int_equal(verify(&root, &asked, NULL, mem, 98), REEVE_E_V_MAP);
    /* the same shape with an entry that belongs there */
    wrong = tagged(2, &zero_key, &value);
    root = tagged(3, &wrong, &right);
    memcpy(mem + 34, zero_key.b, 32);
    assert_int_equal(verify(&root, &asked, NULL, mem, 98), REEVE_OK);
}

static void keys_alike_in_all_but_the_last_bit_are_refused(void **state)
{
    struct hash32 a = table[0].key, b = a, root;
    set(&a, &table[0].value);
    b.b[31] ^= 1;
    assert_int_equal(merkle_map_set(&map, &b, &table[0].value, &root), REEVE_E_TOO_COMPLEX);
    b = a;
    b.b[31] ^= 2;
    root = set(&b, &table[0].value);
    uint8_t mem[9000];
    size_t n = prove(&b, mem);
    assert_int_equal(mem[0], 255);
    assert_int_equal(verify(&root, &b, &table[0].value, mem, n), REEVE_OK);
}

static void a_failed_write_is_reported(void **state)
{
    struct hash32 root;
    for (unsigned k = 1; k <= 3; k++) {
        sim_kv_begin(store);
        set(&table[0].key, &table[0].value);
        sim_kv_fail_after(store, k);
        assert_int_equal(merkle_map_set(&map, &table[1].key, &table[1].value, &root), REEVE_E_IO);
        sim_kv_abort(store);
        assert_int_equal(sim_kv_count(store), 0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_root_depends_on_the_content_alone),
        T(removing_everything_leaves_no_stored_node),
        T(two_histories_store_the_same_bytes),
        T(presence_and_absence_are_proved),
        T(any_altered_byte_of_a_proof_is_noticed),
        T(another_leaf_proves_absence_only_on_its_own_path),
        T(a_leaf_on_a_foreign_path_proves_nothing),
        T(keys_alike_in_all_but_the_last_bit_are_refused),
        T(a_failed_write_is_reported),
    };
    return cmocka_run_group_tests_name("merkle_map", tests, NULL, NULL);
}
