/* test_places.c - who suffices: beside the matching, a dumb twin that tries every way to put people on places. */
#include "../unit.h"
#include "engine/approval.h"

static struct name name_of(const char *s)
{
    struct name n;
    assert_true(name_set_str(&n, s));
    return n;
}

static struct approver_doc person(const char *jurisdiction, const char *a, const char *b)
{
    struct approver_doc d = { .n_groups = b != NULL ? 2 : 1 };
    d.group[0] = name_of(a);
    if (b != NULL)
        d.group[1] = name_of(b);
    if (jurisdiction[0] != '\0')
        d.jurisdiction = name_of(jurisdiction);
    return d;
}

/* ---- the twin ---- */

static struct policy_doc policy;
static struct approver_doc who[8];
static unsigned n_who, n_places, place_term[APPROVALS_MAX];

static unsigned jurisdictions_of(unsigned placed)
{
    unsigned count = 0;
    for (unsigned i = 0; i < n_who; i++) {
        bool fresh = (placed >> i & 1) && who[i].jurisdiction.len > 0;
        for (unsigned j = 0; j < i; j++)
            fresh = fresh && !((placed >> j & 1) && name_eq(&who[j].jurisdiction, &who[i].jurisdiction));
        count += fresh;
    }
    return count;
}

static bool try_all(unsigned at, unsigned placed)
{
    if (at == n_places)
        return policy.distinct <= 1 || jurisdictions_of(placed) >= policy.distinct;
    for (unsigned i = 0; i < n_who; i++)
        if (!(placed >> i & 1) && approver_in_group(&who[i], &policy.term[place_term[at]].group) && try_all(at + 1, placed | 1u << i))
            return true;
    return false;
}

static bool twin(void)
{
    n_places = 0;
    for (unsigned t = 0; t < policy.n_terms; t++)
        for (unsigned i = 0; i < policy.term[t].count; i++)
            place_term[n_places++] = t;
    return try_all(0, 0);
}

/* ---- stories ---- */

static void policy_is(uint8_t legal, uint8_t security, uint8_t distinct)
{
    policy = (struct policy_doc){ .n_terms = 2, .term = { { legal, name_of("legal") }, { security, name_of("security") } },
                                  .distinct = distinct };
}

static bool met(unsigned n)
{
    n_who = n;
    bool m = policy_met(&policy, who, n);
    assert_int_equal(m, twin());
    return m;
}

static void somebody_in_two_groups_counts_for_one(void **state)
{
    policy_is(1, 1, 0);
    who[0] = person("DE", "legal", "security");
    assert_false(met(1));
    who[1] = person("DE", "security", NULL);
    assert_true(met(2));
}

/* Greedy puts the first, who could do both, where the second alone could stand. */
static void the_one_who_can_do_both_stands_where_he_is_needed(void **state)
{
    policy_is(1, 1, 0);
    who[0] = person("DE", "legal", "security");
    who[1] = person("DE", "legal", NULL);
    assert_true(met(2));
    struct approver_doc t = who[0];
    who[0] = who[1], who[1] = t;
    assert_true(met(2));
}

static void jurisdictions_are_those_of_people_who_are_needed(void **state)
{
    policy_is(1, 1, 2);
    who[0] = person("DE", "security", NULL);
    who[1] = person("DE", "legal", NULL);
    who[2] = person("FR", "audit", NULL);       /* in no group that is asked */
    assert_false(met(3));
    who[2] = person("FR", "security", NULL);
    assert_true(met(3));
    who[2] = person("", "security", NULL);      /* of no jurisdiction */
    assert_false(met(3));
}

static void it_is_what_trying_everything_says(void **state)
{
    static const char *const groups[] = { "legal", "security", "x" };
    static const char *const places[] = { "", "DE", "FR", "US" };
    struct rng rng = rng_seeded("attest_places");
    unsigned yes = 0;
    for (int round = 0; round < 30000; round++) {
        policy_is((uint8_t) (1 + rng_below(&rng, 2)), (uint8_t) (1 + rng_below(&rng, 3)), (uint8_t) rng_below(&rng, 4));
        unsigned n = 1 + rng_below(&rng, 7);
        for (unsigned i = 0; i < n; i++) {
            unsigned a = rng_below(&rng, 3), b = rng_below(&rng, 3);
            who[i] = person(places[rng_below(&rng, 4)], groups[a], a < b ? groups[b] : NULL);
        }
        yes += met(n);
    }
    assert_in_range(yes, 3000, 27000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(somebody_in_two_groups_counts_for_one),
        cmocka_unit_test(the_one_who_can_do_both_stands_where_he_is_needed),
        cmocka_unit_test(jurisdictions_are_those_of_people_who_are_needed),
        cmocka_unit_test(it_is_what_trying_everything_says),
    };
    return cmocka_run_group_tests_name("attest_places", tests, NULL, NULL);
}
