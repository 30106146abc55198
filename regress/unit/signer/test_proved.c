/* Proved leaves: bounded, newest word counts, least recently used goes first. */
#include "../unit.h"

#include "backend/signer/signer_int.h"

static struct proved p;

static struct name name_of(unsigned i)
{
    struct name n;
    char text[16];
    snprintf(text, sizeof text, "cert-%u", i);
    assert_true(name_set_str(&n, text));
    return n;
}

static struct hash32 hash_of(unsigned i)
{
    struct hash32 h = { { 0 } };
    memcpy(h.b, &i, sizeof i);
    return h;
}

static void put(unsigned i, unsigned hash, int64_t at)
{
    struct name n = name_of(i);
    struct hash32 h = hash_of(hash);
    assert_ok(proved_put(&p, AT_CERT, &n, &h, slice_str("leaf"), at));
}

static bool has(unsigned i, int64_t at)
{
    struct name n = name_of(i);
    return proved_by_name(&p, AT_CERT, &n, at) != NULL;
}

static bool has_hash(unsigned hash, int64_t at)
{
    struct hash32 h = hash_of(hash);
    return proved_by_hash(&p, AT_CERT, &h, at) != NULL;
}

static void a_newer_proof_replaces_the_older(void **state)
{
    put(1, 10, 0);
    put(1, 11, 1);
    assert_false(has_hash(10, 1));
    assert_true(has_hash(11, 1));
    proved_clear(&p);
}

static void absence_drops_it_and_kinds_do_not_mix(void **state)
{
    struct name n = name_of(1);
    put(1, 10, 0);
    proved_drop(&p, AT_AUTHORITY, &n);
    assert_true(has(1, 0));
    proved_drop(&p, AT_CERT, &n);
    assert_false(has(1, 0));
}

static void age_and_a_clock_set_back_ask_for_a_new_proof(void **state)
{
    put(1, 10, 1000);
    assert_true(has(1, 1000 + PROVED_AGE_MAX_MS));
    assert_false(has(1, 1001 + PROVED_AGE_MAX_MS));
    assert_false(has(1, 999));
    proved_clear(&p);
}

/* The twin keeps a list ordered by use. */
static void it_forgets_what_was_used_longest_ago(void **state)
{
    struct rng r = rng_seeded("proved");
    unsigned order[PROVED_MAX], n = 0;
    for (int step = 0; step < 20000; step++) {
        unsigned i = rng_below(&r, 2 * PROVED_MAX), at = 0;
        while (at < n && order[at] != i)
            at++;
        bool known = at < n;
        assert_int_equal(has(i, 0), known);
        if (!known) {
            put(i, i, 0);
            at = n < PROVED_MAX ? n++ : 0;
        }
        memmove(order + at, order + at + 1, (n - at - 1) * sizeof order[0]);
        order[n - 1] = i;
    }
    proved_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newer_proof_replaces_the_older),
        cmocka_unit_test(absence_drops_it_and_kinds_do_not_mix),
        cmocka_unit_test(age_and_a_clock_set_back_ask_for_a_new_proof),
        cmocka_unit_test(it_forgets_what_was_used_longest_ago),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
